// Makes subprograms of nodes and scopes of locations.
#include "lib/Codegen/DebugInfo.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/Buffer/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;
using llvm::StringRef;

namespace {

/// Where an op comes from. Without a name it is a place in IR as text.
struct Origin {
  StringAttr node;
  FileLineColLoc place;
};

class DebugInfo {
public:
  DebugInfo(ModuleOp module, StringRef main, StringRef listing,
            bool isOptimized)
      : module(module), context(module.getContext()), main(main),
        listing(listing), isOptimized(isOptimized) {}

  void add();

private:
  LLVM::DIFileAttr getFile(StringRef name) {
    return LLVM::DIFileAttr::get(
        context, name == modelFile && !listing.empty() ? listing : name,
        /*directory=*/"");
  }
  LLVM::DISubprogramAttr makeSubprogram(StringRef name, StringRef symbol,
                                        FileLineColLoc place);
  LLVM::DISubprogramAttr getSubprogram(const Origin &origin);
  void addTo(LLVM::LLVMFuncOp function);

  ModuleOp module;
  MLIRContext *context;
  StringRef main;
  StringRef modelFile, listing;
  bool isOptimized;
  LLVM::DICompileUnitAttr unit;
  StringAttr graph; ///< names what is of no node: that has main's location
  /// By the node's name and its place.
  llvm::DenseMap<std::pair<Attribute, Attribute>, LLVM::DISubprogramAttr>
      subprograms;
};

} // namespace

/// The first node in a location, or else its first place in a file.
static Origin getOrigin(Location loc) {
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    Origin found;
    for (Location part : fused.getLocations()) {
      Origin origin = getOrigin(part);
      if (origin.node && origin.place)
        return origin;
      if (!found.place)
        found = origin;
    }
    return found;
  }
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return getOrigin(call.getCallee());
  if (auto name = dyn_cast<NameLoc>(loc)) {
    Origin origin = getOrigin(name.getChildLoc());
    if (!origin.node)
      origin.node = name.getName();
    // A node's line is its index; lines begin at 1.
    if (auto place = origin.place)
      origin.place = FileLineColLoc::get(
          place.getFilename(), place.getLine() + 1, place.getColumn());
    return origin;
  }
  return {nullptr, dyn_cast<FileLineColLoc>(loc)};
}

LLVM::DISubprogramAttr DebugInfo::makeSubprogram(StringRef name,
                                                 StringRef symbol,
                                                 FileLineColLoc place) {
  auto flags = LLVM::DISubprogramFlags::Definition |
               LLVM::DISubprogramFlags::LocalToUnit;
  if (isOptimized)
    flags = flags | LLVM::DISubprogramFlags::Optimized;
  LLVM::DIFileAttr file = getFile(place.getFilename());
  return LLVM::DISubprogramAttr::get(
      context, DistinctAttr::create(UnitAttr::get(context)), unit, file,
      StringAttr::get(context, name),
      symbol.empty() ? StringAttr() : StringAttr::get(context, symbol), file,
      place.getLine(), place.getLine(), flags,
      LLVM::DISubroutineTypeAttr::get(context, llvm::dwarf::DW_CC_normal, {}),
      /*retainedNodes=*/{}, /*annotations=*/{});
}

LLVM::DISubprogramAttr DebugInfo::getSubprogram(const Origin &origin) {
  LLVM::DISubprogramAttr &found =
      subprograms[{origin.node, LocationAttr(origin.place)}];
  if (!found)
    found = makeSubprogram(origin.node, /*symbol=*/"", origin.place);
  return found;
}

/// "conv1+relu1+add1+..."
static std::string joinNames(ArrayRef<StringRef> nodes) {
  constexpr size_t most = 4;
  std::string text = llvm::join(nodes.take_front(most), "+");
  return nodes.size() > most ? text + "+..." : text;
}

