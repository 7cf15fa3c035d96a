/// \file
/// What the generators of contractions share.
#ifndef DLC_PASSES_GPU_EMITCONTRACT_H
#define DLC_PASSES_GPU_EMITCONTRACT_H

#include "passes/Gpu/TileSource.h"

namespace dlc {

/// The iteration space of a contraction.
struct ContractNest : TileSpace {
  ContractNest(Kernel &kernel, ContractOp op);

  TileRange rowsOf(const Place &block) const {
    return {rows, block.rowCount, block.firstRow};
  }
  TileRange columnsOf(const Place &block) const {
    return {columns, block.columnCount, block.firstColumn};
  }

  ContractOp op;
  llvm::SmallVector<unsigned> outer; ///< all but the sums, as C has them
};

/// Whether the offset in an operand is that of the coordinates in C plus that
/// of the summed ones.
bool isSeparable(ContractOp op, unsigned operand);

/// The product of the sizes of one kind; a dynamic one is thought to be large.
int64_t guessSize(ContractOp op, ContractOp::DimKind kind);

} // namespace dlc

#endif
