/// \file
/// What operators on quantized tensors share: the ops of the dlc dialect that
/// stand for them, and checks of their parameters.
#ifndef DLC_PASSES_IMPORT_OPS_QUANTIZATION_H
#define DLC_PASSES_IMPORT_OPS_QUANTIZATION_H

#include "passes/Import/OpTable.h"

namespace dlc {

/// round(x / scale) + zero, of f32; null after an error, as all of these.
mlir::Value quantize(NodeImport &node, mlir::Value x, mlir::Value scale,
                     mlir::Value zero);
/// (x - zero) * scale in f32; `zero` may be null.
mlir::Value dequantize(NodeImport &node, mlir::Value x, mlir::Value scale,
                       mlir::Value zero);
/// The product of 8-bit integers in i32; zero points may be null.
mlir::Value integerMatmul(NodeImport &node, mlir::Value a, mlir::Value aZero,
                          mlir::Value b, mlir::Value bZero);
/// saturate(round(sum * aScale * bScale / yScale) + yZero)
mlir::Value requantize(NodeImport &node, mlir::Value sum, mlir::Value aScale,
                       mlir::Value bScale, mlir::Value yScale,
                       mlir::Value yZero);

/// Numbers of 2, 4 or 8 bits along the last axis of bytes, the lowest bits
/// first, as ui8: [..., n] -> [..., n * 8 / bits].
mlir::Value unpackBits(NodeImport &node, mlir::Value bytes, int64_t bits);

/// A tensor of f32 in ui8, by the range of its elements.
struct DynamicallyQuantized {
  mlir::Value y, scale, zero;
};
DynamicallyQuantized quantizeDynamically(NodeImport &node, mlir::Value x);

/// The inputs of a node that are a tensor (nothing for a result), its scale
/// and its zero point.
struct QuantizedInput {
  std::optional<unsigned> x;
  unsigned scale, zero;
};
/// Scales that are constants are finite and not 0; zero points have the type
/// of their tensor.
llvm::LogicalResult expectParameters(NodeImport &node,
                                     llvm::ArrayRef<QuantizedInput> inputs);
llvm::LogicalResult expectScale(NodeImport &node, unsigned i);
/// Of input i, which may be absent.
llvm::LogicalResult expectType(NodeImport &node, unsigned i, mlir::Type type);

} // namespace dlc

#endif
