// Rounding to whole numbers, without divisions and ways through bytes.

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Tensor/Passes.h"
#include <cmath>
#include <optional>

namespace dlc {
#define GEN_PASS_DEF_SIMPLIFYROUNDING
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// 1.5 * 2^23: a number up to 2^22 that is added to it becomes a whole one, in
/// the low bits of the sum.
static constexpr float kMagic = 12582912.0f;
static constexpr float kLargest = 4194304.0f;

static std::optional<float> getFloat(Value value) {
  APFloat constant(0.0f);
  if (!value.getType().isF32() ||
      !matchPattern(value, m_ConstantFloat(&constant)))
    return std::nullopt;
  return constant.convertToFloat();
}

static std::optional<int64_t> getInteger(Value value) {
  APInt constant;
  if (!matchPattern(value, m_ConstantInt(&constant)))
    return std::nullopt;
  return constant.getSExtValue();
}

namespace {

/// min(max(x, low), high) + magic, with whole limits.
struct Rounded {
  Value x;
  float low, high;
};

} // namespace

static std::optional<Rounded> matchRounded(arith::AddFOp add) {
  if (!add || getFloat(add.getRhs()) != kMagic)
    return std::nullopt;
  auto min = add.getLhs().getDefiningOp<arith::MinNumFOp>();
  auto max =
      min ? min.getLhs().getDefiningOp<arith::MaxNumFOp>() : arith::MaxNumFOp();
  if (!max)
    return std::nullopt;
  std::optional<float> low = getFloat(max.getRhs()),
                       high = getFloat(min.getRhs());
  auto isWhole = [](float x) {
    return std::abs(x) <= kLargest && x == std::trunc(x);
  };
  if (!low || !high || !isWhole(*low) || !isWhole(*high) || *low > *high)
    return std::nullopt;
  return Rounded{max.getLhs(), *low, *high};
}

/// A sum with a constant, or a difference; the constant is 0 for another value.
static std::pair<Value, int64_t> splitOffset(Value value) {
  if (auto add = value.getDefiningOp<arith::AddIOp>())
    if (std::optional<int64_t> offset = getInteger(add.getRhs()))
      return {add.getLhs(), *offset};
  if (auto sub = value.getDefiningOp<arith::SubIOp>())
    if (std::optional<int64_t> offset = getInteger(sub.getRhs()))
      return {sub.getLhs(), -*offset};
  return {value, 0};
}

static float divide(float x, float y) {
  volatile float quotient = x / y; // no more digits than an f32 has
  return quotient;
}

/// The number nearest to limit * c whose quotient by c is not inside of the
/// limit.
static float findBound(float c, float limit, bool isUpper) {
  float x = float(double(limit) * c);
  while (isUpper ? divide(x, c) < limit : divide(x, c) > limit)
    x = std::nextafter(x, isUpper ? INFINITY : -INFINITY);
  return x;
}

static Value constant(PatternRewriter &b, Location loc, float value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
}

namespace {

/// float(extend(truncate(bits(t) + z)) - y), t = clamp(x) + magic
/// -> (t - magic) + (z - y), if the limits and z fit into the bytes.
template <typename OpTy> struct StayInFloat : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    if (!op.getType().isF32())
      return b.notifyMatchFailure(op, "not to f32");
    auto [extended, after] = splitOffset(op.getIn());
    Operation *extend = extended.getDefiningOp();
    if (!isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp>(extend))
      return b.notifyMatchFailure(op, "not of an extended number");
    auto truncate = extend->getOperand(0).getDefiningOp<arith::TruncIOp>();
    if (!truncate)
      return b.notifyMatchFailure(op, "not of a truncated number");
    auto [bits, zero] = splitOffset(truncate.getIn());
    auto cast = bits.getDefiningOp<arith::BitcastOp>();
    auto sum =
        cast ? cast.getIn().getDefiningOp<arith::AddFOp>() : arith::AddFOp();
    std::optional<Rounded> rounded = matchRounded(sum);
    if (!rounded)
      return b.notifyMatchFailure(op, "not of a rounded number");
    unsigned width = truncate.getType().getIntOrFloatBitWidth();
    bool isSigned = isa<arith::ExtSIOp>(extend);
    int64_t least = isSigned ? -(int64_t(1) << (width - 1)) : 0;
    int64_t most = (int64_t(1) << (isSigned ? width - 1 : width)) - 1;
    int64_t low = int64_t(rounded->low) + zero;
    int64_t high = int64_t(rounded->high) + zero;
    if (low < least || high > most)
      return b.notifyMatchFailure(op, "the bytes wrap around");
    if (isa<arith::UIToFPOp>(op) && low + after < 0)
      return b.notifyMatchFailure(op, "a difference below zero is a large one");
    Location loc = op.getLoc();
    Value whole = arith::SubFOp::create(b, loc, sum, constant(b, loc, kMagic));
    if (zero + after)
      whole = arith::AddFOp::create(b, loc, whole,
                                    constant(b, loc, float(zero + after)));
    b.replaceOp(op, whole);
    return success();
  }
};

