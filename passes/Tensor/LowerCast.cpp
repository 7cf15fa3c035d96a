// dlc.cast -> linalg.generic with the conversion of one element.

#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

/// A float as an integer, truncated. Values that do not fit saturate and NaN
/// becomes 0, so that every input has a defined result on every target.
static Value floatToInteger(OpBuilder &b, Location loc, Value x,
                            IntegerType type, bool isUnsigned) {
  unsigned width = type.getWidth();
  // Through 64 bits, as C and numpy do for narrower results.
  Type wide = b.getI64Type();
  bool viaUnsigned64 = isUnsigned && width == 64;
  const llvm::fltSemantics &semantics =
      cast<FloatType>(x.getType()).getFloatSemantics();
  llvm::APFloat low(semantics), high(semantics);
  llvm::APInt lowest = viaUnsigned64 ? llvm::APInt::getZero(64)
                                     : llvm::APInt::getSignedMinValue(64);
  llvm::APInt highest = viaUnsigned64 ? llvm::APInt::getMaxValue(64)
                                      : llvm::APInt::getSignedMaxValue(64);
  low.convertFromAPInt(lowest, !viaUnsigned64, llvm::APFloat::rmTowardZero);
  high.convertFromAPInt(highest, !viaUnsigned64, llvm::APFloat::rmTowardZero);
  Value lowValue =
      arith::ConstantOp::create(b, loc, b.getFloatAttr(x.getType(), low));
  Value highValue =
      arith::ConstantOp::create(b, loc, b.getFloatAttr(x.getType(), high));
  Value zero = createScalar(b, loc, x.getType(), 0);
  Value isNumber =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ORD, x, x);
  x = arith::SelectOp::create(b, loc, isNumber, x, zero);
  x = arith::MaxNumFOp::create(b, loc, x, lowValue);
  x = arith::MinNumFOp::create(b, loc, x, highValue);
  if (viaUnsigned64)
    return arith::FPToUIOp::create(b, loc, type, x);
  Value integer = arith::FPToSIOp::create(b, loc, wide, x);
  return width < 64 ? Value(arith::TruncIOp::create(b, loc, type, integer))
                    : integer;
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
