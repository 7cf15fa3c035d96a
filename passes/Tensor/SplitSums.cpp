// Splits the sums of contractions that have too few results to occupy a GPU.
#include "dialects/Dlc/Dlc.h"
#include "passes/Gpu/ContractTile.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"
#include "passes/Tensor/SplitDimension.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {
#define GEN_PASS_DEF_SPLITSUMS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {

/// A summed dimension that A and B have as it is, at these positions.
struct SplitDim {
  unsigned dim, inA, inB;
  int64_t extent;
};

struct SplitSums : dlc::impl::SplitSumsBase<SplitSums> {
  using SplitSumsBase::SplitSumsBase;

  void runOnOperation() override {
    SmallVector<ContractOp> ops;
    getOperation()->walk([&](ContractOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (ContractOp op : ops)
      if (std::optional<SplitDim> dim = findDim(op))
        if (int64_t parts = chooseParts(op, dim->extent); parts > 1)
          split(op, *dim, parts, rewriter);
  }

private:
  std::optional<SplitDim> findDim(ContractOp op);
  int64_t chooseParts(ContractOp op, int64_t extent) const;
  void split(ContractOp op, SplitDim dim, int64_t parts, RewriterBase &b);
};

} // namespace

/// The longest one.
std::optional<SplitDim> SplitSums::findDim(ContractOp op) {
  if (!op.hasTensors() || op.getWinograd() || op.getDot())
    return std::nullopt;
  std::optional<SplitDim> found;
  for (unsigned dim : op.getDims(ContractOp::DimKind::Sum)) {
    AffineExpr expr = getAffineDimExpr(dim, op.getContext());
    auto findPosition = [&](AffineMap map) -> std::optional<unsigned> {
      std::optional<unsigned> position = map.getResultPosition(expr);
      for (auto [i, result] : llvm::enumerate(map.getResults()))
        if (i != position && result.isFunctionOfDim(dim))
          return std::nullopt;
      return position;
    };
    std::optional<unsigned> inA = findPosition(op.getAMap()),
                            inB = findPosition(op.getBMap());
    int64_t extent = op.getStaticExtent(dim);
    // A broadcast operand is read where it has one element.
    if (inA && inB && !ShapedType::isDynamic(extent) &&
        (!found || extent > found->extent))
      found = SplitDim{dim, *inA, *inB, extent};
  }
  return found;
}

/// As many as make `blocks` blocks of the kernels' tiles, or fewer.
int64_t SplitSums::chooseParts(ContractOp op, int64_t extent) const {
  auto sizeOf = [&](ContractOp::DimKind kind) {
    int64_t size = 1;
    for (unsigned dim : op.getDims(kind)) {
      int64_t one = op.getStaticExtent(dim);
      if (ShapedType::isDynamic(one) || llvm::MulOverflow(size, one, size))
        return ShapedType::kDynamic;
    }
    return size;
  };
  int64_t rows = sizeOf(ContractOp::DimKind::Row),
          columns = sizeOf(ContractOp::DimKind::Column),
          batch = sizeOf(ContractOp::DimKind::Batch),
          sums = sizeOf(ContractOp::DimKind::Sum);
  for (int64_t size : {rows, columns, batch, sums})
    if (ShapedType::isDynamic(size) || size == 0)
      return 1;
  int64_t tiles = countBlocks(op, capability);
  int64_t wanted =
      std::min<int64_t>({blocks / tiles, mostParts, sums / fewestTerms});
  // Parts as whole accesses of memory and steps of a kernel.
  static constexpr int64_t step = 32;
  for (int64_t parts = wanted; parts > 1; --parts)
    if (extent % (parts * step) == 0)
      return parts;
  return 1;
}

void SplitSums::split(ContractOp op, SplitDim dim, int64_t parts,
                      RewriterBase &b) {
  b.setInsertionPoint(op);
  Location loc = op.getLoc();
  unsigned numDims = op.getNumDims();
  AffineExpr part = b.getAffineDimExpr(numDims);
  auto addPart = [&](AffineMap map, unsigned position) {
    SmallVector<AffineExpr> results(map.getResults());
    results.insert(results.begin() + position, part);
    return AffineMap::get(numDims + 1, 0, results, b.getContext());
  };
  // The parts' sums, [parts, C].
  auto type = cast<RankedTensorType>(op.getResult().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.insert(shape.begin(), parts);
  Value init = tensor::EmptyOp::create(b, loc, shape, op.getSumType());
  AffineMap partMaps[] = {addPart(op.getAMap(), dim.inA),
                          addPart(op.getBMap(), dim.inB),
                          addPart(op.getCMap(), 0)};
  auto sums = ContractOp::create(b, loc, op,
                                 splitDimension(op.getA(), dim.inA, parts, b),
                                 splitDimension(op.getB(), dim.inB, parts, b),
                                 /*extras=*/ValueRange(), init, partMaps);
  {
    OpBuilder::InsertionGuard guard(b);
    Block *body = b.createBlock(&sums.getEpilogue());
    YieldOp::create(b, loc, body->addArgument(op.getSumType(), loc));
  }

  // One op adds them, always in the same order, and does the epilogue.
  unsigned rank = type.getRank();
  SmallVector<AffineExpr> toLoops(numDims, b.getAffineConstantExpr(0));
  for (auto [i, result] : llvm::enumerate(op.getCMap().getResults()))
    toLoops[cast<AffineDimExpr>(result).getPosition()] = b.getAffineDimExpr(i);
  SmallVector<Value> inputs(parts, sums.getResult());
  SmallVector<AffineMap> maps;
  for (int64_t i = 0; i < parts; ++i) {
    SmallVector<AffineExpr> results{b.getAffineConstantExpr(i)};
    for (unsigned d = 0; d < rank; ++d)
      results.push_back(b.getAffineDimExpr(d));
    maps.push_back(AffineMap::get(rank, 0, results, b.getContext()));
  }
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    inputs.push_back(extra);
    maps.push_back(
        op.getExtraMap(i).replaceDimsAndSymbols(toLoops, {}, rank, 0));
  }
  maps.push_back(b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto total = linalg::GenericOp::create(
      b, loc, type, inputs, op.getInit(), maps, loops,
      [&](OpBuilder &b, Location loc, ValueRange elements) {
        Value sum = elements.front();
        for (Value other : elements.slice(1, parts - 1))
          sum = isa<FloatType>(sum.getType())
                    ? arith::AddFOp::create(b, loc, sum, other).getResult()
                    : arith::AddIOp::create(b, loc, sum, other).getResult();
        IRMapping mapping;
        mapping.map(op.getBody()->getArgument(0), sum);
        mapping.map(op.getBody()->getArguments().drop_front(),
                    elements.drop_front(parts).drop_back());
        for (Operation &inner : op.getBody()->without_terminator())
          b.clone(inner, mapping);
        linalg::YieldOp::create(
            b, loc,
            mapping.lookupOrDefault(
                op.getBody()->getTerminator()->getOperand(0)));
      });
  remarkDone(loc, "dlc-split-sums")
      << mlir::remark::add("split into {0} parts", std::to_string(parts));
  b.replaceOp(op, total);
}
