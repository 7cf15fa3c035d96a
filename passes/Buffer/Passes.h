/// \file
/// The passes and the pipeline of the phase `buffer`.
#ifndef DLC_PASSES_BUFFER_PASSES_H
#define DLC_PASSES_BUFFER_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Buffer/Passes.h.inc"

/// Appends the passes of the phase, in order; see Pipeline.cpp. `conv` is the
/// form of convolutions that is asked for, `cache` the bytes of a CPU's second
/// cache and `lanes` the floats of its vectors, or 0 for a GPU.
DLC_API void buildBufferPipeline(mlir::OpPassManager &pm,
                                 llvm::StringRef conv = "auto",
                                 int64_t cache = 0, int64_t lanes = 0);

/// Whether the owner of `use` computes a result in the operand's place.
bool isDestination(mlir::OpOperand &use);

/// What marks the location of a function that several kernels share: a
/// FusedLoc with this text holds that of each.
constexpr llvm::StringLiteral kSharedBy = "shared by";

} // namespace dlc

#endif
