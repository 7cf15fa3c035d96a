// com.microsoft's operators at the entrance of transformers: embeddings with
// their norm, and rotary positions.

#include "passes/Import/Ops/Heads.h"
#include "passes/Import/Ops/Quantization.h"

using namespace mlir;
using namespace dlc;

namespace {
/// Where the tables are among the inputs.
struct Tables {
  Value words, positions, segments, gamma, beta;
};
} // namespace

/// The number of ones in each row of a mask, 0 without one.
static Value countOnes(NodeImport &node, Value mask, OpFoldResult batch) {
  Emit e(node);
  Type i32 = node.b.getI32Type();
  if (!mask)
    return e.filled({batch}, e.constant(0, i32));
  Value one = node.scalarLike(1, mask);
  Value ones = node.cast(node.map<EqualOp>({mask, one}), i32);
  return node.squeeze(node.reduce(ReduceKind::Sum, ones, {1}), {1});
}

/// Inputs: words, segments, five tables, a mask, positions. Results: y, the
/// number of ones in each row of the mask, the sum before the norm.
static ImportResult embed(NodeImport &node, const Tables &t, Value mask,
                          unsigned maskInput,
                          std::optional<unsigned> positionInput) {
  Value ids = node.input(0), segments = node.input(1);
  if (node.rank(ids) != 2 || node.rank(t.words) != 2 ||
      node.rank(t.positions) != 2) {
    node.error() << "expected input_ids and tables of rank 2";
    return failure();
  }
  if (bool(segments) != bool(t.segments)) {
    node.error() << "expected segment_ids and their table both or none";
    return failure();
  }
  OpFoldResult batch = node.dim(ids, 0), length = node.dim(ids, 1);
  if (failed(node.expectShape(1, {batch, length}, "batch, length")) ||
      failed(node.expectShape(maskInput, {batch, length}, "batch, length")))
    return failure();
  Value at = positionInput ? node.input(*positionInput) : Value();
  if (at && failed(node.expectBroadcast(*positionInput, {batch, length},
                                        "batch, length")))
    return failure();
  Value sum = gatherRows(node, t.words, ids);
  Value place;
  if (at) {
    place = gatherRows(node, t.positions, at);
  } else {
    Emit e(node);
    e.check(e.index(length) <= e.index(node.dim(t.positions, 0)),
            "expected no more words than positions", /*status=*/0);
    place = node.sliceAxis(t.positions, 0, node.index(0), length);
  }
  sum = node.map<AddOp>({sum, place});
  if (segments && sum)
    sum = node.map<AddOp>({sum, gatherRows(node, t.segments, segments)});
  if (!sum)
    return failure();
  Value count = node.countAlong(sum, {2}, node.elementType(sum));
  auto mean = [&](Value x) {
    return node.map<DivOp>({node.reduce(ReduceKind::Sum, x, {2}), count});
  };
  Value centred = node.map<SubOp>({sum, mean(sum)});
  Value variance = mean(node.map<MulOp>({centred, centred}));
  Value epsilon = node.scalarLike(node.getFloat("epsilon", 1e-12f), variance);
  Value root = node.map<SqrtOp>({node.map<AddOp>({variance, epsilon})});
  Value y = node.map<MulOp>({node.map<DivOp>({centred, root}), t.gamma});
  y = node.map<AddOp>({y, t.beta});
  if (!y)
    return failure();
  return node.results({y, countOnes(node, mask, batch), sum});
}

static ImportResult importEmbedLayerNormalization(NodeImport &node) {
  OpFoldResult hidden = node.dim(node.input(2), node.rank(node.input(2)) - 1);
  for (unsigned i : {5, 6})
    if (failed(node.expectShape(i, {hidden}, "hidden_size")))
      return failure();
  Tables tables{node.input(2), node.input(3), node.input(4), node.input(5),
                node.input(6)};
  return embed(node, tables, node.input(7), 7, 8);
}

