// Exchanges convolutions of windows of one element and means over positions,
// which commute, where less is computed then.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SWAPPOINTWISE
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-swap-pointwise";

//===----------------------------------------------------------------------===//
// Means
//===----------------------------------------------------------------------===//

namespace {

/// A node whose outputs are weighted sums of inputs at other positions of the
/// same channel, with the same weights in all channels.
struct Mean {
  onnx::NodeOp node;
  double ratio = 1;       ///< outputs for an input
  bool keepsShift = true; ///< the weights of an output add up to 1
};

} // namespace

/// How many elements behind the channels a result has for one of `from`;
/// `fallback` where sizes are not known.
static double getRatio(RankedTensorType from, RankedTensorType to,
                       double fallback) {
  double ratio = 1;
  for (int64_t i = 2; i < from.getRank(); ++i) {
    if (from.isDynamicDim(i) || to.isDynamicDim(i))
      return fallback;
    ratio *= double(to.getDimSize(i)) /
             double(std::max<int64_t>(1, from.getDimSize(i)));
  }
  return ratio;
}

/// A pool's ratio where sizes are not known.
static double getStridesRatio(onnx::NodeOp pool) {
  double ratio = 1;
  for (int64_t stride :
       pool.getInts("strides").value_or(SmallVector<int64_t>()))
    ratio /= double(stride);
  return ratio;
}

/// Reads a Resize of the axes behind the channels. A cubic one makes means only
/// up to rounding, and some lie outside of the picture; with `antialias` they
/// are those of many elements, which is dearer.
static std::optional<Mean>
readResize(onnx::NodeOp resize, RankedTensorType from, RankedTensorType to) {
  StringRef mode = resize.getString("mode", "nearest");
  if ((mode != "nearest" && mode != "linear") || resize.getInput(1) ||
      resize.getString("coordinate_transformation_mode", "half_pixel") ==
          "tf_crop_and_resize" ||
      resize.getInt("antialias", 0) || resize.getOnnxAttribute("axes") ||
      resize.getString("keep_aspect_ratio_policy", "stretch") != "stretch")
    return std::nullopt;
  auto scales = numbersOf(resize.getInput(2));
  if (scales && !scales->empty()) {
    if (int64_t(scales->size()) != from.getRank() || (*scales)[0] != 1 ||
        (*scales)[1] != 1)
      return std::nullopt;
    double ratio = 1;
    for (double scale : *scales)
      ratio *= scale;
    return Mean{resize, getRatio(from, to, ratio)};
  }
  // Sizes name the channels, which become others: they are written anew.
  if (!from.hasStaticShape() || !to.hasStaticShape())
    return std::nullopt;
  return Mean{resize, getRatio(from, to, 1)};
}

static std::optional<Mean> readMean(onnx::NodeOp node) {
  if (!node || !node.getDomain().empty() || node.getNumResults() != 1 ||
      node.getNumOperands() == 0)
    return std::nullopt;
  RankedTensorType from = tensorOf(node.getOperand(0)),
                   to = tensorOf(node.getResult(0));
  // Batches and channels stay.
  if (!from || !to || from.getRank() < 3 || from.getRank() != to.getRank() ||
      from.getShape().take_front(2) != to.getShape().take_front(2) ||
      from.isDynamicDim(1) || !isFloat(node.getOperand(0)))
    return std::nullopt;
  if (node.isOp("AveragePool"))
    return Mean{node, getRatio(from, to, getStridesRatio(node)),
                poolKeepsShift(node)};
  if (node.isOp("GlobalAveragePool"))
    return Mean{node, getRatio(from, to, 0)};
  if (node.isOp("ReduceMean")) {
    auto axes = intsOf(node.getInput(1));
    if (!axes || axes->empty() || !node.getInt("keepdims", 1) ||
        llvm::any_of(*axes, [&](int64_t axis) {
          return toAxis(axis, from.getRank()) < 2;
        }))
      return std::nullopt;
    return Mean{node, getRatio(from, to, 0)};
  }
  return node.isOp("Resize") ? readResize(node, from, to) : std::nullopt;
}

