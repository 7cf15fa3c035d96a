// The flags of dlc and what they become.

#include "tools/dlc/Options.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;
namespace cl = llvm::cl;

cl::SubCommand tool::infoCommand("info", "list what is in a model");
cl::SubCommand
    tool::verifyCommand("verify",
                        "compare a model's values with ONNX Runtime's");
cl::SubCommand tool::quantizeCommand("quantize",
                                     "write a model of 8-bit integers");
cl::SubCommand tool::profileCommand("profile",
                                    "tell how long each node of a model takes");

static cl::OptionCategory generalCategory("General options");
static cl::OptionCategory modelCategory("Model options");
static cl::OptionCategory targetCategory("Target options");
static cl::OptionCategory developerCategory("Options for compiler developers");
static const cl::sub inPlain(cl::SubCommand::getTopLevel());
static const cl::sub inInfo(infoCommand);

std::string tool::inputPath;
static cl::list<std::string> inputPaths(cl::Positional,
                                        cl::desc("<model.onnx>"),
                                        cl::cat(generalCategory), inPlain,
                                        inInfo);
cl::opt<std::string>
    tool::outputPath("o",
                     cl::desc("Output file; the header is written beside it"),
                     cl::value_desc("file"), cl::cat(generalCategory));
cl::list<std::string> tool::emitted(
    "emit", cl::CommaSeparated,
    cl::desc("What to write: obj, header, shared, asm, llvm-ir, ptx, "
             "emulation (default: obj,header); or onnx, the model "
             "itself, simplified"),
    cl::value_desc("kind,..."), cl::cat(generalCategory));
static cl::opt<std::string> opset(
    "opset",
    cl::desc("The operator set of --emit=onnx (default: the model's own, or "
             "21 if that is older)"),
    cl::value_desc("n"), cl::cat(generalCategory));
cl::opt<bool> tool::externalDataFlag(
    "external-data",
    cl::desc("With --emit=onnx: the tensors in a file of their own, as they "
             "are beyond 2 GB"),
    cl::cat(generalCategory));
static cl::opt<std::string> optLevel("O", cl::Prefix, cl::init("3"),
                                     cl::desc("Optimisation level, 0 to 3"),
                                     cl::value_desc("level"),
                                     cl::cat(generalCategory));
static cl::opt<std::string>
    convForm("conv", cl::init("auto"),
             cl::desc("Form of convolutions: auto (default), direct, winograd, "
                      "fft, winograd-4x4, fft-16x16"),
             cl::value_desc("form"), cl::cat(generalCategory));
static cl::opt<std::string> productForm(
    "matmul", cl::init("direct"),
    cl::desc("Form of products with large constant matrices: direct (default), "
             "strassen"),
    cl::value_desc("form"), cl::cat(generalCategory));
static cl::opt<std::string> precision(
    "precision", cl::init("fp32"),
    cl::desc("What contractions of float32 round their operands to: fp32 "
             "(default, exact), tf32, bf16, fp16"),
    cl::value_desc("type"), cl::cat(generalCategory));
/// Registered when LLVM's own option of that name is gone.
static cl::opt<std::string> *threads;
static void registerThreads() {
  static cl::opt<std::string> option(
      "threads",
      cl::desc("Threads of a run that does not say how many; 1: no thread code "
               "(default: as many as the process has CPUs)"),
      cl::value_desc("n"), cl::cat(generalCategory));
  threads = &option;
}
static cl::opt<std::string> expandWeights(
    "expand-weights", cl::init("init"),
    cl::desc("Where constants much larger than their sources are made: init "
             "(default), before the first run, or object, at compile time"),
    cl::value_desc("place"), cl::cat(generalCategory));
cl::opt<bool> tool::verbose("v", cl::desc("Say what is done"),
                            cl::cat(generalCategory));
cl::opt<bool> tool::debugInfo(
    "g",
    cl::desc("Debug information: the nodes that code, or with --to IR, is of"),
    cl::cat(generalCategory));
static cl::opt<bool> profile(
    "profile",
    cl::desc("Code that measures how long each node takes, for runs whose "
             "options or DLC_PROFILE ask for it"),
    cl::cat(generalCategory));
cl::opt<bool> tool::asJson("json", cl::desc("Print JSON instead of a table"),
                           cl::cat(generalCategory), inInfo);
cl::opt<std::string> tool::modelName(
    "name",
    cl::desc("Prefix of the object's symbols (default: the model's file name)"),
    cl::value_desc("name"), cl::cat(modelCategory));
