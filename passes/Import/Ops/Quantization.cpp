// Quantization: QuantizeLinear, DequantizeLinear, and the operators on
// integers. Sums are exact in i32: zero points are operands of the matmul or
// conv, and dlc.requantize makes 8 bits of its sums again.

#include "passes/Import/Ops/Quantization.h"
#include "lib/Codegen/ElementBytes.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

Value dlc::unpackBits(NodeImport &node, Value bytes, int64_t bits) {
  if (bits == 8)
    return bytes;
  int64_t last = node.rank(bytes);
  SmallVector<Value> parts;
  for (int64_t low = 0; low < 8; low += bits) {
    Value part = bytes;
    if (low)
      part = node.map<ShrOp>({part, node.scalarLike(low, part)});
    part = node.map<AndOp>({part, node.scalarLike((1 << bits) - 1, part)});
    parts.push_back(node.unsqueeze(part, {last}));
  }
  Elements sizes = node.dims(bytes);
  sizes.back() = mulSizes(node.b, node.loc, sizes.back(),
                          node.index(int64_t(parts.size())));
  return node.reshape(node.concat(parts, last), sizes);
}

/// `parameter` of blocks of `block` elements along `axis`, one for each
/// element of `x`.
static Value repeatBlocks(NodeImport &node, Value parameter, Value x,
                          int64_t axis, int64_t block) {
  if (node.rank(parameter) != node.rank(x)) {
    node.error() << "expected a scale of the input's rank " << node.rank(x)
                 << " with block_size, found rank " << node.rank(parameter);
    return {};
  }
  // The last block may be a part of one.
  Emit e(node);
  for (int64_t i = 0; i < node.rank(x); ++i)
    if (i != axis && failed(node.expectEqual(
                         node.dim(parameter, i), node.dim(x, i),
                         "a scale of the input's sizes but along the axis")))
      return {};
  int64_t given = node.type(parameter).getDimSize(axis);
  int64_t size = node.type(x).getDimSize(axis);
  if (ShapedType::isStatic(given) && ShapedType::isStatic(size)) {
    if (given != int64_t(llvm::divideCeil(size, block))) {
      node.error() << "expected " << llvm::divideCeil(size, block)
                   << " scales along axis " << axis
                   << ", one for each block of " << block << " of " << size
                   << " elements, found " << given;
      return {};
    }
  } else {
    Num blocks = e.index(node.dim(parameter, axis));
    Num many = (e.index(node.dim(x, axis)) + (block - 1)) / block;
    e.check(blocks == many, "expected a scale for each block of the input",
            /*status=*/0);
  }
  Value apart = node.unsqueeze(parameter, {axis + 1});
  Elements sizes = node.dims(apart);
  sizes[axis + 1] = node.index(block);
  Value repeated = node.broadcast(apart, sizes);
  Elements merged = node.dims(parameter);
  merged[axis] = mulSizes(node.b, node.loc, merged[axis], node.index(block));
  Value whole = node.reshape(repeated, merged);
  OpFoldResult end = node.dim(x, axis);
  if (!whole || areEqualSizes(end, merged[axis]))
    return whole;
  return node.sliceAxis(whole, axis, node.index(0), end);
}

/// A scale or zero point in a shape that broadcasts to `x`'s: one for all
/// elements, for each index of `axis`, or for each block along it.
static Value alignParameter(NodeImport &node, Value parameter, Value x) {
  if (!parameter)
    return {};
  int64_t rank = node.rank(parameter);
  if (rank == 0)
    return parameter;
  int64_t block = node.getInt("block_size", 0);
  if (block < 0) {
    node.error() << "expected a block_size of 0 or more, found " << block;
    return {};
  }
  if (block > 0) {
    int64_t axis = node.axis("axis", 1, x);
    if (node.hasFailed)
      return {};
    return repeatBlocks(node, parameter, x, axis, block);
  }
  if (rank == 1 && node.type(parameter).getDimSize(0) == 1)
    return node.reshape(parameter, {});
  if (rank != 1) {
    node.error() << "expected a scale of rank 0 or 1, found rank " << rank;
    return {};
  }
  int64_t given = node.getInt("axis", 1);
  // onnx-neural-compressor leaves the axis of biases at its default, 1.
  if (node.rank(x) == 1 && given == 1)
    given = 0;
  if (given >= node.rank(x) || given < -node.rank(x)) {
    // No axis of x: one for all elements.
    if (ShapedType::isStatic(node.type(parameter).getDimSize(0))) {
      node.error() << "expected an axis in [" << -node.rank(x) << ", "
                   << node.rank(x) << "), or a scale of one element, found "
                   << given;
      return {};
    }
    Emit e(node);
    e.check(e.index(node.dim(parameter, 0)) == 1,
            "expected a scale of one element");
    return node.reshape(parameter, {});
  }
  int64_t axis = given < 0 ? given + node.rank(x) : given;
  Elements sizes(node.rank(x), node.index(1));
  if (node.hasFailed)
    return {};
  sizes[axis] = node.dim(parameter, 0);
  Value aligned = node.reshape(parameter, sizes);
  Elements wanted(node.rank(x), node.index(1));
  wanted[axis] = node.dim(x, axis);
  if (failed(node.expectBroadcast(aligned, wanted, "a scale or zero point")))
    return {};
  return aligned;
}

