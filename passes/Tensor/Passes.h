/// \file
/// The passes and the pipeline of the phase `tensor`.
#ifndef DLC_PASSES_TENSOR_PASSES_H
#define DLC_PASSES_TENSOR_PASSES_H

#include "dlc/Api.h"
#include "mlir/Pass/Pass.h"
#include <functional>

namespace dlc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Tensor/Passes.h.inc"

struct TargetSpec;

/// Marks an op on constants that is worth evaluating before the first run
/// although its result is much larger than what it comes from.
constexpr llvm::StringLiteral kExpandAttr = "dlc.expand";

/// auto, direct, winograd or fft; with the outputs of a tile winograd-4x6, with
/// its inputs fft-16x16, and how many tiles at a time, winograd-4x6x12.
bool isConvolutionForm(llvm::StringRef form);

/// Marks a convolution of float32 that another form than the direct one
/// computes faster, even if operands of that are rounded.
constexpr llvm::StringLiteral kTransformedAttr = "dlc.transformed";

/// The bytes that a constant of `type` takes; 0 if its shape isn't static.
int64_t getConstantBytes(mlir::Type type);

/// What the passes of the phase need to know beside the target.
struct TensorOptions {
  /// --conv: a form that isConvolutionForm knows.
  std::string conv = "auto";
  /// --precision: fp32, tf32, bf16 or fp16.
  std::string precision = "fp32";
  /// --expand-weights: init or object.
  std::string expandWeights = "init";
  /// Adds passes on linalg and dlc.contract, before constants are evaluated
  /// and elementwise ops fused.
  std::function<void(mlir::OpPassManager &)> addPasses;
};

/// Appends the passes of the phase, in order; see Pipeline.cpp.
DLC_API void buildTensorPipeline(mlir::OpPassManager &pm,
                                 const TargetSpec &target,
                                 const TensorOptions &options = {});

} // namespace dlc

#endif
