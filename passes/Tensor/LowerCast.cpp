// dlc.cast -> linalg.generic with the conversion of one element.

#include "passes/Tensor/Lowering.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// A float as a signed integer of the width of `type`, truncated; what does not
/// fit, and NaN, becomes the lowest number.
static Value floatToSigned(OpBuilder &b, Location loc, Value x,
                           IntegerType type) {
  // Both are exact: x is of f32 or f64.
  double bound = std::ldexp(1.0, int(type.getWidth()) - 1);
  Value low = createScalar(b, loc, x.getType(), -bound);
  Value high = createScalar(b, loc, x.getType(), bound);
  Value fits = arith::AndIOp::create(
      b, loc, arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, x, low),
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, high));
  Value safe = arith::SelectOp::create(b, loc, fits, x, low);
  return arith::FPToSIOp::create(b, loc, type, safe);
}

/// A float as an integer, truncated. ONNX leaves open what becomes of numbers
/// that do not fit; here it is what numpy and ONNX Runtime do on x86: the low
/// bits of a signed integer of 32 bits (64 for types of 64), which is the
/// lowest one for what does not fit there and for NaN. To ui32 and ui64 the
/// upper half of the numbers is converted less 2^31 or 2^63.
static Value floatToInteger(OpBuilder &b, Location loc, Value x,
                            IntegerType type, bool isUnsigned) {
  unsigned width = type.getWidth();
  if (width >= 32 && isUnsigned) {
    Value bound =
        createScalar(b, loc, x.getType(), std::ldexp(1.0, int(width) - 1));
    Value isUpper =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, x, bound);
    Value lowered = arith::SubFOp::create(b, loc, x, bound);
    Value integer = floatToSigned(
        b, loc, arith::SelectOp::create(b, loc, isUpper, lowered, x), type);
    Value top = arith::ConstantOp::create(
        b, loc, b.getIntegerAttr(type, llvm::APInt::getSignMask(width)));
    Value raised = arith::XOrIOp::create(b, loc, integer, top);
    return arith::SelectOp::create(b, loc, isUpper, raised, integer);
  }
  if (width >= 32)
    return floatToSigned(b, loc, x, type);
  return arith::TruncIOp::create(b, loc, type,
                                 floatToSigned(b, loc, x, b.getI32Type()));
}

static Value castScalar(OpBuilder &b, Location loc, Value x, bool fromUnsigned,
                        Type to, bool toUnsigned) {
  Type from = x.getType();
  if (from == to && fromUnsigned == toUnsigned)
    return x;
  if (to.isInteger(1)) {
    if (from.isInteger(1))
      return x;
    if (isa<FloatType>(from)) {
      Type wide = getComputeType(from);
      if (wide != from)
        x = arith::ExtFOp::create(b, loc, wide, x);
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x,
                                   createScalar(b, loc, wide, 0));
    }
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, x,
                                 createScalar(b, loc, from, 0));
  }
  auto toFloat = dyn_cast<FloatType>(to);
  if (auto fromFloat = dyn_cast<FloatType>(from)) {
    if (!toFloat) {
      Type wide = getComputeType(from);
      if (wide != from)
        x = arith::ExtFOp::create(b, loc, wide, x);
      return floatToInteger(b, loc, x, cast<IntegerType>(to), toUnsigned);
    }
    unsigned a = from.getIntOrFloatBitWidth(), c = to.getIntOrFloatBitWidth();
    if (a < c)
      return arith::ExtFOp::create(b, loc, to, x);
    if (a > c)
      return arith::TruncFOp::create(b, loc, to, x);
    if (from == to)
      return x;
    // Two formats of one width (f16 and bf16, the 8-bit floats): through f32.
    Value wide = arith::ExtFOp::create(b, loc, b.getF32Type(), x);
    return arith::TruncFOp::create(b, loc, to, wide);
  }
  bool zeroExtend = fromUnsigned || from.isInteger(1);
  if (toFloat) {
    Type wide = getComputeType(to);
    Value result = zeroExtend ? Value(arith::UIToFPOp::create(b, loc, wide, x))
                              : Value(arith::SIToFPOp::create(b, loc, wide, x));
    return wide == to ? result
                      : Value(arith::TruncFOp::create(b, loc, to, result));
  }
  unsigned a = from.getIntOrFloatBitWidth(), c = to.getIntOrFloatBitWidth();
  if (a < c)
    return zeroExtend ? Value(arith::ExtUIOp::create(b, loc, to, x))
                      : Value(arith::ExtSIOp::create(b, loc, to, x));
  if (a > c)
    return arith::TruncIOp::create(b, loc, to, x);
  return x;
}

namespace {

struct LowerCast : OpConversionPattern<CastOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(CastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Type from = getElementTypeOrSelf(op.getX());
    Type to = getElementTypeOrSelf(op.getType());
    if (isa<StringType>(from) || isa<StringType>(to))
      return rewriter.notifyMatchFailure(op, "strings are cast elsewhere");
    Type element = getStorageType(to);
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getX());
    Value empty = createEmpty(rewriter, loc, sizes, element);
    AffineMap identity = rewriter.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> iterators(type.getRank(),
                                               utils::IteratorType::parallel);
    Value result = linalg::GenericOp::create(
                       rewriter, loc, empty.getType(), adaptor.getX(), empty,
                       ArrayRef<AffineMap>{identity, identity}, iterators,
                       [&](OpBuilder &b, Location loc, ValueRange args) {
                         // Small types are computed in wider ones.
                         auto computed = [&](Type type) -> Type {
                           if (!isSmallType(type))
                             return getSignlessType(type);
                           return isa<FloatType>(type) ? Type(b.getF32Type())
                                                       : b.getI8Type();
                         };
                         Value x = loadElement(b, loc, args[0], from);
                         x = castScalar(b, loc, x, from.isUnsignedInteger(),
                                        computed(to), to.isUnsignedInteger());
                         linalg::YieldOp::create(
                             b, loc,
                             storeElement(b, loc, x, to, op.getSaturate(),
                                          op.getRoundMode()));
                       })
                       .getResult(0);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

} // namespace

void dlc::populateCastLowering(const TypeConverter &converter,
                               RewritePatternSet &patterns) {
  patterns.add<LowerCast>(converter, patterns.getContext());
}
