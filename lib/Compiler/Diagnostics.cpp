// Prints diagnostics with the names of nodes.

#include "mlir/IR/Diagnostics.h"
#include "dlc/Compiler.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Where a message belongs: the file, with line and column where it is IR as
/// text, and the name of a node, or of a value, graph or function.
struct Place {
  std::string file;
  StringRef name;
  bool isNode = true;
};

} // namespace

/// Of fused locations the first. One with a text is that of a name that is no
/// node's: see Model::namedLoc in lib/OnnxReader.
static Place describe(Location loc) {
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations()) {
      Place found = describe(part);
      if (!found.name.empty() || !found.file.empty())
        return found;
    }
    return {};
  }
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return describe(call.getCallee());
  if (auto name = dyn_cast<NameLoc>(loc)) {
    Place place = describe(name.getChildLoc());
    place.name = name.getName();
    place.isNode = !isa<FusedLocWith<StringAttr>>(name.getChildLoc());
    return place;
  }
  auto file = dyn_cast<FileLineColLoc>(loc);
  if (!file)
    return {};
  std::string text = file.getFilename().str();
  if (StringRef(text).ends_with(".mlir") && file.getLine())
    text += (":" + Twine(file.getLine()) + ":" + Twine(file.getColumn())).str();
  return {text, ""};
}

void dlc::printDiagnostic(llvm::raw_ostream &os, Diagnostic &diagnostic) {
  Place place = describe(diagnostic.getLocation());
  os << (place.file.empty() ? "dlc" : place.file) << ": ";
  if (!place.name.empty())
    os << (place.isNode ? "node '" : "'") << place.name << "': ";
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
