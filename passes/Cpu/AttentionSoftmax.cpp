// The softmax of a tile of scores, with what comes from the tiles before.
#include "passes/Cpu/AttentionSoftmax.h"
#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/VectorAccess.h"

using namespace mlir;
using namespace dlc;

/// So many weights are added up before the sum is: that of many would lose
/// digits.
static constexpr int64_t kAddedKeys = 32;

namespace {

/// Arithmetic on numbers of one type, or vectors of them.
class SoftmaxEmitter {
public:
  SoftmaxEmitter(ImplicitLocOpBuilder &b, const SoftmaxState &state)
      : b(b), math(b), state(state),
        element(getElementTypeOrSelf(state.sum.getType())),
        vector(VectorType::get({state.lanes}, element)) {}

  void emitStart();
  void emitByKeys(Value scores, const CausalEnd &end);
  void emitByRows(Value scores, Value keys, const CausalEnd &end);
  void emitOfGroup(Value scores, const SoftmaxGroup &group);
  void emitZeros(Value buffer);

private:
  using Values = SmallVector<Value>;

  Value number(double value, Type type) {
    TypedAttr attr = b.getFloatAttr(element, value);
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, attr);
  }
  Value infinity(Type type) { return number(-INFINITY, type); }
  /// As softmax's own: where there is NaN the sum of weights is NaN.
  Value max(Value x, Value y) {
    return arith::MaximumFOp::create(
        b, x, y, arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  /// exp(x + negative), which is no more than 1.
  Value weigh(Value x, Value negative) {
    auto exp = math::ExpOp::create(b, add(x, negative));
    exp->setAttr(kSoftmaxAttr, b.getUnitAttr());
    return exp;
  }
  /// -most, and 0 where no key counts yet: then all weights are 0.
  Value negate(Value most) {
    Value negative = arith::NegFOp::create(b, most);
    if (!state.most)
      return negative;
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, most,
                                       infinity(most.getType()));
    return arith::SelectOp::create(b, none, number(0, most.getType()),
                                   negative);
  }
  /// Without keys results are 0 times this, not without a number.
  Value invert(Value sum) {
    Value one = number(1, sum.getType());
    Value inverse = arith::DivFOp::create(b, one, sum);
    return state.isEmpty
               ? arith::SelectOp::create(b, state.isEmpty, one, inverse)
               : inverse;
  }
  Value load(Value buffer, ValueRange at) {
    return vector::LoadOp::create(b, vector, buffer, at);
  }
  void store(Value x, Value buffer, ValueRange at) {
    vector::StoreOp::create(b, x, buffer, at);
  }

  /// Rounded, where the weights have another type than the scores.
  void storeWeight(Value weight, Value scores, ValueRange at) {
    if (!state.weights)
      return store(weight, scores, at);
    auto type = vector.clone(getElementTypeOrSelf(state.weights.getType()));
    auto rounded = arith::TruncFOp::create(b, type, weight);
    rounded.setFastmath(arith::FastMathFlags::afn);
    store(rounded, state.weights, at);
  }

  /// Loops that carry values.
  Values loop(Value first, Value end, int64_t step, Values start,
              function_ref<Values(Value, ValueRange)> body) {
    auto loop = scf::ForOp::create(b, first, end, math.constant(step), start);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
    if (!start.empty())
      scf::YieldOp::create(b, next);
    return Values(loop.getResults());
  }
  /// `body` for groups of vectors of the rows.
  void forRows(function_ref<void(Value, int64_t)> body);
  void emitGroup(Value scores, Value row, int64_t vectors,
                 const CausalEnd &end);
  Value findMost(Value before, Value mosts);
  void finishRow(Value row, Value before, Value most, Value negative,
                 Value sums);

  ImplicitLocOpBuilder &b;
  IndexMath math;
  const SoftmaxState &state;
  Type element;
  VectorType vector;
};

} // namespace

