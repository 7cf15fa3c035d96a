// Loads plugins: finds out what a file is before its code runs, and refuses
// what was built for another version.

#include "lib/Compiler/Plugin.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <dlfcn.h>
#include <mutex>

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

/// The names of the libraries that an ELF file asks for.
template <typename ELFT>
static llvm::Expected<std::vector<std::string>>
listNeeded(const llvm::object::ELFFile<ELFT> &file) {
  auto entries = file.dynamicEntries();
  if (!entries)
    return entries.takeError();
  uint64_t strings = 0;
  for (const auto &entry : *entries)
    if (entry.getTag() == llvm::ELF::DT_STRTAB)
      strings = entry.getPtr();
  auto table = file.toMappedAddr(strings);
  if (!table)
    return table.takeError();
  std::vector<std::string> names;
  const uint8_t *end = file.base() + file.getBufSize();
  for (const auto &entry : *entries) {
    if (entry.getTag() != llvm::ELF::DT_NEEDED)
      continue;
    const uint8_t *begin = *table + entry.getVal();
    if (begin >= end)
      return llvm::createStringError("a broken table of needed libraries");
    names.push_back(
        StringRef(reinterpret_cast<const char *>(begin), end - begin)
            .split('\0')
            .first.str());
  }
  return names;
}

