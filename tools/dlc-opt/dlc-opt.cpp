// dlc-opt: runs passes of dlc and MLIR on IR given as text.

#include "dlc/Registration.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Compiler/PassFilter.h"
#include "lib/Compiler/Plugin.h"
#include "mlir/IR/Action.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
namespace cl = llvm::cl;

static cl::list<std::string>
    pluginPaths("load-plugin",
                cl::desc("Load a plugin, a shared library; may be repeated"),
                cl::value_desc("file"));
static cl::list<std::string>
    pluginSettings("plugin-opt",
                   cl::desc("Set an option of a plugin; may be repeated"),
                   cl::value_desc("name=value"));
static cl::list<std::string>
    disabledPasses("disable-pass",
                   cl::desc("Leave out an optional pass; may be repeated"),
                   cl::value_desc("pass"));

static int fail(const Twine &message) {
  llvm::WithColor::error(llvm::errs(), "dlc-opt") << message << "\n";
  return 1;
}

/// The values of a flag, found before the command line is parsed: plugins have
/// passes, and passes have flags.
static std::vector<std::string> findFlag(ArrayRef<const char *> arguments,
                                         StringRef name) {
  std::vector<std::string> values;
  for (size_t i = 1; i < arguments.size(); ++i) {
    StringRef text = arguments[i];
    if (!text.consume_front("--") && !text.consume_front("-"))
      continue;
    if (text.consume_front(name)) {
      if (text.consume_front("="))
        values.push_back(text.str());
      else if (text.empty() && i + 1 < arguments.size())
        values.push_back(arguments[++i]);
    }
  }
  return values;
}

/// Has the passes that the flags disable left out of what runs in a context.
static LogicalResult disablePasses(PassManager &pm) {
  std::vector<std::string> names(disabledPasses.begin(), disabledPasses.end());
  if (llvm::Error error = dlc::checkDisabled(names, dlc::listPasses(pm)))
    return emitError(UnknownLoc::get(pm.getContext()))
           << llvm::toString(std::move(error));
  if (!names.empty())
    pm.getContext()->registerActionHandler(
        [names](llvm::function_ref<void()> execute,
                const tracing::Action &action) {
          auto *pass = dyn_cast<PassExecutionAction>(&action);
          if (!pass ||
              !llvm::is_contained(names, pass->getPass().getArgument()))
            execute();
        });
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::BumpPtrAllocator allocator;
  llvm::StringSaver saver(allocator);
  SmallVector<const char *> arguments(argv, argv + argc);
  cl::ExpandResponseFiles(saver, cl::TokenizeGNUCommandLine, arguments);

  dlc::CompileOptions options;
  if (llvm::Error error =
          dlc::loadPlugins(options, findFlag(arguments, "load-plugin"),
                           findFlag(arguments, "plugin-opt")))
    return fail(llvm::toString(std::move(error)));
  DialectRegistry registry;
  dlc::registerDialects(registry);
  // For what passes evaluate in this process.
  dlc::registerCodegenTranslations(registry);
  dlc::registerPlugins(registry, options);
  dlc::registerPasses();
  auto [inputPath, outputPath] = registerAndParseCLIOptions(
      arguments.size(), const_cast<char **>(arguments.data()),
      "dlc-opt: run passes on the IR of dlc\n", registry);

  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects()) {
    for (StringRef name : registry.getDialectNames())
      llvm::outs() << name << "\n";
    return 0;
  }
  if (config.shouldListPasses()) {
    printRegisteredPasses();
    return 0;
  }
  MlirOptMainConfig given = config;
  config.setPassPipelineSetupFn([given](PassManager &pm) {
    if (failed(given.setupPassPipeline(pm)))
      return failure();
    return disablePasses(pm);
  });
  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> input =
      openInputFile(inputPath, &message);
  if (!input)
    return fail(message);
  std::unique_ptr<llvm::ToolOutputFile> output =
      openOutputFile(outputPath, &message);
  if (!output)
    return fail(message);
  if (failed(MlirOptMain(output->os(), std::move(input), registry, config)))
    return 1;
  output->keep();
  return 0;
}
