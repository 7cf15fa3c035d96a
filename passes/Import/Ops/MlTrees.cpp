// ai.onnx.ml: TreeEnsemble, TreeEnsembleRegressor and TreeEnsembleClassifier.

#include "passes/Import/Ops/Trees.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>
#include <map>

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

static SmallVector<double> numbers(NodeImport &node, StringRef name) {
  return readNumbers(node, name).value_or(SmallVector<double>());
}

static LogicalResult refuse(NodeImport &node, const Twine &what) {
  node.error() << "expected " << what;
  return failure();
}

/// The nodes of a TreeEnsembleRegressor or -Classifier, which are named by
/// their tree and their number in it. `prefix` is that of the weights'
/// attributes ("target" or "class").
static LogicalResult readNamedTrees(NodeImport &node, StringRef prefix,
                                    TreeEnsemble &ensemble) {
  auto list = [&](StringRef name) { return numbers(node, name); };
  SmallVector<double> trees = list("nodes_treeids"),
                      ids = list("nodes_nodeids"),
                      features = list("nodes_featureids"),
                      ifTrue = list("nodes_truenodeids"),
                      ifFalse = list("nodes_falsenodeids"),
                      values = list("nodes_values"),
                      missing = list("nodes_missing_value_tracks_true");
  SmallVector<StringRef> modes =
      node.node.getStrings("nodes_modes").value_or(SmallVector<StringRef>());
  size_t count = modes.size();
  for (const SmallVector<double> *given :
       {&trees, &ids, &features, &ifTrue, &ifFalse, &values})
    if (given->size() != count)
      return refuse(node, "lists nodes_* of one length, that of nodes_modes, " +
                              Twine(count));
  if (!missing.empty() && missing.size() != count)
    return refuse(node, "a missing_value_tracks_true for each node");
  std::map<std::pair<int64_t, int64_t>, int64_t> places;
  for (size_t i = 0; i < count; ++i) {
    if (!places.try_emplace({int64_t(trees[i]), int64_t(ids[i])}, i).second)
      return refuse(node, "nodes of different numbers in a tree");
    if (i == 0 || trees[i] != trees[i - 1])
      ensemble.roots.push_back(i);
  }
  ensemble.nodes.resize(count);
  for (size_t i = 0; i < count; ++i) {
    TreeNode &made = ensemble.nodes[i];
    std::optional<TreeNode::Mode> mode =
        llvm::StringSwitch<std::optional<TreeNode::Mode>>(modes[i])
            .Case("LEAF", TreeNode::Leaf)
            .Case("BRANCH_LEQ", TreeNode::LessEqual)
            .Case("BRANCH_LT", TreeNode::Less)
            .Case("BRANCH_GTE", TreeNode::GreaterEqual)
            .Case("BRANCH_GT", TreeNode::Greater)
            .Case("BRANCH_EQ", TreeNode::Equal)
            .Case("BRANCH_NEQ", TreeNode::NotEqual)
            .Default(std::nullopt);
    if (!mode)
      return refuse(node, "a mode of trees, found '" + modes[i] + "'");
    made.mode = *mode;
    if (made.mode == TreeNode::Leaf)
      continue;
    made.feature = int64_t(features[i]);
    made.value = values[i];
    made.missingIsTrue = !missing.empty() && missing[i] != 0;
    auto child = [&](double id) {
      auto it = places.find({int64_t(trees[i]), int64_t(id)});
      return it == places.end() ? -1 : it->second;
    };
    made.ifTrue = child(ifTrue[i]);
    made.ifFalse = child(ifFalse[i]);
  }
  SmallVector<double> of = list((prefix + "_treeids").str()),
                      at = list((prefix + "_nodeids").str()),
                      targets = list((prefix + "_ids").str()),
                      weights = list((prefix + "_weights").str());
  if (at.size() != of.size() || targets.size() != of.size() ||
      weights.size() != of.size())
    return refuse(node, "lists " + prefix + "_* of one length");
  for (size_t i = 0; i < of.size(); ++i) {
    auto it = places.find({int64_t(of[i]), int64_t(at[i])});
    if (it == places.end())
      return refuse(node, "weights of nodes that there are");
    // As ONNX Runtime: those of nodes that are no leaves are of no use.
    if (ensemble.nodes[it->second].mode == TreeNode::Leaf)
      ensemble.nodes[it->second].weights.push_back(
          {int64_t(targets[i]), weights[i]});
  }
  return success();
}

