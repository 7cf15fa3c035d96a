// Operators between dequantize and quantize become operators on integers.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Graph/Constants.h"
#include "passes/Graph/Passes.h"
#include "passes/Graph/QuantizationConstants.h"
#include "passes/Graph/QuantizationPatterns.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDQUANTIZATION
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fold-quantization";

Value dlc::createInteger(OpBuilder &b, Location loc, Type type, int64_t value) {
  auto integer = cast<IntegerType>(type);
  auto tensor = RankedTensorType::get({}, type);
  APInt bits(integer.getWidth(), value, /*isSigned=*/true,
             /*implicitTrunc=*/true);
  return ConstantOp::create(b, loc, DenseElementsAttr::get(tensor, bits));
}

/// A parameter of one number or one for each of the last dimension's, as a
/// tensor of rank 0 or 1; null for any other.
static Value perColumn(PatternRewriter &b, Location loc, Value parameter) {
  RankedTensorType type = typeOf(parameter);
  if (type.getRank() <= 1)
    return parameter;
  if (llvm::any_of(type.getShape().drop_back(),
                   [](int64_t n) { return n != 1; }))
    return {};
  return b.createOrFold<ReshapeOp>(
      loc,
      RankedTensorType::get(type.getShape().take_back(), type.getElementType()),
      parameter, ValueRange());
}

/// Whether the elements are integers that a byte holds.
static bool isOfBytes(Value x) {
  auto type = dyn_cast<IntegerType>(typeOf(x).getElementType());
  return type && type.getWidth() > 1 && type.getWidth() <= 8;
}

/// The same numbers in bytes, which products of integers read: weights of
/// fewer bits are constants and become that at compile time.
static Value asBytes(PatternRewriter &b, Location loc, Value x) {
  auto type = cast<IntegerType>(typeOf(x).getElementType());
  if (type.getWidth() == 8)
    return x;
  auto bytes = IntegerType::get(b.getContext(), 8, type.getSignedness());
  return b.createOrFold<CastOp>(loc, typeOf(x).clone(bytes), x);
}

/// Why a product of two operands stays in float; "" if it doesn't.
static StringRef findObstacle(Operation *op) {
  if (!typeOf(op->getResult(0)).getElementType().isF32())
    return "it is no product of f32";
  auto lhs = op->getOperand(0).getDefiningOp<DequantizeOp>();
  auto rhs = op->getOperand(1).getDefiningOp<DequantizeOp>();
  if (!lhs)
    return "its left operand is not dequantized";
  if (!rhs)
    return "its right operand is not dequantized";
  if (!isOfBytes(lhs.getX()) || !isOfBytes(rhs.getX()))
    return "its operands have not 8 bits or fewer";
  if (!isScalar(lhs.getScale()) || !isScalar(lhs.getZero()))
    return "its left operand has more than one scale";
  for (Value parameter : {rhs.getScale(), rhs.getZero()}) {
    ArrayRef<int64_t> shape = typeOf(parameter).getShape();
    if (!shape.empty() &&
        llvm::any_of(shape.drop_back(), [](int64_t n) { return n != 1; }))
      return "its right operand has other scales than one a column";
  }
  return "";
}

namespace {

/// conv(dequantize(x), dequantize(w)) -> dequantize(conv(x, w)) of i32 sums;
/// matmul likewise.
template <typename OpTy> struct FoldProduct : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    if (StringRef why = findObstacle(op); !why.empty())
      return b.notifyMatchFailure(op, why);
    Location loc = op.getLoc();
    auto lhs = op->getOperand(0).template getDefiningOp<DequantizeOp>();
    auto rhs = op->getOperand(1).template getDefiningOp<DequantizeOp>();
    Value scale = perColumn(b, loc, rhs.getScale());
    Value zero = perColumn(b, loc, rhs.getZero());
    Value factor = createInferred<MulOp>(b, loc, lhs.getScale(), scale);
    if (!factor)
      return failure();
    auto type = typeOf(op.getResult()).clone(b.getI32Type());
    OperationState state(
        loc, op->getName(),
        {asBytes(b, loc, lhs.getX()), asBytes(b, loc, rhs.getX()),
         asBytes(b, loc, lhs.getZero()), asBytes(b, loc, zero)},
        {type}, op->getAttrs());
    Value sum = b.create(state)->getResult(0);
    remarkDone(loc, kPass) << remark::add("a product of integers");
    b.replaceOp(
        op, createInferred<DequantizeOp>(
                b, loc, sum, factor, createInteger(b, loc, b.getI32Type(), 0)));
    return success();
  }
};

