/// \file
/// What it takes to compute a tensor in the loops that use it, and what to
/// store it for them. docs/Fusion.md has the model and where its numbers come
/// from.
#ifndef DLC_PASSES_TENSOR_FUSIONCOST_H
#define DLC_PASSES_TENSOR_FUSIONCOST_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace dlc {

/// One thread of a processor, or all of a GPU.
struct FusionMachine {
  double lanes;       ///< elements that one operation of a cycle computes
  double cache;       ///< bytes that are still near when the next loop begins
  double nearBytes;   ///< a cycle, from there
  double memoryBytes; ///< a cycle, from memory
  double launch;      ///< cycles that another loop takes to begin
  /// Every element is computed apart, as a GPU's threads do; otherwise what
  /// inner loops do not change stands in front of them.
  bool perElement;
};

/// Cycles of both ways.
struct FusionCost {
  double stored = 0;   ///< computed once, stored, and loaded by each use
  double computed = 0; ///< computed again by each use

  bool isFused() const { return computed <= stored; }
};

/// The costs of an elementwise op whose result has these uses, all of them
/// operands of linalg ops. Sizes that are not known count as 64.
FusionCost estimateFusion(mlir::linalg::GenericOp producer,
                          mlir::ArrayRef<mlir::OpOperand *> uses,
                          const FusionMachine &machine);

} // namespace dlc

#endif
