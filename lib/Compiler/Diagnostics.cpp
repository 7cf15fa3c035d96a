// Prints diagnostics with the names of nodes.

#include "mlir/IR/Diagnostics.h"
#include "dlc/Compiler.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace dlc;

/// The file, with line and column where it is IR as text (a node's "line" is
/// its index), and the node's name in a location; fused ones name their first.
static std::pair<std::string, StringRef> describe(Location loc) {
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations()) {
      auto found = describe(part);
      if (!found.second.empty() || !found.first.empty())
        return found;
    }
    return {};
  }
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return describe(call.getCallee());
  if (auto name = dyn_cast<NameLoc>(loc))
    return {describe(name.getChildLoc()).first, name.getName()};
  auto file = dyn_cast<FileLineColLoc>(loc);
  if (!file)
    return {};
  std::string text = file.getFilename().str();
  if (StringRef(text).ends_with(".mlir") && file.getLine())
    text += (":" + Twine(file.getLine()) + ":" + Twine(file.getColumn())).str();
  return {text, ""};
}

void dlc::printDiagnostic(llvm::raw_ostream &os, Diagnostic &diagnostic) {
  auto [file, node] = describe(diagnostic.getLocation());
  os << (file.empty() ? "dlc" : file) << ": ";
  if (!node.empty())
    os << "node '" << node << "': ";
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    llvm::WithColor::error(os);
    break;
  case DiagnosticSeverity::Warning:
    llvm::WithColor::warning(os);
    break;
  case DiagnosticSeverity::Note:
    llvm::WithColor::note(os);
    break;
  case DiagnosticSeverity::Remark:
    llvm::WithColor::remark(os);
    break;
  }
  os << diagnostic.str() << "\n";
  for (Diagnostic &note : diagnostic.getNotes())
    printDiagnostic(os, note);
}

DiagnosticPrinter::DiagnosticPrinter(MLIRContext &context,
                                     llvm::raw_ostream &os)
    : context(context) {
  context.printOpOnDiagnostic(false);
  id = context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
    errors += diagnostic.getSeverity() == DiagnosticSeverity::Error;
    printDiagnostic(os, diagnostic);
    return success();
  });
}

DiagnosticPrinter::~DiagnosticPrinter() {
  context.getDiagEngine().eraseHandler(id);
}
