// Copies @main for machines without a GPU.
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Gpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_KEEPFALLBACK
#include "passes/Gpu/Passes.h.inc"
} // namespace dlc

namespace {
struct KeepFallbackPass : dlc::impl::KeepFallbackBase<KeepFallbackPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    OpBuilder b(main);
    cast<func::FuncOp>(b.clone(*main)).setName("fallback");
  }
};
} // namespace
