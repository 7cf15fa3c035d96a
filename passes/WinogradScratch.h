/// \file
/// The scratch memory of a convolution by transforms: what the kernel that uses
/// it and the pass that allocates it agree on.
#ifndef DLC_PASSES_WINOGRADSCRATCH_H
#define DLC_PASSES_WINOGRADSCRATCH_H

#include "dialects/Dlc/Dlc.h"
#include "lib/Kernels/Fourier.h"
#include "lib/Kernels/Winograd.h"
#include "llvm/Support/MathExtras.h"

namespace dlc {

inline FourierLayout getFourierLayout(WinogradAttr form) {
  return FourierLayout(form.getTileHeight(), form.getTileWidth(),
                       form.getPair());
}

/// True if registers hold too little of a tile: its transforms then go by
/// lines and by columns, with what lies between in memory.
inline bool isLargeTile(WinogradAttr form) { return form.getProducts() > 36; }

/// Behind the slots of a large tile: the factors of the transform of inputs,
/// and those of outputs.
constexpr int64_t kFactorSlots = 2;

/// A row of transformed inputs has the channels of one tap of a window's depth
/// behind those of the one before, so far apart.
inline int64_t getTapStride(int64_t channels) {
  return llvm::alignTo(channels, WinogradScratch::kSlot);
}

/// `channels` and `columns` are those of a group, `taps` the window's depth.
inline WinogradScratch getWinogradScratch(WinogradAttr form, int64_t taps,
                                          int64_t channels, int64_t columns) {
  // The transform of one line needs no memory between passes.
  bool hasPasses =
      form.isFourier() ? form.getTileHeight() > 1 : isLargeTile(form);
  int64_t slots = hasPasses ? form.getTileHeight() * form.getTileWidth() : 0;
  if (slots && !form.isFourier())
    slots += kFactorSlots;
  // Channel by channel no products are kept.
  int64_t products = form.getPair() == 2 ? 0 : form.getProducts();
  return WinogradScratch(products, form.getTiles(),
                         taps * getTapStride(channels), columns, slots);
}

} // namespace dlc

#endif
