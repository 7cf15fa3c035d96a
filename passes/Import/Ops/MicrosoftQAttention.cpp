// com.microsoft's QAttention: the product with the weights of queries, keys
// and values is one of integers, all behind it is computed in f32.

#include "passes/Import/Ops/Emit.h"
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

  /// What is added to the scores [batch, heads, length, total]; null for
  /// nothing. Masks are the numbers of positions that count (and perhaps those
  /// that do not, at the beginning), or 0 for each that does not.
  Value makeMask(OpFoldResult total) {
    Value mask = node.input(5);
    bool isCausal = node.getInt("unidirectional", 0);
    if (!mask && !isCausal)
      return {};
    double hidden = node.getFloat("mask_filter_value", -10000);
    Emit e(node);
    Value plain = mask ? e.plain(mask) : mask;
    int64_t rank = mask ? node.rank(mask) : 0;
    if (rank > 3) {
      node.error() << "expected a mask of rank 1 to 3, found rank " << rank;
      return {};
    }
    Num batches = e.index(batch), past = e.index(total) - e.index(length);
    Num many = mask && rank == 1 ? e.index(node.dim(mask, 0)) : e.index(1);
    if (rank == 1)
      e.check(many == batches || many == batches * e.index(2),
              "expected a mask of one or two numbers for each batch",
              /*status=*/0);
    else if (mask) {
      Elements wanted{batch, total};
      if (rank == 3)
        wanted.insert(wanted.begin() + 1, length);
      if (failed(node.expectShape(5, wanted, "batch, (length,) total length")))
        return {};
    }
    return e.generate(
        {batch, node.index(1), length, total}, f32, [&](ArrayRef<Num> at) {
          Num zero = e.constant(0, f32), low = e.constant(hidden, f32);
          Num sum = zero;
          auto hide = [&](Num condition) {
            sum = sum + e.select(condition, low, zero);
          };
          if (isCausal)
            hide(at[3] > at[2] + past);
          if (rank == 1) {
            Num end = e.toIndex(e.load(plain, {at[0]}));
            // Without a second half, the first number again.
            Num has = many == batches * e.index(2);
            Num second = e.select(has, at[0] + batches, at[0]);
            Num begin = e.toIndex(e.load(plain, {second}));
            begin = e.select(has, begin, e.index(0));
            hide(at[3] >= end || at[3] < begin);
          } else if (rank == 2) {
            Num flag = e.toIndex(e.load(plain, {at[0], at[3]}));
            hide(flag == e.index(0));
          } else if (rank == 3) {
            Num flag = e.toIndex(e.load(plain, {at[0], at[2], at[3]}));
            hide(flag == e.index(0));
          }
          return sum;
        });
  }
};

} // namespace

/// Inputs: x, weights [input, 3 * hidden], bias, the scales of both, a mask,
/// the zero points of both, past keys and values.
static ImportResult importQAttention(NodeImport &node) {
  for (unsigned i : {3, 4})
    if (failed(expectScale(node, i)))
      return failure();
  if (failed(expectZeroPoint(node, 6, node.elementType(node.input(0)))) ||
      failed(expectZeroPoint(node, 7, node.elementType(node.input(1)))))
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
  Value scores =
      node.matmul(query, node.transpose(keys, {0, 1, 3, 2}), attention.f32);
  double scale = node.getFloat("scale", 0);
  if (scale == 0)
    scale = 1 / std::sqrt(double(size));
  scores = node.map<MulOp>({scores, node.scalar(scale, attention.f32)});
  Value mask = attention.makeMask(node.dim(keys, 2));
  if (node.hasFailed || (!mask && node.hasInput(5)))
    return failure();
  if (mask)
    scores = node.map<AddOp>({scores, mask});
  Value chosen = node.matmul(node.infer<SoftmaxOp>(scores, int64_t(3)), values,
                             attention.f32);
  chosen = node.reshape(
      node.transpose(chosen, {0, 2, 1, 3}),
      {attention.batch, attention.length, node.index(heads * size)});
  if (node.numOutputs() < 2 || !node.hasOutput(1))
    return node.result(chosen);
  Value present =
      node.concat({node.unsqueeze(keys, {0}), node.unsqueeze(values, {0})}, 0);
  return node.results({chosen, present});
}

static OpRows rows{
    {"com.microsoft", "QAttention", 1, importQAttention},
};
