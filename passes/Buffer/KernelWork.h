/// \file
/// What the functions that dlc-outline-kernels makes compute.
#ifndef DLC_PASSES_BUFFER_KERNELWORK_H
#define DLC_PASSES_BUFFER_KERNELWORK_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace dlc {

/// The only op of a kernel, if it is linalg's and there is nothing beside it
/// but what has no effect; null otherwise.
mlir::linalg::LinalgOp findKernelWork(mlir::func::FuncOp function);

} // namespace dlc

#endif
