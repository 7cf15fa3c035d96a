// Finds attention as exporters write it.

#include "passes/Simplify/Attention.h"
#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Products.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZEATTENTION
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-attention";

namespace {

/// A tensor [batch, heads, length, depth] and what it comes from where that is
/// [batch, length, heads * depth]; a factor that it is multiplied with.
struct Heads {
  Value value;  ///< of rank 4, without the factor; null where it is not built
  Value packed; ///< of rank 3; null when it was not split here
  int64_t heads = 0, depth = 0;
  double factor = 1;
};

} // namespace

Value simplify::readFactor(Value value, double &factor) {
  while (value.hasOneUse()) {
    auto node = value.getDefiningOp<onnx::NodeOp>();
    if (!node || !node.getDomain().empty() || node.getNumOperands() != 2)
      break;
    std::optional<double> number;
    Value rest;
    if (node.isOp("Mul")) {
      auto [constant, other] = splitConstant(node);
      number = constant ? numberOf(constant) : std::nullopt;
      rest = other;
    } else if (node.isOp("Div")) {
      number = numberOf(node.getOperand(1));
      if (number)
        number = *number == 0 ? std::nullopt : std::optional(1 / *number);
      rest = node.getOperand(0);
    }
    if (!number || !rest || rest.getType() != value.getType())
      break;
    factor *= *number;
    value = rest;
  }
  return value;
}

/// Whether a Reshape splits [b, s, h * d] into [b, s, h, d], or joins it back.
static bool splitsLast(Value from, Value to) {
  RankedTensorType a = tensorOf(from), b = tensorOf(to);
  if (!a || !b || a.getRank() != 3 || b.getRank() != 4 || a.isDynamicDim(2) ||
      b.isDynamicDim(2) || b.isDynamicDim(3) ||
      a.getDimSize(2) != b.getDimSize(2) * b.getDimSize(3))
    return false;
  for (int64_t i : {0, 1})
    if (!a.isDynamicDim(i) && !b.isDynamicDim(i) &&
        a.getDimSize(i) != b.getDimSize(i))
      return false;
  return true;
}

/// Whether a Reshape that splitsLast() keeps the batch, too, where sizes are
/// not known.
static bool keepsBatch(onnx::NodeOp reshape) {
  RankedTensorType from = tensorOf(reshape.getOperand(0)),
                   to = tensorOf(reshape.getResult(0));
  if (!from.isDynamicDim(0) && !to.isDynamicDim(0))
    return true;
  auto sizes = intsOf(reshape.getOperand(1));
  return sizes && sizes->front() == 0;
}

/// Reads Transpose(Reshape(x)) with a permutation; the reshape may be missing.
static std::optional<Heads> readHeads(Value value, ArrayRef<int64_t> wanted) {
  Heads heads;
  value = readFactor(value, heads.factor);
  onnx::NodeOp transpose = producerOf(value, "Transpose");
  if (!transpose || rankOf(value) != 4)
    return std::nullopt;
  auto permutation = transpose.getInts("perm");
  if (!permutation || ArrayRef(*permutation) != wanted)
    return std::nullopt;
  double inner = 1;
  Value split = readFactor(transpose.getOperand(0), inner);
  heads.factor *= inner;
  onnx::NodeOp reshape = producerOf(split, "Reshape");
  if (!reshape || !splitsLast(reshape.getOperand(0), split) ||
      !keepsBatch(reshape))
    return std::nullopt;
  heads.packed = readFactor(reshape.getOperand(0), heads.factor);
  heads.heads = tensorOf(split).getDimSize(2);
  heads.depth = tensorOf(split).getDimSize(3);
  return heads;
}

