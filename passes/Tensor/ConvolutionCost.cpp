// The cost of convolutions: vector operations, and memory through the caches.
#include "passes/Tensor/ConvolutionCost.h"
#include "passes/Tensor/Passes.h"
#include "passes/WinogradScratch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;
using llvm::divideCeil;

std::optional<ConvolutionSizes> ConvolutionSizes::get(ContractOp op) {
  std::optional<ContractOp::Convolution> conv = op.getConvolution();
  if (!conv)
    return std::nullopt;
  ConvolutionSizes sizes;
  sizes.images = op.getStaticExtent(conv->image);
  sizes.height = op.getStaticExtent(conv->y);
  sizes.width = op.getStaticExtent(conv->x);
  sizes.windowHeight = op.getStaticExtent(conv->windowY);
  sizes.windowWidth = op.getStaticExtent(conv->windowX);
  sizes.groups = conv->group ? op.getStaticExtent(*conv->group) : 1;
  sizes.channels = op.getStaticExtent(conv->channel);
  sizes.columns = op.getStaticExtent(conv->column);
  std::optional<Depth> depth = getDepth(op);
  sizes.isVolume = depth.has_value();
  sizes.taps = depth ? op.getStaticExtent(depth->window) : 1;
  sizes.dilation = getDilation(op);
  sizes.isMapKnown = true;
  sizes.operandBytes = getConstantBytes(op.getA().getType()) +
                       getConstantBytes(op.getInit().getType());
  if (ShapedType::isDynamic(sizes.images))
    sizes.images = 1;
  if (depth) {
    int64_t extent = op.getStaticExtent(depth->z);
    sizes.isMapKnown = ShapedType::isStatic(extent);
    sizes.images *= sizes.isMapKnown ? extent : kUnknownDepth;
  }
  for (int64_t *size : {&sizes.height, &sizes.width})
    if (ShapedType::isDynamic(*size)) {
      *size = kUnknownSize;
      sizes.isMapKnown = false;
    }
  for (int64_t size : {sizes.images, sizes.height, sizes.width,
                       sizes.windowHeight, sizes.windowWidth, sizes.taps,
                       sizes.groups, sizes.channels, sizes.columns})
    if (ShapedType::isDynamic(size) || size == 0)
      return std::nullopt;
  return sizes;
}

/// Vector operations that begin in a cycle.
static constexpr int64_t kPipes = 2;

/// The bytes of a cycle from the nearest caches, the last one, and memory, for
/// which a kernel waits.
double ConvolutionCost::addWeights(double cycles, double bytes,
                                   double growth) const {
  double all = growth * double(constantBytes);
  if (all >= (28 << 20))
    return cycles + bytes / 9;
  double memory = bytes / (all <= (1 << 19) ? 64 : 20);
  return std::max(cycles, memory) + 0.25 * std::min(cycles, memory);
}

double ConvolutionCost::getDirect(const ConvolutionSizes &s) const {
  double outputs = double(s.images) * s.height * s.width;
  if (s.isDepthwise())
    return outputs * s.windows() * s.taps * divideCeil(s.groups, lanes) /
           kPipes;
  double bytes = 4.0 * s.groups * s.windows() * s.summed() * s.columns;
  // All rows of outputs go through a panel of columns while it is in the L2
  // cache; a larger one is read for each tile of rows.
  constexpr int64_t kPanel = 32, kPanelBytes = 1 << 20, kRows = 14;
  if (4 * s.windows() * s.summed() * std::min(s.columns, kPanel) > kPanelBytes)
    bytes *= s.images * s.height * divideCeil(s.width, kRows);
  return addWeights(outputs * s.groups * s.windows() * s.summed() *
                        divideCeil(s.columns, lanes) / kPipes,
                    bytes, 1);
}

/// Multiply-adds of a vector by a matrix with that many entries.
static int64_t countEntries(const Matrix &matrix) {
  int64_t count = 0;
  for (const auto &row : matrix)
    count += llvm::count_if(row, [](double entry) { return entry != 0; });
  return count;
}

