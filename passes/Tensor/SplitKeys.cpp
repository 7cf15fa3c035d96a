// Attention of few queries in parts of its keys:
//
//   X[p, r, c], M[p, r], S[p, r] = sums, maxima, sums of weights of part p
//   most[r] = max_p M[p, r]
//   factor[p, r] = exp(M[p, r] - most[r])
//   C[r, c] = epilogue(sum_p factor[p, r] * X[p, r, c] /
//                      sum_p factor[p, r] * S[p, r])
#include "passes/Tensor/SplitKeys.h"
#include "dialects/Dlc/MatrixTilesAttr.h"
#include "dialects/Dlc/PartsAttr.h"
#include "dialects/Dlc/SoftmaxAttr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

/// A few threads are busy with so many units of work, each of which has some
/// keys.
static constexpr int64_t kWantedUnits = 16, kPartKeys = 256;
/// More queries have other kernels, and work for threads.
static constexpr int64_t kMostRows = 16;

/// How many parts threads need; 1 for none.
static int64_t countParts(AttentionOp op) {
  int64_t rows = 1, units = 1;
  for (unsigned dim : op.getDims(DimKind::Row)) {
    int64_t extent = op.getStaticExtent(dim);
    if (ShapedType::isDynamic(extent))
      return 1;
    rows *= extent;
  }
  // Of what the run tells there may be one.
  for (unsigned dim : op.getDims(DimKind::Batch))
    if (int64_t extent = op.getStaticExtent(dim); ShapedType::isStatic(extent))
      units *= extent;
  if (rows > kMostRows || units > kWantedUnits / 2)
    return 1;
  int64_t parts = llvm::divideCeil(kWantedUnits, units);
  int64_t keys = op.getStaticExtent(op.getDim(DimKind::Key));
  return ShapedType::isDynamic(keys) ? parts
                                     : std::min(parts, keys / kPartKeys);
}

namespace {

class KeySplit {
public:
  KeySplit(AttentionOp op, int64_t parts, OpBuilder::Listener *listener)
      : op(op), parts(parts), b(op.getLoc(), op, listener),
        type(op.getScores().front().getArgument(0).getType()),
        columns(op.getStaticExtent(op.getDim(DimKind::Column))) {
    sizes = tensor::getMixedSizes(b, b.getLoc(), op.getInit());
    rank = sizes.size() - 1;
  }

  Value run(int64_t lanes);

private:
  Value attendParts(int64_t lanes);
  Value combine(Value partial);

  Value number(double value) {
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  }
  /// An empty tensor of the rows, with a dimension in front or behind.
  Value empty(std::optional<int64_t> front, std::optional<int64_t> behind,
              Type element) {
    SmallVector<OpFoldResult> shape;
    if (front)
      shape.push_back(b.getIndexAttr(*front));
    llvm::append_range(shape, ArrayRef(sizes).drop_back());
    if (behind)
      shape.push_back(b.getIndexAttr(*behind));
    return tensor::EmptyOp::create(b, shape, element);
  }
  /// `count` numbers of each row of each part, from `first` on; without a
  /// dimension of their own for 0.
  Value slice(Value partial, int64_t first, int64_t count);
  using Body = function_ref<Value(OpBuilder &, Location, ValueRange)>;
  /// An op whose innermost loop, over parts, is a sum or maximum if `reduces`.
  Value generic(ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                bool reduces, Body body);
  Value fill(Value tensor, double value) {
    return linalg::FillOp::create(b, number(value), tensor).getResult(0);
  }

  AttentionOp op;
  int64_t parts;
  ImplicitLocOpBuilder b;
  Type type;
  int64_t columns;
  SmallVector<OpFoldResult> sizes; // of the result
  unsigned rank;                   // of its rows
};

} // namespace

Value KeySplit::attendParts(int64_t lanes) {
  unsigned dims = op.getNumDims();
  SmallVector<AffineMap> maps;
  unsigned kept = 3 + op.getScoreExtras().size();
  auto extend = [&](ArrayRef<AffineExpr> results) {
    return AffineMap::get(dims + 2, 0, results, b.getContext());
  };
  for (unsigned i = 0; i < kept; ++i)
    maps.push_back(extend(op.getMap(i).getResults()));
  SmallVector<AffineExpr> results{b.getAffineDimExpr(dims)};
  llvm::append_range(results, op.getCMap().getResults().drop_back());
  results.push_back(b.getAffineDimExpr(dims + 1));
  maps.push_back(extend(results));
  Value init = empty(parts, columns + 2, type);
  ArrayRef<int64_t> tile = *op.getTile();
  constexpr int64_t kTileKeys = 512;
  auto partial = AttentionOp::create(
      b, init.getType(), op.getQ(), op.getK(), op.getV(), op.getScoreExtras(),
      /*extras=*/ValueRange(), init, /*scratch=*/Value(),
      b.getAffineMapArrayAttr(maps), op.getPrecisionAttr(),
      b.getDenseI64ArrayAttr(
          {tile[0], std::min(tile[1], std::max(lanes, kTileKeys))}),
      op.getCausalAttr());
  partial->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  partial->removeAttr(kMatrixTilesAttr);
  partial->setAttr(kPartsAttr, b.getI64IntegerAttr(parts));
  IRMapping mapping;
  op.getScores().cloneInto(&partial.getScores(), mapping);
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&partial.getEpilogue(), {}, type, op.getLoc());
  YieldOp::create(b, body->getArgument(0));
  return partial.getResult();
}

