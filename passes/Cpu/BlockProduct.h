/// \file
/// How the import marks products for dlc-lower-block-product.
#ifndef DLC_PASSES_CPU_BLOCKPRODUCT_H
#define DLC_PASSES_CPU_BLOCKPRODUCT_H

#include "llvm/ADT/StringRef.h"

namespace dlc {

/// The library call of a `linalg.generic` that multiplies with weights in
/// blocks of few bits. It means what its body says; only the kernel that a CPU
/// has for it is found by the name.
constexpr llvm::StringLiteral kBlockProduct = "dlc_block_product";

/// On such an op: the zero point of all weights, which then is no operand.
constexpr llvm::StringLiteral kBlockZero = "dlc.block_zero";

} // namespace dlc

#endif
