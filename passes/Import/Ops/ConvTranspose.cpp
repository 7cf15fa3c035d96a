// ConvTranspose: a product of matrices where windows of the result touch and
// don't overlap; with strides a convolution that gives all elements between two
// elements of x at once; else zeros between the elements, and a convolution
// with the kernel turned around.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Amounts along each spatial dimension. The size of the result is
/// (size - 1) * stride + outputPadding + span - begin - end.
struct Transposed {
  SmallVector<int64_t> strides, dilations, outputPadding;
  SmallVector<OpFoldResult> begin, sizes;
};

} // namespace

/// [c, m / group, kernel...] -> [kernel..., c / group, m], with every kernel
/// dimension reversed.
static Value turnWeights(NodeImport &node, Value weights, int64_t group) {
  Elements s = node.dims(weights);
  int64_t rank = node.rank(weights), spatial = rank - 2;
  int64_t channels = *getConstantIntValue(s[0]);
  Elements split{node.index(group), node.index(channels / group)};
  split.append(s.begin() + 1, s.end());
  Value w = node.reshape(weights, split);
  SmallVector<int64_t> permutation;
  for (int64_t i = 0; i < spatial; ++i)
    permutation.push_back(3 + i);
  permutation.append({1, 0, 2});
  w = node.transpose(w, permutation);
  Elements offsets, sizes = node.dims(w), merged;
  SmallVector<int64_t> steps;
  for (int64_t i = 0; i < rank + 1; ++i) {
    bool isKernel = i < spatial;
    offsets.push_back(isKernel ? node.index(*getConstantIntValue(sizes[i]) - 1)
                               : node.index(0));
    steps.push_back(isKernel ? -1 : 1);
  }
  w = node.slice(w, offsets, sizes, steps);
  merged.append(sizes.begin(), sizes.begin() + spatial + 1);
  merged.push_back(
      mulSizes(node.b, node.loc, sizes[spatial + 1], sizes[spatial + 2]));
  return node.reshape(w, merged);
}

static std::optional<Transposed> readTransposed(NodeImport &node, Value x,
                                                ArrayRef<OpFoldResult> kernel) {
  size_t spatial = kernel.size();
  Emit e(node);
  Transposed result;
  auto ints = [&](StringRef name, size_t count, int64_t otherwise) {
    SmallVector<int64_t> values =
        node.getInts(name).value_or(SmallVector<int64_t>(count, otherwise));
    if (values.size() != count)
      node.error() << "expected " << count << " " << name << ", found "
                   << values.size();
    return values;
  };
  result.strides = ints("strides", spatial, 1);
  result.dilations = ints("dilations", spatial, 1);
  result.outputPadding = ints("output_padding", spatial, 0);
  SmallVector<int64_t> pads = ints("pads", 2 * spatial, 0);
  std::optional<SmallVector<int64_t>> shape = node.getInts("output_shape");
  StringRef autoPad = node.getString("auto_pad", "NOTSET");
  if (shape && shape->size() > spatial)
    shape->erase(shape->begin(), shape->end() - spatial);
  if (shape && shape->size() != spatial)
    node.error() << "expected an output_shape of " << spatial
                 << " sizes, found " << shape->size();
  if (node.hasFailed)
    return std::nullopt;
  bool isSame = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  for (size_t i = 0; i < spatial; ++i) {
    if (result.strides[i] < 1 || result.dilations[i] < 1) {
      node.error() << "expected strides and dilations of 1 or more";
      return std::nullopt;
    }
    Num span = (e.index(kernel[i]) - 1) * result.dilations[i] + 1;
    Num size = e.index(node.dim(x, 2 + i));
    Num whole = (size - 1) * result.strides[i] + span + result.outputPadding[i];
    Num begin = e.index(pads[i]), out = whole - (pads[i] + pads[spatial + i]);
    if (shape || isSame) {
      out = shape ? e.index((*shape)[i]) : size * result.strides[i];
      // A result larger than the whole is filled with zeros at the end.
      Num total = e.max(whole - out, 0);
      Num half = total / 2;
      // Only SAME_UPPER puts the larger part at the end.
      begin = autoPad == "SAME_UPPER" ? half : total - half;
    } else if (autoPad == "VALID") {
      begin = e.index(int64_t(0));
      out = whole;
    }
    result.begin.push_back(e.fold(begin));
    e.check(out >= 0, "expected a result of 0 or more elements a side",
            /*status=*/0);
    result.sizes.push_back(e.fold(out));
    if (int64_t known = getConstantIntValue(e.fold(out)).value_or(0);
        known < 0) {
      node.error() << "expected a result of 0 or more elements a side, found "
                   << known;
      return std::nullopt;
    }
  }
  return result;
}

