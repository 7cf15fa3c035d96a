// What goes with pools: MaxPool with indices, MaxUnpool, GlobalLpPool, Col2Im,
// AffineGrid and determinants.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Windows.h"

using namespace mlir;
using namespace dlc;

/// The largest element of each window and where it is in the flat operand, by
/// row (storage_order = 0) or by column.
ImportResult dlc::importMaxPoolWithIndices(NodeImport &node, Value x,
                                           const Window &window,
                                           const DynamicPads &pads) {
  Emit e(node);
  size_t spatial = window.kernel.size();
  bool byColumn = node.getInt("storage_order", 0);
  bool isUnsigned = node.elementType(x).isUnsignedInteger();
  Value from = e.plain(x);
  Type element = node.elementType(from), i64 = node.b.getI64Type();
  Elements xSizes = node.dims(x), sizes{xSizes[0], xSizes[1]}, kernel;
  SmallVector<Num> extents = e.indices(xSizes);
  if (failed(node.expectNotEmpty(ArrayRef(xSizes).drop_front(2), "an image")))
    return failure();
  for (size_t i = 0; i < spatial; ++i) {
    OpFoldResult size = addSizes(
        node.b, node.loc,
        addSizes(node.b, node.loc, xSizes[2 + i], pads.low[i]), pads.high[i]);
    int64_t span = (window.kernel[i] - 1) * window.dilations[i] + 1;
    e.check(e.index(size) + (window.pads[i] + window.pads[spatial + i] - span +
                             window.strides[i]) >=
                0,
            "expected an input, with its padding, that is no smaller than the "
            "window",
            /*status=*/0);
    sizes.push_back(windowedSize(node.b, node.loc, size, window.kernel[i],
                                 window.strides[i], window.dilations[i],
                                 window.pads[i] + window.pads[spatial + i]));
    kernel.push_back(node.index(window.kernel[i]));
  }
  Num zero = e.index(int64_t(0));
  // The flat place of the best element; -1 until one is found.
  auto placeOf = [&](ArrayRef<Num> at) {
    Num place = at[0] * extents[1] + at[1];
    for (size_t i = 0; i < spatial; ++i)
      place = place * extents[2 + i] + at[2 + i];
    return place;
  };
  Value places =
      e.generate(sizes, node.b.getIndexType(), [&](ArrayRef<Num> at) {
        Value best = e.constant(0, element);
        return e.nest(
            kernel, {e.index(-1), best},
            [&](ArrayRef<Num> k, ValueRange args) -> Emit::Values {
              SmallVector<Num> source(at.take_front(2));
              Num isInside = e.flag(true);
              for (size_t i = 0; i < spatial; ++i) {
                Num p = at[2 + i] * window.strides[i] +
                        k[i] * window.dilations[i] - window.pads[i] -
                        e.index(pads.low[i]);
                isInside = isInside && p >= 0 && p < extents[2 + i];
                source.push_back(e.clamp(p, zero, extents[2 + i] - 1));
              }
              Num value = e.load(from, source), old = e.num(args[1]);
              Num a = old, c = value;
              if (a.isFloat()) {
                a = e.to(a, computeTypeOf(element));
                c = e.to(c, computeTypeOf(element));
              }
              Num isMore = isUnsigned
                               ? e.num(arith::CmpIOp::create(
                                     e.b, e.loc, arith::CmpIPredicate::ult,
                                     a.value, c.value))
                               : a < c;
              Num take = isInside && (e.num(args[0]) < 0 || isMore);
              return {e.select(take, placeOf(source), e.num(args[0])),
                      e.select(take, value, old)};
            })[0];
      });
  auto coordinates = [&](Num place) {
    SmallVector<Num> at(spatial + 2);
    for (int64_t i = spatial + 1; i > 0; --i) {
      at[i] = place % extents[i];
      place = place / extents[i];
    }
    at[0] = place;
    return at;
  };
  Value values = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num place = e.load(places, at);
    return e.load(from, coordinates(e.max(place, 0)));
  });
  Value indices = e.generate(sizes, i64, [&](ArrayRef<Num> at) {
    Num place = e.load(places, at);
    if (byColumn) {
      SmallVector<Num> source = coordinates(e.max(place, 0));
      Num turned = zero;
      for (int64_t i = spatial - 1; i >= 0; --i)
        turned = turned * extents[2 + i] + source[2 + i];
      Num area = e.index(1);
      for (size_t i = 0; i < spatial; ++i)
        area = area * extents[2 + i];
      place = (source[0] * extents[1] + source[1]) * area + turned;
    }
    return e.to(place, i64);
  });
  return node.results({e.typed(values, node.elementType(x)), indices});
}

