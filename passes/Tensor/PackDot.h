/// \file
/// The layout of B for dot products of bytes and of bfloat16.
#ifndef DLC_PASSES_TENSOR_PACKDOT_H
#define DLC_PASSES_TENSOR_PACKDOT_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/MapVector.h"

namespace dlc {

/// A layout of one value, made once: weights may be shared.
using PackedValues =
    llvm::MapVector<std::pair<mlir::Value, mlir::ArrayAttr>, mlir::Value>;

/// Fewer rows are multiplied by vectors, where a machine has products of tiles.
constexpr int64_t kFewestTileRows = 8;

/// What the dot products of a machine are like.
struct DotLayout {
  int64_t group; // elements summed in a lane
  int64_t lanes; // of a register
  int64_t panel; // columns of a panel at most
  /// Groups that are summed at once at most; those of B are zeros where the
  /// last ones of a sum are fewer than the others.
  int64_t depth = 1;
};

/// True if A is contiguous along the innermost summed dimension and the sizes
/// of B are known, so that dot products can compute `op` if its operands have
/// the type for them.
bool hasDotForm(ContractOp op, const DotLayout &layout);

/// Lays out B of a contraction of bytes or bfloat16 in panels of columns and
/// groups along the innermost summed dimension. False, with nothing changed,
/// without such a form (hasDotForm).
bool packDot(ContractOp op, const DotLayout &layout, PackedValues &made,
             mlir::RewriterBase &rewriter);

} // namespace dlc

#endif
