// Turns whole regions of nodes round, where that takes fewer transposes.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CANCELTRANSPOSES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

//===----------------------------------------------------------------------===//
// Operators that compute the same in any order of axes
//===----------------------------------------------------------------------===//

static bool isElementwise(onnx::NodeOp node) {
  return llvm::is_contained(
      {"Relu", "Sigmoid", "Tanh",  "Erf",        "Sqrt",        "Exp",
       "Neg",  "Abs",     "Gelu",  "HardSwish",  "HardSigmoid", "LeakyRelu",
       "Cast", "Swish",   "Mish",  "Softplus",   "Elu",         "Log",
       "Not",  "Floor",   "Ceil",  "Reciprocal", "Selu",        "Softsign",
       "Add",  "Sub",     "Mul",   "Div",        "Pow",         "And",
       "Or",   "Equal",   "Less",  "Greater",    "Max",         "Min",
       "Sum",  "PRelu",   "Where", "Clip",       "Identity"},
      node.getOpType());
}

/// Operators with an attribute `axis`.
static bool hasAxis(onnx::NodeOp node) {
  return llvm::is_contained({"Concat", "Split", "Softmax", "LogSoftmax"},
                            node.getOpType());
}

static bool isReduction(onnx::NodeOp node) {
  return node.getOpType().starts_with("Reduce") && node.getInt("keepdims", 1);
}

static bool isOfOne(Value value) {
  auto shape = sizesOf(value);
  return shape && ShapedType::getNumElements(*shape) == 1;
}

/// Operators of the last axis, which stay what they are while that one stays
/// where it is.
static bool isOfLastAxis(onnx::NodeOp node) {
  if (node.isOp("MatMul"))
    return rankOf(node.getOperand(1)) == 2 && node.getNumResults() == 1;
  if (!node.isOp("LayerNormalization") && !node.isOp("RMSNormalization"))
    return false;
  int64_t rank = rankOf(node.getOperand(0));
  return node.getNumResults() == 1 && rank > 0 &&
         toAxis(node.getInt("axis", -1), rank) == rank - 1;
}

/// The operands that are turned with the node; nothing when the node is none
/// that can be, for tensors of `rank`.
static std::optional<SmallVector<unsigned>> readData(onnx::NodeOp node) {
  if (!node.getDomain().empty() || node.getNumRegions() ||
      node.getNumResults() == 0 || node.getNumOperands() == 0)
    return std::nullopt;
  int64_t rank = rankOf(node.getResult(0));
  if (rank < 2 || llvm::any_of(
                      node.getResults(),
                      [&](Value result) { return rankOf(result) != rank; }))
    return std::nullopt;
  SmallVector<unsigned> data;
  if (isElementwise(node)) {
    for (auto [i, operand] : llvm::enumerate(node.getOperands())) {
      if (isa<NoneType>(operand.getType()) || (isOfOne(operand) && i > 0))
        continue;
      bool isAlike = rankOf(operand) == rank ||
                     (isConstantTree(operand) && rankOf(operand) < rank);
      if (!isAlike)
        return std::nullopt;
      data.push_back(i);
    }
    return data;
  }
  if (node.isOp("Concat")) {
    for (unsigned i = 0; i < node.getNumOperands(); ++i)
      data.push_back(i);
  } else if (hasAxis(node)) {
    data.push_back(0);
  } else if (isReduction(node)) {
    if (!node.getInput(1) || !intsOf(node.getInput(1)))
      return std::nullopt;
    data.push_back(0);
  } else if (node.isOp("Slice")) {
    if (!node.getInput(3) || !intsOf(node.getInput(3)))
      return std::nullopt;
    data.push_back(0);
  } else if (node.isOp("Pad")) {
    if (node.getInput(3) || !intsOf(node.getInput(1)))
      return std::nullopt;
    data.push_back(0);
  } else if (isOfLastAxis(node)) {
    data.push_back(0);
  } else if (node.isOp("QuantizeLinear") || node.isOp("DequantizeLinear")) {
    if (!isOfOne(node.getOperand(1)))
      return std::nullopt;
    data.push_back(0);
  } else {
    return std::nullopt;
  }
  for (unsigned i : data)
    if (rankOf(node.getOperand(i)) != rank)
      return std::nullopt;
  return data;
}

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

