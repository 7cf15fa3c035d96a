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

/// Nodes of one operand that move elements or choose among them: they do it to
/// integers, too, since a step is positive.
static bool movesElements(onnx::NodeOp node) {
  if (!node || !node.getDomain().empty() || node.getNumResults() != 1)
    return false;
  if (node.isOp("Resize"))
    return node.getString("mode", "nearest") == "nearest" &&
           node.getString("coordinate_transformation_mode", "half_pixel") !=
               "tf_crop_and_resize";
  if (node.isOp("Pad"))
    return node.getString("mode", "constant") != "constant" ||
           (node.getNumOperands() < 3 || !node.getInput(2) ||
            isNumber(node.getInput(2), 0));
  return llvm::is_contained(
      {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice",
       "Gather", "GatherElements", "GatherND", "Expand", "Tile", "Identity",
       "DepthToSpace", "SpaceToDepth", "MaxPool", "ReduceMax", "ReduceMin"},
      node.getOpType());
}

/// Relu leaves everything as it is where 0 is the lowest integer.
static bool isEmptyRelu(onnx::NodeOp node, onnx::NodeOp quantize) {
  auto type = dyn_cast<IntegerType>(
      getElementTypeOrSelf(quantize.getResult(0).getType()));
  if (!node || !node.getDomain().empty() || !node.isOp("Relu") || !type)
    return false;
  Value zero = quantize.getInput(2);
  return type.isUnsigned()
             ? !zero || isNumber(zero, 0)
             : zero && isNumber(zero, llvm::minIntN(type.getWidth()));
}

/// Whether a type is one of bytes: numbers of 16 bits do not come back from
/// floats as narrow, and not every engine moves those of 4 bits.
static bool isByte(Value value) {
  return getElementTypeOrSelf(value.getType()).isInteger(8);
}

/// What a node that moves numbers takes of integers in their place.
static SmallVector<Value> operandsOf(onnx::NodeOp node, Value integers,
                                     Value zero) {
  SmallVector<Value> operands(node.getOperands());
  operands[0] = integers;
  // What is put around them is 0.
  if (node.isOp("Pad") && node.getString("mode", "constant") == "constant" &&
      zero) {
    while (operands.size() < 3)
      operands.push_back(zero);
    operands[2] = zero;
  }
  return operands;
}

/// QuantizeLinear(DequantizeLinear(q)) as q, with nodes between them that move
/// elements.
static LogicalResult cancel(onnx::NodeOp quantize, PatternRewriter &rewriter) {
  Value x = quantize.getOperand(0);
  SmallVector<onnx::NodeOp> between;
  bool dropped = false;
  while (x.hasOneUse()) {
    auto node = x.getDefiningOp<onnx::NodeOp>();
    if (movesElements(node))
      between.push_back(node);
    else if (!isEmptyRelu(node, quantize))
      break;
    else
      dropped = true;
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
  if (!isByte(value) && (!between.empty() || dropped ||
                         !getElementTypeOrSelf(x.getType()).isF32()))
    return rewriter.notifyMatchFailure(quantize, "no bytes");
  Value zero = quantize.getInput(2);
  if (zero && tensorOf(zero).getRank() != 0 &&
      llvm::any_of(between, [](onnx::NodeOp node) { return node.isOp("Pad"); }))
    return rewriter.notifyMatchFailure(quantize, "zero is no scalar");
  remarkDone(quantize.getLoc(), kPass)
      << "cancelled with '" << getNodeName(dequantize.getLoc()) << "'";
  if (between.empty()) {
    rewriter.replaceOp(quantize, value);
    return success();
  }
  NodeBuilder make(rewriter, quantize);
  for (onnx::NodeOp node : llvm::reverse(between)) {
    auto type = dyn_cast<ShapedType>(node.getResult(0).getType());
    SmallVector<Value> operands = operandsOf(node, value, zero);
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

/// QuantizeLinear(Concat(DequantizeLinear(a), DequantizeLinear(b))) as
/// Concat(a, b).
static LogicalResult cancelConcat(onnx::NodeOp quantize,
                                  PatternRewriter &rewriter) {
  onnx::NodeOp concat = soleProducerOf(quantize.getOperand(0), "Concat");
  if (!concat)
    return failure();
  SmallVector<Value> integers;
  for (Value part : concat.getOperands()) {
    onnx::NodeOp dequantize = producerOf(part, "DequantizeLinear");
    if (!dequantize || !areInverse(dequantize, quantize) ||
        !isByte(dequantize.getOperand(0)))
      return rewriter.notifyMatchFailure(quantize, "parts of another step");
    integers.push_back(dequantize.getOperand(0));
  }
  remarkDone(quantize.getLoc(), kPass)
      << "joins '" << getNodeName(concat.getLoc()) << "' of integers";
  NodeBuilder make(rewriter, quantize);
  make.replace("Concat", integers, withAttributes(concat, {}))
      ->setLoc(concat.getLoc());
  return success();
}

/// Split(DequantizeLinear(q)), of which all parts are quantized alike, as
/// Split(q).
static LogicalResult cancelSplit(onnx::NodeOp split,
                                 PatternRewriter &rewriter) {
  onnx::NodeOp dequantize =
      soleProducerOf(split.getOperand(0), "DequantizeLinear");
  if (!dequantize || !isByte(dequantize.getOperand(0)))
    return failure();
  SmallVector<onnx::NodeOp> quantizes;
  SmallVector<Type> types;
  for (Value part : split.getResults()) {
    auto type = dyn_cast<ShapedType>(part.getType());
    if (!type)
      return failure();
    types.push_back(
        type.clone(getElementTypeOrSelf(dequantize.getOperand(0).getType())));
    for (Operation *user : part.getUsers()) {
      auto quantize = dyn_cast<onnx::NodeOp>(user);
      if (!quantize || !quantize.isOp("QuantizeLinear") ||
          !quantize.getDomain().empty() || quantize.getOperand(0) != part ||
          !areInverse(dequantize, quantize))
        return rewriter.notifyMatchFailure(split, "parts of another step");
      quantizes.push_back(quantize);
    }
  }
  remarkDone(split.getLoc(), kPass) << "splits integers";
  NodeBuilder make(rewriter, split);
  SmallVector<Value> operands(split.getOperands());
  operands[0] = dequantize.getOperand(0);
  onnx::NodeOp integers = make.makeMany("Split", operands, types, "integers",
                                        withAttributes(split, {}));
  integers->setLoc(split.getLoc());
  for (onnx::NodeOp quantize : quantizes) {
    unsigned part = cast<OpResult>(quantize.getOperand(0)).getResultNumber();
    rewriter.replaceOp(quantize, integers.getResult(part));
  }
  return success();
}

namespace {

struct CancelQuantizationsPass
    : dlc::impl::CancelQuantizationsBase<CancelQuantizationsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<cancel>, FunctionPattern<cancelConcat>>(
        &getContext(), "QuantizeLinear");
    patterns.add<FunctionPattern<cancelSplit>>(&getContext(), "Split");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
