// Operators that give a tensor's elements another shape or order.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/IndexRange.h"
#include "passes/Import/Ops/Axes.h"

using namespace mlir;
using namespace dlc;

static Value sizeValue(NodeImport &node, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(node.b, node.loc, size);
}

static ImportResult importShape(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  auto bound = [&](StringRef name, int64_t otherwise) {
    int64_t at = node.getInt(name, otherwise);
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = bound("start", 0), end = bound("end", rank);
  Elements sizes = node.dims(x), chosen;
  for (int64_t i = start; i < end; ++i)
    chosen.push_back(sizes[i]);
  return node.result(node.fromElements(chosen, node.b.getI64Type()));
}

static ImportResult importSize(NodeImport &node) {
  OpFoldResult count = node.index(1);
  for (OpFoldResult size : node.dims(node.input(0)))
    count = mulSizes(node.b, node.loc, count, size);
  return node.result(
      node.fromElements(count, node.b.getI64Type(), /*isScalar=*/true));
}

static ImportResult importReshape(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  std::optional<Elements> sizes =
      node.elements(node.input(1), /*read=*/true, node.inferredRank(0));
  if (!sizes) {
    node.error() << "expected a shape of static length";
    return failure();
  }
  bool allowZero = node.getInt("allowzero", 0);
  Elements from = node.dims(x);
  int64_t inferred = -1;
  OpBuilder &b = node.b;
  Location loc = node.loc;
  OpFoldResult known = node.index(1);
  // Dimensions that cancel against the same one of x need not be divided.
  SmallVector<OpFoldResult> remaining = from;
  bool runTime = false;
  for (auto [i, size] : llvm::enumerate(*sizes)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (constant == 0 && !allowZero) {
      if (i >= from.size()) {
        node.error() << "expected a size other than 0 in dimension " << i
                     << " of a shape for an operand of rank " << from.size();
        return failure();
      }
      size = from[i];
    } else if (constant == -1) {
      if (inferred >= 0) {
        node.error() << "expected one size of -1, found two";
        return failure();
      }
      inferred = i;
      continue;
    } else if (getIndexRange(size, /*wraps=*/false).low < 0) {
      runTime = true;
    }
    auto same = llvm::find_if(remaining, [size = size](OpFoldResult other) {
      return areEqualSizes(size, other);
    });
    if (same != remaining.end())
      remaining.erase(same);
    else
      known = mulSizes(b, loc, known, size);
  }
  if (runTime) {
    // Any size may be 0 or -1: decide at run time.
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value minusOne = arith::ConstantIndexOp::create(b, loc, -1);
    Value total = one, product = one;
    for (OpFoldResult size : from)
      total = arith::MulIOp::create(b, loc, total, sizeValue(node, size));
    SmallVector<Value> values;
    for (auto [i, size] : llvm::enumerate(*sizes)) {
      Value value = sizeValue(node, size);
      if (!allowZero && i < from.size()) {
        Value isZero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             value, zero);
        value = arith::SelectOp::create(b, loc, isZero,
                                        sizeValue(node, from[i]), value);
      }
      values.push_back(value);
      Value isInferred = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                               value, minusOne);
      Value factor = arith::SelectOp::create(b, loc, isInferred, one, value);
      product = arith::MulIOp::create(b, loc, product, factor);
    }
    Value divisor = arith::MaxSIOp::create(b, loc, product, one);
    Value rest = arith::DivUIOp::create(b, loc, total, divisor);
    Value check = one;
    Num areSizes = e.flag(true), wide = e.constant(1, b.getF64Type());
    for (auto [i, value] : llvm::enumerate(values)) {
      Value isInferred = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                               value, minusOne);
      Value size = arith::SelectOp::create(b, loc, isInferred, rest, value);
      check = arith::MulIOp::create(b, loc, check, size);
      areSizes = areSizes && e.num(size) >= 0;
      wide = wide * e.toDouble(e.num(size));
      (*sizes)[i] = size;
    }
    Value fits =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, check, total);
    // The product must not wrap either.
    e.check(e.num(fits) && areSizes && wide < 0x1p62,
            "expected a shape with as many elements as the operand");
    return node.result(node.reshape(x, *sizes));
  }
  if (inferred >= 0) {
    // What the numbers among the sizes hold of the others need not be divided.
    int64_t numbers = 1;
    if (std::optional<int64_t> k = getConstantIntValue(known); k && *k > 0) {
      for (OpFoldResult size : remaining)
        numbers *= getConstantIntValue(size).value_or(1);
      if (numbers > 0 && numbers % *k == 0) {
        llvm::erase_if(remaining, [](OpFoldResult size) {
          return getConstantIntValue(size).has_value();
        });
        remaining.push_back(node.index(numbers / *k));
        known = node.index(1);
      }
    }
    OpFoldResult total = node.index(1);
    for (OpFoldResult size : remaining)
      total = mulSizes(b, loc, total, size);
    std::optional<int64_t> t = getConstantIntValue(total),
                           k = getConstantIntValue(known);
    if (t && k) {
      if (*k == 0 ? *t != 0 : *t % *k != 0) {
        node.error() << "expected a shape into which " << *t
                     << " elements fit, found a multiple of " << *k;
        return failure();
      }
      (*sizes)[inferred] = node.index(*k == 0 ? 0 : *t / *k);
    } else if (k == 1) {
      (*sizes)[inferred] = total;
    } else {
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      Value divisor =
          b.createOrFold<arith::MaxSIOp>(loc, sizeValue(node, known), one);
      (*sizes)[inferred] =
          b.createOrFold<arith::DivUIOp>(loc, sizeValue(node, total), divisor);
    }
  }
  return node.result(node.reshape(x, *sizes));
}

