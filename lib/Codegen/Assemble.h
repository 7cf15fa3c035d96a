/// \file
/// From PTX to the machine code of one architecture, by NVIDIA's assembler.
#ifndef DLC_LIB_CODEGEN_ASSEMBLE_H
#define DLC_LIB_CODEGEN_ASSEMBLE_H

#include "llvm/Support/Error.h"
#include <string>

namespace dlc {

/// Runs `ptxas`: the one that the environment variable DLC_PTXAS names, else
/// that in PATH, else that of an installed CUDA toolkit. `arch` is "sm_80".
llvm::Expected<std::string> assemblePtx(llvm::StringRef ptx,
                                        llvm::StringRef arch);

} // namespace dlc

#endif