/// The values at their indices (into the flat result), and zeros. With an
/// output_shape the indices are into the result of the default shape.
static ImportResult importMaxUnpool(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = e.plain(node.input(1));
  auto kernel = node.getInts("kernel_shape");
  if (!kernel || node.rank(x) != int64_t(kernel->size()) + 2) {
    node.error() << "expected a kernel_shape for x's spatial dimensions";
    return failure();
  }
  std::optional<Window> window = readWindow(node, x, *kernel);
  if (!window)
    return failure();
  Elements xSizes = node.dims(x), sizes{xSizes[0], xSizes[1]};
  if (failed(node.expectShape(1, xSizes, "those of X")))
    return failure();
  size_t spatial = kernel->size();
  for (size_t i = 0; i < spatial; ++i) {
    Num size = (e.index(xSizes[2 + i]) - 1) * window->strides[i] +
               ((*kernel)[i] - window->pads[i] - window->pads[spatial + i]);
    if (std::optional<int64_t> constant = getConstantIntValue(size.value))
      sizes.push_back(node.index(*constant));
    else
      sizes.push_back(size.value);
  }
  Elements placed = sizes;
  if (node.hasInput(2)) {
    std::optional<Elements> given = node.elements(node.input(2), true);
    if (!given || given->size() != sizes.size()) {
      node.error() << "expected an output_shape of " << sizes.size()
                   << " sizes";
      return failure();
    }
    sizes = *given;
    for (OpFoldResult &size : sizes)
      if (std::optional<int64_t> constant = getConstantIntValue(size))
        size = node.index(*constant);
  }
  Value from = e.plain(x);
  Type element = node.elementType(from);
  SmallVector<Num> into = e.indices(placed), outer = e.indices(sizes);
  Num places = e.index(1);
  for (Num size : into)
    places = places * size;
  e.checkRange(indices, e.index(int64_t(0)), places - 1,
               "expected indices inside the result, found one outside");
  Value zeros = e.filled(sizes, e.constant(0, element));
  Value result = e.nest(
      xSizes, zeros, [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
        Num place = e.toIndex(e.load(indices, at));
        SmallVector<Num> target(at.size());
        Num isInside = place >= 0;
        for (int64_t i = at.size() - 1; i >= 0; --i) {
          target[i] = i ? place % into[i] : place;
          place = i ? place / into[i] : place;
          isInside = isInside && target[i] < outer[i];
        }
        return e.ifThen(isInside, args, [&]() -> Emit::Values {
          return {e.store(e.load(from, at), args[0], target)};
        });
      })[0];
  return node.result(e.typed(result, node.elementType(x)));
}

/// (sum |x|^p)^(1/p) over all spatial dimensions.
static ImportResult importGlobalLpPool(NodeImport &node) {
  Value x = node.input(0);
  double p = node.getInt("p", 2);
  SmallVector<int64_t> axes = spatialAxes(node, x);
  if (node.hasFailed)
    return failure();
  Value powers = node.map<AbsOp>({x});
  if (p != 1)
    powers = node.map<PowOp>({powers, node.scalarLike(p, x)});
  Value sum = node.reduce(ReduceKind::Sum, powers, axes);
  if (p != 1)
    sum = node.map<PowOp>({sum, node.scalarLike(1 / p, x)});
  return node.result(sum);
}

