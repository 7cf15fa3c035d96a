// The form of each convolution, direct or Winograd's, by a model of its cost.

#include "dialects/Dlc/Dlc.h"
#include "lib/Kernels/Winograd.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace dlc {
#define GEN_PASS_DEF_CHOOSECONVOLUTION
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-choose-convolution";
using llvm::divideCeil;

/// What a height or width that only the run knows counts as: many tiles, of
/// which the last ones are not whole.
static constexpr int64_t kUnknownSize = 42;

namespace {

/// The extents of a convolution, all static but the number of images, which
/// counts as 1 where it isn't, and the height and width, which count as
/// kUnknownSize.
struct Sizes {
  int64_t images, height, width, channels, columns, windowHeight, windowWidth;
  bool isMapKnown = true;

  int64_t windows() const { return windowHeight * windowWidth; }
};

/// A convolution that can take Winograd's form.
struct Candidate {
  ContractOp op;
  Sizes sizes;
  WinogradAttr form;
  double gain;   // what the form saves, in cycles
  int64_t bytes; // by which the weights grow
};

struct ChooseConvolutionPass
    : dlc::impl::ChooseConvolutionBase<ChooseConvolutionPass> {
  using ChooseConvolutionBase::ChooseConvolutionBase;

  void runOnOperation() override;

private:
  std::optional<Candidate> examine(ContractOp op);
  WinogradAttr getForm(const Sizes &sizes, int64_t height, int64_t width);
  double getRate();
  double getDirectCost(const Sizes &sizes);
  double getCost(const Sizes &sizes, WinogradAttr form);
  void apply(const Candidate &candidate);

  KnownConstants constants;
  int64_t allBytes = 0; // of the model's constants
};

} // namespace

static std::optional<Sizes> getSizes(ContractOp op) {
  std::optional<ContractOp::Convolution> conv = op.getConvolution();
  if (!conv)
    return std::nullopt;
  Sizes sizes{
      op.getStaticExtent(conv->image),  op.getStaticExtent(conv->y),
      op.getStaticExtent(conv->x),      op.getStaticExtent(conv->channel),
      op.getStaticExtent(conv->column), op.getStaticExtent(conv->windowY),
      op.getStaticExtent(conv->windowX)};
  if (ShapedType::isDynamic(sizes.images))
    sizes.images = 1;
  for (int64_t *size : {&sizes.height, &sizes.width})
    if (ShapedType::isDynamic(*size)) {
      *size = kUnknownSize;
      sizes.isMapKnown = false;
    }
  for (int64_t size : {sizes.height, sizes.width, sizes.channels, sizes.columns,
                       sizes.windowHeight, sizes.windowWidth})
    if (ShapedType::isDynamic(size) || size == 0)
      return std::nullopt;
  return sizes;
}

/// Vector operations that begin in a cycle.
static constexpr int64_t kPipes = 2;

/// Bytes of weights that come in a cycle. A run reads all weights of the model
/// once, so they come from the cache, or memory, that holds all.
double ChooseConvolutionPass::getRate() {
  if (allBytes <= (1 << 19))
    return 64;
  return allBytes <= (12 << 20) ? 24 : 12;
}

double ChooseConvolutionPass::getDirectCost(const Sizes &s) {
  int64_t bytes = 4 * s.windows() * s.channels * s.columns;
  return (double(s.images * s.height * s.width * s.windows() * s.channels) *
              divideCeil(s.columns, lanes) / kPipes +
          bytes / getRate()) /
         speed;
}

/// Multiply-adds of a vector by a matrix with that many entries.
static int64_t countEntries(const Matrix &matrix) {
  int64_t count = 0;
  for (const auto &row : matrix)
    count += llvm::count_if(row, [](double entry) { return entry != 0; });
  return count;
}

