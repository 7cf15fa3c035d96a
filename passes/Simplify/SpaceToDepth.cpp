// Gathers squares into channels in front of a convolution with strides, which
// has none then and can take Winograd's form.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SPACETODEPTH
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-space-to-depth";

/// Winograd's form of smaller windows gains less than the gathering costs.
static constexpr int64_t kLeastWindow = 3;
/// How many times as many products, zeros among them, the gain pays for.
static constexpr double kMostProducts = 2.15;

namespace {

/// The convolution along an axis, before and after.
struct Axis {
  int64_t size, window, stride, padBegin, padEnd;

  /// Zeros in front of the window, with which it begins with a block.
  int64_t lead() const { return llvm::alignTo(padBegin, stride) - padBegin; }
  int64_t blocks() const { return llvm::divideCeil(lead() + window, stride); }
  int64_t outputs() const {
    return (size + padBegin + padEnd - window) / stride + 1;
  }
  int64_t newPadBegin() const { return (padBegin + lead()) / stride; }
  /// Negative where the last blocks are read by nothing.
  int64_t newPadEnd() const {
    return outputs() - 1 + blocks() - size / stride - newPadBegin();
  }
};

} // namespace

/// Before: y = Conv(x, w) {strides = [s, s]}; after:
///   y = Conv(SpaceToDepth(x) {blocksize = s}, w')
/// where w' has zeros beside w, up to whole blocks.
static LogicalResult gatherSquares(onnx::NodeOp conv,
                                   PatternRewriter &rewriter) {
  Value x = conv.getOperand(0), weights = conv.getOperand(1);
  RankedTensorType type = tensorOf(x);
  auto shape = sizesOf(weights);
  auto strides = conv.getInts("strides");
  if (!type || type.getRank() != 4 || !strides || (*strides)[0] < 2 || !shape ||
      shape->size() != 4)
    return failure();
  if ((*strides)[0] != (*strides)[1])
    return rewriter.notifyMatchFailure(conv, "its strides are not equal");
  int64_t stride = strides->front();
  if (!type.getElementType().isF32() || !isConstantTree(weights))
    return rewriter.notifyMatchFailure(
        conv, "Winograd's form is one of float32, with constant weights");
  auto dilations = conv.getInts("dilations").value_or(SmallVector<int64_t>());
  if (conv.getInt("group", 1) != 1 ||
      conv.getString("auto_pad", "NOTSET") != "NOTSET" ||
      llvm::any_of(dilations, [](int64_t d) { return d != 1; }))
    return rewriter.notifyMatchFailure(
        conv, "it has groups, dilations or padding by a rule");
  if (type.isDynamicDim(1) || type.isDynamicDim(2) || type.isDynamicDim(3) ||
      type.getDimSize(2) % stride || type.getDimSize(3) % stride)
    return rewriter.notifyMatchFailure(
        conv, "height and width are not known to be multiples of the stride");
  auto pads = conv.getInts("pads").value_or(SmallVector<int64_t>(4, 0));
  Axis axes[2];
  for (int i : {0, 1})
    axes[i] = {type.getDimSize(2 + i), (*shape)[2 + i], stride, pads[i],
               pads[2 + i]};
  Axis &rows = axes[0], &columns = axes[1];
  if (std::min(rows.blocks(), columns.blocks()) < kLeastWindow)
    return rewriter.notifyMatchFailure(
        conv, "the window would have fewer than three blocks a side");
  if (double(rows.blocks() * columns.blocks() * stride * stride) >
      kMostProducts * double(rows.window * columns.window))
    return rewriter.notifyMatchFailure(
        conv, "too many of the products would be ones with zeros");
  if (std::min(rows.newPadEnd(), columns.newPadEnd()) < 0 ||
      std::min(rows.outputs(), columns.outputs()) < 1)
    return rewriter.notifyMatchFailure(conv, "its last pixels are not read");

  int64_t outputs = (*shape)[0], channels = (*shape)[1];
  int64_t gathered = channels * stride * stride;
  Weights make(rewriter, conv);
  // Whole blocks, then the place in a block in front of the channels.
  auto after = [&](Axis &axis) {
    return axis.blocks() * stride - axis.lead() - axis.window;
  };
  auto padded = cast<RankedTensorType>(weights.getType())
                    .clone({outputs, channels, rows.blocks() * stride,
                            columns.blocks() * stride});
  weights = make.fold("Pad",
                      {weights, make.ints({0, 0, rows.lead(), columns.lead(), 0,
                                           0, after(rows), after(columns)},
                                          "pads")},
                      padded);
  weights = make.reshape(weights, {outputs, channels, rows.blocks(), stride,
                                   columns.blocks(), stride});
  weights = make.transpose(weights, {0, 3, 5, 1, 2, 4});
  weights = make.reshape(weights,
                         {outputs, gathered, rows.blocks(), columns.blocks()});
  SmallVector<int64_t> sizes = {type.getDimSize(0), gathered,
                                rows.size / stride, columns.size / stride};
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = make.make("SpaceToDepth", x, type.clone(sizes), "squares",
                          make.attr("blocksize", stride));
  operands[1] = weights;
  SmallVector<int64_t> window = {rows.blocks(), columns.blocks()},
                       newPads = {rows.newPadBegin(), columns.newPadBegin(),
                                  rows.newPadEnd(), columns.newPadEnd()};
  remarkDone(conv.getLoc(), kPass) << mlir::remark::add(
      "takes squares of {0}x{0} as channels, and has no strides", stride);
  make.replace("Conv", operands,
               withAttributes(conv,
                              {make.attr("kernel_shape", ArrayRef(window)),
                               make.attr("pads", ArrayRef(newPads))},
                              {"strides"}));
  return success();
}

namespace {

struct SpaceToDepthPass : dlc::impl::SpaceToDepthBase<SpaceToDepthPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<gatherSquares>>(&getContext(), "Conv");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
