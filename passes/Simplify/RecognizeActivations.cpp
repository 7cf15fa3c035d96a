// Finds activations that exporters write as several nodes.

#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Products.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZEACTIVATIONS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-activations";

static void tell(onnx::NodeOp node, StringRef what) {
  remarkDone(node.getLoc(), kPass) << "is " << what;
}

// Why nodes stay that look like an activation.
static constexpr char kWide[] =
    "ONNX Runtime has no such activation of float64";
static constexpr char kOther[] = "the numbers are not those of an activation";
static constexpr char kOlder[] =
    "the operator set that is written has no such activation";

/// Whether replacing `node` by a function of `x` keeps its type.
static bool hasTypeOf(onnx::NodeOp node, Value x) {
  return x && tensorOf(x) && node.getResult(0).getType() == x.getType() &&
         isFloat(x);
}

/// The same for operators that ONNX Runtime has of narrower types only.
static bool hasNarrowTypeOf(onnx::NodeOp node, Value x) {
  return hasTypeOf(node, x) && !getElementTypeOrSelf(x.getType()).isF64();
}

//===----------------------------------------------------------------------===//
// GELU
//===----------------------------------------------------------------------===//

/// x of 1 + erf(x / sqrt(2)).
static Value readErfGate(Value gate) {
  onnx::NodeOp erf = producerOf(readSum(gate, 1), "Erf");
  if (!erf)
    return {};
  Product scaled = readProduct(erf.getOperand(0), /*isRoot=*/true);
  return scaled.factors.size() == 1 && isNear(scaled.number, M_SQRT1_2, gate)
             ? scaled.factors[0]
             : Value();
}

/// Whether `value` is 0.044715 times so many x.
static bool isCubicTerm(Value value, Value x, unsigned count) {
  Product term = readProduct(value, /*isRoot=*/true);
  return term.factors.size() == count && isNear(term.number, 0.044715, x) &&
         llvm::all_of(term.factors, [&](Value f) { return f == x; });
}

/// Whether `gate` is 1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), or has
/// x * (1 + 0.044715 x^2) in it.
static bool isTanhGate(Value gate, Value x) {
  onnx::NodeOp tanh = producerOf(readSum(gate, 1), "Tanh");
  if (!tanh)
    return false;
  Product inner = readProduct(tanh.getOperand(0), /*isRoot=*/true);
  if (!isNear(inner.number, std::sqrt(M_2_PI), x))
    return false;
  if (Value sum = inner.beside(x)) {
    Value term = readSum(sum, 1);
    return term && isCubicTerm(term, x, 2);
  }
  if (inner.factors.size() != 1)
    return false;
  onnx::NodeOp add = producerOf(inner.factors[0], "Add");
  if (!add)
    return false;
  return (add.getOperand(0) == x && isCubicTerm(add.getOperand(1), x, 3)) ||
         (add.getOperand(1) == x && isCubicTerm(add.getOperand(0), x, 3));
}

namespace {

struct MakeGelu : NodePattern {
  MakeGelu(MLIRContext *context, StringRef op, int64_t opset)
      : NodePattern(context, op, /*benefit=*/2), opset(opset) {}

  LogicalResult rewrite(onnx::NodeOp node,
                        PatternRewriter &rewriter) const override {
    Product product = readProduct(node.getResult(0), /*isRoot=*/true);
    if (product.factors.size() != 2)
      return failure();
    for (unsigned i : {0, 1}) {
      Value x = product.factors[i], gate = product.factors[1 - i];
      bool isErf = readErfGate(gate) == x;
      if (!hasTypeOf(node, x) || (!isErf && !isTanhGate(gate, x)))
        continue;
      if (!isNear(product.number, 0.5, node.getResult(0)))
        return rewriter.notifyMatchFailure(node, kOther);
      if (opset < 20)
        return rewriter.notifyMatchFailure(node, kOlder);
      tell(node, "Gelu");
      NodeBuilder make(rewriter, node);
      SmallVector<NamedAttribute> attributes;
      if (!isErf)
        attributes.push_back(make.attr("approximate", StringRef("tanh")));
      make.replace("Gelu", x, attributes);
      return success();
    }
    return failure();
  }

  int64_t opset;
};

} // namespace

//===----------------------------------------------------------------------===//
// Gates of sigmoids
//===----------------------------------------------------------------------===//

/// Whether `value` is the lower and upper bound of a Clip.
static bool isClip(onnx::NodeOp clip, double low, double high) {
  return clip && clip.getInput(1) && isNumber(clip.getInput(1), low) &&
         clip.getInput(2) && isNumber(clip.getInput(2), high);
}

/// x of min(max(x + 3, 0), 6).
static Value readRelu6(Value value) {
  onnx::NodeOp clip = producerOf(value, "Clip");
  return isClip(clip, 0, 6) ? readSum(clip.getOperand(0), 3) : Value();
}

