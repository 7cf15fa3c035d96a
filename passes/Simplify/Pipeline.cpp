// The phase `simplify`, in order.

#include "mlir/Pass/PassManager.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

void dlc::buildSimplifyPipeline(OpPassManager &pm,
                                const SimplifyOptions &options) {
  // One kind of constant, and no node that does nothing, for all that follows.
  pm.addPass(createConstantsToInitializers());
  pm.addPass(createRemoveIdentities());
  pm.addPass(createMergeEqualNodes());
}
