// Normalisations, as compositions of reductions and elementwise ops. Variance
// is the mean of the squared distances from the mean.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

static Value meanAlong(NodeImport &node, Value x, ArrayRef<int64_t> axes) {
  if (!x)
    return {};
  Value sum = node.reduce(ReduceKind::Sum, x, axes);
  return node.map<DivOp>({sum, node.countAlong(x, axes, node.elementType(x))});
}

namespace {
struct Normalized {
  Value value, mean, inverseDeviation;
};
} // namespace

/// (x - mean) / sqrt(variance + epsilon) along `axes`.
static Normalized normalize(NodeImport &node, Value x, ArrayRef<int64_t> axes,
                            double epsilon) {
  Value mean = meanAlong(node, x, axes);
  Value centered = node.map<SubOp>({x, mean});
  Value variance = meanAlong(node, node.map<MulOp>({centered, centered}), axes);
  Value deviation = node.map<SqrtOp>(
      {node.map<AddOp>({variance, node.scalarLike(epsilon, x)})});
  Value inverse = node.map<DivOp>({node.scalarLike(1, x), deviation});
  return {node.map<MulOp>({centered, inverse}), mean, inverse};
}

/// A vector of one element a channel, shaped to broadcast along axis 1.
static Value perChannel(NodeImport &node, Value vector, int64_t rank) {
  if (!vector || rank < 2)
    return vector;
  Elements sizes(rank, node.index(1));
  sizes[1] = node.dim(vector, 0);
  return node.reshape(vector, sizes);
}

/// Inputs [first, end) have one element a channel of x.
static LogicalResult expectPerChannel(NodeImport &node, unsigned first,
                                      unsigned end) {
  Value x = node.input(0);
  OpFoldResult channels =
      node.rank(x) < 2 ? OpFoldResult(node.index(1)) : node.dim(x, 1);
  for (unsigned i = first; i < end; ++i)
    if (failed(node.expectShape(i, channels, "C")))
      return failure();
  return success();
}

/// Inference: one scale and shift a channel, so that it folds into what
/// stands before. Training mode computes the statistics.
static ImportResult importBatchNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  double epsilon = node.getFloat("epsilon", 1e-5f);
  Value scale = node.input(1), bias = node.input(2);
  Type element = node.elementType(x);
  if (failed(expectPerChannel(node, 1, 5)))
    return failure();
  if (node.getInt("training_mode", 0)) {
    double momentum = node.getFloat("momentum", 0.9f);
    SmallVector<int64_t> axes;
    for (int64_t i = 0; i < rank; ++i)
      if (i != 1)
        axes.push_back(i);
    Value mean = meanAlong(node, x, axes);
    Value centered = node.map<SubOp>({x, mean});
    Value variance =
        meanAlong(node, node.map<MulOp>({centered, centered}), axes);
    Value deviation = node.map<SqrtOp>(
        {node.map<AddOp>({variance, node.scalarLike(epsilon, x)})});
    Value y = node.map<DivOp>({centered, deviation});
    y = node.map<MulOp>({y, perChannel(node, scale, rank)});
    y = node.map<AddOp>({y, perChannel(node, bias, rank)});
    auto running = [&](Value old, Value current) {
      Value flat = node.reshape(current, {node.dim(old, 0)});
      flat = node.cast(flat, node.elementType(old));
      return node.map<AddOp>(
          {node.map<MulOp>({old, node.scalarLike(momentum, old)}),
           node.map<MulOp>({flat, node.scalarLike(1 - momentum, old)})});
    };
    return node.results(
        {y, running(node.input(3), mean), running(node.input(4), variance)});
  }
  Type compute = node.elementType(node.input(4));
  Value mean = node.input(3), variance = node.input(4);
  Value deviation = node.map<SqrtOp>(
      {node.map<AddOp>({variance, node.scalarLike(epsilon, variance)})});
  Value factor = node.map<DivOp>({node.cast(scale, compute), deviation});
  Value shift = node.map<SubOp>(
      {node.cast(bias, compute), node.map<MulOp>({mean, factor})});
  Value y =
      node.map<MulOp>({node.cast(x, compute), perChannel(node, factor, rank)});
  y = node.map<AddOp>({y, perChannel(node, shift, rank)});
  return node.result(node.cast(y, element));
}

