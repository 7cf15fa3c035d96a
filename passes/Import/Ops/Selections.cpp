// Operators whose result's size depends on the data, or that sort: NonZero,
// Compress, TopK, Unique, NonMaxSuppression.

#include "mlir/Dialect/Complex/IR/Complex.h"
#include "passes/Import/Ops/Strings.h"

using namespace mlir;
using namespace dlc;

static Num isNonZero(Emit &e, Num x) {
  if (x.type().isInteger(1))
    return x;
  if (isa<ComplexType>(x.type()))
    return isNonZero(e, e.num(complex::ReOp::create(e.b, e.loc, x.value))) ||
           isNonZero(e, e.num(complex::ImOp::create(e.b, e.loc, x.value)));
  if (x.isFloat())
    x = e.to(x, computeTypeOf(x.type()));
  return !(x == 0);
}

static Value sizeProduct(Emit &e, ArrayRef<OpFoldResult> sizes) {
  OpFoldResult product = e.node.index(1);
  for (OpFoldResult size : sizes)
    product = mulSizes(e.b, e.loc, product, size);
  return e.index(product);
}

/// The coordinates of the elements that are not 0, in row-major order:
/// counted first, then written.
static ImportResult importNonZero(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  // As numpy: a string that is not empty.
  if (isa<StringType>(node.elementType(x)))
    x = node.map<NotOp>({equalStrings(node, x, node.strings({""}, 1))});
  if (node.rank(x) == 0)
    x = node.reshape(x, {node.index(1)});
  Value from = e.plain(x);
  Elements sizes = node.dims(x);
  int64_t rank = node.rank(x);
  Type i64 = node.b.getI64Type(), indexType = node.b.getIndexType();
  Num count = e.sum(sizes, indexType, [&](ArrayRef<Num> at) {
    return e.to(isNonZero(e, e.load(from, at)), indexType, true);
  });
  Value init = e.empty({node.index(rank), count.value}, i64);
  Value result =
      e.nest(sizes, {init, e.index(int64_t(0)).value},
             [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
               return e.ifThen(
                   isNonZero(e, e.load(from, at)), args, [&]() -> Emit::Values {
                     Value into = args[0];
                     Num next = e.num(args[1]);
                     for (int64_t i = 0; i < rank; ++i)
                       into =
                           e.store(e.to(at[i], i64), into, {e.index(i), next});
                     return {into, next + 1};
                   });
             })[0];
  // NonZero of a scalar has no coordinates.
  if (node.rank(node.input(0)) == 0)
    result = e.generate({node.index(0), count.value}, i64,
                        [&](ArrayRef<Num>) { return e.constant(0, i64); });
  return node.result(result);
}

/// The slices along an axis, or the elements, where the condition holds.
static ImportResult importCompress(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), condition = e.plain(node.input(1));
  bool isFlat = !node.node.hasAttribute("axis");
  if (isFlat)
    x = node.reshape(x, OpFoldResult(sizeProduct(e, node.dims(x))));
  int64_t axis = isFlat ? 0 : node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  Elements sizes = node.dims(x);
  Type indexType = node.b.getIndexType();
  Num most = e.min(e.index(node.dim(node.input(1), 0)), e.index(sizes[axis]));
  Num zero = e.index(int64_t(0));
  // Where each chosen slice is from.
  Value places = e.empty(OpFoldResult(most.value), indexType);
  Emit::Values chosen = e.loop(
      zero, most, {places, zero.value},
      [&](Num i, ValueRange args) -> Emit::Values {
        return e.ifThen(e.load(condition, i), args, [&]() -> Emit::Values {
          Num next = e.num(args[1]);
          return {e.store(i, args[0], next), next + 1};
        });
      });
  Value from = e.plain(x);
  sizes[axis] = chosen[1];
  Value result =
      e.generate(sizes, node.elementType(from), [&](ArrayRef<Num> at) {
        SmallVector<Num> source(at);
        source[axis] = e.load(chosen[0], at[axis]);
        return e.load(from, source);
      });
  return node.result(e.typed(result, node.elementType(x)));
}

/// The k largest or smallest of each row, sorted; of equal ones the first.
static ImportResult importTopK(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t axis = node.axis("axis", -1, x);
  bool largest = node.getInt("largest", 1);
  if (node.hasFailed || !node.hasInput(1))
    return failure();
  Elements sizes = node.dims(x), rows = sizes, results = sizes;
  rows.erase(rows.begin() + axis);
  Num count = e.index(sizes[axis]);
  std::optional<Elements> known = node.elements(node.input(1), /*read=*/true);
  if (known && known->size() == 1) {
    results[axis] = known->front();
    if (std::optional<int64_t> k = getConstantIntValue(known->front())) {
      if (*k < 0) {
        node.error() << "expected k of 0 or more, found " << *k;
        return failure();
      }
      results[axis] = node.index(*k);
    }
  } else {
    results[axis] = e.toIndex(e.loadScalar(node.input(1))).value;
  }
  Num k = e.index(results[axis]);
  if (getConstantIntValue(results[axis]).value_or(-1) < 0 ||
      !getConstantIntValue(sizes[axis]))
    e.check(k >= 0 && k <= count, "expected k from 0 to the size of the axis");
  else if (*getConstantIntValue(results[axis]) >
           *getConstantIntValue(sizes[axis])) {
    node.error() << "expected k of at most "
                 << *getConstantIntValue(sizes[axis]) << ", found "
                 << *getConstantIntValue(results[axis]);
    return failure();
  }
  Type given = node.elementType(x);
  Value from = e.plain(x);
  Type element = node.elementType(from), i64 = node.b.getI64Type();
  auto place = [&](ArrayRef<Num> row, Num i) {
    SmallVector<Num> at(row);
    at.insert(at.begin() + axis, i);
    return at;
  };
  Emit::Values both = e.nest(
      rows, {e.empty(results, element), e.empty(results, i64)},
      [&](ArrayRef<Num> row, ValueRange args) -> Emit::Values {
        Value order = e.sorted(count, [&](Num i, Num j) {
          Num a = e.load(from, place(row, i)), c = e.load(from, place(row, j));
          return largest ? e.isLess(given, c, a) : e.isLess(given, a, c);
        });
        return e.loop(e.index(int64_t(0)), k, args,
                      [&](Num i, ValueRange args) -> Emit::Values {
                        Num source = e.load(order, i);
                        Num value = e.load(from, place(row, source));
                        return {
                            e.store(value, args[0], place(row, i)),
                            e.store(e.to(source, i64), args[1], place(row, i))};
                      });
      });
  return node.results({e.typed(both[0], node.elementType(x)), both[1]});
}

