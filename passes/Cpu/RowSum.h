/// \file
/// The sum of the elements of a row, in vectors while they are computed.
#ifndef DLC_PASSES_CPU_ROWSUM_H
#define DLC_PASSES_CPU_ROWSUM_H

#include "passes/Cpu/RowSweep.h"

namespace dlc {

/// Emits what a step with a sum does. What is kept of the sum are its slots:
/// one of each of the vectors that are computed at once; of exponentials, one
/// of f32, and what its additions were rounded by.
class RowSum {
public:
  RowSum(mlir::ImplicitLocOpBuilder &b, const RowStep &step)
      : b(b), addition(step.findAddition()),
        addsExponentials(step.addsExponentials) {}

  unsigned countSlots(int64_t vectors) const {
    return addsExponentials ? 2 : vectors;
  }
  /// The slots of no elements, `width` lanes each, numbers if that is 0.
  llvm::SmallVector<mlir::Value> start(int64_t width, int64_t vectors) const;
  /// `added` has as many lanes as the slots have, a multiple of `lanes`.
  void accumulate(llvm::MutableArrayRef<mlir::Value> slots, mlir::Value added,
                  int64_t lanes) const;
  /// The sum of all lanes.
  mlir::Value finish(llvm::ArrayRef<mlir::Value> slots) const;
  mlir::Value combine(mlir::Value x, mlir::Value y) const;
  mlir::Value neutral(int64_t width) const;

private:
  mlir::Value combineLanes(mlir::Value vector) const;

  mlir::ImplicitLocOpBuilder &b;
  mlir::Operation *addition;
  bool addsExponentials;
};

} // namespace dlc

#endif
