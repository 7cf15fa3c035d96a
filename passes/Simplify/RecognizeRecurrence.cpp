// Finds recurrent networks whose loop was written out step by step.

#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Recurrence.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZERECURRENCE
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-recurrence";

namespace {

/// Steps that follow each other through all of a sequence.
class Chain {
public:
  explicit Chain(std::vector<RecurrentStep> steps) : steps(std::move(steps)) {}

  /// Why no operator can take their place; "" when one can.
  StringRef findObstacle();
  void replace(PatternRewriter &rewriter);

private:
  Value pack(Weights &make, const RecurrentTerm &term);
  Value packBias(Weights &make, ArrayRef<Value> biases);
  onnx::NodeOp findStack();

  std::vector<RecurrentStep> steps;
  bool isReverse = false;
  int64_t width = 0;
  llvm::SmallDenseSet<Operation *> inner;
};

} // namespace

StringRef Chain::findObstacle() {
  const RecurrentStep &first = steps.front();
  RankedTensorType type = tensorOf(first.sequence);
  int64_t length = type.getDimSize(first.axis);
  isReverse = first.index != 0;
  for (auto [i, step] : llvm::enumerate(steps))
    if (step.index != (isReverse ? length - 1 - int64_t(i) : int64_t(i)))
      return "the steps do not take the sequence in order";
  if (int64_t(steps.size()) != length)
    return "the steps are not all of the sequence";
  if (type.isDynamicDim(2))
    return "the size of the input is not known";
  width = tensorOf(first.hidden).getDimSize(1);
  for (const RecurrentStep &step : steps)
    inner.insert(step.nodes.begin(), step.nodes.end());
  // Cell states on the way have no output.
  for (const RecurrentStep &step : ArrayRef(steps).drop_back())
    if (step.cell && llvm::any_of(step.cell.getUsers(), [&](Operation *user) {
          return !inner.contains(user);
        }))
      return "a cell state on the way is used elsewhere, too";
  return "";
}

/// The weights as [1, gates * width, inputs], with the gates in ONNX's order.
Value Chain::pack(Weights &make, const RecurrentTerm &term) {
  Value weights = term.weights;
  if (!term.isTurned)
    weights = make.transpose(weights, {1, 0});
  auto type = cast<RankedTensorType>(weights.getType());
  int64_t count = steps.front().gates.size();
  if (term.end - term.begin != type.getDimSize(1)) {
    type = type.clone({type.getDimSize(0), term.end - term.begin});
    weights = make.fold("Slice",
                        {weights, make.ints({term.begin}, "begin"),
                         make.ints({term.end}, "end"), make.ints({1}, "axis")},
                        type);
  }
  weights = make.reshape(weights, {count, width, type.getDimSize(1)});
  if (!llvm::is_sorted(steps.front().gates))
    weights =
        make.fold("Gather", {weights, make.ints(steps.front().gates, "gates")},
                  weights.getType(), make.attr("axis", int64_t(0)));
  return make.reshape(weights, {1, count * width, type.getDimSize(1)});
}

/// The sum of vectors as [gates * width], in ONNX's order.
Value Chain::packBias(Weights &make, ArrayRef<Value> biases) {
  int64_t count = steps.front().gates.size();
  Value sum =
      make.number(0, getElementTypeOrSelf(steps.front().hidden.getType()),
                  "zeros", {count * width});
  for (Value bias : biases)
    sum = make.binary("Add", sum, bias);
  sum = make.reshape(sum, {count, width});
  if (!llvm::is_sorted(steps.front().gates))
    sum = make.fold("Gather", {sum, make.ints(steps.front().gates, "gates")},
                    sum.getType(), make.attr("axis", int64_t(0)));
  return make.reshape(sum, {count * width});
}

