/// \file
/// Correlations by the discrete Fourier transform, tile by tile (overlap-save):
/// of a tile of N x N inputs, with windows of r x r,
///
///   y = transform'(conj(transform(g)) .* transform(d)) / N^2
///
/// holds (N - r + 1)^2 outputs; the others wrap around the tile's border. N is
/// a power of two, or 1 along a window of one.
#ifndef DLC_LIB_KERNELS_FOURIER_H
#define DLC_LIB_KERNELS_FOURIER_H

#include <cstdint>

namespace dlc {

/// How the transform of a real tile lies in planes. Its lines are transformed
/// first: of `width` real numbers two stay real, the others become
/// width / 2 - 1 complex ones. Then the columns of these: two of real numbers,
/// which become as before, and those of complex ones.
///
/// `pair` planes stand for a complex number: re and im, or the three numbers
/// whose products with three others give a complex product,
///
///   (re + im) * g.re,  re * (g.im - g.re),  im * (g.re + g.im).
struct FourierLayout {
  FourierLayout(int64_t height, int64_t width, int64_t pair)
      : height(height), width(width), pair(pair) {}

  /// The columns of real numbers, and of complex ones.
  int64_t realColumns() const { return width == 1 ? 1 : 2; }
  int64_t complexColumns() const { return width <= 2 ? 0 : width / 2 - 1; }
  /// The planes of a column.
  int64_t realPlanes() const {
    return height <= 2 ? height : 2 + pair * (height / 2 - 1);
  }
  int64_t complexPlanes() const { return pair * height; }
  /// The first plane of the complex columns, which follow the real ones.
  int64_t complexBase() const { return realColumns() * realPlanes(); }
  int64_t planes() const {
    return complexBase() + complexColumns() * complexPlanes();
  }

  int64_t height, width, pair;
};

/// The largest N in one dimension, and in two.
constexpr int64_t kMaxFourierLine = 256, kMaxFourierTile = 32;
/// The largest N in two dimensions of a convolution channel by channel, which
/// keeps one tile at a time.
constexpr int64_t kMaxFourierDepthwise = 64;

/// Vector operations of a transform of `size` numbers.
int64_t countRealTransform(int64_t size);
int64_t countComplexTransform(int64_t size);
/// ... of a tile, forward, and back for the first `lines` lines of results.
int64_t countForward(const FourierLayout &layout);
int64_t countInverse(const FourierLayout &layout, int64_t lines);
/// ... and of both, with the products, channel by channel.
int64_t countFilter(const FourierLayout &layout, int64_t lines);

} // namespace dlc

#endif
