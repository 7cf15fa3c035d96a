// ai.onnx.ml: SVMClassifier and SVMRegressor.

#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/Import/Ops/Ml.h"

using namespace mlir;
using namespace dlc;

/// The kernel of each row of x with each of `count` vectors: [rows, count].
/// Null, and an error, where the attributes do not fit.
static Value kernels(NodeImport &node, Value x, ArrayRef<double> vectors,
                     int64_t count) {
  Emit e(node);
  Type f32 = node.b.getF32Type();
  if (count < 1 || vectors.empty() || vectors.size() % count) {
    node.error() << "expected " << count << " vectors of one length, found "
                 << vectors.size() << " numbers";
    return {};
  }
  int64_t features = vectors.size() / count;
  if (failed(node.expectEqual(node.dim(x, 1), node.index(features),
                              "as many features as a vector has")))
    return {};
  Value table = numberTable(node, vectors, {count, features}, f32);
  StringRef kind = node.getString("kernel_type", "LINEAR");
  SmallVector<double> given =
      readNumbers(node, "kernel_params").value_or(SmallVector<double>());
  if (kind != "LINEAR" && given.size() != 3) {
    node.error() << "expected gamma, coef0 and degree as kernel_params, found "
                 << given.size() << " numbers";
    return {};
  }
  if (kind == "RBF") {
    Elements sizes{node.dim(x, 0), node.index(count)};
    return e.nest(
        sizes, e.empty(sizes, f32),
        [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
          Num sum = e.sum(node.index(features), f32, [&](ArrayRef<Num> i) {
            Num d = e.load(x, {at[0], i[0]}) - e.load(table, {at[1], i[0]});
            return d * d;
          });
          return {e.store(e.exp(sum * -given[0]), args[0], at)};
        })[0];
  }
  Value dot = node.matmul(x, node.transpose(table, {1, 0}), f32);
  if (kind == "LINEAR")
    return dot;
  Value scaled =
      node.map<AddOp>({node.map<MulOp>({dot, node.scalar(given[0], f32)}),
                       node.scalar(given[1], f32)});
  if (kind == "POLY")
    return node.map<PowOp>({scaled, node.scalar(given[2], f32)});
  if (kind == "SIGMOID")
    return node.map<TanhOp>({scaled});
  node.error() << "expected the kernel_type LINEAR, POLY, RBF or SIGMOID, "
                  "found '"
               << kind << "'";
  return {};
}

static ImportResult importSvmRegressor(NodeImport &node) {
  Type f32 = node.b.getF32Type();
  Value x = matrixInput(node, f32);
  if (!x)
    return failure();
  SmallVector<double> coefficients =
      readNumbers(node, "coefficients").value_or(SmallVector<double>());
  SmallVector<double> rho =
      readNumbers(node, "rho").value_or(SmallVector<double>());
  int64_t supports = node.getInt("n_supports", 0);
  if (rho.empty() ||
      (supports > 0 && int64_t(coefficients.size()) != supports)) {
    node.error() << "expected rho, and a coefficient for each of " << supports
                 << " support vectors, found " << coefficients.size();
    return failure();
  }
  if (node.getString("post_transform", "NONE") != "NONE") {
    node.error() << "expected the post_transform NONE, found '"
                 << node.getString("post_transform", "") << "'";
    return failure();
  }
  Value scores;
  if (supports > 0) {
    SmallVector<double> vectors =
        readNumbers(node, "support_vectors").value_or(SmallVector<double>());
    Value k = kernels(node, x, vectors, supports);
    if (!k)
      return failure();
    scores = node.matmul(k, numberTable(node, coefficients, {supports, 1}, f32),
                         f32);
  } else {
    int64_t features = coefficients.size();
    if (failed(node.expectEqual(node.dim(x, 1), node.index(features),
                                "as many features as coefficients")))
      return failure();
    scores = node.matmul(x, numberTable(node, coefficients, {features, 1}, f32),
                         f32);
  }
  scores = node.map<AddOp>({scores, node.scalar(rho.front(), f32)});
  if (node.getInt("one_class", 0)) {
    Value isInside = node.map<LessOp>({node.scalar(0, f32), scores});
    scores = node.map<SelectOp>(
        {isInside, node.scalar(1, f32), node.scalar(-1, f32)});
  }
  return node.result(scores);
}

namespace {

/// A classifier of support vectors, which compares each two classes.
struct SvmClassifier {
  NodeImport &node;
  Type f32;
  int64_t classes;
  SmallVector<int64_t> perClass; // vectors
  SmallVector<double> coefficients, rho;

  int64_t numPairs() { return classes * (classes - 1) / 2; }

  /// Calls `body(i, j, number)` for each two classes i < j.
  void forPairs(function_ref<void(int64_t, int64_t, int64_t)> body) {
    int64_t number = 0;
    for (int64_t i = 0; i < classes; ++i)
      for (int64_t j = i + 1; j < classes; ++j)
        body(i, j, number++);
  }

  /// The score of each pair out of the kernels: a product with the
  /// coefficients, those of vectors of other classes being 0.
  Value pairScores(Value kernels, int64_t count) {
    SmallVector<double> weights(count * numPairs(), 0);
    SmallVector<int64_t> begins{0};
    for (int64_t number : perClass)
      begins.push_back(begins.back() + number);
    forPairs([&](int64_t i, int64_t j, int64_t pair) {
      auto fill = [&](int64_t of, int64_t row) {
        for (int64_t v = begins[of]; v < begins[of + 1]; ++v)
          weights[v * numPairs() + pair] = coefficients[row * count + v];
      };
      fill(i, j - 1);
      fill(j, i);
    });
    Value table = numberTable(node, weights, {count, numPairs()}, f32);
    Value bias = numberTable(node, ArrayRef(rho).take_front(numPairs()),
                             numPairs(), f32);
    return node.map<AddOp>({node.matmul(kernels, table, f32), bias});
  }

