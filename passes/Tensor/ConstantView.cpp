// Elements of a constant in another order.
#include "passes/Tensor/ConstantView.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;
using namespace dlc;

/// The loops over `group`, dimensions of `view`, as one; false if they are
/// none.
static bool merge(const ConstantView &view, ArrayRef<int64_t> group,
                  int64_t &size, int64_t &stride) {
  size = 1, stride = 1;
  for (int64_t dim : llvm::reverse(group)) {
    if (view.sizes[dim] == 1)
      continue;
    if (size == 1)
      stride = view.strides[dim];
    else if (view.strides[dim] != stride * size)
      return false;
    size *= view.sizes[dim];
  }
  return true;
}

static bool transpose(ConstantView &view, ArrayRef<int64_t> permutation) {
  applyPermutationToVector(view.sizes, permutation);
  applyPermutationToVector(view.strides, permutation);
  return true;
}

static bool expand(ConstantView &view, tensor::ExpandShapeOp op) {
  SmallVector<int64_t> sizes(op.getResultType().getShape());
  SmallVector<int64_t> strides(sizes.size());
  for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
    int64_t stride = view.strides[dim];
    for (int64_t made : llvm::reverse(group)) {
      strides[made] = stride;
      stride *= sizes[made];
    }
  }
  view.sizes = sizes, view.strides = strides;
  return true;
}

static bool collapse(ConstantView &view, tensor::CollapseShapeOp op) {
  SmallVector<int64_t> sizes, strides;
  for (const ReassociationIndices &group : op.getReassociationIndices())
    if (!merge(view, group, sizes.emplace_back(), strides.emplace_back()))
      return false;
  view.sizes = sizes, view.strides = strides;
  return true;
}

static bool slice(ConstantView &view, tensor::ExtractSliceOp op) {
  for (ArrayRef<int64_t> numbers :
       {op.getStaticOffsets(), op.getStaticSizes(), op.getStaticStrides()})
    if (ShapedType::isDynamicShape(numbers))
      return false;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  SmallVector<int64_t> sizes, strides;
  for (unsigned dim = 0; dim < view.sizes.size(); ++dim) {
    view.offset += op.getStaticOffset(dim) * view.strides[dim];
    if (dropped[dim])
      continue;
    sizes.push_back(op.getStaticSize(dim));
    strides.push_back(op.getStaticStride(dim) * view.strides[dim]);
  }
  view.sizes = sizes, view.strides = strides;
  return true;
}

std::optional<ConstantView> ConstantView::find(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  Operation *op = value.getDefiningOp();
  if (!op || !type || !type.hasStaticShape())
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto elements = dyn_cast<ElementsAttr>(constant.getValue());
    if (!elements)
      return std::nullopt;
    return ConstantView{elements, 0, SmallVector<int64_t>(type.getShape()),
                        computeStrides(type.getShape())};
  }
  if (!isa<linalg::TransposeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
           tensor::ExtractSliceOp>(op))
    return std::nullopt;
  std::optional<ConstantView> view = find(op->getOperand(0));
  if (!view)
    return std::nullopt;
  bool isView =
      llvm::TypeSwitch<Operation *, bool>(op)
          .Case([&](linalg::TransposeOp op) {
            return transpose(*view, op.getPermutation());
          })
          .Case([&](tensor::ExpandShapeOp op) { return expand(*view, op); })
          .Case([&](tensor::CollapseShapeOp op) { return collapse(*view, op); })
          .Case([&](tensor::ExtractSliceOp op) { return slice(*view, op); });
  return isView ? view : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Copying
//===----------------------------------------------------------------------===//

namespace {
/// A loop of a copy; strides in elements.
struct Loop {
  int64_t size, from, to;
};
} // namespace

/// The loops of a copy to contiguous elements, as few as may be.
static SmallVector<Loop> makeLoops(const ConstantView &view) {
  SmallVector<Loop> loops; // the innermost first
  int64_t to = 1;
  for (auto [size, from] :
       llvm::reverse(llvm::zip_equal(view.sizes, view.strides))) {
    if (size == 1)
      continue;
    if (!loops.empty() && from == loops.back().from * loops.back().size)
      loops.back().size *= size;
    else
      loops.push_back({size, from, to});
    to *= size;
  }
  return loops;
}

/// Two loops, in blocks of as many elements as share lines of the cache.
template <int64_t bytes>
static void copyPlane(const char *from, char *to, const Loop &x,
                      const Loop &y) {
  constexpr int64_t block = 64 / bytes;
  for (int64_t i = 0; i < x.size; i += block)
    for (int64_t k = 0; k < y.size; k += block)
      for (int64_t r = i, rows = std::min(i + block, x.size); r < rows; ++r)
        for (int64_t c = k, columns = std::min(k + block, y.size); c < columns;
             ++c)
          std::memcpy(to + (r * x.to + c * y.to) * bytes,
                      from + (r * x.from + c * y.from) * bytes, bytes);
}

template <int64_t bytes>
static void copyElements(const char *from, char *to, SmallVector<Loop> loops) {
  // The two loops whose elements are neighbours: in the source, in the result.
  auto *nearest = std::min_element(
      loops.begin(), loops.end(),
      [](const Loop &a, const Loop &b) { return a.from < b.from; });
  Loop x{1, 0, 0}, y = loops.empty() ? x : loops.front();
  if (nearest != loops.begin()) {
    x = *nearest;
    loops.erase(nearest);
  }
  if (!loops.empty())
    loops.erase(loops.begin());
  SmallVector<int64_t> at(loops.size());
  while (true) {
    if (x.size == 1 && y.from == 1)
      std::memcpy(to, from, y.size * bytes);
    else
      copyPlane<bytes>(from, to, x, y);
    unsigned i = 0;
    for (; i < loops.size(); ++i) {
      from += loops[i].from * bytes;
      to += loops[i].to * bytes;
      if (++at[i] < loops[i].size)
        break;
      from -= loops[i].from * loops[i].size * bytes;
      to -= loops[i].to * loops[i].size * bytes;
      at[i] = 0;
    }
    if (i == loops.size())
      return;
  }
}

void ConstantView::copy(const char *from, char *to,
                        int64_t elementBytes) const {
  if (llvm::is_contained(sizes, 0))
    return;
  from += offset * elementBytes;
  SmallVector<Loop> loops = makeLoops(*this);
  switch (elementBytes) {
  case 1:
    return copyElements<1>(from, to, std::move(loops));
  case 2:
    return copyElements<2>(from, to, std::move(loops));
  case 4:
    return copyElements<4>(from, to, std::move(loops));
  case 8:
    return copyElements<8>(from, to, std::move(loops));
  }
  assert(elementBytes == 16 && "no element has other sizes");
  copyElements<16>(from, to, std::move(loops));
}
