// The attributes that convolutions and pools share, and the pools.

#include "passes/Import/Ops/Windows.h"
#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

std::optional<Window> dlc::readWindow(NodeImport &node, Value x,
                                      ArrayRef<int64_t> kernel) {
  size_t spatial = kernel.size();
  Window window;
  window.kernel.assign(kernel.begin(), kernel.end());
  auto ints = [&](StringRef name, size_t count,
                  int64_t otherwise) -> std::optional<SmallVector<int64_t>> {
    std::optional<SmallVector<int64_t>> values = node.getInts(name);
    if (!values)
      return SmallVector<int64_t>(count, otherwise);
    if (values->size() == count)
      return values;
    node.error() << "expected " << count << " " << name << ", found "
                 << values->size();
    return std::nullopt;
  };
  if (node.rank(x) != int64_t(spatial) + 2) {
    node.error() << "expected an input of rank " << spatial + 2 << ", found "
                 << node.rank(x);
    return std::nullopt;
  }
  auto strides = ints("strides", spatial, 1);
  auto dilations = ints("dilations", spatial, 1);
  auto pads = ints("pads", 2 * spatial, 0);
  if (!strides || !dilations || !pads)
    return std::nullopt;
  for (int64_t value : llvm::concat<int64_t>(*strides, *dilations))
    if (value < 1) {
      node.error() << "expected strides and dilations of 1 or more, found "
                   << value;
      return std::nullopt;
    }
  for (int64_t value : *pads)
    if (value < 0) {
      node.error() << "expected pads of 0 or more, found " << value;
      return std::nullopt;
    }
  window.strides = *strides;
  window.dilations = *dilations;
  window.pads = *pads;
  StringRef autoPad = node.getString("auto_pad", "NOTSET");
  if (autoPad == "NOTSET")
    return window;
  window.pads.assign(2 * spatial, 0);
  if (autoPad == "VALID")
    return window;
  if (autoPad != "SAME_UPPER" && autoPad != "SAME_LOWER") {
    node.error() << "expected auto_pad = NOTSET, SAME_UPPER, SAME_LOWER or "
                    "VALID, found '"
                 << autoPad << "'";
    return std::nullopt;
  }
  window.isSameUpper = autoPad == "SAME_UPPER";
  for (size_t i = 0; i < spatial; ++i) {
    int64_t size = node.type(x).getDimSize(2 + i);
    if (ShapedType::isDynamic(size)) {
      window.isSame = true;
      continue;
    }
    int64_t span = (kernel[i] - 1) * window.dilations[i] + 1;
    int64_t outputs = llvm::divideCeil(size, window.strides[i]);
    int64_t total =
        std::max<int64_t>(0, (outputs - 1) * window.strides[i] + span - size);
    window.pads[i] = window.isSameUpper ? total / 2 : total - total / 2;
    window.pads[spatial + i] = total - window.pads[i];
  }
  return window;
}

LogicalResult dlc::expectWindowFits(NodeImport &node, Value x,
                                    const Window &window) {
  size_t spatial = window.kernel.size();
  for (size_t i = 0; i < spatial; ++i) {
    int64_t size = node.type(x).getDimSize(2 + i);
    int64_t span = (window.kernel[i] - 1) * window.dilations[i] + 1;
    int64_t padded = size + window.pads[i] + window.pads[spatial + i];
    if (ShapedType::isDynamic(size) || padded - span + window.strides[i] >= 0)
      continue;
    node.error() << "expected an input, with its padding, that is no smaller "
                    "than the window, found sizes "
                 << padded << " and " << span;
    return failure();
  }
  return success();
}

DynamicPads dlc::getDynamicPads(NodeImport &node, const Window &window,
                                ArrayRef<OpFoldResult> sizes) {
  Emit e(node);
  size_t spatial = window.kernel.size();
  DynamicPads pads{Elements(spatial, node.index(0)),
                   Elements(spatial, node.index(0))};
  for (size_t i = 0; i < spatial; ++i) {
    if (getConstantIntValue(sizes[i]) || !window.isDynamic())
      continue;
    int64_t span = (window.kernel[i] - 1) * window.dilations[i] + 1;
    int64_t stride = window.strides[i];
    Num size = e.index(sizes[i]);
    if (window.isSame) {
      // total = max(0, (ceil(size / stride) - 1) * stride + span - size)
      Num last = ((size + (stride - 1)) / stride - 1) * stride;
      Num total = e.max(last + span - size, 0);
      Num half = total / 2;
      pads.low[i] = (window.isSameUpper ? half : total - half).value;
      pads.high[i] = (window.isSameUpper ? total - half : half).value;
      continue;
    }
    // As applyCeilMode.
    int64_t low = window.pads[i], high = window.pads[spatial + i];
    Num padded = size + (low + high);
    // Rounded up, while a division drops what is behind the point.
    Num room = padded - span;
    Num steps =
        (e.max(room, 0) + (stride - 1)) / stride + e.min(room, 0) / stride;
    Num behind = e.select(steps * stride >= size + low, e.index(1), e.index(0));
    Num needed = (steps - behind) * stride + span;
    pads.high[i] = e.max(needed - padded, 0).value;
  }
  return pads;
}

