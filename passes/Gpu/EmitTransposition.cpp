// Elementwise linalg ops that read inputs in another order than they write:
// tiles go through shared memory, so that threads side by side both read and
// write elements side by side.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/Kernel.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Shorter sides of a tile would leave most threads without work.
constexpr int64_t kShortest = 8;

/// The dimensions of an operand's elements, from the outermost on, if no other
/// expression tells where they are, and the last ones lie side by side.
std::optional<SmallVector<unsigned>> findOrder(linalg::LinalgOp op,
                                               OpOperand &operand) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type || type.getRank() == 0 ||
      type.getStridesAndOffset().first.back() != 1)
    return std::nullopt;
  SmallVector<unsigned> dims;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || llvm::is_contained(dims, dim.getPosition()))
      return std::nullopt;
    dims.push_back(dim.getPosition());
  }
  return dims;
}

class Transposition {
public:
  Transposition(Kernel &kernel, linalg::LinalgOp op)
      : kernel(kernel), op(op), nest(kernel, op) {}

  bool find();
  void emit();

private:
  /// `last` and the dimensions before it that have the same neighbours in the
  /// output and all turned inputs: one dimension in effect.
  SmallVector<unsigned> findGroup(unsigned last, ArrayRef<unsigned> others);
  bool isShort(ArrayRef<unsigned> dims) {
    int64_t size = fixedProduct(nest.extentsOf(dims));
    return !ShapedType::isDynamic(size) && size < kShortest;
  }
  Extent tilesOf(ArrayRef<unsigned> dims);
  /// Sets the coordinates of `dims` to a position, and says whether there is
  /// one; nothing if it always is.
  Value place(SmallVectorImpl<Value> &at, ArrayRef<unsigned> dims,
              Value position);
  /// Calls `body` for each of a thread's elements of a tile: its place along
  /// the threads and across them.
  void forEach(function_ref<void(Value along, Value across)> body);

  Kernel &kernel;
  linalg::LinalgOp op;
  LoopNest nest;
  SmallVector<unsigned> order;               // of the output
  SmallVector<OpOperand *> turned;           // inputs that end with `inner`
  SmallVector<SmallVector<unsigned>> orders; // theirs
  SmallVector<unsigned> inner, outer, batch; // of inputs, of the output, others
  int64_t side = 32;
};

} // namespace

SmallVector<unsigned> Transposition::findGroup(unsigned last,
                                               ArrayRef<unsigned> others) {
  SmallVector<unsigned> group{last};
  auto before = [&](ArrayRef<unsigned> dims) -> std::optional<unsigned> {
    auto *at = llvm::find(dims, group.front());
    return at == dims.begin() ? std::nullopt : std::optional(*(at - 1));
  };
  while (std::optional<unsigned> dim = before(order)) {
    if (llvm::is_contained(others, *dim) ||
        !llvm::all_of(orders,
                      [&](const auto &dims) { return before(dims) == dim; }))
      break;
    group.insert(group.begin(), *dim);
  }
  return group;
}

bool Transposition::find() {
  if (op.getNumParallelLoops() != op.getNumLoops() ||
      op.getNumDpsInits() != 1 || nest.readsOutput(0))
    return false;
  auto found = findOrder(op, *op.getDpsInitOperand(0));
  if (!found || found->size() != op.getNumLoops())
    return false;
  order = *found;
  for (OpOperand *input : op.getDpsInputOperands()) {
    auto dims = findOrder(op, *input);
    if (!dims || dims->back() == order.back() ||
        !llvm::is_contained(*dims, order.back()))
      continue;
    if (!turned.empty() && orders.front().back() != dims->back())
      return false;
    turned.push_back(input);
    orders.push_back(*dims);
    Type type = cast<MemRefType>(input->get().getType()).getElementType();
    if (!type.isIntOrFloat() || type.getIntOrFloatBitWidth() % 8)
      return false;
    if (type.getIntOrFloatBitWidth() <= 16)
      side = 64;
  }
  if (turned.empty())
    return false;
  outer = findGroup(order.back(), {orders.front().back()});
  inner = findGroup(orders.front().back(), outer);
  if (isShort(inner) || isShort(outer))
    return false;
  for (unsigned dim : order)
    if (!llvm::is_contained(inner, dim) && !llvm::is_contained(outer, dim))
      batch.push_back(dim);
  return true;
}

