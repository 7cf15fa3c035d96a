// Resolves -target, -mcpu and -mattr to one machine.
#include "lib/Target/Target.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"
#include <mutex>

using namespace llvm;
using namespace dlc;

static std::vector<const TargetArch *> &registry() {
  static std::vector<const TargetArch *> targets;
  return targets;
}

TargetRegistration::TargetRegistration(const TargetArch &arch) {
  registry().push_back(&arch);
}

std::vector<const TargetArch *> dlc::listTargets() {
  std::vector<const TargetArch *> targets = registry();
  llvm::sort(targets, [](const TargetArch *a, const TargetArch *b) {
    return a->name < b->name;
  });
  return targets;
}

void dlc::printTargets(raw_ostream &os) {
  os << "Targets (-target=NAME, or any LLVM triple of these architectures):\n";
  for (const TargetArch *arch : listTargets()) {
    os << formatv("  {0,-10} {1}\n", arch->name, arch->description);
    os << formatv("  {0,-10} triple {1}, -mcpu={2}", "", arch->triple,
                  arch->cpu);
    if (!arch->features.empty())
      os << " -mattr=" << arch->features;
    if (!arch->aliases.empty())
      os << "; also spelled " << join(arch->aliases, ", ");
    os << "\n";
  }
  os << "With -target=nvptx or -target=sm_XX: this machine and an NVIDIA GPU; "
        "--gpu=sm_XX,...\nadds GPUs to any target of 64 bits.\n";
  os << formatv("Without -target: this machine, {0} -mcpu={1}\n",
                sys::getDefaultTargetTriple(), sys::getHostCPUName());
}

//===----------------------------------------------------------------------===//
// Spellings
//===----------------------------------------------------------------------===//

