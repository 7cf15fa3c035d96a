// Elementwise linalg ops, four elements side by side a thread.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"

using namespace mlir;
using namespace dlc;

static constexpr int64_t kWidth = 4;

/// Whether elements along `dim` lie side by side in the operand, and begin
/// where a vector may; one that does not have the dimension is fine, too.
static bool isContiguous(linalg::LinalgOp op, OpOperand &operand,
                         unsigned dim) {
  AffineMap map = op.getMatchingIndexingMap(&operand);
  if (!map.isFunctionOfDim(dim))
    return true;
  for (AffineExpr expr : map.getResults().drop_back())
    if (expr.isFunctionOfDim(dim))
      return false;
  auto [strides, offset] =
      cast<MemRefType>(operand.get().getType()).getStridesAndOffset();
  bool isAligned = llvm::all_of(ArrayRef(strides).drop_back(), [](int64_t s) {
    return !ShapedType::isDynamic(s) && s % kWidth == 0;
  });
  return map.getResults().back() == getAffineDimExpr(dim, map.getContext()) &&
         strides.back() == 1 && isAligned;
}

/// All loads come first, then the computation, then the stores, so that LLVM
/// makes accesses of 16 bytes of them.
bool dlc::emitVectors(Kernel &kernel, linalg::LinalgOp op) {
  if (op.getNumParallelLoops() != op.getNumLoops() || op.getNumLoops() == 0)
    return false;
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (map.getNumResults() == 0)
    return false;
  auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
  if (!last)
    return false;
  unsigned dim = last.getPosition();
  int64_t size = op.getStaticLoopRanges()[dim];
  if (ShapedType::isDynamic(size) || size % kWidth || size == 0)
    return false;
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()) &&
        !isContiguous(op, operand, dim))
      return false;
  // Control flow inside would be there four times.
  if (llvm::any_of(*op.getBlock(),
                   [](Operation &inner) { return inner.getNumRegions(); }))
    return false;

  LoopNest nest(kernel, op);
  SmallVector<Extent> outer = nest.extentsOf(nest.parallel);
  outer.back() = kernel.fixedExtent(size / kWidth);
  kernel.grid.factors = {{outer, kernel.grid.threads}};
  kernel.description = "four elements a thread";
  Value thread = kernel.globalThread();
  kernel.when(kernel.isLess(thread, kernel.product(outer)), [&] {
    SmallVector<Value> first(op.getNumLoops());
    for (auto [d, value] :
         llvm::zip(nest.parallel, kernel.coordinates(thread, outer)))
      first[d] = value;
    first[dim] = kernel.mul(first[dim], kernel.index(kWidth));
    SmallVector<SmallVector<Value>> at(kWidth, first), inputs, outputs, results;
    for (int64_t i = 0; i < kWidth; ++i) {
      at[i][dim] = kernel.add(first[dim], kernel.index(i));
      inputs.push_back(nest.loadInputs(at[i]));
      outputs.emplace_back(op.getNumDpsInits());
      for (int64_t k = 0; k < op.getNumDpsInits(); ++k)
        if (nest.readsOutput(k))
          outputs[i][k] = nest.loadOutput(k, at[i]);
    }
    for (int64_t i = 0; i < kWidth; ++i)
      results.push_back(nest.inlineBody(inputs[i], outputs[i], at[i]));
    for (int64_t i = 0; i < kWidth; ++i)
      nest.storeOutputs(results[i], at[i]);
  });
  return true;
}