/// Reads the keys, [batch, heads, depth, length].
static std::optional<Heads> readKeys(Value value) {
  if (auto heads = readHeads(value, {0, 2, 3, 1}))
    return heads;
  Heads keys;
  value = readFactor(value, keys.factor);
  onnx::NodeOp transpose = producerOf(value, "Transpose");
  if (!transpose || rankOf(value) != 4)
    return std::nullopt;
  auto permutation = transpose.getInts("perm");
  if (!permutation || ArrayRef(*permutation) != ArrayRef<int64_t>({0, 1, 3, 2}))
    return std::nullopt;
  if (auto heads = readHeads(transpose.getOperand(0), {0, 2, 1, 3})) {
    heads->factor *= keys.factor;
    return heads;
  }
  keys.value = readFactor(transpose.getOperand(0), keys.factor);
  return keys;
}

static Heads readOthers(Value value) {
  if (auto heads = readHeads(value, {0, 2, 1, 3}))
    return *heads;
  Heads others;
  others.value = readFactor(value, others.factor);
  return others;
}

/// Whether a Reshape joins heads and flattens the rest: [b, s, h, d] to
/// [b * s, h * d].
static bool joinsToMatrix(onnx::NodeOp reshape) {
  RankedTensorType from = tensorOf(reshape.getOperand(0)),
                   to = tensorOf(reshape.getResult(0));
  auto sizes = intsOf(reshape.getOperand(1));
  return from && to && from.getRank() == 4 && to.getRank() == 2 && sizes &&
         !llvm::is_contained(*sizes, 0) && !from.isDynamicDim(2) &&
         !from.isDynamicDim(3) &&
         to.getDimSize(1) == from.getDimSize(2) * from.getDimSize(3);
}

