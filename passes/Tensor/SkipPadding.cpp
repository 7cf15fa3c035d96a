// Depthwise convolutions read their input as it is: zeros around it are neither
// stored nor multiplied.

#include "dialects/Dlc/Depthwise.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Lowering.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_SKIPPADDING
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static bool isZeros(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && (matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) ||
                  matchPattern(fill.getInputs()[0], m_Zero()));
}

namespace {
/// A tensor in the middle of zeros, perhaps with more dimensions of extent 1
/// than `source` has.
struct Padded {
  Value source;
  SmallVector<int64_t> low;
  SmallVector<OpFoldResult> inner, sizes; // without and with the zeros
};
} // namespace

/// As createBorder makes it.
static std::optional<Padded> findPadding(Value value, OpBuilder &b) {
  // A line, seen as a map of one line.
  if (auto expand = value.getDefiningOp<tensor::ExpandShapeOp>()) {
    std::optional<Padded> line = findPadding(expand.getSrc(), b);
    if (!line)
      return std::nullopt;
    Padded result{line->source, {}, {}, {}};
    for (auto [i, group] : llvm::enumerate(expand.getReassociationIndices())) {
      int64_t others = llvm::count_if(group, [&](int64_t dim) {
        return expand.getResultType().getDimSize(dim) != 1;
      });
      if (others > 1)
        return std::nullopt;
      for (int64_t dim : group) {
        bool isUnit = others ? expand.getResultType().getDimSize(dim) == 1
                             : dim != group.back();
        result.low.push_back(isUnit ? 0 : line->low[i]);
        result.inner.push_back(isUnit ? b.getIndexAttr(1) : line->inner[i]);
        result.sizes.push_back(isUnit ? b.getIndexAttr(1) : line->sizes[i]);
      }
    }
    return result;
  }
  auto insert = value.getDefiningOp<tensor::InsertSliceOp>();
  if (!insert || !insert.hasUnitStride() ||
      insert.getSourceType().getRank() != insert.getType().getRank() ||
      llvm::any_of(insert.getStaticOffsets(), ShapedType::isDynamic))
    return std::nullopt;
  Value border = insert.getDest();
  while (auto slab = border.getDefiningOp<tensor::InsertSliceOp>()) {
    if (!isZeros(slab.getSource()))
      return std::nullopt;
    border = slab.getDest();
  }
  auto empty = border.getDefiningOp<tensor::EmptyOp>();
  if (!empty || border == insert.getDest())
    return std::nullopt;
  Value source = insert.getSource();
  return Padded{source, llvm::to_vector(insert.getStaticOffsets()),
                tensor::getMixedSizes(b, insert.getLoc(), source),
                empty.getMixedSizes()};
}

/// Whether `map` ends with `dim`, beside dimensions of extent 1.
static bool isInnermost(ContractOp op, AffineMap map, unsigned dim) {
  MLIRContext *context = op.getContext();
  SmallVector<AffineExpr> dims;
  for (unsigned i = 0, e = op.getNumDims(); i < e; ++i)
    dims.push_back(op.getStaticExtent(i) == 1
                       ? getAffineConstantExpr(0, context)
                       : getAffineDimExpr(i, context));
  map = map.replaceDimsAndSymbols(dims, {}, op.getNumDims(), 0);
  for (AffineExpr expr : llvm::reverse(map.getResults()))
    if (!isa<AffineConstantExpr>(expr))
      return expr == getAffineDimExpr(dim, context);
  return false;
}

/// Whether vectors can run along the channels of all three.
static bool isDepthwise(ContractOp op) {
  return llvm::any_of(op.getDims(ContractOp::DimKind::Batch),
                      [&](unsigned dim) {
                        return isInnermost(op, op.getAMap(), dim) &&
                               isInnermost(op, op.getBMap(), dim) &&
                               isInnermost(op, op.getCMap(), dim);
                      });
}

