// Computes the parts of larger tensors in their place.

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SubsetOpInterface.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLACEPARTS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

namespace {

struct PlacePartsPass : dlc::impl::PlacePartsBase<PlacePartsPass> {
  void runOnOperation() override {
    bufferization::OneShotBufferizationOptions options;
    options.allowReturnAllocsFromLoops = true;
    bufferization::OneShotAnalysisState state(getOperation(), options);
    if (failed(bufferization::analyzeOp(getOperation(), state)))
      return signalPassFailure();
    SmallVector<Operation *> insertions;
    getOperation()->walk(
        [&](SubsetInsertionOpInterface op) { insertions.push_back(op); });
    IRRewriter rewriter(&getContext());
    // The last first: the place of a part is then known when the turn comes to
    // the part's own parts.
    for (Operation *op : llvm::reverse(insertions))
      if (failed(bufferization::eliminateEmptyTensors(rewriter, op, state)))
        return signalPassFailure();
  }
};

} // namespace
