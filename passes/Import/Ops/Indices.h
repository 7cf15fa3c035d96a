/// \file
/// What operators with indices share.
#ifndef DLC_PASSES_IMPORT_OPS_INDICES_H
#define DLC_PASSES_IMPORT_OPS_INDICES_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// Input `i` has x's rank and is no larger than `x` in any dimension but
/// `axis`.
mlir::LogicalResult expectWithin(NodeImport &node, unsigned i, mlir::Value x,
                                 int64_t axis);

} // namespace dlc

#endif
