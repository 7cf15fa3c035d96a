// dlc: compiles an ONNX model to an object file and a C header.

#include "dlc/Compiler.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/Target/Target.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/Timing.h"
#include "passes/Import/OpTable.h"
#include "tools/dlc/Options.h"
#include "llvm/Pass.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;

static int printSupportedOps() {
  for (const OpRow *row : listOpRows())
    llvm::outs() << (row->domain.empty() ? "ai.onnx" : row->domain) << "."
                 << row->name << "\n";
  return 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  parseCommandLine(argc, argv);
  if (infoCommand)
    return runInfo();
  if (printTargetsFlag) {
    printTargets(llvm::outs());
    return 0;
  }
  if (printOpsFlag)
    return printSupportedOps();

  llvm::Expected<TargetSpec> spec = resolveTarget(target, cpu, features);
  if (!spec)
    return fail(llvm::toString(spec.takeError()));
  if (printPipelineFlag) {
    MLIRContext context;
    for (int i = int(Phase::Import); i <= int(Phase::Llvm); ++i) {
      PassManager pm(&context);
      buildPhase(pm, Phase(i), *spec);
      llvm::outs() << getPhaseName(Phase(i)) << ": ";
      pm.printAsTextualPipeline(llvm::outs());
      llvm::outs() << "\n";
    }
    return 0;
  }
  if (inputPath.empty())
    return fail("no input file; try 'dlc --help'");

  std::optional<CompileOptions> given = getCompileOptions();
  if (!given)
    return 1;
  CompileOptions options = std::move(*given);
  std::optional<std::vector<Output>> outputs = getOutputs();
  if (!outputs)
    return 1;
  Phase to = Phase::Obj, from = Phase::Onnx;
  for (auto [flag, phase] : {std::pair(&toPhase, &to), {&fromPhase, &from}}) {
    if (flag->empty())
      continue;
    std::optional<Phase> parsed = parsePhase(*flag);
    if (!parsed)
      return fail("expected one of the phases onnx, import, graph, tensor, "
                  "buffer, llvm, obj, found '" +
                  *flag + "'");
    *phase = *parsed;
  }
  // A module as text is in the phase llvm unless --from says otherwise.
  bool isText = StringRef(inputPath).ends_with(".mlir") || !fromPhase.empty();
  if (isText && fromPhase.empty())
    from = Phase::Llvm;
  bool isTerminal = llvm::sys::Process::StandardErrIsDisplayed();
  options.progress = [&](StringRef what) {
    if (verbose)
      llvm::errs() << "dlc: " << what << "\n";
    else if (isTerminal)
      llvm::errs() << "\r\033[Kdlc: " << inputPath << ": " << what;
  };
  DefaultTimingManager timing;
  TimingScope scope;
  if (llvm::TimePassesIsEnabled) {
    timing.setEnabled(true);
    scope = timing.getRootScope();
  }
  options.configure = [&](PassManager &pm) {
    pm.enableVerifier(true);
    if (llvm::TimePassesIsEnabled)
      pm.enableTiming(scope);
    if (!printAfter.empty())
      pm.enableIRPrinting(
          nullptr,
          [](Pass *pass, Operation *) {
            return pass->getArgument() == printAfter;
          },
          /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/false,
          /*printAfterOnlyOnFailure=*/false, llvm::errs());
  };

  std::unique_ptr<MLIRContext> context = createContext();
  DiagnosticPrinter diagnostics(*context, llvm::errs());
  auto clearProgress = [&] {
    if (isTerminal && !verbose)
      llvm::errs() << "\r\033[K";
  };
  options.progress("read");
  OwningOpRef<ModuleOp> module;
  if (isText)
    module = parseSourceFile<ModuleOp>(inputPath, context.get());
  else
    module = readModel(inputPath, *context, options,
                       to == Phase::Onnx ? ReadMode::Plain : ReadMode::Raised);
  if (!module) {
    clearProgress();
    return 1;
  }
  if (failed(runPhases(*module, from, to, options, *spec))) {
    clearProgress();
    return 1;
  }
  if (to != Phase::Obj) {
    clearProgress();
    std::error_code code;
    llvm::ToolOutputFile file(outputPath.empty() ? "-" : outputPath.getValue(),
                              code, llvm::sys::fs::OF_None);
    if (code)
      return fail("cannot write '" + outputPath + "': " + code.message());
    module->print(
        file.os(),
        OpPrintingFlags().elideLargeElementsAttrs(64).elideLargeResourceString(
            64));
    file.keep();
    return 0;
  }
  options.progress("obj");
  WeightTable weights;
  CodegenOptions codegen;
  codegen.optLevel = options.optLevel;
  LogicalResult done =
      isa_and_nonnull<ArrayAttr>((*module)->getAttr("dlc.weights"))
          ? collectWeights(*module, weights)
          : readWeightsAttribute(*module, weights);
  if (succeeded(done))
    done = emitOutputs(*module, *spec, codegen, weights, *outputs);
  clearProgress();
  return failed(done);
}
