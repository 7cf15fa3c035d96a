/// \file
/// How large a model is behind a phase: for --report.
#ifndef DLC_LIB_COMPILER_STATISTICS_H
#define DLC_LIB_COMPILER_STATISTICS_H

#include "dlc/Compiler.h"

namespace dlc {

/// Numbers of one run. What depends on sizes that are not known is not in
/// them; the bodies of loops, and each branch, count once.
struct Statistics {
  int64_t nodes = 0;       ///< operations on tensors that are no constant
  int64_t macs = 0;        ///< multiply-accumulates
  int64_t weightBytes = 0; ///< of constants, each once
  int64_t movedBytes = 0;  ///< of activations read or written
  /// How often an activation is read or written as a whole. Reshapes and
  /// other views take none.
  int64_t memoryPasses = 0;
  bool isDynamic = false; ///< sizes were missing
};

/// Counts in a module in one of the phases onnx to tensor.
DLC_API Statistics countStatistics(mlir::ModuleOp module);

/// The memory that a run works in, in bytes.
struct WorkingMemory {
  int64_t arena = 0;   ///< of everything with a known size
  int64_t live = 0;    ///< the largest sum of tensors that live at a time
  int64_t places = 0;  ///< the same of the places that they have
  int64_t borders = 0; ///< with borders of zeros around them
  int64_t scratch = 0; ///< and with what kernels need beside
};

/// What a module behind the phase `buffer` says about it.
DLC_API WorkingMemory getWorkingMemory(mlir::ModuleOp module);
DLC_API void printMemory(llvm::raw_ostream &os, const WorkingMemory &memory);

/// Prints the phases side by side, a row a number.
DLC_API void
printReport(llvm::raw_ostream &os,
            llvm::ArrayRef<std::pair<llvm::StringRef, Statistics>> columns);

} // namespace dlc

#endif
