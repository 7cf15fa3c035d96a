/// \file
/// What the patterns on quantized numbers share.
#ifndef DLC_PASSES_GRAPH_QUANTIZATIONPATTERNS_H
#define DLC_PASSES_GRAPH_QUANTIZATIONPATTERNS_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {

inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}

inline bool isScalar(mlir::Value value) { return typeOf(value).getRank() == 0; }

inline bool isInteger(mlir::Value value, unsigned width) {
  auto type = mlir::dyn_cast<mlir::IntegerType>(typeOf(value).getElementType());
  return type && type.getWidth() == width;
}

/// An integer constant of rank 0.
mlir::Value createInteger(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::Type type, int64_t value);

/// An op of the type that follows from its operands; null if none does.
template <typename OpTy, typename... Args>
mlir::Value createInferred(mlir::PatternRewriter &b, mlir::Location loc,
                           Args... operands) {
  llvm::SmallVector<mlir::Type> types;
  if (failed(OpTy::inferReturnTypes(b.getContext(), loc,
                                    mlir::ValueRange{operands...}, {}, nullptr,
                                    {}, types)))
    return {};
  return OpTy::create(b, loc, types, mlir::ValueRange{operands...});
}

/// Sums over windows and axes, and their multiples by constants.
void populateQuantizedSums(mlir::RewritePatternSet &patterns);

} // namespace dlc

#endif
