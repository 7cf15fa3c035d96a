// Decision trees as tables. A tree takes as many steps as it is deep, without
// a branch: a leaf leads to itself.

#include "passes/Import/Ops/Trees.h"
#include <limits>

using namespace mlir;
using namespace dlc;

std::optional<std::vector<int64_t>> TreeEnsemble::longestWays() const {
  constexpr int64_t unknown = -1, open = -2;
  std::vector<int64_t> ways(nodes.size(), unknown);
  SmallVector<int64_t> stack(roots);
  while (!stack.empty()) {
    int64_t at = stack.back();
    if (at < 0 || at >= int64_t(nodes.size()))
      return std::nullopt;
    const TreeNode &next = nodes[at];
    if (ways[at] >= 0 || next.mode == TreeNode::Leaf) {
      ways[at] = std::max<int64_t>(ways[at], 0);
      stack.pop_back();
      continue;
    }
    bool isFirst = ways[at] == unknown;
    ways[at] = open;
    int64_t longest = 0;
    bool isComplete = true;
    for (int64_t child : {next.ifTrue, next.ifFalse}) {
      if (child < 0 || child >= int64_t(nodes.size()))
        return std::nullopt;
      if (ways[child] == open)
        return std::nullopt;
      if (ways[child] == unknown) {
        isComplete = false;
        stack.push_back(child);
      }
      longest = std::max(longest, ways[child] + 1);
    }
    if (!isComplete && !isFirst)
      return std::nullopt; // children are done when their parent is again
    if (isComplete) {
      ways[at] = longest;
      stack.pop_back();
    }
  }
  return ways;
}

LogicalResult TreeEnsemble::verify(NodeImport &node) const {
  auto fail = [&](const Twine &what) {
    node.error() << "expected " << what;
    return failure();
  };
  if (nodes.empty() || roots.empty())
    return fail("trees of one node or more");
  if (!longestWays())
    return fail("children that are nodes of their tree, and no way back");
  for (const TreeNode &next : nodes) {
    for (auto [target, weight] : next.weights)
      if (target < 0 || target >= targets)
        return fail("weights of targets in [0, " + Twine(targets) +
                    "), found " + Twine(target));
    if (next.mode != TreeNode::Leaf && next.feature < 0)
      return fail("features of 0 or more, found " + Twine(next.feature));
  }
  return success();
}

namespace {

/// The tables of an ensemble, which is verified, as constants, and what its
/// trees have in common.
struct TreeTables {
  NodeImport &node;
  const TreeEnsemble &ensemble;
  Value features, values, modes, missing, children; // of each node
  Value roots, depths;                              // of each tree
  Value begins, targets, weights; // the weights of node n from begins[n] on
  std::optional<TreeNode::Mode> onlyMode;
  bool usesMissing = false, hasOneWeight = true;

  TreeTables(NodeImport &node, const TreeEnsemble &ensemble, Type type)
      : node(node), ensemble(ensemble) {
    SmallVector<double> feature, value, mode, isMissing, child, begin{0},
        target, weight, depth;
    for (auto [i, n] : llvm::enumerate(ensemble.nodes)) {
      bool isLeaf = n.mode == TreeNode::Leaf;
      feature.push_back(isLeaf ? 0 : n.feature);
      value.push_back(isLeaf ? 0 : n.value);
      mode.push_back(n.mode);
      isMissing.push_back(n.missingIsTrue);
      usesMissing |= !isLeaf && n.missingIsTrue;
      child.push_back(isLeaf ? int64_t(i) : n.ifFalse);
      child.push_back(isLeaf ? int64_t(i) : n.ifTrue);
      if (isLeaf) {
        hasOneWeight &= n.weights.size() == 1;
        for (auto [to, number] : n.weights) {
          target.push_back(to);
          weight.push_back(number);
        }
      } else if (!onlyMode) {
        onlyMode = n.mode;
        isMixed = false;
      } else {
        isMixed |= *onlyMode != n.mode;
      }
      begin.push_back(target.size());
    }
    if (isMixed)
      onlyMode = std::nullopt;
    else if (!onlyMode) // leaves only
      onlyMode = TreeNode::LessEqual;
    std::vector<int64_t> ways = *ensemble.longestWays();
    for (int64_t root : ensemble.roots)
      depth.push_back(ways[root]);
    int64_t count = ensemble.nodes.size(), trees = ensemble.roots.size();
    Type i32 = node.b.getI32Type(), f64 = node.b.getF64Type();
    features = numberTable(node, feature, count, i32);
    values = numberTable(node, value, count, type);
    modes = numberTable(node, mode, count, i32);
    missing = numberTable(node, isMissing, count, i32);
    children = numberTable(node, child, {count, 2}, i32);
    roots = numberTable(
        node, SmallVector<double>(ensemble.roots.begin(), ensemble.roots.end()),
        trees, i32);
    depths = numberTable(node, depth, trees, i32);
    begins = numberTable(node, begin, count + 1, i32);
    if (target.empty()) { // no leaf has a weight; a table has an element
      target.push_back(0);
      weight.push_back(0);
      hasOneWeight = false;
    }
    targets = numberTable(node, target, int64_t(target.size()), i32);
    weights = numberTable(node, weight, int64_t(weight.size()), f64);
  }

private:
  bool isMixed = false;
};

} // namespace

