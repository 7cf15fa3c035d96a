// Axes that an input names.

#include "passes/Import/Ops/Axes.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace dlc;

std::optional<SmallVector<int64_t>>
dlc::knownAxes(NodeImport &node, unsigned input, int64_t rank) {
  Value x = node.input(input);
  std::optional<SmallVector<int64_t>> axes = node.constants(x);
  // What no element holds is known.
  if (!axes && node.type(x).hasStaticShape() &&
      node.type(x).getNumElements() == 0)
    axes.emplace();
  if (!axes)
    return std::nullopt;
  for (int64_t &axis : *axes)
    axis = node.normalizeAxis(axis, rank);
  if (node.hasFailed)
    return std::nullopt;
  return axes;
}

std::optional<int64_t> dlc::countAxes(NodeImport &node, unsigned input,
                                      int64_t rank, int sign) {
  auto type = node.type(node.input(input));
  if (type.hasStaticShape())
    return type.getNumElements();
  if (std::optional<int64_t> result = node.inferredRank(0))
    if (int64_t count = sign * (*result - rank); count >= 0)
      return count;
  node.error() << "expected axes of a static number, or a result of known rank";
  return std::nullopt;
}

RunTimeAxes::RunTimeAxes(Emit &e, unsigned input, int64_t rank) : e(e) {
  NodeImport &node = e.node;
  Value x = e.plain(node.input(input));
  Num one = e.index(1), zero = e.index(int64_t(0));
  Num isGood = e.flag(true);
  SmallVector<Num> named(rank, zero);
  // Counts how often each dimension is named.
  auto add = [&](Num axis, MutableArrayRef<Num> counts) {
    Num inRange = axis >= -rank && axis < rank;
    axis = e.select(axis < 0, axis + rank, axis);
    for (auto [dim, times] : llvm::enumerate(counts))
      times = times + e.select(axis == dim, one, zero);
    isGood = isGood && inRange;
    return axis;
  };
  if (std::optional<Elements> known = node.elements(x, /*read=*/true)) {
    count = node.index(known->size());
    for (OpFoldResult axis : *known)
      list.push_back(add(e.index(axis), named));
  } else {
    count = node.dim(x, 0);
    Emit::Values carried(named.begin(), named.end());
    carried.push_back(isGood);
    auto body = [&](Num i, ValueRange args) -> Emit::Values {
      SmallVector<Num> counts;
      for (Value times : args.drop_back())
        counts.push_back(e.num(times));
      isGood = e.num(args.back());
      add(e.toIndex(e.load(x, i)), counts);
      Emit::Values next(counts.begin(), counts.end());
      next.push_back(isGood);
      return next;
    };
    carried = e.loop(zero, e.index(count), carried, body);
    isGood = e.num(carried.pop_back_val());
    for (auto [times, value] : llvm::zip(named, carried))
      times = e.num(value);
  }
  for (Num times : named) {
    isGood = isGood && times <= 1;
    isNamed.push_back(times != 0);
  }
  e.check(isGood, "expected different axes of the operand");
}

Num RunTimeAxes::choose(int64_t dim, ArrayRef<Num> values, Num otherwise) {
  Num chosen = otherwise;
  for (auto [axis, value] : llvm::zip_equal(list, values))
    chosen = e.select(axis == dim, value, chosen);
  return chosen;
}

void RunTimeAxes::expectCount(int64_t expected, Num orElse) {
  Num isSo = e.index(count) == expected;
  e.check(orElse.value ? isSo || orElse : isSo,
          "expected axes that give the result's rank");
}

Elements RunTimeAxes::sizesOfOthers(ArrayRef<OpFoldResult> sizes,
                                    int64_t number) {
  SmallVector<Num> others(std::max<int64_t>(number, 0), e.index(1));
  Num next = e.index(int64_t(0));
  for (auto [size, named] : llvm::zip_equal(sizes, isNamed)) {
    for (auto [i, other] : llvm::enumerate(others))
      other = e.select(!named && next == i, e.index(size), other);
    next = e.select(named, next, next + 1);
  }
  return Elements(
      llvm::map_range(others, [](Num n) -> OpFoldResult { return n.value; }));
}
