// Several linalg ops on the same rows, a row a block: what one op writes of a
// row the next one reads from the caches, and there is one launch.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Rows.h"

using namespace mlir;
using namespace dlc;

/// The threads share a row of `op`; `at` has the coordinates of the row.
static void emitRow(Kernel &kernel, linalg::LinalgOp op, unsigned dims,
                    Value row) {
  LoopNest nest(kernel, op);
  ImplicitLocOpBuilder &b = kernel.b;
  SmallVector<unsigned> rowDims, inner;
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    (dim < dims ? rowDims : inner).push_back(dim);
  SmallVector<Value> at(op.getNumLoops(), kernel.index(0));
  for (auto [dim, value] :
       llvm::zip(rowDims, kernel.coordinates(row, nest.extentsOf(rowDims))))
    at[dim] = value;
  auto place = [&](Value position) {
    for (auto [dim, value] :
         llvm::zip(inner, kernel.coordinates(position, nest.extentsOf(inner))))
      at[dim] = value;
  };
  Value thread = kernel.thread();
  Value count = kernel.product(nest.extentsOf(inner));
  if (op.getNumReductionLoops() == 0) {
    kernel.loop(thread, count, kernel.grid.threads, {},
                [&](Value i, ValueRange) -> SmallVector<Value> {
                  place(i);
                  SmallVector<Value> outputs;
                  for (int64_t o = 0; o < op.getNumDpsInits(); ++o)
                    outputs.push_back(
                        nest.readsOutput(o) ? nest.loadOutput(o, at) : Value());
                  nest.storeOutputs(
                      nest.inlineBody(nest.loadInputs(at), outputs, at), at);
                  return {};
                });
    return;
  }
  Operation *combiner = findCombiner(op);
  Value neutral =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  Value sum =
      kernel.loop(thread, count, kernel.grid.threads, neutral,
                  [&](Value i, ValueRange sums) -> SmallVector<Value> {
                    place(i);
                    return nest.inlineBody(nest.loadInputs(at), sums, at);
                  })[0];
  for (unsigned dim : inner)
    at[dim] = kernel.index(0);
  Value total = emitCombination(kernel, combiner, sum, kernel.grid.threads);
  kernel.when(b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, thread,
                                            kernel.index(0)),
              [&] {
                Value start = nest.loadOutput(0, at);
                nest.storeOutputs(combine(kernel, combiner, start, total), at);
              });
}

void dlc::emitRows(Kernel &kernel, const RowSteps &steps) {
  if (emitRowChunks(kernel, steps))
    return;
  ArrayRef<linalg::LinalgOp> ops = steps.ops;
  ArrayRef<int64_t> rowDims = steps.rowDims;
  // Elements of a row; one that is not known is thought to be long.
  int64_t longest = 1;
  for (auto [op, dims] : llvm::zip(ops, rowDims)) {
    int64_t elements = 1;
    for (int64_t size :
         ArrayRef(linalg::LinalgOp(op).getStaticLoopRanges()).drop_front(dims))
      elements = ShapedType::isDynamic(size) ? 1024 : elements * size;
    longest = std::max(longest, elements);
  }
  // At least two elements a thread.
  kernel.grid.threads = 256;
  while (kernel.grid.threads > 32 && kernel.grid.threads * 2 > longest)
    kernel.grid.threads /= 2;
  {
    LoopNest nest(kernel, ops.front());
    auto dims = llvm::to_vector(llvm::seq<unsigned>(0, rowDims.front()));
    kernel.grid.factors = {{nest.extentsOf(dims), 1}};
  }
  kernel.description = llvm::formatv("{0} steps on a row a block", ops.size());
  Value row = kernel.block();
  for (auto [i, step] : llvm::enumerate(ops)) {
    // What the step before wrote is there for all threads.
    if (i)
      kernel.barrier();
    emitRow(kernel, step, rowDims[i], row);
  }
}
