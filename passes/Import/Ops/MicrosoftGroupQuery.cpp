// com.microsoft's GroupQueryAttention: what exporters of language models write,
// with a cache of keys and values in which each batch has its own length.

#include "passes/Import/Ops/Heads.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace dlc;

namespace {

struct GroupQuery {
  NodeImport &node;
  Emit &e;
  int64_t heads, kvHeads;
  /// [batch, heads, length, size]
  Value q, k, v;
  OpFoldResult batch, length, size;
  /// The sizes of the cache before and after, and the keys that count at most.
  OpFoldResult pastSize, presentSize, total;
  /// [batch], of i64: how many keys are there before the new ones.
  Value pasts;
  /// Whether this is the first step, in which nothing is there before.
  Num isFirst;

  GroupQuery(NodeImport &node, Emit &e, int64_t heads, int64_t kvHeads)
      : node(node), e(e), heads(heads), kvHeads(kvHeads) {}

  bool readProjections();
  bool readLengths();
  bool normalizeHeads();
  bool rotate();
  Value append(unsigned past, Value now);
  Value makeBias();
  Num pastOf(Num b) { return e.toIndex(e.load(pasts, {b})); }
};

} // namespace

/// The queries with or without the keys and values packed behind them.
bool GroupQuery::readProjections() {
  Value query = node.input(0), key = node.input(1), value = node.input(2);
  if (bool(key) != bool(value)) {
    node.error() << "expected key and value both or none";
    return false;
  }
  if (key) {
    q = splitHeads(node, query, heads, "query");
    k = splitHeads(node, key, kvHeads, "key");
    v = splitHeads(node, value, kvHeads, "value");
  } else if (Value all =
                 splitHeads(node, query, heads + 2 * kvHeads, "query")) {
    auto part = [&](int64_t begin, int64_t count) {
      return node.sliceAxis(all, 1, node.index(begin), node.index(count));
    };
    q = part(0, heads);
    k = part(heads, kvHeads);
    v = part(heads + kvHeads, kvHeads);
  }
  if (!q || !k || !v)
    return false;
  Elements sizes = node.dims(q);
  batch = sizes[0], length = sizes[2], size = sizes[3];
  for (Value x : {k, v})
    for (int64_t i : {0, 2, 3})
      if (failed(node.expectEqual(node.dim(x, i), sizes[i],
                                  "query, key and value of one batch, length "
                                  "and head size")))
        return false;
  return true;
}

/// What the lengths in the inputs 5 and 6 say, checked in the run.
bool GroupQuery::readLengths() {
  if (failed(node.expectShape(5, {batch}, "batch")) ||
      failed(node.expectBroadcast(6, {node.index(1)}, "1")))
    return false;
  pastSize = node.hasInput(3) ? node.dim(node.input(3), 2)
                              : OpFoldResult(node.index(0));
  std::optional<SmallVector<int64_t>> known = node.constants(node.input(6));
  total = known && known->size() == 1
              ? OpFoldResult(node.index(known->front()))
              : e.fold(e.toIndex(e.loadScalar(e.plain(node.input(6)))));
  Num most = e.index(total), have = e.index(pastSize), now = e.index(length);
  e.check(most >= now, "expected a total_sequence_length of at least the "
                       "length of the queries");
  e.check(most <= have + now,
          "expected a total_sequence_length of at most the length of the past "
          "and that of the queries");
  bool hasPast = node.hasInput(3);
  presentSize = hasPast ? e.fold(e.max(most, have)) : length;
  isFirst = most == now;
  Value lengths = e.plain(node.input(5));
  Type i64 = node.b.getI64Type();
  auto before = [&](Num b) {
    return e.toIndex(e.load(lengths, {b})) + 1 - now;
  };
  pasts = e.generate({batch}, i64, [&](ArrayRef<Num> at) {
    return e.to(e.select(isFirst, e.index(0), before(at[0])), i64);
  });
  // The first step may have shorter sequences, padded behind.
  e.checkRange(e.plain(node.input(5)), e.select(isFirst, e.index(0), now - 1),
               most - 1,
               "expected seqlens_k below total_sequence_length and "
               "not below the past's length");
  return !node.hasFailed;
}

