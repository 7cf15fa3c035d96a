/// \file
/// Winograd's transforms as code on vectors: products of small constant
/// matrices with grids of vectors, with what rows and columns share computed
/// once.
#ifndef DLC_PASSES_CPU_WINOGRADTRANSFORM_H
#define DLC_PASSES_CPU_WINOGRADTRANSFORM_H

#include "dialects/Dlc/Dlc.h"
#include "lib/Kernels/Winograd.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Cpu/ContractTile.h"

namespace dlc {

/// T x T vectors of a tile, m x m of its outputs, or r x r of a window.
using VectorGrid = llvm::SmallVector<llvm::SmallVector<mlir::Value>>;

/// Emits transforms at the builder's insertion point.
struct WinogradTransform {
  mlir::ImplicitLocOpBuilder &b;
  bool fma; ///< the CPU has a fused multiply-add instruction
  /// Scalars to multiply by, where they aren't constants of the code.
  llvm::SmallVector<std::pair<double, mlir::Value>> factors = {};

  /// left * grid * right^T
  VectorGrid apply(const Matrix &left, const VectorGrid &grid,
                   const Matrix &right);
  /// matrix * vectors
  llvm::SmallVector<mlir::Value> multiply(const Matrix &matrix,
                                          llvm::ArrayRef<mlir::Value> vectors);

private:
  mlir::Value splat(mlir::Type type, double factor);
  mlir::Value scale(mlir::Value vector, double factor);
  /// sum + vector * factor
  mlir::Value addProduct(mlir::Value sum, mlir::Value vector, double factor);
};

/// Replaces `op`, on memrefs, by loops over vectors.
void lowerWinogradWeights(WinogradWeightsOp op, const CpuIsa &isa);

} // namespace dlc

#endif
