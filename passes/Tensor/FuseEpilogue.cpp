// Elementwise ops that follow a contraction become part of its epilogue, so
// that the sums are finished while they are still in registers:
//
//   %c = dlc.contract %a, %b outs %e ... { yield %sum }
//   %r = linalg.generic ins(%c, %bias) outs(%e2) { add, max }
// ->
//   %r = dlc.contract %a, %b extras %bias outs %e2 ... { yield max(%sum +
//   %bias, 0) }
#include "dialects/Dlc/Dlc.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace dlc {
#define GEN_PASS_DEF_FUSEEPILOGUE
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fuse-epilogue";

/// The body must compute one element from those of the inputs alone: that is
/// what the epilogue of a contraction can hold. Returns what is against it.
static StringRef findObstacle(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1)
    return "it has not one tensor result";
  if (op.getNumParallelLoops() != op.getNumLoops())
    return "it has loops that aren't parallel";
  if (!op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isPermutation())
    return "its result isn't a permutation";
  if (op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
    return "it reads its init";
  Block *body = op.getBlock();
  for (Operation &inner : *body) {
    if (isa<linalg::IndexOp>(inner))
      return "it depends on the position";
    if (inner.getNumRegions() || !isMemoryEffectFree(&inner))
      return "its body has regions or effects";
    if (!inner.hasTrait<OpTrait::IsTerminator>() &&
        !inner.hasTrait<OpTrait::ConstantLike>() &&
        !OpTrait::hasElementwiseMappableTraits(&inner))
      return "its body has no form for vectors";
    for (Value operand : inner.getOperands())
      if (operand.getParentBlock() != body &&
          !matchPattern(operand, m_Constant()))
        return "its body uses an outer value";
  }
  return "";
}

/// True if `map` is one that an extra can have.
static bool isExtraMap(AffineMap map) {
  return llvm::all_of(map.getResults(), [](AffineExpr expr) {
    return isa<AffineDimExpr, AffineConstantExpr>(expr);
  });
}

/// A contraction whose result only `op` uses, at one operand, in a layout that
/// keeps its innermost dimension. Of several, the one that comes last: the
/// others' results are computed by then.
static OpOperand *findContraction(linalg::LinalgOp op, DominanceInfo &order) {
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  OpOperand *found = nullptr;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto contract = operand->get().getDefiningOp<ContractOp>();
    AffineMap in = op.getMatchingIndexingMap(operand);
    if (!contract || !contract->hasOneUse() || !in.isPermutation() ||
        contract->getBlock() != op->getBlock())
      continue;
    // Kernels store vectors along the innermost dimension: a transposition of
    // it stays an op of its own.
    if (in.getNumResults() && in.getResults().back() != out.getResults().back())
      continue;
    if (!found || order.properlyDominates(found->get().getDefiningOp(),
                                          contract.getOperation()))
      found = operand;
  }
  return found;
}

/// Says why an op that reads the result of a contraction stands alone.
static void remarkUnfused(linalg::LinalgOp op) {
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto contract = operand->get().getDefiningOp<ContractOp>();
    if (!contract)
      continue;
    StringRef why = findObstacle(op);
    if (why.empty())
      why =
          !contract->hasOneUse() ? "others read it too"
          : !op.getMatchingIndexingMap(operand).isPermutation()
              ? "it is read in another shape"
              : "its innermost dimension moves, or an operand is no broadcast";
    remarkMissed(op.getLoc(), kPass)
        << mlir::remark::add("not fused into the epilogue of '{0}': {1}",
                             getNodeName(contract.getLoc()), why);
  }
}

namespace {
struct FuseIntoEpilogue : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (StringRef obstacle = findObstacle(op); !obstacle.empty())
      return rewriter.notifyMatchFailure(op, obstacle);
    DominanceInfo order;
    OpOperand *use = findContraction(op, order);
    if (!use)
      return rewriter.notifyMatchFailure(op, "no contraction of its own");
    auto contract = use->get().getDefiningOp<ContractOp>();

