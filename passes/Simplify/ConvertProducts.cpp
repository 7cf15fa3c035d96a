// Makes convolutions of products between transposes, and products of
// convolutions of one element.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CONVERTPRODUCTS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-convert-products";

/// Channels last, or back to where they are second.
static bool isChannels(onnx::NodeOp transpose, bool isLast) {
  auto found = transpose ? transpose.getInts("perm") : std::nullopt;
  int64_t rank = found ? found->size() : 0;
  if (rank < 3)
    return false;
  SmallVector<int64_t> wanted = {0};
  if (!isLast)
    wanted.push_back(rank - 1);
  for (int64_t i = isLast ? 2 : 1; i < (isLast ? rank : rank - 1); ++i)
    wanted.push_back(i);
  if (isLast)
    wanted.push_back(1);
  return *found == wanted;
}

/// Before:
///   a = Transpose(x, [0, 2, 3, 1]); b = MatMul(a, w) + bias
///   y = Transpose(b, [0, 3, 1, 2])
/// after:
///   y = Conv(x, w, bias) of a window of one element
static LogicalResult makeConv(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value last = node.getOperand(0), bias;
  if (!isChannels(node, /*isLast=*/false) || !last.hasOneUse() ||
      !isFloat(last))
    return failure();
  onnx::NodeOp matmul = soleProducerOf(last, "MatMul");
  if (onnx::NodeOp add = soleProducerOf(last, "Add"))
    if (Value product = variableOf(add)) {
      matmul = soleProducerOf(product, "MatMul");
      bias = otherOperand(add, product);
    }
  auto shape = matmul ? sizesOf(matmul.getOperand(1)) : std::nullopt;
  if (!shape || shape->size() != 2 || !isConstantTree(matmul.getOperand(1)))
    return failure();
  onnx::NodeOp transpose = soleProducerOf(matmul.getOperand(0), "Transpose");
  int64_t rank = rankOf(last);
  if (!isChannels(transpose, /*isLast=*/true) ||
      rankOf(matmul.getOperand(0)) != rank ||
      (bias && !isVector(bias, rank, rank - 1, (*shape)[1])))
    return rewriter.notifyMatchFailure(node, "no transpose in front");
  Weights make(rewriter, node);
  SmallVector<int64_t> sizes = {(*shape)[1], (*shape)[0]}, kernel(rank - 2, 1);
  llvm::append_range(sizes, kernel);
  SmallVector<Value> operands = {
      transpose.getOperand(0),
      make.reshape(make.transpose(matmul.getOperand(1), {1, 0}), sizes)};
  if (bias)
    operands.push_back(
        foldBias(make, {}, Affine{{}, {}, toVector(make, bias)}, (*shape)[1]));
  remarkDone(matmul.getLoc(), kPass) << "is Conv";
  Location loc = matmul.getLoc();
  make.replace("Conv", operands, make.attr("kernel_shape", ArrayRef(kernel)))
      ->setLoc(loc);
  return success();
}

/// Flatten(Conv(mean of x)) as Gemm(Flatten(mean of x)): the mean then needs
/// no axes of one element.
static LogicalResult makeGemm(onnx::NodeOp node, PatternRewriter &rewriter) {
  onnx::NodeOp conv = soleProducerOf(node.getOperand(0), "Conv");
  RankedTensorType type = tensorOf(node.getResult(0));
  auto shape = conv ? sizesOf(conv.getOperand(1)) : std::nullopt;
  RankedTensorType from = conv ? tensorOf(conv.getOperand(0)) : nullptr;
  if (!shape || !type || !from || type.getRank() != 2 ||
      !conv.getOperand(0).hasOneUse() || from.isDynamicDim(1) ||
      (!producerOf(conv.getOperand(0), "GlobalAveragePool") &&
       !producerOf(conv.getOperand(0), "ReduceMean")))
    return failure();
  auto isOne = [](int64_t x) { return x == 1; };
  auto isZero = [](int64_t x) { return x == 0; };
  if (!llvm::all_of(shape->drop_front(2), isOne) ||
      !llvm::all_of(from.getShape().drop_front(2), isOne) ||
      !llvm::all_of(conv.getInts("pads").value_or(SmallVector<int64_t>()),
                    isZero) ||
      conv.getInt("group", 1) != 1 || type.getDimSize(1) != (*shape)[0] ||
      !isConstantTree(conv.getOperand(1)))
    return failure();
  Weights make(rewriter, node);
  Value flat = make.make("Flatten", conv.getOperand(0),
                         from.clone({from.getDimSize(0), from.getDimSize(1)}),
                         "flat", make.attr("axis", int64_t(1)));
  SmallVector<Value> operands = {
      flat, make.reshape(conv.getOperand(1), {(*shape)[0], (*shape)[1]})};
  if (Value bias = conv.getInput(2))
    operands.push_back(bias);
  remarkDone(conv.getLoc(), kPass) << "is Gemm";
  Location loc = conv.getLoc();
  make.replace("Gemm", operands, make.attr("transB", int64_t(1)))->setLoc(loc);
  return success();
}

/// Reshape(Gemm(Reshape(x, [-1, K]), w, b), [.., N]) as MatMul(x, w) + b, which
/// takes tensors of any rank.
static LogicalResult liftGemm(onnx::NodeOp node, PatternRewriter &rewriter) {
  onnx::NodeOp gemm = soleProducerOf(node.getOperand(0), "Gemm");
  onnx::NodeOp flat =
      gemm ? soleProducerOf(gemm.getOperand(0), "Reshape") : onnx::NodeOp();
  bool isTurned = gemm && gemm.getInt("transB", 0);
  if (!flat || gemm.getInt("transA", 0) ||
      (isTurned &&
       (!isConstantTree(gemm.getOperand(1)) || !sizesOf(gemm.getOperand(1)))) ||
      gemm.getFloat("alpha", 1) != 1 || gemm.getFloat("beta", 1) != 1)
    return failure();
  Value x = flat.getOperand(0), bias = gemm.getInput(2);
  RankedTensorType from = tensorOf(x), to = tensorOf(node.getResult(0)),
                   weights = tensorOf(gemm.getOperand(1));
  if (!from || !to || !weights || from.getRank() != to.getRank() ||
      from.getRank() < 3 || weights.isDynamicDim(isTurned) ||
      from.getShape().back() != weights.getDimSize(isTurned) ||
      to.getShape().back() != weights.getDimSize(!isTurned) ||
      (bias && rankOf(bias) > 1))
    return failure();
  // All but the last size stay: of those that are not known, one at most, or
  // those that the reshape takes over.
  auto sizes = node.isOp("Reshape") ? intsOf(node.getOperand(1)) : std::nullopt;
  if (!sizes || from.getShape().drop_back() != to.getShape().drop_back() ||
      to.getNumDynamicDims() > 1)
    return failure();
  Weights make(rewriter, node);
  Value matrix = gemm.getOperand(1);
  if (isTurned)
    matrix = make.transpose(matrix, {1, 0});
  if (!bias) {
    make.replace("MatMul", {x, matrix});
    return success();
  }
  Value product = make.make("MatMul", {x, matrix}, to, "product");
  make.replace("Add", {product, bias});
  return success();
}

namespace {

struct ConvertProductsPass
    : dlc::impl::ConvertProductsBase<ConvertProductsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<makeConv>>(&getContext(), "Transpose");
    for (StringRef op : {"Flatten", "Reshape", "Squeeze"})
      patterns.add<FunctionPattern<makeGemm>>(&getContext(), op);
    patterns.add<FunctionPattern<liftGemm>>(&getContext(), "Reshape", 2);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