using Permutation = SmallVector<int64_t>;

static Permutation invert(ArrayRef<int64_t> permutation) {
  Permutation inverse(permutation.size());
  for (auto [i, axis] : llvm::enumerate(permutation))
    inverse[axis] = i;
  return inverse;
}

static std::optional<Permutation> permutationOf(onnx::NodeOp transpose) {
  return transpose ? transpose.getInts("perm") : std::nullopt;
}

static RankedTensorType turn(RankedTensorType type,
                             ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> shape;
  for (int64_t axis : permutation)
    shape.push_back(type.getDimSize(axis));
  return type.clone(shape);
}

namespace {

/// Nodes that hang together, in the order of the block. Turned by p, every
/// value v of it becomes w with v = Transpose(w, p).
class Area {
public:
  explicit Area(ArrayRef<onnx::NodeOp> nodes)
      : nodes(nodes), members(nodes.begin(), nodes.end()) {}

  /// Whether it has fewer transposes around it when it is turned; the
  /// permutation with which that is so.
  std::optional<Permutation> choose();
  void turn(ArrayRef<int64_t> permutation, PatternRewriter &rewriter);

private:
  bool isInside(Operation *op) const { return op && members.contains(op); }
  int64_t count(ArrayRef<int64_t> permutation);
  Value turnOperand(Value value, onnx::NodeOp user);
  SmallVector<Value> turnOthers(onnx::NodeOp node, NodeBuilder &make,
                                SmallVector<NamedAttribute> &changed);

  ArrayRef<onnx::NodeOp> nodes;
  llvm::SmallDenseSet<Operation *> members;
  DenseMap<Value, Value> turned;
  Permutation permutation, inverse;
  PatternRewriter *rewriter = nullptr;
};

} // namespace

std::optional<Permutation> Area::choose() {
  // Those in front of the area are what can be tried.
  SmallVector<Permutation> candidates;
  for (onnx::NodeOp node : nodes) {
    SmallVector<unsigned> data = *readData(node);
    for (unsigned i : data)
      if (auto found =
              permutationOf(producerOf(node.getOperand(i), "Transpose")))
        if (!isConstantTree(node.getOperand(i)) &&
            found->size() == size_t(rankOf(node.getResult(0))) &&
            !llvm::is_contained(candidates, *found))
          candidates.push_back(*found);
  }
  for (Permutation &candidate : candidates)
    if (count(candidate) > 0)
      return candidate;
  return std::nullopt;
}

/// How many transposes fewer there are.
int64_t Area::count(ArrayRef<int64_t> permutation) {
  Permutation back = invert(permutation);
  if (permutation.back() != int64_t(permutation.size()) - 1 &&
      llvm::any_of(nodes, isOfLastAxis))
    return 0;
  int64_t fewer = 0;
  DenseSet<Value> seen;
  for (onnx::NodeOp node : nodes) {
    SmallVector<unsigned> data = *readData(node);
    for (unsigned i : data) {
      Value value = node.getOperand(i);
      if (isInside(value.getDefiningOp()) || isConstantTree(value) ||
          !seen.insert(value).second)
        continue;
      onnx::NodeOp transpose = producerOf(value, "Transpose");
      if (permutationOf(transpose) != Permutation(permutation))
        --fewer;
      else if (llvm::all_of(value.getUsers(),
                            [&](Operation *user) { return isInside(user); }))
        ++fewer;
    }
    for (Value result : node.getResults()) {
      bool isUsedAsItIs = false;
      for (Operation *user : result.getUsers()) {
        if (isInside(user))
          continue;
        auto transpose = dyn_cast<onnx::NodeOp>(user);
        if (transpose && transpose.isOp("Transpose") &&
            permutationOf(transpose) == back)
          ++fewer;
        else
          isUsedAsItIs = true;
      }
      fewer -= isUsedAsItIs;
    }
  }
  return fewer;
}