/// Concat of all hidden states, each with an axis of 1, in order.
onnx::NodeOp Chain::findStack() {
  for (Operation *user : steps.front().hidden.getUsers()) {
    auto unsqueeze = dyn_cast<onnx::NodeOp>(user);
    if (inner.contains(user) || !unsqueeze || !unsqueeze.isOp("Unsqueeze") ||
        !unsqueeze->hasOneUse())
      continue;
    auto axes = intsOf(unsqueeze.getOperand(1));
    auto concat = dyn_cast<onnx::NodeOp>(*unsqueeze->user_begin());
    if (!axes || axes->size() != 1 || !concat || !concat.isOp("Concat") ||
        concat.getNumOperands() != steps.size())
      continue;
    int64_t axis = toAxis(axes->front(), 3);
    bool isStack =
        toAxis(concat.getInt("axis", 0), 3) == axis && (axis == 0 || axis == 1);
    for (auto [step, operand] : llvm::zip(steps, concat.getOperands())) {
      onnx::NodeOp part = producerOf(operand, "Unsqueeze");
      auto at = part ? intsOf(part.getOperand(1)) : std::nullopt;
      isStack &= part && part.getOperand(0) == step.hidden && at &&
                 at->size() == 1 && toAxis(at->front(), 3) == axis;
    }
    if (isStack)
      return concat;
  }
  return {};
}

void Chain::replace(PatternRewriter &rewriter) {
  RecurrentStep &first = steps.front(), &last = steps.back();
  // Where the first step is, all is known that it takes.
  auto root = first.hidden.getDefiningOp<onnx::NodeOp>();
  Weights make(rewriter, root);
  int64_t length = steps.size(), batch = tensorOf(first.hidden).getDimSize(0);
  auto typed = [&](ArrayRef<int64_t> shape) {
    return tensorOf(first.hidden).clone(shape);
  };
  auto swap = [&](Value value, ArrayRef<int64_t> shape, StringRef word) {
    return make.make("Transpose", value, typed(shape), word,
                     make.attr("perm", ArrayRef<int64_t>({1, 0, 2})));
  };
  Value x = first.sequence;
  if (first.axis == 1)
    x = swap(x, {length, batch, tensorOf(x).getDimSize(2)}, "sequence");
  auto state = [&](Value value, StringRef word) {
    return make.make("Unsqueeze", {value, make.ints({0}, "axis")},
                     typed({1, batch, width}), word);
  };
  int64_t gates = first.gates.size();
  Value bias =
      make.fold("Concat",
                {packBias(make, first.sum.inputBiases),
                 packBias(make, first.sum.hiddenBiases)},
                typed({2 * gates * width}), make.attr("axis", int64_t(0)));
  SmallVector<Value> operands = {x,
                                 pack(make, first.sum.ofInput),
                                 pack(make, first.sum.ofHidden),
                                 make.reshape(bias, {1, 2 * gates * width}),
                                 make.none(),
                                 state(first.hiddenBefore, "hidden")};
  SmallVector<Type> types = {typed({length, 1, batch, width}),
                             typed({1, batch, width})};
  SmallVector<NamedAttribute> attributes = {make.attr("hidden_size", width)};
  if (first.op == "LSTM") {
    operands.push_back(state(first.cellBefore, "cell"));
    types.push_back(types[1]);
  } else if (first.op == "GRU") {
    attributes.push_back(make.attr("linear_before_reset", int64_t(1)));
  } else {
    attributes.push_back(rewriter.getNamedAttr(
        "activations", rewriter.getStrArrayAttr(first.activation)));
  }
  if (isReverse)
    attributes.push_back(make.attr("direction", StringRef("reverse")));
  remarkDone(last.hidden.getLoc(), kPass)
      << "is the last of " << std::to_string(length) << " steps of "
      << first.op;
  onnx::NodeOp loop =
      make.makeMany(first.op, operands, types, "recurrence", attributes);
  auto squeeze = [&](Value value, int64_t axis, ArrayRef<int64_t> shape) {
    return make.make("Squeeze", {value, make.ints({axis}, "axis")},
                     typed(shape), "state");
  };
  onnx::NodeOp stack = isReverse ? onnx::NodeOp() : findStack();
  Value all;
  auto getAll = [&] {
    if (!all)
      all = squeeze(loop.getResult(0), 1, {length, batch, width});
    return all;
  };
  if (stack) {
    bool isBatchFirst = tensorOf(stack.getResult(0)).getDimSize(0) != length ||
                        toAxis(stack.getInt("axis", 0), 3) == 1;
    Value states = getAll();
    if (isBatchFirst)
      states = swap(states, {batch, length, width}, "states");
    for (Value part : stack.getOperands())
      inner.insert(part.getDefiningOp());
    rewriter.replaceAllUsesWith(stack.getResult(0), states);
  }
  auto replaceOuter = [&](Value value, auto build) {
    auto isOuter = [&](OpOperand &use) {
      return !inner.contains(use.getOwner());
    };
    if (llvm::any_of(value.getUses(), isOuter)) {
      Value now = build();
      value.replaceUsesWithIf(now, isOuter);
    }
  };
  for (const RecurrentStep &step : steps)
    replaceOuter(step.hidden, [&] {
      // Of a sequence that the next layer takes, the last one is a part, too.
      if (step.hidden == last.hidden && !all)
        return squeeze(loop.getResult(1), 0, {batch, width});
      auto scalar = RankedTensorType::get({}, rewriter.getI64Type());
      Value index = onnx::InitializerOp::create(
          rewriter, step.hidden.getLoc(), scalar,
          rewriter.getStringAttr("index"),
          DenseElementsAttr::get(scalar, ArrayRef<int64_t>(step.index)),
          IntegerAttr());
      return make.make("Gather", {getAll(), index}, step.hidden.getType(),
                       "step", make.attr("axis", int64_t(0)));
    });
  if (last.cell)
    replaceOuter(last.cell,
                 [&] { return squeeze(loop.getResult(2), 0, {batch, width}); });
}

