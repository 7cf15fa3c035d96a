// Expansions of math functions of f32, each of which says what it rests on.

#include "passes/Cpu/MathFunctions.h"
#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/MathDoubles.h"
#include "passes/Cpu/MathFloats.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace dlc;

Value Floats::polynomial(Value x, ArrayRef<double> coefficients) {
  Value p = number(coefficients.front());
  for (double c : coefficients.drop_front())
    p = fma(p, x, number(c));
  return p;
}

/// log(2) in two parts, of which the first times n is exact.
static constexpr double kHigh = 0x1.62e42ep-1, kLow = M_LN2 - kHigh;

/// Nothing is rounded to an integer but by an addition, so that NaN gives NaN.
static std::pair<Value, Value> findPower(Floats f, Value x, int32_t bias) {
  Value magic = f.number(0x1.8p23 + bias);
  Value shifted = f.fma(x, f.number(1 / M_LN2), magic);
  return {f.sub(shifted, magic), f.bits(shifted)};
}

Floats::Reduced Floats::reduce(Value x, int32_t bias, bool exactly) {
  auto [n, bits] = findPower(*this, x, bias);
  Value r = fma(n, number(exactly ? -kHigh : -M_LN2), x);
  return {exactly ? fma(n, number(-kLow), r) : r, bits};
}

Floats::Reduced Floats::reduce(Value x, Value low, int32_t bias) {
  auto [n, bits] = findPower(*this, x, bias);
  low = fma(n, number(-kLow), low);
  return {add(fma(n, number(-kHigh), x), low), bits};
}

/// All but the exponent is shifted out.
Value Floats::power(const Reduced &reduced) {
  return fromBits(arith::ShLIOp::create(b, reduced.n, integer(23)));
}

/// The power is multiplied in two halves, so that results may be subnormal.
Value Floats::multiplyByPower(Value x, const Reduced &reduced) {
  if (options.scales) {
    // lib/Codegen/Optimise.cpp takes the number as it was before it became an
    // integer where the instruction does.
    Value n = sub(fromBits(reduced.n), number(0x1.8p23));
    n = arith::FPToSIOp::create(b, integers, n);
    return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr("llvm.ldexp"),
                                         ValueRange{x, n})
        .getResult(0);
  }
  Value half = arith::ShRUIOp::create(b, reduced.n, integer(1));
  Value rest = arith::SubIOp::create(b, reduced.n, half);
  return mul(mul(x, power({reduced.r, half})), power({reduced.r, rest}));
}

/// True for -|x|.
static bool isNegative(Value x) {
  auto minus = x.getDefiningOp<arith::NegFOp>();
  return minus && minus.getOperand().getDefiningOp<math::AbsFOp>();
}

/// Results that are rounded to 0 (below 2^-150, as of what a mask leaves out)
/// must not be made by an instruction that rounds them: x86 takes some 150
/// cycles for each vector that has one. Where there is an instruction for the
/// power, such elements are left out of it. Otherwise the bound has n = -254,
/// and both halves of the power are 0.
static constexpr double kLeastExponent = -104, kZeroPowers = -176;

/// exp(x) = 2^n exp(r): within 0.9 ulp.
Value Floats::exp(Value x, bool isNegative) {
  // 2^128 is infinity.
  Value bounded = options.scales ? x : atLeast(kZeroPowers, x);
  if (!isNegative)
    bounded = atMost(89, bounded);
  Value result = exp(reduce(bounded, bias(), /*exactly=*/true));
  return options.scales
             ? select(less(x, number(kLeastExponent)), number(0), result)
             : result;
}

Value Floats::exp(const Reduced &reduced) {
  Value p = polynomial(reduced.r, {0.00138214696, 0.00836866256, 0.0416682549,
                                   0.166665211, 0.49999994, 1, 1});
  return multiplyByPower(p, reduced);
}

