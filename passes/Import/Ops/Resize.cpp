// Resize and Upsample: one pass over the tensor for each resized axis, with a
// table of source positions and weights computed before it.

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Quantization.h"
#include "passes/Remarks.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

namespace {

/// What is asked for along one axis.
struct ResizedAxis {
  int64_t axis;
  OpFoldResult size;           // of the result
  std::optional<double> known; // the scale, where it is a constant
  Num scale;                   // f64
  Num roiStart, roiEnd;        // f64, of tf_crop_and_resize
};

/// What a pass reads, computes with and writes.
struct Numbers {
  Type compute, result;
  /// The table's weights are multiples of 1 / steps, and counted in these where
  /// integers are computed.
  int64_t steps = 1;
  llvm::function_ref<Num(Num)> read;
};

struct Resizer {
  NodeImport &node;
  Emit e{node};
  StringRef mode = "nearest", transform = "half_pixel",
            nearest = "round_prefer_floor", policy = "stretch";
  double cubicA = -0.75, extrapolation = 0;
  bool excludeOutside = false, antialias = false;
  Num zero = e.index(int64_t(0));

  bool crops() { return transform == "tf_crop_and_resize"; }
  Num real(double value) { return e.constant(value, node.b.getF64Type()); }
  bool read();
  std::optional<SmallVector<ResizedAxis>> readAxes(Value x, Value roi,
                                                   Value scales, Value sizes);
  void keepAspectRatio(Value x, SmallVector<ResizedAxis> &axes);
  Num sourceOf(const ResizedAxis &axis, Num size, Num o);
  Num weight(Num distance);
  Value pass(Value x, const ResizedAxis &axis);
  Value pass(Value x, const ResizedAxis &axis, const Numbers &numbers);
  std::optional<int64_t> getSteps(const ResizedAxis &axis);
  Value passBytes(DequantizeOp bytes, ArrayRef<ResizedAxis> axes);
  Value passNearest(Value x, const ResizedAxis &axis);
};

} // namespace

bool Resizer::read() {
  mode = node.getString("mode", "nearest");
  transform = node.getString("coordinate_transformation_mode", "half_pixel");
  nearest = node.getString("nearest_mode", "round_prefer_floor");
  policy = node.getString("keep_aspect_ratio_policy", "stretch");
  cubicA = node.getFloat("cubic_coeff_a", -0.75);
  extrapolation = node.getFloat("extrapolation_value", 0);
  excludeOutside = node.getInt("exclude_outside", 0);
  antialias = node.getInt("antialias", 0);
  auto isOneOf = [&](StringRef name, StringRef value,
                     std::initializer_list<StringRef> choices) {
    if (llvm::is_contained(choices, value))
      return true;
    node.error() << "expected a " << name << " that ONNX defines, found '"
                 << value << "'";
    return false;
  };
  return isOneOf("mode", mode, {"nearest", "linear", "cubic"}) &&
         isOneOf("coordinate_transformation_mode", transform,
                 {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                  "align_corners", "asymmetric", "tf_crop_and_resize",
                  "tf_half_pixel_for_nn"}) &&
         isOneOf(
             "nearest_mode", nearest,
             {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}) &&
         isOneOf("keep_aspect_ratio_policy", policy,
                 {"stretch", "not_larger", "not_smaller"});
}

