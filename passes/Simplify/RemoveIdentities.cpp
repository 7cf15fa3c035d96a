// Removes nodes that give back their first input.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_REMOVEIDENTITIES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-remove-identities";

static bool isStaticSame(onnx::NodeOp node) {
  std::optional<ArrayRef<int64_t>> from = sizesOf(node.getOperand(0)),
                                   to = sizesOf(node.getResult(0));
  return from && to && *from == *to;
}

/// Whether all elements of an integer input are `number`, or it is absent.
static bool isAll(onnx::NodeOp node, unsigned i, int64_t number) {
  if (!node.getInput(i))
    return true;
  auto ints = intsOf(node.getInput(i));
  return ints && llvm::all_of(*ints, [&](int64_t x) { return x == number; });
}

static bool isUnused(onnx::NodeOp node, unsigned i) {
  return i >= node.getNumResults() || node.getResult(i).use_empty();
}

static bool isWholeSlice(onnx::NodeOp node) {
  if (isStaticSame(node))
    // Steps of -1 turn round what has the same shape.
    return isAll(node, 4, 1);
  if (!isAll(node, 1, 0) || !isAll(node, 4, 1))
    return false;
  auto ends = intsOf(node.getInput(2));
  return ends && llvm::all_of(*ends, [](int64_t end) {
           return end >= std::numeric_limits<int32_t>::max();
         });
}

/// Whether a Reshape of unknown sizes keeps all of them: by zeros.
static bool isSameReshape(onnx::NodeOp node) {
  if (isStaticSame(node))
    return true;
  auto sizes = intsOf(node.getInput(1));
  RankedTensorType from = tensorOf(node.getOperand(0));
  if (!sizes || !from || from.getRank() != int64_t(sizes->size()) ||
      node.getInt("allowzero", 0))
    return false;
  unsigned unknown = 0;
  for (auto [size, known] : llvm::zip(*sizes, from.getShape()))
    unknown += !(size == 0 || (size == known && size > 0));
  return unknown == 0 || (unknown == 1 && llvm::is_contained(*sizes, -1));
}

static bool isWindowOfOne(onnx::NodeOp node) {
  auto kernel = node.getInts("kernel_shape");
  auto isAllOf = [&](StringRef name, int64_t number) {
    auto ints = node.getInts(name);
    return !ints || llvm::all_of(*ints, [&](int64_t x) { return x == number; });
  };
  return kernel && isAllOf("kernel_shape", 1) && isAllOf("strides", 1) &&
         isAllOf("pads", 0) && isUnused(node, 1);
}

/// Whether the result has the type of operand i, broadcasting included.
static bool keepsType(onnx::NodeOp node, unsigned i) {
  RankedTensorType type = tensorOf(node.getOperand(i));
  return type && broadcastsTo(node.getOperand(1 - i), type);
}

/// The operand that `node` gives back; null when it computes something.
static Value findSame(onnx::NodeOp node) {
  if (!node.getDomain().empty() || node.getNumOperands() == 0 ||
      node.getNumResults() == 0)
    return {};
  Value x = node.getInput(0);
  if (!x)
    return {};
  StringRef op = node.getOpType();
  auto when = [&](bool isSame) { return isSame ? x : Value(); };
  if (op == "Identity")
    return x;
  if (op == "Dropout")
    return when(isUnused(node, 1) &&
                (!node.getInput(2) || isNumber(node.getInput(2), 0)));
  if (op == "Cast" || op == "CastLike")
    return when(getElementTypeOrSelf(x.getType()) ==
                    getElementTypeOrSelf(node.getResult(0).getType()) &&
                !isa<onnx::UnknownType>(x.getType()));
  if (op == "Reshape")
    return when(isSameReshape(node));
  if (op == "Flatten" || op == "Expand" || op == "Squeeze" || op == "Unsqueeze")
    return when(isStaticSame(node) ||
                (op == "Expand" && rankOf(x) >= 0 && isAll(node, 1, 1) &&
                 rankOf(x) >= rankOf(node.getInput(1)) &&
                 intsOf(node.getInput(1)) &&
                 int64_t(intsOf(node.getInput(1))->size()) <= rankOf(x)));
  if (op == "Transpose") {
    auto permutation = node.getInts("perm");
    return when(permutation ? llvm::is_sorted(*permutation) : rankOf(x) == 1);
  }
  if (op == "Slice")
    return when(isWholeSlice(node));
  if (op == "Pad")
    return when(node.getInput(1) && isAll(node, 1, 0));
  if (op == "Tile")
    return when(isAll(node, 1, 1));
  if (op == "Concat" || op == "Sum" || op == "Max" || op == "Min" ||
      op == "Mean")
    return when(node.getNumOperands() == 1);
  if (op == "Split")
    return when(node.getNumResults() == 1);
  if (op == "MaxPool" || op == "AveragePool")
    return when(isWindowOfOne(node));
  if (op == "Clip")
    return when(!node.getInput(1) && !node.getInput(2));
  if (op == "Mul" || op == "Add") {
    double neutral = op == "Mul" ? 1 : 0;
    for (unsigned i : {0, 1})
      if (numberOf(node.getOperand(1 - i)) == neutral && keepsType(node, i))
        return node.getOperand(i);
    return {};
  }
  if (op == "Sub" || op == "Div" || op == "Pow")
    return when(numberOf(node.getOperand(1)) == (op == "Sub" ? 0. : 1.) &&
                keepsType(node, 0));
  if (op == "And" || op == "Or")
    return when(x == node.getOperand(1));
  return {};
}

