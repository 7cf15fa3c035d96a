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

/// Such an op, and what is done to the same results right before and behind it.
struct ColumnGroup {
  mlir::linalg::LinalgOp op;
  /// What the results are at first, or null: they are in memory.
  mlir::linalg::FillOp fill;
  /// Elementwise ops that change the results in their place, in order.
  llvm::SmallVector<mlir::linalg::GenericOp> tails;

  /// The group of `op`, of which `isColumnReduction` is true.
  static ColumnGroup find(mlir::linalg::LinalgOp op);
  /// Whether `tail`, an op on what `op` makes, can be one of the `tails`.
  static bool takes(mlir::linalg::LinalgOp op, mlir::linalg::GenericOp tail);
  void erase();
};

/// Emits the loops of such ops, each between its `bounds`: vectors of results
/// stay in registers of `vectorBytes` while the reducing loops run.
void emitColumnReduction(
    mlir::ImplicitLocOpBuilder &b, const ColumnGroup &group,
    llvm::ArrayRef<std::pair<mlir::Value, mlir::Value>> bounds,
    int64_t vectorBytes);

} // namespace dlc

#endif