/// The nodes of a TreeEnsemble. A question for membership becomes a chain of
/// questions for equality.
static LogicalResult readTrees(NodeImport &node, TreeEnsemble &ensemble) {
  auto list = [&](StringRef name) { return numbers(node, name); };
  SmallVector<double> features = list("nodes_featureids"),
                      splits = list("nodes_splits"),
                      modes = list("nodes_modes"),
                      ifTrue = list("nodes_truenodeids"),
                      ifFalse = list("nodes_falsenodeids"),
                      trueLeafs = list("nodes_trueleafs"),
                      falseLeafs = list("nodes_falseleafs"),
                      missing = list("nodes_missing_value_tracks_true"),
                      targets = list("leaf_targetids"),
                      weights = list("leaf_weights"),
                      members = list("membership_values"),
                      roots = list("tree_roots");
  size_t count = modes.size(), leafs = weights.size();
  for (const SmallVector<double> *given :
       {&features, &splits, &ifTrue, &ifFalse, &trueLeafs, &falseLeafs})
    if (given->size() != count)
      return refuse(node, "lists nodes_* of one length, that of nodes_modes, " +
                              Twine(count));
  if (targets.size() != leafs || (!missing.empty() && missing.size() != count))
    return refuse(node, "as many leaf_targetids as leaf_weights, and a "
                        "missing_value_tracks_true for each node");
  ensemble.nodes.resize(count + leafs);
  for (size_t i = 0; i < leafs; ++i)
    ensemble.nodes[count + i].weights.push_back(
        {int64_t(targets[i]), weights[i]});
  constexpr TreeNode::Mode kinds[] = {
      TreeNode::LessEqual, TreeNode::Less,  TreeNode::GreaterEqual,
      TreeNode::Greater,   TreeNode::Equal, TreeNode::NotEqual};
  size_t member = 0;
  for (size_t i = 0; i < count; ++i) {
    TreeNode made;
    made.feature = int64_t(features[i]);
    made.value = splits[i];
    made.missingIsTrue = !missing.empty() && missing[i] != 0;
    made.ifTrue = int64_t(ifTrue[i]) + (trueLeafs[i] != 0 ? count : 0);
    made.ifFalse = int64_t(ifFalse[i]) + (falseLeafs[i] != 0 ? count : 0);
    if (modes[i] >= 0 && modes[i] < 6) {
      made.mode = kinds[int(modes[i])];
      ensemble.nodes[i] = made;
      continue;
    }
    if (modes[i] != 6)
      return refuse(node, "modes of nodes in [0, 6], found " +
                              Twine(int64_t(modes[i])));
    SmallVector<double> set;
    while (member < members.size() && !std::isnan(members[member]))
      set.push_back(members[member++]);
    if (member++ >= members.size())
      return refuse(node, "a list of membership_values, which ends with NaN, "
                          "for each node that asks for them");
    made.mode = TreeNode::Equal;
    if (set.empty()) { // no number is in it, and NaN equals nothing
      made.value = std::nan("");
      ensemble.nodes[i] = made;
      continue;
    }
    // All but the last go on with the next question, a node of its own.
    int64_t at = i;
    for (auto [k, value] : llvm::enumerate(set)) {
      TreeNode question = made;
      question.value = value;
      if (k + 1 < set.size()) {
        question.ifFalse = ensemble.nodes.size();
        ensemble.nodes.push_back({});
      }
      ensemble.nodes[at] = question;
      at = question.ifFalse;
    }
  }
  for (double root : roots) {
    // A tree that is one leaf has a node both of whose children are it.
    int64_t at = int64_t(root);
    if (at >= 0 && at < int64_t(count) && trueLeafs[at] && falseLeafs[at] &&
        ifTrue[at] == ifFalse[at])
      at = count + int64_t(ifTrue[at]);
    ensemble.roots.push_back(at);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

/// Adds a number for each target, or the only one of a single target.
static FailureOr<Value> addBase(NodeImport &node, Value scores,
                                ArrayRef<double> base, int64_t targets) {
  if (base.empty())
    return scores;
  if (int64_t(base.size()) != targets) {
    node.error() << "expected " << targets << " base_values, found "
                 << base.size();
    return failure();
  }
  return node.map<AddOp>(
      {scores, numberTable(node, base, targets, node.b.getF64Type())});
}

static std::optional<TreeAggregate> readAggregate(NodeImport &node) {
  StringRef name = node.getString("aggregate_function", "SUM");
  std::optional<TreeAggregate> result =
      llvm::StringSwitch<std::optional<TreeAggregate>>(name)
          .Case("SUM", TreeAggregate::Sum)
          .Case("AVERAGE", TreeAggregate::Average)
          .Case("MIN", TreeAggregate::Min)
          .Case("MAX", TreeAggregate::Max)
          .Default(std::nullopt);
  if (!result)
    node.error() << "expected the aggregate_function SUM, AVERAGE, MIN or "
                    "MAX, found '"
                 << name << "'";
  return result;
}

static ImportResult importTreeRegressor(NodeImport &node) {
  Value x = matrixInput(node, scoreType(node, node.input(0)));
  std::optional<TreeAggregate> aggregate = readAggregate(node);
  if (!x || !aggregate)
    return failure();
  TreeEnsemble ensemble;
  ensemble.aggregate = *aggregate;
  ensemble.targets = node.getInt("n_targets", 1);
  if (failed(readNamedTrees(node, "target", ensemble)) ||
      failed(ensemble.verify(node)))
    return failure();
  Value scores = evaluateTrees(node, ensemble, x);
  if (!scores)
    return failure();
  FailureOr<Value> moved =
      addBase(node, scores, numbers(node, "base_values"), ensemble.targets);
  if (failed(moved))
    return failure();
  scores = node.cast(*moved, node.b.getF32Type());
  // Of one target ONNX Runtime transforms with PROBIT only.
  if (ensemble.targets == 1 &&
      node.getString("post_transform", "NONE") != "PROBIT")
    return node.result(scores);
  return node.result(applyPostTransform(node, scores));
}

static ImportResult importTreeEnsemble(NodeImport &node) {
  Value x = node.input(0);
  Type type = node.elementType(x);
  if (!isa<FloatType>(type) || node.rank(x) != 2) {
    node.error() << "expected X of floats and of rank 2, found "
                 << node.type(x);
    return failure();
  }
  x = node.cast(x, scoreType(node, x));
  TreeEnsemble ensemble;
  ensemble.targets = node.getInt("n_targets", 1);
  constexpr TreeAggregate kinds[] = {TreeAggregate::Average, TreeAggregate::Sum,
                                     TreeAggregate::Min, TreeAggregate::Max};
  int64_t aggregate = node.getInt("aggregate_function", 1),
          transform = node.getInt("post_transform", 0);
  if (aggregate < 0 || aggregate > 3 || transform < 0 || transform > 4) {
    node.error() << "expected an aggregate_function in [0, 3] and a "
                    "post_transform in [0, 4], found "
                 << aggregate << " and " << transform;
    return failure();
  }
  ensemble.aggregate = kinds[aggregate];
  if (failed(readTrees(node, ensemble)) || failed(ensemble.verify(node)))
    return failure();
  Value scores = evaluateTrees(node, ensemble, x);
  if (!scores)
    return failure();
  constexpr StringRef transforms[] = {"NONE", "SOFTMAX", "LOGISTIC",
                                      "SOFTMAX_ZERO", "PROBIT"};
  Type wide = isa<Float64Type>(type) ? type : Type(node.b.getF32Type());
  scores =
      applyPostTransform(node, node.cast(scores, wide), transforms[transform]);
  return node.result(node.cast(scores, type));
}

/// Sums as floats, by which labels are decided: in f64 the rounding of weights
/// tells apart what is equal, such as ten votes of 0.05 from one half.
static Value roundScores(NodeImport &node, Value scores) {
  return node.cast(scores, node.b.getF32Type());
}

/// The labels and scores of two classes. Where all weights are of one class
/// they say how likely the second is, as in ONNX Runtime, and one base value is
/// that of the first; otherwise the larger sum wins.
static ImportResult finishBinary(NodeImport &node, Value scores, Value table,
                                 const TreeEnsemble &ensemble,
                                 ArrayRef<double> base) {
  bool used[2] = {}, isPositive = true;
  for (const TreeNode &n : ensemble.nodes)
    for (auto [target, weight] : n.weights) {
      used[target] = true;
      isPositive &= weight >= 0;
    }
  Type f64 = node.b.getF64Type(), f32 = node.b.getF32Type();
  auto column = [&](int64_t at) {
    return node.sliceAxis(scores, 1, node.index(at), node.index(1));
  };
  auto add = [&](Value x, double number) {
    return node.map<AddOp>({x, node.scalar(number, f64)});
  };
  bool isOne = used[0] != used[1];
  Value first = column(0), second = column(1);
  if (base.size() == 2) {
    first = add(first, base[0]);
    second = add(second, base[1]);
  } else if (base.size() == 1) {
    first = isOne && used[1] ? first : add(first, base[0]);
  }
  if (!isOne) {
    scores = roundScores(node, node.concat({first, second}, 1));
    Value labels = takeLabels(node, table, largestOfRow(node, scores));
    return node.results({labels, applyPostTransform(node, scores)});
  }
  // The only weights are those of the second class, whichever they name.
  Value weight = used[1] ? second : first;
  Value isSecond =
      node.map<LessOp>({node.scalar(isPositive ? 0.5 : 0, f32),
                        node.squeeze(roundScores(node, weight), {1})});
  Value labels = chooseLabel(node, table, isSecond, 1, 0);
  if (used[1] || base.size() == 2) {
    scores = node.concat({first, second}, 1);
    return node.results(
        {labels, applyPostTransform(node, node.cast(scores, f32))});
  }
  weight = node.cast(weight, f32);
  return node.results({labels, secondScore(node, weight, !isPositive)});
}

static ImportResult importTreeClassifier(NodeImport &node) {
  Value x = matrixInput(node, scoreType(node, node.input(0)));
  Value table = readLabels(node);
  if (!x || !table)
    return failure();
  TreeEnsemble ensemble;
  ensemble.targets = node.type(table).getDimSize(0);
  if (failed(readNamedTrees(node, "class", ensemble)) ||
      failed(ensemble.verify(node)))
    return failure();
  Value scores = evaluateTrees(node, ensemble, x);
  if (!scores)
    return failure();
  SmallVector<double> base = numbers(node, "base_values");
  if (ensemble.targets == 2)
    return finishBinary(node, scores, table, ensemble, base);
  FailureOr<Value> moved = addBase(node, scores, base, ensemble.targets);
  if (failed(moved))
    return failure();
  scores = roundScores(node, *moved);
  Value labels = takeLabels(node, table, largestOfRow(node, scores));
  return node.results({labels, applyPostTransform(node, scores)});
}

static OpRows rows{
    {"ai.onnx.ml", "TreeEnsemble", 5, importTreeEnsemble},
    {"ai.onnx.ml", "TreeEnsembleRegressor", 1, importTreeRegressor},
    {"ai.onnx.ml", "TreeEnsembleClassifier", 1, importTreeClassifier},
};
