/// \file
/// When the buffers of @main live, and how much memory that takes at the least.
#ifndef DLC_PASSES_BUFFER_LIFETIMES_H
#define DLC_PASSES_BUFFER_LIFETIMES_H

#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace dlc {

/// A static buffer that lives from its first to its last access, at positions
/// `begin` and `end` of the top-level block.
struct Lifetime {
  mlir::memref::AllocOp op;
  int64_t begin, end, size, offset = 0;
  int64_t border = 0;     ///< bytes around what a convolution reads
  bool isScratch = false; ///< of a kernel

  bool holds(int64_t position) const {
    return begin <= position && position <= end;
  }
};

/// Bytes that live at a time.
struct LiveBytes {
  int64_t tensors = 0;
  int64_t places = 0; ///< where two tensors may have one (dlc-reuse-operands)
  int64_t withBorders = 0, withScratch = 0;
};

/// The buffers of @main.
struct Lifetimes {
  Lifetimes(mlir::func::FuncOp main,
            const mlir::BufferViewFlowAnalysis &aliases);

  llvm::SmallVector<Lifetime> buffers;
  /// Those that have a place only while the run goes on.
  llvm::SmallVector<mlir::memref::AllocOp> dynamic;

  /// Where `op`, or what it is in, stands in the top-level block.
  int64_t getPosition(mlir::Operation *op) const;
  LiveBytes at(int64_t position) const;
  /// The largest sums: what an arena must hold at the least.
  LiveBytes findLargest() const;

private:
  mlir::Block &entry;
  llvm::DenseMap<mlir::Operation *, int64_t> positions;
  /// The bytes of operands in whose places results are written, by position:
  /// one tensor more than there are places.
  llvm::SmallDenseMap<int64_t, int64_t> replaced;
};

} // namespace dlc

#endif
