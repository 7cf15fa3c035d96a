// Writes what nodes compute with cheaper nodes, or fewer.

#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Products.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_REDUCESTRENGTH
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-reduce-strength";

static void tell(onnx::NodeOp node, StringRef what) {
  remarkDone(node.getLoc(), kPass) << what;
}

/// x^2 as x * x, x^0.5 as a root, x^-1 as a reciprocal.
static LogicalResult rewritePow(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value x = node.getOperand(0);
  auto power = numberOf(node.getOperand(1));
  if (!power || !isFloat(x) || x.getType() != node.getResult(0).getType())
    return failure();
  StringRef op = *power == 2     ? "Mul"
                 : *power == 0.5 ? "Sqrt"
                 : *power == -1  ? "Reciprocal"
                                 : "";
  if (op.empty())
    return rewriter.notifyMatchFailure(node, "no operator has that power");
  tell(node, ("is " + op).str());
  SmallVector<Value> operands(*power == 2 ? 2 : 1, x);
  NodeBuilder(rewriter, node).replace(op, operands);
  return success();
}

/// 1 / x as Reciprocal(x).
static LogicalResult rewriteDiv(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value x = node.getOperand(1);
  if (!isFloat(x) || constantOf(x) || numberOf(node.getOperand(0)) != 1. ||
      x.getType() != node.getResult(0).getType())
    return failure();
  tell(node, "is Reciprocal");
  NodeBuilder(rewriter, node).replace("Reciprocal", x);
  return success();
}

/// Whether a type has `number`, and with all of its digits: x * 1000 * 1000 is
/// finite in float16 for a small x, and 1000000 is not.
static bool isNormal(double number, Type element) {
  llvm::APFloat value(number);
  bool lost;
  value.convert(cast<FloatType>(element).getFloatSemantics(),
                llvm::APFloat::rmNearestTiesToEven, &lost);
  return value.isNormal() || number == 0;
}

/// Two factors or summands that are numbers as one.
static LogicalResult mergeNumbers(onnx::NodeOp node,
                                  PatternRewriter &rewriter) {
  bool isSum = node.isOp("Add") || node.isOp("Sub");
  auto read = [&](onnx::NodeOp op) -> std::pair<Value, double> {
    if (op.getNumOperands() != 2 || !isFloat(op.getOperand(0)) ||
        !isFloat(op.getOperand(1)))
      return {};
    bool isInverse = op.isOp("Sub") || op.isOp("Div");
    for (unsigned i : {1, 0}) {
      if (i == 0 && isInverse)
        break;
      auto number = numberOf(op.getOperand(i));
      Value rest = op.getOperand(1 - i);
      if (!number || rest.getType() != op.getResult(0).getType() ||
          (op.isOp("Div") && *number == 0))
        continue;
      double value = !isInverse ? *number : isSum ? -*number : 1 / *number;
      return {rest, value};
    }
    return {};
  };
  auto [middle, outer] = read(node);
  if (!middle || !middle.hasOneUse())
    return failure();
  auto inner = middle.getDefiningOp<onnx::NodeOp>();
  if (!inner || !inner.getDomain().empty() ||
      !(isSum ? inner.isOp("Add") || inner.isOp("Sub")
              : inner.isOp("Mul") || inner.isOp("Div")))
    return failure();
  auto [x, first] = read(inner);
  if (!x)
    return failure();
  NodeBuilder make(rewriter, node);
  Type element = getElementTypeOrSelf(x.getType());
  double number = isSum ? outer + first : outer * first;
  if (!isNormal(number, element))
    return rewriter.notifyMatchFailure(node, "too large or small for the type");
  tell(node, "has the number of the node in front of it in its own");
  make.replace(isSum ? "Add" : "Mul",
               {x, make.number(number, element, isSum ? "sum" : "product")});
  return success();
}

