/// \file
/// What follows from constants alone, and so is evaluated at compile time.
#ifndef DLC_PASSES_TENSOR_CONSTANTS_H
#define DLC_PASSES_TENSOR_CONSTANTS_H

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

} // namespace dlc

#endif
