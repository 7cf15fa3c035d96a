// Steps of slices become strides of a convolution, and the squares that are
// gathered into channels in front of it a part of its window.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDSTRIDES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-strides";

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

namespace {

/// Every step-th element of the axes behind the channels.
struct Steps {
  Value x;
  SmallVector<int64_t> begins, steps; ///< one an axis behind the channels
};

} // namespace

/// Reads a Slice with steps to the end of the axes behind the channels, or a
/// pool of windows of one element.
static std::optional<Steps> readSteps(onnx::NodeOp node) {
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0)
    return std::nullopt;
  RankedTensorType type = tensorOf(node.getOperand(0));
  if (!type || type.getRank() < 3)
    return std::nullopt;
  size_t n = type.getRank() - 2;
  Steps found{node.getOperand(0), SmallVector<int64_t>(n, 0),
              SmallVector<int64_t>(n, 1)};
  if (node.isOp("MaxPool") || node.isOp("AveragePool")) {
    auto kernel = node.getInts("kernel_shape"), pads = node.getInts("pads");
    auto strides = node.getInts("strides");
    if (!kernel || llvm::any_of(*kernel, [](auto k) { return k != 1; }) ||
        (pads && llvm::any_of(*pads, [](auto p) { return p != 0; })) ||
        node.getString("auto_pad", "NOTSET") != "NOTSET" ||
        node.getInt("ceil_mode", 0) || !strides || node.getNumResults() != 1)
      return std::nullopt;
    found.steps = *strides;
    return found;
  }
  auto begins = intsOf(node.getInput(1)), ends = intsOf(node.getInput(2)),
       axes = intsOf(node.getInput(3)), steps = intsOf(node.getInput(4));
  if (!node.isOp("Slice") || !begins || !ends || !axes || !steps)
    return std::nullopt;
  for (auto [begin, end, at, step] : llvm::zip(*begins, *ends, *axes, *steps)) {
    int64_t axis = toAxis(at, type.getRank());
    bool isToEnd =
        end >= std::numeric_limits<int32_t>::max() ||
        (axis >= 0 && !type.isDynamicDim(axis) && end >= type.getDimSize(axis));
    if (axis < 2 || step < 1 || begin < 0 || begin >= step || !isToEnd)
      return std::nullopt;
    found.begins[axis - 2] = begin;
    found.steps[axis - 2] = step;
  }
  return found;
}

static bool isAll(ArrayRef<int64_t> ints, int64_t number) {
  return llvm::all_of(ints, [&](int64_t x) { return x == number; });
}

/// The strides of a convolution that also takes these steps.
static SmallVector<int64_t> stridesWith(const Steps &steps, onnx::NodeOp conv) {
  auto strides = conv.getInts("strides").value_or(
      SmallVector<int64_t>(steps.steps.size(), 1));
  for (auto [stride, step] : llvm::zip(strides, steps.steps))
    stride *= step;
  return strides;
}

/// Conv(x[::2], w) of a window of one element as Conv(x, w) with strides.
static LogicalResult stepsInFront(onnx::NodeOp conv,
                                  PatternRewriter &rewriter) {
  auto steps = readSteps(conv.getOperand(0).getDefiningOp<onnx::NodeOp>());
  auto shape = sizesOf(conv.getOperand(1));
  if (!steps || !shape || !isAll(shape->drop_front(2), 1) ||
      conv.getString("auto_pad", "NOTSET") != "NOTSET" ||
      !isAll(conv.getInts("pads").value_or(SmallVector<int64_t>()), 0))
    return failure();
  if (!isAll(steps->begins, 0) || isAll(steps->steps, 1))
    return rewriter.notifyMatchFailure(conv, "it does not begin at 0");
  SmallVector<int64_t> strides = stridesWith(*steps, conv);
  NodeBuilder make(rewriter, conv);
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = steps->x;
  remarkDone(conv.getLoc(), kPass) << "takes the steps in front of it";
  make.replace("Conv", operands,
               withAttributes(conv, make.attr("strides", ArrayRef(strides))));
  return success();
}

/// Conv(x, w)[::2] as Conv(x, w) with strides: nobody wants the others.
static LogicalResult stepsBehind(onnx::NodeOp node, PatternRewriter &rewriter) {
  auto steps = readSteps(node);
  onnx::NodeOp conv = steps ? soleProducerOf(steps->x, "Conv") : onnx::NodeOp();
  if (!conv || isAll(steps->steps, 1) ||
      conv.getString("auto_pad", "NOTSET") != "NOTSET")
    return failure();
  if (!isAll(steps->begins, 0))
    return rewriter.notifyMatchFailure(node, "it does not begin at 0");
  SmallVector<int64_t> strides = stridesWith(*steps, conv);
  NodeBuilder make(rewriter, node);
  remarkDone(conv.getLoc(), kPass) << "takes the steps behind it";
  Location loc = conv.getLoc();
  make.replace("Conv", conv.getOperands(),
               withAttributes(conv, make.attr("strides", ArrayRef(strides))))
      ->setLoc(loc);
  return success();
}

//===----------------------------------------------------------------------===//
// Squares in the channels
//===----------------------------------------------------------------------===//

namespace {

/// Which element of a square each block of channels has, as row * size +
/// column; of a tensor [N, C, H, W].
struct Squares {
  Value x;
  int64_t size = 0;
  SmallVector<int64_t> blocks;
};

} // namespace

