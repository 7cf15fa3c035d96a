// memref.copy -> linalg.generic.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_COPYTOLOOPS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

namespace {

struct CopyToLoopsPass : dlc::impl::CopyToLoopsBase<CopyToLoopsPass> {
  void runOnOperation() override {
    getOperation().walk([](memref::CopyOp op) {
      if (op.getSource() == op.getTarget())
        return op.erase();
      OpBuilder b(op);
      auto type = cast<MemRefType>(op.getTarget().getType());
      AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
      SmallVector<utils::IteratorType> iterators(type.getRank(),
                                                 utils::IteratorType::parallel);
      linalg::GenericOp::create(
          b, op.getLoc(), ValueRange{op.getSource()},
          ValueRange{op.getTarget()}, ArrayRef<AffineMap>{identity, identity},
          iterators, [](OpBuilder &b, Location loc, ValueRange args) {
            linalg::YieldOp::create(b, loc, args[0]);
          });
      op.erase();
    });
  }
};

} // namespace
