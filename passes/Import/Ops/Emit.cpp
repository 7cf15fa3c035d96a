// Scalar arithmetic as C++ expressions, and loops on tensors.

#include "passes/Import/Ops/Emit.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

template <typename IntOp, typename FloatOp>
static Num binary(const Num &a, const Num &c) {
  Emit &e = *a.emit;
  if (a.isFloat())
    return e.num(e.b.createOrFold<FloatOp>(e.loc, a.value, c.value));
  return e.num(e.b.createOrFold<IntOp>(e.loc, a.value, c.value));
}

Num Num::like(double number) const { return emit->constant(number, type()); }

Num Num::operator+(Num o) const {
  return binary<arith::AddIOp, arith::AddFOp>(*this, o);
}
Num Num::operator-(Num o) const {
  return binary<arith::SubIOp, arith::SubFOp>(*this, o);
}
Num Num::operator*(Num o) const {
  return binary<arith::MulIOp, arith::MulFOp>(*this, o);
}

/// An integer quotient or remainder that does not trap when o is 0.
template <typename OpTy> static Num safely(const Num &a, const Num &o) {
  Emit &e = *a.emit;
  std::optional<int64_t> constant = getConstantIntValue(o.value);
  if (constant && *constant > 0)
    return e.num(e.b.createOrFold<OpTy>(e.loc, a.value, o.value));
  Num isZero = o == 0;
  Num divisor = e.select(isZero, o.like(1), o);
  Num result = e.num(e.b.createOrFold<OpTy>(e.loc, a.value, divisor.value));
  return e.select(isZero, a.like(0), result);
}

Num Num::operator/(Num o) const {
  if (isFloat())
    return emit->num(
        emit->b.createOrFold<arith::DivFOp>(emit->loc, value, o.value));
  return safely<arith::DivSIOp>(*this, o);
}

Num Num::operator%(Num o) const {
  if (isFloat())
    return emit->num(
        emit->b.createOrFold<arith::RemFOp>(emit->loc, value, o.value));
  return safely<arith::RemSIOp>(*this, o);
}

static Num compare(const Num &a, const Num &c, arith::CmpIPredicate integer,
                   arith::CmpFPredicate number) {
  Emit &e = *a.emit;
  if (a.isFloat())
    return e.num(
        e.b.createOrFold<arith::CmpFOp>(e.loc, number, a.value, c.value));
  return e.num(
      e.b.createOrFold<arith::CmpIOp>(e.loc, integer, a.value, c.value));
}

Num Num::operator<(Num o) const {
  return compare(*this, o, arith::CmpIPredicate::slt,
                 arith::CmpFPredicate::OLT);
}
Num Num::operator<=(Num o) const {
  return compare(*this, o, arith::CmpIPredicate::sle,
                 arith::CmpFPredicate::OLE);
}
Num Num::operator==(Num o) const {
  return compare(*this, o, arith::CmpIPredicate::eq, arith::CmpFPredicate::OEQ);
}
Num Num::operator!() const {
  return emit->num(emit->b.createOrFold<arith::XOrIOp>(emit->loc, value,
                                                       emit->flag(true).value));
}
Num Num::operator&&(Num o) const {
  return emit->num(
      emit->b.createOrFold<arith::AndIOp>(emit->loc, value, o.value));
}
Num Num::operator||(Num o) const {
  return emit->num(
      emit->b.createOrFold<arith::OrIOp>(emit->loc, value, o.value));
}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Num Emit::index(int64_t value) {
  return num(arith::ConstantIndexOp::create(b, loc, value));
}

Num Emit::index(OpFoldResult size) {
  return num(getValueOrCreateConstantIndexOp(b, loc, size));
}

OpFoldResult Emit::fold(Num size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size.value))
    return b.getIndexAttr(*constant);
  return size.value;
}

SmallVector<Num> Emit::indices(ArrayRef<OpFoldResult> sizes) {
  SmallVector<Num> result;
  for (OpFoldResult size : sizes)
    result.push_back(index(size));
  return result;
}

Num Emit::constant(double value, Type type) {
  if (isa<ComplexType>(type)) {
    // Scalars of this type are no attributes: the element of a tensor, which
    // stands where an input does, for loops of scalars have no tensors.
    OpBuilder::InsertionGuard guard(b);
    for (unsigned i = 0; i < node.numInputs(); ++i)
      if (node.hasInput(i)) {
        b.setInsertionPointToStart(node.input(i).getParentBlock());
        break;
      }
    return load(node.scalar(value, type), {});
  }
  TypedAttr attr;
  if (isa<FloatType>(type))
    attr = b.getFloatAttr(type, value);
  else if (isa<IndexType>(type))
    attr = b.getIndexAttr(int64_t(value));
  else
    attr =
        b.getIntegerAttr(type, llvm::APInt(64, uint64_t(int64_t(value)))
                                   .sextOrTrunc(type.getIntOrFloatBitWidth()));
  return num(arith::ConstantOp::create(b, loc, attr));
}

