// What a kernel computes.
#include "passes/Buffer/KernelWork.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

linalg::LinalgOp dlc::findKernelWork(func::FuncOp function) {
  if (!function || !function.getBody().hasOneBlock() ||
      function.getNumResults())
    return nullptr;
  linalg::LinalgOp found;
  for (Operation &op : function.front().without_terminator()) {
    if (isMemoryEffectFree(&op) && !op.getNumRegions())
      continue;
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    if (!linalgOp || found)
      return nullptr;
    found = linalgOp;
  }
  return found;
}