cl::list<std::string>
    tool::shapes("shape", cl::desc("Shape of an input, ? for a dynamic size"),
                 cl::value_desc("input:1x3x224x224"), cl::cat(modelCategory),
                 inPlain, inInfo);
cl::list<std::string>
    tool::dims("dim", cl::desc("Size of a named dimension, or its bounds"),
               cl::value_desc("name=size"), cl::cat(modelCategory), inPlain,
               inInfo);
cl::opt<std::string>
    tool::target("target",
                 cl::desc("CPU to compile for: a name of --print-targets or an "
                          "LLVM triple (default: this machine)"),
                 cl::value_desc("target"), cl::cat(targetCategory));
cl::opt<std::string>
    tool::cpu("mcpu",
              cl::desc("Processor, as clang's -mcpu; with commas: an object "
                       "for all of them"),
              cl::value_desc("cpu"), cl::cat(targetCategory));
cl::opt<std::string>
    tool::features("mattr",
                   cl::desc("Features to add or take away: +avx2,-fma"),
                   cl::value_desc("a1,+a2,-a3,..."), cl::cat(targetCategory));
cl::opt<std::string>
    tool::gpus("gpu",
               cl::desc("NVIDIA GPUs to compile for as well; -target=nvptx or "
                        "-target=sm_XX is this machine and a GPU"),
               cl::value_desc("sm_XX,..."), cl::cat(targetCategory));
static cl::opt<bool>
    gpuFallback("gpu-fallback",
                cl::desc("Keep the model for the CPU in the object, too, for "
                         "machines without a GPU"),
                cl::cat(targetCategory));
static cl::opt<std::string>
    embed("embed", cl::init("ptx"),
          cl::desc("Code for GPUs in the object: ptx (default), or cubin, "
                   "machine code that NVIDIA's ptxas makes, and PTX of the "
                   "lowest architecture"),
          cl::value_desc("kind"), cl::cat(targetCategory));
cl::opt<bool> tool::printTargetsFlag("print-targets",
                                     cl::desc("List the targets"),
                                     cl::cat(targetCategory));
cl::opt<bool>
    tool::printOpsFlag("print-supported-ops",
                       cl::desc("List the ONNX operators that can be compiled"),
                       cl::cat(modelCategory));
static cl::list<std::string> pluginPaths(
    "load-plugin", cl::desc("Load a plugin, a shared library; may be repeated"),
    cl::value_desc("file"), cl::cat(generalCategory), inPlain, inInfo);
static cl::list<std::string> pluginSettings(
    "plugin-opt", cl::desc("Set an option of a plugin; may be repeated"),
    cl::value_desc("name=value"), cl::cat(generalCategory), inPlain, inInfo);
cl::opt<bool> tool::printPluginsFlag(
    "print-plugins", cl::desc("List what the loaded plugins have to offer"),
    cl::cat(generalCategory));
static cl::list<std::string> customOps(
    "custom-ops",
    cl::desc("Operators of one's own, as MLIR functions; may be repeated"),
    cl::value_desc("ops.mlir"), cl::cat(modelCategory), inPlain, inInfo);
static cl::list<std::string> externOps(
    "extern-op",
    cl::desc("A C function for an operator, and the shapes of its inputs and "
             "results; may be repeated"),
    cl::value_desc("domain::Name=symbol[:[n,c]->[n,c]]"),
    cl::cat(modelCategory), inPlain, inInfo);
cl::opt<std::string>
    tool::toPhase("to",
                  cl::desc("Stop after a phase and print the IR: onnx, "
                           "simplify, import, graph, tensor, buffer, llvm"),
                  cl::value_desc("phase"), cl::cat(developerCategory));
cl::opt<std::string>
    tool::fromPhase("from",
                    cl::desc("The input is IR as --to=phase printed it"),
                    cl::value_desc("phase"), cl::cat(developerCategory));
cl::opt<std::string> tool::remarks(
    "remarks", cl::ValueOptional,
    cl::desc("Print what the passes did and missed; regex: only those in whose "
             "name it is found"),
    cl::value_desc("regex"), cl::cat(developerCategory));
cl::opt<bool>
    tool::report("report",
                 cl::desc("Print operations, multiply-adds and memory traffic "
                          "before and behind the passes"),
                 cl::cat(generalCategory));
cl::opt<std::string> tool::dumpGraph(
    "dump-graph",
    cl::desc("Draw the model behind a phase (onnx, simplify, import, "
             "graph (default), tensor), as .svg or .dot"),
    cl::value_desc("[phase:]file"), cl::cat(generalCategory));
