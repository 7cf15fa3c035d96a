// The tables of rotary position embedding.

#include "passes/Simplify/FoldShapes.h"
#include "passes/Simplify/Rotary.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

/// Which operands of a product are tables for the other one, as an attribute.
static constexpr StringLiteral kTableAttr = "dlc.tables";

/// What a table is to a batch.
enum : int64_t { NoTable, OneForAll, OneForEach };

/// What `table` is to x, [batch, heads, length, depth]: it has the length, the
/// depth and one for all heads.
static int64_t classify(ShapeFolder &folder, Value table, Value x) {
  RankedTensorType type = tensorOf(table);
  if (!type || type.getRank() < 2 || type.getRank() > 4)
    return NoTable;
  auto sizeFromEnd = [&](int64_t i) {
    return folder.sizeOf(table, type.getRank() - i);
  };
  for (int64_t i : {1, 2}) {
    Element own = sizeFromEnd(i), size = folder.sizeOf(x, 4 - i);
    // The first rows of a table of more than one, as many as the length, are
    // too few only where the product fails.
    bool isCut = own.isLeastOf(size) && own.number > 1;
    if (!(own == size) && !isCut)
      return NoTable;
  }
  if (type.getRank() > 2 && !(sizeFromEnd(3) == Element::of(1)))
    return NoTable;
  if (type.getRank() < 4 || sizeFromEnd(4) == Element::of(1))
    return OneForAll;
  return sizeFromEnd(4) == folder.sizeOf(x, 0) ? OneForEach : NoTable;
}

void dlc::simplify::markTables(ModuleOp module) {
  for (auto graph : module.getOps<onnx::GraphOp>()) {
    ShapeFolder folder(graph);
    folder.learnArguments(*graph.getBodyBlock());
    graph.walk<WalkOrder::PreOrder>([&](onnx::NodeOp node) {
      (void)folder.learn(node);
      if (!node.getDomain().empty() || !node.isOp("Mul") ||
          rankOf(node.getResult(0)) != 4)
        return;
      int64_t kinds[2];
      for (unsigned i : {0, 1})
        kinds[i] = classify(folder, node.getOperand(i), node.getResult(0));
      if (kinds[0] || kinds[1])
        node->setAttr(kTableAttr,
                      Builder(node.getContext()).getDenseI64ArrayAttr(kinds));
    });
  }
}

void dlc::simplify::unmarkTables(ModuleOp module) {
  module.walk([](onnx::NodeOp node) { node->removeAttr(kTableAttr); });
}

static int64_t kindOf(onnx::NodeOp product, Value table) {
  auto kinds = product->getAttrOfType<DenseI64ArrayAttr>(kTableAttr);
  return kinds ? kinds[product.getOperand(0) == table ? 0 : 1] : NoTable;
}

/// Whether pairs of the last axis of a constant are of one number each.
static bool hasEqualPairs(Value value) {
  ElementsAttr constant = constantOf(value);
  RankedTensorType type = tensorOf(value);
  if (!constant || !type || !isFloat(value) || type.getShape().back() % 2)
    return false;
  SmallVector<char> storage;
  ArrayRef<char> bytes = onnx::getRawBytes(constant, storage);
  size_t size = type.getElementTypeBitWidth() / 8;
  for (size_t at = 0; at + 2 * size <= bytes.size(); at += 2 * size)
    if (memcmp(bytes.data() + at, bytes.data() + at + size, size) != 0)
      return false;
  return true;
}

/// Whether both halves of the last axis of a constant are the same.
static bool hasEqualHalves(Value value) {
  ElementsAttr constant = constantOf(value);
  RankedTensorType type = tensorOf(value);
  if (!constant || !type || !isFloat(value))
    return false;
  SmallVector<char> storage;
  ArrayRef<char> bytes = onnx::getRawBytes(constant, storage);
  size_t half =
      type.getShape().back() / 2 * (type.getElementTypeBitWidth() / 8);
  for (size_t at = 0; at + 2 * half <= bytes.size() && half; at += 2 * half)
    if (memcmp(bytes.data() + at, bytes.data() + at + half, half) != 0)
      return false;
  return true;
}

