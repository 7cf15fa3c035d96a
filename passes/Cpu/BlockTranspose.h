/// \file
/// Turns rows into columns by blocks that fit the registers.
#ifndef DLC_PASSES_CPU_BLOCKTRANSPOSE_H
#define DLC_PASSES_CPU_BLOCKTRANSPOSE_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// `body` for each `step`-th index from `first` up to `end`: a loop, or nothing
/// where none is known to be.
void emitLoop(mlir::ImplicitLocOpBuilder &b, mlir::Value first, mlir::Value end,
              int64_t step, llvm::function_ref<void(mlir::Value)> body);

/// Where a row begins in a flat buffer.
using RowOffsets = std::function<mlir::Value(mlir::Value)>;

/// target[c][r] = source[row(r) + c * stride] for all of `target`, a memref of
/// columns x rows, these a multiple of `lanes`, a power of two. Booleans become
/// bytes.
void emitTransposition(mlir::ImplicitLocOpBuilder &b, mlir::Value source,
                       const RowOffsets &row, mlir::Value stride,
                       mlir::Value target, int64_t lanes);

/// Rows, vectors in registers, as columns: perfect shuffles, as many as log2 of
/// their number. Of vectors longer than that, each part of this length by
/// itself.
void transposeVectors(mlir::ImplicitLocOpBuilder &b,
                      llvm::SmallVectorImpl<mlir::Value> &rows);

/// target = source, two memrefs of rows x columns, as another type of floats.
void emitConversion(mlir::ImplicitLocOpBuilder &b, mlir::Value source,
                    mlir::Value target, int64_t lanes);

/// A part of a matrix that is transposed in registers.
struct BlockShape {
  int64_t rows, columns;
};

/// The block whose columns are whole vectors of at most `vectorBytes`, in a
/// matrix of rows x columns, which may be dynamic. It is square for elements of
/// 4 and 8 bytes; rows of smaller ones have 16 bytes, which shuffles in parts
/// of vectors turn. Nothing if the matrix or vectors are too small.
std::optional<BlockShape> chooseBlock(mlir::Type element, int64_t vectorBytes,
                                      int64_t rows, int64_t columns);

/// Loads a block from `source` and stores its columns in `target`. `row(r)` is
/// the place in the source of the first element of a row, `column(c)` that in
/// the target of a column.
void emitBlockTransposition(
    mlir::ImplicitLocOpBuilder &b, const BlockShape &shape, mlir::Value source,
    mlir::Value target,
    llvm::function_ref<llvm::SmallVector<mlir::Value>(int64_t)> row,
    llvm::function_ref<llvm::SmallVector<mlir::Value>(int64_t)> column);

} // namespace dlc

#endif
