// A sum along a row, of vectors and of parts of vectors.
#include "passes/Cpu/RowSum.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Tensor/RowOps.h"

using namespace mlir;
using namespace dlc;

/// Where sums of exponentials begin, so that none is larger than its sum.
static constexpr double kFirstSum = 2;

Value dlc::constantLike(ImplicitLocOpBuilder &b, Type type, double value) {
  TypedAttr attr = b.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

Operation *RowSum::findAddition(const RowStep &step) {
  Operation *combiner = findCombiner(linalg::GenericOp(step.op));
  if (isa_and_nonnull<arith::AddFOp, arith::MulFOp>(combiner) &&
      !bitEnumContainsAny(cast<arith::ArithFastMathInterface>(combiner)
                              .getFastMathFlagsAttr()
                              .getValue(),
                          arith::FastMathFlags::reassoc))
    return nullptr;
  return combiner;
}

Value RowSum::getNeutral(ImplicitLocOpBuilder &b, int64_t width) const {
  TypedAttr attr = step->addsExponentials
                       ? b.getF32FloatAttr(0)
                       : *arith::getNeutralElement(findAddition(*step));
  if (width)
    attr = DenseElementsAttr::get(VectorType::get({width}, attr.getType()),
                                  Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

SmallVector<Value> RowSum::start(ImplicitLocOpBuilder &b, int64_t width,
                                 int64_t vectors) const {
  Value zero = getNeutral(b, width);
  if (!step->addsExponentials)
    return SmallVector<Value>(countSlots(vectors), zero);
  return {constantLike(b, zero.getType(), kFirstSum), zero};
}

Value RowSum::getAddend(Value added) const {
  if (!step->addsExponentials)
    return added;
  // Before it was extended.
  if (auto extended = added.getDefiningOp<arith::ExtFOp>())
    added = extended.getIn();
  if (auto select = added.getDefiningOp<arith::SelectOp>();
      select && onesNumber)
    added = select.getFalseValue();
  return added;
}

void RowSum::accumulate(ImplicitLocOpBuilder &b, int64_t lanes,
                        MutableArrayRef<Value> sum, Value added) const {
  SmallVector<Value> parts{added};
  if (auto type = dyn_cast<VectorType>(added.getType());
      type && type.getNumElements() > lanes) {
    parts.clear();
    for (int64_t at = 0; at < type.getNumElements(); at += lanes) {
      SmallVector<int64_t> part(lanes);
      std::iota(part.begin(), part.end(), at);
      parts.push_back(vector::ShuffleOp::create(b, added, added, part));
    }
  }
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (!step->addsExponentials) {
      sum[i] = combine(b, sum[i], part);
      continue;
    }
    // Exact, as the sum is not less than what is added (Dekker).
    Value next = arith::AddFOp::create(b, sum[0], part);
    Value done = arith::SubFOp::create(b, next, sum[0]);
    Value left = arith::SubFOp::create(b, part, done);
    sum[0] = next;
    sum[1] = arith::AddFOp::create(b, sum[1], left);
  }
}

Value RowSum::combine(ImplicitLocOpBuilder &b, Value x, Value y) const {
  if (step->addsExponentials)
    return arith::AddFOp::create(b, x, y, arith::FastMathFlags::reassoc);
  Operation *copy = b.clone(*findAddition(*step));
  copy->setOperands({x, y});
  copy->getResult(0).setType(x.getType());
  return copy->getResult(0);
}

Value RowSum::combineLanes(ImplicitLocOpBuilder &b, Value vector) const {
  auto type = dyn_cast<VectorType>(vector.getType());
  if (!type)
    return vector;
  int64_t half = type.getNumElements() / 2;
  for (; half > 1; half /= 2) {
    SmallVector<int64_t> low(half), high(half);
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), half);
    vector = combine(b, vector::ShuffleOp::create(b, vector, vector, low),
                     vector::ShuffleOp::create(b, vector, vector, high));
  }
  return combine(b, vector::ExtractOp::create(b, vector, 0),
                 vector::ExtractOp::create(b, vector, 1));
}

SmallVector<Value> RowSum::finish(ImplicitLocOpBuilder &b,
                                  ArrayRef<Value> sum) const {
  if (!step->addsExponentials) {
    Value all = sum[0];
    for (Value other : sum.drop_front())
      all = combine(b, all, other);
    return {combineLanes(b, all)};
  }
  // What is rounded is little beside the sum, and may be added up in f32.
  auto widen = [&](Value value) -> Value {
    Type wide = b.getF64Type();
    if (auto vector = dyn_cast<VectorType>(value.getType()))
      wide = vector.clone(wide);
    return arith::ExtFOp::create(b, wide, value);
  };
  Value first = constantLike(b, sum[0].getType(), kFirstSum);
  Value high = widen(arith::SubFOp::create(b, sum[0], first));
  return {combineLanes(b, high), widen(combineLanes(b, sum[1]))};
}

void RowSum::store(ImplicitLocOpBuilder &b, ArrayRef<Value> total,
                   function_ref<Value(unsigned)> load,
                   function_ref<void(Value, unsigned)> store) const {
  Value sum = total.front();
  if (onesNumber) {
    // To the nearest integer; whatever there is with NaN, the rest has it.
    Value magic = constantLike(b, sum.getType(), 0x1.8p52);
    Value ones =
        arith::SubFOp::create(b, arith::AddFOp::create(b, sum, magic), magic);
    sum = arith::SubFOp::create(b, sum, ones);
    Value isNumber =
        arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, ones, ones);
    ones = arith::SelectOp::create(b, isNumber, ones,
                                   constantLike(b, ones.getType(), 0));
    ones = arith::FPToSIOp::create(b, b.getI32Type(), ones);
    store(arith::AddIOp::create(b, load(*onesNumber), ones), *onesNumber);
  }
  for (Value part : total.drop_front())
    sum = combine(b, sum, part);
  Value given = load(number);
  bool isNarrow = given.getType() != sum.getType();
  if (isNarrow)
    given = arith::ExtFOp::create(b, sum.getType(), given);
  sum = combine(b, given, sum);
  if (isNarrow)
    sum = arith::TruncFOp::create(b, b.getF32Type(), sum);
  store(sum, number);
}
