/// \file
/// What the pattern files of dlc-lower-to-linalg share.
#ifndef DLC_PASSES_TENSOR_LOWERING_H
#define DLC_PASSES_TENSOR_LOWERING_H

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/Tensor/IntegerContraction.h"

namespace dlc {

/// Every file of patterns is named here and called in LowerToLinalg.cpp.
void populateElementwiseLowering(const mlir::TypeConverter &converter,
                                 mlir::RewritePatternSet &patterns);
void populateCastLowering(const mlir::TypeConverter &converter,
                          mlir::RewritePatternSet &patterns);
void populateShapeLowering(const mlir::TypeConverter &converter,
                           mlir::RewritePatternSet &patterns);
void populateReductionLowering(const mlir::TypeConverter &converter,
                               mlir::RewritePatternSet &patterns);
void populateContractionLowering(const mlir::TypeConverter &converter,
                                 mlir::RewritePatternSet &patterns,
                                 ByteKind bytes);
void populateSequenceLowering(const mlir::TypeConverter &converter,
                              mlir::RewritePatternSet &patterns);

/// True for integers of 2 to 7 bits and floats of 8 bits or fewer, which are
/// stored in a byte and computed in another type; see SmallTypes.cpp.
bool isSmallType(mlir::Type type);

/// The type of an element, or of a tensor's elements, in memory: `ui8` and
/// small types -> `i8`.
mlir::Type getStorageType(mlir::Type type);

/// The scalar to compute with, out of one stored as `type`: small integers
/// extended to `i8`, small floats as `f32`, others as they are.
mlir::Value loadElement(mlir::OpBuilder &builder, mlir::Location loc,
                        mlir::Value stored, mlir::Type type);

/// The scalar to store as `type`, out of an `i8` (whose upper bits are
/// dropped) or `f32` for a small type. Floats round to nearest even;
/// `roundMode` ("up", "down", "nearest") is that of `f8E8M0FNU`.
mlir::Value storeElement(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value value, mlir::Type type,
                         bool saturate = true,
                         mlir::StringRef roundMode = "up");

/// An uninitialised tensor.
mlir::Value createEmpty(mlir::OpBuilder &builder, mlir::Location loc,
                        mlir::ArrayRef<mlir::OpFoldResult> sizes,
                        mlir::Type elementType);

/// A tensor of one value.
mlir::Value createFilled(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::ArrayRef<mlir::OpFoldResult> sizes,
                         mlir::Value scalar);

/// A tensor of `sizes` with `scalar` all around a middle of `inner`, `low`
/// before it and `high` behind it, which is left for its producer to write. The
/// border is made of slabs, one dimension after the other, the outermost whole.
mlir::Value createBorder(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::ArrayRef<mlir::OpFoldResult> sizes,
                         mlir::ArrayRef<mlir::OpFoldResult> low,
                         mlir::ArrayRef<mlir::OpFoldResult> inner,
                         mlir::ArrayRef<mlir::OpFoldResult> high,
                         mlir::Value scalar);

/// A zero, or any other number, as a scalar of `type`.
mlir::Value createScalar(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Type type, double value);

/// A tensor each of whose elements is computed from its index:
/// `body(builder, loc, indices) -> scalar`.
mlir::Value createFromIndices(
    mlir::OpBuilder &builder, mlir::Location loc,
    mlir::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type elementType,
    llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                   mlir::ValueRange)>
        body);

/// The same tensor in another shape of as many elements.
mlir::Value createReshape(mlir::OpBuilder &builder, mlir::Location loc,
                          mlir::Value tensor,
                          mlir::ArrayRef<mlir::OpFoldResult> sizes);

/// `tensor.cast` to `type` where it is not that already.
mlir::Value castTo(mlir::OpBuilder &builder, mlir::Location loc,
                   mlir::Value tensor, mlir::Type type);
/// `tensor`, whose sizes are `sizes`, with a type that shows those known.
mlir::Value showSizes(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Value tensor,
                      llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// The float type in which `type` is computed: f32 for those of fewer bits.
mlir::Type getComputeType(mlir::Type type);

/// Ends the run with a status (0: that of a wrong shape) and `message` unless
/// `condition` holds.
void createCheck(mlir::OpBuilder &builder, mlir::Location loc,
                 mlir::Value condition, const llvm::Twine &message,
                 int32_t status = 0);

/// Checks that two sizes are equal, where that is not known.
void createEqualCheck(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::OpFoldResult a, mlir::OpFoldResult b,
                      const llvm::Twine &message);

} // namespace dlc

#endif
