// dlc: compiles an ONNX model to an object file and a C header.

#include "dlc/Compiler.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/OutputFiles.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/Compiler/ModelInfo.h"
#include "lib/Compiler/PassFilter.h"
#include "lib/Compiler/Plugin.h"
#include "lib/Compiler/Statistics.h"
#include "lib/Draw/Draw.h"
#include "lib/OnnxWriter/OnnxWriter.h"
#include "lib/Target/Target.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "tools/dlc/Options.h"
#include "tools/dlc/Progress.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Pass.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;

namespace {

/// One compilation: what the command line asked for, and who is told of it.
class Driver {
public:
  Driver(CompileOptions options, std::vector<TargetSpec> given)
      : options(std::move(options)), specs(std::move(given)),
        spec(specs.front()), progress(/*isWanted=*/!verbose) {}

  /// Returns the exit status.
  int run();

private:
  ReadMode getReadMode() const;
  void chooseOpset(ModuleOp module);
  LogicalResult compile(ModuleOp module, ArrayRef<Output> outputs);
  LogicalResult printModule(ModuleOp module, StringRef path);
  void configurePasses(TimingScope &timing);
  void look(Phase phase, ModuleOp module);
  /// With -v, a line with the time since the last one.
  void say(const Twine &what);
  void enterPhase(StringRef phase);

