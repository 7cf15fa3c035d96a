// TensorScatter: new rows of a key or value cache.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

/// `past` [batch, ..., rows, ...] with `update`'s rows written from row
/// write_indices[batch] on; in the mode `circular` the rows are a ring.
static ImportResult importTensorScatter(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), update = node.input(1);
  int64_t axis = node.axis("axis", -2, x);
  StringRef mode = node.getString("mode", "linear");
  if (node.hasFailed)
    return failure();
  if (axis == 0 || (mode != "linear" && mode != "circular")) {
    node.error() << "expected an axis other than the batch's and the mode "
                    "linear or circular, found "
                 << axis << " and '" << mode << "'";
    return failure();
  }
  Value past = e.plain(x), rows = e.plain(update);
  Value begin = node.hasInput(2) ? e.plain(node.input(2)) : Value();
  Num size = e.index(node.dim(x, axis));
  if (node.rank(update) != node.rank(x)) {
    node.error() << "expected an update of the cache's rank " << node.rank(x)
                 << ", found " << node.rank(update);
    return failure();
  }
  Num count = e.index(node.dim(update, axis));
  Elements updated = node.dims(x);
  updated[axis] = node.dim(update, axis);
  if (failed(
          node.expectShape(1, updated, "those of past_cache but the rows")) ||
      failed(node.expectShape(2, node.dim(x, 0), "batch_size")))
    return failure();
  e.check(count <= size, "expected no more new rows than the cache has",
          /*status=*/0);
  if (begin)
    e.checkRange(begin, e.index(int64_t(0)),
                 mode == "linear" ? size - count : size - 1,
                 "expected write_indices inside the cache, found one outside");
  Value result =
      e.generate(node.dims(x), node.elementType(past), [&](ArrayRef<Num> at) {
        Num first =
            begin ? e.toIndex(e.load(begin, at[0])) : e.index(int64_t(0));
        Num row = at[axis] - first;
        if (mode == "circular") {
          row = row % size;
          row = e.select(row < 0, row + size, row);
        }
        Num isNew = (row >= 0) && (row < count);
        SmallVector<Num> source(at);
        source[axis] = e.select(isNew, row, e.index(int64_t(0)));
        return e.select(isNew, e.load(rows, source), e.load(past, at));
      });
  return node.result(e.typed(result, node.elementType(x)));
}

static OpRows rows{{"", "TensorScatter", 24, importTensorScatter}};
