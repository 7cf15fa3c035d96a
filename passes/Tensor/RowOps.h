/// \file
/// What linalg ops do with rows, for kernels of CPUs and GPUs.
#ifndef DLC_PASSES_TENSOR_ROWOPS_H
#define DLC_PASSES_TENSOR_ROWOPS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace dlc {

/// Whether a row of `op`, whose first `dims` dimensions are the rows, can be
/// done on its own: elementwise, or one sum a row.
bool isRowOp(mlir::linalg::LinalgOp op, unsigned dims);

/// The op that combines the only output with a new value, in whatever order;
/// null if there is none.
mlir::Operation *findCombiner(mlir::linalg::LinalgOp op);

/// Whether `op` only copies elements of its only operand, in whatever order.
bool isCopy(mlir::linalg::LinalgOp op);

} // namespace dlc

#endif
