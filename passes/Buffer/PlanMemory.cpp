// Places the buffers of @main and @init: static ones of @main in one arena, by
// their lifetimes.

#include "dialects/Dlc/Dlc.h"
#include "passes/Buffer/Lifetimes.h"
#include "passes/Buffer/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

struct PlanMemoryPass : dlc::impl::PlanMemoryBase<PlanMemoryPass> {
  void runOnOperation() override {
    if (auto init = getOperation().lookupSymbol<func::FuncOp>("init")) {
      BufferViewFlowAnalysis flow(init);
      SmallVector<memref::AllocOp> buffers;
      init.walk([&](memref::AllocOp op) { buffers.push_back(op); });
      for (memref::AllocOp op : buffers)
        placeDynamic(op, flow);
    }
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    BufferViewFlowAnalysis flow(main);
    Lifetimes lifetimes(main, flow);
    LiveBytes least = lifetimes.findLargest();
    int64_t workspace = place(lifetimes.buffers, least.withScratch);
    for (Lifetime &life : lifetimes.buffers) {
      OpBuilder b(life.op);
      life.op.replaceAllUsesWith(
          ArenaOp::create(b, life.op.getLoc(), life.op.getType(), life.offset)
              .getResult());
      life.op.erase();
    }
    for (memref::AllocOp op : lifetimes.dynamic)
      placeDynamic(op, flow);
    Builder b(&getContext());
    getOperation()->setAttr("dlc.workspace", b.getI64IntegerAttr(workspace));
    getOperation()->setAttr(
        "dlc.live_bytes",
        b.getDenseI64ArrayAttr({least.tensors, least.places, least.withBorders,
                                least.withScratch}));
  }

  /// Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep
  /// Neural Net Inference", 2020): the largest first, each at the lowest
  /// offset that is free during its lifetime. While that takes more than
  /// `least` bytes, what lies highest comes first and all is placed again, as
  /// long as it is worth its time. Returns the arena's size.
  static int64_t place(MutableArrayRef<Lifetime> lifetimes, int64_t least) {
    constexpr int64_t kTries = 300, kSteps = 50'000'000;
    SmallVector<Lifetime *> order;
    for (Lifetime &life : lifetimes)
      order.push_back(&life);
    llvm::stable_sort(
        order, [](Lifetime *a, Lifetime *b) { return a->size > b->size; });
    int64_t best = std::numeric_limits<int64_t>::max();
    SmallVector<int64_t> offsets;
    int64_t count = lifetimes.size();
    int64_t tries =
        std::clamp<int64_t>(kSteps / (1 + count * count), 1, kTries);
    for (; tries && best > int64_t(llvm::alignTo(least, 64)); --tries) {
      int64_t total = placeInOrder(order);
      if (total < best) {
        best = total;
        offsets.clear();
        for (Lifetime &life : lifetimes)
          offsets.push_back(life.offset);
      }
      // The last of those that reach the end, so that two do not take turns.
      auto highest = llvm::find_if(llvm::reverse(order), [&](Lifetime *life) {
        return life->offset + life->size == total;
      });
      if (highest == order.rend() || *highest == order.front())
        break;
      auto at = std::prev(highest.base());
      std::rotate(order.begin(), at, std::next(at));
    }
    for (auto [life, offset] : llvm::zip(lifetimes, offsets))
      life.offset = offset;
    return lifetimes.empty() ? 0 : llvm::alignTo(best, 64);
  }

  /// Each at the lowest offset that is free; returns the highest end.
  static int64_t placeInOrder(ArrayRef<Lifetime *> order) {
    int64_t total = 0;
    SmallVector<Lifetime *> placed; // by offset
    for (Lifetime *life : order) {
      int64_t offset = 0;
      for (Lifetime *other : placed) {
        if (other->end < life->begin || other->begin > life->end)
          continue;
        if (other->offset >= offset + life->size)
          break;
        offset = std::max(
            offset, int64_t(llvm::alignTo(other->offset + other->size, 64)));
      }
      life->offset = offset;
      total = std::max(total, offset + life->size);
      placed.insert(llvm::upper_bound(placed, life,
                                      [](Lifetime *a, Lifetime *b) {
                                        return a->offset < b->offset;
                                      }),
                    life);
    }
    return total;
  }

  /// memref.alloc -> dlc.alloc right before the first use in its block, freed
  /// behind the last one. One that leaves its block stays until the end of the
  /// run.
  static void placeDynamic(memref::AllocOp op, BufferViewFlowAnalysis &flow) {
    OpBuilder b(op);
    Block *block = op->getBlock();
    Operation *first = nullptr, *last = op;
    bool escapes = false;
    for (Value alias : flow.resolve(op.getResult())) {
      if (alias.getParentBlock() != block)
        escapes |= !block->findAncestorOpInBlock(
            *(alias.getDefiningOp() ? alias.getDefiningOp()
                                    : alias.getParentBlock()->getParentOp()));
      for (Operation *user : alias.getUsers()) {
        Operation *ancestor = block->findAncestorOpInBlock(*user);
        if (!ancestor) {
          escapes = true;
          continue;
        }
        escapes |= ancestor->hasTrait<OpTrait::IsTerminator>();
        if (!first || ancestor->isBeforeInBlock(first))
          first = ancestor;
        if (last->isBeforeInBlock(ancestor))
          last = ancestor;
      }
    }
    if (first)
      b.setInsertionPoint(first);
    Value buffer =
        AllocOp::create(b, op.getLoc(), op.getType(), op.getDynamicSizes());
    op.getResult().replaceAllUsesWith(buffer);
    if (last == op)
      last = buffer.getDefiningOp();
    if (!escapes) {
      b.setInsertionPointAfter(last);
      FreeOp::create(b, op.getLoc(), buffer);
    }
    op.erase();
  }
};

} // namespace