Num Emit::min(Num a, Num c) {
  return binary<arith::MinSIOp, arith::MinNumFOp>(a, c);
}
Num Emit::max(Num a, Num c) {
  return binary<arith::MaxSIOp, arith::MaxNumFOp>(a, c);
}

Num Emit::select(Num condition, Num ifTrue, Num ifFalse) {
  return num(b.createOrFold<arith::SelectOp>(loc, condition.value, ifTrue.value,
                                             ifFalse.value));
}

template <typename OpTy> static Num unary(Emit &e, Num x) {
  return e.num(e.b.createOrFold<OpTy>(e.loc, x.value));
}
Num Emit::floor(Num x) { return unary<math::FloorOp>(*this, x); }
Num Emit::ceil(Num x) { return unary<math::CeilOp>(*this, x); }
Num Emit::abs(Num x) {
  if (!x.isFloat())
    return max(x, x.like(0) - x);
  return unary<math::AbsFOp>(*this, x);
}
Num Emit::sqrt(Num x) { return unary<math::SqrtOp>(*this, x); }
Num Emit::sin(Num x) { return unary<math::SinOp>(*this, x); }
Num Emit::cos(Num x) { return unary<math::CosOp>(*this, x); }
Num Emit::exp(Num x) { return unary<math::ExpOp>(*this, x); }
Num Emit::log(Num x) { return unary<math::LogOp>(*this, x); }
Num Emit::round(Num x) { return unary<math::RoundEvenOp>(*this, x); }
Num Emit::pow(Num x, Num y) {
  return num(b.createOrFold<math::PowFOp>(loc, x.value, y.value));
}

Num Emit::to(Num x, Type type, bool isUnsigned) {
  Type from = x.type();
  if (from == type)
    return x;
  bool zeroExtend = isUnsigned || from.isInteger(1);
  if (auto target = dyn_cast<FloatType>(type)) {
    if (isa<FloatType>(from)) {
      unsigned a = from.getIntOrFloatBitWidth(), c = target.getWidth();
      if (a < c)
        return num(arith::ExtFOp::create(b, loc, type, x.value));
      if (a > c)
        return num(arith::TruncFOp::create(b, loc, type, x.value));
      return to(to(x, b.getF32Type()), type);
    }
    if (isa<IndexType>(from))
      x = to(x, b.getI64Type());
    Type wide = computeTypeOf(type);
    Num result =
        num(zeroExtend ? Value(arith::UIToFPOp::create(b, loc, wide, x.value))
                       : Value(arith::SIToFPOp::create(b, loc, wide, x.value)));
    return to(result, type);
  }
  if (isa<FloatType>(from)) {
    Num wide = toDouble(x);
    Num isNumber = wide == wide;
    wide = select(isNumber, wide, wide.like(0));
    constexpr double most = 4611686018427387904.0; // 2^62
    wide = clamp(wide, wide.like(-most), wide.like(most));
    return to(num(arith::FPToSIOp::create(b, loc, b.getI64Type(), wide.value)),
              type);
  }
  if (isa<IndexType>(from) || isa<IndexType>(type)) {
    if (zeroExtend)
      return num(b.createOrFold<arith::IndexCastUIOp>(loc, type, x.value));
    return num(b.createOrFold<arith::IndexCastOp>(loc, type, x.value));
  }
  if (type.isInteger(1))
    return x != 0;
  unsigned a = from.getIntOrFloatBitWidth(), c = type.getIntOrFloatBitWidth();
  if (a > c)
    return num(arith::TruncIOp::create(b, loc, type, x.value));
  return num(zeroExtend ? Value(arith::ExtUIOp::create(b, loc, type, x.value))
                        : Value(arith::ExtSIOp::create(b, loc, type, x.value)));
}

Num Emit::wrapIndex(Num i, Num size) {
  i = select(i < 0, i + size, i);
  return max(min(i, size - 1), 0);
}

void Emit::checkRange(Value tensor, Num low, Num high, const Twine &message) {
  Value all = nest(node.dims(tensor), flag(true).value,
                   [&](ArrayRef<Num> at, ValueRange args) -> Values {
                     Num x = to(load(tensor, at), low.type());
                     return {num(args[0]) && x >= low && x <= high};
                   })[0];
  check(num(all), message);
}

