// CumSum and CumProd.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

/// Running sums or products along an axis that may be known at run time only:
/// x as [outer, n, inner].
static ImportResult importScan(NodeImport &node, bool isProduct) {
  Emit e(node);
  Value x = node.input(0), axisInput = node.input(1);
  int64_t rank = node.rank(x);
  bool exclusive = node.getInt("exclusive", 0);
  bool reverse = node.getInt("reverse", 0);
  Elements sizes = node.dims(x);
  OpFoldResult outer = node.index(1), steps = node.index(1),
               inner = node.index(1);
  std::optional<Elements> known = node.elements(axisInput);
  if (known && known->size() == 1 && getConstantIntValue(known->front())) {
    int64_t axis =
        node.normalizeAxis(*getConstantIntValue(known->front()), rank);
    if (node.hasFailed)
      return failure();
    for (int64_t i = 0; i < rank; ++i) {
      OpFoldResult &into = i < axis ? outer : i == axis ? steps : inner;
      into = mulSizes(node.b, node.loc, into, sizes[i]);
    }
  } else {
    Num axis = e.toIndex(e.loadScalar(axisInput));
    e.check(axis >= -rank && axis < rank, "expected an axis of the operand");
    axis = e.wrapIndex(axis, e.index(rank));
    Num one = e.index(1), before = one, at = one, behind = one;
    for (int64_t i = 0; i < rank; ++i) {
      Num size = e.index(sizes[i]);
      before = before * e.select(axis > i, size, one);
      at = at * e.select(axis == i, size, one);
      behind = behind * e.select(axis < i, size, one);
    }
    outer = before.value;
    steps = at.value;
    inner = behind.value;
  }
  Value from = e.plain(node.reshape(x, {outer, steps, inner}));
  Type element = node.elementType(from), compute = computeTypeOf(element);
  Value init = e.empty({outer, steps, inner}, element);
  Num zero = e.index(int64_t(0)), count = e.index(steps);
  Value result =
      e.nest({outer, inner}, init,
             [&](ArrayRef<Num> row, ValueRange args) -> Emit::Values {
               Value start = e.constant(isProduct, compute);
               return {e.loop(zero, count, {args[0], start},
                              [&](Num step, ValueRange args) -> Emit::Values {
                                Num i = reverse ? count - 1 - step : step;
                                SmallVector<Num> at{row[0], i, row[1]};
                                Num old = e.num(args[1]);
                                Num term = e.to(e.load(from, at), compute);
                                Num next = isProduct ? old * term : old + term;
                                Num stored =
                                    e.to(exclusive ? old : next, element);
                                return {e.store(stored, args[0], at), next};
                              })[0]};
             })[0];
  return node.result(node.reshape(e.typed(result, node.elementType(x)), sizes));
}

static ImportResult importCumSum(NodeImport &node) {
  return importScan(node, /*isProduct=*/false);
}
static ImportResult importCumProd(NodeImport &node) {
  return importScan(node, /*isProduct=*/true);
}

static OpRows rows{
    {"", "CumSum", 11, importCumSum},
    {"", "CumProd", 26, importCumProd},
};