/// clamp(x / c) + magic -> (q + (t - q * c) * r) + magic, where
/// t = clamp(x), q = t * r, r = 1 / c
///
/// With fused multiply-adds the correction makes of a quotient that is off by
/// a unit in the last place the one that division gives (Markstein,
/// "Computation of elementary functions on the IBM RISC System/6000 processor",
/// theorem 8.2; Brisebarre, Muller and Raina, "Accelerating correctly rounded
/// floating-point division when the divisor is known in advance", 2004), if
/// nothing is too large or too small. The limits come first, so t is not
/// infinite, and a quotient that is too small for the theorem is rounded to
/// zero.
struct MultiplyByReciprocal : OpRewritePattern<arith::AddFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::AddFOp op,
                                PatternRewriter &b) const override {
    std::optional<Rounded> rounded = matchRounded(op);
    auto division =
        rounded ? rounded->x.getDefiningOp<arith::DivFOp>() : arith::DivFOp();
    if (!division)
      return b.notifyMatchFailure(op, "no rounded quotient");
    std::optional<float> divisor = getFloat(division.getRhs());
    if (!divisor || !(*divisor > 0x1p-60f && *divisor < 0x1p60f))
      return b.notifyMatchFailure(op, "the divisor isn't constant, or too large"
                                      " or small");
    float c = *divisor, r = divide(1, c);
    Location loc = op.getLoc();
    Value x = division.getLhs();
    x = arith::MaxNumFOp::create(
        b, loc, x, constant(b, loc, findBound(c, rounded->low, false)));
    x = arith::MinNumFOp::create(
        b, loc, x, constant(b, loc, findBound(c, rounded->high, true)));
    Value reciprocal = constant(b, loc, r);
    Value quotient = arith::MulFOp::create(b, loc, x, reciprocal);
    Value rest = math::FmaOp::create(b, loc, quotient, constant(b, loc, -c), x);
    quotient = math::FmaOp::create(b, loc, rest, reciprocal, quotient);
    b.replaceOpWithNewOp<arith::AddFOp>(op, quotient, op.getRhs());
    return success();
  }
};

struct SimplifyRounding : dlc::impl::SimplifyRoundingBase<SimplifyRounding> {
  using SimplifyRoundingBase::SimplifyRoundingBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    // While the limits are those of the whole numbers.
    RewritePatternSet stay(context);
    stay.add<StayInFloat<arith::SIToFPOp>, StayInFloat<arith::UIToFPOp>>(
        context);
    if (failed(applyPatternsGreedily(getOperation(), std::move(stay))))
      return signalPassFailure();
    if (!fma)
      return;
    RewritePatternSet multiply(context);
    multiply.add<MultiplyByReciprocal>(context);
    if (failed(applyPatternsGreedily(getOperation(), std::move(multiply))))
      return signalPassFailure();
  }
};

} // namespace
