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

/// What stands for an intrinsic of NVIDIA's: a function of the emulator; ""
/// when there is none.
static StringRef findSubstitute(StringRef intrinsic) {
  return llvm::StringSwitch<StringRef>(intrinsic)
      .Case("llvm.nvvm.read.ptx.sreg.tid.x", "dlc_emulated_thread")
      .Case("llvm.nvvm.read.ptx.sreg.ctaid.x", "dlc_emulated_block")
      .Case("llvm.nvvm.read.ptx.sreg.laneid", "dlc_emulated_lane")
      .Case("llvm.nvvm.shfl.sync.idx.i32", "dlc_emulated_shuffle")
      .Case("llvm.nvvm.shfl.sync.bfly.i32", "dlc_emulated_shuffle_xor")
      .StartsWith("llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16",
                  "dlc_emulated_ldmatrix")
      .StartsWith("llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16",
                  "dlc_emulated_ldmatrix_trans")
      .Case("llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
            "dlc_emulated_mma_m16n8k16_f16")
      .Case("llvm.nvvm.mma.m16n8k16.row.col.bf16",
            "dlc_emulated_mma_m16n8k16_bf16")
      .Case("llvm.nvvm.mma.m16n8k8.row.col.f32.f32",
            "dlc_emulated_mma_m16n8k8_f16")
      .Case("llvm.nvvm.mma.m16n8k8.row.col.tf32",
            "dlc_emulated_mma_m16n8k8_tf32")
      .Case("llvm.nvvm.mma.m8n8k4.row.col.f32.f32",
            "dlc_emulated_mma_m8n8k4_f16")
      .Case("llvm.nvvm.mma.m16n8k32.row.col.s8", "dlc_emulated_mma_m16n8k32_ss")
      .Case("llvm.nvvm.mma.m16n8k32.row.col.s8.u8",
            "dlc_emulated_mma_m16n8k32_su")
      .Case("llvm.nvvm.mma.m16n8k32.row.col.u8.s8",
            "dlc_emulated_mma_m16n8k32_us")
      .Case("llvm.nvvm.mma.m16n8k32.row.col.u8", "dlc_emulated_mma_m16n8k32_uu")
      .Case("llvm.nvvm.mma.m8n8k16.row.col.s8", "dlc_emulated_mma_m8n8k16_ss")
      .Case("llvm.nvvm.mma.m8n8k16.row.col.s8.u8",
            "dlc_emulated_mma_m8n8k16_su")
      .Case("llvm.nvvm.mma.m8n8k16.row.col.u8.s8",
            "dlc_emulated_mma_m8n8k16_us")
      .Case("llvm.nvvm.mma.m8n8k16.row.col.u8", "dlc_emulated_mma_m8n8k16_uu")
      .Case("llvm.nvvm.ex2.approx.ftz.f32", "dlc_emulated_exp2")
      .Case("llvm.nvvm.cp.async.cg.shared.global.16.s", "dlc_emulated_copy")
      .Case("llvm.nvvm.cp.async.commit.group", "dlc_emulated_commit")
      .Case("llvm.nvvm.cp.async.wait.group", "dlc_emulated_wait")
      .StartsWith("llvm.nvvm.barrier", "dlc_emulated_barrier")
      .Default("");
}

/// Calls `name` with what an intrinsic has as arguments: pairs of halves as
/// words, addresses without a space. A result of several values is written to
/// memory that the first argument points to.
static void substitute(llvm::Module &module, llvm::CallInst *call,
                       StringRef name) {
  llvm::IRBuilder<> builder(call);
  SmallVector<llvm::Value *> arguments;
  llvm::Type *type = call->getType();
  llvm::Value *results = nullptr;
  if (type->isStructTy()) {
    llvm::BasicBlock &entry = call->getFunction()->getEntryBlock();
    results = llvm::IRBuilder<>(&entry, entry.begin()).CreateAlloca(type);
    arguments.push_back(results);
  }
  bool isBarrier = name == "dlc_emulated_barrier";
  for (llvm::Value *argument : call->args()) {
    if (isBarrier)
      break;
    if (argument->getType()->isVectorTy())
      argument = builder.CreateBitCast(argument, builder.getInt32Ty());
    else if (argument->getType()->isPointerTy())
      argument = builder.CreateAddrSpaceCast(argument, builder.getPtrTy());
    arguments.push_back(argument);
  }
  SmallVector<llvm::Type *> types;
  for (llvm::Value *argument : arguments)
    types.push_back(argument->getType());
  llvm::FunctionCallee callee = module.getOrInsertFunction(
      name, llvm::FunctionType::get(results ? builder.getVoidTy() : type, types,
                                    false));
  llvm::Value *result = builder.CreateCall(callee, arguments);
  if (results)
    result = builder.CreateLoad(type, results);
  call->replaceAllUsesWith(result);
  call->eraseFromParent();
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
    for (llvm::User *user : llvm::make_early_inc_range(function.users()))
      substitute(module, cast<llvm::CallInst>(user), name);
    function.eraseFromParent();
  }
  return success();
}

/// Rounds float to bfloat16 by integers, as the instruction of a GPU does: a
/// CPU has none, or one that takes denormal numbers for 0.
static void expandRounding(llvm::Module &module) {
  SmallVector<llvm::FPTruncInst *> found;
  for (Function &function : module)
    for (llvm::BasicBlock &block : function)
      for (llvm::Instruction &inst : block)
        if (auto *round = dyn_cast<llvm::FPTruncInst>(&inst))
          if (round->getType()->getScalarType()->isBFloatTy())
            found.push_back(round);
  for (llvm::FPTruncInst *round : found) {
    llvm::IRBuilder<> builder(round);
    llvm::Type *wide = round->getType()->getWithNewType(builder.getFloatTy());
    llvm::Type *words = wide->getWithNewType(builder.getInt32Ty());
    auto constant = [&](unsigned value) {
      return llvm::ConstantInt::get(words, value);
    };
    llvm::Value *value = builder.CreateFPCast(round->getOperand(0), wide);
    llvm::Value *bits = builder.CreateBitCast(value, words);
    llvm::Value *isOdd =
        builder.CreateAnd(builder.CreateLShr(bits, constant(16)), constant(1));
    llvm::Value *rounded =
        builder.CreateAdd(bits, builder.CreateAdd(isOdd, constant(0x7fff)));
    llvm::Value *result = builder.CreateSelect(
        builder.CreateFCmpUNO(value, value), constant(0x7fffu << 16), rounded);
    llvm::Value *halves =
        builder.CreateTrunc(builder.CreateLShr(result, constant(16)),
                            words->getWithNewType(builder.getInt16Ty()));
    round->replaceAllUsesWith(builder.CreateBitCast(halves, round->getType()));
    round->eraseFromParent();
  }
}

/// Whether threads wait for each other in what `function` does, at a barrier or
/// in an instruction of a warp.
static bool waitsForOthers(const Function &function) {
  for (const llvm::BasicBlock &block : function)
    for (const llvm::Instruction &inst : block) {
      auto *call = dyn_cast<llvm::CallInst>(&inst);
      const Function *callee = call ? call->getCalledFunction() : nullptr;
      if (callee && (callee->getName() == "dlc_emulated_barrier" ||
                     callee->getName().starts_with("dlc_emulated_shuffle") ||
                     waitsForOthers(*callee)))
        return true;
    }
  return false;
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

  bool waits = waitsForOthers(kernel);
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
  FailureOr<std::unique_ptr<llvm::Module>> translated = translateDevice(
      op, context, spec.gpus.empty() ? 0 : spec.gpus.front().capability);
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
  expandRounding(module);
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
