// The nodes of a model as a text to read beside a debugger.

#include "lib/Compiler/ModelInfo.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace dlc;

/// The name of a value in the file; "?" where it has none.
static StringRef getValueName(Value value) {
  if (auto node = value.getDefiningOp<onnx::NodeOp>())
    return cast<StringAttr>(
               node.getOutputNames()[cast<OpResult>(value).getResultNumber()])
        .getValue();
  if (auto name = dyn_cast<NameLoc>(value.getLoc()))
    return name.getName();
  return "?";
}

static std::string describe(onnx::NodeOp node, StringRef name) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << name << ": ";
  if (!node.getDomain().empty())
    os << node.getDomain() << ".";
  os << node.getOpType() << "(";
  llvm::interleaveComma(node.getOperands(), os, [&](Value operand) {
    if (!isa<NoneType>(operand.getType()))
      os << getValueName(operand);
  });
  os << ") -> ";
  llvm::interleaveComma(node.getResults(), os, [&](Value result) {
    os << getValueName(result) << " " << result.getType();
  });
  for (char &c : text)
    if (c == '\n' || c == '\r')
      c = ' ';
  return text;
}

std::string dlc::listNodes(ModuleOp module) {
  StringRef file;
  std::vector<std::string> lines;
  module.walk([&](onnx::NodeOp node) {
    auto name = dyn_cast<NameLoc>(node.getLoc());
    auto place = name ? dyn_cast<FileLineColLoc>(name.getChildLoc()) : nullptr;
    if (!place || place.getColumn() != 0)
      return;
    if (file.empty())
      file = place.getFilename();
    // Functions have files of their own.
    if (place.getFilename() != file)
      return;
    lines.resize(std::max<size_t>(lines.size(), place.getLine() + 1));
    std::string &line = lines[place.getLine()];
    // An operator that was raised may be several nodes now.
    line += (line.empty() ? "" : "; ") + describe(node, name.getName());
  });
  std::string text;
  for (const std::string &line : lines)
    text += line + "\n";
  return text;
}
