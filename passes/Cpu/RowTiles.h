/// \file
/// The rows of a contraction in tiles of rows that lie at one distance in A.
#ifndef DLC_PASSES_CPU_ROWTILES_H
#define DLC_PASSES_CPU_ROWTILES_H

#include "passes/Cpu/ContractEmit.h"

namespace dlc {

/// Tiles of `heightValue` rows of lines. A line is what the innermost row
/// dimension counts, or that and the next one (`next`) where the lines of an
/// image lie at a multiple of the distance of its rows in A: there are then
/// `pitch` rows from the first one of an image's line to that of the next one,
/// of which the last ones may not exist.
///
/// The last tile of a line ends with it and so may overlap the one before.
struct RowTiles {
  /// Chooses the tiles that need the fewest cycles for the rows of `e`, which
  /// has some; emits what counts them.
  static RowTiles choose(ContractEmitter &e);

  /// A tile: the operands' offsets at the begin of its line, the position of
  /// its first row there, and how many rows the tile before has.
  struct Place {
    ContractEmitter::Offsets offsets;
    mlir::Value first, skipped;
  };
  Place getPlace(ContractEmitter &e, const ContractEmitter::Offsets &bases,
                 mlir::Value tile) const;
  /// The operands' offsets (not that of A) at row `i` of a tile. `guard` is
  /// told whether that is a row which the tile has to compute, unless all are,
  /// before any offset is.
  ContractEmitter::Offsets
  getRow(ContractEmitter &e, const Place &place, mlir::Value i,
         llvm::function_ref<void(mlir::Value)> guard) const;

  llvm::SmallVector<unsigned> outer; // row dimensions around the lines
  unsigned inner;
  std::optional<unsigned> next;
  int64_t pitch = 0;
  mlir::Value length;       // of a line, in rows
  mlir::Value tilesPerLine; // at least 1
  mlir::Value heightValue;  // at least 1
  mlir::Value count;        // of all tiles
  std::optional<int64_t> height;
  bool overlaps = true; // some tiles do
};

} // namespace dlc

#endif
