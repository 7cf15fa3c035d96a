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
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0)
    return {};
  Value x = node.getInput(0);
  if (node.isOp("Split") && rankOf(x) > 0)
    return axis == toAxis(node.getInt("axis", 0), rankOf(x)) ? Element()
                                                             : sizeOf(x, axis);
  if (node.getResult(0) != value)
    return {};
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
               "Dropout",
               "CumSum",
               "Trilu",
               "ScatterND",
               "ScatterElements",
               "RotaryEmbedding",
               "Attention"}) &&
      !(node.isOp("Attention") && axis == rank - 1))
    return sizeOf(x, axis);
  if (node.isOp("GatherElements"))
    return sizeOf(node.getOperand(1), axis);
  if (node.isOp("Slice") && rankOf(x) == rank)
    return traceSlice(node, axis);
  if (node.isOp("Range")) {
    const Elements *begin = find(x), *step = find(node.getOperand(2));
    bool isCount = begin && begin->size() == 1 && step && step->size() == 1 &&
                   (*begin)[0] == Element::of(0) &&
                   (*step)[0] == Element::of(1);
    const Elements *end = find(node.getOperand(1));
    if (!isCount || !end || end->size() != 1)
      return {};
    Element count = (*end)[0];
    return count.isNumber() ? Element::of(std::max<int64_t>(count.number, 0))
                            : count;
  }
  if (node.isOp("ConstantOfShape")) {
    const Elements *sizes = find(x);
    return sizes && axis < int64_t(sizes->size()) ? (*sizes)[axis] : Element();
  }
  if (node.isOp("Concat") && rankOf(x) == rank &&
      axis != toAxis(node.getInt("axis", 0), rank)) {
    // They all have it: the one that is known best.
    Element size;
    for (Value operand : node.getOperands())
      if (rankOf(operand) == rank && !size.isNumber()) {
        Element own = sizeOf(operand, axis);
        if (size.kind == Element::Unknown || own.isNumber())
          size = own;
      }
    return size;
  }
  if (isOneOf({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}) &&
      rankOf(x) == rank && node.getInt("keepdims", 1)) {
    auto axes = intsOf(node.getInput(1));
    if (!axes)
      return {};
    for (int64_t reduced : *axes)
      if (toAxis(reduced, rank) == axis)
        return Element::of(1);
    return sizeOf(x, axis);
  }
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
               "Min", "Sum", "Xor", "Mod", "PRelu"}))
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
    if (size == Element::of(-1))
      return traceRest(x, Elements(*sizes));
    return size;
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
    return own == Element::of(1) || own == size || own.isLeastOf(size) ? size
           : size == Element::of(1) ? own
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

/// Sizes without a name are those that a check in front of a function's body
/// says they equal: a run in which they do not goes no further.
void ShapeFolder::learnEqualSizes(onnx::NodeOp check) {
  auto shapes = check.getStrings("shapes");
  if (!shapes)
    return;
  llvm::StringMap<Element> firsts;
  for (auto [x, shape] : llvm::zip(check.getOperands(), *shapes)) {
    SmallVector<StringRef> words;
    shape.split(words, ", ");
    if (shape.empty() || rankOf(x) != int64_t(words.size()))
      continue;
    for (auto [axis, word] : llvm::enumerate(words)) {
      Element size = sizeOf(x, axis);
      // A word of several parts is computed from another size.
      if (size.kind != Element::Size || word.contains(' '))
        continue;
      auto [first, isFirst] = firsts.try_emplace(word, size);
      if (!isFirst && size.name.empty())
        sizes[{x, axis}] = first->second;
    }
  }
}

/// The size along an axis of a Slice, from the front on.
Element ShapeFolder::traceSlice(onnx::NodeOp slice, int64_t axis) {
  Value x = slice.getOperand(0);
  auto axes = intsOf(slice.getInput(3)), steps = intsOf(slice.getInput(4));
  const Elements *begins = find(slice.getOperand(1)),
                 *ends = find(slice.getOperand(2));
  if (slice.getInput(3) && !axes)
    return {};
  if (!axes) {
    RankedTensorType type = tensorOf(slice.getOperand(1));
    if (!type || !type.hasStaticShape())
      return {};
    axes.emplace();
    llvm::append_range(*axes, llvm::seq<int64_t>(0, type.getNumElements()));
  }
  auto normal =
      llvm::map_range(*axes, [&](int64_t i) { return toAxis(i, rankOf(x)); });
  auto it = llvm::find(normal, axis);
  Element whole = sizeOf(x, axis);
  if (it == normal.end())
    return whole;
  size_t i = std::distance(normal.begin(), it);
  if (!begins || !ends || i >= begins->size() || i >= ends->size() ||
      (slice.getInput(4) && (!steps || (*steps)[i] != 1)) ||
      !((*begins)[i] == Element::of(0)))
    return {};
  Element end = (*ends)[i];
  if (end == whole)
    return whole;
  if (end.isNumber() && whole.kind == Element::Size && end.number >= 0)
    return end.number >= INT32_MAX ? whole : Element::least(end.number, whole);
  if (end.kind == Element::Size && whole.isNumber())
    return Element::least(whole.number, end);
  return {};
}

/// What -1 stands for among the sizes that `value` is reshaped to: what is left
/// of its own ones.
Element ShapeFolder::traceRest(Value value, ArrayRef<Element> wanted) {
  Elements left;
  int64_t number = 1, divisor = 1;
  for (int64_t axis = 0, rank = rankOf(value); axis < rank; ++axis) {
    Element size = sizeOf(value, axis);
    if (!size.isNumber())
      left.push_back(size);
    else if (llvm::MulOverflow(number, size.number, number))
      return {};
  }
  if (rankOf(value) < 0)
    return {};
  for (auto [i, element] : llvm::enumerate(wanted)) {
    if (element == Element::of(-1))
      continue;
    Element size = element == Element::of(0) ? sizeOf(value, i) : element;
    if (size.isNumber()) {
      if (llvm::MulOverflow(divisor, size.number, divisor))
        return {};
      continue;
    }
    auto *own = llvm::find(left, size);
    if (own == left.end())
      return {};
    left.erase(own);
  }
  if (divisor <= 0 || number % divisor != 0)
    return {};
  if (left.empty())
    return Element::of(number / divisor);
  return left.size() == 1 && number == divisor ? left.front() : Element();
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
    if (own == Element::of(1))
      continue;
    // Not 1, so it is what all have.
    if (own.isNumber())
      return own;
    // The smaller one of n and s fits to s where it is 1, or s.
    if (size == Element::of(1) || size.isLeastOf(own))
      size = own;
    else if (!(size == own || own.isLeastOf(size)))
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
