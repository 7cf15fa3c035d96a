// dlc: compiles an ONNX model to an object file and a C header.

#include "dlc/Compiler.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "lib/Target/Target.h"
#include "passes/Import/OpTable.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/Timing.h"
#include "llvm/Pass.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace dlc;
namespace cl = llvm::cl;

static cl::OptionCategory generalCategory("General options");
static cl::OptionCategory modelCategory("Model options");
static cl::OptionCategory targetCategory("Target options");
static cl::OptionCategory developerCategory("Options for compiler developers");

static cl::opt<std::string> inputPath(cl::Positional, cl::desc("<model.onnx>"),
                                      cl::cat(generalCategory));
static cl::opt<std::string>
    outputPath("o", cl::desc("Output file; the header is written beside it"),
               cl::value_desc("file"), cl::cat(generalCategory));
static cl::list<std::string> emitted(
    "emit", cl::CommaSeparated,
    cl::desc("What to write: obj, header, shared, asm, llvm-ir (default: "
             "obj,header)"),
    cl::value_desc("kind,..."), cl::cat(generalCategory));
static cl::opt<unsigned> optLevel("O", cl::Prefix, cl::init(3),
                                  cl::desc("Optimisation level, 0 to 3"),
                                  cl::value_desc("level"),
                                  cl::cat(generalCategory));
static cl::opt<bool> verbose("v", cl::desc("Say what is done"),
                             cl::cat(generalCategory));
static cl::opt<std::string>
    convForm("conv", cl::init("auto"),
             cl::desc("Form of convolutions: auto (default), direct, winograd"),
             cl::value_desc("form"), cl::cat(generalCategory));
static cl::opt<std::string>
    modelName("name", cl::desc("Prefix of the object's symbols (default: the "
                               "model's file name)"),
              cl::value_desc("name"), cl::cat(modelCategory));
static cl::list<std::string>
    shapes("shape", cl::desc("Shape of an input, ? for a dynamic size"),
           cl::value_desc("input:1x3x224x224"), cl::cat(modelCategory));
static cl::list<std::string> dims("dim", cl::desc("Size of a named dimension"),
                                  cl::value_desc("name=size"),
                                  cl::cat(modelCategory));
static cl::opt<std::string>
    target("target", cl::desc("CPU to compile for: a name of --print-targets "
                              "or an LLVM triple (default: this machine)"),
           cl::value_desc("target"), cl::cat(targetCategory));
static cl::opt<std::string> cpu("mcpu", cl::desc("Processor, as clang's -mcpu"),
                                cl::value_desc("cpu"),
                                cl::cat(targetCategory));
static cl::opt<std::string>
    features("mattr", cl::desc("Features to add or take away: +avx2,-fma"),
             cl::value_desc("a1,+a2,-a3,..."), cl::cat(targetCategory));
static cl::opt<bool> printTargetsFlag("print-targets",
                                      cl::desc("List the targets"),
                                      cl::cat(targetCategory));
static cl::opt<bool> printOpsFlag(
    "print-supported-ops",
    cl::desc("List the ONNX operators that can be compiled"),
    cl::cat(modelCategory));
static cl::opt<std::string>
    toPhase("to",
            cl::desc("Stop after a phase and print the IR: onnx, import, "
                     "graph, tensor, buffer, llvm"),
            cl::value_desc("phase"), cl::cat(developerCategory));
static cl::opt<std::string>
    fromPhase("from",
              cl::desc("The input is IR as --to=phase printed it"),
              cl::value_desc("phase"), cl::cat(developerCategory));
static cl::opt<bool> printPipelineFlag("print-pipeline",
                                       cl::desc("Print the passes of each phase"),
                                       cl::cat(developerCategory));
static cl::opt<std::string>
    printAfter("print-ir-after",
               cl::desc("Print the IR after the pass of that name"),
               cl::value_desc("pass"), cl::cat(developerCategory));

static int fail(const Twine &message) {
  llvm::WithColor::error(llvm::errs(), "dlc") << message << "\n";
  return 1;
}

/// Parses `input:1x3x?x?`; the name may hold colons.
static bool parseShape(StringRef text,
                       llvm::StringMap<SmallVector<int64_t>> &shapes) {
  auto [name, sizes] = text.rsplit(':');
  if (name.empty() || text.find(':') == StringRef::npos)
    return false;
  SmallVector<int64_t> shape;
  SmallVector<StringRef> parts;
  if (!sizes.empty())
    sizes.split(parts, 'x');
  for (StringRef part : parts) {
    int64_t size = -1;
    if (part != "?" && (part.getAsInteger(10, size) || size < 0))
      return false;
    shape.push_back(size);
  }
  shapes[name] = shape;
  return true;
}