/// exp(x - y), where x <= y, without what the difference is rounded by: of
/// y = k log(2) + s and n near (x - y) / log(2), r is
/// x - (n + k) log(2) - s. What depends on y alone is computed where y is
/// spread over a vector, or left to the compiler to move. With `isNear`, y is
/// less than kNear.
static Value expOfDifference(Floats f, Value x, Value y, bool isNear) {
  constexpr double kMagic = 0x1.8p23;
  double shift = kMagic + f.bias();
  Floats g = f; // of y
  auto broadcast = y.getDefiningOp<vector::BroadcastOp>();
  if (broadcast && broadcast.getSourceType().isF32()) {
    g = Floats(broadcast, f.b.getF32Type(), f.options);
    y = broadcast.getSource();
  }
  auto spread = [&](Value value) -> Value {
    auto vector = dyn_cast<VectorType>(f.type);
    if (!vector || isa<VectorType>(value.getType()))
      return value;
    return vector::BroadcastOp::create(g.b, vector.clone(value.getType()),
                                       value);
  };
  // Of a large y, what is not far below it has an exact difference. There k
  // would be none that a float holds.
  Value rest = y;
  if (!isNear) {
    Value isLarge = g.less(g.number(kNear), g.abs(y));
    Value start = g.select(isLarge, y, g.number(0));
    rest = g.sub(y, start);
    x = f.sub(x, spread(start));
  }
  Value k = g.sub(g.fma(rest, g.number(1 / M_LN2), g.number(kMagic)),
                  g.number(kMagic));
  bool scales = f.options.scales;
  Value least =
      spread(g.add(rest, g.number(scales ? kLeastExponent : kZeroPowers)));
  Value isZero = f.less(x, least);
  if (!scales)
    x = f.select(isZero, least, x);
  Value s = spread(g.fma(k, g.number(-kHigh), rest));
  Value shiftLessK = spread(g.sub(g.number(shift), k));
  Value difference = f.sub(x, spread(rest));
  Value shifted = f.fma(difference, f.number(1 / M_LN2), f.number(shift));
  Value r = f.fma(f.sub(shifted, shiftLessK), f.number(-kHigh), x);
  Value n = f.sub(shifted, f.number(shift));
  r = f.fma(n, f.number(-kLow), f.sub(r, s));
  Value result = f.exp({r, f.bits(shifted)});
  return scales ? f.select(isZero, f.number(0), result) : result;
}

/// That of a difference from a maximum, which is not rounded where that may be
/// told.
static Value exp(Floats f, math::ExpOp op) {
  Value x = op.getOperand();
  bool isSoftmax = op->hasAttr(kSoftmaxAttr);
  auto difference = x.getDefiningOp<arith::SubFOp>();
  if (isSoftmax && difference && f.options.exactDifferences)
    return expOfDifference(f, difference.getLhs(), difference.getRhs(),
                           op->hasAttr(kNearAttr));
  return f.exp(x, isSoftmax || isNegative(x));
}

/// r + r^2 q(r)
Value Floats::expm1OfReduced(Value r) {
  Value q = polynomial(r, {0.00019945066, 0.00139326637, 0.00833320711,
                           0.0416664891, 0.166666672, 0.5});
  return fma(q, mul(r, r), r);
}

/// 1 - exp(-a q(a)), where a q(a) is -log(erfc(a)): within 1.5 ulp. From 3.95
/// on the result is 1. The part of q(0) that is no float32 is a coefficient.
static Value erf(Floats f, Value x) {
  constexpr double kSlope = M_2_SQRTPI, kRounded = float(kSlope);
  Value a = f.atMost(3.95, f.abs(x));
  Value q = f.polynomial(a, {7.7013766e-08, 3.12880246e-07, -1.71702122e-05,
                             0.000156711671, -0.000724297366, 0.00178423163,
                             -0.00024471205, -0.019120317, 0.102771699,
                             0.636619806, kSlope - kRounded});
  Value minus = f.neg(a);
  Value exponent = f.fma(minus, f.number(kRounded), f.mul(minus, q));
  Floats::Reduced reduced = f.reduce(exponent, 127, /*exactly=*/false);
  Value power = f.power(reduced);
  Value y = f.fma(f.neg(power), f.expm1OfReduced(reduced.r),
                  f.sub(f.number(1), power));
  return f.withSignOf(y, x);
}

