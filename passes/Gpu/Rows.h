/// \file
/// Kernels of several linalg ops that work on the same rows.
#ifndef DLC_PASSES_GPU_ROWS_H
#define DLC_PASSES_GPU_ROWS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace dlc {

class Kernel;

/// How many of the first dimensions of `op`, all parallel, make up `rows` rows;
/// nothing if none do.
std::optional<unsigned> findRowDims(mlir::linalg::LinalgOp op, int64_t rows);

/// Whether the threads of a block can do a row of `op`, whose first `dims`
/// dimensions are the rows.
bool isRowOp(mlir::linalg::LinalgOp op, unsigned dims);

/// Emits the ops, in order, a row a block.
void emitRows(Kernel &kernel, llvm::ArrayRef<mlir::linalg::LinalgOp> ops,
              int64_t rows);

/// The op that combines the only output with a new value, in whatever order;
/// null if there is none.
mlir::Operation *findCombiner(mlir::linalg::LinalgOp op);

/// Combines the values that the threads of a block have; the first thread gets
/// the result, in `memory`, which is shared and has an element a thread.
void emitCombination(Kernel &kernel, mlir::Operation *combiner,
                     mlir::Value value, mlir::Value memory);

} // namespace dlc

#endif
