// Operators of com.microsoft that exporters and graph optimizers write, as
// compositions. (Schemas: ONNX Runtime's docs/ContribOperators.md.)

#include "passes/Import/Ops/Microsoft.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

Value dlc::gelu(NodeImport &node, Value x) {
  Value erf = node.map<ErfOp>(
      {node.map<MulOp>({x, node.scalarLike(std::sqrt(0.5), x)})});
  Value half = node.map<MulOp>({x, node.scalarLike(0.5, x)});
  return node.map<MulOp>({half, node.map<AddOp>({erf, node.scalarLike(1, x)})});
}

/// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
static Value fastGelu(NodeImport &node, Value x) {
  Value cube = node.map<MulOp>({node.map<MulOp>({x, x}), x});
  Value inner = node.map<AddOp>(
      {x, node.map<MulOp>({cube, node.scalarLike(0.044715, x)})});
  Value gate = node.map<TanhOp>(
      {node.map<MulOp>({inner, node.scalarLike(std::sqrt(2 / M_PI), x)})});
  Value half = node.map<MulOp>({x, node.scalarLike(0.5, x)});
  return node.map<MulOp>(
      {half, node.map<AddOp>({gate, node.scalarLike(1, x)})});
}

/// The first input, plus the second one where there is one.
static Value withBias(NodeImport &node) {
  Value x = node.input(0), bias = node.input(1);
  if (bias && (node.rank(x) == 0 ||
               failed(node.expectShape(1, node.dim(x, node.rank(x) - 1),
                                       "hidden_size"))))
    return {};
  return bias ? node.map<AddOp>({x, bias}) : x;
}

static ImportResult importGelu(NodeImport &node) {
  return node.result(gelu(node, node.input(0)));
}

static ImportResult importBiasGelu(NodeImport &node) {
  Value x = withBias(node);
  if (!x)
    return failure();
  return node.result(gelu(node, x));
}

static ImportResult importFastGelu(NodeImport &node) {
  Value x = withBias(node);
  if (!x)
    return failure();
  return node.result(fastGelu(node, x));
}

static ImportResult importQuickGelu(NodeImport &node) {
  Value x = node.input(0);
  Value gate = node.map<SigmoidOp>({node.map<MulOp>(
      {x, node.scalarLike(node.getFloat("alpha", 1.702f), x)})});
  return node.result(node.map<MulOp>({x, gate}));
}

/// alpha * op(A) * op(B); `transBatchA` moves the first dimension in front of
/// the last.
static ImportResult importFusedMatMul(NodeImport &node) {
  auto operand = [&](unsigned i, StringRef trans, StringRef transBatch) {
    Value x = node.input(i);
    int64_t rank = node.rank(x);
    SmallVector<int64_t> permutation =
        llvm::to_vector(llvm::seq<int64_t>(0, rank));
    if (rank > 2 && node.getInt(transBatch, 0))
      std::rotate(permutation.begin(), permutation.begin() + 1,
                  permutation.end() - 1);
    if (rank > 1 && node.getInt(trans, 0))
      std::swap(permutation[rank - 1], permutation[rank - 2]);
    return node.transpose(x, permutation);
  };
  Value a = operand(0, "transA", "transBatchA");
  Value b = operand(1, "transB", "transBatchB");
  if (!a || !b)
    return failure();
  if (node.rank(a) < 2 || node.rank(b) < 2) {
    node.error() << "expected operands of rank 2 or more, found "
                 << node.rank(a) << " and " << node.rank(b);
    return failure();
  }
  Type element = node.elementType(a);
  Value y = node.matmul(a, b, computeTypeOf(element));
  double alpha = node.getFloat("alpha", 1);
  if (y && alpha != 1)
    y = node.map<MulOp>({y, node.scalarLike(alpha, y)});
  return node.result(node.cast(y, element));
}

/// The results of a normalisation of the last dimension.
struct Normalized {
  Value y, mean, inverse;
};

