// Lays out a matrix in pairs, as dot products of bfloat16 read it: columns that
// lie side by side are interleaved, sums that do are transposed by words of
// two.
#include "passes/Cpu/PairPacking.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockTranspose.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

namespace {

class PairPacker {
public:
  PairPacker(ImplicitLocOpBuilder &b, const PairSource &source, Value columns,
             const PairTarget &target, int64_t lanes)
      : b(b), math(b), source(source), columns(columns), target(target),
        lanes(lanes) {}

  void emit(Value sums, Value paddedSums);

private:
  void emitLoop(Value first, Value end, int64_t step,
                function_ref<void(Value)> body) {
    dlc::emitLoop(b, first, end, step, body);
  }
  /// Covers `extent` from 0 on with steps of `lanes` and of less at its end.
  void emitSteps(Value extent, function_ref<void(Value, int64_t)> body);

  void interleave(Value pair, bool isWhole);
  void transpose(Value pairs);
  void copySingles(Value pair, bool isWhole);
  void emitZeros(Value pair);

  VectorType vector(int64_t elements) {
    return VectorType::get({elements}, b.getBF16Type());
  }
  Value sourceOffset(Value sum, Value column) {
    return math.add(source.base,
                    math.add(math.mul(sum, source.sumStride),
                             math.mul(column, source.columnStride)));
  }
  Value targetOffset(Value pair, Value column) {
    Value panel = math.mul(math.div(column, target.panel), target.panelStride);
    Value place =
        math.add(math.mul(pair, target.panel), math.rem(column, target.panel));
    return math.add(panel, math.mul(place, 2));
  }

  ImplicitLocOpBuilder &b;
  IndexMath math;
  const PairSource &source;
  Value columns;
  const PairTarget &target;
  int64_t lanes;
};

} // namespace

void PairPacker::emitSteps(Value extent,
                           function_ref<void(Value, int64_t)> body) {
  auto steps = [&](Value first, Value end, int64_t step) {
    emitLoop(first, end, step, [&](Value i) { body(i, step); });
  };
  Value first = math.roundDown(extent, lanes);
  steps(math.constant(0), first, lanes);
  std::optional<int64_t> known = staticIndex(extent);
  if (!known)
    return steps(first, extent, 1);
  for (int64_t step = lanes / 2, at = *known / lanes * lanes; step > 0;
       step /= 2)
    if (at + step <= *known) {
      body(math.constant(at), step);
      at += step;
    }
}

/// Columns side by side: two sums' are shuffled together.
void PairPacker::interleave(Value pair, bool isWhole) {
  Value sum = math.mul(pair, 2);
  emitSteps(columns, [&](Value column, int64_t width) {
    auto load = [&](Value from) -> Value {
      return vector::LoadOp::create(b, vector(width), source.buffer,
                                    ValueRange{sourceOffset(from, column)});
    };
    Value even = load(sum);
    Value odd =
        isWhole
            ? load(math.add(sum, 1))
            : Value(arith::ConstantOp::create(b, b.getZeroAttr(vector(width))));
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < width; ++i)
      order.append({i, width + i});
    Value both = vector::ShuffleOp::create(b, even, odd, order);
    vector::StoreOp::create(b, both, target.buffer,
                            ValueRange{targetOffset(pair, column)});
  });
}

/// Sums side by side: two are a word, and words of columns are transposed.
void PairPacker::transpose(Value pairs) {
  Value last = math.sub(columns, math.constant(1));
  emitSteps(pairs, [&](Value pair, int64_t width) {
    auto words = VectorType::get({width}, b.getI32Type());
    emitLoop(math.constant(0), columns, width, [&](Value column) {
      SmallVector<Value> block;
      for (int64_t i = 0; i < width; ++i) {
        // Behind the last column, that one.
        Value from = math.min(math.add(column, i), last);
        Value row = vector::LoadOp::create(
            b, vector(2 * width), source.buffer,
            ValueRange{sourceOffset(math.mul(pair, 2), from)});
        block.push_back(vector::BitCastOp::create(b, words, row));
      }
      transposeVectors(b, block);
      for (auto [i, turned] : llvm::enumerate(block))
        vector::StoreOp::create(
            b, vector::BitCastOp::create(b, vector(2 * width), turned),
            target.buffer, ValueRange{targetOffset(math.add(pair, i), column)});
    });
  });
}

void PairPacker::copySingles(Value pair, bool isWhole) {
  Value sum = math.mul(pair, 2);
  emitLoop(math.constant(0), columns, 1, [&](Value column) {
    auto load = [&](Value from) -> Value {
      return memref::LoadOp::create(b, source.buffer,
                                    ValueRange{sourceOffset(from, column)});
    };
    Value even = load(sum);
    Value odd = isWhole ? load(math.add(sum, 1))
                        : Value(arith::ConstantOp::create(
                              b, b.getZeroAttr(b.getBF16Type())));
    Value at = targetOffset(pair, column);
    memref::StoreOp::create(b, even, target.buffer, at);
    memref::StoreOp::create(b, odd, target.buffer, math.add(at, 1));
  });
}

void PairPacker::emitZeros(Value pair) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(vector(2 * lanes)));
  emitLoop(math.constant(0), columns, lanes, [&](Value column) {
    vector::StoreOp::create(b, zero, target.buffer,
                            ValueRange{targetOffset(pair, column)});
  });
}

void PairPacker::emit(Value sums, Value paddedSums) {
  Value zero = math.constant(0);
  Value whole = math.div(sums, 2), used = math.div(math.add(sums, 1), 2);
  bool isWide = isStatic(source.columnStride, 1);
  if (isWide)
    emitLoop(zero, whole, 1, [&](Value pair) { interleave(pair, true); });
  else if (isStatic(source.sumStride, 1))
    transpose(whole);
  else
    emitLoop(zero, whole, 1, [&](Value pair) { copySingles(pair, true); });
  emitLoop(whole, used, 1, [&](Value pair) {
    isWide ? interleave(pair, false) : copySingles(pair, false);
  });
  emitLoop(used, math.div(paddedSums, 2), 1,
           [&](Value pair) { emitZeros(pair); });
}

void dlc::emitPairs(ImplicitLocOpBuilder &b, const PairSource &source,
                    Value sums, Value columns, Value paddedSums,
                    const PairTarget &target, int64_t lanes) {
  PairPacker(b, source, columns, target, lanes).emit(sums, paddedSums);
}
