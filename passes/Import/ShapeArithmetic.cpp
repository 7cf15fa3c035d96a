// Nodes on small integer tensors, evaluated element by element while
// importing. Exporters compute shapes with chains such as
// Shape -> Gather -> Mul -> Concat -> Reshape; what is constant there becomes
// static, and the rest plain index arithmetic. Elements are values of their
// type: what it cannot hold wraps.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/IndexRange.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

/// More elements than these are data, not shapes.
static constexpr size_t kMostElements = 64;

namespace {

struct Evaluator {
  NodeImport &node;
  /// Of the result.
  IntegerType type;
  SmallVector<Elements> inputs;
  bool isScalarResult = false;

  bool isScalar(unsigned i) { return node.rank(node.input(i)) == 0; }

  OpFoldResult folded(Value value) {
    if (std::optional<int64_t> constant = getConstantIntValue(value))
      return node.index(*constant);
    return value;
  }

  Value value(OpFoldResult x) {
    return getValueOrCreateConstantIndexOp(node.b, node.loc, x);
  }

  Value compare(arith::CmpIPredicate predicate, OpFoldResult x, int64_t y) {
    return node.b.createOrFold<arith::CmpIOp>(node.loc, predicate, value(x),
                                              value(node.index(y)));
  }

  /// `x` as a value of the result's type, of which it has the low bits.
  OpFoldResult wrap(OpFoldResult x) {
    unsigned width = type.getWidth();
    if (width == 64 ||
        getIndexRange(x).isInside(llvm::minIntN(width), llvm::maxIntN(width)))
      return x;
    if (std::optional<int64_t> constant = getConstantIntValue(x))
      return node.index(llvm::SignExtend64(*constant, width));
    // Two casts of index alone would fold to nothing.
    Type i64 = node.b.getI64Type();
    Value low = arith::IndexCastOp::create(node.b, node.loc, i64, value(x));
    low = arith::TruncIOp::create(node.b, node.loc,
                                  node.b.getIntegerType(width), low);
    low = arith::ExtSIOp::create(node.b, node.loc, i64, low);
    return OpFoldResult(node.b.createOrFold<arith::IndexCastOp>(
        node.loc, node.b.getIndexType(), low));
  }

  template <typename OpTy>
  OpFoldResult arithmetic(OpFoldResult x, OpFoldResult y) {
    return wrap(
        folded(node.b.createOrFold<OpTy>(node.loc, value(x), value(y))));
  }

  template <typename OpTy> std::optional<Elements> binary() {
    auto combine = [&](OpFoldResult x, OpFoldResult y) {
      return arithmetic<OpTy>(x, y);
    };
    return zip(combine);
  }

  /// Broadcasting of two operands of one dimension at most.
  std::optional<Elements>
  zip(function_ref<OpFoldResult(OpFoldResult, OpFoldResult)> combine) {
    if (inputs.size() != 2)
      return std::nullopt;
    size_t a = inputs[0].size(), c = inputs[1].size();
    if (a != c && a != 1 && c != 1)
      return std::nullopt;
    isScalarResult = isScalar(0) && (node.numInputs() == 1 || isScalar(1));
    Elements result;
    for (size_t i = 0, e = a == 1 ? c : a; i < e; ++i)
      result.push_back(
          combine(inputs[0][a == 1 ? 0 : i], inputs[1][c == 1 ? 0 : i]));
    return result;
  }

  bool isDivisor(unsigned i) {
    return llvm::all_of(inputs[i], [](OpFoldResult x) {
      std::optional<int64_t> constant = getConstantIntValue(x);
      return constant && *constant > 0;
    });
  }

  /// The result has the sign of the divisor, which is positive, or with fmod
  /// that of the dividend.
  std::optional<Elements> modulo() {
    if (node.getInt("fmod", 0))
      return binary<arith::RemSIOp>();
    return zip([&](OpFoldResult x, OpFoldResult y) {
      OpFoldResult rest = arithmetic<arith::RemSIOp>(x, y);
      if (getIndexRange(x).low >= 0)
        return rest;
      Value isNegative = compare(arith::CmpIPredicate::slt, rest, 0);
      return folded(node.b.createOrFold<arith::SelectOp>(
          node.loc, isNegative, value(arithmetic<arith::AddIOp>(rest, y)),
          value(rest)));
    });
  }