  CompileOptions options;
  std::vector<TargetSpec> specs; ///< several: an object for all of them
  const TargetSpec &spec;        ///< the first one
  Phase from = Phase::Onnx, to = Phase::Obj;
  std::optional<GraphDump> dump;
  bool hasFailed = false; ///< to draw the graph
  std::vector<std::pair<StringRef, Statistics>> statistics;
  std::optional<WorkingMemory> memory;
  ObjectReport object;
  std::string listing; ///< of the nodes, for -g
  Progress progress;
  std::unique_ptr<PassProgress> passes;
  std::string size; // "122 nodes"
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

} // namespace

void Driver::say(const Twine &what) {
  auto now = std::chrono::steady_clock::now();
  double seconds = std::chrono::duration<double>(now - last).count();
  last = now;
  if (verbose)
    progress << llvm::formatv("dlc: {0} ({1:f2} s)\n", what.str(), seconds);
}

void Driver::enterPhase(StringRef phase) {
  passes->setPhase(llvm::formatv("dlc: {0}{1}: {2}", inputPath,
                                 size.empty() ? "" : " (" + size + ")", phase));
}

/// Large constants are left out where a person reads: on a terminal. Elsewhere
/// the text has everything, so that dlc and dlc-opt can read it.
static OpPrintingFlags getPrintingFlags(bool isTerminal) {
  OpPrintingFlags flags;
  if (isTerminal)
    flags.elideLargeElementsAttrs(64).elideLargeResourceString(64);
  if (debugInfo)
    flags.enableDebugInfo();
  return flags;
}

void Driver::configurePasses(TimingScope &timing) {
  options.behindPhase = [&](Phase phase, ModuleOp module) {
    look(phase, module);
  };
  options.progress = [&](StringRef phase) { enterPhase(phase); };
  options.configure = [&](PassManager &pm) {
    pm.enableVerifier(true);
    passes->attach(pm);
    if (llvm::TimePassesIsEnabled)
      pm.enableTiming(timing);
    if (!printAfter.empty())
      pm.enableIRPrinting(
          nullptr,
          [](Pass *pass, Operation *) {
            return pass->getArgument() == printAfter;
          },
          /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/false,
          /*printAfterOnlyOnFailure=*/false, progress,
          getPrintingFlags(llvm::errs().is_displayed()));
  };
}

/// Draws and counts, as --dump-graph and --report want it.
void Driver::look(Phase phase, ModuleOp module) {
  if (report && phase <= Phase::Tensor)
    statistics.emplace_back(getPhaseName(phase), countStatistics(module));
  if (report && phase == Phase::Buffer)
    memory = getWorkingMemory(module);
  if (!dump || dump->phase != phase)
    return;
  OutputFiles files;
  llvm::Error error = files.write(dump->path, [&](llvm::raw_fd_ostream &os) {
    draw::drawModule(os, dump->path, module);
    return llvm::Error::success();
  });
  if (!error)
    error = files.commit();
  if (error) {
    module.emitError() << llvm::toString(std::move(error));
    hasFailed = true;
  }
}

/// Writes the module where -o says, complete or not at all.
LogicalResult Driver::printModule(ModuleOp module, StringRef path) {
  OpPrintingFlags flags =
      getPrintingFlags(path == "-" && llvm::outs().is_displayed());
  OutputFiles files;
  llvm::Error error = files.write(path, [&](llvm::raw_fd_ostream &os) {
    module->print(os, flags);
    return llvm::Error::success();
  });
  if (!error)
    error = files.commit();
  if (error)
    return module.emitError() << llvm::toString(std::move(error));
  return success();
}

/// How the input is read. An ONNX file that no pass changes, in its own
/// operator set, is written as it is.
ReadMode Driver::getReadMode() const {
  if (!isOnnxOutput())
    return to == Phase::Onnx ? ReadMode::Plain : ReadMode::Raised;
  bool isEmpty = llvm::all_of(options.replacedPasses, [](auto &entry) {
    return StringRef(entry.second).trim().empty();
  });
  return !options.replacedPasses.empty() && isEmpty && !options.opset
             ? ReadMode::Plain
             : ReadMode::Newest;
}

/// Whether ONNX Runtime 1.32 has more for a node up to operator set 18: its
/// AveragePool is 10 % faster, and activations of which it has no kernel for
/// the type run as ONNX's functions.
static bool isBetterBefore19(onnx::NodeOp node) {
  if (!node.getDomain().empty() || node.getNumOperands() == 0)
    return false;
  if (node.isOp("AveragePool"))
    return true;
  Type element = getElementTypeOrSelf(node.getOperand(0).getType());
  bool isOther = element.isF64() || isa<IntegerType>(element);
  return isOther &&
         llvm::is_contained({"Elu", "HardSigmoid", "HardSwish", "LeakyRelu",
                             "Mish", "PRelu", "Relu", "Selu", "Softplus",
                             "Softsign", "ThresholdedRelu"},
                            node.getOpType());
}

/// Without --opset a model stays at its own operator set, if passes may write
/// for that.
void Driver::chooseOpset(ModuleOp module) {
  auto imports = module->getAttrOfType<DictionaryAttr>("onnx.opset_imports");
  auto current = imports ? imports.getAs<IntegerAttr>("ai.onnx") : nullptr;
  if (!isOnnxOutput() || options.opset || !current)
    return;
  auto original = module->getAttrOfType<IntegerAttr>("onnx.original_opset");
  options.opset = current.getInt();
  if (!original)
    return;
  int64_t oldest = kOldestWrittenOpset;
  if (original.getInt() <= 18 && module
                                     .walk([](onnx::NodeOp node) {
                                       return isBetterBefore19(node)
                                                  ? WalkResult::interrupt()
                                                  : WalkResult::advance();
                                     })
                                     .wasInterrupted())
    oldest = 18;
  options.opset = std::min(options.opset, std::max(original.getInt(), oldest));
}

LogicalResult Driver::compile(ModuleOp module, ArrayRef<Output> outputs) {
  std::vector<OwningOpRef<ModuleOp>> others;
  if (failed(to == Phase::Obj ? runPhases(module, from, options, specs, others)
                              : runPhases(module, from, to, options, spec)) ||
      hasFailed)
    return failure();
  say("ran the passes");
  if (isOnnxOutput()) {
    WriteOptions write;
    write.opset = options.opset;
    write.externalData = hasExternalData();
    if (failed(writeOnnx(module, outputs.front().path, write)))
      return failure();
    say("wrote " + outputs.front().path);
    return success();
  }
  if (to != Phase::Obj)
    return printModule(module, outputs.front().path);
  enterPhase("machine code");
  WeightTable weights;
  CodegenOptions codegen;
  codegen.optLevel = options.optLevel;
  codegen.debugInfo = debugInfo;
  for (const Output &output : outputs)
    if (output.kind == OutputKind::Listing)
      codegen.listingName = llvm::sys::path::filename(output.path).str();
  codegen.listing = std::move(listing);
  codegen.cubins = options.embed == "cubin";
  std::vector<CodeVariant> variants;
  for (auto [other, target] :
       llvm::zip(others, llvm::ArrayRef(specs).drop_front()))
    variants.push_back({*other, &target});
  // The last one has the weights of all.
  ModuleOp last = others.empty() ? module : *others.back();
  bool isList = isa_and_nonnull<ArrayAttr>(last->getAttr("dlc.weights"));
  if (failed(isList ? collectWeights(last, weights)
                    : readWeightsAttribute(last, weights)) ||
      failed(emitOutputs(module, spec, codegen, weights, outputs, variants,
                         report ? &object : nullptr)))
    return failure();
  for (const Output &output : outputs)
    say("wrote " + output.path);
  return success();
}

/// MLIR's parser says nothing clear of a file that is not text. Its bytecode
/// is welcome.
static LogicalResult checkText(StringRef path) {
  if (path == "-")
    return success();
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file) {
    fail("cannot read '" + path + "': " + file.getError().message());
    return failure();
  }
  StringRef bytes = (*file)->getBuffer();
  if (bytes.empty() ||
      (bytes.contains('\0') && !bytes.starts_with("ML\xefR"))) {
    fail("expected IR as text in '" + path + "', found " +
         (bytes.empty() ? "an empty file" : "a binary file"));
    return failure();
  }
  return success();
}

