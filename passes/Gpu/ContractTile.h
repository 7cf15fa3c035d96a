/// \file
/// Which kernel a contraction gets on a GPU, and the tile of C that a block of
/// it computes.
#ifndef DLC_PASSES_GPU_CONTRACTTILE_H
#define DLC_PASSES_GPU_CONTRACTTILE_H

#include "passes/Gpu/Mma.h"

namespace dlc {

/// What a block computes, `depth` terms of each sum at a time, and what a warp
/// has of it.
struct MmaTile {
  int64_t rows, columns, warpRows, warpColumns;
  int64_t stages = 3;
  int64_t threads() const {
    return rows / warpRows * (columns / warpColumns) * 32;
  }
};

/// A kernel on tensor cores.
struct MmaPlan {
  MmaOperands operands;
  MmaTile tile;
};

/// The sizes of a tile: what a block computes, `depth` terms of each sum at a
/// time, and what a thread has of it.
struct ExactTile {
  int64_t rows, columns, depth, threadRows, threadColumns;
  int64_t residentBlocks = 0; // as in Kernel
  int64_t threads() const {
    return rows / threadRows * (columns / threadColumns);
  }
};

/// The kernel on tensor cores of the compute capability, or on ordinary units;
/// nothing where a contraction cannot have one.
std::optional<MmaPlan> chooseMmaTile(ContractOp op, unsigned capability);
std::optional<ExactTile> chooseExactTile(ContractOp op);

/// Whether the offset in an operand is that of the coordinates in C plus that
/// of the summed ones.
bool isSeparable(ContractOp op, unsigned operand);

/// The blocks that the contraction's kernel has. A size that is not known is
/// thought to be large.
int64_t countBlocks(ContractOp op, unsigned capability);

} // namespace dlc

#endif
