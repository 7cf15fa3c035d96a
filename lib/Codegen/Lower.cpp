// Translates, and links the runtime.
#include "lib/Codegen/Lower.h"
#include "lib/Codegen/Assemble.h"
#include "lib/Codegen/DebugInfo.h"
#include "lib/Codegen/Descriptor.h"
#include "lib/Codegen/Optimise.h"
#include "lib/Runtime/Bitcode.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace mlir;
using namespace dlc;
using llvm::Expected;
using llvm::Function;
using llvm::StringRef;

void dlc::registerCodegenTranslations(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

/// Checks that `name` is a function of a run.
static LogicalResult checkFunction(ModuleOp op, StringRef name) {
  auto function = op.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function || function.isExternal())
    return op.emitError() << "expected a definition of '" << name << "'";
  auto type = function.getFunctionType();
  if (type.getNumParams() != 1 ||
      !isa<LLVM::LLVMPointerType>(type.getParamType(0)) ||
      !type.getReturnType().isInteger(32))
    return function.emitError()
           << "'" << name << "' expected the type (!llvm.ptr) -> i32, found "
           << type;
  return success();
}

/// Checks the model's functions.
static LogicalResult checkModule(ModuleOp op, const ModelInterface &model) {
  return success(succeeded(checkFunction(op, model.symbol("main"))) &&
                 (!model.stateSize ||
                  succeeded(checkFunction(op, model.symbol("expand")))));
}

/// Checks NAME_weights against what the table will hold.
static LogicalResult checkWeights(ModuleOp op, const ModelInterface &model,
                                  const WeightTable &weights,
                                  const TargetSpec &spec) {
  if (model.weightsSize != weights.size())
    return op.emitError() << "'dlc.weights_size' is " << model.weightsSize
                          << ", but the weights have " << weights.size()
                          << " bytes";
  if (weights.size() >> spec.arch->maxImageLog2)
    return op.emitError() << "the weights have " << weights.size()
                          << " bytes; an object for " << spec.arch->name
                          << " can hold less than 2^"
                          << spec.arch->maxImageLog2;
  return success();
}

/// Gives the model's own functions the CPU to make code for. The runtime keeps
/// the baseline, so that its check of the CPU runs everywhere.
static void setTargetAttributes(llvm::Module &module, const TargetSpec &spec) {
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", spec.cpu);
    if (!spec.features.empty())
      function.addFnAttr("target-features", spec.features);
    if (spec.hasFeature("avx512f"))
      function.addFnAttr("prefer-vector-width", "512");
    function.setDoesNotThrow();
  }
}

Expected<std::unique_ptr<llvm::Module>>
dlc::readRuntime(StringRef bytes, StringRef name, llvm::LLVMContext &context,
                 bool bodies) {
  llvm::MemoryBufferRef buffer(bytes, name);
  Expected<std::unique_ptr<llvm::Module>> module =
      bodies ? llvm::parseBitcodeFile(buffer, context)
             : llvm::getLazyBitcodeModule(buffer, context,
                                          /*ShouldLazyLoadMetadata=*/true);
  if (!module)
    return module.takeError();
  for (Function &function : **module) {
    // The model's code has builtins; without this nothing could be inlined.
    function.removeFnAttr("no-builtins");
    function.removeFnAttr("tune-cpu");
    if (function.isDeclaration())
      continue;
    function.setDoesNotThrow();
    function.addFnAttr(kRuntimeAttr);
  }
  return module;
}

/// Where the C ABI passes `int` sign-extended, says so on every i32.
static void signExtendInts(llvm::Module &module) {
  auto fix = [](auto &callable, llvm::FunctionType *type) {
    if (type->getReturnType()->isIntegerTy(32))
      callable.addRetAttr(llvm::Attribute::SExt);
    for (unsigned i = 0; i < type->getNumParams(); ++i)
      if (type->getParamType(i)->isIntegerTy(32))
        callable.addParamAttr(i, llvm::Attribute::SExt);
  };
  for (Function &function : module) {
    if (function.isIntrinsic())
      continue;
    fix(function, function.getFunctionType());
    for (llvm::BasicBlock &block : function)
      for (llvm::Instruction &inst : block)
        if (auto *call = dyn_cast<llvm::CallBase>(&inst))
          if (!isa<llvm::IntrinsicInst>(call))
            fix(*call, call->getFunctionType());
  }
}

