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
      : loops(loops), cpu(cpu), b(b), math(b),
        sumType(loops.op.getSumType()), lanes(cpu.getLanes(sumType)) {}

  ContractLoops &loops;
  const CpuIsa &cpu;
  mlir::ImplicitLocOpBuilder &b;
  IndexMath math;
  mlir::Type sumType;
  int64_t lanes;

  /// One offset an operand, in the order of the maps.
  using Offsets = llvm::SmallVector<mlir::Value>;
  using Body = llvm::function_ref<void(const Offsets &)>;

  /// The offsets of the operands' first elements.
  Offsets getBases();
  /// `for` loops over `dims`; `body` gets the offsets moved along them.
  void emitLoops(llvm::ArrayRef<unsigned> dims, const Offsets &start,
                 Body body);
  /// `for i = lower to upper step step`; nothing if it is known not to run,
  /// no loop if it is known to run once.
  void emitFor(mlir::Value lower, mlir::Value upper, int64_t step,
               llvm::function_ref<void(mlir::Value)> body);
  /// A loop over all summed dimensions from `level` on: `body` gets the
  /// offsets of a and b and the sums so far, and returns the new sums. The
  /// innermost loop is unrolled `unroll` times.
  llvm::SmallVector<mlir::Value>
  emitSum(unsigned level, mlir::Value aOffset, mlir::Value bOffset,
          llvm::ArrayRef<mlir::Value> sums, int64_t unroll,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(
              mlir::Value, mlir::Value, llvm::ArrayRef<mlir::Value>)>
              body);

  mlir::Value loadScalar(const ContractOperand &operand, mlir::Value offset);
  /// `column.width` elements at distance `stride`, of which only the existing
  /// ones are read. `limit` replaces `column.count` where that is dynamic.
  mlir::Value loadVector(const ContractOperand &operand, mlir::Value offset,
                         mlir::Value stride, TileColumn column,
                         mlir::Value mask);
  void storeVector(mlir::Value vector, mlir::Value offset, mlir::Value stride,
                   TileColumn column, mlir::Value mask);
  /// The mask of a column that isn't full, null for a full one.
  mlir::Value getMask(TileColumn column);

  /// `value` (a scalar or vector) as the type of the sum.
  mlir::Value extend(mlir::Value value, bool isUnsigned);
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
/// emitted nothing, where the form is not theirs.
bool emitGemm(ContractEmitter &emitter);
bool emitDepthwise(ContractEmitter &emitter);
bool emitDot(ContractEmitter &emitter);
/// Always right: one element after the other, `op`'s maps applied as they are.
void emitScalar(ContractOp op, mlir::ImplicitLocOpBuilder &b);

} // namespace dlc

#endif
