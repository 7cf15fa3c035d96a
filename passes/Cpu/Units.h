/// \file
/// The sizes of what threads share: a kernel's work is a grid of units, whose
/// number and extent depend on the kernel alone; each thread gets a part of
/// them. So a result's bits do not depend on the number of threads.
#ifndef DLC_PASSES_CPU_UNITS_H
#define DLC_PASSES_CPU_UNITS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// A part of less work than this is not worth a thread: handing it out and
/// waiting for it costs about a third.
constexpr double kPartCycles = 10000;
/// Units are not made smaller than this, so that finding the next one is
/// nothing beside them.
constexpr double kUnitCycles = 4000;
/// So many units keep a few threads equally busy.
constexpr int64_t kWantedUnits = 64;

/// The units that a part must have.
int64_t getGrain(double unitCycles);

/// The size, a multiple of `step`, of blocks of `extent`: at most `block`, and
/// smaller where `otherUnits`, the number of units for each block, make too few
/// of them. An element of the extent takes `cycles` in a unit.
int64_t shrinkBlock(int64_t extent, int64_t block, int64_t step,
                    double otherUnits, double cycles);

/// Cycles of one iteration of the innermost loop of `op`, vectorised.
double estimateIteration(mlir::linalg::LinalgOp op);

/// A unit: its place in each dimension of the grid, its number, that of the
/// first of the units up to it that have the same memory and leave it to the
/// next one, the thread's own memory.
struct Unit {
  llvm::SmallVector<mlir::Value> index;
  mlir::Value number, since, own;
};

/// Emits a dlc.parallel over a grid of units, the last dimension innermost, of
/// `cycles` each; `body` emits one unit. `group` units at a time are best done
/// by one thread. Emits nothing and returns false where threads would not pay.
bool emitUnits(mlir::ImplicitLocOpBuilder &b,
               llvm::ArrayRef<mlir::Value> counts, double cycles,
               llvm::function_ref<void(const Unit &)> body, int64_t group = 1);

} // namespace dlc

#endif
