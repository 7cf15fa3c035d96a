/// \file
/// Attention on heads, as com.microsoft's operators define it. Queries, keys
/// and values are [batch, heads, positions, size] in f32.
#ifndef DLC_PASSES_IMPORT_OPS_HEADS_H
#define DLC_PASSES_IMPORT_OPS_HEADS_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// x [batch, positions, heads * size] as [batch, heads, positions, size]; an
/// error that calls it `name`, and null, where it has another rank or the
/// heads do not divide it.
mlir::Value splitHeads(NodeImport &node, mlir::Value x, int64_t heads,
                       llvm::StringRef name);
/// The way back.
mlir::Value mergeHeads(NodeImport &node, mlir::Value x);

/// What happens to the scores on their way to the weights of the values.
struct Scoring {
  double scale = 1;
  /// The scores are capped by cap * tanh(score / cap); 0 for no cap.
  double cap = 0;
  /// Added afterwards, broadcasts to [batch, heads, length, total]; null for
  /// nothing.
  mlir::Value bias;
  /// One number a head whose exponential joins the sum in the softmax; null
  /// for none.
  mlir::Value sink;
};

struct Attended {
  /// [batch, heads, length, size]; null after an error.
  mlir::Value y;
  /// [batch, heads, length, total] before and after the softmax.
  mlir::Value scores, weights;
};

/// softmax(scores of queries and keys) * values. Keys and values may have fewer
/// heads, each for a group of those of the queries.
Attended attend(NodeImport &node, mlir::Value queries, mlir::Value keys,
                mlir::Value values, const Scoring &scoring);

/// What a mask of positions and the order of positions add to the scores, as
/// [batch, 1, length, total]. `mask` is an input or none: a number of keys that
/// count for each batch, and perhaps behind these numbers of the first ones, or
/// [batch, (length,) total] that is above 0 for keys that count. Null where
/// nothing is added, and after an error: see `hasFailed`.
mlir::Value maskScores(NodeImport &node, std::optional<unsigned> mask,
                       bool isCausal, mlir::OpFoldResult batch,
                       mlir::OpFoldResult length, mlir::OpFoldResult total);

/// Rotates pairs of elements of the last dimension, of which the first
/// 2 * (the last size of `cosines`) take part: element i and that half of them
/// further on, or with `isInterleaved` neighbours. `cosines` and `sines`
/// broadcast to x [.., pairs].
mlir::Value rotatePairs(NodeImport &node, mlir::Value x, mlir::Value cosines,
                        mlir::Value sines, bool isInterleaved);

/// x's rows, chosen by indices that a run checks.
mlir::Value gatherRows(NodeImport &node, mlir::Value x, mlir::Value indices);

} // namespace dlc

#endif