/// add(dequantize(sum, s), dequantize(bias, s)) -> dequantize(add(sum, bias),
/// s) of i32, where bias is constant and both scales are equal.
struct FoldBias : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &b) const override {
    auto sum = op.getLhs().getDefiningOp<DequantizeOp>();
    auto bias = op.getRhs().getDefiningOp<DequantizeOp>();
    if (sum && isConstantOnly(op.getLhs()))
      std::swap(sum, bias);
    if (!sum || !bias || !isConstantOnly(bias.getResult()) ||
        !isInteger(sum.getX(), 32) || !isInteger(bias.getX(), 32) ||
        sum.getType() != op.getType())
      return b.notifyMatchFailure(op, "no bias of a sum of integers");
    if (!isKnownZero(sum.getZero()) || !isKnownZero(bias.getZero()))
      return b.notifyMatchFailure(op, "zero points of sums");
    Value biasScale = perColumn(b, op.getLoc(), bias.getScale());
    if (!biasScale || !areNearlyEqual(sum.getScale(), biasScale))
      return b.notifyMatchFailure(op, "different scales");
    Value whole =
        createInferred<AddOp>(b, op.getLoc(), sum.getX(), bias.getX());
    if (!whole)
      return failure();
    b.replaceOp(op, createInferred<DequantizeOp>(
                        b, op.getLoc(), whole, sum.getScale(), sum.getZero()));
    return success();
  }
};

/// quantize(dequantize(sum, s), t, z) -> requantize(sum, s / t, z)
struct FoldRequantization : OpRewritePattern<QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(QuantizeOp op,
                                PatternRewriter &b) const override {
    auto sum = op.getX().getDefiningOp<DequantizeOp>();
    if (!sum || !isInteger(sum.getX(), 32) || !isKnownZero(sum.getZero()))
      return b.notifyMatchFailure(op, "not of a sum of integers");
    Value factor =
        createInferred<DivOp>(b, op.getLoc(), sum.getScale(), op.getScale());
    if (!factor)
      return failure();
    b.replaceOp(op, createInferred<RequantizeOp>(b, op.getLoc(), sum.getX(),
                                                 factor, op.getZero()));
    return success();
  }
};

/// quantize(dequantize(x, s, z), s, z) -> x
struct CancelQuantization : OpRewritePattern<QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(QuantizeOp op,
                                PatternRewriter &b) const override {
    auto x = op.getX().getDefiningOp<DequantizeOp>();
    if (!x || x.getX().getType() != op.getType() ||
        !areEqualConstants(x.getScale(), op.getScale()) ||
        !areEqualConstants(x.getZero(), op.getZero()))
      return b.notifyMatchFailure(op, "other parameters");
    b.replaceOp(op, x.getX());
    return success();
  }
};

/// quantize(max(x, c), s, z) -> max(quantize(x, s, z), quantize(c, s, z)),
/// and min likewise: rounding keeps the order of numbers. What saturation
/// does already is left out.
template <typename OpTy> struct FoldBound : OpRewritePattern<QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(QuantizeOp op,
                                PatternRewriter &b) const override {
    auto bound = op.getX().getDefiningOp<OpTy>();
    if (!bound || !isFromIntegers(bound.getLhs()) ||
        !bound.getResult().hasOneUse() ||
        bound.getLhs().getType() != bound.getType())
      return b.notifyMatchFailure(op, "no bound of dequantized numbers");
    std::optional<int64_t> value =
        quantizeConstant(bound.getRhs(), op.getScale(), op.getZero());
    if (!value)
      return b.notifyMatchFailure(op, "no constant bound or parameters");
    auto type = cast<IntegerType>(typeOf(op.getResult()).getElementType());
    Value y = createInferred<QuantizeOp>(b, op.getLoc(), bound.getLhs(),
                                         op.getScale(), op.getZero());
    auto [low, high] = getIntegerRange(type);
    constexpr bool isMax = std::is_same_v<OpTy, MaxOp>;
    if (*value != (isMax ? low : high))
      y = createInferred<OpTy>(b, op.getLoc(), y,
                               createInteger(b, op.getLoc(), type, *value));
    b.replaceOp(op, y);
    return success();
  }

  /// A dequantized number, perhaps between other bounds.
  static bool isFromIntegers(Value x) {
    while (Operation *op = x.getDefiningOp()) {
      if (!isa<MaxOp, MinOp>(op))
        return isa<DequantizeOp>(op);
      x = op->getOperand(0);
    }
    return false;
  }
};

