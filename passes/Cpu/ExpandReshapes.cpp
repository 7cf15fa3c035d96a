// memref.expand_shape into several dynamic dimensions -> reinterpret_cast with
// the sizes that the op gives. (MLIR's expansion wants one dynamic dimension
// at most for each dimension of the source, and derives it.)

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_EXPANDRESHAPES
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

namespace {

struct ExpandReshape : OpRewritePattern<memref::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(memref::ExpandShapeOp op,
                                PatternRewriter &rewriter) const override {
    MemRefType type = op.getResultType();
    SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
    auto isSimple = [&](const ReassociationIndices &group) {
      return llvm::count_if(group, [&](int64_t dim) {
               return type.isDynamicDim(dim);
             }) <= 1;
    };
    if (llvm::all_of(groups, isSimple))
      return rewriter.notifyMatchFailure(op, "one dynamic size in each group");
    Location loc = op.getLoc();
    auto source =
        memref::ExtractStridedMetadataOp::create(rewriter, loc, op.getSrc());
    auto [staticStrides, staticOffset] = type.getStridesAndOffset();
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
    SmallVector<OpFoldResult> strides(sizes.size());
    for (auto [group, stride] : llvm::zip(groups, source.getStrides())) {
      Value running = stride;
      for (int64_t dim : llvm::reverse(group)) {
        strides[dim] = ShapedType::isDynamic(staticStrides[dim])
                           ? OpFoldResult(running)
                           : rewriter.getIndexAttr(staticStrides[dim]);
        running = rewriter.createOrFold<arith::MulIOp>(
            loc, running,
            getValueOrCreateConstantIndexOp(rewriter, loc, sizes[dim]));
      }
    }
    OpFoldResult offset = ShapedType::isDynamic(staticOffset)
                              ? OpFoldResult(source.getOffset())
                              : rewriter.getIndexAttr(staticOffset);
    rewriter.replaceOpWithNewOp<memref::ReinterpretCastOp>(
        op, type, source.getBaseBuffer(), offset, sizes, strides);
    return success();
  }
};

struct ExpandReshapesPass : dlc::impl::ExpandReshapesBase<ExpandReshapesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandReshape>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
