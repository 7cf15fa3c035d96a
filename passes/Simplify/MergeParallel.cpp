// Makes one product, or one convolution, of several that share their input.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MERGEPARALLEL
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-merge-parallel";

namespace {

/// A branch: the contraction, and what has been merged behind it.
struct Branch {
  onnx::NodeOp first, last;
  int64_t size = 0; ///< along the axis that the results are joined on
};

/// The branches that become one.
class Merger {
public:
  Merger(PatternRewriter &rewriter, SmallVector<Branch> branches)
      : rewriter(rewriter), branches(std::move(branches)) {}

  bool run();

private:
  onnx::NodeOp front() { return branches.front().first; }
  bool isConv() { return front().isOp("Conv"); }
  int64_t getAxis() { return isConv() ? 1 : rankOf(front().getResult(0)) - 1; }
  Type joinedType(Type type);
  Value concat(NodeBuilder &make, ArrayRef<Value> parts, int64_t axis);
  std::optional<SmallVector<Value>> collectBiases(NodeBuilder *make);
  SmallVector<Value> findAddedBiases(SmallVector<onnx::NodeOp> &adds);
  onnx::NodeOp findNext(Branch branch);

  PatternRewriter &rewriter;
  SmallVector<Branch> branches;
};

} // namespace

/// The type of the joined results, of the type of one of them.
Type Merger::joinedType(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  int64_t total = 0;
  for (Branch &branch : branches)
    total += branch.size;
  shape[getAxis()] = total;
  return tensor.clone(shape);
}

