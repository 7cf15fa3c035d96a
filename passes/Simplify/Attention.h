/// \file
/// What RecognizeAttention is made of.
#ifndef DLC_PASSES_SIMPLIFY_ATTENTION_H
#define DLC_PASSES_SIMPLIFY_ATTENTION_H

#include "mlir/IR/PatternMatch.h"

namespace dlc::simplify {

/// A pattern that takes into Attention what splits a tensor into heads.
void populatePackHeads(mlir::RewritePatternSet &patterns);

} // namespace dlc::simplify

#endif
