// com.microsoft's operators of linear algebra: Inverse, Solve (of converters of
// Gaussian processes) and CDist.

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

/// One matrix [n, n + m] whose first n columns Gauss-Jordan elimination with
/// partial pivoting turns into the identity. Of a singular one, numbers that
/// are infinite or none come out, as in ONNX Runtime.
static Value eliminate(Emit &e, Value matrix, Num n, Num columns) {
  Num zero = e.index(0);
  auto step = [&](Num k, ValueRange args) -> Emit::Values {
    Value m = args[0];
    Num pivot = e.num(
        e.loop(k, n, k.value, [&](Num i, ValueRange best) -> Emit::Values {
          Num row = e.num(best[0]);
          Num isMore = e.abs(e.load(m, {i, k})) > e.abs(e.load(m, {row, k}));
          return {e.select(isMore, i, row)};
        })[0]);
    Num head = e.load(m, {pivot, k});
    Value swapped = e.loop(
        zero, columns, m, [&](Num j, ValueRange s) -> Emit::Values {
          Num up = e.load(s[0], {pivot, j}), down = e.load(s[0], {k, j});
          Value t = e.store(down, s[0], {pivot, j});
          return {e.store(up / head, t, {k, j})};
        })[0];
    return e.loop(zero, n, swapped, [&](Num i, ValueRange s) -> Emit::Values {
      Num factor = e.load(s[0], {i, k});
      factor = e.select(i == k, factor.like(0), factor);
      return e.loop(k, columns, s[0], [&](Num j, ValueRange r) -> Emit::Values {
        Num value = e.load(r[0], {i, j}) - factor * e.load(r[0], {k, j});
        return {e.store(value, r[0], {i, j})};
      });
    });
  };
  return e.loop(zero, n, matrix, step)[0];
}

/// The solutions x of a x = b by matrix, in f64 in between: a is [.., n, n] and
/// b [.., n, m], or null for the identity.
static ImportResult solve(NodeImport &node, Value a, Value b) {
  Emit e(node);
  int64_t rank = node.rank(a);
  Elements batch = node.dims(a);
  OpFoldResult n = batch.back(), m = b ? node.dim(b, rank - 1) : n;
  if (failed(node.expectEqual(batch[rank - 2], n, "square matrices")))
    return failure();
  batch.pop_back_n(2);
  Type element = node.elementType(a), f64 = node.b.getF64Type();
  Num count = e.index(n), right = e.index(m);
  Elements result = batch;
  result.push_back(n);
  result.push_back(m);
  auto matrix = [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
    auto load = [&](Value x, Num i, Num j) {
      SmallVector<Num> place(at);
      place.push_back(i);
      place.push_back(j);
      return e.toDouble(e.load(x, place));
    };
    OpFoldResult wide = addSizes(node.b, node.loc, n, m);
    Value both = e.generate({n, wide}, f64, [&](ArrayRef<Num> ij) {
      // Nothing outside is read, though one of the two is thrown away.
      Num last = e.max(right - 1, 0);
      Num j = e.clamp(ij[1] - count, e.index(0), last);
      Num one = e.constant(1, f64);
      Num beside = b ? load(b, ij[0], j)
                     : e.select(ij[0] == j, one, one.like(0));
      return e.select(ij[1] < count, load(a, ij[0], e.min(ij[1], count - 1)),
                      beside);
    });
    Value done = eliminate(e, both, count, e.index(wide));
    return e.nest({n, m}, args,
                  [&](ArrayRef<Num> ij, ValueRange into) -> Emit::Values {
                    SmallVector<Num> place(at);
                    llvm::append_range(place, ij);
                    Num value = e.load(done, {ij[0], ij[1] + count});
                    return {e.store(e.to(value, element), into[0], place)};
                  });
  };
  return node.result(e.nest(batch, e.empty(result, element), matrix)[0]);
}

static ImportResult importInverse(NodeImport &node) {
  Value x = node.input(0);
  if (node.rank(x) < 2) {
    node.error() << "expected rank 2 or more, found " << node.rank(x);
    return failure();
  }
  return solve(node, x, {});
}

/// a [n, n] and b [n] or [n, m]; with `transposed`, of the transposed a. Whether
/// `lower` or not, a matrix is read whole.
static ImportResult importSolve(NodeImport &node) {
  Value a = node.input(0), b = node.input(1);
  if (node.rank(a) != 2 || node.rank(b) < 1 || node.rank(b) > 2) {
    node.error() << "expected a matrix, and a vector or matrix, found ranks "
                 << node.rank(a) << " and " << node.rank(b);
    return failure();
  }
  if (failed(node.expectEqual(node.dim(a, 0), node.dim(b, 0),
                              "as many rows in both")))
    return failure();
  if (node.getInt("transposed", 0))
    a = node.transpose(a, {1, 0});
  bool isVector = node.rank(b) == 1;
  if (isVector)
    b = node.unsqueeze(b, {1});
  ImportResult x = solve(node, a, b);
  if (failed(x) || !isVector)
    return x;
  return node.result(node.squeeze(x->front(), {1}));
}

/// The distances of every row of a [m, k] from every row of b [n, k]. As
/// differences: the shorter sum of products loses digits of near rows.
static ImportResult importCDist(NodeImport &node) {
  Value a = node.input(0), b = node.input(1);
  StringRef metric = node.getString("metric", "sqeuclidean");
  if (!llvm::is_contained({"sqeuclidean", "euclidean", "cityblock",
                           "manhattan", "chebyshev"},
                          metric)) {
    node.error() << "expected metric = sqeuclidean, euclidean, cityblock or "
                    "chebyshev, found '"
                 << metric << "'";
    return failure();
  }
  if (node.rank(a) != 2 || node.rank(b) != 2 ||
      failed(node.expectEqual(node.dim(a, 1), node.dim(b, 1),
                              "rows of one length"))) {
    if (!node.hasFailed)
      node.error() << "expected matrices of rows of one length";
    return failure();
  }
  Value difference =
      node.map<SubOp>({node.unsqueeze(a, {1}), node.unsqueeze(b, {0})});
  if (!difference)
    return failure();
  bool isSquare = metric.ends_with("euclidean");
  Value term = isSquare ? node.map<MulOp>({difference, difference})
                        : node.map<AbsOp>({difference});
  ReduceKind kind =
      metric == "chebyshev" ? ReduceKind::Max : ReduceKind::Sum;
  Value y = node.squeeze(node.reduce(kind, term, {2}), {2});
  if (metric == "euclidean")
    y = node.map<SqrtOp>({y});
  return node.result(y);
}

static OpRows rows{
    {"com.microsoft", "Inverse", 1, importInverse},
    {"com.microsoft", "Solve", 1, importSolve},
    {"com.microsoft", "CDist", 1, importCDist},
};
