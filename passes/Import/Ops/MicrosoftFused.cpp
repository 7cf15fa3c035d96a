// com.microsoft's operators that a graph optimizer makes of two: a product or a
// convolution with its activation, a sum with what follows it.

#include "passes/Import/Ops/Activations.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Microsoft.h"

using namespace mlir;
using namespace dlc;

Value dlc::softmaxFrom(NodeImport &node, Value x, int64_t axis) {
  Elements sizes = node.dims(x);
  if (axis == node.rank(x) - 1)
    return node.infer<SoftmaxOp>(x, axis);
  OpFoldResult before = node.index(1), behind = before;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    OpFoldResult &product = int64_t(i) < axis ? before : behind;
    product = mulSizes(node.b, node.loc, product, size);
  }
  Value flat =
      node.infer<SoftmaxOp>(node.reshape(x, {before, behind}), int64_t(1));
  return node.reshape(flat, sizes);
}

ImportResult dlc::withChannelsLast(NodeImport &node, ImportResult results) {
  if (succeeded(results))
    results->front() = node.toChannelsLast(results->front());
  return results;
}

/// The activation that the attribute `activation` names, on x.
static Value activate(NodeImport &node, Value x, double alpha, double beta) {
  std::string name = node.getString("activation", "").lower();
  if (name.empty() || !x)
    return x;
  auto number = [&](double value) { return node.scalarLike(value, x); };
  if (name == "clip") // from alpha to beta
    return node.map<MinOp>({node.map<MaxOp>({x, number(alpha)}), number(beta)});
  if (name == "hardswish") {
    Value gate = Activation{"hardsigmoid", 1.0 / 6, 0.5}.apply(node, x);
    return node.map<MulOp>({x, gate});
  }
  if (name == "gelu")
    return gelu(node, x);
  return Activation{name, alpha, beta}.apply(node, x);
}

//===----------------------------------------------------------------------===//
// Convolutions and products
//===----------------------------------------------------------------------===//

/// Conv, plus input 3, and an activation.
static ImportResult importFusedConv(NodeImport &node) {
  ImportResult conv = importAs(node, "Conv");
  if (failed(conv))
    return failure();
  Value y = conv->front();
  if (Value other = node.input(3)) {
    if (failed(node.expectShape(3, node.dims(y), "those of Y")))
      return failure();
    y = node.map<AddOp>({y, other});
  }
  std::optional<SmallVector<double>> given;
  if (auto floats = node.node.getFloats("activation_params"))
    given.emplace(floats->begin(), floats->end());
  auto parameter = [&](size_t i, double otherwise) {
    return given && i < given->size() ? (*given)[i] : otherwise;
  };
  bool isLeaky = node.getString("activation", "") == "LeakyRelu";
  return node.result(activate(node, y, parameter(0, isLeaky ? 0.01f : 0.2f),
                              parameter(1, 0.5)));
}

/// The same with the channels last, in x, in Z and in Y.
static ImportResult importNhwcFusedConv(NodeImport &node) {
  for (unsigned i : {0, 3})
    if (Value x = node.input(i))
      node.replaceInput(i, node.toChannelsFirst(x));
  return withChannelsLast(node, importFusedConv(node));
}

/// Conv with the channels last in x, in the weights and in Y.
static ImportResult importNhwcConv(NodeImport &node) {
  for (unsigned i : {0, 1})
    node.replaceInput(i, node.toChannelsFirst(node.input(i)));
  return withChannelsLast(node, importAs(node, "Conv"));
}

static ImportResult importNhwcMaxPool(NodeImport &node) {
  node.replaceInput(0, node.toChannelsFirst(node.input(0)));
  return withChannelsLast(node, importAs(node, "MaxPool"));
}

/// An activation with parameters in attributes of their own behind a product.
static ImportResult withActivation(NodeImport &node, ImportResult results) {
  if (failed(results))
    return failure();
  Value x = results->front();
  if (node.getString("activation", "") == "Softmax") {
    int64_t axis = node.axis("activation_axis", -1, x);
    if (node.hasFailed)
      return failure();
    return node.result(node.infer<SoftmaxOp>(x, axis));
  }
  return node.result(activate(node, x, node.getFloat("activation_alpha", 0),
                              node.getFloat("activation_beta", 0)));
}

