// Reductions along memory, one element of the output a block.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Rows.h"

using namespace mlir;
using namespace dlc;

Operation *dlc::findCombiner(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1)
    return nullptr;
  BlockArgument sum = op.getRegionOutputArgs().front();
  if (!sum.hasOneUse())
    return nullptr;
  Operation *combiner = *sum.getUsers().begin();
  if (combiner->getBlock() != op.getBlock() ||
      combiner->getNumOperands() != 2 || combiner->getNumResults() != 1 ||
      op.getBlock()->getTerminator()->getOperand(0) != combiner->getResult(0) ||
      !combiner->hasOneUse())
    return nullptr;
  bool isKnown =
      isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp,
          arith::AddIOp, arith::MulIOp, arith::MaxSIOp, arith::MinSIOp,
          arith::MaxUIOp, arith::MinUIOp, arith::AndIOp, arith::OrIOp,
          arith::XOrIOp>(combiner);
  return isKnown && arith::getNeutralElement(combiner) ? combiner : nullptr;
}

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

void dlc::emitCombination(Kernel &kernel, Operation *combiner, Value value,
                          Value memory) {
  ImplicitLocOpBuilder &b = kernel.b;
  Value thread = kernel.thread();
  memref::StoreOp::create(b, value, memory, thread);
  for (int64_t half = kernel.grid.threads / 2; half > 0; half /= 2) {
    kernel.barrier();
    kernel.when(kernel.isLess(thread, kernel.index(half)), [&] {
      Value mine = memref::LoadOp::create(b, memory, thread);
      Value other = memref::LoadOp::create(
          b, memory, kernel.add(thread, kernel.index(half)));
      OperationState state(b.getLoc(), combiner->getName(), {mine, other},
                           {mine.getType()}, combiner->getAttrs());
      memref::StoreOp::create(b, b.create(state)->getResult(0), memory, thread);
    });
  }
}

/// Each thread combines every n-th value, then halves of the block are
/// combined in shared memory.
bool dlc::emitReduction(Kernel &kernel, linalg::LinalgOp op) {
  Operation *combiner = findCombiner(op);
  if (!combiner || op.getNumReductionLoops() == 0 ||
      op.getDpsInputOperands().empty())
    return false;
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
  Type type = combiner->getResult(0).getType();
  Value memory = kernel.shared({threads}, type);
  SmallVector<Value> at(op.getNumLoops(), kernel.index(0));
  for (auto [dim, value] :
       llvm::zip(nest.parallel, kernel.coordinates(kernel.block(), outer)))
    at[dim] = value;
  Value neutral =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  Value thread = kernel.thread();
  auto combine = [&](Value x, Value y) {
    OperationState state(b.getLoc(), combiner->getName(), {x, y}, {type},
                         combiner->getAttrs());
    return b.create(state)->getResult(0);
  };
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
  emitCombination(kernel, combiner, sum, memory);
  kernel.when(b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, thread,
                                            kernel.index(0)),
              [&] {
                Value start = nest.loadOutput(0, at);
                Value total = memref::LoadOp::create(b, memory, thread);
                nest.storeOutputs(combine(start, total), at);
              });
  return true;
}
