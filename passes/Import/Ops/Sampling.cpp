// Operators that sample images between pixels: GridSample, RoiAlign,
// MaxRoiPool, DeformConv.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// GridSample
//===----------------------------------------------------------------------===//

namespace {

struct GridSampler {
  NodeImport &node;
  Emit e{node};
  StringRef mode = node.getString("mode", "linear"),
            padding = node.getString("padding_mode", "zeros");
  bool alignCorners = node.getInt("align_corners", 0);

  /// [-1, 1] -> pixels.
  Num pixel(Num x, Num size) {
    Num n = e.to(size, x.type());
    if (alignCorners)
      return (x + 1) / 2 * (n - 1);
    return ((x + 1) * n - 1) / 2;
  }

  /// Mirrors x at the borders, as often as needed.
  Num reflect(Num x, Num size) {
    Num n = e.to(size, x.type());
    Num low = x.like(alignCorners ? 0 : -0.5);
    Num high = alignCorners ? n - 1 : n - 0.5;
    Num range = high - low;
    Num isEmpty = range <= 0;
    Num divisor = e.select(isEmpty, range.like(1), range);
    auto mirror = [&](Num distance) {
      Num turns = e.floor(distance / divisor);
      Num rest = distance - turns * divisor;
      Num isEven = e.floor(turns / 2) * 2 == turns;
      return std::make_pair(rest, isEven);
    };
    auto [below, belowEven] = mirror(low - x);
    auto [above, aboveEven] = mirror(x - high);
    Num fromBelow = e.select(belowEven, low + below, high - below);
    Num fromAbove = e.select(aboveEven, high - above, low + above);
    Num result = e.select(x < low, fromBelow, e.select(x > high, fromAbove, x));
    return e.select(isEmpty, result.like(0), result);
  }

  /// x at whole coordinates, by the padding mode where they are outside.
  Num fetch(Value x, ArrayRef<Num> prefix, ArrayRef<Num> whole,
            ArrayRef<Num> extents) {
    SmallVector<Num> at(prefix);
    Num isInside = e.flag(true), zero = e.index(int64_t(0));
    for (auto [place, size] : llvm::zip(whole, extents)) {
      Num i = place;
      if (padding == "reflection")
        i = reflect(i, size);
      if (padding == "zeros")
        isInside = isInside && i >= 0 && i <= e.to(size, i.type()) - 1;
      // NaN becomes 0 in the conversion.
      at.push_back(e.clamp(e.toIndex(padding == "reflection" ? e.round(i) : i),
                           zero, size - 1));
    }
    Num value = e.to(e.load(x, at), whole.front().type());
    return padding == "zeros" ? e.select(isInside, value, value.like(0))
                              : value;
  }

  /// The weights of Keys' cubic with a = -0.75 around a fraction.
  Num cubic(Num fraction, int64_t k) {
    constexpr double a = -0.75;
    Num d = e.abs(fraction - double(k));
    if (k == 0 || k == 1)
      return (d * (a + 2) - (a + 3)) * d * d + 1;
    return ((d * a - 5 * a) * d + 8 * a) * d - 4 * a;
  }

  /// The weighted sum over all combinations of `taps` neighbours a dimension.
  Num interpolate(Value x, ArrayRef<Num> prefix, ArrayRef<Num> position,
                  ArrayRef<Num> extents) {
    int64_t first = mode == "cubic" ? -1 : 0, last = mode == "cubic" ? 2 : 1;
    SmallVector<Num> base, fraction, whole(position);
    for (Num p : position) {
      base.push_back(e.floor(p));
      fraction.push_back(p - base.back());
    }
    std::function<Num(size_t)> level = [&](size_t dim) -> Num {
      if (dim == position.size())
        return fetch(x, prefix, whole, extents);
      Num sum;
      for (int64_t k = first; k <= last; ++k) {
        whole[dim] = base[dim] + double(k);
        Num weight = mode == "cubic" ? cubic(fraction[dim], k)
                     : k == 0        ? fraction[dim].like(1) - fraction[dim]
                                     : fraction[dim];
        Num term = level(dim + 1) * weight;
        sum = sum.emit ? sum + term : term;
      }
      return sum;
    };
    return level(0);
  }
};

} // namespace