/// Whether the kernel can leave out the zeros along a dimension of A.
static bool canSkip(ContractOp op, unsigned dim, const Padded &padded) {
  constexpr int64_t kMostEdge = 8;
  std::optional<ContractOp::Window> window = op.getWindow(dim);
  if (!window)
    return false;
  auto getDims = [&](ContractOp::DimKind kind) {
    SmallVector<unsigned> dims = op.getDims(kind);
    llvm::erase_if(dims,
                   [&](unsigned i) { return op.getStaticExtent(i) == 1; });
    return dims;
  };
  auto getExtent = [&](unsigned i) -> std::optional<int64_t> {
    int64_t extent = op.getStaticExtent(i);
    return ShapedType::isDynamic(extent) ? std::nullopt : std::optional(extent);
  };
  SmallVector<unsigned> rows = getDims(ContractOp::DimKind::Row),
                        sums = getDims(ContractOp::DimKind::Sum);
  std::optional<int64_t> taps = getExtent(window->window),
                         positions = getExtent(window->position),
                         size = getConstantIntValue(padded.inner[dim]);
  ZeroSkip skip = DepthwiseLoops(rows, sums, getExtent)
                      .getSkip(*window, /*isKnown=*/positions && size);
  if (skip != ZeroSkip::Ends)
    return skip == ZeroSkip::Lines && taps;
  // Each tile that holds zeros is code.
  int64_t last = (*positions - 1) * window->stride +
                 (*taps - 1) * window->dilation - padded.low[dim];
  return padded.low[dim] <= kMostEdge * window->stride &&
         last - *size < kMostEdge * window->stride;
}

static void skip(ContractOp op) {
  // A signed byte's zero may become another number on its way.
  Type element = getElementTypeOrSelf(op.getA().getType());
  if (!op.hasTensors() || op.getWinograd() || op.getDot() ||
      op.getZeroOutside() || !isDepthwise(op) ||
      !(isa<FloatType>(element) || op.getAUnsigned()))
    return;
  OpBuilder b(op);
  Location loc = op.getLoc();
  std::optional<Padded> padded = findPadding(op.getA(), b);
  if (!padded)
    return;
  auto value = [&](OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  };
  ArrayRef<OpFoldResult> inner = padded->inner;
  SmallVector<OpFoldResult> sizes, low, high;
  SmallVector<AffineExpr> exprs(op.getAMap().getResults());
  SmallVector<int64_t> skipped;
  bool isPadded = false;
  for (auto [i, expr] : llvm::enumerate(exprs)) {
    int64_t before = padded->low[i];
    OpFoldResult size = padded->sizes[i], behind = b.getIndexAttr(0);
    bool hasZeros = !isEqualConstantIntOrValue(size, inner[i]);
    if (hasZeros && canSkip(op, i, *padded)) {
      skipped.push_back(i);
      expr = expr - before;
      size = inner[i], before = 0;
    } else if (hasZeros) {
      isPadded = true;
      Value end = b.createOrFold<arith::AddIOp>(loc, value(inner[i]),
                                                value(b.getIndexAttr(before)));
      behind = getAsOpFoldResult(
          b.createOrFold<arith::SubIOp>(loc, value(size), end));
    }
    sizes.push_back(size);
    low.push_back(b.getIndexAttr(before));
    high.push_back(behind);
  }
  if (skipped.empty())
    return;
  Value a = padded->source;
  if (cast<ShapedType>(a.getType()).getRank() != int64_t(inner.size()))
    a = createReshape(b, loc, a, inner);
  if (isPadded) {
    Value border = createBorder(b, loc, sizes, low, inner, high,
                                createScalar(b, loc, element, 0));
    SmallVector<OpFoldResult> strides(inner.size(), b.getIndexAttr(1));
    a = tensor::InsertSliceOp::create(b, loc, a, border, low, inner, strides);
  }
  SmallVector<AffineMap> maps(
      op.getIndexingMaps().getAsValueRange<AffineMapAttr>());
  maps[0] = AffineMap::get(op.getNumDims(), 0, exprs, b.getContext());
  op.getAMutable().assign(a);
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  op.setZeroOutside(skipped);
  remarkDone(loc, "dlc-skip-padding") << "zeros around the input are skipped";
}

namespace {
struct SkipPadding : dlc::impl::SkipPaddingBase<SkipPadding> {
  void runOnOperation() override { getOperation()->walk(skip); }
};
} // namespace
