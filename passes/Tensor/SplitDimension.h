/// \file
/// What the passes that split sums among blocks of a GPU share.
#ifndef DLC_PASSES_TENSOR_SPLITDIMENSION_H
#define DLC_PASSES_TENSOR_SPLITDIMENSION_H

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {

/// `value` with the dimension at `position` as `[parts, rest]`. Its size is
/// known, and a multiple of `parts`.
inline mlir::Value splitDimension(mlir::Value value, unsigned position,
                                  int64_t parts, mlir::RewriterBase &b) {
  auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
  llvm::SmallVector<int64_t> shape(type.getShape());
  shape[position] /= parts;
  shape.insert(shape.begin() + position, parts);
  llvm::SmallVector<mlir::ReassociationIndices> groups;
  for (int64_t i = 0, next = 0; i < type.getRank(); ++i) {
    groups.push_back({next++});
    if (i == position)
      groups.back().push_back(next++);
  }
  return mlir::tensor::ExpandShapeOp::create(b, value.getLoc(),
                                             type.clone(shape), value, groups);
}

} // namespace dlc

#endif
