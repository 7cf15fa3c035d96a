// Errors of plugins name the pass and the plugin.

#include "lib/Compiler/Plugin.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/FileSystem.h"
#include <dlfcn.h>

using namespace mlir;
using namespace dlc;

static thread_local const char *runningPass = nullptr;

const char *dlc::getRunningPluginPass() { return runningPass; }

/// The plugin whose code a pass is, or null. The functions of a pass are where
/// its plugin was loaded: that is told by the table of its virtual functions,
/// for passes that the plugin knows nothing of dlc's interface, too.
static const Plugin *findPlugin(const Pass *pass, ArrayRef<PluginUse> plugins) {
  const void *functions = *reinterpret_cast<const void *const *>(pass);
  Dl_info info;
  if (!dladdr(functions, &info))
    return nullptr;
  for (const PluginUse &use : plugins)
    if (llvm::sys::fs::equivalent(info.dli_fname, use.plugin->path))
      return use.plugin;
  return nullptr;
}

struct PluginDiagnostics::Follower : PassInstrumentation {
  Follower(PluginDiagnostics &owner, ArrayRef<PluginUse> plugins)
      : owner(owner), plugins(plugins) {}

  void runBeforePass(Pass *pass, Operation *op) override {
    hasMain = findMain(op);
    auto [it, isNew] = names.try_emplace(pass);
    if (isNew)
      if (const Plugin *plugin = findPlugin(pass, plugins))
        it->second = ((pass->getArgument().empty() ? pass->getName()
                                                   : pass->getArgument()) +
                      " of plugin '" + plugin->name + "'")
                         .str();
    owner.running.push_back(it->second);
    setRunning();
  }
  void runAfterPass(Pass *, Operation *op) override {
    // Valid, but nothing that a later pass could do without.
    if (hasMain && !findMain(op) && owner.lost.empty())
      owner.lost = owner.running.back();
    leave();
  }
  void runAfterPassFailed(Pass *, Operation *) override {
    if (owner.failed.empty())
      owner.failed = owner.running.back();
    leave();
  }

  /// Whether the module of what a pass runs on has what it is about.
  static bool findMain(Operation *op) {
    auto module = dyn_cast<ModuleOp>(op);
    if (!module)
      module = op->getParentOfType<ModuleOp>();
    return module && module.lookupSymbol("main");
  }
  void leave() {
    owner.running.pop_back();
    setRunning();
  }
  void setRunning() {
    bool isPlugins = !owner.running.empty() && !owner.running.back().empty();
    runningPass = isPlugins ? owner.running.back().c_str() : nullptr;
  }

  PluginDiagnostics &owner;
  ArrayRef<PluginUse> plugins;
  bool hasMain = false;
  DenseMap<const Pass *, std::string> names;
};

PluginDiagnostics::PluginDiagnostics(MLIRContext &context,
                                     const CompileOptions &options)
    : context(context), isActive(!options.plugins.empty()),
      plugins(options.plugins) {
  if (!isActive)
    return;
  handler = context.getDiagEngine().registerHandler([this](Diagnostic &said) {
    if (said.getSeverity() == DiagnosticSeverity::Error) {
      ++errors;
      if (!running.empty() && !running.back().empty())
        said << " [" << running.back() << "]";
      else if (!lost.empty())
        said << " [@main is gone since " << lost << "]";
    }
    return failure(); // the next handler prints it
  });
}

PluginDiagnostics::~PluginDiagnostics() {
  if (isActive)
    context.getDiagEngine().eraseHandler(handler);
}

void PluginDiagnostics::attach(PassManager &pm) {
  if (isActive)
    pm.addInstrumentation(std::make_unique<Follower>(*this, plugins));
}

void PluginDiagnostics::reportSilence(ModuleOp module) const {
  if (isActive && !errors && !failed.empty())
    module.emitError("a pass failed without a message [") << failed << "]";
}