static ImportResult importFusedGemm(NodeImport &node) {
  return withActivation(node, importAs(node, "Gemm"));
}

static ImportResult importFusedMatMulActivation(NodeImport &node) {
  const OpRow *row = findOpRow("com.microsoft", "FusedMatMul");
  return withActivation(node, row->import(node));
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Input 0 plus input `bias`, of the size of its dimension `dim`, which counts
/// from the end.
static Value plusBias(NodeImport &node, unsigned bias, int64_t dim = -1) {
  Value x = node.input(0);
  int64_t axis = node.normalizeAxis(dim, node.rank(x));
  if (node.hasFailed || failed(node.expectShape(bias, node.dim(x, axis), "C")))
    return {};
  return node.map<AddOp>({x, node.input(bias)});
}

static ImportResult importBiasAdd(NodeImport &node) {
  Value sum = plusBias(node, 1);
  if (!sum || failed(node.expectShape(2, node.dims(sum), "those of X")))
    return failure();
  return node.result(node.map<AddOp>({sum, node.input(2)}));
}

/// The first half of the last dimension times the gelu of the second.
static ImportResult importBiasSplitGelu(NodeImport &node) {
  Value sum = plusBias(node, 1);
  if (!sum)
    return failure();
  int64_t last = node.rank(sum) - 1;
  OpFoldResult size = node.dim(sum, last), two = node.index(2);
  Emit e(node);
  OpFoldResult half = e.fold(e.index(size) / 2.0);
  if (failed(node.expectEqual(mulSizes(node.b, node.loc, half, two), size,
                              "an even number of channels")))
    return failure();
  Value first = node.sliceAxis(sum, last, node.index(0), half);
  Value second = node.sliceAxis(sum, last, half, half);
  return node.result(node.map<MulOp>({first, gelu(node, second)}));
}

/// The bias has the result's rank, or lacks outer dimensions.
static ImportResult importBiasSoftmax(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", 1, x);
  if (node.hasFailed ||
      failed(node.expectBroadcast(1, node.dims(x), "those of data")))
    return failure();
  Value sum = node.map<AddOp>({x, node.input(1)});
  return node.result(sum ? softmaxFrom(node, sum, axis) : sum);
}

/// Dropout leaves everything where it does not train.
static ImportResult importBiasDropout(NodeImport &node) {
  if (Value training = node.input(4)) {
    ElementsAttr known = node.constantValue(training);
    if (!known || *known.value_begin<APInt>() != 0) {
      node.error() << "expected training_mode to be a constant false";
      return failure();
    }
  }
  Value x = node.input(0), sum;
  if (failed(node.expectBroadcast(1, node.dims(x), "those of data")) ||
      failed(node.expectShape(2, node.dims(x), "those of data")))
    return failure();
  sum = node.map<AddOp>({x, node.input(1)});
  if (sum && node.hasInput(2))
    sum = node.map<AddOp>({sum, node.input(2)});
  if (!sum)
    return failure();
  Value mask =
      node.broadcast(node.scalar(1, node.b.getI1Type()), node.dims(sum));
  return node.results({sum, mask});
}

//===----------------------------------------------------------------------===//
// Norms of groups of channels
//===----------------------------------------------------------------------===//

/// The norm of `x` with the channels last, with an activation.
static ImportResult groupNorm(NodeImport &node, Value x, Value sum) {
  int64_t rank = node.rank(x), groups = node.getInt("groups", 0);
  Elements sizes = node.dims(x);
  OpFoldResult channels = sizes.back();
  for (unsigned i : {1, 2})
    if (failed(node.expectShape(i, channels, "C")))
      return failure();
  int64_t activation = node.getInt("activation", 0);
  if (groups < 1 || activation < 0 || activation > 1) {
    node.error() << "expected groups of 1 or more and activation = 0 or 1";
    return failure();
  }
  Emit e(node);
  OpFoldResult size = e.fold(e.index(channels) / double(groups));
  if (failed(
          node.expectEqual(mulSizes(node.b, node.loc, size, node.index(groups)),
                           channels, "groups that divide the channels")))
    return failure();
  Elements split(sizes);
  split.back() = node.index(groups);
  split.push_back(size);
  Value parts = node.reshape(x, split);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(1, rank - 1));
  axes.push_back(rank);
  Type f32 = node.elementType(parts);
  Value count = node.countAlong(parts, axes, f32);
  auto mean = [&](Value v) {
    return node.map<DivOp>({node.reduce(ReduceKind::Sum, v, axes), count});
  };
  Value centred = node.map<SubOp>({parts, mean(parts)});
  Value variance = mean(node.map<MulOp>({centred, centred}));
  Value epsilon = node.scalar(node.getFloat("epsilon", 1e-5f), f32);
  Value root = node.map<SqrtOp>({node.map<AddOp>({variance, epsilon})});
  Value y = node.reshape(node.map<DivOp>({centred, root}), sizes);
  y = node.map<AddOp>({node.map<MulOp>({y, node.input(1)}), node.input(2)});
  if (activation) // x * sigmoid(x)
    y = node.map<MulOp>({y, node.map<SigmoidOp>({y})});
  if (!node.getInt("channels_last", 1)) {
    y = node.toChannelsFirst(y);
    sum = sum ? node.toChannelsFirst(sum) : sum;
  }
  SmallVector<Value> results{y};
  if (sum)
    results.push_back(sum);
  return node.results(results);
}

