// B of contractions of bytes in panels and groups:
//
//   B[k, n] -> B[n floordiv 64, k floordiv 4, n mod 64, k mod 4]
//
// of bfloat16 in pairs,
//
// and, before, A[n, h, w + j, c] * B[j, c, m] -> A[n, h, w * C + k] * B[k, m]
// where the channels alone would fill no groups.
#include "passes/Tensor/PackDot.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Utils/Utils.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// The width of the panels for so many columns: the largest one of those with
/// the fewest zeros.
static int64_t choosePanel(int64_t columns, const DotLayout &layout) {
  int64_t best = 0, bestSize = 0;
  for (int64_t width = layout.panel; width >= layout.lanes;
       width -= layout.lanes) {
    int64_t size = llvm::divideCeil(columns, width) * width;
    // Narrower panels use an element of A for fewer sums.
    if (best && size + columns / 16 >= bestSize)
      continue;
    best = width, bestSize = size;
  }
  return best;
}

/// The groups of a sum of so many elements: as few steps of no more than
/// `layout.depth` groups as hold them, of one size.
static int64_t countGroups(int64_t extent, const DotLayout &layout) {
  int64_t groups = llvm::divideCeil(extent, layout.group);
  return llvm::alignTo(groups, llvm::divideCeil(groups, layout.depth));
}

namespace {

/// The innermost summed dimension and, if it is to be merged with it, the one
/// around it.
struct GroupedSum {
  unsigned inner;
  std::optional<unsigned> outer;
};

class DotPacking {
public:
  DotPacking(ContractOp op, const DotLayout &layout, RewriterBase &b)
      : op(op), layout(layout), b(b), loc(op.getLoc()) {}

  bool hasForm() { return findSum().has_value(); }
  bool pack(PackedValues &made);

private:
  bool hasMaps();
  std::optional<GroupedSum> findSum();
  std::optional<unsigned> findStep(AffineExpr index);
  std::optional<unsigned> findMerged(unsigned inner);
  unsigned getColumn() {
    AffineMap map = op.getCMap();
    return map.getDimPosition(map.getNumResults() - 1);
  }
  unsigned positionInB(unsigned dim) {
    return *op.getBMap().getResultPosition(b.getAffineDimExpr(dim));
  }
  Value transpose(Value x, ArrayRef<int64_t> permutation);
  Value layOut(ArrayRef<int64_t> order, bool merges, int64_t batches);
  void mergeA(const GroupedSum &sum, SmallVectorImpl<AffineMap> &maps);

  ContractOp op;
  const DotLayout &layout;
  RewriterBase &b;
  Location loc;
  int64_t width = 0; // of a panel
};

} // namespace

/// The summed dimension of which a step is one of `index`, if there is one.
std::optional<unsigned> DotPacking::findStep(AffineExpr index) {
  std::optional<unsigned> found;
  index.walk([&](AffineExpr expr) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || op.getDimKind(dim.getPosition()) != ContractOp::DimKind::Sum)
      return;
    // With factor 1: what is left has no trace of it.
    AffineExpr rest = simplifyAffineExpr(index - expr, op.getNumDims(), 0);
    if (!rest.isFunctionOfDim(dim.getPosition()))
      found = dim.getPosition();
  });
  return found;
}

/// A dimension of a window whose steps in A are whole pixels of `inner`
/// channels, so that both walk A as one dimension.
std::optional<unsigned> DotPacking::findMerged(unsigned inner) {
  AffineMap map = op.getAMap();
  int64_t rank = map.getNumResults();
  if (rank < 2 ||
      typeOf(op.getA()).getDimSize(rank - 1) != op.getStaticExtent(inner))
    return std::nullopt;
  std::optional<unsigned> found = findStep(map.getResult(rank - 2));
  if (!found || ShapedType::isDynamic(op.getStaticExtent(*found)))
    return std::nullopt;
  for (AffineExpr other : map.getResults().drop_back(2))
    if (other.isFunctionOfDim(*found))
      return std::nullopt;
  return found;
}