/// An element of a tensor of numbers: its value where it is constant, and an
/// f64.
static std::pair<std::optional<double>, Num> readElement(Emit &e, Value tensor,
                                                         int64_t i) {
  NodeImport &node = e.node;
  auto dense =
      dyn_cast_if_present<DenseElementsAttr>(node.constantValue(tensor));
  if (dense && isa<FloatType>(dense.getElementType())) {
    llvm::APFloat value = *(dense.getValues<llvm::APFloat>().begin() + i);
    bool losesInfo;
    value.convert(llvm::APFloat::IEEEdouble(),
                  llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    double number = value.convertToDouble();
    return {number, e.constant(number, node.b.getF64Type())};
  }
  return {std::nullopt, e.toDouble(e.load(tensor, e.index(i)))};
}

std::optional<SmallVector<ResizedAxis>>
Resizer::readAxes(Value x, Value roi, Value scales, Value sizes) {
  int64_t rank = node.rank(x);
  SmallVector<int64_t> chosen;
  if (auto given = node.getInts("axes"))
    for (int64_t axis : *given)
      chosen.push_back(node.normalizeAxis(axis, rank));
  else
    llvm::append_range(chosen, llvm::seq<int64_t>(0, rank));
  int64_t count = chosen.size();
  auto isEmpty = [&](Value v) {
    return !v || (node.rank(v) == 1 && node.type(v).getDimSize(0) == 0);
  };
  if (isEmpty(scales) == isEmpty(sizes)) {
    node.error() << "expected scales or sizes";
    return std::nullopt;
  }
  auto fits = [&](Value v, int64_t expected) {
    int64_t found = node.rank(v) == 1 ? node.type(v).getDimSize(0) : 0;
    if (found == expected || ShapedType::isDynamic(found))
      return true;
    node.error() << "expected " << expected << " numbers, found " << found;
    return false;
  };
  if (node.hasFailed || !fits(isEmpty(scales) ? sizes : scales, count))
    return std::nullopt;
  bool hasRoi = crops() && !isEmpty(roi);
  if (hasRoi && !fits(roi, 2 * count))
    return std::nullopt;
  std::optional<Elements> known;
  if (!isEmpty(sizes))
    known = node.elements(sizes, /*read=*/true, count);
  auto expectCount = [&](Value v, int64_t expected) {
    return succeeded(node.expectEqual(node.dim(v, 0), node.index(expected),
                                      "numbers for each resized axis"));
  };
  if ((!known && !expectCount(scales, count)) ||
      (hasRoi && !expectCount(roi, 2 * count)))
    return std::nullopt;
  SmallVector<ResizedAxis> axes;
  for (auto [i, dim] : llvm::enumerate(chosen)) {
    ResizedAxis axis{dim, {}, {}, {}, real(0), real(1)};
    OpFoldResult from = node.dim(x, dim);
    std::optional<int64_t> fromKnown = getConstantIntValue(from);
    if (known) {
      axis.size = (*known)[i];
      std::optional<int64_t> to = getConstantIntValue(axis.size);
      if (to)
        axis.size = node.index(*to);
      if (to && *to < 0) {
        node.error() << "expected sizes of 0 or more, found " << *to;
        return std::nullopt;
      }
      if (!areEqualSizes(axis.size, from))
        e.check(e.index(axis.size) >= 0, "expected sizes of 0 or more");
      if (to && fromKnown && *fromKnown)
        axis.known = double(*to) / *fromKnown;
      axis.scale = axis.known ? real(*axis.known)
                              : e.toDouble(e.index(axis.size)) /
                                    e.toDouble(e.index(from));
    } else {
      std::tie(axis.known, axis.scale) = readElement(e, scales, i);
      // Not NaN either.
      if (axis.known && !(*axis.known > 0 && std::isfinite(*axis.known))) {
        node.error() << "expected finite scales above 0, found " << *axis.known;
        return std::nullopt;
      }
      if (!axis.known)
        e.check(axis.scale > 0, "expected scales above 0");
      if (axis.known && fromKnown) {
        axis.size = node.index(
            toSize(std::floor(float(*fromKnown) * float(*axis.known))));
      } else {
        Type f32 = node.b.getF32Type();
        Num size = e.floor(e.to(e.index(from), f32) * e.to(axis.scale, f32));
        axis.size = e.toIndex(size).value;
      }
      if (axis.known && *axis.known == 1)
        axis.size = from;
    }
    if (hasRoi) {
      axis.roiStart = readElement(e, roi, i).second;
      axis.roiEnd = readElement(e, roi, count + i).second;
    }
    axes.push_back(axis);
  }
  if (known && policy != "stretch")
    keepAspectRatio(x, axes);
  // Nothing is made of nothing only.
  for (const ResizedAxis &axis : axes) {
    OpFoldResult from = node.dim(x, axis.axis);
    if (areEqualSizes(axis.size, from))
      continue;
    Num fits = e.index(from) > 0 || e.index(axis.size) == 0;
    if (isConstantIntValue(fits.value, 0)) {
      node.error() << "expected an image that is not empty";
      return std::nullopt;
    }
    e.check(fits, "expected an image that is not empty", /*status=*/0);
  }
  return axes;
}

/// One scale for all axes: the smallest or the largest.
void Resizer::keepAspectRatio(Value x, SmallVector<ResizedAxis> &axes) {
  bool isSmallest = policy == "not_larger";
  std::optional<double> known = axes.front().known;
  Num scale = axes.front().scale;
  for (ResizedAxis &axis : axes) {
    if (known && axis.known)
      known = isSmallest ? std::min(*known, *axis.known)
                         : std::max(*known, *axis.known);
    else
      known = std::nullopt;
    scale = isSmallest ? e.min(scale, axis.scale) : e.max(scale, axis.scale);
  }
  for (ResizedAxis &axis : axes) {
    axis.known = known;
    axis.scale = known ? real(*known) : scale;
    OpFoldResult from = node.dim(x, axis.axis);
    std::optional<int64_t> size = getConstantIntValue(from);
    if (size && known)
      axis.size = node.index(int64_t(std::floor(*size * *known + 0.5)));
    else
      axis.size =
          e.toIndex(e.floor(e.toDouble(e.index(from)) * scale + 0.5)).value;
  }
}

/// Where element `o` of the result is in the operand, of `size` elements.
Num Resizer::sourceOf(const ResizedAxis &axis, Num size, Num o) {
  // Of f32 where one pixel is chosen, so that ties fall as in ONNX Runtime.
  Type type =
      mode == "nearest" ? Type(node.b.getF32Type()) : Type(node.b.getF64Type());
  Num at = e.to(o, type), from = e.to(size, type);
  Num scale = e.to(axis.scale, type);
  // Not rounded to a whole number, as in ONNX's reference.
  Num width = scale * from;
  Num half = (at + 0.5) / scale - 0.5;
  Num isOne = width == 1;
  Num span = e.select(isOne, width.like(1), width - 1);
  if (transform == "asymmetric")
    return at / scale;
  if (transform == "tf_half_pixel_for_nn")
    return (at + 0.5) / scale;
  if (transform == "pytorch_half_pixel")
    return e.select(e.index(axis.size) == 1, half.like(0), half);
  if (transform == "align_corners")
    return e.select(isOne, at.like(0), at * (from - 1) / span);
  if (transform == "half_pixel_symmetric") {
    Num adjustment = e.to(e.index(axis.size), type) / width;
    return from / 2 * (at.like(1) - adjustment) + half;
  }
  if (crops()) {
    Num last = from - 1, start = e.to(axis.roiStart, type),
        end = e.to(axis.roiEnd, type);
    Num middle = (start + end) * last * 0.5;
    Num inside = start * last + at * (end - start) * last / span;
    return e.select(isOne, middle, inside);
  }
  return half;
}

/// The filter at a distance: a tent, or Keys' cubic.
Num Resizer::weight(Num distance) {
  Num d = e.abs(distance);
  if (mode == "linear")
    return e.max(d.like(1) - d, 0);
  double a = cubicA;
  Num near = (d * (a + 2) - (a + 3)) * d * d + 1;
  Num far = ((d * a - 5 * a) * d + 8 * a) * d - 4 * a;
  return e.select(d <= 1, near, e.select(d < 2, far, d.like(0)));
}

Value Resizer::passNearest(Value x, const ResizedAxis &axis) {
  Num size = e.index(node.dim(x, axis.axis));
  Value places =
      e.generate(axis.size, node.b.getIndexType(), [&](ArrayRef<Num> at) {
        Num source = sourceOf(axis, size, at[0]);
        Num whole = nearest == "floor"               ? e.floor(source)
                    : nearest == "ceil"              ? e.ceil(source)
                    : nearest == "round_prefer_ceil" ? e.floor(source + 0.5)
                                                     : e.ceil(source - 0.5);
        Num i = e.clamp(e.toIndex(whole), zero, size - 1);
        if (crops()) {
          Num isInside = source >= 0 && source <= e.to(size - 1, source.type());
          i = e.select(isInside, i, e.index(-1));
        }
        return i;
      });
  Elements sizes = node.dims(x);
  sizes[axis.axis] = axis.size;
  Type element = node.elementType(x);
  return e.generate(sizes, element, [&](ArrayRef<Num> at) {
    SmallVector<Num> source(at);
    Num i = e.load(places, at[axis.axis]);
    source[axis.axis] = crops() ? e.max(i, 0) : i;
    Num value = e.load(x, source);
    if (!crops())
      return value;
    return e.select(i < 0, e.constant(extrapolation, element), value);
  });
}

Value Resizer::pass(Value x, const ResizedAxis &axis) {
  if (mode == "nearest")
    return passNearest(x, axis);
  Type element = node.elementType(x), compute = computeTypeOf(element);
  return pass(x, axis,
              {compute, element, 1, [&](Num x) { return e.to(x, compute); }});
}

/// Elements [first[o], first[o] + taps) of the axis, weighted by table[o].
Value Resizer::pass(Value x, const ResizedAxis &axis, const Numbers &numbers) {
  NodeImport &node = this->node;
  Num size = e.index(node.dim(x, axis.axis));
  Type element = numbers.result, compute = numbers.compute;
  Type f64 = node.b.getF64Type();
  int64_t reach = mode == "linear" ? 1 : 2;
  // With antialiasing the filter widens as the image shrinks.
  Num shrink = antialias ? e.min(axis.scale, 1) : real(1);
  Num start = e.index(1 - reach);
  OpFoldResult taps = node.index(2 * reach);
  if (antialias) {
    double known = std::min(axis.known.value_or(1), 1.0);
    if (axis.known) {
      int64_t first = int64_t(std::floor(-reach / known)) + 1;
      start = e.index(first);
      taps = node.index(2 - 2 * first);
    } else {
      start = e.toIndex(e.floor(real(-reach) / shrink)) + 1;
      taps = (e.index(2) - start * e.index(2)).value;
    }
  }
  Value positions = e.generate(axis.size, f64, [&](ArrayRef<Num> at) {
    return sourceOf(axis, size, at[0]);
  });
  auto raw = [&](Num position, Num k) {
    Num floor = e.floor(position);
    Num value = weight((e.toDouble(start + k) - (position - floor)) * shrink);
    if (!excludeOutside)
      return value;
    Num at = e.toIndex(floor) + start + k;
    return e.select(at >= 0 && at < size, value, value.like(0));
  };
  Value totals = e.generate(axis.size, f64, [&](ArrayRef<Num> at) {
    Num position = e.load(positions, at);
    return e.sum(taps, f64,
                 [&](ArrayRef<Num> k) { return raw(position, k[0]); });
  });
  Value table = e.generate({axis.size, taps}, compute, [&](ArrayRef<Num> at) {
    Num weight = raw(e.load(positions, at[0]), at[1]) / e.load(totals, at[0]);
    return e.to(numbers.steps == 1 ? weight : weight * double(numbers.steps),
                compute);
  });
  Value firsts =
      e.generate(axis.size, node.b.getIndexType(), [&](ArrayRef<Num> at) {
        return e.toIndex(e.floor(e.load(positions, at))) + start;
      });
  Elements sizes = node.dims(x);
  sizes[axis.axis] = axis.size;
  return e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num o = at[axis.axis], first = e.load(firsts, o);
    Num value = e.sum(taps, compute, [&](ArrayRef<Num> k) {
      SmallVector<Num> source(at);
      source[axis.axis] = e.clamp(first + k[0], zero, size - 1);
      return e.load(table, {o, k[0]}) * numbers.read(e.load(x, source));
    });
    if (crops()) {
      Num position = e.load(positions, o);
      Num isInside = position >= 0 && position <= e.toDouble(size - 1);
      value = e.select(isInside, value, e.constant(extrapolation, compute));
    }
    return e.to(value, element);
  });
}

