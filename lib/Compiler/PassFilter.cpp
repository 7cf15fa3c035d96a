// Leaves passes out of the pipeline.

#include "lib/Compiler/PassFilter.h"
#include "dlc/Registration.h"
#include "lib/Target/Target.h"
#include "mlir/IR/Action.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace dlc;

/// Passes that translate from one form to the next. A pass that is missing
/// here can be disabled, and then says itself what it cannot do without:
/// test/Compiler disables each of the others in turn.
static constexpr StringLiteral kRequired[] = {
    "dlc-import-onnx",
    "dlc-derive-shapes",
    "dlc-lower-to-linalg",
    "dlc-bind-interface",
    "one-shot-bufferize",
    "dlc-copy-to-linalg",
    "dlc-place-weights",
    "dlc-allocate-scratch",
    "dlc-plan-memory",
    "dlc-decompose-attention",
    "dlc-narrow-indices",
    "dlc-lower-contract",
    "dlc-lower-lookup",
    "dlc-fork-kernels",
    "convert-linalg-to-loops",
    "convert-math-to-funcs",
    "dlc-keep-fallback",
    "dlc-map-kernels",
    "dlc-place-on-device",
    "convert-math-to-llvm",
    "dlc-convert-kernels",
    "dlc-expand-math",
    "dlc-expand-reshapes",
    "expand-strided-metadata",
    "lower-affine",
    "convert-scf-to-cf",
    "arith-expand",
    "dlc-convert-to-llvm",
    "reconcile-unrealized-casts",
};

bool dlc::isRequiredPass(StringRef name) {
  return llvm::is_contained(kRequired, name);
}

/// Calls `visit` with each name in a textual pipeline: what is neither an
/// anchor, which a parenthesis follows, nor options, which stand in braces.
static void forEachName(StringRef pipeline,
                        llvm::function_ref<void(StringRef)> visit) {
  auto isName = [](char c) {
    return llvm::isAlnum(c) || c == '-' || c == '_' || c == '.';
  };
  for (unsigned depth = 0; !pipeline.empty();) {
    StringRef name = pipeline.take_while(isName);
    char next =
        pipeline.drop_front(name.size()).empty() ? ',' : pipeline[name.size()];
    if (!name.empty() && depth == 0 && next != '(')
      visit(name);
    depth += next == '{';
    depth -= next == '}';
    pipeline = pipeline.drop_front(std::min(name.size() + 1, pipeline.size()));
  }
}

std::vector<std::string> dlc::listPasses(OpPassManager &pm) {
  std::vector<std::string> names;
  std::string text;
  llvm::raw_string_ostream os(text);
  pm.printAsTextualPipeline(os);
  forEachName(text, [&](StringRef name) { names.push_back(name.str()); });
  return names;
}

std::vector<std::string> dlc::listPasses(const TargetSpec &target,
                                         const CompileOptions &options,
                                         Phase from, Phase to) {
  std::vector<std::string> names;
  MLIRContext context(MLIRContext::Threading::DISABLED);
  for (int i = int(from) + 1; i <= std::min(int(to), int(Phase::Llvm)); ++i) {
    PassManager pm(&context, ModuleOp::getOperationName());
    buildPhase(pm, Phase(i), target, options);
    llvm::append_range(names, listPasses(pm));
  }
  return names;
}

/// The messages of MLIR's parser of pipelines in one line, without the excerpt
/// of the text that follows each.
static std::string inOneLine(StringRef messages) {
  static constexpr StringLiteral prefix = "MLIR Textual PassPipeline Parser";
  SmallVector<StringRef> lines;
  messages.trim().split(lines, '\n');
  std::string text;
  for (auto [i, line] : llvm::enumerate(lines)) {
    bool isExcerpt = line.trim() == "^" ||
                     (i + 1 < lines.size() && lines[i + 1].trim() == "^");
    if (isExcerpt || line.trim().empty())
      continue;
    if (line.starts_with(prefix))
      line = line.split("error: ").second;
    text += (text.empty() ? "" : "; ") + line.trim().str();
  }
  return text;
}