void Emit::checkIndices(Value indices, ArrayRef<Num> extents, bool isLast) {
  Elements sizes = node.dims(indices);
  auto isInside = [&](Num i, Num extent) {
    return i >= extent * -1.0 && i < extent;
  };
  if (isLast)
    sizes.pop_back();
  Value all =
      nest(sizes, flag(true).value,
           [&](ArrayRef<Num> at, ValueRange args) -> Values {
             Num good = num(args[0]);
             for (auto [k, extent] : llvm::enumerate(extents)) {
               SmallVector<Num> place(at);
               if (isLast)
                 place.push_back(index(int64_t(k)));
               good = good && isInside(toIndex(load(indices, place)), extent);
             }
             return {good.value};
           })[0];
  check(num(all), "expected indices inside the operand, found one outside");
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// A cast between integers that differ in their sign only, from strings to
/// their addresses, and from small types to the byte they are kept in.
static Value retype(Emit &e, Value tensor, Type element) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getElementType() == element)
    return tensor;
  return UnrealizedConversionCastOp::create(e.b, e.loc, type.clone(element),
                                            tensor)
      .getResult(0);
}

Value Emit::plain(Value tensor) {
  if (!tensor)
    return {};
  Type element = getElementTypeOrSelf(tensor);
  // Less than a byte, and floats of a byte, are kept as one.
  if (element.isIntOrFloat() && element.getIntOrFloatBitWidth() > 1 &&
      element.getIntOrFloatBitWidth() <= 8)
    return retype(*this, tensor, b.getI8Type());
  if (auto integer = dyn_cast<IntegerType>(element))
    return retype(*this, tensor, b.getIntegerType(integer.getWidth()));
  if (isa<StringType>(element))
    return retype(*this, tensor, b.getIndexType());
  return tensor;
}

Emit::Values Emit::call(StringRef callee, ValueRange operands,
                        TypeRange types) {
  auto op = CallOp::create(b, loc, types, callee, operands);
  return Values(op.getResults());
}

Num Emit::callFor(Type type, StringRef callee, ValueRange operands) {
  return num(call(callee, operands, type)[0]);
}

Num Emit::isLess(Type element, Num x, Num y) {
  if (isa<StringType>(element))
    return callFor(b.getI1Type(), "string_less", {x.value, y.value});
  if (isa<FloatType>(element))
    return to(x, computeTypeOf(element)) < to(y, computeTypeOf(element));
  if (element.isUnsignedInteger() || element.isInteger(1))
    return num(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x.value,
                                     y.value));
  return x < y;
}

Value Emit::typed(Value tensor, Type elementType) {
  return retype(*this, tensor, elementType);
}

static SmallVector<Value> valuesOf(ArrayRef<Num> nums) {
  return SmallVector<Value>(nums.begin(), nums.end());
}

Num Emit::load(Value tensor, ArrayRef<Num> at) {
  RankedTensorType type = node.type(tensor);
  if (!node.hasFailed && type.getRank() != int64_t(at.size()))
    node.error() << "expected a tensor of rank " << at.size() << ", found "
                 << type;
  if (node.hasFailed) {
    // Something of the type, for what follows.
    Type element = type.getElementType();
    return num(ub::PoisonOp::create(b, loc, element));
  }
  return num(
      b.createOrFold<tensor::ExtractOp>(loc, tensor, ValueRange(valuesOf(at))));
}

Value Emit::store(Num x, Value tensor, ArrayRef<Num> at) {
  if (node.hasFailed)
    return tensor;
  return tensor::InsertOp::create(b, loc, x.value, tensor, valuesOf(at));
}

Num Emit::loadScalar(Value tensor) {
  tensor = plain(tensor);
  for (OpFoldResult size : node.dims(tensor))
    (void)node.expectEqual(size, node.index(1),
                           "a scalar, or a tensor of one element");
  SmallVector<Num> zeros(node.rank(tensor), index(int64_t(0)));
  return load(tensor, zeros);
}

Value Emit::empty(ArrayRef<OpFoldResult> sizes, Type elementType) {
  return tensor::EmptyOp::create(b, loc, sizes, elementType);
}

Value Emit::generateInLoops(ArrayRef<OpFoldResult> sizes, Type elementType,
                            function_ref<Value(ArrayRef<Num>)> body) {
  return nest(sizes, empty(sizes, elementType),
              [&](ArrayRef<Num> at, ValueRange args) -> Values {
                return {store(num(body(at)), args[0], at)};
              })[0];
}

Value Emit::filled(ArrayRef<OpFoldResult> sizes, Num scalar) {
  Value init = empty(sizes, scalar.type());
  return linalg::FillOp::create(b, loc, scalar.value, init).getResult(0);
}

