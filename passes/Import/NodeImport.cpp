// A node as a row of the table sees it, and the ops that a row builds.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/OpTable.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// The node
//===----------------------------------------------------------------------===//

Type dlc::computeTypeOf(Type type) {
  if (isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32)
    return Float32Type::get(type.getContext());
  return type;
}

Value NodeImport::input(unsigned i) {
  return i < widened.size() && widened[i] ? widened[i] : storedInput(i);
}

Value NodeImport::storedInput(unsigned i) {
  if (Value value = replaced.lookup(i))
    return value;
  Value value = node.getInput(i);
  return value ? graph.lookup(value) : Value();
}

void NodeImport::replaceInput(unsigned i, Value value) {
  replaced[i] = value;
  if (i < widened.size())
    widened[i] = {};
}

ImportResult dlc::importAs(NodeImport &node, StringRef name) {
  const OpRow *row = findOpRow("", name);
  assert(row && "expected an operator of the table");
  return row->import(node);
}

/// `x` in f32, null where its elements are no floats of fewer bits. A constant
/// of one element stays one, for rows that look at its value.
Value NodeImport::widen(Value x) {
  auto from = x ? dyn_cast<RankedTensorType>(x.getType()) : RankedTensorType();
  if (!from || computeTypeOf(from.getElementType()) == from.getElementType())
    return {};
  Type f32 = b.getF32Type();
  std::optional<double> number = constantFloat(x);
  if (number && from.getNumElements() == 1)
    return constant(DenseElementsAttr::get(
        from.clone(f32), Attribute(b.getFloatAttr(f32, *number))));
  return cast(x, f32);
}

void NodeImport::widenInputs() {
  SmallVector<Value> wide;
  for (unsigned i = 0; i < numInputs(); ++i) {
    wide.push_back(widen(input(i)));
    if (wide.back() && !narrowType)
      narrowType = elementType(input(i));
  }
  widened = wide;
}

ImportResult NodeImport::roundResults(ImportResult results) {
  if (failed(results) || !narrowType)
    return results;
  for (auto [i, value] : llvm::enumerate(*results)) {
    if (!value || !isa<FloatType>(elementType(value)))
      continue;
    Type to = i < numOutputs() ? inferredElementType(i) : Type();
    value = cast(value, to ? to : narrowType);
  }
  return results;
}

Type NodeImport::inferredElementType(unsigned i) {
  Value output = node.getOutput(i);
  auto tensor = output ? dyn_cast<TensorType>(output.getType()) : TensorType();
  return tensor ? convertOnnxType(tensor.getElementType()) : Type();
}

std::optional<int64_t> NodeImport::inferredRank(unsigned i) {
  Value output = node.getOutput(i);
  auto tensor = output ? dyn_cast<RankedTensorType>(output.getType())
                       : RankedTensorType();
  return tensor ? std::optional(tensor.getRank()) : std::nullopt;
}

RankedTensorType NodeImport::type(Value value) {
  if (auto type = value ? dyn_cast<RankedTensorType>(value.getType())
                        : RankedTensorType())
    return type;
  if (!hasFailed && value)
    error() << "expected a tensor, found " << value.getType();
  else if (!hasFailed)
    error() << "expected a tensor, found none";
  return RankedTensorType::get({}, b.getF32Type());
}

OpFoldResult NodeImport::dim(Value x, int64_t i) {
  int64_t rank = type(x).getRank();
  if (hasFailed)
    return index(1);
  if (i >= 0 && i < rank)
    return getDim(b, loc, x, i);
  std::string name = "a tensor";
  for (unsigned k = 0; k < numInputs(); ++k)
    if (input(k) == x)
      name = inputName(k);
  error() << "expected " << name << " of rank " << i + 1
          << " or more, found rank " << rank;
  return index(1);
}

InFlightDiagnostic NodeImport::error() {
  hasFailed = true;
  return emitError(loc);
}

int64_t NodeImport::normalizeAxis(int64_t axis, int64_t rank) {
  int64_t normal = axis < 0 ? axis + rank : axis;
  if (normal >= 0 && normal < rank)
    return normal;
  if (!hasFailed)
    error() << "expected an axis in [" << -rank << ", " << rank << "), found "
            << axis;
  return 0;
}

//===----------------------------------------------------------------------===//
// Building ops
//===----------------------------------------------------------------------===//

