/// \file
/// Expansions of math functions of f32, for scalars and vectors, where MLIR's
/// are wrong: in subnormal numbers, near zero, or near the largest numbers; or
/// where there are none.
#ifndef DLC_PASSES_CPU_MATHFUNCTIONS_H
#define DLC_PASSES_CPU_MATHFUNCTIONS_H

#include "mlir/IR/Operation.h"

namespace dlc {

struct MathOptions {
  /// There is an instruction that multiplies by powers of two.
  bool scales = false;
  /// exp(x - y) of a softmax is that of the difference before it is rounded.
  bool exactDifferences = false;
  /// Arithmetic of f64 is faster than calls of functions.
  bool doubles = false;
};

/// Replaces the op, where it is such a function of f32, by arithmetic and by
/// functions that MLIR expands well.
void expandMathFunction(mlir::Operation *op, const MathOptions &options);

} // namespace dlc

#endif