/// The vector operations of a tile's transforms, of a vector of channels and
/// of one of columns.
static std::pair<double, double> countTransforms(WinogradAttr form) {
  if (form.isFourier()) {
    FourierLayout layout(form.getTileHeight(), form.getTileWidth(),
                         form.getPair());
    return {1.1 * countForward(layout),
            1.1 * countInverse(layout, form.getHeight())};
  }
  WinogradForm y = getWinogradForm(form.getHeight(), form.getWindowHeight());
  WinogradForm x = getWinogradForm(form.getWidth(), form.getWindowWidth());
  double products = form.getProducts();
  // A large tile lies in memory between its lines and its columns.
  double passes = products > 36 ? 0.85 : 1;
  return {passes * (2 * products + x.tile() * countEntries(y.input) +
                    y.tile() * countEntries(x.input)),
          passes * (2 * products + x.tile() * countEntries(y.output) +
                    form.getHeight() * countEntries(x.output))};
}

/// A tile has every so manieth line and column, as the window has.
static int64_t countTiles(const ConvolutionSizes &s, int64_t height,
                          int64_t width) {
  auto along = [](int64_t extent, int64_t outputs, int64_t dilation) {
    return dilation * divideCeil(divideCeil(extent, dilation), outputs);
  };
  return s.images * along(s.height, height, s.dilation.y) *
         along(s.width, width, s.dilation.x);
}

/// What products with so many rows, in blocks, cost as products with a row in
/// the time that many need for one: few rows wait for their own sums and for
/// the weights.
static double countRows(int64_t rows, int64_t block) {
  auto cost = [](int64_t count) {
    return count * (count >= 6   ? 1.05
                    : count >= 4 ? 1.2
                    : count >= 2 ? 1.7
                                 : 3.0);
  };
  return rows / block * cost(block) + cost(rows % block);
}

double ConvolutionCost::getCycles(const ConvolutionSizes &s,
                                  WinogradAttr form) const {
  int64_t products = form.getProducts();
  double tiles = countTiles(s, form.getHeight(), form.getWidth());
  if (form.getPair() == 2) {
    FourierLayout layout(form.getTileHeight(), form.getTileWidth(), 2);
    return tiles * countFilter(layout, form.getHeight()) *
           divideCeil(s.groups, lanes) / kPipes;
  }
  auto [forward, inverse] = countTransforms(form);
  double product = double(products * s.summed()) * divideCeil(s.columns, lanes);
  product *= countRows(tiles, form.getTiles());
  double bytes = 4.0 * s.groups * products * s.summed() * s.columns;
  double cycles = tiles * s.groups *
                  (s.taps * divideCeil(s.channels, lanes) * forward +
                   divideCeil(s.columns, lanes) * inverse) /
                  kPipes;
  cycles += s.groups * product / kPipes;
  // Transformed inputs that leave the L2 cache are read from the next one for
  // each block of columns.
  constexpr double kInputBytes = 640 << 10, kRate = 12;
  constexpr int64_t kColumns = 32;
  double blocks = divideCeil(int64_t(tiles), form.getTiles());
  double inputs = 4.0 * products * form.getTiles() * (s.summed() + 16);
  if (inputs > kInputBytes)
    cycles += blocks * s.groups * inputs *
              (1 + divideCeil(s.columns, kColumns)) / kRate;
  return addWeights(cycles, bytes * blocks,
                    double(products) / double(s.windows()));
}

SmallVector<int64_t> dlc::getTileCounts(const ConvolutionSizes &s,
                                        int64_t height, int64_t width,
                                        int64_t pair) {
  constexpr int64_t kRows = 6;
  if (pair == 2)
    return {1};
  int64_t total = countTiles(s, height, width);
  SmallVector<int64_t> counts;
  for (int64_t most : {24, 18, 14, 12, 10, 6}) {
    int64_t count = divideCeil(total, divideCeil(total, most));
    if (!s.isMapKnown)
      counts.push_back(most);
    else if (!pair || total <= most)
      counts.push_back(count);
    else
      counts.push_back(llvm::alignTo(count, kRows));
  }
  return counts;
}

