/// \file
/// The tables and entry functions that an object exports.
#ifndef DLC_LIB_CODEGEN_DESCRIPTOR_H
#define DLC_LIB_CODEGEN_DESCRIPTOR_H

#include "lib/Codegen/Device.h"
#include "lib/Codegen/Interface.h"
#include "lib/Target/Target.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// The code of a model for one CPU.
struct CpuCode {
  const TargetSpec *spec;
  ModelInterface model;
  std::string suffix; ///< of its functions: NAME_main.znver4

  std::string symbol(llvm::StringRef word) const {
    return model.symbol(word) + suffix;
  }
};

/// The triple, the CPUs and the GPUs.
std::string describeTarget(llvm::ArrayRef<CpuCode> codes,
                           const DeviceCode &device);

/// Adds NAME_run, NAME_init, NAME_model and NAME_status_string to a module into
/// which the runtime is linked and which defines NAME_main (and NAME_expand if
/// there is a state) of each of `codes`, together with the tables of
/// lib/Runtime/rt/dlc_rt.h that they hand to the runtime. The first of `codes`
/// that the CPU can run is taken. `hasThreads` says that the model has work for
/// several threads; `weightsHash` tells its weights from others.
void emitDescriptor(llvm::Module &module, const ModelInterface &model,
                    llvm::ArrayRef<CpuCode> codes, llvm::StringRef target,
                    bool hasThreads, uint64_t weightsHash,
                    const DeviceCode &device);

} // namespace dlc

#endif