/// Returns ", did you mean 'x'?" for the nearest of `known`, or nothing.
static std::string suggest(StringRef word, ArrayRef<StringRef> known) {
  unsigned best = std::max<unsigned>(2, word.size() / 3) + 1;
  StringRef nearest;
  for (StringRef candidate : known) {
    unsigned distance = word.edit_distance_insensitive(candidate, true, best);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest.empty() ? "" : (", did you mean '" + nearest + "'?").str();
}

static const TargetArch *findByArch(Triple::ArchType type) {
  for (const TargetArch *arch : registry())
    if (is_contained(arch->archs, type))
      return arch;
  return nullptr;
}

/// Finds the target of a short name or triple, and its triple.
static Expected<const TargetArch *> findTarget(StringRef word, Triple &triple) {
  std::vector<StringRef> known;
  for (const TargetArch *arch : listTargets()) {
    if (word == arch->name || is_contained(arch->aliases, word)) {
      triple = Triple(arch->triple);
      return arch;
    }
    known.push_back(arch->name);
    append_range(known, arch->aliases);
  }
  triple = Triple(Triple::normalize(word));
  const TargetArch *arch = findByArch(triple.getArch());
  if (!arch || !word.contains('-')) {
    std::vector<StringRef> names;
    for (const TargetArch *known : listTargets())
      names.push_back(known->name);
    return createStringError(
        formatv("unknown target '{0}'{1} (known: {2}, or an LLVM triple of one "
                "of them; --print-targets says more)",
                word, suggest(word, known), join(names, ", ")));
  }
  if (!triple.isOSBinFormatELF())
    return createStringError(formatv(
        "target '{0}': expected a triple whose objects are ELF files, "
        "found {1}",
        word, Triple::getObjectFormatTypeName(triple.getObjectFormat())));
  if (!triple.isLittleEndian())
    return createStringError(
        formatv("target '{0}': expected a little-endian triple", word));
  return arch;
}

/// Checks `cpu` against LLVM's list; the subtarget of the default CPU gives it.
static Error checkCpu(const MCSubtargetInfo &any, StringRef cpu,
                      const TargetArch &arch) {
  std::vector<StringRef> known;
  for (const SubtargetSubTypeKV &entry : any.getAllProcessorDescriptions()) {
    if (cpu == entry.Key)
      return Error::success();
    known.push_back(entry.Key);
  }
  return createStringError(formatv("unknown CPU '{0}' for target {1}{2}", cpu,
                                   arch.name, suggest(cpu, known)));
}

/// Checks the names in "+a,-b" against LLVM's list.
static Error checkFeatures(const MCSubtargetInfo &any, StringRef features,
                           const TargetArch &arch) {
  std::vector<StringRef> known;
  for (const SubtargetFeatureKV &entry : any.getAllProcessorFeatures())
    known.push_back(entry.Key);
  for (StringRef word : split(features, ',')) {
    if (word.empty())
      continue;
    if (word.front() != '+' && word.front() != '-')
      return createStringError(
          formatv("-mattr: expected '+{0}' or '-{0}', found '{0}'", word));
    StringRef name = word.drop_front();
    if (!is_contained(known, name))
      return createStringError(
          formatv("unknown feature '{0}' for target {1}{2}", name, arch.name,
                  suggest(name, known)));
  }
  return Error::success();
}

/// The host's features in a fixed order, so that two runs print the same.
static std::string hostFeatures(const MCSubtargetInfo &any,
                                const TargetArch &arch) {
  std::vector<std::string> words;
  for (const auto &entry : sys::getHostCPUFeatures()) {
    bool known = any_of(any.getAllProcessorFeatures(),
                        [&](const SubtargetFeatureKV &feature) {
                          return entry.getKey() == feature.Key;
                        });
    bool has =
        entry.getValue() && (!arch.grants || arch.grants(entry.getKey()));
    if (known)
      words.push_back((has ? "+" : "-") + entry.getKey().str());
  }
  llvm::sort(words);
  return join(words, ",");
}

static void appendFeatures(std::string &features, StringRef more) {
  if (more.empty())
    return;
  if (!features.empty())
    features += ",";
  features += more;
}

static void initializeOnce(const TargetArch &arch) {
  static std::mutex mutex;
  static SmallPtrSet<const TargetArch *, 8> done;
  std::lock_guard<std::mutex> lock(mutex);
  if (done.insert(&arch).second)
    arch.initialize();
}

static Expected<const Target *> lookUp(const Triple &triple) {
  std::string message;
  const Target *target = TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return createStringError(message);
  return target;
}

namespace {
/// What -target stands for, with LLVM's tables of it.
struct FoundTarget {
  const TargetArch *arch;
  Triple triple;
  const Target *llvmTarget;
  std::unique_ptr<MCSubtargetInfo> subtarget; ///< of the default CPU
};
} // namespace

static Triple hostTriple() {
  return Triple(Triple::normalize(sys::getDefaultTargetTriple()));
}

/// Finds a target by its spelling; "" is this machine.
static Expected<FoundTarget> find(StringRef target) {
  FoundTarget found;
  found.triple = hostTriple();
  if (target.empty()) {
    found.arch = findByArch(found.triple.getArch());
    if (!found.arch)
      return createStringError(formatv(
          "this machine ({0}) is no target of dlc: give one with -target=",
          found.triple.str()));
  } else {
    Expected<const TargetArch *> arch = findTarget(target, found.triple);
    if (!arch)
      return arch.takeError();
    found.arch = *arch;
  }
  initializeOnce(*found.arch);
  Expected<const Target *> llvmTarget = lookUp(found.triple);
  if (!llvmTarget)
    return llvmTarget.takeError();
  found.llvmTarget = *llvmTarget;
  found.subtarget.reset(found.llvmTarget->createMCSubtargetInfo(
      found.triple, found.arch->cpu, found.arch->features));
  return found;
}

/// A table of names and what they are, as clang prints it.
template <typename Entry>
static void printEntries(raw_ostream &os, ArrayRef<Entry> entries,
                         function_ref<std::string(const Entry &)> describe) {
  size_t width = 0;
  for (const Entry &entry : entries)
    width = std::max(width, StringRef(entry.Key).size());
  for (const Entry &entry : entries)
    os << "  " << left_justify(entry.Key, width) << " - " << describe(entry)
       << ".\n";
}

Error dlc::printCpus(raw_ostream &os, StringRef target) {
  Expected<FoundTarget> found = find(target);
  if (!found)
    return found.takeError();
  os << "Available CPUs for " << found->triple.str() << ":\n\n";
  printEntries<SubtargetSubTypeKV>(
      os, found->subtarget->getAllProcessorDescriptions(), [](const auto &cpu) {
        return ("Select the " + StringRef(cpu.Key) + " processor").str();
      });
  return Error::success();
}

Error dlc::printFeatures(raw_ostream &os, StringRef target) {
  Expected<FoundTarget> found = find(target);
  if (!found)
    return found.takeError();
  os << "Available features for " << found->triple.str() << ":\n\n";
  printEntries<SubtargetFeatureKV>(
      os, found->subtarget->getAllProcessorFeatures(),
      [](const auto &feature) { return std::string(feature.Desc); });
  os << "\nUse +feature to enable a feature, or -feature to disable it.\n";
  return Error::success();
}

/// Says of which other architecture a CPU is, or nothing.
static std::string sayWhose(StringRef cpu, const TargetArch &arch) {
  for (const TargetArch *other : listTargets()) {
    if (other == &arch)
      continue;
    Expected<FoundTarget> found = find(other->name);
    if (!found) {
      consumeError(found.takeError());
      continue;
    }
    if (any_of(
            found->subtarget->getAllProcessorDescriptions(),
            [&](const SubtargetSubTypeKV &entry) { return cpu == entry.Key; }))
      return formatv(": it is one of {0}, and an object is for one "
                     "architecture",
                     other->name);
  }
  return "";
}

Expected<std::vector<TargetSpec>> dlc::resolveTargets(StringRef target,
                                                      StringRef cpus,
                                                      StringRef features,
                                                      StringRef gpus) {
  constexpr size_t most = 16;
  SmallVector<StringRef> words;
  cpus.split(words, ',');
  std::vector<TargetSpec> specs;
  for (StringRef word : words) {
    if (words.size() > 1 && word.empty())
      return createStringError(
          formatv("expected a CPU between the commas of -mcpu={0}", cpus));
    Expected<TargetSpec> spec = resolveTarget(target, word, features, gpus);
    if (!spec)
      return spec.takeError();
    for (const TargetSpec &other : specs)
      if (other.label == spec->label)
        return createStringError(formatv(
            "expected different CPUs for -mcpu, found '{0}' twice", word));
    specs.push_back(std::move(*spec));
  }
  if (specs.size() > most)
    return createStringError(
        formatv("expected at most {0} CPUs, found {1}", most, specs.size()));
  auto countNeeds = [](const TargetSpec &spec) {
    return count_if(spec.arch->needs, [&](const CpuNeed &need) {
      return spec.hasFeature(need.feature);
    });
  };
  llvm::stable_sort(specs, [&](const TargetSpec &a, const TargetSpec &b) {
    return countNeeds(a) > countNeeds(b);
  });
  return specs;
}

Expected<TargetSpec> dlc::resolveTarget(StringRef target, StringRef cpu,
                                        StringRef features, StringRef gpus) {
  // "generic+dotprod+i8mm" is a CPU with more features, "+i8mm" the default
  // one.
  auto [base, added] = cpu.split('+');
  std::string more;
  for (StringRef name : split(added, '+'))
    if (!name.empty())
      more += (more.empty() ? "+" : ",+") + name.str();
  StringRef spelling = cpu;
  bool isBase = base.empty() && !cpu.empty();
  cpu = base;
  Expected<std::vector<GpuArch>> archs = resolveGpus(target, gpus);
  if (!archs)
    return archs.takeError();
  // With a GPU as the target, the host is this machine.
  if (isGpuTarget(target))
    target = "";
  Expected<FoundTarget> found = find(target);
  if (!found)
    return found.takeError();
  Triple host = hostTriple();
  const Triple &triple = found->triple;
  const TargetArch &arch = *found->arch;
  const Target *llvmTarget = found->llvmTarget;
  const std::unique_ptr<MCSubtargetInfo> &any = found->subtarget;
  TargetSpec spec;
  spec.gpus = std::move(*archs);
  spec.arch = found->arch;
  spec.triple = triple.str();
  spec.abi = arch.abi.str();

  bool native = cpu == "native" || (target.empty() && cpu.empty() && !isBase);
  if (native) {
    if (triple.getArch() != host.getArch())
      return createStringError(
          formatv("-mcpu=native: this machine is {0}, the target is {1}",
                  host.getArchName(), arch.name));
    spec.cpu = sys::getHostCPUName().str();
    spec.features = hostFeatures(*any, arch);
    // A CPU newer than LLVM's tables: its features alone decide.
    if (Error error = checkCpu(*any, spec.cpu, arch)) {
      consumeError(std::move(error));
      spec.cpu = arch.cpu.str();
    }
  } else if (cpu.empty()) {
    spec.cpu = arch.cpu.str();
    spec.features = arch.features.str();
  } else {
    if (Error error = checkCpu(*any, cpu, arch))
      return createStringError(toString(std::move(error)) +
                               sayWhose(cpu, arch));
    spec.cpu = cpu.str();
    if (cpu == arch.cpu)
      spec.features = arch.features.str();
  }
  appendFeatures(spec.features, arch.tuning);
  for (StringRef list : {StringRef(more), features}) {
    if (Error error = checkFeatures(*any, list, arch))
      return std::move(error);
    appendFeatures(spec.features, list);
  }
  spec.label = spec.cpu;
  if (!more.empty())
    spec.label += spelling.drop_front(base.size()).str();

  std::unique_ptr<MCSubtargetInfo> subtarget(
      llvmTarget->createMCSubtargetInfo(triple, spec.cpu, spec.features));
  for (const SubtargetFeatureKV &feature :
       subtarget->getEnabledProcessorFeatures())
    spec.enabled.push_back(feature.Key);
  llvm::sort(spec.enabled);
  if (!spec.hasFeature(arch.floatFeature))
    return createStringError(
        formatv("the calls of {0} need the feature '{1}', which -mcpu or "
                "-mattr takes away",
                arch.name, arch.floatFeature));
  if (!spec.gpus.empty() && !triple.isArch64Bit())
    return createStringError(
        formatv("a GPU needs a host of 64 bits, found {0}", arch.name));
  return spec;
}

//===----------------------------------------------------------------------===//
// Questions
//===----------------------------------------------------------------------===//

bool TargetSpec::hasFeature(StringRef name) const {
  auto it = llvm::lower_bound(enabled, name);
  return it != enabled.end() && *it == name;
}

VectorUnit TargetSpec::vectorUnit() const { return arch->vectorUnit(*this); }

unsigned TargetSpec::pointerBits() const {
  return Triple(triple).isArch64Bit() ? 64 : 32;
}

bool TargetSpec::isNative() const {
  Expected<TargetSpec> host = resolveTarget("");
  if (!host) {
    consumeError(host.takeError());
    return false;
  }
  if (Triple(triple).getArch() != Triple(host->triple).getArch())
    return false;
  // Only features that the run-time check knows can trap; the others tune.
  return all_of(arch->needs, [&](const CpuNeed &need) {
    return !hasFeature(need.feature) || host->hasFeature(need.feature);
  });
}

Expected<std::unique_ptr<TargetMachine>>
dlc::createTargetMachine(const TargetSpec &spec, unsigned optLevel) {
  Triple triple(spec.triple);
  Expected<const Target *> target = lookUp(triple);
  if (!target)
    return target.takeError();
  TargetOptions options;
  options.FunctionSections = true;
  options.MCOptions.ABIName = spec.abi;
  CodeGenOptLevel level = static_cast<CodeGenOptLevel>(optLevel);
  std::unique_ptr<TargetMachine> machine(
      (*target)->createTargetMachine(triple, spec.cpu, spec.features, options,
                                     Reloc::PIC_, std::nullopt, level));
  if (!machine)
    return createStringError(
        formatv("LLVM cannot make code for '{0}'", spec.triple));
  return machine;
}
