// com.microsoft's operators on quantized tensors, as ONNX Runtime's quantizer
// writes them: the operator between dlc.dequantize and dlc.quantize, or a
// product in i32.

#include "passes/Import/Ops/Quantization.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

/// A parameter of one number, of rank 0 or 1, as rank 0.
static Value asScalar(NodeImport &node, unsigned i) {
  Value parameter = node.input(i);
  if (!parameter || failed(node.expectBroadcast(i, node.index(1), "1")))
    return {};
  return node.rank(parameter) ? node.reshape(parameter, {}) : parameter;
}

/// The real numbers of input i, whose scale and zero point follow it.
static Value realInput(NodeImport &node, unsigned i) {
  if (failed(expectParameters(node, {{i, i + 1, i + 2}})))
    return {};
  return dequantize(node, node.input(i), asScalar(node, i + 1),
                    asScalar(node, i + 2));
}

/// `x` in the result's type, whose scale is input i and zero point the next;
/// without a zero point it is 0 of `type`.
static ImportResult quantizedResult(NodeImport &node, Value x, unsigned i,
                                    Type type) {
  if (!x || failed(expectParameters(node, {{std::nullopt, i, i + 1}})))
    return failure();
  Value zero =
      node.hasInput(i + 1) ? asScalar(node, i + 1) : node.scalar(0, type);
  return node.result(quantize(node, x, asScalar(node, i), zero));
}

template <typename OpTy>
static ImportResult importQLinearBinary(NodeImport &node) {
  Value a = realInput(node, 0), b = realInput(node, 3);
  if (!a || !b)
    return failure();
  return quantizedResult(node, node.map<OpTy>({a, b}), 6,
                         node.elementType(node.input(0)));
}

/// Inputs: the result's scale and zero point, then three for each tensor.
static ImportResult importQLinearConcat(NodeImport &node) {
  SmallVector<Value> inputs;
  if (node.numInputs() < 5 || (node.numInputs() - 2) % 3) {
    node.error() << "expected two inputs and three for each tensor, found "
                 << node.numInputs();
    return failure();
  }
  for (unsigned i = 2; i < node.numInputs(); i += 3) {
    inputs.push_back(realInput(node, i));
    if (!inputs.back())
      return failure();
  }
  // Each is brought to the result's parameters first: what has them already
  // stays as it is.
  Type type = node.elementType(node.input(2));
  SmallVector<Value> parts;
  for (Value input : inputs) {
    ImportResult part = quantizedResult(node, input, 0, type);
    if (failed(part))
      return failure();
    parts.push_back(part->front());
  }
  int64_t axis = node.axis("axis", 0, parts.front());
  if (node.hasFailed)
    return failure();
  return node.result(node.concat(parts, axis));
}

static ImportResult importQLinearSigmoid(NodeImport &node) {
  Value x = realInput(node, 0);
  return quantizedResult(node, x ? node.map<SigmoidOp>({x}) : Value(), 3,
                         node.elementType(node.input(0)));
}

static ImportResult importQLinearLeakyRelu(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  Value zero = node.scalarLike(0, x);
  Value slope = node.scalarLike(node.getFloat("alpha", 0.01f), x);
  Value y = node.map<SelectOp>(
      {node.map<LessOp>({x, zero}), node.map<MulOp>({x, slope}), x});
  return quantizedResult(node, y, 3, node.elementType(node.input(0)));
}

static ImportResult importQLinearSoftmax(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  // Before opset 13 the axis and all behind it were one.
  Elements sizes = node.dims(x);
  bool isMerged = node.getInt("opset", 13) < 13 && axis != node.rank(x) - 1;
  Value y = x;
  if (isMerged) {
    OpFoldResult before = node.index(1), behind = before;
    for (auto [i, size] : llvm::enumerate(sizes)) {
      OpFoldResult &product = int64_t(i) < axis ? before : behind;
      product = mulSizes(node.b, node.loc, product, size);
    }
    y = node.reshape(x, {before, behind});
  }
  y = node.infer<SoftmaxOp>(y, isMerged ? int64_t(1) : axis);
  if (isMerged)
    y = node.reshape(y, sizes);
  return quantizedResult(node, y, 3, node.elementType(node.input(0)));
}