LogicalResult dlc::expectScale(NodeImport &node, unsigned i) {
  Value scale = node.input(i);
  if (scale && !isa<FloatType>(node.elementType(scale))) {
    node.error() << "expected " << node.inputName(i) << " of floats, found "
                 << node.elementType(scale);
    return failure();
  }
  ElementsAttr value = scale ? node.constantValue(scale) : ElementsAttr();
  if (!value)
    return success();
  const auto &kind =
      cast<FloatType>(value.getElementType()).getFloatSemantics();
  size_t size = getElementBytes(value.getElementType());
  std::vector<char> storage;
  ArrayRef<char> bytes = getElementData(value, storage);
  for (size_t at = 0; (at + 1) * size <= bytes.size(); ++at) {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes.data() + at * size, size);
    APFloat number(kind, APInt(APFloat::getSizeInBits(kind), bits,
                               /*isSigned=*/false, /*implicitTrunc=*/true));
    if (!number.isZero() && number.isFinite())
      continue;
    node.error() << "expected " << node.inputName(i)
                 << " of finite numbers other than 0, found "
                 << (number.isZero()       ? "0"
                     : number.isNaN()      ? "nan"
                     : number.isNegative() ? "-inf"
                                           : "inf")
                 << " at element " << at;
    return failure();
  }
  return success();
}

LogicalResult dlc::expectType(NodeImport &node, unsigned i, Type type) {
  Value x = node.input(i);
  if (!x || node.elementType(x) == type)
    return success();
  node.error() << "expected " << node.inputName(i) << " of type " << type
               << ", found " << node.elementType(x);
  return failure();
}

/// A zero point that may be absent, of integers of `type`.
static Value zeroOr(NodeImport &node, Value zero, Type type) {
  return zero ? zero : node.scalar(0, type);
}

Value dlc::quantize(NodeImport &node, Value x, Value scale, Value zero) {
  if (!x || !scale || !zero)
    return {};
  return node.infer<QuantizeOp>(x, scale, zero);
}

Value dlc::dequantize(NodeImport &node, Value x, Value scale, Value zero) {
  if (!x || !scale)
    return {};
  return node.infer<DequantizeOp>(x, scale,
                                  zeroOr(node, zero, node.elementType(x)));
}

/// Whether numbers of `type` are what dlc.quantize makes.
static bool isQuantized(Type type) {
  auto integer = dyn_cast<IntegerType>(type);
  return integer && integer.getWidth() > 1 && integer.getWidth() <= 16;
}

/// saturate(round(x) + zeroPoint) as `type`, an integer type; `zeroPoint` may
/// be null.
static Value roundToInteger(NodeImport &node, Value x, Value zeroPoint,
                            Type type) {
  Type f32 = node.b.getF32Type();
  Value y = node.map<RoundOp>({node.cast(x, f32)});
  if (zeroPoint)
    y = node.map<AddOp>({y, node.cast(zeroPoint, f32)});
  unsigned width = type.getIntOrFloatBitWidth();
  double low = type.isUnsignedInteger() ? 0 : -double(1ll << (width - 1));
  double high = low + double(1ll << width) - 1;
  y = node.map<MaxOp>({y, node.scalar(low, f32)});
  y = node.map<MinOp>({y, node.scalar(high, f32)});
  return node.cast(y, type);
}

/// The float type in which a scale of type `type` is used.
static Type scaleType(NodeImport &node, Type type) {
  return type.getIntOrFloatBitWidth() < 16 ? Type(node.b.getF32Type()) : type;
}

