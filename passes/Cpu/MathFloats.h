/// \file
/// Arithmetic on f32, of which math functions are made.
#ifndef DLC_PASSES_CPU_MATHFLOATS_H
#define DLC_PASSES_CPU_MATHFLOATS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Cpu/MathFunctions.h"

namespace dlc {

/// Arithmetic on f32, or on vectors of it. The coefficients of polynomials are
/// those that scripts/minimax.py finds, the one of the highest power first.
struct Floats {
  using Value = mlir::Value;
  mlir::ImplicitLocOpBuilder b;
  mlir::Type type, integers;
  MathOptions options;

  Floats(mlir::Operation *op, const MathOptions &options)
      : Floats(op, op->getResult(0).getType(), options) {}
  /// In front of `op`.
  Floats(mlir::Operation *op, mlir::Type type, const MathOptions &options)
      : b(op->getLoc(), op), type(type), options(options) {
    integers = b.getI32Type();
    if (auto vector = llvm::dyn_cast<mlir::VectorType>(type))
      integers = vector.clone(integers);
  }

  Value splat(mlir::Type type, mlir::TypedAttr attr) {
    if (auto vector = llvm::dyn_cast<mlir::VectorType>(type))
      attr = mlir::DenseElementsAttr::get(vector, mlir::Attribute(attr));
    return mlir::arith::ConstantOp::create(b, attr);
  }
  Value number(double value) { return splat(type, b.getF32FloatAttr(value)); }
  Value integer(int32_t value) {
    return splat(integers, b.getI32IntegerAttr(value));
  }
  Value add(Value x, Value y) { return mlir::arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return mlir::arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return mlir::arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return mlir::arith::DivFOp::create(b, x, y); }
  Value neg(Value x) { return mlir::arith::NegFOp::create(b, x); }
  Value fma(Value x, Value y, Value z) {
    return mlir::math::FmaOp::create(b, x, y, z);
  }
  Value abs(Value x) { return mlir::math::AbsFOp::create(b, x); }
  Value sqrt(Value x) { return mlir::math::SqrtOp::create(b, x); }
  Value withSignOf(Value x, Value sign) {
    return mlir::math::CopySignOp::create(b, x, sign);
  }
  Value less(Value x, Value y) {
    return mlir::arith::CmpFOp::create(b, mlir::arith::CmpFPredicate::OLT, x,
                                       y);
  }
  Value select(Value condition, Value x, Value y) {
    return mlir::arith::SelectOp::create(b, condition, x, y);
  }
  /// NaN stays NaN.
  Value atLeast(double least, Value x) {
    Value bound = number(least);
    return select(less(x, bound), bound, x);
  }
  Value atMost(double most, Value x) {
    Value bound = number(most);
    return select(less(bound, x), bound, x);
  }
  Value bits(Value x) { return mlir::arith::BitcastOp::create(b, integers, x); }
  Value fromBits(Value x) { return mlir::arith::BitcastOp::create(b, type, x); }

  Value polynomial(Value x, llvm::ArrayRef<double> coefficients);

  /// x = n log(2) + r with an integer n and |r| <= log(2) / 2.
  struct Reduced {
    Value r;
    /// The bits of 1.5 2^23 + n + bias.
    Value n;
  };
  /// With `exactly`, r is x - n log(2) rounded; otherwise it may be off by
  /// 2e-9 n, where what the power is added to is large, or x is small.
  Reduced reduce(Value x, int32_t bias, bool exactly);
  /// The same, exactly, for x + low.
  Reduced reduce(Value x, Value low, int32_t bias);
  /// 2^n of what was reduced with a bias of 127, for n from -126 to 127.
  Value power(const Reduced &reduced);
  /// The bias for multiplyByPower().
  int32_t bias() const { return options.scales ? 0 : 254; }
  /// x 2^n, also where 2^n is no normal number.
  Value multiplyByPower(Value x, const Reduced &reduced);
  /// exp(r) - 1 for |r| <= log(2) / 2.
  Value expm1OfReduced(Value r);

  Value exp(Value x, bool isNegative = false);
  Value exp(const Reduced &reduced);
  Value gelu(Value x);
  Value sinOrCos(Value x, bool isCos);
  Value log(Value x);
  Value expm1(Value x) { return mlir::math::ExpM1Op::create(b, x); }
  Value log1p(Value x) { return mlir::math::Log1pOp::create(b, x); }
};

} // namespace dlc

#endif
