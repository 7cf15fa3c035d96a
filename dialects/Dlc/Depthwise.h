/// \file
/// What the kernels of convolutions channel by channel unroll of a window, and
/// so where they can leave out the zeros around the input: dlc-skip-padding
/// counts on it, and LowerContractDepthwise.cpp does it.
#ifndef DLC_DIALECTS_DLC_DEPTHWISE_H
#define DLC_DIALECTS_DLC_DEPTHWISE_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// How a kernel leaves out what lies outside along a window.
enum class ZeroSkip {
  None,  ///< it can't
  Lines, ///< a loop goes only over the lines that are there
  Ends,  ///< the tiles at both ends of a row have code of their own
};

/// The loops of one output around its window.
struct DepthwiseLoops {
  /// More taps than this aren't unrolled.
  static constexpr int64_t kMostTaps = 8;

  /// The innermost row, along which tiles of outputs lie.
  std::optional<unsigned> row;
  /// The innermost summed dimension, if its taps are few enough to be unrolled.
  std::optional<unsigned> taps;
  /// The other summed dimensions, outermost first.
  llvm::ArrayRef<unsigned> lines;

  /// `rows` and `sums` are those of extents other than 1, outermost first;
  /// `getExtent` is asked for a known extent.
  DepthwiseLoops(llvm::ArrayRef<unsigned> rows, llvm::ArrayRef<unsigned> sums,
                 llvm::function_ref<std::optional<int64_t>(unsigned)> getExtent)
      : lines(sums) {
    if (!rows.empty())
      row = rows.back();
    if (!sums.empty() &&
        getExtent(sums.back()).value_or(kMostTaps + 1) <= kMostTaps) {
      taps = sums.back();
      lines = sums.drop_back();
    }
  }

  /// `isKnown`: the size of A along the window and the number of positions are.
  ZeroSkip getSkip(const ContractOp::Window &window, bool isKnown) const {
    if (row == window.position)
      return taps == window.window && isKnown ? ZeroSkip::Ends : ZeroSkip::None;
    return llvm::is_contained(lines, window.window) ? ZeroSkip::Lines
                                                    : ZeroSkip::None;
  }
};

} // namespace dlc

#endif
