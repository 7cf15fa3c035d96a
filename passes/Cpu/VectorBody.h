/// \file
/// The body of an op on scalars, computed on vectors.
#ifndef DLC_PASSES_CPU_VECTORBODY_H
#define DLC_PASSES_CPU_VECTORBODY_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace dlc {

/// True if every op of `body` works on vectors as on scalars.
bool hasVectorBody(mlir::Block &body);

/// Emits the ops of `body` with `arguments` in place of its own: vectors of
/// `width` elements, or scalars if that is 0. Scalars from outside of the body
/// are spread. Returns what the terminator does.
llvm::SmallVector<mlir::Value>
emitVectorBody(mlir::ImplicitLocOpBuilder &b, mlir::Block &body,
               llvm::ArrayRef<mlir::Value> arguments, int64_t width);

/// A constant mask of the first `count` of `width` elements.
mlir::Value getConstantMask(mlir::ImplicitLocOpBuilder &b, int64_t count,
                            int64_t width);

/// `width` booleans of a flat buffer, which has a byte for each, as bytes: a
/// vector of i1 in memory would be bits. Only those that `mask` (null: all) has
/// are read.
mlir::Value loadBooleans(mlir::ImplicitLocOpBuilder &b, mlir::Value buffer,
                         mlir::Value offset, int64_t width, mlir::Value mask);
/// The way back, from a vector of i1.
void storeBooleans(mlir::ImplicitLocOpBuilder &b, mlir::Value vector,
                   mlir::Value buffer, mlir::Value offset, mlir::Value mask);
/// Which bytes, of a vector or one, are not 0.
mlir::Value toBooleans(mlir::ImplicitLocOpBuilder &b, mlir::Value bytes);

/// Tells LLVM that the loops of the function around `op` are vector code
/// already: see lib/Codegen/Optimise.cpp.
void markVectorCode(mlir::Operation *op);

/// Keeps LLVM from unrolling a loop, before it looks for vectors in it or in
/// what is inside.
void keepRolled(mlir::Operation *loop);

} // namespace dlc

#endif