Value KeySplit::slice(Value partial, int64_t first, int64_t count) {
  SmallVector<OpFoldResult> offsets(rank + 2, b.getIndexAttr(0)),
      strides(rank + 2, b.getIndexAttr(1)),
      shape = tensor::getMixedSizes(b, b.getLoc(), partial);
  offsets.back() = b.getIndexAttr(first);
  shape.back() = b.getIndexAttr(std::max<int64_t>(1, count));
  auto from = cast<RankedTensorType>(partial.getType());
  SmallVector<int64_t> kept(from.getShape().drop_back());
  if (count)
    kept.push_back(count);
  return tensor::ExtractSliceOp::create(b, from.clone(kept), partial, offsets,
                                        shape, strides);
}

Value KeySplit::generic(ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                        bool reduces, Body body) {
  SmallVector<utils::IteratorType> loops(maps.back().getNumDims(),
                                         utils::IteratorType::parallel);
  if (reduces)
    loops.back() = utils::IteratorType::reduction;
  return linalg::GenericOp::create(
             b, init.getType(), inputs, init, maps, loops,
             [&](OpBuilder &inner, Location loc, ValueRange values) {
               linalg::YieldOp::create(inner, loc, body(inner, loc, values));
             })
      .getResult(0);
}

Value KeySplit::combine(Value partial) {
  MLIRContext *context = b.getContext();
  Value most = slice(partial, columns, 0),
        total = slice(partial, columns + 1, 0),
        products = slice(partial, 0, columns);
  // (rows..., part), and (rows..., column, part).
  auto mapOf = [&](unsigned dims, bool hasPart, bool hasColumn) {
    SmallVector<unsigned> targets;
    if (hasPart)
      targets.push_back(dims - 1);
    for (unsigned i = 0; i < rank; ++i)
      targets.push_back(i);
    if (hasColumn)
      targets.push_back(rank);
    return AffineMap::getMultiDimMapWithTargets(dims, targets, context);
  };
  AffineMap rowsAndPart = mapOf(rank + 1, true, false),
            rows = mapOf(rank + 1, false, false);
  Value highest = generic(
      most, fill(empty({}, {}, type), -INFINITY), {rowsAndPart, rows},
      /*reduces=*/true, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        return arith::MaximumFOp::create(b, loc, x[0], x[1]);
      });
  Value factors = generic(
      {most, highest}, empty(parts, {}, type), {rowsAndPart, rows, rowsAndPart},
      /*reduces=*/false, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        auto exp = math::ExpOp::create(
            b, loc, arith::SubFOp::create(b, loc, x[0], x[1]));
        exp->setAttr(kSoftmaxAttr, b.getUnitAttr());
        return exp;
      });
  auto addProduct = [](OpBuilder &b, Location loc, ValueRange x) -> Value {
    return arith::AddFOp::create(b, loc, x[2],
                                 arith::MulFOp::create(b, loc, x[0], x[1]));
  };
  Value weights =
      generic({factors, total}, fill(empty({}, {}, type), 0),
              {rowsAndPart, rowsAndPart, rows}, /*reduces=*/true, addProduct);
  unsigned dims = rank + 2;
  Value sums = generic({factors, products}, fill(empty({}, columns, type), 0),
                       {mapOf(dims, true, false), mapOf(dims, true, true),
                        mapOf(dims, false, true)},
                       /*reduces=*/true, addProduct);

  // The quotient, and the epilogue.
  AffineMap all = b.getMultiDimIdentityMap(rank + 1);
  SmallVector<Value> inputs{sums, weights};
  SmallVector<AffineMap> maps{all, all.dropResult(rank)};
  SmallVector<AffineExpr> toResult(op.getNumDims(), b.getAffineConstantExpr(0));
  for (auto [i, expr] : llvm::enumerate(op.getCMap().getResults()))
    toResult[cast<AffineDimExpr>(expr).getPosition()] = b.getAffineDimExpr(i);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    inputs.push_back(extra);
    maps.push_back(
        op.getExtraMap(i).replaceDimsAndSymbols(toResult, {}, rank + 1, 0));
  }
  maps.push_back(all);
  Block *epilogue = &op.getEpilogue().front();
  return generic(
      inputs, op.getInit(), maps, /*reduces=*/false,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        IRMapping mapping;
        mapping.map(epilogue->getArgument(0),
                    Value(arith::DivFOp::create(b, loc, x[0], x[1])));
        for (BlockArgument argument : epilogue->getArguments().drop_front())
          mapping.map(argument, x[argument.getArgNumber() + 1]);
        for (Operation &inner : epilogue->without_terminator())
          b.clone(inner, mapping);
        return mapping.lookupOrDefault(
            epilogue->getTerminator()->getOperand(0));
      });
}

Value KeySplit::run(int64_t lanes) { return combine(attendParts(lanes)); }

void dlc::splitKeys(AttentionOp op, int64_t lanes, RewriterBase &rewriter) {
  int64_t parts = countParts(op);
  // Columns stand last in what the parts make.
  if (parts < 2 || !op.hasTensors() ||
      op.getCMap().getResults().back() !=
          getAffineDimExpr(op.getDim(DimKind::Column), op.getContext()) ||
      op.getEpilogue().front().getArgument(0).getType() !=
          op.getScores().front().getArgument(0).getType())
    return;
  rewriter.replaceOp(op,
                     KeySplit(op, parts, rewriter.getListener()).run(lanes));
}
