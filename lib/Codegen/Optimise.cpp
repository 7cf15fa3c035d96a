// LLVM's middle end: its own pipeline, less what kernels do not need.
#include "lib/Codegen/Optimise.h"
#include "passes/Cpu/Passes.h"
#include "llvm/ADT/Any.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassTimingInfo.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"

using llvm::StringRef;

/// Passes that make vectors of loops, or prepare for it. The kernels of
/// contractions are vector code, unrolled as far as it pays; there these passes
/// find nothing, in half the time of a compilation.
static constexpr llvm::StringLiteral kLoopPasses[] = {
    "IndVarSimplifyPass",      "LoopIdiomRecognizePass", "LoopFullUnrollPass",
    "LoopDistributePass",      "LoopVectorizePass",      "LoopUnrollPass",
    "LoopLoadEliminationPass", "SLPVectorizerPass",      "VectorCombinePass",
};

/// What is left of the passes for the runtime, which was optimised when dlc was
/// built: they remove what the numbers of a model leave no use for.
static constexpr llvm::StringLiteral kCleaningPasses[] = {
    "SimplifyCFGPass", "InstCombinePass", "ADCEPass"};

/// True if what a pass is about to run on is a function, or a part of one, that
/// has the attribute.
static bool isOf(const llvm::Any &ir, StringRef attribute) {
  const llvm::Function *function = nullptr;
  if (auto *found = llvm::any_cast<const llvm::Function *>(&ir))
    function = *found;
  else if (auto *loop = llvm::any_cast<const llvm::Loop *>(&ir))
    function = (*loop)->getHeader()->getParent();
  return function && function->hasFnAttribute(attribute);
}

namespace {
/// llvm.ldexp(x, fptosi(n)) -> the scalef instruction of AVX-512, which takes n
/// as it is. The loops with it are vectors already.
struct UseScalefPass : llvm::PassInfoMixin<UseScalefPass> {
  static llvm::Intrinsic::ID chooseIntrinsic(const llvm::Type *type) {
    auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
    if (!vector || !vector->getElementType()->isFloatTy())
      return llvm::Intrinsic::not_intrinsic;
    switch (vector->getNumElements()) {
    case 16:
      return llvm::Intrinsic::x86_avx512_mask_scalef_ps_512;
    case 8:
      return llvm::Intrinsic::x86_avx512_mask_scalef_ps_256;
    case 4:
      return llvm::Intrinsic::x86_avx512_mask_scalef_ps_128;
    default:
      return llvm::Intrinsic::not_intrinsic;
    }
  }

  /// x 2^n, or null where there is no such instruction. Vectors of several
  /// registers are halved.
  static llvm::Value *scale(llvm::IRBuilder<> &b, llvm::Value *x,
                            llvm::Value *n) {
    llvm::Intrinsic::ID id = chooseIntrinsic(x->getType());
    if (id == llvm::Intrinsic::not_intrinsic) {
      auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
      if (!vector || vector->getNumElements() <= 16 ||
          vector->getNumElements() % 32)
        return nullptr;
      llvm::SmallVector<llvm::Value *> parts;
      int size = vector->getNumElements() / 2;
      for (int first : {0, size}) {
        auto part = llvm::to_vector(llvm::seq(first, first + size));
        parts.push_back(scale(b, b.CreateShuffleVector(x, part),
                              b.CreateShuffleVector(n, part)));
        if (!parts.back())
          return nullptr;
      }
      return b.CreateShuffleVector(parts[0], parts[1],
                                   llvm::to_vector(llvm::seq(2 * size)));
    }
    bool is512 = id == llvm::Intrinsic::x86_avx512_mask_scalef_ps_512;
    llvm::SmallVector<llvm::Value *> arguments{
        x, n, x,
        is512 ? b.getInt16(-1) : static_cast<llvm::Value *>(b.getInt8(-1))};
    if (is512) // rounded as always
      arguments.push_back(b.getInt32(4));
    return b.CreateIntrinsic(id, arguments);
  }

  llvm::PreservedAnalyses run(llvm::Function &function,
                              llvm::FunctionAnalysisManager &) {
    for (llvm::BasicBlock &block : function)
      for (llvm::Instruction &inst : llvm::make_early_inc_range(block)) {
        auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(&inst);
        if (!call || call->getIntrinsicID() != llvm::Intrinsic::ldexp)
          continue;
        auto *whole = llvm::dyn_cast<llvm::FPToSIInst>(call->getArgOperand(1));
        if (!whole || whole->getOperand(0)->getType() != call->getType())
          continue;
        llvm::IRBuilder<> b(call);
        llvm::Value *scaled =
            scale(b, call->getArgOperand(0), whole->getOperand(0));
        if (!scaled)
          continue;
        call->replaceAllUsesWith(scaled);
        call->eraseFromParent();
      }
    return llvm::PreservedAnalyses::none();
  }
};
} // namespace

void dlc::optimise(llvm::Module &module, llvm::TargetMachine &machine,
                   unsigned level) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = level > 1;
  tuning.SLPVectorization = level > 1;
  llvm::PassInstrumentationCallbacks callbacks;
  llvm::TimePassesHandler times(llvm::TimePassesIsEnabled);
  times.registerCallbacks(callbacks);
  callbacks.registerShouldRunOptionalPassCallback([&](StringRef pass,
                                                      llvm::Any ir) {
    if (isOf(ir, kRuntimeAttr))
      return level > 1 && llvm::is_contained(kCleaningPasses, pass);
    return !llvm::is_contained(kLoopPasses, pass) || !isOf(ir, kVectorCodeAttr);
  });
  llvm::PassBuilder builder(&machine, tuning, std::nullopt, &callbacks);
  functions.registerPass([&] {
    return llvm::TargetLibraryAnalysis(
        llvm::TargetLibraryInfoImpl(module.getTargetTriple()));
  });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  static const llvm::OptimizationLevel levels[] = {
      llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1,
      llvm::OptimizationLevel::O2, llvm::OptimizationLevel::O3};
  llvm::ModulePassManager passes;
  // Most of the runtime is not called: nothing need be optimised there.
  passes.addPass(llvm::GlobalDCEPass());
  passes.addPass(level == 0
                     ? builder.buildO0DefaultPipeline(levels[0])
                     : builder.buildPerModuleDefaultPipeline(levels[level]));
  if (machine.getTargetTriple().isX86())
    passes.addPass(llvm::createModuleToFunctionPassAdaptor(UseScalefPass()));
  passes.run(module, modules);
}