static Num answer(Emit &e, TreeNode::Mode mode, Num x, Num value) {
  switch (mode) {
  case TreeNode::LessEqual:
    return x <= value;
  case TreeNode::Less:
    return x < value;
  case TreeNode::GreaterEqual:
    return x >= value;
  case TreeNode::Greater:
    return x > value;
  case TreeNode::Equal:
    return x == value;
  case TreeNode::NotEqual:
    return !(x == value);
  case TreeNode::Leaf:
    break;
  }
  return e.flag(false);
}

/// The leaf that the tree sends row `row` of x to.
static Num findLeaf(Emit &e, const TreeTables &t, Value x, Num row, Num tree) {
  Num root = e.toIndex(e.load(t.roots, tree));
  Num depth = e.toIndex(e.load(t.depths, tree));
  return e.num(e.loop(
      e.index(int64_t(0)), depth, root.value,
      [&](Num, ValueRange args) -> Emit::Values {
        Num at = e.num(args[0]);
        Num feature = e.toIndex(e.load(t.features, at));
        Num value = e.load(x, {row, feature}), limit = e.load(t.values, at);
        Num isTrue;
        if (t.onlyMode) {
          isTrue = answer(e, *t.onlyMode, value, limit);
        } else {
          Num mode = e.load(t.modes, at);
          isTrue = e.flag(false);
          for (int m = TreeNode::LessEqual; m <= TreeNode::NotEqual; ++m)
            isTrue = isTrue ||
                     (mode == m && answer(e, TreeNode::Mode(m), value, limit));
        }
        if (t.usesMissing)
          isTrue = isTrue || (value != value && e.load(t.missing, at) != 0);
        Num side = e.to(isTrue, e.b.getIndexType());
        return {e.toIndex(e.load(t.children, {at, side}))};
      })[0]);
}

Value dlc::evaluateTrees(NodeImport &node, const TreeEnsemble &ensemble,
                         Value x) {
  Emit e(node);
  Type f64 = node.b.getF64Type();
  int64_t features = 0;
  for (const TreeNode &n : ensemble.nodes)
    if (n.mode != TreeNode::Leaf)
      features = std::max(features, n.feature + 1);
  std::optional<int64_t> columns = getConstantIntValue(node.dim(x, 1));
  if (columns && *columns < features) {
    node.error() << "expected X of " << features << " features or more, found "
                 << *columns;
    return {};
  }
  e.check(e.index(node.dim(x, 1)) >= std::max<int64_t>(features, 1),
          "expected X of " + Twine(std::max<int64_t>(features, 1)) +
              " features or more",
          /*status=*/0);
  TreeAggregate aggregate = ensemble.aggregate;
  auto finish = [&](Value sums) -> Value {
    if (aggregate == TreeAggregate::Average)
      return node.map<DivOp>(
          {sums, node.scalar(double(ensemble.roots.size()), f64)});
    return sums;
  };
  if (Value sums = sumSortedTrees(node, ensemble, x))
    return finish(sums);
  TreeTables t(node, ensemble, node.elementType(x));
  double first = aggregate == TreeAggregate::Min
                     ? std::numeric_limits<double>::infinity()
                 : aggregate == TreeAggregate::Max
                     ? -std::numeric_limits<double>::infinity()
                     : 0;
  Elements sizes{node.dim(x, 0), node.index(ensemble.targets)};
  Num zero = e.index(int64_t(0)), trees = e.index(ensemble.roots.size());
  auto combine = [&](Num sum, Num weight) {
    return aggregate == TreeAggregate::Min   ? e.min(sum, weight)
           : aggregate == TreeAggregate::Max ? e.max(sum, weight)
                                             : sum + weight;
  };
  Value sums = e.filled(sizes, e.constant(first, f64));
  sums = e.nest(
      sizes[0], sums, [&](ArrayRef<Num> row, ValueRange args) -> Emit::Values {
        if (t.hasOneWeight && ensemble.targets == 1) {
          // The sum stays in a register.
          Emit::Values sum =
              e.loop(zero, trees, e.constant(first, f64).value,
                     [&](Num tree, ValueRange args) -> Emit::Values {
                       Num leaf = findLeaf(e, t, x, row[0], tree);
                       Num at = e.toIndex(e.load(t.begins, leaf));
                       return {combine(e.num(args[0]), e.load(t.weights, at))};
                     });
          return {e.store(e.num(sum[0]), args[0], {row[0], zero})};
        }
        return e.loop(
            zero, trees, args, [&](Num tree, ValueRange args) -> Emit::Values {
              Num leaf = findLeaf(e, t, x, row[0], tree);
              Num begin = e.toIndex(e.load(t.begins, leaf));
              Num end = e.toIndex(e.load(t.begins, leaf + 1));
              return e.loop(begin, end, args,
                            [&](Num at, ValueRange args) -> Emit::Values {
                              Num target = e.toIndex(e.load(t.targets, at));
                              Num sum = e.load(args[0], {row[0], target});
                              return {
                                  e.store(combine(sum, e.load(t.weights, at)),
                                          args[0], {row[0], target})};
                            });
            });
      })[0];
  if (aggregate == TreeAggregate::Average || aggregate == TreeAggregate::Sum)
    return finish(sums);
  Value isNone = node.map<EqualOp>({sums, node.scalar(first, f64)});
  return node.map<SelectOp>({isNone, node.scalar(0, f64), sums});
}
