// Operators that write elements by index: scatters.

#include "passes/Import/Ops/Indices.h"

using namespace mlir;
using namespace dlc;

/// How an update is combined with what is there; floats of fewer than 32 bits
/// in f32.
static Num combine(Emit &e, StringRef reduction, Num old, Num update,
                   bool isUnsigned) {
  if (reduction == "none")
    return update;
  Type type = old.type(), compute = computeTypeOf(type);
  bool isBool = type.isInteger(1);
  Num a = e.to(old, compute), c = e.to(update, compute);
  Num result;
  if (reduction == "add") {
    result = isBool ? a || c : a + c;
  } else if (reduction == "mul") {
    result = a * c;
  } else {
    bool isMax = reduction == "max";
    OpBuilder &b = e.b;
    if (a.isFloat())
      result = e.num(isMax ? Value(arith::MaximumFOp::create(b, e.loc, a, c))
                           : Value(arith::MinimumFOp::create(b, e.loc, a, c)));
    else if (isUnsigned || isBool)
      result = e.num(isMax ? Value(arith::MaxUIOp::create(b, e.loc, a, c))
                           : Value(arith::MinUIOp::create(b, e.loc, a, c)));
    else
      result = isMax ? e.max(a, c) : e.min(a, c);
  }
  return e.to(result, type);
}

static std::optional<StringRef> readReduction(NodeImport &node) {
  StringRef reduction = node.getString("reduction", "none");
  if (llvm::is_contained({"none", "add", "mul", "max", "min"}, reduction))
    return reduction;
  node.error() << "expected reduction = none, add, mul, max or min, found '"
               << reduction << "'";
  return std::nullopt;
}

/// Writes `update` where every index is inside, and nothing otherwise.
static Value scatterOne(Emit &e, Value into, ArrayRef<Num> at, Num isInside,
                        Num update, StringRef reduction, bool isUnsigned) {
  return e.ifThen(isInside, into, [&]() -> Emit::Values {
    Num old = reduction == "none" ? update : e.load(into, at);
    return {e.store(combine(e, reduction, old, update, isUnsigned), into, at)};
  })[0];
}

static ImportResult importScatterElements(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = node.input(1), updates = node.input(2);
  std::optional<StringRef> reduction = readReduction(node);
  int64_t axis = node.axis("axis", 0, x);
  if (!reduction || node.hasFailed)
    return failure();
  bool isUnsigned = node.elementType(x).isUnsignedInteger();
  if (failed(expectWithin(node, 1, x, axis)) ||
      failed(node.expectShape(2, node.dims(indices), "those of the indices")))
    return failure();
  Value from = e.plain(updates), chosen = e.plain(indices);
  SmallVector<Num> extents = e.indices(node.dims(x));
  e.checkIndices(chosen, extents[axis]);
  Value result =
      e.nest(node.dims(indices), e.plain(x),
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               SmallVector<Num> target(at);
               Num i = e.toIndex(e.load(chosen, at));
               target[axis] = e.select(i < 0, i + extents[axis], i);
               Num isInside = e.flag(true);
               for (auto [place, extent] : llvm::zip(target, extents))
                 isInside = isInside && place >= 0 && place < extent;
               return {scatterOne(e, args[0], target, isInside,
                                  e.load(from, at), *reduction, isUnsigned)};
             })[0];
  return node.result(e.typed(result, node.elementType(x)));
}

static ImportResult importScatterND(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = node.input(1), updates = node.input(2);
  std::optional<StringRef> reduction = readReduction(node);
  if (!reduction)
    return failure();
  int64_t rank = node.rank(indices), xRank = node.rank(x);
  int64_t depth = rank ? node.type(indices).getDimSize(rank - 1) : 0;
  // The rank of the updates says it, too.
  if (rank >= 1 && ShapedType::isDynamic(depth)) {
    depth = rank - 1 + xRank - node.rank(updates);
    if (failed(node.expectEqual(node.dim(indices, rank - 1),
                                node.index(std::max<int64_t>(depth, 0)),
                                "indices that the updates' rank fits")))
      return failure();
  }
  if (rank < 1 || depth < 0 || depth > xRank) {
    node.error() << "expected indices of at least one dimension whose last is "
                    "static and at most "
                 << xRank << ", found " << node.type(indices);
    return failure();
  }
  bool isUnsigned = node.elementType(x).isUnsignedInteger();
  Value from = e.plain(updates), chosen = e.plain(indices);
  SmallVector<Num> extents = e.indices(node.dims(x));
  // One turn for each update: the indices' dimensions, then the slice's.
  Elements sizes = node.dims(indices), xSizes = node.dims(x);
  sizes.pop_back();
  for (int64_t i = depth; i < xRank; ++i)
    sizes.push_back(xSizes[i]);
  if (failed(node.expectShape(2, sizes,
                              "those of the indices but the last, those of the "
                              "data that are not indexed")))
    return failure();
  if (depth)
    e.checkIndices(chosen, ArrayRef(extents).take_front(depth), true);
  Value result =
      e.nest(sizes, e.plain(x),
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               SmallVector<Num> target;
               Num isInside = e.flag(true);
               for (int64_t i = 0; i < depth; ++i) {
                 SmallVector<Num> place(at.take_front(rank - 1));
                 place.push_back(e.index(i));
                 Num index = e.toIndex(e.load(chosen, place));
                 index = e.select(index < 0, index + extents[i], index);
                 isInside = isInside && index >= 0 && index < extents[i];
                 target.push_back(index);
               }
               llvm::append_range(target, at.drop_front(rank - 1));
               return {scatterOne(e, args[0], target, isInside,
                                  e.load(from, at), *reduction, isUnsigned)};
             })[0];
  return node.result(e.typed(result, node.elementType(x)));
}

static OpRows rows{
    {"", "ScatterElements", 11, importScatterElements},
    {"", "Scatter", 9, importScatterElements},
    {"", "ScatterND", 11, importScatterND},
};
