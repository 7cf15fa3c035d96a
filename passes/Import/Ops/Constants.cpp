// Constants and ranges.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/IndexRange.h"
#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

static Value sizeValue(NodeImport &node, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(node.b, node.loc, size);
}

static ImportResult importConstant(NodeImport &node) {
  onnx::NodeOp op = node.node;
  if (ElementsAttr value = op.getTensor("value")) {
    if (Value strings = createStrings(node.b, node.loc, value))
      return node.result(strings);
    if (!isa<IntegerType, FloatType, ComplexType>(value.getElementType())) {
      node.error() << "expected a constant of numbers, found "
                   << value.getElementType();
      return failure();
    }
    return node.result(node.constant(value));
  }
  if (op.hasAttribute("value_float"))
    return node.result(
        node.scalar(op.getFloat("value_float", 0), node.b.getF32Type()));
  if (op.hasAttribute("value_int"))
    return node.result(node.constant(
        DenseElementsAttr::get(RankedTensorType::get({}, node.b.getI64Type()),
                               ArrayRef<int64_t>{op.getInt("value_int", 0)})));
  if (auto values = op.getFloats("value_floats"))
    return node.result(node.constant(DenseElementsAttr::get(
        RankedTensorType::get(values->size(), node.b.getF32Type()),
        ArrayRef<float>(*values))));
  if (auto values = op.getInts("value_ints"))
    return node.result(node.integers(*values));
  if (op.hasAttribute("value_string"))
    return node.result(
        node.strings(op.getString("value_string", ""), /*shape=*/{}));
  if (auto values = op.getStrings("value_strings"))
    return node.result(node.strings(*values, int64_t(values->size())));
  node.error() << "expected a constant of numbers or strings, found another "
                  "kind";
  return failure();
}

static ImportResult importConstantOfShape(NodeImport &node) {
  std::optional<Elements> sizes = node.elements(node.input(0), /*read=*/true);
  if (!sizes)
    return failure();
  if (!node.graph.getElements(node.input(0)))
    node.expectMemory(*sizes);
  Value value;
  if (ElementsAttr given = node.node.getTensor("value")) {
    value = node.constant(given);
    value = node.reshape(value, {});
  } else {
    value = node.scalar(0, node.b.getF32Type());
  }
  return node.result(node.broadcast(value, *sizes));
}

/// How many numbers from `start` by `step` are before `limit`. No 128 bits
/// overflow.
static int64_t countRange(__int128 start, __int128 limit, __int128 step) {
  __int128 span = step > 0 ? limit - start : start - limit;
  __int128 stride = step > 0 ? step : -step;
  __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  return int64_t(std::min<__int128>(count, kLargestSize));
}