/// Cycles: vector operations, and weights through the caches.
double ChooseConvolutionPass::getCost(const Sizes &s, WinogradAttr form) {
  WinogradForm y = getWinogradForm(form.getHeight(), form.getWindowHeight());
  WinogradForm x = getWinogradForm(form.getWidth(), form.getWindowWidth());
  int64_t products = y.tile() * x.tile();
  int64_t tiles = s.images * divideCeil(s.height, form.getHeight()) *
                  divideCeil(s.width, form.getWidth());
  double input = divideCeil(s.channels, lanes) *
                 (2 * products + x.tile() * countEntries(y.input) +
                  y.tile() * countEntries(x.input));
  double output = divideCeil(s.columns, lanes) *
                  (2 * products + x.tile() * countEntries(y.output) +
                   form.getHeight() * countEntries(x.output));
  double product = double(products * s.channels) * divideCeil(s.columns, lanes);
  // Few rows wait for their own sums and for the weights.
  int64_t rows = std::min(tiles, form.getTiles());
  product *= rows >= 6 ? 1.05 : rows >= 4 ? 1.2 : rows >= 2 ? 1.7 : 3;
  int64_t bytes = 4 * products * s.channels * s.columns;
  double weights = bytes / getRate() * divideCeil(tiles, form.getTiles());
  return tiles * (product + input + output) / kPipes + weights;
}

/// F(height x width) with as many tiles at a time as leave their transformed
/// inputs in the L2 cache, in blocks of about equal size.
WinogradAttr ChooseConvolutionPass::getForm(const Sizes &s, int64_t height,
                                            int64_t width) {
  constexpr int64_t kInputBytes = 640 << 10, kRows = 6;
  int64_t products =
      (height + s.windowHeight - 1) * (width + s.windowWidth - 1);
  int64_t total =
      s.images * divideCeil(s.height, height) * divideCeil(s.width, width);
  int64_t most = kInputBytes / (products * (s.channels + 16) * 4);
  most = std::clamp<int64_t>(most / kRows * kRows, kRows, 4 * kRows);
  int64_t tiles = s.isMapKnown ? total : most;
  if (s.isMapKnown && total > most)
    tiles = llvm::alignTo(divideCeil(total, divideCeil(total, most)), kRows);
  return WinogradAttr::get(&getContext(), height, width, s.windowHeight,
                           s.windowWidth, tiles);
}

/// The dimension of B that is the iteration dimension `dim`; panels have the
/// columns only.
static int64_t getPosition(ContractOp op, unsigned dim) {
  return *op.getBMap().getResultPosition(
      getAffineDimExpr(dim, op.getContext()));
}

