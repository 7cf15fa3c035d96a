// A plugin with a pass: sigmoid becomes the hard sigmoid, which needs no exp.

#include "dlc/Plugin.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace {

/// sigmoid(x) -> max(min(x / 6 + 1 / 2, 1), 0)
struct Harden : OpRewritePattern<dlc::SigmoidOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(dlc::SigmoidOp op,
                                PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type element = getElementTypeOrSelf(op.getType());
    if (!element.isF32())
      return b.notifyMatchFailure(op, "is not of type f32");
    auto number = [&](float value) -> Value {
      auto type = RankedTensorType::get({}, element);
      return dlc::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, value));
    };
    Value y = dlc::MulOp::create(b, loc, op.getX(), number(1.0f / 6));
    y = dlc::AddOp::create(b, loc, y, number(0.5f));
    y = dlc::MinOp::create(b, loc, y, number(1));
    b.replaceOpWithNewOp<dlc::MaxOp>(op, y, number(0));
    dlc::remarkDone(loc, "hard-sigmoid") << "made hard";
    return success();
  }
};

struct HardSigmoid : PassWrapper<HardSigmoid, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(HardSigmoid)
  StringRef getArgument() const override { return "hard-sigmoid"; }
  StringRef getDescription() const override { return "Harden sigmoids"; }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Harden>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

DLC_PLUGIN(registry, "hard-sigmoid", "1.0") {
  registry.addPass<HardSigmoid>(dlc::PassPoint::GraphEarly);
}
