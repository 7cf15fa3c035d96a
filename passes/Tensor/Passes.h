/// \file
/// The passes and the pipeline of the phase `tensor`.
#ifndef DLC_PASSES_TENSOR_PASSES_H
#define DLC_PASSES_TENSOR_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Tensor/Passes.h.inc"

struct TargetSpec;

/// Appends the passes of the phase, in order; see Pipeline.cpp.
DLC_API void buildTensorPipeline(mlir::OpPassManager &pm,
                                 const TargetSpec &target);

} // namespace dlc

#endif