/// The tables have 8 bits here; scales and zero points stand behind.
static ImportResult importQEmbedLayerNormalization(NodeImport &node) {
  auto real = [&](unsigned i) -> Value {
    unsigned scale = i + 6, zero = i + 11;
    if (!node.hasInput(i) || failed(expectParameters(node, {{i, scale, zero}})))
      return {};
    return dequantize(node, node.input(i), node.input(scale), node.input(zero));
  };
  Tables tables{real(2), real(3), real(4), real(5), real(6)};
  if (node.hasFailed || !tables.words || !tables.positions || !tables.gamma ||
      !tables.beta)
    return failure();
  return embed(node, tables, node.input(7), 7, {});
}

/// Inputs: x [batch, length, hidden] or [batch, heads, length, size], positions
/// of each or that of the first, tables of cosines and sines.
static ImportResult importRotaryEmbedding(NodeImport &node) {
  Value x = node.input(0), positions = node.input(1);
  Value cosines = node.input(2);
  int64_t heads = node.getInt("num_heads", 0), rank = node.rank(x);
  int64_t part = node.getInt("rotary_embedding_dim", 0);
  if (rank != 3 && rank != 4) {
    node.error() << "expected an input of rank 3 or 4, found rank " << rank;
    return failure();
  }
  if (node.rank(cosines) != 2) {
    node.error() << "expected cos_cache of rank 2, found rank "
                 << node.rank(cosines);
    return failure();
  }
  if (part > 0 && heads < 1) {
    node.error() << "expected num_heads with rotary_embedding_dim";
    return failure();
  }
  if (failed(node.expectShape(3, node.dims(cosines), "those of cos_cache")) ||
      (part > 0 &&
       failed(node.expectEqual(node.dim(cosines, 1), node.index(part / 2),
                               "a cos_cache of half as many columns "
                               "as rotary_embedding_dim"))))
    return failure();
  Emit e(node);
  Value split = x;
  if (rank == 3) {
    // The tables are for whole heads where nothing says otherwise.
    OpFoldResult pairs = node.dim(cosines, 1), hidden = node.dim(x, 2);
    OpFoldResult whole = mulSizes(node.b, node.loc, pairs, node.index(2));
    OpFoldResult many = part > 0 ? OpFoldResult(node.index(heads))
                                 : e.fold(e.index(hidden) / e.index(whole));
    OpFoldResult size =
        part > 0 ? e.fold(e.index(hidden) / double(heads)) : whole;
    if (failed(node.expectEqual(mulSizes(node.b, node.loc, many, size), hidden,
                                "a hidden size of whole heads")))
      return failure();
    split = node.transpose(
        node.reshape(x, {node.dim(x, 0), node.dim(x, 1), many, size}),
        {0, 2, 1, 3});
  }
  Elements sizes = node.dims(split);
  Value chosen = positions;
  if (node.rank(positions) == 1) {
    if (failed(node.expectShape(1, {node.index(1)}, "1")))
      return failure();
    Num first = e.toIndex(e.load(e.plain(positions), {e.index(0)}));
    Type i64 = node.b.getI64Type();
    chosen = e.generate({node.index(1), sizes[2]}, i64, [&](ArrayRef<Num> at) {
      return e.to(first + at[1], i64);
    });
  } else if (failed(
                 node.expectShape(1, {sizes[0], sizes[2]}, "batch, length"))) {
    return failure();
  }
  auto rows = [&](Value table) {
    return node.unsqueeze(gatherRows(node, table, chosen), {1});
  };
  Value y = rotatePairs(node, split, rows(cosines), rows(node.input(3)),
                        node.getInt("interleaved", 0));
  if (!y)
    return failure();
  return node.result(rank == 3 ? mergeHeads(node, y) : y);
}

static OpRows rows{
    {"com.microsoft", "EmbedLayerNormalization", 1,
     importEmbedLayerNormalization, kComposition},
    {"com.microsoft", "QEmbedLayerNormalization", 1,
     importQEmbedLayerNormalization, kComposition},
    {"com.microsoft", "RotaryEmbedding", 1, importRotaryEmbedding,
     kComposition},
};
