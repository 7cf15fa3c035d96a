// What depends on constants only.

#include "passes/Graph/Constants.h"
#include "mlir/IR/Operation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

/// Longer chains than this are rare, and not worth looking through.
static constexpr unsigned kDepth = 16;

static bool isConstantOnly(Value value, unsigned depth) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (op->hasTrait<OpTrait::ConstantLike>())
    return true;
  if (depth == 0 || op->getNumRegions() || op->getNumOperands() == 0 ||
      !isPure(op))
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    return ::isConstantOnly(operand, depth - 1);
  });
}

bool dlc::isConstantOnly(Value value) {
  return ::isConstantOnly(value, kDepth);
}
