// The layout of B of a contraction: constant weights in panels of columns that
// the kernels read from one end to the other, and columns made contiguous
// where they aren't.
#include "dialects/Dlc/Dlc.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/FindAttention.h"
#include "passes/Tensor/PackDot.h"
#include "passes/Tensor/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Utils/Utils.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

namespace dlc {
#define GEN_PASS_DEF_PACKCONTRACT
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {
struct PackContract : dlc::impl::PackContractBase<PackContract> {
  using PackContractBase::PackContractBase;

  void runOnOperation() override {
    SmallVector<ContractOp> ops;
    getOperation()->walk([&](ContractOp op) {
      if (op.hasTensors())
        ops.push_back(op);
    });
    attention.clear();
    if (pairs)
      for (AttentionProducts found : findAttention(getOperation(), constants))
        if (hasRowsForPairs(found.first)) {
          attention.insert(found.first);
          attention.insert(found.second);
        }
    IRRewriter rewriter(&getContext());
    for (ContractOp op : ops)
      pack(op, rewriter);
  }

private:
  void pack(ContractOp op, IRRewriter &rewriter);
  int64_t choosePanel(int64_t columns, int64_t panel) const;
  int64_t chooseTransformed(ContractOp op, int64_t columns) const;
  int64_t chooseWidest(ContractOp op) const;
  std::optional<DotLayout> getDotLayout(ContractOp op) const;

  KnownConstants constants;
  PackedValues made;
  DenseSet<Operation *> attention; // whose kernel lays out pairs
};
} // namespace

/// The width of the panels for so many columns; 0 for a B that is best left
/// whole: a narrow one, or one that no width divides without many zeros.
int64_t PackContract::choosePanel(int64_t columns, int64_t panel) const {
  if (columns <= 2 * panel)
    return 0;
  int64_t best = 0, bestSize = 0;
  for (int64_t width = panel; width >= std::max<int64_t>(lanes, panel / 2);
       width -= lanes) {
    int64_t size = llvm::divideCeil(columns, width) * width;
    if (size - columns <= columns / 16)
      return width;
    if (!best || size < bestSize)
      best = width, bestSize = size;
  }
  return columns > 8 * panel ? best : 0;
}

/// Of Winograd's form the products of two vectors of columns stay in
/// the L1 cache until they are transformed, and are many enough where a block
/// has a few tiles. 0 for other contractions.
int64_t PackContract::chooseTransformed(ContractOp op, int64_t columns) const {
  constexpr int64_t kFewTiles = 6;
  int64_t width = 2 * lanes;
  WinogradAttr form = op.getWinogradAttr();
  bool pays = form && !form.isFourier() && form.getTiles() >= kFewTiles &&
              lanes >= 16 && width <= panel && columns > width &&
              columns % width == 0;
  return pays ? width : 0;
}

/// `b` with the dimensions of `order`, the last of which is split in panels
/// of `panel` if that isn't 0; the panels' index comes after `batches`
/// dimensions.
static Value layOut(Value b, ArrayRef<int64_t> order, int64_t batches,
                    int64_t panel, RewriterBase &rewriter) {
  Location loc = b.getLoc();
  auto type = cast<RankedTensorType>(b.getType());
  SmallVector<int64_t> permutation(order);
  if (panel) {
    int64_t column = order.back();
    int64_t count = llvm::divideCeil(type.getDimSize(column), panel);
    SmallVector<int64_t> shape(type.getShape());
    shape[column] = count * panel;
    if (shape[column] != type.getDimSize(column)) {
      Value zero = arith::ConstantOp::create(
          rewriter, loc, rewriter.getZeroAttr(type.getElementType()));
      b = tensor::createPadHighOp(type.clone(shape), b, zero, false, loc,
                                  rewriter);
    }
    shape[column] = panel;
    shape.insert(shape.begin() + column, count);
    SmallVector<ReassociationIndices> groups;
    for (int64_t i = 0, next = 0; i < type.getRank(); ++i) {
      groups.push_back({next++});
      if (i == column)
        groups.back().push_back(next++);
    }
    b = tensor::ExpandShapeOp::create(rewriter, loc, type.clone(shape), b,
                                      groups);
    for (int64_t &position : permutation)
      if (position >= column)
        ++position;
    permutation.insert(permutation.begin() + batches, column);
  }
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return b;
  SmallVector<OpFoldResult> sizes;
  for (int64_t position : permutation)
    sizes.push_back(tensor::getMixedSize(rewriter, loc, b, position));
  Value empty =
      tensor::EmptyOp::create(rewriter, loc, sizes, type.getElementType());
  return linalg::TransposeOp::create(rewriter, loc, b, empty, permutation)
      .getResult()
      .front();
}

/// The number of rows, a large one if it isn't known.
static int64_t countRows(ContractOp op, int64_t unknown = 1024) {
  int64_t rows = 1;
  for (unsigned dim : op.getDims(ContractOp::DimKind::Row)) {
    int64_t extent = op.getStaticExtent(dim);
    if (ShapedType::isDynamic(extent))
      return unknown;
    rows *= extent;
  }
  return rows;
}

/// A tile of twice the rows and half the columns reads weights half as often.
/// That pays where they are read from far away, which a few rows don't hide,
/// and for the products of Winograd's algorithm, one of channels each. There
/// may be few rows where their number is unknown.
int64_t PackContract::chooseWidest(ContractOp op) const {
  constexpr int64_t kFewRows = 160, kLongSum = 256, kManyChannels = 128;
  int64_t rows = countRows(op, kFewRows);
  if (panel < 4 * lanes || lanes < 16)
    return panel;
  SmallVector<int64_t> sums;
  for (unsigned dim : op.getDims(ContractOp::DimKind::Sum))
    if (int64_t extent = op.getStaticExtent(dim);
        ShapedType::isStatic(extent) && extent > 1)
      sums.push_back(extent);
  int64_t all = std::accumulate(sums.begin(), sums.end(), int64_t(1),
                                std::multiplies<int64_t>());
  bool isWindow = sums.size() == 3;
  // A single tile of rows needs its width to have enough sums in flight.
  bool isDeep = rows > 8 && ((all >= kLongSum && rows <= kFewRows) ||
                             (isWindow && sums.back() >= kManyChannels));
  return isDeep ? panel / 2 : panel;
}

/// That of the machine's dot products for the operands' type, if there are any.
std::optional<DotLayout> PackContract::getDotLayout(ContractOp op) const {
  Type type = getElementTypeOrSelf(op.getB().getType());
  if (getElementTypeOrSelf(op.getA().getType()) != type)
    return std::nullopt;
  // Of tiles, two of columns stay in the L1 cache; 16 groups are a tile.
  constexpr int64_t kDepth = 16;
  bool hasRows = countRows(op) >= kFewestTileRows;
  if (type.isInteger(8) && op.getSumType().isInteger(32) && group > 1) {
    if (byteTiles && hasRows)
      return DotLayout{group, dotLanes, 2 * dotLanes, kDepth};
    return DotLayout{group, dotLanes, 4 * dotLanes};
  }
  if (type.isBF16() && op.getSumType().isF32() && pairs &&
      !attention.contains(op)) {
    if (pairTiles && hasRows)
      return DotLayout{2, lanes, 2 * lanes, kDepth};
    return DotLayout{2, lanes, chooseWidest(op)};
  }
  return std::nullopt;
}

void PackContract::pack(ContractOp op, IRRewriter &rewriter) {
  // Few rows use an element of B too seldom for a layout in the run to pay.
  if (std::optional<DotLayout> layout = getDotLayout(op))
    if ((constants.contains(op.getB()) || countRows(op) >= 8) &&
        packDot(op, *layout, made, rewriter))
      return;
  AffineMap bMap = op.getBMap(), cMap = op.getCMap();
  if (!bMap.isProjectedPermutation() || !cMap.getNumResults())
    return;
  // Vectors run along C's innermost dimension, which has to be a column.
  unsigned column = cMap.getDimPosition(cMap.getNumResults() - 1);
  if (op.getDimKind(column) != ContractOp::DimKind::Column)
    return;
  // One column a group, channel by channel: as it is, vectors run along the
  // groups.
  if (op.getStaticExtent(column) == 1 &&
      !op.getDims(ContractOp::DimKind::Batch).empty())
    return;
  auto type = cast<RankedTensorType>(op.getB().getType());
  SmallVector<int64_t> order, rest;
  int64_t columnPosition = 0;
  for (auto [i, expr] : llvm::enumerate(bMap.getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim == column)
      columnPosition = i;
    else if (op.getDimKind(dim) == ContractOp::DimKind::Sum)
      rest.push_back(i);
    else
      order.push_back(i);
  }
  int64_t batches = order.size();
  llvm::append_range(order, rest);
  order.push_back(columnPosition);

  int64_t width = 0;
  if (constants.contains(op.getB())) {
    int64_t columns = type.getDimSize(columnPosition);
    width = chooseTransformed(op, columns);
    if (!width)
      width = choosePanel(columns, chooseWidest(op));
  } else {
    if (columnPosition + 1 == type.getRank())
      return;
    // Few rows use an element of B too seldom for a transposition to pay;
    // dot products along the sum then do, if A is contiguous along it too.
    AffineMap aMap = op.getAMap();
    bool isDot = aMap.getNumResults() && bMap.getNumResults() &&
                 aMap.getResults().back() == bMap.getResults().back();
    if (isDot && countRows(op) < 8)
      return;
  }

  rewriter.setInsertionPointAfterValue(op.getB());
  SmallVector<int64_t> layout(order);
  layout.append({batches, width});
  Value &packed = made[{op.getB(), rewriter.getI64ArrayAttr(layout)}];
  if (!packed)
    packed = layOut(op.getB(), order, batches, width, rewriter);
  SmallVector<AffineExpr> results;
  for (int64_t position : order)
    results.push_back(bMap.getResult(position));
  if (width) {
    AffineExpr n = results.back();
    results.back() = n % width;
    results.insert(results.begin() + batches, n.floorDiv(width));
  }
  SmallVector<AffineMap> maps(
      op.getIndexingMaps().getAsValueRange<AffineMapAttr>());
  maps[1] = AffineMap::get(bMap.getNumDims(), 0, results, &getContext());
  rewriter.modifyOpInPlace(op, [&] {
    op.getBMutable().assign(packed);
    op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
  });
}
