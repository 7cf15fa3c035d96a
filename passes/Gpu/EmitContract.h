/// \file
/// What the generators of contractions share.
#ifndef DLC_PASSES_GPU_EMITCONTRACT_H
#define DLC_PASSES_GPU_EMITCONTRACT_H

#include "passes/Gpu/Kernel.h"

namespace dlc {

/// The iteration space of a contraction, by kinds of dimensions, and the
/// operations on its elements.
struct ContractNest {
  ContractNest(Kernel &kernel, ContractOp op);

  llvm::SmallVector<Extent> extentsOf(llvm::ArrayRef<unsigned> dims) const;
  /// An element of A or B as the type of the sum.
  mlir::Value extend(mlir::Value value, bool isUnsigned);
  mlir::Value multiplyAdd(mlir::Value x, mlir::Value y, mlir::Value sum);
  /// Applies the epilogue to a sum and writes it. `at` has one coordinate a
  /// dimension; those of sums do not matter.
  void store(mlir::Value sum, llvm::ArrayRef<mlir::Value> at);
  mlir::Value zero();

  Kernel &kernel;
  ContractOp op;
  llvm::SmallVector<Extent> extents; ///< one a dimension
  llvm::SmallVector<unsigned> batch, rows, columns, sums;
  llvm::SmallVector<unsigned> outer; ///< all but the sums, as C has them
};

} // namespace dlc

#endif
