// Nodes on small integer tensors, evaluated element by element while
// importing. Exporters compute shapes with chains such as
// Shape -> Gather -> Mul -> Concat -> Reshape; what is constant there becomes
// static, and the rest plain index arithmetic.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/GraphImporter.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

/// More elements than these are data, not shapes.
static constexpr size_t kMostElements = 64;

namespace {

struct Evaluator {
  NodeImport &node;
  SmallVector<Elements> inputs;
  bool isScalarResult = false;

  bool isScalar(unsigned i) { return node.rank(node.input(i)) == 0; }

  template <typename OpTy>
  OpFoldResult arithmetic(OpFoldResult x, OpFoldResult y) {
    Value lhs = getValueOrCreateConstantIndexOp(node.b, node.loc, x);
    Value rhs = getValueOrCreateConstantIndexOp(node.b, node.loc, y);
    Value result = node.b.createOrFold<OpTy>(node.loc, lhs, rhs);
    if (std::optional<int64_t> constant = getConstantIntValue(result))
      return node.index(*constant);
    return result;
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
    isScalarResult = isScalar(0) && isScalar(1);
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
      return arithmetic<arith::RemSIOp>(arithmetic<arith::AddIOp>(rest, y), y);
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
    auto clamp = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? at + size : at, low, high);
    };
    Elements result;
    if (*step > 0)
      for (int64_t i = clamp(*begin, 0, size), e = clamp(*end, 0, size); i < e;
           i += *step)
        result.push_back(inputs[0][i]);
    else
      for (int64_t i = clamp(*begin, 0, size - 1),
                   e = *end < -size ? -1 : clamp(*end, -1, size - 1);
           i > e; i += *step)
        result.push_back(inputs[0][i]);
    return result;
  }

  std::optional<Elements> product() {
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
      std::optional<int64_t> a = getConstantIntValue(x),
                             c = getConstantIntValue(y);
      // A size is never negative.
      bool differs = (a && *a < 0 && !c) || (c && *c < 0 && !a);
      known &= (a && c) || differs;
      return OpFoldResult(node.index(a && c && *a == *c));
    });
    return known ? result : std::nullopt;
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
    if (op == "Where")
      return where();
    if (op == "Squeeze") {
      isScalarResult = true;
      return inputs[0].size() == 1 ? std::optional(inputs[0]) : std::nullopt;
    }
    if (op == "Unsqueeze")
      return isScalar(0) && inputs[1].size() == 1 ? std::optional(inputs[0])
                                                  : std::nullopt;
    if (op == "Reshape") {
      if (inputs[1].size() > 1)
        return std::nullopt;
      isScalarResult = inputs[1].empty();
      return inputs[0];
    }
    if (op == "Identity" || op == "Cast") {
      isScalarResult = isScalar(0);
      return inputs[0];
    }
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
  Evaluator evaluator{node, {}};
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
