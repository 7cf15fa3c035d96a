// The attributes that convolutions and pools share, and the pools.

#include "passes/Import/Ops/Windows.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"

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

Value Window::padDynamically(NodeImport &node, Value x, Value value) {
  if (!isSame || !x)
    return x;
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Elements low(node.rank(x), node.index(0)), high = low;
  auto constant = [&](int64_t v) {
    return Value(arith::ConstantIndexOp::create(b, loc, v));
  };
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (!node.type(x).isDynamicDim(1 + i))
      continue;
    // total = max(0, (ceil(size / stride) - 1) * stride + span - size)
    int64_t span = (kernel[i] - 1) * dilations[i] + 1;
    Value size = getValueOrCreateConstantIndexOp(b, loc, node.dim(x, 1 + i));
    Value last = b.createOrFold<arith::DivSIOp>(
        loc, b.createOrFold<arith::SubIOp>(loc, size, constant(1)),
        constant(strides[i]));
    Value reach =
        b.createOrFold<arith::MulIOp>(loc, last, constant(strides[i]));
    Value end = b.createOrFold<arith::AddIOp>(loc, reach, constant(span));
    Value total = b.createOrFold<arith::MaxSIOp>(
        loc, b.createOrFold<arith::SubIOp>(loc, end, size), constant(0));
    Value half = b.createOrFold<arith::DivSIOp>(loc, total, constant(2));
    Value rest = b.createOrFold<arith::SubIOp>(loc, total, half);
    low[1 + i] = isSameUpper ? half : rest;
    high[1 + i] = isSameUpper ? rest : half;
  }
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < node.rank(x); ++i)
    shape.push_back(getConstantIntValue(low[i]) ? node.type(x).getDimSize(i)
                                                : ShapedType::kDynamic);
  auto [staticLow, dynamicLow] = decomposeMixedValues(low);
  auto [staticHigh, dynamicHigh] = decomposeMixedValues(high);
  if (!value)
    value = node.scalarLike(0, x);
  return PadOp::create(
      b, loc, RankedTensorType::get(shape, node.elementType(x)), x, value,
      dynamicLow, dynamicHigh, staticLow, staticHigh, PadMode::Constant);
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
    if (ShapedType::isDynamic(size))
      continue;
    int64_t padded = size + window.pads[i] + window.pads[spatial + i];
    int64_t outputs = llvm::divideCeil(std::max<int64_t>(0, padded - span),
                                       window.strides[i]) +
                      1;
    // The last window must not begin behind the input.
    if ((outputs - 1) * window.strides[i] >= size + window.pads[i])
      --outputs;
    int64_t needed = (outputs - 1) * window.strides[i] + span;
    window.pads[spatial + i] += std::max<int64_t>(0, needed - padded);
  }
}

static Value createPool(NodeImport &node, PoolKind kind, Value x,
                        const Window &window) {
  if (!x)
    return {};
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
  if (node.getInt("ceil_mode", 0) && !node.type(x).hasStaticShape())
    for (int64_t i = 2; i < node.rank(x); ++i)
      if (node.type(x).isDynamicDim(i)) {
        node.error() << "expected a static size in dimension " << i
                     << " with ceil_mode, found a dynamic one; give it with "
                        "--shape or --dim";
        return std::nullopt;
      }
  return readWindow(node, x, *kernel);
}

static ImportResult importMaxPool(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Window> window = readPoolWindow(node, x);
  if (!window)
    return failure();
  if (window->isSame) {
    node.error() << "expected static sizes with auto_pad = SAME, found dynamic "
                    "ones";
    return failure();
  }
  applyCeilMode(node, x, *window);
  if (node.hasOutput(1))
    return importMaxPoolWithIndices(node, x, *window);
  return node.result(node.toChannelsFirst(
      createPool(node, PoolKind::Max, node.toChannelsLast(x), *window)));
}

/// The sum over the window, divided by the number of elements that count:
/// a pool of ones, padded with ones where padding counts.
static ImportResult importAveragePool(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Window> read = readPoolWindow(node, x);
  if (!read)
    return failure();
  Window window = *read;
  if (window.isSame) {
    node.error() << "expected static sizes with auto_pad = SAME, found dynamic "
                    "ones";
    return failure();
  }
  size_t spatial = window.kernel.size();
  SmallVector<int64_t> padsBefore = window.pads;
  applyCeilMode(node, x, window);
  Value last = node.toChannelsLast(x);
  Type element = node.elementType(x);
  Type compute = element.getIntOrFloatBitWidth() < 32
                     ? Type(node.b.getF32Type())
                     : element;
  Value sum = createPool(node, PoolKind::Sum, node.cast(last, compute), window);
  bool countPadding = node.getInt("count_include_pad", 0);
  bool isPadded = llvm::any_of(window.pads, [](int64_t n) { return n != 0; });
  bool onlyGiven = window.pads == padsBefore;
  Value count;
  if (!isPadded || (countPadding && onlyGiven)) {
    int64_t elements = 1;
    for (int64_t size : window.kernel)
      elements *= size;
    count = node.scalar(elements, compute);
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
    Value ones = node.broadcast(node.scalar(1, compute), sizes);
    count = createPool(node, PoolKind::Sum, ones, counted);
  }
  Value result = node.map<DivOp>({sum, count});
  return node.result(node.toChannelsFirst(node.cast(result, element)));
}

/// (sum |x|^p)^(1/p)
static ImportResult importLpPool(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Window> window = readPoolWindow(node, x);
  if (!window || window->isSame)
    return failure();
  applyCeilMode(node, x, *window);
  double p = node.getInt("p", 2);
  Value last = node.map<AbsOp>({node.toChannelsLast(x)});
  Value powers = p == 1   ? last
                 : p == 2 ? node.map<MulOp>({last, last})
                          : node.map<PowOp>({last, node.scalarLike(p, last)});
  Value sum = createPool(node, PoolKind::Sum, powers, *window);
  Value result = p == 1   ? sum
                 : p == 2 ? node.map<SqrtOp>({sum})
                          : node.map<PowOp>({sum, node.scalarLike(1 / p, sum)});
  return node.result(node.toChannelsFirst(result));
}

static SmallVector<int64_t> spatialAxes(NodeImport &node, Value x) {
  return llvm::to_vector(llvm::seq<int64_t>(2, node.rank(x)));
}

static ImportResult importGlobalMaxPool(NodeImport &node) {
  Value x = node.input(0);
  return node.result(node.reduce(ReduceKind::Max, x, spatialAxes(node, x)));
}

static ImportResult importGlobalAveragePool(NodeImport &node) {
  Value x = node.input(0);
  SmallVector<int64_t> axes = spatialAxes(node, x);
  Value sum = node.reduce(ReduceKind::Sum, x, axes);
  Value count = node.countAlong(x, axes, node.elementType(x));
  return node.result(node.map<DivOp>({sum, count}));
}

static OpRows rows{
    {"", "MaxPool", 1, importMaxPool},
    {"", "AveragePool", 7, importAveragePool},
    {"", "LpPool", 2, importLpPool},
    {"", "GlobalMaxPool", 1, importGlobalMaxPool},
    {"", "GlobalAveragePool", 1, importGlobalAveragePool},
};