void SoftmaxEmitter::forRows(function_ref<void(Value, int64_t)> body) {
  int64_t group = state.group * state.lanes;
  Value first = math.constant(0);
  Value whole = math.roundDown(state.rows, group);
  auto loopOver = [&](Value end, int64_t vectors) {
    if (staticIndex(first) && staticIndex(end) &&
        *staticIndex(first) >= *staticIndex(end))
      return;
    loop(first, end, vectors * state.lanes, {},
         [&](Value row, ValueRange) -> Values {
           body(row, vectors);
           return {};
         });
  };
  loopOver(whole, state.group);
  first = whole;
  std::optional<int64_t> known = staticIndex(state.rows);
  if (known && *known % group)
    body(whole, *known % group / state.lanes);
  else if (!known)
    loopOver(state.rows, 1);
}

Value dlc::countKeys(ImplicitLocOpBuilder &b, Value row, const CausalEnd &end) {
  IndexMath math(b);
  Value position = math.div(row, end.divisor);
  if (end.extent)
    position = math.rem(position, end.extent);
  return math.add(math.add(end.base, position), end.count);
}

void SoftmaxEmitter::emitGroup(Value scores, Value row, int64_t vectors,
                               const CausalEnd &end) {
  Value zero = math.constant(0);
  Value keys = b.createOrFold<memref::DimOp>(scores, int64_t(0));
  Values at;
  for (int64_t v = 0; v < vectors; ++v)
    at.push_back(math.add(row, v * state.lanes));
  auto forAll = [&](function_ref<Value(int64_t)> make) {
    Values made;
    for (int64_t v = 0; v < vectors; ++v)
      made.push_back(make(v));
    return made;
  };

  Values before = forAll([&](int64_t v) {
    return state.most ? load(state.most, at[v]) : infinity(vector);
  });
  Value free = end.count ? math.min(keys, end.fewest) : keys;
  Values most = loop(zero, free, 1, before, [&](Value key, ValueRange most) {
    return forAll(
        [&](int64_t v) { return max(most[v], load(scores, {key, at[v]})); });
  });
  if (end.count) {
    auto integers = VectorType::get({state.lanes}, b.getI32Type());
    Values counts = forAll([&](int64_t v) {
      Value all = ub::PoisonOp::create(b, integers);
      for (int64_t i = 0; i < state.lanes; ++i)
        all = vector::InsertOp::create(
            b,
            arith::IndexCastOp::create(b, b.getI32Type(),
                                       countKeys(b, math.add(at[v], i), end)),
            all, i);
      return all;
    });
    most = loop(free, keys, 1, most, [&](Value key, ValueRange most) {
      Value number = vector::BroadcastOp::create(
          b, integers, arith::IndexCastOp::create(b, b.getI32Type(), key));
      return forAll([&](int64_t v) {
        Value counted = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                              number, counts[v]);
        Value score = arith::SelectOp::create(
            b, counted, load(scores, {key, at[v]}), infinity(vector));
        store(score, scores, {key, at[v]});
        return max(most[v], score);
      });
    });
  }
  Values negative = forAll([&](int64_t v) { return negate(most[v]); });
  Values sums = forAll([&](int64_t v) { return number(0, vector); });
  if (state.most)
    sums = forAll([&](int64_t v) {
      Value factor = weigh(before[v], negative[v]);
      store(factor, state.factor, at[v]);
      store(most[v], state.most, at[v]);
      return mul(load(state.sum, at[v]), factor);
    });
  sums = loop(zero, keys, kAddedKeys, sums, [&](Value first, ValueRange sums) {
    Values parts = loop(first, math.min(keys, math.add(first, kAddedKeys)), 1,
                        forAll([&](int64_t) { return number(0, vector); }),
                        [&](Value key, ValueRange parts) {
                          return forAll([&](int64_t v) {
                            Value weight =
                                weigh(load(scores, {key, at[v]}), negative[v]);
                            store(weight, scores, {key, at[v]});
                            return add(parts[v], weight);
                          });
                        });
    return forAll([&](int64_t v) { return add(sums[v], parts[v]); });
  });
  for (int64_t v = 0; v < vectors; ++v) {
    if (state.most)
      store(sums[v], state.sum, at[v]);
    if (state.inverse)
      store(invert(sums[v]), state.inverse, at[v]);
  }
}

