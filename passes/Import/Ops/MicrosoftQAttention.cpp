// com.microsoft's QAttention: the product with the weights of queries, keys
// and values is one of integers, all behind it is computed in f32.

#include "passes/Import/Ops/Heads.h"
#include "passes/Import/Ops/Quantization.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Queries, keys and values are [batch, heads, positions, size].
struct QAttention {
  NodeImport &node;
  int64_t heads;
  OpFoldResult batch, length, size;
  Type f32;

  /// Input 0 times the weights, in f32 as [batch, length, 3 * heads * size].
  Value project() {
    Value sum = integerMatmul(node, node.input(0), node.input(6), node.input(1),
                              node.input(7));
    if (!sum)
      return {};
    Value factor = node.map<MulOp>({node.input(3), node.input(4)});
    Value bias = node.input(2);
    for (Value *parameter : {&factor, &bias})
      if (!*parameter || failed(node.expectBroadcast(*parameter, node.dims(sum),
                                                     "a scale or bias")))
        return {};
    return node.map<AddOp>({dequantize(node, sum, factor, {}), bias});
  }

  /// Part i of three.
  Value part(Value projected, int64_t i) {
    Value heads3 = node.reshape(
        projected, {batch, length, node.index(3), node.index(heads), size});
    Value one = node.sliceAxis(heads3, 2, node.index(i), node.index(1));
    return node.transpose(node.squeeze(one, {2}), {0, 2, 1, 3});
  }
};

} // namespace

/// Inputs: x, weights [input, 3 * hidden], bias, the scales of both, a mask,
/// the zero points of both, past keys and values.
static ImportResult importQAttention(NodeImport &node) {
  for (unsigned i : {3, 4})
    if (failed(expectScale(node, i)))
      return failure();
  if (failed(expectType(node, 6, node.elementType(node.input(0)))) ||
      failed(expectType(node, 7, node.elementType(node.input(1)))))
    return failure();
  Value x = node.input(0), weights = node.input(1);
  int64_t heads = node.getInt("num_heads", 0);
  if (node.rank(x) != 3 || node.rank(weights) != 2) {
    node.error() << "expected an input of rank 3 and weights of rank 2, found "
                    "ranks "
                 << node.rank(x) << " and " << node.rank(weights);
    return failure();
  }
  int64_t columns = node.type(weights).getDimSize(1);
  if (heads < 1 || ShapedType::isDynamic(columns) || columns % (3 * heads)) {
    node.error() << "expected weights of 3 times num_heads = " << heads
                 << " times a size columns, found " << node.type(weights);
    return failure();
  }
  if (node.getInt("do_rotary", 0) ||
      node.getInt("past_present_share_buffer", 0)) {
    node.error() << "expected neither do_rotary nor past_present_share_buffer";
    return failure();
  }
  int64_t size = columns / 3 / heads;
  QAttention attention{node,
                       heads,
                       node.dim(x, 0),
                       node.dim(x, 1),
                       node.index(size),
                       node.b.getF32Type()};
  Value projected = attention.project();
  if (!projected)
    return failure();
  Value query = attention.part(projected, 0);
  Value keys = attention.part(projected, 1);
  Value values = attention.part(projected, 2);
  if (Value past = node.input(8)) {
    if (node.rank(past) != 5) {
      node.error() << "expected past keys and values of rank 5, found rank "
                   << node.rank(past);
      return failure();
    }
    if (failed(
            node.expectShape(8,
                             {node.index(2), attention.batch, node.index(heads),
                              node.dim(past, 3), node.index(size)},
                             "2, batch, num_heads, length, size")))
      return failure();
    auto pastPart = [&](int64_t i) {
      return node.squeeze(node.sliceAxis(past, 0, node.index(i), node.index(1)),
                          {0});
    };
    keys = node.concat({pastPart(0), keys}, 2);
    values = node.concat({pastPart(1), values}, 2);
  }
  if (!query || !keys || !values)
    return failure();
  Scoring scoring;
  scoring.scale = node.getFloat("scale", 0);
  if (scoring.scale == 0)
    scoring.scale = 1 / std::sqrt(double(size));
  scoring.bias =
      maskScores(node, 5, node.getInt("unidirectional", 0), attention.batch,
                 attention.length, node.dim(keys, 2));
  if (node.hasFailed || (!scoring.bias && node.hasInput(5)))
    return failure();
  Value chosen = attend(node, query, keys, values, scoring).y;
  if (!chosen)
    return failure();
  chosen = mergeHeads(node, chosen);
  if (node.numOutputs() < 2 || !node.hasOutput(1))
    return node.result(chosen);
  Value present =
      node.concat({node.unsqueeze(keys, {0}), node.unsqueeze(values, {0})}, 0);
  return node.results({chosen, present});
}

static OpRows rows{
    {"com.microsoft", "QAttention", 1, importQAttention},
};
