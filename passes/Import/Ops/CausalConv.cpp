// CausalConvWithState: a convolution of each channel with its own kernel over
// the present and what came before.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

/// Up to so many taps are a sum of slices, which is fused into one loop.
static constexpr int64_t kMaxSlices = 16;

/// The sum over taps j of padded[:, :, j : j + length] * weights[:, 0, j].
static Value convolveChannels(NodeImport &node, Value padded, Value weights,
                              const Elements &sizes) {
  OpFoldResult taps = node.dim(weights, 2);
  std::optional<int64_t> known = getConstantIntValue(taps);
  if (!known || *known < 1 || *known > kMaxSlices) {
    Emit e(node);
    Value x = e.plain(padded), w = e.plain(weights);
    Num zero = e.index(int64_t(0));
    Type type = node.elementType(padded);
    return e.generate(sizes, type, [&](ArrayRef<Num> at) {
      return e.sum({taps}, type, [&](ArrayRef<Num> tap) {
        return e.load(x, {at[0], at[1], at[2] + tap[0]}) *
               e.load(w, {at[1], zero, tap[0]});
      });
    });
  }
  Value columns = node.reshape(weights, {node.dim(weights, 0), taps});
  Value sum;
  for (int64_t j = 0; j < *known; ++j) {
    Value product = node.map<MulOp>(
        {node.sliceAxis(padded, 2, node.index(j), sizes[2]),
         node.sliceAxis(columns, 1, node.index(j), node.index(1))});
    sum = sum ? node.map<AddOp>({sum, product}) : product;
  }
  return sum;
}

/// Inputs: x [batch, channels, length], weights [channels, 1, k], a bias
/// [channels], the k - 1 elements before x; where these are not given, zeros.
static ImportResult importCausalConv(NodeImport &node) {
  Value x = node.input(0), weights = node.input(1);
  for (Value value : {x, weights})
    if (!value || node.rank(value) != 3) {
      node.error() << "expected an input and a weight of rank 3";
      return failure();
    }
  StringRef activation = node.getString("activation", "none");
  if (!llvm::is_contained({"none", "silu", "swish"}, activation)) {
    node.error() << "expected an activation of silu, swish or none, found '"
                 << activation << "'";
    return failure();
  }
  Emit e(node);
  Elements sizes = node.dims(x);
  OpFoldResult taps = node.dim(weights, 2);
  OpFoldResult before = e.fold(e.index(taps) - e.index(int64_t(1)));
  if (failed(node.expectShape(1, {sizes[1], node.index(1), taps},
                              "channels, 1, k")) ||
      failed(node.expectNotEmpty({taps}, "a kernel")) ||
      failed(node.expectShape(2, {sizes[1]}, "channels")) ||
      failed(node.expectShape(3, {sizes[0], sizes[1], before},
                              "batch_size, channels, k - 1")))
    return failure();
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Value past = node.input(3);
  if (!past)
    past =
        node.broadcast(node.scalar(0, element), {sizes[0], sizes[1], before});
  Value padded = node.concat({past, x}, 2);
  Value sum = convolveChannels(node, node.cast(padded, compute),
                               node.cast(weights, compute), sizes);
  if (Value bias = node.input(2); bias && sum)
    sum = node.map<AddOp>({sum, node.reshape(node.cast(bias, compute),
                                             {sizes[1], node.index(1)})});
  if (sum && activation != "none")
    sum = node.map<MulOp>({sum, node.map<SigmoidOp>({sum})});
  if (!sum)
    return failure();
  return node.results({node.cast(node.reshape(sum, sizes), element),
                       node.sliceAxis(padded, 2, sizes[2], before)});
}

static OpRows rows{{"", "CausalConvWithState", 27, importCausalConv}};
