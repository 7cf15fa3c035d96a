/// \file
/// The dilation and the depth of a contraction that is a convolution.
#ifndef DLC_DIALECTS_DLC_DILATION_H
#define DLC_DIALECTS_DLC_DILATION_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// How far apart neighbours of a window lie in A.
struct Dilation {
  int64_t y = 1, x = 1;

  bool isNone() const { return y == 1 && x == 1; }
};

/// That of ContractOp::getConvolution() along y and x.
Dilation getDilation(ContractOp op);

/// The dimensions of a 3-D convolution beside those of a 2-D one: A has
/// `z * s + window * d` behind the image, with any stride.
struct Depth {
  unsigned z, window;
};

/// That of ContractOp::getConvolution(); nothing of a 2-D one.
std::optional<Depth> getDepth(ContractOp op);

} // namespace dlc

#endif