Value Merger::concat(NodeBuilder &make, ArrayRef<Value> parts, int64_t axis) {
  auto type = cast<RankedTensorType>(parts.front().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = 0;
  for (Value part : parts)
    shape[axis] += cast<RankedTensorType>(part.getType()).getDimSize(axis);
  Value joined = make.make("Concat", parts, type.clone(shape), "joined",
                           make.attr("axis", axis));
  joined.getDefiningOp()->setAttr(kConstantAttr, rewriter.getUnitAttr());
  return joined;
}

/// The only user of a branch, in its block.
onnx::NodeOp Merger::findNext(Branch branch) {
  Value result = branch.last.getResult(0);
  if (!result.hasOneUse())
    return {};
  auto user = dyn_cast<onnx::NodeOp>(*result.user_begin());
  return user && user->getBlock() == branch.last->getBlock() &&
                 user.getDomain().empty() && user.getNumResults() == 1 &&
                 user.getResult(0).getType() == result.getType()
             ? user
             : onnx::NodeOp();
}

/// The Adds of constant vectors behind all branches, and these vectors; empty
/// where one has none.
SmallVector<Value> Merger::findAddedBiases(SmallVector<onnx::NodeOp> &adds) {
  SmallVector<Value> biases;
  for (Branch &branch : branches) {
    onnx::NodeOp add = findNext(branch);
    Value bias = add && add.isOp("Add")
                     ? otherOperand(add, branch.last.getResult(0))
                     : Value();
    auto shape = bias ? sizesOf(bias) : std::nullopt;
    if (!bias || !isConstantTree(bias) || !shape || shape->size() != 1 ||
        (*shape)[0] != branch.size)
      return {};
    adds.push_back(add);
    biases.push_back(bias);
  }
  return biases;
}

/// Functions of one element, without anything that differs in branches.
static bool isPointwise(onnx::NodeOp node) {
  return node.getNumRegions() == 0 &&
         llvm::is_contained({"Relu", "Sigmoid", "Tanh", "Gelu", "HardSwish",
                             "HardSigmoid", "LeakyRelu", "Swish", "Mish",
                             "Softplus", "Elu", "Clip"},
                            node.getOpType());
}

bool Merger::run() {
  // How many nodes go away, and how many come.
  SmallVector<onnx::NodeOp> adds;
  SmallVector<Value> added =
      front().isOp("MatMul") ? findAddedBiases(adds) : SmallVector<Value>();
  if (!added.empty())
    for (auto [branch, add] : llvm::zip(branches, adds))
      branch.last = add;
  SmallVector<SmallVector<onnx::NodeOp>> chains;
  SmallVector<Branch> saved = branches;
  for (;;) {
    SmallVector<onnx::NodeOp> next;
    for (Branch &branch : branches)
      next.push_back(findNext(branch));
    onnx::NodeOp model = next.front();
    bool isSame =
        model && isPointwise(model) && llvm::all_of(next, [&](auto n) {
          return n && n.getOpTypeAttr() == model.getOpTypeAttr() &&
                 n.getOnnxAttributes() == model.getOnnxAttributes() &&
                 n.getOperands().drop_front() ==
                     model.getOperands().drop_front();
        });
    if (!isSame)
      break;
    for (auto [branch, node] : llvm::zip(branches, next))
      branch.last = node;
    chains.push_back(next);
  }
  size_t each = 1 + !added.empty() + chains.size();
  if ((branches.size() - 1) * each < 2) {
    for (Branch &branch : saved)
      remarkLeft(branch.first, kPass,
                 "with a Split behind it, one node in place of " +
                     Twine(saved.size()) + " is no fewer");
    return false;
  }

  // In front of all that use the results; operands of chains are constants.
  onnx::NodeOp place = front();
  NodeBuilder make(rewriter, place);
  int64_t weightAxis = isConv()                                          ? 0
                       : place.isOp("Gemm") && place.getInt("transB", 0) ? 0
                                                                         : 1;
  // Constants may stand behind: they are moved.
  auto moveUp = [&](Value value) {
    if (Operation *op = value.getDefiningOp();
        op && op->getBlock() == place->getBlock() &&
        !op->isBeforeInBlock(place)) {
      SmallVector<Operation *> pending = {op};
      SmallVector<Operation *> order;
      while (!pending.empty()) {
        Operation *current = pending.pop_back_val();
        if (current->getBlock() != place->getBlock() ||
            current->isBeforeInBlock(place))
          continue;
        order.push_back(current);
        for (Value operand : current->getOperands())
          if (Operation *producer = operand.getDefiningOp())
            pending.push_back(producer);
      }
      for (Operation *current : llvm::reverse(order))
        rewriter.moveOpBefore(current, place);
    }
  };
  SmallVector<Value> weights, biases;
  for (Branch &branch : branches) {
    for (Value operand : branch.first.getOperands().drop_front())
      moveUp(operand);
    weights.push_back(branch.first.getOperand(1));
    if (Value bias = branch.first.getInput(2))
      biases.push_back(bias);
  }
  for (Value bias : added)
    moveUp(bias);
  for (auto &chain : chains)
    for (Value operand : chain.front().getOperands().drop_front())
      moveUp(operand);
  rewriter.setInsertionPoint(place);

  Type type = joinedType(place.getResult(0).getType());
  SmallVector<Value> operands = {place.getOperand(0),
                                 concat(make, weights, weightAxis)};
  if (!biases.empty())
    operands.push_back(concat(make, biases, 0));
  Value joined = make.make(place.getOpType(), operands, type, "joined",
                           withAttributes(place, {}));
  if (!added.empty())
    joined =
        make.make("Add", {joined, concat(make, added, 0)}, type, "joined_sum");
  for (auto &chain : chains) {
    SmallVector<Value> inputs = {joined};
    llvm::append_range(inputs, chain.front().getOperands().drop_front());
    joined = make.make(chain.front().getOpType(), inputs, type,
                       "joined_" + chain.front().getOpType().lower(),
                       withAttributes(chain.front(), {}));
  }
  SmallVector<int64_t> sizes;
  SmallVector<Type> types;
  for (Branch &branch : branches) {
    sizes.push_back(branch.size);
    types.push_back(branch.last.getResult(0).getType());
  }
  onnx::NodeOp split =
      make.makeMany("Split", {joined, make.ints(sizes, "sizes")}, types,
                    "split", make.attr("axis", getAxis()));
  SmallVector<Attribute> names;
  for (auto [branch, result] : llvm::zip(branches, split.getResults())) {
    names.push_back(branch.last.getOutputNames()[0]);
    remarkDone(branch.first.getLoc(), kPass)
        << "joined with '" << getNodeName(place.getLoc()) << "'";
    rewriter.replaceAllUsesWith(branch.last.getResult(0), result);
  }
  split.setOutputNamesAttr(rewriter.getArrayAttr(names));
  return true;
}

static bool isContraction(onnx::NodeOp node) {
  return node.getDomain().empty() && node.getNumOperands() >= 2 &&
         (node.isOp("MatMul") || node.isOp("Gemm") || node.isOp("Conv"));
}

/// What branches must have in common to become one, and the size of their
/// results; nothing when a node is none.
static std::optional<std::pair<Attribute, int64_t>> readKey(onnx::NodeOp node) {
  Builder b(node.getContext());
  if (!isContraction(node) || !isFloat(node.getOperand(0)) ||
      !isConstantTree(node.getOperand(1)))
    return std::nullopt;
  Value weights = node.getOperand(1), bias = node.getInput(2);
  auto shape = sizesOf(weights);
  RankedTensorType type = tensorOf(node.getResult(0));
  if (!shape || !type)
    return std::nullopt;
  SmallVector<Attribute> key = {node.getOpTypeAttr(), node.getOnnxAttributes(),
                                b.getBoolAttr(bool(bias))};
  int64_t size;
  if (node.isOp("MatMul")) {
    if (shape->size() != 2 || type.getRank() < 2)
      return std::nullopt;
    size = (*shape)[1];
  } else if (node.isOp("Gemm")) {
    size = (*shape)[node.getInt("transB", 0) ? 0 : 1];
    auto biasShape = bias ? sizesOf(bias) : std::nullopt;
    if (bias && (!biasShape || biasShape->size() != 1))
      return std::nullopt;
  } else if (node.isOp("Conv")) {
    if (node.getInt("group", 1) != 1)
      return std::nullopt;
    size = (*shape)[0];
    key.push_back(b.getDenseI64ArrayAttr(shape->drop_front()));
  } else {
    return std::nullopt;
  }
  if (bias) {
    auto biasShape = sizesOf(bias);
    if (!isConstantTree(bias) || !biasShape || biasShape->size() != 1 ||
        (*biasShape)[0] != size)
      return std::nullopt;
  }
  return std::pair<Attribute, int64_t>(b.getArrayAttr(key), size);
}

namespace {

struct MergeParallelPass : dlc::impl::MergeParallelBase<MergeParallelPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      visit(*graph.getBodyBlock());
      eraseDeadNodes(*graph.getBodyBlock());
    }
  }

  void visit(Block &block) {
    llvm::MapVector<std::pair<Value, Attribute>, SmallVector<Branch>> groups;
    llvm::MapVector<Value, SmallVector<onnx::NodeOp>> users;
    DenseMap<Operation *, Attribute> keys;
    for (Operation &op : block) {
      for (Region &region : op.getRegions())
        visit(region.front());
      auto node = dyn_cast<onnx::NodeOp>(op);
      if (!node || !isContraction(node))
        continue;
      users[node.getOperand(0)].push_back(node);
      if (auto key = readKey(node)) {
        keys[node] = key->first;
        groups[{node.getOperand(0), key->first}].push_back(
            {node, node, key->second});
      }
    }
    for (auto &[input, nodes] : users)
      for (onnx::NodeOp node : nodes)
        if (nodes.size() > 1 && !keys.count(node))
          remarkLeft(node, kPass,
                     "'" + getNodeName(nodes[nodes[0] == node].getLoc()) +
                         "' has its input, too, but its weights are no matrix "
                         "or kernel of constants that others can be joined to");
        else if (nodes.size() > 1 && groups[{input, keys[node]}].size() == 1)
          remarkLeft(node, kPass,
                     "'" + getNodeName(nodes[nodes[0] == node].getLoc()) +
                         "' has its input, too, but another form");
    PatternRewriter rewriter(&getContext());
    for (auto &[key, branches] : groups)
      if (branches.size() > 1)
        Merger(rewriter, branches).run();
  }
};

} // namespace
