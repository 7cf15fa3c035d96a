// TfIdfVectorizer: counts the n-grams of a pool in rows of numbers or strings.
// The pool is sorted here, and searched by the runtime (rt_tfidf.c).

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The n-grams of the pool, those of one length together, each length sorted.
template <typename T> struct Pool {
  SmallVector<T> items;         // of the n-grams, one after the other
  SmallVector<int64_t> begins;  // of the n-grams of length i + 1, in `columns`
  SmallVector<int64_t> columns; // of the result, for each n-gram

  /// `counts[i]` is where the n-grams of length i + 1 begin in `given`.
  LogicalResult read(ArrayRef<T> given, ArrayRef<int64_t> counts,
                     ArrayRef<int64_t> indexes) {
    begins.push_back(0);
    for (size_t n = 1; n <= counts.size(); ++n) {
      int64_t begin = counts[n - 1];
      int64_t end =
          n < counts.size() ? counts[n] : static_cast<int64_t>(given.size());
      if (begin < 0 || end < begin || end > int64_t(given.size()) ||
          (end - begin) % int64_t(n))
        return failure();
      size_t number = (end - begin) / n, first = columns.size();
      if (first + number > indexes.size())
        return failure();
      auto gram = [&](size_t i) { return given.slice(begin + i * n, n); };
      SmallVector<size_t> order = llvm::to_vector(llvm::seq<size_t>(0, number));
      llvm::stable_sort(order, [&](size_t i, size_t j) {
        return std::lexicographical_compare(gram(i).begin(), gram(i).end(),
                                            gram(j).begin(), gram(j).end());
      });
      for (size_t i : order) {
        llvm::append_range(items, gram(i));
        columns.push_back(indexes[first + i]);
      }
      begins.push_back(columns.size());
    }
    return success(columns.size() == indexes.size());
  }
};

} // namespace

static Value numbers(NodeImport &node, ArrayRef<int64_t> values) {
  return node.integers(values);
}

static ImportResult importTfIdf(NodeImport &node) {
  Emit e(node);
  OpBuilder &b = node.b;
  Value x = node.input(0);
  bool isString = isa<StringType>(node.elementType(x));
  SmallVector<int64_t> counts, indexes;
  if (auto given = node.getInts("ngram_counts"))
    counts = *given;
  if (auto given = node.getInts("ngram_indexes"))
    indexes = *given;
  int64_t rank = node.rank(x);
  if (rank > 2) {
    node.error() << "expected X of rank 1 or 2, found rank " << rank;
    return failure();
  }
  Value pool, begins, columns;
  LogicalResult isRead = failure();
  auto take = [&](auto &made, Value items) {
    pool = items;
    begins = numbers(node, made.begins);
    columns = numbers(node, made.columns);
  };
  if (auto texts = node.node.getStrings("pool_strings"); texts && isString) {
    Pool<StringRef> made;
    isRead = made.read(*texts, counts, indexes);
    take(made, e.plain(node.strings(made.items, int64_t(made.items.size()))));
  } else if (auto items = node.getInts("pool_int64s"); items && !isString) {
    Pool<int64_t> made;
    isRead = made.read(*items, counts, indexes);
    take(made, node.integers(made.items));
  }
  if (failed(isRead)) {
    node.error() << "expected a pool of the type of X, ngram_counts that say "
                    "where the n-grams of each length begin, and an index for "
                    "each n-gram";
    return failure();
  }
  int64_t width = 0;
  for (int64_t index : indexes) {
    if (index < 0) {
      node.error() << "expected ngram_indexes of 0 or more, found " << index;
      return failure();
    }
    width = std::max(width, index + 1);
  }
  int64_t shortest = node.getInt("min_gram_length", 1),
          longest = node.getInt("max_gram_length", 1),
          skips = node.getInt("max_skip_count", 0);
  if (shortest < 1 || longest < shortest || skips < 0) {
    node.error() << "expected min_gram_length of 1 or more, max_gram_length "
                    "not below it and max_skip_count of 0 or more, found "
                 << shortest << ", " << longest << " and " << skips;
    return failure();
  }
  StringRef mode = node.getString("mode", "");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") {
    node.error() << "expected the mode TF, IDF or TFIDF, found '" << mode
                 << "'";
    return failure();
  }

  SmallVector<int64_t> shape;
  if (rank == 2)
    shape.push_back(node.type(x).getDimSize(0));
  shape.push_back(width);
  Type f32 = b.getF32Type(), i64 = b.getI64Type();
  Value rows = isString ? e.plain(x) : node.cast(x, i64);
  if (rank == 0)
    rows = node.reshape(rows, node.index(1));
  Value result =
      e.call("tfidf",
             {rows, pool, begins, columns, e.constant(shortest, i64).value,
              e.constant(longest, i64).value, e.constant(skips, i64).value,
              e.constant(isString, b.getI32Type()).value},
             RankedTensorType::get(shape, f32))[0];
  if (mode == "TF")
    return node.result(result);
  SmallVector<float> weights(width, 1);
  if (auto given = node.node.getFloats("weights")) {
    if (given->size() != indexes.size()) {
      node.error() << "expected a weight for each n-gram, found "
                   << given->size();
      return failure();
    }
    for (auto [index, weight] : llvm::zip(indexes, *given))
      weights[index] = weight;
  }
  Value scale = node.constant(DenseElementsAttr::get(
      RankedTensorType::get(width, f32), ArrayRef<float>(weights)));
  if (mode == "IDF") {
    Value isThere = node.map<LessOp>({node.scalar(0, f32), result});
    return node.result(
        node.map<SelectOp>({isThere, scale, node.scalar(0, f32)}));
  }
  return node.result(node.map<MulOp>({result, scale}));
}

static OpRows rows{{"", "TfIdfVectorizer", 9, importTfIdf}};