static ImportResult importGridSample(NodeImport &node) {
  GridSampler s{node};
  Emit &e = s.e;
  Value x = node.input(0), grid = node.input(1);
  int64_t spatial = node.rank(x) - 2;
  if (s.mode == "bilinear")
    s.mode = "linear";
  if (s.mode == "bicubic")
    s.mode = "cubic";
  if (spatial < 1 || node.rank(grid) != spatial + 2 ||
      !llvm::is_contained({"linear", "nearest", "cubic"}, s.mode) ||
      !llvm::is_contained({"zeros", "border", "reflection"}, s.padding)) {
    node.error() << "expected x and grid of one rank and modes that ONNX "
                    "defines, found "
                 << node.type(x) << ", " << node.type(grid) << ", '" << s.mode
                 << "' and '" << s.padding << "'";
    return failure();
  }
  Value from = e.plain(x);
  Type element = node.elementType(from);
  Type compute = isa<FloatType>(element) ? computeTypeOf(element)
                                         : Type(node.b.getF32Type());
  Elements sizes{node.dim(x, 0), node.dim(x, 1)}, xSizes = node.dims(x);
  for (int64_t i = 0; i < spatial; ++i)
    sizes.push_back(node.dim(grid, 1 + i));
  Elements gridSizes = node.dims(grid);
  gridSizes.front() = xSizes[0];
  gridSizes.back() = node.index(spatial);
  if (failed(node.expectShape(1, gridSizes,
                              "N, sizes of the result, spatial dimensions")) ||
      failed(node.expectNotEmpty(ArrayRef(xSizes).drop_front(2), "an image")))
    return failure();
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    SmallVector<Num> extents, position;
    for (int64_t i = 0; i < spatial; ++i) {
      extents.push_back(e.index(xSizes[2 + i]));
      SmallVector<Num> place{at[0]};
      llvm::append_range(place, at.drop_front(2));
      // The grid's last dimension is x, y, z: the operand's last one first.
      place.push_back(e.index(spatial - 1 - i));
      Num p = s.pixel(e.to(e.load(grid, place), compute), extents.back());
      if (s.mode == "nearest")
        p = e.round(p);
      // The cubic's pixels are moved to the border one by one, as in PyTorch.
      if (s.padding == "border" && s.mode != "cubic")
        p = e.clamp(p, p.like(0), e.to(extents.back() - 1, compute));
      else if (s.padding == "reflection")
        p = s.reflect(p, extents.back());
      position.push_back(p);
    }
    SmallVector<Num> prefix(at.take_front(2));
    Num value = s.mode == "nearest"
                    ? s.fetch(from, prefix, position, extents)
                    : s.interpolate(from, prefix, position, extents);
    return e.to(value, element);
  });
  return node.result(e.typed(result, node.elementType(x)));
}

//===----------------------------------------------------------------------===//
// Regions of interest
//===----------------------------------------------------------------------===//

/// Bilinear sample of one channel. Coordinates up to one pixel outside are
/// moved inside (`clampFirst`), or the pixels outside are 0. With `isMax` the
/// largest weighted pixel counts instead of their sum.
static Num bilinear(Emit &e, Value x, Num n, Num c, Num y, Num column,
                    ArrayRef<Num> extents, bool clampFirst,
                    bool isMax = false) {
  Num zero = e.index(int64_t(0));
  Type compute = y.type();
  Num height = e.to(extents[0], compute), width = e.to(extents[1], compute);
  // Farther than one pixel outside is 0.
  Num isInside = y > -1 && y < height && column > -1 && column < width;
  if (clampFirst) {
    isInside = y >= -1 && y <= height && column >= -1 && column <= width;
    y = e.clamp(y, y.like(0), height - 1);
    column = e.clamp(column, y.like(0), width - 1);
  }
  Num top = e.floor(y), left = e.floor(column);
  Num down = y - top, right = column - left;
  auto pixel = [&](int64_t i, int64_t j) {
    Num r = e.toIndex(top) + i, s = e.toIndex(left) + j;
    Num value = e.to(e.load(x, {n, c, e.clamp(r, zero, extents[0] - 1),
                                e.clamp(s, zero, extents[1] - 1)}),
                     compute);
    if (clampFirst)
      return value;
    Num isPixel = r >= 0 && r < extents[0] && s >= 0 && s < extents[1];
    return e.select(isPixel, value, value.like(0));
  };
  Num one = y.like(1);
  Num a = (one - down) * (one - right) * pixel(0, 0);
  Num b = (one - down) * right * pixel(0, 1);
  Num d = down * (one - right) * pixel(1, 0);
  Num f = down * right * pixel(1, 1);
  Num value = isMax ? e.max(e.max(a, b), e.max(d, f)) : a + b + d + f;
  return e.select(isInside, value, value.like(0));
}

