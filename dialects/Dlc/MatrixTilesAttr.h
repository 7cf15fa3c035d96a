/// \file
/// The attribute of attention whose products are those of tiles of matrices.
#ifndef DLC_DIALECTS_DLC_MATRIXTILESATTR_H
#define DLC_DIALECTS_DLC_MATRIXTILESATTR_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// A unit attribute of attention with a tile and precision bf16: on a CPU that
/// has products of tiles (x86's AMX) its kernel is made of these, where there
/// are enough rows. The tile has the rows that keys are laid out for then, and
/// a kernel has the scores of some of them at a time.
constexpr llvm::StringLiteral kMatrixTilesAttr = "dlc.matrix_tiles";

inline bool hasMatrixTiles(AttentionOp op) {
  return op->hasAttr(kMatrixTilesAttr);
}

} // namespace dlc

#endif