/// Before:
///   y = MatMul(Softmax(MatMul(q, k^T) * scale + mask), v)
/// with the transposes and reshapes that split heads around it; after:
///   y = Attention(q, k, v, mask) {scale, q_num_heads, kv_num_heads}
static LogicalResult makeAttention(onnx::NodeOp product,
                                   PatternRewriter &rewriter) {
  onnx::NodeOp softmax = soleProducerOf(product.getOperand(0), "Softmax");
  RankedTensorType type = tensorOf(product.getResult(0));
  if (!softmax || !type || type.getRank() != 4 ||
      !isFloat(product.getResult(0)) ||
      toAxis(softmax.getInt("axis", -1), 4) != 3)
    return failure();
  Value scores = softmax.getOperand(0);
  double scale = 1;
  Masks masks;
  if (!masks.read(scores))
    return rewriter.notifyMatchFailure(product, "no mask of these scores");
  scores = readFactor(scores, scale);
  onnx::NodeOp matmul = soleProducerOf(scores, "MatMul");
  if (!matmul)
    return failure();
  std::optional<Heads> keys = readKeys(matmul.getOperand(1));
  if (!keys)
    return rewriter.notifyMatchFailure(product, "keys are not transposed");
  Heads queries = readOthers(matmul.getOperand(0));
  Heads values = readOthers(product.getOperand(1));
  scale *= keys->factor * queries.factor;
  if (scale <= 0)
    return failure();
  bool isPacked = keys->packed && queries.packed && values.packed &&
                  keys->heads == queries.heads && values.heads == queries.heads;
  // The result is joined again, or the operator cannot have it packed.
  onnx::NodeOp joined, transposed, flattened;
  if (isPacked && product.getResult(0).hasOneUse()) {
    transposed = dyn_cast<onnx::NodeOp>(*product->user_begin());
    if (transposed && transposed.isOp("Transpose") &&
        transposed.getResult(0).hasOneUse() &&
        transposed.getInts("perm") == SmallVector<int64_t>{0, 2, 1, 3}) {
      joined = dyn_cast<onnx::NodeOp>(*transposed->user_begin());
      if (joined && joined.isOp("Reshape") &&
          joined.getOperand(0) == transposed.getResult(0) &&
          joinsToMatrix(joined))
        flattened = std::exchange(joined, {});
      if (joined && (!joined.isOp("Reshape") ||
                     joined.getOperand(0) != transposed.getResult(0) ||
                     !splitsLast(joined.getResult(0), transposed.getResult(0))))
        joined = {};
      if (joined) {
        RankedTensorType from = tensorOf(transposed.getResult(0)),
                         to = tensorOf(joined.getResult(0));
        auto sizes = intsOf(joined.getOperand(1));
        if ((from.isDynamicDim(0) || to.isDynamicDim(0)) &&
            !(sizes && sizes->front() == 0))
          joined = {};
      }
    }
  }
  if (values.factor != 1)
    return rewriter.notifyMatchFailure(product, "scaled values");
  Type element = type.getElementType();
  auto headsOf = [](Value value) { return tensorOf(value).getDimSize(1); };
  if (flattened) {
    // The operator does not flatten.
    RankedTensorType split = tensorOf(transposed.getResult(0));
    auto packed = split.clone({split.getDimSize(0), split.getDimSize(1),
                               split.getDimSize(2) * split.getDimSize(3)});
    NodeBuilder make(rewriter, flattened);
    SmallVector<Value> operands = {queries.packed, keys->packed, values.packed};
    if (Value mask = masks.build(make, element, queries.packed, 1))
      operands.push_back(mask);
    Value attention = make.make("Attention", operands, packed, "attention",
                                {make.attr("q_num_heads", queries.heads),
                                 make.attr("kv_num_heads", queries.heads),
                                 make.attr("scale", scale)});
    remarkDone(product.getLoc(), kPass) << "is Attention";
    make.replace("Reshape", {attention, flattened.getOperand(1)});
    return success();
  }
  if (joined) {
    NodeBuilder make(rewriter, joined);
    SmallVector<Value> operands = {queries.packed, keys->packed, values.packed};
    if (Value mask = masks.build(make, element, queries.packed, 1))
      operands.push_back(mask);
    remarkDone(product.getLoc(), kPass) << "is Attention";
    make.replace("Attention", operands,
                 {make.attr("q_num_heads", queries.heads),
                  make.attr("kv_num_heads", queries.heads),
                  make.attr("scale", scale)});
    return success();
  }
  // Of rank 4, from where the heads are apart.
  auto whole = [](Heads &heads, Value original) -> Value {
    if (heads.value)
      return heads.value;
    double ignored = 1;
    Value value = readFactor(original, ignored);
    return value;
  };
  Value q = whole(queries, matmul.getOperand(0)),
        v = whole(values, product.getOperand(1));
  Value k = keys->value;
  if (!k) {
    double ignored = 1;
    onnx::NodeOp transpose =
        producerOf(readFactor(matmul.getOperand(1), ignored), "Transpose");
    if (!transpose ||
        transpose.getInts("perm") != SmallVector<int64_t>{0, 1, 3, 2})
      return rewriter.notifyMatchFailure(product, "keys of another layout");
    k = readFactor(transpose.getOperand(0), ignored);
  }
  // A factor inside of the split stays there.
  auto factorInside = [](Heads &heads, Value original) {
    double outer = 1;
    readFactor(original, outer);
    return std::abs(heads.factor - outer) > 1e-9;
  };
  if (factorInside(queries, matmul.getOperand(0)) ||
      (keys->packed && keys->factor != 1))
    return rewriter.notifyMatchFailure(product, "a factor before the split");
  if (rankOf(q) != 4 || rankOf(k) != 4 || rankOf(v) != 4 ||
      ShapedType::isDynamic(headsOf(q)) || headsOf(q) != headsOf(k) ||
      headsOf(q) != headsOf(v))
    return failure();
  NodeBuilder make(rewriter, product);
  SmallVector<Value> operands = {q, k, v};
  if (Value mask = masks.build(make, element, q, 2))
    operands.push_back(mask);
  remarkDone(product.getLoc(), kPass) << "is Attention";
  make.replace("Attention", operands, make.attr("scale", scale));
  return success();
}

namespace {

struct RecognizeAttentionPass
    : dlc::impl::RecognizeAttentionBase<RecognizeAttentionPass> {
  using RecognizeAttentionBase::RecognizeAttentionBase;

  void runOnOperation() override {
    if (opset < 23)
      return;
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<makeAttention>>(&getContext(), "MatMul");
    populatePackHeads(patterns);
    markMasks(getOperation());
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
    unmarkMasks(getOperation());
  }
};

} // namespace
