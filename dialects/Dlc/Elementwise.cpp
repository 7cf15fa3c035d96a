// The scalar expressions of the elementwise ops: all that one of them needs
// beside its line in DlcElementwise.td. `args` may be scalars or vectors.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The expressions' shorthand: picks the float, signed or unsigned op.
struct Scalar {
  ImplicitLocOpBuilder b;
  bool isUnsigned;
  Type type;
  bool isFloat;

  Scalar(OpBuilder &builder, Location loc, ValueRange args, bool isUnsigned)
      : b(loc, builder), isUnsigned(isUnsigned), type(args.back().getType()),
        isFloat(isa<FloatType>(getElementTypeOrSelf(type))) {}

  template <typename OpTy, typename... Args> Value op(Args &&...args) {
    return b.createOrFold<OpTy>(std::forward<Args>(args)...);
  }

  Value constant(double value) {
    Type element = getElementTypeOrSelf(type);
    TypedAttr attr = isFloat
                         ? TypedAttr(b.getFloatAttr(element, value))
                         : TypedAttr(b.getIntegerAttr(element, int64_t(value)));
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return op<arith::ConstantOp>(attr);
  }

  Value add(Value x, Value y) {
    return isFloat ? op<arith::AddFOp>(x, y) : op<arith::AddIOp>(x, y);
  }
  Value sub(Value x, Value y) {
    return isFloat ? op<arith::SubFOp>(x, y) : op<arith::SubIOp>(x, y);
  }
  Value mul(Value x, Value y) {
    return isFloat ? op<arith::MulFOp>(x, y) : op<arith::MulIOp>(x, y);
  }
  Value equal(Value x, Value y) {
    return isFloat ? op<arith::CmpFOp>(arith::CmpFPredicate::OEQ, x, y)
                   : op<arith::CmpIOp>(arith::CmpIPredicate::eq, x, y);
  }
  Value less(Value x, Value y) {
    if (isFloat)
      return op<arith::CmpFOp>(arith::CmpFPredicate::OLT, x, y);
    return op<arith::CmpIOp>(isUnsigned ? arith::CmpIPredicate::ult
                                        : arith::CmpIPredicate::slt,
                             x, y);
  }
  Value lessEqual(Value x, Value y) {
    if (isFloat)
      return op<arith::CmpFOp>(arith::CmpFPredicate::OLE, x, y);
    return op<arith::CmpIOp>(isUnsigned ? arith::CmpIPredicate::ule
                                        : arith::CmpIPredicate::sle,
                             x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return op<arith::SelectOp>(condition, x, y);
  }

  /// Integer quotient or remainder that does not trap: x / 0 is x, and
  /// lowest / -1 wraps around.
  template <typename SignedOp, typename UnsignedOp>
  Value divide(Value x, Value y, bool remainder) {
    Value one = constant(1);
    Value special = equal(y, constant(0));
    Value minusOne;
    if (!isUnsigned) {
      minusOne = equal(y, constant(-1));
      special = op<arith::OrIOp>(special, minusOne);
    }
    Value divisor = select(special, one, y);
    if (isUnsigned)
      return op<UnsignedOp>(x, divisor);
    Value result = op<SignedOp>(x, divisor);
    if (remainder)
      return result;
    return select(minusOne, sub(constant(0), x), result);
  }
  Value rem(Value x, Value y) {
    if (isFloat)
      return op<arith::RemFOp>(x, y);
    return divide<arith::RemSIOp, arith::RemUIOp>(x, y, /*remainder=*/true);
  }
};

} // namespace

/// Defines OPCLASS::buildScalar with the body that follows over `s` (Scalar),
/// `x`, and, where there are more operands, `y`.
#define DLC_SCALAR(OPCLASS, ...)                                               \
  Value OPCLASS::buildScalar(OpBuilder &builder, Location loc,                 \
                             ValueRange args, bool isUnsigned) {               \
    Scalar s(builder, loc, args, isUnsigned);                                  \
    [[maybe_unused]] Value x = args[0], y = args.back();                       \
    __VA_ARGS__                                                                \
  }

