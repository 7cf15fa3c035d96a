/// \file
/// LLVM's middle end.
#ifndef DLC_CODEGEN_OPTIMISE_H
#define DLC_CODEGEN_OPTIMISE_H

#include "llvm/ADT/StringRef.h"

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace dlc {

/// The attribute of functions of the runtime.
inline constexpr llvm::StringLiteral kRuntimeAttr = "dlc-runtime";

/// Runs LLVM's pipeline of -O`level` (0 to 3) on `module`.
void optimise(llvm::Module &module, llvm::TargetMachine &machine,
              unsigned level);

} // namespace dlc

#endif
