/// \file
/// Products of bytes by the dot product instructions of a machine: each lane
/// of 32 bits of a register sums four products of consecutive bytes.
#ifndef DLC_PASSES_CPU_CONTRACTDOT_H
#define DLC_PASSES_CPU_CONTRACTDOT_H

#include "passes/Cpu/ContractEmit.h"

namespace dlc {

/// As the passes' option `dot` says it; nothing for another word.
std::optional<DotKind> parseDotKind(llvm::StringRef name);

/// Emits tiles of a contraction whose B is in groups (`dlc.dot`).
class DotProducts {
public:
  /// Nothing if the machine has no instruction for the operands' signs.
  static std::optional<DotProducts> get(ContractEmitter &emitter);

  int64_t getLanes() const { return lanes; }
  /// What the choice of a tile may use of the machine's registers.
  int64_t getRegisters() const;
  /// `tile` with rows in pairs where the machine multiplies small matrices.
  RegisterTile pairRows(RegisterTile tile, std::optional<int64_t> rows) const;
  llvm::StringRef getName() const;

  /// The tile of the given rows (their operands' offsets) and columns, from
  /// zeros to the stores of C. `bOffset` is that of B's first group.
  void emitTile(llvm::ArrayRef<ContractEmitter::Offsets> rows,
                mlir::Value bOffset, unsigned dim,
                llvm::ArrayRef<TileColumn> columns, mlir::Value mask);

private:
  using Sums = ContractEmitter::Sums;
  /// An operand as the instructions take it: one vector, or two of 16 bits.
  using Prepared = llvm::SmallVector<mlir::Value, 2>;

  DotProducts(ContractEmitter &emitter, DotKind kind)
      : e(emitter), loops(emitter.loops), math(emitter.math), kind(kind),
        lanes(emitter.cpu.dotBytes / 4) {}

  bool usesMatrices(size_t rows) const;
  Sums multiplyMatrices(llvm::ArrayRef<ContractEmitter::Offsets> rows,
                        int64_t count, mlir::Value aOffset, mlir::Value bOffset,
                        int64_t bytes, llvm::ArrayRef<mlir::Value> before);
  Sums toRows(llvm::ArrayRef<mlir::Value> sums, int64_t count);
  llvm::StringRef getDotName() const;
  llvm::StringRef getMatrixName() const;

  mlir::Value loadBytes(mlir::Value offset, int64_t count, int64_t size);
  mlir::Value loadGroup(mlir::Value offset, int64_t count);
  Prepared prepareA(mlir::Value group);
  Prepared prepareB(mlir::Value offset);
  Prepared splitPairs(mlir::Value bytes, bool isUnsigned);
  mlir::Value accumulate(mlir::Value sum, const Prepared &a, const Prepared &b);
  mlir::Value call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::VectorType vector(unsigned bits) const;

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  DotKind kind;
  int64_t lanes;
};

} // namespace dlc

#endif
