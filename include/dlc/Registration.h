/// \file
/// Registers the dialects and passes of dlc and those of MLIR that it uses.
#ifndef DLC_REGISTRATION_H
#define DLC_REGISTRATION_H

#include "dlc/Api.h"

namespace mlir {
class DialectRegistry;
}

namespace dlc {

/// Every dialect that any phase uses, with the interfaces that its passes need.
DLC_API void registerDialects(mlir::DialectRegistry &registry);

/// Every pass of dlc and MLIR, by name for `--pass-pipeline`. Once in a process
/// is enough.
DLC_API void registerPasses();

} // namespace dlc

#endif
