// A transpose whose elements loops load, in the body of a linalg.generic that
// makes a tensor of the same rank:
//
//   %t = dlc.transpose %x [0, 3, 1, 2]
//   %r = linalg.generic outs(%empty) {             // over n, c, h, w
//     %h = linalg.index 2
//     tensor.extract %t[%n, %c, %f(%h), %w]
//   }
// ->
//   %s = linalg.generic outs(%other) {             // over n, h, w, c
//     %h = linalg.index 1
//     tensor.extract %x[%n, %f(%h), %w, %c]
//   }
//   %r = dlc.transpose %s [0, 3, 1, 2]
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "passes/Graph/SinkTransposes.h"

using namespace mlir;
using namespace dlc;

/// What `extract` loads from, if that is transposed and has `rank` dimensions.
static TransposeOp findTranspose(tensor::ExtractOp extract, int64_t rank) {
  auto transpose = extract.getTensor().getDefiningOp<TransposeOp>();
  return transpose && extract.getTensor().getType().getRank() == rank
             ? transpose
             : TransposeOp();
}

/// The one order in which all transposed tensors that the body loads from were
/// transposed; empty if there is none, or are several.
static SmallVector<int64_t> findPermutation(linalg::GenericOp op) {
  SmallVector<int64_t> found;
  bool isOne = true;
  op.getBody()->walk([&](tensor::ExtractOp extract) {
    TransposeOp transpose = findTranspose(extract, op.getNumLoops());
    if (!transpose)
      return;
    if (found.empty())
      found.assign(transpose.getPermutation());
    isOne &= ArrayRef<int64_t>(found) == transpose.getPermutation();
  });
  return isOne ? found : SmallVector<int64_t>();
}

namespace {

struct SinkThroughLoops : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &b) const override {
    if (op.getNumDpsInputs() || op.getNumDpsInits() != 1 ||
        op.getNumParallelLoops() != op.getNumLoops() ||
        !op.getIndexingMapsArray().front().isIdentity())
      return b.notifyMatchFailure(op, "it makes not one tensor in its order");
    auto empty = op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
    SmallVector<int64_t> permutation = findPermutation(op);
    if (!empty || permutation.empty())
      return b.notifyMatchFailure(op, "it loads nothing that is transposed");

    SmallVector<OpFoldResult> sizes(op.getNumLoops());
    for (auto [size, dim] : llvm::zip_equal(empty.getMixedSizes(), permutation))
      sizes[dim] = size;
    Value init = tensor::EmptyOp::create(b, empty.getLoc(), sizes,
                                         empty.getType().getElementType());
    auto moved = linalg::GenericOp::create(
        b, op.getLoc(), init.getType(), ValueRange(), init,
        op.getIndexingMapsArray(), op.getIteratorTypesArray());
    b.inlineRegionBefore(op.getRegion(), moved.getRegion(),
                         moved.getRegion().end());
    moved.getBody()->walk([&](linalg::IndexOp index) {
      b.modifyOpInPlace(index,
                        [&] { index.setDim(permutation[index.getDim()]); });
    });
    moved.getBody()->walk([&](tensor::ExtractOp extract) {
      TransposeOp transpose = findTranspose(extract, sizes.size());
      if (!transpose)
        return;
      SmallVector<Value> at(sizes.size());
      for (auto [index, dim] :
           llvm::zip_equal(extract.getIndices(), permutation))
        at[dim] = index;
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(extract);
      b.replaceOpWithNewOp<tensor::ExtractOp>(extract, transpose.getX(), at);
    });
    b.setInsertionPointAfter(moved);
    b.replaceOpWithNewOp<TransposeOp>(op, moved.getResult(0), permutation);
    return success();
  }
};

} // namespace

void dlc::populateSinkThroughLoops(RewritePatternSet &patterns) {
  patterns.add<SinkThroughLoops>(patterns.getContext());
}