/// Adds the passes of a textual pipeline, whose anchor may be left out.
static llvm::Error parsePasses(OpPassManager &pm, StringRef text) {
  StringRef passes = text.trim();
  // With its anchor it would be nested, and run on no module at all.
  if (passes.consume_front("builtin.module("))
    passes.consume_back(")");
  if (passes.empty())
    return llvm::Error::success();
  // Passes of plugins have registered themselves; all others do it here.
  registerPasses();
  std::string message;
  llvm::raw_string_ostream os(message);
  if (failed(parsePassPipeline(passes, pm, os)))
    return llvm::createStringError("cannot add the passes '" + text +
                                   "': " + inOneLine(message));
  return llvm::Error::success();
}

llvm::Error dlc::checkPasses(const CompileOptions &options,
                             const TargetSpec &target) {
  // Parsing tells what is wrong with a pipeline.
  MLIRContext context(MLIRContext::Threading::DISABLED);
  for (const auto &list : {options.addedPasses, options.replacedPasses})
    for (const auto &[phase, text] : list) {
      PassManager pm(&context, ModuleOp::getOperationName());
      if (llvm::Error error = parsePasses(pm, text))
        return error;
    }
  std::vector<std::string> names;
  if (!options.disabledPasses.empty())
    names = listPasses(target, options);
  for (const auto &[phase, text] : options.addedPasses)
    forEachName(text, [&](StringRef name) { names.push_back(name.str()); });
  return checkDisabled(options.disabledPasses, names);
}

llvm::Error dlc::checkDisabled(ArrayRef<std::string> disabledPasses,
                               ArrayRef<std::string> names) {
  for (const std::string &disabled : disabledPasses) {
    bool isKnown = llvm::is_contained(names, disabled);
    if (isKnown && !isRequiredPass(disabled))
      continue;
    std::vector<std::string> optional;
    for (const std::string &name : names)
      if (!isRequiredPass(name) && !llvm::is_contained(optional, name))
        optional.push_back(name);
    return llvm::createStringError(
        (isKnown ? "the pass '" + disabled + "' cannot be disabled"
                 : "no pass of the pipeline is named '" + disabled + "'") +
        "; these can be: " + llvm::join(optional, ", "));
  }
  return llvm::Error::success();
}

llvm::Error dlc::addPasses(OpPassManager &pm, Phase phase,
                           const CompileOptions &options) {
  for (const auto &[behind, text] : options.addedPasses)
    if (behind == phase)
      if (llvm::Error error = parsePasses(pm, text))
        return error;
  return llvm::Error::success();
}

llvm::Expected<bool> dlc::replacePasses(OpPassManager &pm, Phase phase,
                                        const CompileOptions &options) {
  for (const auto &[replaced, text] : options.replacedPasses)
    if (replaced == phase) {
      if (llvm::Error error = parsePasses(pm, text))
        return std::move(error);
      return true;
    }
  return false;
}

PassFilter::PassFilter(MLIRContext &context, const CompileOptions &options)
    : context(context), options(options),
      isActive(!options.disabledPasses.empty() || options.passLimit ||
               options.optionalPass) {
  if (!isActive)
    return;
  // Whoever executes a pass asks the context's handler of actions.
  context.registerActionHandler([this](llvm::function_ref<void()> execute,
                                       const tracing::Action &action) {
    auto *pass = dyn_cast<PassExecutionAction>(&action);
    if (!pass || wantsToRun(pass->getPass().getArgument()))
      execute();
  });
}

PassFilter::~PassFilter() {
  if (isActive)
    context.registerActionHandler(nullptr);
}

bool PassFilter::wantsToRun(StringRef name) {
  // Adaptors, which run nested passes, have no name.
  if (name.empty() || isRequiredPass(name))
    return true;
  if (llvm::is_contained(options.disabledPasses, name))
    return false;
  if (options.passLimit && count >= *options.passLimit)
    return false;
  ++count;
  if (options.optionalPass)
    options.optionalPass(phase, name);
  return true;
}