static ImportResult importQuantizeLinear(NodeImport &node) {
  Value x = node.input(0), scale = node.input(1), zeroPoint = node.input(2);
  Type inferred = node.inferredElementType(0);
  Type type = zeroPoint  ? node.elementType(zeroPoint)
              : inferred ? inferred
                         : IntegerType::get(node.b.getContext(), 8,
                                            IntegerType::Unsigned);
  Type compute = scaleType(node, node.elementType(scale));
  switch (node.getInt("precision", 0)) {
  case 1:
    compute = node.b.getF32Type();
    break;
  case 10:
    compute = node.b.getF16Type();
    break;
  case 11:
    compute = node.b.getF64Type();
    break;
  case 16:
    compute = node.b.getBF16Type();
    break;
  }
  if (failed(expectScale(node, 1)) || failed(expectType(node, 2, type)))
    return failure();
  scale = alignParameter(node, scale, x);
  zeroPoint = alignParameter(node, zeroPoint, x);
  if (!scale || node.hasFailed)
    return failure();
  if (compute.isF32() && isQuantized(type))
    return node.result(quantize(node, node.cast(x, compute),
                                node.cast(scale, compute),
                                zeroOr(node, zeroPoint, type)));
  Value quotient =
      node.map<DivOp>({node.cast(x, compute), node.cast(scale, compute)});
  if (!quotient)
    return failure();
  if (isa<FloatType>(type))
    return node.result(node.cast(quotient, type, node.getInt("saturate", 1)));
  return node.result(roundToInteger(node, quotient, zeroPoint, type));
}

/// x - zeroPoint, exactly: in a float type or in `type`, a wider integer.
static Value subtractZero(NodeImport &node, Value x, Value zeroPoint,
                          Type type) {
  x = node.cast(x, type);
  if (!zeroPoint)
    return x;
  return node.map<SubOp>({x, node.cast(zeroPoint, type)});
}

static ImportResult importDequantizeLinear(NodeImport &node) {
  Value x = node.input(0), scale = node.input(1), zeroPoint = node.input(2);
  Type inferred = node.inferredElementType(0);
  Type type = inferred ? inferred : node.elementType(scale);
  Type f32 = node.b.getF32Type();
  if (failed(expectScale(node, 1)) ||
      failed(expectType(node, 2, node.elementType(x))))
    return failure();
  scale = alignParameter(node, scale, x);
  zeroPoint = alignParameter(node, zeroPoint, x);
  if (!scale || node.hasFailed)
    return failure();
  if (isa<IntegerType>(node.elementType(x)) &&
      node.elementType(x).getIntOrFloatBitWidth() <= 32)
    return node.result(
        node.cast(dequantize(node, x, node.cast(scale, f32), zeroPoint), type));
  bool isFloat = isa<FloatType>(node.elementType(x));
  Value y = subtractZero(node, x, isFloat ? Value() : zeroPoint,
                         isFloat ? f32 : Type(node.b.getI32Type()));
  y = node.map<MulOp>({node.cast(y, f32), node.cast(scale, f32)});
  return node.result(node.cast(y, type));
}

/// Range [min(x, 0), max(x, 0)] mapped to [0, 255].
DynamicallyQuantized dlc::quantizeDynamically(NodeImport &node, Value x) {
  Type ui8 = IntegerType::get(node.b.getContext(), 8, IntegerType::Unsigned);
  SmallVector<int64_t> all =
      llvm::to_vector(llvm::seq<int64_t>(0, node.rank(x)));
  Value zero = node.scalarLike(0, x);
  auto extreme = [&](ReduceKind kind) {
    return node.reshape(node.reduce(kind, x, all), {});
  };
  Value low = node.map<MinOp>({extreme(ReduceKind::Min), zero});
  Value high = node.map<MaxOp>({extreme(ReduceKind::Max), zero});
  Value scale =
      node.map<DivOp>({node.map<SubOp>({high, low}), node.scalarLike(255, x)});
  Value zeroPoint = roundToInteger(
      node, node.map<DivOp>({node.map<SubOp>({zero, low}), scale}), {}, ui8);
  return {quantize(node, x, scale, zeroPoint), scale, zeroPoint};
}

static ImportResult importDynamicQuantizeLinear(NodeImport &node) {
  DynamicallyQuantized result = quantizeDynamically(node, node.input(0));
  if (!result.y)
    return failure();
  return node.results({result.y, result.scale, result.zero});
}

//===----------------------------------------------------------------------===//
// Products of integers
//===----------------------------------------------------------------------===//

/// An operand of a product with its zero point taken off: as it is where that
/// is 0, else in i16, which holds every difference of two bytes.
static Value withoutZero(NodeImport &node, Value x, Value zeroPoint) {
  if (zeroPoint &&
      failed(node.expectBroadcast(zeroPoint, node.dims(x), "a zero point")))
    return {};
  if (zeroPoint) {
    std::optional<SmallVector<int64_t>> known = node.constants(zeroPoint);
    if (known && llvm::all_of(*known, [](int64_t n) { return n == 0; }))
      zeroPoint = {};
  }
  return zeroPoint ? subtractZero(node, x, zeroPoint, node.b.getI16Type()) : x;
}

