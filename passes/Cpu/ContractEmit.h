/// \file
/// Pieces of kernels that all generators share: loop nests, vector access
/// with masks and strides, products and the epilogue on vectors.
#ifndef DLC_PASSES_CPU_CONTRACTEMIT_H
#define DLC_PASSES_CPU_CONTRACTEMIT_H

#include "passes/Cpu/ContractLoops.h"
#include "passes/Cpu/ContractTile.h"

namespace dlc {

/// Emits kernels of one contraction at the builder's insertion point.
struct ContractEmitter {
  ContractEmitter(ContractLoops &loops, const CpuIsa &cpu,
                  mlir::ImplicitLocOpBuilder &b)
      : loops(loops), cpu(cpu), b(b), math(b), sumType(loops.op.getSumType()),
        lanes(cpu.getLanes(sumType)) {}

  ContractLoops &loops;
  const CpuIsa &cpu;
  mlir::ImplicitLocOpBuilder &b;
  IndexMath math;
  mlir::Type sumType;
  int64_t lanes;
  /// For remarks: what a generator chose, ", 6 x 64 sums in registers".
  std::string description;

  /// One offset an operand, in the order of the maps.
  using Offsets = llvm::SmallVector<mlir::Value>;
  using Body = llvm::function_ref<void(const Offsets &)>;

  /// The offsets of the operands' first elements.
  Offsets getBases();
  /// `offsets` moved by `i` along `dim`.
  Offsets move(const Offsets &offsets, unsigned dim, mlir::Value i);
  /// `for` loops over `dims`; `body` gets the offsets moved along them.
  void emitLoops(llvm::ArrayRef<unsigned> dims, const Offsets &start,
                 Body body);
  /// Cycles that `products` multiply-adds take which read `bytes` from beyond
  /// the nearest caches.
  double getCycles(double products, double bytes);
  /// The number of blocks of `size` in `extent`.
  mlir::Value countBlocks(mlir::Value extent, int64_t size);
  void emitFor(mlir::Value lower, mlir::Value upper, int64_t step,
               llvm::function_ref<void(mlir::Value)> body) {
    dlc::emitFor(b, lower, upper, step, body);
  }
  /// Columns from `first`, a multiple of the tile's width, up to `end`: another
  /// such multiple, or all of `extent`.
  struct ColumnRange {
    mlir::Value first, end, extent;
  };
  /// Block `index` of `width` columns of `extent`, the last one of which may be
  /// smaller; all if `index` is null.
  ColumnRange getColumns(mlir::Value extent, mlir::Value index, int64_t width);
  /// Covers a range of columns: `body` gets the first column of a tile of
  /// `width` columns, then of what is left, with its vectors and the mask of
  /// the last one (null if it is full).
  void
  emitColumns(const ColumnRange &range, int64_t width,
              llvm::function_ref<void(mlir::Value, llvm::ArrayRef<TileColumn>,
                                      mlir::Value)>
                  body);
  /// Covers [first, end) in tiles of `height` rows: `body` gets the first row
  /// and the height. What is left is one tile if `total`, the number of all
  /// rows, is known (`first` is then a multiple of `height`), or else tiles of
  /// a power of two.
  void emitRows(mlir::Value first, mlir::Value end, mlir::Value total,
                int64_t height,
                llvm::function_ref<void(mlir::Value, int64_t)> body);
  /// The operands' offsets at `count` positions from `first` on in the space
  /// of `dims`, counted row by row; `first` is a multiple of `alignment`.
  llvm::SmallVector<Offsets> getOffsets(const Offsets &bases,
                                        llvm::ArrayRef<unsigned> dims,
                                        mlir::Value first, int64_t count,
                                        int64_t alignment);
  using Sums = llvm::SmallVector<mlir::Value>;
  /// Loops over the summed dimensions `dims`: `body` gets the offsets of a and
  /// b and the sums so far, and returns the new sums. The innermost loop is
  /// unrolled about `unroll` times; `group` gets the offsets and the number of
  /// steps before each turn of it.
  Sums emitSum(
      llvm::ArrayRef<unsigned> dims, mlir::Value aOffset, mlir::Value bOffset,
      llvm::ArrayRef<mlir::Value> sums, int64_t unroll,
      llvm::function_ref<Sums(mlir::Value, mlir::Value,
                              llvm::ArrayRef<mlir::Value>)>
          body,
      llvm::function_ref<void(mlir::Value, mlir::Value, int64_t)> group =
          [](mlir::Value, mlir::Value, int64_t) {});
  /// `for i = lower to upper step step` that carries sums.
  Sums emitSumLoop(
      mlir::Value lower, mlir::Value upper, int64_t step,
      llvm::ArrayRef<mlir::Value> sums,
      llvm::function_ref<Sums(mlir::Value, llvm::ArrayRef<mlir::Value>)> body);

