// Lets contractions of float32 round their operands, and rounds constant ones.
#include "dialects/Dlc/Dlc.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace dlc {
#define GEN_PASS_DEF_CHOOSEPRECISION
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// A float32 rounded to the 11 bits of tf32, halves away from zero. What is as
/// large becomes infinite.
static Value roundToTf32(Value value, OpBuilder &b, Location loc) {
  Type i32 = b.getI32Type();
  auto constant = [&](uint32_t bits) {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(i32, bits));
  };
  Value bits = arith::BitcastOp::create(b, loc, i32, value);
  bits = arith::AddIOp::create(b, loc, bits, constant(0x1000));
  bits = arith::AndIOp::create(b, loc, bits, constant(0xffffe000));
  // The bits of a NaN could become those of anything.
  Value isNan =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, value, value);
  bits = arith::SelectOp::create(b, loc, isNan, constant(0x7fc00000), bits);
  return arith::BitcastOp::create(b, loc, value.getType(), bits);
}

/// `value` with its elements rounded to `type`; float32 stands for tf32.
static Value roundTo(Value value, Type type, OpBuilder &b) {
  Location loc = value.getLoc();
  auto tensor = cast<RankedTensorType>(value.getType());
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, value), type);
  AffineMap map = b.getMultiDimIdentityMap(tensor.getRank());
  SmallVector<utils::IteratorType> loops(tensor.getRank(),
                                         utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, empty.getType(), value, empty, ArrayRef{map, map}, loops,
             [&](OpBuilder &b, Location loc, ValueRange elements) {
               Value element = elements.front();
               Value rounded =
                   type.isF32() ? roundToTf32(element, b, loc)
                                : arith::TruncFOp::create(b, loc, type, element)
                                      .getResult();
               linalg::YieldOp::create(b, loc, rounded);
             })
      .getResult(0);
}

namespace {
struct ChoosePrecision : dlc::impl::ChoosePrecisionBase<ChoosePrecision> {
  using ChoosePrecisionBase::ChoosePrecisionBase;

  void runOnOperation() override {
    if (precision == "fp32")
      return;
    std::optional<Precision> chosen = symbolizePrecision(precision);
    if (!chosen) {
      getOperation()->emitError("expected the precision fp32, tf32, bf16 or "
                                "fp16, found '")
          << precision << "'";
      return signalPassFailure();
    }
    OpBuilder b(&getContext());
    // In memory; tf32 has no type of its own there.
    Type type = chosen == Precision::BF16   ? Type(b.getBF16Type())
                : chosen == Precision::FP16 ? Type(b.getF16Type())
                                            : Type(b.getF32Type());
    DenseMap<Value, Value> rounded;
    KnownConstants constants;
    getOperation()->walk([&](ContractOp op) {
      auto isFloat = [](Value operand) {
        return getElementTypeOrSelf(operand.getType()).isF32();
      };
      if (!op.hasTensors() || !isFloat(op.getA()) || !isFloat(op.getB()))
        return;
      op.setPrecision(chosen);
      if (!constants.contains(op.getB()))
        return;
      Value &value = rounded[op.getB()];
      if (!value) {
        b.setInsertionPointAfterValue(op.getB());
        value = roundTo(op.getB(), type, b);
      }
      op.getBMutable().assign(value);
    });
  }
};
} // namespace
