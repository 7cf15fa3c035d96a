/// \file
/// Parts of a module that threads can work on.
#ifndef DLC_LIB_CODEGEN_SPLITMODULE_H
#define DLC_LIB_CODEGEN_SPLITMODULE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Bitcode of modules that together are `module`, which is changed: the
/// functions that are not to be inlined are spread over them, the first one has
/// what else is not local. How many there are depends on the module alone.
std::vector<llvm::SmallVector<char, 0>> splitModule(llvm::Module &module);

} // namespace dlc

#endif
