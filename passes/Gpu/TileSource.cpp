// How the threads of a block take parts of operands from memory.
#include "passes/Gpu/TileSource.h"

using namespace mlir;
using namespace dlc;

/// Whether all offsets in a buffer, and all terms, are known to be below 2^31.
static bool fitsInt32(MemRefType type, int64_t terms) {
  auto [strides, offset] = type.getStridesAndOffset();
  int64_t last = 0;
  for (auto [size, stride] : llvm::zip(type.getShape(), strides)) {
    int64_t part;
    if (ShapedType::isDynamic(size) || ShapedType::isDynamic(stride) ||
        llvm::MulOverflow(size, stride, part) ||
        llvm::AddOverflow(last, part, last))
      return false;
  }
  static constexpr int64_t most = int64_t(1) << 31;
  return last < most && !ShapedType::isDynamic(terms) && terms < most;
}

TileSource::TileSource(TileSpace &space, unsigned operand,
                       ArrayRef<Value> batchAt, TileRange outerRange,
                       TileRange sum, int64_t width, int64_t depth,
                       int64_t threads, int64_t most, bool isWhole)
    : space(space), operand(operand), sum(sum), width(width), depth(depth) {
  Kernel &kernel = space.kernel;
  type = cast<MemRefType>(space.buffers[operand].getType()).getElementType();
  // Where registers are scarce: those that copy without have enough, and take
  // pointers as they are.
  isNarrow =
      isWhole && fitsInt32(cast<MemRefType>(space.buffers[operand].getType()),
                           fixedProduct(space.extentsOf(sum.dims)));
  isDepthFast = space.isDepthFast(operand, sum.dims.back());
  buffer = space.flatten(operand);
  vector = space.chooseVector(
      operand, isDepthFast ? sum.dims.back() : outerRange.dims.back(), most);
  if (isWhole && width * depth % (threads * vector))
    vector = 1;
  int64_t total = width * depth / vector;
  int64_t perRow = (isDepthFast ? depth : width) / vector;
  isPartial = total < threads;
  Value thread = kernel.thread();
  Value inner = kernel.mul(kernel.rem(thread, perRow), kernel.index(vector));
  Value other = kernel.div(thread, perRow);
  Value last =
      kernel.add(outerRange.count, kernel.index(isDepthFast ? -1 : -vector));
  bool isRagged = space.isRagged(outerRange.dims, width);
  Value known; // all loads of the thread may be at one row or column
  for (int64_t i = 0, e = llvm::divideCeil(total, threads); i < e; ++i) {
    Value moved = kernel.add(other, kernel.index(i * (threads / perRow)));
    outer.push_back(isDepthFast ? moved : inner);
    k.push_back(isDepthFast ? inner : moved);
    if (isDepthFast || !known) {
      Value position = kernel.add(outerRange.first, outer.back());
      // What lies behind the end is read somewhere inside and never stored.
      if (isRagged)
        position = kernel.min(position, last);
      SmallVector<Value> at(space.numDims());
      space.setCoordinates(at, space.batch, batchAt);
      space.place(at, outerRange.dims, position);
      known = space.offsetOf(operand, at);
    }
    starts.push_back(known);
  }
}

void TileSource::forEach(Value firstK, bool staysInside,
                         function_ref<void(size_t, Value, Value)> body) const {
  Kernel &kernel = space.kernel;
  Value last = kernel.add(sum.count, kernel.index(isDepthFast ? -vector : -1));
  Value offset, isInside;
  for (size_t i = 0; i < starts.size(); ++i) {
    if (!offset || !isDepthFast) {
      Value term =
          isNarrow ? kernel.addNarrow(firstK, k[i]) : kernel.add(firstK, k[i]);
      isInside = kernel.isLess(term, sum.count);
      if (staysInside)
        term = kernel.min(term, last);
      SmallVector<Value> at(space.numDims());
      space.place(at, sum.dims, term);
      offset = space.offsetOf(operand, at);
    }
    body(i,
         isNarrow ? kernel.addNarrow(starts[i], offset)
                  : kernel.add(starts[i], offset),
         isInside);
  }
}