static ImportResult importRoiAlign(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), rois = node.input(1);
  Value batches = e.plain(node.input(2));
  bool isMax = node.getString("mode", "avg") == "max";
  bool half = node.getString("coordinate_transformation_mode", "half_pixel") ==
              "half_pixel";
  int64_t ratio = node.getInt("sampling_ratio", 0);
  int64_t height = node.getInt("output_height", 1);
  int64_t width = node.getInt("output_width", 1);
  double scale = node.getFloat("spatial_scale", 1);
  if (node.rank(x) != 4 || node.rank(rois) != 2) {
    node.error() << "expected x of rank 4 and rois of rank 2";
    return failure();
  }
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Elements xSizes = node.dims(x);
  Elements sizes{node.dim(rois, 0), xSizes[1], node.index(height),
                 node.index(width)};
  if (failed(node.expectShape(1, {sizes[0], node.index(4)}, "num_rois, 4")) ||
      failed(node.expectShape(2, sizes[0], "num_rois")) ||
      failed(node.expectNotEmpty(ArrayRef(xSizes).drop_front(2), "an image")))
    return failure();
  e.checkRange(batches, e.index(int64_t(0)), e.index(xSizes[0]) - 1,
               "expected batch_indices inside the batch, found one outside");
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    SmallVector<Num> extents{e.index(xSizes[2]), e.index(xSizes[3])};
    Num batch =
        e.wrapIndex(e.toIndex(e.load(batches, at[0])), e.index(xSizes[0]));
    auto corner = [&](int64_t k) {
      return e.to(e.load(rois, {at[0], e.index(k)}), compute) * scale -
             (half ? 0.5 : 0.0);
    };
    Num left = corner(0), top = corner(1), right = corner(2),
        bottom = corner(3);
    Num roiHeight = bottom - top, roiWidth = right - left;
    if (!half) {
      roiHeight = e.max(roiHeight, 1);
      roiWidth = e.max(roiWidth, 1);
    }
    Num binHeight = roiHeight / double(height),
        binWidth = roiWidth / double(width);
    Num rows = ratio > 0 ? e.index(ratio) : e.toIndex(e.ceil(binHeight));
    Num columns = ratio > 0 ? e.index(ratio) : e.toIndex(e.ceil(binWidth));
    // A huge region must not keep the run busy for ever.
    Num most = e.max(extents[0], extents[1]) * 4 + 1024;
    rows = e.min(rows, most);
    columns = e.min(columns, most);
    Num zero = e.index(int64_t(0));
    Num start = e.constant(isMax ? -3.0e38 : 0, compute);
    Num total = e.num(e.loop(
        zero, rows, start.value, [&](Num i, ValueRange outer) -> Emit::Values {
          Num y = top + e.to(at[2], compute) * binHeight +
                  (e.to(i, compute) + 0.5) * binHeight / e.to(rows, compute);
          return e.loop(zero, columns, outer[0],
                        [&](Num j, ValueRange inner) -> Emit::Values {
                          Num column = left + e.to(at[3], compute) * binWidth +
                                       (e.to(j, compute) + 0.5) * binWidth /
                                           e.to(columns, compute);
                          Num value = bilinear(e, x, batch, at[1], y, column,
                                               extents, true, isMax);
                          Num old = e.num(inner[0]);
                          return {isMax ? e.max(old, value) : old + value};
                        });
        })[0]);
    Num count = rows * columns;
    Num isEmpty = count <= 0;
    if (!isMax)
      total = total / e.to(e.max(count, 1), compute);
    return e.to(e.select(isEmpty, total.like(0), total), element);
  });
  return node.result(result);
}