/// True if every element of the result comes from one of x: windows begin
/// where others end, and none is cut off.
static bool isTiling(NodeImport &node, const Transposed &t,
                     ArrayRef<int64_t> kernel) {
  auto allAre = [](ArrayRef<int64_t> values, int64_t expected) {
    return llvm::all_of(values, [&](int64_t v) { return v == expected; });
  };
  StringRef autoPad = node.getString("auto_pad", "NOTSET");
  return node.getInt("group", 1) == 1 && ArrayRef(t.strides) == kernel &&
         allAre(t.dilations, 1) && allAre(t.outputPadding, 0) &&
         allAre(node.getInts("pads").value_or(SmallVector<int64_t>()), 0) &&
         !node.getInts("output_shape") &&
         (autoPad == "NOTSET" || autoPad == "VALID");
}

/// The result, channels last, of a tiling: a row of x gives the rows of one
/// line of windows each, [w, c] by [c, kernel w * m], which are contiguous:
///
///   [n, d, 1, h, 1, w, c] by [kd, 1, kh, c, kw * m]
///     -> [n, d, kd, h, kh, w, kw * m] = [n, d * kd, h * kh, w * kw, m]
static Value multiplyTiles(NodeImport &node, Value x, Value weights,
                           ArrayRef<int64_t> kernel, Type compute) {
  Value rows = node.toChannelsLast(x);
  Elements sizes = node.dims(rows), left{sizes[0]}, right, merged{sizes[0]};
  size_t last = kernel.size() - 1;
  SmallVector<int64_t> permutation;
  for (size_t i = 0; i <= last; ++i) {
    merged.push_back(
        mulSizes(node.b, node.loc, sizes[1 + i], node.index(kernel[i])));
    if (i == last)
      break;
    left.append({sizes[1 + i], node.index(1)});
    if (i)
      right.push_back(node.index(1));
    right.push_back(node.index(kernel[i]));
    permutation.push_back(2 + i);
  }
  left.append({sizes[1 + last], sizes.back()});
  Elements of = node.dims(weights);
  right.append(
      {of[0], mulSizes(node.b, node.loc, of[1], node.index(kernel[last]))});
  permutation.append({0, int64_t(2 + last), 1});
  merged.push_back(of[1]);
  Value product = node.matmul(
      node.reshape(rows, left),
      node.reshape(node.transpose(weights, permutation), right), compute);
  return product ? node.reshape(product, merged) : Value();
}

/// The result, channels last, by a convolution.
static Value convolveSpread(NodeImport &node, Value x, Value weights,
                            const Transposed &t, int64_t group, Type compute) {
  Emit e(node);
  ArrayRef<int64_t> shape = node.type(weights).getShape();
  ArrayRef<int64_t> kernel = shape.drop_front(2);
  int64_t spatial = kernel.size();
  // The convolution's operand: x[i] stands at i * stride + span - 1 - begin.
  Type element = node.elementType(x);
  Value readable = withElements(node, x);
  Elements xSizes = node.dims(x), sizes{xSizes[0]};
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t reach = (kernel[i] - 1) * t.dilations[i];
    sizes.push_back(addSizes(node.b, node.loc, t.sizes[i], node.index(reach)));
  }
  sizes.push_back(xSizes[1]);
  Value spread = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    SmallVector<Num> source{at[0], at[spatial + 1]};
    Num isThere = e.flag(true);
    for (int64_t i = 0; i < spatial; ++i) {
      int64_t reach = (kernel[i] - 1) * t.dilations[i];
      Num place = at[1 + i] + e.index(t.begin[i]) - reach;
      Num step = place / t.strides[i], size = e.index(xSizes[2 + i]);
      isThere =
          isThere && place >= 0 && step < size && step * t.strides[i] == place;
      source.push_back(e.clamp(step, e.index(int64_t(0)), e.max(size - 1, 0)));
    }
    return e.select(isThere, e.load(readable, source), e.constant(0, element));
  });
  SmallVector<int64_t> resultShape{node.type(x).getDimSize(0)};
  for (OpFoldResult size : t.sizes)
    resultShape.push_back(
        getConstantIntValue(size).value_or(ShapedType::kDynamic));
  resultShape.push_back(shape[1] * group);
  return node.create<ConvOp>(RankedTensorType::get(resultShape, compute),
                             spread, turnWeights(node, weights, group),
                             ValueRange(), SmallVector<int64_t>(spatial, 1),
                             t.dilations, SmallVector<int64_t>(2 * spatial, 0),
                             group);
}

/// What convolvePhases makes larger along a spatial dimension: the taps of each
/// element of the result, and the zeros behind x.
struct Phases {
  SmallVector<int64_t> taps, padsHigh;
};

