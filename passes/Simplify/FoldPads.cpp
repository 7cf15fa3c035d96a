// Pads become the pads of a convolution or a pool.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDPADS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

/// Whether no element is below 0.
static bool isNeverNegative(Value value) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  return node && node.getDomain().empty() && node.getResult(0) == value &&
         llvm::is_contained({"Relu", "Sigmoid", "Softmax", "Abs", "Exp"},
                            node.getOpType());
}

/// Whether a pad is as good as the padding of a MaxPool, which never wins: it
/// is of the lowest number, or of zeros where there is nothing below them.
static bool isLowest(onnx::NodeOp pad) {
  if (!pad.getInput(2))
    return isNeverNegative(pad.getOperand(0));
  auto number = numberOf(pad.getInput(2));
  auto type =
      dyn_cast<FloatType>(getElementTypeOrSelf(pad.getInput(2).getType()));
  if (!number || !type)
    return false;
  double lowest =
      llvm::APFloat::getLargest(type.getFloatSemantics(), /*Negative=*/true)
          .convertToDouble();
  return *number <= lowest ||
         (*number <= 0 && isNeverNegative(pad.getOperand(0)));
}

/// Conv(Pad(x)) as Conv(x) with larger pads.
static LogicalResult foldPad(onnx::NodeOp node, PatternRewriter &rewriter) {
  onnx::NodeOp pad = producerOf(node.getOperand(0), "Pad");
  int64_t rank = rankOf(node.getOperand(0));
  if (!pad || rank < 3 || pad.getString("mode", "constant") != "constant" ||
      pad.getInput(3) || node.getString("auto_pad", "NOTSET") != "NOTSET")
    return failure();
  bool isMax = node.isOp("MaxPool");
  if (isMax && (!isLowest(pad) || node.getInt("ceil_mode", 0) ||
                node.getNumResults() != 1))
    return rewriter.notifyMatchFailure(node, "padding is not the lowest");
  if (!isMax && pad.getInput(2) && !isNumber(pad.getInput(2), 0))
    return rewriter.notifyMatchFailure(node, "padding is not of zeros");
  // A mean leaves its own padding out unless it is told to count it; then there
  // must be no more than what it has.
  if (node.isOp("AveragePool") &&
      (!node.getInt("count_include_pad", 0) || node.getInt("ceil_mode", 0)))
    return rewriter.notifyMatchFailure(node, "a mean without its padding");
  auto amounts = intsOf(pad.getInput(1));
  if (!amounts || int64_t(amounts->size()) != 2 * rank)
    return failure();
  for (int64_t i : {int64_t(0), int64_t(1), rank, rank + 1})
    if ((*amounts)[i] != 0)
      return failure();
  int64_t n = rank - 2;
  SmallVector<int64_t> pads =
      node.getInts("pads").value_or(SmallVector<int64_t>(2 * n, 0));
  for (int64_t i = 0; i < n; ++i) {
    pads[i] += (*amounts)[2 + i];
    pads[n + i] += (*amounts)[rank + 2 + i];
    if ((*amounts)[2 + i] < 0 || (*amounts)[rank + 2 + i] < 0)
      return failure();
  }
  // A pool's padding is less than its window.
  if (isMax || node.isOp("AveragePool")) {
    auto kernel = node.getInts("kernel_shape");
    for (int64_t i = 0; i < 2 * n; ++i)
      if (!kernel || pads[i] >= (*kernel)[i % n])
        return failure();
  }
  NodeBuilder make(rewriter, node);
  remarkDone(pad.getLoc(), "dlc-fold-pads")
      << "folded into '" << getNodeName(node.getLoc()) << "'";
  SmallVector<Value> operands(node.getOperands());
  operands[0] = pad.getOperand(0);
  make.replace(node.getOpType(), operands,
               withAttributes(node, make.attr("pads", ArrayRef(pads))));
  return success();
}

namespace {

struct FoldPadsPass : dlc::impl::FoldPadsBase<FoldPadsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<foldPad>>(&getContext(), "Conv");
    patterns.add<FunctionPattern<foldPad>>(&getContext(), "AveragePool");
    patterns.add<FunctionPattern<foldPad>>(&getContext(), "MaxPool");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