/// (x - mean) * rsqrt(variance + epsilon) * scale + shift; without `centred`
/// the mean is taken as 0. `shift` may be null.
static Normalized normalize(NodeImport &node, Value x, Value scale, Value shift,
                            bool centred) {
  Type compute = computeTypeOf(node.elementType(x));
  int64_t last = node.rank(x) - 1;
  Value wide = node.cast(x, compute);
  Value count = node.countAlong(wide, {last}, compute);
  auto meanOf = [&](Value v) {
    return node.map<DivOp>({node.reduce(ReduceKind::Sum, v, {last}), count});
  };
  Normalized result;
  if (centred) {
    result.mean = meanOf(wide);
    wide = node.map<SubOp>({wide, result.mean});
  }
  Value variance = meanOf(node.map<MulOp>({wide, wide}));
  double small = node.getFloat("epsilon", centred ? 1e-12f : 1e-5f);
  Value epsilon = node.scalar(small, compute);
  Value root = node.map<SqrtOp>({node.map<AddOp>({variance, epsilon})});
  result.inverse = node.map<DivOp>({node.scalar(1, compute), root});
  Value y = node.map<MulOp>({wide, result.inverse});
  y = node.map<MulOp>({y, node.cast(scale, compute)});
  if (shift)
    y = node.map<AddOp>({y, node.cast(shift, compute)});
  result.y = y;
  return result;
}

/// Inputs: x, skip, gamma, (beta,) bias. Results: y, mean, inverse deviation,
/// and the sum that was normalised. The second and third are of f32 where the
/// others have fewer bits, so that this is no row that is widened as a whole.
template <bool centred>
static ImportResult importSkipNormalization(NodeImport &node) {
  Elements sizes = node.dims(node.input(0));
  if (sizes.empty() ||
      failed(node.expectBroadcast(1, sizes, "those of the input")))
    return failure();
  for (unsigned i = 2; i < (centred ? 5 : 4); ++i)
    if (failed(node.expectShape(i, sizes.back(), "hidden_size")))
      return failure();
  Type element = node.elementType(node.input(0));
  auto wide = [&](unsigned i) {
    return node.cast(node.input(i), computeTypeOf(element));
  };
  Value sum = node.map<AddOp>({wide(0), wide(1)});
  if (Value bias = wide(centred ? 4 : 3))
    sum = node.map<AddOp>({sum, bias});
  if (!sum)
    return failure();
  Normalized n = normalize(node, sum, node.input(2),
                           centred ? node.input(3) : Value(), centred);
  return node.results(
      {node.cast(n.y, element), n.mean, n.inverse, node.cast(sum, element)});
}

/// LayerNormalization without a mean, of the last dimension.
static ImportResult importSimplifiedNormalization(NodeImport &node) {
  Value x = node.input(0);
  if (node.axis("axis", -1, x) != node.rank(x) - 1) {
    node.error() << "expected axis = -1";
    return failure();
  }
  if (failed(node.expectBroadcast(1, node.dims(x), "those of X")))
    return failure();
  Normalized n = normalize(node, x, node.input(1), {}, /*centred=*/false);
  return node.results({node.cast(n.y, node.elementType(x)), n.inverse});
}

static OpRows rows{
    {"com.microsoft", "Gelu", 1, importGelu, kComposition},
    {"com.microsoft", "BiasGelu", 1, importBiasGelu, kComposition},
    {"com.microsoft", "FastGelu", 1, importFastGelu, kComposition},
    {"com.microsoft", "QuickGelu", 1, importQuickGelu, kComposition},
    {"com.microsoft", "FusedMatMul", 1, importFusedMatMul},
    {"com.microsoft", "TransposeMatMul", 1, importFusedMatMul},
    {"com.microsoft", "SkipLayerNormalization", 1,
     importSkipNormalization<true>},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1,
     importSkipNormalization<false>},
    {"com.microsoft", "SimplifiedLayerNormalization", 1,
     importSimplifiedNormalization},
    {"", "SimplifiedLayerNormalization", 1, importSimplifiedNormalization},
};
