// LLVM unrolls a loop over 64 channels before it looks for vectors, and then
// finds them across the loop around, in scattered elements.

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_KEEPVECTORLOOPS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Fewer trips make no vector that is worth a loop.
static constexpr uint64_t kLeastTrips = 8;

/// Whether each trip stores the element behind that of the trip before.
static bool storesNeighbours(scf::ForOp loop) {
  return llvm::any_of(
      loop.getBody()->getOps<memref::StoreOp>(), [&](memref::StoreOp store) {
        OperandRange at = store.getIndices();
        return !at.empty() && at.back() == loop.getInductionVar() &&
               store.getMemRefType().isLastDimUnitStride();
      });
}

static bool isInnermost(scf::ForOp loop) {
  return !loop.getBody()
              ->walk(
                  [](LoopLikeOpInterface) { return WalkResult::interrupt(); })
              .wasInterrupted();
}

namespace {

struct KeepVectorLoopsPass
    : dlc::impl::KeepVectorLoopsBase<KeepVectorLoopsPass> {
  void runOnOperation() override {
    getOperation()->walk([&](scf::ForOp loop) {
      std::optional<APInt> trips = loop.getStaticTripCount();
      if (trips && trips->uge(kLeastTrips) && isInnermost(loop) &&
          storesNeighbours(loop))
        keepRolled(loop);
    });
  }
};

} // namespace