/// B's type when its windows have become tiles.
static RankedTensorType getTileType(ContractOp op, WinogradAttr form) {
  ContractOp::Convolution conv = *op.getConvolution();
  auto type = cast<RankedTensorType>(op.getB().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[getPosition(op, conv.windowY)] = form.getTileHeight();
  shape[getPosition(op, conv.windowX)] = form.getTileWidth();
  return type.clone(shape);
}

std::optional<Candidate> ChooseConvolutionPass::examine(ContractOp op) {
  auto isF32 = [](Type type) { return getElementTypeOrSelf(type).isF32(); };
  if (!op.hasTensors() || op.getWinogradAttr() || !isF32(op.getA().getType()) ||
      !isF32(op.getB().getType()) || !op.getSumType().isF32() ||
      !constants.contains(op.getB()))
    return std::nullopt;
  std::optional<Sizes> sizes = getSizes(op);
  if (!sizes || sizes->windows() == 1)
    return std::nullopt;
  // A form that is asked for may be the least exact one.
  double mostError =
      this->form == "auto" ? error : std::numeric_limits<double>::max();
  Candidate best{op, *sizes, {}, 0, 0};
  double bestCost = 0;
  auto outputs = [](int64_t window) {
    // Nothing is won along a window of one; two outputs are the least.
    return window == 1
               ? llvm::seq_inclusive<int64_t>(1, 1)
               : llvm::seq_inclusive<int64_t>(
                     2, std::max<int64_t>(1, kMaxWinogradTile - window + 1));
  };
  for (int64_t height : outputs(sizes->windowHeight))
    for (int64_t width : outputs(sizes->windowWidth)) {
      if (getWinogradError(getWinogradForm(height, sizes->windowHeight)) *
              getWinogradError(getWinogradForm(width, sizes->windowWidth)) >
          mostError)
        continue;
      WinogradAttr form = getForm(*sizes, height, width);
      double cost = getCost(*sizes, form);
      if (best.form && cost >= bestCost)
        continue;
      bestCost = cost;
      best.form = form;
      best.gain = getDirectCost(*sizes) - cost;
    }
  if (!best.form)
    return std::nullopt;
  best.bytes = getConstantBytes(getTileType(op, best.form)) -
               getConstantBytes(op.getB().getType());
  return best;
}

/// Replaces B by its transform.
void ChooseConvolutionPass::apply(const Candidate &candidate) {
  ContractOp op = candidate.op;
  ContractOp::Convolution conv = *op.getConvolution();
  OpBuilder b(&getContext());
  b.setInsertionPointAfterValue(op.getB());
  RankedTensorType type = getTileType(op, candidate.form);
  Location loc = op.getB().getLoc();
  Value empty =
      tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  auto weights = WinogradWeightsOp::create(
      b, loc, type, op.getB(), empty, getPosition(op, conv.windowY),
      getPosition(op, conv.windowX), candidate.form);
  weights->setAttr(kExpandAttr, b.getUnitAttr());
  op.getBMutable().assign(weights.getResult());
  op.setWinogradAttr(candidate.form);
  op->removeDiscardableAttr(kTransformedAttr);
}

void ChooseConvolutionPass::runOnOperation() {
  if (form == "direct")
    return;
  if (form != "auto" && form != "winograd") {
    getOperation()->emitError("expected a convolution of form auto, direct or "
                              "winograd, found '")
        << form << "'";
    return signalPassFailure();
  }
  getOperation()->walk([&](Operation *op) {
    if (op->hasTrait<OpTrait::ConstantLike>())
      allBytes += getConstantBytes(op->getResult(0).getType());
  });
  SmallVector<Candidate> candidates;
  getOperation()->walk([&](ContractOp op) {
    if (std::optional<Candidate> candidate = examine(op))
      candidates.push_back(*candidate);
  });
  int64_t room = std::numeric_limits<int64_t>::max();
  if (form == "auto") {
    // A model isn't exact: a small gain may be none.
    llvm::erase_if(candidates, [&](const Candidate &candidate) {
      bool isSmall = candidate.gain < 0.1 * getDirectCost(candidate.sizes);
      if (isSmall)
        remarkMissed(candidate.op->getLoc(), kPass)
            << "direct: Winograd's form would gain less than a tenth";
      return isSmall;
    });
    llvm::stable_sort(candidates, [](const Candidate &a, const Candidate &b) {
      return a.gain * b.bytes > b.gain * a.bytes;
    });
    if (growth >= 0)
      room = allBytes * growth / 100;
  }
  for (const Candidate &candidate : candidates) {
    if (candidate.bytes > room) {
      remarkMissed(candidate.op->getLoc(), kPass) << mlir::remark::add(
          "direct: the constants may grow by {0} bytes more, Winograd's form "
          "needs {1}",
          room, candidate.bytes);
      continue;
    }
    room -= candidate.bytes;
    if (mark) {
      Operation *op = candidate.op;
      op->setDiscardableAttr(kTransformedAttr, UnitAttr::get(&getContext()));
      continue;
    }
    remarkDone(candidate.op->getLoc(), kPass) << mlir::remark::add(
        "Winograd's form, {0}x{1} outputs a tile: saves {2} % of the cycles",
        candidate.form.getHeight(), candidate.form.getWidth(),
        int(100 * candidate.gain / getDirectCost(candidate.sizes)));
    apply(candidate);
  }
}
