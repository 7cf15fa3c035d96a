/// \file
/// Several steps on a row in one pass over it, as vector code.
#ifndef DLC_PASSES_CPU_ROWSWEEP_H
#define DLC_PASSES_CPU_ROWSWEEP_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/Cpu/ContractLoops.h"
#include <vector>

namespace dlc {

/// So many elements of a buffer in a block of rows, which a few of them leave
/// in the nearest cache.
constexpr int64_t kBlockElements = 2048;

/// A step of a kernel on rows: a linalg op with its rows as the first loop.
struct RowStep {
  mlir::linalg::GenericOp op;
  llvm::SmallVector<mlir::AffineMap> maps;
  llvm::SmallVector<mlir::utils::IteratorType> kinds;
  /// Of each operand: the buffer, whose first dimension are the rows where it
  /// has some of its own.
  llvm::SmallVector<mlir::Value> buffers;
  llvm::SmallVector<bool> hasRows;
  /// The next block has other rows, not the same memory again.
  llvm::SmallVector<bool> hasNext;
  /// It adds up exponentials: in f64, since there may be many.
  bool addsExponentials = false;

  mlir::Block &getBody() const {
    return *mlir::linalg::GenericOp(op).getBody();
  }
  unsigned getInputCount() const {
    return mlir::linalg::GenericOp(op).getNumDpsInputs();
  }
  bool isWritten(unsigned operand) const { return operand >= getInputCount(); }
  /// Whether an operand has more than one element of a row.
  bool isAlongRow(unsigned operand) const {
    return kinds.size() > 1 && maps[operand].isFunctionOfDim(1);
  }
  /// The number of elements of a row, where it is known.
  int64_t getLength() const;
};

/// Steps on elements of a row and sums of them, of which none needs a sum of
/// the others.
///
///   for the rows of a block
///     for vectors of the row
///       e = exp(x - max)
///       sums += e
///     sum = all lanes of sums
class RowSweep {
public:
  /// With `isFar`, rows come from beyond the second cache.
  RowSweep(int64_t vectorBytes, int64_t registers, bool isFar)
      : vectorBytes(vectorBytes), registers(registers), isFar(isFar) {}

  /// Whether `step` is one for a sweep.
  static bool fits(const RowStep &step, int64_t vectorBytes);

  /// Whether `step` can be done together with those that are there already.
  /// `share(a, b)` tells of two buffers whether they have the same memory.
  bool takes(const RowStep &step,
             llvm::function_ref<bool(mlir::Value, mlir::Value)> share) const;
  /// Whether `step`, on numbers of rows, can be done before the sweep although
  /// it comes behind it.
  bool
  mayFollow(const RowStep &step,
            llvm::function_ref<bool(mlir::Value, mlir::Value)> share) const;
  void add(const RowStep &step) { steps.push_back(step); }
  bool empty() const { return steps.empty(); }
  void clear() { steps.clear(); }

  /// Emits all steps for the rows of a block; `getBlock` finds its part of a
  /// buffer with rows.
  void emit(mlir::ImplicitLocOpBuilder &b,
            llvm::function_ref<mlir::Value(mlir::Value)> getBlock) const;

private:
  int64_t vectorBytes, registers;
  bool isFar;
  std::vector<RowStep> steps;
};

} // namespace dlc

#endif
