// com.microsoft's Attention and MultiHeadAttention, which ONNX Runtime's
// optimizer makes of transformers.

#include "passes/Import/Ops/Heads.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

namespace {
/// Queries, keys and values as [batch, heads, positions, size]. Null after an
/// error.
struct Projections {
  Value q, k, v;
  explicit operator bool() const { return q && k && v; }
};
} // namespace

static std::optional<int64_t> readHeads(NodeImport &node) {
  int64_t heads = node.getInt("num_heads", 0);
  if (heads > 0)
    return heads;
  node.error() << "expected num_heads of 1 or more, found " << heads;
  return std::nullopt;
}

/// Input i of rank `rank`, an error otherwise.
static LogicalResult expectRank(NodeImport &node, unsigned i, int64_t rank) {
  Value x = node.input(i);
  if (!x || node.rank(x) == rank)
    return success();
  node.error() << "expected " << node.inputName(i) << " of rank " << rank
               << ", found rank " << node.rank(x);
  return failure();
}

/// The scores' bias: what `mask` hides, and the input `bias`.
static Value makeBias(NodeImport &node, unsigned mask, unsigned bias,
                      const Projections &p) {
  Elements sizes = node.dims(p.q);
  OpFoldResult total = node.dim(p.k, 2);
  Value sum = maskScores(node, mask, node.getInt("unidirectional", 0), sizes[0],
                         sizes[2], total);
  Value added = node.input(bias);
  if (node.hasFailed || (!sum && node.hasInput(mask)))
    return {};
  if (!added)
    return sum;
  if (failed(expectRank(node, bias, 4)) ||
      failed(node.expectBroadcast(bias, {sizes[0], sizes[1], sizes[2], total},
                                  "batch, num_heads, length, total length"))) {
    node.hasFailed = true;
    return {};
  }
  return sum ? node.map<AddOp>({sum, added}) : added;
}

