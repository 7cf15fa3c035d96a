// Chains of elementwise ops become one pass over memory, where that is cheaper
// than storing what stands between them.

#include "dialects/Dlc/Dlc.h"
#include "dialects/Dlc/SoftmaxAttr.h"
#include "passes/Remarks.h"
#include "passes/Tensor/FusionCost.h"
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

static constexpr StringLiteral kPass = "dlc-fuse-elementwise";

/// What costs are told as.
static std::string describe(const FusionCost &cost) {
  return llvm::formatv("computing it there takes {0:F0} cycles, storing it for "
                       "that {1:F0}",
                       cost.computed, cost.stored);
}

namespace {

struct FuseElementwise : dlc::impl::FuseElementwiseBase<FuseElementwise> {
  using FuseElementwiseBase::FuseElementwiseBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    machine = {double(lanes),       double(cache),  double(nearBytes),
               double(memoryBytes), double(launch), perElement};
    // A GPU's row kernels keep what several of their loops use in registers.
    if (!perElement)
      repeatCheapOnes();
    auto control = [&](OpOperand *operand) {
      Operation *producer = operand->get().getDefiningOp();
      return producer && producer->hasOneUse() && fits(operand) &&
             isWorthwhile(operand);
    };
    RewritePatternSet patterns(context);
    linalg::populateElementwiseOpsFusionPatterns(patterns, control);
    linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, control);
    tensor::populateBubbleUpExpandShapePatterns(patterns);
    affine::AffineApplyOp::getCanonicalizationPatterns(patterns, context);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
    // A size that is asked of a result would be one more use of it.
    tensor::DimOp::getCanonicalizationPatterns(patterns, context);
    tensor::populateFoldTensorEmptyPatterns(patterns);
    context->getLoadedDialect<linalg::LinalgDialect>()
        ->getCanonicalizationPatterns(patterns);
    linalg::populateConstantFoldLinalgOperations(patterns, control);
    // Inlining is not this pass's task, and the order is the program's.
    (void)applyPatternsGreedily(getOperation(), std::move(patterns),
                                GreedyRewriteConfig().setUseTopDownTraversal());
    if (wantsRemarks(context))
      getOperation()->walk([&](linalg::GenericOp op) { remarkUnfused(op); });
  }

private:
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

  /// True if elementwise ops of one use lead from a contraction to `op`.
  static bool followsContraction(linalg::GenericOp op, unsigned depth = 16) {
    return op.getNumParallelLoops() == op.getNumLoops() &&
           llvm::any_of(op.getDpsInputs(), [&](Value operand) {
             Operation *producer = operand.getDefiningOp();
             if (!producer || !producer->hasOneUse())
               return false;
             auto generic = dyn_cast<linalg::GenericOp>(producer);
             return isa<ContractOp>(producer) ||
                    (generic && depth &&
                     followsContraction(generic, depth - 1));
           });
  }

  /// True if the user of an operand reads windows of it.
  static bool readsWindows(OpOperand *operand) {
    auto user = dyn_cast<linalg::GenericOp>(operand->getOwner());
    return user && user.getNumReductionLoops() &&
           !user.getMatchingIndexingMap(operand).isProjectedPermutation(
               /*allowZeroInResults=*/true);
  }

  /// Whether one loop can hold an operand's producer as well.
  bool fits(OpOperand *operand) const {
    Operation *producer = operand->get().getDefiningOp();
    Operation *user = operand->getOwner();
    // A CPU has the inverse of a softmax's sum, or its logarithm, once a row.
    if (!machine.perElement && producer->hasAttr(kSoftmaxAttr))
      return false;
    // A contraction's epilogue does it once, not for each window.
    auto generic = dyn_cast<linalg::GenericOp>(producer);
    if (!machine.perElement && generic && readsWindows(operand) &&
        followsContraction(generic))
      return false;
    return !hasKernel(producer) && !hasKernel(user) && !narrowsSums(producer) &&
           sizeOf(producer) + sizeOf(user) <= limit;
  }

  /// Whether fusing an operand's producer, that has no other use, costs less.
  bool isWorthwhile(OpOperand *operand) const {
    auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
    // Reshapes cost nothing.
    if (!producer || !isa<linalg::GenericOp>(operand->getOwner()) ||
        !linalg::areElementwiseOpsFusable(operand))
      return true;
    FusionCost cost = estimateFusion(producer, operand, machine);
    if (cost.isFused())
      remarkDone(producer.getLoc(), kPass) << mlir::remark::add(
          "fused into '{0}': {1}", getNodeName(operand->getOwner()->getLoc()),
          describe(cost));
    return cost.isFused();
  }

  /// An op that several others use is repeated for each of them, if all can be
  /// fused then and that costs less. What ends a contraction is done there for
  /// nothing, and stays one.
  void repeatCheapOnes() {
    SmallVector<linalg::GenericOp> producers;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (!op->use_empty() && !op->hasOneUse() && op->getNumResults() == 1 &&
          op.getNumParallelLoops() == op.getNumLoops())
        producers.push_back(op);
    });
    // The last first, so that chains of them are seen as a whole.
    for (linalg::GenericOp producer : llvm::reverse(producers)) {
      SmallVector<OpOperand *> uses =
          llvm::to_vector(llvm::make_pointer_range(producer->getUses()));
      bool isForAll = llvm::all_of(uses, [&](OpOperand *use) {
        auto user = dyn_cast<linalg::GenericOp>(use->getOwner());
        return user && user->getBlock() == producer->getBlock() &&
               user.getNumParallelLoops() == user.getNumLoops() && fits(use) &&
               linalg::areElementwiseOpsFusable(use);
      });
      bool endsContraction =
          llvm::any_of(producer.getDpsInputs(), [](Value input) {
            return input.getDefiningOp<ContractOp>() && input.hasOneUse();
          });
      if (!isForAll || endsContraction)
        continue;
      FusionCost cost = estimateFusion(producer, uses, machine);
      // The model is not exact, and what is repeated takes code: a clear gain.
      if (cost.computed > 0.75 * cost.stored)
        continue;
      remarkDone(producer.getLoc(), kPass) << mlir::remark::add(
          "repeated for {0} users: {1}", uses.size(), describe(cost));
      for (OpOperand *use : ArrayRef(uses).drop_back()) {
        OpBuilder b(use->getOwner());
        use->set(b.clone(*producer)->getResult(0));
      }
    }
  }

  /// Says why an op that another one could compute stands alone.
  void remarkUnfused(linalg::GenericOp op) const {
    for (OpOperand &operand : op->getOpOperands()) {
      auto producer = operand.get().getDefiningOp<linalg::GenericOp>();
      if (!producer || !linalg::areElementwiseOpsFusable(&operand))
        continue;
      std::string why;
      if (!fits(&operand)) {
        why = "the loop would be too large";
      } else {
        SmallVector<OpOperand *> uses =
            llvm::to_vector(llvm::make_pointer_range(producer->getUses()));
        if (!llvm::all_of(uses, [](OpOperand *use) {
              return isa<linalg::GenericOp>(use->getOwner());
            }))
          why = "others load it, too";
        else if (FusionCost cost = estimateFusion(producer, uses, machine);
                 !cost.isFused())
          why = describe(cost);
        else
          why = "not all of its uses can be";
      }
      remarkMissed(producer.getLoc(), kPass) << mlir::remark::add(
          "not fused into '{0}': {1}", getNodeName(op.getLoc()), why);
    }
  }

  FusionMachine machine;
};

} // namespace
