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
  /// The same for sums side by side along the last of the columns, from the
  /// position `column` of these on. Those from `count` on, if it is given, are
  /// left out. Accesses have 16 bytes where the layout allows it.
  void storeRun(mlir::ValueRange sums, llvm::SmallVector<mlir::Value> at,
                mlir::Value column, mlir::Value count);
  /// The same along the dimension `dim` of C, all inside; elements that lie
  /// side by side in multiples of `sums.size()`.
  void storeWide(mlir::ValueRange sums, llvm::ArrayRef<mlir::Value> at,
                 unsigned dim);
  /// `width` elements side by side, from `offset` of a flat buffer on.
  llvm::SmallVector<mlir::Value> loadRun(mlir::Value buffer, mlir::Value offset,
                                         int64_t width);
  mlir::Value zero();
  /// Sets the coordinates of `dims`; those of the elements at a position
  /// counted row by row.
  void setCoordinates(llvm::SmallVectorImpl<mlir::Value> &at,
                      llvm::ArrayRef<unsigned> dims, mlir::ValueRange values);
  void place(llvm::SmallVectorImpl<mlir::Value> &at,
             llvm::ArrayRef<unsigned> dims, mlir::Value position);
  /// The grid of blocks that compute tiles of `tileRows` by `tileColumns`, and
  /// what the block of a thread computes.
  struct Place {
    llvm::SmallVector<mlir::Value> batchAt; ///< one a batch dimension
    mlir::Value firstRow, firstColumn;
    mlir::Value rowCount, columnCount, sumCount; ///< of the contraction
  };
  Place placeBlock(int64_t tileRows, int64_t tileColumns);
  /// The offset of an element from the start of the operand's buffer.
  /// Dimensions without a coordinate count as 0.
  mlir::Value offsetOf(unsigned operand, llvm::ArrayRef<mlir::Value> at);
  /// The operand's buffer without its shape.
  mlir::Value flatten(unsigned operand);
  /// How many elements along the dimension `dim` a load may take: `width` where
  /// they lie side by side and begin at a multiple of their size, else 1.
  int64_t chooseVector(unsigned operand, unsigned dim, int64_t width);
  /// How many elements of C along `dim` a store may take, of `width`.
  int64_t chooseStore(unsigned dim, int64_t width);
  /// Whether elements side by side in memory are terms of one sum.
  bool isDepthFast(unsigned operand);
  /// Whether tiles of that size may reach behind the end.
  bool isRagged(llvm::ArrayRef<unsigned> dims, int64_t tileSize);

private:
  mlir::Value finish(mlir::Value sum, mlir::ValueRange extras);

public:
  Kernel &kernel;
  ContractOp op;
  llvm::SmallVector<Extent> extents; ///< one a dimension
  llvm::SmallVector<unsigned> batch, rows, columns, sums;
  llvm::SmallVector<unsigned> outer; ///< all but the sums, as C has them
};

/// Whether the offset in an operand is that of the coordinates in C plus that
/// of the summed ones.
bool isSeparable(ContractOp op, unsigned operand);

/// The product of the sizes of one kind; a dynamic one is thought to be large.
int64_t guessSize(ContractOp op, ContractOp::DimKind kind);

} // namespace dlc

#endif