/// How many kernels share a function.
static size_t countSharers(Location loc) {
  auto fused = dyn_cast<FusedLoc>(loc);
  auto word =
      fused ? dyn_cast_or_null<StringAttr>(fused.getMetadata()) : StringAttr();
  return word && word.getValue() == kSharedBy ? fused.getLocations().size() : 1;
}

/// Whether it is no part of the model's interface, whose functions are found by
/// their names later.
static bool isKernel(LLVM::LLVMFuncOp function) {
  return function.getLinkage() == LLVM::Linkage::Internal ||
         SymbolTable::getSymbolVisibility(function) ==
             SymbolTable::Visibility::Private;
}

void DebugInfo::addTo(LLVM::LLVMFuncOp function) {
  llvm::SetVector<StringRef> nodes;
  FileLineColLoc start = getOrigin(function.getLoc()).place;
  StringRef symbol = function.getName();
  function.getBody().walk([&](Operation *op) {
    Origin origin = getOrigin(op->getLoc());
    if (graph && origin.node == graph)
      return;
    if (origin.node && origin.place)
      nodes.insert(origin.node);
    if (!start)
      start = origin.place;
  });
  if (!start)
    start = FileLineColLoc::get(unit.getFile().getName(), 0, 0);
  bool isNamed = !nodes.empty() && isKernel(function);
  std::string name = isNamed ? joinNames(nodes.getArrayRef()) : symbol.str();
  if (size_t sharers = countSharers(function.getLoc()); sharers > 1)
    name += llvm::formatv(" ({0} places)", sharers);
  LLVM::DISubprogramAttr own =
      makeSubprogram(name, isNamed ? "" : symbol, start);

  // The verifier wants every call to have a place: without one, line 0.
  auto nowhere = FileLineColLoc::get(start.getFilename(), 0, 0);
  function.getBody().walk([&](Operation *op) {
    Origin origin = getOrigin(op->getLoc());
    if (!origin.place || (graph && origin.node == graph))
      return op->setLoc(nowhere);
    if (!origin.node)
      return op->setLoc(origin.place);
    Location callee =
        FusedLoc::get(context, {origin.place}, getSubprogram(origin));
    Location caller = FusedLoc::get(context, {origin.place}, own);
    op->setLoc(CallSiteLoc::get(callee, caller));
  });
  function->setLoc(FusedLoc::get(context, {start}, own));
}

void DebugInfo::add() {
  StringRef file;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    if (function->getLoc()
            ->findInstanceOf<FusedLocWith<LLVM::DISubprogramAttr>>())
      return;
    Origin origin = getOrigin(function.getLoc());
    if (function.getName() == main)
      graph = origin.node;
    if (origin.place && file.empty())
      file = origin.place.getFilename();
  }
  modelFile = file;
  unit = LLVM::DICompileUnitAttr::get(
      DistinctAttr::create(UnitAttr::get(context)), llvm::dwarf::DW_LANG_C99,
      getFile(file.empty() ? "model" : file),
      StringAttr::get(context, "dlc " DLC_VERSION), isOptimized,
      LLVM::DIEmissionKind::Full, LLVM::DINameTableKind::None);
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (!function.isExternal())
      addTo(function);
}

void dlc::addDebugInfo(ModuleOp module, StringRef main, StringRef listing,
                       bool isOptimized) {
  DebugInfo(module, main, listing, isOptimized).add();
}

void dlc::nameAfterNodes(llvm::Module &module) {
  constexpr size_t longest = 200;
  for (llvm::Function &function : module) {
    llvm::DISubprogram *subprogram = function.getSubprogram();
    if (!subprogram || !subprogram->getLinkageName().empty())
      continue;
    // What assemblers and linkers give a meaning to stays out.
    std::string name = subprogram->getName().take_front(longest).str();
    for (char &c : name)
      if (!llvm::isPrint(c) || StringRef("\"\\@").contains(c))
        c = '_';
    std::string part = (function.getName() + "_part").str();
    function.setName(name);
    if (llvm::Function *caller = module.getFunction(part))
      caller->setName(name + " (part)");
  }
}
