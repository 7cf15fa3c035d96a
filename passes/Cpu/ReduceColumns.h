/// \file
/// Reductions whose results lie side by side: pools, sums over rows.
#ifndef DLC_PASSES_CPU_REDUCECOLUMNS_H
#define DLC_PASSES_CPU_REDUCECOLUMNS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace dlc {

/// True if the innermost loop of `op`, which has memrefs, walks along
/// contiguous results, and others reduce into them.
bool isColumnReduction(mlir::linalg::LinalgOp op);

/// From 0 to the extent, of each loop of `op`.
llvm::SmallVector<std::pair<mlir::Value, mlir::Value>>
getLoopBounds(mlir::ImplicitLocOpBuilder &b, mlir::linalg::LinalgOp op);

/// Emits the loops of such an op, each between its `bounds`: vectors of results
/// stay in registers of `vectorBytes` while the reducing loops run.
void emitColumnReduction(
    mlir::ImplicitLocOpBuilder &b, mlir::linalg::LinalgOp op,
    llvm::ArrayRef<std::pair<mlir::Value, mlir::Value>> bounds,
    int64_t vectorBytes);

} // namespace dlc

#endif
