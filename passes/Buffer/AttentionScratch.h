/// \file
/// The scratch memory of attention on a CPU: what the pass that allocates it
/// and the kernel agree on.
#ifndef DLC_PASSES_BUFFER_ATTENTIONSCRATCH_H
#define DLC_PASSES_BUFFER_ATTENTIONSCRATCH_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// For a tile of queries (rows) by keys, in bytes from the beginning of the
/// memory. Scores lie key by key, so that vectors run along the rows:
///
///   queries  [depth][rows]        transposed
///   scores   [keys][rows]         then the weights
///   extras   [keys][rows], [rows] what is added to them, transposed
///   keysCopy [keys][depth]        of another type than the scores'
///   most, sum, factor, inverse [rows]
///   results  [rows][columns]      where there are several tiles of keys
///
/// Few rows fill no vectors: then scores lie row by row, [rows][keys], and
/// queries, keys and extras are read where they are.
///
/// For a CPU's dot products of bfloat16 (`precision`) they lie so too, with
///
///   queries    [rows][depth]        where they aren't contiguous
///   keyPairs   [keys / P][depth / 2][P][2]
///   weights    [rows][keys]         rounded
///   valuePairs [columns / P][keys / 2][P][2]
///
/// for panels of P keys or columns. For products of tiles (MatrixTilesAttr.h)
/// rows are in blocks of kBlockRows, one of which has scores and weights at a
/// time:
///
///   shapes     64 bytes of the tiles' shapes
///   queries    [rows][depth]        with zeros behind the depth
///   products   [kBlockRows][columns] of weights and values
///
/// All sums are of whole steps of kPairKeys there, and panels of keys and
/// columns have kPairKeys too.
struct AttentionScratch {
  explicit AttentionScratch(AttentionOp op);

  /// Fewer rows than this are few.
  static constexpr int64_t kFewRows = 8;
  /// Rows, or else keys, are padded to whole vectors of any target.
  static constexpr int64_t kPad = 16;
  /// Keys that are rounded are summed in blocks of so many.
  static constexpr int64_t kPairKeys = 32;
  /// The widest panel of pairs.
  static constexpr int64_t kPanel = 64;
  static constexpr int64_t kAlignment = 64;
  /// Two tiles of rows.
  static constexpr int64_t kBlockRows = 32;

  /// Queries in a tile: some of the dimension `split` by all of the `inner`
  /// ones; `outer` ones have one at a time.
  llvm::SmallVector<unsigned> outer, inner;
  std::optional<unsigned> split;
  int64_t splitRows = 1, innerRows = 1;

  int64_t rows() const { return splitRows * innerRows; }
  int64_t paddedRows, tileKeys, paddedKeys;
  bool byRows, hasTiles;
  bool pairs;      ///< operands of bfloat16
  bool matrices;   ///< ... whose products are those of tiles
  mlir::Type type; ///< of scores and sums
  int64_t queries, scores, keysCopy, most, sum, factor, inverse, results;
  int64_t keyPairs = -1, weights = -1, valuePairs = -1;
  /// Of products of tiles: depth and columns in whole steps.
  int64_t paddedDepth = 0, paddedColumns = 0, shapes = -1, products = -1;
  /// Of each score extra: where its transposed part lies, -1 for none.
  llvm::SmallVector<int64_t> extras;
  int64_t size;
};

} // namespace dlc

#endif