/// Checks that the file is a library that can share this process's LLVM, which
/// no second one in a process survives.
static llvm::Error checkFile(StringRef path) {
  auto wrong = [&](const Twine &reason) {
    return llvm::createStringError("cannot load the plugin '" + path +
                                   "': " + reason);
  };
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return wrong(buffer.getError().message());
  auto binary = llvm::object::ObjectFile::createELFObjectFile(
      (*buffer)->getMemBufferRef());
  using Native = llvm::object::ELFObjectFile<std::conditional_t<
      sizeof(void *) == 8, llvm::object::ELF64LE, llvm::object::ELF32LE>>;
  auto *elf = binary ? dyn_cast<Native>(binary->get()) : nullptr;
  if (!binary)
    llvm::consumeError(binary.takeError());
  if (!elf || elf->getELFFile().getHeader().e_type != llvm::ELF::ET_DYN)
    return wrong("expected a shared library for this machine, found a file of "
                 "another kind");
  auto needed = listNeeded(elf->getELFFile());
  if (!needed)
    return wrong(llvm::toString(needed.takeError()));
  std::string version = std::to_string(LLVM_VERSION_MAJOR) + "." +
                        std::to_string(LLVM_VERSION_MINOR);
  for (StringRef name : *needed)
    for (StringRef library : {"libMLIR.so", "libLLVM.so"})
      if (name.starts_with(library) && name != (library + "." + version).str())
        return wrong("it was built with " + name + ", and dlc with " + library +
                     "." + version);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// The entry points
//===----------------------------------------------------------------------===//

namespace {
/// The entry points that a library has.
struct Entries {
  const PluginInfo *(*dlc)();
  PassPluginLibraryInfo (*passes)();
  DialectPluginLibraryInfo (*dialects)();
};
} // namespace

/// What a library defines itself: dlsym() looks into those that it needs, too.
template <typename T>
static void findEntry(void *library, StringRef path, const char *name,
                      T *&entry) {
  void *found = dlsym(library, name);
  Dl_info info;
  if (found && dladdr(found, &info) &&
      llvm::sys::fs::equivalent(info.dli_fname, path))
    entry = reinterpret_cast<T *>(found);
}

static llvm::Error refuseVersion(StringRef path, const Twine &built,
                                 const Twine &found) {
  return llvm::createStringError("the plugin '" + path + "' was built for " +
                                 built + ", and this is " + found +
                                 "; build it again with the headers of this "
                                 "version");
}

static llvm::Error readOwnInfo(Plugin &plugin, const PluginInfo *info) {
  if (!info)
    return llvm::createStringError("the plugin '" + plugin.path +
                                   "' says nothing of itself");
  // Only these members are where they are in every version.
  StringRef built = info->dlcVersion ? info->dlcVersion : "an unknown version";
  if (info->apiVersion != DLC_PLUGIN_API_VERSION || built != DLC_VERSION_STRING)
    return refuseVersion(plugin.path,
                         "dlc " + built + " (plugin interface " +
                             Twine(info->apiVersion) + ")",
                         "dlc " DLC_VERSION_STRING " (plugin interface " +
                             Twine(DLC_PLUGIN_API_VERSION) + ")");
  StringRef llvm = info->llvmVersion ? info->llvmVersion : "";
  if (llvm != LLVM_VERSION_STRING)
    return refuseVersion(plugin.path, "LLVM " + llvm,
                         "LLVM " LLVM_VERSION_STRING);
  if (!info->name || !*info->name || !info->version || !info->initialize)
    return llvm::createStringError("the plugin '" + plugin.path +
                                   "' has no name, version or function to "
                                   "initialize it");
  plugin.name = info->name;
  plugin.version = info->version;
  return llvm::Error::success();
}

/// The same for MLIR's two kinds.
template <typename InfoT>
static llvm::Error readMlirInfo(Plugin &plugin, const InfoT &info) {
  if (info.apiVersion != MLIR_PLUGIN_API_VERSION)
    return refuseVersion(plugin.path,
                         "version " + Twine(info.apiVersion) +
                             " of MLIR's plugin interface",
                         "version " + Twine(MLIR_PLUGIN_API_VERSION));
  if (plugin.name.empty() && info.pluginName)
    plugin.name = info.pluginName;
  if (plugin.version.empty() && info.pluginVersion)
    plugin.version = info.pluginVersion;
  return llvm::Error::success();
}

static llvm::Error initialize(Plugin &plugin, const Entries &entries) {
  const PluginInfo *own = entries.dlc ? entries.dlc() : nullptr;
  std::optional<PassPluginLibraryInfo> passes;
  std::optional<DialectPluginLibraryInfo> dialects;
  if (entries.dlc)
    if (llvm::Error error = readOwnInfo(plugin, own))
      return error;
  if (entries.passes) {
    passes = entries.passes();
    if (llvm::Error error = readMlirInfo(plugin, *passes))
      return error;
  }
  if (entries.dialects) {
    dialects = entries.dialects();
    if (llvm::Error error = readMlirInfo(plugin, *dialects))
      return error;
  }
  if (plugin.name.empty())
    plugin.name = llvm::sys::path::stem(plugin.path);
  // Nothing of it runs before all is known to fit.
  if (dialects && dialects->registerDialectRegistryCallbacks)
    dialects->registerDialectRegistryCallbacks(&plugin.dialects);
  if (passes && passes->registerPassRegistryCallbacks)
    passes->registerPassRegistryCallbacks();
  if (own) {
    PluginRegistry registry(plugin);
    own->initialize(registry);
  }
  if (plugin.errors.empty())
    return llvm::Error::success();
  return llvm::createStringError("the plugin '" + plugin.name + "' in '" +
                                 plugin.path +
                                 "': " + llvm::join(plugin.errors, "; "));
}

llvm::Expected<const Plugin *> dlc::loadPlugin(StringRef path) {
  static std::mutex mutex;
  static std::map<void *, std::unique_ptr<Plugin>> loaded;
  std::lock_guard<std::mutex> lock(mutex);

  if (llvm::Error error = checkFile(path))
    return std::move(error);
  // A name without a folder would be looked for where libraries are.
  std::string file = path.contains('/') ? path.str() : ("./" + path).str();
  void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return llvm::createStringError("cannot load the plugin '" + path +
                                   "': " + dlerror());
  auto it = loaded.find(library);
  if (it != loaded.end())
    return it->second.get();
  // What it has registered stays, so it would say something else now.
  static std::map<void *, std::string> refused;
  if (refused.count(library))
    return llvm::createStringError(refused[library]);

  Entries entries = {};
  findEntry(library, path, "dlcGetPluginInfo", entries.dlc);
  findEntry(library, path, "mlirGetPassPluginInfo", entries.passes);
  findEntry(library, path, "mlirGetDialectPluginInfo", entries.dialects);
  if (!entries.dlc && !entries.passes && !entries.dialects)
    return llvm::createStringError(
        "the library '" + path +
        "' is no plugin: it has neither dlcGetPluginInfo (dlc/Plugin.h) nor "
        "mlirGetPassPluginInfo nor mlirGetDialectPluginInfo");
  auto plugin = std::make_unique<Plugin>();
  plugin->path = path.str();
  if (llvm::Error error = initialize(*plugin, entries))
    return llvm::createStringError(refused[library] =
                                       llvm::toString(std::move(error)));
  return (loaded[library] = std::move(plugin)).get();
}
