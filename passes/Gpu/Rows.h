/// \file
/// Kernels of several linalg ops that work on the same rows.
#ifndef DLC_PASSES_GPU_ROWS_H
#define DLC_PASSES_GPU_ROWS_H

#include "passes/Tensor/RowOps.h"

namespace dlc {

class Kernel;

/// Ops that work on the same rows, in order, and what is known of the buffers
/// that are the arguments of their kernel.
struct RowSteps {
  llvm::SmallVector<mlir::linalg::LinalgOp> ops;
  llvm::ArrayRef<int64_t> rowDims; ///< of each op: its first dimensions
  /// Of each argument: the buffer that it is a view of, and the memory that
  /// this has. Empty: each is its own.
  llvm::ArrayRef<int64_t> buffers, places;
  /// Of each argument: nothing outside of the kernel uses its buffer.
  llvm::ArrayRef<bool> isPrivate;
};

/// Emits the steps.
void emitRows(Kernel &kernel, const RowSteps &steps);

/// Emits the steps by chunks of a row, each of which is the same thread's in
/// all of them; false where they cannot be done so.
bool emitRowChunks(Kernel &kernel, const RowSteps &steps);

/// Combines two values as `combiner` does.
mlir::Value combine(Kernel &kernel, mlir::Operation *combiner, mlir::Value x,
                    mlir::Value y);

/// Combines the values that `threads` threads side by side have, a power of
/// two; all of them get the result. More than a warp are all of a block.
mlir::Value emitCombination(Kernel &kernel, mlir::Operation *combiner,
                            mlir::Value value, int64_t threads);

} // namespace dlc

#endif
