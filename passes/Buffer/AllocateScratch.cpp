// Gives contractions and attention the memory that their kernels need beside
// the operands.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Buffer/AttentionScratch.h"
#include "passes/Buffer/Passes.h"
#include "passes/WinogradScratch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_ALLOCATESCRATCH
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {
struct AllocateScratchPass
    : dlc::impl::AllocateScratchBase<AllocateScratchPass> {
  void runOnOperation() override {
    int64_t largest = 0;
    getOperation()->walk([&](ContractOp op) {
      WinogradAttr form = op.getWinogradAttr();
      if (!form || op.hasTensors() || op.getScratch())
        return;
      ContractOp::Convolution conv = *op.getConvolution();
      WinogradScratch scratch =
          getWinogradScratch(form, op.getStaticExtent(conv.channel),
                             op.getStaticExtent(conv.column));
      OpBuilder b(op);
      auto type = MemRefType::get({scratch.size}, op.getSumType());
      largest =
          std::max(largest, scratch.size * getElementBytes(op.getSumType()));
      op.getScratchMutable().assign(memref::AllocOp::create(
          b, op.getLoc(), type, b.getI64IntegerAttr(64)));
    });
    getOperation()->walk([&](AttentionOp op) {
      if (!op.getTile() || op.hasTensors() || op.getScratch())
        return;
      int64_t size = AttentionScratch(op).size;
      largest = std::max(largest, size);
      OpBuilder b(op);
      op.getScratchMutable().assign(memref::AllocOp::create(
          b, op.getLoc(), MemRefType::get({size}, b.getI8Type()),
          b.getI64IntegerAttr(AttentionScratch::kAlignment)));
    });
    if (largest)
      getOperation()->setAttr(
          "dlc.thread_workspace",
          Builder(&getContext()).getI64IntegerAttr(llvm::alignTo(largest, 64)));
  }
};
} // namespace