/// The files to write for `--emit` and `-o`.
static std::optional<std::vector<Output>> getOutputs() {
  std::vector<std::string> kinds(emitted.begin(), emitted.end());
  if (kinds.empty())
    kinds = {"obj", "header"};
  std::string base = outputPath;
  if (base.empty())
    base = (llvm::sys::path::stem(inputPath) + ".o").str();
  std::vector<Output> outputs;
  for (StringRef kind : kinds) {
    struct Known {
      StringRef name;
      OutputKind kind;
      StringRef extension;
    };
    static constexpr Known known[] = {{"obj", OutputKind::Object, "o"},
                                      {"header", OutputKind::Header, "h"},
                                      {"asm", OutputKind::Assembly, "s"},
                                      {"llvm-ir", OutputKind::LLVMIR, "ll"},
                                      {"shared", OutputKind::Shared, "so"}};
    const Known *found = llvm::find_if(
        known, [&](const Known &k) { return k.name == kind; });
    if (found == std::end(known)) {
      fail("expected --emit=obj, header, shared, asm or llvm-ir, found '" +
           kind + "'");
      return std::nullopt;
    }
    SmallString<128> path(base);
    // -o names the object, or the only output; the others stand beside it.
    bool isNamed = !outputPath.empty() &&
                   (kinds.size() == 1 || found->kind == OutputKind::Object);
    if (!isNamed)
      llvm::sys::path::replace_extension(path, found->extension);
    outputs.push_back({found->kind, path.str().str()});
  }
  return outputs;
}

static void printVersion(llvm::raw_ostream &os) {
  os << "dlc version " DLC_VERSION " (LLVM " << LLVM_VERSION_STRING << ", ONNX opset "
     << getNewestOpset("") << ")\n";
}

static int printSupportedOps() {
  for (const OpRow *row : listOpRows())
    llvm::outs() << (row->domain.empty() ? "ai.onnx" : row->domain) << "."
                 << row->name << "\n";
  return 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::SetVersionPrinter(printVersion);
  // LLVM's own option, which times the passes of MLIR as well.
  cl::Option *timePasses = cl::getRegisteredOptions()["time-passes"];
  timePasses->addCategory(developerCategory);
  timePasses->setDescription("Report the time of each pass");
  timePasses->setHiddenFlag(cl::NotHidden);
  cl::HideUnrelatedOptions({&generalCategory, &modelCategory, &targetCategory,
                            &developerCategory});
  cl::ParseCommandLineOptions(
      argc, argv, "dlc: compile an ONNX model to an object file\n");
  if (printTargetsFlag) {
    printTargets(llvm::outs());
    return 0;
  }
  if (printOpsFlag)
    return printSupportedOps();

  llvm::Expected<TargetSpec> spec = resolveTarget(target, cpu, features);
  if (!spec)
    return fail(llvm::toString(spec.takeError()));
  CompileOptions options;
  options.conv = convForm;
  if (printPipelineFlag) {
    MLIRContext context;
    for (int i = int(Phase::Import); i <= int(Phase::Llvm); ++i) {
      PassManager pm(&context);
      buildPhase(pm, Phase(i), *spec, options);
      llvm::outs() << getPhaseName(Phase(i)) << ": ";
      pm.printAsTextualPipeline(llvm::outs());
      llvm::outs() << "\n";
    }
    return 0;
  }
  if (inputPath.empty())
    return fail("no input file; try 'dlc --help'");

  options.name = modelName;
  options.optLevel = optLevel;
  if (optLevel > 3)
    return fail("expected -O0 to -O3, found -O" + Twine(optLevel));
  for (const std::string &shape : shapes)
    if (!parseShape(shape, options.shapes))
      return fail("expected --shape=input:1x3x?x?, found '" + shape + "'");
  for (const std::string &dim : dims) {
    auto [name, size] = StringRef(dim).rsplit('=');
    int64_t value;
    if (name.empty() || size.getAsInteger(10, value) || value < 0)
      return fail("expected --dim=name=size, found '" + dim + "'");
    options.dims[name] = value;
  }
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
          [](Pass *pass, Operation *) { return pass->getArgument() == printAfter; },
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
    module = readModel(inputPath, *context, options, to != Phase::Onnx);
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
    module->print(file.os(), OpPrintingFlags().elideLargeElementsAttrs(64).elideLargeResourceString(64));
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
