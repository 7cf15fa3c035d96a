// Functions of f32 that are computed in f64, and rounded once.
#include "passes/Cpu/MathDoubles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace dlc;

namespace {

/// Arithmetic on f64, or on vectors of it, in the shape of an op's result.
struct Doubles {
  ImplicitLocOpBuilder b;
  Type type, integers;

  explicit Doubles(Operation *op) : b(op->getLoc(), op) {
    type = shaped(op->getResult(0).getType(), b.getF64Type());
    integers = shaped(type, b.getI64Type());
  }

  static Type shaped(Type like, Type element) {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Value splat(Type type, TypedAttr attr) {
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, attr);
  }
  Value number(double value) { return splat(type, b.getF64FloatAttr(value)); }
  Value integer(uint64_t value) {
    return splat(integers, b.getI64IntegerAttr(int64_t(value)));
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value equal(Value x, Value y) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, y);
  }
  Value less(Value x, Value y) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
  Value bits(Value x) { return arith::BitcastOp::create(b, integers, x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(b, type, x); }
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value p = number(coefficients.front());
    for (double c : coefficients.drop_front())
      p = fma(p, x, number(c));
    return p;
  }

  Value log(Value x, Value low = {});
  Value exp(Value x);
};

} // namespace

/// log(x + low) of a positive normal x, within 2^-37 of it: x = 2^e m with m
/// from sqrt(1/2) to sqrt(2), and log(m) = 2 atanh(f / (2 + f)) for f = m - 1.
Value Doubles::log(Value x, Value low) {
  constexpr uint64_t kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd,
                     kFraction = 0x000fffffffffffff;
  constexpr uint64_t kMagic = 0x4330000000000000; // the bits of 2^52
  Value shifted = arith::AddIOp::create(b, bits(x), integer(kOne - kRootHalf));
  Value exponent = arith::ShRUIOp::create(b, shifted, integer(52));
  exponent = sub(fromBits(arith::OrIOp::create(b, exponent, integer(kMagic))),
                 number(0x1p52 + 1023));
  Value fraction = arith::AndIOp::create(b, shifted, integer(kFraction));
  Value m = fromBits(arith::AddIOp::create(b, fraction, integer(kRootHalf)));
  Value f = sub(m, number(1)), s = div(f, add(f, number(2))), z = mul(s, s);
  // 2 atanh(s) = s (2 + z q(z)), within 5e-12.
  Value q = polynomial(z, {0.2358552158440903, 0.28537102227699873,
                           0.4000033914479265, 0.6666666562238612, 2});
  Value rest = mul(s, q);
  if (low)
    rest = add(rest, div(low, x));
  return fma(exponent, number(M_LN2), rest);
}

/// exp(x) for x from -700 to 700, within 2^-33 of it.
Value Doubles::exp(Value x) {
  constexpr double kMagic = 0x1.8p52;
  Value shifted = fma(x, number(1 / M_LN2), number(kMagic));
  Value r = fma(sub(shifted, number(kMagic)), number(-M_LN2), x);
  Value p = polynomial(r, {0.00019826492589035296, 0.0013946032144207133,
                           0.00833343001512402, 0.0416662701277736,
                           0.16666666163583196, 0.5000000078176723, 1, 1});
  // All but the exponent is shifted out.
  Value n = arith::AddIOp::create(b, bits(shifted), integer(1023));
  return mul(p, fromBits(arith::ShLIOp::create(b, n, integer(52))));
}

Value dlc::log1pInDoubles(Operation *op) {
  Doubles f(op);
  Value x = op->getOperand(0), one = f.number(1);
  Value sum = f.add(one, x);
  // What the sum was rounded by.
  return f.log(sum, f.sub(x, f.sub(sum, one)));
}

/// exp(y log|x|), and what there is for special numbers.
Value dlc::powInDoubles(Operation *op) {
  Doubles f(op);
  auto widen = [&](Value value) -> Value {
    return arith::ExtFOp::create(f.b, f.type, value);
  };
  Value x = widen(op->getOperand(0)), y = widen(op->getOperand(1));
  Value zero = f.number(0), one = f.number(1), size = f.abs(x);
  Value infinity = f.number(std::numeric_limits<double>::infinity());
  Value nan = f.number(std::numeric_limits<double>::quiet_NaN());

  Value log = f.log(size);
  log = f.select(f.equal(size, zero),
                 f.number(-std::numeric_limits<double>::infinity()), log);
  // Infinity, and NaN.
  log = f.select(f.less(size, infinity), log, size);
  Value exponent = f.mul(y, log);
  // In f32 that is 0 and infinity. NaN stays NaN.
  for (bool isLow : {true, false}) {
    Value bound = f.number(isLow ? -104 : 89);
    Value isBeyond = isLow ? f.less(exponent, bound) : f.less(bound, exponent);
    exponent = f.select(isBeyond, bound, exponent);
  }
  Value power = f.exp(exponent);

  // The sign bit, of -0 too.
  Value isNegative = arith::CmpIOp::create(f.b, arith::CmpIPredicate::slt,
                                           f.bits(x), f.integer(0));
  auto isWhole = [&](Value value) {
    return f.equal(math::TruncOp::create(f.b, value), value);
  };
  Value isInteger = isWhole(y), isEven = isWhole(f.mul(y, f.number(0.5)));
  Value negated = arith::NegFOp::create(f.b, power);
  // Of a number below 0 to a power that is no integer there is no result.
  Value isNone = f.both(f.less(x, zero), f.less(size, infinity));
  Value odd = f.select(isInteger, negated, f.select(isNone, nan, power));
  power = f.select(isNegative, f.select(isEven, power, odd), power);

  Value isOne = f.either(f.equal(y, zero), f.equal(x, one));
  Value isUnit = f.both(f.equal(size, one), f.equal(f.abs(y), infinity));
  power = f.select(f.either(isOne, isUnit), one, power);
  return arith::TruncFOp::create(f.b, op->getResult(0).getType(), power);
}
