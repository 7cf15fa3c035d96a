// Tables of functions of a byte become part of the ops that look up in them.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_EMBEDTABLES
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The 256 bytes of a constant, or nothing.
static SmallVector<int8_t> getTable(Value tensor) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  ElementsAttr value;
  if (!type || type.getShape() != ArrayRef<int64_t>{256} ||
      !type.getElementType().isSignlessInteger(8) ||
      !matchPattern(tensor, m_Constant(&value)))
    return {};
  std::vector<char> storage;
  ArrayRef<char> data = getElementData(value, storage);
  return SmallVector<int8_t>(data.begin(), data.end());
}

namespace {
struct EmbedTable : OpRewritePattern<tensor::ExtractOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ExtractOp op,
                                PatternRewriter &b) const override {
    if (!isa<linalg::LinalgOp>(op->getParentOp()) ||
        op.getIndices().size() != 1)
      return b.notifyMatchFailure(op, "it isn't in the body of a linalg op");
    auto index = op.getIndices()[0].getDefiningOp<arith::IndexCastUIOp>();
    if (!index || !index.getIn().getType().isSignlessInteger(8))
      return b.notifyMatchFailure(op, "its index isn't an unsigned byte");
    SmallVector<int8_t> table = getTable(op.getTensor());
    if (table.size() != 256)
      return b.notifyMatchFailure(op, "its tensor isn't a constant table");
    b.replaceOpWithNewOp<LookupOp>(op, index.getIn(), table);
    return success();
  }
};

struct EmbedTablesPass : dlc::impl::EmbedTablesBase<EmbedTablesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<EmbedTable>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
