// NonMaxSuppression.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The corners of a box, ordered, and its area.
struct Box {
  Num top, left, bottom, right, area;
};

struct Suppression {
  NodeImport &node;
  Emit e{node};
  Value boxes = node.input(0), scores = node.input(1);
  bool fromCentre = node.getInt("center_point_box", 0);
  Num zero = e.index(int64_t(0));

  Box loadBox(Num batch, Num i) {
    auto part = [&](int64_t k) {
      return e.load(boxes, {batch, i, e.index(k)});
    };
    Num a = part(0), c = part(1), d = part(2), f = part(3);
    Box box;
    if (fromCentre) {
      box = {c - f / 2, a - d / 2, c + f / 2, a + d / 2, {}};
    } else {
      box = {e.min(a, d), e.min(c, f), e.max(a, d), e.max(c, f), {}};
    }
    box.area = (box.bottom - box.top) * (box.right - box.left);
    return box;
  }

  /// Intersection over union; 0 for boxes without area.
  Num overlap(const Box &a, const Box &c) {
    Num height = e.max(e.min(a.bottom, c.bottom) - e.max(a.top, c.top), 0);
    Num width = e.max(e.min(a.right, c.right) - e.max(a.left, c.left), 0);
    Num common = height * width;
    Num all = a.area + c.area - common;
    Num isReal = a.area > 0 && c.area > 0 && all > 0;
    return e.select(isReal, common / e.select(isReal, all, all.like(1)),
                    all.like(0));
  }

  /// One class of one batch: `state` is (selected [?, 3] of i64, how many).
  Emit::Values suppress(Num batch, Num which, Num most, Num threshold,
                        Num lowest, bool hasLowest, ValueRange state) {
    Num count = e.index(node.dim(boxes, 1));
    Type i64 = node.b.getI64Type();
    Value order = e.sorted(count, [&](Num i, Num j) {
      return e.load(scores, {batch, which, j}) <
             e.load(scores, {batch, which, i});
    });
    Num begin = e.num(state[1]);
    return e.loop(zero, count, state, [&](Num t, ValueRange args) {
      Num i = e.load(order, t);
      Num selected = e.num(args[1]);
      Num isGood = (selected - begin) < most;
      if (hasLowest)
        isGood = isGood && e.load(scores, {batch, which, i}) > lowest;
      return e.ifThen(isGood, args, [&]() -> Emit::Values {
        Box box = loadBox(batch, i);
        Num isFree = e.num(e.loop(
            begin, selected, e.flag(true).value,
            [&](Num s, ValueRange free) -> Emit::Values {
              Num other = e.toIndex(e.load(args[0], {s, e.index(2)}));
              Num isApart = overlap(box, loadBox(batch, other)) <= threshold;
              return {e.num(free[0]) && isApart};
            })[0]);
        return e.ifThen(isFree, args, [&]() -> Emit::Values {
          Value into = args[0];
          SmallVector<Num> row{batch, which, i};
          for (int64_t k = 0; k < 3; ++k)
            into = e.store(e.to(row[k], i64), into, {selected, e.index(k)});
          return {into, selected + 1};
        });
      });
    });
  }
};

} // namespace

static ImportResult importNonMaxSuppression(NodeImport &node) {
  Suppression s{node};
  Emit &e = s.e;
  if (node.rank(s.boxes) != 3 || node.rank(s.scores) != 3) {
    node.error() << "expected boxes and scores of rank 3, found "
                 << node.rank(s.boxes) << " and " << node.rank(s.scores);
    return failure();
  }
  Elements boxes = node.dims(s.boxes), scores = node.dims(s.scores);
  if (failed(node.expectShape(0, {scores[0], boxes[1], node.index(4)},
                              "num_batches, spatial_dimension, 4")) ||
      failed(node.expectShape(1, {scores[0], scores[1], boxes[1]},
                              "num_batches, num_classes, spatial_dimension")))
    return failure();
  Type element = node.elementType(s.boxes), i64 = node.b.getI64Type();
  auto scalar = [&](unsigned i, double otherwise) {
    return node.hasInput(i) ? e.loadScalar(node.input(i))
                            : e.constant(otherwise, element);
  };
  Num count = e.index(node.dim(s.boxes, 1));
  Num most = node.hasInput(2) ? e.toIndex(e.loadScalar(node.input(2))) : s.zero;
  most = e.clamp(most, s.zero, count);
  Num threshold = scalar(3, 0), lowest = scalar(4, 0);
  Elements sizes{node.dim(s.scores, 0), node.dim(s.scores, 1)};
  Num capacity = e.index(sizes[0]) * e.index(sizes[1]) * most;
  Emit::Values found =
      e.nest(sizes,
             {e.empty({OpFoldResult(capacity.value), node.index(3)}, i64),
              s.zero.value},
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               return s.suppress(at[0], at[1], most, threshold, lowest,
                                 node.hasInput(4), args);
             });
  return node.result(e.head(found[0], {found[1], node.index(3)}));
}

static OpRows rows{{"", "NonMaxSuppression", 10, importNonMaxSuppression}};
