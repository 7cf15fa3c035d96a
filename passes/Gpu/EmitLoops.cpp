// Linalg ops, one element of the outputs a thread.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"

using namespace mlir;
using namespace dlc;

/// The extents of the iteration space of `op`.
static SmallVector<Extent> findExtents(Kernel &kernel, linalg::LinalgOp op) {
  SmallVector<Extent> extents;
  for (auto [dim, size] : llvm::enumerate(op.getStaticLoopRanges())) {
    AffineExpr expr = getAffineDimExpr(dim, op.getContext());
    Extent extent{Value(), size};
    for (OpOperand &operand : op->getOpOperands()) {
      std::optional<unsigned> position =
          op.getMatchingIndexingMap(&operand).getResultPosition(expr);
      if (extent.isDynamic() && position && !extent.value)
        extent = kernel.extentOf(operand.get(), *position);
    }
    extents.push_back(extent.isDynamic() ? extent
                                         : kernel.fixedExtent(extent.fixed));
    assert(extents.back().value && "a dimension without an operand");
  }
  return extents;
}

LoopNest::LoopNest(Kernel &kernel, linalg::LinalgOp op)
    : kernel(kernel), op(op), extents(findExtents(kernel, op)) {
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  for (AffineExpr expr : outputMap(0).getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      if (kinds[dim.getPosition()] == utils::IteratorType::parallel &&
          !llvm::is_contained(parallel, dim.getPosition()))
        parallel.push_back(dim.getPosition());
  SmallVector<unsigned> others;
  for (auto [dim, kind] : llvm::enumerate(kinds)) {
    if (kind != utils::IteratorType::parallel)
      reduction.push_back(dim);
    else if (!llvm::is_contained(parallel, dim))
      others.push_back(dim);
  }
  parallel.insert(parallel.begin(), others.begin(), others.end());
}

AffineMap LoopNest::outputMap(unsigned output) {
  return op.getMatchingIndexingMap(op.getDpsInitOperand(output));
}

SmallVector<Extent> LoopNest::extentsOf(ArrayRef<unsigned> dims) {
  return llvm::map_to_vector(dims, [&](unsigned dim) { return extents[dim]; });
}

bool LoopNest::readsOutput(unsigned output) {
  return op.payloadUsesValueFromOperand(op.getDpsInitOperand(output));
}

SmallVector<Value> LoopNest::loadInputs(ArrayRef<Value> at) {
  SmallVector<Value> values;
  for (OpOperand *input : op.getDpsInputOperands()) {
    if (!isa<MemRefType>(input->get().getType()))
      values.push_back(input->get());
    else
      values.push_back(memref::LoadOp::create(
          kernel.b, input->get(),
          kernel.apply(op.getMatchingIndexingMap(input), at)));
  }
  return values;
}

Value LoopNest::loadOutput(unsigned output, ArrayRef<Value> at) {
  return memref::LoadOp::create(kernel.b, op.getDpsInits()[output],
                                kernel.apply(outputMap(output), at));
}

void LoopNest::storeOutputs(ValueRange values, ArrayRef<Value> at) {
  for (auto [i, value] : llvm::enumerate(values))
    memref::StoreOp::create(kernel.b, value, op.getDpsInits()[i],
                            kernel.apply(outputMap(i), at));
}

SmallVector<Value> LoopNest::inlineBody(ValueRange inputs, ValueRange outputs,
                                        ArrayRef<Value> at) {
  Block *body = op.getBlock();
  IRMapping mapping;
  mapping.map(body->getArguments().take_front(inputs.size()), inputs);
  for (auto [argument, value] :
       llvm::zip(body->getArguments().drop_front(inputs.size()), outputs))
    if (value)
      mapping.map(argument, value);
  SmallVector<Operation *> indices;
  for (Operation &inner : body->without_terminator())
    kernel.b.clone(inner, mapping)->walk([&](linalg::IndexOp index) {
      indices.push_back(index);
    });
  SmallVector<Value> results;
  for (Value value : body->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  for (Operation *index : indices) {
    Value value = at[cast<linalg::IndexOp>(index).getDim()];
    for (Value &result : results)
      if (result == index->getResult(0))
        result = value;
    index->getResult(0).replaceAllUsesWith(value);
    index->erase();
  }
  return results;
}

/// One thread does one point of the parallel dimensions, and all of the
/// others, in order. What it accumulates stays in registers unless the other
/// dimensions tell where it is stored.
bool dlc::emitLoops(Kernel &kernel, linalg::LinalgOp op) {
  LoopNest nest(kernel, op);
  SmallVector<Extent> outer = nest.extentsOf(nest.parallel);
  kernel.grid.factors = {{outer, kernel.grid.threads}};
  kernel.description = "one element a thread";
  Value thread = kernel.globalThread();
  bool inRegisters = true;
  for (int64_t i = 0; i < op.getNumDpsInits(); ++i)
    for (unsigned dim : nest.reduction)
      inRegisters &= !nest.outputMap(i).isFunctionOfDim(dim);

  kernel.when(kernel.isLess(thread, kernel.product(outer)), [&] {
    SmallVector<Value> at(op.getNumLoops(), kernel.index(0));
    for (auto [dim, value] :
         llvm::zip(nest.parallel, kernel.coordinates(thread, outer)))
      at[dim] = value;
    auto readOutputs = [&] {
      SmallVector<Value> outputs;
      for (int64_t i = 0; i < op.getNumDpsInits(); ++i)
        outputs.push_back(nest.readsOutput(i) || !nest.reduction.empty()
                              ? nest.loadOutput(i, at)
                              : Value());
      return outputs;
    };
    SmallVector<Value> carried;
    if (inRegisters && !nest.reduction.empty())
      carried = readOutputs();
    // The dimensions that are no thread's, from the outermost on.
    std::function<SmallVector<Value>(ArrayRef<unsigned>, ValueRange)> emit =
        [&](ArrayRef<unsigned> dims, ValueRange sums) -> SmallVector<Value> {
      if (dims.empty()) {
        SmallVector<Value> inputs = nest.loadInputs(at);
        SmallVector<Value> outputs =
            sums.empty() ? readOutputs() : llvm::to_vector(sums);
        SmallVector<Value> results = nest.inlineBody(inputs, outputs, at);
        if (sums.empty())
          nest.storeOutputs(results, at);
        return results;
      }
      return kernel.loop(kernel.index(0), nest.extents[dims.front()].value, 1,
                         sums, [&](Value i, ValueRange inner) {
                           at[dims.front()] = i;
                           SmallVector<Value> results =
                               emit(dims.drop_front(), inner);
                           at[dims.front()] = kernel.index(0);
                           return results;
                         });
    };
    SmallVector<Value> results = emit(nest.reduction, carried);
    if (!carried.empty())
      nest.storeOutputs(results, at);
  });
  return true;
}
