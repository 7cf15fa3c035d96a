// Places the buffers of @main and @init: static ones of @main in one arena, by
// their lifetimes.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Buffer/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

/// A static buffer that lives from its first to its last access, at positions
/// `begin` and `end` of the top-level block.
struct Lifetime {
  memref::AllocOp op;
  int64_t begin, end, size, offset = 0;
  int64_t border = 0;     ///< bytes around what a convolution reads
  bool isScratch = false; ///< of a kernel
};

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
    Block &entry = main.front();
    DenseMap<Operation *, int64_t> position;
    for (auto [i, op] : llvm::enumerate(entry))
      position[&op] = i;
    BufferViewFlowAnalysis flow(main);

    SmallVector<Lifetime> lifetimes;
    SmallVector<memref::AllocOp> dynamic;
    main.walk([&](memref::AllocOp op) {
      if (!op.getType().hasStaticShape() || outlivesIteration(op, flow)) {
        dynamic.push_back(op);
        return;
      }
      // A buffer inside a loop lives as long as the whole loop.
      Lifetime life{op, std::numeric_limits<int64_t>::max(), 0,
                    sizeOf(op.getType())};
      for (Value alias : flow.resolve(op.getResult()))
        for (Operation *user : alias.getUsers()) {
          if (isa<ViewLikeOpInterface>(user))
            continue;
          // A part that nothing else is done to.
          if (isa<linalg::FillOp>(user) && alias.hasOneUse() &&
              alias.getDefiningOp<memref::SubViewOp>())
            life.border += sizeOf(cast<MemRefType>(alias.getType()));
          if (auto contract = dyn_cast<ContractOp>(user))
            life.isScratch |= contract.getScratch() == alias;
          int64_t access = position[entry.findAncestorOpInBlock(*user)];
          life.begin = std::min(life.begin, access);
          life.end = std::max(life.end, access);
        }
      lifetimes.push_back(life);
    });
    SmallVector<int64_t> bounds = findBounds(lifetimes);
    int64_t workspace = place(lifetimes, bounds.back());
    for (Lifetime &life : lifetimes) {
      OpBuilder b(life.op);
      life.op.replaceAllUsesWith(
          ArenaOp::create(b, life.op.getLoc(), life.op.getType(), life.offset)
              .getResult());
      life.op.erase();
    }
    for (memref::AllocOp op : dynamic)
      placeDynamic(op, flow);
    Builder b(&getContext());
    getOperation()->setAttr("dlc.workspace", b.getI64IntegerAttr(workspace));
    getOperation()->setAttr("dlc.live_bytes", b.getDenseI64ArrayAttr(bounds));
  }

  /// What an arena must hold at the least: the largest sum of tensors that
  /// live at a time, the same with borders, the same with scratch.
  static SmallVector<int64_t> findBounds(ArrayRef<Lifetime> lifetimes) {
    SmallVector<int64_t> bounds(3, 0);
    // The sums change where a buffer begins.
    for (const Lifetime &at : lifetimes) {
      SmallVector<int64_t> sums(3, 0);
      for (const Lifetime &life : lifetimes) {
        if (life.begin > at.begin || life.end < at.begin)
          continue;
        if (!life.isScratch) {
          sums[0] += life.size - life.border;
          sums[1] += life.size;
        }
        sums[2] += life.size;
      }
      for (auto [bound, sum] : llvm::zip(bounds, sums))
        bound = std::max(bound, sum);
    }
    return bounds;
  }

  /// True if a loop yields the buffer: the next iteration reads it while it
  /// fills its own.
  static bool outlivesIteration(memref::AllocOp op,
                                BufferViewFlowAnalysis &flow) {
    if (!op->getParentOfType<LoopLikeOpInterface>())
      return false;
    for (Value alias : flow.resolve(op.getResult()))
      for (Operation *user : alias.getUsers())
        if (user->hasTrait<OpTrait::IsTerminator>() &&
            isa<LoopLikeOpInterface>(user->getParentOp()))
          return true;
    return false;
  }

  static int64_t sizeOf(MemRefType type) {
    return type.getNumElements() * getElementBytes(type.getElementType());
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