static ImportResult importFlatten(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x), axis = node.getInt("axis", 1);
  if (axis < -rank || axis > rank) {
    node.error() << "expected an axis in [" << -rank << ", " << rank
                 << "], found " << axis;
    return failure();
  }
  if (axis < 0)
    axis += rank;
  OpFoldResult rows = node.index(1), columns = node.index(1);
  for (auto [i, size] : llvm::enumerate(node.dims(x))) {
    OpFoldResult &part = int64_t(i) < axis ? rows : columns;
    part = mulSizes(node.b, node.loc, part, size);
  }
  return node.result(node.reshape(x, {rows, columns}));
}

/// Without axes: as many dimensions of size 1 as the result's rank tells are
/// taken out; `staticOnes` are known.
static ImportResult squeezeAllOnes(NodeImport &node, Value x,
                                   int64_t staticOnes) {
  std::optional<int64_t> rank = node.inferredRank(0);
  if (!rank || *rank > node.rank(x) - staticOnes) {
    node.error() << "expected axes, a static shape or a result of known rank, "
                    "found "
                 << node.type(x)
                 << ", whose dimensions of dynamic size may be 1";
    return failure();
  }
  Emit e(node);
  SmallVector<Num> others(*rank, e.index(1));
  Num next = e.index(int64_t(0)), one = e.index(1);
  for (OpFoldResult size : node.dims(x)) {
    Num stays = e.index(size) != 1;
    for (auto [i, other] : llvm::enumerate(others))
      other = e.select(stays && next == i, e.index(size), other);
    next = e.select(stays, next + one, next);
  }
  e.check(next == *rank,
          "expected dimensions of size 1 that give the result's "
          "rank",
          /*status=*/0);
  Elements sizes;
  for (Num other : others)
    sizes.push_back(
        getConstantIntValue(other.value)
            ? OpFoldResult(node.index(*getConstantIntValue(other.value)))
            : OpFoldResult(other.value));
  return node.result(node.reshape(x, sizes));
}

static ImportResult importSqueeze(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  Elements from = node.dims(x);
  SmallVector<int64_t> axes;
  auto sizeIsOne = [&](int64_t dim) { return e.index(from[dim]) == 1; };
  if (node.hasInput(1)) {
    std::optional<SmallVector<int64_t>> known =
        knownAxes(node, 1, node.rank(x));
    if (!known && !node.hasFailed) {
      std::optional<int64_t> count = countAxes(node, 1, from.size(), -1);
      if (!count)
        return failure();
      RunTimeAxes named(e, 1, from.size());
      named.expectCount(*count);
      Num areOnes = e.flag(true);
      for (auto [dim, isNamed] : llvm::enumerate(named.isNamed))
        areOnes = areOnes && (!isNamed || sizeIsOne(dim));
      e.check(areOnes, "expected size 1 in the squeezed dimensions");
      return node.result(
          node.reshape(x, named.sizesOfOthers(from, from.size() - *count)));
    }
    if (!known)
      return failure();
    axes = *known;
  } else {
    for (auto [dim, size] : llvm::enumerate(node.type(x).getShape()))
      if (size == 1)
        axes.push_back(dim);
    if (!node.type(x).hasStaticShape() &&
        (node.inferredRank(0) || axes.empty()))
      return squeezeAllOnes(node, x, axes.size());
    // The rank of the result is that which the static sizes give.
    for (auto [dim, size] : llvm::enumerate(node.type(x).getShape()))
      if (ShapedType::isDynamic(size))
        e.check(!sizeIsOne(dim),
                "expected no size of 1 but the static ones, where no axes are "
                "given",
                /*status=*/0);
  }
  for (int64_t axis : axes) {
    int64_t size = node.type(x).getDimSize(axis);
    if (ShapedType::isDynamic(size)) {
      e.check(sizeIsOne(axis), "expected size 1 in the squeezed dimensions");
    } else if (size != 1) {
      node.error() << "expected size 1 in dimension " << axis << ", found "
                   << size;
      return failure();
    }
  }
  return node.result(node.squeeze(x, axes));
}