/// The maximum over each cell of a grid laid over each region.
static ImportResult importMaxRoiPool(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), rois = node.input(1);
  auto shape = node.getInts("pooled_shape");
  double scale = node.getFloat("spatial_scale", 1);
  if (node.rank(x) != 4 || node.rank(rois) != 2 || !shape ||
      shape->size() != 2) {
    node.error() << "expected x of rank 4, rois of rank 2 and a pooled_shape "
                    "of 2 sizes";
    return failure();
  }
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Elements xSizes = node.dims(x);
  Elements sizes{node.dim(rois, 0), xSizes[1], node.index((*shape)[0]),
                 node.index((*shape)[1])};
  if (failed(node.expectShape(1, {sizes[0], node.index(5)}, "num_rois, 5")))
    return failure();
  Value batches =
      e.generate(sizes[0], node.b.getIndexType(), [&](ArrayRef<Num> at) {
        return e.toIndex(e.load(rois, {at[0], e.index(int64_t(0))}));
      });
  e.checkRange(batches, e.index(int64_t(0)), e.index(xSizes[0]) - 1,
               "expected regions of images of the batch, found one outside");
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    auto part = [&](int64_t k) {
      return e.to(e.load(rois, {at[0], e.index(k)}), compute);
    };
    Num zero = e.index(int64_t(0));
    Num batch = e.wrapIndex(e.toIndex(part(0)), e.index(xSizes[0]));
    // Rows and columns [begin, end) of the cell.
    SmallVector<Num> begin, end;
    for (int64_t i = 0; i < 2; ++i) {
      auto pixel = [&](int64_t k) { return e.floor(part(k) * scale + 0.5); };
      Num low = pixel(2 - i), high = pixel(4 - i);
      Num cell = e.max(high - low + 1, 1) / double((*shape)[i]);
      Num which = e.to(at[2 + i], compute), size = e.index(xSizes[2 + i]);
      begin.push_back(
          e.clamp(e.toIndex(e.floor(which * cell) + low), zero, size));
      end.push_back(
          e.clamp(e.toIndex(e.ceil((which + 1) * cell) + low), zero, size));
    }
    Num start = e.constant(-3.4028234663852886e38, compute);
    Num best = e.num(e.loop(
        begin[0], end[0], start.value,
        [&](Num i, ValueRange outer) -> Emit::Values {
          return e.loop(begin[1], end[1], outer[0],
                        [&](Num j, ValueRange inner) -> Emit::Values {
                          Num value =
                              e.to(e.load(x, {batch, at[1], i, j}), compute);
                          return {e.max(e.num(inner[0]), value)};
                        });
        })[0]);
    Num isEmpty = end[0] <= begin[0] || end[1] <= begin[1];
    return e.to(e.select(isEmpty, best.like(0), best), element);
  });
  return node.result(result);
}

//===----------------------------------------------------------------------===//
// DeformConv
//===----------------------------------------------------------------------===//