std::optional<ConvolutionForm>
ConvolutionCost::getForm(MLIRContext *context, const ConvolutionSizes &s,
                         bool isFourier, int64_t height, int64_t width,
                         int64_t tiles) const {
  ConvolutionForm form;
  int64_t pair = !isFourier ? 0 : s.isDepthwise() ? 2 : 3;
  if (isFourier) {
    auto isSize = [](int64_t tile, int64_t window) {
      return window == 1 ? tile == 1
                         : llvm::isPowerOf2_64(tile) && tile > window;
    };
    bool isLine = height == 1 || width == 1;
    int64_t most = pair == 2 ? kMaxFourierDepthwise : kMaxFourierTile;
    if ((pair == 2 && s.isVolume) || !s.dilation.isNone() ||
        !isSize(height, s.windowHeight) || !isSize(width, s.windowWidth) ||
        std::max(height, width) > (isLine ? kMaxFourierLine : most))
      return std::nullopt;
    height -= s.windowHeight - 1;
    width -= s.windowWidth - 1;
    form.error = 2;
  } else {
    if (s.isDepthwise() || height < 1 || width < 1 ||
        height + s.windowHeight - 1 > kMaxWinogradTile ||
        width + s.windowWidth - 1 > kMaxWinogradTile)
      return std::nullopt;
    form.error = getWinogradError(getWinogradForm(height, s.windowHeight)) *
                 getWinogradError(getWinogradForm(width, s.windowWidth));
  }
  form.cycles = std::numeric_limits<double>::max();
  SmallVector<int64_t> counts{tiles};
  if (!tiles)
    counts = getTileCounts(s, height, width, pair);
  for (int64_t count : counts) {
    WinogradAttr attr = WinogradAttr::get(
        context, height, width, s.windowHeight, s.windowWidth, count, pair);
    double cycles = getCycles(s, attr);
    WinogradScratch scratch =
        getWinogradScratch(attr, s.taps, s.channels, s.columns);
    if (cycles >= form.cycles ||
        (!tiles && s.operandBytes + 4 * scratch.size > room))
      continue;
    form.cycles = cycles;
    form.attr = attr;
  }
  if (!form.attr)
    return std::nullopt;
  return form;
}

/// The sizes along one dimension that are worth a look.
static SmallVector<int64_t> getSizes(bool isFourier, int64_t window,
                                     int64_t extent) {
  SmallVector<int64_t> sizes;
  // Nothing is won along a window of one.
  if (window == 1)
    return {1};
  if (isFourier) {
    // One tile that holds all is the largest.
    int64_t most = llvm::PowerOf2Ceil(extent + window - 1);
    for (int64_t tile = 8; tile <= std::min(most, kMaxFourierLine); tile *= 2)
      sizes.push_back(tile);
    return sizes;
  }
  // Two outputs are the least.
  for (int64_t outputs = 2; outputs + window - 1 <= kMaxWinogradTile; ++outputs)
    sizes.push_back(outputs);
  if (sizes.empty())
    sizes.push_back(1);
  return sizes;
}

SmallVector<ConvolutionForm>
ConvolutionCost::getForms(MLIRContext *context,
                          const ConvolutionSizes &sizes) const {
  SmallVector<ConvolutionForm> forms;
  if (sizes.windows() == 1)
    return forms;
  for (bool isFourier : {false, true})
    for (int64_t height : getSizes(isFourier, sizes.windowHeight, sizes.height))
      for (int64_t width : getSizes(isFourier, sizes.windowWidth, sizes.width))
        if (std::optional<ConvolutionForm> form =
                getForm(context, sizes, isFourier, height, width))
          forms.push_back(*form);
  return forms;
}
