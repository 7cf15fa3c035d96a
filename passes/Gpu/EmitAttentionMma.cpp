// Attention on tensor cores: a warp has 16 rows, and goes through the keys a
// tile at a time with the whole block. Scores stay in registers, and so do
// their weights where sums lie as operands do (16 bits, from Turing on); else
// these go through shared memory to become an operand. What there is is scaled
// whenever a larger score is found. Copies of the next keys go on during the
// second product, those of the next values during the first one.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/EmitAttention.h"
#include "passes/Gpu/MmaBuilder.h"

using namespace mlir;
using namespace dlc;

namespace {

constexpr int64_t kWarp = MmaBuilder::kWarp, kStep = MmaBuilder::kStep;
/// Of the scores or results that a thread has side by side.
constexpr int64_t kRun = 8;

/// What a block has at a time; `depth` and `columns` are filled with zeros.
struct AttentionShape {
  int64_t rows, keys, depth, columns;
  bool keepsWeights; // in registers

  int64_t sharedElements() const {
    return rows * depth + keys * depth + keys * columns +
           (keepsWeights ? 0 : rows * keys);
  }
};

class AttentionMmaEmitter {
public:
  AttentionMmaEmitter(Kernel &kernel, AttentionOp op, AttentionShape shape,
                      Type type)
      : kernel(kernel), b(kernel.b), nest(kernel, op), mma(kernel, type),
        shape(shape), sumType(VectorType::get({kRun}, b.getF32Type())) {}

  void emit();

private:
  using Values = SmallVector<Value>;
  MmaSource makeSource(unsigned operand, TileRange outer, TileRange sum,
                       int64_t width, int64_t depth);
  MmaSource makeKeys(Value first);
  void commit() {
    if (isAsync)
      mma.call("dlc_mma_commit", {}, {});
  }
  /// Waits for the copies but those that were begun last, of all threads.
  void await() {
    if (isAsync)
      mma.call("dlc_mma_wait1", {}, {});
    kernel.barrier();
  }
  Value multiply(Value x, Value y, Value sum) {
    return mma.call(getMmaMultiply(mma.type, false, false), sumType,
                    {x, y, sum});
  }
  /// Combines what the threads that share a row have of it.
  Value combine(Value value, function_ref<Value(Value, Value)> body) {
    value = body(value, mma.call("dlc_mma_partner_f32", b.getF32Type(), value));
    if (shape.keepsWeights)
      value =
          body(value, mma.call("dlc_mma_partner2_f32", b.getF32Type(), value));
    return value;
  }
  /// Which of a thread's rows a sum of its eight belongs to, and those of one
  /// row side by side.
  unsigned rowOf(unsigned sum) const {
    return shape.keepsWeights ? sum / 2 % 2 : 0;
  }
  int64_t runLength() const { return shape.keepsWeights ? 2 : kRun; }
  unsigned numRows() const { return shape.keepsWeights ? 2 : 1; }
  /// e^score of what `minusShift`, which is one of 2, makes smaller. The
  /// instruction's two last bits are wrong; weights have fewer.
  Value powerOf(Value score, Value minusShift) {
    Value exponent = math::FmaOp::create(
        b, score, nest.floatOf(b.getF32Type(), llvm::numbers::log2e),
        minusShift);
    return mma.call("dlc_mma_exp2_f32", b.getF32Type(), exponent);
  }
  Value turn(Value sums) {
    return mma.call(getMmaTurn(b.getF32Type()), sumType, sums);
  }
  static Values take(Value vector, ImplicitLocOpBuilder &b) {
    Values values;
    for (int64_t i = 0; i < kRun; ++i)
      values.push_back(vector::ExtractOp::create(b, vector, i));
    return values;
  }
  Values addScores();
  Value weigh(Value firstKey, ValueRange sums, Values &largest, Values &totals);
  void keepWeights(ArrayRef<Values> powers);
  /// One number for each of the thread's rows, as its sums lie.
  Value spread(ValueRange perRow);
  Values addValues(ValueRange sums);
  void store(ValueRange sums, ValueRange totals);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  AttentionNest nest;
  MmaBuilder mma;
  AttentionShape shape;
  VectorType sumType;
  bool isAsync = false;
  AttentionNest::Place block;
  Value warpRow;        // the first of the warp, in the tile
  Value row, runColumn; // of the thread's first run, in a step of the warp
  MmaMemory q, k, v, weights;
  Values rows; // the warp's part of Q, as operands
  Values kept; // likewise, weights
};

} // namespace