void SoftmaxEmitter::emitByKeys(Value scores, const CausalEnd &end) {
  forRows([&](Value row, int64_t vectors) {
    emitGroup(scores, row, vectors, end);
  });
}

void SoftmaxEmitter::emitByRows(Value scores, Value keys,
                                const CausalEnd &end) {
  Value zero = math.constant(0);
  Value padded = b.createOrFold<memref::DimOp>(scores, int64_t(1));
  auto forRow = [&](Value row, ValueRange) -> Values {
    Value first = keys;
    if (end.count)
      first =
          math.max(math.constant(0), math.min(keys, countKeys(b, row, end)));
    loop(first, padded, 1, {}, [&](Value key, ValueRange) -> Values {
      memref::StoreOp::create(b, infinity(element), scores,
                              ValueRange{row, key});
      return {};
    });
    Value before =
        state.most
            ? Value(memref::LoadOp::create(b, state.most, ValueRange{row}))
            : infinity(element);
    Value mosts = loop(zero, padded, state.lanes, {infinity(vector)},
                       [&](Value key, ValueRange most) -> Values {
                         return {max(most[0], load(scores, {row, key}))};
                       })[0];
    Value most = findMost(before, mosts);
    Value negative = negate(most);
    Value spread = vector::BroadcastOp::create(b, vector, negative);
    Value sums = loop(zero, padded, state.lanes, {number(0, vector)},
                      [&](Value key, ValueRange sums) -> Values {
                        Value weight = weigh(load(scores, {row, key}), spread);
                        storeWeight(weight, scores, {row, key});
                        return {add(sums[0], weight)};
                      })[0];
    finishRow(row, before, most, negative, sums);
    return {};
  };
  loop(zero, state.rows, 1, {}, forRow);
}

/// The maximum of a row with a vector of those of its scores.
Value SoftmaxEmitter::findMost(Value before, Value mosts) {
  return max(before,
             vector::ReductionOp::create(
                 b, vector::CombiningKind::MAXIMUMF, mosts,
                 arith::FastMathFlags::nnan | arith::FastMathFlags::nsz));
}

/// What is known of a row, with a vector of the sums of its weights.
void SoftmaxEmitter::finishRow(Value row, Value before, Value most,
                               Value negative, Value sums) {
  Value sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sums,
                                          arith::FastMathFlags::reassoc);
  auto put = [&](Value value, Value buffer) {
    memref::StoreOp::create(b, value, buffer, ValueRange{row});
  };
  if (state.most) {
    Value factor = weigh(before, negative);
    sum =
        add(mul(memref::LoadOp::create(b, state.sum, ValueRange{row}), factor),
            sum);
    put(factor, state.factor);
    put(most, state.most);
    put(sum, state.sum);
  }
  if (state.inverse)
    put(invert(sum), state.inverse);
}

