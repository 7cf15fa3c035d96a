// LLVM's middle end: its own pipeline, less what kernels do not need.
#include "lib/Codegen/Optimise.h"
#include "passes/Cpu/Passes.h"
#include "llvm/ADT/Any.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
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
    // The runtime was optimised when dlc was built.
    if (level < 2 && isOf(ir, kRuntimeAttr))
      return false;
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
  passes.run(module, modules);
}