Value Emit::generate(ArrayRef<OpFoldResult> sizes, Type elementType,
                     function_ref<Value(ArrayRef<Num>)> body) {
  Value init = empty(sizes, elementType);
  SmallVector<AffineMap> maps{b.getMultiDimIdentityMap(sizes.size())};
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, init.getType(), ValueRange(), init, maps, iterators,
             [&](OpBuilder &, Location, ValueRange) {
               SmallVector<Num> at;
               for (size_t i = 0; i < sizes.size(); ++i)
                 at.push_back(num(linalg::IndexOp::create(b, loc, i)));
               Value element = body(at);
               linalg::YieldOp::create(b, loc, element);
             })
      .getResult(0);
}

Value Emit::head(Value tensor, ArrayRef<OpFoldResult> sizes) {
  return generate(sizes, node.elementType(tensor),
                  [&](ArrayRef<Num> at) { return load(tensor, at); });
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

Emit::Values Emit::loop(Num low, Num high, ValueRange inits,
                        function_ref<Values(Num, ValueRange)> body) {
  return loop(low, high, index(1), inits, body);
}

Emit::Values Emit::loop(Num low, Num high, Num step, ValueRange inits,
                        function_ref<Values(Num, ValueRange)> body) {
  auto op =
      scf::ForOp::create(b, loc, low.value, high.value, step.value, inits,
                         [&](OpBuilder &, Location, Value i, ValueRange args) {
                           Values next = body(num(i), args);
                           scf::YieldOp::create(b, loc, next);
                         });
  return Values(op.getResults());
}

Emit::Values Emit::nest(ArrayRef<OpFoldResult> sizes, ValueRange inits,
                        function_ref<Values(ArrayRef<Num>, ValueRange)> body) {
  SmallVector<Num> at;
  std::function<Values(ValueRange)> level = [&](ValueRange args) -> Values {
    if (at.size() == sizes.size())
      return body(at, args);
    return loop(index(int64_t(0)), index(sizes[at.size()]), args,
                [&](Num i, ValueRange carried) {
                  at.push_back(i);
                  Values next = level(carried);
                  at.pop_back();
                  return next;
                });
  };
  return level(inits);
}

Emit::Values Emit::ifElse(Num condition, TypeRange types,
                          function_ref<Values()> then,
                          function_ref<Values()> otherwise) {
  (void)types;
  auto op = scf::IfOp::create(
      b, loc, condition.value,
      [&](OpBuilder &, Location) { scf::YieldOp::create(b, loc, then()); },
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(b, loc, otherwise());
      });
  return Values(op.getResults());
}

Emit::Values Emit::ifThen(Num condition, ValueRange unchanged,
                          function_ref<Values()> then) {
  return ifElse(condition, unchanged.getTypes(), then,
                [&] { return Values(unchanged); });
}

Num Emit::sum(ArrayRef<OpFoldResult> sizes, Type type,
              function_ref<Num(ArrayRef<Num>)> term) {
  Values result = nest(sizes, constant(0, type).value,
                       [&](ArrayRef<Num> at, ValueRange args) -> Values {
                         return {num(args[0]) + term(at)};
                       });
  return num(result[0]);
}

Value Emit::sorted(Num count, function_ref<Num(Num, Num)> less) {
  Num zero = index(int64_t(0)), one = index(1);
  OpFoldResult size = count.value;
  Value order = generate(size, b.getIndexType(),
                         [&](ArrayRef<Num> at) { return at[0].value; });
  Value scratch = empty(size, b.getIndexType());
  // Runs of 1, 2, 4, ... elements are merged in pairs until one is left.
  Num passes = num(
      loop(zero, index(63), zero.value, [&](Num p, ValueRange args) -> Values {
        Num width = num(arith::ShLIOp::create(b, loc, one.value, p.value));
        return {select(width < count, p + 1, num(args[0]))};
      })[0]);
  auto pass = [&](Num p, ValueRange buffers) -> Values {
    Num width = num(arith::ShLIOp::create(b, loc, one.value, p.value));
    Value from = buffers[0];
    auto mergeRuns = [&](Num start, ValueRange args) -> Values {
      Num middle = min(start + width, count), end = min(middle + width, count);
      Values state{start.value, middle.value, args[0]};
      auto take = [&](Num at, ValueRange args) -> Values {
        Num left = num(args[0]), right = num(args[1]);
        Num i = load(from, min(left, count - 1));
        Num j = load(from, min(right, count - 1));
        Num rightFirst = (right < end) && ((left >= middle) || less(j, i));
        Value stored = store(select(rightFirst, j, i), args[2], at);
        return {select(rightFirst, left, left + 1),
                select(rightFirst, right + 1, right), stored};
      };
      return {loop(start, end, state, take)[2]};
    };
    Value merged = loop(zero, count, width * 2, buffers[1], mergeRuns)[0];
    Value copied = loop(zero, count, from, [&](Num i, ValueRange args) {
      return Values{store(load(merged, i), args[0], i)};
    })[0];
    return {copied, merged};
  };
  return loop(zero, passes, {order, scratch}, pass)[0];
}
