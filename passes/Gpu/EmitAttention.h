/// \file
/// What the generators of attention share.
#ifndef DLC_PASSES_GPU_EMITATTENTION_H
#define DLC_PASSES_GPU_EMITATTENTION_H

#include "passes/Gpu/TileSource.h"

namespace dlc {

/// The iteration space of an attention. Its sums, for a block's place, are the
/// keys.
struct AttentionNest : TileSpace {
  AttentionNest(Kernel &kernel, AttentionOp op);

  TileRange rowsOf(const Place &block) const {
    return {rows, block.rowCount, block.firstRow};
  }
  TileRange columnsOf(const Place &block) const {
    return {columns, block.columnCount, block.firstColumn};
  }
  TileRange keysOf(const Place &block, mlir::Value first) const {
    return {sums, block.sumCount, first};
  }
  TileRange depthOf() const {
    return {depth, extents[depth.front()].value, mlir::Value()};
  }

  /// Sets the coordinates of a row; of one that is there, where `position` is
  /// none.
  void placeRow(llvm::SmallVectorImpl<mlir::Value> &at, const Place &block,
                mlir::Value position, int64_t tileRows);
  /// The scores of the keys from `key` on of the row at `at`, of their sums;
  /// minus infinity behind the end.
  llvm::SmallVector<mlir::Value> makeScores(mlir::ValueRange sums,
                                            llvm::SmallVector<mlir::Value> at,
                                            mlir::Value key, const Place &block,
                                            int64_t tileKeys);
  mlir::Type scoreType() const { return scores->getArgument(0).getType(); }
  /// What exponents are relative to: the largest score so far, or 0 where no
  /// score is above minus infinity yet.
  mlir::Value makeShift(mlir::Value largest);
  mlir::Value exp(mlir::Value x);
  mlir::Value floatOf(mlir::Type type, double value);
  /// A float as one of another type.
  mlir::Value convert(mlir::Value value, mlir::Type type);

  AttentionOp op;
  mlir::Block *scores;
  llvm::SmallVector<unsigned> depth; ///< one
};

} // namespace dlc

#endif
