// Folds scales and shifts by constants, batch normalisation among them, into
// the weights of what they stand behind or in front of.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDAFFINE
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-affine";

namespace {

/// y = x * scale + shift along one axis; vectors of constants, of one element
/// or of as many as the axis has. Either may be absent.
struct Affine {
  Value x, scale, shift;
};

/// Computes with constants; FoldConstants evaluates it.
class Weights : public NodeBuilder {
public:
  using NodeBuilder::NodeBuilder;

  Value reshape(Value value, ArrayRef<int64_t> shape) {
    auto type = cast<RankedTensorType>(value.getType());
    if (type.getShape() == shape)
      return value;
    return fold("Reshape", {value, ints(shape, "shape")}, type.clone(shape));
  }
  Value binary(StringRef op, Value a, Value b) {
    auto x = cast<RankedTensorType>(a.getType()),
         y = cast<RankedTensorType>(b.getType());
    SmallVector<int64_t> shape(std::max(x.getRank(), y.getRank()), 1);
    for (RankedTensorType type : {x, y})
      for (auto [to, size] :
           llvm::zip(llvm::reverse(shape), llvm::reverse(type.getShape())))
        to = std::max(to, size);
    return fold(op, {a, b}, x.clone(shape));
  }
  Value unary(StringRef op, Value x) { return fold(op, x, x.getType()); }
  Value one(Value like) {
    return number(1, getElementTypeOrSelf(like.getType()), "one");
  }

private:
  Value fold(StringRef op, ValueRange operands, Type type) {
    Value value = make(op, operands, type, "folded");
    value.getDefiningOp()->setAttr(kConstantAttr, b.getUnitAttr());
    return value;
  }
};

} // namespace

/// Whether a constant varies along `axis` of `rank` dimensions only.
static bool isVector(Value constant, int64_t rank, int64_t axis, int64_t size) {
  RankedTensorType type = tensorOf(constant);
  if (!isConstantTree(constant) || !type || !type.hasStaticShape() ||
      type.getRank() > rank)
    return false;
  for (auto [i, found] : llvm::enumerate(type.getShape())) {
    int64_t at = int64_t(i) + rank - type.getRank();
    if (found != 1 && (at != axis || found != size))
      return false;
  }
  return true;
}

static Value toVector(Weights &make, Value constant) {
  return make.reshape(
      constant, {cast<RankedTensorType>(constant.getType()).getNumElements()});
}

static bool isConstantBatchNorm(onnx::NodeOp node) {
  if (node.getNumOperands() != 5 || node.getInt("training_mode", 0) ||
      llvm::any_of(node->getResults().drop_front(),
                   [](Value v) { return !v.use_empty(); }))
    return false;
  for (unsigned i = 1; i < 5; ++i)
    if (!isConstantTree(node.getOperand(i)) || !sizesOf(node.getOperand(i)) ||
        getElementTypeOrSelf(node.getOperand(i).getType()) !=
            getElementTypeOrSelf(node.getOperand(0).getType()))
      return false;
  return true;
}

/// The scale and shift that BatchNormalization is, for constant statistics.
static Affine readBatchNorm(Weights &make, onnx::NodeOp node) {
  Value variance = node.getOperand(4);
  Value epsilon =
      make.number(node.getFloat("epsilon", 1e-5),
                  getElementTypeOrSelf(variance.getType()), "epsilon");
  Value deviation = make.unary("Sqrt", make.binary("Add", variance, epsilon));
  Value scale = make.binary("Div", node.getOperand(1), deviation);
  Value shift = make.binary("Sub", node.getOperand(2),
                            make.binary("Mul", node.getOperand(3), scale));
  return Affine{node.getOperand(0), scale, shift};
}

/// Whether `node` could be an Affine: what can be told without building.
static Value variableOf(onnx::NodeOp node) {
  if (node.isOp("BatchNormalization"))
    return node.getOperand(0);
  Value a = node.getOperand(0), b = node.getOperand(1);
  bool isOrdered = node.isOp("Sub") || node.isOp("Div");
  if (isConstantTree(b) && !isConstantTree(a))
    return a;
  return isConstantTree(a) && !isConstantTree(b) && !isOrdered ? b : Value();
}

/// Whether a node is Mul, Div, Add, Sub or BatchNormalization by constants
/// along `axis` of `size`. Patterns ask before they build anything.
static bool isAffine(onnx::NodeOp node, int64_t axis, int64_t size) {
  if (node.isOp("BatchNormalization"))
    return axis == 1 && isConstantBatchNorm(node);
  Value x = variableOf(node);
  RankedTensorType type = tensorOf(x);
  return type && node.getResult(0).getType() == type &&
         isVector(otherOperand(node, x), type.getRank(), axis, size);
}

/// Reads what isAffine().
static Affine readAffine(Weights &make, onnx::NodeOp node) {
  if (node.isOp("BatchNormalization"))
    return readBatchNorm(make, node);
  Value x = variableOf(node);
  Value vector = toVector(make, otherOperand(node, x));
  if (node.isOp("Mul"))
    return Affine{x, vector, {}};
  if (node.isOp("Div"))
    return Affine{x, make.binary("Div", make.one(vector), vector), {}};
  if (node.isOp("Add"))
    return Affine{x, {}, vector};
  return Affine{x, {}, make.unary("Neg", vector)};
}

