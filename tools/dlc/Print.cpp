// The flags that print something and end.

#include "lib/Compiler/Plugin.h"
#include "lib/Target/Target.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Import/OpTable.h"
#include "tools/dlc/Options.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;

static void printSupportedOps(llvm::raw_ostream &os,
                              const CompileOptions &options) {
  std::vector<std::string> names;
  auto add = [&](const OpRow &row) {
    // The reader's own are none of a model's.
    if (row.domain != "dlc")
      names.push_back(
          ((row.domain.empty() ? "ai.onnx" : row.domain) + "." + row.name)
              .str());
  };
  for (const OpRow *row : listOpRows())
    add(*row);
  for (const PluginUse &use : options.plugins)
    for (const OpRow &row : use.plugin->operators)
      add(row);
  for (const std::string &name : names)
    os << name << "\n";
}

/// One line a phase, as dlc-opt takes it. An ONNX file is what the first one
/// makes, for the operator set that is asked for.
static void printPipeline(llvm::raw_ostream &os, const TargetSpec &spec,
                          CompileOptions options) {
  MLIRContext context;
  Phase last = tool::isOnnxOutput() ? Phase::Simplify : Phase::Llvm;
  if (tool::isOnnxOutput() && !options.opset)
    options.opset = kOldestWrittenOpset;
  for (int i = int(Phase::Simplify); i <= int(last); ++i) {
    PassManager pm(&context, ModuleOp::getOperationName());
    buildPhase(pm, Phase(i), spec, options);
    os << getPhaseName(Phase(i)) << ": ";
    pm.printAsTextualPipeline(os);
    os << "\n";
  }
}

std::optional<int> tool::printHelpOfTarget() {
  if (cpu != "help" && features != "help")
    return std::nullopt;
  llvm::Error error = cpu == "help" ? printCpus(llvm::outs(), target)
                                    : printFeatures(llvm::outs(), target);
  if (error)
    return fail(llvm::toString(std::move(error)));
  return finishOutput();
}

std::optional<int> tool::printAndEnd(const TargetSpec &spec,
                                     const CompileOptions &options) {
  if (printTargetsFlag + printOpsFlag + printPipelineFlag + printPluginsFlag >
      1)
    return fail("expected one of --print-targets, --print-supported-ops, "
                "--print-pipeline, --print-plugins");
  if (printTargetsFlag)
    printTargets(llvm::outs());
  else if (printOpsFlag)
    printSupportedOps(llvm::outs(), options);
  else if (printPipelineFlag)
    printPipeline(llvm::outs(), spec, options);
  else if (printPluginsFlag)
    printPlugins(llvm::outs(), options);
  else
    return std::nullopt;
  return finishOutput();
}
