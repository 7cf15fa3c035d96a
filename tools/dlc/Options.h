/// \file
/// The command line of dlc: flags that its commands share, and the commands.
#ifndef DLC_TOOLS_DLC_OPTIONS_H
#define DLC_TOOLS_DLC_OPTIONS_H

#include "dlc/Compiler.h"
#include "lib/Codegen/Codegen.h"
#include "llvm/Support/CommandLine.h"

namespace dlc::tool {

extern llvm::cl::SubCommand infoCommand, verifyCommand;
extern std::string inputPath;
extern llvm::cl::opt<std::string> outputPath, modelName;
extern llvm::cl::opt<std::string> target, cpu, features, gpus;
extern llvm::cl::opt<std::string> printAfter, remarks;
extern llvm::cl::opt<bool> verbose, debugInfo, printTargetsFlag, printOpsFlag;
extern llvm::cl::opt<bool> printPipelineFlag, asJson;

/// Reads the command line; false after an error. Ends the program after --help
/// and --version.
bool parseCommandLine(int argc, char **argv);

/// Prints `dlc: error: ...` and returns the exit status.
int fail(const llvm::Twine &message);

/// Flushes the standard output; the exit status.
int finishOutput();

/// The options of a compilation; none after an error.
std::optional<CompileOptions> getCompileOptions();

/// The phases of --from and --to; none after an error.
std::optional<std::pair<Phase, Phase>> getPhases();

/// Whether the input is IR as text.
bool isTextInput();

/// The files to write for --emit and -o, or for a `to` before Obj the one for
/// the IR; none after an error. Checks what can be known before the work.
std::optional<std::vector<Output>> getOutputs(Phase to);

/// Does what a flag such as --print-targets asks for; the exit status, none
/// without such a flag.
std::optional<int> printAndEnd(const TargetSpec &spec,
                               const CompileOptions &options);

/// `dlc info`: prints what is in the model.
int runInfo();

/// `dlc verify`: runs the Python package's verify with `arguments`.
int runVerify(const char *program, llvm::ArrayRef<const char *> arguments);

} // namespace dlc::tool

#endif
