/// \file
/// Which passes of the pipeline there are, and which of them run.
#ifndef DLC_LIB_COMPILER_PASSFILTER_H
#define DLC_LIB_COMPILER_PASSFILTER_H

#include "dlc/Compiler.h"
#include "llvm/Support/Error.h"

namespace dlc {

/// The names of the passes from one phase to another, in order.
DLC_API std::vector<std::string> listPasses(const TargetSpec &target,
                                            const CompileOptions &options,
                                            Phase from = Phase::Onnx,
                                            Phase to = Phase::Obj);

/// Whether a pass translates, so that nothing can be compiled without it. All
/// others only improve code.
DLC_API bool isRequiredPass(llvm::StringRef name);

/// Checks `disabledPasses`, `addedPasses` and `replacedPasses`. The message
/// lists what could be meant.
DLC_API llvm::Error checkPasses(const CompileOptions &options,
                                const TargetSpec &target);

/// Checks that `disabled` are among `names` and none is required.
DLC_API llvm::Error checkDisabled(llvm::ArrayRef<std::string> disabled,
                                  llvm::ArrayRef<std::string> names);

/// The names of the passes in a pass manager, in order.
DLC_API std::vector<std::string> listPasses(mlir::OpPassManager &pm);

/// Adds the passes that stand in for those of a phase; false when there are
/// none.
llvm::Expected<bool> replacePasses(mlir::OpPassManager &pm, Phase phase,
                                   const CompileOptions &options);

/// Adds what `options` wants to have run behind the passes of a phase.
llvm::Error addPasses(mlir::OpPassManager &pm, Phase phase,
                      const CompileOptions &options);

/// While it lives, the context's pass managers leave out what the options
/// disable, and count optional passes. Does nothing, and costs nothing, when
/// the options ask for none of it. The evaluation of constants, which compiles
/// in the same context, obeys the filter of the compilation that it is part of.
class PassFilter {
public:
  PassFilter(mlir::MLIRContext &context, const CompileOptions &options);
  ~PassFilter();
  PassFilter(const PassFilter &) = delete;

  void setPhase(Phase value) { phase = value; }

private:
  bool wantsToRun(llvm::StringRef name);

  mlir::MLIRContext &context;
  const CompileOptions &options;
  bool isActive;
  Phase phase = Phase::Onnx;
  unsigned count = 0;
};

} // namespace dlc

#endif
