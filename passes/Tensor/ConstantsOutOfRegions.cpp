// Takes what depends on constants only out of branches and loops.

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Tensor/Constants.h"

using namespace mlir;
using namespace dlc;

/// The op of `entry` that holds `op` in the regions of control flow, nested or
/// not; null for one of `entry` itself, or of the body of another op.
static Operation *getBranch(Operation *op, Block &entry) {
  Operation *branch = nullptr;
  for (; op->getBlock() != &entry; op = branch) {
    branch = op->getParentOp();
    if (!branch || !isa<scf::SCFDialect>(branch->getDialect()))
      return nullptr;
  }
  return branch;
}

bool dlc::isDestinationOnly(Operation *op) {
  // A border is a fill in a part of one of the others.
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    Operation *dest = insert.getDest().getDefiningOp();
    return insert.getSource().getDefiningOp<linalg::FillOp>() && dest &&
           isDestinationOnly(dest);
  }
  return isa<tensor::EmptyOp, linalg::FillOp>(op);
}

/// Copies destinations and scalars that `op` uses to the place before `place`.
static void copyOperands(Operation *op, Operation *place) {
  llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), used);
  for (Value value : used) {
    Operation *producer = value.getDefiningOp();
    if (producer->getBlock() == place->getBlock())
      continue;
    OpBuilder b(place);
    Operation *copy = b.clone(*producer);
    copyOperands(copy, copy);
    Value replacement =
        copy->getResult(cast<OpResult>(value).getResultNumber());
    op->replaceUsesOfWith(value, replacement);
    for (Region &region : op->getRegions())
      replaceAllUsesInRegionWith(value, replacement, region);
  }
}

void dlc::takeConstantsOutOfRegions(func::FuncOp function) {
  Block &entry = function.front();
  KnownConstants constants;
  SmallVector<Operation *> found;
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    // Destinations stay where they are overwritten.
    if (op->getNumResults() == 0 || op->hasTrait<OpTrait::ConstantLike>() ||
        isDestinationOnly(op) ||
        !llvm::all_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>) ||
        !getBranch(op, entry) || !constants.contains(op->getResult(0)))
      return WalkResult::advance();
    found.push_back(op);
    return WalkResult::skip();
  });
  for (Operation *op : found) {
    Operation *branch = getBranch(op, entry);
    copyOperands(op, branch);
    op->moveBefore(branch);
  }
}
