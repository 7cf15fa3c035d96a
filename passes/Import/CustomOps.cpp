// Reads the files of --custom-ops, and makes rows of the table of their
// functions. CustomOpInliner.cpp puts a function in the place of a node.

#include "passes/Import/CustomOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Import/CustomOpInliner.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace dlc;

/// What a file gives, as long as the context lives.
namespace {
struct CustomFile {
  OwningOpRef<ModuleOp> module;
  std::map<std::string, std::vector<func::FuncOp>> functions;
};
} // namespace

/// Parses the file. The parser's notes list every dialect there is, so they
/// are left out.
static OwningOpRef<ModuleOp> parse(MLIRContext &context, StringRef path) {
  std::vector<std::pair<Location, std::string>> errors;
  OwningOpRef<ModuleOp> module;
  {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
        return failure();
      errors.emplace_back(diagnostic.getLocation(), diagnostic.str());
      return success();
    });
    module = parseSourceFile<ModuleOp>(path, &context);
  }
  // Nor is there a flag for what one of its messages says.
  for (const auto &[loc, text] : errors)
    emitError(loc)
        << StringRef(text).split(". If this is intended").first.trim();
  return module;
}

/// Replaces calls of the file's own functions by their bodies.
static LogicalResult inlineCalls(ModuleOp module) {
  if (!module.walk([](CallOpInterface) { return WalkResult::interrupt(); })
           .wasInterrupted())
    return success();
  // The inliner drops private functions that nobody calls any more.
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr(kOperatorName))
      function.setPublic();
  PassManager pm(module.getContext(), ModuleOp::getOperationName());
  pm.addPass(createInlinerPass());
  if (failed(pm.run(module)))
    return failure();
  WalkResult left = module.walk([](CallOpInterface call) {
    call->emitError("expected a call of a function of this file that has a "
                    "body and does not call itself");
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}

/// Whether an attribute of a node can be given as a value of that type.
static bool isAttributeType(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.getElementType().isSignlessIntOrFloat();
  return type.isSignlessIntOrIndexOrFloat();
}

/// Checks the arguments and results of a function.
static LogicalResult checkSignature(func::FuncOp function) {
  if (function.isDeclaration())
    return function.emitError("expected a body for the operator '")
           << function.getName() << "'";
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    Attribute name = function.getArgAttr(i, kAttributeName);
    Attribute otherwise = function.getArgAttr(i, kDefaultName);
    if (name && (!isa<StringAttr>(name) || !isAttributeType(type)))
      return function.emitError("argument ")
             << i << " of '" << function.getName() << "': expected "
             << kAttributeName
             << " to name an attribute, and a number or a tensor of numbers, "
                "found "
             << name << " : " << type;
    if (!name && !isa<RankedTensorType>(type))
      return function.emitError("argument ")
             << i << " of '" << function.getName()
             << "': expected a tensor of known rank, or " << kAttributeName
             << " = \"name\", found " << type;
    auto typed = dyn_cast_if_present<TypedAttr>(otherwise);
    if (otherwise && (!name || !typed || typed.getType() != type))
      return function.emitError("argument ")
             << i << " of '" << function.getName() << "': expected a "
             << kDefaultName << " of type " << type << ", found " << otherwise;
  }
  for (Type type : function.getResultTypes())
    if (!isa<RankedTensorType>(type))
      return function.emitError("'")
             << function.getName()
             << "': expected tensors of known rank as results, found " << type;
  if (Attribute when = function->getAttr(kWhenName);
      when && !isa<DictionaryAttr>(when))
    return function.emitError("'")
           << function.getName() << "': expected a dictionary of attributes as "
           << kWhenName << ", found " << when;
  return success();
}

/// Collects the functions by the operators that they are for.
static LogicalResult collect(CustomFile &file) {
  for (Operation &op : *file.module->getBody()) {
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function)
      return op.emitError("expected functions in a file of operators, found '")
             << op.getName() << "'";
    auto given = function->getAttrOfType<StringAttr>(kOperatorName);
    StringRef name = given ? given.getValue() : function.getName();
    auto [domain, operation] = name.rsplit("::");
    bool isOperator = !domain.empty() && !operation.empty();
    if (!isOperator && !given && function.isPrivate())
      continue; // a helper
    if (!isOperator)
      return function.emitError("expected a name of the form 'domain::Name', "
                                "or 'private' for a function that others "
                                "call, found '")
             << name << "'";
    if (domain == "ai.onnx" || domain == "dlc" || findOpRow(domain, operation))
      return function.emitError("expected an operator that dlc lacks, in a "
                                "domain other than ONNX's, found '")
             << name << "'";
    if (failed(checkSignature(function)))
      return failure();
    file.functions[name.str()].push_back(function);
  }
  return success();
}

LogicalResult dlc::addCustomOps(MLIRContext &context, StringRef path) {
  Location nowhere = UnknownLoc::get(&context);
  if (auto buffer = llvm::MemoryBuffer::getFile(path); !buffer)
    return emitError(nowhere) << "cannot read the operators in '" << path
                              << "': " << buffer.getError().message();
  auto file = std::make_shared<CustomFile>();
  file->module = parse(context, path);
  if (!file->module || failed(inlineCalls(*file->module)) ||
      failed(collect(*file)))
    return failure();
  if (file->functions.empty())
    return emitError(nowhere)
           << "expected operators, functions named 'domain::Name', in '" << path
           << "', found none";
  auto inliner = std::make_shared<CustomOpInliner>(context, path);
  for (const auto &[name, functions] : file->functions) {
    auto [domain, operation] = StringRef(name).rsplit("::");
    if (ContextRows::get(context).find(domain, operation))
      return emitError(nowhere) << "the operator '" << name << "' of '" << path
                                << "' has a lowering already";
    OpRow row{domain, operation, 1,
              [inliner, functions = functions](NodeImport &node) {
                return inliner->import(node, functions);
              }};
    ContextRows::get(context).add(row, file);
  }
  return success();
}
