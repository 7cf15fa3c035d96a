/// \file
/// Products of bytes and of bfloat16 by the dot product instructions of a
/// machine: each lane of 32 bits of a register sums the products of as many
/// consecutive elements as fill it.
#ifndef DLC_PASSES_CPU_CONTRACTDOT_H
#define DLC_PASSES_CPU_CONTRACTDOT_H

#include "passes/Cpu/ContractEmit.h"

namespace dlc {

/// As the passes' option `dot`, or `pairs`, says it; nothing for another word.
/// With tiles, few rows go through the dot products of vectors.
std::optional<DotKind> parseDotKind(llvm::StringRef name);
std::optional<DotKind> parsePairKind(llvm::StringRef name);

/// Emits tiles of a contraction whose B is in groups (`dlc.dot`).
class DotProducts {
public:
  /// Nothing if the machine has no instruction for the operands' type or signs.
  static std::optional<DotProducts> get(ContractEmitter &emitter);

  int64_t getLanes() const { return lanes; }
  /// The elements that a lane sums.
  int64_t getGroup() const { return arePairs() ? 2 : 4; }
  /// Whether B is worth asking for early: of bytes there are few.
  bool prefetches() const { return arePairs(); }
  /// What the choice of a tile may use of the machine's registers.
  int64_t getRegisters() const;
  /// `tile` with rows in pairs where the machine multiplies small matrices.
  RegisterTile pairRows(RegisterTile tile, std::optional<int64_t> rows) const;
  llvm::StringRef getName() const;

  /// The tile of the given rows (their operands' offsets) and columns, from
  /// zeros to the stores of C. `bOffset` is that of B's first group;
  /// `prefetch` is told those of A and B at each turn of the loop, and the
  /// number of its steps.
  void emitTile(
      llvm::ArrayRef<ContractEmitter::Offsets> rows, mlir::Value bOffset,
      unsigned dim, llvm::ArrayRef<TileColumn> columns, mlir::Value mask,
      llvm::function_ref<void(mlir::Value, mlir::Value, int64_t)> prefetch);

private:
  using Sums = ContractEmitter::Sums;
  /// An operand as the instructions take it: one vector, or two of 16 bits.
  using Prepared = llvm::SmallVector<mlir::Value, 2>;

  DotProducts(ContractEmitter &emitter, DotKind kind, int64_t lanes)
      : e(emitter), loops(emitter.loops), math(emitter.math), kind(kind),
        lanes(lanes) {}

  bool arePairs() const {
    return kind == DotKind::Bf16 || kind == DotKind::BfDot ||
           kind == DotKind::BfMmla;
  }

  bool usesMatrices(size_t rows) const;
  Sums multiplyMatrices(llvm::ArrayRef<ContractEmitter::Offsets> rows,
                        int64_t count, mlir::Value aOffset, mlir::Value bOffset,
                        int64_t present, llvm::ArrayRef<mlir::Value> before);
  Sums toRows(llvm::ArrayRef<mlir::Value> sums, int64_t count);
  llvm::StringRef getDotName() const;
  llvm::StringRef getMatrixName() const;

  mlir::Value loadElements(mlir::Value offset, int64_t count, int64_t size);
  mlir::Value loadGroup(mlir::Value offset, int64_t count);
  Prepared prepareA(mlir::Value group);
  Prepared prepareB(mlir::Value offset);
  Prepared splitPairs(mlir::Value bytes, bool isUnsigned);
  mlir::Value accumulate(mlir::Value sum, const Prepared &a, const Prepared &b);
  mlir::Value call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::VectorType vector(unsigned bits) const;
  mlir::VectorType elements() const;

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  DotKind kind;
  int64_t lanes;
};

} // namespace dlc

#endif
