/// \file
/// What a plugin has registered, and how its passes take part.
#ifndef DLC_LIB_COMPILER_PLUGIN_H
#define DLC_LIB_COMPILER_PLUGIN_H

#include "dlc/Compiler.h"
#include "dlc/Plugin.h"

namespace dlc {

/// A loaded plugin. Lives as long as the process, as its code does.
class Plugin {
public:
  /// An option that it declares. The kind is what `--print-plugins` calls it.
  struct Option {
    std::string name, kind, otherwise, description;
  };

  std::string path, name, version;
  std::vector<std::pair<PassPoint, PassBuilder>> passes;
  std::vector<OpRow> operators;
  std::vector<Option> options;
  std::vector<std::string> passNames;
  std::vector<const TargetArch *> targets;
  mlir::DialectRegistry dialects;
  /// What it did wrong while it was loaded.
  std::vector<std::string> errors;

  /// The value of every option: the given one, or else the declared one.
  std::shared_ptr<const PluginOptions>
  makeOptions(const llvm::StringMap<std::string> &given) const;
};

/// Loads the plugin at `path`, or finds it loaded.
llvm::Expected<const Plugin *> loadPlugin(llvm::StringRef path);

/// Adds dialects and operators of plugins to what contexts are made with.
DLC_API void registerPlugins(mlir::DialectRegistry &registry,
                             const CompileOptions &options);

/// Adds the passes that plugins have for a point.
void addPluginPasses(mlir::OpPassManager &pm, PassPoint point,
                     const CompileOptions &options);

/// Prints what the plugins have to offer.
DLC_API void printPlugins(llvm::raw_ostream &os, const CompileOptions &options);

/// While it lives, errors that a plugin's pass emits end with the pass and the
/// plugin, and a pass that fails without a word is reported. Does nothing
/// without plugins.
class PluginDiagnostics {
public:
  PluginDiagnostics(mlir::MLIRContext &context, const CompileOptions &options);
  ~PluginDiagnostics();
  PluginDiagnostics(const PluginDiagnostics &) = delete;

  /// Follows the passes that `pm` runs.
  void attach(mlir::PassManager &pm);
  /// After a failure: says which pass it was, if nothing has been said.
  void reportSilence(mlir::ModuleOp module) const;

private:
  struct Follower;

  mlir::MLIRContext &context;
  bool isActive;
  llvm::ArrayRef<PluginUse> plugins;
  mlir::DiagnosticEngine::HandlerID handler = 0;
  /// "dlc-pass of plugin 'name'" for each pass of a plugin that runs; "" for
  /// passes of others.
  std::vector<std::string> running;
  std::string failed;
  std::string lost; ///< the one that left no @main
  unsigned errors = 0;
};

/// The plugin's pass that runs in this thread, as PluginDiagnostics names it,
/// for the message of an error that ends the program; or null.
DLC_API const char *getRunningPluginPass();

} // namespace dlc

#endif
