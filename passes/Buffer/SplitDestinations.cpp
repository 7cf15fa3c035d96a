// A destination of its own for every op that overwrites one.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SPLITDESTINATIONS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

bool dlc::isDestination(OpOperand &use) {
  Operation *owner = use.getOwner();
  if (auto op = dyn_cast<DestinationStyleOpInterface>(owner))
    return op.isDpsInit(&use);
  if (auto loop = dyn_cast<LoopLikeOpInterface>(owner))
    return loop.getTiedLoopRegionIterArg(&use) != nullptr;
  return isa<tensor::InsertSliceOp, tensor::InsertOp>(owner) &&
         use.getOperandNumber() == 1;
}

namespace {

struct SplitDestinationsPass
    : dlc::impl::SplitDestinationsBase<SplitDestinationsPass> {
  void runOnOperation() override {
    // An empty tensor has any shape: as another's view it could not be split.
    RewritePatternSet patterns(&getContext());
    tensor::populateFoldTensorEmptyPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    // Borders first, the last slab before those that it is added to: each copy
    // of one needs a fill and a destination of its own.
    SmallVector<tensor::InsertSliceOp> slabs;
    getOperation()->walk([&](tensor::InsertSliceOp op) {
      if (op.getSource().getDefiningOp<linalg::FillOp>())
        slabs.push_back(op);
    });
    for (tensor::InsertSliceOp op : llvm::reverse(slabs))
      split(op);
    // Then fills: each copy of one needs an empty tensor of its own.
    getOperation()->walk([](linalg::FillOp op) { split(op); });
    getOperation()->walk([](tensor::EmptyOp op) { split(op); });
    // What comes before the producers of its parts can take them all, a concat
    // of a concat too.
    getOperation()->walk([](tensor::EmptyOp op) {
      if (op.getType().hasStaticShape())
        op->moveBefore(op->getBlock(), op->getBlock()->begin());
    });
  }

  /// Of a fill that is inserted somewhere, the place is the destination.
  static bool needsOwn(OpOperand &use) {
    return isDestination(use) || (use.get().getDefiningOp<linalg::FillOp>() &&
                                  isa<tensor::InsertSliceOp>(use.getOwner()));
  }

  static bool isEarlier(OpOperand *a, OpOperand *b) {
    Block *block = a->get().getParentBlock();
    Operation *ofA = block->findAncestorOpInBlock(*a->getOwner());
    Operation *ofB = block->findAncestorOpInBlock(*b->getOwner());
    return ofA != ofB && ofA->isBeforeInBlock(ofB);
  }

  static void split(Operation *op) {
    if (op->getNumResults() != 1)
      return;
    SmallVector<OpOperand *> uses;
    bool isRead = false;
    for (OpOperand &use : op->getUses()) {
      if (needsOwn(use))
        uses.push_back(&use);
      else
        isRead = true;
    }
    // The first destination may take the op itself, unless it is read too: a
    // buffer lives from there on.
    if (!isRead && !uses.empty())
      uses.erase(llvm::min_element(uses, isEarlier));
    for (OpOperand *use : uses) {
      OpBuilder b(use->getOwner());
      use->set(b.clone(*op)->getResult(0));
    }
  }
};

} // namespace
