// com.microsoft's operators on quantized tensors, as ONNX Runtime's quantizer
// writes them: the operator between dlc.dequantize and dlc.quantize, or a
// product in i32.

#include "passes/Import/Ops/Microsoft.h"
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

/// `x` in the type of the input `like`, which the result has, too. Its scale is
/// input i and its zero point the next; without one it is 0.
static ImportResult quantizedResult(NodeImport &node, Value x, unsigned i,
                                    unsigned like = 0) {
  if (!x || failed(expectParameters(node, {{like, i, i + 1}})))
    return failure();
  Value zero = node.hasInput(i + 1)
                   ? asScalar(node, i + 1)
                   : node.scalar(0, node.elementType(node.input(like)));
  return node.result(quantize(node, x, asScalar(node, i), zero));
}

template <typename OpTy>
static ImportResult importQLinearBinary(NodeImport &node) {
  Value a = realInput(node, 0), b = realInput(node, 3);
  if (!a || !b)
    return failure();
  return quantizedResult(node, node.map<OpTy>({a, b}), 6);
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
  SmallVector<Value> parts;
  for (Value input : inputs) {
    ImportResult part = quantizedResult(node, input, 0, 2);
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
  return quantizedResult(node, x ? node.map<SigmoidOp>({x}) : Value(), 3);
}

static ImportResult importQLinearLeakyRelu(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  Value zero = node.scalarLike(0, x);
  Value slope = node.scalarLike(node.getFloat("alpha", 0.01f), x);
  Value y = node.map<SelectOp>(
      {node.map<LessOp>({x, zero}), node.map<MulOp>({x, slope}), x});
  return quantizedResult(node, y, 3);
}

static ImportResult importQLinearSoftmax(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  Value y = node.getInt("opset", 13) < 13 ? softmaxFrom(node, x, axis)
                                          : node.infer<SoftmaxOp>(x, axis);
  return quantizedResult(node, y, 3);
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
  return quantizedResult(node, y, 3);
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

static LogicalResult expectTypes(NodeImport &node, ArrayRef<unsigned> inputs,
                                 Type type) {
  for (unsigned i : inputs)
    if (failed(expectType(node, i, type)))
      return failure();
  return success();
}

/// Inputs: a, b, their scales, their zero points, a bias.
static ImportResult importMatMulIntegerToFloat(NodeImport &node) {
  if (failed(expectParameters(node, {{0, 2, 4}, {1, 3, 5}})) ||
      failed(expectTypes(node, {3, 6}, node.elementType(node.input(2)))))
    return failure();
  Value sum = integerMatmul(node, node.input(0), node.input(4), node.input(1),
                            node.input(5));
  return realProduct(node, sum, node.input(2), node.input(3), node.input(6));
}

/// Inputs: a in f32, b, its scale and zero point, a bias.
static ImportResult importDynamicQuantizeMatMul(NodeImport &node) {
  if (failed(expectParameters(node, {{1, 2, 3}})) ||
      failed(expectTypes(node, {0, 2, 4}, node.b.getF32Type())))
    return failure();
  DynamicallyQuantized a = quantizeDynamically(node, node.input(0));
  Value sum = integerMatmul(node, a.y, a.zero, node.input(1), node.input(3));
  return realProduct(node, sum, a.scale, node.input(2), node.input(4));
}

/// Inputs: a, its scale and zero point, b, its two, c in i32, the result's
/// two; without these, the result is f32.
static ImportResult importQGemm(NodeImport &node) {
  if (failed(expectParameters(node, {{0, 1, 2}, {3, 4, 5}})) ||
      failed(expectTypes(node, {1, 4, 7}, node.b.getF32Type())) ||
      failed(expectType(node, 6, node.b.getI32Type())))
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

//===----------------------------------------------------------------------===//
// The rest
//===----------------------------------------------------------------------===//

/// Inputs: a condition, three for each of x and y, the result's two.
static ImportResult importQLinearWhere(NodeImport &node) {
  Value x = realInput(node, 1), y = realInput(node, 4);
  if (!x || !y)
    return failure();
  Value condition = node.input(0);
  if (!isa<IntegerType>(node.elementType(condition)) ||
      node.elementType(condition).getIntOrFloatBitWidth() != 1)
    condition = node.cast(condition, node.b.getI1Type());
  return quantizedResult(node, node.map<SelectOp>({condition, x, y}), 7, 1);
}

static ImportResult importQLinearReduceMean(NodeImport &node) {
  Value x = realInput(node, 0);
  if (!x)
    return failure();
  SmallVector<int64_t> axes;
  for (int64_t axis : node.getInts("axes").value_or(SmallVector<int64_t>()))
    axes.push_back(node.normalizeAxis(axis, node.rank(x)));
  if (node.hasFailed)
    return failure();
  if (axes.empty())
    llvm::append_range(axes, llvm::seq<int64_t>(0, node.rank(x)));
  Value mean = node.map<DivOp>({node.reduce(ReduceKind::Sum, x, axes),
                                node.countAlong(x, axes, node.elementType(x))});
  if (!node.getInt("keepdims", 1))
    mean = node.squeeze(mean, axes);
  return quantizedResult(node, mean, 3);
}

/// Input i less its zero point, the next input, in i32.
static Value shifted(NodeImport &node, unsigned i) {
  Type i32 = node.b.getI32Type();
  Value x = node.cast(node.input(i), i32);
  if (!node.hasInput(i + 1))
    return x;
  Value zero = asScalar(node, i + 1);
  return zero ? node.map<SubOp>({x, node.cast(zero, i32)}) : zero;
}

static ImportResult importMulInteger(NodeImport &node) {
  Value a = shifted(node, 0), b = shifted(node, 2);
  if (!a || !b)
    return failure();
  return node.result(node.map<MulOp>({a, b}));
}

/// A product of 16-bit integers, in 32 bits.
static ImportResult importMatMulInteger16(NodeImport &node) {
  Value a = node.input(0), b = node.input(1);
  bool isUnsigned = node.elementType(a).isUnsignedInteger() &&
                    node.elementType(b).isUnsignedInteger();
  Type sum = isUnsigned ? Type(IntegerType::get(node.b.getContext(), 32,
                                                IntegerType::Unsigned))
                        : Type(node.b.getI32Type());
  node.replaceInput(0, node.cast(a, sum));
  node.replaceInput(1, node.cast(b, sum));
  return importAs(node, "MatMul");
}

static ImportResult importQLinearConv(NodeImport &node) {
  if (!node.getInt("channels_last", 0))
    return importAs(node, "QLinearConv");
  node.replaceInput(0, node.toChannelsFirst(node.input(0)));
  return withChannelsLast(node, importAs(node, "QLinearConv"));
}

/// An LSTM whose weights, transposed, have 8 bits: of their real numbers. The
/// inputs and the state stay as they are, which is nearer to the network that
/// was quantized than 8 bits of them are.
static ImportResult importDynamicQuantizeLSTM(NodeImport &node) {
  if (failed(expectParameters(node, {{1, 8, 9}, {2, 10, 11}})))
    return failure();
  for (auto [i, scale] : {std::pair{1u, 8u}, std::pair{2u, 10u}}) {
    Value weights = node.input(i);
    if (!weights || node.rank(weights) != 3 || !node.hasInput(scale) ||
        !node.hasInput(scale + 1)) {
      node.error() << "expected weights of rank 3, scales and zero points";
      return failure();
    }
    Elements sizes = node.dims(weights);
    auto parameter = [&](unsigned k) -> Value {
      Value p = node.input(k);
      if (failed(node.expectShape(k,
                                  node.rank(p) == 2
                                      ? Elements{sizes[0], sizes[2]}
                                      : Elements{sizes[0]},
                                  "num_directions(, 4 * hidden_size)")))
        return {};
      return node.unsqueeze(p, node.rank(p) == 2 ? ArrayRef<int64_t>{1}
                                                 : ArrayRef<int64_t>{1, 2});
    };
    Value factor = parameter(scale), zero = parameter(scale + 1);
    if (!factor || !zero)
      return failure();
    Type f32 = node.b.getF32Type();
    Value real =
        node.map<SubOp>({node.cast(weights, f32), node.cast(zero, f32)});
    real = node.map<MulOp>({real, factor});
    node.replaceInput(i, node.transpose(real, {0, 2, 1}));
  }
  return importAs(node, "LSTM");
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
    {"com.microsoft", "QLinearWhere", 1, importQLinearWhere},
    {"com.microsoft", "QLinearReduceMean", 1, importQLinearReduceMean},
    {"com.microsoft", "MulInteger", 1, importMulInteger},
    {"com.microsoft", "MatMulInteger16", 1, importMatMulInteger16},
    {"com.microsoft", "QLinearConv", 1, importQLinearConv},
    {"com.microsoft", "DynamicQuantizeLSTM", 1, importDynamicQuantizeLSTM},
};
