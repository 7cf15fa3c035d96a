/// \file
/// Marks on what a softmax becomes.
#ifndef DLC_DIALECTS_DLC_SOFTMAXATTR_H
#define DLC_DIALECTS_DLC_SOFTMAXATTR_H

#include "llvm/ADT/StringRef.h"

namespace dlc {

/// On the `math.exp` of a softmax: its operand is a difference from the maximum
/// of a row, at most 0. On a linalg op: it makes the inverses of the sums,
/// or their logarithms.
constexpr llvm::StringLiteral kSoftmaxAttr = "dlc.softmax";

/// Beside it: the maximum lies between -kNear and kNear.
constexpr llvm::StringLiteral kNearAttr = "dlc.near";
constexpr double kNear = 0x1p16;

/// On two linalg ops with the same inputs: how many of a row's exponentials are
/// 1, and the sum of the others. Only the total of both matters.
constexpr llvm::StringLiteral kOnesAttr = "dlc.ones";

} // namespace dlc

#endif
