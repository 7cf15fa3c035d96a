// Folds scales and shifts into the weights of what they stand in front of.

#include "passes/Simplify/Affine.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-affine";

static bool isPadded(onnx::NodeOp conv) {
  auto pads = conv.getInts("pads");
  StringRef automatic = conv.getString("auto_pad", "NOTSET");
  return (pads && llvm::any_of(*pads, [](int64_t p) { return p != 0; })) ||
         (automatic != "NOTSET" && automatic != "VALID");
}

/// The scale or shift that only `node` uses; null otherwise.
static onnx::NodeOp findInFront(onnx::NodeOp node) {
  Value x = node.getOperand(0);
  auto affine = x.getDefiningOp<onnx::NodeOp>();
  bool isOne = affine && affine.getDomain().empty() && x.hasOneUse() &&
               affine.getResult(0) == x && isFloat(x) &&
               llvm::is_contained(kAffineOps, affine.getOpType());
  return isOne && variableOf(affine) ? affine : onnx::NodeOp();
}

static bool hasShift(onnx::NodeOp affine) {
  return !affine.isOp("Mul") && !affine.isOp("Div");
}

static void tell(onnx::NodeOp affine, onnx::NodeOp node) {
  remarkDone(affine.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(node.getLoc()) << "'";
}

/// Conv(x * scale + shift, w, b) as Conv(x, w * scale, b + sum(w * shift)).
/// Padding is of zeros, which a shift would make something else of: only a
/// scale goes through that.
static LogicalResult inFrontOfConv(onnx::NodeOp conv,
                                   PatternRewriter &rewriter) {
  onnx::NodeOp node = findInFront(conv);
  Value weights = conv.getOperand(1), bias = conv.getInput(2);
  auto shape = sizesOf(weights);
  if (!node || !isConstantTree(weights) || !shape ||
      (bias && !isConstantTree(bias)))
    return failure();
  if (hasShift(node) && isPadded(conv))
    return rewriter.notifyMatchFailure(conv, "padding is not shifted");
  int64_t group = conv.getInt("group", 1);
  int64_t channels = (*shape)[1] * group, size = (*shape)[0];
  if (group < 1 || size % group || !isAffine(node, 1, channels))
    return failure();
  Weights make(rewriter, conv);
  Affine affine = readAffine(make, node);
  // Of groups, the weights as [group, outputs, inputs, window...].
  SmallVector<int64_t> apart = {group, size / group};
  llvm::append_range(apart, shape->drop_front());
  auto along = [&](Value vector) {
    int64_t count = tensorOf(vector).getNumElements();
    SmallVector<int64_t> sizes(apart.size(), 1);
    sizes[0] = count == 1 ? 1 : group;
    sizes[2] = count == 1 ? 1 : (*shape)[1];
    return make.reshape(vector, sizes);
  };
  Value split = make.reshape(weights, apart);
  if (affine.shift) {
    SmallVector<int64_t> axes;
    for (size_t i = 2; i < apart.size(); ++i)
      axes.push_back(i);
    Value sum = make.sum(make.binary("Mul", split, along(affine.shift)), axes);
    sum = make.reshape(sum, {size});
    bias = bias ? make.binary("Add", bias, sum) : sum;
  }
  if (affine.scale)
    weights =
        make.reshape(make.binary("Mul", split, along(affine.scale)), *shape);
  SmallVector<Value> operands = {affine.x, weights};
  if (bias)
    operands.push_back(bias);
  tell(node, conv);
  make.replace("Conv", operands, withAttributes(conv, {}));
  return success();
}

/// ConvTranspose(x * scale, w) as ConvTranspose(x, w * scale). Not all outputs
/// see all of the window, so a shift would come out different at the borders.
static LogicalResult inFrontOfConvTranspose(onnx::NodeOp conv,
                                            PatternRewriter &rewriter) {
  onnx::NodeOp node = findInFront(conv);
  Value weights = conv.getOperand(1);
  auto shape = sizesOf(weights);
  if (!node || !isConstantTree(weights) || !shape)
    return failure();
  if (hasShift(node))
    return rewriter.notifyMatchFailure(conv, "borders are not shifted alike");
  if (!isAffine(node, 1, (*shape)[0]))
    return failure();
  Weights make(rewriter, conv);
  Affine affine = readAffine(make, node);
  SmallVector<int64_t> along(shape->size(), 1);
  along[0] = tensorOf(affine.scale).getNumElements();
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = affine.x;
  operands[1] = make.binary("Mul", weights, make.reshape(affine.scale, along));
  tell(node, conv);
  make.replace("ConvTranspose", operands, withAttributes(conv, {}));
  return success();
}

/// Gemm(x * scale + shift, w, b) as Gemm(x, w * scale, b + shift * w), and
/// MatMul of a matrix as the same.
static LogicalResult inFrontOfProduct(onnx::NodeOp product,
                                      PatternRewriter &rewriter) {
  onnx::NodeOp node = findInFront(product);
  Value weights = product.getOperand(1), bias = product.getInput(2);
  auto shape = sizesOf(weights);
  int64_t rank = rankOf(product.getOperand(0));
  if (!node || !isConstantTree(weights) || !shape || shape->size() != 2 ||
      rank < 2 || product.getInt("transA", 0))
    return failure();
  bool isTurned = product.getInt("transB", 0);
  int64_t inputs = (*shape)[isTurned ? 1 : 0];
  if (!isAffine(node, rank - 1, inputs))
    return failure();
  if (hasShift(node)) {
    if (rank != 2)
      return rewriter.notifyMatchFailure(product, "no place for a shift");
    if (product.getFloat("alpha", 1) != 1 || product.getFloat("beta", 1) != 1 ||
        (bias && (!isConstantTree(bias) || !sizesOf(bias))))
      return failure();
  }
  Weights make(rewriter, product);
  Affine affine = readAffine(make, node);
  auto along = [&](Value vector) {
    SmallVector<int64_t> sizes = {1, 1};
    sizes[isTurned ? 1 : 0] = tensorOf(vector).getNumElements();
    return make.reshape(vector, sizes);
  };
  if (affine.shift) {
    Value sum = make.sum(make.binary("Mul", weights, along(affine.shift)),
                         {isTurned ? 1 : 0});
    bias = bias ? make.binary("Add", bias, sum) : sum;
  }
  if (affine.scale)
    weights = make.binary("Mul", weights, along(affine.scale));
  SmallVector<Value> operands = {affine.x, weights};
  if (bias)
    operands.push_back(bias);
  tell(node, product);
  StringRef op = bias ? StringRef("Gemm") : product.getOpType();
  make.replace(op, operands, withAttributes(product, {}));
  return success();
}

void simplify::populateFoldInFront(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<FunctionPattern<inFrontOfConv>>(context, "Conv", 2);
  patterns.add<FunctionPattern<inFrontOfConvTranspose>>(context,
                                                        "ConvTranspose", 2);
  patterns.add<FunctionPattern<inFrontOfProduct>>(context, "Gemm", 2);
  patterns.add<FunctionPattern<inFrontOfProduct>>(context, "MatMul", 2);
}