static cl::list<std::string>
    disabledPasses("disable-pass",
                   cl::desc("Leave out an optional pass; may be repeated"),
                   cl::value_desc("pass"), cl::cat(developerCategory));
static cl::list<std::string> addedPasses(
    "add-passes",
    cl::desc("Run passes, in MLIR's notation, behind those of a phase"),
    cl::value_desc("phase:pipeline"), cl::cat(developerCategory));
cl::list<std::string> tool::passPipelines(
    "pass-pipeline",
    cl::desc("Run these passes, in MLIR's notation, instead of those of a "
             "phase or of all"),
    cl::value_desc("[phase:]pipeline"), cl::cat(developerCategory));
cl::opt<bool>
    tool::printPipelineFlag("print-pipeline",
                            cl::desc("Print the passes of each phase"),
                            cl::cat(developerCategory));
cl::opt<std::string>
    tool::printAfter("print-ir-after",
                     cl::desc("Print the IR after the pass of that name"),
                     cl::value_desc("pass"), cl::cat(developerCategory));

int tool::fail(const Twine &message) {
  llvm::WithColor::error(llvm::errs(), "dlc") << message << "\n";
  return 1;
}

void tool::warn(const Twine &message) {
  llvm::WithColor::warning(llvm::errs(), "dlc") << message << "\n";
}

int tool::finishOutput() {
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return 0;
  std::error_code code = llvm::outs().error();
  llvm::outs().clear_error();
  return fail("cannot write the output: " + code.message());
}

static void printVersion(llvm::raw_ostream &os) {
  os << "dlc version " DLC_VERSION " (LLVM " << LLVM_VERSION_STRING
     << ", ONNX opset " << getNewestOpset("") << ")\n";
}

/// LLVM's messages in the form of dlc's: "dlc: Unknown command line argument
/// '--foo'.  Try: 'dlc --help'", and in the next line "dlc: Did you mean ...?".
static std::string describe(StringRef messages, StringRef program) {
  std::string text;
  SmallVector<StringRef> lines;
  messages.split(lines, '\n', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef line : lines) {
    line.consume_front((program + ": ").str());
    // A suggestion says more than that there is help.
    if (lines.size() > 1)
      line = line.split(".  Try").first;
    if (!text.empty())
      text += StringRef(text).ends_with("?") ? " " : "; ";
    size_t begin = text.size();
    text += line.rtrim();
    text[begin] = llvm::toLower(text[begin]);
  }
  return text;
}

/// LLVM takes the flags of the command itself behind a sub-command, too.
static bool checkInfoOptions() {
  auto &known = cl::getRegisteredOptions(infoCommand);
  for (auto &entry : cl::getRegisteredOptions())
    if (entry.second->getNumOccurrences() && !known.count(entry.first)) {
      fail("dlc info has no option '-" + entry.first +
           "'; try 'dlc info --help'");
      return false;
    }
  return true;
}