  mlir::Value loadScalar(const ContractOperand &operand, mlir::Value offset);
  /// `column.width` elements at distance `stride`, of which only the existing
  /// ones, by `mask` (null: all), are read.
  mlir::Value loadVector(const ContractOperand &operand, mlir::Value offset,
                         mlir::Value stride, TileColumn column,
                         mlir::Value mask);
  void storeVector(const ContractOperand &operand, mlir::Value vector,
                   mlir::Value offset, mlir::Value stride, TileColumn column,
                   mlir::Value mask);
  /// The mask of a column that isn't full, null for a full one.
  mlir::Value getMask(TileColumn column);
  /// The mask of the first `count` of `width` elements.
  mlir::Value getMask(mlir::Value count, int64_t width);
  /// True if all operands can be masked.
  bool hasMasks();

  /// `value` (a scalar or vector) as the type of the sum, its top bit inverted
  /// first if it is `flipped`.
  mlir::Value extend(mlir::Value value, bool isUnsigned, bool flipped);
  mlir::Value extendA(mlir::Value value) {
    return extend(value, loops.aUnsigned, loops.aFlipped);
  }
  mlir::Value extendB(mlir::Value value) {
    return extend(value, loops.bUnsigned, loops.bFlipped);
  }
  mlir::Value broadcast(mlir::Value scalar, int64_t width);
  mlir::Value zeros(int64_t width);
  /// sum + x * y
  mlir::Value multiplyAdd(mlir::Value x, mlir::Value y, mlir::Value sum);
  /// The op's epilogue on vectors (or scalars): the arguments are those of
  /// its block. `width` is 0 for scalars.
  mlir::Value emitEpilogue(llvm::ArrayRef<mlir::Value> arguments,
                           int64_t width);
  /// Applies the epilogue to sums of `column` and stores them. `offsets` are
  /// those of the first element, `dim` is the dimension the vector runs along.
  void finish(mlir::Value sums, const Offsets &offsets, unsigned dim,
              TileColumn column, mlir::Value mask);
};

/// True if every op of the epilogue works on vectors as on scalars.
bool hasVectorEpilogue(ContractOp op);

/// Generators, each for one form of contraction. They return false, having
/// emitted nothing, where the form is not theirs. Of float32 each element of C
/// is written once, after all that is read of its extras: they may lie in its
/// place (dlc-reuse-operands).
bool emitWinograd(ContractEmitter &emitter);
bool emitFourier(ContractEmitter &emitter);
bool emitTiles(ContractEmitter &emitter);
bool emitGemm(ContractEmitter &emitter);
bool emitDepthwise(ContractEmitter &emitter);
bool emitDot(ContractEmitter &emitter);
/// Replaces `op` by the kernel of the first generator whose form it has.
void lowerContract(ContractOp op, const CpuIsa &isa);
/// Replaces `op`, which has a tile and scratch memory, by its kernel; an error
/// where an operand's layout isn't linear.
llvm::LogicalResult lowerAttention(AttentionOp op, const CpuIsa &isa);
/// Always right: one element after the other, `op`'s maps applied as they are.
/// With `threads` these may share the work.
void emitScalar(ContractOp op, bool threads, mlir::ImplicitLocOpBuilder &b);

} // namespace dlc

#endif
