// Makes machine code of a module: the bytes of an object, or assembly.
#include "lib/Codegen/Lower.h"
#include "lib/Codegen/Optimise.h"
#include "lib/Codegen/SplitModule.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/PassTimingInfo.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace mlir;
using namespace dlc;
using llvm::Error;
using llvm::Expected;
using llvm::Function;
using llvm::StringRef;

static void placeGlobal(llvm::Module &module, const ModelInterface &model,
                        WeightsPlace place) {
  // The JIT frees the state with the model.
  if (auto *shared = module.getNamedGlobal(model.symbol("shared"));
      shared && place == WeightsPlace::Address)
    shared->setLinkage(llvm::GlobalValue::ExternalLinkage);
  llvm::GlobalVariable *global = module.getNamedGlobal(model.symbol("weights"));
  if (!global || place == WeightsPlace::Declared)
    return;
  if (place == WeightsPlace::Address) {
    // Through the GOT, since it may be anywhere.
    global->setVisibility(llvm::GlobalValue::DefaultVisibility);
    global->setDSOLocal(false);
    return;
  }
  // Not constant only here, behind the optimiser, so that LLVM makes a section
  // without contents of it, whose bytes it need not know. It does that for
  // names that begin with .bss only.
  auto *type = llvm::ArrayType::get(llvm::Type::getInt8Ty(module.getContext()),
                                    model.weightsSize);
  auto *definition = new llvm::GlobalVariable(
      module, type, /*isConstant=*/false, llvm::GlobalValue::InternalLinkage,
      llvm::ConstantAggregateZero::get(type), "");
  definition->setAlignment(llvm::Align(WeightTable::maxAlignment));
  definition->setSection(emptySection);
  if (model.weightsSize >= largeWeights &&
      module.getTargetTriple().getArch() == llvm::Triple::x86_64)
    definition->setCodeModel(llvm::CodeModel::Large);
  definition->takeName(global);
  global->replaceAllUsesWith(definition);
  global->eraseFromParent();
}

using Bytes = llvm::SmallVector<char, 0>;

static Expected<Bytes> runBackEnd(const llvm::Module &module,
                                  llvm::TargetMachine &machine,
                                  llvm::CodeGenFileType type) {
  // Code generation changes the module.
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
  Bytes bytes;
  llvm::raw_svector_ostream os(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, type))
    return llvm::createStringError("LLVM cannot make this kind of file for " +
                                   machine.getTargetTriple().str());
  passes.run(*copy);
  return bytes;
}

/// Finds the functions that the back end called on its own and that `builtins`
/// defines: they are undefined symbols of the object.
static Expected<std::vector<Function *>> findBuiltins(const Bytes &object,
                                                      llvm::Module &builtins) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(StringRef(object.data(), object.size()), ""));
  if (!file)
    return file.takeError();
  std::vector<Function *> found;
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    Expected<uint32_t> flags = symbol.getFlags();
    Expected<StringRef> name = symbol.getName();
    if (!flags)
      return flags.takeError();
    if (!name)
      return name.takeError();
    Function *function = builtins.getFunction(*name);
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && function &&
        !function->isDeclaration())
      found.push_back(function);
  }
  return found;
}

