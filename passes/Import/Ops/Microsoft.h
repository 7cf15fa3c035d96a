/// \file
/// What operators of com.microsoft share.
#ifndef DLC_PASSES_IMPORT_OPS_MICROSOFT_H
#define DLC_PASSES_IMPORT_OPS_MICROSOFT_H

#include "passes/Import/OpTable.h"

namespace dlc {

/// x * Phi(x)
mlir::Value gelu(NodeImport &node, mlir::Value x);

/// The softmax of the dimensions from `axis` on as one, as ONNX had it before
/// opset 13.
mlir::Value softmaxFrom(NodeImport &node, mlir::Value x, int64_t axis);

/// The result of a node that was imported as one with the channels in front, in
/// which they are last.
ImportResult withChannelsLast(NodeImport &node, ImportResult results);

} // namespace dlc

#endif