static ImportResult importLayerNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  SmallVector<int64_t> axes;
  for (int64_t i = axis; i < node.rank(x); ++i)
    axes.push_back(i);
  for (unsigned i = 1; i < 3; ++i)
    if (failed(node.expectBroadcast(i, node.dims(x), "those of X")))
      return failure();
  Normalized n = normalize(node, x, axes, node.getFloat("epsilon", 1e-5f));
  Value y = node.map<MulOp>({n.value, node.input(1)});
  if (Value bias = node.input(2))
    y = node.map<AddOp>({y, bias});
  // What ONNX calls the type of the stash is that of the statistics.
  Type stash = node.getInt("stash_type", 1) == 16 ? Type(node.b.getBF16Type())
                                                  : node.b.getF32Type();
  SmallVector<Value> results{y, node.cast(n.mean, stash),
                             node.cast(n.inverseDeviation, stash)};
  results.resize(std::min<size_t>(results.size(), node.numOutputs()));
  return node.results(results);
}

static ImportResult importRMSNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  SmallVector<int64_t> axes;
  for (int64_t i = axis; i < node.rank(x); ++i)
    axes.push_back(i);
  for (unsigned i = 1; i < 3; ++i)
    if (failed(node.expectBroadcast(i, node.dims(x), "those of X")))
      return failure();
  Value mean = meanAlong(node, node.map<MulOp>({x, x}), axes);
  Value root = node.map<SqrtOp>({node.map<AddOp>(
      {mean, node.scalarLike(node.getFloat("epsilon", 1e-5f), x)})});
  // The scale, and so the result, may have another type.
  Value y = node.map<DivOp>({x, root}), scale = node.input(1);
  return node.result(
      node.map<MulOp>({node.cast(y, node.elementType(scale)), scale}));
}

static ImportResult importInstanceNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  SmallVector<int64_t> axes = spatialAxes(node, x);
  if (node.hasFailed || failed(expectPerChannel(node, 1, 3)))
    return failure();
  Normalized n = normalize(node, x, axes, node.getFloat("epsilon", 1e-5f));
  Value y = node.map<MulOp>({n.value, perChannel(node, node.input(1), rank)});
  return node.result(
      node.map<AddOp>({y, perChannel(node, node.input(2), rank)}));
}

/// Channels taken apart into [groups, channels / groups].
static ImportResult importGroupNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x), groups = node.getInt("num_groups", 1);
  Emit e(node);
  Num channels = e.index(node.dim(x, 1));
  if (node.hasFailed)
    return failure();
  Num divides = groups < 1 ? e.flag(false) : channels % double(groups) == 0;
  if (isConstantIntValue(divides.value, 0)) {
    node.error() << "expected a number of channels that " << groups
                 << " groups divide";
    return failure();
  }
  e.check(divides,
          "expected a number of channels that " + Twine(groups) +
              " groups divide",
          /*status=*/0);
  if (failed(expectPerChannel(node, 1, 3)))
    return failure();
  Elements whole = node.dims(x), apart = whole;
  apart[1] = node.index(groups);
  apart.insert(apart.begin() + 2, e.fold(channels / double(groups)));
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(2, rank + 1));
  Normalized n = normalize(node, node.reshape(x, apart), axes,
                           node.getFloat("epsilon", 1e-5f));
  Value y = node.map<MulOp>(
      {node.reshape(n.value, whole), perChannel(node, node.input(1), rank)});
  return node.result(
      node.map<AddOp>({y, perChannel(node, node.input(2), rank)}));
}