/// start, start + step, … below limit; of integers or floats.
static ImportResult importRange(NodeImport &node) {
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Value start = node.input(0), limit = node.input(1), step = node.input(2);
  Type element = node.elementType(start);
  Emit e(node);
  auto read = [&](Value x) -> Value { return e.loadScalar(x); };
  OpFoldResult count;
  auto elementOf = [&](Value x) {
    std::optional<Elements> known = node.elements(x);
    return known && known->size() == 1 ? known : std::nullopt;
  };
  std::optional<Elements> s = elementOf(start), l = elementOf(limit),
                          d = elementOf(step);
  auto numberOf = [](std::optional<Elements> &known) {
    return known ? getConstantIntValue(known->front()) : std::nullopt;
  };
  std::optional<int64_t> knownStart = numberOf(s), knownLimit = numberOf(l),
                         knownStep = numberOf(d);
  if (knownStart && knownLimit && knownStep.value_or(0) != 0) {
    count = node.index(countRange(*knownStart, *knownLimit, *knownStep));
  } else if (s && l && knownStep.value_or(0) != 0) {
    // ceil((limit - start) / step), 0 where that is negative
    Value span = b.createOrFold<arith::SubIOp>(loc, sizeValue(node, l->front()),
                                               sizeValue(node, s->front()));
    Value quotient = b.createOrFold<arith::CeilDivSIOp>(
        loc, span, sizeValue(node, d->front()));
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    count = quotient;
    if (getIndexRange(count, /*wraps=*/false).low < 0)
      count = b.createOrFold<arith::MaxSIOp>(loc, quotient, zero);
    if (std::optional<int64_t> constant = getConstantIntValue(count))
      count = node.index(*constant);
  } else if (isa<FloatType>(element) && node.constantFloat(start) &&
             node.constantFloat(limit) && node.constantFloat(step)) {
    double n =
        std::ceil((*node.constantFloat(limit) - *node.constantFloat(start)) /
                  *node.constantFloat(step));
    count = node.index(std::max<int64_t>(0, toSize(n)));
  } else {
    Value from = read(start), to = read(limit), by = read(step), n;
    e.check(e.num(by) != 0, "expected a delta other than 0");
    if (isa<FloatType>(element)) {
      Type wide = b.getF64Type();
      auto widen = [&](Value x) -> Value {
        return x.getType() == wide
                   ? x
                   : Value(arith::ExtFOp::create(b, loc, wide, x));
      };
      Value quotient = arith::DivFOp::create(
          b, loc, arith::SubFOp::create(b, loc, widen(to), widen(from)),
          widen(by));
      Value zero = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0));
      e.check(e.num(quotient) == e.num(quotient),
              "expected a start, a limit and a delta that are numbers");
      quotient = arith::MaxNumFOp::create(b, loc, quotient, zero);
      // The ceiling: truncate, and add 1 where that is less.
      Value whole = e.to(e.num(quotient), b.getI64Type());
      Value back = arith::SIToFPOp::create(b, loc, wide, whole);
      Value more = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT,
                                         back, quotient);
      n = arith::AddIOp::create(
          b, loc, whole, arith::ExtUIOp::create(b, loc, b.getI64Type(), more));
    } else {
      // A delta of 0 ended the run; the quotient must not trap before.
      auto wide = [&](Value x) { return e.to(e.num(x), b.getI64Type()); };
      Num first = wide(from), last = wide(to), delta = wide(by);
      Num span = last - first;
      e.check((last < first) == (span < 0),
              "expected a start and a limit less than 2^63 apart");
      Num divisor = e.select(delta == 0, delta.like(1), delta);
      n = arith::CeilDivSIOp::create(b, loc, span, divisor);
      n = e.max(e.num(n), 0);
    }
    count = arith::IndexCastOp::create(b, loc, b.getIndexType(), n).getResult();
  }
  std::optional<int64_t> constant = getConstantIntValue(count);
  SmallVector<Value> dynamic;
  if (!constant)
    dynamic.push_back(llvm::cast<Value>(count));
  auto type = RankedTensorType::get(constant ? *constant : ShapedType::kDynamic,
                                    element);
  Value from = read(start), by = read(step);
  auto generate = tensor::GenerateOp::create(
      b, loc, type, dynamic, [&](OpBuilder &b, Location loc, ValueRange at) {
        Value i = arith::IndexCastOp::create(b, loc, b.getI64Type(), at[0]);
        Value value;
        if (isa<FloatType>(element)) {
          Value x = arith::SIToFPOp::create(b, loc, element, i);
          value = arith::AddFOp::create(b, loc, from,
                                        arith::MulFOp::create(b, loc, x, by));
        } else {
          Value x = i;
          if (element.getIntOrFloatBitWidth() < 64)
            x = arith::TruncIOp::create(b, loc, element, i);
          value = arith::AddIOp::create(b, loc, from,
                                        arith::MulIOp::create(b, loc, x, by));
        }
        tensor::YieldOp::create(b, loc, value);
      });
  return node.result(generate.getResult());
}

static OpRows rows{
    {"", "Constant", 1, importConstant},
    {"", "ConstantOfShape", 9, importConstantOfShape},
    {"", "Range", 11, importRange},
};
