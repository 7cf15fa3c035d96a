/// \file
/// The layout of B for dot products of bytes.
#ifndef DLC_PASSES_TENSOR_PACKDOT_H
#define DLC_PASSES_TENSOR_PACKDOT_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/MapVector.h"

namespace dlc {

/// A layout of one value, made once: weights may be shared.
using PackedValues =
    llvm::MapVector<std::pair<mlir::Value, mlir::ArrayAttr>, mlir::Value>;

/// What the dot products of a machine are like.
struct DotLayout {
  int64_t group; // bytes summed in a lane
  int64_t lanes; // of a register
  int64_t panel; // columns of a panel at most
};

/// Lays out B of a contraction of bytes in panels of columns and groups along
/// the innermost summed dimension. False, with nothing changed, where A isn't
/// contiguous along that, a size of B isn't known, or `op` is no such
/// contraction.
bool packDot(ContractOp op, const DotLayout &layout, PackedValues &made,
             mlir::RewriterBase &rewriter);

} // namespace dlc

#endif