    // From the contraction's iteration space to the loops of `op`.
    AffineMap toLoops = inversePermutation(op.getMatchingIndexingMap(use))
                            .compose(contract.getCMap());
    SmallVector<AffineMap> maps{contract.getAMap(), contract.getBMap()};
    SmallVector<Value> extras(contract.getExtras());
    for (unsigned i = 0; i < extras.size(); ++i)
      maps.push_back(contract.getExtraMap(i));
    SmallVector<OpOperand *> added;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      if (operand == use)
        continue;
      Value scalar = operand->get();
      if (!isa<RankedTensorType>(scalar.getType())) {
        if (!matchPattern(scalar, m_Constant()))
          return rewriter.notifyMatchFailure(op, "operand is no tensor");
        continue;
      }
      AffineMap map = op.getMatchingIndexingMap(operand).compose(toLoops);
      if (!isExtraMap(map))
        return rewriter.notifyMatchFailure(op, "operand isn't a broadcast");
      maps.push_back(map);
      extras.push_back(scalar);
      added.push_back(operand);
    }
    OpOperand *init = op.getDpsInitOperand(0);
    maps.push_back(op.getMatchingIndexingMap(init).compose(toLoops));

    rewriter.setInsertionPoint(op);
    auto fused = ContractOp::create(
        rewriter, rewriter.getFusedLoc({contract.getLoc(), op.getLoc()}),
        contract, contract.getA(), contract.getB(), extras, init->get(), maps);
    rewriter.inlineRegionBefore(contract.getEpilogue(), fused.getEpilogue(),
                                fused.getEpilogue().end());
    appendBody(fused, op, use, added, rewriter);
    remarkDone(op.getLoc(), kPass) << mlir::remark::add(
        "fused into the epilogue of '{0}'", getNodeName(contract.getLoc()));
    rewriter.replaceOp(op, fused.getResult());
    rewriter.eraseOp(contract);
    return success();
  }

private:
  /// Appends the body of `op` to the epilogue, with the epilogue's value for
  /// `use`, new arguments for `added` and copies of outer constants.
  static void appendBody(ContractOp fused, linalg::LinalgOp op, OpOperand *use,
                         ArrayRef<OpOperand *> added,
                         PatternRewriter &rewriter) {
    Block *body = fused.getBody();
    auto yield = cast<YieldOp>(body->getTerminator());
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(yield);
    IRMapping mapping;
    mapping.map(op.getMatchingBlockArgument(use), yield.getOperand(0));
    for (OpOperand *operand : added)
      mapping.map(
          op.getMatchingBlockArgument(operand),
          body->addArgument(getElementTypeOrSelf(operand->get().getType()),
                            operand->get().getLoc()));
    for (OpOperand *operand : op.getDpsInputOperands())
      if (!isa<RankedTensorType>(operand->get().getType()))
        mapping.map(
            op.getMatchingBlockArgument(operand),
            rewriter.clone(*operand->get().getDefiningOp())->getResult(0));
    auto copyConstant = [&](Value value) {
      Operation *owner = value.getDefiningOp();
      if (!mapping.contains(value) && owner &&
          owner->getBlock() != op.getBlock())
        mapping.map(value, rewriter.clone(*owner)->getResult(0));
    };
    for (Operation &inner : op.getBlock()->without_terminator()) {
      llvm::for_each(inner.getOperands(), copyConstant);
      rewriter.clone(inner, mapping);
    }
    Value result = op.getBlock()->getTerminator()->getOperand(0);
    copyConstant(result);
    rewriter.replaceOpWithNewOp<YieldOp>(yield,
                                         mapping.lookupOrDefault(result));
  }
};

struct FuseEpilogue : dlc::impl::FuseEpilogueBase<FuseEpilogue> {
  void runOnOperation() override {
    if (failed(undoReshapes()))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseIntoEpilogue>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (wantsRemarks(&getContext()))
      getOperation()->walk(remarkUnfused);
  }

  /// Elementwise ops on a contraction's result in another shape work on it as
  /// it is; the reshape comes after them.
  LogicalResult undoReshapes() {
    auto control = [](OpOperand *operand) {
      auto reshape = operand->get().getDefiningOp<tensor::ExpandShapeOp>();
      if (!reshape || !reshape->hasOneUse())
        return false;
      auto contract = reshape.getSrc().getDefiningOp<ContractOp>();
      auto op = dyn_cast<linalg::LinalgOp>(operand->getOwner());
      return contract && contract->hasOneUse() && op &&
             findObstacle(op).empty();
    };
    RewritePatternSet patterns(&getContext());
    linalg::populateFoldReshapeOpsByCollapsingPatterns(patterns, control);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns,
                                                         &getContext());
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }
};
} // namespace