/// Blocks laid into an image and summed where they overlap: for each pixel,
/// the sum over the taps whose block covers it.
static ImportResult importCol2Im(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  std::optional<int64_t> count;
  if (std::optional<int64_t> rank = node.inferredRank(0); rank && *rank >= 2)
    count = *rank - 2;
  std::optional<Elements> image = node.elements(node.input(1), true, count);
  std::optional<Elements> block = node.elements(node.input(2), true, count);
  if (!image || !block || image->size() != block->size() || node.rank(x) != 3) {
    node.error() << "expected x of rank 3 and as many sizes of the image as of "
                    "the block";
    return failure();
  }
  size_t spatial = image->size();
  auto ints = [&](StringRef name, size_t count, int64_t otherwise) {
    auto values =
        node.getInts(name).value_or(SmallVector<int64_t>(count, otherwise));
    if (values.size() != count)
      node.error() << "expected " << count << " " << name;
    values.resize(count, otherwise);
    return values;
  };
  SmallVector<int64_t> strides = ints("strides", spatial, 1);
  SmallVector<int64_t> dilations = ints("dilations", spatial, 1);
  SmallVector<int64_t> pads = ints("pads", 2 * spatial, 0);
  if (node.hasFailed)
    return failure();
  SmallVector<Num> taps = e.indices(*block), counts;
  Num window = e.index(1), positions = e.index(1), fits = e.flag(true);
  for (size_t i = 0; i < spatial; ++i) {
    window = window * taps[i];
    // Positions of the block along this dimension.
    Num room = e.index((*image)[i]) + (pads[i] + pads[spatial + i]) -
               ((taps[i] - 1) * dilations[i] + 1);
    counts.push_back(room / strides[i] + 1);
    positions = positions * counts[i];
    fits = fits && taps[i] >= 1 && room >= 0;
  }
  e.check(fits, "expected an image that is no smaller than the block");
  Num rows = e.index(node.dim(x, 1));
  e.check(rows % window == 0 && e.index(node.dim(x, 2)) == positions,
          "expected an input of the shape [N, C * elements of the block, "
          "positions of the block]",
          /*status=*/0);
  Num channels = rows / window;
  Num columns = e.index(node.dim(x, 2));
  OpFoldResult channelSize = channels.value;
  if (std::optional<int64_t> constant = getConstantIntValue(channels.value))
    channelSize = node.index(*constant);
  Elements sizes{node.dim(x, 0), channelSize};
  for (OpFoldResult size : *image)
    sizes.push_back(getConstantIntValue(size)
                        ? OpFoldResult(node.index(*getConstantIntValue(size)))
                        : size);
  Value from = e.plain(x);
  Type element = node.elementType(from), compute = computeTypeOf(element);
  Num zero = e.index(int64_t(0));
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num sum = e.sum(*block, compute, [&](ArrayRef<Num> k) {
      Num row = at[1], column = zero, isThere = e.flag(true);
      for (size_t i = 0; i < spatial; ++i) {
        Num offset = at[2 + i] + pads[i] - k[i] * dilations[i];
        Num step = offset / strides[i];
        isThere = isThere && offset >= 0 && step * strides[i] == offset &&
                  step < counts[i];
        row = row * taps[i] + k[i];
        column = column * counts[i] + step;
      }
      column = e.clamp(column, zero, columns - 1);
      Num value = e.to(e.load(from, {at[0], row, column}), compute);
      return e.select(isThere, value, value.like(0));
    });
    return e.to(sum, element);
  });
  return node.result(e.typed(result, node.elementType(x)));
}