/// The sampled windows as columns [n, group, c / group * kernel, positions],
/// multiplied by the weights of each group.
static ImportResult importDeformConv(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), weights = node.input(1), offset = node.input(2);
  Value bias = node.input(3), mask = node.input(4);
  if (node.rank(x) != 4 || node.rank(weights) != 4) {
    node.error() << "expected images and weights of rank 4, found "
                 << node.type(x) << " and " << node.type(weights);
    return failure();
  }
  weights = refineKernel(node, weights);
  if (!weights)
    return failure();
  auto ints = [&](StringRef name, size_t count, int64_t otherwise) {
    auto values =
        node.getInts(name).value_or(SmallVector<int64_t>(count, otherwise));
    if (values.size() != count)
      node.error() << "expected " << count << " " << name;
    values.resize(count, otherwise);
    return values;
  };
  SmallVector<int64_t> strides = ints("strides", 2, 1);
  SmallVector<int64_t> dilations = ints("dilations", 2, 1);
  SmallVector<int64_t> pads = ints("pads", 4, 0);
  int64_t group = node.getInt("group", 1);
  int64_t offsetGroup = node.getInt("offset_group", 1);
  Elements w = node.dims(weights);
  Num filters = e.index(w[0]), kernelRows = e.index(w[2]),
      kernelColumns = e.index(w[3]), kernel = kernelRows * kernelColumns;
  Num channels = e.index(w[1]) * double(group);
  if (group >= 1 && offsetGroup >= 1 && !node.hasFailed) {
    Num divides =
        filters % double(group) == 0 && channels % double(offsetGroup) == 0;
    if (isConstantIntValue(divides.value, 0))
      node.error() << "expected channels that the groups divide";
    e.check(divides, "expected channels that the groups divide", /*status=*/0);
  } else if (!node.hasFailed) {
    node.error() << "expected 1 group or more";
  }
  if (node.hasFailed)
    return failure();
  Type element = node.elementType(x), compute = computeTypeOf(element);
  OpFoldResult n = node.dim(x, 0), rows = node.dim(offset, 2),
               columns = node.dim(offset, 3);
  SmallVector<Num> extents{e.index(node.dim(x, 2)), e.index(node.dim(x, 3))};
  Elements images{node.dim(x, 2), node.dim(x, 3)}, outputs;
  for (int64_t i = 0; i < 2; ++i) {
    Num span = (e.index(w[2 + i]) - 1) * double(dilations[i]) + 1;
    Num room = extents[i] + double(pads[i] + pads[2 + i]) - span;
    outputs.push_back(
        e.fold(e.max((room + double(strides[i])) / double(strides[i]), 0)));
  }
  Num maps = kernel * double(offsetGroup);
  if (failed(node.expectShape(0, {n, e.fold(channels), images[0], images[1]},
                              "N, C, H, W")) ||
      failed(node.expectShape(
          2, {n, e.fold(maps * 2), outputs[0], outputs[1]},
          "N, 2 * offset_group * kernel, output height, output width")) ||
      failed(node.expectShape(3, w[0], "oC")) ||
      failed(node.expectShape(
          4, {n, e.fold(maps), outputs[0], outputs[1]},
          "N, offset_group * kernel, output height, output width")) ||
      failed(node.expectNotEmpty(images, "an image")))
    return failure();
  Elements sizes{n, e.fold(channels), w[2], w[3], rows, columns};
  Value sampled = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num which = at[1] / (channels / double(offsetGroup));
    Num tap = at[2] * kernelColumns + at[3];
    Num first = (which * kernel + tap) * 2;
    auto moved = [&](int64_t i) {
      Num place = at[4 + i] * strides[i] + at[2 + i] * dilations[i] - pads[i];
      Num by = e.load(offset, {at[0], first + i, at[4], at[5]});
      return e.to(place, compute) + e.to(by, compute);
    };
    Num value =
        bilinear(e, x, at[0], at[1], moved(0), moved(1), extents, false);
    if (mask)
      value = value *
              e.to(e.load(mask, {at[0], which * kernel + tap, at[4], at[5]}),
                   compute);
    return e.to(value, element);
  });
  OpFoldResult positions = mulSizes(node.b, node.loc, rows, columns);
  OpFoldResult depth = e.fold(e.index(w[1]) * kernel);
  Value result = node.matmul(
      node.reshape(weights, {node.index(1), node.index(group),
                             e.fold(filters / double(group)), depth}),
      node.reshape(sampled, {n, node.index(group), depth, positions}), element);
  result = node.reshape(result, {n, w[0], rows, columns});
  if (bias)
    result = node.map<AddOp>({result, node.unsqueeze(bias, {1, 2})});
  return node.result(result);
}

static OpRows rows{
    {"", "GridSample", 16, importGridSample},
    {"", "RoiAlign", 16, importRoiAlign},
    {"", "MaxRoiPool", 1, importMaxRoiPool},
    {"", "DeformConv", 19, importDeformConv},
};
