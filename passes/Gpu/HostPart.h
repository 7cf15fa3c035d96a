/// \file
/// What the passes ask about the part of a model that stays on the host.
#ifndef DLC_PASSES_GPU_HOSTPART_H
#define DLC_PASSES_GPU_HOSTPART_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/EquivalenceClasses.h"

namespace dlc {

/// The op that `view` looks through, as an operand of its own; none if `view`
/// is no view.
mlir::Value sourceOf(mlir::Operation *view);

/// The buffer that `value` is a part of, through all views.
mlir::Value rootOf(mlir::Value value);

/// For each argument of a kernel whether the kernel writes to it.
llvm::SmallVector<bool> findWrittenArguments(mlir::func::FuncOp kernel);

/// Which buffers of a function may be the same memory: one and its parts, what
/// goes around a loop or comes out of a branch.
class BufferClasses {
public:
  explicit BufferClasses(mlir::func::FuncOp function);

  /// One buffer that stands for all of its class.
  mlir::Value classOf(mlir::Value buffer) const;
  void unite(mlir::Value a, mlir::Value b);

private:
  llvm::EquivalenceClasses<const void *> classes;
};

} // namespace dlc

#endif
