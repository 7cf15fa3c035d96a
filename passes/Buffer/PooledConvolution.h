/// \file
/// Pools of what convolutions make, which both can be computed line by line.
#ifndef DLC_PASSES_BUFFER_POOLEDCONVOLUTION_H
#define DLC_PASSES_BUFFER_POOLEDCONVOLUTION_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace dlc {

/// A pool of lines that a convolution makes.
struct PooledConvolution {
  ContractOp conv;
  unsigned convImage, convLine; ///< its dimensions of images and lines
  mlir::linalg::FillOp fill;    ///< of the pool's results
  mlir::linalg::GenericOp pool;
  unsigned poolImage, poolLine;
  unsigned input = 0; ///< the operand of the pool
  /// Elementwise ops that change the results in their place.
  llvm::SmallVector<mlir::linalg::GenericOp> tails;

  mlir::memref::AllocOp map; ///< what stands between them
  llvm::SmallVector<mlir::linalg::FillOp> borders;
  llvm::SmallVector<int64_t>
      low;            ///< where the convolution's results begin in it
  mlir::Value border; ///< what is around them, or null

  int64_t images, lines, convLines; // of the pool's results, of the map
  int64_t stride, span;             // of windows, in lines

  mlir::Operation *getLast() {
    return tails.empty() ? pool.getOperation() : tails.back().getOperation();
  }
  mlir::MemRefType getMapType() {
    return llvm::cast<mlir::MemRefType>(map.getType());
  }
  mlir::MemRefType getConvType() {
    return llvm::cast<mlir::MemRefType>(conv.getInit().getType());
  }
};

/// The convolution of static sizes that nothing but `pool` reads, if both can
/// be computed in turns where the pool is.
std::optional<PooledConvolution>
findPooledConvolution(mlir::linalg::GenericOp pool);

/// The number by which `expr`, a sum of multiples of dimensions, grows with
/// `dim`, one of `dims`.
int64_t getFactor(mlir::AffineExpr expr, unsigned dim, unsigned dims);

} // namespace dlc

#endif
