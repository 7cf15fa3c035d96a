// Folds scales and shifts by constants, batch normalisation among them, into
// the weights of what they stand behind or in front of.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDAFFINE
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-affine";

//===----------------------------------------------------------------------===//
// Behind a contraction
//===----------------------------------------------------------------------===//

/// Affine(Conv(x, w, b)) as Conv(x, w * scale, b * scale + shift).
static LogicalResult behindConv(onnx::NodeOp node, onnx::NodeOp conv,
                                PatternRewriter &rewriter) {
  bool isTransposed = conv.isOp("ConvTranspose");
  Value weights = conv.getOperand(1), bias = conv.getInput(2);
  auto shape = sizesOf(weights);
  if (!isConstantTree(weights) || !shape || (bias && !isConstantTree(bias)))
    return rewriter.notifyMatchFailure(node, "weights are not constant");
  int64_t group = conv.getInt("group", 1);
  int64_t size = isTransposed ? (*shape)[1] * group : (*shape)[0];
  if (!isAffine(node, 1, size))
    return failure();
  Weights make(rewriter, node);
  Affine affine = readAffine(make, node);
  if (affine.scale) {
    // The outputs: [M, ...], and of groups [group, inputs, M / group, ...].
    int64_t count = tensorOf(affine.scale).getNumElements();
    SmallVector<int64_t> apart(*shape);
    if (isTransposed)
      apart.insert(apart.begin(), group), apart[1] /= group;
    SmallVector<int64_t> along(apart.size(), 1);
    if (count != 1 && isTransposed)
      along[0] = group, along[2] = count / group;
    else if (count != 1)
      along[0] = count;
    weights = make.reshape(make.binary("Mul", make.reshape(weights, apart),
                                       make.reshape(affine.scale, along)),
                           *shape);
  }
  SmallVector<Value> operands = {conv.getOperand(0), weights};
  if (Value folded = foldBias(make, bias, affine, size))
    operands.push_back(folded);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(conv.getLoc()) << "'";
  // The name of the convolution tells more than that of what follows.
  Location loc = conv.getLoc();
  onnx::NodeOp folded =
      make.replace(conv.getOpType(), operands, withAttributes(conv, {}));
  folded->setLoc(loc);
  return success();
}

/// The same of Gemm, whose weights have the axis of the result first or last.
static LogicalResult behindGemm(onnx::NodeOp node, onnx::NodeOp gemm,
                                PatternRewriter &rewriter) {
  Value weights = gemm.getOperand(1), bias = gemm.getInput(2);
  auto shape = sizesOf(weights);
  if (!isConstantTree(weights) || !shape || (bias && !isConstantTree(bias)) ||
      (bias && gemm.getFloat("beta", 1) != 1))
    return rewriter.notifyMatchFailure(node, "weights are not constant");
  bool isTransposed = gemm.getInt("transB", 0);
  int64_t size = (*shape)[isTransposed ? 0 : 1];
  if (bias && !isVector(bias, 2, 1, size))
    return rewriter.notifyMatchFailure(node, "a bias of rows");
  if (!isAffine(node, 1, size))
    return failure();
  Weights make(rewriter, node);
  if (bias)
    bias = toVector(make, bias);
  Affine affine = readAffine(make, node);
  if (affine.scale) {
    int64_t count = tensorOf(affine.scale).getNumElements();
    SmallVector<int64_t> along = {1, 1};
    along[isTransposed ? 0 : 1] = count;
    weights = make.binary("Mul", weights, make.reshape(affine.scale, along));
  }
  SmallVector<Value> operands = {gemm.getOperand(0), weights};
  if (Value folded = foldBias(make, bias, affine, size))
    operands.push_back(folded);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(gemm.getLoc()) << "'";
  Location loc = gemm.getLoc();
  // Without a bias beta may have been anything.
  onnx::NodeOp folded = make.replace(
      "Gemm", operands, withAttributes(gemm, {}, StringRef("beta")));
  folded->setLoc(loc);
  return success();
}

/// MatMul(x, w) * scale as MatMul(x, w * scale); BatchNormalization of a matrix
/// makes Gemm of it.
static LogicalResult behindMatMul(onnx::NodeOp node, onnx::NodeOp matmul,
                                  PatternRewriter &rewriter) {
  Value weights = matmul.getOperand(1);
  auto shape = sizesOf(weights);
  if (!isConstantTree(weights) || !shape || shape->size() != 2 ||
      rankOf(matmul.getResult(0)) < 2)
    return failure();
  bool hasShift = !node.isOp("Mul") && !node.isOp("Div");
  bool isMatrix = rankOf(matmul.getOperand(0)) == 2;
  if (hasShift && !(isMatrix && node.isOp("BatchNormalization")))
    return rewriter.notifyMatchFailure(node, "no place for a shift");
  if (!isAffine(node, rankOf(matmul.getResult(0)) - 1, (*shape)[1]))
    return failure();
  Weights make(rewriter, node);
  Affine affine = readAffine(make, node);
  weights = make.binary("Mul", weights, affine.scale);
  SmallVector<Value> operands = {matmul.getOperand(0), weights};
  if (affine.shift)
    operands.push_back(foldBias(make, {}, affine, (*shape)[1]));
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(matmul.getLoc()) << "'";
  Location loc = matmul.getLoc();
  make.replace(affine.shift ? "Gemm" : "MatMul", operands)->setLoc(loc);
  return success();
}

