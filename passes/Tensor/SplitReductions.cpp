// Splits reductions that have too few results to occupy a GPU.
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"
#include "passes/Tensor/RowOps.h"
#include "passes/Tensor/SplitDimension.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace dlc {
#define GEN_PASS_DEF_SPLITREDUCTIONS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {

struct SplitReductions : dlc::impl::SplitReductionsBase<SplitReductions> {
  using SplitReductionsBase::SplitReductionsBase;

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops)
      if (isFit(op))
        if (auto [dim, parts] = choose(op); parts > 1)
          split(op, dim, parts, rewriter);
  }

private:
  static bool isFit(linalg::LinalgOp op);
  std::pair<unsigned, int64_t> choose(linalg::LinalgOp op) const;
  void split(linalg::LinalgOp op, unsigned dim, int64_t parts, RewriterBase &b);
};

} // namespace

/// One result that each of the operands' elements is combined with, and sizes
/// that are known.
bool SplitReductions::isFit(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op.hasIndexSemantics() ||
      op.getNumReductionLoops() == 0 || !findCombiner(op) ||
      llvm::any_of(op.getStaticLoopRanges(), ShapedType::isDynamic))
    return false;
  SmallVector<unsigned> dims;
  op.getReductionDims(dims);
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (llvm::any_of(dims,
                   [&](unsigned dim) { return out.isFunctionOfDim(dim); }))
    return false;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (type && !map.isProjectedPermutation(/*allowZeroInResults=*/false))
      return false;
  }
  return true;
}

/// The outermost dimension that makes as many parts as a GPU has use for; 1
/// part where there are enough results.
std::pair<unsigned, int64_t>
SplitReductions::choose(linalg::LinalgOp op) const {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<unsigned> dims;
  op.getReductionDims(dims);
  int64_t results = 1, length = 1;
  for (int64_t size : sizes)
    results *= size;
  for (unsigned dim : dims)
    length *= sizes[dim];
  if (results == 0)
    return {0, 1};
  results /= length;
  // Along memory a block makes a result, else a thread.
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  bool isAlong = llvm::any_of(dims, [&](unsigned dim) {
    return map.getNumResults() &&
           map.getResults().back() == getAffineDimExpr(dim, map.getContext());
  });
  if (isAlong && results >= fewRows)
    return {0, 1};
  int64_t most = isAlong ? blocks / results : blocks * 128 / results;
  int64_t wanted =
      std::min(most, length / (isAlong ? fewestTerms : fewestTerms / 32));
  std::pair<unsigned, int64_t> best{0, 1};
  for (unsigned dim : dims)
    for (int64_t parts = std::min(wanted, sizes[dim]);
         parts > std::max<int64_t>(best.second, 1); --parts)
      // Rows of whole accesses of memory, if possible.
      if (sizes[dim] % parts == 0 &&
          (sizes[dim] / parts % 8 == 0 || parts > 2 * best.second)) {
        best = {dim, parts};
        break;
      }
  return best;
}

void SplitReductions::split(linalg::LinalgOp op, unsigned dim, int64_t parts,
                            RewriterBase &b) {
  b.setInsertionPoint(op);
  Location loc = op.getLoc();
  MLIRContext *context = b.getContext();
  // The parallel dimensions, of which the parts are one now, come first.
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray(), newKinds;
  unsigned numDims = op.getNumLoops(), part = 0, next = 0;
  SmallVector<AffineExpr> moved(numDims);
  for (auto kind :
       {utils::IteratorType::parallel, utils::IteratorType::reduction})
    for (unsigned i = 0; i < numDims; ++i) {
      if (i == dim && kind == utils::IteratorType::parallel) {
        part = next++;
        newKinds.push_back(kind);
      }
      if (kinds[i] == kind) {
        moved[i] = b.getAffineDimExpr(next++);
        newKinds.push_back(kind);
      }
    }
  AffineExpr partExpr = b.getAffineDimExpr(part);
  auto move = [&](AffineMap map) {
    SmallVector<AffineExpr> results;
    for (AffineExpr expr : map.getResults()) {
      if (expr == b.getAffineDimExpr(dim))
        results.push_back(partExpr);
      results.push_back(expr.replaceDims(moved));
    }
    return AffineMap::get(numDims + 1, 0, results, context);
  };
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    maps.push_back(move(map));
    std::optional<unsigned> position =
        map.getResultPosition(b.getAffineDimExpr(dim));
    inputs.push_back(position
                         ? splitDimension(input->get(), *position, parts, b)
                         : input->get());
  }
  // The parts' results, [..., parts].
  OpOperand *init = op.getDpsInitOperand(0);
  auto type = cast<RankedTensorType>(init->get().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.push_back(parts);
  AffineMap out = move(op.getMatchingIndexingMap(init));
  maps.push_back(out.insertResult(partExpr, out.getNumResults()));
  Operation *combiner = findCombiner(op);
  Value neutral =
      arith::ConstantOp::create(b, loc, *arith::getNeutralElement(combiner));
  Value empty = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
  Value filled = linalg::FillOp::create(b, loc, neutral, empty).getResult(0);
  auto partial = linalg::GenericOp::create(b, loc, filled.getType(), inputs,
                                           filled, maps, newKinds);
  IRMapping mapping;
  op->getRegion(0).cloneInto(&partial.getRegion(), mapping);

  unsigned rank = type.getRank();
  AffineMap all = b.getMultiDimIdentityMap(rank + 1);
  SmallVector<utils::IteratorType> lastKinds(rank,
                                             utils::IteratorType::parallel);
  lastKinds.push_back(utils::IteratorType::reduction);
  auto total = linalg::GenericOp::create(
      b, loc, type, partial.getResult(0), init->get(),
      ArrayRef<AffineMap>{all, all.dropResult(rank)}, lastKinds,
      [&](OpBuilder &inner, Location loc, ValueRange values) {
        OperationState state(loc, combiner->getName(), {values[1], values[0]},
                             {values[1].getType()}, combiner->getAttrs());
        linalg::YieldOp::create(inner, loc, inner.create(state)->getResults());
      });
  remarkDone(loc, "dlc-split-reductions")
      << remark::add("a reduction became {0} parts", std::to_string(parts));
  b.replaceOp(op, total.getResults());
}
