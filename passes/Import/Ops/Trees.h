/// \file
/// Ensembles of decision trees in one form, whatever operator they come from.
#ifndef DLC_PASSES_IMPORT_OPS_TREES_H
#define DLC_PASSES_IMPORT_OPS_TREES_H

#include "passes/Import/Ops/Ml.h"

namespace dlc {

/// A node asks one question of one feature, a leaf has weights.
struct TreeNode {
  enum Mode { Leaf, LessEqual, Less, GreaterEqual, Greater, Equal, NotEqual };
  Mode mode = Leaf;
  int64_t feature = 0;
  double value = 0;
  bool missingIsTrue = false; ///< where the feature is NaN
  int64_t ifTrue = -1, ifFalse = -1;
  llvm::SmallVector<std::pair<int64_t, double>, 1> weights; ///< by target
};

/// How the weights of the trees are combined.
enum class TreeAggregate { Sum, Average, Min, Max };

struct TreeEnsemble {
  std::vector<TreeNode> nodes;
  llvm::SmallVector<int64_t> roots;
  int64_t targets = 1;
  TreeAggregate aggregate = TreeAggregate::Sum;

  /// Every child is a node, no way down leads back, targets are in range. An
  /// error at the node otherwise. Several parents may share a child.
  llvm::LogicalResult verify(NodeImport &node) const;
  /// The questions on the longest way from each node; nullopt where a way
  /// leads back, or out of the nodes.
  std::optional<std::vector<int64_t>> longestWays() const;
};

/// The combined weights of each row of `x`, [rows, targets] of f64; a target
/// that no leaf has gives 0.
mlir::Value evaluateTrees(NodeImport &node, const TreeEnsemble &ensemble,
                          mlir::Value x);

/// The sums of the weights where the trees only ask which number is larger,
/// and no two nodes share a child; null for others. `x` has every feature.
mlir::Value sumSortedTrees(NodeImport &node, const TreeEnsemble &ensemble,
                           mlir::Value x);

} // namespace dlc

#endif
