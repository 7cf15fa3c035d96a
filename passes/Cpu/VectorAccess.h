/// \file
/// Vectors of elements of a flat buffer, whatever their distance and type.
#ifndef DLC_PASSES_CPU_VECTORACCESS_H
#define DLC_PASSES_CPU_VECTORACCESS_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// `width` elements of an operand at distance `stride`, of which only those
/// that `mask` (null: all) has are read.
mlir::Value loadVector(mlir::ImplicitLocOpBuilder &b,
                       const ContractOperand &operand, mlir::Value offset,
                       mlir::Value stride, int64_t width, mlir::Value mask);
/// ... and written.
void storeVector(mlir::ImplicitLocOpBuilder &b, const ContractOperand &operand,
                 mlir::Value vector, mlir::Value offset, mlir::Value stride,
                 mlir::Value mask);
/// Which numbers from 0 to `width` are less than `count`.
mlir::Value getMask(mlir::ImplicitLocOpBuilder &b, mlir::Value count,
                    int64_t width);

} // namespace dlc

#endif
