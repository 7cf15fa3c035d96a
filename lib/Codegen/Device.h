/// \file
/// The part of a model that runs on a GPU: from the LLVM and NVVM dialects to
/// PTX, or to code that emulates a GPU's threads on a CPU.
#ifndef DLC_LIB_CODEGEN_DEVICE_H
#define DLC_LIB_CODEGEN_DEVICE_H

#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// The device code of a model.
struct DeviceCode {
  struct Image {
    GpuArch arch;
    std::string code; ///< PTX, or machine code
  };
  struct Kernel {
    std::string name;
    int64_t shared = 0; ///< bytes of shared memory that a launch asks for
  };
  std::vector<Kernel> kernels; ///< as launches number them
  std::vector<Image> images;   ///< by rising capability
  std::vector<Image> cubins;   ///< likewise, machine code; may be empty

  bool empty() const { return images.empty(); }
};

/// Makes PTX for each GPU of `spec` from the gpu.module in `module`; nothing
/// where there is none. Emits errors at the module's location.
mlir::FailureOr<DeviceCode>
lowerDevice(mlir::ModuleOp module, const TargetSpec &spec, unsigned optLevel);

/// The same kernels as an object for the CPU of `spec`, for tests on machines
/// without a GPU. Each kernel is a function `void NAME(void **parameters)` that
/// does the work of one thread, which it asks for with
/// `int32_t dlc_emulated_thread(void)` and `dlc_emulated_block(void)`; it calls
/// `void dlc_emulated_barrier(void)` where the threads of a block wait for each
/// other. Blocks run one after the other, since shared memory is a variable.
mlir::FailureOr<llvm::SmallVector<char, 0>>
emulateDevice(mlir::ModuleOp module, const TargetSpec &spec, unsigned optLevel);

} // namespace dlc

#endif
