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

} // namespace dlc

#endif