Value Area::turnOperand(Value value, onnx::NodeOp user) {
  if (Value found = turned.lookup(value))
    return found;
  onnx::NodeOp transpose = producerOf(value, "Transpose");
  if (permutationOf(transpose) == permutation)
    return turned[value] = transpose.getOperand(0);
  Weights make(*rewriter, user);
  if (isConstantTree(value)) {
    // Of lower rank its axes are the last ones. Not kept: it stands at the
    // place of this user.
    size_t kept = permutation.size();
    while (kept > 0 && permutation[kept - 1] == int64_t(kept) - 1)
      --kept;
    if (size_t(rankOf(value)) <= permutation.size() - kept)
      return value;
    SmallVector<int64_t> shape(permutation.size(), 1);
    auto sizes = tensorOf(value).getShape();
    llvm::copy(sizes, shape.end() - sizes.size());
    return make.transpose(make.reshape(value, shape), inverse);
  }
  return turned[value] =
             make.make("Transpose", value, ::turn(tensorOf(value), inverse),
                       "turned", make.attr("perm", ArrayRef(inverse)));
}

/// The operands that are no tensors of the area, and attributes, for the axes
/// where they are now.
SmallVector<Value> Area::turnOthers(onnx::NodeOp node, NodeBuilder &make,
                                    SmallVector<NamedAttribute> &changed) {
  SmallVector<Value> operands(node.getOperands());
  int64_t rank = permutation.size();
  auto turnAxes = [&](unsigned i) {
    SmallVector<int64_t> axes = *intsOf(operands[i]);
    for (int64_t &axis : axes)
      axis = permutation[toAxis(axis, rank)];
    // Starts and ends may be int32, and are of one type with the axes.
    if (getElementTypeOrSelf(operands[i].getType()).isInteger(64)) {
      operands[i] = make.ints(axes, "axes");
      return;
    }
    auto type = cast<RankedTensorType>(operands[i].getType());
    SmallVector<int32_t> narrow(axes.begin(), axes.end());
    operands[i] = onnx::InitializerOp::create(
        make.b, node.getLoc(), type,
        make.b.getStringAttr(node.getOutputName(0) + "/axes"),
        DenseElementsAttr::get(type, ArrayRef(narrow)), IntegerAttr());
  };
  if (hasAxis(node)) {
    int64_t otherwise = node.isOp("Split") ? 0 : -1;
    int64_t axis = toAxis(node.getInt("axis", otherwise), rank);
    changed.push_back(make.attr("axis", permutation[axis]));
  } else if (isReduction(node)) {
    turnAxes(1);
  } else if (node.isOp("Slice")) {
    turnAxes(3);
  } else if (node.isOp("Pad")) {
    SmallVector<int64_t> pads = *intsOf(operands[1]), moved(pads.size());
    for (int64_t i = 0; i < rank; ++i) {
      moved[permutation[i]] = pads[i];
      moved[rank + permutation[i]] = pads[rank + i];
    }
    operands[1] = make.ints(moved, "pads");
  }
  return operands;
}

