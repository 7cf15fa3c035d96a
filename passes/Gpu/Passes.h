/// \file
/// The passes and the pipeline of the phase `llvm` for the part of a model
/// that runs on a GPU.
#ifndef DLC_PASSES_GPU_PASSES_H
#define DLC_PASSES_GPU_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Gpu/Passes.h.inc"

/// Appends the passes that leave the device's code in the LLVM dialect, inside
/// of a gpu.module, and a host part for the pipeline of the CPU; see
/// Pipeline.cpp. With `fallback`, the model for the CPU stays beside it.
/// `capability` is the least one of the GPUs, times 10.
DLC_API void buildGpuPipeline(mlir::OpPassManager &pm, bool fallback,
                              unsigned capability);

} // namespace dlc

#endif
