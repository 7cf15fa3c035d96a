// Expands math functions inline, or turns them into calls of libm, and what
// arithmetic LLVM has no instructions for.

#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Cpu/MathFunctions.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

namespace {

struct ExpandMathPass : dlc::impl::ExpandMathBase<ExpandMathPass> {
  using ExpandMathBase::ExpandMathBase;

  void runOnOperation() override {
    SmallVector<Operation *> given;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()))
        given.push_back(op);
    });
    for (Operation *op : given)
      dlc::expandMathFunction(op, {scales, exactDifferences, doubles});
    RewritePatternSet expansions(&getContext());
    // What is left: the polynomials of MLIR for f32, named by op.
    auto chosen = [](StringRef name) {
      return llvm::is_contained(
          {"math.log", "math.exp", "math.log1p", "math.expm1"}, name);
    };
    populateMathPolynomialApproximationPatterns(expansions, chosen);
    arith::populateCeilFloorDivExpandOpsPatterns(expansions);
    if (rounds)
      keepRounding();
    // Few CPUs convert to bf16; the shifts and additions are vectorised.
    if (bf16)
      arith::populateExpandBFloat16Patterns(expansions);
    if (failed(applyPatternsGreedily(getOperation(), std::move(expansions))))
      return signalPassFailure();
    // What every target has as an instruction, or LLVM expands well, stays.
    SmallVector<Operation *> functions;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()) &&
          !isa<math::SqrtOp, math::FmaOp, math::FloorOp, math::CeilOp,
               math::TruncOp, math::RoundEvenOp, math::AbsFOp, math::AbsIOp,
               math::CopySignOp>(op))
        functions.push_back(op);
    });
    RewritePatternSet calls(&getContext());
    populateMathToLibmConversionPatterns(calls);
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    if (failed(applyOpPatternsGreedily(functions, std::move(calls), config)))
      return signalPassFailure();
  }

private:
  /// Rounding to bfloat16 that may be approximate, as LLVM's op: that becomes
  /// the instruction.
  void keepRounding() {
    getOperation()->walk([](arith::TruncFOp op) {
      std::optional<arith::FastMathFlags> flags = op.getFastmath();
      if (!flags || !bitEnumContainsAny(*flags, arith::FastMathFlags::afn) ||
          !getElementTypeOrSelf(op.getType()).isBF16() ||
          !getElementTypeOrSelf(op.getIn().getType()).isF32())
        return;
      OpBuilder b(op);
      op.replaceAllUsesWith(
          LLVM::FPTruncOp::create(b, op.getLoc(), op.getType(), op.getIn())
              .getResult());
      op.erase();
    });
  }
};

} // namespace