/// op(dequantize(x)) -> dequantize(op(x)) where `op` only moves numbers, or
/// chooses the largest ones.
struct SinkDequantize : RewritePattern {
  SinkDequantize(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &b) const override {
    bool isChoice = choosesNumbers(op);
    if (!isa<ReshapeOp, TransposeOp, SliceOp, BroadcastOp, GatherOp, ConcatOp>(
            op) &&
        !isChoice && !isPaddedWithZero(op))
      return b.notifyMatchFailure(op, "it does more than move numbers");
    unsigned moved = isa<ConcatOp>(op) ? op->getNumOperands() : 1;
    SmallVector<Value> operands(op->getOperands());
    DequantizeOp first;
    for (unsigned i = 0; i < moved; ++i) {
      auto x = operands[i].getDefiningOp<DequantizeOp>();
      if (!x)
        return b.notifyMatchFailure(op, "an operand is not dequantized");
      bool isTransposed = isa<TransposeOp>(op);
      if (!isTransposed && (!isScalar(x.getScale()) || !isScalar(x.getZero())))
        return b.notifyMatchFailure(op, "more than one scale");
      if (isChoice && !isKnownPositive(x.getScale()))
        return b.notifyMatchFailure(op, "the scale may be negative");
      if (first && (x.getX().getType().getElementType() !=
                        first.getX().getType().getElementType() ||
                    !areEqualConstants(x.getScale(), first.getScale()) ||
                    !areEqualConstants(x.getZero(), first.getZero())))
        return b.notifyMatchFailure(op, "the operands' scales differ");
      if (!first)
        first = x;
      operands[i] = x.getX();
    }
    if (!first)
      return failure();
    Location loc = op->getLoc();
    Value scale = first.getScale(), zero = first.getZero();
    if (auto pad = dyn_cast<PadOp>(op); pad && pad.getValue())
      operands[1] = zero;
    if (auto transpose = dyn_cast<TransposeOp>(op)) {
      scale = transposed(b, transpose, scale);
      zero = transposed(b, transpose, zero);
    }
    Type element = typeOf(first.getX()).getElementType();
    auto type = typeOf(op->getResult(0)).clone(element);
    OperationState state(loc, op->getName(), operands, {type}, op->getAttrs());
    Value y = b.create(state)->getResult(0);
    Value result = createInferred<DequantizeOp>(b, loc, y, scale, zero);
    if (!result)
      return failure();
    b.replaceOp(op, result);
    return success();
  }

  /// The largest or smallest of some numbers, of one at least.
  static bool choosesNumbers(Operation *op) {
    if (auto pool = dyn_cast<PoolOp>(op))
      return pool.getKind() == PoolKind::Max;
    auto reduce = dyn_cast<ReduceOp>(op);
    return reduce &&
           (reduce.getKind() == ReduceKind::Max ||
            reduce.getKind() == ReduceKind::Min) &&
           llvm::all_of(reduce.getAxes(), [&](int64_t axis) {
             int64_t size = typeOf(reduce.getX()).getDimSize(axis);
             return ShapedType::isStatic(size) && size > 0;
           });
  }

  /// A pad by numbers of its operand, or by 0, which is the zero point.
  static bool isPaddedWithZero(Operation *op) {
    auto pad = dyn_cast<PadOp>(op);
    return pad && (!pad.getValue() || isKnownZero(pad.getValue()));
  }

  /// A parameter that broadcasts to the operand of `op`, for its result.
  static Value transposed(PatternRewriter &b, TransposeOp op, Value parameter) {
    RankedTensorType type = typeOf(parameter);
    if (type.getRank() == 0)
      return parameter;
    SmallVector<int64_t> shape(typeOf(op.getX()).getRank() - type.getRank(), 1);
    llvm::append_range(shape, type.getShape());
    SmallVector<OpFoldResult> sizes;
    Value full = parameter;
    if (int64_t(shape.size()) != type.getRank())
      full = b.createOrFold<ReshapeOp>(
          op.getLoc(), RankedTensorType::get(shape, type.getElementType()),
          parameter, ValueRange());
    return b.createOrFold<TransposeOp>(op.getLoc(), full, op.getPermutation());
  }
};

