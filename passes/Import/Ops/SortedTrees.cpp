// Sums of trees that only ask which number is larger, which are what converters
// write: tables for the kernel in the runtime.

#include "passes/Import/Ops/Trees.h"
#include "llvm/ADT/bit.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace dlc;

namespace {

/// The tables of the runtime's kernel (lib/Runtime/rt/rt_trees.c): each node
/// asks whether its feature is at most a value, and its children stand side by
/// side.
class SortedTrees {
public:
  /// std::nullopt where the trees are not of that form.
  static std::optional<SortedTrees> get(const TreeEnsemble &ensemble,
                                        bool isDouble);

  /// The sums of the rows of `x`.
  Value evaluate(NodeImport &node, Value x);

private:
  SortedTrees(const TreeEnsemble &ensemble, bool isDouble)
      : ensemble(ensemble), isDouble(isDouble) {}

  bool place();
  void addNode(int64_t at);
  void addWeights(const TreeNode &leaf);

  const TreeEnsemble &ensemble;
  bool isDouble, usesMissing = false, isDense = true;
  SmallVector<int64_t> order;   ///< which node stands at a place
  SmallVector<int32_t> placeOf; ///< of each node
  std::vector<int32_t> nodes;   ///< the structs, as words
  SmallVector<double> weights, targets;
};

} // namespace

/// A question with the answer of `n` for all numbers: whether the feature is
/// at most `value`, and who comes then.
struct AtMost {
  double value;
  int64_t yes, no;
  bool missingIsYes;

  static AtMost of(const TreeNode &n, bool isDouble) {
    bool isFlipped =
        n.mode == TreeNode::GreaterEqual || n.mode == TreeNode::Greater;
    bool isBelow = n.mode == TreeNode::Less || n.mode == TreeNode::GreaterEqual;
    AtMost made{n.value, n.ifTrue, n.ifFalse, n.missingIsTrue};
    double low = -std::numeric_limits<double>::infinity();
    if (!isDouble)
      made.value = float(n.value);
    // x < v where x is at most the number in front of v. None is in front of
    // the lowest one, to which NaN says no as well.
    if (isBelow && made.value == low)
      made.value = std::numeric_limits<double>::quiet_NaN();
    else if (isBelow)
      made.value = isDouble ? std::nextafter(made.value, low)
                            : std::nextafterf(float(made.value), float(low));
    if (isFlipped) {
      std::swap(made.yes, made.no);
      made.missingIsYes = !n.missingIsTrue;
    }
    return made;
  }
};

/// Finds a place for every node: the root, then its children and theirs.
bool SortedTrees::place() {
  placeOf.assign(ensemble.nodes.size(), -1);
  auto add = [&](int64_t at) {
    if (placeOf[at] >= 0)
      return false; // a second parent
    placeOf[at] = int32_t(order.size());
    order.push_back(at);
    return true;
  };
  for (int64_t root : ensemble.roots) {
    size_t next = order.size();
    if (!add(root))
      return false;
    for (; next < order.size(); ++next) {
      const TreeNode &n = ensemble.nodes[order[next]];
      if (n.mode == TreeNode::Leaf)
        continue;
      if (n.mode == TreeNode::Equal || n.mode == TreeNode::NotEqual ||
          std::isnan(n.value))
        return false;
      AtMost question = AtMost::of(n, isDouble);
      if (!add(question.yes) || !add(question.no))
        return false;
    }
  }
  return order.size() < size_t(INT32_MAX) / 8;
}

void SortedTrees::addWeights(const TreeNode &leaf) {
  for (auto [i, weight] : llvm::enumerate(leaf.weights)) {
    bool isLast = i + 1 == leaf.weights.size();
    targets.push_back(2 * weight.first + isLast);
    weights.push_back(weight.second);
  }
}

void SortedTrees::addNode(int64_t at) {
  const TreeNode &n = ensemble.nodes[at];
  bool isLeaf = n.mode == TreeNode::Leaf;
  AtMost question{std::numeric_limits<double>::quiet_NaN(), -1, at, false};
  if (!isLeaf)
    question = AtMost::of(n, isDouble);
  if (isDouble) {
    auto bits = llvm::bit_cast<uint64_t>(question.value);
    bool isLittle = llvm::endianness::native == llvm::endianness::little;
    uint32_t words[] = {uint32_t(bits), uint32_t(bits >> 32)};
    nodes.push_back(int32_t(words[isLittle ? 0 : 1]));
    nodes.push_back(int32_t(words[isLittle ? 1 : 0]));
  } else {
    nodes.push_back(llvm::bit_cast<int32_t>(float(question.value)));
  }
  int32_t feature = isLeaf ? 0 : int32_t(n.feature);
  nodes.push_back(question.missingIsYes ? ~feature : feature);
  nodes.push_back(placeOf[question.no]);
  bool hasWeights = isLeaf && !n.weights.empty();
  nodes.push_back(hasWeights ? int32_t(weights.size()) : -1);
  if (isDouble)
    nodes.push_back(0);
  if (isLeaf)
    addWeights(n);
}

std::optional<SortedTrees> SortedTrees::get(const TreeEnsemble &ensemble,
                                            bool isDouble) {
  if (ensemble.aggregate != TreeAggregate::Sum &&
      ensemble.aggregate != TreeAggregate::Average)
    return std::nullopt;
  SortedTrees made(ensemble, isDouble);
  if (!made.place())
    return std::nullopt;
  for (int64_t at : made.order) {
    const TreeNode &n = ensemble.nodes[at];
    if (n.mode != TreeNode::Leaf) {
      made.usesMissing |= AtMost::of(n, isDouble).missingIsYes;
      continue;
    }
    made.isDense &= int64_t(n.weights.size()) == ensemble.targets;
    for (auto [i, weight] : llvm::enumerate(n.weights))
      made.isDense &= weight.first == int64_t(i);
  }
  for (int64_t at : made.order)
    made.addNode(at);
  return made;
}

Value SortedTrees::evaluate(NodeImport &node, Value x) {
  Emit e(node);
  OpBuilder &b = node.b;
  Type i32 = b.getI32Type(), f64 = b.getF64Type();
  int64_t count = order.size(), words = isDouble ? 6 : 4;
  std::vector<int64_t> ways = *ensemble.longestWays();
  SmallVector<double> roots, depths;
  for (int64_t root : ensemble.roots) {
    roots.push_back(placeOf[root]);
    depths.push_back(ways[root]);
  }
  Value table = node.constant(DenseElementsAttr::get(
      RankedTensorType::get({count, words}, i32), ArrayRef<int32_t>(nodes)));
  if (weights.empty())
    weights.push_back(0); // a table has an element
  if (isDense)
    targets.clear();
  else if (targets.empty())
    targets.push_back(1);
  auto list = [&](ArrayRef<double> values, Type type) {
    return numberTable(node, values, int64_t(values.size()), type);
  };
  auto type = RankedTensorType::get(
      {node.type(x).getDimSize(0), ensemble.targets}, f64);
  return e.call("trees",
                {e.plain(x), table, list(roots, i32), list(depths, i32),
                 list(weights, f64), list(targets, i32),
                 e.constant(usesMissing, i32).value},
                type)[0];
}

Value dlc::sumSortedTrees(NodeImport &node, const TreeEnsemble &ensemble,
                          Value x) {
  std::optional<SortedTrees> trees =
      SortedTrees::get(ensemble, node.elementType(x).isF64());
  return trees ? trees->evaluate(node, x) : Value();
}
