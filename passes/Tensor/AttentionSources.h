/// \file
/// What attention reads: operands in front of transpositions and scales, and
/// masks that are a number.
#ifndef DLC_PASSES_TENSOR_ATTENTIONSOURCES_H
#define DLC_PASSES_TENSOR_ATTENTIONSOURCES_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {

/// An operand of attention, and which of its dimensions are where.
struct Source {
  mlir::Value value;
  mlir::AffineMap map;
};

/// From the result of a transposition to its input, if `source` is one.
bool skipTransposition(Source &source);

/// Drops dimensions that are read at 0 only.
void dropUnits(Source &source, mlir::OpBuilder &builder, mlir::Location loc);

/// To what is behind transpositions that leave the last dimension the last, and
/// behind products with constants, which become part of `factor` if there is
/// one.
void skipProducers(Source &source, double *factor);

/// A constant mask that gives each row the keys up to its own number, and is
/// added last, becomes a number: no key behind is computed, and no mask read.
void dropCausalMask(AttentionOp op, mlir::PatternRewriter &rewriter);

} // namespace dlc

#endif
