// Expansions of math functions of f32, each of which says what it rests on.

#include "passes/Cpu/MathFunctions.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace {

/// Arithmetic on f32, or on vectors of it.
struct Floats {
  ImplicitLocOpBuilder b;
  Type type, integers;

  explicit Floats(Operation *op)
      : b(op->getLoc(), op), type(op->getResult(0).getType()) {
    integers = b.getI32Type();
    if (auto vector = dyn_cast<VectorType>(type))
      integers = vector.clone(integers);
  }

  Value splat(Type type, TypedAttr attr) {
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, attr);
  }
  Value number(double value) { return splat(type, b.getF32FloatAttr(value)); }
  Value integer(int32_t value) {
    return splat(integers, b.getI32IntegerAttr(value));
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value sqrt(Value x) { return math::SqrtOp::create(b, x); }
  Value withSignOf(Value x, Value sign) {
    return math::CopySignOp::create(b, x, sign);
  }
  Value less(Value x, Value y) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
  Value bits(Value x) { return arith::BitcastOp::create(b, integers, x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(b, type, x); }
  /// 2^n for an integer n from -126 to 127.
  Value powerOfTwo(Value n) {
    Value biased = arith::AddIOp::create(b, n, integer(127));
    return fromBits(arith::ShLIOp::create(b, biased, integer(23)));
  }

  Value polynomial(Value x, std::initializer_list<double> coefficients);
  Value exp(Value x);
  Value expOfNormal(Value x, function_ref<Value(Value, Value)> scale);
  Value expm1(Value x) { return math::ExpM1Op::create(b, x); }
  Value log(Value x);
  Value log1p(Value x) { return math::Log1pOp::create(b, x); }
};

} // namespace

/// The coefficient of the highest power comes first.
Value Floats::polynomial(Value x, std::initializer_list<double> coefficients) {
  Value p = number(*coefficients.begin());
  for (double c : llvm::drop_begin(coefficients))
    p = fma(p, x, number(c));
  return p;
}

/// exp(x) = 2^n exp(r) with r = x - n log(2), |r| <= log(2) / 2, and Cephes'
/// polynomial. Nothing is rounded to an integer but by an addition, so that NaN
/// gives NaN. `scale` multiplies by 2^n.
Value Floats::expOfNormal(Value x, function_ref<Value(Value, Value)> scale) {
  Value magic = number(0x1.8p23);
  Value shifted = fma(x, number(1 / M_LN2), magic);
  Value n = sub(shifted, magic);
  Value r = fma(n, number(-0.693359375), x);
  r = fma(n, number(2.12194440e-4), r);
  Value p = polynomial(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                           4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  p = add(fma(mul(r, r), p, r), number(1));
  return scale(p, arith::SubIOp::create(b, bits(shifted), bits(magic)));
}

/// The power is multiplied in two halves, so that results may be subnormal.
Value Floats::exp(Value x) {
  // 2^-150 is rounded to 0; 2^128 is infinity.
  x = select(less(x, number(-104)), number(-104), x);
  x = select(less(number(89), x), number(89), x);
  return expOfNormal(x, [&](Value p, Value whole) {
    Value half = arith::ShRSIOp::create(b, whole, integer(1));
    Value rest = arith::SubIOp::create(b, whole, half);
    return mul(mul(p, powerOfTwo(half)), powerOfTwo(rest));
  });
}

/// Below 1 an odd polynomial; above it 1 - exp(-a q(a)), where a q(a) is
/// -log(erfc(a)). Minimax polynomials, by iteratively reweighted least squares:
/// within 1.2 ulp. From 3.95 on the result is 1.
static Value erf(Floats f, Value x) {
  Value a = f.abs(x), square = f.mul(a, a);
  Value small = f.polynomial(
      square, {7.889119297033176e-05, -0.0008020841050893068,
               0.005189535208046436, -0.026854444295167923, 0.11283600330352783,
               -0.3761262595653534, 0.12837916591375});
  small = f.fma(small, a, a);
  Value limit = f.number(3.95);
  Value clamped = f.select(f.less(limit, a), limit, a);
  Value q = f.polynomial(
      clamped,
      {-1.8607189531394397e-06, 3.0197881642379798e-05, -0.00019180662638973445,
       0.00042188071529380977, 0.0020040313247591257, -0.02153899520635605,
       0.10441470891237259, 0.6359783411026001, 1.1284890174865723});
  Value product = f.mul(clamped, q);
  Value complement =
      f.expOfNormal(f.sub(f.number(0), product), [&](Value p, Value whole) {
        return f.mul(p, f.powerOfTwo(whole));
      });
  Value large = f.sub(f.number(1), complement);
  return f.withSignOf(f.select(f.less(a, f.number(1)), small, large), x);
}

/// Below 0.625 Cephes' odd polynomial; above it 1 - 2 / (exp(2 a) + 1), of
/// which the second part is less than half the result, so that its error counts
/// half: within 1.3 ulp. From 9.02 on the result is 1.
static Value tanh(Floats f, Value x) {
  Value a = f.abs(x), square = f.mul(a, a);
  Value small = f.polynomial(square, {-5.70498872745e-3, 2.06390887954e-2,
                                      -5.37397155531e-2, 1.33314422036e-1,
                                      -3.33332819422e-1});
  small = f.fma(f.mul(small, square), a, a);
  Value limit = f.number(10);
  Value clamped = f.select(f.less(limit, a), limit, a);
  Value power =
      f.expOfNormal(f.add(clamped, clamped), [&](Value p, Value whole) {
        return f.mul(p, f.powerOfTwo(whole));
      });
  Value rest = f.div(f.number(2), f.add(power, f.number(1)));
  Value large = f.sub(f.number(1), rest);
  return f.withSignOf(f.select(f.less(a, f.number(0.625)), small, large), x);
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

void dlc::expandMathFunction(Operation *op) {
  if (op->getNumResults() != 1 ||
      !getElementTypeOrSelf(op->getResult(0)).isF32())
    return;
  Floats f(op);
  Value x = op->getOperand(0);
  Value result = TypeSwitch<Operation *, Value>(op)
                     .Case<math::ExpOp>([&](auto) { return f.exp(x); })
                     .Case<math::LogOp>([&](auto) { return f.log(x); })
                     .Case<math::SinhOp>([&](auto) { return sinh(f, x); })
                     .Case<math::CoshOp>([&](auto) { return cosh(f, x); })
                     .Case<math::AsinhOp>([&](auto) { return asinh(f, x); })
                     .Case<math::AcoshOp>([&](auto) { return acosh(f, x); })
                     .Case<math::AtanhOp>([&](auto) { return atanh(f, x); })
                     .Case<math::ErfOp>([&](auto) { return erf(f, x); })
                     .Case<math::TanhOp>([&](auto) { return tanh(f, x); })
                     .Default([](auto) { return Value(); });
  if (!result)
    return;
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
}
