/// \file
/// Axes that an input names, known while importing or at run time only.
#ifndef DLC_PASSES_IMPORT_OPS_AXES_H
#define DLC_PASSES_IMPORT_OPS_AXES_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// The axes in `input`, in [0, rank), where all are known while importing;
/// nullopt where they are not, or after an error.
std::optional<llvm::SmallVector<int64_t>>
knownAxes(NodeImport &node, unsigned input, int64_t rank);

/// The number of axes in `input`, where its type says it, or where the
/// result's rank does: it is `rank` and one more (`sign` = 1) or less (-1) an
/// axis. An error, and nullopt, otherwise.
std::optional<int64_t> countAxes(NodeImport &node, unsigned input, int64_t rank,
                                 int sign);

/// Axes known at run time only. Those out of range, and two that are equal,
/// fail the run.
class RunTimeAxes {
public:
  /// Reads the axes in `input`, whose number may be known at run time only.
  RunTimeAxes(Emit &e, unsigned input, int64_t rank);

  /// How many there are: an attribute where that is known.
  mlir::OpFoldResult count;
  /// The axes in their order, in [0, rank); empty unless `count` is known.
  llvm::SmallVector<Num> list;
  /// Whether each dimension is one of them.
  llvm::SmallVector<Num> isNamed;

  /// `values[i]` where dimension `dim` is axis i, else `otherwise`. The number
  /// of axes is known.
  Num choose(int64_t dim, llvm::ArrayRef<Num> values, Num otherwise);
  /// Fails the run unless there are so many axes, or `orElse` holds.
  void expectCount(int64_t expected, Num orElse = {});
  /// The sizes of the first `number` dimensions that are no axes.
  Elements sizesOfOthers(llvm::ArrayRef<mlir::OpFoldResult> sizes,
                         int64_t number);

private:
  Emit &e;
};

} // namespace dlc

#endif