template <Value (*pool)(NodeImport &, Value)>
static ImportResult importQLinearPool(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  bool isLast = node.getInt("channels_last", 0);
  Value y = pool(node, isLast ? node.toChannelsFirst(x) : x);
  if (y && isLast)
    y = node.toChannelsLast(y);
  return quantizedResult(node, y, 3, node.elementType(node.input(0)));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// sum * scales + bias in f32; `bias` may be null.
static ImportResult realProduct(NodeImport &node, Value sum, Value aScale,
                                Value bScale, Value bias) {
  if (!sum)
    return failure();
  for (Value *parameter : {&aScale, &bScale, &bias})
    if (*parameter && failed(node.expectBroadcast(*parameter, node.dims(sum),
                                                  "a parameter of the result")))
      return failure();
  Value factor = node.map<MulOp>({aScale, bScale});
  Value y = dequantize(node, sum, factor, {});
  if (y && bias)
    y = node.map<AddOp>({y, bias});
  return node.result(y);
}

/// Inputs: a, b, their scales, their zero points, a bias.
static ImportResult importMatMulIntegerToFloat(NodeImport &node) {
  if (failed(expectParameters(node, {{0, 2, 4}, {1, 3, 5}})))
    return failure();
  Value sum = integerMatmul(node, node.input(0), node.input(4), node.input(1),
                            node.input(5));
  return realProduct(node, sum, node.input(2), node.input(3), node.input(6));
}

/// Inputs: a in f32, b, its scale and zero point, a bias.
static ImportResult importDynamicQuantizeMatMul(NodeImport &node) {
  if (failed(expectParameters(node, {{1, 2, 3}})))
    return failure();
  DynamicallyQuantized a = quantizeDynamically(node, node.input(0));
  Value sum = integerMatmul(node, a.y, a.zero, node.input(1), node.input(3));
  return realProduct(node, sum, a.scale, node.input(2), node.input(4));
}

/// Inputs: a, its scale and zero point, b, its two, c in i32, the result's
/// two; without these, the result is f32.
static ImportResult importQGemm(NodeImport &node) {
  if (failed(expectParameters(node, {{0, 1, 2}, {3, 4, 5}})))
    return failure();
  Value a = node.input(0), b = node.input(3);
  if (node.rank(a) != 2 || node.rank(b) != 2) {
    node.error() << "expected matrices, found ranks " << node.rank(a) << " and "
                 << node.rank(b);
    return failure();
  }
  if (node.getInt("transA", 0))
    a = node.transpose(a, {1, 0});
  if (node.getInt("transB", 0))
    b = node.transpose(b, {1, 0});
  Value sum = integerMatmul(node, a, node.input(2), b, node.input(5));
  if (sum && node.hasInput(6)) {
    if (failed(node.expectBroadcast(6, node.dims(sum), "M, N")))
      return failure();
    sum = node.map<AddOp>({sum, node.input(6)});
  }
  Value aScale = asScalar(node, 1), bScale = node.input(4);
  double alpha = node.getFloat("alpha", 1);
  if (aScale && alpha != 1)
    aScale = node.map<MulOp>({aScale, node.scalarLike(alpha, aScale)});
  if (!sum || !aScale)
    return failure();
  if (!node.hasInput(7))
    return realProduct(node, sum, aScale, bScale, {});
  if (failed(expectParameters(node, {{std::nullopt, 7, 8}})))
    return failure();
  Value zero = node.hasInput(8)
                   ? node.input(8)
                   : node.scalar(0, node.elementType(node.input(0)));
  return node.result(
      requantize(node, sum, aScale, bScale, node.input(7), zero));
}

static OpRows rows{
    {"com.microsoft", "QLinearAdd", 1, importQLinearBinary<AddOp>},
    {"com.microsoft", "QLinearMul", 1, importQLinearBinary<MulOp>},
    {"com.microsoft", "QLinearConcat", 1, importQLinearConcat},
    {"com.microsoft", "QLinearSigmoid", 1, importQLinearSigmoid},
    {"com.microsoft", "QLinearLeakyRelu", 1, importQLinearLeakyRelu},
    {"com.microsoft", "QLinearSoftmax", 1, importQLinearSoftmax},
    {"com.microsoft", "QLinearAveragePool", 1, importQLinearPool<averagePool>},
    {"com.microsoft", "QLinearGlobalAveragePool", 1,
     importQLinearPool<globalAveragePool>},
    {"com.microsoft", "QGemm", 1, importQGemm},
    {"com.microsoft", "MatMulIntegerToFloat", 1, importMatMulIntegerToFloat,
     kComposition},
    {"com.microsoft", "DynamicQuantizeMatMul", 1, importDynamicQuantizeMatMul},
};