/// Distinct slices along an axis (or elements), where each was first, which of
/// them each slice is, and how often each occurs.
static ImportResult findUnique(NodeImport &node, bool sorted) {
  if (isa<ComplexType>(node.elementType(node.input(0))))
    return failure(); // not implemented
  Emit e(node);
  Value x = node.input(0);
  bool isFlat = !node.node.hasAttribute("axis");
  if (isFlat)
    x = node.reshape(x, OpFoldResult(sizeProduct(e, node.dims(x))));
  int64_t axis = isFlat ? 0 : node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  Type given = node.elementType(x);
  Elements sizes = node.dims(x), rest = sizes;
  rest.erase(rest.begin() + axis);
  Value from = e.plain(x);
  Num count = e.index(sizes[axis]), zero = e.index(int64_t(0));
  Type i64 = node.b.getI64Type(), indexType = node.b.getIndexType();
  OpFoldResult many = count.value;
  auto loadAt = [&](ArrayRef<Num> row, Num i) {
    SmallVector<Num> at(row);
    at.insert(at.begin() + axis, i);
    return e.load(from, at);
  };
  // -1, 0 or 1 by the first element that differs.
  auto order = [&](Num i, Num j) {
    return e.num(
        e.nest(rest, zero.value,
               [&](ArrayRef<Num> row, ValueRange args) -> Emit::Values {
                 Num a = loadAt(row, i), c = loadAt(row, j);
                 Num less = e.select(e.isLess(given, a, c), e.index(-1), zero);
                 Num here = e.select(e.isLess(given, c, a), e.index(1), less);
                 Num known = e.num(args[0]);
                 return {e.select(known == 0, here, known)};
               })[0]);
  };
  Value sequence =
      e.sorted(count, [&](Num i, Num j) { return order(i, j) < 0; });
  // The first of the slices that equal slice i.
  Value first = e.loop(zero, count, {e.empty(many, indexType), zero.value},
                       [&](Num t, ValueRange args) -> Emit::Values {
                         Num i = e.load(sequence, t);
                         Num before = e.load(sequence, e.max(t - 1, 0));
                         Num isNew = t == 0 || order(before, i) != 0;
                         Num leader = e.select(isNew, i, e.num(args[1]));
                         return {e.store(leader, args[0], i), leader};
                       })[0];
  // Numbers the distinct ones in their order, and lists their leaders.
  Emit::Values numbered = e.loop(
      zero, count,
      {e.empty(many, indexType), e.empty(many, indexType), zero.value},
      [&](Num t, ValueRange args) -> Emit::Values {
        Num i = sorted ? e.load(sequence, t) : t;
        return e.ifThen(e.load(first, i) == i, args, [&]() -> Emit::Values {
          Num next = e.num(args[2]);
          return {e.store(next, args[0], i), e.store(i, args[1], next),
                  next + 1};
        });
      });
  Value numbers = numbered[0], leaders = numbered[1];
  OpFoldResult distinct = numbered[2];
  Elements resultSizes = sizes;
  resultSizes[axis] = distinct;
  Value y =
      e.generate(resultSizes, node.elementType(from), [&](ArrayRef<Num> at) {
        SmallVector<Num> source(at);
        source[axis] = e.load(leaders, at[axis]);
        return e.load(from, source);
      });
  Value firsts = e.generate(distinct, i64, [&](ArrayRef<Num> at) {
    return e.to(e.load(leaders, at[0]), i64);
  });
  Value inverse = e.generate(many, i64, [&](ArrayRef<Num> at) {
    return e.to(e.load(numbers, e.load(first, at[0])), i64);
  });
  Value counts =
      e.loop(zero, count, e.filled(distinct, e.constant(0, i64)),
             [&](Num i, ValueRange args) -> Emit::Values {
               Num which = e.toIndex(e.load(inverse, i));
               return {e.store(e.load(args[0], which) + 1, args[0], which)};
             })[0];
  return node.results(
      {e.typed(y, node.elementType(x)), firsts, inverse, counts});
}

static ImportResult importUnique(NodeImport &node) {
  return findUnique(node, node.getInt("sorted", 1));
}

/// com.microsoft's has the order of first occurrences, and no result that says
/// where these are.
static ImportResult importMicrosoftUnique(NodeImport &node) {
  ImportResult results = findUnique(node, /*sorted=*/false);
  if (failed(results))
    return failure();
  return node.results({(*results)[0], (*results)[2], (*results)[3]});
}

static OpRows rows{
    {"", "NonZero", 9, importNonZero},
    {"", "Compress", 9, importCompress},
    {"", "TopK", 10, importTopK},
    {"", "Unique", 11, importUnique},
    {"com.microsoft", "Unique", 1, importMicrosoftUnique},
};
