/// \file
/// The onnx dialect: an ONNX model as it is in the file.
#ifndef DLC_DIALECTS_ONNX_ONNX_H
#define DLC_DIALECTS_ONNX_ONNX_H

#include "dlc/Api.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <optional>

namespace dlc::onnx {

/// The `name` of entry i of a graph's inputs or outputs, "" when out of range.
DLC_API llvm::StringRef entryName(mlir::ArrayAttr entries, unsigned i);
/// Its `dim_names`, null when it has none.
DLC_API mlir::ArrayAttr entryDims(mlir::ArrayAttr entries, unsigned i);

/// Writes the elements of a tensor of the model as ONNX's raw_data has them
/// (one byte a bool, packed 4- and 2-bit elements) into `storage` or finds
/// them in place. Precondition: the element type is not a string.
DLC_API llvm::ArrayRef<char> getRawBytes(mlir::ElementsAttr value,
                                         llvm::SmallVectorImpl<char> &storage);

/// Bytes of `count` elements of that type in raw_data; nullopt when they
/// overflow or the type has no such form (strings).
DLC_API std::optional<int64_t> getRawSize(mlir::Type elementType,
                                          int64_t count);

} // namespace dlc::onnx

// Plugins use these classes, and all else of libdlc.so is hidden.
#pragma GCC visibility push(default)
#include "dialects/Onnx/OnnxDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Onnx/OnnxTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Onnx/OnnxAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialects/Onnx/OnnxOps.h.inc"
#pragma GCC visibility pop

#endif