static Attended attendByAttributes(NodeImport &node, const Projections &p,
                                   unsigned mask, unsigned bias) {
  Scoring scoring;
  scoring.bias = makeBias(node, mask, bias, p);
  if (node.hasFailed || (!scoring.bias && node.hasInput(mask)))
    return {};
  scoring.scale = node.getFloat("scale", 0);
  int64_t size = node.type(p.q).getDimSize(3);
  Value q = p.q;
  if (scoring.scale == 0 && ShapedType::isStatic(size)) {
    scoring.scale = 1 / std::sqrt(double(size));
  } else if (scoring.scale == 0) {
    scoring.scale = 1;
    q = node.map<DivOp>(
        {q, node.map<SqrtOp>({node.countAlong(q, {3}, node.elementType(q))})});
  }
  return attend(node, q, p.k, p.v, scoring);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Input 0 times the merged weights, plus the bias, in three parts.
static Projections project(NodeImport &node, int64_t heads) {
  Value x = node.input(0), weights = node.storedInput(1);
  OpFoldResult columns = node.dim(weights, 1);
  SmallVector<OpFoldResult> parts;
  Emit e(node);
  if (auto sizes = node.getInts("qkv_hidden_sizes"); sizes && !sizes->empty()) {
    if (sizes->size() != 3 || (*sizes)[0] != (*sizes)[1]) {
      node.error() << "expected three qkv_hidden_sizes, the first two equal";
      return {};
    }
    for (int64_t size : *sizes)
      parts.push_back(node.index(size));
  } else {
    parts.assign(3, e.fold(e.index(columns) / 3.0));
  }
  OpFoldResult sum = addSizes(node.b, node.loc, parts[0], parts[1]);
  sum = addSizes(node.b, node.loc, sum, parts[2]);
  if (failed(node.expectShape(1, {node.dim(x, 2), sum},
                              "input_hidden_size, 3 * hidden_size")) ||
      failed(node.expectShape(2, {sum}, "3 * hidden_size")))
    return {};
  Value all = node.matmul(x, weights, node.elementType(x));
  if (all && node.hasInput(2))
    all = node.map<AddOp>({all, node.input(2)});
  if (!all)
    return {};
  OpFoldResult begin = node.index(0);
  Value split[3];
  for (auto [i, size] : llvm::enumerate(parts)) {
    split[i] = splitHeads(node, node.sliceAxis(all, 2, begin, size), heads,
                          "the hidden size");
    begin = addSizes(node.b, node.loc, begin, size);
  }
  return {split[0], split[1], split[2]};
}

/// Inputs: x, the weights and the bias of the projections, a mask, past keys
/// and values as [2, batch, heads, positions, size], a bias of the scores.
static ImportResult importAttention(NodeImport &node) {
  std::optional<int64_t> heads = readHeads(node);
  if (!heads || failed(expectRank(node, 0, 3)) ||
      failed(expectRank(node, 1, 2)) || failed(expectRank(node, 4, 5)))
    return failure();
  if (node.getInt("do_rotary", 0) ||
      node.getInt("past_present_share_buffer", 0)) {
    node.error() << "expected neither do_rotary nor past_present_share_buffer";
    return failure();
  }
  Projections p = project(node, *heads);
  if (!p)
    return failure();
  if (Value past = node.input(4)) {
    OpFoldResult size = node.dim(p.k, 3);
    if (failed(node.expectEqual(size, node.dim(p.v, 3),
                                "keys and values of one size for past ones")) ||
        failed(node.expectShape(4,
                                {node.index(2), node.dim(p.k, 0),
                                 node.index(*heads), node.dim(past, 3), size},
                                "2, batch, num_heads, length, size")))
      return failure();
    auto behind = [&](int64_t i, Value now) {
      Value part = node.sliceAxis(past, 0, node.index(i), node.index(1));
      return node.concat({node.squeeze(part, {0}), now}, 2);
    };
    p.k = behind(0, p.k);
    p.v = behind(1, p.v);
  }
  Attended found = attendByAttributes(node, p, 3, 5);
  if (!found.y)
    return failure();
  Value y = mergeHeads(node, found.y);
  if (node.numOutputs() < 2 || !node.hasOutput(1))
    return node.result(y);
  return node.results(
      {y,
       node.concat({node.unsqueeze(p.k, {0}), node.unsqueeze(p.v, {0})}, 0)});
}

//===----------------------------------------------------------------------===//
// MultiHeadAttention
//===----------------------------------------------------------------------===//

/// Part i of `many` in x [batch, positions, heads, many, size].
static Value packedPart(NodeImport &node, Value x, int64_t i) {
  Value part = node.sliceAxis(x, 3, node.index(i), node.index(1));
  return node.transpose(node.squeeze(part, {3}), {0, 2, 1, 3});
}

/// Packed inputs have the shape [batch, positions, heads, many, size].
static LogicalResult expectPacked(NodeImport &node, unsigned i, int64_t heads,
                                  int64_t many) {
  Value x = node.input(i);
  return node.expectShape(i,
                          {node.dim(x, 0), node.dim(x, 1), node.index(heads),
                           node.index(many), node.dim(x, 4)},
                          "batch, length, num_heads, " + std::to_string(many) +
                              ", size");
}

/// `x` plus the part of the bias that begins at `begin`, which moves behind it.
static Value withBias(NodeImport &node, Value x, Value bias,
                      OpFoldResult &begin) {
  if (!bias)
    return x;
  int64_t rank = node.rank(x);
  bool isSplit = rank == 4;
  OpFoldResult size =
      isSplit ? mulSizes(node.b, node.loc, node.dim(x, 1), node.dim(x, 3))
              : node.dim(x, rank - 1);
  Emit e(node);
  OpFoldResult end = addSizes(node.b, node.loc, begin, size);
  e.check(e.index(end) <= e.index(node.dim(bias, 0)),
          "expected a bias of the hidden sizes of query, key and value",
          /*status=*/0);
  Value part = node.sliceAxis(bias, 0, begin, size);
  if (isSplit)
    part = node.reshape(part, {node.dim(x, 1), node.index(1), node.dim(x, 3)});
  begin = end;
  return node.map<AddOp>({x, part});
}

/// The inputs 0 to 3 in all the forms in which they come.
static Projections readProjections(NodeImport &node, int64_t heads) {
  Value query = node.input(0), key = node.input(1), value = node.input(2);
  Value bias = node.input(3);
  OpFoldResult begin = node.index(0);
  if (failed(expectRank(node, 3, 1)))
    return {};
  if (!key) {
    if (failed(expectRank(node, 0, 5)) ||
        failed(expectPacked(node, 0, heads, 3)))
      return {};
    Value part[3];
    for (int64_t i = 0; i < 3; ++i)
      part[i] = withBias(node, packedPart(node, query, i), bias, begin);
    return {part[0], part[1], part[2]};
  }
  auto split = [&](Value x, StringRef name) {
    Value sum = x ? withBias(node, x, bias, begin) : x;
    return splitHeads(node, sum, heads, name);
  };
  if (failed(expectRank(node, 0, 3)))
    return {};
  Value q = split(query, "query");
  if (!q)
    return {};
  if (!value) {
    if (bias) {
      node.error() << "expected no bias with packed keys and values";
      return {};
    }
    if (failed(expectRank(node, 1, 5)) ||
        failed(expectPacked(node, 1, heads, 2)))
      return {};
    return {q, packedPart(node, key, 0), packedPart(node, key, 1)};
  }
  if (node.rank(key) == 4) { // what another step has split
    if (failed(expectRank(node, 2, 4)))
      return {};
    if (bias) { // of the queries, the rest has it
      node.error() << "expected no bias with keys and values of rank 4";
      return {};
    }
    return {q, key, value};
  }
  Value k = split(key, "key");
  Value v = split(value, "value");
  return {q, k, v};
}

/// Inputs: query, key, value, bias, mask, bias of the scores, past keys, past
/// values. Results: y, keys, values, scores.
static ImportResult importMultiHeadAttention(NodeImport &node) {
  std::optional<int64_t> heads = readHeads(node);
  if (!heads)
    return failure();
  if (node.hasInput(8) || node.hasInput(9)) {
    node.error() << "expected neither past_sequence_length nor "
                    "cache_indirection, which buffers of beams need";
    return failure();
  }
  Projections p = readProjections(node, *heads);
  if (!p)
    return failure();
  if (node.hasInput(6) != node.hasInput(7)) {
    node.error() << "expected past_key and past_value both or none";
    return failure();
  }
  Elements sizes = node.dims(p.q);
  for (auto [i, now] : {std::pair{6u, &p.k}, std::pair{7u, &p.v}}) {
    Value past = node.input(i);
    if (!past)
      continue;
    if (failed(expectRank(node, i, 4)) ||
        failed(node.expectShape(
            i, {sizes[0], sizes[1], node.dim(past, 2), node.dim(*now, 3)},
            "batch, num_heads, length, size")))
      return failure();
    *now = node.concat({past, *now}, 2);
  }
  for (Value x : {p.k, p.v})
    if (!x ||
        failed(node.expectEqual(node.dim(x, 0), sizes[0],
                                "query, key and value of one batch size")) ||
        failed(node.expectEqual(node.dim(x, 1), sizes[1],
                                "num_heads heads of keys and values")))
      return failure();
  if (failed(node.expectEqual(node.dim(p.k, 3), sizes[3],
                              "query and key of one size")) ||
      failed(node.expectEqual(node.dim(p.k, 2), node.dim(p.v, 2),
                              "key and value of one length")))
    return failure();
  Attended found = attendByAttributes(node, p, 4, 5);
  if (!found.y)
    return failure();
  return node.results({mergeHeads(node, found.y), p.k, p.v, found.scores});
}

static OpRows rows{
    {"com.microsoft", "Attention", 1, importAttention, kComposition},
    {"com.microsoft", "MultiHeadAttention", 1, importMultiHeadAttention,
     kComposition},
};
