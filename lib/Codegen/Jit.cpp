// Loads a model's object into this process with LLVM's ORC.
#include "lib/Codegen/Jit.h"
#include "dlc/Model.h"
#include "lib/Codegen/Lower.h"
#include "lib/Runtime/Bitcode.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/Memory.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include <cstdlib>
#include <cstring>
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

using namespace mlir;
using namespace dlc;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::sys::Memory;
using llvm::sys::MemoryBlock;

namespace {
/// The beginning of struct dlc_rt_shared of lib/Runtime.
struct SharedState {
  void *memory;
};
} // namespace

struct JitModel::Impl {
  ~Impl() {
    // What the code has on a GPU must not stay behind it.
    if (descriptor && descriptor->release)
      descriptor->release(nullptr);
    if (shared)
      std::free(shared->memory);
    jit.reset();
    if (weights.base())
      Memory::releaseMappedMemory(weights);
  }

  std::unique_ptr<llvm::orc::LLJIT> jit;
  MemoryBlock weights;
  const dlc_model *descriptor = nullptr;
  SharedState *shared = nullptr; // of a model that has a state
};

JitModel::JitModel(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
JitModel::~JitModel() = default;

const dlc_model *JitModel::descriptor() const { return impl->descriptor; }

/// Gives the whole pages of bytes that nobody reads again back to the system,
/// before their owner is gone.
static void dropPages(llvm::ArrayRef<char> bytes) {
#ifdef __linux__
  uintptr_t page = llvm::sys::Process::getPageSizeEstimate();
  auto begin = llvm::alignTo(reinterpret_cast<uintptr_t>(bytes.begin()), page);
  auto end = llvm::alignDown(reinterpret_cast<uintptr_t>(bytes.end()), page);
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
#endif
}

/// Copies the weights to fresh pages and makes these read-only. Where `takes`,
/// they are not there twice.
static Error copyWeights(const WeightTable &table, bool takes,
                         MemoryBlock &block) {
  std::error_code code;
  block = Memory::allocateMappedMemory(
      table.size(), nullptr, Memory::MF_READ | Memory::MF_WRITE, code);
  if (code)
    return llvm::errorCodeToError(code);
  char *to = static_cast<char *>(block.base());
  for (const WeightTable::Entry &entry : table.entries()) {
    std::memcpy(to + entry.offset, entry.bytes.data(), entry.bytes.size());
    if (takes)
      dropPages(entry.bytes);
  }
  return llvm::errorCodeToError(
      Memory::protectMappedMemory(block, Memory::MF_READ));
}

void dlc::returnFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// Loads objects and looks up the model's descriptor in them.
static Error load(llvm::ArrayRef<llvm::SmallVector<char, 0>> objects,
                  const ModelInterface &model, const LoweredModule &lowered,
                  const void *weights, std::unique_ptr<llvm::orc::LLJIT> &jit,
                  const dlc_model *&descriptor, SharedState *&shared) {
  llvm::orc::JITTargetMachineBuilder builder(
      lowered.machine->getTargetTriple());
  auto created = llvm::orc::LLJITBuilder()
                     .setJITTargetMachineBuilder(std::move(builder))
                     .create();
  if (!created)
    return created.takeError();
  jit = std::move(*created);
  // What is missing is reported apart from the error of the lookup.
  auto reason = std::make_shared<std::string>();
  jit->getExecutionSession().setErrorReporter([reason](Error error) {
    *reason += (reason->empty() ? "" : "; ") + llvm::toString(std::move(error));
  });
  // The tables of a model for GPUs name its weights also if it has none.
  static constexpr char none = 0;
  llvm::orc::SymbolMap symbols;
  symbols[jit->mangleAndIntern(model.symbol("weights"))] = {
      llvm::orc::ExecutorAddr::fromPtr(weights ? weights : &none),
      llvm::JITSymbolFlags::Exported};
  if (Error error = jit->getMainJITDylib().define(
          llvm::orc::absoluteSymbols(std::move(symbols))))
    return error;
  llvm::orc::SymbolMap runtime;
  for (const HostFunction &function : hostFunctions())
    runtime[jit->mangleAndIntern(function.name)] = {
        llvm::orc::ExecutorAddr::fromPtr(function.address),
        llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  if (Error error = jit->getMainJITDylib().define(
          llvm::orc::absoluteSymbols(std::move(runtime))))
    return error;
  for (auto [i, object] : llvm::enumerate(objects))
    if (Error error = jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
            StringRef(object.data(), object.size()),
            model.name + "." + llvm::Twine(i))))
      return error;
  Expected<llvm::orc::ExecutorAddr> address =
      jit->lookup(model.symbol("model"));
  if (!address) {
    if (reason->empty())
      return address.takeError();
    llvm::consumeError(address.takeError());
    return llvm::createStringError(*reason);
  }
  descriptor = address->toPtr<const dlc_model *(*)()>()();
  if (!model.stateSize)
    return Error::success();
  Expected<llvm::orc::ExecutorAddr> state = jit->lookup(model.symbol("shared"));
  if (!state)
    return state.takeError();
  shared = state->toPtr<SharedState *>();
  return Error::success();
}

/// Of weights, beside which it takes no time to look for freed pages.
constexpr int64_t kManyBytes = 16 << 20;

FailureOr<std::unique_ptr<JitModel>>
dlc::jitCompile(ModuleOp module, const TargetSpec &spec,
                const CodegenOptions &options, const WeightTable &weights) {
  if (!spec.isNative())
    return module.emitError()
           << "compiled for " << spec.triple << " " << spec.cpu
           << ": this machine is another one, or lacks an instruction set of "
              "it";
  CodegenOptions inProcess = options;
  inProcess.hostRuntime = true;
  FailureOr<LoweredModule> lowered =
      lowerModule(module, spec, inProcess, weights);
  if (failed(lowered))
    return failure();
  auto fail = [&](Error error) {
    return module.emitError() << "cannot be loaded into this process: "
                              << llvm::toString(std::move(error));
  };
  auto objects = emitParts(*lowered, spec, options.optLevel);
  if (!objects)
    return fail(objects.takeError());
  auto impl = std::make_unique<JitModel::Impl>();
  if (weights.size() >= kManyBytes)
    returnFreedMemory();
  if (!weights.empty())
    if (Error error = copyWeights(weights, options.takesWeights, impl->weights))
      return fail(std::move(error));
  if (Error error =
          load(*objects, lowered->model, *lowered, impl->weights.base(),
               impl->jit, impl->descriptor, impl->shared))
    return fail(std::move(error));
  return std::unique_ptr<JitModel>(new JitModel(std::move(impl)));
}