  /// How many pairs each class won: that of a positive score is the first.
  Value votes(Value scores) {
    SmallVector<double> weights(numPairs() * classes, 0), base(classes, 0);
    forPairs([&](int64_t i, int64_t j, int64_t pair) {
      weights[pair * classes + i] = 1;
      weights[pair * classes + j] = -1;
      base[j] += 1;
    });
    Value isFirst =
        node.cast(node.map<LessOp>({node.scalar(0, f32), scores}), f32);
    Value table = numberTable(node, weights, {numPairs(), classes}, f32);
    return node.map<AddOp>({node.matmul(isFirst, table, f32),
                            numberTable(node, base, classes, f32)});
  }

  /// The probability of each class out of those of the pairs (Platt).
  Value probabilities(Value scores, ArrayRef<double> a, ArrayRef<double> c) {
    Emit e(node);
    auto table = [&](ArrayRef<double> values) {
      return numberTable(node, values.take_front(numPairs()), numPairs(), f32);
    };
    Value shifted =
        node.map<AddOp>({node.map<MulOp>({scores, table(a)}), table(c)});
    Value pairs = node.map<SigmoidOp>({node.map<NegOp>({shifted})});
    return e.call("svm_probabilities",
                  {pairs, e.constant(classes, node.b.getI64Type()).value},
                  RankedTensorType::get(
                      {node.type(scores).getDimSize(0), classes}, f32))[0];
  }
};

} // namespace

static ImportResult importSvmClassifier(NodeImport &node) {
  Type f32 = node.b.getF32Type();
  Value x = matrixInput(node, f32);
  Value table = readLabels(node);
  if (!x || !table)
    return failure();
  auto numbers = [&](StringRef name) {
    return readNumbers(node, name).value_or(SmallVector<double>());
  };
  SvmClassifier svm{node, f32, node.type(table).getDimSize(0), {}, {}, {}};
  svm.perClass =
      node.getInts("vectors_per_class").value_or(SmallVector<int64_t>());
  svm.coefficients = numbers("coefficients");
  svm.rho = numbers("rho");
  int64_t count = 0;
  for (int64_t number : svm.perClass)
    count += std::max<int64_t>(number, 0);
  SmallVector<double> a = numbers("prob_a"), c = numbers("prob_b");
  auto refuse = [&](const Twine &what) -> ImportResult {
    node.error() << "expected " << what;
    return failure();
  };
  if (a.size() != c.size() ||
      (!a.empty() && int64_t(a.size()) < svm.numPairs()))
    return refuse("as many prob_a and prob_b as pairs of classes");
  bool isPositive =
      llvm::all_of(svm.coefficients, [](double weight) { return weight >= 0; });

  if (count == 0) {
    // One row of coefficients a class.
    if (svm.rho.empty() || svm.coefficients.size() % svm.classes ||
        svm.coefficients.empty())
      return refuse("rho, and coefficients for each class");
    int64_t features = svm.coefficients.size() / svm.classes;
    if (failed(node.expectEqual(node.dim(x, 1), node.index(features),
                                "as many features as coefficients of a class")))
      return failure();
    Value weights =
        numberTable(node, svm.coefficients, {svm.classes, features}, f32);
    Value scores =
        node.map<AddOp>({node.matmul(x, node.transpose(weights, {1, 0}), f32),
                         node.scalar(svm.rho.front(), f32)});
    Value labels = takeLabels(node, table, largestOfRow(node, scores));
    if (svm.classes == 2 && a.empty()) {
      Value most = node.squeeze(node.reduce(ReduceKind::Max, scores, {1}), {1});
      Value isSecond =
          isPositive ? node.map<LessEqualOp>({node.scalar(0.5, f32), most})
                     : node.map<LessOp>({node.scalar(0, f32), most});
      Value second = node.squeeze(
          node.sliceAxis(table, 0, node.index(1), node.index(1)), {0});
      labels = node.map<SelectOp>({isSecond, second, labels});
    }
    return node.results({labels, applyPostTransform(node, scores)});
  }

  if (int64_t(svm.perClass.size()) != svm.classes || svm.classes < 2 ||
      int64_t(svm.coefficients.size()) < (svm.classes - 1) * count ||
      int64_t(svm.rho.size()) < svm.numPairs())
    return refuse("vectors_per_class for 2 classes or more, a coefficient for "
                  "each vector and other class, and rho for each pair of "
                  "classes");
  Value k = kernels(node, x, numbers("support_vectors"), count);
  if (!k)
    return failure();
  Value scores = svm.pairScores(k, count);
  Value labels = takeLabels(node, table, largestOfRow(node, svm.votes(scores)));
  if (!a.empty())
    scores = applyPostTransform(node, svm.probabilities(scores, a, c));
  else if (svm.classes > 2)
    scores = applyPostTransform(node, scores);
  else
    scores = secondScore(node, scores,
                         /*isMixed=*/node.getString("post_transform", "NONE") ==
                             "NONE");
  return node.results({labels, scores});
}

static OpRows rows{
    {"ai.onnx.ml", "SVMRegressor", 1, importSvmRegressor},
    {"ai.onnx.ml", "SVMClassifier", 1, importSvmClassifier},
};
