// Depthwise convolutions: a thread computes a few channels side by side at a
// few positions side by side, and keeps the inputs that these share in
// registers.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/ContractTile.h"
#include "passes/Gpu/EmitContract.h"

using namespace mlir;
using namespace dlc;

namespace {

/// How a window moves along a row: the element of A at `dim` is that of
/// position `stride * x + dilation * j`.
struct Window {
  unsigned x, j; // dimensions of the contraction
  unsigned dim;  // of A
  int64_t stride, dilation;
  int64_t size; // elements of the window
};

class DepthwiseEmitter {
public:
  DepthwiseEmitter(Kernel &kernel, ContractOp op, ContractNest &nest,
                   Window window, unsigned channel, int64_t width,
                   int64_t positions)
      : kernel(kernel), b(kernel.b), op(op), nest(nest), window(window),
        channel(channel), width(width), positions(positions) {}

  void emit();

private:
  using Sums = SmallVector<Value>; // [position][channel]
  Sums addWindows(ArrayRef<unsigned> dims, Sums sums);
  Sums addWindow(Sums sums);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  ContractOp op;
  ContractNest &nest;
  Window window;
  unsigned channel;
  int64_t width, positions; // of a thread
  SmallVector<Value> at;    // of the first position and channel
  Value a, w;               // flat
};

} // namespace

/// The window of a depthwise convolution along the last of its rows.
static std::optional<Window> findWindow(ContractOp op, ContractNest &nest) {
  if (nest.rows.empty() || nest.sums.empty() || op.getDot() ||
      !isSeparable(op, 0))
    return std::nullopt;
  for (unsigned column : nest.columns)
    if (nest.extents[column].fixed != 1)
      return std::nullopt;
  unsigned x = nest.rows.back();
  for (unsigned dim = 0; dim < op.getAMap().getNumResults(); ++dim) {
    AffineExpr expr = op.getAMap().getResult(dim);
    if (!expr.isFunctionOfDim(x))
      continue;
    for (unsigned j : nest.sums) {
      int64_t size = nest.extents[j].fixed;
      static constexpr int64_t longest = 16;
      if (!expr.isFunctionOfDim(j) || ShapedType::isDynamic(size) ||
          size > longest || size < 1)
        continue;
      // How the expression grows along a dimension; it is linear.
      auto slope = [&](unsigned of) -> int64_t {
        SmallVector<AffineExpr> dims(op.getNumDims(),
                                     getAffineConstantExpr(0, op.getContext()));
        dims[of] = getAffineConstantExpr(1, op.getContext());
        auto value =
            dyn_cast<AffineConstantExpr>(expr.replaceDimsAndSymbols(dims, {}));
        return value ? value.getValue() : 0;
      };
      Window window{x, j, dim, slope(x), slope(j), size};
      if (window.stride > 0 && window.dilation > 0)
        return window;
    }
  }
  return std::nullopt;
}

/// Adds the products of one row of the window to the sums.
DepthwiseEmitter::Sums DepthwiseEmitter::addWindow(Sums sums) {
  at[window.j] = kernel.index(0);
  Value first = nest.offsetOf(0, at);
  auto type = cast<MemRefType>(op.getA().getType());
  Value stride = memref::ExtractStridedMetadataOp::create(b, op.getA())
                     .getStrides()[window.dim];
  int64_t known = type.getStridesAndOffset().first[window.dim];
  if (!ShapedType::isDynamic(known))
    stride = kernel.index(known);
  // The last input of all positions, behind which nothing is read.
  Value inputs = kernel.add(
      kernel.mul(kernel.add(nest.extents[window.x].value, kernel.index(-1)),
                 kernel.index(window.stride)),
      kernel.index((window.size - 1) * window.dilation));
  Value here = kernel.mul(at[window.x], kernel.index(window.stride));
  bool isRagged = nest.isRagged({window.x}, positions);
  DenseMap<int64_t, SmallVector<Value>> loaded;
  auto input = [&](int64_t place) -> ArrayRef<Value> {
    SmallVector<Value> &values = loaded[place];
    if (values.empty()) {
      Value moved = kernel.index(place);
      if (isRagged)
        moved = kernel.min(moved, b.createOrFold<arith::SubIOp>(inputs, here));
      values =
          nest.loadRun(a, kernel.add(first, kernel.mul(moved, stride)), width);
      for (Value &value : values)
        value = nest.extend(value, op.getAUnsigned());
    }
    return values;
  };
  for (int64_t j = 0; j < window.size; ++j) {
    at[window.j] = kernel.index(j);
    SmallVector<Value> weights = nest.loadRun(w, nest.offsetOf(1, at), width);
    for (Value &weight : weights)
      weight = nest.extend(weight, op.getBUnsigned());
    for (int64_t p = 0; p < positions; ++p) {
      ArrayRef<Value> x = input(p * window.stride + j * window.dilation);
      for (int64_t c = 0; c < width; ++c) {
        Value &sum = sums[p * width + c];
        sum = nest.multiplyAdd(x[c], weights[c], sum);
      }
    }
  }
  return sums;
}