Value DynamicPads::apply(NodeImport &node, Value x, Value value) const {
  if (!x)
    return x;
  Elements begin(node.rank(x), node.index(0)), end = begin;
  SmallVector<int64_t> shape(node.type(x).getShape());
  bool isPadded = false;
  for (size_t i = 0; i < low.size(); ++i) {
    if (isConstantIntValue(low[i], 0) && isConstantIntValue(high[i], 0))
      continue;
    begin[1 + i] = low[i];
    end[1 + i] = high[i];
    shape[1 + i] = ShapedType::kDynamic;
    isPadded = true;
  }
  if (!isPadded)
    return x;
  auto [staticLow, dynamicLow] = decomposeMixedValues(begin);
  auto [staticHigh, dynamicHigh] = decomposeMixedValues(end);
  if (!value)
    value = node.scalarLike(0, x);
  return PadOp::create(
      node.b, node.loc, RankedTensorType::get(shape, node.elementType(x)), x,
      value, dynamicLow, dynamicHigh, staticLow, staticHigh, PadMode::Constant);
}

/// With ceil_mode, windows may begin inside the input (or its padding before)
/// and end behind it: more padding at the end.
static void applyCeilMode(NodeImport &node, Value x, Window &window) {
  if (!node.getInt("ceil_mode", 0))
    return;
  size_t spatial = window.kernel.size();
  for (size_t i = 0; i < spatial; ++i) {
    int64_t size = node.type(x).getDimSize(2 + i);
    int64_t span = (window.kernel[i] - 1) * window.dilations[i] + 1;
    if (ShapedType::isDynamic(size)) {
      window.isCeil = !window.isSame; // SAME rounds up itself
      continue;
    }
    int64_t padded = size + window.pads[i] + window.pads[spatial + i];
    int64_t outputs =
        llvm::divideCeilSigned(padded - span, window.strides[i]) + 1;
    // The last window must not begin behind the input.
    if ((outputs - 1) * window.strides[i] >= size + window.pads[i])
      --outputs;
    int64_t needed = (outputs - 1) * window.strides[i] + span;
    window.pads[spatial + i] += std::max<int64_t>(0, needed - padded);
  }
}

/// The sizes of x [n, c, spatial...].
static Elements spatialSizes(NodeImport &node, Value x) {
  Elements sizes = node.dims(x);
  return Elements(llvm::drop_begin(sizes, 2));
}

/// What a pool has to read for padding that does not take part.
static Value getPadding(NodeImport &node, PoolKind kind, Value x) {
  if (kind == PoolKind::Sum)
    return node.scalarLike(0, x);
  Type type = node.elementType(x);
  auto toScalar = [&](Attribute value) {
    auto scalar = RankedTensorType::get({}, type);
    return node.constant(DenseElementsAttr::get(scalar, value));
  };
  if (auto floating = dyn_cast<FloatType>(type))
    return toScalar(FloatAttr::get(
        type, APFloat::getInf(floating.getFloatSemantics(), true)));
  unsigned width = type.getIntOrFloatBitWidth();
  return toScalar(IntegerAttr::get(
      type, type.isUnsignedInteger() ? APInt::getZero(width)
                                     : APInt::getSignedMinValue(width)));
}

/// The pool of x [n, spatial..., c].
static Value createPool(NodeImport &node, PoolKind kind, Value x,
                        const Window &window, const DynamicPads &dynamic) {
  if (!x)
    return {};
  if (window.isDynamic())
    x = dynamic.apply(node, x, getPadding(node, kind, x));
  size_t spatial = window.kernel.size();
  SmallVector<int64_t> shape{node.type(x).getDimSize(0)};
  for (size_t i = 0; i < spatial; ++i)
    shape.push_back(getWindowedSize(
        node.type(x).getDimSize(1 + i), window.kernel[i], window.strides[i],
        window.dilations[i], window.pads[i] + window.pads[spatial + i]));
  shape.push_back(node.type(x).getShape().back());
  return node.create<PoolOp>(RankedTensorType::get(shape, node.elementType(x)),
                             kind, x, window.kernel, window.strides,
                             window.dilations, window.pads);
}

static std::optional<Window> readPoolWindow(NodeImport &node, Value x) {
  std::optional<SmallVector<int64_t>> kernel = node.getInts("kernel_shape");
  if (!kernel || kernel->empty()) {
    node.error() << "expected a kernel_shape";
    return std::nullopt;
  }
  return readWindow(node, x, *kernel);
}

static ImportResult importMaxPool(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Window> window = readPoolWindow(node, x);
  if (!window)
    return failure();
  applyCeilMode(node, x, *window);
  if (failed(expectWindowFits(node, x, *window)))
    return failure();
  DynamicPads pads = getDynamicPads(node, *window, spatialSizes(node, x));
  if (node.hasOutput(1))
    return importMaxPoolWithIndices(node, x, *window, pads);
  return node.result(node.toChannelsFirst(
      createPool(node, PoolKind::Max, node.toChannelsLast(x), *window, pads)));
}