/// Whether a node does the same to all numbers of a row, whatever their number,
/// or moves rows.
static bool keepsRows(onnx::NodeOp node) {
  int64_t rank = rankOf(node.getOperand(0));
  auto areOthers = [&](Value axes, int64_t rank) {
    auto ints = intsOf(axes);
    return ints && rank > 0 && llvm::all_of(*ints, [&](int64_t axis) {
             axis = toAxis(axis, rank);
             return axis >= 0 && axis != rank - 1;
           });
  };
  if (node.isOp("Unsqueeze"))
    return areOthers(node.getOperand(1), rankOf(node.getResult(0)));
  if (node.isOp("Squeeze"))
    return node.getInput(1) && areOthers(node.getInput(1), rank);
  if (node.isOp("Slice"))
    return node.getInput(3) && areOthers(node.getInput(3), rank);
  if (node.isOp("Gather"))
    return rank > 1 && toAxis(node.getInt("axis", 0), rank) != rank - 1;
  if (node.isOp("Mul"))
    return numberOf(node.getOperand(1)) &&
           tensorOf(node.getOperand(1)).getNumElements() == 1 &&
           rankOf(node.getOperand(1)) <= rank;
  return node.isOp("Cos") || node.isOp("Sin") || node.isOp("Cast");
}

bool Table::readTwice(onnx::NodeOp product, Value value) {
  kind = kindOf(product, value);
  if (kind == NoTable)
    return false;
  auto hasEachTwice = [&](Value constant) {
    return tensorOf(constant).hasStaticShape() &&
           (turns == Turns::Pairs ? hasEqualPairs(constant)
                                  : hasEqualHalves(constant));
  };
  if (constantOf(value)) {
    constant = value;
    return kind == OneForAll && hasEachTwice(value) &&
           !tensorOf(product.getResult(0)).isDynamicDim(2);
  }
  for (;;) {
    angles = value;
    if (constantOf(value))
      return hasEachTwice(value);
    auto node = value.getDefiningOp<onnx::NodeOp>();
    int64_t rank = rankOf(value);
    if (!node || !node.getDomain().empty() || rank < 2)
      return false;
    if (auto columns = readTurns(value); columns && turns == Turns::Pairs) {
      angles = columns->first;
      return angles == columns->second;
    }
    if (node.isOp("Concat") && turns == Turns::Halves) {
      angles = node.getOperand(0);
      return node.getNumOperands() == 2 && node.getOperand(1) == angles &&
             toAxis(node.getInt("axis", 0), rank) == rank - 1;
    }
    if (!keepsRows(node))
      return false;
    chain.push_back(node);
    value = node.getOperand(0);
  }
}

bool Table::readOnce(onnx::NodeOp product, Value value) {
  kind = kindOf(product, value);
  isOnce = true;
  // Positions are counted at compile time.
  if (constantOf(value) && tensorOf(value).hasStaticShape() &&
      kind == OneForAll && !tensorOf(product.getResult(0)).isDynamicDim(2))
    constant = value;
  else
    angles = value;
  return kind != NoTable;
}

/// A vector of the size of x's batch, and then others.
static Value batchAnd(Weights &make, Value x, ArrayRef<int64_t> others) {
  auto vector = [&](int64_t n) {
    return RankedTensorType::get({n}, make.b.getI64Type());
  };
  Value size =
      make.make("Shape", x, vector(1), "batch",
                {make.attr("start", int64_t(0)), make.attr("end", int64_t(1))});
  return make.make("Concat", {size, make.ints(others, "sizes")},
                   vector(others.size() + 1), "batches",
                   make.attr("axis", int64_t(0)));
}