/// Reads SpaceToDepth, or Concat(x[::2, ::2], x[1::2, ::2], ...).
static std::optional<Squares> readSquares(onnx::NodeOp node) {
  if (!node || !node.getDomain().empty())
    return std::nullopt;
  Squares squares;
  if (node.isOp("SpaceToDepth")) {
    squares.x = node.getOperand(0);
    squares.size = node.getInt("blocksize", 0);
    for (int64_t i = 0; i < squares.size * squares.size; ++i)
      squares.blocks.push_back(i);
    return squares;
  }
  if (!node.isOp("Concat") || node.getInt("axis", 0) != 1)
    return std::nullopt;
  for (Value operand : node.getOperands()) {
    // One slice for both axes, or one behind the other.
    SmallVector<int64_t> begins(2, 0), steps(2, 1);
    Value x = operand;
    while (auto found = readSteps(producerOf(x, "Slice"))) {
      if (found->steps.size() != 2)
        return std::nullopt;
      for (int i = 0; i < 2; ++i)
        if (found->steps[i] != 1) {
          if (steps[i] != 1)
            return std::nullopt;
          begins[i] = found->begins[i];
          steps[i] = found->steps[i];
        }
      x = found->x;
    }
    if (steps[0] != steps[1] || steps[0] == 1 ||
        (squares.x && (squares.x != x || squares.size != steps[0])))
      return std::nullopt;
    squares.x = x;
    squares.size = steps[0];
    squares.blocks.push_back(begins[0] * steps[0] + begins[1]);
  }
  SmallVector<int64_t> sorted(squares.blocks);
  llvm::sort(sorted);
  for (auto [i, block] : llvm::enumerate(sorted))
    if (block != int64_t(i))
      return std::nullopt;
  if (int64_t(sorted.size()) != squares.size * squares.size)
    return std::nullopt;
  return squares;
}

/// Conv(SpaceToDepth(x), w) as Conv(x, w') with a window, strides and pads
/// that are as many times as large: the same work without the copy.
static LogicalResult foldSquares(onnx::NodeOp conv, PatternRewriter &rewriter) {
  auto squares = readSquares(conv.getOperand(0).getDefiningOp<onnx::NodeOp>());
  Value weights = conv.getOperand(1);
  auto shape = sizesOf(weights);
  RankedTensorType type = squares ? tensorOf(squares->x) : nullptr;
  if (!type || type.getRank() != 4 || !shape || shape->size() != 4 ||
      !isConstantTree(weights) || conv.getInt("group", 1) != 1 ||
      conv.getString("auto_pad", "NOTSET") != "NOTSET" ||
      !isAll(conv.getInts("dilations").value_or(SmallVector<int64_t>()), 1))
    return failure();
  int64_t size = squares->size, blocks = size * size;
  // A square that is cut off has no place in the window.
  for (int64_t axis : {2, 3})
    if (type.isDynamicDim(axis) || type.getDimSize(axis) % size)
      return rewriter.notifyMatchFailure(conv, "sizes are no multiples");
  int64_t outputs = (*shape)[0], channels = (*shape)[1] / blocks;
  int64_t rows = (*shape)[2], columns = (*shape)[3];
  if (channels * blocks != (*shape)[1] || channels != type.getDimSize(1))
    return failure();
  Weights make(rewriter, conv);
  SmallVector<int64_t> order(blocks);
  for (auto [i, block] : llvm::enumerate(squares->blocks))
    order[block] = i;
  Value apart =
      make.reshape(weights, {outputs, blocks, channels, rows, columns});
  if (!llvm::is_sorted(order))
    apart = make.fold("Gather", {apart, make.ints(order, "order")},
                      apart.getType(), make.attr("axis", int64_t(1)));
  apart = make.reshape(apart, {outputs, size, size, channels, rows, columns});
  apart = make.transpose(apart, {0, 3, 4, 1, 5, 2});
  weights =
      make.reshape(apart, {outputs, channels, rows * size, columns * size});
  auto times = [&](StringRef name, size_t count, int64_t otherwise) {
    auto ints =
        conv.getInts(name).value_or(SmallVector<int64_t>(count, otherwise));
    for (int64_t &x : ints)
      x *= size;
    return ints;
  };
  SmallVector<int64_t> strides = times("strides", 2, 1),
                       pads = times("pads", 4, 0),
                       kernel = {rows * size, columns * size};
  SmallVector<Value> operands(conv.getOperands());
  operands[0] = squares->x;
  operands[1] = weights;
  remarkDone(conv.getLoc(), kPass) << "has the squares in its window";
  make.replace(
      "Conv", operands,
      withAttributes(conv, {make.attr("kernel_shape", ArrayRef(kernel)),
                            make.attr("strides", ArrayRef(strides)),
                            make.attr("pads", ArrayRef(pads))}));
  return success();
}

namespace {

struct FoldStridesPass : dlc::impl::FoldStridesBase<FoldStridesPass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<FunctionPattern<stepsInFront>>(context, "Conv");
    patterns.add<FunctionPattern<foldSquares>>(context, "Conv");
    for (StringRef op : {"Slice", "MaxPool", "AveragePool"})
      patterns.add<FunctionPattern<stepsBehind>>(context, op);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
