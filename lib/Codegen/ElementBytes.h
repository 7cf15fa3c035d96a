/// \file
/// The bytes of a constant as generated code reads them.
#ifndef DLC_LIB_CODEGEN_ELEMENTBYTES_H
#define DLC_LIB_CODEGEN_ELEMENTBYTES_H

#include "mlir/IR/BuiltinAttributes.h"
#include <vector>

namespace dlc {

/// Bytes of one element in memory. Types of fewer than 8 bits take one.
int64_t getElementBytes(mlir::Type elementType);

/// The elements in row-major order, one after the other. They are in `storage`
/// where they had to be unpacked or repeated, else in the attribute. Empty, if
/// the attribute has no elements or is of an unknown kind.
llvm::ArrayRef<char> getElementData(mlir::ElementsAttr value,
                                    std::vector<char> &storage);

} // namespace dlc

#endif
