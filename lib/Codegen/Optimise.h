/// \file
/// LLVM's middle end.
#ifndef DLC_CODEGEN_OPTIMISE_H
#define DLC_CODEGEN_OPTIMISE_H

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace dlc {

/// Runs LLVM's pipeline of -O`level` (0 to 3) on `module`.
void optimise(llvm::Module &module, llvm::TargetMachine &machine,
              unsigned level);

} // namespace dlc

#endif
