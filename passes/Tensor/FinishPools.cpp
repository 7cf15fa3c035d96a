// What follows a pool is computed in the memory of its results.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_FINISHPOOLS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// Whether `op` reduces windows of its input.
static bool isPool(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op.getNumResults() == 1 &&
         op.getNumReductionLoops() && !op.hasIndexSemantics() &&
         llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *input) {
           return !op.getMatchingIndexingMap(input).isProjectedPermutation(
               /*allowZeroInResults=*/true);
         });
}

namespace {
struct FinishPools : dlc::impl::FinishPoolsBase<FinishPools> {
  using FinishPoolsBase::FinishPoolsBase;

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> pools;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (isPool(op))
        pools.push_back(op);
    });
    DominanceInfo dominance(getOperation());
    for (linalg::GenericOp pool : pools) {
      auto fill = pool.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
      if (fill && fill->hasOneUse() && fill->getBlock() == pool->getBlock())
        fill->moveBefore(pool);
      Operation *last = pool;
      while (linalg::GenericOp next = finish(last, dominance))
        last = next;
    }
  }

  /// Makes the only user of what `last` makes work in its memory, right behind
  /// it. Null if it can't.
  linalg::GenericOp finish(Operation *last, DominanceInfo &dominance);
};
} // namespace

linalg::GenericOp FinishPools::finish(Operation *last,
                                      DominanceInfo &dominance) {
  Value made = last->getResult(0);
  if (!made.hasOneUse())
    return nullptr;
  OpOperand &use = *made.getUses().begin();
  auto op = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!op || op->getBlock() != last->getBlock() || op.getNumResults() != 1 ||
      op.getNumReductionLoops() || op.hasIndexSemantics() ||
      op.getLibraryCall() || !op.isDpsInput(&use) ||
      op.getResult(0).getType() != made.getType())
    return nullptr;
  OpOperand *init = op.getDpsInitOperand(0);
  if (!op.getMatchingIndexingMap(&use).isIdentity() ||
      !op.getMatchingIndexingMap(init).isIdentity() ||
      !op.getMatchingBlockArgument(init).use_empty())
    return nullptr;
  for (OpOperand *input : op.getDpsInputOperands())
    if (input != &use && !dominance.properlyDominates(input->get(), last))
      return nullptr;

  IRRewriter b(op);
  b.setInsertionPointAfter(last);
  unsigned number = use.getOperandNumber();
  SmallVector<Value> inputs(op.getDpsInputs());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  inputs.erase(inputs.begin() + number);
  maps.erase(maps.begin() + number);
  auto inPlace =
      linalg::GenericOp::create(b, op.getLoc(), made.getType(), inputs, made,
                                maps, op.getIteratorTypesArray());
  inPlace.getRegion().takeBody(op.getRegion());
  Block &body = *inPlace.getBody();
  body.getArgument(number).replaceAllUsesWith(body.getArguments().back());
  body.eraseArgument(number);
  remarkDone(inPlace.getLoc(), "dlc-finish-pools") << remark::add(
      "computed in the memory of '{0}'", getNodeName(last->getLoc()));
  b.replaceOp(op, inPlace.getResults());
  return inPlace;
}
