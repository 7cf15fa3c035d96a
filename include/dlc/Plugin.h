/// \file
/// Plugins: shared libraries that add passes, dialects, operators, options and
/// targets to the compiler. `dlc --load-plugin=./libmine.so` loads one.
///
///   #include "dlc/Plugin.h"
///
///   DLC_PLUGIN(registry, "mine", "1.0") {
///     registry.addPass<FoldPass>(dlc::PassPoint::GraphEarly);
///     registry.addOperator({"com.acme", "Scale", 1, importScale});
///   }
///
/// Libraries with MLIR's own entry points, mlirGetPassPluginInfo() and
/// mlirGetDialectPluginInfo(), are plugins as well, with what these offer.
///
/// Everything here is C++, so a plugin belongs to the version of dlc whose
/// headers it was compiled with; any other refuses it. docs/Plugins.md is the
/// manual, docs/PassTutorial.md the way to the first pass.
#ifndef DLC_PLUGIN_H
#define DLC_PLUGIN_H

#include "dlc/Api.h"
#include "dlc/Version.h"
#include "lib/Target/Target.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Import/OpTable.h"
#include "llvm/Config/llvm-config.h"
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Counts up whenever PluginInfo or PluginRegistry changes.
#define DLC_PLUGIN_API_VERSION 1

namespace dlc {

class Plugin;
class PluginRegistry;

/// What a plugin says of itself. Every version of dlc reads the first three
/// members, so they stay where they are.
struct PluginInfo {
  uint32_t apiVersion;     ///< DLC_PLUGIN_API_VERSION
  const char *dlcVersion;  ///< DLC_VERSION_STRING
  const char *llvmVersion; ///< LLVM_VERSION_STRING
  const char *name;        ///< in errors, and in --plugin-opt=name.option=value
  const char *version;     ///< the plugin's own
  void (*initialize)(PluginRegistry &);
};

/// Where in a compilation a plugin's passes run.
enum class PassPoint {
  /// Behind the import: dlc ops, one group a node, in ONNX's layout.
  AfterImport,
  /// In front of dlc's own passes of the phase graph.
  GraphEarly,
  /// Behind them: channels last, folded.
  GraphLate,
  /// In the phase tensor: linalg and dlc.contract, before constants are
  /// evaluated and elementwise ops fused, which what is added here is, too.
  Tensor,
};

/// The values of a plugin's options in one compilation.
class DLC_API PluginOptions {
public:
  /// The plugin's name.
  const std::string &getPlugin() const { return plugin; }

  bool getBool(llvm::StringRef name) const;
  int64_t getInt(llvm::StringRef name) const;
  double getFloat(llvm::StringRef name) const;
  const std::string &getString(llvm::StringRef name) const;

private:
  friend class Plugin;
  const std::string &find(llvm::StringRef name) const;

  std::string plugin;
  llvm::StringMap<std::string> values;
};

/// Adds passes to a pass manager whose anchor is a module; passes on functions
/// are nested by themselves.
using PassBuilder =
    std::function<void(mlir::OpPassManager &, const PluginOptions &)>;

/// What a plugin fills when it is loaded. What is wrong with it, such as a
/// name that is taken, is an error of the loading.
class DLC_API PluginRegistry {
public:
  explicit PluginRegistry(Plugin &plugin) : plugin(plugin) {}

  /// Dialects that the plugin's passes make operations of.
  template <typename... DialectTs> void addDialects() {
    getDialects().insert<DialectTs...>();
  }
  mlir::DialectRegistry &getDialects();

  /// Makes a pass known by its name: to --add-passes, --pass-pipeline, dlc-opt.
  void registerPass(const std::function<std::unique_ptr<mlir::Pass>()> &make);

  /// Runs passes at a point of every compilation.
  void addPasses(PassPoint point, PassBuilder build);

  /// Both of it, for a pass that needs none of the plugin's options.
  template <typename PassT> void addPass(PassPoint point) {
    registerPass([] { return std::make_unique<PassT>(); });
    addPasses(point, [](mlir::OpPassManager &pm, const PluginOptions &) {
      pm.addPass(std::make_unique<PassT>());
    });
  }

  /// A lowering of an operator that dlc has none of, in a domain other than
  /// ONNX's own. Its function asks NodeImport::pluginOptions() for options.
  void addOperator(OpRow row);

  /// An option, --plugin-opt=name=value, with what it is without; the type of
  /// `otherwise` is that of the values.
  void addOption(llvm::StringRef name, bool otherwise,
                 llvm::StringRef description);
  void addOption(llvm::StringRef name, int64_t otherwise,
                 llvm::StringRef description);
  void addOption(llvm::StringRef name, int otherwise,
                 llvm::StringRef description) {
    addOption(name, int64_t(otherwise), description);
  }
  void addOption(llvm::StringRef name, double otherwise,
                 llvm::StringRef description);
  void addOption(llvm::StringRef name, const char *otherwise,
                 llvm::StringRef description);

  /// A name for -target. `arch` must live as long as the program.
  void addTarget(const TargetArch &arch);

private:
  Plugin &plugin;
};

} // namespace dlc

/// The entry point of a plugin, followed by the body that fills `registry`.
#define DLC_PLUGIN(registry, pluginName, pluginVersion)                        \
  static void dlcInitializePlugin(::dlc::PluginRegistry &);                    \
  extern "C" DLC_API const ::dlc::PluginInfo *dlcGetPluginInfo();              \
  const ::dlc::PluginInfo *dlcGetPluginInfo() {                                \
    static const ::dlc::PluginInfo info = {                                    \
        DLC_PLUGIN_API_VERSION, DLC_VERSION_STRING,                            \
        LLVM_VERSION_STRING,    pluginName,                                    \
        pluginVersion,          dlcInitializePlugin};                          \
    return &info;                                                              \
  }                                                                            \
  static void dlcInitializePlugin(::dlc::PluginRegistry &registry)

#endif