/// The numbers of a constant that has each twice.
Value Table::takeHalf(Weights &make, Value value) {
  RankedTensorType type = tensorOf(value);
  SmallVector<int64_t> shape(type.getShape());
  int64_t size = shape.back();
  shape.back() = size / 2;
  bool isPairs = turns == Turns::Pairs;
  SmallVector<Value> operands = {value, make.ints({0}, "begin"),
                                 make.ints({isPairs ? size : size / 2}, "end"),
                                 make.ints({-1}, "axis")};
  if (isPairs)
    operands.push_back(make.ints({2}, "step"));
  return make.fold("Slice", operands, type.clone(shape));
}

Value Table::buildConstant(Weights &make, Value x) {
  RankedTensorType type = tensorOf(x);
  return make.reshape(isOnce ? constant : takeHalf(make, constant),
                      {type.getDimSize(2), type.getDimSize(3) / 2});
}

/// The chain again, on what is not there twice.
Value Table::buildHalf(Weights &make) {
  Value value = constantOf(angles) ? takeHalf(make, angles) : angles;
  int64_t half = tensorOf(value).getShape().back();
  for (onnx::NodeOp node : llvm::reverse(chain)) {
    SmallVector<Value> operands(node.getOperands());
    operands[0] = value;
    RankedTensorType type = tensorOf(node.getResult(0));
    SmallVector<int64_t> shape(type.getShape());
    shape.back() = half;
    value = make.make(node.getOpType(), operands, type.clone(shape), "half",
                      withAttributes(node, {}));
  }
  return value;
}

/// A table without the axis of the heads.
static Value dropHeads(Weights &make, Value table, bool isExpanded) {
  ArrayRef<int64_t> shape = tensorOf(table).getShape();
  ArrayRef<int64_t> last = shape.take_back(2);
  // What is expanded gets the axis of the batch there.
  if (shape.size() == 3 || (shape.size() == 2 && isExpanded))
    return table;
  RankedTensorType type = tensorOf(table).clone(
      {shape.size() == 4 ? shape[0] : 1, last[0], last[1]});
  if (shape.size() == 2)
    return make.make("Unsqueeze", {table, make.ints({0}, "axis")}, type,
                     "table");
  // What another Unsqueeze gave the axis does not have it yet.
  onnx::NodeOp node = producerOf(table, "Unsqueeze");
  auto axes = node ? intsOf(node.getOperand(1)) : std::nullopt;
  if (axes && axes->size() == 1 && toAxis(axes->front(), 4) == 1)
    return node.getOperand(0);
  if (isExpanded && axes == SmallVector<int64_t>{0, 1})
    return node.getOperand(0);
  return make.make("Squeeze", {table, make.ints({1}, "axis")}, type, "table");
}

Value Table::build(Weights &make, Value x) {
  if (constant)
    return buildConstant(make, x);
  int64_t batch = tensorOf(x).getDimSize(0);
  bool isExpanded = kind == OneForAll && batch != 1;
  Value value = dropHeads(make, isOnce ? angles : buildHalf(make), isExpanded);
  if (!isExpanded)
    return value;
  // The operator has one for each.
  auto last = tensorOf(value).getShape().take_back(2);
  Value sizes = ShapedType::isDynamic(batch)
                    ? batchAnd(make, x, {1, 1})
                    : make.ints({batch, 1, 1}, "batches");
  return make.make("Expand", {value, sizes},
                   tensorOf(value).clone({batch, last[0], last[1]}), "tables");
}

/// The positions of all of a sequence, for each of x's batch.
Value dlc::simplify::makePositions(Weights &make, Value x) {
  int64_t batch = tensorOf(x).getDimSize(0), length = tensorOf(x).getDimSize(2);
  bool isKnown = !ShapedType::isDynamic(batch);
  SmallVector<int64_t> positions;
  for (int64_t i = 0; i < (isKnown ? batch : 1) * length; ++i)
    positions.push_back(i % length);
  Value all = make.reshape(make.ints(positions, "positions"),
                           {isKnown ? batch : 1, length});
  return isKnown ? all
                 : make.make("Expand", {all, batchAnd(make, x, {length})},
                             tensorOf(all).clone({batch, length}), "positions");
}
