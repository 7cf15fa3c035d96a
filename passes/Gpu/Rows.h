/// \file
/// Kernels of several linalg ops that work on the same rows.
#ifndef DLC_PASSES_GPU_ROWS_H
#define DLC_PASSES_GPU_ROWS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace dlc {

class Kernel;

/// Whether the threads of a block can do a row of `op`, whose first `dims`
/// dimensions are the rows.
bool isRowOp(mlir::linalg::LinalgOp op, unsigned dims);

/// Emits the ops, in order, a row a block. Of the dimensions of each, the first
/// `rowDims` are the rows.
void emitRows(Kernel &kernel, llvm::ArrayRef<mlir::linalg::LinalgOp> ops,
              llvm::ArrayRef<int64_t> rowDims);

/// The op that combines the only output with a new value, in whatever order;
/// null if there is none.
mlir::Operation *findCombiner(mlir::linalg::LinalgOp op);

/// Combines the values that the threads of a block have; the first thread gets
/// the result, in `memory`, which is shared and has an element a thread.
void emitCombination(Kernel &kernel, mlir::Operation *combiner,
                     mlir::Value value, mlir::Value memory);

} // namespace dlc

#endif
