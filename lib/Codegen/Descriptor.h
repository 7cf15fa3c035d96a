/// \file
/// The tables and entry functions that an object exports.
#ifndef DLC_LIB_CODEGEN_DESCRIPTOR_H
#define DLC_LIB_CODEGEN_DESCRIPTOR_H

#include "lib/Codegen/Device.h"
#include "lib/Codegen/Interface.h"
#include "lib/Target/Target.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Adds NAME_run, NAME_init, NAME_model and NAME_status_string to a module into
/// which the runtime is linked and which defines NAME_main (and NAME_expand if
/// there is a state), together with the tables of lib/Runtime/rt/dlc_rt.h that
/// they hand to the runtime. `hasThreads` says that the model has work for
/// several threads; `weightsHash` tells its weights from others.
void emitDescriptor(llvm::Module &module, const ModelInterface &model,
                    const TargetSpec &spec, bool hasThreads,
                    uint64_t weightsHash, const DeviceCode &device);

} // namespace dlc

#endif