/// An RMS norm of each head, before the rotation.
bool GroupQuery::normalizeHeads() {
  if (node.hasInput(14) != node.hasInput(15)) {
    node.error() << "expected q_norm_weight and k_norm_weight both or none";
    return false;
  }
  if (!node.hasInput(14))
    return true;
  double both = node.getFloat("qk_norm_epsilon", 1e-6f);
  auto normalize = [&](Value x, unsigned i, StringRef name) -> Value {
    if (failed(node.expectShape(i, {size}, "head_size")))
      return {};
    Type f32 = node.elementType(x);
    Value square = node.reduce(ReduceKind::Sum, node.map<MulOp>({x, x}), {3});
    Value mean = node.map<DivOp>({square, node.countAlong(x, {3}, f32)});
    Value epsilon = node.scalar(node.getFloat(name, both), f32);
    Value root = node.map<SqrtOp>({node.map<AddOp>({mean, epsilon})});
    return node.map<MulOp>({node.map<DivOp>({x, root}), node.input(i)});
  };
  q = normalize(q, 14, "q_norm_epsilon");
  k = normalize(k, 15, "k_norm_epsilon");
  return q && k;
}

/// The rotation of queries and keys by their positions: those of input 9, of
/// which the first step takes the first number only, or those in the cache.
bool GroupQuery::rotate() {
  if (!node.getInt("do_rotary", 0))
    return true;
  Value cosines = node.input(7), sines = node.input(8), given = node.input(9);
  if (!cosines || !sines || node.rank(cosines) != 2) {
    node.error() << "expected cos_cache and sin_cache of rank 2 for do_rotary";
    return false;
  }
  if (failed(node.expectShape(8, node.dims(cosines), "those of cos_cache")) ||
      failed(node.expectShape(9, {batch, length}, "batch, length")))
    return false;
  Type i64 = node.b.getI64Type();
  // Padding behind a sequence may have a position beyond the table.
  Num last = e.index(node.dim(cosines, 0)) - 1;
  Value plain = given ? e.plain(given) : Value();
  Value positions = e.generate({batch, length}, i64, [&](ArrayRef<Num> at) {
    Num position = pastOf(at[0]) + at[1];
    if (given) {
      Num first = e.toIndex(e.load(plain, {e.index(0), e.index(0)})) + at[1];
      Num own = e.toIndex(e.load(plain, {at[0], at[1]}));
      position = e.select(isFirst, first, own);
    }
    return e.to(position, i64);
  });
  e.checkRange(positions, e.index(0), last,
               "expected positions inside of cos_cache");
  auto rows = [&](Value table) {
    return node.unsqueeze(gatherRows(node, table, positions), {1});
  };
  Value c = rows(cosines), s = rows(sines);
  bool isInterleaved = node.getInt("rotary_interleaved", 0);
  q = rotatePairs(node, q, c, s, isInterleaved);
  k = rotatePairs(node, k, c, s, isInterleaved);
  return q && k;
}

/// Input `past` [batch, kvHeads, positions, size] with the new ones behind each
/// batch's own length, and zeros behind these.
Value GroupQuery::append(unsigned past, Value now) {
  Value before = node.input(past);
  if (!before)
    return now;
  if (node.rank(before) != 4 ||
      failed(node.expectShape(past,
                              {batch, node.index(kvHeads), pastSize, size},
                              "batch, kv_num_heads, length, head_size"))) {
    if (!node.hasFailed && node.rank(before) != 4)
      node.error() << "expected past keys and values of rank 4, found rank "
                   << node.rank(before);
    return {};
  }
  Type f32 = node.elementType(now);
  Num have = e.index(pastSize), many = e.index(length);
  return e.generate(
      {batch, node.index(kvHeads), presentSize, size}, f32,
      [&](ArrayRef<Num> at) {
        Num end = pastOf(at[0]), behind = at[2] - end;
        // Nothing outside is read, though one of the two is thrown away.
        Num place = e.clamp(behind, e.index(0), many - 1);
        Num fresh = e.load(now, {at[0], at[1], place, at[3]});
        Num zero = e.constant(0, f32), old = zero;
        if (!isConstantIntValue(pastSize, 0)) {
          Num kept = e.clamp(at[2], e.index(0), e.max(have - 1, 0));
          old = e.load(before, {at[0], at[1], kept, at[3]});
        }
        return e.select(behind < 0, old, e.select(behind < many, fresh, zero));
      });
}

