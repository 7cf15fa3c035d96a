// DFT, STFT and MelWeightMatrix. Sums are computed in f64 from a table of exact
// angles, so that what should be 0 is.

#include "passes/Import/Ops/Emit.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// cos and sin of 2 pi i / n for i in [0, n), as [n, 2] of f64.
static Value angleTable(Emit &e, OpFoldResult n) {
  Type f64 = e.b.getF64Type();
  return e.generate({n, e.node.index(2)}, f64, [&](ArrayRef<Num> at) {
    Num angle =
        e.toDouble(at[0]) * (2 * M_PI) / e.toDouble(e.max(e.index(n), 1));
    return e.select(at[1] == 0, e.cos(angle), e.sin(angle));
  });
}

/// One element of a transform: the sum over n in [0, count) of x[n] times
/// exp(-+ 2 pi i k n / length). `load(n, part)` gives the parts of x in f64.
static std::pair<Num, Num> transformAt(Emit &e, Value table, Num k, Num count,
                                       Num length, bool inverse,
                                       function_ref<Num(Num, int64_t)> load) {
  Num zero = e.index(int64_t(0));
  Value start = e.constant(0, e.b.getF64Type());
  Emit::Values sums = e.loop(
      zero, count, {start, start}, [&](Num n, ValueRange args) -> Emit::Values {
        Num turn = (k * n) % length;
        Num cosine = e.load(table, {turn, zero});
        Num sine = e.load(table, {turn, e.index(1)});
        if (!inverse)
          sine = sine * -1;
        Num real = load(n, 0), imaginary = load(n, 1);
        return {e.num(args[0]) + real * cosine - imaginary * sine,
                e.num(args[1]) + real * sine + imaginary * cosine};
      });
  return {e.num(sums[0]), e.num(sums[1])};
}

/// Part 0 (real) or 1 (imaginary, 0 where there is none) of a complex number
/// in the last dimension of `x`.
static Num loadPart(Emit &e, Value x, ArrayRef<Num> at, int64_t part,
                    OpFoldResult parts) {
  SmallVector<Num> place(at);
  if (part == 0) {
    place.push_back(e.index(int64_t(0)));
    return e.toDouble(e.load(x, place));
  }
  std::optional<int64_t> known = getConstantIntValue(parts);
  Num zero = e.constant(0, e.b.getF64Type());
  if (known && *known == 1)
    return zero;
  place.push_back(e.index(parts) - 1);
  Num value = e.toDouble(e.load(x, place));
  return known ? value : e.select(e.index(parts) == 2, value, zero);
}

/// The last dimension of a signal has a real part, or both parts.
static void checkParts(Emit &e, OpFoldResult parts) {
  Num count = e.index(parts);
  e.check(count == 1 || count == 2,
          "expected a signal whose last dimension is 1 or 2", /*status=*/0);
}

/// Scalar input `i` as a size, at least `least`: an attribute where it is
/// known.
static OpFoldResult readSize(Emit &e, unsigned i, int64_t least = 1) {
  NodeImport &node = e.node;
  std::optional<Elements> known = node.elements(node.input(i));
  Num size = known && known->size() == 1
                 ? e.index(known->front())
                 : e.toIndex(e.loadScalar(node.input(i)));
  // No memory has more, and what is computed from it must not overflow.
  e.check(size >= least && size <= double(int64_t(1) << 47),
          "expected " + node.inputName(i) + " of " + Twine(least) + " or more");
  return e.fold(size);
}

