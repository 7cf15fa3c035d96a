// The phases of a compilation.

#include "dlc/Compiler.h"
#include "dlc/Registration.h"
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Codegen/WeightTable.h"
#include "lib/Compiler/PassFilter.h"
#include "lib/Compiler/Plugin.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "lib/Target/Target.h"
#include "passes/Buffer/Passes.h"
#include "passes/Cpu/Passes.h"
#include "passes/Gpu/Passes.h"
#include "passes/Graph/Passes.h"
#include "passes/Import/CustomOps.h"
#include "passes/Import/ExternOps.h"
#include "passes/Import/OpTable.h"
#include "passes/Import/Passes.h"
#include "passes/Simplify/Passes.h"
#include "passes/Tensor/Passes.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/Memory.h"
#include "llvm/Support/Path.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPhaseNames[] = {
    "onnx", "simplify", "import", "graph", "tensor", "buffer", "llvm", "obj"};

std::optional<Phase> dlc::parsePhase(StringRef name) {
  for (auto [i, known] : llvm::enumerate(kPhaseNames))
    if (known == name)
      return Phase(i);
  return std::nullopt;
}

StringRef dlc::getPhaseName(Phase phase) { return kPhaseNames[size_t(phase)]; }

/// Reports that there is no memory where so little is left that dialects could
/// not register, which MLIR does with memory that it does not check.
static void checkMemoryForDialects() {
  constexpr size_t kBytes = 16 << 20; // some 3 MB are used
  std::error_code error;
  llvm::sys::MemoryBlock block = llvm::sys::Memory::allocateMappedMemory(
      kBytes, nullptr, llvm::sys::Memory::MF_READ | llvm::sys::Memory::MF_WRITE,
      error);
  if (error)
    llvm::report_bad_alloc_error("no memory for dialects");
  (void)llvm::sys::Memory::releaseMappedMemory(block);
}