/// Gives the object its own division and conversion functions where the back
/// end asks for them, so that it needs no library of a compiler. They are
/// local; the back end's calls find them by name.
static Expected<bool> addBuiltins(llvm::Module &module, const Bytes &object,
                                  StringRef bitcode) {
  if (bitcode.empty())
    return false;
  Expected<std::unique_ptr<llvm::Module>> builtins =
      readRuntime(bitcode, "builtins", module.getContext());
  if (!builtins)
    return builtins.takeError();
  Expected<std::vector<Function *>> found = findBuiltins(object, **builtins);
  if (!found)
    return found.takeError();
  if (found->empty())
    return false;
  llvm::StringSet<> names;
  for (Function *function : *found)
    names.insert(function->getName());
  auto isWanted = [&](const llvm::GlobalValue &value) {
    return names.contains(value.getName());
  };
  llvm::internalizeModule(**builtins, isWanted);
  llvm::ModuleAnalysisManager analyses;
  llvm::PassBuilder().registerModuleAnalyses(analyses);
  llvm::GlobalDCEPass().run(**builtins, analyses);
  (*builtins)->setTargetTriple(module.getTargetTriple());
  (*builtins)->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(*builtins)))
    return llvm::createStringError("cannot link the runtime's builtins");
  llvm::SmallVector<llvm::GlobalValue *> used;
  for (const auto &name : names) {
    Function *function = module.getFunction(name.getKey());
    function->setLinkage(llvm::GlobalValue::InternalLinkage);
    function->setVisibility(llvm::GlobalValue::DefaultVisibility);
    used.push_back(function);
  }
  llvm::sort(used,
             [](auto *a, auto *b) { return a->getName() < b->getName(); });
  llvm::appendToCompilerUsed(module, used);
  return true;
}

static Expected<Bytes> emitModule(llvm::Module &module,
                                  llvm::TargetMachine &machine,
                                  StringRef builtins,
                                  llvm::CodeGenFileType type) {
  while (true) {
    Expected<Bytes> bytes = runBackEnd(module, machine, type);
    if (!bytes || type != llvm::CodeGenFileType::ObjectFile)
      return bytes;
    // A builtin may need another one; there are few.
    Expected<bool> added = addBuiltins(module, *bytes, builtins);
    if (!added)
      return added.takeError();
    if (!*added)
      return bytes;
  }
}

Expected<Bytes> dlc::emitCode(const LoweredModule &lowered, WeightsPlace place,
                              llvm::CodeGenFileType type) {
  std::unique_ptr<llvm::Module> module = llvm::CloneModule(*lowered.module);
  placeGlobal(*module, lowered.model, place);
  return emitModule(*module, *lowered.machine, lowered.builtins, type);
}

/// Optimises a part of a model, and makes an object of it.
static Expected<Bytes> emitPart(const Bytes &bitcode,
                                const LoweredModule &lowered,
                                const TargetSpec &spec, unsigned optLevel) {
  llvm::LLVMContext context;
  Expected<std::unique_ptr<llvm::Module>> module = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(StringRef(bitcode.data(), bitcode.size()), ""),
      context);
  if (!module)
    return module.takeError();
  Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      createTargetMachine(spec, optLevel);
  if (!machine)
    return machine.takeError();
  optimise(**module, **machine, optLevel);
  placeGlobal(**module, lowered.model, WeightsPlace::Address);
  return emitModule(**module, **machine, lowered.builtins,
                    llvm::CodeGenFileType::ObjectFile);
}

Expected<std::vector<Bytes>> dlc::emitParts(LoweredModule &lowered,
                                            const TargetSpec &spec,
                                            unsigned optLevel) {
  std::vector<Bytes> parts = splitModule(*lowered.module);
  if (parts.empty()) {
    optimise(*lowered.module, *lowered.machine, optLevel);
    Expected<Bytes> object = emitCode(lowered, WeightsPlace::Address,
                                      llvm::CodeGenFileType::ObjectFile);
    if (!object)
      return object.takeError();
    return std::vector<Bytes>{std::move(*object)};
  }
  std::vector<Bytes> objects(parts.size());
  std::vector<std::string> errors(parts.size());
  auto emit = [&](size_t i) {
    Expected<Bytes> object = emitPart(parts[i], lowered, spec, optLevel);
    if (object)
      objects[i] = std::move(*object);
    else
      errors[i] = llvm::toString(object.takeError());
  };
  // LLVM's timers are not for threads.
  unsigned threads = llvm::TimePassesIsEnabled ? 1 : parts.size();
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(threads));
  for (size_t i : llvm::seq(parts.size()))
    pool.async(emit, i);
  pool.wait();
  for (StringRef error : errors)
    if (!error.empty())
      return llvm::createStringError(error);
  return objects;
}