  std::optional<Elements> gather() {
    std::optional<SmallVector<int64_t>> indices =
        getConstantIntValues(inputs[1]);
    if (!indices || isScalar(0))
      return std::nullopt;
    isScalarResult = isScalar(1);
    Elements result;
    int64_t size = inputs[0].size();
    for (int64_t i : *indices) {
      if (i < -size || i >= size)
        return std::nullopt;
      result.push_back(inputs[0][i < 0 ? i + size : i]);
    }
    return result;
  }

  std::optional<Elements> concat() {
    Elements result;
    for (const Elements &input : inputs)
      llvm::append_range(result, input);
    return result;
  }

  std::optional<Elements> slice() {
    if (isScalar(0))
      return std::nullopt;
    auto number = [&](size_t i, int64_t otherwise) -> std::optional<int64_t> {
      if (i >= inputs.size() || !node.hasInput(i))
        return otherwise;
      if (inputs[i].size() != 1)
        return std::nullopt;
      return getConstantIntValue(inputs[i].front());
    };
    std::optional<int64_t> begin = number(1, 0), end = number(2, 0),
                           step = number(4, 1);
    if (!begin || !end || !step || *step == 0)
      return std::nullopt;
    int64_t size = inputs[0].size();
    Elements result;
    if (size == 0)
      return result;
    auto clamp = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? at + size : at, low, high);
    };
    bool isForward = *step > 0;
    int64_t i = isForward ? clamp(*begin, 0, size) : clamp(*begin, 0, size - 1);
    int64_t last = isForward      ? clamp(*end, 0, size)
                   : *end < -size ? -1
                                  : clamp(*end, -1, size - 1);
    while (isForward ? i < last : i > last) {
      result.push_back(inputs[0][i]);
      if (llvm::AddOverflow(i, *step, i))
        break;
    }
    return result;
  }

  /// ReduceProd along the only axis, or along none.
  std::optional<Elements> product() {
    if (isScalar(0))
      return std::nullopt;
    size_t count = 0;
    if (node.hasInput(1))
      count = inputs[1].size();
    else if (auto axes = node.getInts("axes"))
      count = axes->size();
    if (count > 1)
      return std::nullopt;
    if (count == 0 && node.getInt("noop_with_empty_axes", 0))
      return inputs[0];
    OpFoldResult result = node.index(1);
    for (OpFoldResult element : inputs[0])
      result = arithmetic<arith::MulIOp>(result, element);
    isScalarResult = !node.getInt("keepdims", 1);
    return Elements{result};
  }

  std::optional<Elements> negative() {
    isScalarResult = isScalar(0);
    Elements result;
    for (OpFoldResult element : inputs[0])
      result.push_back(arithmetic<arith::SubIOp>(node.index(0), element));
    return result;
  }

  /// ConstantOfShape: a number repeated.
  std::optional<Elements> repeated() {
    std::optional<SmallVector<int64_t>> sizes = getConstantIntValues(inputs[0]);
    ElementsAttr value = node.node.getTensor("value");
    if (!sizes || !value || isScalar(0) || sizes->size() > 1)
      return std::nullopt;
    isScalarResult = sizes->empty();
    int64_t count = sizes->empty() ? 1 : sizes->front();
    if (count < 0 || count > int64_t(kMostElements))
      return std::nullopt;
    std::optional<SmallVector<int64_t>> number =
        node.constants(node.constant(value));
    if (!number || number->size() != 1)
      return std::nullopt;
    return Elements(count, node.index(number->front()));
  }

  std::optional<Elements> range() {
    std::optional<int64_t> bounds[3];
    for (auto [bound, input] : llvm::zip(bounds, inputs))
      bound =
          input.size() == 1 ? getConstantIntValue(input.front()) : std::nullopt;
    auto [start, limit, step] = bounds;
    if (!start || !limit || !step || *step == 0)
      return std::nullopt;
    Elements result;
    for (int64_t i = *start; *step > 0 ? i < *limit : i > *limit;) {
      if (result.size() == kMostElements)
        return std::nullopt;
      result.push_back(node.index(i));
      if (llvm::AddOverflow(i, *step, i))
        break;
    }
    return result;
  }

  /// x == y where that is known, as 0 or 1.
  std::optional<Elements> equal() {
    bool known = true;
    std::optional<Elements> result = zip([&](OpFoldResult x, OpFoldResult y) {
      IndexRange a = getIndexRange(x), c = getIndexRange(y);
      bool differs = a.high < c.low || c.high < a.low;
      bool same = areEqualSizes(x, y);
      known &= same || differs;
      return OpFoldResult(node.index(same));
    });
    return known ? result : std::nullopt;
  }

  /// x < y, or with `orEqual` x <= y, where that is known.
  std::optional<Elements> less(bool orEqual, bool swapped) {
    // A range is one of signed numbers.
    if (node.elementType(node.input(0)).isUnsignedInteger())
      return std::nullopt;
    bool known = true;
    std::optional<Elements> result = zip([&](OpFoldResult x, OpFoldResult y) {
      if (swapped)
        std::swap(x, y);
      IndexRange a = getIndexRange(x), c = getIndexRange(y);
      bool same = areEqualSizes(x, y);
      bool holds = same ? orEqual : orEqual ? a.high <= c.low : a.high < c.low;
      bool fails = same ? !orEqual : orEqual ? c.high < a.low : c.high <= a.low;
      known &= holds || fails;
      return OpFoldResult(node.index(holds));
    });
    return known ? result : std::nullopt;
  }

  /// Conditions that are all known.
  std::optional<Elements> logic(function_ref<bool(bool, bool)> combine) {
    for (const Elements &input : inputs)
      if (!getConstantIntValues(input))
        return std::nullopt;
    return zip([&](OpFoldResult x, OpFoldResult y) {
      return OpFoldResult(node.index(
          combine(*getConstantIntValue(x) != 0, *getConstantIntValue(y) != 0)));
    });
  }

  std::optional<Elements> negation() {
    inputs.push_back({node.index(1)});
    return logic([](bool x, bool) { return !x; });
  }

  /// Cast: the low bits, and of a condition whether it is not 0.
  Elements cast() {
    isScalarResult = isScalar(0);
    Elements result;
    for (OpFoldResult x : inputs[0])
      result.push_back(type.getWidth() == 1 ? isNonZero(x) : castSize(x));
    return result;
  }

  OpFoldResult isNonZero(OpFoldResult x) {
    if (getIndexRange(x).isInside(0, 1))
      return x;
    Value condition = compare(arith::CmpIPredicate::ne, x, 0);
    if (std::optional<int64_t> constant = getConstantIntValue(condition))
      return node.index(*constant != 0);
    return folded(node.b.createOrFold<arith::IndexCastUIOp>(
        node.loc, node.b.getIndexType(), condition));
  }

  /// A dimension stays the value that it is, so that it is seen to be equal to
  /// others; one that the type cannot hold ends the run.
  OpFoldResult castSize(OpFoldResult x) {
    int64_t most = llvm::maxIntN(type.getWidth());
    if (IndexRange range = getIndexRange(x);
        getConstantIntValue(x) || range.high <= most ||
        !range.isInside(0, 2 * kLargestSize))
      return wrap(x);
    node.check(compare(arith::CmpIPredicate::sle, x, most),
               "expected a size of at most " + Twine(most) + " for its type",
               kValueStatus);
    return x;
  }

  std::optional<Elements> where() {
    std::optional<SmallVector<int64_t>> condition =
        getConstantIntValues(inputs[0]);
    if (!condition)
      return std::nullopt;
    size_t count =
        std::max({inputs[0].size(), inputs[1].size(), inputs[2].size()});
    for (const Elements &input : inputs)
      if (input.size() != count && input.size() != 1)
        return std::nullopt;
    isScalarResult = isScalar(0) && isScalar(1) && isScalar(2);
    auto at = [&](size_t which, size_t i) {
      return inputs[which][inputs[which].size() == 1 ? 0 : i];
    };
    Elements result;
    for (size_t i = 0; i < count; ++i)
      result.push_back(
          at((*condition)[condition->size() == 1 ? 0 : i] ? 1 : 2, i));
    return result;
  }

  std::optional<Elements> run() {
    StringRef op = node.node.getOpType();
    if (op == "Add")
      return binary<arith::AddIOp>();
    if (op == "Sub")
      return binary<arith::SubIOp>();
    if (op == "Mul")
      return binary<arith::MulIOp>();
    if (op == "Div")
      return isDivisor(1) ? binary<arith::DivSIOp>() : std::nullopt;
    if (op == "Mod")
      return isDivisor(1) ? modulo() : std::nullopt;
    if (op == "Max")
      return binary<arith::MaxSIOp>();
    if (op == "Min")
      return binary<arith::MinSIOp>();
    if (op == "Neg")
      return negative();
    if (op == "ConstantOfShape")
      return repeated();
    if (op == "Range")
      return range();
    if (op == "Gather")
      return gather();
    if (op == "Concat")
      return concat();
    if (op == "Slice")
      return slice();
    if (op == "ReduceProd")
      return product();
    if (op == "Equal")
      return equal();
    if (op == "Less" || op == "LessOrEqual")
      return less(op == "LessOrEqual", /*swapped=*/false);
    if (op == "Greater" || op == "GreaterOrEqual")
      return less(op == "GreaterOrEqual", /*swapped=*/true);
    if (op == "Not")
      return negation();
    if (op == "And")
      return logic([](bool x, bool y) { return x && y; });
    if (op == "Or")
      return logic([](bool x, bool y) { return x || y; });
    if (op == "Xor")
      return logic([](bool x, bool y) { return x != y; });
    if (op == "Where")
      return where();
    if (op == "Squeeze") {
      isScalarResult = true;
      bool namesAxis = !node.hasInput(1) || inputs[1].size() == 1;
      return inputs[0].size() == 1 && namesAxis ? std::optional(inputs[0])
                                                : std::nullopt;
    }
    if (op == "Unsqueeze")
      return isScalar(0) && inputs[1].size() == 1 ? std::optional(inputs[0])
                                                  : std::nullopt;
    if (op == "Reshape") {
      // To one dimension or none, where the number of elements fits.
      int64_t count = inputs[0].size();
      isScalarResult = inputs[1].empty();
      OpFoldResult size = isScalarResult ? node.index(1) : inputs[1].front();
      bool fits = isConstantIntValue(size, count) ||
                  (isConstantIntValue(size, -1) && !isScalarResult);
      return inputs[1].size() <= 1 && fits ? std::optional(inputs[0])
                                           : std::nullopt;
    }
    if (op == "Identity") {
      isScalarResult = isScalar(0);
      return inputs[0];
    }
    if (op == "Cast")
      return cast();
    return std::nullopt;
  }
};

} // namespace

std::optional<Value> dlc::importShapeArithmetic(NodeImport &node) {
  if (!node.node.getDomain().empty() || node.numOutputs() != 1 ||
      node.numInputs() == 0)
    return std::nullopt;
  auto type =
      dyn_cast_if_present<RankedTensorType>(node.node.getResult(0).getType());
  if (type && type.getRank() > 1)
    return std::nullopt;
  // Integers of 32 bits and more, and conditions.
  auto element = dyn_cast_if_present<IntegerType>(node.inferredElementType(0));
  if (!element || element.isUnsigned() ||
      (element.getWidth() < 32 && element.getWidth() != 1))
    return std::nullopt;
  Evaluator evaluator{node, element, {}};
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    std::optional<Elements> elements =
        node.hasInput(i) ? node.elements(node.input(i)) : Elements();
    if (!elements || elements->size() > kMostElements)
      return std::nullopt;
    evaluator.inputs.push_back(std::move(*elements));
  }
  std::optional<Elements> result = evaluator.run();
  if (!result)
    return std::nullopt;
  return node.fromElements(*result, element, evaluator.isScalarResult);
}