/// x / norm along an axis; 0 where the norm is 0.
static ImportResult importLpNormalization(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", -1, x), p = node.getInt("p", 2);
  if (node.hasFailed)
    return failure();
  if (p != 1 && p != 2) {
    node.error() << "expected p = 1 or 2, found " << p;
    return failure();
  }
  Value terms = p == 1 ? node.map<AbsOp>({x}) : node.map<MulOp>({x, x});
  Value norm = node.reduce(ReduceKind::Sum, terms, axis);
  if (p == 2)
    norm = node.map<SqrtOp>({norm});
  Value zero = node.scalarLike(0, x);
  Value isZero = node.map<EqualOp>({norm, zero});
  Value divisor = node.map<SelectOp>({isZero, node.scalarLike(1, x), norm});
  return node.result(node.map<DivOp>({x, divisor}));
}

static ImportResult importMeanVarianceNormalization(NodeImport &node) {
  Value x = node.input(0);
  SmallVector<int64_t> axes =
      node.getInts("axes").value_or(SmallVector<int64_t>{0, 2, 3});
  for (int64_t &axis : axes)
    axis = node.normalizeAxis(axis, node.rank(x));
  if (node.hasFailed)
    return failure();
  Value mean = meanAlong(node, x, axes);
  Value centered = node.map<SubOp>({x, mean});
  Value variance = meanAlong(node, node.map<MulOp>({centered, centered}), axes);
  Value deviation =
      node.map<AddOp>({node.map<SqrtOp>({variance}), node.scalarLike(1e-9, x)});
  return node.result(node.map<DivOp>({centered, deviation}));
}

/// x / (bias + alpha / size * sum of squares of `size` neighbours)^beta, where
/// the sum over channels is a pool along them.
static ImportResult importLRN(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x), size = node.getInt("size", 1);
  if (rank < 2 || size < 1) {
    node.error() << "expected a rank of 2 or more and a size of 1 or more";
    return failure();
  }
  double alpha = node.getFloat("alpha", 0.0001f);
  double beta = node.getFloat("beta", 0.75f);
  double bias = node.getFloat("bias", 1);
  // [n, c, rest] as an image of c rows: a window of `size` rows.
  Elements flat{node.dim(x, 0), node.dim(x, 1), node.index(1)};
  for (int64_t i = 2; i < rank; ++i)
    flat[2] = mulSizes(node.b, node.loc, flat[2], node.dim(x, i));
  Value squares = node.reshape(node.map<MulOp>({x, x}), flat);
  if (!squares)
    return failure();
  // No more rows than there are, and a size that does not overflow.
  int64_t channels = node.type(x).getDimSize(1);
  int64_t most = ShapedType::isStatic(channels)
                     ? std::max<int64_t>(channels - 1, 0)
                     : kLargestSize;
  int64_t before = (size - 1) / 2, after = size - 1 - before;
  before = std::min(before, most);
  after = std::min(after, most);
  Value sum = node.create<PoolOp>(node.type(squares), PoolKind::Sum, squares,
                                  ArrayRef<int64_t>{before + 1 + after},
                                  ArrayRef<int64_t>{1}, ArrayRef<int64_t>{1},
                                  ArrayRef<int64_t>{before, after});
  sum = node.reshape(sum, node.dims(x));
  Value base =
      node.map<AddOp>({node.map<MulOp>({sum, node.scalarLike(alpha / size, x)}),
                       node.scalarLike(bias, x)});
  Value power = node.map<PowOp>({base, node.scalarLike(beta, x)});
  return node.result(node.map<DivOp>({x, power}));
}

static OpRows rows{
    {"", "BatchNormalization", 7, importBatchNormalization, kComposition},
    {"", "LayerNormalization", 17, importLayerNormalization, kComposition},
    {"", "RMSNormalization", 23, importRMSNormalization, kComposition},
    {"", "InstanceNormalization", 6, importInstanceNormalization, kComposition},
    {"", "GroupNormalization", 21, importGroupNormalization, kComposition},
    {"", "LpNormalization", 1, importLpNormalization, kComposition},
    {"", "MeanVarianceNormalization", 9, importMeanVarianceNormalization,
     kComposition},
    {"", "LRN", 1, importLRN, kComposition},
};
