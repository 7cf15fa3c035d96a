/// \file
/// What recurrent operators and control flow share: loops over tensors.
#ifndef DLC_PASSES_IMPORT_OPS_LOOPS_H
#define DLC_PASSES_IMPORT_OPS_LOOPS_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Import/OpTable.h"

namespace dlc {

/// Element `at` of dimension `axis` of `x`; the dimension is taken out.
mlir::Value takeElement(NodeImport &node, mlir::Value x, int64_t axis,
                        mlir::OpFoldResult at);

/// `x` with `element` in place of element `at` of dimension `axis`.
mlir::Value putElement(NodeImport &node, mlir::Value element, mlir::Value x,
                       int64_t axis, mlir::OpFoldResult at);

/// An uninitialised tensor.
mlir::Value emptyTensor(NodeImport &node,
                        llvm::ArrayRef<mlir::OpFoldResult> sizes,
                        mlir::Type elementType);

/// `value` written into the memory of the loop's tensor `into`, of the same
/// shape: what a loop yields for a state whose shape stays.
mlir::Value writeInto(NodeImport &node, mlir::Value value, mlir::Value into);

/// A copy of `value` that a loop may write into.
mlir::Value ownCopy(NodeImport &node, mlir::Value value);

/// `tensor.cast` to `type` where it is not that already.
mlir::Value castShape(NodeImport &node, mlir::Value value, mlir::Type type);

} // namespace dlc

#endif
