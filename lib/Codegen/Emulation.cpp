// Makes an object for a CPU of a model's kernels, in which a function does the
// work of one thread: what tests run where there is no GPU.
#include "lib/Codegen/Device.h"
#include "lib/Codegen/DeviceModule.h"
#include "lib/Codegen/Optimise.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"

using namespace mlir;
using namespace dlc;
using llvm::Expected;
using llvm::Function;

/// What stands for an intrinsic of NVIDIA's: a function of the emulator
/// without arguments; "" when there is none.
static StringRef findSubstitute(StringRef intrinsic) {
  return llvm::StringSwitch<StringRef>(intrinsic)
      .Case("llvm.nvvm.read.ptx.sreg.tid.x", "dlc_emulated_thread")
      .Case("llvm.nvvm.read.ptx.sreg.ctaid.x", "dlc_emulated_block")
      .StartsWith("llvm.nvvm.barrier", "dlc_emulated_barrier")
      .Default("");
}

/// Replaces the calls of intrinsics; an error names one that cannot be.
static LogicalResult replaceIntrinsics(ModuleOp op, llvm::Module &module) {
  for (Function &function : llvm::make_early_inc_range(module)) {
    if (!function.getName().starts_with("llvm.nvvm."))
      continue;
    StringRef name = findSubstitute(function.getName());
    if (name.empty())
      return op.emitError("the emulation of a GPU lacks ")
             << function.getName().str();
    llvm::FunctionCallee substitute =
        module.getOrInsertFunction(name, function.getReturnType());
    for (llvm::User *user : llvm::make_early_inc_range(function.users())) {
      auto *call = cast<llvm::CallInst>(user);
      llvm::IRBuilder<> builder(call);
      call->replaceAllUsesWith(builder.CreateCall(substitute));
      call->eraseFromParent();
    }
    function.eraseFromParent();
  }
  return success();
}

/// Makes `void NAME(void **parameters)` of a kernel. NAME_waits says whether
/// threads wait for each other in it, NAME_parameters how many there are.
static void wrapKernel(llvm::Module &module, Function &kernel) {
  llvm::LLVMContext &context = module.getContext();
  std::string name = kernel.getName().str();
  kernel.setName(name + ".thread");
  kernel.setLinkage(llvm::GlobalValue::InternalLinkage);
  kernel.setCallingConv(llvm::CallingConv::C);
  auto *pointer = llvm::PointerType::getUnqual(context);
  Function *wrapper = Function::Create(
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer}, false),
      llvm::GlobalValue::ExternalLinkage, name, module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", wrapper));
  SmallVector<llvm::Value *> arguments;
  for (llvm::Argument &argument : kernel.args()) {
    llvm::Value *slot = builder.CreateLoad(
        pointer, builder.CreateConstGEP1_32(pointer, wrapper->getArg(0),
                                            argument.getArgNo()));
    arguments.push_back(builder.CreateLoad(argument.getType(), slot));
  }
  builder.CreateCall(&kernel, arguments);
  builder.CreateRetVoid();

  bool waits = false;
  for (llvm::BasicBlock &block : kernel)
    for (llvm::Instruction &inst : block)
      if (auto *call = dyn_cast<llvm::CallInst>(&inst))
        waits |= call->getCalledFunction() &&
                 call->getCalledFunction()->getName() == "dlc_emulated_barrier";
  auto *i32 = llvm::Type::getInt32Ty(context);
  for (auto [suffix, value] :
       {std::pair("_waits", unsigned(waits)),
        std::pair("_parameters", unsigned(kernel.arg_size()))})
    new llvm::GlobalVariable(module, i32, /*isConstant=*/true,
                             llvm::GlobalValue::ExternalLinkage,
                             llvm::ConstantInt::get(i32, value), name + suffix);
}

FailureOr<llvm::SmallVector<char, 0>>
dlc::emulateDevice(ModuleOp op, const TargetSpec &spec, unsigned optLevel) {
  llvm::LLVMContext context;
  FailureOr<std::unique_ptr<llvm::Module>> translated =
      translateDevice(op, context);
  if (failed(translated))
    return failure();
  llvm::Module &module = **translated;
  Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      createTargetMachine(spec, optLevel);
  if (!machine)
    return op.emitError() << llvm::toString(machine.takeError());
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  if (failed(replaceIntrinsics(op, module)))
    return failure();
  SmallVector<Function *> kernels;
  for (Function &function : module) {
    if (function.getCallingConv() == llvm::CallingConv::PTX_Kernel)
      kernels.push_back(&function);
    if (!function.isDeclaration()) {
      function.addFnAttr("target-cpu", spec.cpu);
      if (!spec.features.empty())
        function.addFnAttr("target-features", spec.features);
    }
  }
  for (Function *kernel : kernels)
    wrapKernel(module, *kernel);
  std::string message;
  llvm::raw_string_ostream os(message);
  if (llvm::verifyModule(module, &os))
    return op.emitError() << "the kernels became invalid LLVM IR: " << message;
  optimise(module, **machine, optLevel);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr,
                                      llvm::CodeGenFileType::ObjectFile))
    return op.emitError("LLVM cannot make this kind of file for ")
           << spec.triple;
  passes.run(module);
  return bytes;
}