DLC_SCALAR(AbsOp, {
  if (s.isFloat)
    return s.op<math::AbsFOp>(x);
  return isUnsigned ? x : s.op<math::AbsIOp>(x);
})
DLC_SCALAR(NegOp, {
  return s.isFloat ? s.op<arith::NegFOp>(x) : s.sub(s.constant(0), x);
})
DLC_SCALAR(ExpOp, { return s.op<math::ExpOp>(x); })
DLC_SCALAR(LogOp, { return s.op<math::LogOp>(x); })
DLC_SCALAR(SqrtOp, { return s.op<math::SqrtOp>(x); })
DLC_SCALAR(SinOp, { return s.op<math::SinOp>(x); })
DLC_SCALAR(CosOp, { return s.op<math::CosOp>(x); })
DLC_SCALAR(TanOp, { return s.op<math::TanOp>(x); })
DLC_SCALAR(AsinOp, { return s.op<math::AsinOp>(x); })
DLC_SCALAR(AcosOp, { return s.op<math::AcosOp>(x); })
DLC_SCALAR(AtanOp, { return s.op<math::AtanOp>(x); })
DLC_SCALAR(SinhOp, { return s.op<math::SinhOp>(x); })
DLC_SCALAR(CoshOp, { return s.op<math::CoshOp>(x); })
DLC_SCALAR(TanhOp, { return s.op<math::TanhOp>(x); })
DLC_SCALAR(AsinhOp, { return s.op<math::AsinhOp>(x); })
DLC_SCALAR(AcoshOp, { return s.op<math::AcoshOp>(x); })
DLC_SCALAR(AtanhOp, { return s.op<math::AtanhOp>(x); })
DLC_SCALAR(ErfOp, { return s.op<math::ErfOp>(x); })
DLC_SCALAR(SigmoidOp, {
  // With e = exp(-|x|), which is never infinite, and w = 1, or e for numbers
  // below zero: w - w e / (1 + e). The errors of what is subtracted count half.
  Value one = s.constant(1), zero = s.constant(0);
  Value e = s.op<math::ExpOp>(s.op<arith::NegFOp>(s.op<math::AbsFOp>(x)));
  Value isNegative =
      arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, zero);
  Value whole = arith::SelectOp::create(builder, loc, isNegative, e, one);
  Value rest = s.op<arith::DivFOp>(e, s.add(one, e));
  return s.op<math::FmaOp>(s.op<arith::NegFOp>(whole), rest, whole);
})
DLC_SCALAR(FloorOp, { return s.op<math::FloorOp>(x); })
DLC_SCALAR(CeilOp, { return s.op<math::CeilOp>(x); })
DLC_SCALAR(RoundOp, { return s.op<math::RoundEvenOp>(x); })
DLC_SCALAR(SignOp, {
  // NaN and zeros fall through to themselves.
  Value zero = s.constant(0);
  Value positive = s.select(s.less(zero, x), s.constant(1), x);
  return isUnsigned ? positive
                    : s.select(s.less(x, zero), s.constant(-1), positive);
})
DLC_SCALAR(NotOp, { return s.op<arith::XOrIOp>(x, s.constant(-1)); })
DLC_SCALAR(IsNanOp,
           { return s.op<arith::CmpFOp>(arith::CmpFPredicate::UNO, x, x); })
DLC_SCALAR(IsInfOp, {
  return s.equal(s.op<math::AbsFOp>(x),
                 s.constant(std::numeric_limits<double>::infinity()));
})

DLC_SCALAR(AddOp, { return s.add(x, y); })
DLC_SCALAR(SubOp, { return s.sub(x, y); })
DLC_SCALAR(MulOp, { return s.mul(x, y); })
DLC_SCALAR(DivOp, {
  if (s.isFloat)
    return s.op<arith::DivFOp>(x, y);
  return s.divide<arith::DivSIOp, arith::DivUIOp>(x, y, /*remainder=*/false);
})
DLC_SCALAR(RemOp, { return s.rem(x, y); })
DLC_SCALAR(ModOp, {
  // A remainder of the other sign than the divisor's moves by one divisor.
  Value rem = s.rem(x, y);
  if (isUnsigned)
    return rem;
  Value zero = s.constant(0);
  Value nonzero = s.op<arith::XOrIOp>(s.equal(rem, zero), s.equal(zero, zero));
  Value signsDiffer = s.op<arith::XOrIOp>(s.less(rem, zero), s.less(y, zero));
  Value result =
      s.select(s.op<arith::AndIOp>(nonzero, signsDiffer), s.add(rem, y), rem);
  // A zero has the divisor's sign too.
  return s.isFloat ? s.select(nonzero, result, s.op<math::CopySignOp>(zero, y))
                   : result;
})
DLC_SCALAR(PowOp, {
  return s.isFloat ? s.op<math::PowFOp>(x, y) : s.op<math::IPowIOp>(x, y);
})
DLC_SCALAR(MinOp, {
  if (s.isFloat)
    return s.op<arith::MinimumFOp>(x, y);
  return isUnsigned ? s.op<arith::MinUIOp>(x, y) : s.op<arith::MinSIOp>(x, y);
})
DLC_SCALAR(MaxOp, {
  if (s.isFloat)
    return s.op<arith::MaximumFOp>(x, y);
  return isUnsigned ? s.op<arith::MaxUIOp>(x, y) : s.op<arith::MaxSIOp>(x, y);
})
DLC_SCALAR(Atan2Op, { return s.op<math::Atan2Op>(x, y); })
DLC_SCALAR(AndOp, { return s.op<arith::AndIOp>(x, y); })
DLC_SCALAR(OrOp, { return s.op<arith::OrIOp>(x, y); })
DLC_SCALAR(XorOp, { return s.op<arith::XOrIOp>(x, y); })
DLC_SCALAR(ShlOp, {
  Value width =
      s.constant(getElementTypeOrSelf(s.type).getIntOrFloatBitWidth());
  Value inside = s.op<arith::CmpIOp>(arith::CmpIPredicate::ult, y, width);
  Value amount = s.select(inside, y, s.constant(0));
  return s.select(inside, s.op<arith::ShLIOp>(x, amount), s.constant(0));
})
DLC_SCALAR(ShrOp, {
  int64_t bits = getElementTypeOrSelf(s.type).getIntOrFloatBitWidth();
  Value inside =
      s.op<arith::CmpIOp>(arith::CmpIPredicate::ult, y, s.constant(bits));
  if (!isUnsigned) {
    Value amount = s.select(inside, y, s.constant(bits - 1));
    return s.op<arith::ShRSIOp>(x, amount);
  }
  Value amount = s.select(inside, y, s.constant(0));
  return s.select(inside, s.op<arith::ShRUIOp>(x, amount), s.constant(0));
})
DLC_SCALAR(EqualOp, { return s.equal(x, y); })
DLC_SCALAR(LessOp, { return s.less(x, y); })
DLC_SCALAR(LessEqualOp, { return s.lessEqual(x, y); })
DLC_SCALAR(SelectOp, { return s.select(args[0], args[1], args[2]); })
