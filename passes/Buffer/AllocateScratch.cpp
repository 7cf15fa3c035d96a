// Gives contractions and attention the memory that their kernels need beside
// the operands.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Buffer/AttentionScratch.h"
#include "passes/Buffer/Lifetimes.h"
#include "passes/Buffer/Passes.h"
#include "passes/Remarks.h"
#include "passes/Tensor/ConvolutionCost.h"
#include "passes/WinogradScratch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_ALLOCATESCRATCH
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-allocate-scratch";

namespace {
struct AllocateScratchPass
    : dlc::impl::AllocateScratchBase<AllocateScratchPass> {
  using AllocateScratchBase::AllocateScratchBase;

  void runOnOperation() override;

private:
  void fitConvolutions(ArrayRef<ContractOp> convolutions);
  void allocate(Operation *op, MutableOperandRange scratch, MemRefType type,
                int64_t alignment);

  int64_t largest = 0; // in bytes
};
} // namespace

static WinogradScratch getScratch(ContractOp op, WinogradAttr form) {
  ContractOp::Convolution conv = *op.getConvolution();
  std::optional<Depth> depth = getDepth(op);
  int64_t taps = depth ? op.getStaticExtent(depth->window) : 1;
  return getWinogradScratch(form, taps, op.getStaticExtent(conv.channel),
                            op.getStaticExtent(conv.column));
}

/// The form of `op` with fewer tiles at a time, as many as `room` bytes hold,
/// or the fewest.
static WinogradAttr fit(ContractOp op, int64_t room) {
  WinogradAttr form = op.getWinogradAttr();
  int64_t bytes = getElementBytes(op.getSumType());
  std::optional<ConvolutionSizes> sizes = ConvolutionSizes::get(op);
  if (!sizes)
    return form;
  for (int64_t tiles : getTileCounts(*sizes, form.getHeight(), form.getWidth(),
                                     form.getPair())) {
    if (getScratch(op, form).size * bytes <= room)
      break;
    if (tiles < form.getTiles())
      form = WinogradAttr::get(op.getContext(), form.getHeight(),
                               form.getWidth(), form.getWindowHeight(),
                               form.getWindowWidth(), tiles, form.getPair());
  }
  return form;
}

/// Where a convolution runs while most tensors live, its scratch makes the
/// arena larger; elsewhere it lies where others have been. Where there is a
/// single one, it may be larger: nothing else is to gain.
void AllocateScratchPass::fitConvolutions(ArrayRef<ContractOp> convolutions) {
  auto main = getOperation().lookupSymbol<func::FuncOp>("main");
  if (limit < 0 || !main || convolutions.size() < 2)
    return;
  Lifetimes lifetimes(main, BufferViewFlowAnalysis(main));
  // What lives at a time is not known.
  if (!lifetimes.dynamic.empty())
    return;
  int64_t most = lifetimes.findLargest().tensors * limit / 100;
  for (ContractOp op : convolutions) {
    if (op->getParentOfType<func::FuncOp>() != main)
      continue;
    WinogradAttr form = op.getWinogradAttr();
    int64_t room = most - lifetimes.at(lifetimes.getPosition(op)).withBorders;
    WinogradAttr fitting = fit(op, room);
    if (fitting == form)
      continue;
    op.setWinogradAttr(fitting);
    remarkDone(op->getLoc(), kPass)
        << mlir::remark::add("{0} tiles at a time instead of {1}: there is "
                             "room for {2} bytes",
                             fitting.getTiles(), form.getTiles(), room);
  }
}

void AllocateScratchPass::allocate(Operation *op, MutableOperandRange scratch,
                                   MemRefType type, int64_t alignment) {
  OpBuilder b(op);
  int64_t bytes =
      type.getNumElements() * getElementBytes(type.getElementType());
  largest = std::max(largest, bytes);
  Value buffer = memref::AllocOp::create(b, op->getLoc(), type,
                                         b.getI64IntegerAttr(alignment));
  scratch.assign(buffer);
}

void AllocateScratchPass::runOnOperation() {
  largest = 0;
  SmallVector<ContractOp> convolutions;
  getOperation()->walk([&](ContractOp op) {
    if (op.getWinogradAttr() && !op.hasTensors() && !op.getScratch())
      convolutions.push_back(op);
  });
  fitConvolutions(convolutions);
  for (ContractOp op : convolutions) {
    WinogradScratch scratch = getScratch(op, op.getWinogradAttr());
    allocate(op, op.getScratchMutable(),
             MemRefType::get({scratch.size}, op.getSumType()), 64);
  }
  getOperation()->walk([&](AttentionOp op) {
    if (op.getTile() && !op.hasTensors() && !op.getScratch())
      allocate(op, op.getScratchMutable(),
               MemRefType::get({AttentionScratch(op).size},
                               IntegerType::get(&getContext(), 8)),
               AttentionScratch::kAlignment);
  });
  if (largest)
    getOperation()->setAttr(
        "dlc.thread_workspace",
        Builder(&getContext()).getI64IntegerAttr(llvm::alignTo(largest, 64)));
}