/// Input i with the channels last.
static Value channelsLast(NodeImport &node, unsigned i) {
  Value x = node.input(i);
  if (node.rank(x) < 3) {
    node.error() << "expected an input of rank 3 or more, found rank "
                 << node.rank(x);
    return {};
  }
  return node.getInt("channels_last", 1) ? x : node.toChannelsLast(x);
}

static ImportResult importGroupNorm(NodeImport &node) {
  Value x = channelsLast(node, 0);
  if (!x)
    return failure();
  return groupNorm(node, x, {});
}

/// The skip connection has the shape of x, or one number for each image and
/// channel.
static ImportResult importSkipGroupNorm(NodeImport &node) {
  Value x = channelsLast(node, 0), skip = node.input(3);
  if (!x)
    return failure();
  Elements sizes = node.dims(x);
  if (node.rank(skip) == 2) {
    if (failed(node.expectShape(3, {sizes.front(), sizes.back()}, "N, C")))
      return failure();
    skip = node.unsqueeze(
        skip, llvm::to_vector(llvm::seq<int64_t>(1, node.rank(x) - 1)));
  } else {
    skip = channelsLast(node, 3);
    if (!skip || failed(node.expectBroadcast(skip, sizes, "the skip")))
      return failure();
  }
  if (failed(node.expectShape(4, sizes.back(), "C")))
    return failure();
  Value sum = node.map<AddOp>({x, skip});
  if (sum && node.hasInput(4))
    sum = node.map<AddOp>({sum, node.input(4)});
  if (!sum)
    return failure();
  return groupNorm(node, sum, sum);
}

static OpRows rows{
    {"com.microsoft", "FusedConv", 1, importFusedConv, kComposition},
    {"com.microsoft", "NhwcFusedConv", 1, importNhwcFusedConv, kComposition},
    {"com.microsoft", "NhwcConv", 1, importNhwcConv},
    {"com.microsoft", "NhwcMaxPool", 1, importNhwcMaxPool},
    {"com.microsoft", "FusedGemm", 1, importFusedGemm, kComposition},
    {"com.microsoft", "FusedMatMulActivation", 1, importFusedMatMulActivation,
     kComposition},
    {"com.microsoft", "BiasAdd", 1, importBiasAdd, kComposition},
    {"com.microsoft", "BiasSplitGelu", 1, importBiasSplitGelu, kComposition},
    {"com.microsoft", "BiasSoftmax", 1, importBiasSoftmax, kComposition},
    {"com.microsoft", "BiasDropout", 1, importBiasDropout, kComposition},
    {"com.microsoft", "GroupNorm", 1, importGroupNorm, kComposition},
    {"com.microsoft", "SkipGroupNorm", 1, importSkipGroupNorm, kComposition},
};