/// Of how many steps a linear filter's weights are whole numbers; nothing if of
/// none. Sources are exact where the scale is a power of 2.
std::optional<int64_t> Resizer::getSteps(const ResizedAxis &axis) {
  int exponent;
  if (!axis.known || std::frexp(*axis.known, &exponent) != 0.5 ||
      std::abs(exponent - 1) > 8)
    return std::nullopt;
  int64_t zoom = exponent > 1 ? int64_t(1) << (exponent - 1) : 1;
  if (transform == "asymmetric")
    return zoom;
  if (transform == "half_pixel" || transform == "pytorch_half_pixel" ||
      (transform == "half_pixel_symmetric" && zoom > 1))
    return 2 * zoom;
  return std::nullopt;
}

/// A linear filter of dequantized bytes, by one scale: as sums of integers
/// where the weights are multiples of a power of 2, which round nothing, else
/// as sums of floats. Bytes are read in either case. Null where that is not
/// meant.
Value Resizer::passBytes(DequantizeOp bytes, ArrayRef<ResizedAxis> axes) {
  if (!bytes || mode != "linear" || crops() ||
      !node.elementType(bytes.getX()).isInteger(8) ||
      node.rank(bytes.getScale()) || node.rank(bytes.getZero()))
    return {};
  // Those of all axes; 255 times that fits an i32.
  int64_t steps = 1;
  for (const ResizedAxis &axis : axes) {
    if (axis.known && *axis.known == 1)
      continue;
    steps *= antialias ? 0 : getSteps(axis).value_or(0);
    if (steps > (int64_t(1) << 22))
      steps = 0;
  }
  Type f32 = node.b.getF32Type(), i16 = node.b.getIntegerType(16);
  Type i32 = node.b.getI32Type(), compute = steps ? i32 : f32;
  bool isUnsigned = node.elementType(bytes.getX()).isUnsignedInteger();
  Num zero = e.to(e.load(e.plain(bytes.getZero()), {}), compute, isUnsigned);
  Value result;
  int64_t done = 1;
  for (const ResizedAxis &axis : axes) {
    if (axis.known && *axis.known == 1)
      continue;
    auto readByte = [&](Num x) { return e.to(x, compute, isUnsigned) - zero; };
    auto readSum = [&](Num x) { return e.to(x, compute); };
    Numbers numbers{compute, compute, 1, readByte};
    if (result)
      numbers.read = readSum;
    if (steps)
      done *= numbers.steps = *getSteps(axis);
    if (steps && done * 255 < (1 << 15))
      numbers.result = i16;
    result = pass(result ? result : e.plain(bytes.getX()), axis, numbers);
  }
  if (!result || node.hasFailed)
    return {};
  if (steps)
    remarkDone(node.loc, "dlc-import-onnx")
        << remark::add("resize: sums of integers");
  else
    remarkMissed(node.loc, "dlc-import-onnx") << remark::add(
        "resize: sums of floats that read bytes: its weights are no multiples "
        "of a power of 2");
  if (!steps)
    return node.map<MulOp>({e.typed(result, f32), bytes.getScale()});
  Value scale = node.map<MulOp>(
      {bytes.getScale(), node.scalar(1.0 / double(steps), f32)});
  result = node.cast(e.typed(result, node.elementType(result)), i32);
  return dequantize(node, result, scale, node.scalar(0, i32));
}

