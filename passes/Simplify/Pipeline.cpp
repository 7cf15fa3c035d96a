// The phase `simplify`, in order.

#include "mlir/Pass/PassManager.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

/// What every step leaves behind for the next one.
static void cleanUp(OpPassManager &pm) {
  pm.addPass(dlc::createRemoveIdentities());
  pm.addPass(dlc::createMergeEqualNodes());
}

void dlc::buildSimplifyPipeline(OpPassManager &pm,
                                const SimplifyOptions &options) {
  // One kind of constant, and no node that does nothing, for all that follows.
  pm.addPass(createConstantsToInitializers({options.opset != 0}));
  cleanUp(pm);
  // Before a state that begins as zeros is multiplied at compile time.
  pm.addPass(createRecognizeRecurrence());
  // What the first round learns of shapes and constants chooses branches, which
  // the second one looks into.
  for (int i = 0; i < 2; ++i) {
    // Constants of all graphs are together where they are evaluated.
    pm.addPass(createHoistInvariants());
    cleanUp(pm);
    // Shapes as numbers, which patterns read.
    pm.addPass(createFoldShapes());
    pm.addPass(createInferTypes());
    pm.addPass(createFoldShapes());
    pm.addPass(createFoldConstants());
  }
  pm.addPass(createHoistInvariants());
  cleanUp(pm);
  // What is one operator, before its parts are taken for something else.
  int64_t opset = options.opset ? options.opset : 28;
  pm.addPass(createRecognizeNormalizations({opset}));
  // ONNX Runtime 1.32 has no kernel of Swish, and runs its function in files of
  // set 24 only.
  pm.addPass(createRecognizeActivations({options.opset > 24 ? 23 : opset}));
  // The import takes attention and rotary embedding apart again.
  if (options.opset) {
    pm.addPass(createRecognizeRotary({opset}));
    pm.addPass(createRecognizeAttention({opset}));
    // The sizes that masks are expanded to are those of inputs.
    pm.addPass(createFoldShapes());
    cleanUp(pm);
  }
  // Whole regions, before what is inside is taken for something else.
  pm.addPass(createCancelQuantizations());
  pm.addPass(createConvertProducts());
  pm.addPass(createCancelTransposes());
  // What stands beside contractions goes into them; sums of branches become
  // one once their normalisations are gone.
  pm.addPass(createFoldPads());
  pm.addPass(createFoldStrides());
  for (int i = 0; i < 2; ++i) {
    pm.addPass(createFoldAffine());
    pm.addPass(createMergeSums());
  }
  // Behind what puts shifts into weights, in front of what joins branches.
  pm.addPass(createSwapPointwise({/*addsBias=*/options.opset == 0}));
  pm.addPass(createMultiplyOut());
  pm.addPass(createMergeSlices());
  pm.addPass(createMergeParallel());
  pm.addPass(createSinkNodeTransposes());
  pm.addPass(createReduceStrength());
  // More nodes and products, for a form of convolution that only dlc has;
  // behind all that would take them back.
  if (options.hasWinograd)
    pm.addPass(createSpaceToDepth());
  // The weights that were made above.
  pm.addPass(createFoldConstants());
  cleanUp(pm);
}
