// The flags that print something and end.

#include "lib/Target/Target.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Import/OpTable.h"
#include "tools/dlc/Options.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;

static void printSupportedOps(llvm::raw_ostream &os) {
  for (const OpRow *row : listOpRows())
    // The reader's own are none of a model's.
    if (row->domain != "dlc")
      os << (row->domain.empty() ? "ai.onnx" : row->domain) << "." << row->name
         << "\n";
}

/// One line a phase, as dlc-opt takes it.
static void printPipeline(llvm::raw_ostream &os, const TargetSpec &spec,
                          const CompileOptions &options) {
  MLIRContext context;
  for (int i = int(Phase::Import); i <= int(Phase::Llvm); ++i) {
    PassManager pm(&context, ModuleOp::getOperationName());
    buildPhase(pm, Phase(i), spec, options);
    os << getPhaseName(Phase(i)) << ": ";
    pm.printAsTextualPipeline(os);
    os << "\n";
  }
}

std::optional<int> tool::printAndEnd(const TargetSpec &spec,
                                     const CompileOptions &options) {
  if (printTargetsFlag + printOpsFlag + printPipelineFlag > 1)
    return fail("expected one of --print-targets, --print-supported-ops, "
                "--print-pipeline");
  if (printTargetsFlag)
    printTargets(llvm::outs());
  else if (printOpsFlag)
    printSupportedOps(llvm::outs());
  else if (printPipelineFlag)
    printPipeline(llvm::outs(), spec, options);
  else
    return std::nullopt;
  return finishOutput();
}