/// The sum over the window, divided by the number of elements that count:
/// a pool of ones, padded with ones where padding counts.
Value dlc::averagePool(NodeImport &node, Value x) {
  std::optional<Window> read = readPoolWindow(node, x);
  if (!read)
    return {};
  Window window = *read;
  size_t spatial = window.kernel.size();
  SmallVector<int64_t> padsBefore = window.pads;
  applyCeilMode(node, x, window);
  if (failed(expectWindowFits(node, x, window)))
    return {};
  DynamicPads pads = getDynamicPads(node, window, spatialSizes(node, x));
  Value last = node.toChannelsLast(x);
  Type element = node.elementType(x);
  Value sum = createPool(node, PoolKind::Sum, last, window, pads);
  bool countPadding = node.getInt("count_include_pad", 0);
  bool isPadded = window.isDynamic() ||
                  llvm::any_of(window.pads, [](int64_t n) { return n != 0; });
  bool onlyGiven = window.pads == padsBefore && !window.isCeil;
  Value count;
  if (!isPadded || (countPadding && onlyGiven)) {
    int64_t elements = 1;
    for (int64_t size : window.kernel)
      elements *= size;
    count = node.scalar(elements, element);
  } else {
    // Ones in the shape [1, spatial..., 1], then the same window.
    Elements sizes{node.index(1)};
    for (size_t i = 0; i < spatial; ++i)
      sizes.push_back(node.dim(last, 1 + i));
    sizes.push_back(node.index(1));
    Window counted = window;
    Elements low(spatial + 2, node.index(0)), high = low;
    if (countPadding)
      for (size_t i = 0; i < spatial; ++i) {
        sizes[1 + i] =
            addSizes(node.b, node.loc, sizes[1 + i],
                     node.index(padsBefore[i] + padsBefore[spatial + i]));
        counted.pads[i] = 0;
        counted.pads[spatial + i] -= padsBefore[spatial + i];
      }
    Value ones = node.broadcast(node.scalar(1, element), sizes);
    count = createPool(node, PoolKind::Sum, ones, counted, pads);
  }
  Value result = node.map<DivOp>({sum, count});
  if (!result)
    return {};
  return node.toChannelsFirst(result);
}

static ImportResult importAveragePool(NodeImport &node) {
  return node.result(averagePool(node, node.input(0)));
}

/// (sum |x|^p)^(1/p)
static ImportResult importLpPool(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Window> window = readPoolWindow(node, x);
  if (!window)
    return failure();
  applyCeilMode(node, x, *window);
  if (failed(expectWindowFits(node, x, *window)))
    return failure();
  DynamicPads pads = getDynamicPads(node, *window, spatialSizes(node, x));
  double p = node.getInt("p", 2);
  Value last = node.map<AbsOp>({node.toChannelsLast(x)});
  Value powers = p == 1   ? last
                 : p == 2 ? node.map<MulOp>({last, last})
                          : node.map<PowOp>({last, node.scalarLike(p, last)});
  Value sum = createPool(node, PoolKind::Sum, powers, *window, pads);
  Value result = p == 1   ? sum
                 : p == 2 ? node.map<SqrtOp>({sum})
                          : node.map<PowOp>({sum, node.scalarLike(1 / p, sum)});
  return node.result(node.toChannelsFirst(result));
}

SmallVector<int64_t> dlc::spatialAxes(NodeImport &node, Value x) {
  SmallVector<int64_t> axes;
  if (node.rank(x) < 2 && !node.hasFailed)
    node.error() << "expected rank 2 or more, found " << node.rank(x);
  for (int64_t axis = 2; axis < node.rank(x); ++axis)
    axes.push_back(axis);
  return axes;
}

static ImportResult importGlobalMaxPool(NodeImport &node) {
  Value x = node.input(0);
  return node.result(node.reduce(ReduceKind::Max, x, spatialAxes(node, x)));
}

Value dlc::globalAveragePool(NodeImport &node, Value x) {
  SmallVector<int64_t> axes = spatialAxes(node, x);
  Value sum = node.reduce(ReduceKind::Sum, x, axes);
  Value count = node.countAlong(x, axes, node.elementType(x));
  return node.map<DivOp>({sum, count});
}

static ImportResult importGlobalAveragePool(NodeImport &node) {
  return node.result(globalAveragePool(node, node.input(0)));
}

static OpRows rows{
    {"", "MaxPool", 1, importMaxPool},
    {"", "AveragePool", 7, importAveragePool, kComposition},
    {"", "LpPool", 2, importLpPool, kComposition},
    {"", "GlobalMaxPool", 1, importGlobalMaxPool},
    {"", "GlobalAveragePool", 1, importGlobalAveragePool, kComposition},
};
