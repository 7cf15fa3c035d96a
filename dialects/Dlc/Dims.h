/// \file
/// The sizes of a value's dimensions as SSA values, traced back to the model's
/// inputs so that equal sizes become equal values.
#ifndef DLC_DIALECTS_DLC_DIMS_H
#define DLC_DIALECTS_DLC_DIMS_H

#include "dlc/Api.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace dlc {

/// Size of dimension `dim` of the ranked tensor `tensor`: an attribute where
/// it is static, else an `index` value. Traces through the ops of the dlc
/// dialect: two dimensions that come from the same dimension of an input, or
/// from inputs' dimensions of one name, give values that CSE makes equal.
DLC_API mlir::OpFoldResult getDim(mlir::OpBuilder &builder, mlir::Location loc,
                                  mlir::Value tensor, int64_t dim);

/// getDim of every dimension.
DLC_API llvm::SmallVector<mlir::OpFoldResult>
getDims(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value tensor);

/// The sizes that are values, in order: the operands of a sized op or
/// `tensor.empty` whose static sizes are in its type.
DLC_API llvm::SmallVector<mlir::Value>
getDynamicSizes(mlir::ArrayRef<mlir::OpFoldResult> sizes);

/// True if the two sizes are provably equal.
DLC_API bool areEqualSizes(mlir::OpFoldResult a, mlir::OpFoldResult b);

/// True if `size` is the smaller one of `bound` and a number above 0. What
/// broadcasts with `bound` then has that size.
DLC_API bool isLeastOf(mlir::OpFoldResult size, mlir::OpFoldResult bound);

/// Integer arithmetic on sizes, folded where static.
DLC_API mlir::OpFoldResult addSizes(mlir::OpBuilder &builder,
                                    mlir::Location loc, mlir::OpFoldResult a,
                                    mlir::OpFoldResult b);
DLC_API mlir::OpFoldResult mulSizes(mlir::OpBuilder &builder,
                                    mlir::Location loc, mlir::OpFoldResult a,
                                    mlir::OpFoldResult b);

/// getWindowedSize on sizes that may be dynamic.
DLC_API mlir::OpFoldResult windowedSize(mlir::OpBuilder &builder,
                                        mlir::Location loc,
                                        mlir::OpFoldResult size, int64_t kernel,
                                        int64_t stride, int64_t dilation,
                                        int64_t padding);

/// Sizes of the result of numpy broadcasting of `operands`. Where two dynamic
/// sizes are not provably equal, the value is chosen at run time.
DLC_API llvm::SmallVector<mlir::OpFoldResult>
broadcastSizes(mlir::OpBuilder &builder, mlir::Location loc,
               mlir::ValueRange operands);

} // namespace dlc

#endif
