/// \file
/// A mark on what a softmax becomes.
#ifndef DLC_DIALECTS_DLC_SOFTMAXATTR_H
#define DLC_DIALECTS_DLC_SOFTMAXATTR_H

#include "llvm/ADT/StringRef.h"

namespace dlc {

/// On the `math.exp` of a softmax: its operand is a difference from the maximum
/// of a row, at most 0. On a linalg op: it makes the inverses of the sums,
/// or their logarithms.
constexpr llvm::StringLiteral kSoftmaxAttr = "dlc.softmax";

} // namespace dlc

#endif
