// com.microsoft.Tokenizer, with which skl2onnx takes texts apart.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Regex.h"

using namespace mlir;
using namespace dlc;

/// Whether a pattern asks where in the text it is.
static bool hasAssert(const RegexNode &pattern) {
  return pattern.kind == RegexNode::Assert ||
         llvm::any_of(pattern.children, hasAssert);
}

/// The state from which nothing is matched any more, -1 where there is none.
static int32_t findDeadState(const RegexTable &table) {
  for (int32_t state = 0; state < int32_t(table.accepts.size()); ++state) {
    auto next =
        ArrayRef(table.next).slice(state * table.numClasses, table.numClasses);
    if (!table.accepts[state] && llvm::all_equal(next) &&
        (next.empty() || next.front() == state))
      return state;
  }
  return -1;
}

/// What the pattern matches, in a last dimension of its own. Matches are the
/// longest ones, and do not overlap.
static ImportResult importTokenizer(NodeImport &node) {
  Emit e(node);
  OpBuilder &b = node.b;
  Value x = node.input(0);
  if (!isa<StringType>(node.elementType(x)) || node.rank(x) < 1 ||
      node.rank(x) > 2) {
    node.error() << "expected X of strings and of rank 1 or 2, found "
                 << node.type(x);
    return failure();
  }
  StringRef pattern = node.getString("tokenexp", "");
  int64_t least = node.getInt("mincharnum", 1);
  if (pattern.empty() || node.node.getStrings("separators")) {
    node.error() << "expected a tokenexp and no separators";
    return failure();
  }
  if (least < 1) {
    node.error() << "expected a mincharnum of 1 or more, found " << least;
    return failure();
  }
  auto refuse = [&](const Twine &why) {
    node.error() << "expected a tokenexp of RE2, found '" << pattern
                 << "': " << why;
  };
  FailureOr<RegexNode> read = parseRegex(pattern, refuse);
  if (failed(read))
    return failure();
  if (hasAssert(*read)) {
    refuse("a token does not know what stands around it");
    return failure();
  }
  FailureOr<RegexTable> table = compileRegex(pattern, refuse);
  if (failed(table))
    return failure();
  int64_t states = table->accepts.size();
  auto list = [&](ArrayRef<int64_t> shape, Type type, auto values) {
    return node.constant(
        DenseElementsAttr::get(RankedTensorType::get(shape, type), values));
  };
  Value classes = list({256}, b.getI8Type(), ArrayRef<uint8_t>(table->classes));
  Value next = list({states, table->numClasses}, b.getI32Type(),
                    ArrayRef<int32_t>(table->next));
  Value accepts =
      list({states}, b.getI8Type(), ArrayRef<uint8_t>(table->accepts));
  Value pad =
      e.load(e.plain(node.strings(node.getString("pad_value", ""), {})), {});
  SmallVector<int64_t> shape(node.type(x).getShape());
  shape.push_back(ShapedType::kDynamic);
  Type i32 = b.getI32Type();
  Value tokens = e.call("tokens",
                        {e.plain(x), classes, next, accepts,
                         e.constant(findDeadState(*table), i32).value,
                         e.constant(least, b.getI64Type()).value, pad,
                         e.constant(node.getInt("mark", 0) != 0, i32).value},
                        RankedTensorType::get(shape, b.getIndexType()))[0];
  return node.result(e.typed(tokens, node.elementType(x)));
}

static OpRows rows{{"com.microsoft", "Tokenizer", 1, importTokenizer}};