MmaSource AttentionMmaEmitter::makeSource(unsigned operand, TileRange outer,
                                          TileRange sum, int64_t width,
                                          int64_t depth) {
  int64_t bits = cast<MemRefType>(nest.buffers[operand].getType())
                     .getElementTypeBitWidth();
  return mma.makeSource(TileSource(nest, operand, block.batchAt, outer, sum,
                                   width, depth, kernel.grid.threads,
                                   MmaBuilder::kChunkBytes * 8 / bits,
                                   /*isWhole=*/false));
}

MmaSource AttentionMmaEmitter::makeKeys(Value first) {
  MmaSource source = makeSource(1, nest.keysOf(block, first), nest.depthOf(),
                                shape.keys, shape.depth);
  if (k.first)
    source.shared = k;
  return source;
}

/// The products of the warp's rows and the keys in shared memory.
SmallVector<Value> AttentionMmaEmitter::addScores() {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(sumType));
  Values sums(shape.keys / kStep, zero);
  for (auto [i, x] : llvm::enumerate(rows))
    for (auto [j, sum] : llvm::enumerate(sums))
      sum = multiply(x,
                     mma.fragment(k, kernel.index(0), kernel.index(j * kStep),
                                  i * mma.terms(), /*isB=*/true),
                     sum);
  return sums;
}

/// Makes weights of scores, and returns by what the sums of each row are to be
/// scaled, as the sums lie.
Value AttentionMmaEmitter::weigh(Value firstKey, ValueRange sums,
                                 Values &largest, Values &totals) {
  SmallVector<Values> at;
  for (unsigned i = 0; i < numRows(); ++i) {
    at.emplace_back(nest.numDims(), kernel.index(0));
    nest.setCoordinates(at.back(), nest.batch, block.batchAt);
    nest.placeRow(at.back(), block,
                  kernel.add(kernel.add(block.firstRow, warpRow),
                             kernel.add(row, kernel.index(8 * i))),
                  shape.rows);
  }
  SmallVector<Values> scores(sums.size());
  Values most(numRows());
  for (auto [j, sum] : llvm::enumerate(sums)) {
    Values values = take(shape.keepsWeights ? sum : turn(sum), b);
    for (int64_t i = 0; i < kRun; i += runLength()) {
      // The second half of what a thread has in registers is of the second
      // eight keys.
      int64_t first = j * kStep + (shape.keepsWeights ? i / 4 * 8 : 0);
      for (Value score : nest.makeScores(
               ArrayRef(values).slice(i, runLength()), at[rowOf(i)],
               kernel.add(firstKey, kernel.add(runColumn, kernel.index(first))),
               block, shape.keys)) {
        scores[j].push_back(score);
        Value &known = most[rowOf(i)];
        known = known ? arith::MaximumFOp::create(b, known, score).getResult()
                      : score;
      }
    }
  }
  Values minusShifts, factors;
  for (unsigned i = 0; i < numRows(); ++i) {
    auto larger = [&](Value x, Value y) -> Value {
      return arith::MaximumFOp::create(b, x, y);
    };
    Value now = larger(largest[i], combine(most[i], larger));
    minusShifts.push_back(arith::MulFOp::create(
        b, nest.makeShift(now),
        nest.floatOf(b.getF32Type(), -llvm::numbers::log2e)));
    factors.push_back(powerOf(largest[i], minusShifts.back()));
    largest[i] = now;
    // Of the thread's own keys; those of others are added at the end.
    totals[i] = arith::MulFOp::create(b, totals[i], factors.back());
  }
  for (Values &step : scores)
    for (auto [i, score] : llvm::enumerate(step)) {
      score = powerOf(score, minusShifts[rowOf(i)]);
      Value &total = totals[rowOf(i)];
      total = arith::AddFOp::create(b, total, score);
    }
  keepWeights(scores);
  return spread(factors);
}

