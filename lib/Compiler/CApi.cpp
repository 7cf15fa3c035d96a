// The C interface of the compiler: include/dlc/dlc-c.h.

#include "dlc/Compiler.h"
#include "dlc/dlc-c.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/Jit.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/Compiler/PassFilter.h"
#include "lib/Target/Target.h"
#include "mlir/IR/Diagnostics.h"
#include "passes/Import/GraphImporter.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/FileSystem.h"
#include <cstdlib>

using namespace mlir;
using namespace dlc;

struct dlc_compilation {
  int status = DLC_COMPILE_FAILED;
  std::vector<std::pair<int, std::string>> diagnostics;
  std::vector<std::string> passes;
  std::unique_ptr<JitModel> model;
  uint64_t weightBytes = 0; // of the model

  /// Ends with an error that has no place in the model.
  dlc_compilation *fail(int code, const Twine &message) {
    status = code;
    diagnostics.emplace_back(DLC_SEVERITY_ERROR,
                             ("dlc: error: " + message).str());
    return this;
  }
};

static int toSeverity(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Note:
    return DLC_SEVERITY_NOTE;
  case DiagnosticSeverity::Warning:
    return DLC_SEVERITY_WARNING;
  case DiagnosticSeverity::Error:
    return DLC_SEVERITY_ERROR;
  case DiagnosticSeverity::Remark:
    return DLC_SEVERITY_REMARK;
  }
  llvm_unreachable("unknown severity");
}

/// The sizes of `list` by name; a message when one is wrong.
static std::optional<std::string>
readSizes(const dlc_named_sizes *list, size_t count, StringRef what,
          llvm::function_ref<void(StringRef, ArrayRef<int64_t>)> add) {
  for (const dlc_named_sizes &entry : ArrayRef(list, count)) {
    if (!entry.name || entry.rank < 0 || (entry.rank && !entry.sizes))
      return ("expected a name and sizes for each " + what).str();
    ArrayRef<int64_t> sizes(entry.sizes, entry.rank);
    for (int64_t size : sizes)
      if (size < -1)
        return ("expected sizes of at least 0, or -1, for '" +
                Twine(entry.name) + "', found " + Twine(size))
            .str();
    add(entry.name, sizes);
  }
  return std::nullopt;
}

static StringRef orEmpty(const char *text) { return text ? text : ""; }

/// Splits "graph:cse"; a message when it has another form.
static std::optional<std::string>
readAddedPasses(const dlc_compile_options &given, CompileOptions &options) {
  for (StringRef text : ArrayRef(given.added_passes, given.num_added_passes)) {
    auto [name, pipeline] = text.split(':');
    std::optional<Phase> phase = parsePhase(name);
    if (!phase)
      return ("expected added passes of the form 'graph:cse', found '" + text +
              "'")
          .str();
    options.addedPasses.emplace_back(*phase, pipeline.str());
  }
  return std::nullopt;
}

static std::vector<std::string> toStrings(const char *const *list,
                                          size_t count) {
  std::vector<std::string> texts;
  for (const char *text : ArrayRef(list, count))
    texts.push_back(orEmpty(text).str());
  return texts;
}

