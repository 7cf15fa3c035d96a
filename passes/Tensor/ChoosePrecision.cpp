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

/// `value` with its elements rounded to `type`.
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
               linalg::YieldOp::create(
                   b, loc,
                   arith::TruncFOp::create(b, loc, type, elements.front())
                       .getResult());
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
    Type type;
    if (chosen == Precision::BF16)
      type = b.getBF16Type();
    else if (chosen == Precision::FP16)
      type = b.getF16Type();
    DenseMap<Value, Value> rounded;
    KnownConstants constants;
    getOperation()->walk([&](ContractOp op) {
      auto isFloat = [](Value operand) {
        return getElementTypeOrSelf(operand.getType()).isF32();
      };
      if (!op.hasTensors() || !isFloat(op.getA()) || !isFloat(op.getB()))
        return;
      op.setPrecision(chosen);
      // tf32 has no type of its own in memory.
      if (!type || !constants.contains(op.getB()))
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
