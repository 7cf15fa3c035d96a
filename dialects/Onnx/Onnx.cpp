/// \file
/// The onnx dialect: registration, accessors and verification.
#include "dialects/Onnx/Onnx.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace dlc::onnx;

#include "dialects/Onnx/OnnxDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Onnx/OnnxTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Onnx/OnnxAttributes.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/Onnx/OnnxOps.cpp.inc"

void OnnxDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Onnx/OnnxTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Onnx/OnnxAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Onnx/OnnxOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Entries of graph signatures
//===----------------------------------------------------------------------===//

StringRef dlc::onnx::entryName(ArrayAttr entries, unsigned i) {
  if (!entries || i >= entries.size())
    return "";
  auto name = cast<DictionaryAttr>(entries[i]).getAs<StringAttr>("name");
  return name ? name.getValue() : "";
}

ArrayAttr dlc::onnx::entryDims(ArrayAttr entries, unsigned i) {
  if (!entries || i >= entries.size())
    return {};
  return cast<DictionaryAttr>(entries[i]).getAs<ArrayAttr>("dim_names");
}

/// Verifies a graph body against its lists of inputs and outputs; `what` is
/// its name in messages.
static LogicalResult verifyGraph(Operation *op, Region &body, ArrayAttr inputs,
                                 ArrayAttr outputs, const Twine &what) {
  if (!inputs || !outputs)
    return op->emitOpError() << what << " expects lists of inputs and outputs";
  Block &block = body.front();
  if (block.getNumArguments() != inputs.size())
    return op->emitOpError() << what << " expected " << inputs.size()
                             << " block arguments, one for each input, found "
                             << block.getNumArguments();
  for (ArrayAttr entries : {inputs, outputs})
    for (Attribute entry : entries) {
      auto dictionary = dyn_cast<DictionaryAttr>(entry);
      if (!dictionary || !dictionary.getAs<StringAttr>("name"))
        return op->emitOpError() << what << " expected a name for every input "
                                 << "and output, found " << entry;
    }
  for (auto [i, argument] : llvm::enumerate(block.getArguments())) {
    ArrayAttr names = entryDims(inputs, i);
    auto shaped = dyn_cast<ShapedType>(argument.getType());
    if (names && (!shaped || !shaped.hasRank() ||
                  shaped.getRank() != int64_t(names.size())))
      return op->emitOpError()
             << what << " input #" << i << " has " << names.size()
             << " dimension names and the type " << argument.getType();
  }
  if (block.empty() || !isa<ReturnOp>(block.back()))
    return op->emitOpError() << what << " expected to end in 'onnx.return'";
  if (block.back().getNumOperands() != outputs.size())
    return block.back().emitOpError()
           << "expected " << outputs.size() << " operands, found "
           << block.back().getNumOperands();
  return success();
}

LogicalResult GraphOp::verifyRegions() {
  return verifyGraph(*this, getBody(), getInputs(), getOutputs(), "graph");
}

LogicalResult FunctionOp::verifyRegions() {
  return verifyGraph(*this, getBody(), getInputs(), getOutputs(), "function");
}

//===----------------------------------------------------------------------===//
// InitializerOp
//===----------------------------------------------------------------------===//

LogicalResult InitializerOp::verify() {
  Type expected;
  if (auto sparse = dyn_cast<SparseTensorAttr>(getValue()))
    expected = SparseType::get(getContext(), sparse.getType());
  else if (auto elements = getElements())
    expected = elements.getType();
  else
    return emitOpError(
               "expected a tensor or sparse tensor as the value, found ")
           << getValue();
  if (expected != getType())
    return emitOpError("expected the type of its value, ")
           << expected << ", found " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// NodeOp
//===----------------------------------------------------------------------===//

/// A node without results is there for what it checks.
void NodeOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (!getNumResults())
    effects.emplace_back(MemoryEffects::Write::get());
}

LogicalResult NodeOp::verify() {
  if (getOutputNames().size() != getNumResults())
    return emitOpError("expected ")
           << getNumResults() << " output names, one for each result, found "
           << getOutputNames().size();
  if (getGraphs().size() != getNumRegions())
    return emitOpError("expected ")
           << getNumRegions()
           << " entries in 'graphs', one for each region, found "
           << getGraphs().size();
  return success();
}

LogicalResult NodeOp::verifyRegions() {
  for (auto [i, region] : llvm::enumerate(getBodies())) {
    DictionaryAttr info = getGraphInfo(i);
    auto attribute = info.getAs<StringAttr>("attribute");
    if (!attribute)
      return emitOpError("expected the name of the attribute of subgraph #")
             << i;
    if (failed(verifyGraph(*this, region, info.getAs<ArrayAttr>("inputs"),
                           info.getAs<ArrayAttr>("outputs"),
                           "subgraph '" + attribute.getValue() + "'")))
      return failure();
  }
  return success();
}

StringRef NodeOp::getNodeName() {
  Location loc = getLoc();
  if (auto fused = dyn_cast<FusedLoc>(loc);
      fused && !fused.getLocations().empty())
    loc = fused.getLocations().front();
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().getValue();
  return "";
}