bool tool::parseCommandLine(int argc, char **argv) {
  cl::SetVersionPrinter(printVersion);
  // LLVM's own option, which times the passes of MLIR as well.
  cl::Option *timePasses = cl::getRegisteredOptions()["time-passes"];
  timePasses->addCategory(developerCategory);
  timePasses->setDescription("Report the time of each pass");
  timePasses->setHiddenFlag(cl::NotHidden);
  const cl::OptionCategory *shown[] = {&generalCategory, &modelCategory,
                                       &targetCategory, &developerCategory};
  // LLVM's own flags would be taken in silence.
  std::vector<cl::Option *> foreign;
  for (auto &entry : cl::getRegisteredOptions()) {
    cl::Option *option = entry.second;
    bool isOurs = llvm::any_of(option->Categories, [&](auto *category) {
      return llvm::is_contained(shown, category) ||
             category->getName() == "Generic Options" ||
             category->getName() == "Color Options";
    });
    if (!isOurs)
      foreign.push_back(option);
  }
  for (cl::Option *option : foreign)
    option->removeArgument();
  registerThreads();
  std::string messages;
  llvm::raw_string_ostream os(messages);
  if (!cl::ParseCommandLineOptions(
          argc, argv, "dlc: compile an ONNX model to an object file\n", &os)) {
    // LLVM prints what is wrong with a value itself.
    if (!messages.empty())
      fail(describe(messages, llvm::sys::path::filename(argv[0])));
    return false;
  }
  if (inputPaths.size() > 1) {
    fail("expected one model, found '" + inputPaths[0] + "' and '" +
         inputPaths[1] + "'");
    return false;
  }
  if (!inputPaths.empty())
    inputPath = inputPaths[0];
  return !infoCommand || checkInfoOptions();
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

/// The number that an option was given, or 0. Nothing, after an error, unless
/// it is one of 1 to `most`: LLVM's own message would not say so.
static std::optional<unsigned> getNumber(const cl::opt<std::string> &option,
                                         unsigned most) {
  unsigned number = 0;
  if (!option.getNumOccurrences())
    return number;
  StringRef text = option.getValue();
  if (text.getAsInteger(10, number) || number < 1 || number > most) {
    fail("expected --" + option.ArgStr + "=1 to " + Twine(most) + ", found '" +
         text + "'");
    return std::nullopt;
  }
  return number;
}

std::optional<CompileOptions> tool::getCompileOptions() {
  CompileOptions options;
  auto wrong = [](const Twine &message) {
    fail(message);
    return std::nullopt;
  };
  options.target = target;
  options.cpu = cpu;
  options.features = features;
  options.gpus = gpus;
  options.gpuFallback = gpuFallback;
  options.embed = embed;
  options.profile = profile;
  if (gpus.getNumOccurrences() && gpus.empty())
    return wrong("expected an architecture for --gpu, found ''");
  options.name = modelName;
  if (StringRef(optLevel).getAsInteger(10, options.optLevel) ||
      options.optLevel > 3)
    return wrong("expected -O0 to -O3, found -O" + optLevel);
  std::optional<unsigned> given = getNumber(opset, getNewestOpset("")),
                          count = getNumber(*threads, kMaxThreads);
  if (!given || !count)
    return std::nullopt;
  options.opset = *given;
  options.threads = *count;
  for (const cl::Option *given : std::initializer_list<const cl::Option *>{
           std::addressof(opset), std::addressof(externalDataFlag)})
    if (given->getNumOccurrences() && !isOnnxOutput())
      return wrong("expected --emit=onnx for --" + given->ArgStr);
  options.conv = convForm;
  options.matmul = productForm;
  if (!llvm::is_contained({"direct", "strassen"}, productForm.getValue()))
    return wrong("expected --matmul=direct or strassen, found '" + productForm +
                 "'");
  options.precision = precision;
  options.expandWeights = expandWeights;
  if (!llvm::is_contained({"init", "object"}, expandWeights.getValue()))
    return wrong("expected --expand-weights=init or object, found '" +
                 expandWeights + "'");
  if (target.getNumOccurrences() && target.empty())
    return wrong("expected a target for -target, found ''");
  for (const std::string &shape : shapes) {
    std::string input = StringRef(shape).rsplit(':').first.str();
    if (options.shapes.contains(input))
      return wrong("expected one --shape for '" + input + "', found two");
    if (!parseShape(shape, options.shapes))
      return wrong("expected --shape=input:1x3x?x?, found '" + shape + "'");
  }
  for (const std::string &dim : dims) {
    auto [name, size] = StringRef(dim).rsplit('=');
    auto [low, high] = size.split("..");
    bool isRange = size.contains("..");
    int64_t first, last = 0;
    if (name.empty() || low.getAsInteger(10, first) || first < 0 ||
        (isRange && (high.getAsInteger(10, last) || last < first)))
      return wrong("expected --dim=name=size, or --dim=name=least..largest, "
                   "found '" +
                   dim + "'");
    if (options.dims.contains(name) || options.dimBounds.contains(name))
      return wrong("expected one --dim for '" + name + "', found two");
    if (isRange)
      options.dimBounds[name] = {first, last};
    else
      options.dims[name] = first;
  }
  options.disabledPasses.assign(disabledPasses.begin(), disabledPasses.end());
  for (const std::string &added : addedPasses) {
    auto [phase, pipeline] = StringRef(added).split(':');
    std::optional<Phase> parsed = getPhase(phase);
    if (!parsed)
      return std::nullopt;
    options.addedPasses.emplace_back(*parsed, pipeline.str());
  }
  options.customOps.assign(customOps.begin(), customOps.end());
  options.externOps.assign(externOps.begin(), externOps.end());
  std::vector<std::string> paths(pluginPaths.begin(), pluginPaths.end());
  std::vector<std::string> settings(pluginSettings.begin(),
                                    pluginSettings.end());
  if (llvm::Error error = loadPlugins(options, paths, settings))
    return wrong(llvm::toString(std::move(error)));
  return options;
}
