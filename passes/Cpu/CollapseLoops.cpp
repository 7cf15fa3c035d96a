// Dimensions that are reduced, or copied, one after the other, and lie so in
// memory, become one loop: LLVM makes vectors of the innermost one, and copies
// it for each trip of those around it if these are few.

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Cpu/Passes.h"
#include "passes/Tensor/RowOps.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_COLLAPSELOOPS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Whether the elements of every operand of `op` lie as if loop `dim` and the
/// one behind it were one.
static bool isOneLoop(linalg::LinalgOp op, unsigned dim) {
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isFunctionOfDim(dim) && !map.isFunctionOfDim(dim + 1))
      return true;
    if (!linalg::isDimSequencePreserved(map, {dim, dim + 1}))
      return false;
    auto type = cast<MemRefType>(operand.get().getType());
    SmallVector<ReassociationIndices> places;
    for (auto [i, expr] : llvm::enumerate(map.getResults())) {
      if (expr != getAffineDimExpr(dim + 1, op.getContext()))
        places.emplace_back();
      places.back().push_back(i);
    }
    return memref::CollapseShapeOp::isGuaranteedCollapsible(type, places);
  });
}

/// Runs of dimensions that become one, each at least two.
static SmallVector<ReassociationIndices> findRuns(linalg::LinalgOp op) {
  SmallVector<ReassociationIndices> runs;
  if (!op.hasPureBufferSemantics() || op.hasIndexSemantics() ||
      !llvm::all_of(op.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isProjectedPermutation(); }))
    return runs;
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  bool collapsesAll = isCopy(op);
  for (unsigned dim = 0; dim + 1 < kinds.size(); ++dim) {
    bool areReduced = kinds[dim] == utils::IteratorType::reduction &&
                      kinds[dim + 1] == utils::IteratorType::reduction;
    if (!(areReduced || collapsesAll) || !isOneLoop(op, dim))
      continue;
    if (runs.empty() || runs.back().back() != dim)
      runs.push_back({dim});
    runs.back().push_back(dim + 1);
  }
  return runs;
}

namespace {

struct CollapseLoopsPass : dlc::impl::CollapseLoopsBase<CollapseLoopsPass> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (isa<linalg::GenericOp, linalg::TransposeOp>(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      SmallVector<ReassociationIndices> runs = findRuns(op);
      if (runs.empty())
        continue;
      rewriter.setInsertionPoint(op);
      if (isa<linalg::TransposeOp>(op))
        op = *linalg::generalizeNamedOp(rewriter, op);
      if (succeeded(linalg::collapseOpIterationDims(op, runs, rewriter)))
        rewriter.eraseOp(op);
    }
  }
};

} // namespace
