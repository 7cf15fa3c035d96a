/// \file
/// The dlc dialect: neural networks on ranked tensors. See README.md here.
#ifndef DLC_DIALECTS_DLC_DLC_H
#define DLC_DIALECTS_DLC_DLC_H

#include "dlc/Api.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

// Plugins use these classes, and all else of libdlc.so is hidden.
#pragma GCC visibility push(default)
#include "dialects/Dlc/DlcDialect.h.inc"
#include "dialects/Dlc/DlcEnums.h.inc"
#include "dialects/Dlc/DlcInterfaces.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Dlc/DlcTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dlc/DlcAttrs.h.inc"
#pragma GCC visibility pop

namespace dlc {

/// The result shape of numpy broadcasting, or failure with an error at `loc`
/// (none when it is absent). A dynamic dimension against 1 or another dynamic
/// one stays dynamic; against a larger static one it becomes that size.
DLC_API llvm::FailureOr<llvm::SmallVector<int64_t>>
broadcastShapes(llvm::ArrayRef<llvm::ArrayRef<int64_t>> shapes,
                std::optional<mlir::Location> loc);

/// Result types of an elementwise op: broadcast shape; the element type of
/// the last operand, or `i1` for a predicate. All operands (but the condition
/// of a `select`) must have one element type.
DLC_API llvm::LogicalResult
inferElementwise(llvm::StringRef opName, std::optional<mlir::Location> loc,
                 mlir::ValueRange operands, bool isPredicate,
                 llvm::SmallVectorImpl<mlir::Type> &types);

/// The result type of dlc.quantize and its like: the broadcast shape, the
/// element type of operand `typed`.
llvm::LogicalResult inferQuantizer(std::optional<mlir::Location> loc,
                                   mlir::ValueRange operands, unsigned typed,
                                   llvm::SmallVectorImpl<mlir::Type> &types);
/// Checks the element types of such an op: x is `value` (f32, i32, or empty
/// for an integer), the scale, which errors call `factor`, is f32.
llvm::LogicalResult verifyQuantizer(mlir::Operation *op, llvm::StringRef value,
                                    llvm::StringRef factor);

/// The type in which a tensor element is stored and computed: `ui8` -> `i8`.
/// Other types are kept.
DLC_API mlir::Type getSignlessType(mlir::Type type);

/// Size of the output of a window of `kernel` at `stride` and `dilation` over
/// `size` elements with `padding` in all; dynamic in gives dynamic out.
DLC_API int64_t getWindowedSize(int64_t size, int64_t kernel, int64_t stride,
                                int64_t dilation, int64_t padding);

/// On a `cf.assert`: the status of the C interface with which the run ends.
constexpr llvm::StringLiteral kStatusAttr = "dlc.status";
/// `DLC_ERROR_MEMORY`: sizes that no memory has.
constexpr int32_t kMemoryStatus = 6;
/// `DLC_ERROR_VALUE`: elements of an input are to blame, not its shape.
constexpr int32_t kValueStatus = 8;

} // namespace dlc

#pragma GCC visibility push(default)
#define GET_OP_CLASSES
#include "dialects/Dlc/DlcOps.h.inc"
#pragma GCC visibility pop

#endif
