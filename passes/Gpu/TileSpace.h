/// \file
/// What the generators of kernels that work on tiles share.
#ifndef DLC_PASSES_GPU_TILESPACE_H
#define DLC_PASSES_GPU_TILESPACE_H

#include "passes/Gpu/Kernel.h"

namespace dlc {

/// An iteration space whose dimensions are of different kinds, the buffers that
/// maps lead to from it, the last of them the result, and the operations on
/// their elements.
struct TileSpace {
  TileSpace(Kernel &kernel, mlir::ValueRange buffers, mlir::ArrayAttr maps,
            mlir::Block *epilogue, unsigned firstExtra);

  llvm::SmallVector<Extent> extentsOf(llvm::ArrayRef<unsigned> dims) const;
  /// An element as the type of the sum.
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
  /// `width` elements of a buffer along `dim`, or one of them again where it
  /// does not have the dimension.
  llvm::SmallVector<mlir::Value> loadAlong(unsigned operand,
                                           llvm::ArrayRef<mlir::Value> at,
                                           unsigned dim, int64_t width);
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
  bool isDepthFast(unsigned operand, unsigned sum);
  /// Whether tiles of that size may reach behind the end.
  bool isRagged(llvm::ArrayRef<unsigned> dims, int64_t tileSize);

  /// What `region` yields for these arguments.
  mlir::Value inlineRegion(mlir::Block &region, mlir::Value sum,
                           mlir::ValueRange extras);
  unsigned numDims() const { return maps.front().getNumDims(); }
  unsigned result() const { return buffers.size() - 1; }
  mlir::Type sumType() const { return epilogue->getArgument(0).getType(); }

  Kernel &kernel;
  llvm::SmallVector<mlir::Value> buffers;
  llvm::SmallVector<mlir::AffineMap> maps; ///< one a buffer
  /// Of a sum and elements of the buffers from `firstExtra` on.
  mlir::Block *epilogue;
  unsigned firstExtra;
  llvm::SmallVector<Extent> extents; ///< one a dimension
  llvm::SmallVector<unsigned> batch, rows, columns, sums;
};

} // namespace dlc

#endif
