// Makes PTX of the kernels of a model.
#include "lib/Codegen/Device.h"
#include "lib/Codegen/DeviceModule.h"
#include "lib/Codegen/Optimise.h"
#include "lib/Runtime/Bitcode.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace mlir;
using namespace dlc;
using llvm::Expected;
using llvm::StringRef;

static gpu::GPUModuleOp findDevice(ModuleOp module) {
  for (auto device : module.getOps<gpu::GPUModuleOp>())
    return device;
  return nullptr;
}

/// Adds the functions of the device library that the kernels call.
static llvm::Error linkLibrary(llvm::Module &module) {
  Expected<std::unique_ptr<llvm::Module>> library = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(deviceBitcode(), "device"), module.getContext());
  if (!library)
    return library.takeError();
  for (llvm::Function &function : **library) {
    // They become part of code for another architecture.
    for (StringRef name : {"target-cpu", "target-features", "no-builtins"})
      function.removeFnAttr(name);
    function.setVisibility(llvm::GlobalValue::DefaultVisibility);
  }
  // What was asked of the front end is nothing to ask of the back end.
  if (llvm::NamedMDNode *flags = (*library)->getModuleFlagsMetadata())
    (*library)->eraseNamedMetadata(flags);
  (*library)->setTargetTriple(module.getTargetTriple());
  (*library)->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(*library),
                                llvm::Linker::Flags::LinkOnlyNeeded))
    return llvm::createStringError("cannot link the device library");
  return llvm::Error::success();
}

FailureOr<std::unique_ptr<llvm::Module>>
dlc::translateDevice(ModuleOp module, llvm::LLVMContext &context,
                     unsigned capability) {
  gpu::GPUModuleOp device = findDevice(module);
  if (!device)
    return module.emitError("expected device code: a gpu.module");
  OwningOpRef<ModuleOp> copy = ModuleOp::create(device.getLoc());
  OpBuilder b(copy->getBodyRegion());
  for (Operation &op : *device.getBody())
    b.clone(op);
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(*copy, context, "kernels");
  if (!translated)
    return module.emitError("the kernels cannot be translated to LLVM IR");
  defineTensorCores(*translated, capability);
  if (llvm::Error error = linkLibrary(*translated))
    return module.emitError() << llvm::toString(std::move(error));
  // A function that is called but not there would fail at the first run.
  for (const llvm::Function &function : *translated)
    if (function.isDeclaration() && !function.isIntrinsic())
      return module.emitError() << "the function '" << function.getName().str()
                                << "' is not supported on a GPU";
  return translated;
}

static FailureOr<std::string> makePtx(ModuleOp op, llvm::Module &module,
                                      const GpuArch &arch, unsigned optLevel) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      createGpuMachine(arch, optLevel);
  if (!machine)
    return op.emitError() << llvm::toString(machine.takeError());
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  llvm::internalizeModule(module, [](const llvm::GlobalValue &value) {
    auto *function = dyn_cast<llvm::Function>(&value);
    return function &&
           function->getCallingConv() == llvm::CallingConv::PTX_Kernel;
  });
  std::string message;
  llvm::raw_string_ostream os(message);
  if (llvm::verifyModule(module, &os))
    return op.emitError() << "the kernels became invalid LLVM IR: " << message;
  optimise(module, **machine, optLevel);
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr,
                                      llvm::CodeGenFileType::AssemblyFile))
    return op.emitError("LLVM cannot make PTX");
  passes.run(module);
  return std::string(text.begin(), text.end());
}

FailureOr<DeviceCode> dlc::lowerDevice(ModuleOp module, const TargetSpec &spec,
                                       unsigned optLevel) {
  DeviceCode code;
  bool hasDevice = bool(findDevice(module));
  if (!hasDevice && spec.gpus.empty())
    return code;
  if (!hasDevice)
    return module.emitError("expected device code, a gpu.module, for --gpu");
  if (spec.gpus.empty())
    return module.emitError("expected an architecture for the device code, "
                            "--gpu=");
  if (auto kernels = module->getAttrOfType<ArrayAttr>("dlc.kernels"))
    for (auto name : kernels.getAsRange<StringAttr>())
      code.kernels.push_back({name.str()});
  for (const GpuArch &arch : spec.gpus) {
    llvm::LLVMContext context;
    FailureOr<std::unique_ptr<llvm::Module>> translated =
        translateDevice(module, context, arch.capability);
    if (failed(translated))
      return failure();
    llvm::StringMap<int64_t> shared = makeSharedDynamic(**translated);
    for (DeviceCode::Kernel &kernel : code.kernels)
      kernel.shared = shared.lookup(kernel.name);
    FailureOr<std::string> ptx = makePtx(module, **translated, arch, optLevel);
    if (failed(ptx))
      return failure();
    // What PTX does not say.
    for (const DeviceCode::Kernel &kernel : code.kernels)
      if (kernel.shared)
        *ptx +=
            llvm::formatv("// {0}: {1} bytes of shared memory at a launch\n",
                          kernel.name, kernel.shared);
    code.images.push_back({arch, std::move(*ptx)});
  }
  return code;
}
