// Resolves --gpu= to architectures.
#include "lib/Target/Gpu.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FormatVariadic.h"
#include <mutex>

using namespace llvm;
using namespace dlc;

extern "C" {
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

/// Tensor cores began with it, and later drivers run its PTX.
static constexpr unsigned kOldest = 70;
static constexpr StringLiteral kDefault = "sm_70";
static constexpr StringLiteral kTriple = "nvptx64-nvidia-cuda";

static Expected<const Target *> lookUp() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  std::string message;
  const Target *target = TargetRegistry::lookupTarget(Triple(kTriple), message);
  if (!target)
    return createStringError(message);
  return target;
}

/// Reads "sm_90a"; nothing if it has another form.
static std::optional<GpuArch> parse(StringRef name) {
  GpuArch arch;
  arch.name = name.str();
  if (!name.consume_front("sm_"))
    return std::nullopt;
  arch.isSpecific = name.consume_back("a");
  if (name.empty() || !all_of(name, isDigit) ||
      name.getAsInteger(10, arch.capability))
    return std::nullopt;
  return arch;
}

bool dlc::isGpuTarget(StringRef target) {
  return target == "nvptx" || target == "nvptx64" || target.starts_with("sm_");
}

Expected<std::vector<GpuArch>> dlc::resolveGpus(StringRef target,
                                                StringRef gpus) {
  std::vector<StringRef> words;
  if (target.starts_with("sm_"))
    words.push_back(target);
  if (!gpus.empty())
    append_range(words, split(gpus, ','));
  if (words.empty() && isGpuTarget(target))
    words.push_back(kDefault);
  std::vector<GpuArch> archs;
  if (words.empty())
    return archs;

  Expected<const Target *> llvmTarget = lookUp();
  if (!llvmTarget)
    return llvmTarget.takeError();
  std::unique_ptr<MCSubtargetInfo> any(
      (*llvmTarget)->createMCSubtargetInfo(Triple(kTriple), "", ""));
  for (StringRef word : words) {
    std::optional<GpuArch> arch = parse(word);
    std::vector<StringRef> known;
    for (const SubtargetSubTypeKV &entry : any->getAllProcessorDescriptions())
      if (std::optional<GpuArch> candidate = parse(entry.Key);
          candidate && candidate->capability >= kOldest)
        known.push_back(entry.Key);
    if (!arch || !is_contained(known, word))
      return createStringError(
          formatv("unknown GPU architecture '{0}' (known: {1})", word,
                  join(known, ", ")));
    if (none_of(archs, [&](const GpuArch &a) { return a.name == word; }))
      archs.push_back(*arch);
  }
  llvm::sort(archs, [](const GpuArch &a, const GpuArch &b) {
    return std::pair(a.capability, a.isSpecific) <
           std::pair(b.capability, b.isSpecific);
  });
  return archs;
}

Expected<std::unique_ptr<TargetMachine>>
dlc::createGpuMachine(const GpuArch &arch, unsigned optLevel) {
  Expected<const Target *> target = lookUp();
  if (!target)
    return target.takeError();
  // Instructions of tensor cores came later than the GPUs: with CUDA 10.2.
  StringRef features = arch.capability < 80 ? "+ptx65" : "";
  std::unique_ptr<TargetMachine> machine((*target)->createTargetMachine(
      Triple(kTriple), arch.name, features, TargetOptions(), std::nullopt,
      std::nullopt, static_cast<CodeGenOptLevel>(optLevel)));
  if (!machine)
    return createStringError("LLVM cannot make code for '" + arch.name + "'");
  return machine;
}