namespace {

struct MakeGates : NodePattern {
  MakeGates(MLIRContext *context, StringRef op, int64_t opset)
      : NodePattern(context, op), opset(opset) {}

  LogicalResult rewrite(onnx::NodeOp node,
                        PatternRewriter &rewriter) const override {
    Product product = readProduct(node.getResult(0), /*isRoot=*/true);
    NodeBuilder make(rewriter, node);
    if (product.factors.size() == 1 &&
        isNear(product.number, 1. / 6, node.getResult(0)))
      if (Value x = readRelu6(product.factors[0]); hasTypeOf(node, x)) {
        if (!hasNarrowTypeOf(node, x))
          return rewriter.notifyMatchFailure(node, kWide);
        tell(node, "HardSigmoid");
        make.replace("HardSigmoid", x,
                     {make.attr("alpha", 1. / 6), make.attr("beta", 0.5)});
        return success();
      }
    if (product.factors.size() != 2)
      return failure();
    for (unsigned i : {0, 1}) {
      Value x = product.factors[i], gate = product.factors[1 - i];
      if (!hasTypeOf(node, x))
        continue;
      // The operator, and the first set that has it.
      auto become = [&](StringRef op, int64_t since, bool isNarrow,
                        ArrayRef<NamedAttribute> attributes) {
        if (opset < since)
          return rewriter.notifyMatchFailure(node, kOlder);
        if (isNarrow && !hasNarrowTypeOf(node, x))
          return rewriter.notifyMatchFailure(node, kWide);
        tell(node, op);
        make.replace(op, x, attributes);
        return success();
      };
      auto hard = producerOf(gate, "HardSigmoid");
      if (hard && hard.getOperand(0) == x && product.number == 1) {
        if (!isNear(hard.getFloat("alpha", 0.2), 1. / 6, x) ||
            !isNear(hard.getFloat("beta", 0.5), 0.5, x))
          return rewriter.notifyMatchFailure(node, kOther);
        return become("HardSwish", 14, true, {});
      }
      if (readRelu6(gate) == x) {
        if (!isNear(product.number, 1. / 6, x))
          return rewriter.notifyMatchFailure(node, kOther);
        return become("HardSwish", 14, true, {});
      }
      if (product.number != 1)
        continue;
      if (auto tanh = producerOf(gate, "Tanh"))
        if (auto plus = producerOf(tanh.getOperand(0), "Softplus");
            plus && plus.getOperand(0) == x)
          return become("Mish", 18, true, {});
      if (auto sigmoid = producerOf(gate, "Sigmoid")) {
        Product inner = readProduct(sigmoid.getOperand(0), /*isRoot=*/false);
        double alpha = sigmoid.getOperand(0) == x ? 1
                       : inner.isOf({x})          ? inner.number
                                                  : 0;
        if (alpha != 0)
          return become("Swish", 24, false, make.attr("alpha", alpha));
      }
    }
    return failure();
  }

  int64_t opset;
};

} // namespace

//===----------------------------------------------------------------------===//
// Softplus, Sigmoid, Relu
//===----------------------------------------------------------------------===//

/// log(exp(x) + 1).
static LogicalResult makeSoftplus(onnx::NodeOp node,
                                  PatternRewriter &rewriter) {
  onnx::NodeOp exp = producerOf(readSum(node.getOperand(0), 1), "Exp");
  if (!exp || !hasTypeOf(node, exp.getOperand(0)))
    return failure();
  if (!hasNarrowTypeOf(node, exp.getOperand(0)))
    return rewriter.notifyMatchFailure(node, kWide);
  tell(node, "Softplus");
  NodeBuilder(rewriter, node).replace("Softplus", exp.getOperand(0));
  return success();
}

/// max(x, 0) + log(1 + exp(-|x|)), the form that does not overflow.
static LogicalResult makeStableSoftplus(onnx::NodeOp node,
                                        PatternRewriter &rewriter) {
  for (unsigned i : {0, 1}) {
    onnx::NodeOp relu = producerOf(node.getOperand(i), "Relu");
    onnx::NodeOp plus = producerOf(node.getOperand(1 - i), "Softplus");
    onnx::NodeOp neg = plus ? producerOf(plus.getOperand(0), "Neg") : plus;
    onnx::NodeOp abs = neg ? producerOf(neg.getOperand(0), "Abs") : neg;
    if (!relu || !abs || relu.getOperand(0) != abs.getOperand(0) ||
        !hasNarrowTypeOf(node, relu.getOperand(0)))
      continue;
    tell(node, "Softplus");
    NodeBuilder(rewriter, node).replace("Softplus", relu.getOperand(0));
    return success();
  }
  return failure();
}

/// -log(sigmoid(-x)).
static LogicalResult makeSoftplusOfSigmoid(onnx::NodeOp node,
                                           PatternRewriter &rewriter) {
  onnx::NodeOp log = producerOf(node.getOperand(0), "Log");
  onnx::NodeOp gate = log ? producerOf(log.getOperand(0), "Sigmoid") : log;
  onnx::NodeOp neg = gate ? producerOf(gate.getOperand(0), "Neg") : gate;
  if (!neg || !hasNarrowTypeOf(node, neg.getOperand(0)))
    return failure();
  tell(node, "Softplus");
  NodeBuilder(rewriter, node).replace("Softplus", neg.getOperand(0));
  return success();
}