/// Nothing where a convolution of phases is not possible or not better.
static std::optional<Phases> getPhases(NodeImport &node, Value x,
                                       ArrayRef<int64_t> kernel,
                                       const Transposed &t) {
  auto isOne = [](int64_t value) { return value == 1; };
  if (!llvm::all_of(t.dilations, isOne) || llvm::all_of(t.strides, isOne))
    return std::nullopt;
  Emit e(node);
  Phases phases;
  for (size_t i = 0; i < kernel.size(); ++i) {
    int64_t stride = t.strides[i];
    int64_t taps = llvm::divideCeil(kernel[i], stride);
    // What the result has beyond (size - 1 + taps) * stride - begin elements.
    std::optional<int64_t> more = getConstantIntValue(
        e.fold(e.index(t.sizes[i]) + e.index(t.begin[i]) -
               (e.index(node.dim(x, 2 + i)) - 1 + taps) * stride));
    std::optional<int64_t> begin = getConstantIntValue(t.begin[i]);
    if (!more || !begin || *begin < 0)
      return std::nullopt;
    phases.taps.push_back(taps);
    phases.padsHigh.push_back(
        taps - 1 + (*more > 0 ? llvm::divideCeil(*more, stride) : 0));
  }
  return phases;
}

/// The result, channels last: element `i * stride + p` of the whole one is
///
///   sum over a of x[i - a] * w[a * stride + p]
///
/// so that one convolution of x, with kernel / stride taps and a column for
/// each phase p and channel, gives all of it, phases last:
///
///   [n, i..., group, p..., m] -> [n, (i, p)..., group, m]
static Value convolvePhases(NodeImport &node, Value x, Value weights,
                            const Transposed &t, const Phases &phases,
                            int64_t group, Type compute) {
  ArrayRef<int64_t> shape = node.type(weights).getShape();
  ArrayRef<int64_t> kernel = shape.drop_front(2);
  int64_t spatial = kernel.size(), channels = shape[0] / group;
  auto indices = [&](ArrayRef<int64_t> values) {
    return llvm::map_to_vector(values, [&](int64_t value) -> OpFoldResult {
      return node.index(value);
    });
  };
  // [c, m, kernel...] -> [group, c, m, (a, p)...]
  SmallVector<int64_t> low(spatial + 2), high(low), padded(shape);
  SmallVector<int64_t> split{group, channels, shape[1]};
  int64_t columns = group * shape[1];
  for (int64_t i = 0; i < spatial; ++i) {
    padded[2 + i] = phases.taps[i] * t.strides[i];
    high[2 + i] = padded[2 + i] - kernel[i];
    split.append({phases.taps[i], t.strides[i]});
    columns *= t.strides[i];
  }
  if (padded != SmallVector<int64_t>(shape))
    weights =
        PadOp::create(node.b, node.loc,
                      RankedTensorType::get(padded, node.elementType(weights)),
                      weights, node.scalarLike(0, weights), ValueRange(),
                      ValueRange(), low, high, PadMode::Constant);
  Value w = node.reshape(weights, indices(split));
  // ... -> [a..., c, group, p..., m], the taps turned around.
  SmallVector<int64_t> permutation, steps(split.size(), 1);
  Elements offsets, sizes;
  for (int64_t i = 0; i < spatial; ++i)
    permutation.push_back(3 + 2 * i);
  permutation.append({1, 0});
  for (int64_t i = 0; i < spatial; ++i)
    permutation.push_back(4 + 2 * i);
  permutation.push_back(2);
  w = node.transpose(w, permutation);
  for (auto [i, size] : llvm::enumerate(node.dims(w))) {
    bool isTap = int64_t(i) < spatial;
    offsets.push_back(node.index(isTap ? phases.taps[i] - 1 : 0));
    sizes.push_back(size);
    if (isTap)
      steps[i] = -1;
  }
  w = node.slice(w, offsets, sizes, steps);
  SmallVector<int64_t> merged(phases.taps);
  merged.append({channels, columns});
  w = node.reshape(w, indices(merged));

  Value rows = node.toChannelsLast(x);
  SmallVector<int64_t> resultShape{node.type(rows).getDimSize(0)}, pads;
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t size = node.type(rows).getDimSize(1 + i);
    pads.push_back(phases.taps[i] - 1);
    resultShape.push_back(
        ShapedType::isDynamic(size) ? size : size + phases.padsHigh[i]);
  }
  resultShape.push_back(columns);
  llvm::append_range(pads, phases.padsHigh);
  SmallVector<int64_t> ones(spatial, 1);
  Value product =
      node.create<ConvOp>(RankedTensorType::get(resultShape, compute), rows, w,
                          ValueRange(), ones, ones, pads, group);

  // The phases take their places, and what the pads cut off goes.
  Elements whole = node.dims(product), apart{whole[0]}, joined{whole[0]};
  SmallVector<int64_t> order{0};
  for (int64_t i = 0; i < spatial; ++i) {
    apart.push_back(whole[1 + i]);
    order.append({1 + i, spatial + 2 + i});
    joined.push_back(
        mulSizes(node.b, node.loc, whole[1 + i], node.index(t.strides[i])));
  }
  apart.push_back(node.index(group));
  llvm::append_range(apart, indices(t.strides));
  apart.push_back(node.index(shape[1]));
  order.append({spatial + 1, 2 * spatial + 2});
  joined.push_back(node.index(group * shape[1]));
  Value placed =
      node.reshape(node.transpose(node.reshape(product, apart), order), joined);
  Elements begin{node.index(0)}, result{whole[0]};
  llvm::append_range(begin, t.begin);
  llvm::append_range(result, t.sizes);
  begin.push_back(node.index(0));
  result.push_back(joined.back());
  return node.slice(placed, begin, result,
                    SmallVector<int64_t>(spatial + 2, 1));
}

