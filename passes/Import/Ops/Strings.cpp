// Operators on tensors of strings. Their work is the runtime's (rt_strings.c),
// which is called in loops.

#include "passes/Import/Ops/Strings.h"
#include "passes/Import/Ops/Regex.h"

using namespace mlir;
using namespace dlc;

static bool isString(NodeImport &node, Value x) {
  return isa<StringType>(node.elementType(x));
}

/// Every input is a tensor of strings, as ONNX's types say.
static LogicalResult expectStrings(NodeImport &node) {
  for (unsigned i = 0; i < node.numInputs(); ++i)
    if (node.hasInput(i) && !isString(node, node.input(i))) {
      node.error() << "expected " << node.inputName(i) << " of strings, found "
                   << node.type(node.input(i));
      return failure();
    }
  return success();
}

Value dlc::zipStrings(NodeImport &node, Value a, Value c, Type type,
                      function_ref<Num(Emit &, Num, Num)> body) {
  Emit e(node);
  if (failed(broadcastShapes({node.type(a).getShape(), node.type(c).getShape()},
                             node.loc))) {
    node.hasFailed = true;
    return {};
  }
  Elements sizes = broadcastSizes(node.b, node.loc, {a, c});
  for (Value operand : {a, c})
    if (failed(node.expectBroadcast(operand, sizes, "an operand")))
      return {};
  Value x = e.plain(node.broadcast(a, sizes)),
        y = e.plain(node.broadcast(c, sizes));
  return e.generateInLoops(sizes, type, [&](ArrayRef<Num> at) {
    return body(e, e.load(x, at), e.load(y, at)).value;
  });
}

Value dlc::equalStrings(NodeImport &node, Value a, Value c) {
  Type i1 = node.b.getI1Type();
  return zipStrings(node, a, c, i1, [&](Emit &e, Num x, Num y) {
    return e.callFor(i1, "string_equal", {x.value, y.value});
  });
}

/// An element of a tensor of `from` as the address of a string.
static Num writeNumber(Emit &e, Num x, Type from) {
  OpBuilder &b = e.b;
  Type index = b.getIndexType();
  if (auto number = dyn_cast<FloatType>(from)) {
    int64_t digits = number.getWidth() > 32 ? 17 : 9;
    return e.callFor(
        index, "string_from_float",
        {e.toDouble(x).value, e.constant(digits, b.getI32Type()).value});
  }
  bool isUnsigned = from.isUnsignedInteger();
  Num wide = e.to(x, b.getI64Type(), isUnsigned);
  return e.callFor(index, "string_from_int",
                   {wide.value, e.constant(isUnsigned, b.getI32Type()).value});
}

Value dlc::castStrings(NodeImport &node, Value x, Type to) {
  Emit e(node);
  OpBuilder &b = node.b;
  Type from = node.elementType(x);
  if (from == to)
    return x;
  Type other = isa<StringType>(to) ? from : to;
  if (!other.isIntOrFloat()) {
    node.error() << "expected a conversion between numbers and strings, found "
                 << from << " to " << to;
    return {};
  }
  if (isa<StringType>(to)) {
    // Small types through wider ones.
    if (from.getIntOrFloatBitWidth() < 16 && !from.isInteger(1))
      x = node.cast(x, isa<FloatType>(from) ? Type(b.getF32Type())
                                            : Type(b.getI32Type()));
    Value read = e.plain(x);
    Type type = node.elementType(x);
    Value names;
    if (from.isInteger(1))
      names = e.plain(node.strings({"False", "True"}, {2}));
    Value result = e.generateInLoops(
        node.dims(x), b.getIndexType(), [&](ArrayRef<Num> at) -> Value {
          Num element = e.load(read, at);
          if (names)
            return e.load(names, e.to(element, b.getIndexType())).value;
          return writeNumber(e, element, type).value;
        });
    return e.typed(result, to);
  }
  Value read = e.plain(x);
  // True is any number but 0, be it whole or not.
  bool isFloat = isa<FloatType>(to) || to.isInteger(1);
  Type wide = isFloat ? Type(b.getF64Type()) : Type(b.getI64Type());
  Value numbers =
      e.generateInLoops(node.dims(x), wide, [&](ArrayRef<Num> at) -> Value {
        return e
            .callFor(wide, isFloat ? "string_to_float" : "string_to_int",
                     e.load(read, at).value)
            .value;
      });
  return node.cast(numbers, to);
}

