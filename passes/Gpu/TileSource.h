/// \file
/// How the threads of a block take a part of an operand from memory, for the
/// tile that the block computes.
#ifndef DLC_PASSES_GPU_TILESOURCE_H
#define DLC_PASSES_GPU_TILESOURCE_H

#include "passes/Gpu/TileSpace.h"

namespace dlc {

/// Dimensions of an operand that are counted together, row by row.
struct TileRange {
  llvm::ArrayRef<unsigned> dims;
  mlir::Value count; ///< of all
  mlir::Value first; ///< that the tile has
};

/// The loads of a thread: `width` rows of A (or columns of B) by `depth` terms
/// are taken by `threads` threads, those side by side taking elements side by
/// side.
struct TileSource {
  /// `outer` tells of rows or columns, `sum` of terms. `most`: elements that a
  /// load may take. With `isWhole` all threads load equally many; otherwise
  /// some may have none (`isPartial`).
  TileSource(TileSpace &space, unsigned operand,
             llvm::ArrayRef<mlir::Value> batchAt, TileRange outer,
             TileRange sum, int64_t width, int64_t depth, int64_t threads,
             int64_t most, bool isWhole);

  /// The offset in the buffer of each load of the part that begins at the term
  /// `firstK`, and whether its terms are any of the sum's. With `staysInside`
  /// the offset of those behind the end is that of some element.
  void forEach(mlir::Value firstK, bool staysInside,
               llvm::function_ref<void(size_t load, mlir::Value offset,
                                       mlir::Value isInside)>
                   body) const;
  size_t count() const { return starts.size(); }

  TileSpace &space;
  unsigned operand;
  TileRange sum;
  int64_t width, depth;
  mlir::Value buffer; ///< one-dimensional view
  mlir::Type type;    ///< of elements in memory
  bool isDepthFast;   ///< memory has terms of a sum side by side
  bool isPartial;     ///< not all threads load
  bool isNarrow;      ///< offsets and terms have 31 bits
  int64_t vector;     ///< elements of a load
  llvm::SmallVector<mlir::Value> starts; ///< offsets without k, one a load
  llvm::SmallVector<mlir::Value> outer;  ///< the row or column in the tile
  llvm::SmallVector<mlir::Value> k;      ///< the term in the part
};

} // namespace dlc

#endif
