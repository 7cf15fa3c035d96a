// Sine and cosine of f32, of every argument, without a branch.

#include "passes/Cpu/MathFloats.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// The bits of 2 / pi behind the point, after a word of zeros.
static constexpr uint32_t kTwoOverPi[] = {0,          0xa2f9836e, 0x4e441529,
                                          0xfc2757d1, 0xf534ddc0, 0xdb629599,
                                          0x3c439041, 0xfe5163ab};

namespace {

/// Arithmetic on integers of 32 and 64 bits.
struct Integers {
  Floats &f;
  Type type, longs;

  explicit Integers(Floats &f) : f(f), type(f.integers) {
    longs = f.b.getI64Type();
    if (auto vector = dyn_cast<VectorType>(type))
      longs = vector.clone(longs);
  }
  Value number(uint32_t value) { return f.integer(int32_t(value)); }
  Value longNumber(uint64_t value) {
    return f.splat(longs, f.b.getI64IntegerAttr(int64_t(value)));
  }
  template <typename Op> Value make(Value x, Value y) {
    return Op::create(f.b, x, y);
  }
  Value add(Value x, Value y) { return make<arith::AddIOp>(x, y); }
  Value mul(Value x, Value y) { return make<arith::MulIOp>(x, y); }
  Value bitAnd(Value x, Value y) { return make<arith::AndIOp>(x, y); }
  Value bitOr(Value x, Value y) { return make<arith::OrIOp>(x, y); }
  Value bitXor(Value x, Value y) { return make<arith::XOrIOp>(x, y); }
  Value left(Value x, Value y) { return make<arith::ShLIOp>(x, y); }
  Value right(Value x, Value y) { return make<arith::ShRUIOp>(x, y); }
  Value widen(Value x) { return arith::ExtUIOp::create(f.b, longs, x); }
  Value narrow(Value x) { return arith::TruncIOp::create(f.b, type, x); }
  Value isAbove(Value x, uint32_t bound) {
    return arith::CmpIOp::create(f.b, arith::CmpIPredicate::ugt, x,
                                 number(bound));
  }
};

/// |x| = n pi / 2 + r + low, |r| <= pi / 4; n modulo 4.
struct Turn {
  Value n, r, low;
};

} // namespace

/// Payne and Hanek's: of the product of x and 2 / pi only what is left of it
/// modulo 4, in 64 bits, of which 62 are behind the point. x is m 2^(e - 150)
/// with an integer m, so that its exponent tells which 96 bits of 2 / pi count:
/// those that end 64 behind the bit e - 120 of the table.
static Turn reduceTurn(Floats f, Value x) {
  Integers i(f);
  Value size = f.abs(x), bits = f.bits(size);
  Value m = i.bitOr(i.bitAnd(bits, i.number(0x7fffff)), i.number(0x800000));
  Value place = i.add(i.right(bits, i.number(23)), i.number(-120));
  Value word = i.right(place, i.number(5));
  Value shift = i.bitAnd(place, i.number(31));
  Value rest = i.bitXor(shift, i.number(31)); // 31 - shift
  SmallVector<Value> isBehind, words;
  for (unsigned k = 0; k < 4; ++k)
    isBehind.push_back(i.isAbove(word, k));
  for (unsigned j = 0; j < 4; ++j) {
    Value chosen = i.number(kTwoOverPi[j]);
    for (unsigned k = 0; k < 4; ++k)
      chosen = f.select(isBehind[k], i.number(kTwoOverPi[j + k + 1]), chosen);
    words.push_back(chosen);
  }
  auto window = [&](unsigned j) {
    Value next = i.right(words[j + 1], i.number(1));
    return i.bitOr(i.left(words[j], shift), i.right(next, rest));
  };
  Value wide = i.widen(m), half = i.longNumber(32);
  Value high = i.left(i.widen(i.mul(window(0), m)), half);
  Value middle = i.mul(i.widen(window(1)), wide);
  Value lowest = i.right(i.mul(i.widen(window(2)), wide), half);
  Value turns = i.add(i.add(high, middle), lowest);
  // Rounded to a whole number of quarters, and what is left.
  turns = i.add(turns, i.longNumber(uint64_t(1) << 61));
  Value n = i.narrow(i.right(turns, i.longNumber(62)));
  turns = i.add(i.bitAnd(turns, i.longNumber((uint64_t(1) << 62) - 1)),
                i.longNumber(-(uint64_t(1) << 61)));
  auto toFloat = [&](Value integer) -> Value {
    return arith::SIToFPOp::create(f.b, f.type, integer);
  };
  // 24 bits, which are a float, and 31 more.
  Value top =
      toFloat(i.narrow(i.make<arith::ShRSIOp>(turns, i.longNumber(38))));
  Value below = toFloat(i.bitAnd(i.narrow(i.right(turns, i.longNumber(7))),
                                 i.number(0x7fffffff)));
  constexpr double kUnit = M_PI_2 * 0x1p-24, kHigh = float(kUnit);
  Value r = f.mul(top, f.number(kHigh));
  Value low = f.add(f.fma(top, f.number(kHigh), f.neg(r)),
                    f.fma(top, f.number(kUnit - kHigh),
                          f.mul(below, f.number(M_PI_2 * 0x1p-55))));
  Value sum = f.add(r, low);
  low = f.sub(low, f.sub(sum, r));
  // What needs no reduction is exact.
  Value isSmall = f.less(size, f.number(M_PI_4));
  return {f.select(isSmall, i.number(0), n), f.select(isSmall, size, sum),
          f.select(isSmall, f.number(0), low)};
}

/// Both within 0.9 ulp; NaN of infinities.
Value Floats::sinOrCos(Value x, bool isCos) {
  Integers i(*this);
  Turn turn = reduceTurn(*this, x);
  Value r = turn.r, square = mul(r, r), one = number(1), half = number(-0.5);
  Value s = polynomial(square, {-0.000195184068, 0.0083321901, -0.166666552});
  s = add(r, fma(mul(r, square), s, turn.low));
  // 1 - r^2 / 2 in two parts.
  Value whole = fma(square, half, one);
  Value rest = fma(square, half, sub(one, whole));
  Value c = polynomial(square, {2.44306684e-05, -0.00138873013, 0.0416666456});
  c = fma(mul(square, square), c, fma(neg(r), turn.low, rest));
  c = add(whole, c);
  Value n = isCos ? i.add(turn.n, i.number(1)) : turn.n;
  Value isOdd = arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                      i.bitAnd(n, i.number(1)), i.number(0));
  Value sign = i.left(i.bitAnd(n, i.number(2)), i.number(30));
  if (!isCos)
    sign = i.bitXor(sign, i.bitAnd(bits(x), i.number(0x80000000)));
  Value y = fromBits(i.bitXor(bits(select(isOdd, c, s)), sign));
  return fma(x, number(0), y);
}
