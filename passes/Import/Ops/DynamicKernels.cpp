// Convolutions whose kernel has a size that only the run knows: the elements
// under the window in each place are rows of a matrix, which is multiplied by
// the weights.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

Value dlc::refineKernel(NodeImport &node, Value weights) {
  std::optional<SmallVector<int64_t>> kernel = node.getInts("kernel_shape");
  int64_t rank = node.rank(weights);
  if (!kernel || int64_t(kernel->size()) != rank - 2)
    return weights;
  Elements sizes = node.dims(weights);
  for (auto [i, size] : llvm::enumerate(*kernel)) {
    if (failed(node.expectEqual(sizes[2 + i], node.index(size),
                                "weights of the kernel_shape")))
      return {};
    sizes[2 + i] = node.index(size);
  }
  return node.reshape(weights, sizes);
}

/// An operand less its zero point, in the type of the sums.
static Value widened(NodeImport &node, Value x, Value zero, Type type,
                     bool isWeights) {
  x = node.cast(x, type);
  zero = node.cast(zero, type);
  if (node.rank(zero) == 1) {
    // One for each filter, or one for all.
    Elements sizes(isWeights ? node.rank(x) : 0, node.index(1));
    if (isWeights)
      sizes[0] = node.dim(zero, 0);
    zero = node.reshape(zero, sizes);
  }
  return node.map<SubOp>({x, zero});
}

Value dlc::withElements(NodeImport &node, Value x) {
  Emit e(node);
  Elements high(node.rank(x), node.index(0));
  SmallVector<int64_t> shape(node.type(x).getShape());
  bool areSure = true;
  for (int64_t i = 2; i < node.rank(x); ++i) {
    if (shape[i] > 0)
      continue;
    OpFoldResult size = node.dim(x, i);
    high[i] = e.fold(e.max(e.index(int64_t(1)) - e.index(size), 0));
    shape[i] = shape[i] == 0 ? 1 : ShapedType::kDynamic;
    areSure = false;
  }
  if (areSure)
    return x;
  auto [staticHigh, dynamicHigh] = decomposeMixedValues(high);
  return PadOp::create(
      node.b, node.loc, RankedTensorType::get(shape, node.elementType(x)), x,
      node.scalarLike(0, x), ValueRange(), dynamicHigh,
      SmallVector<int64_t>(node.rank(x), 0), staticHigh, PadMode::Constant);
}

Value dlc::multiplyWindows(NodeImport &node, Value x, Value matrix,
                           int64_t group, const Elements &kernel,
                           const Elements &outputs, Type resultType,
                           WindowPlace place) {
  Emit e(node);
  Elements sizes = node.dims(x);
  int64_t spatial = int64_t(kernel.size());
  OpFoldResult groups = node.index(group),
               channels = e.fold(e.index(sizes[1]) / e.index(groups));
  // [n, group, outputs..., c / group, kernel...]
  Elements columns{sizes[0], groups};
  columns.append(outputs);
  columns.push_back(channels);
  columns.append(kernel);
  Type element = node.elementType(x);
  Value plain = e.plain(withElements(node, x));
  Type type = cast<RankedTensorType>(plain.getType()).getElementType();
  Value gathered = e.generate(columns, type, [&](ArrayRef<Num> at) {
    SmallVector<Num> source{at[0], at[1] * e.index(channels) + at[2 + spatial]};
    Num isThere = e.flag(true);
    for (int64_t i = 0; i < spatial; ++i) {
      auto [where, is] = place(i, at[2 + i], at[3 + spatial + i]);
      Num size = e.index(sizes[2 + i]);
      isThere = isThere && is && where >= 0 && where < size;
      source.push_back(e.clamp(where, e.index(int64_t(0)), e.max(size - 1, 0)));
    }
    return e.select(isThere, e.load(plain, source), e.constant(0, type));
  });
  Num places = e.index(1), taps = e.index(channels);
  for (OpFoldResult size : outputs)
    places = places * e.index(size);
  for (OpFoldResult size : kernel)
    taps = taps * e.index(size);
  Value rows = node.reshape(e.typed(gathered, element),
                            {sizes[0], groups, e.fold(places), e.fold(taps)});
  // [n, group, places, m / group] -> [n, places, group, m / group]
  Value product = node.matmul(rows, matrix, resultType);
  if (!product)
    return {};
  OpFoldResult filters = e.fold(e.index(node.dim(matrix, 2)) * double(group));
  Elements result{sizes[0]};
  result.append(outputs);
  result.push_back(filters);
  return node.reshape(node.transpose(product, {0, 2, 1, 3}), result);
}

Value dlc::convolveDynamically(NodeImport &node, Value x, Value weights,
                               Type resultType, ValueRange zeros) {
  Emit e(node);
  int64_t spatial = node.rank(x) - 2, group = node.getInt("group", 1);
  // Attributes are checked as those of a kernel whose size is known.
  std::optional<Window> window =
      readWindow(node, x, SmallVector<int64_t>(spatial, 1));
  if (!window || group < 1) {
    if (window)
      node.error() << "expected 1 group or more, found " << group;
    return {};
  }
  if (!zeros.empty()) {
    x = widened(node, x, zeros[0], resultType, false);
    weights = widened(node, weights, zeros[1], resultType, true);
  }
  if (!x || !weights)
    return {};
  StringRef autoPad = node.getString("auto_pad", "NOTSET");
  bool isSame = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  Elements image = node.dims(x), sizes = node.dims(weights), kernel, outputs;
  SmallVector<Num> begins;
  for (int64_t i = 0; i < spatial; ++i) {
    kernel.push_back(sizes[2 + i]);
    Num size = e.index(image[2 + i]), stride = e.index(window->strides[i]);
    Num span = (e.index(kernel[i]) - 1) * window->dilations[i] + 1;
    Num begin = e.index(isSame ? 0 : window->pads[i]);
    Num end = e.index(isSame ? 0 : window->pads[spatial + i]);
    if (isSame) {
      Num last = ((size + (stride - 1)) / stride - 1) * stride;
      Num total = e.max(last + span - size, 0), half = total / 2;
      begin = autoPad == "SAME_UPPER" ? half : total - half;
      end = total - begin;
    }
    Num room = size + begin + end - span;
    e.check(room + stride >= 0,
            "expected an input, with its padding, that is no smaller than the "
            "window",
            /*status=*/0);
    outputs.push_back(e.fold(e.max((room + stride) / stride, 0)));
    begins.push_back(begin);
  }
  Num filters = e.index(sizes[0]);
  if (failed(node.expectEqual(image[1],
                              e.fold(e.index(sizes[1]) * double(group)),
                              "input channels of " + Twine(group) + " groups")))
    return {};
  e.check(filters % double(group) == 0,
          "expected a multiple of " + Twine(group) + " output channels",
          /*status=*/0);
  // [m, c / group, kernel...] -> [group, c / group * kernel, m / group]
  Num taps = e.index(sizes[1]);
  for (OpFoldResult size : kernel)
    taps = taps * e.index(size);
  Value matrix = node.transpose(
      node.reshape(weights, {node.index(group), e.fold(filters / double(group)),
                             e.fold(taps)}),
      {0, 2, 1});
  return multiplyWindows(node, x, matrix, group, kernel, outputs, resultType,
                         [&](int64_t i, Num output, Num tap) {
                           Num where = output * window->strides[i] +
                                       tap * window->dilations[i] - begins[i];
                           return std::pair(where, e.flag(true));
                         });
}
