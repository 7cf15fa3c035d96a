// Moves transposes behind elementwise operators, where they meet and cancel.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SINKNODETRANSPOSES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static bool isUnary(onnx::NodeOp node) {
  return llvm::is_contained(
      {"Relu", "Sigmoid", "Tanh",  "Erf",       "Sqrt",        "Exp",
       "Neg",  "Abs",     "Gelu",  "HardSwish", "HardSigmoid", "LeakyRelu",
       "Clip", "Cast",    "Swish", "Mish",      "Softplus",    "Elu",
       "Log",  "Floor",   "Not"},
      node.getOpType());
}

static bool isBinary(onnx::NodeOp node) {
  return llvm::is_contained({"Add", "Sub", "Mul", "Div", "Pow", "And", "Or"},
                            node.getOpType());
}

static RankedTensorType undo(RankedTensorType type,
                             ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> shape(permutation.size());
  for (auto [i, axis] : llvm::enumerate(permutation))
    shape[axis] = type.getDimSize(i);
  return type.clone(shape);
}

namespace {

/// Relu(Transpose(x)) as Transpose(Relu(x)), and operators of two tensors that
/// are transposed alike, or of which one has one element.
struct SinkTranspose : OpRewritePattern<onnx::NodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(onnx::NodeOp node,
                                PatternRewriter &rewriter) const override {
    bool isOfOne = isUnary(node);
    RankedTensorType type =
        node.getNumResults() == 1 ? tensorOf(node.getResult(0)) : nullptr;
    if (!node.getDomain().empty() || !type || (!isOfOne && !isBinary(node)))
      return failure();
    if (llvm::none_of(
            node.getOperands().take_front(isOfOne ? 1 : 2),
            [](Value operand) { return soleProducerOf(operand, "Transpose"); }))
      return failure();
    DenseI64ArrayAttr permutation;
    SmallVector<Value> operands(node.getOperands());
    for (auto [i, operand] : llvm::enumerate(operands)) {
      if (isOfOne && i > 0)
        break;
      if (onnx::NodeOp transpose = soleProducerOf(operand, "Transpose")) {
        auto found = dyn_cast_or_null<DenseI64ArrayAttr>(
            transpose.getOnnxAttribute("perm"));
        if (!found || found.size() != type.getRank())
          return failure();
        if (permutation && permutation != found)
          return rewriter.notifyMatchFailure(
              node, "its operands are transposed in different ways");
        permutation = found;
        operand = transpose.getOperand(0);
      } else {
        RankedTensorType other = tensorOf(operand);
        if (!other || !other.hasStaticShape() || other.getNumElements() != 1 ||
            other.getRank() > type.getRank())
          return rewriter.notifyMatchFailure(
              node, "an operand is neither transposed for it alone nor one "
                    "number");
      }
    }
    // A sum of a transposed tensor and a number: no transpose comes or goes.
    if (!permutation)
      return failure();
    remarkDone(node.getLoc(), "dlc-sink-node-transposes")
        << "runs in front of the transposition";
    NodeBuilder make(rewriter, node);
    Value result = make.make(
        node.getOpType(), operands, undo(type, permutation.asArrayRef()),
        node.getOpType().lower(), withAttributes(node, {}));
    make.replace("Transpose", result, make.b.getNamedAttr("perm", permutation));
    return success();
  }
};

struct SinkNodeTransposesPass
    : dlc::impl::SinkNodeTransposesBase<SinkNodeTransposesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkTranspose>(&getContext());
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
