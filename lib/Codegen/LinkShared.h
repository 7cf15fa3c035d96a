/// \file
/// Links one object to a shared library (--emit=shared).
#ifndef DLC_LIB_CODEGEN_LINKSHARED_H
#define DLC_LIB_CODEGEN_LINKSHARED_H

#include "lib/Target/Target.h"

namespace dlc {

/// Runs the C compiler of the target, which knows where its libc and libm are.
/// Fails with what to install when there is none, and with the linker's words.
llvm::Error linkShared(const TargetSpec &spec, llvm::StringRef object,
                       llvm::StringRef result);

} // namespace dlc

#endif
