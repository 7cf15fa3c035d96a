// The sum of the elements of a row: how it begins, grows, and ends.
#include "passes/Cpu/RowSum.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

/// Where sums of exponentials begin, so that none is larger than its sum.
static constexpr double kFirstSum = 2;

static Value constantLike(ImplicitLocOpBuilder &b, Type type, double value) {
  TypedAttr attr = b.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

Value RowSum::neutral(int64_t width) const {
  TypedAttr attr = addsExponentials ? b.getF32FloatAttr(0)
                                    : *arith::getNeutralElement(addition);
  if (width)
    attr = DenseElementsAttr::get(VectorType::get({width}, attr.getType()),
                                  Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

SmallVector<Value> RowSum::start(int64_t width, int64_t vectors) const {
  Value zero = neutral(width);
  if (!addsExponentials)
    return SmallVector<Value>(countSlots(vectors), zero);
  return {constantLike(b, zero.getType(), kFirstSum), zero};
}

void RowSum::accumulate(MutableArrayRef<Value> slots, Value added,
                        int64_t lanes) const {
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
    if (!addsExponentials) {
      slots[i] = combine(slots[i], part);
      continue;
    }
    // Exact, as the sum is not less than what is added (Dekker).
    Value next = arith::AddFOp::create(b, slots[0], part);
    Value done = arith::SubFOp::create(b, next, slots[0]);
    Value left = arith::SubFOp::create(b, part, done);
    slots[0] = next;
    slots[1] = arith::AddFOp::create(b, slots[1], left);
  }
}

Value RowSum::combine(Value x, Value y) const {
  if (addsExponentials)
    return arith::AddFOp::create(b, x, y, arith::FastMathFlags::reassoc);
  Operation *copy = b.clone(*addition);
  copy->setOperands({x, y});
  copy->getResult(0).setType(x.getType());
  return copy->getResult(0);
}

Value RowSum::combineLanes(Value vector) const {
  auto type = dyn_cast<VectorType>(vector.getType());
  if (!type)
    return vector;
  int64_t half = type.getNumElements() / 2;
  for (; half > 1; half /= 2) {
    SmallVector<int64_t> low(half), high(half);
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), half);
    vector = combine(vector::ShuffleOp::create(b, vector, vector, low),
                     vector::ShuffleOp::create(b, vector, vector, high));
  }
  return combine(vector::ExtractOp::create(b, vector, 0),
                 vector::ExtractOp::create(b, vector, 1));
}

Value RowSum::finish(ArrayRef<Value> slots) const {
  if (!addsExponentials) {
    Value all = slots[0];
    for (Value other : slots.drop_front())
      all = combine(all, other);
    return combineLanes(all);
  }
  // What is rounded is little beside the sum, and may be added up in f32.
  auto widen = [&](Value value) -> Value {
    Type wide = b.getF64Type();
    if (auto vector = dyn_cast<VectorType>(value.getType()))
      wide = vector.clone(wide);
    return arith::ExtFOp::create(b, wide, value);
  };
  Value first = constantLike(b, slots[0].getType(), kFirstSum);
  Value high = widen(arith::SubFOp::create(b, slots[0], first));
  return arith::AddFOp::create(b, combineLanes(high),
                               widen(combineLanes(slots[1])));
}
