/// \file
/// How steps on the same rows are done by chunks of the rows.
#ifndef DLC_PASSES_GPU_ROWPLAN_H
#define DLC_PASSES_GPU_ROWPLAN_H

#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Rows.h"
#include "llvm/ADT/MapVector.h"

namespace dlc {

/// Which elements of an operand a step uses for a row.
enum class RowForm {
  Number, ///< no memory: a value
  One,    ///< a single one
  Row,    ///< all, in the order of the step
  Shared, ///< all, in this order, of a row that is the same for all rows
  Other,
};

struct RowOperand {
  RowForm form;
  unsigned argument = 0;
  int64_t buffer = 0;
  bool isRead = true, isWritten = false;
};

struct RowStep {
  mlir::linalg::LinalgOp op;
  unsigned dims;        // of the rows
  bool isWhole = false; // on all elements of rows
  llvm::SmallVector<RowOperand> operands;
};

/// How long the threads need a buffer, in steps.
struct RowLife {
  size_t first, last, lastWritten = 0;
  RowForm form;
  bool isLoaded, isStored, isWritten = false;
  mlir::Type type;
  int64_t place;
};

/// Finds out whether the steps can be done by chunks, and how.
struct RowPlan {
  bool make(Kernel &kernel, const RowSteps &given);

  llvm::SmallVector<RowStep> steps;
  llvm::MapVector<int64_t, RowLife> lives; // of buffers with rows
  int64_t rows = 1;                        // or kDynamic
  int64_t length = 1;                      // of a row, or kDynamic
  int64_t width = 1;                       // elements of a chunk
  int64_t threads = 256;                   // of a row
  int64_t chunks = 0;                      // of a thread; 0: in a loop
  int64_t rowsPerBlock = 1;

private:
  bool addStep(Kernel &kernel, mlir::linalg::LinalgOp op, unsigned dims,
               const RowSteps &given);
  bool isFree() const;
  void chooseWidth();
  void chooseThreads();
  int64_t countRegisters() const;
};

} // namespace dlc

#endif
