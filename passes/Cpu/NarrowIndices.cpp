// Sizes and indices of 64 bits on a target whose addresses have 32: what lies
// far outside is clamped, never cut to its lower half.

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_NARROWINDICES
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

/// No tensor has so many elements along a dimension, and two of these can be
/// added.
static constexpr int64_t kLimit = int64_t(1) << 30;

static void narrowConstant(arith::ConstantIndexOp op) {
  int64_t clamped = std::clamp(op.value(), -kLimit, kLimit);
  if (clamped != op.value())
    op->setAttr("value", OpBuilder(op).getIndexAttr(clamped));
}

/// min(max(x, -kLimit), kLimit) in front of a cast of a wide integer.
static void narrowCast(Operation *op, bool isUnsigned) {
  Value x = op->getOperand(0);
  auto type = dyn_cast<IntegerType>(x.getType());
  if (!type || type.getWidth() <= 32 || !op->getResult(0).getType().isIndex())
    return;
  OpBuilder b(op);
  Location loc = op->getLoc();
  Value high = arith::ConstantIntOp::create(b, loc, type, kLimit);
  if (isUnsigned) {
    x = arith::MinUIOp::create(b, loc, x, high);
  } else {
    Value low = arith::ConstantIntOp::create(b, loc, type, -kLimit);
    x = arith::MinSIOp::create(b, loc, x, high);
    x = arith::MaxSIOp::create(b, loc, x, low);
  }
  op->setOperand(0, x);
}

namespace {

struct NarrowIndicesPass : dlc::impl::NarrowIndicesBase<NarrowIndicesPass> {
  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      if (auto constant = dyn_cast<arith::ConstantIndexOp>(op))
        narrowConstant(constant);
      else if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
        narrowCast(op, isa<arith::IndexCastUIOp>(op));
    });
  }
};

} // namespace
