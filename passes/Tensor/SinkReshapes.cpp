// Elementwise ops on the reshaped result of a contraction work on the result
// as it is, where they can; the reshape comes after them.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SINKRESHAPES
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

/// The result of elementwise ops in which the index plays no part.
static bool isElementwise(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op->getNumResults() == 1 &&
         op.getNumParallelLoops() == op.getNumLoops() && op.getNumLoops() &&
         op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity() &&
         !op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)) &&
         llvm::all_of(*op.getBlock(), [](Operation &inner) {
           return !isa<linalg::IndexOp, tensor::ExtractOp>(inner) &&
                  !inner.getNumRegions();
         });
}

/// The contraction's result that elementwise ops made `value` of.
static bool comesFromContraction(Value value) {
  while (auto op = value.getDefiningOp<linalg::GenericOp>()) {
    if (!isElementwise(op) || !op->hasOneUse())
      return false;
    OpOperand *whole = llvm::find_singleton<OpOperand>(
        op.getDpsInputOperands(), [&](OpOperand *operand, bool) {
          return op.getMatchingIndexingMap(operand).isIdentity() ? operand
                                                                 : nullptr;
        });
    if (!whole)
      return false;
    value = whole->get();
  }
  auto contract = value.getDefiningOp<ContractOp>();
  return contract && contract->hasOneUse();
}

namespace {

/// The reshapes between a contraction and its user, the first one first.
struct ReshapeChain {
  explicit ReshapeChain(Value value) : source(value) {
    while (Operation *op = source.getDefiningOp()) {
      if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op) ||
          !op->hasOneUse())
        break;
      ops.insert(ops.begin(), op);
      source = op->getOperand(0);
    }
  }

  /// The same of another tensor.
  Value apply(PatternRewriter &b, Value value) const {
    for (Operation *op : ops) {
      IRMapping mapping;
      mapping.map(op->getOperand(0), value);
      Operation *copy = b.clone(*op, mapping);
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      copy->getResult(0).setType(type.clone(getElementTypeOrSelf(value)));
      value = copy->getResult(0);
    }
    return value;
  }

  Value source;
  SmallVector<Operation *> ops;
};

struct SinkReshape : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &b) const override {
    if (!isElementwise(op))
      return b.notifyMatchFailure(op, "it isn't elementwise");
    OpOperand *whole = nullptr;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      if (map.isIdentity() && !std::exchange(whole, operand))
        continue;
      if (!isa<RankedTensorType>(operand->get().getType()) ||
          !isAlongChannels(map, operand->get()))
        return b.notifyMatchFailure(op, "an operand has other dimensions");
    }
    if (!whole)
      return b.notifyMatchFailure(op, "no operand has the result's shape");
    ReshapeChain chain(whole->get());
    if (chain.ops.empty() || shapeOf(chain.source).empty() ||
        !comesFromContraction(chain.source))
      return b.notifyMatchFailure(op, "no reshaped contraction of its own");
    int64_t channels = shapeOf(whole->get()).back();
    int64_t inner = shapeOf(chain.source).back();
    if (ShapedType::isDynamic(channels) || ShapedType::isDynamic(inner) ||
        !channels || inner % channels)
      return b.notifyMatchFailure(op, "channels would be apart");
    rewrite(op, whole, chain, inner / channels, b);
    return success();
  }

private:
  /// True if `value` changes along the last dimension, or none.
  static bool isAlongChannels(AffineMap map, Value value) {
    AffineExpr last = getAffineDimExpr(map.getNumDims() - 1, map.getContext());
    return llvm::all_of(llvm::zip_equal(map.getResults(), shapeOf(value)),
                        [&](auto place) {
                          auto [expr, size] = place;
                          return expr == last || size == 1;
                        });
  }

  static void rewrite(linalg::GenericOp op, OpOperand *whole,
                      const ReshapeChain &chain, int64_t times,
                      PatternRewriter &b) {
    Location loc = op.getLoc();
    unsigned rank = shapeOf(chain.source).size();
    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      if (operand == whole) {
        inputs.push_back(chain.source);
        maps.push_back(b.getMultiDimIdentityMap(rank));
        continue;
      }
      unsigned last = map.getNumDims() - 1;
      Value value = operand->get();
      if (times > 1 && map.isFunctionOfDim(last)) {
        value = repeat(b, loc, value, map, times);
        map = AffineMap::get(rank, 0, b.getAffineDimExpr(rank - 1));
      } else {
        SmallVector<AffineExpr> dims(last + 1, b.getAffineConstantExpr(0));
        dims[last] = b.getAffineDimExpr(rank - 1);
        map = map.replaceDimsAndSymbols(dims, {}, rank, 0);
      }
      inputs.push_back(value);
      maps.push_back(map);
    }
    maps.push_back(b.getMultiDimIdentityMap(rank));
    Value init = tensor::EmptyOp::create(
        b, loc, tensor::getMixedSizes(b, loc, chain.source),
        getElementTypeOrSelf(op.getResult(0)));
    SmallVector<utils::IteratorType> iterators(rank,
                                               utils::IteratorType::parallel);
    auto moved = linalg::GenericOp::create(b, loc, init.getType(), inputs, init,
                                           maps, iterators);
    b.inlineRegionBefore(op.getRegion(), moved.getRegion(),
                         moved.getRegion().end());
    Value result = chain.apply(b, moved.getResult(0));
    b.replaceOp(op, result);
    // At once: what is read once more is no contraction of its own.
    for (Operation *dead : llvm::reverse(chain.ops))
      b.eraseOp(dead);
  }

  /// A vector of `value`'s elements along its last loop, `times` in a row.
  static Value repeat(PatternRewriter &b, Location loc, Value value,
                      AffineMap map, int64_t times) {
    unsigned last = map.getNumDims() - 1;
    SmallVector<AffineExpr> dims(last + 1, b.getAffineConstantExpr(0));
    dims[last] = b.getAffineDimExpr(1);
    AffineMap from = map.replaceDimsAndSymbols(dims, {}, 2, 0);
    int64_t channels = 0;
    for (auto [i, expr] : llvm::enumerate(map.getResults()))
      if (isa<AffineDimExpr>(expr))
        channels = shapeOf(value)[i];
    Value init =
        tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{times, channels},
                                getElementTypeOrSelf(value));
    SmallVector<utils::IteratorType> iterators(2,
                                               utils::IteratorType::parallel);
    Value rows =
        linalg::GenericOp::create(
            b, loc, init.getType(), value, init,
            ArrayRef<AffineMap>{from, b.getMultiDimIdentityMap(2)}, iterators,
            [](OpBuilder &inner, Location at, ValueRange elements) {
              linalg::YieldOp::create(inner, at, elements[0]);
            })
            .getResult(0);
    return tensor::CollapseShapeOp::create(
        b, loc, rows, ArrayRef<ReassociationIndices>{{0, 1}});
  }
};

struct SinkReshapesPass : dlc::impl::SinkReshapesBase<SinkReshapesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkReshape>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
