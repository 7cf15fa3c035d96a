// Chains of elementwise ops become one pass over memory.

#include "dialects/Dlc/Dlc.h"
#include "passes/Tensor/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace dlc {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {

struct FuseElementwise : dlc::impl::FuseElementwiseBase<FuseElementwise> {
  using FuseElementwiseBase::FuseElementwiseBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    auto control = [&](OpOperand *operand) {
      Operation *producer = operand->get().getDefiningOp();
      return producer && producer->hasOneUse() && !hasKernel(producer) &&
             !hasKernel(operand->getOwner()) && !narrowsSums(producer) &&
             sizeOf(producer) + sizeOf(operand->getOwner()) <= limit;
    };
    RewritePatternSet patterns(context);
    linalg::populateElementwiseOpsFusionPatterns(patterns, control);
    linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, control);
    tensor::populateBubbleUpExpandShapePatterns(patterns);
    affine::AffineApplyOp::getCanonicalizationPatterns(patterns, context);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
    context->getLoadedDialect<linalg::LinalgDialect>()
        ->getCanonicalizationPatterns(patterns);
    linalg::populateConstantFoldLinalgOperations(patterns, control);
    // Inlining is not this pass's task, and the order is the program's.
    (void)applyPatternsGreedily(getOperation(), std::move(patterns),
                                GreedyRewriteConfig().setUseTopDownTraversal());
  }

  /// True for what a kernel is known for by name: it stays as it is.
  static bool hasKernel(Operation *op) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    return generic && generic.getLibraryCall();
  }

  /// True for the end of a chain that makes bytes of a contraction's sums. Its
  /// epilogue is where they are made, and a consumer that has several such
  /// operands would read all sums but one's from memory.
  static bool narrowsSums(Operation *op) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic || generic.getNumResults() != 1 ||
        generic.getNumParallelLoops() != generic.getNumLoops())
      return false;
    return isBytes(generic) && readsSums(generic, /*depth=*/16);
  }

  static bool isBytes(linalg::GenericOp op) {
    return getElementTypeOrSelf(op.getResult(0).getType()).isInteger(8);
  }

  /// True if elementwise ops of one use lead from a contraction of integers to
  /// `op`, without bytes between.
  static bool readsSums(linalg::GenericOp op, unsigned depth) {
    return llvm::any_of(op.getDpsInputs(), [&](Value operand) {
      Operation *producer = operand.getDefiningOp();
      if (!producer || !producer->hasOneUse())
        return false;
      if (auto contract = dyn_cast<ContractOp>(producer))
        return contract.getSumType().isInteger(32);
      auto generic = dyn_cast<linalg::GenericOp>(producer);
      return generic && depth && !isBytes(generic) &&
             generic.getNumParallelLoops() == generic.getNumLoops() &&
             readsSums(generic, depth - 1);
    });
  }

  /// How many ops an elementwise op does for an element.
  static int64_t sizeOf(Operation *op) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    return generic ? int64_t(generic.getBody()->getOperations().size()) : 0;
  }
};

} // namespace