/// Flatten(GlobalAveragePool(x)), or a Reshape of it to a matrix, as a mean
/// that does not keep the axes.
static LogicalResult flattenMean(onnx::NodeOp node, PatternRewriter &rewriter) {
  RankedTensorType type = tensorOf(node.getResult(0));
  Value pooled = node.getOperand(0);
  if (!type || type.getRank() != 2 || !pooled.hasOneUse())
    return failure();
  auto pool = pooled.getDefiningOp<onnx::NodeOp>();
  if (!pool || !pool.getDomain().empty())
    return failure();
  RankedTensorType from = tensorOf(pool.getOperand(0)), to = tensorOf(pooled);
  if (!from || !to || from.getRank() < 3 || from.getRank() != to.getRank())
    return failure();
  bool isGlobal = pool.isOp("GlobalAveragePool");
  auto kernel = pool.getInts("kernel_shape");
  auto pads = pool.getInts("pads");
  if (pool.isOp("AveragePool") && kernel && from.hasStaticShape())
    isGlobal = ArrayRef(*kernel) == from.getShape().drop_front(2) &&
               (!pads || llvm::all_of(*pads, [](auto p) { return p == 0; })) &&
               pool.getString("auto_pad", "NOTSET") == "NOTSET";
  if (pool.isOp("ReduceMean") && pool.getInt("keepdims", 1)) {
    auto axes = intsOf(pool.getInput(1));
    isGlobal = axes && int64_t(axes->size()) == from.getRank() - 2;
    for (int64_t &axis : axes ? *axes : SmallVector<int64_t>())
      isGlobal &= toAxis(axis, from.getRank()) >= 2;
  }
  // [N, C, 1, 1] to [N, C].
  if (!isGlobal || from.isDynamicDim(1) ||
      (node.isOp("Flatten") && node.getInt("axis", 1) != 1 &&
       node.getInt("axis", 1) != 1 - to.getRank()))
    return failure();
  bool keepsBatch =
      node.isOp("Flatten") || (!type.isDynamicDim(1) && !from.isDynamicDim(1) &&
                               type.getDimSize(1) == from.getDimSize(1));
  if (!keepsBatch)
    return failure();
  SmallVector<int64_t> axes;
  for (int64_t i = 2; i < from.getRank(); ++i)
    axes.push_back(i);
  NodeBuilder make(rewriter, node);
  tell(node, "is a mean that keeps no axes");
  make.replace("ReduceMean", {pool.getOperand(0), make.ints(axes, "axes")},
               make.attr("keepdims", int64_t(0)));
  return success();
}

/// A Transpose of a Transpose as one.
static LogicalResult mergeTransposes(onnx::NodeOp node,
                                     PatternRewriter &rewriter) {
  onnx::NodeOp inner = producerOf(node.getOperand(0), "Transpose");
  int64_t rank = rankOf(node.getOperand(0));
  if (!inner || rank < 0)
    return failure();
  auto read = [&](onnx::NodeOp op) {
    if (auto permutation = op.getInts("perm"))
      return *permutation;
    SmallVector<int64_t> turned;
    for (int64_t i = rank; i-- > 0;)
      turned.push_back(i);
    return turned;
  };
  SmallVector<int64_t> merged;
  SmallVector<int64_t> first = read(inner);
  for (int64_t axis : read(node))
    merged.push_back(first[axis]);
  NodeBuilder make(rewriter, node);
  tell(node, "does what the Transpose in front of it does, too");
  make.replace("Transpose", inner.getOperand(0),
               make.attr("perm", ArrayRef(merged)));
  return success();
}

/// A Transpose that moves sizes of 1 only is a reshape.
static bool movesOnlyOnes(onnx::NodeOp node) {
  RankedTensorType type = tensorOf(node.getOperand(0));
  auto permutation = node.getInts("perm");
  if (!type || !permutation || !type.hasStaticShape())
    return false;
  SmallVector<int64_t> others;
  for (int64_t axis : *permutation)
    if (type.getDimSize(axis) != 1)
      others.push_back(axis);
  return llvm::is_sorted(others);
}

static LogicalResult reshapeTranspose(onnx::NodeOp node,
                                      PatternRewriter &rewriter) {
  // Only beside a reshape, with which it merges.
  auto isReshape = [](Operation *op) {
    auto other = dyn_cast_or_null<onnx::NodeOp>(op);
    return other && other.getDomain().empty() &&
           llvm::is_contained({"Reshape", "Flatten", "Squeeze", "Unsqueeze"},
                              other.getOpType());
  };
  if (!movesOnlyOnes(node) ||
      (!isReshape(node.getOperand(0).getDefiningOp()) &&
       !(node->hasOneUse() && isReshape(*node->user_begin()))))
    return failure();
  NodeBuilder make(rewriter, node);
  auto sizes = tensorOf(node.getResult(0)).getShape();
  tell(node, "moves sizes of 1 only: it is Reshape");
  make.replace("Reshape", {node.getOperand(0), make.ints(sizes, "shape")});
  return success();
}

namespace {

struct ReduceStrengthPass : dlc::impl::ReduceStrengthBase<ReduceStrengthPass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<FunctionPattern<rewritePow>>(context, "Pow");
    patterns.add<FunctionPattern<rewriteDiv>>(context, "Div");
    for (StringRef op : {"Add", "Sub", "Mul", "Div"})
      patterns.add<FunctionPattern<mergeNumbers>>(context, op);
    for (StringRef op : {"Flatten", "Reshape", "Squeeze"})
      patterns.add<FunctionPattern<flattenMean>>(context, op);
    patterns.add<FunctionPattern<mergeTransposes>>(context, "Transpose");
    patterns.add<FunctionPattern<reshapeTranspose>>(context, "Transpose");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
