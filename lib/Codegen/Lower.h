/// \file
/// From a module of the LLVM dialect to an llvm::Module and to the bytes of
/// objects; shared by the file outputs and the JIT.
#ifndef DLC_LIB_CODEGEN_LOWER_H
#define DLC_LIB_CODEGEN_LOWER_H

#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/Device.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include "llvm/ADT/StringSet.h"

namespace dlc {

/// Where NAME_weights is.
enum class WeightsPlace {
  Declared, ///< nowhere: a declaration (assembly and LLVM IR for reading)
  Section,  ///< a section without contents, which placeWeights() gives some
  Address,  ///< anywhere in memory: a symbol that the JIT defines
};

/// A model as LLVM IR: the runtime linked in, or declared for this process, the
/// entry functions made, all else internal. Not optimised yet.
struct LoweredModule {
  ModelInterface model;
  DeviceCode device;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  llvm::StringRef builtins; ///< bitcode of the target's builtins
  std::string target;       ///< the triple, the CPUs and the GPUs
  /// What is for one CPU.
  struct Part {
    std::string label;
    llvm::StringSet<> functions;
    int64_t weightsSize; ///< of this and the parts before it
  };
  std::vector<Part> parts;
};

/// Emits errors at the module's location.
mlir::FailureOr<LoweredModule>
lowerModule(mlir::ModuleOp module, const TargetSpec &spec,
            const CodegenOptions &options, const WeightTable &weights,
            llvm::ArrayRef<CodeVariant> others = {});

/// Reads bitcode of the runtime into `context`, for code of a model to be
/// inlined into. Without `bodies` the functions have none yet.
llvm::Expected<std::unique_ptr<llvm::Module>>
readRuntime(llvm::StringRef bytes, llvm::StringRef name,
            llvm::LLVMContext &context, bool bodies = true);

/// Makes the object file or the assembly text of a module in memory.
llvm::Expected<llvm::SmallVector<char, 0>>
emitCode(const LoweredModule &lowered, WeightsPlace place,
         llvm::CodeGenFileType type);

/// Optimises a model for this process with -O`optLevel` and makes objects of
/// it that call each other: of its parts, on several threads, if it is large.
/// The weights are where a symbol says. `lowered.module` is changed.
llvm::Expected<std::vector<llvm::SmallVector<char, 0>>>
emitParts(LoweredModule &lowered, const TargetSpec &spec, unsigned optLevel);

/// The name under which LLVM makes the section of NAME_weights.
inline constexpr llvm::StringRef emptySection = ".bss.dlc_wt";

/// From this size on the weights go behind everything that must be near the
/// code, and x86-64 code addresses them with 64-bit offsets.
inline constexpr int64_t largeWeights = int64_t(512) << 20;

} // namespace dlc

#endif
