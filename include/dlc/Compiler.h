/// \file
/// The compiler as a library: what the command `dlc` and the Python package
/// are made of.
#ifndef DLC_COMPILER_H
#define DLC_COMPILER_H

#include "dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dlc {

class Plugin;
class PluginOptions;
class WeightTable;
struct TargetSpec;

/// The phases of a compilation, in order. `--to=` names them.
enum class Phase { Onnx, Simplify, Import, Graph, Tensor, Buffer, Llvm, Obj };

/// The phase of that name, if there is one.
DLC_API std::optional<Phase> parsePhase(llvm::StringRef name);
DLC_API llvm::StringRef getPhaseName(Phase phase);

/// The oldest operator set that an ONNX file is written for unless one is asked
/// for.
constexpr int64_t kOldestWrittenOpset = 21;

/// The most threads that a run can have.
constexpr unsigned kMaxThreads = 256;

/// A plugin that takes part in a compilation, with what it is told.
struct PluginUse {
  const Plugin *plugin;
  std::shared_ptr<const PluginOptions> options;
};

/// What a user asks of a compilation; see docs/CommandLine.md.
struct CompileOptions {
  /// -target, -mcpu (with commas: several), -mattr. All empty: this machine.
  std::string target, cpu, features;
  /// --gpu: architectures with commas; "": no GPU unless `target` is one.
  std::string gpus;
  /// Whether the object also has the model for the CPU, for machines without a
  /// GPU.
  bool gpuFallback = false;
  /// What code for GPUs the object has: ptx, or cubin, which is machine code of
  /// the architectures and PTX of the lowest one.
  std::string embed = "ptx";
  /// Prefix of the symbols; empty: from the model's file name.
  std::string name;
  /// Shapes of inputs by name (-1 is dynamic), sizes of named dimensions.
  llvm::StringMap<llvm::SmallVector<int64_t>> shapes;
  llvm::StringMap<int64_t> dims;
  /// The least and the largest size of named dimensions that stay dynamic; a
  /// run refuses others.
  llvm::StringMap<std::pair<int64_t, int64_t>> dimBounds;
  /// The operator set of the ONNX file that is written; 0: an object is.
  int64_t opset = 0;
  /// 0 to 3.
  unsigned optLevel = 3;
  /// The form of convolutions: auto, direct or winograd.
  std::string conv = "auto";
  /// The form of large products with constant matrices: direct or strassen.
  std::string matmul = "direct";
  /// The arithmetic of contractions of float32: fp32, tf32, bf16 or fp16.
  std::string precision = "fp32";
  /// Threads that a run uses unless its options say otherwise; 1 leaves out
  /// all thread code, 0 is as many as the process has CPUs at run time.
  unsigned threads = 0;
  /// Where constants are made that are much larger than what they come from:
  /// init, before the first run, or object, at compile time.
  std::string expandWeights = "init";
  /// Whether runs can measure their nodes.
  bool profile = false;
  /// Names of passes (as in --print-pipeline) that are left out. They must be
  /// optional: see checkPasses() in lib/Compiler/PassFilter.h.
  std::vector<std::string> disabledPasses;
  /// Passes in MLIR's notation that run behind those of a phase.
  std::vector<std::pair<Phase, std::string>> addedPasses;
  /// A phase's passes in MLIR's notation, instead of dlc's own.
  std::vector<std::pair<Phase, std::string>> replacedPasses;
  /// See loadPlugins().
  std::vector<PluginUse> plugins;
  /// Files of --custom-ops, and values of --extern-op.
  std::vector<std::string> customOps, externOps;
  /// For bisection: only so many runs of optional passes, the rest is left out.
  std::optional<unsigned> passLimit;
  /// Told phase and name of each optional pass before it runs.
  std::function<void(Phase, llvm::StringRef)> optionalPass;
  /// Called for each pass manager before it runs: timing, printing.
  std::function<void(mlir::PassManager &)> configure;
  /// Given the module behind each phase, that of reading included.
  std::function<void(Phase, mlir::ModuleOp)> behindPhase;
  /// Told what is being done, for progress on long work.
  std::function<void(llvm::StringRef)> progress;
};

