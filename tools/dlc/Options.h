/// \file
/// The command line of dlc: flags that its commands share, and the commands.
#ifndef DLC_TOOLS_DLC_OPTIONS_H
#define DLC_TOOLS_DLC_OPTIONS_H

#include "dlc/Compiler.h"
#include "lib/Codegen/Codegen.h"
#include "llvm/Support/CommandLine.h"

namespace dlc::tool {

extern llvm::cl::SubCommand infoCommand, verifyCommand, quantizeCommand,
    profileCommand;
extern std::string inputPath;
extern llvm::cl::opt<std::string> outputPath, modelName;
extern llvm::cl::opt<std::string> target, cpu, features, gpus;
extern llvm::cl::opt<std::string> printAfter, remarks, dumpGraph;
extern llvm::cl::opt<bool> verbose, debugInfo, printTargetsFlag, printOpsFlag;
extern llvm::cl::opt<bool> printPipelineFlag, printPluginsFlag, asJson, report;
extern llvm::cl::opt<std::string> fromPhase, toPhase;
extern llvm::cl::list<std::string> shapes, dims, emitted, passPipelines;
extern llvm::cl::opt<bool> externalDataFlag;

/// Reads the command line; false after an error. Ends the program after --help
/// and --version.
bool parseCommandLine(int argc, char **argv);

/// Prints `dlc: error: ...` and returns the exit status.
int fail(const llvm::Twine &message);
void warn(const llvm::Twine &message); ///< prints `dlc: warning: ...`

/// Flushes the standard output; the exit status.
int finishOutput();

/// The options of a compilation; none after an error.
std::optional<CompileOptions> getCompileOptions();

/// The phase of that name; none after an error.
std::optional<Phase> getPhase(llvm::StringRef name);

/// Replaces the passes from one phase to another as --pass-pipeline says;
/// false after an error.
bool applyPassPipeline(CompileOptions &options, Phase from, Phase to);

/// The phases of --from and --to; none after an error.
std::optional<std::pair<Phase, Phase>> getPhases();

/// The phase behind which --dump-graph draws, and the file; none without it.
/// False after an error.
struct GraphDump {
  Phase phase = Phase::Graph;
  std::string path;
};
bool getGraphDump(std::optional<GraphDump> &dump, Phase from, Phase to);

/// Whether the input is IR as text.
bool isTextInput();

/// Whether the output is an ONNX file, and whether its tensors go to a file of
/// their own.
bool isOnnxOutput();
bool hasExternalData();

/// The files to write for --emit and -o, or for a `to` before Obj the one for
/// the IR; none after an error. Checks what can be known before the work.
std::optional<std::vector<Output>> getOutputs(Phase to);

/// Prints the CPUs for -mcpu=help, the features for -mattr=help; the exit
/// status, none without them.
std::optional<int> printHelpOfTarget();

/// Does what a flag such as --print-targets asks for; the exit status, none
/// without such a flag.
std::optional<int> printAndEnd(const TargetSpec &spec,
                               const CompileOptions &options);

/// `dlc info`: prints what is in the model.
int runInfo();

/// A command of the Python package, which needs `packages` beside it: runs its
/// module `name` with `arguments`.
int runPython(const char *program, llvm::StringRef name,
              llvm::ArrayRef<llvm::StringRef> packages,
              llvm::ArrayRef<const char *> arguments);

} // namespace dlc::tool

#endif