/// theta [n, d, d + 1] times the homogeneous coordinates of every pixel.
static ImportResult importAffineGrid(NodeImport &node) {
  Emit e(node);
  Value theta = node.input(0);
  // One more than the spatial dimensions, as the result has.
  std::optional<Elements> size =
      node.elements(node.input(1), true, node.inferredRank(0));
  bool alignCorners = node.getInt("align_corners", 0);
  if (!size || size->size() < 4 || size->size() > 5 || node.rank(theta) != 3) {
    node.error() << "expected theta of rank 3 and 4 or 5 sizes";
    return failure();
  }
  for (OpFoldResult &s : *size)
    if (std::optional<int64_t> constant = getConstantIntValue(s))
      s = node.index(*constant);
  int64_t spatial = size->size() - 2;
  if (failed(node.expectShape(
          0, {(*size)[0], node.index(spatial), node.index(spatial + 1)},
          "N, dimensions, dimensions + 1")))
    return failure();
  Type element = node.elementType(theta), compute = computeTypeOf(element);
  Elements sizes{(*size)[0]};
  sizes.append(size->begin() + 2, size->end());
  sizes.push_back(node.index(spatial));
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    auto weight = [&](int64_t k) {
      return e.to(e.load(theta, {at[0], at[spatial + 1], e.index(k)}), compute);
    };
    Num sum = weight(spatial);
    for (int64_t k = 0; k < spatial; ++k) {
      // x is the last spatial dimension.
      int64_t dim = spatial - k;
      Num n = e.to(e.index(sizes[dim]), compute), i = e.to(at[dim], compute);
      Num one = n.like(1), isOne = n <= 1;
      Num place = alignCorners
                      ? e.select(isOne, n.like(0),
                                 i * 2 / e.select(isOne, one, n - 1) - 1)
                      : (i * 2 + 1) / n - 1;
      if (alignCorners)
        place = e.select(isOne, one * -1, place);
      sum = sum + weight(k) * place;
    }
    return e.to(sum, element);
  });
  return node.result(result);
}

/// Gaussian elimination with partial pivoting, in f64.
static ImportResult importDet(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  if (rank < 2) {
    node.error() << "expected rank 2 or more, found " << rank;
    return failure();
  }
  Elements batch = node.dims(x);
  OpFoldResult n = batch.back();
  if (failed(node.expectEqual(batch[rank - 2], n, "square matrices")))
    return failure();
  batch.pop_back_n(2);
  Type element = node.elementType(x), f64 = node.b.getF64Type();
  Num count = e.index(n), zero = e.index(int64_t(0));
  auto matrix = [&](ArrayRef<Num> at) {
    Value a = e.generate({n, n}, f64, [&](ArrayRef<Num> ij) {
      SmallVector<Num> source(at);
      llvm::append_range(source, ij);
      return e.toDouble(e.load(x, source));
    });
    Value one = e.constant(1, f64);
    return e.loop(
        zero, count, {a, one}, [&](Num k, ValueRange args) -> Emit::Values {
          Value m = args[0];
          Num pivot = e.num(e.loop(
              k, count, k.value, [&](Num i, ValueRange best) -> Emit::Values {
                Num isMore = e.abs(e.load(m, {i, k})) >
                             e.abs(e.load(m, {e.num(best[0]), k}));
                return {e.select(isMore, i, e.num(best[0]))};
              })[0]);
          Value swapped =
              e.loop(zero, count, m, [&](Num j, ValueRange s) -> Emit::Values {
                Num up = e.load(s[0], {pivot, j}), down = e.load(s[0], {k, j});
                Value t = e.store(down, s[0], {pivot, j});
                return {e.store(up, t, {k, j})};
              })[0];
          Num head = e.load(swapped, {k, k});
          Num divisor = e.select(head == 0, head.like(1), head);
          Value reduced = e.loop(
              k + 1, count, swapped, [&](Num i, ValueRange s) -> Emit::Values {
                Num factor = e.load(s[0], {i, k}) / divisor;
                return e.loop(k, count, s[0],
                              [&](Num j, ValueRange r) -> Emit::Values {
                                Num value = e.load(r[0], {i, j}) -
                                            factor * e.load(r[0], {k, j});
                                return {e.store(value, r[0], {i, j})};
                              });
              })[0];
          Num det = e.num(args[1]) * head;
          return {reduced, e.select(pivot == k, det, det * -1)};
        })[1];
  };
  Value result =
      e.nest(batch, e.empty(batch, element),
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               return {e.store(e.to(e.num(matrix(at)), element), args[0], at)};
             })[0];
  return node.result(result);
}

static OpRows rows{
    {"", "MaxUnpool", 9, importMaxUnpool},
    {"", "GlobalLpPool", 2, importGlobalLpPool, kComposition},
    {"", "Col2Im", 18, importCol2Im},
    {"", "AffineGrid", 20, importAffineGrid},
    {"", "Det", 11, importDet},
};
