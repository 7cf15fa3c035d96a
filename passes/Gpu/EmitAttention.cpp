// What the generators of attention share.
#include "passes/Gpu/EmitAttention.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

AttentionNest::AttentionNest(Kernel &kernel, AttentionOp op)
    : TileSpace(kernel, op->getOperands(), op.getIndexingMaps(),
                &op.getEpilogue().front(),
                /*firstExtra=*/3 + op.getScoreExtras().size()),
      op(op), scores(&op.getScores().front()) {
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim) {
    AffineExpr expr = getAffineDimExpr(dim, op.getContext());
    std::optional<Extent> found;
    for (auto [buffer, map] : llvm::zip(buffers, maps))
      if (std::optional<unsigned> position = map.getResultPosition(expr))
        if (!found || found->isDynamic())
          found = kernel.extentOf(buffer, *position);
    extents.push_back(*found);
  }
  // As C has them, so that threads side by side write side by side.
  for (AffineExpr expr : op.getCMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (op.getDimKind(dim) == DimKind::Batch)
      batch.push_back(dim);
    else if (op.getDimKind(dim) == DimKind::Row)
      rows.push_back(dim);
  }
  columns = {op.getDim(DimKind::Column)};
  sums = {op.getDim(DimKind::Key)};
  depth = {op.getDim(DimKind::Depth)};
}

void AttentionNest::placeRow(SmallVectorImpl<Value> &at, const Place &block,
                             Value position, int64_t tileRows) {
  if (isRagged(rows, tileRows))
    position =
        kernel.min(position, kernel.add(block.rowCount, kernel.index(-1)));
  place(at, rows, position);
}

SmallVector<Value> AttentionNest::makeScores(ValueRange sumsOfRun,
                                             SmallVector<Value> at, Value key,
                                             const Place &block,
                                             int64_t tileKeys) {
  ImplicitLocOpBuilder &b = kernel.b;
  int64_t width = sumsOfRun.size();
  unsigned dim = sums.front();
  bool ragged = isRagged(sums, tileKeys), wide = !isRagged(sums, width);
  SmallVector<SmallVector<Value>> elements(width);
  // A run that has an element behind the end has only such, or is taken apart.
  Value last = kernel.add(block.sumCount, kernel.index(wide ? -width : -1));
  int64_t step = wide ? width : 1;
  for (unsigned extra = 3; extra < firstExtra; ++extra)
    for (int64_t i = 0; i < width; i += step) {
      at[dim] = kernel.add(key, kernel.index(i));
      if (ragged)
        at[dim] = kernel.min(at[dim], last);
      for (auto [j, value] : llvm::enumerate(loadAlong(extra, at, dim, step)))
        elements[i + j].push_back(value);
    }
  SmallVector<Value> results;
  Value hidden = floatOf(scoreType(), -std::numeric_limits<double>::infinity());
  for (int64_t i = 0; i < width; ++i) {
    Value score = inlineRegion(*scores, sumsOfRun[i], elements[i]);
    if (ragged)
      score = arith::SelectOp::create(
          b, kernel.isLess(kernel.add(key, kernel.index(i)), block.sumCount),
          score, hidden);
    results.push_back(score);
  }
  return results;
}

Value AttentionNest::makeShift(Value largest) {
  ImplicitLocOpBuilder &b = kernel.b;
  Type type = largest.getType();
  Value none = arith::CmpFOp::create(
      b, arith::CmpFPredicate::OEQ, largest,
      floatOf(type, -std::numeric_limits<double>::infinity()));
  return arith::SelectOp::create(b, none, floatOf(type, 0), largest);
}

Value AttentionNest::exp(Value x) { return math::ExpOp::create(kernel.b, x); }

Value AttentionNest::floatOf(Type type, double value) {
  return arith::ConstantOp::create(kernel.b,
                                   kernel.b.getFloatAttr(type, value));
}

Value AttentionNest::convert(Value value, Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth(),
           to = type.getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from < to)
    return arith::ExtFOp::create(kernel.b, type, value);
  if (from > to)
    return arith::TruncFOp::create(kernel.b, type, value);
  // Between formats of the same size.
  return convert(convert(value, kernel.b.getF32Type()), type);
}