/// Whether B is a tensor of known sizes whose columns are those of C's vectors.
bool DotPacking::hasMaps() {
  AffineMap bMap = op.getBMap(), cMap = op.getCMap();
  RankedTensorType type = typeOf(op.getB());
  return type.hasStaticShape() && type.getNumElements() != 0 &&
         bMap.isProjectedPermutation() && cMap.getNumResults() &&
         op.getDimKind(getColumn()) == ContractOp::DimKind::Column;
}

std::optional<GroupedSum> DotPacking::findSum() {
  AffineMap map = op.getAMap();
  if (!map.getNumResults() || !hasMaps())
    return std::nullopt;
  std::optional<unsigned> inner = findStep(map.getResults().back());
  if (!inner)
    return std::nullopt;
  for (AffineExpr other : map.getResults().drop_back())
    if (other.isFunctionOfDim(*inner))
      return std::nullopt;
  GroupedSum sum{*inner, std::nullopt};
  int64_t extent = op.getStaticExtent(sum.inner);
  if (ShapedType::isDynamic(extent))
    return std::nullopt;
  if (extent % layout.group)
    sum.outer = findMerged(sum.inner);
  if (sum.outer)
    extent *= op.getStaticExtent(*sum.outer);
  return extent > 1 ? std::optional(sum) : std::nullopt;
}

Value DotPacking::transpose(Value x, ArrayRef<int64_t> permutation) {
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return x;
  SmallVector<int64_t> shape;
  for (int64_t i : permutation)
    shape.push_back(typeOf(x).getDimSize(i));
  Value empty =
      tensor::EmptyOp::create(b, loc, shape, typeOf(x).getElementType());
  return linalg::TransposeOp::create(b, loc, x, empty, permutation)
      .getResult()
      .front();
}

/// B with its dimensions in `order`: `batches` ones, outer sums, the grouped
/// sum (two dimensions, if it `merges`) and the columns; then packed.
Value DotPacking::layOut(ArrayRef<int64_t> order, bool merges,
                         int64_t batches) {
  Value x = transpose(op.getB(), order);
  auto fold = [&](SmallVector<int64_t> shape, int64_t position, int64_t count) {
    // Groups of dimensions: `count` from `position` on are one.
    SmallVector<ReassociationIndices> groups;
    for (int64_t i = 0; i < int64_t(shape.size()); ++i) {
      if (i <= position || i >= position + count)
        groups.emplace_back();
      groups.back().push_back(i);
    }
    return groups;
  };
  if (merges) {
    SmallVector<int64_t> shape(typeOf(x).getShape());
    int64_t k = shape.size() - 3;
    x = tensor::CollapseShapeOp::create(b, loc, x, fold(shape, k, 2));
  }
  SmallVector<int64_t> shape(typeOf(x).getShape());
  int64_t rank = shape.size();
  SmallVector<int64_t> padded(shape);
  padded[rank - 2] = countGroups(shape[rank - 2], layout) * layout.group;
  padded[rank - 1] = llvm::alignTo(shape[rank - 1], width);
  if (padded != shape) {
    Value zero = arith::ConstantOp::create(
        b, loc, b.getZeroAttr(typeOf(x).getElementType()));
    x = tensor::createPadHighOp(typeOf(x).clone(padded), x, zero, false, loc,
                                b);
  }
  SmallVector<int64_t> apart(padded);
  apart[rank - 2] /= layout.group;
  apart[rank - 1] = layout.group;
  apart.append({padded[rank - 1] / width, width});
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < rank; ++i)
    groups.push_back({i});
  groups[rank - 2] = {rank - 2, rank - 1};
  groups[rank - 1] = {rank, rank + 1};
  x = tensor::ExpandShapeOp::create(b, loc, typeOf(x).clone(apart), x, groups);
  // batches, n / P, outer sums, k / 4, n mod P, k mod 4
  SmallVector<int64_t> permutation =
      llvm::to_vector(llvm::seq<int64_t>(0, batches));
  permutation.push_back(rank);
  llvm::append_range(permutation, llvm::seq<int64_t>(batches, rank - 1));
  permutation.append({rank + 1, rank - 1});
  return transpose(x, permutation);
}

