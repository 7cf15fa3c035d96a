/// \file
/// Turns rows into columns by blocks that fit the registers.
#ifndef DLC_PASSES_CPU_BLOCKTRANSPOSE_H
#define DLC_PASSES_CPU_BLOCKTRANSPOSE_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// Where a row begins in a flat buffer.
using RowOffsets = std::function<mlir::Value(mlir::Value)>;

/// target[c][r] = source[row(r) + c * stride] for all of `target`, a memref of
/// columns x rows, these a multiple of `lanes`, a power of two. Booleans become
/// bytes.
void emitTransposition(mlir::ImplicitLocOpBuilder &b, mlir::Value source,
                       const RowOffsets &row, mlir::Value stride,
                       mlir::Value target, int64_t lanes);

/// target = source, two memrefs of rows x columns, as another type of floats.
void emitConversion(mlir::ImplicitLocOpBuilder &b, mlir::Value source,
                    mlir::Value target, int64_t lanes);

} // namespace dlc

#endif
