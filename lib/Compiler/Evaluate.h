/// \file
/// Runs a model without inputs in the compiler's own process.
#ifndef DLC_LIB_COMPILER_EVALUATE_H
#define DLC_LIB_COMPILER_EVALUATE_H

#include "mlir/IR/AsmState.h"
#include "mlir/IR/BuiltinOps.h"

namespace dlc {

/// Compiles `model`, a module in the phase tensor whose @main has no arguments
/// and static results, for this machine, and runs it. The results are
/// constants of its result types; large ones are resources of the context.
/// The model is changed on the way.
mlir::FailureOr<llvm::SmallVector<mlir::TypedAttr>>
evaluateOnHost(mlir::ModuleOp model);

/// A constant of the elements in `blob`, of which each takes whole bytes: a
/// resource of the context if it is large.
mlir::TypedAttr makeConstant(mlir::RankedTensorType type,
                             mlir::AsmResourceBlob blob);

} // namespace dlc

#endif
