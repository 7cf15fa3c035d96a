// Ranges of values that are computed from sizes.

#include "passes/Import/IndexRange.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/Import/OpTable.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

/// Longer chains are not looked into: values that several paths reach would
/// be visited once for each.
static constexpr unsigned kMostSteps = 8;

/// The hull of what `combine` makes of the ends: enough where it is monotonic
/// in each operand. No 128 bits overflow.
static IndexRange
combineEnds(IndexRange a, IndexRange c, bool wraps,
            function_ref<__int128(__int128, __int128)> combine) {
  IndexRange result{INT64_MAX, INT64_MIN};
  for (int64_t x : {a.low, a.high})
    for (int64_t y : {c.low, c.high}) {
      __int128 exact = combine(x, y);
      int64_t end = exact < INT64_MIN   ? INT64_MIN
                    : exact > INT64_MAX ? INT64_MAX
                                        : int64_t(exact);
      if (wraps && end != exact)
        return {};
      result.low = std::min(result.low, end);
      result.high = std::max(result.high, end);
    }
  return result;
}

static IndexRange rangeOf(OpFoldResult value, unsigned steps, bool wraps);

static IndexRange rangeOf(Operation *op, unsigned steps, bool wraps) {
  auto operand = [&](unsigned i) {
    return rangeOf(OpFoldResult(op->getOperand(i)), steps, wraps);
  };
  auto combine = [&](function_ref<__int128(__int128, __int128)> ends) {
    return combineEnds(operand(0), operand(1), wraps, ends);
  };
  auto quotient = [&]() {
    IndexRange x = operand(0), by = operand(1);
    if (by.low < 1)
      return IndexRange();
    return combineEnds(x, by, wraps, [](auto x, auto y) { return x / y; });
  };
  auto rest = [&]() {
    IndexRange x = operand(0), by = operand(1);
    if (by.low < 1)
      return IndexRange();
    return IndexRange{x.low >= 0 ? 0 : 1 - by.high,
                      x.high <= 0 ? 0 : by.high - 1};
  };
  return TypeSwitch<Operation *, IndexRange>(op)
      .Case([](tensor::DimOp) { return IndexRange{0, kLargestSize - 1}; })
      .Case([&](arith::AddIOp) {
        return combine([](auto x, auto y) { return x + y; });
      })
      .Case([&](arith::SubIOp) {
        return combine([](auto x, auto y) { return x - y; });
      })
      .Case([&](arith::MulIOp) {
        return combine([](auto x, auto y) { return x * y; });
      })
      .Case([&](arith::MaxSIOp) {
        IndexRange a = operand(0), c = operand(1);
        return IndexRange{std::max(a.low, c.low), std::max(a.high, c.high)};
      })
      .Case([&](arith::MinSIOp) {
        IndexRange a = operand(0), c = operand(1);
        return IndexRange{std::min(a.low, c.low), std::min(a.high, c.high)};
      })
      .Case([&](arith::SelectOp select) {
        IndexRange a = operand(1), c = operand(2);
        return IndexRange{std::min(a.low, c.low), std::max(a.high, c.high)};
      })
      .Case<arith::DivSIOp>([&](auto) { return quotient(); })
      .Case<arith::RemSIOp>([&](auto) { return rest(); })
      .Case([&](arith::DivUIOp) {
        return operand(0).low >= 0 ? quotient() : IndexRange();
      })
      .Case([&](arith::RemUIOp) {
        return operand(0).low >= 0 ? rest() : IndexRange();
      })
      .Case<arith::IndexCastOp, arith::ExtSIOp>([&](auto) {
        auto from = dyn_cast<IntegerType>(op->getOperand(0).getType());
        if (!from || from.getWidth() >= 64)
          return op->getResult(0).getType().isInteger() ? IndexRange()
                                                        : operand(0);
        return IndexRange{llvm::minIntN(from.getWidth()),
                          llvm::maxIntN(from.getWidth())};
      })
      .Case<arith::IndexCastUIOp, arith::ExtUIOp>([&](auto) {
        auto from = dyn_cast<IntegerType>(op->getOperand(0).getType());
        if (!from || from.getWidth() >= 64)
          return IndexRange();
        return IndexRange{0, int64_t(llvm::maxUIntN(from.getWidth()))};
      })
      .Default([](Operation *) { return IndexRange(); });
}

static IndexRange rangeOf(OpFoldResult value, unsigned steps, bool wraps) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return {*constant, *constant};
  Operation *op = cast<Value>(value).getDefiningOp();
  return op && steps ? rangeOf(op, steps - 1, wraps) : IndexRange();
}

IndexRange dlc::getIndexRange(OpFoldResult value, bool wraps) {
  return rangeOf(value, kMostSteps, wraps);
}