int64_t NodeOp::getOpset() {
  StringRef domain = getDomain().empty() ? "ai.onnx" : getDomain();
  DictionaryAttr imports;
  if (auto function = (*this)->getParentOfType<FunctionOp>())
    imports = function.getOpsetImports();
  else if (auto module = (*this)->getParentOfType<ModuleOp>())
    imports = module->getAttrOfType<DictionaryAttr>("onnx.opset_imports");
  auto version = imports ? imports.getAs<IntegerAttr>(domain) : IntegerAttr();
  return version ? version.getInt() : 0;
}

Value NodeOp::getInput(unsigned i) {
  if (i >= getOperands().size() || isa<NoneType>(getOperands()[i].getType()))
    return {};
  return getOperands()[i];
}

Value NodeOp::getOutput(unsigned i) {
  if (i >= getNumResults() || getOutputName(i).empty())
    return {};
  return getResult(i);
}

int64_t NodeOp::getInt(StringRef name, int64_t otherwise) {
  auto attribute = dyn_cast_or_null<IntegerAttr>(getOnnxAttribute(name));
  return attribute ? attribute.getInt() : otherwise;
}

double NodeOp::getFloat(StringRef name, double otherwise) {
  auto attribute = dyn_cast_or_null<FloatAttr>(getOnnxAttribute(name));
  return attribute ? attribute.getValueAsDouble() : otherwise;
}

StringRef NodeOp::getString(StringRef name, StringRef otherwise) {
  auto attribute = dyn_cast_or_null<StringAttr>(getOnnxAttribute(name));
  return attribute ? attribute.getValue() : otherwise;
}

std::optional<SmallVector<int64_t>> NodeOp::getInts(StringRef name) {
  if (auto ints = dyn_cast_or_null<DenseI64ArrayAttr>(getOnnxAttribute(name)))
    return SmallVector<int64_t>(ints.asArrayRef());
  return std::nullopt;
}

std::optional<SmallVector<float>> NodeOp::getFloats(StringRef name) {
  if (auto floats = dyn_cast_or_null<DenseF32ArrayAttr>(getOnnxAttribute(name)))
    return SmallVector<float>(floats.asArrayRef());
  return std::nullopt;
}

std::optional<SmallVector<StringRef>> NodeOp::getStrings(StringRef name) {
  auto strings = dyn_cast_or_null<ArrayAttr>(getOnnxAttribute(name));
  if (!strings)
    return std::nullopt;
  SmallVector<StringRef> result;
  for (auto string : strings.getAsRange<StringAttr>())
    result.push_back(string.getValue());
  return result;
}

ElementsAttr NodeOp::getTensor(StringRef name) {
  Attribute attribute = getOnnxAttribute(name);
  // array<i64: ..> is an ElementsAttr too.
  if (isa_and_nonnull<DenseArrayAttr>(attribute))
    return {};
  return dyn_cast_or_null<ElementsAttr>(attribute);
}

Region *NodeOp::getGraph(StringRef attribute) {
  SmallVector<Region *> all = getGraphList(attribute);
  return all.empty() ? nullptr : all.front();
}

SmallVector<Region *> NodeOp::getGraphList(StringRef attribute) {
  SmallVector<Region *> result;
  for (auto [i, region] : llvm::enumerate(getBodies()))
    if (getGraphInfo(i).getAs<StringAttr>("attribute") == attribute)
      result.push_back(&region);
  return result;
}

//===----------------------------------------------------------------------===//
// Raw data
//===----------------------------------------------------------------------===//

std::optional<int64_t> dlc::onnx::getRawSize(Type elementType, int64_t count) {
  int64_t bits = 0;
  if (elementType.isInteger(1))
    bits = 8;
  else if (elementType.isIntOrFloat())
    bits = elementType.getIntOrFloatBitWidth();
  else if (auto complex = dyn_cast<ComplexType>(elementType))
    bits = 2 * complex.getElementType().getIntOrFloatBitWidth();
  else
    return std::nullopt;
  int64_t total;
  if (llvm::MulOverflow(count, bits, total) ||
      total > std::numeric_limits<int64_t>::max() - 7)
    return std::nullopt;
  return (total + 7) / 8;
}

ArrayRef<char> dlc::onnx::getRawBytes(ElementsAttr value,
                                      SmallVectorImpl<char> &storage) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    return resource.getData();
  auto dense = cast<DenseElementsAttr>(value);
  Type element = dense.getElementType();
  int64_t count = dense.getNumElements();
  storage.clear();
  if (element.isInteger(1)) {
    for (bool bit : dense.getValues<bool>())
      storage.push_back(bit);
    return storage;
  }
  if (element.isIntOrFloat() && element.getIntOrFloatBitWidth() < 8) {
    int64_t bits = element.getIntOrFloatBitWidth();
    storage.resize((count * bits + 7) / 8, 0);
    auto put = [&](int64_t i, uint64_t x) {
      for (int64_t b = 0; b < bits; ++b)
        if (x >> b & 1)
          storage[(i * bits + b) / 8] |= char(1 << ((i * bits + b) % 8));
    };
    int64_t i = 0;
    if (isa<FloatType>(element))
      for (APFloat x : dense.getValues<APFloat>())
        put(i++, x.bitcastToAPInt().getZExtValue());
    else
      for (const APInt &x : dense.getValues<APInt>())
        put(i++, x.getZExtValue());
    return storage;
  }
  ArrayRef<char> raw = dense.getRawData();
  if (!dense.isSplat())
    return raw;
  for (int64_t i = 0; i < count; ++i)
    storage.append(raw.begin(), raw.end());
  return storage;
}