std::unique_ptr<MLIRContext> dlc::createContext(const CompileOptions &options) {
  checkMemoryForDialects();
  DialectRegistry registry;
  registerDialects(registry);
  registerCodegenTranslations(registry);
  registerPlugins(registry, options);
  auto context =
      std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

LogicalResult dlc::readCustomOps(MLIRContext &context,
                                 const CompileOptions &options) {
  for (const std::string &path : options.customOps)
    if (failed(addCustomOps(context, path)))
      return failure();
  for (const std::string &text : options.externOps)
    if (llvm::Error error = addExternOp(context, text))
      return emitError(UnknownLoc::get(&context))
             << llvm::toString(std::move(error));
  return success();
}

/// The object's threads and clock are those of Linux's C libraries.
static bool isThreadTarget(const TargetSpec &target) {
  return llvm::Triple(target.triple).isOSLinux();
}

llvm::Error dlc::checkOptions(const CompileOptions &options,
                              const TargetSpec &target) {
  bool hasGpu = !target.gpus.empty();
  if (options.gpuFallback && !hasGpu)
    return llvm::createStringError(
        "expected a GPU for a fallback to the CPU, found none: --gpu=");
  if (!isConvolutionForm(options.conv))
    return llvm::createStringError("expected --conv=auto, direct, winograd or "
                                   "fft, the last two with sizes "
                                   "as winograd-4x6 and fft-16x32, found '" +
                                   options.conv + "'");
  if (hasGpu && options.conv != "auto" && options.conv != "direct")
    return llvm::createStringError("expected the form auto or direct of "
                                   "convolutions for a GPU, found '" +
                                   options.conv + "'");
  if (!llvm::is_contained({"ptx", "cubin"}, options.embed))
    return llvm::createStringError("expected ptx or cubin to embed, found '" +
                                   options.embed + "'");
  if (options.embed != "ptx" && !hasGpu)
    return llvm::createStringError(
        "expected a GPU to embed cubin for, found none: --gpu=");
  if (options.profile && hasGpu)
    return llvm::createStringError(
        "expected a CPU alone for --profile, found " +
        target.gpus.front().name +
        ": NVIDIA's Nsight Systems measures the kernels of GPUs");
  if (options.profile && !isThreadTarget(target))
    return llvm::createStringError(
        "expected a target with Linux for --profile, found " + target.triple);
  if (!llvm::is_contained({"direct", "strassen"}, options.matmul))
    return llvm::createStringError(
        "expected direct or strassen products, found '" + options.matmul + "'");
  if (!llvm::is_contained({"fp32", "tf32", "bf16", "fp16"}, options.precision))
    return llvm::createStringError(
        "expected the precision fp32, tf32, bf16 or fp16, found '" +
        options.precision + "'");
  if (options.precision != "fp32") {
    if (!hasGpu && options.precision != "bf16")
      return llvm::createStringError(
          "expected the precision fp32 or bf16 for a CPU, found '" +
          options.precision + "': only kernels for a GPU have it, --gpu=");
    if (options.gpuFallback)
      return llvm::createStringError(
          "expected the precision fp32 with a fallback to the CPU, found '" +
          options.precision + "'");
    unsigned needed = options.precision == "fp16" ? 70 : 80;
    for (const GpuArch &gpu : target.gpus)
      if (gpu.capability < needed)
        return llvm::createStringError(
            "expected GPUs from sm_" + Twine(needed) +
            " on for the precision '" + options.precision + "', found " +
            gpu.name);
  }
  return llvm::Error::success();
}

llvm::Error dlc::checkCpus(llvm::ArrayRef<TargetSpec> targets) {
  if (targets.size() > 1 && !targets.front().gpus.empty())
    return llvm::createStringError("expected one CPU beside a GPU, found " +
                                   Twine(targets.size()));
  return llvm::Error::success();
}

/// What the reader asks the import: whether it lowers an operator.
static auto makeHasRow(MLIRContext &context) {
  return [&context](StringRef domain, StringRef op) {
    return findOpRow(context, domain, op) != nullptr;
  };
}

/// `hasRow` must live as long as the result.
static ReadOptions
toReadOptions(const CompileOptions &options, ReadMode mode,
              llvm::function_ref<bool(StringRef, StringRef)> hasRow) {
  ReadOptions read;
  read.shapes = options.shapes;
  read.dims = options.dims;
  read.dimBounds = options.dimBounds;
  read.raise = mode == ReadMode::Raised || mode == ReadMode::Newest;
  read.inferTypes = mode == ReadMode::Typed;
  if (mode == ReadMode::Newest)
    read.keptOpset = options.opset ? options.opset : kOldestWrittenOpset;
  else
    read.hasRow = hasRow;
  return read;
}

OwningOpRef<ModuleOp> dlc::readModel(StringRef path, MLIRContext &context,
                                     const CompileOptions &options,
                                     ReadMode mode) {
  auto hasRow = makeHasRow(context);
  OwningOpRef<ModuleOp> module =
      readOnnx(path, context, toReadOptions(options, mode, hasRow));
  if (module)
    (*module)->setAttr(
        "dlc.name",
        StringAttr::get(&context,
                        options.name.empty()
                            ? toModelName(path == "-"
                                              ? "model"
                                              : llvm::sys::path::stem(path))
                            : toModelName(options.name)));
  return module;
}

OwningOpRef<ModuleOp> dlc::readModel(std::unique_ptr<llvm::MemoryBuffer> buffer,
                                     StringRef name, MLIRContext &context,
                                     const CompileOptions &options,
                                     ReadMode mode) {
  auto hasRow = makeHasRow(context);
  OwningOpRef<ModuleOp> module = readOnnx(std::move(buffer), name, "", context,
                                          toReadOptions(options, mode, hasRow));
  if (module)
    (*module)->setAttr(
        "dlc.name",
        StringAttr::get(&context, toModelName(options.name.empty()
                                                  ? name
                                                  : StringRef(options.name))));
  return module;
}

static bool usesThreads(const CompileOptions &options,
                        const TargetSpec &target) {
  return options.threads != 1 && isThreadTarget(target);
}

void dlc::buildPhase(OpPassManager &pm, Phase phase, const TargetSpec &target,
                     const CompileOptions &options) {
  llvm::Expected<bool> isReplaced = replacePasses(pm, phase, options);
  if (!isReplaced) // checkPasses() says what is wrong with it
    return llvm::consumeError(isReplaced.takeError());
  if (*isReplaced)
    return;
  switch (phase) {
  case Phase::Onnx:
  case Phase::Obj:
    return;
  case Phase::Simplify: {
    SimplifyOptions simplify;
    simplify.opset = options.opset;
    simplify.hasWinograd =
        !options.opset && target.gpus.empty() && options.conv != "direct";
    return buildSimplifyPipeline(pm, simplify);
  }
  case Phase::Import:
    buildImportPipeline(pm);
    return addPluginPasses(pm, PassPoint::AfterImport, options);
  case Phase::Graph:
    addPluginPasses(pm, PassPoint::GraphEarly, options);
    // A GPU has its own kernels.
    buildGraphPipeline(pm, options.matmul == "strassen" && target.gpus.empty()
                               ? target.vectorUnit().bytes / 4
                               : 0);
    return addPluginPasses(pm, PassPoint::GraphLate, options);
  case Phase::Tensor: {
    TensorOptions tensor;
    tensor.addPasses = [&](OpPassManager &pm) {
      addPluginPasses(pm, PassPoint::Tensor, options);
    };
    // Forms by transforms are the CPU's kernels.
    tensor.conv = target.gpus.empty() ? options.conv : "direct";
    tensor.precision = options.precision;
    // The state is memory of the host.
    tensor.expandWeights =
        target.gpus.empty() ? options.expandWeights : "object";
    return buildTensorPipeline(pm, target, tensor);
  }
  case Phase::Buffer: {
    VectorUnit unit = target.vectorUnit();
    bool isCpu = target.gpus.empty();
    return buildBufferPipeline(pm, options.conv, isCpu ? unit.l2Bytes : 0,
                               isCpu ? unit.bytes / 4 : 0);
  }
  case Phase::Llvm:
    if (!target.gpus.empty())
      buildGpuPipeline(pm, options.gpuFallback, target.gpus.front().capability);
    return buildCpuPipeline(pm, target, usesThreads(options, target),
                            options.profile);
  }
}

LogicalResult dlc::runPhases(ModuleOp module, Phase from, Phase to,
                             const CompileOptions &options,
                             const TargetSpec &target) {
  if (options.threads > 1 && !isThreadTarget(target))
    return module.emitError()
           << "expected a target with Linux for " << options.threads
           << " threads, found " << target.triple;
  if (from < Phase::Tensor && to >= Phase::Tensor &&
      options.precision == "bf16" && target.gpus.empty() &&
      !target.vectorUnit().bf16)
    module.emitRemark("contractions stay float32 with --precision=bf16: ")
        << target.label << " has no dot products of bfloat16";
  if (options.threads > 0)
    module->setAttr(
        "dlc.threads",
        Builder(module.getContext()).getI32IntegerAttr(options.threads));
  PassFilter filter(*module.getContext(), options);
  PluginDiagnostics diagnostics(*module.getContext(), options);
  if (options.behindPhase)
    options.behindPhase(from, module);
  for (int i = int(from) + 1; i <= std::min(int(to), int(Phase::Llvm)); ++i) {
    if (options.progress)
      options.progress(getPhaseName(Phase(i)));
    filter.setPhase(Phase(i));
    PassManager pm(module.getContext(), ModuleOp::getOperationName());
    buildPhase(pm, Phase(i), target, options);
    if (llvm::Error error = addPasses(pm, Phase(i), options))
      return module.emitError() << llvm::toString(std::move(error));
    if (options.configure)
      options.configure(pm);
    diagnostics.attach(pm);
    if (failed(pm.run(module))) {
      diagnostics.reportSilence(module);
      return failure();
    }
    if (options.behindPhase)
      options.behindPhase(Phase(i), module);
  }
  if (to >= Phase::Llvm) {
    // The entry that codegen looks for.
    auto name = module->getAttrOfType<StringAttr>("dlc.name");
    auto main = module.lookupSymbol("main");
    if (main && !name)
      return module.emitError("expected the attribute 'dlc.name', a text");
    if (main)
      SymbolTable::setSymbolName(main, (name.getValue() + "_main").str());
    if (auto fallback = module.lookupSymbol("fallback"); fallback && name)
      SymbolTable::setSymbolName(fallback,
                                 (name.getValue() + "_fallback").str());
    if (auto shapes = module.lookupSymbol("shapes"); shapes && name)
      SymbolTable::setSymbolName(shapes, (name.getValue() + "_sizes").str());
    if (auto init = module.lookupSymbol("init"); init && name)
      SymbolTable::setSymbolName(init, (name.getValue() + "_expand").str());
  }
  return success();
}

LogicalResult dlc::runPhases(ModuleOp module, Phase from,
                             const CompileOptions &options,
                             llvm::ArrayRef<TargetSpec> targets,
                             std::vector<OwningOpRef<ModuleOp>> &others) {
  if (targets.size() == 1)
    return runPhases(module, from, Phase::Llvm, options, targets.front());
  if (from > Phase::Graph)
    return module.emitError()
           << "expected one CPU for IR behind the phase '" << getPhaseName(from)
           << "', found " << targets.size();
  CompileOptions first = options;
  first.behindPhase = [&](Phase phase, ModuleOp behind) {
    if (phase == Phase::Graph)
      for (size_t i = 1; i < targets.size(); ++i)
        others.push_back(behind.clone());
    if (options.behindPhase)
      options.behindPhase(phase, behind);
  };
  if (failed(runPhases(module, from, Phase::Llvm, first, targets.front())))
    return failure();
  CompileOptions rest = options;
  rest.behindPhase = nullptr;
  ModuleOp before = module;
  for (auto [other, target] : llvm::zip(others, targets.drop_front())) {
    if (Attribute weights = before->getAttr("dlc.weights"))
      (*other)->setAttr("dlc.weights", weights);
    if (failed(runPhases(*other, Phase::Graph, Phase::Llvm, rest, target)))
      return failure();
    before = *other;
  }
  return success();
}

LogicalResult dlc::collectWeights(ModuleOp module, WeightTable &table) {
  auto weights = module->getAttrOfType<ArrayAttr>("dlc.weights");
  if (!weights)
    return success();
  for (Attribute value : weights) {
    std::vector<char> storage;
    ArrayRef<char> data = getElementData(cast<ElementsAttr>(value), storage);
    if (storage.empty())
      table.add(data);
    else
      table.add(std::move(storage));
  }
  return success();
}
