/// \file
/// What depends on constants only, and so costs nothing at run time.
#ifndef DLC_PASSES_GRAPH_CONSTANTS_H
#define DLC_PASSES_GRAPH_CONSTANTS_H

#include "mlir/IR/Value.h"

namespace dlc {

/// True if `value` is computed from constants by pure ops.
bool isConstantOnly(mlir::Value value);

} // namespace dlc

#endif
