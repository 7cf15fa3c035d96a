// The phase `llvm` for GPUs, in order. The pipeline of the CPU follows, for
// the host part.

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Buffer/Passes.h"
#include "passes/Cpu/Passes.h"
#include "passes/Gpu/Passes.h"

using namespace mlir;

void dlc::buildGpuPipeline(OpPassManager &pm, bool fallback,
                           unsigned capability) {
  if (fallback)
    pm.addPass(createKeepFallback());
  // Makes functions beside the kernels, which these then take along.
  pm.addPass(createConvertMathToFuncs());
  pm.addPass(createFuseRows());
  MapKernelsOptions map;
  map.capability = capability;
  pm.addPass(createMapKernels(map));
  pm.addPass(createPlaceOnDevice());
  // From here on the device's own code.
  OpPassManager &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  ExpandMathOptions math;
  // From sm_80 on there is an instruction.
  math.bf16 = capability < 80;
  device.addPass(createExpandMath(math));
  device.addPass(memref::createExpandStridedMetadataPass());
  device.addPass(createLowerAffinePass());
  device.addPass(createSCFToControlFlowPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = math.bf16;
  device.addPass(arith::createArithExpandOpsPass(expand));
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  // Instructions, instead of calls of NVIDIA's library of functions.
  device.addPass(createConvertMathToLLVMPass());
  device.addPass(createConvertKernels());
  device.addPass(createReconcileUnrealizedCastsPass());
}
