/// \file
/// The scratch memory of a convolution by transforms: what the kernel that uses
/// it and the pass that allocates it agree on.
#ifndef DLC_PASSES_WINOGRADSCRATCH_H
#define DLC_PASSES_WINOGRADSCRATCH_H

#include "dialects/Dlc/Dlc.h"
#include "lib/Kernels/Fourier.h"
#include "lib/Kernels/Winograd.h"

namespace dlc {

inline FourierLayout getFourierLayout(WinogradAttr form) {
  return FourierLayout(form.getTileHeight(), form.getTileWidth(),
                       form.getPair());
}

/// `channels` and `columns` are those of a group.
inline WinogradScratch getWinogradScratch(WinogradAttr form, int64_t channels,
                                          int64_t columns) {
  // The transform of one line needs no memory between passes.
  int64_t slots = form.isFourier() && form.getTileHeight() > 1
                      ? form.getTileHeight() * form.getTileWidth()
                      : 0;
  // Channel by channel no products are kept.
  int64_t products = form.getPair() == 2 ? 0 : form.getProducts();
  return WinogradScratch(products, form.getTiles(), channels, columns, slots);
}

} // namespace dlc

#endif