namespace {

/// Why a node that may do nothing does something; "" for others.
StringRef findEffect(onnx::NodeOp node) {
  if (!node.getDomain().empty())
    return "";
  if (node.isOp("Dropout"))
    return isUnused(node, 1) ? "it may be run for training"
                             : "its mask is used";
  if (node.isOp("Pad") && node.getInput(1) && !intsOf(node.getInput(1)))
    return "its pads are not known";
  return "";
}

struct RemoveIdentity : OpRewritePattern<onnx::NodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(onnx::NodeOp node,
                                PatternRewriter &rewriter) const override {
    Value same = findSame(node);
    if (!same) {
      StringRef effect = findEffect(node);
      return effect.empty() ? failure()
                            : rewriter.notifyMatchFailure(node, effect);
    }
    remarkDone(node.getLoc(), kPass) << "gives back its input";
    rewriter.replaceAllUsesWith(node.getResult(0), same);
    rewriter.eraseOp(node);
    return success();
  }
};

/// Reshape(Reshape(x)), and Flatten, Squeeze and Unsqueeze in its place: the
/// last one says all, unless it refers to sizes that the first one made.
struct MergeReshapes : OpRewritePattern<onnx::NodeOp> {
  using OpRewritePattern::OpRewritePattern;
  static bool isReshape(onnx::NodeOp node) {
    return node && node.getDomain().empty() &&
           llvm::is_contained({"Reshape", "Flatten", "Squeeze", "Unsqueeze"},
                              node.getOpType());
  }
  LogicalResult matchAndRewrite(onnx::NodeOp node,
                                PatternRewriter &rewriter) const override {
    if (!isReshape(node))
      return failure();
    auto inner = node.getOperand(0).getDefiningOp<onnx::NodeOp>();
    if (!isReshape(inner))
      return failure();
    RankedTensorType type = tensorOf(node.getResult(0));
    if (!type)
      return failure();
    NodeBuilder make(rewriter, node);
    Value x = inner.getOperand(0);
    // Back to where it came from.
    auto from = sizesOf(x);
    if (from && type.hasStaticShape() && *from == type.getShape()) {
      remarkDone(node.getLoc(), kPass)
          << "takes back '" << getNodeName(inner.getLoc()) << "'";
      rewriter.replaceOp(node, x);
      return success();
    }
    auto tell = [&] {
      remarkDone(node.getLoc(), kPass)
          << "does what '" << getNodeName(inner.getLoc()) << "' does, too";
    };
    if (node.isOp("Reshape")) {
      auto sizes = intsOf(node.getInput(1));
      if (!sizes || llvm::is_contained(*sizes, 0))
        return rewriter.notifyMatchFailure(
            node, "its sizes are those that the reshape in front of it made");
      tell();
      rewriter.modifyOpInPlace(node, [&] { node.setOperand(0, x); });
      return success();
    }
    if (type.getNumDynamicDims() > 1 || llvm::is_contained(type.getShape(), 0))
      return rewriter.notifyMatchFailure(
          node, "no Reshape can say more than one size that is not known");
    tell();
    SmallVector<int64_t> sizes(type.getShape());
    for (int64_t &size : sizes)
      size = ShapedType::isDynamic(size) ? -1 : size;
    make.replace("Reshape", {x, make.ints(sizes, "shape")});
    return success();
  }
};

/// Cast(Cast(x)) where the first one loses nothing.
LogicalResult mergeCasts(onnx::NodeOp node, PatternRewriter &rewriter) {
  onnx::NodeOp inner = producerOf(node.getOperand(0), "Cast");
  if (!inner)
    return failure();
  Type from = getElementTypeOrSelf(inner.getOperand(0).getType());
  Type middle = getElementTypeOrSelf(inner.getResult(0).getType());
  auto width = [](Type type) {
    return type.isIntOrFloat() ? type.getIntOrFloatBitWidth() : 0;
  };
  // As text, true is not 1.
  if (!getElementTypeOrSelf(node.getResult(0).getType()).isIntOrFloat())
    return failure();
  bool isLossless =
      (isa<IntegerType>(from) && isa<IntegerType>(middle) &&
       width(from) <= width(middle) &&
       (from.isUnsignedInteger() == middle.isUnsignedInteger() ||
        from.isInteger(1))) ||
      (from.isF16() && (middle.isF32() || middle.isF64())) ||
      (from.isBF16() && (middle.isF32() || middle.isF64())) ||
      (from.isF32() && middle.isF64()) ||
      (from.isInteger(1) && isa<Float32Type, Float64Type>(middle));
  if (!isLossless)
    return rewriter.notifyMatchFailure(node, "the Cast in front of it rounds");
  remarkDone(node.getLoc(), kPass) << "needs no Cast in front of it";
  rewriter.modifyOpInPlace(node,
                           [&] { node.setOperand(0, inner.getOperand(0)); });
  return success();
}

struct RemoveIdentitiesPass
    : dlc::impl::RemoveIdentitiesBase<RemoveIdentitiesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RemoveIdentity, MergeReshapes>(&getContext());
    patterns.add<FunctionPattern<mergeCasts>>(&getContext(), "Cast");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
