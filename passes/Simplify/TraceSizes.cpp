// Traces the sizes of tensors back to those that they come from.

#include "dlc/Api.h"
#include "passes/Simplify/FoldShapes.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

ArrayAttr ShapeFolder::dimNames(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == graph.getBodyBlock()
               ? graph.getInputDimNames(argument.getArgNumber())
               : ArrayAttr();
  Operation *op = value.getDefiningOp();
  auto infos = op->getAttrOfType<ArrayAttr>("output_infos");
  if (!infos)
    return {};
  return cast<DictionaryAttr>(infos[cast<OpResult>(value).getResultNumber()])
      .getAs<ArrayAttr>("dim_names");
}

/// Looks through nodes that keep a size, as far as that goes.
Element ShapeFolder::trace(Value value, int64_t axis) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0 ||
      node.getResult(0) != value)
    return {};
  Value x = node.getInput(0);
  int64_t rank = rankOf(value);
  auto isOneOf = [&](std::initializer_list<StringLiteral> ops) {
    return llvm::is_contained(ops, node.getOpType());
  };
  if (x && rankOf(x) == rank &&
      isOneOf({"Relu",
               "Sigmoid",
               "Tanh",
               "Erf",
               "Sqrt",
               "Cast",
               "Softmax",
               "LayerNormalization",
               "BatchNormalization",
               "Gelu",
               "Clip",
               "Identity",
               "Exp",
               "Neg",
               "Abs",
               "LeakyRelu",
               "HardSwish",
               "HardSigmoid",
               "RMSNormalization",
               "Not",
               "Dropout"}))
    return sizeOf(x, axis);
  if (node.isOp("Transpose") && x && rankOf(x) == rank) {
    auto permutation = node.getInts("perm");
    return sizeOf(x, permutation ? (*permutation)[axis] : rank - 1 - axis);
  }
  if (node.isOp("MatMul") && rankOf(node.getOperand(1)) == 2 &&
      rankOf(x) == rank && axis < rank - 1)
    return sizeOf(x, axis);
  if (node.isOp("MatMul") && rank >= 2 && rankOf(x) == rank &&
      rankOf(node.getOperand(1)) == rank) {
    if (axis >= rank - 2)
      return sizeOf(node.getOperand(axis == rank - 2 ? 0 : 1), axis);
    return traceBroadcast(node.getOperands(), rank, axis);
  }
  if (isOneOf({"Add", "Mul", "Sub", "Div", "Pow", "Where", "And", "Or", "Less",
               "Greater", "Equal", "LessOrEqual", "GreaterOrEqual", "Max",
               "Min", "Sum"}))
    return traceBroadcast(node.getOperands(), rank, axis);
  if (node.isOp("Gather") && rankOf(x) > 0) {
    // The indices take the place of an axis.
    Value indices = node.getOperand(1);
    int64_t at = toAxis(node.getInt("axis", 0), rankOf(x));
    if (rankOf(indices) < 0 || at < 0)
      return {};
    if (axis < at)
      return sizeOf(x, axis);
    if (axis < at + rankOf(indices))
      return sizeOf(indices, axis - at);
    return sizeOf(x, axis - rankOf(indices) + 1);
  }
  if (node.isOp("Reshape") && !node.getInt("allowzero", 0)) {
    const Elements *sizes = find(node.getOperand(1));
    if (!sizes || axis >= int64_t(sizes->size()))
      return {};
    Element size = (*sizes)[axis];
    if (size == Element::of(0))
      return sizeOf(x, axis);
    return size.kind == Element::Size ? size : Element();
  }
  if (node.isOp("Expand")) {
    // To a size that the tensor has 1 of, or has itself.
    const Elements *sizes = find(node.getOperand(1));
    if (!sizes || int64_t(sizes->size()) != rank)
      return {};
    Element size = (*sizes)[axis];
    int64_t at = axis - (rank - rankOf(x));
    Element own = rankOf(x) < 0 ? Element()
                  : at < 0      ? Element::of(1)
                                : sizeOf(x, at);
    return own == Element::of(1) || own == size ? size
           : size == Element::of(1)             ? own
                                                : Element();
  }
  if (node.isOp("Unsqueeze") || node.isOp("Squeeze")) {
    auto axes = intsOf(node.getInput(1));
    int64_t whole = node.isOp("Squeeze") ? rankOf(x) : rank;
    if (!axes || whole < 0)
      return {};
    // The axis among those of the larger tensor, or of the smaller one.
    llvm::SmallBitVector ones(whole);
    for (int64_t one : *axes)
      if (int64_t at = toAxis(one, whole); at >= 0)
        ones.set(at);
    int64_t small = 0;
    for (int64_t i = 0; i < whole; ++i) {
      if (node.isOp("Unsqueeze") && i == axis)
        return ones[i] ? Element::of(1) : sizeOf(x, small);
      if (node.isOp("Squeeze") && !ones[i] && small == axis)
        return sizeOf(x, i);
      small += !ones[i];
    }
  }
  return {};
}

/// The size along an axis of what is broadcast to `rank`: that of all which
/// have other sizes than 1 there, where it is one.
Element ShapeFolder::traceBroadcast(ValueRange operands, int64_t rank,
                                    int64_t axis) {
  Element size = Element::of(1);
  for (Value operand : operands) {
    RankedTensorType type = tensorOf(operand);
    if (!type)
      return {};
    int64_t at = axis - (rank - type.getRank());
    if (at < 0 || type.getDimSize(at) == 1)
      continue;
    Element own = sizeOf(operand, at);
    // Not 1, so it is what all have.
    if (own.isNumber())
      return own;
    if (size == Element::of(1))
      size = own;
    else if (!(size == own))
      return {};
  }
  return size;
}

Element ShapeFolder::sizeOf(Value value, int64_t axis) {
  RankedTensorType type = tensorOf(value);
  if (!type || axis < 0 || axis >= type.getRank())
    return {};
  if (!type.isDynamicDim(axis))
    return Element::of(type.getDimSize(axis));
  if (auto it = sizes.find({value, axis}); it != sizes.end())
    return it->second;
  Element size{Element::Size, 0, value, axis, ""};
  if (ArrayAttr names = dimNames(value))
    size.name = cast<StringAttr>(names[axis]).getValue();
  if (size.name.empty()) {
    if (Element traced = trace(value, axis); traced.kind != Element::Unknown)
      size = traced;
  } else if (auto it = inputSizes.find(size.name); it != inputSizes.end()) {
    std::tie(size.tensor, size.axis) = it->second;
  } else if (isa<BlockArgument>(value)) {
    inputSizes[size.name] = {value, axis};
  }
  sizes[{value, axis}] = size;
  return size;
}
