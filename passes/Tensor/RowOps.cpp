// What linalg ops do with rows, for kernels of CPUs and GPUs.
#include "passes/Tensor/RowOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace dlc;

Operation *dlc::findCombiner(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1)
    return nullptr;
  BlockArgument sum = op.getRegionOutputArgs().front();
  if (!sum.hasOneUse())
    return nullptr;
  Operation *combiner = *sum.getUsers().begin();
  if (combiner->getBlock() != op.getBlock() ||
      combiner->getNumOperands() != 2 || combiner->getNumResults() != 1 ||
      op.getBlock()->getTerminator()->getOperand(0) != combiner->getResult(0) ||
      !combiner->hasOneUse())
    return nullptr;
  bool isKnown =
      isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp,
          arith::AddIOp, arith::MulIOp, arith::MaxSIOp, arith::MinSIOp,
          arith::MaxUIOp, arith::MinUIOp, arith::AndIOp, arith::OrIOp,
          arith::XOrIOp>(combiner);
  return isKnown && arith::getNeutralElement(combiner) ? combiner : nullptr;
}

bool dlc::isRowOp(linalg::LinalgOp op, unsigned dims) {
  if (op.hasIndexSemantics())
    return false;
  if (op.getNumReductionLoops() == 0)
    return true;
  if (!findCombiner(op))
    return false;
  // One sum a row.
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  for (unsigned dim = dims; dim < sizes.size(); ++dim) {
    bool isReduced = kinds[dim] == utils::IteratorType::reduction;
    if (isReduced ? map.isFunctionOfDim(dim) : sizes[dim] != 1)
      return false;
  }
  return true;
}

bool dlc::isCopy(linalg::LinalgOp op) {
  Block &body = *op.getBlock();
  return op.getNumReductionLoops() == 0 && op.getNumDpsInputs() == 1 &&
         op.getNumDpsInits() == 1 && body.getOperations().size() == 1 &&
         body.getTerminator()->getOperand(0) == body.getArgument(0);
}
