// The phase `llvm` for CPUs, in order.

#include "lib/Target/Target.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Buffer/Passes.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;
using namespace dlc;

static std::string getDotName(DotProduct dot, unsigned pointerBits) {
  std::string suffix = pointerBits == 32 ? "32" : "";
  switch (dot) {
  case DotProduct::None:
    return "none";
  case DotProduct::Vnni:
    return "vnni";
  case DotProduct::Madd:
    return "madd";
  case DotProduct::SDot:
    return "sdot" + suffix;
  case DotProduct::I8mm:
    return "i8mm" + suffix;
  }
  llvm_unreachable("unknown dot product");
}

static std::string getPairsName(const TargetSpec &target) {
  if (!target.vectorUnit().bf16)
    return "none";
  if (llvm::Triple(target.triple).isX86())
    return target.vectorUnit().pairTiles ? "tdpbf16ps" : "vdpbf16ps";
  return "bfmmla";
}

void dlc::buildCpuPipeline(OpPassManager &pm, const TargetSpec &target,
                           bool threads, bool profile) {
  VectorUnit unit = target.vectorUnit();
  // There is no kernel for attention; of its steps kernels are made.
  pm.addPass(createDecomposeAttention());
  pm.addPass(createOutlineKernels());
  pm.addPass(createFuseColumns());
  FuseRowsOptions rows;
  // Threads share the rows of one kernel, not what is in a row.
  rows.fewestRows = threads ? 4 : 1;
  rows.smallElements = 1 << 15;
  rows.lateFrees = false;
  pm.addPass(createFuseRows(rows));
  // While every number that a model computes with is still there.
  if (target.pointerBits() == 32)
    pm.addPass(createNarrowIndices());
  // Contractions: register-tiled kernels.
  LowerContractOptions contract;
  contract.vectorBytes = unit.bytes;
  contract.registers = unit.registers;
  contract.fma = unit.fma;
  contract.l2Bytes = unit.l2Bytes;
  contract.dot =
      unit.byteTiles ? "amx" : getDotName(unit.dot, target.pointerBits());
  contract.dotBytes = unit.dotBytes;
  contract.pairs = getPairsName(target);
  // 16 general registers of 32 bits hold few addresses beside the rest.
  contract.pointers = target.pointerBits() == 32 ? 4 : 8;
  contract.threads = threads;
  pm.addPass(createLowerContract(contract));
  LowerBlockProductOptions blocks;
  blocks.vectorBytes = unit.bytes;
  blocks.registers = unit.registers;
  blocks.fma = unit.fma;
  blocks.dot = getDotName(unit.dot, target.pointerBits());
  blocks.dotBytes = contract.dotBytes;
  blocks.threads = threads;
  pm.addPass(createLowerBlockProduct(blocks));
  // Softmax and normalisations in one pass over memory.
  pm.addPass(
      createTileRows({threads, unit.bytes, unit.registers, unit.l2Bytes}));
  pm.addPass(createCollapseLoops());
  pm.addPass(createLowerTranspose({threads, unit.bytes}));
  // What else takes long, while its loops are known to be parallel; then
  // kernels are complete, and are called for parts of their work.
  if (threads) {
    pm.addPass(createShareLoops({unit.bytes}));
    pm.addPass(createForkKernels());
  }
  if (profile)
    pm.addPass(createProfileNodes());
  pm.addPass(createReduceColumns({unit.bytes}));
  // Everything else: plain loops, which LLVM vectorises.
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  pm.addPass(createLowerLookup({target.vectorUnit().lookup.str()}));
  pm.addPass(createConvertMathToFuncs());
  ExpandMathOptions math;
  math.scales = target.hasFeature("avx512f");
  math.exactDifferences = true;
  math.doubles = true;
  math.rounds = unit.bf16;
  pm.addPass(createExpandMath(math));
  pm.addPass(createExpandReshapes());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  // While loops are loops and their bounds numbers.
  pm.addPass(createSkipEmptyLoops());
  pm.addPass(createKeepVectorLoops());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  ConvertToLlvmOptions llvm;
  llvm.indexBits = target.pointerBits();
  pm.addPass(createConvertToLlvm(llvm));
  pm.addPass(createReconcileUnrealizedCastsPass());
}
