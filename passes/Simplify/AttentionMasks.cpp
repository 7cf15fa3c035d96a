// Finds the masks of attention, and makes the one that the operator takes.

#include "passes/Simplify/Attention.h"
#include "passes/Simplify/FoldShapes.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

/// The operand of a node that is a mask of its other one, as an attribute.
static constexpr StringLiteral kMaskAttr = "dlc.mask";

/// A number that takes all of a score's digits where it is added to one.
static bool hidesScores(Value value) {
  std::optional<double> number = numberOf(value);
  return number && *number <= -1e30;
}

/// Whether the operator takes `mask` beside `scores`, once it is expanded to
/// all queries.
static bool fits(ShapeFolder &folder, Value mask, Value scores) {
  RankedTensorType type = tensorOf(mask), scoreType = tensorOf(scores);
  if (!type || !scoreType || scoreType.getRank() != 4 || type.getRank() < 2 ||
      type.getRank() > 4)
    return false;
  for (int64_t i = 1; i <= type.getRank(); ++i) {
    Element size = folder.sizeOf(mask, type.getRank() - i);
    bool isOne = i > 1 && size == Element::of(1);
    if (!isOne && !(size == folder.sizeOf(scores, scoreType.getRank() - i)))
      return false;
  }
  return true;
}

/// Sets the attribute on a node of one of the forms
///   Add(scores, mask)   Where(mask, scores, lowest)   Where(mask, lowest,
///   scores)
static void mark(onnx::NodeOp node, ShapeFolder &folder) {
  Builder b(node.getContext());
  if (node.isOp("Add")) {
    for (unsigned i : {1, 0})
      if (node.getOperand(1 - i).hasOneUse() &&
          node.getOperand(1 - i).getDefiningOp<onnx::NodeOp>() &&
          fits(folder, node.getOperand(i), node.getOperand(1 - i))) {
        // Scores come from a product, which a mask does only rarely.
        node->setAttr(kMaskAttr, b.getI64IntegerAttr(i));
        double ignored = 1;
        if (producerOf(readFactor(node.getOperand(1 - i), ignored), "MatMul"))
          return;
      }
  } else if (node.isOp("Where")) {
    for (unsigned scores : {1, 2})
      if (hidesScores(node.getOperand(3 - scores)) &&
          fits(folder, node.getOperand(0), node.getOperand(scores)))
        node->setAttr(kMaskAttr, b.getI64IntegerAttr(0));
  }
}

void simplify::markMasks(ModuleOp module) {
  for (auto graph : module.getOps<onnx::GraphOp>()) {
    ShapeFolder folder(graph);
    folder.learnArguments(*graph.getBodyBlock());
    graph.walk<WalkOrder::PreOrder>([&](onnx::NodeOp node) {
      (void)folder.learn(node);
      if (node.getDomain().empty() && node.getNumResults() == 1 &&
          rankOf(node.getResult(0)) == 4)
        mark(node, folder);
    });
  }
}

void simplify::unmarkMasks(ModuleOp module) {
  module.walk([](onnx::NodeOp node) { node->removeAttr(kMaskAttr); });
}

bool Masks::read(Value &scores) {
  while (scores.hasOneUse()) {
    auto node = scores.getDefiningOp<onnx::NodeOp>();
    if (!node || !node->hasAttr(kMaskAttr))
      break;
    int64_t mask = node->getAttrOfType<IntegerAttr>(kMaskAttr).getInt();
    nodes.push_back(node);
    scores = node.getOperand(node.isOp("Add")                  ? 1 - mask
                             : hidesScores(node.getOperand(1)) ? 2
                                                               : 1);
  }
  // What is left would be a sum of another kind.
  auto node = scores.getDefiningOp<onnx::NodeOp>();
  return !node || !node.getDomain().empty() ||
         !(node.isOp("Add") || node.isOp("Where"));
}

/// The type that `a` and `b` are broadcast to, as far as it is known.
static RankedTensorType broadcast(RankedTensorType a, RankedTensorType b) {
  SmallVector<int64_t> shape;
  int64_t rank = std::max(a.getRank(), b.getRank());
  for (int64_t i = 0; i < rank; ++i) {
    auto at = [&](RankedTensorType type) {
      int64_t axis = i - (rank - type.getRank());
      return axis < 0 ? 1 : type.getDimSize(axis);
    };
    int64_t x = at(a), y = at(b);
    shape.push_back(x == 1 ? y : y == 1 || ShapedType::isDynamic(y) ? x : y);
  }
  return a.clone(shape);
}

Value Masks::build(NodeBuilder &make, Type element, Value queries,
                   int64_t axis) const {
  Value sum;
  for (onnx::NodeOp node : nodes) {
    Value mask =
        node.getOperand(node->getAttrOfType<IntegerAttr>(kMaskAttr).getInt());
    RankedTensorType type = tensorOf(mask).clone(element);
    if (node.isOp("Where")) {
      Value zero = make.number(0, element, "shown");
      SmallVector<Value> operands = {mask, node.getOperand(1),
                                     node.getOperand(2)};
      operands[hidesScores(operands[1]) ? 2 : 1] = zero;
      type = broadcast(type, tensorOf(operands[1]));
      type = broadcast(type, tensorOf(operands[2]));
      mask = make.make("Where", operands, type, "mask");
    }
    sum = sum ? make.make("Add", {sum, mask}, broadcast(tensorOf(sum), type),
                          "masks")
              : mask;
  }
  if (!sum)
    return {};
  // All queries have one of their own.
  RankedTensorType type = tensorOf(sum);
  int64_t rank = type.getRank(), length = tensorOf(queries).getDimSize(axis);
  if (type.getDimSize(rank - 2) != 1 || length == 1)
    return sum;
  SmallVector<int64_t> ones(rank, 1), shape(type.getShape());
  shape[rank - 2] = ones[rank - 2] = length;
  Value sizes;
  if (!ShapedType::isDynamic(length)) {
    sizes = make.ints(ones, "sizes");
  } else {
    auto vector = [&](int64_t n) {
      return RankedTensorType::get({n}, make.b.getI64Type());
    };
    Value size =
        make.make("Shape", queries, vector(1), "length",
                  {make.attr("start", axis), make.attr("end", axis + 1)});
    SmallVector<Value> parts = {size, make.ints({1}, "one")};
    if (rank > 2)
      parts.insert(parts.begin(),
                   make.ints(SmallVector<int64_t>(rank - 2, 1), "ones"));
    sizes = make.make("Concat", parts, vector(rank), "sizes",
                      make.attr("axis", int64_t(0)));
  }
  return make.make("Expand", {sum, sizes}, type.clone(shape), "mask");
}