/// Reads pixels and channels of A as one dimension; `sum.outer` is left out of
/// the iteration space, and `sum.inner` counts for both.
void DotPacking::mergeA(const GroupedSum &sum,
                        SmallVectorImpl<AffineMap> &maps) {
  int64_t rank = typeOf(op.getA()).getRank();
  int64_t channels = op.getStaticExtent(sum.inner);
  SmallVector<AffineExpr> exprs(maps[0].getResults());
  AffineExpr pixel = exprs[rank - 2].replace(b.getAffineDimExpr(*sum.outer),
                                             b.getAffineConstantExpr(0));
  exprs.pop_back();
  exprs.back() = pixel * channels + b.getAffineDimExpr(sum.inner);
  maps[0] = AffineMap::get(op.getNumDims(), 0, exprs, b.getContext());
  SmallVector<AffineExpr> renamed;
  for (unsigned dim = 0; dim < op.getNumDims(); ++dim)
    renamed.push_back(dim == *sum.outer
                          ? b.getAffineConstantExpr(0)
                          : b.getAffineDimExpr(dim - (dim > *sum.outer)));
  for (AffineMap &map : maps)
    map = map.replaceDimsAndSymbols(renamed, {}, op.getNumDims() - 1, 0);
}

bool DotPacking::pack(PackedValues &made) {
  AffineMap bMap = op.getBMap();
  std::optional<GroupedSum> sum = findSum();
  if (!sum)
    return false;
  unsigned column = getColumn();

  SmallVector<int64_t> order, sums;
  for (auto [i, expr] : llvm::enumerate(bMap.getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim == column || dim == sum->inner || dim == sum->outer)
      continue;
    (op.getDimKind(dim) == ContractOp::DimKind::Sum ? sums : order)
        .push_back(i);
  }
  int64_t batches = order.size();
  llvm::append_range(order, sums);
  SmallVector<AffineExpr> results;
  for (int64_t i : order)
    results.push_back(bMap.getResult(i));
  if (sum->outer)
    order.push_back(positionInB(*sum->outer));
  order.append({positionInB(sum->inner), positionInB(column)});

  int64_t extent = op.getStaticExtent(sum->inner);
  if (sum->outer)
    extent *= op.getStaticExtent(*sum->outer);
  width = choosePanel(op.getStaticExtent(column), layout);
  AffineExpr n = b.getAffineDimExpr(column), k = b.getAffineDimExpr(sum->inner);
  results.insert(results.begin() + batches, n.floorDiv(width));
  results.append({k.floorDiv(layout.group), n % width, k % layout.group});

  b.setInsertionPointAfterValue(op.getB());
  SmallVector<int64_t> key(order);
  key.append(
      {batches, width, layout.group, layout.depth, sum->outer.has_value()});
  Value &packed = made[{op.getB(), b.getI64ArrayAttr(key)}];
  if (!packed)
    packed = layOut(order, sum->outer.has_value(), batches);
  SmallVector<AffineMap> maps(
      op.getIndexingMaps().getAsValueRange<AffineMapAttr>());
  maps[1] = AffineMap::get(op.getNumDims(), 0, results, b.getContext());
  Value a = op.getA();
  if (sum->outer) {
    mergeA(*sum, maps);
    b.setInsertionPoint(op);
    SmallVector<ReassociationIndices> groups;
    for (int64_t i = 0, rank = typeOf(a).getRank(); i < rank; ++i) {
      if (i + 1 < rank)
        groups.emplace_back();
      groups.back().push_back(i);
    }
    a = tensor::CollapseShapeOp::create(b, loc, a, groups);
  }
  bool flips = op.getDot() && op.getDotAttr().getFlip();
  b.modifyOpInPlace(op, [&] {
    op.getAMutable().assign(a);
    op.getBMutable().assign(packed);
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
    op.setDotAttr(DotAttr::get(b.getContext(), flips, layout.group, extent));
  });
  return true;
}

bool dlc::hasDotForm(ContractOp op, const DotLayout &layout) {
  IRRewriter rewriter(op.getContext());
  return DotPacking(op, layout, rewriter).hasForm();
}

bool dlc::packDot(ContractOp op, const DotLayout &layout, PackedValues &made,
                  RewriterBase &rewriter) {
  return DotPacking(op, layout, rewriter).pack(made);
}