/// "code of 51,200 bytes for x86-64-v3, 63,488 for znver4, 9,000 of the
/// runtime", and the same of weights.
static void printObject(raw_ostream &os, const ObjectReport &object) {
  if (object.parts.empty())
    return;
  for (bool isCode : {true, false}) {
    os << (isCode ? "code of" : "weights of");
    for (const ObjectReport::Part &part : object.parts) {
      bool isFirst = &part == &object.parts.front();
      bool isRuntime = &part == &object.parts.back();
      if (isRuntime && !isCode)
        break;
      os << llvm::formatv("{0} {1:N0}{2} {3}{4}", isFirst ? "" : ",",
                          isCode ? part.code : part.weights,
                          isFirst  ? " bytes"
                          : isCode ? ""
                                   : " more",
                          isRuntime ? "of the " : "for ", part.name);
    }
    os << "\n";
  }
}

int Driver::run() {
  std::optional<std::pair<Phase, Phase>> phases = getPhases();
  if (!phases)
    return 1;
  std::tie(from, to) = *phases;
  if (!applyPassPipeline(options, from, to) || !getGraphDump(dump, from, to))
    return 1;
  std::optional<std::vector<Output>> outputs = getOutputs(to);
  if (!outputs)
    return 1;
  for (const TargetSpec &one : specs)
    if (llvm::Error error = checkOptions(options, one))
      return fail(llvm::toString(std::move(error)));
  if (llvm::Error error = checkCpus(specs))
    return fail(llvm::toString(std::move(error)));
  if (specs.size() > 1 && to != Phase::Obj)
    return fail("expected one CPU for --to=" + getPhaseName(to) + ", found " +
                Twine(specs.size()));
  if (llvm::Error error = checkPasses(options, spec))
    return fail(llvm::toString(std::move(error)));
  std::vector<std::string> names = listPasses(spec, options, from, to);
  if (!printAfter.empty() && options.addedPasses.empty() &&
      !llvm::is_contained(names, printAfter))
    return fail("no pass from '" + getPhaseName(from) + "' to '" +
                getPhaseName(to) + "' is named '" + printAfter +
                "'; try --print-pipeline");
  passes = std::make_unique<PassProgress>(progress, names.size());

  std::unique_ptr<MLIRContext> context = createContext(options);
  DiagnosticPrinter diagnostics(*context, progress);
  if (remarks.getNumOccurrences())
    if (llvm::Error error = enableRemarks(*context, remarks))
      return fail(llvm::toString(std::move(error)));
  DefaultTimingManager timing;
  TimingScope scope;
  if (llvm::TimePassesIsEnabled) {
    timing.setEnabled(true);
    timing.setOutput(createOutputStrategy(
        DefaultTimingManager::OutputFormat::Text, progress));
    scope = timing.getRootScope();
  }
  configurePasses(scope);

  std::vector<std::string> labels;
  for (const TargetSpec &one : specs)
    labels.push_back(one.label);
  say("compiling for " + spec.triple + " " + llvm::join(labels, ","));
  enterPhase("read");
  OwningOpRef<ModuleOp> module;
  if (isTextInput() && failed(checkText(inputPath)))
    return 1;
  if (failed(readCustomOps(*context, options)))
    return 1;
  if (isTextInput())
    module = parseSourceFile<ModuleOp>(inputPath, context.get());
  else
    module = readModel(inputPath, *context, options, getReadMode());
  if (!module)
    return 1;
  chooseOpset(*module);
  if (to == Phase::Onnx && !isTextInput() && (dump || report)) {
    // What is printed is the file as it is; what is seen has shapes.
    OwningOpRef<ModuleOp> typed =
        readModel(inputPath, *context, options, ReadMode::Typed);
    if (!typed)
      return 1;
    look(Phase::Onnx, *typed);
    options.behindPhase = nullptr;
  }
  if (debugInfo && !isTextInput())
    listing = listNodes(*module);
  int64_t nodes = countNodes(*module);
  if (nodes)
    size = llvm::formatv("{0} node{1}", nodes, nodes == 1 ? "" : "s");
  say("read " + inputPath + (nodes ? ": " + size : ""));
  LogicalResult done = compile(*module, *outputs);
  if (report && succeeded(done)) {
    printReport(progress, statistics);
    if (memory)
      printMemory(progress, *memory);
    printObject(progress, object);
  }
  progress.finish();
  return failed(done);
}

