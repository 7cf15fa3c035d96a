// The phase `tensor`, in order.

#include "lib/Target/Target.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

void dlc::buildTensorPipeline(OpPassManager &pm, const TargetSpec &target,
                              const TensorOptions &options) {
  // While ops tell the sizes of their results.
  pm.addPass(createDeriveShapes());
  VectorUnit unit = target.vectorUnit();
  LowerToLinalgOptions lower;
  lower.bytes = !target.gpus.empty() ? "any"
                : unit.byteTiles     ? "unsigned-or-tiles"
                : unit.dot == DotProduct::Vnni || unit.dot == DotProduct::Madd
                    ? "unsigned"
                : unit.dot == DotProduct::SDot ? "signed"
                                               : "any";
  ChooseSignsOptions signs;
  signs.bytes = lower.bytes;
  pm.addPass(createChooseSigns(signs));
  pm.addPass(createLowerToLinalg(lower));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  if (options.addPasses)
    options.addPasses(pm);
  bool roundsForCpu =
      options.precision == "bf16" && unit.bf16 && target.gpus.empty();
  ChooseConvolutionOptions choose;
  choose.form = options.conv;
  choose.lanes = unit.bytes / 4;
  choose.growth = options.expandWeights == "object" ? 20 : -1;
  choose.speed = roundsForCpu ? unit.pairTiles ? 8 : 2 : 1;
  // While operands are as their producers make them; a GPU's kernels round what
  // they load.
  if (roundsForCpu) {
    ChooseConvolutionOptions mark = choose;
    mark.mark = true;
    pm.addPass(createChooseConvolution(mark));
    RoundOperandsOptions round;
    round.lanes = unit.bytes / 4;
    pm.addPass(createRoundOperands(round));
  }
  // Weights in the form and layout of the kernels, before they are evaluated.
  PackContractOptions pack;
  pack.lanes = unit.bytes / 4;
  pack.panel = 4 * pack.lanes;
  // A GPU's kernels take bytes as they lie.
  if (unit.dot != DotProduct::None && target.gpus.empty()) {
    pack.group = 4;
    pack.dotLanes = unit.dotBytes / 4;
  }
  pack.pairs = unit.bf16 && target.gpus.empty();
  pack.byteTiles = unit.byteTiles;
  pack.pairTiles = unit.pairTiles;
  pm.addPass(createPackContract(pack));
  // Behind the packing, which makes fewer zeros of large columns.
  if (options.precision != "fp32" && !target.gpus.empty()) {
    ChoosePrecisionOptions precision;
    precision.precision = options.precision;
    pm.addPass(createChoosePrecision(precision));
  }
  // Behind the packing, so that what remains for the first run is one pass
  // over the weights as they lie in the object.
  pm.addPass(createChooseConvolution(choose));
  // Before constants are evaluated: it repeats them.
  pm.addPass(createSinkReshapes());
  // Before fusion, which would move work on constants to the run.
  EvaluateConstantsOptions evaluate;
  evaluate.expand = options.expandWeights;
  pm.addPass(createEvaluateConstants(evaluate));
  if (target.gpus.empty())
    pm.addPass(createFlushSubnormals());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  if (target.gpus.empty())
    pm.addPass(createEmbedTables());
  // Chains of elementwise ops become one pass over memory.
  FuseElementwiseOptions fuse;
  fuse.lanes = std::max<int64_t>(unit.bytes / 4, 1);
  if (!target.gpus.empty()) {
    // All of a GPU: 132 multiprocessors of 128 lanes, 2.5 TB/s at 1.7 GHz.
    fuse.lanes = 16384;
    fuse.cache = 32 << 20;
    fuse.nearBytes = 3000;
    fuse.memoryBytes = 1500;
    fuse.launch = 5000;
    fuse.perElement = true;
  }
  pm.addPass(createFuseElementwise(fuse));
  // A mask by position, as of a model that writes word by word.
  if (target.gpus.empty())
    pm.addPass(createSeparateMasks());
  // ... and what follows a contraction is done before its sums are stored.
  pm.addPass(createFuseEpilogue());
  // Where a quantized number is read at once, which fusion shows.
  SimplifyRoundingOptions rounding;
  rounding.fma = unit.fma && target.gpus.empty();
  pm.addPass(createSimplifyRounding(rounding));
  FuseAttentionOptions attention;
  if (target.gpus.empty()) {
    attention.cache = unit.l2Bytes;
    attention.lanes = fuse.lanes;
    attention.pairs = unit.bf16;
    attention.matrixTiles = unit.pairTiles;
  }
  // For a CPU beside a GPU dlc-decompose-attention makes steps of it again.
  pm.addPass(createFuseAttention(attention));
  if (!target.gpus.empty()) {
    // Behind the epilogues, which are done when all parts have been added.
    SplitSumsOptions split;
    split.capability = target.gpus.front().capability;
    pm.addPass(createSplitSums(split));
    pm.addPass(createSplitReductions());
  } else {
    // Last: fusion knows a softmax in f32.
    pm.addPass(createWidenSums());
    pm.addPass(createSkipPadding());
    pm.addPass(createMergeReductions());
    pm.addPass(createFinishPools());
    pm.addPass(createShareConcats());
  }
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