/// bias * scale + shift, a vector of `size`; null when it is nothing.
static Value foldBias(Weights &make, Value bias, const Affine &affine,
                      int64_t size) {
  Value result = bias;
  if (result && affine.scale)
    result = make.binary("Mul", result, affine.scale);
  if (affine.shift)
    result = result ? make.binary("Add", result, affine.shift) : affine.shift;
  auto type = result ? tensorOf(result) : RankedTensorType();
  if (result && type.getNumElements() != size)
    result = make.binary(
        "Add", result, make.number(0, type.getElementType(), "zeros", {size}));
  return result;
}

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
  if (isTransposed && group != 1 && !node.isOp("Add") && !node.isOp("Sub"))
    return rewriter.notifyMatchFailure(node, "a scale of groups");
  Weights make(rewriter, node);
  Affine affine = readAffine(make, node);
  if (affine.scale) {
    SmallVector<int64_t> along(shape->size(), 1);
    int64_t count = tensorOf(affine.scale).getNumElements();
    along[isTransposed ? 1 : 0] = count;
    weights = make.binary("Mul", weights, make.reshape(affine.scale, along));
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
  onnx::NodeOp folded =
      make.replace("Gemm", operands, withAttributes(gemm, {}));
  folded->setLoc(loc);
  return success();
}

/// MatMul(x, w) * scale as MatMul(x, w * scale), a bias between them too.
static LogicalResult behindMatMul(onnx::NodeOp node, onnx::NodeOp matmul,
                                  PatternRewriter &rewriter) {
  Value weights = matmul.getOperand(1);
  auto shape = sizesOf(weights);
  if (!isConstantTree(weights) || !shape || shape->size() != 2 ||
      rankOf(matmul.getResult(0)) < 2)
    return failure();
  if (!node.isOp("Mul") && !node.isOp("Div"))
    return rewriter.notifyMatchFailure(node, "no place for a shift");
  if (!isAffine(node, rankOf(matmul.getResult(0)) - 1, (*shape)[1]))
    return failure();
  Weights make(rewriter, node);
  weights = make.binary("Mul", weights, readAffine(make, node).scale);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(matmul.getLoc()) << "'";
  Location loc = matmul.getLoc();
  make.replace("MatMul", {matmul.getOperand(0), weights})->setLoc(loc);
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
// In front of a contraction
//===----------------------------------------------------------------------===//

static bool isPadded(onnx::NodeOp conv) {
  auto pads = conv.getInts("pads");
  StringRef automatic = conv.getString("auto_pad", "NOTSET");
  return (pads && llvm::any_of(*pads, [](int64_t p) { return p != 0; })) ||
         (automatic != "NOTSET" && automatic != "VALID");
}

/// Conv(x * scale + shift, w, b) as Conv(x, w * scale, b + sum(w * shift)).
/// Padding is of zeros, which a shift would make something else of: only a
/// scale goes through that.
static LogicalResult foldInFront(onnx::NodeOp conv, PatternRewriter &rewriter) {
  auto node = conv.getOperand(0).getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || !conv.getOperand(0).hasOneUse() ||
      !llvm::is_contained({"Mul", "Div", "Add", "Sub", "BatchNormalization"},
                          node.getOpType()))
    return failure();
  Value weights = conv.getOperand(1), bias = conv.getInput(2);
  auto shape = sizesOf(weights);
  if (!variableOf(node) || !isConstantTree(weights) || !shape ||
      (bias && !isConstantTree(bias)) || conv.getInt("group", 1) != 1)
    return failure();
  bool hasShift = !node.isOp("Mul") && !node.isOp("Div");
  if (hasShift && isPadded(conv))
    return rewriter.notifyMatchFailure(conv, "padding is not shifted");
  int64_t channels = (*shape)[1], size = (*shape)[0];
  if (!isAffine(node, 1, channels))
    return failure();
  Weights make(rewriter, conv);
  Affine affine = readAffine(make, node);
  auto along = [&](Value vector) {
    SmallVector<int64_t> sizes(shape->size(), 1);
    sizes[1] = tensorOf(vector).getNumElements();
    return make.reshape(vector, sizes);
  };
  if (affine.shift) {
    Value shifted = make.binary("Mul", weights, along(affine.shift));
    SmallVector<int64_t> axes;
    for (size_t i = 1; i < shape->size(); ++i)
      axes.push_back(i);
    Value sum = make.make(
        "ReduceSum", {shifted, make.ints(axes, "axes")},
        RankedTensorType::get({size}, getElementTypeOrSelf(weights.getType())),
        "folded", make.attr("keepdims", int64_t(0)));
    sum.getDefiningOp()->setAttr(kConstantAttr, rewriter.getUnitAttr());
    bias = bias ? make.binary("Add", bias, sum) : sum;
  }
  if (affine.scale)
    weights = make.binary("Mul", weights, along(affine.scale));
  SmallVector<Value> operands = {affine.x, weights};
  if (bias)
    operands.push_back(bias);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(conv.getLoc()) << "'";
  make.replace("Conv", operands, withAttributes(conv, {}));
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
    for (StringRef op : {"Mul", "Div", "Add", "Sub", "BatchNormalization"})
      patterns.add<FunctionPattern<foldBehind>>(context, op, 3);
    for (StringRef op : {"Mul", "Div", "Add", "Sub", "BatchNormalization"})
      patterns.add<FunctionPattern<mergeAffines>>(context, op, 1);
    patterns.add<FunctionPattern<foldInFront>>(context, "Conv", 2);
    patterns.add<FunctionPattern<makeGemm>>(context, "Add", 2);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