/// A loop that writes elements of a dequantized tensor, such as the nearest
/// ones of a resize, moves the integers.
struct SinkThroughMove : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &b) const override {
    if (op.getNumDpsInputs() != 0 || op->getNumResults() != 1 ||
        op.getNumParallelLoops() != op.getNumLoops())
      return b.notifyMatchFailure(op, "no loop of elements read by index");
    auto init = op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
    auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
    auto read = yield.getOperand(0).getDefiningOp<tensor::ExtractOp>();
    if (!init || !read || !read->hasOneUse() ||
        read->getBlock() != op.getBody())
      return b.notifyMatchFailure(op, "more than a move");
    auto x = read.getTensor().getDefiningOp<DequantizeOp>();
    if (!x || !isScalar(x.getScale()) || !isScalar(x.getZero()))
      return b.notifyMatchFailure(op, "no dequantized numbers of one scale");
    if (!op.getBody()->getArgument(0).use_empty() ||
        llvm::any_of(x->getUses(), [&](OpOperand &use) {
          return op->isAncestor(use.getOwner()) && use.getOwner() != read;
        }))
      return b.notifyMatchFailure(op, "numbers are read for more");
    // Loops know signless integers only.
    RankedTensorType type = typeOf(x.getX());
    Type element =
        b.getIntegerType(cast<IntegerType>(type.getElementType()).getWidth());
    Value plain = retype(b, op.getLoc(), x.getX(), element);
    Value empty =
        tensor::EmptyOp::create(b, op.getLoc(), init.getMixedSizes(), element);
    auto moved = cast<linalg::GenericOp>(b.clone(*op));
    b.modifyOpInPlace(moved, [&] {
      Block *body = moved.getBody();
      auto copy = body->getTerminator()
                      ->getOperand(0)
                      .getDefiningOp<tensor::ExtractOp>();
      moved.getDpsInitsMutable()[0].set(empty);
      moved->getResult(0).setType(cast<RankedTensorType>(empty.getType()));
      body->getArgument(0).setType(element);
      copy.getTensorMutable().set(plain);
      copy.getResult().setType(element);
    });
    Value result =
        retype(b, op.getLoc(), moved->getResult(0), type.getElementType());
    b.replaceOp(op, createInferred<DequantizeOp>(b, op.getLoc(), result,
                                                 x.getScale(), x.getZero()));
    return success();
  }

  static Value retype(PatternRewriter &b, Location loc, Value tensor,
                      Type element) {
    if (typeOf(tensor).getElementType() == element)
      return tensor;
    return UnrealizedConversionCastOp::create(
               b, loc, typeOf(tensor).clone(element), tensor)
        .getResult(0);
  }
};

/// quantize(concat(a, b)) -> concat(quantize(a), quantize(b)), where one of
/// them is dequantized.
struct QuantizeConcat : OpRewritePattern<QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(QuantizeOp op,
                                PatternRewriter &b) const override {
    auto concat = op.getX().getDefiningOp<ConcatOp>();
    if (!concat || !concat->hasOneUse() || !isScalar(op.getScale()) ||
        !isScalar(op.getZero()) ||
        llvm::none_of(concat.getInputs(),
                      [](Value x) { return x.getDefiningOp<DequantizeOp>(); }))
      return b.notifyMatchFailure(op, "no concatenation of dequantized parts");
    SmallVector<Value> parts;
    for (Value x : concat.getInputs())
      parts.push_back(createInferred<QuantizeOp>(b, op.getLoc(), x,
                                                 op.getScale(), op.getZero()));
    b.replaceOpWithNewOp<ConcatOp>(op, parts, concat.getAxis());
    return success();
  }
};

/// Says which products and functions of rows stay in float although an operand
/// is quantized.
static void remarkFloat(Operation *op) {
  bool isQuantized = llvm::any_of(op->getOperands(), [](Value x) {
    return x.getDefiningOp<DequantizeOp>();
  });
  if (isa<ConvOp, MatMulOp>(op) && isQuantized)
    remarkMissed(op->getLoc(), kPass)
        << remark::add("a product in float: {0}", findObstacle(op));
  if (isa<SoftmaxOp>(op) && isQuantized)
    remarkMissed(op->getLoc(), kPass) << remark::add(
        "softmax in float: its definition rounds the quotient of "
        "sums once, integers would round each power");
}

struct FoldQuantizationPass
    : dlc::impl::FoldQuantizationBase<FoldQuantizationPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns
        .add<FoldProduct<ConvOp>, FoldProduct<MatMulOp>, FoldBias,
             FoldRequantization, CancelQuantization, FoldBound<MaxOp>,
             FoldBound<MinOp>, SinkDequantize, SinkThroughMove, QuantizeConcat>(
            &getContext());
    populateQuantizedSums(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (wantsRemarks(&getContext()))
      getOperation().walk(remarkFloat);
  }
};

} // namespace
