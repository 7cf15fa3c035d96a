// The phase `graph`, in order.

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Graph/Passes.h"

using namespace mlir;

void dlc::buildGraphPipeline(OpPassManager &pm, int64_t strassenLanes) {
  // First the layout, so that scales stand directly behind convolutions.
  pm.addPass(createSinkTransposes());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Before scales are folded into weights, which then are no integers.
  pm.addPass(createFoldQuantization());
  pm.addPass(createTabulateFunctions());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createFoldScale());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Behind the scales, which are numbers beside the keys then.
  pm.addPass(createGroupHeads());
  pm.addPass(createCanonicalizerPass());
  if (strassenLanes) {
    StrassenOptions strassen;
    strassen.lanes = strassenLanes;
    pm.addPass(createStrassen(strassen));
    pm.addPass(createCanonicalizerPass());
  }
}
