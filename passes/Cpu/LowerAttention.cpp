// dlc.attention with a tile -> products, a softmax and loops over tiles, whose
// scores stay in scratch memory of a thread.
//
//   for batches, for tiles of rows                 // units, which threads
//   share
//     queries[k][r] = Q[r][k]
//     for tiles of keys
//       scores[n][r] = score(sum_k K[n][k] * queries[k][r])
//       most' = max(most, max_n scores), factor = exp(most - most')
//       scores[n][r] = exp(scores[n][r] - most')
//       sum = sum * factor + sum_n scores[n][r]
//       results[r][c] = results[r][c] * factor + sum_n scores[n][r] * V[n][c]
//     C[r][c] = epilogue(results[r][c] / sum)      // with the last tile
//
// With one tile of keys nothing is carried. Vectors run along rows, so that
// keys are read as they lie and no maximum or sum is one across a vector. Few
// rows fill no vectors: their scores lie row by row, and vectors run along
// keys. So do those of bfloat16, for dot products (AttentionPairs.cpp) or
// products of tiles (AttentionTiles.cpp).
#include "dialects/Dlc/MatrixTilesAttr.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/AttentionEmitter.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Remarks.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

SoftmaxState AttentionEmitter::getState(const RowTile &tile, bool isLast) {
  // Groups of rows may reach beyond the last one.
  Value rows = layout.matrices ? math.constant(layout.paddedRows)
               : layout.byRows ? rowCount(tile)
                               : paddedCount(tile);
  auto numbers = [&](int64_t offset) {
    return scratch(offset, layout.type, {rows}, {1});
  };
  SoftmaxState state;
  state.rows = rows;
  state.lanes = lanes;
  state.group = cpu.registers >= 32 ? 4 : 2;
  state.sum = numbers(layout.sum);
  if (layout.hasTiles) {
    state.most = numbers(layout.most);
    state.factor = numbers(layout.factor);
  }
  if (isLast) {
    state.inverse = numbers(layout.inverse);
    if (ShapedType::isDynamic(op.getStaticExtent(key)))
      state.isEmpty =
          arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                op.createExtent(b, key), math.constant(0));
  }
  return state;
}

/// Behind the keys that any row of the tile has.
Value AttentionEmitter::getKeyEnd(const RowTile &tile) {
  Value keys = op.createExtent(b, key);
  if (!op.getCausal())
    return keys;
  unsigned dim = (*op.getCausal())[0];
  int64_t more = (*op.getCausal())[1];
  Value rows = layout.split == dim ? tile.splitRows
               : llvm::is_contained(layout.inner, dim)
                   ? math.constant(op.getStaticExtent(dim))
                   : math.constant(1);
  if (Value first = tile.position[dim])
    rows = math.add(first, rows);
  return math.min(keys, math.add(rows, more));
}

CausalEnd AttentionEmitter::getCausalEnd(const RowTile &tile, Value firstKey) {
  CausalEnd end;
  if (!op.getCausal())
    return end;
  unsigned dim = (*op.getCausal())[0];
  end.base = tile.position[dim] ? tile.position[dim] : math.constant(0);
  end.count = math.sub(math.constant((*op.getCausal())[1] + 1), firstKey);
  end.fewest = math.max(math.constant(0), math.add(end.base, end.count));
  // The rows of a tile run along the inner dimensions first.
  for (unsigned inner : llvm::reverse(layout.inner)) {
    int64_t extent = op.getStaticExtent(inner);
    if (inner == dim) {
      end.extent = extent;
      return end;
    }
    end.divisor *= extent;
  }
  if (layout.split != dim)
    end.extent = 1;
  return end;
}

/// Parts of like size, but for the last ones; which keys are one's depends on
/// their number alone.
KeyRange AttentionEmitter::takePart(const RowTile &tile, KeyRange keys) {
  if (!part)
    return keys;
  int64_t parts = *getParts(op);
  Value count = math.sub(keys.end, keys.first);
  Value size = math.div(math.add(count, parts - 1), parts);
  // Whole vectors of keys.
  size = math.mul(math.div(math.add(size, lanes - 1), lanes), lanes);
  Value first = math.min(
      keys.end, math.add(keys.first, math.mul(tile.position[*part], size)));
  return {first, math.min(keys.end, math.add(first, size))};
}

