// What follows from constants alone.
#include "passes/Tensor/Constants.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace dlc;

bool KnownConstants::contains(Value value) {
  Operation *owner = value.getDefiningOp();
  if (!owner)
    return false;
  auto [it, isNew] = known.try_emplace(owner, false);
  if (!isNew)
    return it->second;
  bool isConstant = isFromConstants(owner);
  return known[owner] = isConstant;
}

bool KnownConstants::isFromConstants(Operation *op) {
  if (op->hasTrait<OpTrait::ConstantLike>())
    return true;
  if (!isPure(op))
    return false;
  SetVector<Value> outer;
  getUsedValuesDefinedAbove(op->getRegions(), outer);
  return llvm::all_of(op->getOperands(),
                      [&](Value v) { return contains(v); }) &&
         llvm::all_of(outer, [&](Value v) { return contains(v); });
}
