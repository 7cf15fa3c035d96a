// Elements of fewer than 8 bits and floats of 8 bits or fewer: kept in memory
// as one byte each (`i8`), computed as `i8` and `f32`. The conversions are
// integer arithmetic, which LLVM vectorises on every target.

#include "passes/Tensor/Lowering.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

bool dlc::isSmallType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type))
    return integer.getWidth() > 1 && integer.getWidth() < 8;
  auto floatType = dyn_cast<FloatType>(type);
  return floatType && floatType.getWidth() <= 8;
}

Type dlc::getStorageType(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped.clone(getStorageType(shaped.getElementType()));
  if (isSmallType(type))
    return IntegerType::get(type.getContext(), 8);
  // An address, and a handle.
  if (isa<StringType, SequenceType, MapType>(type))
    return IndexType::get(type.getContext());
  return getSignlessType(type);
}

namespace {

/// The layout of a float of 8 bits or fewer: `bits - 1` bits of magnitude
/// behind the sign, `mantissa` of them behind the exponent.
struct Format {
  int bits, mantissa, bias;
  int largest;         // magnitude of the largest finite number
  int nan;             // encoding of NaN
  int infinity;        // magnitude of infinity, -1 where there is none
  bool isUnsignedZero; // no negative zero: its encoding is the NaN

  static Format get(Type type) {
    if (isa<Float8E4M3FNType>(type))
      return {8, 3, 7, 0x7e, 0x7f, -1, false};
    if (isa<Float8E4M3FNUZType>(type))
      return {8, 3, 8, 0x7f, 0x80, -1, true};
    if (isa<Float8E5M2Type>(type))
      return {8, 2, 15, 0x7b, 0x7e, 0x7c, false};
    if (isa<Float8E5M2FNUZType>(type))
      return {8, 2, 16, 0x7f, 0x80, -1, true};
    if (isa<Float6E2M3FNType>(type))
      return {6, 3, 1, 0x1f, 0x1f, -1, false};
    if (isa<Float6E3M2FNType>(type))
      return {6, 2, 3, 0x1f, 0x1f, -1, false};
    assert(isa<Float4E2M1FNType>(type) && "unknown float type");
    // No NaN: it becomes -0, as in ONNX's reference.
    return {4, 1, 1, 0x7, 0x8, -1, false};
  }
  bool hasNan() const { return bits == 8; }
};

/// Arithmetic on `i32` and `f32` scalars.
struct Bits {
  OpBuilder &b;
  Location loc;

