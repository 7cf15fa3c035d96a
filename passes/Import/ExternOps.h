/// \file
/// Operators that the program around the model computes: --extern-op.
#ifndef DLC_PASSES_IMPORT_EXTERNOPS_H
#define DLC_PASSES_IMPORT_EXTERNOPS_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Error.h"

namespace dlc {

/// Gives the context a row that turns nodes of one operator into calls of a C
/// function. `text` is `domain::Name=symbol`, or with the shapes of inputs and
/// results `domain::Name=symbol:[n,c],[c]->f32[n,2]`.
llvm::Error addExternOp(mlir::MLIRContext &context, llvm::StringRef text);

} // namespace dlc

#endif