static llvm::Error linkRuntime(llvm::Module &module, const TargetSpec &spec) {
  Expected<std::unique_ptr<llvm::Module>> runtime = readRuntime(
      runtimeBitcode(spec.arch->getRuntime()), "runtime", module.getContext());
  if (!runtime)
    return runtime.takeError();
  // Another OS or environment than the one the runtime was compiled for.
  (*runtime)->setTargetTriple(module.getTargetTriple());
  (*runtime)->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(*runtime)))
    return llvm::createStringError("cannot link the runtime");
  return llvm::Error::success();
}

/// Declares the functions of the runtime, which the JIT finds in libdlc.so.
static llvm::Error declareRuntime(llvm::Module &module,
                                  const TargetSpec &spec) {
  Expected<std::unique_ptr<llvm::Module>> runtime =
      readRuntime(runtimeBitcode(spec.arch->getRuntime()), "runtime",
                  module.getContext(), /*bodies=*/false);
  if (!runtime)
    return runtime.takeError();
  for (const Function &function : **runtime) {
    if (function.isDeclaration() || function.hasLocalLinkage())
      continue;
    module.getOrInsertFunction(function.getName(), function.getFunctionType());
    module.getFunction(function.getName())
        ->setAttributes(function.getAttributes());
  }
  return llvm::Error::success();
}

/// The pool of threads is one for all models of a program: the linker keeps one
/// definition of each part, and the optimiser leaves out what nothing uses. In
/// this process it is that of libdlc.so, which the JIT knows.
static void sharePool(llvm::Module &module, bool isHost) {
  for (llvm::GlobalValue &value : module.global_values()) {
    if (!isSharedSymbol(value.getName()))
      continue;
    auto *function = dyn_cast<Function>(&value);
    if (!isHost) {
      value.setLinkage(llvm::GlobalValue::LinkOnceAnyLinkage);
    } else if (function) {
      function->deleteBody();
      function->setVisibility(llvm::GlobalValue::DefaultVisibility);
      function->setDSOLocal(false);
    }
  }
}

/// Has threads tell what they do.
static void measureParts(llvm::Module &module) {
  Function *measured = module.getFunction("dlc_rt_profile_parallel");
  module.getFunction("dlc_rt_parallel")
      ->replaceUsesWithIf(measured, [&](llvm::Use &use) {
        auto *inst = dyn_cast<llvm::Instruction>(use.getUser());
        return !inst || inst->getFunction() != measured;
      });
}

/// Makes the code of a model for one CPU; `op` is changed. With a `suffix` its
/// functions are named "kernel_0.znver4".
static std::unique_ptr<llvm::Module>
translate(ModuleOp op, const TargetSpec &spec, const CodegenOptions &options,
          const ModelInterface &model, StringRef suffix,
          LoweredModule &lowered) {
  if (options.debugInfo)
    addDebugInfo(op, model.symbol("main"), options.listingName,
                 /*isOptimized=*/options.optLevel > 0);
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(op, *lowered.context, model.name);
  if (!module)
    return nullptr;
  if (options.debugInfo)
    nameAfterNodes(*module);
  module->setSourceFileName(model.name);
  module->setTargetTriple(lowered.machine->getTargetTriple());
  module->setDataLayout(lowered.machine->createDataLayout());
  module->setPICLevel(llvm::PICLevel::BigPIC);
  if (!spec.abi.empty())
    module->addModuleFlag(llvm::Module::Error, "target-abi",
                          llvm::MDString::get(*lowered.context, spec.abi));
  setTargetAttributes(*module, spec);
  LoweredModule::Part &part = lowered.parts.emplace_back(
      LoweredModule::Part{spec.label, {}, model.weightsSize});
  for (Function &function : *module) {
    if (function.isDeclaration())
      continue;
    if (!suffix.empty())
      function.setName(function.getName() + suffix);
    part.functions.insert(function.getName());
  }
  return module;
}

/// What the interface says of a model for several CPUs holds for each of them.
static void takeLargest(ModelInterface &model, const ModelInterface &other) {
  model.workspace = std::max(model.workspace, other.workspace);
  model.threadWorkspace =
      std::max(model.threadWorkspace, other.threadWorkspace);
  model.stateSize = std::max(model.stateSize, other.stateSize);
  model.weightsSize = std::max(model.weightsSize, other.weightsSize);
}

