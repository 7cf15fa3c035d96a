// Reductions along memory, one element of the output a block.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Rows.h"

using namespace mlir;
using namespace dlc;

/// Whether neighbouring threads read neighbouring elements, and have several
/// each. Moves the dimension along memory to the end.
static bool isAlongMemory(linalg::LinalgOp op, LoopNest &nest) {
  static constexpr int64_t fewest = 64;
  int64_t length = fixedProduct(nest.extentsOf(nest.reduction));
  if (!ShapedType::isDynamic(length) && length < fewest)
    return false;
  OpOperand *input = op.getDpsInputOperands().front();
  AffineMap map = op.getMatchingIndexingMap(input);
  if (map.getNumResults() == 0)
    return false;
  auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
  auto *found = last ? llvm::find(nest.reduction, last.getPosition())
                     : nest.reduction.end();
  if (found == nest.reduction.end())
    return false;
  std::rotate(found, found + 1, nest.reduction.end());
  return true;
}

Value dlc::combine(Kernel &kernel, Operation *combiner, Value x, Value y) {
  OperationState state(kernel.b.getLoc(), combiner->getName(), {x, y},
                       {x.getType()}, combiner->getAttrs());
  return kernel.b.create(state)->getResult(0);
}

Value dlc::emitCombination(Kernel &kernel, Operation *combiner, Value value,
                           int64_t threads) {
  static constexpr int64_t warp = 32;
  ImplicitLocOpBuilder &b = kernel.b;
  // Both threads of a pair combine the same two values: all get one result.
  auto exchange = [&](int64_t count) {
    for (int64_t bit = count / 2; bit > 0; bit /= 2)
      value = combine(kernel, combiner, value, kernel.exchange(value, bit));
  };
  exchange(std::min(threads, warp));
  if (threads <= warp)
    return value;
  int64_t warps = threads / warp;
  Value memory = kernel.shared({warps}, value.getType());
  Value thread = kernel.thread();
  Value lane = kernel.rem(thread, warp);
  kernel.when(b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, lane,
                                            kernel.index(0)),
              [&] {
                memref::StoreOp::create(b, value, memory,
                                        kernel.div(thread, warp));
              });
  kernel.barrier();
  value = memref::LoadOp::create(b, memory, kernel.rem(lane, warps));
  exchange(warps);
  return value;
}

/// Reductions of rows, which are the first dimensions, of whole buffers.
static bool emitByChunks(Kernel &kernel, linalg::LinalgOp op) {
  static constexpr int64_t fewest = 16;
  unsigned dims = op.getNumParallelLoops();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  int64_t length = 1;
  for (int64_t size : ArrayRef(op.getStaticLoopRanges()).drop_front(dims))
    length = ShapedType::isDynamic(size) ? fewest : length * size;
  auto isWhole = [](Value operand) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    return !type || (type.getLayout().isIdentity() &&
                     type.getElementType().isIntOrFloat());
  };
  if (length < fewest || !isRowOp(op, dims) ||
      llvm::is_contained(ArrayRef(kinds).take_front(dims),
                         utils::IteratorType::reduction) ||
      !llvm::all_of(op->getOperands(), isWhole))
    return false;
  SmallVector<int64_t> rowDims{dims};
  RowSteps steps{{op}, rowDims, {}, {}, {}};
  return emitRowChunks(kernel, steps);
}

/// Each thread combines every n-th value, then the threads of the block do.
bool dlc::emitReduction(Kernel &kernel, linalg::LinalgOp op) {
  Operation *combiner = findCombiner(op);
  if (!combiner || op.getNumReductionLoops() == 0 ||
      op.getDpsInputOperands().empty())
    return false;
  if (emitByChunks(kernel, op))
    return true;
  LoopNest nest(kernel, op);
  for (unsigned dim : nest.reduction)
    if (nest.outputMap(0).isFunctionOfDim(dim))
      return false;
  if (!isAlongMemory(op, nest))
    return false;

  ImplicitLocOpBuilder &b = kernel.b;
  SmallVector<Extent> outer = nest.extentsOf(nest.parallel);
  SmallVector<Extent> inner = nest.extentsOf(nest.reduction);
  kernel.grid.factors = {{outer, 1}};
  kernel.description = "a reduction a block";
  int64_t threads = kernel.grid.threads;
  SmallVector<Value> at(op.getNumLoops(), kernel.index(0));
  for (auto [dim, value] :
       llvm::zip(nest.parallel, kernel.coordinates(kernel.block(), outer)))
    at[dim] = value;
  Value neutral =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  Value thread = kernel.thread();
  Value sum =
      kernel.loop(thread, kernel.product(inner), threads, neutral,
                  [&](Value i, ValueRange sums) -> SmallVector<Value> {
                    for (auto [dim, value] : llvm::zip(
                             nest.reduction, kernel.coordinates(i, inner)))
                      at[dim] = value;
                    return nest.inlineBody(nest.loadInputs(at), sums, at);
                  })[0];
  for (unsigned dim : nest.reduction)
    at[dim] = kernel.index(0);
  Value total = emitCombination(kernel, combiner, sum, threads);
  kernel.when(b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, thread,
                                            kernel.index(0)),
              [&] {
                Value start = nest.loadOutput(0, at);
                nest.storeOutputs(combine(kernel, combiner, start, total), at);
              });
  return true;
}
