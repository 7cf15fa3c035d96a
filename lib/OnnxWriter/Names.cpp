/// \file
/// Gives every value the name that it has in the file.
#include "lib/OnnxWriter/Writer.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace dlc::writer;

/// The names of a graph. Names of graphs in it must differ from them, those of
/// graphs beside it need not.
struct Names::Scope {
  llvm::StringMap<unsigned> taken; // with the number tried last
  const Scope *outer = nullptr;

  bool isTaken(StringRef name) const {
    return taken.contains(name) || (outer && outer->isTaken(name));
  }
  std::string add(StringRef wanted) {
    std::string name = wanted.empty() ? "value" : wanted.str();
    if (isTaken(name)) {
      std::string base = name;
      unsigned &number = taken[base];
      do
        name = base + "_" + std::to_string(++number);
      while (isTaken(name));
    }
    taken.try_emplace(name, 0);
    return name;
  }
};

Names::Names(Operation *graph) {
  if (auto op = dyn_cast<ir::GraphOp>(graph))
    addBlock(op.getBody().front(), op.getInputs(), op.getOutputs(), nullptr);
  else if (auto op = dyn_cast<ir::FunctionOp>(graph))
    addBlock(op.getBody().front(), op.getInputs(), op.getOutputs(), nullptr);
}

void Names::addBlock(Block &block, ArrayAttr inputs, ArrayAttr outputs,
                     const Scope *outer) {
  Scope scope;
  scope.outer = outer;
  for (BlockArgument argument : block.getArguments())
    names[argument] = scope.add(ir::entryName(inputs, argument.getArgNumber()));
  // What a graph calls its outputs is not for others.
  for (auto [i, value] :
       llvm::enumerate(block.getTerminator()->getOperands())) {
    std::string name = ir::entryName(outputs, i).str();
    bool isFirst = value.getParentBlock() == &block && value.getDefiningOp() &&
                   !names.contains(value);
    // What passes moved to the graph around this one keeps its name there.
    bool isTakenAround = outer && outer->isTaken(name);
    bool isFree = !scope.isTaken(name);
    if (isFree || isTakenAround)
      name = scope.add(name);
    if (isFirst && (isFree || isTakenAround))
      names[value] = name;
    outputNames[{&block, i}] = name;
  }
  for (Operation &op : block) {
    if (auto initializer = dyn_cast<ir::InitializerOp>(op)) {
      if (!names.contains(initializer))
        names[initializer] = scope.add(initializer.getName());
    } else if (auto node = dyn_cast<ir::NodeOp>(op)) {
      for (auto [i, value] : llvm::enumerate(node.getResults()))
        if (!isa<NoneType>(value.getType()) && !names.contains(value))
          names[value] = scope.add(node.getOutputName(i));
    }
  }
  // Those inside see all of the outside.
  for (Operation &op : block)
    if (auto node = dyn_cast<ir::NodeOp>(op))
      for (auto [i, region] : llvm::enumerate(node.getBodies())) {
        DictionaryAttr info = node.getGraphInfo(i);
        addBlock(region.front(), info.getAs<ArrayAttr>("inputs"),
                 info.getAs<ArrayAttr>("outputs"), &scope);
      }
}
