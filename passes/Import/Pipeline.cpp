// The phase `import`, in order.

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Import/Passes.h"

using namespace mlir;

void dlc::buildImportPipeline(OpPassManager &pm) {
  pm.addPass(createImportOnnx());
  // Rows build small ops freely; this removes what they did not need.
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
