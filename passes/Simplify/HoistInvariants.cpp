// Takes out of subgraphs what does not depend on them, and takes the branch
// that a constant chooses.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_HOISTINVARIANTS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-hoist-invariants";

/// Whether `op`, of the graph `block`, uses nothing of it.
static bool isInvariant(Operation &op, Block &block) {
  return llvm::none_of(op.getOperands(), [&](Value operand) {
    return operand.getParentBlock() == &block;
  });
}

/// Whether a loop certainly runs: so many times, with no condition or a true
/// one.
static bool certainlyRuns(onnx::NodeOp loop) {
  if (!loop.isOp("Loop") || !loop.getInput(0))
    return false;
  auto times = numberOf(loop.getInput(0));
  return times && *times > 0 &&
         (!loop.getInput(1) || numberOf(loop.getInput(1)) == 1.);
}

/// Whether a run of `node` may fail by what is in its operands.
static bool mayFail(onnx::NodeOp node) {
  if (!node.getDomain().empty() ||
      llvm::is_contained({"Gather", "GatherElements", "GatherND",
                          "ScatterElements", "ScatterND", "TensorScatter",
                          "SequenceAt", "SequenceErase", "SequenceInsert",
                          "OptionalGetElement"},
                         node.getOpType()))
    return true;
  return llvm::is_contained({"Reshape", "Expand", "Split", "Tile", "Squeeze"},
                            node.getOpType()) &&
         !sizesOf(node.getResult(0));
}

/// Why a node may not run though its graph does not; "" when it may. In a
/// branch that is only what is evaluated at compile time; what a loop repeats
/// may run once, unless that may fail where the loop runs never. `constants`
/// are the nodes that depend on initializers only.
static StringRef findObstacle(onnx::NodeOp node, onnx::NodeOp parent,
                              const DenseSet<Operation *> &constants) {
  if (node.getNumRegions())
    return "it has graphs of its own";
  if (isRandom(node))
    return "each run of it gives other numbers";
  if (constants.contains(node))
    return "";
  if (!parent.isOp("Loop") && !parent.isOp("Scan"))
    return "only a branch computes it";
  if (mayFail(node) && !certainlyRuns(parent))
    return "it may fail, and the loop may not run at all";
  return "";
}

namespace {

struct HoistInvariantsPass
    : dlc::impl::HoistInvariantsBase<HoistInvariantsPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>())
      visit(*graph.getBodyBlock());
  }

  void visit(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      auto node = dyn_cast<onnx::NodeOp>(op);
      if (isConstant(op))
        constants.insert(&op);
      if (!node || node.getNumRegions() == 0)
        continue;
      for (Region &region : node.getBodies())
        visit(region.front());
      if (!node.getDomain().empty())
        continue;
      if (node.isOp("If") && takeBranch(node))
        continue;
      for (Region &region : node.getBodies())
        for (Operation &inner :
             llvm::make_early_inc_range(region.front().without_terminator()))
          if (isInvariant(inner, region.front()))
            moveOut(inner, node);
    }
  }

  void moveOut(Operation &op, onnx::NodeOp parent) {
    auto node = dyn_cast<onnx::NodeOp>(op);
    if (!node && !isa<onnx::InitializerOp, onnx::NoneOp>(op))
      return;
    if (node) {
      StringRef obstacle = findObstacle(node, parent, constants);
      if (!obstacle.empty())
        return remarkLeft(node, kPass, obstacle);
      remarkDone(op.getLoc(), kPass)
          << "moved out of '" << getNodeName(parent.getLoc()) << "'";
    }
    op.moveBefore(parent);
  }

  /// Whether a node has constant operands only, be they initializers or nodes
  /// on such: a slice of a weight that is joined with another one, say.
  bool isConstant(Operation &op) {
    auto node = dyn_cast<onnx::NodeOp>(op);
    return node && node.getNumOperands() > 0 && node.getNumRegions() == 0 &&
           !isRandom(node) && llvm::all_of(node.getOperands(), [&](Value v) {
             Operation *producer = v.getDefiningOp();
             return constantOf(v) || isa<NoneType>(v.getType()) ||
                    (producer && constants.contains(producer));
           });
  }

  /// Puts the branch of an If whose condition is a constant in its place.
  static bool takeBranch(onnx::NodeOp node) {
    std::optional<double> condition = numberOf(node.getOperand(0));
    Region *branch = condition ? node.getGraph(*condition != 0 ? "then_branch"
                                                               : "else_branch")
                               : nullptr;
    if (!branch || branch->front().getTerminator()->getNumOperands() !=
                       node.getNumResults()) {
      remarkLeft(node, kPass, "its condition is not a constant");
      return false;
    }
    remarkDone(node.getLoc(), kPass) << "has a constant condition";
    Block &block = branch->front();
    for (Operation &inner :
         llvm::make_early_inc_range(block.without_terminator()))
      inner.moveBefore(node);
    node->replaceAllUsesWith(block.getTerminator()->getOperands());
    node.erase();
    return true;
  }

  DenseSet<Operation *> constants;
};

} // namespace
