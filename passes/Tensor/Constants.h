/// \file
/// What follows from constants alone, and so is evaluated at compile time.
#ifndef DLC_PASSES_TENSOR_CONSTANTS_H
#define DLC_PASSES_TENSOR_CONSTANTS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"

namespace dlc {

/// Which values follow from constants alone; each op is looked at once.
class KnownConstants {
public:
  bool contains(mlir::Value value);

private:
  bool isFromConstants(mlir::Operation *op);

  llvm::DenseMap<mlir::Operation *, bool> known;
};

/// True for an op that only gives others something to overwrite (tensor.empty,
/// linalg.fill, fills inserted in these): it costs nothing, and has no bytes of
/// its own.
bool isDestinationOnly(mlir::Operation *op);

/// Moves the tensors that depend on constants only from the branches and loops
/// of `function` to its top level:
///
///     scf.if %c {
///       %t = linalg.transpose ins(%w) outs(%e) ...
///
/// becomes
///
///     %t = linalg.transpose ins(%w) outs(%e) ...
///     scf.if %c {
void takeConstantsOutOfRegions(mlir::func::FuncOp function);

} // namespace dlc

#endif
