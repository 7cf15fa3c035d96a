// dlc.winograd_weights on memrefs -> scf, vector and arith:
//
//   for all dimensions but y, x and the last
//     for vectors of the last
//       U[..] = transform(W[y, x])
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/FourierTransform.h"
#include "passes/Cpu/WinogradTransform.h"
#include "passes/WinogradScratch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

namespace {

class WeightsEmitter {
public:
  WeightsEmitter(WinogradWeightsOp op, const CpuIsa &isa)
      : b(op.getLoc(), op), op(op), transform{b, isa.fma},
        type(cast<MemRefType>(op.getWeights().getType())),
        lanes(isa.getLanes(type.getElementType())) {}

  void emit();

private:
  void emitLoops(SmallVector<Value> &index, int64_t dim);
  void emitWindow(SmallVector<Value> &index, int64_t width);
  void emitFourier(SmallVector<Value> &index, int64_t width);
  Value load(Value buffer, ArrayRef<Value> index, int64_t width);
  void store(Value vector, ArrayRef<Value> index, int64_t width);
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  void emitFor(int64_t lower, int64_t upper, int64_t step,
               function_ref<void(Value)> body);
  /// True if vectors can run along the last dimension.
  bool isContiguous(Value buffer);

  ImplicitLocOpBuilder b;
  WinogradWeightsOp op;
  WinogradTransform transform;
  MemRefType type;
  int64_t lanes;
};

} // namespace

void WeightsEmitter::emitFor(int64_t lower, int64_t upper, int64_t step,
                             function_ref<void(Value)> body) {
  if (lower >= upper)
    return;
  auto loop =
      scf::ForOp::create(b, constant(lower), constant(upper), constant(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

bool WeightsEmitter::isContiguous(Value buffer) {
  int64_t last = type.getRank() - 1;
  if (last == int64_t(op.getY()) || last == int64_t(op.getX()))
    return false;
  auto [strides, offset] =
      cast<MemRefType>(buffer.getType()).getStridesAndOffset();
  return strides.back() == 1;
}

Value WeightsEmitter::load(Value buffer, ArrayRef<Value> index, int64_t width) {
  auto vector = VectorType::get(width, type.getElementType());
  if (width == 1)
    return vector::BroadcastOp::create(
        b, vector, memref::LoadOp::create(b, buffer, index));
  return vector::LoadOp::create(b, vector, buffer, index);
}

void WeightsEmitter::store(Value vector, ArrayRef<Value> index, int64_t width) {
  if (width == 1)
    memref::StoreOp::create(
        b, vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{0}),
        op.getInit(), index);
  else
    vector::StoreOp::create(b, vector, op.getInit(), index);
}

/// The conjugates, so that products are correlations, by the number of a
/// tile's elements, by which the two transforms of a run are too large. Numbers
/// between the passes lie in the planes.
void WeightsEmitter::emitFourier(SmallVector<Value> &index, int64_t width) {
  WinogradAttr form = op.getWinograd();
  unsigned y = op.getY(), x = op.getX();
  TileTransform tile(b, getFourierLayout(form), transform.fma,
                     TileTransform::Slots::Planes);
  FourierTransform &math = tile.arithmetic();
  auto at = [&](Value plane) -> ArrayRef<Value> {
    index[y] = plane;
    index[x] = constant(0);
    return index;
  };
  auto storePlane = [&](Value plane, Value value) {
    store(value, at(plane), width);
  };
  auto next = [&](Value plane, int64_t i) -> Value {
    return b.createOrFold<arith::AddIOp>(plane, constant(i));
  };
  double scale = 1.0 / double(form.getTileHeight() * form.getTileWidth());
  tile.forward(
      form.getWindowHeight(),
      [&](Value i) {
        SmallVector<Value> line(form.getTileWidth());
        for (int64_t j = 0; j < form.getWindowWidth(); ++j) {
          index[y] = i;
          index[x] = constant(j);
          line[j] = load(op.getWeights(), index, width);
        }
        return line;
      },
      {[&](Value slot) { return load(op.getInit(), at(slot), width); },
       storePlane},
      [&](Value plane, Complex value) {
        Value re = math.scale(value.re, scale);
        if (!value.im)
          return storePlane(plane, re);
        Value im = math.scale(value.im, -scale);
        storePlane(plane, re);
        if (form.getPair() == 2)
          return storePlane(next(plane, 1), im);
        storePlane(next(plane, 1), math.sub(im, re));
        storePlane(next(plane, 2), math.add(re, im));
      });
}

/// Transforms `width` windows that begin at `index`.
void WeightsEmitter::emitWindow(SmallVector<Value> &index, int64_t width) {
  WinogradAttr form = op.getWinograd();
  if (form.isFourier())
    return emitFourier(index, width);
  unsigned y = op.getY(), x = op.getX();
  auto at = [&](int64_t i, int64_t j) -> ArrayRef<Value> {
    index[y] = constant(i);
    index[x] = constant(j);
    return index;
  };
  VectorGrid grid(form.getWindowHeight());
  for (auto [i, row] : llvm::enumerate(grid))
    for (int64_t j = 0; j < form.getWindowWidth(); ++j)
      row.push_back(load(op.getWeights(), at(i, j), width));
  WinogradForm vertical =
      getWinogradForm(form.getHeight(), form.getWindowHeight());
  WinogradForm horizontal =
      getWinogradForm(form.getWidth(), form.getWindowWidth());
  VectorGrid tiles =
      transform.apply(vertical.weights, grid, horizontal.weights);
  for (auto [i, row] : llvm::enumerate(tiles))
    for (auto [j, value] : llvm::enumerate(row))
      store(value, at(i, j), width);
}

void WeightsEmitter::emitLoops(SmallVector<Value> &index, int64_t dim) {
  if (dim == type.getRank())
    return emitWindow(index, 1);
  if (dim == int64_t(op.getY()) || dim == int64_t(op.getX()))
    return emitLoops(index, dim + 1);
  int64_t extent = type.getDimSize(dim), whole = 0;
  if (dim + 1 == type.getRank() && isContiguous(op.getWeights()) &&
      isContiguous(op.getInit())) {
    whole = extent / lanes * lanes;
    emitFor(0, whole, lanes, [&](Value i) {
      index[dim] = i;
      emitWindow(index, lanes);
    });
  }
  emitFor(whole, extent, 1, [&](Value i) {
    index[dim] = i;
    emitLoops(index, dim + 1);
  });
}

void WeightsEmitter::emit() {
  SmallVector<Value> index(type.getRank());
  emitLoops(index, 0);
}

void dlc::lowerWinogradWeights(WinogradWeightsOp op, const CpuIsa &isa) {
  WeightsEmitter(op, isa).emit();
  op.erase();
}