bool NodeImport::areTensors(ValueRange operands) {
  if (hasFailed || llvm::is_contained(operands, Value()))
    return false;
  for (Value operand : operands)
    if (!isa<RankedTensorType>(operand.getType())) {
      error() << "expected tensors, found " << operand.getType();
      return false;
    }
  return true;
}

Value NodeImport::createInferred(OperationState &state) {
  if (!areTensors(state.operands))
    return {};
  SmallVector<Type> types;
  auto info = state.name.getInterface<InferTypeOpInterface>();
  if (failed(
          info->inferReturnTypes(b.getContext(), loc, state.operands,
                                 state.attributes.getDictionary(b.getContext()),
                                 state.getRawProperties(), {}, types))) {
    hasFailed = true;
    return {};
  }
  state.addTypes(types);
  Operation *op = b.create(state);
  SmallVector<Value> folded;
  if (failed(b.tryFold(op, folded)) || folded.empty())
    return op->getResult(0);
  op->erase();
  return folded.front();
}

Value NodeImport::scalar(double value, Type elementType) {
  auto type = RankedTensorType::get({}, elementType);
  if (auto complex = dyn_cast<ComplexType>(elementType)) {
    auto part = llvm::cast<FloatType>(complex.getElementType());
    auto toFloat = [&](double number) {
      return b.getFloatAttr(part, number).getValue();
    };
    return constant(DenseElementsAttr::get(
        type, std::complex<APFloat>(toFloat(value), toFloat(0))));
  }
  Attribute attr;
  if (auto floatType = dyn_cast<FloatType>(elementType)) {
    attr = b.getFloatAttr(floatType, value);
  } else {
    auto integer = llvm::cast<IntegerType>(elementType);
    attr = IntegerAttr::get(integer,
                            llvm::APInt(64, int64_t(value), /*isSigned=*/true)
                                .sextOrTrunc(integer.getWidth()));
  }
  return constant(DenseElementsAttr::get(type, attr));
}

Value NodeImport::integers(ArrayRef<int64_t> values) {
  return constant(DenseElementsAttr::get(
      RankedTensorType::get(values.size(), b.getI64Type()), values));
}

Value NodeImport::constant(ElementsAttr value) {
  return ConstantOp::create(b, loc, value);
}

Value NodeImport::strings(ArrayRef<StringRef> values, ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, StringType::get(b.getContext()));
  return StringsOp::create(b, loc, type, b.getStrArrayAttr(values));
}

Value NodeImport::cast(Value x, Type elementType, bool saturate,
                       StringRef roundMode) {
  if (!x)
    return {};
  return create<CastOp>(type(x).clone(elementType), x, saturate, roundMode);
}

/// A size as a value, cloned out of the attribute where it is static.
static std::pair<RankedTensorType, SmallVector<Value>>
sizedType(Value x, ArrayRef<OpFoldResult> sizes) {
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  for (OpFoldResult size : sizes) {
    if (std::optional<int64_t> constant = getConstantIntValue(size)) {
      shape.push_back(*constant);
      continue;
    }
    shape.push_back(ShapedType::kDynamic);
    dynamic.push_back(llvm::cast<Value>(size));
  }
  return {RankedTensorType::get(shape, getElementTypeOrSelf(x)), dynamic};
}

Value NodeImport::reshape(Value x, ArrayRef<OpFoldResult> sizes) {
  if (!x || hasFailed)
    return {};
  auto [resultType, dynamic] = sizedType(x, sizes);
  if (type(x).hasStaticShape() && resultType.hasStaticShape() &&
      type(x).getNumElements() != resultType.getNumElements()) {
    error() << "expected a shape of " << type(x).getNumElements()
            << " elements, found " << resultType.getNumElements();
    return {};
  }
  return create<ReshapeOp>(resultType, x, dynamic);
}

Value NodeImport::broadcast(Value x, ArrayRef<OpFoldResult> sizes) {
  if (!x || hasFailed)
    return {};
  auto [resultType, dynamic] = sizedType(x, sizes);
  return create<BroadcastOp>(resultType, x, dynamic);
}

Value NodeImport::transpose(Value x, ArrayRef<int64_t> permutation) {
  if (!x || hasFailed)
    return {};
  if (!isPermutationVector(permutation) ||
      int64_t(permutation.size()) != rank(x)) {
    error() << "expected a permutation of " << rank(x) << " dimensions";
    return {};
  }
  return create<TransposeOp>(x, permutation);
}