static ImportResult importStringConcat(NodeImport &node) {
  if (failed(expectStrings(node)))
    return failure();
  Emit e(node);
  Type index = node.b.getIndexType();
  Value result = zipStrings(
      node, node.input(0), node.input(1), index, [&](Emit &e, Num x, Num y) {
        return e.callFor(index, "string_concat", {x.value, y.value});
      });
  if (!result)
    return failure();
  return node.result(e.typed(result, node.elementType(node.input(0))));
}

/// The address of a constant string.
static Value addressOf(Emit &e, StringRef text) {
  return e.load(e.plain(e.node.strings(text, {})), {}).value;
}

/// The parts of each string, in a last dimension of their own, and how many
/// there are.
static ImportResult importStringSplit(NodeImport &node) {
  if (failed(expectStrings(node)))
    return failure();
  Emit e(node);
  Value x = node.input(0);
  SmallVector<int64_t> shape(node.type(x).getShape());
  auto counts = RankedTensorType::get(shape, node.b.getI64Type());
  shape.push_back(ShapedType::kDynamic);
  auto parts = RankedTensorType::get(shape, node.b.getIndexType());
  int64_t most = node.getInt("maxsplit", -1);
  Emit::Values results =
      e.call("string_split",
             {x, addressOf(e, node.getString("delimiter", "")),
              e.constant(most, node.b.getI64Type()).value},
             {parts, counts});
  return node.results({e.typed(results[0], node.elementType(x)), results[1]});
}

static ImportResult importStringNormalizer(NodeImport &node) {
  if (failed(expectStrings(node)))
    return failure();
  Emit e(node);
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  StringRef action = node.getString("case_change_action", "NONE");
  int64_t letters = action == "NONE"    ? 0
                    : action == "LOWER" ? 1
                    : action == "UPPER" ? 2
                                        : -1;
  if (letters < 0) {
    node.error() << "expected the case_change_action NONE, LOWER or UPPER, "
                    "found '"
                 << action << "'";
    return failure();
  }
  if (rank != 1 && rank != 2) {
    node.error() << "expected X of rank 1 or 2, found rank " << rank;
    return failure();
  }
  if (rank == 2 &&
      failed(node.expectEqual(node.dim(x, 0), node.index(1), "X of one row")))
    return failure();
  SmallVector<StringRef> words =
      node.node.getStrings("stopwords").value_or(SmallVector<StringRef>());
  Value stopwords = node.strings(words, int64_t(words.size()));
  SmallVector<int64_t> shape(rank, ShapedType::kDynamic);
  if (rank == 2)
    shape[0] = 1;
  // The attribute's name says when letters of another case are others.
  bool anyCase = !node.getInt("is_case_sensitive", 0);
  Value result =
      e.call("string_normalize",
             {x, stopwords, e.constant(letters, node.b.getI64Type()).value,
              e.constant(anyCase, node.b.getI32Type()).value},
             RankedTensorType::get(shape, node.b.getIndexType()))[0];
  return node.result(e.typed(result, node.elementType(x)));
}

/// The pattern becomes a table of a finite automaton, which the run looks up a
/// byte at a time.
static ImportResult importRegexFullMatch(NodeImport &node) {
  if (failed(expectStrings(node)))
    return failure();
  Emit e(node);
  OpBuilder &b = node.b;
  Value x = node.input(0);
  StringRef pattern = node.getString("pattern", "");
  FailureOr<RegexTable> table = compileRegex(pattern, [&](const Twine &why) {
    node.error() << "expected a pattern of RE2, found '" << pattern
                 << "': " << why;
  });
  if (failed(table))
    return failure();
  int64_t states = table->accepts.size();
  auto tensor = [&](ArrayRef<int64_t> shape, Type type) {
    return RankedTensorType::get(shape, type);
  };
  Value classes = node.constant(DenseElementsAttr::get(
      tensor({256}, b.getI8Type()), ArrayRef<uint8_t>(table->classes)));
  Value next = node.constant(DenseElementsAttr::get(
      tensor({states, table->numClasses}, b.getI32Type()),
      ArrayRef<int32_t>(table->next)));
  Value accepts = node.constant(DenseElementsAttr::get(
      tensor({states}, b.getI8Type()), ArrayRef<uint8_t>(table->accepts)));
  Value read = e.plain(x);
  return node.result(
      e.generateInLoops(node.dims(x), b.getI1Type(), [&](ArrayRef<Num> at) {
        return e
            .callFor(b.getI1Type(), "string_matches",
                     {e.load(read, at).value, classes, next, accepts})
            .value;
      }));
}

static OpRows rows{
    {"", "StringConcat", 20, importStringConcat},
    {"", "StringSplit", 20, importStringSplit},
    {"", "StringNormalizer", 10, importStringNormalizer},
    {"", "RegexFullMatch", 20, importRegexFullMatch},
};
