// Finds rotary position embedding as exporters write it.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/FoldShapes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZEROTARY
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-rotary";

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
  for (int64_t i : {1, 2})
    if (!(sizeFromEnd(i) == folder.sizeOf(x, 4 - i)))
      return NoTable;
  if (type.getRank() > 2 && !(sizeFromEnd(3) == Element::of(1)))
    return NoTable;
  if (type.getRank() < 4 || sizeFromEnd(4) == Element::of(1))
    return OneForAll;
  return sizeFromEnd(4) == folder.sizeOf(x, 0) ? OneForEach : NoTable;
}

/// Marks products, since patterns read no sizes of other tensors.
static void markTables(ModuleOp module) {
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

static int64_t kindOf(onnx::NodeOp product, Value table) {
  auto kinds = product->getAttrOfType<DenseI64ArrayAttr>(kTableAttr);
  return kinds ? kinds[product.getOperand(0) == table ? 0 : 1] : NoTable;
}

/// x where `value` is its elements [begin, end) of the last axis; null
/// otherwise.
static Value readPart(Value value, int64_t begin, int64_t end) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0)
    return {};
  Value x = node.getOperand(0);
  RankedTensorType type = tensorOf(x);
  if (!type || type.getRank() < 1)
    return {};
  int64_t last = type.getRank() - 1;
  if (node.isOp("Split")) {
    if (toAxis(node.getInt("axis", 0), last + 1) != last)
      return {};
    int64_t at = 0;
    for (Value result : node.getResults()) {
      RankedTensorType part = tensorOf(result);
      if (!part || part.isDynamicDim(last))
        return {};
      if (result == value)
        return at == begin && at + part.getDimSize(last) == end ? x : Value();
      at += part.getDimSize(last);
    }
    return {};
  }
  if (!node.isOp("Slice") || type.isDynamicDim(last))
    return {};
  auto begins = intsOf(node.getInput(1)), ends = intsOf(node.getInput(2)),
       axes = intsOf(node.getInput(3)), steps = intsOf(node.getInput(4));
  int64_t size = type.getDimSize(last);
  if (!begins || !ends || !axes || axes->size() != 1 ||
      toAxis(axes->front(), last + 1) != last ||
      (node.getInput(4) && (!steps || steps->front() != 1)))
    return {};
  auto clamp = [&](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
  };
  return clamp(begins->front()) == begin && clamp(ends->front()) == end
             ? x
             : Value();
}

/// x of Concat(-x[half:], x[:half]); null otherwise.
static Value readRotated(Value value, int64_t half) {
  onnx::NodeOp concat = producerOf(value, "Concat");
  int64_t rank = rankOf(value);
  if (!concat || concat.getNumOperands() != 2 ||
      toAxis(concat.getInt("axis", 0), rank) != rank - 1)
    return {};
  onnx::NodeOp neg = producerOf(concat.getOperand(0), "Neg");
  Value x = neg ? readPart(neg.getOperand(0), half, 2 * half) : Value();
  return x && readPart(concat.getOperand(1), 0, half) == x ? x : Value();
}

/// x of x[begin::2] of the last axis; null otherwise.
static Value readEverySecond(Value value, int64_t begin) {
  onnx::NodeOp slice = producerOf(value, "Slice");
  int64_t last = slice ? rankOf(value) - 1 : -1;
  RankedTensorType type = slice ? tensorOf(slice.getOperand(0)) : nullptr;
  if (last < 0 || !type || type.isDynamicDim(last))
    return {};
  auto begins = intsOf(slice.getInput(1)), ends = intsOf(slice.getInput(2)),
       axes = intsOf(slice.getInput(3)), steps = intsOf(slice.getInput(4));
  bool isIt = begins && ends && axes && steps && axes->size() == 1 &&
              toAxis(axes->front(), last + 1) == last && steps->front() == 2 &&
              begins->front() == begin &&
              ends->front() >= type.getDimSize(last);
  return isIt ? slice.getOperand(0) : Value();
}

/// What an Unsqueeze gives a last axis of 1; null otherwise.
static Value readColumn(Value value) {
  onnx::NodeOp node = producerOf(value, "Unsqueeze");
  if (!node)
    node = producerOf(value, "Reshape");
  RankedTensorType type = tensorOf(value);
  if (!node || !type || rankOf(node.getOperand(0)) + 1 != type.getRank() ||
      type.getShape().back() != 1)
    return {};
  if (node.isOp("Unsqueeze"))
    return intsOf(node.getOperand(1)) &&
                   toAxis(intsOf(node.getOperand(1))->front(),
                          type.getRank()) == type.getRank() - 1
               ? node.getOperand(0)
               : Value();
  // Known sizes, all but the batch: then the elements stay in place.
  auto from = tensorOf(node.getOperand(0)).getShape();
  bool isSame = llvm::count_if(from, ShapedType::isDynamic) <= 1 &&
                from == type.getShape().drop_back();
  return isSame ? node.getOperand(0) : Value();
}