/// A parameter of the left operand of a matmul: one a row, as a column.
static Value perRow(NodeImport &node, Value parameter) {
  if (!parameter || node.rank(parameter) != 1)
    return parameter;
  if (node.type(parameter).getDimSize(0) == 1)
    return node.reshape(parameter, {});
  return node.unsqueeze(parameter, {1});
}

/// The zero points of a product of 8-bit numbers as operands of the op: of
/// rank 0, and on the right perhaps one a column. Empty where there are none,
/// nullopt where they have another form.
static std::optional<SmallVector<Value>>
getZeros(NodeImport &node, Value a, Value aZero, Value b, Value bZero) {
  if (!aZero && !bZero)
    return SmallVector<Value>();
  SmallVector<Value> zeros;
  for (auto [x, zero] : {std::pair(a, aZero), std::pair(b, bZero)}) {
    Type type = node.elementType(x);
    zero = zeroOr(node, zero, type);
    bool isOne = node.type(zero).hasStaticShape() &&
                 node.type(zero).getNumElements() == 1;
    if (isOne && node.rank(zero) != 0)
      zero = node.reshape(zero, {});
    bool isColumns = x == b && !isOne && node.rank(zero) == 1;
    if (type.getIntOrFloatBitWidth() != 8 || node.elementType(zero) != type ||
        (node.rank(zero) != 0 && !isColumns))
      return std::nullopt;
    zeros.push_back(zero);
  }
  return zeros;
}

/// The exact product in i32. Parameters are shaped for their operand.
Value dlc::integerMatmul(NodeImport &node, Value a, Value aZero, Value b,
                         Value bZero) {
  bool isRow = node.rank(a) == 1, isColumn = node.rank(b) == 1;
  if (node.rank(a) == 0 || node.rank(b) == 0) {
    node.error() << "expected operands of rank 1 or more";
    return {};
  }
  if (isRow)
    a = node.unsqueeze(a, {0});
  if (isColumn)
    b = node.unsqueeze(b, {1});
  Type i32 = node.b.getI32Type();
  Value result;
  if (auto zeros = getZeros(node, a, aZero, b, bZero)) {
    if (zeros->size() == 2 && node.rank((*zeros)[1]) == 1 &&
        failed(node.expectEqual(node.dim((*zeros)[1], 0),
                                node.dim(b, node.rank(b) - 1),
                                "a zero point for each column")))
      return {};
    result = node.matmul(a, b, i32, *zeros);
  } else {
    result = node.matmul(withoutZero(node, a, perRow(node, aZero)),
                         withoutZero(node, b, bZero), i32);
  }
  if (!result || (!isRow && !isColumn))
    return result;
  SmallVector<int64_t> added;
  int64_t rank = node.rank(result);
  if (isRow)
    added.push_back(rank - 2);
  if (isColumn)
    added.push_back(rank - 1);
  return node.squeeze(result, added);
}

static ImportResult importMatMulInteger(NodeImport &node) {
  return node.result(integerMatmul(node, node.input(0), node.input(2),
                                   node.input(1), node.input(3)));
}

/// saturate(round(sum * aScale * bScale / yScale) + yZero)
Value dlc::requantize(NodeImport &node, Value sum, Value aScale, Value bScale,
                      Value yScale, Value yZero) {
  Type f32 = node.b.getF32Type();
  for (Value *parameter : {&yScale, &yZero})
    if (*parameter && node.rank(*parameter) == 1 &&
        node.type(*parameter).getDimSize(0) == 1)
      *parameter = node.reshape(*parameter, {});
  Value factor =
      node.map<MulOp>({node.cast(aScale, f32), node.cast(bScale, f32)});
  factor = node.map<DivOp>({factor, node.cast(yScale, f32)});
  if (!factor || !sum ||
      failed(node.expectBroadcast(factor, node.dims(sum),
                                  "scales of the product")) ||
      failed(node.expectBroadcast(yZero, node.dims(sum), "a zero point")))
    return {};
  return node.infer<RequantizeOp>(sum, factor, yZero);
}