namespace {

struct RecognizeRecurrencePass
    : dlc::impl::RecognizeRecurrenceBase<RecognizeRecurrencePass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      // What one layer gives is a sequence for the next one then.
      while (visit(*graph.getBodyBlock()))
        eraseDeadNodes(*graph.getBodyBlock());
    }
  }

  bool visit(Block &block) {
    // Each step, by the state that it makes, in order.
    std::vector<RecurrentStep> steps;
    DenseMap<Value, size_t> made;
    for (Operation &op : block) {
      auto node = dyn_cast<onnx::NodeOp>(op);
      if (auto step = node ? readRecurrentStep(node) : std::nullopt) {
        made[step->hidden] = steps.size();
        steps.push_back(*step);
      }
    }
    // The chain that each one continues, or begins.
    SmallVector<SmallVector<size_t>> chains;
    DenseMap<Value, size_t> ends; // by the last state
    for (auto [i, step] : llvm::enumerate(steps)) {
      auto before = made.find(step.hiddenBefore);
      auto end = ends.find(step.hiddenBefore);
      size_t chain = chains.size();
      if (before != made.end() && end != ends.end() &&
          steps[before->second].isLike(step) &&
          (!step.cell || step.cellBefore == steps[before->second].cell)) {
        chain = end->second;
        ends.erase(end);
      } else {
        chains.emplace_back();
      }
      chains[chain].push_back(i);
      ends[step.hidden] = chain;
    }
    PatternRewriter rewriter(&getContext());
    bool isChanged = false;
    for (ArrayRef<size_t> indices : chains) {
      std::vector<RecurrentStep> members;
      for (size_t i : indices)
        members.push_back(steps[i]);
      auto last = members.back().hidden.getDefiningOp<onnx::NodeOp>();
      StringRef op = members.back().op;
      Chain chain(std::move(members));
      StringRef obstacle = indices.size() > 1
                               ? chain.findObstacle()
                               : "no other step is in front of or behind it";
      if (!obstacle.empty()) {
        remarkLeft(last, kPass, "a step of " + op + ", but " + obstacle);
        continue;
      }
      chain.replace(rewriter);
      isChanged = true;
    }
    return isChanged;
  }
};

} // namespace