/// x / 2 (1 + erf(x / sqrt 2)) = x Phi(x), where Phi is the normal
/// distribution. Phi(-a) = exp(-a^2 / 2) / (2 d(a)), where d(a) grows from 1
/// to sqrt(pi / 2) a, and what it differs from that by is a quotient of
/// polynomials. Nothing cancels for negative x; the remainders of products and
/// of the quotient, and what d was rounded by, are added to the result before
/// it is rounded: within 2 ulp. Near zero, a polynomial of the square.
Value Floats::gelu(Value x) {
  constexpr double kSlope = 1.25331414;
  Value half = mul(x, number(0.5)), size = abs(half);
  Value b = atMost(7.35, size), a = add(b, b);
  Value minus = neg(b);
  Value square = mul(minus, a), low = fma(minus, a, neg(square));
  Value c = polynomial(
      square, {-0.0175943691, -0.0796078742, -0.265953094, -0.797884464});
  Value small = fma(c, square, half);

  Reduced reduced = reduce(square, low, bias());
  Value q = polynomial(reduced.r, {0.00138214696, 0.00836866256, 0.0416682549,
                                   0.166665211, 0.49999994});
  Value e = fma(q, mul(reduced.r, reduced.r), reduced.r);
  Value top =
      polynomial(a, {0.0179053657, 0.145463496, 0.537942529, 0.999982893});
  Value below =
      polynomial(a, {0.0142916329, 0.115847662, 0.46153146, 0.99325645, 1});
  Value rest = div(top, below), slope = number(kSlope);
  Value d = fma(a, slope, rest);
  Value dLow = add(fma(a, slope, neg(d)), rest);
  Value inverse = div(number(1), d);
  // b (1 + e) / d, and what is left of it.
  Value quotient = mul(fma(b, e, b), inverse);
  Value minusQuotient = neg(quotient);
  Value left = fma(b, e, fma(minusQuotient, d, b));
  left = fma(minusQuotient, dLow, left);
  Value tail = multiplyByPower(fma(left, inverse, quotient), reduced);
  // -inf gives NaN, as in the definition.
  Value large = sub(add(half, size), tail);
  // What is rounded to 0 has a sign too.
  return withSignOf(select(less(size, number(0.25)), small, large), x);
}

static bool isNumber(Value value, float number) {
  APFloat constant(0.0f);
  return matchPattern(value, m_ConstantFloat(&constant)) &&
         constant.isExactlyValue(number);
}

/// The product x / 2 (1 + y) of y, or nothing.
static Operation *findHalvedProduct(Value y, Value x) {
  auto next = [](Value value) -> Operation * {
    return value.hasOneUse() ? *value.user_begin() : nullptr;
  };
  auto other = [](Operation *op, Value one) {
    return op->getOperand(op->getOperand(0) == one ? 1 : 0);
  };
  auto isHalf = [](Value value) { return isNumber(value, 0.5); };
  Operation *sum = next(y);
  if (!isa_and_nonnull<arith::AddFOp>(sum) || !isNumber(other(sum, y), 1))
    return nullptr;
  Operation *product = next(sum->getResult(0));
  if (!isa_and_nonnull<arith::MulFOp>(product))
    return nullptr;
  Value factor = other(product, sum->getResult(0));
  auto half = factor.getDefiningOp<arith::MulFOp>();
  if (half && (half.getLhs() == x || half.getRhs() == x) &&
      isHalf(other(half, x)))
    return product;
  // In two steps, of which either is first.
  Operation *last = next(product->getResult(0));
  if (!isa_and_nonnull<arith::MulFOp>(last))
    return nullptr;
  Value second = other(last, product->getResult(0));
  bool isProduct = factor == x ? isHalf(second) : isHalf(factor) && second == x;
  return isProduct ? last : nullptr;
}

/// With h = (exp(2 a) - 1) / 2: h / (1 + h), which is b - b b / (1 + h) where b
/// is the lesser of h and 1; what is subtracted is less than half of that, so
/// that its error counts half: within 2 ulp. From 9.02 on the result is 1.
static Value tanh(Floats f, Value x) {
  Value a = f.atMost(9.02, f.abs(x));
  Floats::Reduced reduced = f.reduce(f.add(a, a), 126, /*exactly=*/true);
  Value power = f.power(reduced);
  Value h =
      f.fma(power, f.expm1OfReduced(reduced.r), f.sub(power, f.number(0.5)));
  Value b = f.atMost(1, h);
  Value rest = f.div(b, f.add(h, f.number(1)));
  return f.withSignOf(f.fma(f.neg(b), rest, b), x);
}

/// MLIR's polynomial takes every number below the least normal one for that:
/// log(x) = log(x 2^23) - 23 log(2) there.
Value Floats::log(Value x) {
  Value isTiny = less(x, number(0x1p-126));
  Value scaled = select(isTiny, mul(x, number(0x1p23)), x);
  Value shift = select(isTiny, number(-23 * M_LN2), number(0));
  return add(math::LogOp::create(b, scaled), shift);
}

/// With t = exp(|x|) - 1: (t + t / (t + 1)) / 2; where that is infinite too
/// early, exp(|x| / 2)^2 / 2.
static Value sinh(Floats f, Value x) {
  Value a = f.abs(x), t = f.expm1(a);
  Value y = f.mul(f.number(0.5), f.add(t, f.div(t, f.add(t, f.number(1)))));
  Value root = f.exp(f.mul(a, f.number(0.5)));
  Value large = f.mul(f.mul(root, f.number(0.5)), root);
  return f.withSignOf(f.select(f.less(f.number(80), a), large, y), x);
}

