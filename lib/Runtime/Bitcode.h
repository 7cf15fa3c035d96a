/// \file
/// The runtime that is linked into every object, as LLVM bitcode, and the text
/// of include/dlc/Model.h that stands in every generated header.
#ifndef DLC_LIB_RUNTIME_BITCODE_H
#define DLC_LIB_RUNTIME_BITCODE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace dlc {

/// The runtime's bitcode for a target's short name; empty if there is none.
llvm::StringRef runtimeBitcode(llvm::StringRef target);

/// Functions that a back end may call and that only a compiler's own library
/// would define (64-bit division on armv7, half conversions), as bitcode.
llvm::StringRef builtinsBitcode(llvm::StringRef target);

/// True for what the models of a program share, the pool of threads: the linker
/// must see it and keep one of each.
bool isSharedSymbol(llvm::StringRef name);

/// The functions of the runtime in this process, the pool's too, by their
/// names.
struct HostFunction {
  llvm::StringRef name;
  void *address;
};
llvm::ArrayRef<HostFunction> hostFunctions();

/// Functions of mathematics that kernels on a GPU may call, as bitcode.
llvm::StringRef deviceBitcode();

/// The C text of include/dlc/Model.h.
llvm::StringRef modelHeader();

} // namespace dlc

#endif
