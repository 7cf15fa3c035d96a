// Finds rotary position embedding as exporters write it.

#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Rotary.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZEROTARY
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-rotary";

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

/// Whether a Reshape joins the pairs that the last axis of `pairs` has, or, the
/// other way round, gives those of the last axis of `flat` an axis of their
/// own, and leaves the other axes as they are.
static bool arePairs(onnx::NodeOp reshape, Value flat, Value pairs) {
  RankedTensorType one = tensorOf(flat), other = tensorOf(pairs);
  int64_t rank = rankOf(flat);
  if (rank < 1 || rankOf(pairs) != rank + 1 || other.getShape().back() != 2 ||
      other.isDynamicDim(rank - 1) ||
      one.getShape().back() != 2 * other.getDimSize(rank - 1))
    return false;
  // A zero takes over a size; one more can only be what is left.
  auto shape = reshape.isOp("Reshape") && !reshape.getInt("allowzero", 0)
                   ? intsOf(reshape.getOperand(1))
                   : std::nullopt;
  int64_t unknown = 0;
  for (int64_t i = 0; i + 1 < rank; ++i) {
    bool isKnown = !one.isDynamicDim(i) && !other.isDynamicDim(i);
    if (isKnown && one.getDimSize(i) != other.getDimSize(i))
      return false;
    unknown += !isKnown && !(shape && (*shape)[i] == 0);
  }
  return unknown <= 1;
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

/// x of x[..., begin] where x is a reshape that makes pairs of the last axis.
static Value readOfPairs(Value value, int64_t begin) {
  int64_t rank = rankOf(value);
  Value pairs;
  if (onnx::NodeOp gather = producerOf(value, "Gather")) {
    auto at = intsOf(gather.getOperand(1));
    if (rankOf(gather.getOperand(1)) == 0 && at &&
        toAxis(at->front(), 2) == begin &&
        toAxis(gather.getInt("axis", 0), rank + 1) == rank)
      pairs = gather.getOperand(0);
  } else if (onnx::NodeOp squeeze = producerOf(value, "Squeeze")) {
    auto axes = intsOf(squeeze.getInput(1));
    if (axes && axes->size() == 1 && toAxis(axes->front(), rank + 1) == rank)
      pairs = readPart(squeeze.getOperand(0), begin, begin + 1);
  }
  onnx::NodeOp reshape = pairs ? producerOf(pairs, "Reshape") : onnx::NodeOp();
  return reshape && arePairs(reshape, reshape.getOperand(0), pairs)
             ? reshape.getOperand(0)
             : Value();
}

/// x of x[begin::2] of the last axis; null otherwise.
static Value readEverySecond(Value value, int64_t begin) {
  if (Value x = readOfPairs(value, begin))
    return x;
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
std::optional<std::pair<Value, Value>> dlc::simplify::readTurns(Value value) {
  auto reshape = value.getDefiningOp<onnx::NodeOp>();
  int64_t rank = rankOf(value);
  if (!reshape || !(reshape.isOp("Reshape") || reshape.isOp("Flatten")) ||
      !reshape.getDomain().empty() || rankOf(reshape.getOperand(0)) != rank + 1)
    return std::nullopt;
  if (!arePairs(reshape, value, reshape.getOperand(0)))
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

/// Whether RotaryEmbedding can give `value`: four axes, the last one of pairs,
/// of a type that it has.
static bool isRotated(Value value) {
  RankedTensorType type = tensorOf(value);
  return type && type.getRank() == 4 && !type.isDynamicDim(3) &&
         type.getDimSize(3) % 2 == 0 && isFloat(value) &&
         !type.getElementType().isF64();
}

/// Has RotaryEmbedding(x, cosines, sines) take the place of `root`.
static LogicalResult replaceByRotary(onnx::NodeOp root, Value x, Table &cosines,
                                     Table &sines, Turns turns,
                                     PatternRewriter &rewriter) {
  if (sines.isConstant() != cosines.isConstant())
    return rewriter.notifyMatchFailure(
        root, "one of the tables is a constant, the other one is not");
  Weights make(rewriter, root);
  SmallVector<Value> operands = {x, cosines.build(make, x),
                                 sines.build(make, x)};
  if (sines.isConstant())
    operands.push_back(makePositions(make, x));
  remarkDone(root.getLoc(), kPass) << "is RotaryEmbedding";
  SmallVector<NamedAttribute> attributes;
  if (turns == Turns::Pairs)
    attributes.push_back(make.attr("interleaved", int64_t(1)));
  make.replace("RotaryEmbedding", operands, attributes);
  return success();
}

/// Before:
///   y = x * cos + Concat(-x[half:], x[:half]) * sin
/// for x of [batch, heads, length, depth] and tables whose halves are equal, or
///   y = x * cos + (-x[1], x[0], -x[3], x[2], ...) * sin
/// for those whose pairs are; after:
///   y = RotaryEmbedding(x, cos[:half], sin[:half])
static LogicalResult makeRotary(onnx::NodeOp add, PatternRewriter &rewriter) {
  if (!isRotated(add.getResult(0)))
    return failure();
  RankedTensorType type = tensorOf(add.getResult(0));
  onnx::NodeOp products[] = {soleProducerOf(add.getOperand(0), "Mul"),
                             soleProducerOf(add.getOperand(1), "Mul")};
  if (!products[0] || !products[1])
    return failure();
  for (unsigned turned : {0, 1})
    for (unsigned side : {0, 1}) {
      onnx::NodeOp product = products[turned], other = products[1 - turned];
      Value x = readRotated(product.getOperand(side), type.getDimSize(3) / 2);
      Turns turns = x ? Turns::Halves : Turns::Pairs;
      if (!x)
        x = readTurnedPairs(product.getOperand(side));
      if (!x || x.getType() != type ||
          !llvm::is_contained(other.getOperands(), x))
        continue;
      Table sines(turns), cosines(turns);
      if (!sines.readTwice(product, product.getOperand(1 - side)) ||
          !cosines.readTwice(other, otherOperand(other, x)))
        return rewriter.notifyMatchFailure(add, "tables of other numbers");
      return replaceByRotary(add, x, cosines, sines, turns, rewriter);
    }
  return failure();
}

//===----------------------------------------------------------------------===//
// The halves one by one
//===----------------------------------------------------------------------===//

namespace {

/// x1 * cosine - x2 * sine.
struct Difference {
  Value x, x1, x2, cosine, sine;
  onnx::NodeOp byCosine, bySine; ///< the products
};

} // namespace

/// The x of which `part` has the elements that come first in each turn, or
/// second.
static Value readWhole(Value part, bool isSecond, Turns turns, int64_t half) {
  if (turns == Turns::Pairs)
    return readEverySecond(part, isSecond);
  return isSecond ? readPart(part, half, 2 * half) : readPart(part, 0, half);
}

/// Reads x1 * cosine - x2 * sine, or x1 * cosine + -x2 * sine, of parts of an x
/// of `type`.
static std::optional<Difference> readDifference(Value value, Type type,
                                                Turns turns) {
  int64_t half = cast<RankedTensorType>(type).getDimSize(3) / 2;
  onnx::NodeOp node = soleProducerOf(value, "Sub");
  bool isSum = !node;
  if (isSum)
    node = soleProducerOf(value, "Add");
  if (!node)
    return std::nullopt;
  for (unsigned first : {0, 1}) {
    onnx::NodeOp p = soleProducerOf(node.getOperand(first), "Mul"),
                 q = soleProducerOf(node.getOperand(1 - first), "Mul");
    if (!p || !q || (first == 1 && !isSum))
      return std::nullopt;
    for (unsigned i : {0, 1})
      for (unsigned j : {0, 1}) {
        Value x1 = p.getOperand(i), x2 = q.getOperand(j);
        onnx::NodeOp neg = isSum ? producerOf(x2, "Neg") : onnx::NodeOp();
        if (isSum && !neg)
          continue;
        if (neg)
          x2 = neg.getOperand(0);
        Value x = readWhole(x1, false, turns, half);
        if (x && x.getType() == type && readWhole(x2, true, turns, half) == x)
          return Difference{x, x1, x2, p.getOperand(1 - i), q.getOperand(1 - j),
                            p, q};
      }
  }
  return std::nullopt;
}

/// Whether `value` is a * b and nothing else uses it.
static bool isProduct(Value value, Value a, Value b) {
  onnx::NodeOp node = soleProducerOf(value, "Mul");
  return node && ((node.getOperand(0) == a && node.getOperand(1) == b) ||
                  (node.getOperand(0) == b && node.getOperand(1) == a));
}

/// Before:
///   a = x1 * cos - x2 * sin
///   b = x2 * cos + x1 * sin
/// where x1 and x2 are the halves of x, or every second element each; and
/// y = Concat(a, b), or a and b in turns; after:
///   y = RotaryEmbedding(x, cos, sin)
static LogicalResult makeOfParts(onnx::NodeOp root, Value a, Value b,
                                 Turns turns, PatternRewriter &rewriter) {
  auto found = readDifference(a, root.getResult(0).getType(), turns);
  onnx::NodeOp add = soleProducerOf(b, "Add");
  if (!found || !add)
    return failure();
  auto isSum = [&](Value m, Value n) {
    return isProduct(m, found->x2, found->cosine) &&
           isProduct(n, found->x1, found->sine);
  };
  if (!isSum(add.getOperand(0), add.getOperand(1)) &&
      !isSum(add.getOperand(1), add.getOperand(0)))
    return rewriter.notifyMatchFailure(root, "the halves turn otherwise");
  Table sines(turns), cosines(turns);
  if (!cosines.readOnce(found->byCosine, found->cosine) ||
      !sines.readOnce(found->bySine, found->sine))
    return rewriter.notifyMatchFailure(
        root, "a table is not of the length, with one row for all heads");
  return replaceByRotary(root, found->x, cosines, sines, turns, rewriter);
}

static LogicalResult makeOfHalves(onnx::NodeOp concat,
                                  PatternRewriter &rewriter) {
  if (!isRotated(concat.getResult(0)) || concat.getNumOperands() != 2 ||
      toAxis(concat.getInt("axis", 0), 4) != 3)
    return failure();
  return makeOfParts(concat, concat.getOperand(0), concat.getOperand(1),
                     Turns::Halves, rewriter);
}

static LogicalResult makeOfPairs(onnx::NodeOp reshape,
                                 PatternRewriter &rewriter) {
  auto columns = isRotated(reshape.getResult(0))
                     ? readTurns(reshape.getResult(0))
                     : std::nullopt;
  if (!columns)
    return failure();
  return makeOfParts(reshape, columns->first, columns->second, Turns::Pairs,
                     rewriter);
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
    patterns.add<FunctionPattern<makeOfHalves>>(&getContext(), "Concat");
    for (StringRef op : {"Reshape", "Flatten"})
      patterns.add<FunctionPattern<makeOfPairs>>(&getContext(), op);
    markTables(getOperation());
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
    unmarkTables(getOperation());
  }
};

} // namespace