/// The transform of x along the axis that the node says.
static ImportResult transform(NodeImport &node, Value x, bool inverse,
                              bool oneSided) {
  Emit e(node);
  int64_t rank = node.rank(x);
  if (rank < 2) {
    node.error() << "expected rank 2 or more, found " << rank;
    return failure();
  }
  // The axis may be known at run time only: x is [outer, n, inner, parts].
  Elements sizes = node.dims(x);
  OpFoldResult parts = sizes[rank - 1];
  checkParts(e, parts);
  std::optional<SmallVector<int64_t>> axisKnown;
  if (!node.hasInput(2))
    axisKnown = SmallVector<int64_t>{node.getInt("axis", -2)};
  else
    axisKnown = node.constants(node.input(2));
  Num one = e.index(1), axis;
  if (axisKnown && axisKnown->size() == 1) {
    int64_t known = node.normalizeAxis(axisKnown->front(), rank);
    if (known == rank - 1 && !node.hasFailed)
      node.error() << "expected an axis of the signal, found "
                   << axisKnown->front();
    if (node.hasFailed)
      return failure();
    axis = e.index(known);
  } else {
    axis = e.toIndex(e.loadScalar(node.input(2)));
    e.check(axis >= -rank && axis < rank - 1 && axis != -1,
            "expected an axis of the signal");
    axis = e.wrapIndex(axis, e.index(rank));
  }
  Num outer = one, count = one, inner = one;
  for (int64_t i = 0; i < rank - 1; ++i) {
    Num size = e.index(sizes[i]);
    outer = outer * e.select(axis > i, size, one);
    count = count * e.select(axis == i, size, one);
    inner = inner * e.select(axis < i, size, one);
  }
  bool isReal = inverse && oneSided;
  Num length = node.hasInput(1) ? e.index(readSize(e, 1))
               : isReal         ? (count - 1) * 2
                                : count;
  // One-sided: the other half mirrors the first.
  Num bins = oneSided && !inverse ? length / 2 + 1 : length;
  Elements flat{e.fold(outer), e.fold(count), e.fold(inner), parts};
  Elements result = sizes, resultFlat = flat;
  for (int64_t i = 0; i < rank - 1; ++i)
    result[i] = e.fold(e.select(axis == i, bins, e.index(sizes[i])));
  result[rank - 1] = resultFlat[3] = node.index(isReal ? 1 : 2);
  resultFlat[1] = e.fold(bins);
  Value from = node.reshape(x, flat);
  Value table = angleTable(e, e.fold(length));
  Type element = node.elementType(x), f64 = node.b.getF64Type();
  Num zero = e.index(int64_t(0));
  Num used = e.min(count, isReal ? length / 2 + 1 : length);
  Value init = e.empty(resultFlat, element);
  Elements turns(ArrayRef(resultFlat).drop_back());
  Value y = e.nest(
      turns, init, [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
        auto load = [&](Num n, int64_t part) {
          Num value = loadPart(e, from, {at[0], n, at[2]}, part, parts);
          if (!isReal)
            return value;
          // The mirrored half adds the same real part once more.
          Num isAlone = n == 0 || n * 2 == length;
          return e.select(isAlone, value, value * 2);
        };
        auto [real, imaginary] =
            transformAt(e, table, at[1], used, length, inverse, load);
        if (inverse) {
          Num by = e.toDouble(e.max(length, 1));
          real = real / by;
          imaginary = imaginary / by;
        }
        SmallVector<Num> place(at);
        place.push_back(zero);
        Value into = e.store(e.to(real, element), args[0], place);
        if (!isReal) {
          place.back() = one;
          into = e.store(e.to(imaginary, element), into, place);
        }
        return {into};
      })[0];
  (void)f64;
  return node.result(node.reshape(y, result));
}

static ImportResult importDft(NodeImport &node) {
  return transform(node, node.input(0), node.getInt("inverse", 0),
                   node.getInt("onesided", 0));
}

/// com.microsoft's transforms of real numbers along the last dimension: n of
/// them become n / 2 + 1 complex ones, and the other way.
static ImportResult importReal(NodeImport &node, bool inverse) {
  int64_t dims = node.getInt("signal_ndim", 1);
  if (dims != 1 || node.getInt("normalized", 0) ||
      !node.getInt("onesided", 1)) {
    node.error() << "expected a transform of one dimension, onesided and not "
                    "normalized, found signal_ndim "
                 << dims;
    return failure();
  }
  Value x = node.input(0);
  if (node.rank(x) < (inverse ? 2 : 1)) {
    node.error() << "expected rank " << (inverse ? 2 : 1) << " or more, found "
                 << node.rank(x);
    return failure();
  }
  if (!inverse)
    x = node.unsqueeze(x, {node.rank(x)});
  else if (failed(node.expectEqual(node.dims(x).back(), node.index(2),
                                   "a last dimension of size 2")))
    return failure();
  ImportResult y = transform(node, x, inverse, /*oneSided=*/true);
  if (failed(y) || !inverse)
    return y;
  return node.result(node.squeeze(y->front(), {node.rank(y->front()) - 1}));
}

static ImportResult importRfft(NodeImport &node) {
  return importReal(node, /*inverse=*/false);
}

static ImportResult importIrfft(NodeImport &node) {
  return importReal(node, /*inverse=*/true);
}