/// What hides keys: those of the future, those out of the window, and without
/// `causal` those behind the sequence; and the bias in input 10.
Value GroupQuery::makeBias() {
  bool isCausal = node.getInt("causal", 1);
  int64_t window = node.getInt("local_window_size", -1);
  if (window >= 0 && !isCausal) {
    node.error() << "expected no local_window_size without causal";
    return {};
  }
  Value given = node.input(10), plain = given;
  if (given && (node.rank(given) != 4 ||
                failed(node.expectBroadcast(
                    10, {batch, node.index(heads), length, total},
                    "batch, num_heads, length, total_sequence_length")))) {
    if (!node.hasFailed && node.rank(given) != 4)
      node.error() << "expected an attention_bias of rank 4, found rank "
                   << node.rank(given);
    return {};
  }
  Type f32 = node.elementType(q);
  Value lengths = e.plain(node.input(5));
  SmallVector<Num> sizes;
  if (given)
    sizes = e.indices(node.dims(given));
  OpFoldResult many =
      given ? OpFoldResult(node.index(heads)) : OpFoldResult(node.index(1));
  return e.generate(
      {batch, many, length, presentSize}, f32, [&](ArrayRef<Num> at) {
        Num position = pastOf(at[0]) + at[2];
        Num isHidden = isCausal ? at[3] > position
                                : at[3] > e.toIndex(e.load(lengths, {at[0]}));
        if (window > 0)
          isHidden = isHidden || at[3] <= position - double(window);
        Num shown = e.constant(0, f32);
        if (given) {
          SmallVector<Num> place;
          for (auto [i, x] : llvm::enumerate(at))
            place.push_back(e.min(x, sizes[i] - 1));
          shown = e.load(plain, place);
        }
        Num low = e.constant(std::numeric_limits<float>::lowest(), f32);
        return e.select(isHidden, low, shown);
      });
}

/// What this does not do: caches of fewer bits, and those that forget.
static LogicalResult refuseOthers(NodeImport &node) {
  auto refuse = [&](StringRef what) {
    node.error() << "expected no " << what;
    return failure();
  };
  for (StringRef name : {"k_quant_type", "v_quant_type"})
    if (node.getString(name, "NONE") != "NONE")
      return refuse("quantized cache");
  if (node.hasInput(12) || node.hasInput(13))
    return refuse("quantized cache");
  if (node.getInt("sliding_window_cache", 0))
    return refuse("sliding_window_cache");
  if (node.hasInput(16))
    return refuse("query_seqlens");
  if (node.getInt("qk_output", 0) < 0 || node.getInt("qk_output", 0) > 2)
    return refuse("qk_output but 0, 1 and 2");
  if (node.hasInput(3) != node.hasInput(4)) {
    node.error() << "expected past_key and past_value both or none";
    return failure();
  }
  return success();
}

static ImportResult importGroupQueryAttention(NodeImport &node) {
  int64_t heads = node.getInt("num_heads", 0);
  int64_t kvHeads = node.getInt("kv_num_heads", 0);
  if (heads < 1 || kvHeads < 1 || heads % kvHeads) {
    node.error()
        << "expected num_heads to be a multiple of kv_num_heads, found "
        << heads << " and " << kvHeads;
    return failure();
  }
  if (failed(refuseOthers(node)))
    return failure();
  Emit e(node);
  GroupQuery group(node, e, heads, kvHeads);
  if (!group.readProjections() || !group.readLengths() ||
      !group.normalizeHeads() || !group.rotate())
    return failure();
  Value keys = group.append(3, group.k), values = group.append(4, group.v);
  if (!keys || !values)
    return failure();
  Scoring scoring;
  scoring.cap = node.getFloat("softcap", 0);
  scoring.bias = group.makeBias();
  if (!scoring.bias)
    return failure();
  if (Value sink = node.input(11)) {
    if (failed(node.expectShape(11, {node.index(heads)}, "num_heads")))
      return failure();
    scoring.sink = sink;
  } else if (node.getInt("smooth_softmax", 0)) {
    scoring.sink =
        node.broadcast(node.scalarLike(0, group.q), {node.index(heads)});
  }
  Value q = group.q;
  scoring.scale = node.getFloat("scale", 0);
  if (scoring.scale == 0) {
    scoring.scale = 1;
    q = node.map<DivOp>(
        {q, node.map<SqrtOp>({node.countAlong(q, {3}, node.elementType(q))})});
  }
  Attended found = attend(node, q, keys, values, scoring);
  if (!found.y)
    return failure();
  SmallVector<Value> results{mergeHeads(node, found.y), keys, values};
  if (node.numOutputs() > 3) {
    // Before the softmax, those of hidden keys are given as 0.
    Value scores = found.weights;
    if (node.getInt("qk_output", 0) != 2) {
      Value low = node.scalarLike(-1e38, found.scores);
      scores =
          node.map<SelectOp>({node.map<LessOp>({found.scores, low}),
                              node.scalarLike(0, found.scores), found.scores});
    }
    results.push_back(node.sliceAxis(scores, 3, node.index(0), group.total));
  }
  return node.results(results);
}

static OpRows rows{
    {"com.microsoft", "GroupQueryAttention", 1, importGroupQueryAttention,
     kComposition},
};