/// With weights of a size that only the run knows.
static ImportResult importDynamically(NodeImport &node, Value x, Value weights,
                                      int64_t group) {
  Emit e(node);
  Elements sizes = node.dims(weights), kernel(llvm::drop_begin(sizes, 2));
  std::optional<Transposed> t =
      group < 1 ? std::nullopt : readTransposed(node, x, kernel);
  if (!t) {
    if (group < 1)
      node.error() << "expected 1 group or more, found " << group;
    return failure();
  }
  Num channels = e.index(sizes[0]);
  e.check(channels % double(group) == 0,
          "expected a multiple of " + Twine(group) + " input channels",
          /*status=*/0);
  if (failed(node.expectEqual(node.dim(x, 1), sizes[0],
                              "input channels as the weights have")) ||
      failed(
          node.expectShape(2, e.fold(e.index(sizes[1]) * double(group)), "M")))
    return failure();
  // [c, m / group, kernel...] -> [group, c / group * kernel, m / group]
  Num taps = e.index(1), share = channels / double(group);
  for (OpFoldResult size : kernel)
    taps = taps * e.index(size);
  Value matrix = node.reshape(
      weights, {node.index(group), e.fold(share), sizes[1], e.fold(taps)});
  matrix = node.reshape(node.transpose(matrix, {0, 1, 3, 2}),
                        {node.index(group), e.fold(share * taps), sizes[1]});
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Value result = multiplyWindows(
      node, x, matrix, group, kernel, t->sizes, compute,
      [&](int64_t i, Num output, Num tap) {
        Num place = output + e.index(t->begin[i]) - tap * t->dilations[i];
        Num step = place / t->strides[i];
        return std::pair(step, place >= 0 && step * t->strides[i] == place);
      });
  if (Value bias = node.input(2))
    result = node.map<AddOp>({result, node.cast(bias, compute)});
  return node.result(node.toChannelsFirst(node.cast(result, element)));
}

static ImportResult importConvTranspose(NodeImport &node) {
  Value x = node.input(0), weights = node.input(1);
  int64_t spatial = node.rank(x) - 2, group = node.getInt("group", 1);
  if (spatial < 1 || node.rank(weights) != node.rank(x)) {
    node.error() << "expected x of rank 3 or more and weights of the same "
                    "rank, found "
                 << node.type(x) << " and " << node.type(weights);
    return failure();
  }
  weights = refineKernel(node, weights);
  if (!weights)
    return failure();
  if (!node.type(weights).hasStaticShape())
    return importDynamically(node, x, weights, group);
  ArrayRef<int64_t> shape = node.type(weights).getShape();
  ArrayRef<int64_t> kernel = shape.drop_front(2);
  if (group < 1 || shape[0] % group) {
    node.error() << "expected a multiple of " << group
                 << " input channels, found " << shape[0];
    return failure();
  }
  std::optional<Transposed> t =
      readTransposed(node, x, ArrayRef(node.dims(weights)).drop_front(2));
  if (!t || failed(node.expectShape(2, node.index(shape[1] * group), "M")))
    return failure();
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Value result;
  if (isTiling(node, *t, kernel))
    result = multiplyTiles(node, x, weights, kernel, compute);
  else if (std::optional<Phases> phases = getPhases(node, x, kernel, *t))
    result = convolvePhases(node, x, weights, *t, *phases, group, compute);
  else
    result = convolveSpread(node, x, weights, *t, group, compute);
  if (!result)
    return failure();
  if (Value bias = node.input(2))
    result = node.map<AddOp>({result, node.cast(bias, compute)});
  return node.result(node.toChannelsFirst(node.cast(result, element)));
}

static OpRows rows{{"", "ConvTranspose", 1, importConvTranspose}};
