// dlc.ExpectShapes: what the reader puts in front of a function body, so that
// the shapes that its operator asks for are checked. It has no results.

#include "passes/Import/Ops/Emit.h"
#include <map>

using namespace mlir;
using namespace dlc;

/// `shapes[i]` names the dimensions of input i: words that stand for one size
/// wherever they occur, words divided by a number ("size / 2") or less a number
/// ("kernel - 1"), and numbers. Inputs that have no words are not looked at.
static ImportResult importExpectShapes(NodeImport &node) {
  std::optional<SmallVector<StringRef>> shapes = node.node.getStrings("shapes");
  std::optional<SmallVector<StringRef>> names = node.node.getStrings("names");
  if (!shapes || !names || shapes->size() != names->size() ||
      shapes->size() < node.numInputs())
    return failure();
  Emit e(node);
  std::map<StringRef, OpFoldResult> sizes;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    Value x = node.input(i);
    StringRef shape = (*shapes)[i];
    if (!x || shape.empty())
      continue;
    std::string message =
        ("expected " + (*names)[i] + " of the shape [" + shape + "]").str();
    SmallVector<StringRef> words;
    shape.split(words, ", ");
    if (int64_t(words.size()) != node.rank(x)) {
      node.error() << message << ", found " << node.type(x);
      return failure();
    }
    Num fits = e.flag(true);
    for (auto [dim, text] : llvm::enumerate(words)) {
      bool isLess = text.contains(" - ");
      auto [word, operand] = text.split(isLess ? " - " : " / ");
      OpFoldResult have = node.dim(x, dim), want;
      int64_t number = 0, by = isLess ? 0 : 1;
      if (!word.getAsInteger(10, number))
        want = node.index(number);
      else if (auto it = sizes.find(word); it != sizes.end())
        want = it->second;
      if (!want && operand.empty()) {
        sizes[word] = have;
        continue;
      }
      if (!want || (!operand.empty() && operand.getAsInteger(10, by)))
        continue;
      OpFoldResult whole =
          isLess ? addSizes(node.b, node.loc, have, node.index(by))
                 : mulSizes(node.b, node.loc, have, node.index(by));
      if (!areEqualSizes(whole, want))
        fits = fits && e.index(whole) == e.index(want);
    }
    if (isConstantIntValue(fits.value, 0)) {
      node.error() << message << ", found " << node.type(x);
      return failure();
    }
    e.check(fits, message, /*status=*/0);
  }
  return SmallVector<Value>();
}

static OpRows rows{{"dlc", "ExpectShapes", 1, importExpectShapes}};
