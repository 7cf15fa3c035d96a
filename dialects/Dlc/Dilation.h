/// \file
/// The dilation of a contraction that is a convolution.
#ifndef DLC_DIALECTS_DLC_DILATION_H
#define DLC_DIALECTS_DLC_DILATION_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// How far apart neighbours of a window lie in A.
struct Dilation {
  int64_t y = 1, x = 1;

  bool isNone() const { return y == 1 && x == 1; }
};

/// That of ContractOp::getConvolution().
Dilation getDilation(ContractOp op);

} // namespace dlc

#endif