/// As emitByRows, of some rows at a time: their loops end together, and their
/// maxima and sums do not wait for one another.
void SoftmaxEmitter::emitOfGroup(Value scores, const SoftmaxGroup &group) {
  Value zero = math.constant(0);
  auto forAll = [&](function_ref<Value(int64_t)> make) {
    Values made;
    for (int64_t i = 0; i < group.size; ++i)
      made.push_back(make(i));
    return made;
  };
  Values rows = forAll([&](int64_t i) { return math.add(group.row, i); });
  Values known = forAll([&](int64_t i) { return math.add(group.known, i); });
  auto findMosts = [&](Value first, Value end, bool hasMasks, Values mosts) {
    if (first == end ||
        (staticIndex(first) && staticIndex(first) == staticIndex(end)))
      return mosts;
    return loop(
        first, end, state.lanes, mosts,
        [&](Value key, ValueRange mosts) -> Values {
          return forAll([&](int64_t i) {
            Value mask;
            if (hasMasks)
              mask = getMask(b, math.sub(group.counts[i], key), state.lanes);
            Value score = load(scores, {rows[i], key});
            if (group.score)
              score = group.score(i, key, score, mask);
            if (mask)
              score = arith::SelectOp::create(b, mask, score, infinity(vector));
            if (mask || group.score)
              store(score, scores, {rows[i], key});
            return max(mosts[i], score);
          });
        });
  };
  Value free =
      group.free ? math.roundDown(group.free, state.lanes) : group.padded;
  Values mosts = forAll([&](int64_t) { return infinity(vector); });
  mosts = findMosts(zero, free, /*hasMasks=*/false, mosts);
  mosts = findMosts(free, group.padded, /*hasMasks=*/true, mosts);
  Values before = forAll([&](int64_t i) -> Value {
    if (!state.most)
      return infinity(element);
    return memref::LoadOp::create(b, state.most, ValueRange{known[i]});
  });
  Values most =
      forAll([&](int64_t i) { return findMost(before[i], mosts[i]); });
  Values negative = forAll([&](int64_t i) { return negate(most[i]); });
  Values spread = forAll([&](int64_t i) -> Value {
    return vector::BroadcastOp::create(b, vector, negative[i]);
  });
  Values sums = loop(zero, group.padded, state.lanes,
                     forAll([&](int64_t) { return number(0, vector); }),
                     [&](Value key, ValueRange sums) -> Values {
                       return forAll([&](int64_t i) {
                         Value weight =
                             weigh(load(scores, {rows[i], key}), spread[i]);
                         storeWeight(weight, scores, {rows[i], key});
                         return add(sums[i], weight);
                       });
                     });
  for (int64_t i = 0; i < group.size; ++i)
    finishRow(known[i], before[i], most[i], negative[i], sums[i]);
}

void SoftmaxEmitter::emitZeros(Value buffer) {
  Value size = b.createOrFold<memref::DimOp>(buffer, int64_t(0));
  Value whole = math.roundDown(size, state.lanes);
  loop(math.constant(0), whole, state.lanes, {}, [&](Value i, ValueRange) {
    store(number(0, vector), buffer, i);
    return Values();
  });
  if (whole != size &&
      !(staticIndex(size) && staticIndex(whole) == staticIndex(size)))
    loop(whole, size, 1, {}, [&](Value i, ValueRange) {
      memref::StoreOp::create(b, number(0, element), buffer, ValueRange{i});
      return Values();
    });
}

void SoftmaxEmitter::emitStart() {
  loop(math.constant(0), state.rows, 1, {}, [&](Value row, ValueRange) {
    memref::StoreOp::create(b, infinity(element), state.most, ValueRange{row});
    memref::StoreOp::create(b, number(0, element), state.sum, ValueRange{row});
    return Values();
  });
}

void dlc::emitSoftmaxStart(ImplicitLocOpBuilder &b, const SoftmaxState &state) {
  SoftmaxEmitter(b, state).emitStart();
}

void dlc::emitSoftmaxByKeys(ImplicitLocOpBuilder &b, const SoftmaxState &state,
                            Value scores, const CausalEnd &end) {
  SoftmaxEmitter(b, state).emitByKeys(scores, end);
}

void dlc::emitSoftmaxByRows(ImplicitLocOpBuilder &b, const SoftmaxState &state,
                            Value scores, Value keys, const CausalEnd &end) {
  SoftmaxEmitter(b, state).emitByRows(scores, keys, end);
}

void dlc::emitSoftmaxOfGroup(ImplicitLocOpBuilder &b, const SoftmaxState &state,
                             Value scores, const SoftmaxGroup &group) {
  SoftmaxEmitter(b, state).emitOfGroup(scores, group);
}

void dlc::emitZeros(ImplicitLocOpBuilder &b, Value buffer, int64_t lanes) {
  SoftmaxState state{};
  state.sum = buffer;
  state.lanes = lanes;
  SoftmaxEmitter(b, state).emitZeros(buffer);
}