  Value integer(uint32_t value) {
    return arith::ConstantOp::create(b, loc,
                                     b.getI32IntegerAttr(int32_t(value)));
  }
  Value number(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  }
  Value andWith(Value x, uint32_t mask) {
    return arith::AndIOp::create(b, loc, x, integer(mask));
  }
  Value bitOr(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value shl(Value x, int by) {
    return arith::ShLIOp::create(b, loc, x, integer(by));
  }
  Value shr(Value x, int by) {
    return arith::ShRUIOp::create(b, loc, x, integer(by));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value is(arith::CmpIPredicate predicate, Value x, uint32_t y) {
    return arith::CmpIOp::create(b, loc, predicate, x, integer(y));
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value toFloat(Value x) {
    return arith::BitcastOp::create(b, loc, b.getF32Type(), x);
  }
  Value toBits(Value x) {
    return arith::BitcastOp::create(b, loc, b.getI32Type(), x);
  }
};

} // namespace

/// Magnitude bits moved to where f32 has them are the number scaled by
/// 2^(bias - 127), exactly, subnormal ones too.
static Value decodeFloat(OpBuilder &b, Location loc, Value byte, Type type) {
  Bits t{b, loc};
  Value code = arith::ExtUIOp::create(b, loc, b.getI32Type(), byte);
  if (isa<Float8E8M0FNUType>(type)) {
    // 2^(code - 127); 2^-127 is subnormal in f32, 255 is NaN.
    Value bits = t.select(t.is(arith::CmpIPredicate::eq, code, 0),
                          t.integer(0x400000), t.shl(code, 23));
    return t.toFloat(t.select(t.is(arith::CmpIPredicate::eq, code, 255),
                              t.integer(0x7fc00000), bits));
  }
  Format f = Format::get(type);
  int magnitudeBits = f.bits - 1;
  Value magnitude = t.andWith(code, (1u << magnitudeBits) - 1);
  Value sign = t.shl(t.andWith(code, 1u << magnitudeBits), 32 - f.bits);
  Value scaled = arith::MulFOp::create(
      b, loc, t.toFloat(t.shl(magnitude, 23 - f.mantissa)),
      t.number(std::ldexp(1.0, 127 - f.bias)));
  Value bits = t.toBits(scaled);
  if (f.infinity >= 0) {
    // The exponent of all ones: infinity, or NaN with a mantissa.
    Value special =
        t.bitOr(t.shl(magnitude, 23 - f.mantissa), t.integer(0x7f800000));
    bits = t.select(t.is(arith::CmpIPredicate::uge, magnitude, f.infinity),
                    special, bits);
  } else if (f.hasNan()) {
    Value compared = f.isUnsignedZero ? t.andWith(code, 0xff) : magnitude;
    bits = t.select(t.is(arith::CmpIPredicate::eq, compared, f.nan),
                    t.integer(0x7fc00000), bits);
  }
  return t.toFloat(t.bitOr(bits, sign));
}

/// f32 -> f8E8M0FNU: the power of two by the rounding mode; sign ignored.
static Value encodePowerOfTwo(Bits t, Value bits, bool saturate,
                              StringRef roundMode) {
  Value magnitude = t.andWith(bits, 0x7fffffff);
  // Half of a step, or all but the last bit of one, carries into the exponent.
  Value rounded = magnitude;
  if (roundMode == "up")
    rounded = t.add(magnitude, t.integer(0x7fffff));
  else if (roundMode == "nearest")
    rounded = t.add(magnitude, t.integer(0x400000));
  Value code = t.shr(rounded, 23);
  // Below 2^-126 a mantissa stands for the exponent: 2^-127 is 0x400000.
  Value isTiny = t.is(arith::CmpIPredicate::ult, magnitude, 0x800000);
  uint32_t bound = roundMode == "up"        ? 0x400000
                   : roundMode == "nearest" ? 0x5fffff
                                            : 0x7fffff;
  Value tiny = t.select(t.is(arith::CmpIPredicate::ugt, magnitude, bound),
                        t.integer(1), t.integer(0));
  code = t.select(isTiny, tiny, code);
  Value tooLarge = t.is(arith::CmpIPredicate::uge, code, 255);
  code = t.select(tooLarge, t.integer(saturate ? 254 : 255), code);
  return t.select(t.is(arith::CmpIPredicate::ugt, magnitude, 0x7f800000),
                  t.integer(255), code);
}

static Value encodeFloat(OpBuilder &b, Location loc, Value x, Type type,
                         bool saturate, StringRef roundMode) {
  Bits t{b, loc};
  Value bits = t.toBits(x), code;
  if (isa<Float8E8M0FNUType>(type)) {
    code = encodePowerOfTwo(t, bits, saturate, roundMode);
    return arith::TruncIOp::create(b, loc, b.getI8Type(), code);
  }
  Format f = Format::get(type);
  int dropped = 23 - f.mantissa;
  Value magnitude = t.andWith(bits, 0x7fffffff);
  // Normal numbers: nearest, ties to even, in the integer.
  Value odd = t.andWith(t.shr(magnitude, dropped), 1);
  Value rounded =
      t.add(magnitude, t.add(odd, t.integer((1u << (dropped - 1)) - 1 -
                                            (uint32_t(127 - f.bias) << 23))));
  Value normal = t.shr(rounded, dropped);
  // Subnormal ones: the float addition rounds.
  int lowest = 1 - f.bias;
  uint32_t magic = uint32_t(lowest - f.mantissa + 23 + 127) << 23;
  Value sum = arith::AddFOp::create(b, loc, t.toFloat(magnitude),
                                    t.toFloat(t.integer(magic)));
  Value subnormal =
      arith::SubIOp::create(b, loc, t.toBits(sum), t.integer(magic));
  code = t.select(
      t.is(arith::CmpIPredicate::ult, magnitude, uint32_t(lowest + 127) << 23),
      subnormal, normal);
  // 1 above the largest number covers all that rounds to more than it.
  bool clamps = saturate || !f.hasNan();
  int overflow = clamps ? f.largest : f.infinity >= 0 ? f.infinity : f.nan;
  Value tooLarge = t.is(arith::CmpIPredicate::ugt, code, f.largest);
  Value isSpecial = t.is(arith::CmpIPredicate::uge, magnitude, 0x7f800000);
  tooLarge = arith::OrIOp::create(b, loc, tooLarge, isSpecial);
  code = t.select(tooLarge, t.integer(overflow), code);
  Value sign = t.andWith(t.shr(bits, 32 - f.bits), 1u << (f.bits - 1));
  if (f.isUnsignedZero)
    sign =
        t.select(t.is(arith::CmpIPredicate::eq, code, 0), t.integer(0), sign);
  code = t.bitOr(code, sign);
  Value isNan = t.is(arith::CmpIPredicate::ugt, magnitude, 0x7f800000);
  code = t.select(isNan, t.integer(f.nan), code);
  return arith::TruncIOp::create(b, loc, b.getI8Type(), code);
}

Value dlc::loadElement(OpBuilder &b, Location loc, Value stored, Type type) {
  if (!isSmallType(type))
    return stored;
  if (isa<FloatType>(type))
    return decodeFloat(b, loc, stored, type);
  // Bits above the element's are ignored.
  unsigned width = type.getIntOrFloatBitWidth();
  Value unused = createScalar(b, loc, b.getI8Type(), 8 - width);
  Value high = arith::ShLIOp::create(b, loc, stored, unused);
  if (type.isUnsignedInteger())
    return arith::ShRUIOp::create(b, loc, high, unused);
  return arith::ShRSIOp::create(b, loc, high, unused);
}

Value dlc::storeElement(OpBuilder &b, Location loc, Value value, Type type,
                        bool saturate, StringRef roundMode) {
  if (!isSmallType(type))
    return value;
  if (isa<FloatType>(type))
    return encodeFloat(b, loc, value, type, saturate, roundMode);
  return loadElement(b, loc, value, type);
}
