// The phase `buffer`, in order.

#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

void dlc::buildBufferPipeline(OpPassManager &pm, StringRef conv, int64_t cache,
                              int64_t lanes) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSplitDestinations());
  pm.addPass(createBindInterface());
  pm.addPass(createPlaceParts());
  bufferization::OneShotBufferizePassOptions options;
  options.bufferAlignment = 64;
  // Values of a loop whose shape changes are new buffers every time.
  options.allowReturnAllocsFromLoops = true;
  options.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(options));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(bufferization::createBufferLoopHoistingPass());
  // Copies become kernels like any other.
  pm.addPass(createCopyToLoops());
  pm.addPass(createPlaceWeights());
  // While it is known what is in a buffer alone, and before kernels get memory.
  if (cache) {
    BlockPoolsOptions pools;
    pools.cache = cache;
    pools.macsPerCycle = double(std::max<int64_t>(1, lanes));
    pm.addPass(createBlockPools(pools));
    pm.addPass(createReuseOperands());
  }
  AllocateScratchOptions scratch;
  // A form that is asked for keeps its tiles.
  if (conv != "auto")
    scratch.limit = -1;
  pm.addPass(createAllocateScratch(scratch));
  pm.addPass(createPlanMemory());
  pm.addPass(createOutlineKernels());
}
