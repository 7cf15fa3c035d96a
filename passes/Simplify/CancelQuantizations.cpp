// Removes pairs of quantizations that only carry a tensor along.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CANCELQUANTIZATIONS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-cancel-quantizations";

static bool areSame(Value a, Value b) {
  if (a == b)
    return true;
  auto x = a ? numberOf(a) : std::nullopt, y = b ? numberOf(b) : std::nullopt;
  return x && y && *x == *y && a.getType() == b.getType();
}

/// Whether two nodes quantize and dequantize alike, with one step for all of
/// the tensor; and what is quantized has the type of what comes out.
static bool areInverse(onnx::NodeOp first, onnx::NodeOp second) {
  for (onnx::NodeOp node : {first, second}) {
    auto shape = sizesOf(node.getOperand(1));
    if (!shape || ShapedType::getNumElements(*shape) != 1)
      return false;
  }
  return areSame(first.getOperand(1), second.getOperand(1)) &&
         areSame(first.getInput(2), second.getInput(2)) &&
         getElementTypeOrSelf(first.getOperand(0).getType()) ==
             getElementTypeOrSelf(second.getResult(0).getType());
}

/// Nodes that move elements, and compute nothing: they do it to integers, too.
static bool movesElements(onnx::NodeOp node) {
  return node && node.getDomain().empty() && node.getNumResults() == 1 &&
         llvm::is_contained({"Reshape", "Flatten", "Squeeze", "Unsqueeze",
                             "Transpose", "Slice", "Gather", "Identity"},
                            node.getOpType());
}

/// QuantizeLinear(DequantizeLinear(q)) as q, with nodes between them that move
/// elements.
static LogicalResult cancel(onnx::NodeOp quantize, PatternRewriter &rewriter) {
  Value x = quantize.getOperand(0);
  SmallVector<onnx::NodeOp> between;
  while (x.hasOneUse()) {
    auto node = x.getDefiningOp<onnx::NodeOp>();
    if (!movesElements(node))
      break;
    between.push_back(node);
    x = node.getOperand(0);
  }
  // What else uses the numbers needs them as they are.
  onnx::NodeOp dequantize = producerOf(x, "DequantizeLinear");
  if (!dequantize || (!between.empty() && !x.hasOneUse()))
    return failure();
  if (!areInverse(dequantize, quantize))
    return rewriter.notifyMatchFailure(quantize, "another step");
  Value value = dequantize.getOperand(0);
  Type element = getElementTypeOrSelf(value.getType());
  bool isByte = element.isInteger(8);
  // Numbers of 16 bits do not come back from floats as narrow; and not every
  // engine moves those of 4 bits.
  if (!isByte &&
      (!between.empty() || !getElementTypeOrSelf(x.getType()).isF32()))
    return rewriter.notifyMatchFailure(quantize, "no bytes");
  remarkDone(quantize.getLoc(), kPass)
      << "cancelled with '" << getNodeName(dequantize.getLoc()) << "'";
  if (between.empty()) {
    rewriter.replaceOp(quantize, value);
    return success();
  }
  NodeBuilder make(rewriter, quantize);
  for (onnx::NodeOp node : llvm::reverse(between)) {
    auto type = dyn_cast<ShapedType>(node.getResult(0).getType());
    SmallVector<Value> operands(node.getOperands());
    operands[0] = value;
    if (node == between.front()) {
      Location loc = node.getLoc();
      make.replace(node.getOpType(), operands, withAttributes(node, {}))
          ->setLoc(loc);
      return success();
    }
    value = make.make(node.getOpType(), operands, type.clone(element), "moved",
                      withAttributes(node, {}));
    value.getDefiningOp()->setLoc(node.getLoc());
  }
  return success();
}

namespace {

struct CancelQuantizationsPass
    : dlc::impl::CancelQuantizationsBase<CancelQuantizationsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<cancel>>(&getContext(), "QuantizeLinear");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
