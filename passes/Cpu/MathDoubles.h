/// \file
/// Functions of f32 that are computed in f64, and rounded once.
#ifndef DLC_PASSES_CPU_MATHDOUBLES_H
#define DLC_PASSES_CPU_MATHDOUBLES_H

#include "mlir/IR/Operation.h"

namespace dlc {

/// The result of the math.log1p of f64 numbers x >= 0, exact enough for f32.
mlir::Value log1pInDoubles(mlir::Operation *op);

/// The result of the math.powf of f32 numbers, as C's powf has it, within 0.51
/// ulp.
mlir::Value powInDoubles(mlir::Operation *op);

} // namespace dlc

#endif