static ImportResult resize(NodeImport &node, Resizer &resizer, Value roi,
                           Value scales, Value sizes) {
  Value x = node.input(0);
  Type element = node.elementType(x);
  std::optional<SmallVector<ResizedAxis>> axes =
      resizer.readAxes(x, roi, scales, sizes);
  if (!axes)
    return failure();
  if (Value result = resizer.passBytes(x.getDefiningOp<DequantizeOp>(), *axes))
    return node.result(result);
  if (node.hasFailed)
    return failure();
  bool isInteger = !isa<FloatType>(element);
  if (isInteger && resizer.mode != "nearest")
    x = node.cast(x, node.b.getF32Type());
  Value result = resizer.e.plain(x);
  for (const ResizedAxis &axis : *axes) {
    bool isSame = axis.known && *axis.known == 1;
    if (!isSame || resizer.crops())
      result = resizer.pass(result, axis);
  }
  if (node.hasFailed)
    return failure();
  result = resizer.e.typed(result, node.elementType(x));
  return node.result(node.elementType(result) == element
                         ? result
                         : node.cast(result, element));
}

static ImportResult importResize(NodeImport &node) {
  Resizer resizer{node};
  if (!resizer.read())
    return failure();
  return resize(node, resizer, node.input(1), node.input(2), node.input(3));
}

/// Upsample before opset 10: scales are an attribute (7) or an input (9).
static ImportResult importUpsample(NodeImport &node) {
  Resizer resizer{node};
  StringRef mode = node.getString("mode", "nearest");
  resizer.mode = mode == "bilinear" ? "linear" : mode;
  resizer.transform = "asymmetric";
  resizer.nearest = "floor";
  Value scales = node.input(1);
  if (auto given = node.node.getFloats("scales")) {
    SmallVector<float> values(given->begin(), given->end());
    scales = node.constant(DenseElementsAttr::get(
        RankedTensorType::get(values.size(), node.b.getF32Type()),
        ArrayRef<float>(values)));
  }
  if (resizer.mode != "nearest" && resizer.mode != "linear") {
    node.error() << "expected mode = nearest or linear, found '" << mode << "'";
    return failure();
  }
  return resize(node, resizer, Value(), scales, Value());
}

static OpRows rows{
    {"", "Resize", 11, importResize},
    {"", "Upsample", 7, importUpsample},
};