/// The same for all values of the summed dimensions `dims` beside.
DepthwiseEmitter::Sums DepthwiseEmitter::addWindows(ArrayRef<unsigned> dims,
                                                    Sums sums) {
  if (dims.empty())
    return addWindow(sums);
  return kernel.loop(kernel.index(0), nest.extents[dims.front()].value, 1, sums,
                     [&](Value i, ValueRange inner) {
                       at[dims.front()] = i;
                       return addWindows(dims.drop_front(),
                                         llvm::to_vector(inner));
                     });
}

void DepthwiseEmitter::emit() {
  SmallVector<unsigned> others;
  llvm::copy_if(nest.sums, std::back_inserter(others),
                [&](unsigned dim) { return dim != window.j; });
  SmallVector<Extent> outer;
  for (unsigned dim : nest.outer) {
    Extent extent = nest.extents[dim];
    int64_t each = dim == channel ? width : dim == window.x ? positions : 1;
    if (!extent.isDynamic())
      extent = kernel.fixedExtent(llvm::divideCeil(extent.fixed, each));
    else if (each > 1)
      extent.value = kernel.ceilDiv(extent.value, extent.each = each);
    outer.push_back(extent);
  }
  kernel.grid.factors = {{outer, kernel.grid.threads}};
  Value thread = kernel.globalThread();
  kernel.when(kernel.isLess(thread, kernel.product(outer)), [&] {
    at.assign(op.getNumDims(), kernel.index(0));
    nest.setCoordinates(at, nest.outer, kernel.coordinates(thread, outer));
    at[channel] = kernel.mul(at[channel], kernel.index(width));
    at[window.x] = kernel.mul(at[window.x], kernel.index(positions));
    a = nest.flatten(0);
    w = nest.flatten(1);
    Sums sums = addWindows(others, Sums(positions * width, nest.zero()));
    bool isRagged = nest.isRagged({window.x}, positions);
    Value first = at[window.x];
    for (int64_t p = 0; p < positions; ++p) {
      at[window.x] = kernel.add(first, kernel.index(p));
      kernel.when(
          isRagged ? kernel.isLess(at[window.x], nest.extents[window.x].value)
                   : Value(),
          [&] {
            ValueRange run = ValueRange(sums).slice(p * width, width);
            if (width == 1)
              nest.store(run.front(), at);
            else
              nest.storeWide(run, at, channel);
          });
    }
  });
}

bool dlc::emitContractDepthwise(Kernel &kernel, ContractOp op) {
  ContractNest nest(kernel, op);
  std::optional<Window> window = findWindow(op, nest);
  if (!window)
    return false;
  // The last dimension of more than one element.
  auto last = llvm::find_if(llvm::reverse(nest.outer), [&](unsigned dim) {
    return nest.extents[dim].fixed != 1;
  });
  if (last == nest.outer.rend() || !llvm::is_contained(nest.batch, *last))
    return false;
  unsigned channel = *last;
  // Channels side by side, in A, the weights and C.
  int64_t width = nest.chooseStore(channel, 4);
  if (nest.chooseVector(0, channel, width) != width ||
      nest.chooseVector(1, channel, width) != width)
    width = 1;
  int64_t length = nest.extents[window->x].fixed;
  int64_t positions = 4;
  if (!ShapedType::isDynamic(length))
    while (positions > 1 && positions >= 2 * length)
      positions /= 2;
  DepthwiseEmitter(kernel, op, nest, *window, channel, width, positions).emit();
  kernel.description = llvm::formatv(
      "a depthwise convolution, {0} positions of {1} channels a thread",
      positions, width);
  return true;
}
