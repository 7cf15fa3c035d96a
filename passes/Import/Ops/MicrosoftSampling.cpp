// com.microsoft's CropAndResize: boxes of images, drawn to one size.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

/// Inputs: images [n, c, h, w], boxes [boxes, 4] of y1, x1, y2, x2 in parts of
/// the image, the image of each box, the height and width of the results. Their
/// corners lie on those of the box.
static ImportResult importCropAndResize(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), boxes = node.input(1), images = node.input(2);
  StringRef mode = node.getString("mode", "bilinear");
  double outside = node.getFloat("extrapolation_value", 0);
  if (mode != "bilinear" && mode != "nearest") {
    node.error() << "expected the mode bilinear or nearest, found '" << mode
                 << "'";
    return failure();
  }
  std::optional<Elements> crop = node.elements(node.input(3), /*read=*/true, 2);
  if (node.rank(x) != 4 || node.rank(images) != 1 || !crop ||
      crop->size() != 2) {
    node.error() << "expected images of rank 4, their numbers of rank 1 and a "
                    "size of two elements, found "
                 << node.type(x) << ", " << node.type(images) << " and "
                 << node.type(node.input(3));
    return failure();
  }
  Elements xSizes = node.dims(x), extents{xSizes[2], xSizes[3]};
  OpFoldResult count = node.dim(images, 0);
  if (failed(node.expectShape(1, {count, node.index(4)}, "boxes, 4")) ||
      failed(node.expectNotEmpty(*crop, "crop_size")) ||
      failed(node.expectNotEmpty(extents, "an image")))
    return failure();
  e.checkIndices(images, e.index(xSizes[0]));
  node.expectMemory(*crop);
  Type element = node.elementType(x), compute = computeTypeOf(element);
  Elements sizes{count, xSizes[1], (*crop)[0], (*crop)[1]};
  Value y = e.generate(sizes, element, [&](ArrayRef<Num> at) -> Value {
    Num zero = e.index(int64_t(0)), isInside = e.flag(true);
    Num last[2], place[2];
    for (int64_t i = 0; i < 2; ++i) {
      Num begin = e.to(e.load(boxes, {at[0], e.index(i)}), compute);
      Num end = e.to(e.load(boxes, {at[0], e.index(i + 2)}), compute);
      Num steps = e.index((*crop)[i]) - 1;
      last[i] = e.index(extents[i]) - 1;
      Num most = e.to(last[i], compute);
      Num step = (end - begin) * most / e.to(e.max(steps, 1), compute);
      Num along = begin * most + e.to(at[2 + i], compute) * step;
      along = e.select(at[2 + i] == steps, end * most, along);
      along = e.select(at[2 + i] == zero, begin * most, along);
      along = e.select(steps == zero, (begin + end) * 0.5 * most, along);
      // NaN is outside.
      isInside = isInside && along >= 0 && along <= most;
      place[i] = along;
    }
    Num image =
        e.wrapIndex(e.toIndex(e.load(images, at[0])), e.index(xSizes[0]));
    auto load = [&](Num row, Num column) {
      return e.to(
          e.load(x, {image, at[1], e.clamp(e.toIndex(row), zero, last[0]),
                     e.clamp(e.toIndex(column), zero, last[1])}),
          compute);
    };
    Num value;
    if (mode == "nearest") {
      // Halves are rounded up: there is nothing below 0.
      auto nearest = [&](Num at) { return e.floor(e.toDouble(at) + 0.5); };
      value = load(nearest(place[0]), nearest(place[1]));
    } else {
      Num low[] = {e.floor(place[0]), e.floor(place[1])};
      Num high[] = {e.ceil(place[0]), e.ceil(place[1])};
      Num right = place[1] - low[1];
      auto row = [&](Num which) {
        Num first = load(which, low[1]);
        return first + (load(which, high[1]) - first) * right;
      };
      Num top = row(low[0]);
      value = top + (row(high[0]) - top) * (place[0] - low[0]);
    }
    return e.to(e.select(isInside, value, value.like(outside)), element);
  });
  return node.result(y);
}

static OpRows rows{
    {"com.microsoft", "CropAndResize", 1, importCropAndResize},
};