/// Loads the plugins at `paths`, each once in a process, and adds them to
/// `options`. `settings` are values of their options, "name=value" or
/// "plugin.name=value".
DLC_API llvm::Error loadPlugins(CompileOptions &options,
                                llvm::ArrayRef<std::string> paths,
                                llvm::ArrayRef<std::string> settings);

/// A context with every dialect that dlc and the plugins use, ready to compile
/// in.
DLC_API std::unique_ptr<mlir::MLIRContext>
createContext(const CompileOptions &options = {});

/// Has the context know the operators of --custom-ops and --extern-op. Before
/// readModel().
DLC_API mlir::LogicalResult readCustomOps(mlir::MLIRContext &context,
                                          const CompileOptions &options);

/// Fails where options contradict each other or the target.
DLC_API llvm::Error checkOptions(const CompileOptions &options,
                                 const TargetSpec &target);

/// Fails where an object cannot be for all of these.
DLC_API llvm::Error checkCpus(llvm::ArrayRef<TargetSpec> targets);

/// How a model is read: as the file has it, that with the types of all values
/// as far as they can be inferred, or raised for the import; Newest: raised to
/// the newest operator set only, for an ONNX file that is written.
enum class ReadMode { Plain, Typed, Raised, Newest };

/// Reads an ONNX file.
DLC_API mlir::OwningOpRef<mlir::ModuleOp>
readModel(llvm::StringRef path, mlir::MLIRContext &context,
          const CompileOptions &options, ReadMode mode);
/// The same from memory; `name` stands for the file.
DLC_API mlir::OwningOpRef<mlir::ModuleOp>
readModel(std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::StringRef name,
          mlir::MLIRContext &context, const CompileOptions &options,
          ReadMode mode);

/// Takes a module that has gone through the phases up to `from` to the end of
/// phase `to` (at most Llvm).
DLC_API mlir::LogicalResult runPhases(mlir::ModuleOp module, Phase from,
                                      Phase to, const CompileOptions &options,
                                      const TargetSpec &target);

/// The same for an object for several CPUs, which part behind the phase graph:
/// `module` becomes that of the first target, `others` get one for each other.
/// A module's weights are those of all before it and its own, without what is
/// equal, so that the last one has all.
DLC_API mlir::LogicalResult
runPhases(mlir::ModuleOp module, Phase from, const CompileOptions &options,
          llvm::ArrayRef<TargetSpec> targets,
          std::vector<mlir::OwningOpRef<mlir::ModuleOp>> &others);

/// Fills `pm`, whose anchor is a module, with the passes of one phase.
DLC_API void buildPhase(mlir::OpPassManager &pm, Phase phase,
                        const TargetSpec &target,
                        const CompileOptions &options);

/// The constants of a module in the phase llvm. `table` refers to them, so
/// the module must outlive it.
DLC_API mlir::LogicalResult collectWeights(mlir::ModuleOp module,
                                           WeightTable &table);

/// Has the passes in whose name `regex` is found say, as remarks at the nodes,
/// what they did and what they missed; "" is for all. Fails when it is no
/// regular expression.
DLC_API llvm::Error enableRemarks(mlir::MLIRContext &context,
                                  llvm::StringRef regex);

/// Prints one diagnostic and its notes: `model.onnx: node 'conv1': error: ...`.
DLC_API void printDiagnostic(llvm::raw_ostream &os,
                             mlir::Diagnostic &diagnostic);

/// Prints diagnostics the way compilers do, naming nodes:
/// `model.onnx: node 'conv1': error: ...`. Counts the errors.
class DLC_API DiagnosticPrinter {
public:
  DiagnosticPrinter(mlir::MLIRContext &context, llvm::raw_ostream &os);
  ~DiagnosticPrinter();
  unsigned numErrors() const { return errors; }

private:
  mlir::MLIRContext &context;
  mlir::DiagnosticEngine::HandlerID id;
  unsigned errors = 0;
};

} // namespace dlc

#endif
