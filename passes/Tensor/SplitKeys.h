/// \file
/// Attention of few queries whose keys are cut in parts, for threads.
#ifndef DLC_PASSES_TENSOR_SPLITKEYS_H
#define DLC_PASSES_TENSOR_SPLITKEYS_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {

/// Where `op` has few queries and heads, so that threads find no work, and many
/// keys, or as many as the run has: makes `parts` of the keys and puts their
/// results together, in the order of the parts, whatever threads computed them
/// (Dao et al. 2023, "Flash-Decoding"). `lanes` scores fill a vector.
void splitKeys(AttentionOp op, int64_t lanes, mlir::RewriterBase &rewriter);

} // namespace dlc

#endif
