/// \file
/// The passes and the pipeline of the phase `graph`.
#ifndef DLC_PASSES_GRAPH_PASSES_H
#define DLC_PASSES_GRAPH_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Graph/Passes.h.inc"

/// Appends the passes of the phase, in order; see Pipeline.cpp. With
/// `strassenLanes`, large products take seven multiplications instead of eight,
/// where that pays with so many numbers of float32 in a vector.
DLC_API void buildGraphPipeline(mlir::OpPassManager &pm,
                                int64_t strassenLanes = 0);

} // namespace dlc

#endif