/// [batch, frames, bins, 2] from signal [batch, length, parts].
static ImportResult importStft(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), window = node.input(2);
  bool oneSided = node.getInt("onesided", 1);
  if (node.rank(x) == 2)
    x = node.unsqueeze(x, {2});
  if (node.rank(x) != 3 || (!window && !node.hasInput(3))) {
    node.error() << "expected a signal of rank 3, and a window or a frame "
                    "length";
    return failure();
  }
  Elements sizes = node.dims(x);
  OpFoldResult length = node.hasInput(3) ? readSize(e, 3) : node.dim(window, 0);
  Num step = e.index(readSize(e, 1));
  Num frame = e.index(length), whole = e.index(sizes[1]);
  checkParts(e, sizes[2]);
  if (failed(node.expectNotEmpty(length, "a frame")))
    return failure();
  e.check(whole >= frame, "expected a signal that is no shorter than a frame",
          /*status=*/0);
  Num frames = (whole - frame) / step + 1;
  Num bins = oneSided ? frame / 2 + 1 : frame;
  Type element = node.elementType(x);
  Elements turns{sizes[0], e.fold(frames), e.fold(bins)};
  Elements result = turns;
  result.push_back(node.index(2));
  if (window)
    e.check(e.index(node.dim(window, 0)) >= frame,
            "expected a window as long as a frame", /*status=*/0);
  Value table = angleTable(e, length);
  Value y =
      e.nest(turns, e.empty(result, element),
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               auto load = [&](Num n, int64_t part) {
                 Num value =
                     loadPart(e, x, {at[0], at[1] * step + n}, part, sizes[2]);
                 return window ? value * e.toDouble(e.load(window, n)) : value;
               };
               auto [real, imaginary] =
                   transformAt(e, table, at[2], frame, frame, false, load);
               SmallVector<Num> place(at);
               place.push_back(e.index(int64_t(0)));
               Value into = e.store(e.to(real, element), args[0], place);
               place.back() = e.index(1);
               return {e.store(e.to(imaginary, element), into, place)};
             })[0];
  return node.result(y);
}

/// Triangles of equal width on the mel scale, as ONNX's reference has them.
static ImportResult importMelWeightMatrix(NodeImport &node) {
  Emit e(node);
  Type element = node.inferredElementType(0);
  if (!element)
    return failure();
  Type f64 = node.b.getF64Type();
  OpFoldResult bins = readSize(e, 0, /*least=*/0);
  Num length = e.index(readSize(e, 1, /*least=*/0));
  Num rate = e.toDouble(e.index(readSize(e, 2)));
  auto mel = [&](unsigned i) {
    Num hertz = e.toDouble(e.loadScalar(node.input(i)));
    return e.log(hertz / 700 + 1) * (2595 / std::log(10.0));
  };
  Num low = mel(3), high = mel(4);
  Num step = (high - low) / e.toDouble(e.index(bins) + 2);
  // The edges of the triangles, as bins of the spectrogram.
  OpFoldResult edgeCount = e.fold(e.index(bins) + 2);
  Value edges = e.generate(edgeCount, f64, [&](ArrayRef<Num> at) {
    Num place = e.toDouble(at[0]) * step + low;
    Num hertz = (e.pow(e.constant(10, f64), place / 2595) - 1) * 700;
    return e.floor(e.toDouble(length + 1) * hertz / rate);
  });
  Type signless = element;
  if (auto integer = dyn_cast<IntegerType>(element))
    signless = node.b.getIntegerType(integer.getWidth());
  Elements sizes{e.fold(length / 2 + 1), bins};
  Value result = e.generate(sizes, signless, [&](ArrayRef<Num> at) {
    Num j = e.toDouble(at[0]);
    Num lower = e.load(edges, at[1]), centre = e.load(edges, at[1] + 1),
        higher = e.load(edges, at[1] + 2);
    Num rise = centre - lower, fall = higher - centre;
    Num one = j.like(1), zero = j.like(0);
    Num up =
        e.select(rise == 0, e.select(j == centre, one, zero),
                 e.select(j >= lower && j <= centre,
                          (j - lower) / e.select(rise == 0, one, rise), zero));
    Num down = (higher - j) / e.select(fall > 0, fall, one);
    Num value = e.select(fall > 0 && j >= centre && j < higher, down, up);
    return e.to(value, signless);
  });
  return node.result(e.typed(result, element));
}

static OpRows rows{
    {"", "DFT", 17, importDft},
    {"com.microsoft", "Rfft", 1, importRfft},
    {"com.microsoft", "Irfft", 1, importIrfft},
    {"", "STFT", 17, importStft},
    {"", "MelWeightMatrix", 17, importMelWeightMatrix},
};
