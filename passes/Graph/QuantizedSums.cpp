// Sums of dequantized numbers become sums of integers: pools and reductions.

#include "passes/Graph/Constants.h"
#include "passes/Graph/QuantizationConstants.h"
#include "passes/Graph/QuantizationPatterns.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fold-quantization";

/// What dequantizes numbers of 8 bits by one scale and one zero point; null if
/// nothing does.
static DequantizeOp getBytes(Value x) {
  auto source = x.getDefiningOp<DequantizeOp>();
  return source && isInteger(source.getX(), 8) && isScalar(source.getScale()) &&
                 isScalar(source.getZero())
             ? source
             : DequantizeOp();
}

namespace {

/// pool sum(dequantize(x)) -> dequantize(conv(x, ones)) of i32 sums: a
/// depthwise convolution takes zero points off and leaves padding out.
struct FoldSumPool : OpRewritePattern<PoolOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(PoolOp op, PatternRewriter &b) const override {
    auto source = getBytes(op.getX());
    int64_t channels = typeOf(op.getX()).getShape().back();
    if (op.getKind() != PoolKind::Sum || !source ||
        ShapedType::isDynamic(channels))
      return b.notifyMatchFailure(op, "no sum of bytes of known channels");
    int64_t elements = 1;
    for (int64_t size : op.getKernel())
      elements *= size;
    if (elements > (int64_t(1) << 22)) // 255 times that fits into i32
      return b.notifyMatchFailure(op, "sums too large for i32");
    Location loc = op.getLoc();
    Type i8 = b.getI8Type();
    SmallVector<int64_t> shape(op.getKernel());
    shape.append({1, channels});
    auto type = RankedTensorType::get(shape, i8);
    Value ones =
        ConstantOp::create(b, loc, DenseElementsAttr::get(type, APInt(8, 1)));
    auto sums = typeOf(op.getResult()).clone(b.getI32Type());
    Value sum = ConvOp::create(
        b, loc, sums, source.getX(), ones,
        ValueRange{source.getZero(), createInteger(b, loc, i8, 0)},
        op.getStrides(), op.getDilations(), op.getPads(), channels);
    remarkDone(loc, kPass) << remark::add("a sum of integers");
    b.replaceOp(op, createInferred<DequantizeOp>(
                        b, loc, sum, source.getScale(),
                        createInteger(b, loc, b.getI32Type(), 0)));
    return success();
  }
};

/// reduce sum(dequantize(x, s, z)) -> dequantize(reduce sum(x - z), s, 0)
struct FoldSum : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReduceOp op,
                                PatternRewriter &b) const override {
    auto source = getBytes(op.getX());
    if (op.getKind() != ReduceKind::Sum || !source)
      return b.notifyMatchFailure(op, "no sum of bytes");
    int64_t elements = 1;
    for (int64_t axis : op.getAxes()) {
      int64_t size = typeOf(op.getX()).getDimSize(axis);
      if (ShapedType::isDynamic(size) || size > (int64_t(1) << 22))
        return b.notifyMatchFailure(op, "sums of unknown or too large sizes");
      elements *= std::max<int64_t>(size, 1);
      if (elements > (int64_t(1) << 22))
        return b.notifyMatchFailure(op, "sums too large for i32");
    }
    Location loc = op.getLoc();
    Type i32 = b.getI32Type();
    Value zero = createInteger(b, loc, i32, 0);
    Value wide =
        CastOp::create(b, loc, typeOf(source.getX()).clone(i32), source.getX());
    if (!isKnownZero(source.getZero()))
      wide = createInferred<SubOp>(
          b, loc, wide,
          CastOp::create(b, loc, typeOf(zero), source.getZero()).getResult());
    Value sum = ReduceOp::create(b, loc, typeOf(op.getResult()).clone(i32),
                                 ReduceKind::Sum, wide, op.getAxes());
    remarkDone(loc, kPass) << remark::add("a sum of integers");
    b.replaceOp(
        op, createInferred<DequantizeOp>(b, loc, sum, source.getScale(), zero));
    return success();
  }
};

/// dequantize(sum, s) / c -> dequantize(sum, s / c) where c is constant, and a
/// product likewise, so that only the requantization is left of both.
template <typename OpTy> struct FoldScaledSum : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    Value factor = op.getRhs();
    auto sum = op.getLhs().template getDefiningOp<DequantizeOp>();
    if (std::is_same_v<OpTy, MulOp> && !sum) {
      factor = op.getLhs();
      sum = op.getRhs().template getDefiningOp<DequantizeOp>();
    }
    if (!sum || !isInteger(sum.getX(), 32) || !isKnownZero(sum.getZero()) ||
        !isConstantOnly(factor) || isConstantOnly(sum.getX()) ||
        sum.getType() != op.getType())
      return b.notifyMatchFailure(op, "no multiple of a sum of integers");
    Value scale = createInferred<OpTy>(b, op.getLoc(), sum.getScale(), factor);
    if (!scale)
      return failure();
    b.replaceOp(op, createInferred<DequantizeOp>(b, op.getLoc(), sum.getX(),
                                                 scale, sum.getZero()));
    return success();
  }
};

} // namespace

void dlc::populateQuantizedSums(RewritePatternSet &patterns) {
  patterns
      .add<FoldSumPool, FoldSum, FoldScaledSum<MulOp>, FoldScaledSum<DivOp>>(
          patterns.getContext());
}