/// Translates the C options; a message when they are wrong.
static std::optional<std::string> readOptions(const dlc_compile_options &given,
                                              CompileOptions &options,
                                              std::vector<Output> &outputs) {
  options.target = orEmpty(given.target);
  options.cpu = orEmpty(given.cpu);
  options.features = orEmpty(given.features);
  options.name = orEmpty(given.name);
  options.gpus = orEmpty(given.gpus);
  options.gpuFallback = given.gpu_fallback;
  if (given.opt_level < 0 || given.opt_level > 3)
    return ("expected an optimisation level of 0 to 3, found " +
            Twine(given.opt_level))
        .str();
  options.optLevel = given.opt_level;
  if (given.threads < 0 || given.threads > int32_t(kMaxThreads))
    return ("expected 0 to " + Twine(kMaxThreads) + " threads, found " +
            Twine(given.threads))
        .str();
  options.threads = given.threads;
  if (given.conv)
    options.conv = given.conv;
  options.profile = given.profile;
  if (given.embed)
    options.embed = given.embed;
  if (given.matmul)
    options.matmul = given.matmul;
  if (given.precision)
    options.precision = given.precision;
  if (given.expand_weights)
    options.expandWeights = given.expand_weights;
  if (auto wrong = readSizes(given.shapes, given.num_shapes, "shape",
                             [&](StringRef name, ArrayRef<int64_t> sizes) {
                               options.shapes[name] =
                                   SmallVector<int64_t>(sizes);
                             }))
    return wrong;
  bool areSizes = true;
  if (auto wrong = readSizes(given.dims, given.num_dims, "dimension",
                             [&](StringRef name, ArrayRef<int64_t> sizes) {
                               bool isOne = sizes.size() == 1 && sizes[0] >= 0;
                               bool isRange = sizes.size() == 2 &&
                                              sizes[0] >= 0 &&
                                              sizes[0] <= sizes[1];
                               areSizes &= isOne || isRange;
                               if (isOne)
                                 options.dims[name] = sizes[0];
                               if (isRange)
                                 options.dimBounds[name] = {sizes[0], sizes[1]};
                             }))
    return wrong;
  if (!areSizes)
    return "expected one size of at least 0 for each dimension, or the least "
           "and the largest one";
  for (StringRef pass :
       ArrayRef(given.disabled_passes, given.num_disabled_passes))
    options.disabledPasses.push_back(pass.str());
  if (auto wrong = readAddedPasses(given, options))
    return wrong;
  options.customOps = toStrings(given.custom_ops, given.num_custom_ops);
  options.externOps = toStrings(given.extern_ops, given.num_extern_ops);
  if (llvm::Error error = loadPlugins(
          options, toStrings(given.plugins, given.num_plugins),
          toStrings(given.plugin_options, given.num_plugin_options)))
    return llvm::toString(std::move(error));
  if (given.pass_limit)
    options.passLimit = std::max<int64_t>(0, *given.pass_limit);
  for (const dlc_output_file &file :
       ArrayRef(given.outputs, given.num_outputs)) {
    if (!file.path || file.kind < DLC_OUTPUT_OBJECT ||
        file.kind > DLC_OUTPUT_EMULATION)
      return "expected a path and a known kind for each output";
    static constexpr OutputKind kinds[] = {
        OutputKind::Object,   OutputKind::Header, OutputKind::Assembly,
        OutputKind::LLVMIR,   OutputKind::Shared, OutputKind::Ptx,
        OutputKind::Emulation};
    outputs.push_back({kinds[file.kind], file.path});
  }
  return std::nullopt;
}

/// Runs all phases on what `read` reads.
static dlc_compilation *
compile(const dlc_compile_options *given, StringRef input,
        llvm::function_ref<OwningOpRef<ModuleOp>(MLIRContext &,
                                                 const CompileOptions &)>
            read) {
  auto *result = new dlc_compilation;
  CompileOptions options;
  std::vector<Output> outputs;
  if (given) {
    if (given->size != sizeof(dlc_compile_options))
      return result->fail(DLC_COMPILE_OPTIONS,
                          "dlc_compile_options.size is no known size");
    if (auto wrong = readOptions(*given, options, outputs))
      return result->fail(DLC_COMPILE_OPTIONS, *wrong);
  }
  llvm::Expected<std::vector<TargetSpec>> specs = resolveTargets(
      options.target, options.cpu, options.features, options.gpus);
  if (!specs)
    return result->fail(DLC_COMPILE_OPTIONS, llvm::toString(specs.takeError()));
  const TargetSpec *spec = &specs->front();
  for (const TargetSpec &one : *specs)
    if (llvm::Error error = checkOptions(options, one))
      return result->fail(DLC_COMPILE_OPTIONS,
                          llvm::toString(std::move(error)));
  if (llvm::Error error = checkCpus(*specs))
    return result->fail(DLC_COMPILE_OPTIONS, llvm::toString(std::move(error)));
  if (llvm::Error error = checkPasses(options, *spec))
    return result->fail(DLC_COMPILE_OPTIONS, llvm::toString(std::move(error)));
  if (given && (given->pass_limit || given->num_disabled_passes ||
                given->num_added_passes))
    options.optionalPass = [&](Phase phase, StringRef name) {
      result->passes.push_back((getPhaseName(phase) + ":" + name).str());
    };
  if (llvm::Error error = checkOutputs(outputs, input))
    return result->fail(DLC_COMPILE_OPTIONS, llvm::toString(std::move(error)));
  if (outputs.empty() && specs->size() > 1)
    return result->fail(DLC_COMPILE_OPTIONS,
                        "expected one CPU for code in this process, found " +
                            Twine(specs->size()));
  if (outputs.empty() && !spec->isNative())
    return result->fail(DLC_COMPILE_OPTIONS,
                        "this machine cannot run code for " + spec->triple +
                            " " + spec->cpu + "; write it to a file");

  std::unique_ptr<MLIRContext> context = createContext(options);
  context->printOpOnDiagnostic(false);
  bool onlyUnsupported = true;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    std::string text;
    llvm::raw_string_ostream os(text);
    printDiagnostic(os, diagnostic);
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
      onlyUnsupported &= StringRef(text).contains(kNotSupported);
    result->diagnostics.emplace_back(toSeverity(diagnostic.getSeverity()),
                                     StringRef(text).rtrim().str());
  });

  if (given && given->remarks)
    if (llvm::Error error = enableRemarks(*context, given->remarks))
      return result->fail(DLC_COMPILE_OPTIONS,
                          llvm::toString(std::move(error)));

  OwningOpRef<ModuleOp> module;
  if (succeeded(readCustomOps(*context, options)))
    module = read(*context, options);
  WeightTable weights;
  CodegenOptions codegen;
  codegen.optLevel = options.optLevel;
  codegen.cubins = options.embed == "cubin";
  LogicalResult done = failure();
  std::vector<OwningOpRef<ModuleOp>> others;
  if (module &&
      succeeded(runPhases(*module, Phase::Onnx, options, *specs, others)) &&
      succeeded(
          collectWeights(others.empty() ? *module : *others.back(), weights))) {
    if (!outputs.empty()) {
      std::vector<CodeVariant> variants;
      for (auto [other, target] :
           llvm::zip(others, llvm::ArrayRef(*specs).drop_front()))
        variants.push_back({*other, &target});
      done = emitOutputs(*module, *spec, codegen, weights, outputs, variants);
    } else {
      codegen.takesWeights = true;
      result->weightBytes = weights.size();
      FailureOr<std::unique_ptr<JitModel>> model =
          jitCompile(*module, *spec, codegen, weights);
      done = LogicalResult(model);
      if (succeeded(model))
        result->model = std::move(*model);
    }
  }
  if (succeeded(done)) {
    result->status = DLC_COMPILED;
    return result;
  }
  if (llvm::none_of(result->diagnostics, [](auto &entry) {
        return entry.first == DLC_SEVERITY_ERROR;
      }))
    return result->fail(DLC_COMPILE_FAILED,
                        "the compilation failed without a message");
  result->status =
      onlyUnsupported ? DLC_COMPILE_UNSUPPORTED : DLC_COMPILE_FAILED;
  return result;
}

