// What plugins register, and how a compilation uses it.

#include "lib/Compiler/Plugin.h"
#include "dlc/Registration.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/ErrorHandling.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

const std::string &PluginOptions::find(StringRef name) const {
  auto it = values.find(name);
  if (it == values.end())
    llvm::report_fatal_error(
        "the plugin '" + Twine(plugin) +
        "' asks for an option that it does not declare: " + name);
  return it->second;
}

bool PluginOptions::getBool(StringRef name) const {
  return find(name) == "true";
}

int64_t PluginOptions::getInt(StringRef name) const {
  int64_t value = 0;
  (void)StringRef(find(name)).getAsInteger(10, value);
  return value;
}

double PluginOptions::getFloat(StringRef name) const {
  double value = 0;
  (void)StringRef(find(name)).getAsDouble(value);
  return value;
}

const std::string &PluginOptions::getString(StringRef name) const {
  return find(name);
}

/// Whether a text is a value of that kind.
static bool isOfKind(StringRef text, StringRef kind) {
  int64_t integer;
  double number;
  if (kind == "bool")
    return text == "true" || text == "false";
  if (kind == "integer")
    return !text.getAsInteger(10, integer);
  if (kind == "number")
    return !text.getAsDouble(number);
  return true;
}

std::shared_ptr<const PluginOptions>
Plugin::makeOptions(const llvm::StringMap<std::string> &given) const {
  auto result = std::make_shared<PluginOptions>();
  result->plugin = name;
  for (const Option &option : options) {
    auto it = given.find(option.name);
    result->values[option.name] =
        it == given.end() ? option.otherwise : it->second;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Registration
//===----------------------------------------------------------------------===//

DialectRegistry &PluginRegistry::getDialects() { return plugin.dialects; }

void PluginRegistry::registerPass(
    const std::function<std::unique_ptr<Pass>()> &make) {
  std::unique_ptr<Pass> pass = make();
  std::string name = pass->getArgument().str();
  if (name.empty())
    return plugin.errors.push_back(
        ("the pass " + pass->getName() +
         " has no name for the command line: it needs getArgument()")
            .str());
  registerPasses();
  if (PassInfo::lookup(name) || llvm::is_contained(plugin.passNames, name))
    return plugin.errors.push_back("a pass is named '" + name + "' already");
  plugin.passNames.push_back(name);
  mlir::registerPass(make);
}

void PluginRegistry::addPasses(PassPoint point, PassBuilder build) {
  plugin.passes.emplace_back(point, std::move(build));
}

void PluginRegistry::addOperator(OpRow row) {
  std::string name = (row.domain + "." + row.name).str();
  if (row.domain.empty() || row.domain == "ai.onnx" || row.domain == "dlc")
    return plugin.errors.push_back(
        "expected an operator of the plugin's own domain, found '" +
        (row.domain.empty() ? row.name : StringRef(name)).str() + "'");
  bool isTaken = findOpRow(row.domain, row.name) ||
                 llvm::any_of(plugin.operators, [&](const OpRow &other) {
                   return other.domain == row.domain && other.name == row.name;
                 });
  if (isTaken)
    return plugin.errors.push_back("the operator '" + name +
                                   "' has a lowering already");
  plugin.operators.push_back(std::move(row));
}

static void addOption(Plugin &plugin, StringRef name, StringRef kind,
                      std::string otherwise, StringRef description) {
  bool isName = !name.empty() && llvm::all_of(name, [](char c) {
    return llvm::isAlnum(c) || c == '-' || c == '_';
  });
  if (!isName)
    return plugin.errors.push_back(
        ("expected letters, digits, '-' and '_' in the name of an option, "
         "found '" +
         name + "'")
            .str());
  for (const Plugin::Option &option : plugin.options)
    if (option.name == name)
      return plugin.errors.push_back(
          ("an option is named '" + name + "' already").str());
  plugin.options.push_back(
      {name.str(), kind.str(), std::move(otherwise), description.str()});
}

void PluginRegistry::addOption(StringRef name, bool otherwise,
                               StringRef description) {
  ::addOption(plugin, name, "bool", otherwise ? "true" : "false", description);
}

void PluginRegistry::addOption(StringRef name, int64_t otherwise,
                               StringRef description) {
  ::addOption(plugin, name, "integer", std::to_string(otherwise), description);
}

void PluginRegistry::addOption(StringRef name, double otherwise,
                               StringRef description) {
  ::addOption(plugin, name, "number", llvm::formatv("{0}", otherwise),
              description);
}

void PluginRegistry::addOption(StringRef name, const char *otherwise,
                               StringRef description) {
  ::addOption(plugin, name, "text", otherwise, description);
}

void PluginRegistry::addTarget(const TargetArch &arch) {
  for (const TargetArch *known : listTargets())
    for (StringRef name : llvm::concat<const StringRef>(
             ArrayRef<StringRef>(arch.name), arch.aliases))
      if (name == known->name || llvm::is_contained(known->aliases, name))
        return plugin.errors.push_back("a target is named '" + name.str() +
                                       "' already");
  TargetRegistration registration(arch);
  plugin.targets.push_back(&arch);
}

//===----------------------------------------------------------------------===//
// Use
//===----------------------------------------------------------------------===//

/// All options of `plugins`: "mine.bits, mine.scale".
static std::string listOptions(ArrayRef<const Plugin *> plugins) {
  std::string text;
  for (const Plugin *plugin : plugins)
    for (const Plugin::Option &option : plugin->options)
      text += (text.empty() ? "" : ", ") + plugin->name + "." + option.name;
  return text.empty() ? "none" : text;
}

/// Finds the option that "name=value" or "plugin.name=value" sets, and notes
/// the value.
static llvm::Error
applySetting(StringRef setting, ArrayRef<const Plugin *> plugins,
             std::map<const Plugin *, llvm::StringMap<std::string>> &values) {
  auto [full, value] = setting.split('=');
  if (full.empty() || !setting.contains('='))
    return llvm::createStringError("expected --plugin-opt=name=value, found '" +
                                   setting + "'");
  std::vector<std::pair<const Plugin *, const Plugin::Option *>> found;
  for (const Plugin *plugin : plugins)
    for (const Plugin::Option &option : plugin->options)
      if (full == option.name || full == plugin->name + "." + option.name)
        found.emplace_back(plugin, &option);
  if (found.empty())
    return llvm::createStringError("no plugin has an option '" + full +
                                   "'; there are: " + listOptions(plugins));
  if (found.size() > 1)
    return llvm::createStringError("the plugins '" + found[0].first->name +
                                   "' and '" + found[1].first->name +
                                   "' have an option '" + full + "'; write '" +
                                   found[0].first->name + "." + full + "'");
  auto [plugin, option] = found.front();
  if (!isOfKind(value, option->kind))
    return llvm::createStringError(
        "expected " + std::string(option->kind == "integer" ? "an " : "a ") +
        option->kind + " for the option '" + full + "' of the plugin '" +
        plugin->name + "', found '" + value + "'");
  if (!values[plugin].try_emplace(option->name, value.str()).second)
    return llvm::createStringError("expected one value for the option '" +
                                   full + "', found two");
  return llvm::Error::success();
}

llvm::Error dlc::loadPlugins(CompileOptions &options,
                             ArrayRef<std::string> paths,
                             ArrayRef<std::string> settings) {
  SmallVector<const Plugin *> plugins;
  for (const std::string &path : paths) {
    llvm::Expected<const Plugin *> plugin = loadPlugin(path);
    if (!plugin)
      return plugin.takeError();
    for (const Plugin *other : plugins) {
      if (other == *plugin)
        return llvm::createStringError("the plugin '" + path +
                                       "' is given twice");
      if (other->name == (*plugin)->name)
        return llvm::createStringError("the plugins '" + other->path +
                                       "' and '" + path + "' are both named '" +
                                       other->name + "'");
      for (const OpRow &row : (*plugin)->operators)
        for (const OpRow &known : other->operators)
          if (row.domain == known.domain && row.name == known.name)
            return llvm::createStringError("the plugins '" + other->name +
                                           "' and '" + (*plugin)->name +
                                           "' both lower the operator '" +
                                           row.domain + "." + row.name + "'");
    }
    plugins.push_back(*plugin);
  }
  std::map<const Plugin *, llvm::StringMap<std::string>> values;
  for (const std::string &setting : settings)
    if (llvm::Error error = applySetting(setting, plugins, values))
      return error;
  for (const Plugin *plugin : plugins)
    options.plugins.push_back({plugin, plugin->makeOptions(values[plugin])});
  return llvm::Error::success();
}

namespace {
/// Gives a context the operators of the plugins.
struct OperatorExtension : DialectExtension<OperatorExtension, DlcDialect> {
  explicit OperatorExtension(std::vector<PluginUse> plugins)
      : plugins(std::move(plugins)) {}

  void apply(MLIRContext *context, DlcDialect *) const override {
    for (const PluginUse &use : plugins)
      for (OpRow row : use.plugin->operators) {
        row.options = use.options.get();
        ContextRows::get(*context).add(row, use.options);
      }
  }

  std::vector<PluginUse> plugins;
};
} // namespace

void dlc::registerPlugins(DialectRegistry &registry,
                          const CompileOptions &options) {
  for (const PluginUse &use : options.plugins)
    use.plugin->dialects.appendTo(registry);
  if (!options.plugins.empty())
    registry.addExtension(TypeID::get<OperatorExtension>(),
                          std::make_unique<OperatorExtension>(options.plugins));
}

void dlc::addPluginPasses(OpPassManager &pm, PassPoint point,
                          const CompileOptions &options) {
  OpPassManager::Nesting nesting = pm.getNesting();
  pm.setNesting(OpPassManager::Nesting::Implicit);
  for (const PluginUse &use : options.plugins)
    for (const auto &[at, build] : use.plugin->passes)
      if (at == point)
        build(pm, *use.options);
  pm.setNesting(nesting);
}

void dlc::printPlugins(raw_ostream &os, const CompileOptions &options) {
  static constexpr StringLiteral points[] = {"after-import", "graph-early",
                                             "graph-late", "tensor"};
  for (const PluginUse &use : options.plugins) {
    const Plugin &plugin = *use.plugin;
    os << plugin.name << " " << plugin.version << " (" << plugin.path << ")\n";
    MLIRContext context(MLIRContext::Threading::DISABLED);
    for (auto [i, name] : llvm::enumerate(points)) {
      PassManager pm(&context, ModuleOp::getOperationName());
      CompileOptions one;
      one.plugins = {use};
      addPluginPasses(pm, PassPoint(i), one);
      if (pm.empty())
        continue;
      os << "  passes at " << name << ": ";
      pm.printAsTextualPipeline(os);
      os << "\n";
    }
    for (const std::string &name : plugin.passNames)
      os << "  pass " << name << "\n";
    for (const OpRow &row : plugin.operators)
      os << "  operator " << row.domain << "." << row.name << "\n";
    for (StringRef name : plugin.dialects.getDialectNames())
      os << "  dialect " << name << "\n";
    for (const TargetArch *target : plugin.targets)
      os << "  target " << target->name << ": " << target->description << "\n";
    for (const Plugin::Option &option : plugin.options)
      os << "  option " << option.name << "=" << option.kind << " ("
         << option.otherwise << "): " << option.description << "\n";
  }
}
