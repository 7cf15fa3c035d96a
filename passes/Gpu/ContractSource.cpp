// How the threads of a block take parts of A and B from memory.
#include "passes/Gpu/ContractSource.h"

using namespace mlir;
using namespace dlc;

ContractSource::ContractSource(ContractNest &nest,
                               const ContractNest::Place &block,
                               unsigned operand, int64_t width, int64_t depth,
                               int64_t threads, int64_t most, bool isWhole)
    : nest(nest), block(block), operand(operand), width(width), depth(depth) {
  Kernel &kernel = nest.kernel;
  ContractOp op = nest.op;
  ArrayRef<unsigned> outerDims = operand == 0 ? nest.rows : nest.columns;
  type = cast<MemRefType>(op.getMapped()[operand].getType()).getElementType();
  isDepthFast = nest.isDepthFast(operand);
  buffer = nest.flatten(operand);
  vector = nest.chooseVector(
      operand, isDepthFast ? nest.sums.back() : outerDims.back(), most);
  if (isWhole && width * depth % (threads * vector))
    vector = 1;
  int64_t total = width * depth / vector;
  int64_t perRow = (isDepthFast ? depth : width) / vector;
  isPartial = total < threads;
  Value thread = kernel.thread();
  Value inner = kernel.mul(kernel.rem(thread, perRow), kernel.index(vector));
  Value other = kernel.div(thread, perRow);
  Value first = operand == 0 ? block.firstRow : block.firstColumn;
  Value last = kernel.add(operand == 0 ? block.rowCount : block.columnCount,
                          kernel.index(isDepthFast ? -1 : -vector));
  bool isRagged = nest.isRagged(outerDims, width);
  Value known; // all loads of the thread may be at one row or column
  for (int64_t i = 0, e = llvm::divideCeil(total, threads); i < e; ++i) {
    Value moved = kernel.add(other, kernel.index(i * (threads / perRow)));
    outer.push_back(isDepthFast ? moved : inner);
    k.push_back(isDepthFast ? inner : moved);
    if (isDepthFast || !known) {
      Value position = kernel.add(first, outer.back());
      // What lies behind the end is read somewhere inside and never stored.
      if (isRagged)
        position = kernel.min(position, last);
      SmallVector<Value> at(op.getNumDims());
      nest.setCoordinates(at, nest.batch, block.batchAt);
      nest.place(at, outerDims, position);
      known = nest.offsetOf(operand, at);
    }
    starts.push_back(known);
  }
}

void ContractSource::forEach(
    Value firstK, bool staysInside,
    function_ref<void(size_t, Value, Value)> body) const {
  Kernel &kernel = nest.kernel;
  Value last =
      kernel.add(block.sumCount, kernel.index(isDepthFast ? -vector : -1));
  Value offset, isInside;
  for (size_t i = 0; i < starts.size(); ++i) {
    if (!offset || !isDepthFast) {
      Value term = kernel.add(firstK, k[i]);
      isInside = kernel.isLess(term, block.sumCount);
      if (staysInside)
        term = kernel.min(term, last);
      SmallVector<Value> at(nest.op.getNumDims());
      nest.place(at, nest.sums, term);
      offset = nest.offsetOf(operand, at);
    }
    body(i, kernel.add(starts[i], offset), isInside);
  }
}