static ImportResult importUnsqueeze(NodeImport &node) {
  Value x = node.input(0);
  std::optional<int64_t> count = countAxes(node, 1, node.rank(x), 1);
  if (!count)
    return failure();
  int64_t rank = node.rank(x) + *count;
  std::optional<SmallVector<int64_t>> axes = knownAxes(node, 1, rank);
  if (!axes && !node.hasFailed) {
    // Dimension i is the next one of x where it is no axis.
    Emit e(node);
    RunTimeAxes named(e, 1, rank);
    named.expectCount(*count);
    Elements sizes;
    Num next = e.index(int64_t(0)), one = e.index(1);
    for (Num isNew : named.isNamed) {
      Num size = one;
      for (auto [i, dim] : llvm::enumerate(node.dims(x)))
        size = e.select(next == i, e.index(dim), size);
      sizes.push_back(e.select(isNew, one, size).value);
      next = e.select(isNew, next, next + 1);
    }
    return node.result(node.reshape(x, sizes));
  }
  if (!axes)
    return failure();
  llvm::sort(*axes);
  if (std::adjacent_find(axes->begin(), axes->end()) != axes->end()) {
    node.error() << "expected different axes";
    return failure();
  }
  return node.result(node.unsqueeze(x, *axes));
}

static ImportResult importTranspose(NodeImport &node) {
  Value x = node.input(0);
  std::optional<SmallVector<int64_t>> permutation = node.getInts("perm");
  if (!permutation) {
    permutation.emplace();
    for (int64_t i = node.rank(x) - 1; i >= 0; --i)
      permutation->push_back(i);
  }
  return node.result(node.transpose(x, *permutation));
}

static ImportResult importExpand(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  std::optional<Elements> sizes = node.elements(node.input(1), /*read=*/true);
  if (!sizes) {
    node.error() << "expected a shape of static length";
    return failure();
  }
  if (!node.graph.getElements(node.input(1)))
    node.expectMemory(*sizes);
  // The shape and x's shape broadcast against each other.
  Elements from = node.dims(x);
  size_t rank = std::max(from.size(), sizes->size());
  Elements result(rank, node.index(1));
  for (size_t i = 0; i < rank; ++i) {
    OpFoldResult have = i < from.size() ? from[from.size() - 1 - i]
                                        : OpFoldResult(node.index(1));
    OpFoldResult want = i < sizes->size() ? (*sizes)[sizes->size() - 1 - i]
                                          : OpFoldResult(node.index(1));
    OpFoldResult &out = result[rank - 1 - i];
    Num a = e.index(have), c = e.index(want);
    std::optional<int64_t> h = getConstantIntValue(have),
                           w = getConstantIntValue(want);
    if (w && *w < 0) {
      node.error() << "expected a shape of sizes of 0 or more, found " << *w;
      return failure();
    }
    if (h && w && *h != *w && *h != 1 && *w != 1) {
      node.error() << "expected a shape that broadcasts, found " << *w
                   << " against " << *h;
      return failure();
    }
    if (w == 1 || areEqualSizes(have, want)) {
      out = have;
      continue;
    }
    if (!w || (h != 1 && h != w))
      e.check(c >= 0 && (a == 1 || c == 1 || a == c),
              "expected a shape that broadcasts with the operand's");
    if (h == 1 || w || isLeastOf(have, want))
      out = want;
    else if (h)
      out = have;
    else
      out = e.select(a == 1, c, a).value;
  }
  return node.result(node.broadcast(x, result));
}

/// x repeated: a broadcast along new dimensions before each of x's, reshaped.
static ImportResult importTile(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Elements> repeats =
      node.elements(node.input(1), /*read=*/true, node.rank(x));
  if (!repeats || int64_t(repeats->size()) != node.rank(x)) {
    node.error() << "expected one repeat a dimension";
    return failure();
  }
  Emit e(node);
  Elements from = node.dims(x), apart, repeated, result;
  for (auto [size, count] : llvm::zip(from, *repeats)) {
    if (getIndexRange(count, /*wraps=*/false).low < 0)
      e.check(e.index(count) >= 0, "expected repeats of 0 or more");
    apart.append({OpFoldResult(node.index(1)), size});
    repeated.append({count, size});
    result.push_back(mulSizes(node.b, node.loc, count, size));
  }
  Value wide = node.broadcast(node.reshape(x, apart), repeated);
  return node.result(node.reshape(wide, result));
}

static OpRows rows{
    {"", "Shape", 1, importShape},
    {"", "Size", 1, importSize},
    {"", "Reshape", 5, importReshape},
    {"", "Flatten", 1, importFlatten},
    {"", "Squeeze", 13, importSqueeze},
    {"", "Unsqueeze", 13, importUnsqueeze},
    {"", "Transpose", 1, importTranspose},
    {"", "Expand", 8, importExpand},
    {"", "Tile", 6, importTile},
};
