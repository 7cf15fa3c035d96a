// MatMul, Gemm and convolutions. Their operands, weights above all, stay in the
// model's type; what follows the product is computed in that of its sums, and
// rounded once.

#include "passes/Import/OpTable.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

/// numpy.matmul: a vector on the left is a row, on the right a column, and
/// the dimension that this adds is taken out again.
static Value matmulOf(NodeImport &node, Value lhs, Value rhs, Type type) {
  if (node.rank(lhs) == 0 || node.rank(rhs) == 0) {
    node.error() << "expected operands of rank 1 or more";
    return {};
  }
  bool isRow = node.rank(lhs) == 1, isColumn = node.rank(rhs) == 1;
  if (isRow)
    lhs = node.unsqueeze(lhs, {0});
  if (isColumn)
    rhs = node.unsqueeze(rhs, {1});
  Value result = node.matmul(lhs, rhs, type);
  if (!result)
    return {};
  SmallVector<int64_t> added;
  int64_t rank = node.rank(result);
  if (isRow)
    added.push_back(rank - 2);
  if (isColumn)
    added.push_back(rank - 1);
  return added.empty() ? result : node.squeeze(result, added);
}

static ImportResult importMatMul(NodeImport &node) {
  Value lhs = node.input(0), rhs = node.input(1);
  return node.result(matmulOf(node, lhs, rhs, node.elementType(lhs)));
}

static ImportResult importGemm(NodeImport &node) {
  Value a = node.input(0), b = node.input(1), c = node.input(2);
  if (node.rank(a) != 2 || node.rank(b) != 2) {
    node.error() << "expected matrices, found ranks " << node.rank(a) << " and "
                 << node.rank(b);
    return failure();
  }
  double alpha = node.getFloat("alpha", 1), beta = node.getFloat("beta", 1);
  if (node.getInt("transA", 0))
    a = node.transpose(a, {1, 0});
  if (node.getInt("transB", 0))
    b = node.transpose(b, {1, 0});
  Type element = node.elementType(a), compute = computeTypeOf(element);
  Value result = node.matmul(a, b, compute);
  if (result && alpha != 1)
    result = node.map<MulOp>({result, node.scalarLike(alpha, result)});
  if (failed(node.expectBroadcast(2, {node.dim(a, 0), node.dim(b, 1)}, "M, N")))
    return failure();
  if (result && c && beta != 0) {
    c = node.cast(c, compute);
    if (beta != 1)
      c = node.map<MulOp>({c, node.scalarLike(beta, c)});
    result = node.map<AddOp>({result, c});
  }
  return node.result(node.cast(result, element));
}

/// Weights [m, c / group, kernel...] -> [kernel..., c / group, m].
static Value weightsToDlc(NodeImport &node, Value weights) {
  SmallVector<int64_t> permutation;
  for (int64_t i = 2; i < node.rank(weights); ++i)
    permutation.push_back(i);
  permutation.push_back(1);
  permutation.push_back(0);
  return node.transpose(weights, permutation);
}

Value dlc::importConvolution(NodeImport &node, Value x, Value weights,
                             Type resultType, ValueRange zeros) {
  int64_t spatial = node.rank(x) - 2;
  if (spatial < 0 || node.rank(weights) != node.rank(x)) {
    node.error() << "expected x and weights of one rank of 2 or more, found "
                 << node.rank(x) << " and " << node.rank(weights);
    return {};
  }
  weights = refineKernel(node, weights);
  if (!weights)
    return {};
  ArrayRef<int64_t> shape = node.type(weights).getShape();
  SmallVector<int64_t> kernel(shape.drop_front(2));
  bool isGrouped = node.getInt("group", 1) != 1;
  if (llvm::any_of(isGrouped ? shape : ArrayRef(kernel), ShapedType::isDynamic))
    return convolveDynamically(node, x, weights, resultType, zeros);
  std::optional<Window> window = readWindow(node, x, kernel);
  if (!window || failed(expectWindowFits(node, x, *window)))
    return {};
  int64_t group = node.getInt("group", 1);
  int64_t channels = node.type(x).getDimSize(1);
  if (group < 1 ||
      (ShapedType::isStatic(channels) && ShapedType::isStatic(shape[1]) &&
       channels != shape[1] * group) ||
      (ShapedType::isStatic(shape[0]) && shape[0] % group)) {
    node.error() << "expected " << group << " groups of " << shape[1]
                 << " input channels and a multiple of " << group
                 << " output channels, found " << channels << " and "
                 << shape[0];
    return {};
  }
  Elements sizes = node.dims(x);
  DynamicPads pads =
      getDynamicPads(node, *window, ArrayRef(sizes).drop_front(2));
  Value last = pads.apply(node, node.toChannelsLast(x),
                          zeros.empty() ? Value() : zeros[0]);
  SmallVector<int64_t> resultShape{node.type(last).getDimSize(0)};
  for (int64_t i = 0; i < spatial; ++i)
    resultShape.push_back(getWindowedSize(
        node.type(last).getDimSize(1 + i), kernel[i], window->strides[i],
        window->dilations[i], window->pads[i] + window->pads[spatial + i]));
  resultShape.push_back(shape[0]);
  Value result =
      node.create<ConvOp>(RankedTensorType::get(resultShape, resultType), last,
                          weightsToDlc(node, weights), zeros, window->strides,
                          window->dilations, window->pads, group);
  return result;
}

static ImportResult importConv(NodeImport &node) {
  Value x = node.input(0);
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Value result = importConvolution(node, x, node.input(1), compute);
  if (!result || failed(node.expectShape(2, node.dim(node.input(1), 0), "M")))
    return failure();
  if (Value bias = node.input(2))
    result = node.map<AddOp>({result, node.cast(bias, compute)});
  return node.result(node.toChannelsFirst(node.cast(result, element)));
}

static OpRows rows{
    {"", "MatMul", 1, importMatMul},
    {"", "Gemm", 7, importGemm},
    {"", "Conv", 1, importConv},
};
