/// \file
/// What a convolution costs in each of its forms, in cycles of a core.
#ifndef DLC_PASSES_TENSOR_CONVOLUTIONCOST_H
#define DLC_PASSES_TENSOR_CONVOLUTIONCOST_H

#include "dialects/Dlc/Dilation.h"
#include <limits>

namespace dlc {

/// The extents of a convolution, all static but the number of images, which
/// counts as 1 where it isn't, and the height and width, which count as
/// kUnknownSize. Of volumes each position along the depth is an image, whose
/// sums are over the window's depth, too.
struct ConvolutionSizes {
  /// What a height or width that only the run knows counts as: many tiles, of
  /// which the last ones are not whole.
  static constexpr int64_t kUnknownSize = 42, kUnknownDepth = 8;

  /// Nothing if `op` is no convolution of a form by transforms.
  static std::optional<ConvolutionSizes> get(ContractOp op);

  int64_t images, height, width, windowHeight, windowWidth;
  int64_t taps; // the window's depth
  bool isVolume;
  int64_t groups, channels, columns; // the latter of a group
  Dilation dilation;
  bool isMapKnown;

  /// The products that are summed with one element of a window.
  int64_t summed() const { return taps * channels; }
  int64_t windows() const { return windowHeight * windowWidth; }
  int64_t operandBytes; // of A and C, 0 if they aren't known
  /// Channel by channel.
  bool isDepthwise() const {
    return groups > 1 && channels == 1 && columns == 1;
  }
};

/// A form by transforms, and what it costs.
struct ConvolutionForm {
  WinogradAttr attr;
  double cycles;
  double error; // the growth of rounding errors
};

/// How many tiles of height x width outputs may go through the kernel at a
/// time, the most first, in blocks of about equal size: of Fourier's form whole
/// tiles of rows of its products, of which a block has many columns. `pair` is
/// that of the form's attribute.
llvm::SmallVector<int64_t> getTileCounts(const ConvolutionSizes &sizes,
                                         int64_t height, int64_t width,
                                         int64_t pair);

/// The model of a core's cost.
struct ConvolutionCost {
  int64_t lanes; // sums in a vector register
  /// Bytes of all constants. A run reads all weights of the model once, so
  /// they come from the cache, or memory, that holds all.
  int64_t constantBytes;
  /// Bytes of a layer's operands and scratch that a run has room for.
  int64_t room = std::numeric_limits<int64_t>::max();

  double getDirect(const ConvolutionSizes &sizes) const;
  /// F(height x width); with `isFourier` these are the sizes of a tile instead.
  /// Nothing if there is no such form, or no room. `tiles` go through the
  /// kernel at a time, 0 for as many as is best.
  std::optional<ConvolutionForm> getForm(mlir::MLIRContext *context,
                                         const ConvolutionSizes &sizes,
                                         bool isFourier, int64_t height,
                                         int64_t width,
                                         int64_t tiles = 0) const;
  /// All that there are.
  llvm::SmallVector<ConvolutionForm>
  getForms(mlir::MLIRContext *context, const ConvolutionSizes &sizes) const;

private:
  /// With the `bytes` of weights that a kernel reads, of constants that all
  /// grow by `growth`: they come while it computes, as far as they can.
  double addWeights(double cycles, double bytes, double growth) const;
  double getCycles(const ConvolutionSizes &sizes, WinogradAttr form) const;
};

} // namespace dlc

#endif