/// Where(x > 20, x, softplus(x)) as softplus(x), and the same of a multiple of
/// x that is divided again: torch's form with its beta and threshold.
static LogicalResult dropThreshold(onnx::NodeOp node,
                                   PatternRewriter &rewriter) {
  Value x = node.getOperand(1), result = node.getOperand(2);
  onnx::NodeOp greater = producerOf(node.getOperand(0), "Greater");
  auto threshold = greater ? numberOf(greater.getOperand(1)) : std::nullopt;
  if (!threshold || !hasNarrowTypeOf(node, x))
    return failure();
  Product product = readProduct(result, /*isRoot=*/true);
  onnx::NodeOp plus = product.factors.size() == 1
                          ? producerOf(product.factors[0], "Softplus")
                          : onnx::NodeOp();
  if (!plus || plus.getOperand(0) != greater.getOperand(0) ||
      result.getType() != x.getType())
    return failure();
  Product inner = readProduct(plus.getOperand(0), /*isRoot=*/true);
  bool isSame = plus.getOperand(0) == x;
  if (!(isSame && product.number == 1) &&
      !(inner.isOf({x}) && inner.number > 0 &&
        isNear(product.number * inner.number, 1, x)))
    return failure();
  // Behind exp(-17) there is no digit of a float32 left.
  if (*threshold < 17)
    return rewriter.notifyMatchFailure(
        node, "below that threshold, a softplus is not yet its argument");
  tell(node, "Softplus");
  rewriter.replaceOp(node, result);
  return success();
}

/// 1 / (1 + exp(-x)).
static LogicalResult makeSigmoid(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value divisor = node.getOperand(0);
  if (node.isOp("Div")) {
    if (!isNumber(node.getOperand(0), 1))
      return failure();
    divisor = node.getOperand(1);
  }
  onnx::NodeOp exp = producerOf(readSum(divisor, 1), "Exp");
  onnx::NodeOp neg = exp ? producerOf(exp.getOperand(0), "Neg") : exp;
  if (!neg || !hasTypeOf(node, neg.getOperand(0)))
    return failure();
  tell(node, "Sigmoid");
  NodeBuilder(rewriter, node).replace("Sigmoid", neg.getOperand(0));
  return success();
}

/// Clip from 0, and the maximum with 0.
static LogicalResult makeRelu(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value x = node.getOperand(0);
  if (node.isOp("Clip")) {
    if (node.getInput(2) || !node.getInput(1) || !isNumber(node.getInput(1), 0))
      return failure();
  } else {
    if (node.getNumOperands() != 2)
      return failure();
    if (isNumber(x, 0))
      x = node.getOperand(1);
    else if (!isNumber(node.getOperand(1), 0))
      return failure();
  }
  if (!hasTypeOf(node, x))
    return failure();
  tell(node, "Relu");
  NodeBuilder(rewriter, node).replace("Relu", x);
  return success();
}

/// Relu of what is not negative.
static LogicalResult dropRelu(onnx::NodeOp node, PatternRewriter &rewriter) {
  auto inner = node.getOperand(0).getDefiningOp<onnx::NodeOp>();
  if (!inner || !inner.getDomain().empty() ||
      !llvm::is_contained({"Relu", "Sigmoid", "Softmax", "Exp", "Abs",
                           "HardSigmoid", "Softplus"},
                          inner.getOpType()))
    return failure();
  remarkDone(node.getLoc(), kPass) << "nothing below 0 comes into it";
  rewriter.replaceOp(node, node.getOperand(0));
  return success();
}

namespace {

struct RecognizeActivationsPass
    : dlc::impl::RecognizeActivationsBase<RecognizeActivationsPass> {
  using RecognizeActivationsBase::RecognizeActivationsBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    for (StringRef op : {"Mul", "Div"}) {
      patterns.add<MakeGelu>(context, op, opset);
      patterns.add<MakeGates>(context, op, opset);
    }
    patterns.add<FunctionPattern<makeSigmoid>>(context, "Div");
    patterns.add<FunctionPattern<makeSigmoid>>(context, "Reciprocal");
    patterns.add<FunctionPattern<makeSoftplus>>(context, "Log");
    patterns.add<FunctionPattern<makeStableSoftplus>>(context, "Add");
    patterns.add<FunctionPattern<makeSoftplusOfSigmoid>>(context, "Neg");
    patterns.add<FunctionPattern<dropThreshold>>(context, "Where");
    patterns.add<FunctionPattern<makeRelu>>(context, "Clip");
    patterns.add<FunctionPattern<makeRelu>>(context, "Max");
    patterns.add<FunctionPattern<dropRelu>>(context, "Relu");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
