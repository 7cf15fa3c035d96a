// Attention of bfloat16 by dot products of pairs (ContractDot.h): the factors
// of both products as these read them. Queries and weights lie row by row, keys
// and values in pairs along what is summed:
//
//   scores[r][n]  = sum_k Q[r][k] * keyPairs[k / 2][n][k % 2]
//   weights[r][n] = bfloat16(exp(scores[r][n] - most[r]))
//   C[r][c]       = sum_n weights[r][n] * valuePairs[n / 2][c][n % 2]
//
// Keys are padded to blocks of a known size, whose weights are 0, since dot
// products are unrolled along what they sum.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/AttentionEmitter.h"

using namespace mlir;
using namespace dlc;

/// The columns of a panel: four vectors, or fewer for less of zeros.
int64_t AttentionEmitter::getPanel(int64_t columns) {
  int64_t best = lanes;
  for (int64_t width = lanes; width <= 4 * lanes; width += lanes) {
    auto padded = [&](int64_t w) { return llvm::alignTo(columns, w); };
    // Narrower panels use an element of A for fewer sums.
    if (AttentionScratch::kPanel % width == 0 &&
        padded(width) <= padded(best) + columns / 16)
      best = width;
  }
  return best;
}

/// Keys as rows of weights have them.
Value AttentionEmitter::padKeys(Value keys) {
  int64_t size = layout.pairs ? AttentionScratch::kPairKeys : lanes;
  return math.mul(math.div(math.add(keys, size - 1), size), size);
}

/// The end of keys from `first` on, with those that fill the last panel, if
/// there are more: they are hidden as before.
Value AttentionEmitter::fillPanel(Value first, Value end) {
  Value all = op.createExtent(b, key);
  // What follows a part of the keys is the next one.
  if (all == end || staticIndex(end) || part)
    return end;
  int64_t panel = getPanel(layout.tileKeys);
  Value keys = math.sub(end, first);
  Value filled = math.mul(math.div(math.add(keys, panel - 1), panel), panel);
  return math.min(all, math.add(first, filled));
}

PairSource AttentionEmitter::pairSource(unsigned operand,
                                        ArrayRef<Value> position, unsigned sum,
                                        unsigned other) {
  const AttentionOperand &from = operands[operand];
  Value base = from.flat.base;
  for (auto [i, stride] : llvm::zip_equal(position, from.strides))
    if (i)
      base = math.add(base, math.mul(i, stride));
  return {from.flat.buffer, base, from.strides[sum], from.strides[other]};
}

/// The queries, contiguous along the depth.
ContractPart AttentionEmitter::copyQueries(const RowTile &tile) {
  const AttentionOperand &q = operands[0];
  if (isStatic(q.strides[depth], 1))
    return queryPart(tile);
  int64_t size = op.getStaticExtent(depth);
  Value zero = math.constant(0), one = math.constant(1);
  Value rows = rowCount(tile);
  Value target = scratch(layout.queries, q.flat.type,
                         {rows, math.constant(size)}, {size, 1});
  RowOffsets offsets = rowOffsets(q, tile, tile.position);
  auto loop = scf::ForOp::create(b, zero, rows, one);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value row = loop.getInductionVar(), offset = offsets(row);
    auto inner = scf::ForOp::create(b, zero, math.constant(size), one);
    b.setInsertionPointToStart(inner.getBody());
    Value k = inner.getInductionVar();
    Value x = memref::LoadOp::create(
        b, q.flat.buffer, math.add(offset, math.mul(k, q.strides[depth])));
    memref::StoreOp::create(b, x, target, ValueRange{row, k});
  }
  unsigned rank = rowDims.size();
  return rowPart(layout.queries, size, tile,
                 {{rank + 1, math.constant(size), 1}}, q.flat.type);
}

/// The factors of scores over (rows..., key, depth).
SmallVector<ContractPart>
AttentionEmitter::pairKeys(const RowTile &tile, Value firstKey, Value keys) {
  unsigned rank = rowDims.size();
  Type type = operands[1].flat.type;
  int64_t size = op.getStaticExtent(depth), padded = llvm::alignTo(size, 2);
  int64_t panel = getPanel(layout.tileKeys);
  PairTarget target{
      scratch(layout.keyPairs, type,
              {math.constant(llvm::alignTo(layout.tileKeys, panel) * padded)},
              {1}),
      panel, padded * panel};
  emitPairs(b, pairSource(1, at(tile, firstKey), depth, key),
            math.constant(size), keys, math.constant(padded), target, lanes);

  AffineExpr n = b.getAffineDimExpr(rank), k = b.getAffineDimExpr(rank + 1);
  ContractPart part;
  part.buffer = scratch(layout.keyPairs, type,
                        {math.div(math.add(keys, panel - 1), panel),
                         math.constant(padded / 2), math.constant(panel),
                         math.constant(2)},
                        {target.panelStride, 2 * panel, 2, 1});
  part.map = AffineMap::get(
      rank + 2, 0, {n.floorDiv(panel), k.floorDiv(2), n % panel, k % 2},
      b.getContext());
  return {copyQueries(tile), part};
}

/// The factors of results over (rows..., column, block of keys, key of it).
SmallVector<ContractPart>
AttentionEmitter::pairValues(const RowTile &tile, Value firstKey, Value keys) {
  constexpr int64_t kBlock = AttentionScratch::kPairKeys;
  unsigned rank = rowDims.size();
  Type type = operands[2].flat.type;
  int64_t columns = op.getStaticExtent(column), panel = getPanel(columns);
  int64_t panels = llvm::divideCeil(columns, panel);
  PairTarget target{scratch(layout.valuePairs, type,
                            {math.constant(panels * panel * layout.paddedKeys)},
                            {1}),
                    panel, layout.paddedKeys * panel};
  Value padded = padKeys(keys);
  emitPairs(b, pairSource(2, at(tile, firstKey), key, column), keys,
            math.constant(columns), padded, target, lanes);

  Value blocks = math.div(padded, kBlock);
  AffineExpr c = b.getAffineDimExpr(rank), block = b.getAffineDimExpr(rank + 1),
             n = b.getAffineDimExpr(rank + 2);
  ContractPart part;
  part.buffer =
      scratch(layout.valuePairs, type,
              {math.constant(panels), blocks, math.constant(kBlock / 2),
               math.constant(panel), math.constant(2)},
              {target.panelStride, kBlock * panel, 2 * panel, 2, 1});
  part.map = AffineMap::get(
      rank + 3, 0, {c.floorDiv(panel), block, n.floorDiv(2), c % panel, n % 2},
      b.getContext());
  return {rowPart(layout.weights, layout.paddedKeys, tile,
                  {{rank + 1, blocks, kBlock},
                   {rank + 2, math.constant(kBlock), 1}},
                  type),
          part};
}