/// (MatMul(x, w) + b) * scale as MatMul(x, w * scale) + b * scale.
static LogicalResult behindBias(onnx::NodeOp node, onnx::NodeOp add,
                                PatternRewriter &rewriter) {
  Value product = variableOf(add);
  onnx::NodeOp matmul = soleProducerOf(product, "MatMul");
  auto shape = matmul ? sizesOf(matmul.getOperand(1)) : std::nullopt;
  int64_t rank = rankOf(product);
  if (!shape || shape->size() != 2 || rank < 2 ||
      !isConstantTree(matmul.getOperand(1)) ||
      !isAffine(add, rank - 1, (*shape)[1]) ||
      !isAffine(node, rank - 1, (*shape)[1]))
    return failure();
  Weights make(rewriter, node);
  Affine affine = readAffine(make, node);
  Value weights = make.binary("Mul", matmul.getOperand(1), affine.scale);
  Value bias = make.binary("Mul", toVector(make, otherOperand(add, product)),
                           affine.scale);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(matmul.getLoc()) << "'";
  Value scaled = make.make("MatMul", {matmul.getOperand(0), weights},
                           product.getType(), "scaled");
  scaled.getDefiningOp()->setLoc(matmul.getLoc());
  Location loc = add.getLoc();
  make.replace("Add", {scaled, bias})->setLoc(loc);
  return success();
}

static LogicalResult foldBehind(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value x = variableOf(node);
  if (!x || !x.hasOneUse() || !isFloat(x))
    return failure();
  if (auto conv = soleProducerOf(x, "Conv"))
    return behindConv(node, conv, rewriter);
  if (auto conv = soleProducerOf(x, "ConvTranspose"))
    return behindConv(node, conv, rewriter);
  if (auto gemm = soleProducerOf(x, "Gemm"))
    return behindGemm(node, gemm, rewriter);
  if (auto matmul = soleProducerOf(x, "MatMul"))
    return behindMatMul(node, matmul, rewriter);
  if (auto add = soleProducerOf(x, "Add"); add && variableOf(add))
    if (node.isOp("Mul") || node.isOp("Div"))
      return behindBias(node, add, rewriter);
  return failure();
}

//===----------------------------------------------------------------------===//
// Behind another one
//===----------------------------------------------------------------------===//

/// Affine(Affine(x)) as one BatchNormalization of mean 0 and variance 1: the
/// form of what is trained as that and exported as scale and shift.
static LogicalResult mergeAffines(onnx::NodeOp node,
                                  PatternRewriter &rewriter) {
  Value middle = variableOf(node);
  RankedTensorType type = tensorOf(middle);
  if (!type || type.getRank() < 3 || type.isDynamicDim(1) || !isFloat(middle) ||
      !middle.hasOneUse())
    return failure();
  auto inner = middle.getDefiningOp<onnx::NodeOp>();
  if (!inner || !inner.getDomain().empty() || inner.getResult(0) != middle ||
      !llvm::is_contained({"Mul", "Div", "Add", "Sub", "BatchNormalization"},
                          inner.getOpType()) ||
      !variableOf(inner))
    return failure();
  // Two numbers are merged elsewhere, and are no normalisation.
  auto isOverChannels = [](onnx::NodeOp op) {
    if (op.isOp("BatchNormalization"))
      return true;
    Value constant = otherOperand(op, variableOf(op));
    auto shape = sizesOf(constant);
    return shape && ShapedType::getNumElements(*shape) > 1;
  };
  if (!isOverChannels(node) && !isOverChannels(inner))
    return failure();
  int64_t size = type.getDimSize(1);
  if (!isAffine(inner, 1, size) || !isAffine(node, 1, size))
    return failure();
  Weights make(rewriter, node);
  Affine first = readAffine(make, inner), second = readAffine(make, node);
  Type element = type.getElementType();
  auto full = [&](double value) {
    return make.number(value, element, "full", {size});
  };
  Value scale = full(1);
  for (const Affine *affine : {&first, &second})
    if (affine->scale)
      scale = make.binary("Mul", scale, affine->scale);
  Value shift = foldBias(make, full(0), first, size);
  shift = foldBias(make, shift, second, size);
  Value x = first.x;
  remarkDone(node.getLoc(), kPass)
      << "joined with '" << getNodeName(inner.getLoc()) << "'";
  make.replace("BatchNormalization", {x, scale, shift, full(0), full(1)},
               make.attr("epsilon", 0.0));
  return success();
}

//===----------------------------------------------------------------------===//
// Sums of matrices
//===----------------------------------------------------------------------===//

/// MatMul(x, w) + b of matrices as Gemm(x, w, b).
static LogicalResult makeGemm(onnx::NodeOp add, PatternRewriter &rewriter) {
  for (unsigned i : {0, 1}) {
    onnx::NodeOp matmul = soleProducerOf(add.getOperand(i), "MatMul");
    Value bias = add.getOperand(1 - i);
    if (!matmul || rankOf(matmul.getOperand(0)) != 2 ||
        rankOf(matmul.getOperand(1)) != 2 || !isFloat(bias) ||
        !broadcastsTo(bias, tensorOf(matmul.getResult(0))))
      continue;
    NodeBuilder make(rewriter, add);
    Location loc = matmul.getLoc();
    make.replace("Gemm", {matmul.getOperand(0), matmul.getOperand(1), bias})
        ->setLoc(loc);
    return success();
  }
  return failure();
}

namespace {

struct FoldAffinePass : dlc::impl::FoldAffineBase<FoldAffinePass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    for (StringRef op : kAffineOps)
      patterns.add<FunctionPattern<foldBehind>>(context, op, 3);
    for (StringRef op : kAffineOps)
      patterns.add<FunctionPattern<mergeAffines>>(context, op, 1);
    populateFoldInFront(patterns);
    populateFoldThrough(patterns);
    patterns.add<FunctionPattern<makeGemm>>(context, "Add", 2);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
