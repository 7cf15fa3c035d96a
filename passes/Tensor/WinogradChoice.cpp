// What Winograd's form of a convolution costs, and which convolutions take it.

#include "passes/Tensor/WinogradChoice.h"
#include "lib/Kernels/Winograd.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

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

/// Costs of convolutions in cycles.
class CostModel {
public:
  CostModel(const WinogradOptions &options, int64_t allBytes)
      : options(options), lanes(options.lanes), allBytes(allBytes) {}

  std::optional<WinogradCandidate> examine(ContractOp op);

private:
  WinogradAttr getForm(const Sizes &sizes, int64_t height, int64_t width);
  double getRate();
  double getDirectCost(const Sizes &sizes);
  double getCost(const Sizes &sizes, WinogradAttr form);

  KnownConstants constants;
  const WinogradOptions &options;
  int64_t lanes;
  int64_t allBytes; // of the model's constants
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
double CostModel::getRate() {
  if (allBytes <= (1 << 19))
    return 64;
  return allBytes <= (12 << 20) ? 24 : 12;
}

double CostModel::getDirectCost(const Sizes &s) {
  int64_t products = s.windows() * s.channels;
  return double(s.images * s.height * s.width * products) *
             divideCeil(s.columns, lanes) / (kPipes * options.speed) +
         4 * products * s.columns / (getRate() * options.speed);
}

/// Multiply-adds of a vector by a matrix with that many entries.
static int64_t countEntries(const Matrix &matrix) {
  int64_t count = 0;
  for (const auto &row : matrix)
    count += llvm::count_if(row, [](double entry) { return entry != 0; });
  return count;
}

/// Cycles: vector operations, and weights through the caches.
double CostModel::getCost(const Sizes &s, WinogradAttr form) {
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
WinogradAttr CostModel::getForm(const Sizes &s, int64_t height, int64_t width) {
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
  return WinogradAttr::get(options.context, height, width, s.windowHeight,
                           s.windowWidth, tiles);
}

unsigned dlc::getPositionInB(ContractOp op, unsigned dim) {
  return *op.getBMap().getResultPosition(
      getAffineDimExpr(dim, op.getContext()));
}

/// B's type when its windows have become tiles.
RankedTensorType dlc::getTileType(ContractOp op, WinogradAttr form) {
  ContractOp::Convolution conv = *op.getConvolution();
  auto type = cast<RankedTensorType>(op.getB().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[getPositionInB(op, conv.windowY)] = form.getTileHeight();
  shape[getPositionInB(op, conv.windowX)] = form.getTileWidth();
  return type.clone(shape);
}

std::optional<WinogradCandidate> CostModel::examine(ContractOp op) {
  auto isF32 = [](Type type) { return getElementTypeOrSelf(type).isF32(); };
  if (!op.hasTensors() || op.getWinogradAttr() || !isF32(op.getA().getType()) ||
      !isF32(op.getB().getType()) || !op.getSumType().isF32() ||
      !constants.contains(op.getB()))
    return std::nullopt;
  std::optional<Sizes> sizes = getSizes(op);
  if (!sizes || sizes->windows() == 1)
    return std::nullopt;
  // A form that is asked for may be the least exact one.
  double mostError = options.form == "auto"
                         ? options.error
                         : std::numeric_limits<double>::max();
  WinogradCandidate best{op, {}, getDirectCost(*sizes), 0, 0};
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
      best.gain = best.direct - cost;
    }
  if (!best.form)
    return std::nullopt;
  best.bytes = getConstantBytes(getTileType(op, best.form)) -
               getConstantBytes(op.getB().getType());
  return best;
}

WinogradChoice dlc::chooseWinograd(Operation *root,
                                   const WinogradOptions &options) {
  WinogradChoice choice;
  if (options.form == "direct")
    return choice;
  root->walk([&](Operation *op) {
    if (op->hasTrait<OpTrait::ConstantLike>())
      choice.constantBytes += getConstantBytes(op->getResult(0).getType());
  });
  CostModel model(options, choice.constantBytes);
  root->walk([&](ContractOp op) {
    if (std::optional<WinogradCandidate> candidate = model.examine(op))
      choice.candidates.push_back(*candidate);
  });
  if (options.form != "auto")
    return choice;
  // A model isn't exact: a small gain may be none.
  llvm::erase_if(choice.candidates, [&](const WinogradCandidate &candidate) {
    bool isSmall = candidate.gain < 0.1 * candidate.direct;
    if (isSmall)
      choice.tooSmall.push_back(candidate.op);
    return isSmall;
  });
  llvm::stable_sort(choice.candidates,
                    [](const WinogradCandidate &a, const WinogradCandidate &b) {
                      return a.gain * b.bytes > b.gain * a.bytes;
                    });
  return choice;
}
