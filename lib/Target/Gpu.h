/// \file
/// NVIDIA GPUs: the names of their architectures, and LLVM's back end for them.
#ifndef DLC_LIB_TARGET_GPU_H
#define DLC_LIB_TARGET_GPU_H

#include "dlc/Api.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace dlc {

/// An architecture to make PTX for.
struct GpuArch {
  std::string name;        ///< LLVM's and NVIDIA's: "sm_80", "sm_90a"
  unsigned capability = 0; ///< compute capability times 10: 80
  bool isSpecific = false; ///< sm_90a: for this very capability only

  /// Whether a GPU of the compute capability can run its PTX.
  bool runsOn(unsigned capability) const {
    return isSpecific ? this->capability == capability
                      : this->capability <= capability;
  }
};

/// Whether -target= names a GPU, so that the host is this machine: "nvptx", or
/// an architecture.
DLC_API bool isGpuTarget(llvm::StringRef target);

/// The architectures of --gpu=, a list with commas, and of a `target` that is
/// a GPU, by rising capability. Empty without either.
DLC_API llvm::Expected<std::vector<GpuArch>> resolveGpus(llvm::StringRef target,
                                                         llvm::StringRef gpus);

/// LLVM's description of the architecture.
DLC_API llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createGpuMachine(const GpuArch &arch, unsigned optLevel);

} // namespace dlc

#endif
