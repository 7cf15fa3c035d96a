// Folds scales by constants into the weights of what stands before.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Graph/Constants.h"
#include "passes/Graph/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDSCALE
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fold-scale";

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// The operands of a commutative op as (variable, constant); null when it is
/// not of that form.
template <typename OpTy> static std::pair<Value, Value> splitConstant(OpTy op) {
  if (!isa<FloatType>(getElementTypeOrSelf(op.getType())))
    return {};
  if (isConstantOnly(op.getRhs()) && !isConstantOnly(op.getLhs()))
    return {op.getLhs(), op.getRhs()};
  if (isConstantOnly(op.getLhs()) && !isConstantOnly(op.getRhs()))
    return {op.getRhs(), op.getLhs()};
  return {};
}

/// A constant of one number, or of one for each of the last dimension's
/// `columns`, as a tensor of rank 0 or 1; null for any other.
static Value perColumn(PatternRewriter &b, Location loc, Value constant,
                       int64_t columns) {
  RankedTensorType type = typeOf(constant);
  if (!type.hasStaticShape())
    return {};
  SmallVector<int64_t> shape;
  if (type.getNumElements() != 1) {
    if (type.getNumElements() != columns || type.getShape().back() != columns)
      return {};
    shape.push_back(columns);
  }
  return b.createOrFold<ReshapeOp>(
      loc, RankedTensorType::get(shape, type.getElementType()), constant,
      ValueRange());
}

template <typename OpTy>
static Value apply(PatternRewriter &b, Location loc, Value x, Value y) {
  SmallVector<Type> types;
  if (failed(inferElementwise(OpTy::getOperationName(), loc, {x, y}, false,
                              types)))
    return {};
  return OpTy::create(b, loc, types, ValueRange{x, y});
}

namespace {

/// mul(conv(x, w), c) -> conv(x, mul(w, c)); matmul likewise.
struct FoldIntoWeights : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &b) const override {
    auto [x, scale] = splitConstant(op);
    Operation *producer = x ? x.getDefiningOp() : nullptr;
    if (!isa_and_nonnull<ConvOp, MatMulOp>(producer) || !x.hasOneUse())
      return b.notifyMatchFailure(op, "not the scale of one contraction");
    if (x.getType() != op.getType())
      return b.notifyMatchFailure(op, "the scale makes the result larger");
    Value weights = producer->getOperand(1);
    if (!isConstantOnly(weights) ||
        getElementTypeOrSelf(weights) != getElementTypeOrSelf(op.getType()))
      return b.notifyMatchFailure(op, "the weights are not constant");
    Value vector =
        perColumn(b, op.getLoc(), scale, typeOf(weights).getShape().back());
    if (!vector)
      return b.notifyMatchFailure(op, "the scale is not one a column");
    Value scaled = apply<MulOp>(b, op.getLoc(), weights, vector);
    b.setInsertionPoint(op);
    Operation *moved = b.clone(*producer);
    moved->setOperand(1, scaled);
    moved->setLoc(b.getFusedLoc({producer->getLoc(), op.getLoc()}));
    remarkDone(op.getLoc(), kPass) << remark::add(
        "folded into the weights of '{0}'", getNodeName(producer->getLoc()));
    b.replaceOp(op, moved->getResults());
    return success();
  }
};

/// mul(add(x, b), c) -> add(mul(x, c), mul(b, c)), where x is a contraction
/// that the scale folds into.
struct ScaleBias : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &b) const override {
    auto [sum, scale] = splitConstant(op);
    auto add = sum ? sum.getDefiningOp<AddOp>() : AddOp();
    if (!add || !sum.hasOneUse())
      return b.notifyMatchFailure(op, "not the scale of a sum");
    auto [x, bias] = splitConstant(add);
    if (!x || !isa_and_nonnull<ConvOp, MatMulOp>(x.getDefiningOp()) ||
        !x.hasOneUse() || x.getType() != op.getType())
      return b.notifyMatchFailure(op,
                                  "not the sum of a contraction and a bias");
    Value scaled = apply<MulOp>(b, op.getLoc(), x, scale);
    Value shift = apply<MulOp>(b, op.getLoc(), bias, scale);
    b.replaceOp(op, apply<AddOp>(b, op.getLoc(), scaled, shift));
    return success();
  }
};

/// add(add(x, a), b) -> add(x, add(a, b))
struct MergeBiases : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &b) const override {
    auto [sum, second] = splitConstant(op);
    auto add = sum ? sum.getDefiningOp<AddOp>() : AddOp();
    if (!add || !sum.hasOneUse())
      return b.notifyMatchFailure(op, "not a sum of a sum");
    auto [x, first] = splitConstant(add);
    if (!x || x.getType() != op.getType())
      return b.notifyMatchFailure(op, "not the sum of two constants");
    Value both = apply<AddOp>(b, op.getLoc(), first, second);
    b.replaceOp(op, apply<AddOp>(b, op.getLoc(), x, both));
    return success();
  }
};

/// Says why the scale of a contraction by a constant is left.
static void remarkUnfolded(MulOp op) {
  auto [x, scale] = splitConstant(op);
  Operation *producer = x ? x.getDefiningOp() : nullptr;
  if (!isa_and_nonnull<ConvOp, MatMulOp>(producer))
    return;
  StringRef why = !x.hasOneUse() ? "others read its result too"
                  : x.getType() != op.getType()
                      ? "the scale makes the result larger"
                  : !isConstantOnly(producer->getOperand(1))
                      ? "its weights are not constant"
                      : "the scale is not one a column, or of another type";
  remarkMissed(op.getLoc(), kPass)
      << remark::add("not folded into the weights of '{0}': {1}",
                     getNodeName(producer->getLoc()), why);
}

struct FoldScalePass : dlc::impl::FoldScaleBase<FoldScalePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldIntoWeights, ScaleBias, MergeBiases>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (wantsRemarks(&getContext()))
      getOperation().walk(remarkUnfolded);
  }
};

} // namespace