LogicalResult dlc::expectParameters(NodeImport &node,
                                    ArrayRef<QuantizedInput> inputs) {
  for (const QuantizedInput &input : inputs) {
    if (failed(expectScale(node, input.scale)))
      return failure();
    if (input.x && failed(expectType(node, input.zero,
                                     node.elementType(node.input(*input.x)))))
      return failure();
    if (!input.x && node.hasInput(input.zero) &&
        !isQuantized(node.elementType(node.input(input.zero)))) {
      node.error() << "expected " << node.inputName(input.zero)
                   << " of an integer type of at most 16 bits, found "
                   << node.elementType(node.input(input.zero));
      return failure();
    }
  }
  return success();
}

/// Inputs: a, its scale and zero point, b, its two, the result's two.
static ImportResult importQLinearMatMul(NodeImport &node) {
  if (failed(
          expectParameters(node, {{0, 1, 2}, {3, 4, 5}, {std::nullopt, 6, 7}})))
    return failure();
  Value sum = integerMatmul(node, node.input(0), node.input(2), node.input(3),
                            node.input(5));
  return node.result(requantize(node, sum, perRow(node, node.input(1)),
                                node.input(4), node.input(6), node.input(7)));
}

/// One parameter for each output channel of weights [m, c, kernel...].
static Value perFilter(NodeImport &node, Value parameter, Value weights) {
  if (!parameter || node.rank(parameter) == 0)
    return parameter;
  if (node.type(parameter).getDimSize(0) == 1)
    return node.reshape(parameter, {});
  Elements sizes(node.rank(weights), node.index(1));
  sizes[0] = node.dim(parameter, 0);
  return node.reshape(parameter, sizes);
}

/// The exact convolution in i32, channels last. Padding stands for the zero
/// point.
static Value integerConvolution(NodeImport &node, Value x, Value xZero,
                                Value weights, Value weightsZero) {
  Type i32 = node.b.getI32Type();
  if (xZero && failed(node.expectBroadcast(xZero, {node.index(1)},
                                           "a zero point of one element")))
    return {};
  if (weightsZero && node.rank(weightsZero) > 1) {
    node.error() << "expected a zero point, or one for each filter, found rank "
                 << node.rank(weightsZero);
    return {};
  }
  if (weightsZero && node.rank(weightsZero) == 1 &&
      node.type(weightsZero).getDimSize(0) != 1 &&
      failed(node.expectEqual(node.dim(weightsZero, 0), node.dim(weights, 0),
                              "a zero point for each filter")))
    return {};
  if (auto zeros = getZeros(node, x, xZero, weights, weightsZero))
    return importConvolution(node, x, weights, i32, *zeros);
  if (xZero && node.rank(xZero) == 1)
    xZero = node.reshape(xZero, {});
  x = withoutZero(node, x, xZero);
  weights = withoutZero(node, weights, perFilter(node, weightsZero, weights));
  return node.hasFailed ? Value() : importConvolution(node, x, weights, i32);
}

static ImportResult importConvInteger(NodeImport &node) {
  Value sum = integerConvolution(node, node.input(0), node.input(2),
                                 node.input(1), node.input(3));
  if (!sum)
    return failure();
  return node.result(node.toChannelsFirst(sum));
}

/// Inputs: x, its scale and zero point, weights, their two, the result's two,
/// the bias in i32.
static ImportResult importQLinearConv(NodeImport &node) {
  if (failed(
          expectParameters(node, {{0, 1, 2}, {3, 4, 5}, {std::nullopt, 6, 7}})))
    return failure();
  Value sum = integerConvolution(node, node.input(0), node.input(2),
                                 node.input(3), node.input(5));
  if (!sum)
    return failure();
  for (unsigned i : {1, 2, 6, 7})
    if (failed(node.expectBroadcast(i, node.index(1), "1")))
      return failure();
  if (failed(node.expectShape(8, node.dim(node.input(3), 0), "M")))
    return failure();
  if (Value bias = node.input(8))
    sum = node.map<AddOp>({sum, bias});
  Value y = requantize(node, sum, perRow(node, node.input(1)), node.input(4),
                       node.input(6), node.input(7));
  if (!y)
    return failure();
  return node.result(node.toChannelsFirst(y));
}

static OpRows rows{
    {"", "QuantizeLinear", 10, importQuantizeLinear},
    {"", "DequantizeLinear", 10, importDequantizeLinear},
    {"", "DynamicQuantizeLinear", 11, importDynamicQuantizeLinear},
    {"", "MatMulInteger", 10, importMatMulInteger},
    {"", "ConvInteger", 10, importConvInteger},
    {"", "QLinearMatMul", 10, importQLinearMatMul},
    {"", "QLinearConv", 10, importQLinearConv},
    {"com.microsoft", "QuantizeLinear", 1, importQuantizeLinear},
    {"com.microsoft", "DequantizeLinear", 1, importDequantizeLinear},
};
