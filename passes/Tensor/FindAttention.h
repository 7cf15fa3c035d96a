/// \file
/// Which contractions are attention's, before they are fused, and what keeps
/// two from being that.
#ifndef DLC_PASSES_TENSOR_FINDATTENTION_H
#define DLC_PASSES_TENSOR_FINDATTENTION_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

class KnownConstants;

/// The value behind conversions between floats.
mlir::Value stripCasts(mlir::Value value);

/// What is against one op for both contractions around a softmax along `axis`
/// of the first one's result; "" for nothing.
llvm::StringRef findAttentionObstacle(ContractOp first, ContractOp second,
                                      unsigned axis);

/// ... and against a CPU's kernel.
llvm::StringRef findCpuObstacle(ContractOp first, ContractOp second);

/// The products of queries by keys and of weights by values.
struct AttentionProducts {
  ContractOp first, second;
};

/// The pairs in `root`, of no weights, with a softmax's exponentials between
/// them and nothing against a CPU's kernel: dlc-fuse-attention looks closer,
/// when elementwise ops are fused. Till then they keep their operands' layouts.
llvm::SmallVector<AttentionProducts> findAttention(mlir::Operation *root,
                                                   KnownConstants &constants);

/// True if attention has a depth that is more than 1, and may have enough rows,
/// for operands in pairs of bfloat16, whose layout a few don't pay for.
bool hasRowsForPairs(ContractOp first);

} // namespace dlc

#endif
