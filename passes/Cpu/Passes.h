/// \file
/// The passes and the pipeline of the phase `cpu`.
#ifndef DLC_PASSES_CPU_PASSES_H
#define DLC_PASSES_CPU_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Cpu/Passes.h.inc"

struct TargetSpec;

/// The attribute, in LLVM IR, of functions whose loops are vector code as the
/// kernels' generators wrote them.
inline constexpr llvm::StringLiteral kVectorCodeAttr = "dlc-vector-code";

/// Appends the passes of the phase, in order; see Pipeline.cpp.
/// With `threads`, kernels share their work among threads.
DLC_API void buildCpuPipeline(mlir::OpPassManager &pm, const TargetSpec &target,
                              bool threads, bool profile = false);

} // namespace dlc

#endif
