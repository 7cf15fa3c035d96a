/// \file
/// Operations on tensors of strings that several operators need.
#ifndef DLC_PASSES_IMPORT_OPS_STRINGS_H
#define DLC_PASSES_IMPORT_OPS_STRINGS_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// Whether the strings of two tensors, which broadcast, are equal: `i1`.
mlir::Value equalStrings(NodeImport &node, mlir::Value a, mlir::Value c);

/// Conversion between strings and numbers, or strings as they are; null, and
/// an error, for complex numbers.
mlir::Value castStrings(NodeImport &node, mlir::Value x, mlir::Type to);

/// A tensor of `type` whose elements `body` makes of the addresses of the
/// strings of two tensors, which broadcast. It may call the runtime.
mlir::Value zipStrings(NodeImport &node, mlir::Value a, mlir::Value c,
                       mlir::Type type,
                       llvm::function_ref<Num(Emit &, Num, Num)> body);

} // namespace dlc

#endif