/// Puts the maxima and sums of a part's rows behind its columns.
void AttentionEmitter::storeSoftmax(const RowTile &tile) {
  SoftmaxState state = getState(tile, /*isLast=*/true);
  const AttentionOperand &c = operands.back();
  RowOffsets offsets = rowOffsets(c, tile, tile.position);
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, b.getFloatAttr(layout.type, value));
  };
  auto loop =
      scf::ForOp::create(b, math.constant(0), rowCount(tile), math.constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar(), offset = offsets(row);
  int64_t at = op.getStaticExtent(column);
  for (auto [numbers, otherwise] :
       {std::pair(state.most, 0.0), std::pair(state.sum, 1.0)}) {
    Value x = memref::LoadOp::create(b, numbers, ValueRange{row});
    if (state.isEmpty)
      x = arith::SelectOp::create(b, state.isEmpty, number(otherwise), x);
    memref::StoreOp::create(b, x, c.flat.buffer,
                            math.add(offset, math.mul(c.strides[wide], at++)));
  }
}

void AttentionEmitter::emitTile(const RowTile &tile, Value firstKey, Value keys,
                                bool isLast) {
  if (layout.matrices)
    return AttentionTiles(*this).emit(tile, firstKey, keys, isLast);
  multiplyByKeys(tile, firstKey, keys);
  SoftmaxState state = getState(tile, isLast);
  if (layout.byRows) {
    Value padded = padKeys(keys);
    if (layout.pairs)
      state.weights = scratch(layout.weights, b.getBF16Type(),
                              {state.rows, padded}, {layout.paddedKeys, 1});
    emitSoftmaxByRows(b, state,
                      scratch(layout.scores, layout.type, {state.rows, padded},
                              {layout.paddedKeys, 1}),
                      keys, getCausalEnd(tile, firstKey));
  } else {
    emitSoftmaxByKeys(b, state,
                      scratch(layout.scores, layout.type, {keys, state.rows},
                              {layout.paddedRows, 1}),
                      getCausalEnd(tile, firstKey));
  }
  multiplyByValues(tile, firstKey, keys, isLast);
}

void AttentionEmitter::emitRows(const RowTile &tile) {
  if (layout.matrices)
    AttentionTiles(*this).copyQueries(tile);
  else if (!layout.byRows)
    packQueries(tile);
  auto [first, end] = takePart(tile, trimKeys(tile, getKeyEnd(tile)));
  if (layout.pairs && !layout.matrices)
    end = fillPanel(first, end);
  Value keys = math.sub(end, first);
  if (!layout.hasTiles)
    return emitTile(tile, first, keys, /*isLast=*/true);
  emitSoftmaxStart(b, getState(tile, false));
  Value columns = math.constant(op.getStaticExtent(column));
  emitZeros(b,
            scratch(layout.results, layout.type,
                    {math.mul(rowCount(tile), columns)}, {1}),
            lanes);
  // The last tile has 1 or more keys, or there are none.
  int64_t size = layout.tileKeys;
  Value last =
      math.add(first, math.roundDown(math.sub(math.max(keys, math.constant(1)),
                                              math.constant(1)),
                                     size));
  if (!isStatic(last, 0)) {
    auto loop = scf::ForOp::create(b, first, last, math.constant(size));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitTile(tile, loop.getInductionVar(), math.constant(size),
             /*isLast=*/false);
  }
  emitTile(tile, last, math.sub(end, last), /*isLast=*/true);
  if (part)
    storeSoftmax(tile);
}

