// Parts of a module that threads can work on: kernels are called by the run,
// and never inlined.
#include "lib/Codegen/SplitModule.h"
#include "lib/Codegen/Optimise.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace dlc;
using llvm::Function;
using llvm::GlobalValue;
using llvm::GlobalVariable;

/// A part has so many instructions at least, which take some 50 ms; and there
/// are so many parts at most, each with a copy of what is inlined.
static constexpr size_t kLeastInstructions = 2000, kMostParts = 16;

/// A function that may be in another part than its callers.
static bool isMovable(const Function &function) {
  return function.hasInternalLinkage() && !function.isDeclaration() &&
         function.hasFnAttribute(llvm::Attribute::NoInline) &&
         !function.hasFnAttribute(kRuntimeAttr);
}

static void removeUnused(llvm::Module &module) {
  llvm::ModuleAnalysisManager analyses;
  llvm::PassBuilder().registerModuleAnalyses(analyses);
  llvm::GlobalDCEPass().run(module, analyses);
}

/// Lets other objects find `value`, wherever in memory they are.
static void share(GlobalValue &value) {
  value.setLinkage(GlobalValue::ExternalLinkage);
  value.setVisibility(GlobalValue::DefaultVisibility);
  value.setDSOLocal(false);
  value.setUnnamedAddr(GlobalValue::UnnamedAddr::None);
  if (!value.hasName())
    value.setName("dlc.part");
}

std::vector<llvm::SmallVector<char, 0>> dlc::splitModule(llvm::Module &module) {
  removeUnused(module);
  llvm::SmallVector<Function *> kernels;
  size_t all = 0, moved = 0;
  for (Function &function : module) {
    size_t size = function.getInstructionCount();
    all += size;
    if (!isMovable(function))
      continue;
    moved += size;
    kernels.push_back(&function);
  }
  size_t count = std::clamp<size_t>(moved / kLeastInstructions, 1, kMostParts);
  if (count == 1)
    return {};
  // The largest ones first, each to the part that has least.
  llvm::stable_sort(kernels, [](Function *a, Function *b) {
    return a->getInstructionCount() > b->getInstructionCount();
  });
  llvm::SmallVector<size_t> sizes(count);
  sizes[0] = all - moved;
  llvm::DenseMap<const GlobalValue *, size_t> places;
  for (Function *kernel : kernels) {
    size_t place = llvm::min_element(sizes) - sizes.begin();
    sizes[place] += kernel->getInstructionCount();
    places[kernel] = place;
  }
  for (Function *kernel : kernels)
    share(*kernel);
  for (GlobalVariable &variable : module.globals())
    if (!variable.isConstant() && variable.hasLocalLinkage())
      share(variable);
  std::vector<llvm::SmallVector<char, 0>> parts(count);
  for (auto [i, part] : llvm::enumerate(parts)) {
    llvm::raw_svector_ostream os(part);
    llvm::ValueToValueMapTy values;
    std::unique_ptr<llvm::Module> some =
        llvm::CloneModule(module, values, [&, i = i](const GlobalValue *value) {
          auto place = places.find(value);
          if (place != places.end())
            return place->second == i;
          // What is local is copied: helpers, constants.
          return i == 0 || value->hasLocalLinkage();
        });
    removeUnused(*some);
    llvm::WriteBitcodeToFile(*some, os);
  }
  return parts;
}