/// Takes the numbers of standard streams that are closed, or the first file
/// that is opened would be one. Writing to the output fails then, messages get
/// lost. To be called first.
static void takeClosedStreams() {
  for (auto [stream, mode] : {std::pair(STDIN_FILENO, O_RDONLY),
                              {STDOUT_FILENO, O_RDONLY},
                              {STDERR_FILENO, O_WRONLY}})
    if (fcntl(stream, F_GETFD) < 0)
      (void)open("/dev/null", mode);
}

/// Has writing fail with an error that can be told where a pipe breaks or a
/// file outgrows its limit; these signals would end the program.
static void ignoreSignalsOfOutput() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

/// Ends the program as an error does: one line, status 1, no file half
/// written.
static void handleFatalError(void *, const char *reason, bool) {
  // Nothing here may need memory.
  const char *pass = getRunningPluginPass();
  for (const char *part : {"dlc: error: ", reason, pass ? " [" : "",
                           pass ? pass : "", pass ? "]\n" : "\n"})
    (void)!write(STDERR_FILENO, part, strlen(part));
  llvm::sys::RunInterruptHandlers();
  _exit(1);
}

static void handleBadAlloc(void *, const char *, bool) {
  handleFatalError(nullptr, "out of memory", false);
}

int main(int argc, char **argv) {
  takeClosedStreams();
  llvm::InitLLVM init(argc, argv, /*InstallPipeSignalExitHandler=*/false);
  llvm::install_fatal_error_handler(handleFatalError);
  llvm::install_bad_alloc_error_handler(handleBadAlloc);
  ignoreSignalsOfOutput();
  // Their flags are those of the Python package.
  if (argc > 1 && argv[1] == verifyCommand.getName())
    return runPython(argv[0], argv[1], {"numpy", "onnx", "onnxruntime"},
                     ArrayRef(argv + 2, argc - 2));
  if (argc > 1 && argv[1] == quantizeCommand.getName())
    return runPython(argv[0], argv[1], {"numpy", "onnx"},
                     ArrayRef(argv + 2, argc - 2));
  if (argc > 1 && argv[1] == profileCommand.getName())
    return runPython(argv[0], argv[1], {"numpy", "onnx", "onnxruntime"},
                     ArrayRef(argv + 2, argc - 2));
  if (!parseCommandLine(argc, argv))
    return 1;
  if (infoCommand)
    return runInfo();
  // Plugins may have targets.
  std::optional<CompileOptions> options = getCompileOptions();
  if (!options)
    return 1;
  if (std::optional<int> status = printHelpOfTarget())
    return *status;
  llvm::Expected<std::vector<TargetSpec>> specs =
      resolveTargets(target, cpu, features, gpus);
  if (!specs)
    return fail(llvm::toString(specs.takeError()));
  if (std::optional<int> status = printAndEnd(specs->front(), *options))
    return *status;
  if (inputPath.empty())
    return fail("no input file; try 'dlc --help'");
  return Driver(std::move(*options), std::move(*specs)).run();
}
