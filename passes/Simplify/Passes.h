/// \file
/// The passes and the pipeline of the phase `simplify`.
#ifndef DLC_PASSES_SIMPLIFY_PASSES_H
#define DLC_PASSES_SIMPLIFY_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"

namespace dlc {

/// What the simplified model is for.
struct SimplifyOptions {
  /// The operator set of the ONNX file that is written; 0: the import follows.
  int64_t opset = 0;
  /// Whether convolutions may take Winograd's form.
  bool hasWinograd = false;
};

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Simplify/Passes.h.inc"

/// Appends the passes of the phase, in order; see Pipeline.cpp.
DLC_API void buildSimplifyPipeline(mlir::OpPassManager &pm,
                                   const SimplifyOptions &options = {});

} // namespace dlc

#endif