Extent Transposition::tilesOf(ArrayRef<unsigned> dims) {
  SmallVector<Extent> extents = nest.extentsOf(dims);
  int64_t size = fixedProduct(extents);
  if (!ShapedType::isDynamic(size))
    return kernel.fixedExtent(llvm::divideCeil(size, side));
  return {kernel.ceilDiv(kernel.product(extents), side), ShapedType::kDynamic};
}

Value Transposition::place(SmallVectorImpl<Value> &at, ArrayRef<unsigned> dims,
                           Value position) {
  SmallVector<Extent> extents = nest.extentsOf(dims);
  for (auto [dim, value] :
       llvm::zip(dims, kernel.coordinates(position, extents)))
    at[dim] = value;
  int64_t size = fixedProduct(extents);
  bool isWhole = !ShapedType::isDynamic(size) && size % side == 0;
  return isWhole ? Value() : kernel.isLess(position, kernel.product(extents));
}

void Transposition::forEach(function_ref<void(Value, Value)> body) {
  Value thread = kernel.thread();
  Value along = kernel.rem(thread, side), across = kernel.div(thread, side);
  for (int64_t i = 0; i < side; i += kernel.grid.threads / side)
    body(along, kernel.add(across, kernel.index(i)));
}

void Transposition::emit() {
  kernel.grid.factors = {{nest.extentsOf(batch), 1},
                         {nest.extentsOf(inner), side},
                         {nest.extentsOf(outer), side}};
  kernel.description =
      llvm::formatv("a tile of {0} x {0} a block, transposed", side);
  SmallVector<Extent> blocks = nest.extentsOf(batch);
  blocks.push_back(tilesOf(inner));
  blocks.push_back(tilesOf(outer));
  SmallVector<Value> block = kernel.coordinates(kernel.block(), blocks);
  SmallVector<Value> at(op.getNumLoops(), kernel.index(0));
  for (auto [dim, value] : llvm::zip(batch, block))
    at[dim] = value;
  Value firstInner = kernel.mul(block[batch.size()], kernel.index(side));
  Value firstOuter = kernel.mul(block[batch.size() + 1], kernel.index(side));
  ImplicitLocOpBuilder &b = kernel.b;
  auto both = [&](Value x, Value y) -> Value {
    return x && y ? b.createOrFold<arith::AndIOp>(x, y) : x ? x : y;
  };

  SmallVector<Value> tiles;
  for (OpOperand *input : turned) {
    auto type = cast<MemRefType>(input->get().getType());
    // Columns of it reach all banks.
    int64_t padding = type.getElementTypeBitWidth() == 16 ? 2 : 1;
    tiles.push_back(
        kernel.shared({side, side + padding}, type.getElementType()));
  }
  forEach([&](Value along, Value across) {
    Value isInside = both(place(at, inner, kernel.add(firstInner, along)),
                          place(at, outer, kernel.add(firstOuter, across)));
    kernel.when(isInside, [&] {
      for (auto [input, tile] : llvm::zip(turned, tiles))
        memref::StoreOp::create(
            b,
            memref::LoadOp::create(
                b, input->get(),
                kernel.apply(op.getMatchingIndexingMap(input), at)),
            tile, ValueRange{across, along});
    });
  });
  kernel.barrier();
  forEach([&](Value along, Value across) {
    Value isInside = both(place(at, outer, kernel.add(firstOuter, along)),
                          place(at, inner, kernel.add(firstInner, across)));
    kernel.when(isInside, [&] {
      SmallVector<Value> inputs;
      for (OpOperand *input : op.getDpsInputOperands()) {
        auto *found = llvm::find(turned, input);
        if (found != turned.end())
          inputs.push_back(memref::LoadOp::create(
              b, tiles[found - turned.begin()], ValueRange{along, across}));
        else if (!isa<MemRefType>(input->get().getType()))
          inputs.push_back(input->get());
        else
          inputs.push_back(memref::LoadOp::create(
              b, input->get(),
              kernel.apply(op.getMatchingIndexingMap(input), at)));
      }
      nest.storeOutputs(nest.inlineBody(inputs, {Value()}, at), at);
    });
  });
}

bool dlc::emitTransposition(Kernel &kernel, linalg::LinalgOp op) {
  Transposition transposition(kernel, op);
  if (!transposition.find())
    return false;
  transposition.emit();
  return true;
}