/// Of a tile of rows.
double AttentionEmitter::getCycles() {
  auto extent = [&](unsigned dim, int64_t otherwise) {
    int64_t known = op.getStaticExtent(dim);
    return double(ShapedType::isDynamic(known) ? otherwise : known);
  };
  double keys = extent(key, part ? 256 * *getParts(op) : 256);
  if (part)
    keys /= *getParts(op);
  double scores = layout.rows() * keys;
  double products = extent(depth, 64) + extent(column, 64);
  // A tile of 16 x 16 sums of 32 products takes 16 cycles.
  if (layout.matrices)
    return scores * (2 * products / 512 + 1.5);
  double cycles =
      scores * ((layout.pairs ? products / 2 : products) + 20) / lanes;
  // Of few rows, 16 bytes of keys and values a cycle.
  return std::max(cycles, keys * products * getElementBytes(layout.type) / 16);
}

bool AttentionEmitter::emit(bool threads) {
  SmallVector<unsigned> outer = op.getDims(DimKind::Batch);
  llvm::append_range(outer, layout.outer);
  SmallVector<Value> counts;
  for (unsigned dim : outer)
    counts.push_back(op.createExtent(b, dim));
  Value extent =
      layout.split ? op.createExtent(b, *layout.split) : math.constant(1);
  if (part) {
    outer.push_back(*part);
    counts.push_back(math.constant(*getParts(op)));
  }
  int64_t block = layout.splitRows;
  counts.push_back(math.div(math.add(extent, block - 1), block));

  // Tiles have their shapes before a thread's products.
  auto withShapes = [&](function_ref<void()> body) {
    AttentionTiles tiles(*this);
    if (layout.matrices)
      tiles.begin();
    body();
    if (layout.matrices)
      tiles.end();
  };
  auto emitUnit = [&](ArrayRef<Value> index) {
    RowTile tile;
    tile.position.resize(op.getNumDims());
    for (auto [dim, i] : llvm::zip(outer, index))
      tile.position[dim] = i;
    if (!layout.split)
      return emitRows(tile);
    Value first = math.mul(index.back(), block);
    tile.position[*layout.split] = first;
    tile.splitRows = math.constant(block);
    std::optional<int64_t> known = staticIndex(extent);
    if (known && *known % block == 0)
      return emitRows(tile);
    RowTile rest = tile;
    rest.splitRows =
        known ? math.constant(*known % block) : math.sub(extent, first);
    if (known && *known < block)
      return emitRows(rest);
    // Whole tiles, and the last one.
    Value isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                                          math.add(first, block), extent);
    auto branch = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitRows(tile);
    b.setInsertionPointToStart(branch.elseBlock());
    emitRows(rest);
  };
  bool shared =
      threads && emitUnits(b, counts, getCycles(), [&](const Unit &unit) {
        memory = ScratchOp::create(b, op.getScratch(), unit.own);
        withShapes([&] { emitUnit(unit.index); });
      });
  if (shared)
    return true;
  memory = op.getScratch();
  withShapes([&] { emitNest(b, counts, emitUnit); });
  return false;
}

LogicalResult dlc::lowerAttention(AttentionOp op, const CpuIsa &isa) {
  if (hasMatrixTiles(op) && !isa.pairTiles)
    return op.emitError("expected pairs=tdpbf16ps for attention with "
                        "dlc.matrix_tiles");
  AttentionEmitter emitter(op, isa);
  if (failed(emitter.readOperands()))
    return op.emitError("expected operands of linear layouts");
  bool shared = emitter.emit(isa.threads);
  AttentionScratch layout(op);
  remarkDone(op.getLoc(), "dlc-lower-contract") << remark::add(
      "kernel: attention, {0} queries by {1} keys at a time{2}{3}{4}",
      layout.rows(), layout.tileKeys,
      layout.matrices ? ", tiles of bfloat16 (amx, tdpbf16ps)"
      : layout.pairs  ? ", pairs of bfloat16"
      : layout.byRows ? ", vectors of keys"
                      : "",
      getParts(op) ? llvm::formatv(", {0} parts of keys", *getParts(op)).str()
                   : "",
      shared ? ", shared by threads" : "");
  markVectorCode(op);
  op.erase();
  return success();
}