namespace {
/// What was freed before a large compilation, and its own heap behind it, goes
/// back to the system: who compiles in a process may run for long in it.
struct LeanHeap {
  explicit LeanHeap(uint64_t inputBytes) {
    if (inputBytes >= kLarge)
      returnFreedMemory();
  }
  dlc_compilation *end(dlc_compilation *compilation) {
    if (compilation->weightBytes >= kLarge)
      returnFreedMemory();
    return compilation;
  }
  static constexpr uint64_t kLarge = 16 << 20;
};
} // namespace

dlc_compilation *dlc_compile_file(const char *path,
                                  const dlc_compile_options *options) {
  if (!path)
    return (new dlc_compilation)->fail(DLC_COMPILE_OPTIONS, "the path is NULL");
  uint64_t size = 0;
  (void)llvm::sys::fs::file_size(path, size);
  return LeanHeap(size).end(compile(
      options, path, [&](MLIRContext &context, const CompileOptions &read) {
        return readModel(path, context, read, ReadMode::Raised);
      }));
}

dlc_compilation *dlc_compile_bytes(const void *bytes, size_t size,
                                   const dlc_compile_options *options) {
  if (!bytes && size)
    return (new dlc_compilation)
        ->fail(DLC_COMPILE_OPTIONS, "the model's bytes are NULL");
  return LeanHeap(size).end(compile(
      options, /*input=*/"",
      [&](MLIRContext &context, const CompileOptions &read) {
        return readModel(llvm::MemoryBuffer::getMemBufferCopy(
                             StringRef(static_cast<const char *>(bytes), size)),
                         read.name.empty() ? "model" : StringRef(read.name),
                         context, read, ReadMode::Raised);
      }));
}

void dlc_compilation_free(dlc_compilation *compilation) { delete compilation; }

int dlc_compilation_status(const dlc_compilation *compilation) {
  return compilation->status;
}

const dlc_model *dlc_compilation_model(const dlc_compilation *compilation) {
  return compilation->model ? compilation->model->descriptor() : nullptr;
}

size_t dlc_compilation_num_diagnostics(const dlc_compilation *compilation) {
  return compilation->diagnostics.size();
}

const char *dlc_compilation_diagnostic(const dlc_compilation *compilation,
                                       size_t index) {
  return compilation->diagnostics[index].second.c_str();
}

int dlc_compilation_severity(const dlc_compilation *compilation, size_t index) {
  return compilation->diagnostics[index].first;
}

size_t dlc_compilation_num_passes(const dlc_compilation *compilation) {
  return compilation->passes.size();
}

const char *dlc_compilation_pass(const dlc_compilation *compilation,
                                 size_t index) {
  return compilation->passes[index].c_str();
}

void dlc_free(void *data) { std::free(data); }

const char *dlc_version() { return DLC_VERSION; }