/// Concat(a, b) of columns whose last two axes a Reshape joins: the elements of
/// a and b in turns.
static std::optional<std::pair<Value, Value>> readTurns(Value value) {
  auto reshape = value.getDefiningOp<onnx::NodeOp>();
  int64_t rank = rankOf(value);
  if (!reshape || !(reshape.isOp("Reshape") || reshape.isOp("Flatten")) ||
      !reshape.getDomain().empty() || rankOf(reshape.getOperand(0)) != rank + 1)
    return std::nullopt;
  RankedTensorType from = tensorOf(reshape.getOperand(0)), to = tensorOf(value);
  // The last axis has the pairs, and so all others are as before.
  if (from.getShape().back() != 2 || from.isDynamicDim(rank - 1) ||
      to.getShape().back() != 2 * from.getDimSize(rank - 1))
    return std::nullopt;
  for (int64_t i = 0; i + 1 < rank; ++i)
    if (!from.isDynamicDim(i) && !to.isDynamicDim(i) &&
        from.getDimSize(i) != to.getDimSize(i))
      return std::nullopt;
  onnx::NodeOp concat = producerOf(reshape.getOperand(0), "Concat");
  if (!concat || concat.getNumOperands() != 2 ||
      toAxis(concat.getInt("axis", 0), rank + 1) != rank)
    return std::nullopt;
  Value a = concat.getOperand(0), b = readColumn(concat.getOperand(1));
  // A sign may stand on either side of the column.
  Value first = readColumn(a);
  if (onnx::NodeOp neg = first ? onnx::NodeOp() : producerOf(a, "Neg"))
    first = readColumn(neg.getOperand(0)) ? a : Value();
  return first && b ? std::optional(std::pair(first, b)) : std::nullopt;
}