Value NodeImport::unsqueeze(Value x, ArrayRef<int64_t> axes) {
  if (!x)
    return {};
  int64_t resultRank = rank(x) + axes.size();
  Elements sizes;
  for (int64_t i = 0, next = 0; i < resultRank; ++i)
    sizes.push_back(llvm::is_contained(axes, i) ? index(1) : dim(x, next++));
  return reshape(x, sizes);
}

Value NodeImport::squeeze(Value x, ArrayRef<int64_t> axes) {
  if (!x)
    return {};
  Elements sizes;
  for (int64_t i = 0; i < rank(x); ++i)
    if (!llvm::is_contained(axes, i))
      sizes.push_back(dim(x, i));
  return reshape(x, sizes);
}

Value NodeImport::slice(Value x, ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes,
                        ArrayRef<int64_t> strides) {
  if (!x || hasFailed)
    return {};
  auto [resultType, dynamic] = sizedType(x, sizes);
  SmallVector<OpFoldResult> folded;
  for (OpFoldResult offset : offsets)
    folded.push_back(getConstantIntValue(offset)
                         ? OpFoldResult(index(*getConstantIntValue(offset)))
                         : offset);
  auto [staticOffsets, dynamicOffsets] = decomposeMixedValues(folded);
  return create<SliceOp>(resultType, x, dynamicOffsets, dynamic, staticOffsets,
                         resultType.getShape(), strides);
}

Value NodeImport::sliceAxis(Value x, int64_t axis, OpFoldResult begin,
                            OpFoldResult size) {
  Elements offsets(rank(x), index(0)), sizes = dims(x);
  offsets[axis] = begin;
  sizes[axis] = size;
  return slice(x, offsets, sizes, SmallVector<int64_t>(rank(x), 1));
}

Value NodeImport::concat(ValueRange inputs, int64_t axis) {
  if (llvm::is_contained(inputs, Value()) || hasFailed)
    return {};
  if (inputs.size() == 1)
    return inputs.front();
  return infer<ConcatOp>(inputs, axis);
}

Value NodeImport::reduce(ReduceKind kind, Value x, ArrayRef<int64_t> axes) {
  if (!x || hasFailed)
    return {};
  if (axes.empty())
    return x;
  return create<ReduceOp>(kind, x, axes);
}

Value NodeImport::matmul(Value lhs, Value rhs, Type elementType,
                         ValueRange zeros) {
  if (!lhs || !rhs || hasFailed)
    return {};
  ArrayRef<int64_t> left = type(lhs).getShape(), right = type(rhs).getShape();
  FailureOr<SmallVector<int64_t>> shape =
      broadcastShapes({left.drop_back(2), right.drop_back(2)}, loc);
  if (failed(shape)) {
    hasFailed = true;
    return {};
  }
  int64_t k = left.back(), rows = right[right.size() - 2];
  if (ShapedType::isStatic(k) && ShapedType::isStatic(rows) && k != rows) {
    error() << "expected as many columns on the left as rows on the right, "
               "found "
            << k << " and " << rows;
    return {};
  }
  if (failed(broadcastBatches(lhs, rhs)))
    return {};
  shape = broadcastShapes(
      {type(lhs).getShape().drop_back(2), type(rhs).getShape().drop_back(2)},
      loc);
  if (failed(shape)) {
    hasFailed = true;
    return {};
  }
  shape->push_back(left[left.size() - 2]);
  shape->push_back(right.back());
  return create<MatMulOp>(RankedTensorType::get(*shape, elementType), lhs, rhs,
                          zeros);
}

Value NodeImport::toChannelsLast(Value x) {
  SmallVector<int64_t> permutation{0};
  for (int64_t i = 2; i < rank(x); ++i)
    permutation.push_back(i);
  permutation.push_back(1);
  return transpose(x, permutation);
}

Value NodeImport::toChannelsFirst(Value x) {
  if (!x)
    return {};
  SmallVector<int64_t> permutation{0, rank(x) - 1};
  for (int64_t i = 1; i < rank(x) - 1; ++i)
    permutation.push_back(i);
  return transpose(x, permutation);
}

Value NodeImport::countAlong(Value x, ArrayRef<int64_t> axes,
                             Type elementType) {
  OpFoldResult count = index(1);
  for (int64_t axis : axes)
    count = mulSizes(b, loc, count, dim(x, axis));
  if (std::optional<int64_t> constant = getConstantIntValue(count))
    return scalar(*constant, elementType);
  return cast(fromElements(count, b.getI64Type(), /*isScalar=*/true),
              elementType);
}
