// The cost of convolutions: vector operations, and memory through the caches.
#include "passes/Tensor/ConvolutionCost.h"
#include "lib/Kernels/Fourier.h"
#include "lib/Kernels/Winograd.h"
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
  sizes.isMapKnown = true;
  if (ShapedType::isDynamic(sizes.images))
    sizes.images = 1;
  for (int64_t *size : {&sizes.height, &sizes.width})
    if (ShapedType::isDynamic(*size)) {
      *size = kUnknownSize;
      sizes.isMapKnown = false;
    }
  for (int64_t size :
       {sizes.height, sizes.width, sizes.windowHeight, sizes.windowWidth,
        sizes.groups, sizes.channels, sizes.columns})
    if (ShapedType::isDynamic(size) || size == 0)
      return std::nullopt;
  return sizes;
}

/// Vector operations that begin in a cycle.
static constexpr int64_t kPipes = 2;

/// Bytes of weights that come in a cycle.
double ConvolutionCost::getRate() const {
  if (constantBytes <= (1 << 19))
    return 64;
  return constantBytes <= (12 << 20) ? 24 : 12;
}

double ConvolutionCost::getDirect(const ConvolutionSizes &s) const {
  double outputs = double(s.images) * s.height * s.width;
  if (s.isDepthwise())
    return outputs * s.windows() * divideCeil(s.groups, lanes) / kPipes;
  int64_t bytes = 4 * s.groups * s.windows() * s.channels * s.columns;
  return outputs * s.groups * s.windows() * s.channels *
             divideCeil(s.columns, lanes) / kPipes +
         bytes / getRate();
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
    return {countForward(layout), countInverse(layout, form.getHeight())};
  }
  WinogradForm y = getWinogradForm(form.getHeight(), form.getWindowHeight());
  WinogradForm x = getWinogradForm(form.getWidth(), form.getWindowWidth());
  double products = form.getProducts();
  return {2 * products + x.tile() * countEntries(y.input) +
              y.tile() * countEntries(x.input),
          2 * products + x.tile() * countEntries(y.output) +
              form.getHeight() * countEntries(x.output)};
}

static int64_t countTiles(const ConvolutionSizes &s, int64_t height,
                          int64_t width) {
  return s.images * divideCeil(s.height, height) * divideCeil(s.width, width);
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
  double product = double(products * s.channels) * divideCeil(s.columns, lanes);
  // Few rows wait for their own sums and for the weights.
  int64_t rows = std::min<int64_t>(tiles, form.getTiles());
  product *= rows >= 6 ? 1.05 : rows >= 4 ? 1.2 : rows >= 2 ? 1.7 : 3;
  double bytes = 4.0 * s.groups * products * s.channels * s.columns;
  double weights =
      bytes / getRate() * divideCeil(int64_t(tiles), form.getTiles());
  return tiles * s.groups *
             (product + divideCeil(s.channels, lanes) * forward +
              divideCeil(s.columns, lanes) * inverse) /
             kPipes +
         weights;
}

/// As many tiles at a time as leave their transformed inputs in the L2 cache,
/// in blocks of about equal size.
int64_t ConvolutionCost::chooseTiles(const ConvolutionSizes &s, int64_t total,
                                     int64_t products) const {
  constexpr int64_t kInputBytes = 640 << 10, kRows = 6;
  int64_t most = kInputBytes / (products * (s.channels + 16) * 4);
  most = std::clamp<int64_t>(most / kRows * kRows, kRows, 4 * kRows);
  if (!s.isMapKnown)
    return most;
  if (total <= most)
    return total;
  return llvm::alignTo(divideCeil(total, divideCeil(total, most)), kRows);
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
    if (!isSize(height, s.windowHeight) || !isSize(width, s.windowWidth) ||
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
  auto make = [&](int64_t tiles) {
    return WinogradAttr::get(context, height, width, s.windowHeight,
                             s.windowWidth, tiles, pair);
  };
  if (pair == 2)
    tiles = 1;
  else if (!tiles)
    tiles = chooseTiles(s, countTiles(s, height, width), make(1).getProducts());
  form.attr = make(tiles);
  form.cycles = getCycles(s, form.attr);
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
