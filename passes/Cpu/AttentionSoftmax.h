/// \file
/// The softmax of a tile of scores: weights in their place, and what the rows'
/// results so far are multiplied with.
#ifndef DLC_PASSES_CPU_ATTENTIONSOFTMAX_H
#define DLC_PASSES_CPU_ATTENTIONSOFTMAX_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// What is known of rows, one number each.
struct SoftmaxState {
  mlir::Value rows;
  mlir::Value most;    ///< the maximum so far; null for a single tile
  mlir::Value factor;  ///< of the results so far; null for a single tile
  mlir::Value sum;     ///< of the weights
  mlir::Value inverse; ///< of the sum; null but for the last tile
  mlir::Value isEmpty; ///< whether there are no keys at all; null: there are
  mlir::Value weights; ///< by rows: where they go; null: in place of the scores
  int64_t lanes;
  int64_t group; ///< vectors at a time
};

/// Where the scores of a tile end: row r has the first position(r) + count of
/// its keys. Without `count` all count.
struct CausalEnd {
  mlir::Value count;
  /// Of the row with the fewest, 0 or more.
  mlir::Value fewest;
  /// What a row's number stands for: base + (r / divisor) mod extent, 0 for no
  /// remainder.
  mlir::Value base;
  int64_t divisor = 1, extent = 0;
};

/// The keys that `row` has, some of them perhaps in other tiles.
mlir::Value countKeys(mlir::ImplicitLocOpBuilder &b, mlir::Value row,
                      const CausalEnd &end);

/// Rows of scores that lie row by row and are gone through together.
struct SoftmaxGroup {
  int64_t size;
  mlir::Value row;                       ///< the first one, in the scores
  mlir::Value known;                     ///< ... and in what is known of rows
  llvm::SmallVector<mlir::Value> counts; ///< the keys that each one has
  mlir::Value free;   ///< keys that all have; null: as many as are padded
  mlir::Value padded; ///< keys in whole vectors, 0 or more
  /// The scores of a vector of keys, from the i-th row and the first key, of
  /// products, of those that a mask (null: all) has; none: the products.
  std::function<mlir::Value(int64_t, mlir::Value, mlir::Value, mlir::Value)>
      score;
};

/// Of no keys.
void emitSoftmaxStart(mlir::ImplicitLocOpBuilder &b, const SoftmaxState &state);
/// `scores` are memref<keys x rows>, of whole vectors of rows.
void emitSoftmaxByKeys(mlir::ImplicitLocOpBuilder &b, const SoftmaxState &state,
                       mlir::Value scores, const CausalEnd &end);
/// `scores` are memref<rows x keys padded to whole vectors>.
void emitSoftmaxByRows(mlir::ImplicitLocOpBuilder &b, const SoftmaxState &state,
                       mlir::Value scores, mlir::Value keys,
                       const CausalEnd &end);
/// `scores` are memref<rows x keys>; `state` has weights.
void emitSoftmaxOfGroup(mlir::ImplicitLocOpBuilder &b,
                        const SoftmaxState &state, mlir::Value scores,
                        const SoftmaxGroup &group);
/// Zeros in a memref of one dimension.
void emitZeros(mlir::ImplicitLocOpBuilder &b, mlir::Value buffer,
               int64_t lanes);

} // namespace dlc

#endif
