/// \file
/// The attribute of attention whose keys are cut in parts, each by itself.
#ifndef DLC_DIALECTS_DLC_PARTSATTR_H
#define DLC_DIALECTS_DLC_PARTSATTR_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// The number of parts. C has two dimensions of its own then, behind that of
/// the columns in the iteration space: the part is C's first one, and its last
/// one has the sums of the columns, not divided, then the maximum of the scores
/// and the sum of the weights. The epilogue does nothing, and C's map has no
/// columns. Without any key the maximum is 0 and the sum 1.
constexpr llvm::StringLiteral kPartsAttr = "dlc.parts";

inline std::optional<int64_t> getParts(AttentionOp op) {
  auto parts = op->getAttrOfType<mlir::IntegerAttr>(kPartsAttr);
  return parts ? std::optional(parts.getInt()) : std::nullopt;
}

} // namespace dlc

#endif
