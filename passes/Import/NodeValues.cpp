// What is known of a node's values while it is imported.

#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/OpTable.h"

using namespace mlir;
using namespace dlc;

ElementsAttr NodeImport::constantValue(Value x) {
  auto op = x ? x.getDefiningOp<ConstantOp>() : ConstantOp();
  return op ? op.getValue() : ElementsAttr();
}

/// The integers of a constant, where there are few enough.
static std::optional<SmallVector<int64_t>> integersOf(ElementsAttr value) {
  constexpr int64_t most = 1 << 16;
  auto type = dyn_cast<RankedTensorType>(value.getShapedType());
  auto element =
      type ? dyn_cast<IntegerType>(type.getElementType()) : IntegerType();
  if (!element || type.getNumElements() > most)
    return std::nullopt;
  SmallVector<int64_t> numbers;
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    for (const llvm::APInt &number : dense.getValues<llvm::APInt>())
      numbers.push_back(element.isUnsigned() || element.getWidth() == 1
                            ? int64_t(number.getZExtValue())
                            : number.getSExtValue());
    return numbers;
  }
  auto resource = dyn_cast<DenseResourceElementsAttr>(value);
  AsmResourceBlob *blob =
      resource ? resource.getRawHandle().getBlob() : nullptr;
  unsigned width = element.getWidth() == 1 ? 8 : element.getWidth();
  if (!blob || width % 8)
    return std::nullopt;
  ArrayRef<char> data = blob->getData();
  for (int64_t i = 0, e = type.getNumElements(); i < e; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, data.data() + i * (width / 8), width / 8);
    llvm::APInt number(64, bits);
    number = number.trunc(width);
    numbers.push_back(element.isUnsigned() ? int64_t(number.getZExtValue())
                                           : number.getSExtValue());
  }
  return numbers;
}

/// The elements of a constant, or of a tensor that a row made of them.
static std::optional<Elements> knownElements(NodeImport &node, Value x) {
  if (const Elements *known = node.graph.getElements(x))
    return *known;
  ElementsAttr value = node.constantValue(x);
  std::optional<SmallVector<int64_t>> numbers =
      value ? integersOf(value) : std::nullopt;
  if (!numbers)
    return std::nullopt;
  Elements result;
  for (int64_t number : *numbers)
    result.push_back(node.index(number));
  return result;
}

std::optional<Elements> NodeImport::elements(Value x, bool read,
                                             std::optional<int64_t> count) {
  if (!x)
    return std::nullopt;
  auto xType = dyn_cast<RankedTensorType>(x.getType());
  if (!xType || xType.getRank() > 1 ||
      !isa<IntegerType>(xType.getElementType()))
    return std::nullopt;
  if (std::optional<Elements> known = knownElements(*this, x)) {
    // Numbers that no size is near would overflow, or be kDynamic.
    if (read)
      for (OpFoldResult &element : *known)
        if (std::optional<int64_t> constant = getConstantIntValue(element))
          element = index(std::clamp(*constant, -kLargestSize, kLargestSize));
    return known;
  }
  if (xType.hasStaticShape())
    count = xType.getNumElements();
  if (constantValue(x) || !read || !count)
    return std::nullopt;
  if (!xType.hasStaticShape() &&
      failed(expectEqual(dim(x, 0), index(*count),
                         "a list of " + Twine(*count) + " elements")))
    return std::nullopt;
  Elements result;
  for (int64_t i = 0; i < *count; ++i) {
    SmallVector<Value> at;
    if (xType.getRank() == 1)
      at.push_back(arith::ConstantIndexOp::create(b, loc, i));
    Value element = tensor::ExtractOp::create(b, loc, x, at);
    if (xType.getElementType().isInteger(64)) {
      // So that sizes computed from it do not overflow. No memory has this
      // size, so what needs one fails to allocate it.
      auto bound = [&](int64_t value) -> Value {
        return arith::ConstantIntOp::create(b, loc, value, 64);
      };
      element =
          b.createOrFold<arith::MinSIOp>(loc, element, bound(kLargestSize));
      element =
          b.createOrFold<arith::MaxSIOp>(loc, element, bound(-kLargestSize));
    }
    result.push_back(
        b.createOrFold<arith::IndexCastOp>(loc, b.getIndexType(), element));
  }
  return result;
}

std::optional<SmallVector<int64_t>> NodeImport::constants(Value x) {
  if (ElementsAttr value = constantValue(x))
    return integersOf(value);
  std::optional<Elements> known = elements(x);
  if (!known)
    return std::nullopt;
  return getConstantIntValues(*known);
}

std::optional<double> NodeImport::constantFloat(Value x) {
  auto dense = dyn_cast_if_present<DenseElementsAttr>(constantValue(x));
  if (!dense || dense.getNumElements() != 1)
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType())) {
    llvm::APFloat value = *dense.getValues<llvm::APFloat>().begin();
    bool losesInfo;
    value.convert(llvm::APFloat::IEEEdouble(),
                  llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    return value.convertToDouble();
  }
  if (std::optional<SmallVector<int64_t>> numbers = integersOf(dense))
    return double(numbers->front());
  return std::nullopt;
}

Value NodeImport::fromElements(ArrayRef<OpFoldResult> elements,
                               Type elementType, bool isScalar) {
  auto integer = llvm::cast<IntegerType>(elementType);
  SmallVector<int64_t> shape;
  if (!isScalar)
    shape.push_back(elements.size());
  auto resultType = RankedTensorType::get(shape, elementType);
  Value result;
  if (std::optional<SmallVector<int64_t>> numbers =
          getConstantIntValues(elements)) {
    SmallVector<llvm::APInt> values;
    for (int64_t number : *numbers)
      values.push_back(llvm::APInt(64, number, /*isSigned=*/true)
                           .sextOrTrunc(integer.getWidth()));
    result = constant(DenseElementsAttr::get(resultType, values));
  } else {
    SmallVector<Value> scalars;
    auto signless = IntegerType::get(b.getContext(), integer.getWidth());
    for (OpFoldResult element : elements) {
      Value value = getValueOrCreateConstantIndexOp(b, loc, element);
      scalars.push_back(
          b.createOrFold<arith::IndexCastOp>(loc, signless, value));
    }
    result = tensor::FromElementsOp::create(
        b, loc, RankedTensorType::get(shape, signless), scalars);
    if (signless != elementType)
      result = UnrealizedConversionCastOp::create(b, loc, resultType, result)
                   .getResult(0);
  }
  graph.setElements(result, llvm::to_vector(elements));
  return result;
}