void AttentionMmaEmitter::keepWeights(ArrayRef<Values> powers) {
  kept.clear();
  if (shape.keepsWeights) {
    for (const Values &step : powers)
      kept.push_back(mma.call(
          mma.type.isBF16() ? "dlc_mma_pack_bf16" : "dlc_mma_pack_f16",
          VectorType::get({8}, b.getI32Type()),
          vector::FromElementsOp::create(b, sumType, step).getResult()));
    return;
  }
  auto chunkType = VectorType::get({mma.chunk}, b.getF32Type());
  for (auto [j, step] : llvm::enumerate(powers))
    for (int64_t i = 0; i < kRun; i += mma.chunk) {
      Value vector = vector::FromElementsOp::create(
          b, chunkType, ArrayRef(step).slice(i, mma.chunk));
      if (!mma.type.isF32())
        vector = arith::TruncFOp::create(
            b, VectorType::get({mma.chunk}, mma.type), vector);
      Value key = kernel.add(runColumn, kernel.index(j * kStep + i));
      vector::StoreOp::create(
          b, vector, weights.elements,
          ValueRange{mma.placeOf(weights, kernel.add(warpRow, row), key)},
          /*nontemporal=*/false, llvm::MaybeAlign(MmaBuilder::kChunkBytes));
    }
}

Value AttentionMmaEmitter::spread(ValueRange perRow) {
  if (!shape.keepsWeights)
    return mma.call("dlc_mma_spread_f32", sumType, perRow[0]);
  Values values;
  for (int64_t i = 0; i < kRun; ++i)
    values.push_back(perRow[rowOf(i)]);
  return vector::FromElementsOp::create(b, sumType, values);
}

/// Adds the weighted values in shared memory.
SmallVector<Value> AttentionMmaEmitter::addValues(ValueRange sums) {
  Values result(sums);
  for (int64_t key = 0; key < shape.keys; key += mma.terms()) {
    Value x = shape.keepsWeights ? kept[key / kStep]
                                 : mma.fragment(weights, kernel.index(0),
                                                warpRow, key, /*isB=*/false);
    for (auto [j, sum] : llvm::enumerate(result))
      sum = multiply(x,
                     mma.fragment(v, kernel.index(0), kernel.index(j * kStep),
                                  key, /*isB=*/true),
                     sum);
  }
  return result;
}

void AttentionMmaEmitter::store(ValueRange sums, ValueRange totals) {
  Values inverses;
  for (Value total : totals)
    inverses.push_back(
        arith::DivFOp::create(b, nest.floatOf(b.getF32Type(), 1),
                              combine(total, [&](Value x, Value y) -> Value {
                                return arith::AddFOp::create(b, x, y);
                              })));
  Value inverse = spread(inverses);
  Values turned;
  for (Value sum : sums)
    turned.push_back(turn(arith::MulFOp::create(b, sum, inverse)));
  row = mma.call("dlc_mma_row", b.getIndexType(), {});
  runColumn = mma.call("dlc_mma_column", b.getIndexType(), {});
  Values at(nest.numDims(), kernel.index(0));
  nest.setCoordinates(at, nest.batch, block.batchAt);
  Value position = kernel.add(block.firstRow, kernel.add(warpRow, row));
  Value count =
      nest.isRagged(nest.columns, shape.columns) ? block.columnCount : Value();
  kernel.when(nest.isRagged(nest.rows, shape.rows)
                  ? kernel.isLess(position, block.rowCount)
                  : Value(),
              [&] {
                nest.place(at, nest.rows, position);
                for (auto [j, sum] : llvm::enumerate(turned)) {
                  nest.storeRun(
                      take(sum, b), at,
                      kernel.add(kernel.add(block.firstColumn, runColumn),
                                 kernel.index(j * kStep)),
                      count);
                }
              });
}

