/// \file
/// From a module of the LLVM dialect to an object file, a header and what else
/// --emit= names. See docs/CInterface.md for what the object offers.
#ifndef DLC_LIB_CODEGEN_CODEGEN_H
#define DLC_LIB_CODEGEN_CODEGEN_H

#include "dlc/Api.h"
#include "lib/Codegen/Interface.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Error.h"

namespace dlc {

enum class OutputKind {
  Object,
  Header,
  Assembly,
  LLVMIR,
  Shared,
  Ptx,       ///< of the one architecture of --gpu
  Emulation, ///< the kernels for a CPU: see emulateDevice()
  Listing    ///< a line for each node, which debug information refers to
};

/// A file to write; "-" is the standard output.
struct Output {
  OutputKind kind;
  std::string path;
};

struct CodegenOptions {
  unsigned optLevel = 3;  ///< 0 to 3
  bool debugInfo = false; ///< which node code comes from, for debuggers
  /// The file of OutputKind::Listing as debug information names it, and what is
  /// in it.
  std::string listingName, listing;
  bool cubins = false; ///< machine code of GPUs is embedded, too
  /// The runtime, with its pool of threads, is that of this process.
  bool hostRuntime = false;
  /// Nobody reads the weights once jitCompile() has copied them.
  bool takesWeights = false;
};

/// The code of a model for another CPU, in an object for several.
struct CodeVariant {
  mlir::ModuleOp module;
  const TargetSpec *spec;
};

/// What --report says of an object.
struct ObjectReport {
  struct Part {
    std::string name;    ///< of a CPU, or "runtime"
    int64_t code = 0;    ///< bytes
    int64_t weights = 0; ///< bytes that no CPU before has
  };
  std::vector<Part> parts;
};

/// Fails where outputs cannot be what is asked for: no folder, a folder in the
/// way, one file for two outputs, or the file `input` (may be empty) itself. To
/// be called before the work.
DLC_API llvm::Error checkOutputs(llvm::ArrayRef<Output> outputs,
                                 llvm::StringRef input);

/// Registers what translates the LLVM dialect; add it to the context before
/// emitOutputs() or jitCompile(), outside of any pass.
DLC_API void registerCodegenTranslations(mlir::DialectRegistry &registry);

/// Adds the bytes of the module attribute `dlc.weights`, a dense tensor of i8,
/// to an empty table: how a module in text form brings its constants. A splat
/// of zeros takes no memory. Does nothing without the attribute.
DLC_API mlir::LogicalResult readWeightsAttribute(mlir::ModuleOp module,
                                                 WeightTable &weights);

/// Writes the outputs of a module in the llvm phase, which defines
/// `llvm.func @NAME_main(!llvm.ptr) -> i32`, may refer to an external global
/// `@NAME_weights`, and has the attributes that readInterface() reads. All
/// files appear together at the end; on failure, which is reported at the
/// module's location, none does. `module` is not changed.
DLC_API mlir::LogicalResult emitOutputs(mlir::ModuleOp module,
                                        const TargetSpec &spec,
                                        const CodegenOptions &options,
                                        const WeightTable &weights,
                                        llvm::ArrayRef<Output> outputs,
                                        llvm::ArrayRef<CodeVariant> others = {},
                                        ObjectReport *report = nullptr);

} // namespace dlc

#endif
