// Attention of bfloat16 by products of tiles (x86's AMX, MatrixTiles.h). Keys
// and values are laid out in pairs once for all rows of a unit, of which blocks
// of two row tiles go through both products:
//
//   queries = Q, with zeros behind the depth           // [rows][depth]
//   for tiles of keys
//     keyPairs, valuePairs = K, V                      // PairPacking.h
//     for blocks of 32 rows
//       scores = queries x keyPairs                    // by tiles, 32 x 32
//       sums scores = score(scores); most, factor; weights =
//       bfloat16(exp(...)), sum products = weights x valuePairs // by tiles
//       results = results * factor + products
//       C = epilogue(results / sum)                    // with the last tile
//
// All sums are of whole steps of 32: those behind the depth and the keys are of
// zeros, or of weights that are 0. Rows behind the last one are computed and
// dropped. A block has no more keys than the last of its rows sees.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/AttentionEmitter.h"
#include "passes/Cpu/VectorAccess.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

constexpr int64_t kStep = AttentionScratch::kPairKeys;
constexpr int64_t kPairBytes = 4, kSumBytes = 4, kFactorBytes = 2;
/// More steps than this are a loop.
constexpr int64_t kMostUnrolled = 8;

void AttentionTiles::begin() {
  Value shapes = e.scratch(layout.shapes, b.getI8Type(),
                           {math.constant(AttentionScratch::kAlignment)}, {1});
  tiles.configure(shapes, math.constant(MatrixTiles::kRows),
                  MatrixTiles::kRowBytes / MatrixTiles::kGroupBytes);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

void AttentionTiles::copyQueries(const RowTile &tile) {
  const AttentionOperand &q = e.operands[0];
  int64_t depth = e.op.getStaticExtent(e.depth);
  Value rows = e.rowCount(tile);
  Value target = e.scratch(layout.queries, q.flat.type,
                           {rows, math.constant(layout.paddedDepth)},
                           {layout.paddedDepth, 1});
  RowOffsets offsets = e.rowOffsets(q, tile, tile.position);
  auto type = VectorType::get({kStep}, q.flat.type);
  Value stride = q.strides[e.depth];
  emitLoop(b, math.constant(0), rows, 1, [&](Value row) {
    Value offset = offsets(row);
    auto copy = [&](Value k, Value mask) {
      Value part = loadVector(b, q.flat, math.add(offset, math.mul(k, stride)),
                              stride, kStep, mask);
      vector::StoreOp::create(b, part, target, ValueRange{row, k});
    };
    if (isStatic(stride, 1)) {
      int64_t whole = depth / kStep * kStep;
      emitLoop(b, math.constant(0), math.constant(whole), kStep,
               [&](Value k) { copy(k, {}); });
      if (whole < depth)
        copy(math.constant(whole), getConstantMask(b, depth - whole, kStep));
      return;
    }
    Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
    vector::StoreOp::create(
        b, none, target,
        ValueRange{row, math.constant(layout.paddedDepth - kStep)});
    emitLoop(b, math.constant(0), math.constant(depth), 1, [&](Value k) {
      Value x = memref::LoadOp::create(b, q.flat.buffer,
                                       math.add(offset, math.mul(k, stride)));
      memref::StoreOp::create(b, x, target, ValueRange{row, k});
    });
  });
}

void AttentionTiles::emit(const RowTile &tile, Value firstKey, Value keys,
                          bool isLast) {
  Type type = e.operands[1].flat.type;
  SmallVector<Value> position = e.at(tile, firstKey);
  auto pack = [&](int64_t offset, int64_t padded, unsigned operand,
                  unsigned sum, unsigned column, Value sums, Value columns,
                  int64_t paddedColumns, Value paddedSums) {
    PairTarget target{
        e.scratch(offset, type, {math.constant(padded * paddedColumns)}, {1}),
        kStep, padded * kStep};
    emitPairs(b, e.pairSource(operand, position, sum, column), sums, columns,
              paddedSums, target, e.lanes);
  };
  pack(layout.keyPairs, layout.paddedDepth, 1, e.depth, e.key,
       math.constant(e.op.getStaticExtent(e.depth)), keys, layout.paddedKeys,
       math.constant(layout.paddedDepth));
  pack(layout.valuePairs, layout.paddedKeys, 2, e.key, e.column, keys,
       math.constant(e.op.getStaticExtent(e.column)), layout.paddedColumns,
       e.padKeys(keys));

  constexpr int64_t kRows = AttentionScratch::kBlockRows;
  auto emitRows = [&](Value first, Value count, int64_t rowTiles) {
    emitBlock({tile, first, count, rowTiles, firstKey, keys, isLast});
  };
  Value rows = e.rowCount(tile), zero = math.constant(0);
  std::optional<int64_t> known = staticIndex(rows);
  if (!known)
    return emitLoop(b, zero, rows, kRows, [&](Value first) {
      emitRows(first, math.min(math.sub(rows, first), math.constant(kRows)), 2);
    });
  int64_t rest = *known % kRows, whole = *known - rest;
  emitLoop(b, zero, math.constant(whole), kRows,
           [&](Value first) { emitRows(first, math.constant(kRows), 2); });
  if (rest)
    emitRows(math.constant(whole), math.constant(rest),
             llvm::divideCeil(rest, MatrixTiles::kRows));
}

void AttentionTiles::emitBlock(Block block) {
  SoftmaxState state = e.getState(block.tile, block.isLast);
  Value keys = math.constant(layout.paddedKeys),
        rows = math.constant(AttentionScratch::kBlockRows);
  Value scores = e.scratch(layout.scores, layout.type, {rows, keys},
                           {layout.paddedKeys, 1});
  state.weights = e.scratch(layout.weights, b.getBF16Type(), {rows, keys},
                            {layout.paddedKeys, 1});
  block.keys = limitKeys(block);
  Value panels = math.div(e.padKeys(block.keys), kStep);
  multiplyByKeys(block, panels);
  emitSoftmax(block, state, scores, panels);
  multiplyByValues(block, panels);
  finishRows(block, state);
}

/// The keys of the block's last row, where rows have ever more.
Value AttentionTiles::limitKeys(const Block &block) {
  CausalEnd end = e.getCausalEnd(block.tile, block.firstKey);
  if (!end.count || end.extent)
    return block.keys;
  Value last = math.add(block.first, math.sub(block.count, math.constant(1)));
  return math.max(math.constant(0),
                  math.min(block.keys, countKeys(b, last, end)));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void AttentionTiles::clear(int64_t rowTiles, int64_t columnTiles) {
  for (int64_t r = 0; r < rowTiles; ++r)
    for (int64_t c = 0; c < columnTiles; ++c)
      tiles.clear(MatrixTiles::getC(r, c));
}

/// Sums to memory whose rows are `stride` elements apart.
void AttentionTiles::store(int64_t rowTiles, int64_t columnTiles, Value address,
                           int64_t stride) {
  for (int64_t r = 0; r < rowTiles; ++r)
    for (int64_t c = 0; c < columnTiles; ++c)
      tiles.store(MatrixTiles::getC(r, c),
                  math.add(address, (r * MatrixTiles::kRows * stride +
                                     c * MatrixTiles::kColumns) *
                                        kSumBytes),
                  math.constant(stride * kSumBytes));
}

/// A step of the products of A, rows of which are `aStride` elements apart, and
/// a panel of pairs.
void AttentionTiles::multiply(int64_t rowTiles, int64_t columnTiles,
                              Value aAddress, int64_t aStride, Value bAddress) {
  for (int64_t r = 0; r < rowTiles; ++r) {
    tiles.load(
        MatrixTiles::getA(r),
        math.add(aAddress, r * MatrixTiles::kRows * aStride * kFactorBytes),
        math.constant(aStride * kFactorBytes));
    for (int64_t c = 0; c < columnTiles; ++c) {
      if (r == 0)
        tiles.load(MatrixTiles::getB(c),
                   math.add(bAddress, c * MatrixTiles::kColumns * kPairBytes),
                   math.constant(kStep * kPairBytes));
      tiles.multiply(r, c);
    }
  }
}

/// `body` for numbers up to `count`, a few of which are unrolled.
static void emitSteps(ImplicitLocOpBuilder &b, IndexMath &math, int64_t count,
                      function_ref<void(Value)> body) {
  if (count > kMostUnrolled)
    return emitLoop(b, math.constant(0), math.constant(count), 1, body);
  for (int64_t i = 0; i < count; ++i)
    body(math.constant(i));
}

void AttentionTiles::multiplyByKeys(const Block &block, Value panels) {
  int64_t depth = layout.paddedDepth;
  Value queries = math.add(address(layout.queries),
                           math.mul(block.first, depth * kFactorBytes));
  Value pairs = address(layout.keyPairs), scores = address(layout.scores);
  emitLoop(b, math.constant(0), panels, 1, [&](Value panel) {
    Value from = math.add(pairs, math.mul(panel, depth * kStep * kFactorBytes));
    clear(block.rowTiles, 2);
    emitSteps(b, math, depth / kStep, [&](Value step) {
      multiply(block.rowTiles, 2,
               math.add(queries, math.mul(step, kStep * kFactorBytes)), depth,
               math.add(from, math.mul(step, kStep * kStep * kFactorBytes)));
    });
    store(block.rowTiles, 2,
          math.add(scores, math.mul(panel, kStep * kSumBytes)),
          layout.paddedKeys);
  });
}

void AttentionTiles::multiplyByValues(const Block &block, Value panels) {
  int64_t columns = e.op.getStaticExtent(e.column);
  Value weights = address(layout.weights), pairs = address(layout.valuePairs),
        products = address(layout.products);
  auto emitPanel = [&](Value panel, int64_t columnTiles) {
    Value from = math.add(
        pairs, math.mul(panel, layout.paddedKeys * kStep * kFactorBytes));
    clear(block.rowTiles, columnTiles);
    emitLoop(b, math.constant(0), panels, 1, [&](Value step) {
      multiply(block.rowTiles, columnTiles,
               math.add(weights, math.mul(step, kStep * kFactorBytes)),
               layout.paddedKeys,
               math.add(from, math.mul(step, kStep * kStep * kFactorBytes)));
    });
    store(block.rowTiles, columnTiles,
          math.add(products, math.mul(panel, kStep * kSumBytes)),
          layout.paddedColumns);
  };
  int64_t whole = columns / kStep, rest = columns % kStep;
  emitSteps(b, math, whole, [&](Value panel) { emitPanel(panel, 2); });
  if (rest)
    emitPanel(math.constant(whole),
              llvm::divideCeil(rest, MatrixTiles::kColumns));
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

Value AttentionTiles::load(const AttentionOperand &operand, unsigned dim,
                           Value offset, Value index, int64_t width,
                           Value mask) {
  Value stride = operand.strides[dim];
  Value at = math.add(offset, math.mul(index, stride));
  if (!width)
    return memref::LoadOp::create(b, operand.flat.buffer, at);
  return loadVector(b, operand.flat, at, stride, width, mask);
}

/// Whether `body` has a form for vectors along `dim`, and so have the elements
/// of the operands from `first` up to `end`.
bool AttentionTiles::hasVectors(Region &body, unsigned first, unsigned end,
                                unsigned dim) {
  return hasVectorBody(body.front()) &&
         llvm::all_of(llvm::seq(first, end), [&](unsigned i) {
           Value stride = e.operands[i].strides[dim];
           return !e.operands[i].flat.type.isInteger(1) ||
                  isStatic(stride, 0) || isStatic(stride, 1);
         });
}

void AttentionTiles::emitSoftmax(const Block &block, const SoftmaxState &state,
                                 Value scores, Value panels) {
  mlir::Block &body = e.op.getScores().front();
  unsigned extras = e.op.getScoreExtras().size();
  bool isPlain = body.getTerminator()->getOperand(0) == body.getArgument(0);
  bool hasBody = hasVectors(e.op.getScores(), 3, 3 + extras, e.key);
  if (!isPlain && !hasBody)
    emitScores(block, scores);
  SmallVector<Value> position = e.at(block.tile, block.firstKey);
  CausalEnd end = e.getCausalEnd(block.tile, block.firstKey);
  // The last group may reach behind the last row.
  emitLoop(b, math.constant(0), block.count, kGroup, [&](Value row) {
    SoftmaxGroup group;
    group.size = kGroup;
    group.row = row;
    group.known = math.add(block.first, row);
    group.padded = math.mul(panels, kStep);
    SmallVector<SmallVector<Value>> offsets(kGroup);
    for (int64_t i = 0; i < kGroup; ++i) {
      Value known = math.add(group.known, i), count = block.keys;
      if (end.count)
        count = math.max(math.constant(0),
                         math.min(count, countKeys(b, known, end)));
      group.counts.push_back(count);
      group.free = group.free ? math.min(group.free, count) : count;
      if (!isPlain && hasBody)
        for (unsigned extra = 3; extra < 3 + extras; ++extra)
          offsets[i].push_back(
              e.rowOffsets(e.operands[extra], block.tile, position)(known));
    }
    if (!isPlain && hasBody)
      group.score = [&](int64_t i, Value key, Value product, Value mask) {
        SmallVector<Value> arguments{product};
        for (auto [extra, offset] : llvm::enumerate(offsets[i]))
          arguments.push_back(
              load(e.operands[3 + extra], e.key, offset, key, e.lanes, mask));
        return emitVectorBody(b, body, arguments, e.lanes).front();
      };
    emitSoftmaxOfGroup(b, state, scores, group);
  });
}

/// Scores that have no form for vectors.
void AttentionTiles::emitScores(const Block &block, Value scores) {
  mlir::Block &body = e.op.getScores().front();
  unsigned extras = e.op.getScoreExtras().size();
  SmallVector<Value> position = e.at(block.tile, block.firstKey);
  emitLoop(b, math.constant(0), block.count, 1, [&](Value row) {
    Value known = math.add(block.first, row);
    SmallVector<Value> offsets;
    for (unsigned extra = 3; extra < 3 + extras; ++extra)
      offsets.push_back(
          e.rowOffsets(e.operands[extra], block.tile, position)(known));
    emitLoop(b, math.constant(0), block.keys, 1, [&](Value key) {
      SmallVector<Value> arguments{
          memref::LoadOp::create(b, scores, ValueRange{row, key})};
      for (auto [extra, offset] : llvm::enumerate(offsets))
        arguments.push_back(
            load(e.operands[3 + extra], e.key, offset, key, 0, {}));
      memref::StoreOp::create(b, emitVectorBody(b, body, arguments, 0).front(),
                              scores, ValueRange{row, key});
    });
  });
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// results = results * factor + products; with the last keys C = epilogue of
/// that times the inverse of the sum.
void AttentionTiles::finishRows(const Block &block, const SoftmaxState &state) {
  Region &region = e.op.getEpilogue();
  unsigned first = 3 + e.op.getScoreExtras().size(),
           last = e.operands.size() - 1;
  int64_t columns = e.op.getStaticExtent(e.column);
  bool hasVector =
      !block.isLast || hasVectors(region, first, last + 1, e.column);
  Value rowCount = math.constant(layout.paddedRows),
        columnCount = math.constant(columns);
  auto matrix = [&](int64_t offset, int64_t stride) {
    return e.scratch(offset, layout.type, {rowCount, columnCount}, {stride, 1});
  };
  Value products = matrix(layout.products, layout.paddedColumns);
  Value results = layout.hasTiles ? matrix(layout.results, columns) : Value();
  emitLoop(b, math.constant(0), block.count, 1, [&](Value row) {
    Value known = math.add(block.first, row);
    auto number = [&](Value buffer, int64_t width) -> Value {
      Value x = memref::LoadOp::create(b, buffer, ValueRange{known});
      return width ? Value(vector::BroadcastOp::create(
                         b, VectorType::get({width}, layout.type), x))
                   : x;
    };
    SmallVector<Value> offsets;
    if (block.isLast)
      for (unsigned i = first; i <= last; ++i)
        offsets.push_back(e.rowOffsets(e.operands[i], block.tile,
                                       block.tile.position)(known));
    auto loadSums = [&](Value buffer, Value at, Value column, int64_t width,
                        Value mask) -> Value {
      if (!width)
        return memref::LoadOp::create(b, buffer, ValueRange{at, column});
      auto type = VectorType::get({width}, layout.type);
      if (!mask)
        return vector::LoadOp::create(b, type, buffer, ValueRange{at, column});
      return vector::MaskedLoadOp::create(
          b, type, buffer, ValueRange{at, column}, mask,
          arith::ConstantOp::create(b, b.getZeroAttr(type)));
    };
    auto finish = [&](Value column, int64_t width, Value mask) {
      Value sums = loadSums(products, row, column, width, mask);
      if (results)
        sums = arith::AddFOp::create(
            b,
            arith::MulFOp::create(b,
                                  loadSums(results, known, column, width, mask),
                                  number(state.factor, width)),
            sums);
      if (!block.isLast) {
        SmallVector<Value> at{known, column};
        if (mask)
          vector::MaskedStoreOp::create(b, results, at, mask, sums);
        else
          vector::StoreOp::create(b, sums, results, at);
        return;
      }
      SmallVector<Value> arguments{
          arith::MulFOp::create(b, sums, number(state.inverse, width))};
      for (unsigned i = first; i < last; ++i)
        arguments.push_back(load(e.operands[i], e.column, offsets[i - first],
                                 column, width, mask));
      Value result =
          emitVectorBody(b, region.front(), arguments, width).front();
      const AttentionOperand &c = e.operands[last];
      Value stride = c.strides[e.column];
      Value at = math.add(offsets.back(), math.mul(column, stride));
      if (width)
        storeVector(b, c.flat, result, at, stride, mask);
      else
        memref::StoreOp::create(b, result, c.flat.buffer, at);
    };
    if (!hasVector)
      return emitLoop(b, math.constant(0), columnCount, 1,
                      [&](Value column) { finish(column, 0, {}); });
    int64_t rest = columns % e.lanes;
    emitSteps(b, math, columns / e.lanes, [&](Value step) {
      finish(math.mul(step, e.lanes), e.lanes, {});
    });
    if (rest)
      finish(math.constant(columns - rest), e.lanes,
             getConstantMask(b, rest, e.lanes));
  });
}
