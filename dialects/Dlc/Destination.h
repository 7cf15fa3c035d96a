/// \file
/// What ops with destinations and bodies (contractions, attention, functions
/// of the program) check and do alike.
#ifndef DLC_DIALECTS_DLC_DESTINATION_H
#define DLC_DIALECTS_DLC_DESTINATION_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// How errors call an operand.
using OperandName = llvm::function_ref<std::string(unsigned)>;

/// Checks that all of `operands`, the first ones of `op`, are tensors or all
/// memrefs, and that tensors have a result of each destination's type.
llvm::LogicalResult verifyDestination(mlir::DestinationStyleOpInterface op,
                                      mlir::ValueRange operands,
                                      OperandName name);

/// Checks for each map, in the order of the operands, that the static size of
/// an operand in a dimension is what `extent` says.
llvm::LogicalResult verifySizes(mlir::Operation *op,
                                llvm::ArrayRef<mlir::AffineMap> maps,
                                llvm::function_ref<int64_t(unsigned)> extent,
                                OperandName name);

/// Checks that the body `name` takes a sum and the elements of `extras`, yields
/// one `yielded`, and does nothing else.
llvm::LogicalResult verifyBody(mlir::Operation *op, llvm::StringRef name,
                               mlir::Block &body, mlir::ValueRange extras,
                               mlir::Type yielded);

/// Checks what is particular about Fourier's form.
llvm::LogicalResult
verifyFourier(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
              WinogradAttr form);

/// Adds that memrefs among the operands are read, and destinations written.
void addDestinationEffects(
    mlir::DestinationStyleOpInterface op,
    llvm::SmallVectorImpl<
        mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>>
        &effects);

} // namespace dlc

#endif