/// x of -x[1], x[0], -x[3], x[2], ...; null otherwise.
static Value readTurnedPairs(Value value) {
  auto turns = readTurns(value);
  onnx::NodeOp neg = turns ? producerOf(turns->first, "Neg") : onnx::NodeOp();
  if (!neg)
    return {};
  Value odd = neg.getOperand(0);
  if (Value column = readColumn(odd))
    odd = column;
  Value x = readEverySecond(odd, 1);
  return x && readEverySecond(turns->second, 0) == x ? x : Value();
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

namespace {

/// A table of sines or cosines: of [batch, length, half], or of [length, half]
/// where it is a constant.
class Table {
public:
  explicit Table(bool isInterleaved) : isInterleaved(isInterleaved) {}
  /// Whether the table that `product` multiplies with has each number twice.
  bool read(onnx::NodeOp product, Value value);
  Value build(Weights &make, Value x);
  bool isConstant() const { return !angles; }

private:
  bool isInterleaved;
  int64_t kind = NoTable;
  Value constant;
  /// f of Unsqueeze(Cos(Concat(f, f)) * scale, 1).
  Value angles;
  SmallVector<onnx::NodeOp> chain; ///< from the last to the first
};

} // namespace

bool Table::read(onnx::NodeOp product, Value value) {
  kind = kindOf(product, value);
  if (kind == NoTable)
    return false;
  if (constantOf(value)) {
    constant = value;
    return kind == OneForAll && tensorOf(value).hasStaticShape() &&
           !tensorOf(product.getResult(0)).isDynamicDim(2) &&
           (isInterleaved ? hasEqualPairs(value) : hasEqualHalves(value));
  }
  if (rankOf(value) != 4)
    return false;
  for (;;) {
    auto node = value.getDefiningOp<onnx::NodeOp>();
    if (!node || !node.getDomain().empty())
      return false;
    if (isInterleaved && !chain.empty()) {
      if (auto turns = readTurns(value)) {
        angles = turns->first;
        return angles == turns->second && rankOf(angles) == 3;
      }
    } else if (node.isOp("Concat")) {
      angles = node.getOperand(0);
      return node.getNumOperands() == 2 && !chain.empty() &&
             node.getOperand(1) == angles && rankOf(angles) == 3 &&
             toAxis(node.getInt("axis", 0), 3) == 2;
    }
    bool isScale = node.isOp("Mul") && numberOf(node.getOperand(1)) &&
                   tensorOf(node.getOperand(1)).getNumElements() == 1;
    bool isFirst = chain.empty();
    if (isFirst ? !(node.isOp("Unsqueeze") &&
                    intsOf(node.getOperand(1)) == SmallVector<int64_t>{1})
                : !(node.isOp("Cos") || node.isOp("Sin") || isScale ||
                    node.isOp("Cast")))
      return false;
    chain.push_back(node);
    value = node.getOperand(0);
  }
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

Value Table::build(Weights &make, Value x) {
  RankedTensorType type = tensorOf(x);
  int64_t half = type.getDimSize(3) / 2, batch = type.getDimSize(0);
  if (constant) {
    auto found = tensorOf(constant);
    int64_t length = type.getDimSize(2);
    Value flat = make.reshape(constant, {length, 2 * half});
    SmallVector<Value> operands = {
        flat, make.ints({0}, "begin"),
        make.ints({isInterleaved ? 2 * half : half}, "end"),
        make.ints({1}, "axis")};
    if (isInterleaved)
      operands.push_back(make.ints({2}, "step"));
    return make.fold("Slice", operands, found.clone({length, half}));
  }
  Value value = angles;
  for (onnx::NodeOp node : llvm::reverse(ArrayRef(chain).drop_front())) {
    SmallVector<Value> operands(node.getOperands());
    operands[0] = value;
    auto like = tensorOf(angles).clone(
        getElementTypeOrSelf(node.getResult(0).getType()));
    value = make.make(node.getOpType(), operands, like, "half",
                      withAttributes(node, {}));
  }
  if (kind == OneForEach || batch == 1)
    return value;
  // The operator has one for each.
  SmallVector<int64_t> shape(tensorOf(value).getShape());
  shape[0] = batch;
  Value sizes = ShapedType::isDynamic(batch)
                    ? batchAnd(make, x, {1, 1})
                    : make.ints({batch, 1, 1}, "batches");
  return make.make("Expand", {value, sizes}, tensorOf(value).clone(shape),
                   "tables");
}

/// The positions of all of a sequence, for each of x's batch.
static Value makePositions(Weights &make, Value x) {
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

/// Before:
///   y = x * cos + Concat(-x[half:], x[:half]) * sin
/// for x of [batch, heads, length, depth] and tables whose halves are equal, or
///   y = x * cos + (-x[1], x[0], -x[3], x[2], ...) * sin
/// for those whose pairs are; after:
///   y = RotaryEmbedding(x, cos[:half], sin[:half])
static LogicalResult makeRotary(onnx::NodeOp add, PatternRewriter &rewriter) {
  RankedTensorType type = tensorOf(add.getResult(0));
  if (!type || type.getRank() != 4 || type.isDynamicDim(3) ||
      type.getDimSize(3) % 2 || !isFloat(add.getResult(0)))
    return failure();
  onnx::NodeOp products[] = {soleProducerOf(add.getOperand(0), "Mul"),
                             soleProducerOf(add.getOperand(1), "Mul")};
  if (!products[0] || !products[1])
    return failure();
  for (unsigned turned : {0, 1})
    for (unsigned side : {0, 1}) {
      onnx::NodeOp product = products[turned], other = products[1 - turned];
      Value x = readRotated(product.getOperand(side), type.getDimSize(3) / 2);
      bool isInterleaved = !x;
      if (isInterleaved)
        x = readTurnedPairs(product.getOperand(side));
      if (!x || x.getType() != type ||
          !llvm::is_contained(other.getOperands(), x))
        continue;
      Table sines(isInterleaved), cosines(isInterleaved);
      if (!sines.read(product, product.getOperand(1 - side)) ||
          !cosines.read(other, otherOperand(other, x)) ||
          sines.isConstant() != cosines.isConstant())
        return rewriter.notifyMatchFailure(add, "tables of other numbers");
      Weights make(rewriter, add);
      SmallVector<Value> operands = {x, cosines.build(make, x),
                                     sines.build(make, x)};
      if (sines.isConstant())
        operands.push_back(makePositions(make, x));
      remarkDone(add.getLoc(), kPass) << "is RotaryEmbedding";
      SmallVector<NamedAttribute> attributes;
      if (isInterleaved)
        attributes.push_back(make.attr("interleaved", int64_t(1)));
      make.replace("RotaryEmbedding", operands, attributes);
      return success();
    }
  return failure();
}

namespace {

struct RecognizeRotaryPass
    : dlc::impl::RecognizeRotaryBase<RecognizeRotaryPass> {
  using RecognizeRotaryBase::RecognizeRotaryBase;

  void runOnOperation() override {
    if (opset < 23)
      return;
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<makeRotary>>(&getContext(), "Add");
    markTables(getOperation());
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
    getOperation().walk(
        [](onnx::NodeOp node) { node->removeAttr(kTableAttr); });
  }
};

} // namespace
