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
    return fold("Reshape", {value, ints(shape, "shape")},
                type.clone(shape));
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

/// A constant that varies along `axis` of `rank` dimensions only, as a vector;
/// null otherwise.
static Value toVector(Weights &make, Value constant, int64_t rank, int64_t axis,
                      int64_t size) {
  if (!isConstantTree(constant))
    return {};
  RankedTensorType type = tensorOf(constant);
  if (!type || !type.hasStaticShape() || type.getRank() > rank)
    return {};
  for (auto [i, found] : llvm::enumerate(type.getShape())) {
    int64_t at = int64_t(i) + rank - type.getRank();
    if (found != 1 && (at != axis || found != size))
      return {};
  }
  return make.reshape(constant, {type.getNumElements()});
}

/// The scale and shift that BatchNormalization is, for constant statistics.
static std::optional<Affine> readBatchNorm(Weights &make, onnx::NodeOp node) {
  if (node.getNumOperands() != 5 || node.getInt("training_mode", 0) ||
      llvm::any_of(node->getResults().drop_front(),
                   [](Value v) { return !v.use_empty(); }))
    return std::nullopt;
  for (unsigned i = 1; i < 5; ++i)
    if (!isConstantTree(node.getOperand(i)) || !sizesOf(node.getOperand(i)) ||
        getElementTypeOrSelf(node.getOperand(i).getType()) !=
            getElementTypeOrSelf(node.getOperand(0).getType()))
      return std::nullopt;
  Value variance = node.getOperand(4);
  Value epsilon = make.number(node.getFloat("epsilon", 1e-5),
                              getElementTypeOrSelf(variance.getType()),
                              "epsilon");
  Value deviation =
      make.unary("Sqrt", make.binary("Add", variance, epsilon));
  Value scale = make.binary("Div", node.getOperand(1), deviation);
  Value shift =
      make.binary("Sub", node.getOperand(2),
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

/// Reads Mul, Div, Add, Sub and BatchNormalization along `axis` of `size`.
static std::optional<Affine> readAffine(Weights &make, onnx::NodeOp node,
                                        int64_t axis, int64_t size) {
  if (node.isOp("BatchNormalization"))
    return axis == 1 ? readBatchNorm(make, node) : std::nullopt;
  Value x = variableOf(node);
  RankedTensorType type = tensorOf(x);
  if (!type || node.getResult(0).getType() != type)
    return std::nullopt;
  Value vector =
      toVector(make, otherOperand(node, x), type.getRank(), axis, size);
  if (!vector)
    return std::nullopt;
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
        "Add", result,
        make.number(0, type.getElementType(), "zeros", {size}));
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
  Weights make(rewriter, node);
  std::optional<Affine> affine = readAffine(make, node, 1, size);
  if (!affine)
    return failure();
  if (affine->scale) {
    SmallVector<int64_t> along(shape->size(), 1);
    int64_t count = tensorOf(affine->scale).getNumElements();
    if (isTransposed && group != 1 && count != 1)
      return rewriter.notifyMatchFailure(node, "a scale of groups");
    along[isTransposed ? 1 : 0] = count;
    weights = make.binary("Mul", weights, make.reshape(affine->scale, along));
  }
  SmallVector<Value> operands = {conv.getOperand(0), weights};
  if (Value folded = foldBias(make, bias, *affine, size))
    operands.push_back(folded);
  remarkDone(node.getLoc(), kPass)
      << "folded into the weights of '" << getNodeName(conv.getLoc()) << "'";
  // The name of the convolution tells more than that of what follows.
  Location loc = conv.getLoc();
  onnx::NodeOp folded = make.replace(
      conv.getOpType(), operands, withAttributes(conv, {}));
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
  Weights make(rewriter, node);
  if (bias && !(bias = toVector(make, bias, 2, 1, size)))
    return rewriter.notifyMatchFailure(node, "a bias of rows");
  std::optional<Affine> affine = readAffine(make, node, 1, size);
  if (!affine)
    return failure();
  if (affine->scale) {
    int64_t count = tensorOf(affine->scale).getNumElements();
    SmallVector<int64_t> along = {1, 1};
    along[isTransposed ? 0 : 1] = count;
    weights = make.binary("Mul", weights, make.reshape(affine->scale, along));
  }
  SmallVector<Value> operands = {gemm.getOperand(0), weights};
  if (Value folded = foldBias(make, bias, *affine, size))
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
  Weights make(rewriter, node);
  std::optional<Affine> affine = readAffine(
      make, node, rankOf(matmul.getResult(0)) - 1, (*shape)[1]);
  if (!affine)
    return failure();
  weights = make.binary("Mul", weights, affine->scale);
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
  Weights make(rewriter, conv);
  std::optional<Affine> affine = readAffine(make, node, 1, channels);
  if (!affine)
    return failure();
  auto along = [&](Value vector) {
    SmallVector<int64_t> sizes(shape->size(), 1);
    sizes[1] = tensorOf(vector).getNumElements();
    return make.reshape(vector, sizes);
  };
  if (affine->shift) {
    Value shifted = make.binary("Mul", weights, along(affine->shift));
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
  if (affine->scale)
    weights = make.binary("Mul", weights, along(affine->scale));
  SmallVector<Value> operands = {affine->x, weights};
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
      patterns.add<FunctionPattern<foldBehind>>(context, op, 2);
    patterns.add<FunctionPattern<foldInFront>>(context, "Conv");
    patterns.add<FunctionPattern<makeGemm>>(context, "Add");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
