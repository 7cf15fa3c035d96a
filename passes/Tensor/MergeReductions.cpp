// Reductions of the same tensors to numbers, such as the smallest and the
// largest element, read them once.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_MERGEREDUCTIONS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// Whether all of the loops reduce. Of reductions of rows others make kernels.
static bool reducesAll(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op.getNumLoops() &&
         op.getNumReductionLoops() == op.getNumLoops() &&
         !op.hasIndexSemantics() && op.getNumDpsInputs();
}

/// Whether the loops of both read the same elements.
static bool readsSame(linalg::GenericOp a, linalg::GenericOp b) {
  if (a->getBlock() != b->getBlock() || a.getInputs() != b.getInputs())
    return false;
  unsigned inputs = a.getNumDpsInputs();
  return ArrayRef(a.getIndexingMapsArray()).take_front(inputs) ==
         ArrayRef(b.getIndexingMapsArray()).take_front(inputs);
}

/// Makes what the results of `op` start from defined before `place`, if it is
/// filled with a value from there, as all is that its body uses.
static bool hoistInits(linalg::GenericOp op, Operation *place,
                       const DominanceInfo &dominance) {
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(op->getRegions(), used);
  if (!llvm::all_of(used, [&](Value value) {
        return dominance.properlyDominates(value, place);
      }))
    return false;
  SmallVector<Operation *> moved;
  for (Value init : op.getDpsInits()) {
    if (dominance.properlyDominates(init, place))
      continue;
    auto fill = init.getDefiningOp<linalg::FillOp>();
    if (!fill)
      return false;
    auto empty = fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
    if (!empty || empty->getNumOperands() ||
        !dominance.properlyDominates(fill.getInputs()[0], place))
      return false;
    if (!dominance.properlyDominates(empty.getResult(), place))
      moved.push_back(empty);
    moved.push_back(fill);
  }
  for (Operation *init : moved)
    init->moveBefore(place);
  return true;
}

/// One op with the results of both, in the place of `first`.
static linalg::GenericOp merge(linalg::GenericOp first,
                               linalg::GenericOp second, RewriterBase &b) {
  b.setInsertionPoint(first);
  unsigned inputs = first.getNumDpsInputs();
  SmallVector<Value> inits(first.getDpsInits());
  llvm::append_range(inits, second.getDpsInits());
  SmallVector<AffineMap> maps = first.getIndexingMapsArray();
  llvm::append_range(
      maps, ArrayRef(second.getIndexingMapsArray()).drop_front(inputs));
  auto merged = linalg::GenericOp::create(
      b, b.getFusedLoc({first.getLoc(), second.getLoc()}),
      TypeRange(ValueRange(inits)), first.getInputs(), inits, maps,
      first.getIteratorTypesArray(),
      [&](OpBuilder &inner, Location loc, ValueRange arguments) {
        SmallVector<Value> results;
        unsigned firstOutput = inputs;
        for (linalg::GenericOp op : {first, second}) {
          IRMapping mapping;
          ValueRange outputs =
              arguments.slice(firstOutput, op.getNumDpsInits());
          firstOutput += outputs.size();
          mapping.map(op.getBody()->getArguments().take_front(inputs),
                      arguments.take_front(inputs));
          mapping.map(op.getBody()->getArguments().drop_front(inputs), outputs);
          for (Operation &inside : op.getBody()->without_terminator())
            inner.clone(inside, mapping);
          for (Value value : op.getBody()->getTerminator()->getOperands())
            results.push_back(mapping.lookupOrDefault(value));
        }
        linalg::YieldOp::create(inner, loc, results);
      });
  remarkDone(merged.getLoc(), "dlc-merge-reductions")
      << remark::add("reads its operand once");
  unsigned count = first->getNumResults();
  b.replaceOp(first, merged.getResults().take_front(count));
  b.replaceOp(second, merged.getResults().drop_front(count));
  return merged;
}

namespace {

struct MergeReductions : dlc::impl::MergeReductionsBase<MergeReductions> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (reducesAll(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    auto &dominance = getAnalysis<DominanceInfo>();
    // Of each first operand, what reads it.
    DenseMap<Value, SmallVector<linalg::GenericOp, 1>> readers;
    for (linalg::GenericOp op : ops) {
      auto &others = readers[op.getInputs()[0]];
      auto *twin = llvm::find_if(others, [&](linalg::GenericOp other) {
        return readsSame(other, op) && hoistInits(op, other, dominance);
      });
      if (twin == others.end())
        others.push_back(op);
      else
        *twin = merge(*twin, op, rewriter);
    }
  }
};

} // namespace
