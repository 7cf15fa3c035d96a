// ai.onnx.ml: LinearClassifier and LinearRegressor.

#include "passes/Import/Ops/Ml.h"

using namespace mlir;
using namespace dlc;

/// x times the transposed coefficients, plus the intercepts: [rows, targets].
/// Null, and an error, where the attributes do not fit.
static Value linearScores(NodeImport &node, Value x, int64_t targets) {
  Type type = node.elementType(x);
  std::optional<SmallVector<double>> coefficients =
      readNumbers(node, "coefficients");
  std::optional<SmallVector<double>> intercepts =
      readNumbers(node, "intercepts");
  if (!coefficients || targets < 1 || coefficients->empty() ||
      coefficients->size() % targets) {
    node.error() << "expected coefficients for each of " << targets
                 << " targets, found "
                 << (coefficients ? coefficients->size() : 0);
    return {};
  }
  int64_t features = coefficients->size() / targets;
  if (failed(node.expectEqual(node.dim(x, 1), node.index(features),
                              "as many features as coefficients of a target")))
    return {};
  Value weights = numberTable(node, *coefficients, {targets, features}, type);
  Value scores = node.matmul(x, node.transpose(weights, {1, 0}), type);
  if (!intercepts || intercepts->empty())
    return scores;
  if (int64_t(intercepts->size()) != targets && intercepts->size() != 1) {
    node.error() << "expected " << targets << " intercepts, found "
                 << intercepts->size();
    return {};
  }
  Value bias =
      numberTable(node, *intercepts, int64_t(intercepts->size()), type);
  return node.map<AddOp>({scores, bias});
}

static ImportResult importLinearRegressor(NodeImport &node) {
  Value x = matrixInput(node, node.b.getF32Type());
  if (!x)
    return failure();
  Value scores = linearScores(node, x, node.getInt("targets", 1));
  if (!scores)
    return failure();
  return node.result(applyPostTransform(node, scores));
}

/// The labels come from the scores before the post transform. With one row of
/// coefficients for two classes the score is that of the second.
static ImportResult importLinearClassifier(NodeImport &node) {
  Value x = matrixInput(node, node.b.getF32Type());
  Value table = readLabels(node);
  if (!x || !table)
    return failure();
  int64_t classes = node.type(table).getDimSize(0);
  std::optional<SmallVector<double>> intercepts =
      readNumbers(node, "intercepts");
  int64_t targets =
      intercepts && !intercepts->empty() ? intercepts->size() : classes;
  Value scores = linearScores(node, x, targets);
  if (!scores)
    return failure();
  if (targets > 1) {
    if (targets != classes) {
      node.error() << "expected as many class labels as intercepts, found "
                   << classes << " and " << targets;
      return failure();
    }
    Value labels = takeLabels(node, table, largestOfRow(node, scores));
    return node.results({labels, applyPostTransform(node, scores)});
  }
  // One score.
  if (classes != 2) {
    node.error() << "expected two class labels for one intercept, found "
                 << classes;
    return failure();
  }
  Value isPositive =
      node.map<LessOp>({node.scalarLike(0, scores), node.squeeze(scores, {1})});
  Value labels = chooseLabel(node, table, isPositive, 1, 0);
  bool isProbit = node.getString("post_transform", "NONE") == "PROBIT";
  if (isProbit)
    scores = applyPostTransform(node, scores);
  else
    scores = secondScore(node, scores, /*isMixed=*/false);
  return node.results({labels, scores});
}

static OpRows rows{
    {"ai.onnx.ml", "LinearRegressor", 1, importLinearRegressor},
    {"ai.onnx.ml", "LinearClassifier", 1, importLinearClassifier},
};
