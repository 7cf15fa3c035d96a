// dlc.quantize, requantize and dequantize: types and scalar expressions.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace dlc;

LogicalResult dlc::inferQuantizer(std::optional<Location> loc,
                                  ValueRange operands, unsigned typed,
                                  SmallVectorImpl<Type> &types) {
  SmallVector<ArrayRef<int64_t>> shapes;
  for (Value operand : operands)
    shapes.push_back(cast<RankedTensorType>(operand.getType()).getShape());
  FailureOr<SmallVector<int64_t>> shape = broadcastShapes(shapes, loc);
  if (failed(shape))
    return failure();
  types.push_back(
      RankedTensorType::get(*shape, getElementTypeOrSelf(operands[typed])));
  return success();
}

LogicalResult dlc::verifyQuantizer(Operation *op, StringRef value,
                                   StringRef factor) {
  auto element = [&](unsigned i) {
    return getElementTypeOrSelf(op->getOperand(i));
  };
  auto zero = dyn_cast<IntegerType>(element(2));
  if (value.empty() && (!zero || element(0) != zero))
    return op->emitOpError("expected integers and a zero point of one type, "
                           "found ")
           << element(0) << " and " << element(2);
  if (value == "f32" && !element(0).isF32())
    return op->emitOpError("expected an operand of f32, found ") << element(0);
  if (value == "i32" && !element(0).isSignlessInteger(32))
    return op->emitOpError("expected sums of i32, found ") << element(0);
  if (!value.empty() && (!zero || zero.getWidth() > 16))
    return op->emitOpError("expected a zero point of an integer type of at "
                           "most 16 bits, found ")
           << element(2);
  if (!element(1).isF32())
    return op->emitOpError("expected a ")
           << factor << " of f32, found " << element(1);
  return success();
}

namespace {
/// Arithmetic on scalars, or on vectors of the width of `like`.
struct QuantizeScalar {
  ImplicitLocOpBuilder b;
  Type like;

  QuantizeScalar(OpBuilder &builder, Location loc, Value like)
      : b(loc, builder), like(like.getType()) {}

  Type shaped(Type element) {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Value constant(TypedAttr value) {
    if (auto vector = dyn_cast<VectorType>(like))
      value = DenseElementsAttr::get(cast<ShapedType>(shaped(value.getType())),
                                     Attribute(value));
    return arith::ConstantOp::create(b, value);
  }
  Value integer(int64_t value) { return constant(b.getI32IntegerAttr(value)); }
  Value number(float value) { return constant(b.getF32FloatAttr(value)); }

  /// An integer as i32.
  Value widen(Value x, bool isUnsigned) {
    Type i32 = shaped(b.getI32Type());
    if (x.getType() == i32)
      return x;
    if (isUnsigned)
      return b.createOrFold<arith::ExtUIOp>(i32, x);
    return b.createOrFold<arith::ExtSIOp>(i32, x);
  }
  Value toFloat(Value x) {
    return b.createOrFold<arith::SIToFPOp>(shaped(b.getF32Type()), x);
  }

  /// round(x) + zero in [low, high], as the type of `zero`. Once x is so small
  /// that a float has no digits behind the point beside 1.5 * 2^23, the sum
  /// with that number rounds to the nearest integer, ties to even, and has it
  /// in its last bits.
  Value roundAndSaturate(Value x, Value zero, int64_t low, int64_t high,
                         bool isUnsigned) {
    constexpr float magic = 12582912.0f;
    constexpr int32_t magicBits = 0x4b400000;
    Type narrow = zero.getType();
    Value wideZero = widen(zero, isUnsigned);
    auto bound = [&](int64_t value) {
      return toFloat(b.createOrFold<arith::SubIOp>(integer(value), wideZero));
    };
    x = arith::MaxNumFOp::create(b, x, bound(low));
    x = arith::MinNumFOp::create(b, x, bound(high));
    Value sum = arith::AddFOp::create(b, x, number(magic));
    Value bits = arith::BitcastOp::create(b, shaped(b.getI32Type()), sum);
    // Of the bits of 1.5 * 2^23 the last 16 are 0.
    static_assert((magicBits & 0xffff) == 0);
    Value result = b.createOrFold<arith::AddIOp>(bits, wideZero);
    return arith::TruncIOp::create(b, narrow, result);
  }
};
} // namespace

/// The lowest and highest value of an integer type.
static std::pair<int64_t, int64_t> getRange(Type type) {
  unsigned width = type.getIntOrFloatBitWidth();
  int64_t low = type.isUnsignedInteger() ? 0 : -(int64_t(1) << (width - 1));
  return {low, low + (int64_t(1) << width) - 1};
}

Value QuantizeOp::buildScalar(OpBuilder &builder, Location loc, ValueRange args,
                              bool isUnsigned) {
  QuantizeScalar s(builder, loc, args[0]);
  auto [low, high] = getRange(getElementTypeOrSelf(getZero()));
  Value quotient = arith::DivFOp::create(s.b, args[0], args[1]);
  return s.roundAndSaturate(quotient, args[2], low, high, isUnsigned);
}

Value RequantizeOp::buildScalar(OpBuilder &builder, Location loc,
                                ValueRange args, bool isUnsigned) {
  QuantizeScalar s(builder, loc, args[0]);
  auto [low, high] = getRange(getElementTypeOrSelf(getZero()));
  Value scaled = arith::MulFOp::create(s.b, s.toFloat(args[0]), args[1]);
  return s.roundAndSaturate(scaled, args[2], low, high, isUnsigned);
}

Value DequantizeOp::buildScalar(OpBuilder &builder, Location loc,
                                ValueRange args, bool isUnsigned) {
  QuantizeScalar s(builder, loc, args[0]);
  Value difference = s.b.createOrFold<arith::SubIOp>(
      s.widen(args[0], isUnsigned), s.widen(args[2], isUnsigned));
  return arith::MulFOp::create(s.b, s.toFloat(difference), args[1]);
}
