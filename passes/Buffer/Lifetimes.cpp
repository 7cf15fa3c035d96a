// When the buffers of @main live.
#include "passes/Buffer/Lifetimes.h"
#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace dlc;

/// True if a loop yields the buffer: the next iteration reads it while it
/// fills its own.
static bool outlivesIteration(memref::AllocOp op,
                              const BufferViewFlowAnalysis &aliases) {
  if (!op->getParentOfType<LoopLikeOpInterface>())
    return false;
  for (Value alias : aliases.resolve(op.getResult()))
    for (Operation *user : alias.getUsers())
      if (user->hasTrait<OpTrait::IsTerminator>() &&
          isa<LoopLikeOpInterface>(user->getParentOp()))
        return true;
  return false;
}

static int64_t sizeOf(MemRefType type) {
  return type.getNumElements() * getElementBytes(type.getElementType());
}

/// Bytes of the operand in whose place `op` writes its results, if it does.
static int64_t sizeOfReplaced(ContractOp op) {
  auto type = dyn_cast<MemRefType>(op.getInit().getType());
  if (!type || !type.hasStaticShape())
    return 0;
  return llvm::is_contained(op.getExtras(), op.getInit()) ? sizeOf(type) : 0;
}

Lifetimes::Lifetimes(func::FuncOp main, const BufferViewFlowAnalysis &aliases)
    : entry(main.front()) {
  for (auto [i, op] : llvm::enumerate(entry)) {
    positions[&op] = i;
    if (auto contract = dyn_cast<ContractOp>(op))
      if (int64_t size = sizeOfReplaced(contract))
        replaced[i] = size;
  }
  main.walk([&](memref::AllocOp op) {
    if (!op.getType().hasStaticShape() || outlivesIteration(op, aliases)) {
      dynamic.push_back(op);
      return;
    }
    // A buffer inside a loop lives as long as the whole loop.
    Lifetime life{op, std::numeric_limits<int64_t>::max(), 0,
                  sizeOf(op.getType())};
    for (Value alias : aliases.resolve(op.getResult()))
      for (Operation *user : alias.getUsers()) {
        if (isa<ViewLikeOpInterface>(user))
          continue;
        // A part that nothing else is done to.
        if (isa<linalg::FillOp>(user) && alias.hasOneUse() &&
            alias.getDefiningOp<memref::SubViewOp>())
          life.border += sizeOf(cast<MemRefType>(alias.getType()));
        if (auto contract = dyn_cast<ContractOp>(user))
          life.isScratch |= contract.getScratch() == alias;
        int64_t access = getPosition(user);
        life.begin = std::min(life.begin, access);
        life.end = std::max(life.end, access);
      }
    buffers.push_back(life);
  });
}

int64_t Lifetimes::getPosition(Operation *op) const {
  return positions.lookup(entry.findAncestorOpInBlock(*op));
}

LiveBytes Lifetimes::at(int64_t position) const {
  LiveBytes sums;
  sums.tensors = replaced.lookup(position);
  for (const Lifetime &life : buffers) {
    if (!life.holds(position))
      continue;
    sums.withScratch += life.size;
    if (life.isScratch)
      continue;
    sums.tensors += life.size - life.border;
    sums.places += life.size - life.border;
    sums.withBorders += life.size;
  }
  return sums;
}

LiveBytes Lifetimes::findLargest() const {
  LiveBytes largest;
  // The sums grow where a buffer begins, and where one has two tensors.
  SmallVector<int64_t> points;
  for (const Lifetime &life : buffers)
    points.push_back(life.begin);
  llvm::append_range(points, llvm::make_first_range(replaced));
  for (int64_t point : points) {
    LiveBytes sums = at(point);
    largest.tensors = std::max(largest.tensors, sums.tensors);
    largest.places = std::max(largest.places, sums.places);
    largest.withBorders = std::max(largest.withBorders, sums.withBorders);
    largest.withScratch = std::max(largest.withScratch, sums.withScratch);
  }
  return largest;
}