void Area::turn(ArrayRef<int64_t> chosen, PatternRewriter &builder) {
  permutation = Permutation(chosen);
  inverse = invert(chosen);
  rewriter = &builder;
  for (onnx::NodeOp node : nodes) {
    SmallVector<unsigned> data = *readData(node);
    NodeBuilder make(builder, node);
    SmallVector<NamedAttribute> changed;
    SmallVector<Value> operands = turnOthers(node, make, changed);
    for (unsigned i : data) {
      operands[i] = turnOperand(node.getOperand(i), node);
      builder.setInsertionPoint(node);
    }
    SmallVector<Type> types;
    for (Value result : node.getResults())
      types.push_back(::turn(tensorOf(result), inverse));
    onnx::NodeOp fresh = make.makeMany(node.getOpType(), operands, types,
                                       "turned", withAttributes(node, changed));
    fresh->setLoc(node.getLoc());
    remarkDone(node.getLoc(), "dlc-cancel-transposes") << "turned round";
    for (auto [old, now] : llvm::zip(node.getResults(), fresh.getResults()))
      turned[old] = now;
  }
  for (onnx::NodeOp node : nodes)
    for (auto [i, result] : llvm::enumerate(node.getResults())) {
      Value now = turned[result];
      // What turns it back needs nothing.
      for (Operation *user : llvm::make_early_inc_range(result.getUsers())) {
        auto transpose = dyn_cast<onnx::NodeOp>(user);
        if (!isInside(user) && transpose && transpose.isOp("Transpose") &&
            permutationOf(transpose) == inverse)
          builder.replaceOp(transpose, now);
      }
      if (llvm::all_of(result.getUsers(),
                       [&](Operation *user) { return isInside(user); }))
        continue;
      NodeBuilder make(builder, node);
      onnx::NodeOp back =
          make.makeMany("Transpose", now, result.getType(), "back",
                        make.attr("perm", ArrayRef(permutation)));
      back.setOutputNamesAttr(builder.getStrArrayAttr(node.getOutputName(i)));
      result.replaceUsesWithIf(back.getResult(0), [&](OpOperand &use) {
        return !isInside(use.getOwner()) && use.getOwner() != back;
      });
    }
  for (onnx::NodeOp node : llvm::reverse(nodes))
    builder.eraseOp(node);
}

/// A remark on a transpose that is there still.
static void tellWhyLeft(onnx::NodeOp transpose) {
  std::string reason =
      "around what reads it, others would be needed in its place";
  for (Operation *user : transpose.getResult(0).getUsers()) {
    auto node = dyn_cast<onnx::NodeOp>(user);
    if (!node) {
      reason = "the graph gives it back";
    } else if (!readData(node)) {
      reason = ("'" + getNodeName(node.getLoc()) + "' (" + node.getOpType() +
                ") needs the axes in this order")
                   .str();
      break;
    }
  }
  remarkLeft(transpose, "dlc-cancel-transposes", reason);
}

namespace {

struct CancelTransposesPass
    : dlc::impl::CancelTransposesBase<CancelTransposesPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      // Those of the last axis join regions that are turned otherwise.
      for (bool withLastAxis : {false, true})
        graph.walk([&](Block *block) { visit(*block, withLastAxis); });
      eraseDeadNodes(*graph.getBodyBlock());
      if (wantsRemarks(&getContext()))
        graph.walk([](onnx::NodeOp node) {
          if (node.isOp("Transpose") && node.getDomain().empty())
            tellWhyLeft(node);
        });
    }
  }

  /// Finds what hangs together, and turns what is better so.
  void visit(Block &block, bool withLastAxis) {
    llvm::EquivalenceClasses<Operation *> together;
    SmallVector<onnx::NodeOp> nodes;
    for (Operation &op : block) {
      auto node = dyn_cast<onnx::NodeOp>(op);
      auto data = node ? readData(node) : std::nullopt;
      if (!data || (!withLastAxis && isOfLastAxis(node)))
        continue;
      nodes.push_back(node);
      together.insert(node);
      for (unsigned i : *data)
        if (Operation *producer = node.getOperand(i).getDefiningOp();
            producer && together.contains(producer))
          together.unionSets(producer, node);
    }
    llvm::MapVector<Operation *, SmallVector<onnx::NodeOp>> areas;
    for (onnx::NodeOp node : nodes)
      areas[together.getLeaderValue(node)].push_back(node);
    // Small ones first: what a large one gains at its border may keep two of
    // them from being gone.
    SmallVector<ArrayRef<onnx::NodeOp>> ordered;
    for (auto &[leader, members] : areas)
      ordered.push_back(members);
    llvm::stable_sort(ordered,
                      [](auto a, auto b) { return a.size() < b.size(); });
    PatternRewriter rewriter(&getContext());
    for (ArrayRef<onnx::NodeOp> members : ordered) {
      Area area(members);
      if (auto permutation = area.choose())
        area.turn(*permutation, rewriter);
    }
  }
};

} // namespace
