// Multiplies matrices of constants that follow each other, where that is less
// work than one after the other.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MULTIPLYOUT
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-multiply-out";

namespace {

/// y = x * weights + bias, of the last axis; or of the channels, for a
/// convolution of a window of one element.
struct Linear {
  onnx::NodeOp node; ///< the product
  Value x;
  Value weights; ///< a constant; [K, N], [N, K] when turned, or [N, K, 1...]
  Value bias;    ///< a vector of N; may be absent
  int64_t inputs = 0, outputs = 0;
  bool isTurned = false; ///< the outputs are the first axis
};

} // namespace

static bool isAllOf(std::optional<SmallVector<int64_t>> ints, int64_t number) {
  return !ints || llvm::all_of(*ints, [&](int64_t x) { return x == number; });
}

static bool isBias(Value bias, int64_t size) {
  auto shape = sizesOf(bias);
  return isConstantTree(bias) && shape && shape->size() == 1 &&
         (*shape)[0] == size;
}

/// Reads what makes `value`: MatMul, an Add behind it, Gemm or Conv.
static std::optional<Linear> readLinear(Value value) {
  Linear linear;
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || !isFloat(value))
    return std::nullopt;
  if (node.isOp("Add")) {
    Value product = variableOf(node);
    linear.node = product ? soleProducerOf(product, "MatMul") : onnx::NodeOp();
    if (!linear.node || product.getType() != value.getType())
      return std::nullopt;
    linear.bias = otherOperand(node, product);
  } else if (node.isOp("MatMul") || node.isOp("Gemm") || node.isOp("Conv")) {
    linear.node = node;
    linear.bias = node.getInput(2);
  } else {
    return std::nullopt;
  }
  node = linear.node;
  linear.x = node.getOperand(0);
  linear.weights = node.getOperand(1);
  auto shape = sizesOf(linear.weights);
  if (!isConstantTree(linear.weights) || !shape || rankOf(linear.x) < 2)
    return std::nullopt;
  if (node.isOp("Conv")) {
    if (shape->size() < 3 ||
        !isAllOf(SmallVector<int64_t>(shape->drop_front(2)), 1) ||
        !isAllOf(node.getInts("strides"), 1) ||
        !isAllOf(node.getInts("pads"), 0) || node.getInt("group", 1) != 1 ||
        node.getString("auto_pad", "NOTSET") != "NOTSET")
      return std::nullopt;
    linear.isTurned = true;
  } else if (shape->size() != 2 || node.getInt("transA", 0) ||
             node.getFloat("alpha", 1) != 1 || node.getFloat("beta", 1) != 1) {
    return std::nullopt;
  } else {
    linear.isTurned = node.getInt("transB", 0);
  }
  linear.outputs = (*shape)[linear.isTurned ? 0 : 1];
  linear.inputs = (*shape)[linear.isTurned ? 1 : 0];
  if (linear.bias && !isBias(linear.bias, linear.outputs))
    return std::nullopt;
  return linear;
}

/// The weights as [K, N].
static Value toMatrix(Weights &make, const Linear &linear) {
  SmallVector<int64_t> sizes = {linear.inputs, linear.outputs};
  if (linear.isTurned)
    std::swap(sizes[0], sizes[1]);
  Value matrix = make.reshape(linear.weights, sizes);
  return linear.isTurned ? make.transpose(matrix, {1, 0}) : matrix;
}

/// (x * a + b) * c + d as x * (a * c) + (b * c + d).
static LogicalResult multiplyOut(onnx::NodeOp node, PatternRewriter &rewriter) {
  std::optional<Linear> second = readLinear(node.getResult(0));
  // The Add is a part of it where there is one.
  if (!second || !second->x.hasOneUse())
    return failure();
  std::optional<Linear> first = readLinear(second->x);
  if (!first || first->node.isOp("Conv") != second->node.isOp("Conv"))
    return failure();
  if (node.getResult(0).hasOneUse() && node.isOp("MatMul")) {
    auto user = dyn_cast<onnx::NodeOp>(*node->user_begin());
    if (user && user.isOp("Add") && readLinear(user.getResult(0)))
      return rewriter.notifyMatchFailure(node, "the sum behind it matches");
  }
  if (first->inputs * second->outputs >
      first->inputs * first->outputs + second->inputs * second->outputs)
    return rewriter.notifyMatchFailure(node, "apart they are less work");
  Weights make(rewriter, node);
  Value inner = toMatrix(make, *first), outer = toMatrix(make, *second);
  Value weights = make.matmul(inner, outer), bias = second->bias;
  if (first->bias) {
    Value moved = make.reshape(
        make.matmul(make.reshape(first->bias, {1, first->outputs}), outer),
        {second->outputs});
    bias = bias ? make.binary("Add", bias, moved) : moved;
  }
  remarkDone(first->node.getLoc(), kPass)
      << "multiplied with '" << getNodeName(second->node.getLoc()) << "'";
  SmallVector<Value> operands = {first->x};
  if (second->node.isOp("Conv")) {
    SmallVector<int64_t> sizes(rankOf(second->weights), 1);
    sizes[0] = second->outputs;
    sizes[1] = first->inputs;
    operands.push_back(make.reshape(make.transpose(weights, {1, 0}), sizes));
    if (bias)
      operands.push_back(bias);
    make.replace("Conv", operands, withAttributes(second->node, {}));
    return success();
  }
  operands.push_back(weights);
  if (bias && rankOf(first->x) == 2) {
    operands.push_back(bias);
    make.replace("Gemm", operands);
  } else if (bias) {
    Value product =
        make.make("MatMul", operands, node.getResult(0).getType(), "product");
    make.replace("Add", {product, bias});
  } else {
    make.replace("MatMul", operands);
  }
  return success();
}

namespace {

struct MultiplyOutPass : dlc::impl::MultiplyOutBase<MultiplyOutPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    for (StringRef op : {"MatMul", "Gemm", "Conv", "Add"})
      patterns.add<FunctionPattern<multiplyOut>>(&getContext(), op);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