/// The operands of the node on another input, whose result has the type `to`.
static SmallVector<Value> getOperandsOn(NodeBuilder &make, Mean mean,
                                        Value input, RankedTensorType to) {
  SmallVector<Value> operands(mean.node.getOperands());
  operands[0] = input;
  if (mean.node.isOp("Resize") && mean.node.getInput(3))
    operands[3] = make.ints(to.getShape(), "sizes");
  return operands;
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

/// The sizes of the weights of a convolution that looks at one element and
/// leaves none out. One of quantized numbers stays where these are.
static std::optional<ArrayRef<int64_t>> readPointwise(onnx::NodeOp conv) {
  auto isAll = [&](StringRef name, int64_t number) {
    return llvm::all_of(conv.getInts(name).value_or(SmallVector<int64_t>()),
                        [&](int64_t x) { return x == number; });
  };
  auto shape = sizesOf(conv.getOperand(1));
  if (!shape || shape->size() < 3 ||
      llvm::any_of(shape->drop_front(2), [](int64_t k) { return k != 1; }) ||
      !isAll("strides", 1) || !isAll("pads", 0) ||
      producerOf(conv.getOperand(0), "DequantizeLinear") ||
      producerOf(conv.getOperand(1), "DequantizeLinear"))
    return std::nullopt;
  return shape;
}

/// What a convolution of these weights spares in front of a mean, for each of
/// its inputs' positions; below 0 where that is dearer. In multiply-adds, of
/// which a core makes some eight while it moves an element of a map.
static double getGain(ArrayRef<int64_t> weights, int64_t inputs, double ratio) {
  constexpr double kElement = 8;
  double products = double(weights[0]) * double(weights[1]);
  double moved = kElement * (1 + ratio);
  return (ratio - 1) * products + moved * double(inputs - weights[0]);
}

namespace {

/// Conv(Mean(x), w) as Mean(Conv(x, w)).
struct ConvolveFirst : NodePattern {
  ConvolveFirst(MLIRContext *context, bool addsBias)
      : NodePattern(context, "Conv"), addsBias(addsBias) {}
  LogicalResult rewrite(onnx::NodeOp conv,
                        PatternRewriter &rewriter) const override;

  bool addsBias; ///< a bias may become a node of its own
};

} // namespace

LogicalResult ConvolveFirst::rewrite(onnx::NodeOp conv,
                                     PatternRewriter &rewriter) const {
  auto weights = readPointwise(conv);
  RankedTensorType type = tensorOf(conv.getResult(0));
  Value middle = conv.getOperand(0);
  auto mean = weights && type && middle.hasOneUse()
                  ? readMean(middle.getDefiningOp<onnx::NodeOp>())
                  : std::nullopt;
  if (!mean || mean->node->getBlock() != conv->getBlock() ||
      type.getRank() != rankOf(middle))
    return failure();
  Value x = mean->node.getOperand(0), bias = conv.getInput(2);
  bool addsBehind = bias && !mean->keepsShift;
  if (addsBehind && (!addsBias || !isConstantTree(bias)))
    return rewriter.notifyMatchFailure(conv, "its bias would be one more node");
  if (getGain(*weights, tensorOf(x).getDimSize(1), mean->ratio) <= 0)
    return rewriter.notifyMatchFailure(
        conv, "in front of '" + getNodeName(mean->node.getLoc()) +
                  "' it computes no less");
  Location loc = conv.getLoc(), meanLoc = mean->node.getLoc();
  SmallVector<int64_t> sizes(tensorOf(x).getShape());
  sizes[1] = (*weights)[0];
  Weights make(rewriter, conv);
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = x;
  if (addsBehind)
    operands.resize(2);
  Value first = make.make("Conv", operands, type.clone(sizes), "first",
                          withAttributes(conv, {}));
  first.getDefiningOp()->setLoc(loc);
  SmallVector<Value> rest = getOperandsOn(make, *mean, first, type);
  auto attributes = withAttributes(mean->node, {});
  StringRef op = mean->node.getOpType();
  remarkDone(loc, kPass) << "runs in front of '" << getNodeName(meanLoc) << "'";
  if (!addsBehind) {
    make.replace(op, rest, attributes)->setLoc(meanLoc);
    return success();
  }
  Value result = make.make(op, rest, type, "mean", attributes);
  result.getDefiningOp()->setLoc(meanLoc);
  SmallVector<int64_t> along(type.getRank(), 1);
  along[1] = sizes[1];
  make.replace("Add", {result, make.reshape(bias, along)})->setLoc(loc);
  return success();
}

/// Mean(Conv(x, w)) as Conv(Mean(x), w).
static LogicalResult convolveLast(onnx::NodeOp node,
                                  PatternRewriter &rewriter) {
  auto mean = readMean(node);
  onnx::NodeOp conv =
      mean ? soleProducerOf(node.getOperand(0), "Conv") : onnx::NodeOp();
  auto weights = conv ? readPointwise(conv) : std::nullopt;
  RankedTensorType from = conv ? tensorOf(conv.getOperand(0)) : nullptr;
  RankedTensorType type = tensorOf(node.getResult(0));
  if (!weights || !from || from.isDynamicDim(1) ||
      from.getRank() != type.getRank())
    return failure();
  if (conv.getInput(2) && !mean->keepsShift)
    return rewriter.notifyMatchFailure(
        node, "it counts zeros, to which the bias is not added");
  if (getGain(*weights, from.getDimSize(1), mean->ratio) >= 0)
    return rewriter.notifyMatchFailure(node, "in front of '" +
                                                 getNodeName(conv.getLoc()) +
                                                 "' it makes that no cheaper");
  SmallVector<int64_t> sizes(type.getShape());
  sizes[1] = from.getDimSize(1);
  Location loc = conv.getLoc();
  NodeBuilder make(rewriter, node);
  RankedTensorType small = type.clone(sizes);
  Value first = make.make(node.getOpType(),
                          getOperandsOn(make, *mean, conv.getOperand(0), small),
                          small, "first", withAttributes(node, {}));
  remarkDone(node.getLoc(), kPass)
      << "runs in front of '" << getNodeName(loc) << "'";
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = first;
  make.replace("Conv", operands, withAttributes(conv, {}))->setLoc(loc);
  return success();
}

namespace {

struct SwapPointwisePass : dlc::impl::SwapPointwiseBase<SwapPointwisePass> {
  using SwapPointwiseBase::SwapPointwiseBase;
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<ConvolveFirst>(context, addsBias);
    for (StringRef op :
         {"AveragePool", "GlobalAveragePool", "ReduceMean", "Resize"})
      patterns.add<FunctionPattern<convolveLast>>(context, op);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