void AttentionMmaEmitter::emit() {
  kernel.grid.threads = shape.rows / kStep * kWarp;
  kernel.residentBlocks = 2;
  block = nest.placeBlock(shape.rows, shape.columns);
  warpRow = kernel.mul(kernel.div(kernel.thread(), kWarp), kernel.index(kStep));
  StringRef places = shape.keepsWeights ? "dlc_mma_sum" : "dlc_mma";
  row = mma.call((places + "_row").str(), b.getIndexType(), {});
  runColumn = mma.call((places + "_column").str(), b.getIndexType(), {});
  Value zero = kernel.index(0);

  MmaSource fromQ = makeSource(0, nest.rowsOf(block), nest.depthOf(),
                               shape.rows, shape.depth);
  MmaSource fromK = makeKeys(zero);
  MmaSource fromV =
      makeSource(2, nest.columnsOf(block), nest.keysOf(block, Value()),
                 shape.columns, shape.keys);
  for (MmaSource *source : {&fromQ, &fromK, &fromV})
    mma.allocate(source->shared, /*stages=*/1);
  q = fromQ.shared;
  k = fromK.shared;
  v = fromV.shared;
  weights = {shape.rows, shape.keys, /*isDepthMajor=*/true, Value(), Value()};
  if (!shape.keepsWeights)
    mma.allocate(weights, /*stages=*/1);
  isAsync = fromQ.isAsync || fromK.isAsync || fromV.isAsync;

  bool isDynamic = ShapedType::isDynamic(nest.extents[nest.sums.front()].fixed);
  // Without keys there is nothing to read.
  Value hasKeys = isDynamic ? kernel.isLess(zero, block.sumCount) : Value();
  mma.copy(fromQ, zero, zero);
  kernel.when(hasKeys, [&] { mma.copy(fromK, zero, zero); });
  commit();
  kernel.when(hasKeys, [&] { mma.copy(fromV, zero, zero); });
  commit();
  await();
  for (int64_t i = 0; i < shape.depth; i += mma.terms())
    rows.push_back(mma.fragment(q, zero, warpRow, i, /*isB=*/false));

  Values carried(shape.columns / kStep,
                 arith::ConstantOp::create(b, b.getZeroAttr(sumType)));
  size_t numSums = carried.size();
  carried.append(
      numRows(),
      nest.floatOf(b.getF32Type(), -std::numeric_limits<double>::infinity()));
  carried.append(numRows(), nest.floatOf(b.getF32Type(), 0));
  Values results = kernel.loop(
      zero, block.sumCount, shape.keys, carried,
      [&](Value key, ValueRange inner) {
        Values largest(inner.slice(numSums, numRows()));
        Values totals(inner.take_back(numRows()));
        Value next = kernel.add(key, kernel.index(shape.keys));
        Value hasNext = kernel.isLess(next, block.sumCount);
        await();
        Values scores = addScores();
        kernel.barrier();
        kernel.when(hasNext, [&] { mma.copy(makeKeys(next), zero, zero); });
        commit();
        Value factors = weigh(key, scores, largest, totals);
        await();
        Values sums;
        for (Value sum : inner.take_front(numSums))
          sums.push_back(arith::MulFOp::create(b, sum, factors));
        sums = addValues(sums);
        kernel.barrier();
        kernel.when(hasNext, [&] { mma.copy(fromV, next, zero); });
        commit();
        sums.append(largest);
        sums.append(totals);
        return sums;
      });
  store(ValueRange(results).take_front(numSums),
        ValueRange(results).take_back(numRows()));
}

bool dlc::emitAttentionMma(Kernel &kernel, AttentionOp op) {
  auto elementOf = [](Value operand) {
    return cast<MemRefType>(operand.getType()).getElementType();
  };
  auto find = [&](Value x, Value y, Region &region) {
    return findMmaOperands(
        elementOf(x), elementOf(y), region.front().getArgument(0).getType(),
        op.getPrecision(), kernel.capability, op.getContext());
  };
  std::optional<MmaOperands> first = find(op.getQ(), op.getK(), op.getScores());
  std::optional<MmaOperands> second =
      find(op.getQ(), op.getV(), op.getEpilogue());
  if (!first || !second || first->type != second->type)
    return false;
  using Kind = AttentionOp::DimKind;
  int64_t depth = op.getStaticExtent(op.getDim(Kind::Depth));
  int64_t columns = op.getStaticExtent(op.getDim(Kind::Column));
  static constexpr int64_t most = 128;
  if (ShapedType::isDynamic(depth) || ShapedType::isDynamic(columns) ||
      depth > most)
    return false;
  // Powers of two, for the places in shared memory.
  auto widen = [](int64_t size) {
    return std::clamp<int64_t>(llvm::PowerOf2Ceil(size), kStep, most);
  };
  int64_t sharedBytes = kernel.mostShared();
  int64_t bytes = first->type.getIntOrFloatBitWidth() / 8;
  bool keepsWeights = bytes == 2 && kernel.capability >= 75;
  for (int64_t rows : {64, 32})
    for (int64_t keys : {64, 32, 16}) {
      AttentionShape shape = {rows, keys, widen(depth), widen(columns),
                              keepsWeights};
      // As many loads as threads, in whole rows.
      if (shape.sharedElements() * bytes > sharedBytes ||
          std::max(shape.depth, shape.columns) > rows / kStep * kWarp)
        continue;
      kernel.description = llvm::formatv(
          "attention, a tile of {0} rows by {1} keys a block on tensor cores, "
          "{2}",
          rows, keys, first->name);
      AttentionMmaEmitter(kernel, op, shape, first->type).emit();
      return true;
    }
  return false;
}
