// Slices, splits and concatenations that together do less than they say.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MERGESLICES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-merge-slices";

/// Concat of all that a Split gives, in order, as what was split.
static LogicalResult joinSplit(onnx::NodeOp concat, PatternRewriter &rewriter) {
  auto split = concat.getOperand(0).getDefiningOp<onnx::NodeOp>();
  int64_t rank = rankOf(concat.getResult(0));
  if (!split || !split.isOp("Split") || rank < 0 ||
      concat.getOperands() != ValueRange(split.getResults()) ||
      toAxis(split.getInt("axis", 0), rank) !=
          toAxis(concat.getInt("axis", 0), rank))
    return failure();
  remarkDone(concat.getLoc(), kPass) << "joins what was split";
  rewriter.replaceOp(concat, split.getOperand(0));
  return success();
}

/// Split of what was joined of parts of these sizes, as the parts.
static LogicalResult splitJoined(onnx::NodeOp split,
                                 PatternRewriter &rewriter) {
  onnx::NodeOp concat = producerOf(split.getOperand(0), "Concat");
  int64_t rank = rankOf(split.getOperand(0));
  if (!concat || rank < 0 || concat.getNumOperands() != split.getNumResults())
    return failure();
  int64_t axis = toAxis(split.getInt("axis", 0), rank);
  if (axis < 0 || axis != toAxis(concat.getInt("axis", 0), rank))
    return failure();
  for (auto [part, result] :
       llvm::zip(concat.getOperands(), split.getResults())) {
    RankedTensorType from = tensorOf(part), to = tensorOf(result);
    if (!from || !to || from.isDynamicDim(axis) ||
        from.getDimSize(axis) != to.getDimSize(axis))
      return rewriter.notifyMatchFailure(split, "parts of other sizes");
  }
  remarkDone(split.getLoc(), kPass) << "splits what was joined";
  rewriter.replaceOp(split, concat.getOperands());
  return success();
}

/// Concat(Concat(a, b), c) as Concat(a, b, c).
static LogicalResult flattenConcat(onnx::NodeOp concat,
                                   PatternRewriter &rewriter) {
  int64_t rank = rankOf(concat.getResult(0));
  SmallVector<Value> operands;
  bool isChanged = false;
  for (Value operand : concat.getOperands()) {
    onnx::NodeOp inner = soleProducerOf(operand, "Concat");
    if (inner && rank >= 0 &&
        toAxis(inner.getInt("axis", 0), rank) ==
            toAxis(concat.getInt("axis", 0), rank)) {
      llvm::append_range(operands, inner.getOperands());
      isChanged = true;
    } else {
      operands.push_back(operand);
    }
  }
  if (!isChanged)
    return failure();
  rewriter.modifyOpInPlace(concat, [&] { concat->setOperands(operands); });
  return success();
}

namespace {

/// A Slice with step 1 along one axis.
struct Part {
  onnx::NodeOp node;
  int64_t begin, end;
};

struct MergeSlicesPass : dlc::impl::MergeSlicesBase<MergeSlicesPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>())
      visit(*graph.getBodyBlock());
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<splitJoined>>(&getContext(), "Split");
    patterns.add<FunctionPattern<joinSplit>>(&getContext(), "Concat", 2);
    patterns.add<FunctionPattern<flattenConcat>>(&getContext(), "Concat");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }

  static std::optional<std::pair<int64_t, Part>> read(onnx::NodeOp node) {
    Value x = node.getOperand(0);
    RankedTensorType type = tensorOf(x);
    auto begins = intsOf(node.getInput(1)), ends = intsOf(node.getInput(2)),
         axes = intsOf(node.getInput(3)), steps = intsOf(node.getInput(4));
    if (!type || !begins || !ends || !axes || begins->size() != 1 ||
        axes->size() != 1 ||
        (node.getInput(4) && (!steps || *steps != SmallVector<int64_t>{1})))
      return std::nullopt;
    int64_t axis = toAxis(axes->front(), type.getRank());
    if (axis < 0 || type.isDynamicDim(axis))
      return std::nullopt;
    int64_t size = type.getDimSize(axis);
    auto clamp = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
    };
    return std::pair(axis,
                     Part{node, clamp(begins->front()), clamp(ends->front())});
  }

  /// Slices that share a tensor out as one Split.
  void visit(Block &block) {
    llvm::MapVector<std::pair<Value, int64_t>, SmallVector<Part>> groups;
    for (Operation &op : block) {
      for (Region &region : op.getRegions())
        visit(region.front());
      auto node = dyn_cast<onnx::NodeOp>(op);
      if (node && node.isOp("Slice"))
        if (auto part = read(node))
          groups[{node.getOperand(0), part->first}].push_back(part->second);
    }
    PatternRewriter rewriter(&getContext());
    for (auto &[key, parts] : groups) {
      auto [x, axis] = key;
      onnx::NodeOp place = parts.front().node;
      llvm::stable_sort(parts, [](const Part &a, const Part &b) {
        return a.begin < b.begin;
      });
      int64_t at = 0;
      bool isWhole = parts.size() > 1;
      for (Part &part : parts) {
        isWhole &= part.begin == at && part.end > part.begin;
        at = part.end;
      }
      if (!isWhole || at != tensorOf(x).getDimSize(axis))
        continue;
      NodeBuilder make(rewriter, place);
      SmallVector<int64_t> sizes;
      SmallVector<Type> types;
      SmallVector<Attribute> names;
      for (Part &part : parts) {
        sizes.push_back(part.end - part.begin);
        types.push_back(part.node.getResult(0).getType());
        names.push_back(part.node.getOutputNames()[0]);
      }
      onnx::NodeOp split =
          make.makeMany("Split", {x, make.ints(sizes, "sizes")}, types, "split",
                        make.attr("axis", axis));
      split.setOutputNamesAttr(rewriter.getArrayAttr(names));
      remarkDone(place.getLoc(), kPass) << "is a part of a split";
      for (auto [part, result] : llvm::zip(parts, split.getResults()))
        rewriter.replaceOp(part.node, result);
    }
  }
};

} // namespace
