/// \file
/// Runs a compiled model in this process: for the Python package and for what
/// the compiler evaluates at compile time.
#ifndef DLC_LIB_CODEGEN_JIT_H
#define DLC_LIB_CODEGEN_JIT_H

#include "dlc/Api.h"
#include "lib/Codegen/Codegen.h"
#include <memory>

struct dlc_model;

namespace dlc {

/// A model in memory. It keeps no reference to the module or to the weights
/// that it was made from.
class DLC_API JitModel {
public:
  ~JitModel();

  /// The descriptor, as in an object's header (include/dlc/Model.h); valid as
  /// long as this object lives.
  const dlc_model *descriptor() const;

private:
  friend DLC_API mlir::FailureOr<std::unique_ptr<JitModel>>
  jitCompile(mlir::ModuleOp module, const TargetSpec &spec,
             const CodegenOptions &options, const WeightTable &weights);
  struct Impl;
  explicit JitModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

/// Makes the same code as emitOutputs() would and loads it. `spec` must be one
/// that this machine runs. The weights are copied once.
DLC_API mlir::FailureOr<std::unique_ptr<JitModel>>
jitCompile(mlir::ModuleOp module, const TargetSpec &spec,
           const CodegenOptions &options, const WeightTable &weights);

/// Gives pages that were freed back to the system.
void returnFreedMemory();

} // namespace dlc

#endif