static Value cosh(Floats f, Value x) {
  Value a = f.abs(x), e = f.exp(a), half = f.number(0.5);
  Value y = f.add(f.mul(half, e), f.div(half, e));
  Value root = f.exp(f.mul(a, half));
  Value large = f.mul(f.mul(root, half), root);
  return f.select(f.less(f.number(80), a), large, y);
}

/// log(2 x) = log(x) + log(2), for x whose square may be infinite.
static Value logOfTwice(Floats f, Value x) {
  return f.add(f.log(x), f.number(M_LN2));
}

/// log(a + sqrt(a^2 + 1)) = log1p(a + a^2 / (1 + sqrt(a^2 + 1)))
static Value asinh(Floats f, Value x) {
  Value a = f.abs(x), square = f.mul(a, a), one = f.number(1);
  Value root = f.sqrt(f.add(square, one));
  Value y = f.log1p(f.add(a, f.div(square, f.add(one, root))));
  Value isLarge = f.less(f.number(0x1p20), a);
  return f.withSignOf(f.select(isLarge, logOfTwice(f, a), y), x);
}

/// With t = x - 1: log1p(t + sqrt(t (t + 2))); NaN below 1.
static Value acosh(Floats f, Value x) {
  Value one = f.number(1), t = f.sub(x, one);
  Value root = f.sqrt(f.mul(t, f.add(t, f.number(2))));
  Value y = f.log1p(f.add(t, root));
  y = f.select(f.less(f.number(0x1p20), x), logOfTwice(f, x), y);
  Value nan = f.number(std::numeric_limits<double>::quiet_NaN());
  return f.select(f.less(x, one), nan, y);
}

/// log1p(2 a / (1 - a)) / 2
static Value atanh(Floats f, Value x) {
  Value a = f.abs(x);
  Value quotient = f.div(f.add(a, a), f.sub(f.number(1), a));
  return f.withSignOf(f.mul(f.number(0.5), f.log1p(quotient)), x);
}

/// True for the error function in a GELU, which then is replaced as a whole.
static bool expandGelu(math::ErfOp erf, const MathOptions &options) {
  auto scaled = erf.getOperand().getDefiningOp<arith::MulFOp>();
  if (!scaled)
    return false;
  for (auto [x, factor] : {std::pair(scaled.getLhs(), scaled.getRhs()),
                           std::pair(scaled.getRhs(), scaled.getLhs())}) {
    if (!isNumber(factor, M_SQRT1_2))
      continue;
    if (Operation *product = findHalvedProduct(erf.getResult(), x)) {
      product->getResult(0).replaceAllUsesWith(
          Floats(product, options).gelu(x));
      // The rest has no other use.
      return true;
    }
  }
  return false;
}

void dlc::expandMathFunction(Operation *op, const MathOptions &options) {
  if (isa<math::Log1pOp>(op) && op->hasAttr(kSoftmaxAttr) &&
      getElementTypeOrSelf(op->getResult(0)).isF64()) {
    op->getResult(0).replaceAllUsesWith(log1pInDoubles(op));
    op->erase();
    return;
  }
  if (op->getNumResults() != 1 ||
      !getElementTypeOrSelf(op->getResult(0)).isF32())
    return;
  if (auto erf = dyn_cast<math::ErfOp>(op); erf && expandGelu(erf, options))
    return;
  Floats f(op, options);
  Value x = op->getOperand(0);
  Value result = TypeSwitch<Operation *, Value>(op)
                     .Case<math::ExpOp>([&](auto exp) { return ::exp(f, exp); })
                     .Case<math::LogOp>([&](auto) { return f.log(x); })
                     .Case<math::PowFOp>([&](auto) {
                       return options.doubles ? powInDoubles(op) : Value();
                     })
                     .Case<math::SinhOp>([&](auto) { return sinh(f, x); })
                     .Case<math::CoshOp>([&](auto) { return cosh(f, x); })
                     .Case<math::AsinhOp>([&](auto) { return asinh(f, x); })
                     .Case<math::AcoshOp>([&](auto) { return acosh(f, x); })
                     .Case<math::AtanhOp>([&](auto) { return atanh(f, x); })
                     .Case<math::ErfOp>([&](auto) { return erf(f, x); })
                     .Case<math::TanhOp>([&](auto) { return tanh(f, x); })
                     .Case<math::SinOp>(
                         [&](auto) { return f.sinOrCos(x, /*isCos=*/false); })
                     .Case<math::CosOp>(
                         [&](auto) { return f.sinOrCos(x, /*isCos=*/true); })
                     .Default([](auto) { return Value(); });
  if (!result)
    return;
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
}