FailureOr<LoweredModule> dlc::lowerModule(ModuleOp op, const TargetSpec &spec,
                                          const CodegenOptions &options,
                                          const WeightTable &weights,
                                          llvm::ArrayRef<CodeVariant> others) {
  LoweredModule lowered;
  FailureOr<ModelInterface> model = readInterface(op);
  if (failed(model) || failed(checkModule(op, *model)))
    return failure();
  std::vector<CpuCode> codes;
  auto addCode = [&](const TargetSpec &spec, const ModelInterface &model) {
    codes.push_back({&spec, model, others.empty() ? "" : "." + spec.label});
  };
  addCode(spec, *model);
  lowered.model = std::move(*model);
  for (const CodeVariant &other : others) {
    FailureOr<ModelInterface> its = readInterface(other.module);
    if (failed(its) || failed(checkModule(other.module, *its)))
      return failure();
    addCode(*other.spec, *its);
    takeLargest(lowered.model, *its);
  }
  if (failed(checkWeights(op, lowered.model, weights, spec)))
    return failure();
  auto fail = [&](llvm::Error error) {
    return op.emitError() << llvm::toString(std::move(error));
  };

  // The plainest CPU, for what is not of one.
  Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      createTargetMachine(*codes.back().spec, options.optLevel);
  if (!machine)
    return fail(machine.takeError());
  lowered.machine = std::move(*machine);
  lowered.context = std::make_unique<llvm::LLVMContext>();
  FailureOr<DeviceCode> device = lowerDevice(op, spec, options.optLevel);
  if (failed(device))
    return failure();
  for (const DeviceCode::Image &image : device->images) {
    if (!options.cubins)
      break;
    Expected<std::string> cubin = assemblePtx(image.code, image.arch.name);
    if (!cubin)
      return op.emitError() << llvm::toString(cubin.takeError());
    device->cubins.push_back({image.arch, std::move(*cubin)});
  }
  lowered.device = std::move(*device);
  OwningOpRef<ModuleOp> copy;
  ModuleOp translated = op;
  if (options.debugInfo || !lowered.device.empty())
    copy = translated = op.clone();
  for (auto kernels :
       llvm::make_early_inc_range(translated.getOps<gpu::GPUModuleOp>()))
    kernels.erase();
  lowered.module = translate(translated, spec, options, lowered.model,
                             codes.front().suffix, lowered);
  if (!lowered.module)
    return op.emitError("cannot be translated to LLVM IR");
  llvm::Module &module = *lowered.module;
  for (auto [other, code] :
       llvm::zip(others, llvm::ArrayRef(codes).drop_front())) {
    std::unique_ptr<llvm::Module> more = translate(
        other.module, *other.spec, options, code.model, code.suffix, lowered);
    if (!more || llvm::Linker::linkModules(module, std::move(more)))
      return op.emitError("cannot be translated to LLVM IR");
  }
  lowered.parts.front().weightsSize = codes.front().model.weightsSize;
  lowered.target = describeTarget(codes, lowered.device);
  lowered.builtins = builtinsBitcode(spec.arch->getRuntime());
  bool sharesTrees = module.getFunction("dlc_rt_trees_parallel");
  bool hasThreads = sharesTrees || module.getFunction("dlc_rt_parallel");
  if (!hasThreads)
    lowered.model.threadWorkspace = 0;
  // Only a runtime of its own can be made to measure, or for the very CPU, as
  // trees take half as long again without.
  bool isMeasured = !lowered.model.profileNodes.empty();
  bool hasTrees = sharesTrees || module.getFunction("dlc_rt_trees");
  if (llvm::Error error = options.hostRuntime && !isMeasured && !hasTrees
                              ? declareRuntime(module, spec)
                              : linkRuntime(module, spec))
    return fail(std::move(error));
  if (isMeasured)
    measureParts(module);
  sharePool(module, options.hostRuntime);
  emitDescriptor(module, lowered.model, codes, lowered.target, hasThreads,
                 weights.hash(), lowered.device);
  if (spec.arch->signExtendsInts)
    signExtendInts(module);
  llvm::internalizeModule(module, [&](const llvm::GlobalValue &value) {
    return value.getName() == lowered.model.symbol("run") ||
           value.getName() == lowered.model.symbol("shapes") ||
           value.getName() == lowered.model.symbol("init") ||
           value.getName() == lowered.model.symbol("model") ||
           value.getName() == lowered.model.symbol("status_string") ||
           (isSharedSymbol(value.getName()) && !options.hostRuntime);
  });
  if (auto *global = module.getNamedGlobal(lowered.model.symbol("weights"))) {
    global->setConstant(true);
    global->setVisibility(llvm::GlobalValue::HiddenVisibility);
    global->setAlignment(llvm::Align(WeightTable::maxAlignment));
  }

  std::string message;
  llvm::raw_string_ostream os(message);
  if (llvm::verifyModule(module, &os))
    return op.emitError() << "became invalid LLVM IR: " << message;
  return lowered;
}
