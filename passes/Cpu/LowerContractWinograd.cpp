// Winograd's transforms of tiles, for the kernels of TiledConvolution.cpp.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/Cpu/TiledConvolution.h"
#include "passes/Cpu/WinogradTransform.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

/// The numbers that the products with both matrices multiply by, as many as a
/// slot holds.
static SmallVector<double> getFactors(const Matrix &left, const Matrix &right) {
  SmallVector<double> factors;
  for (const Matrix *matrix : {&left, &right})
    for (const auto &row : *matrix)
      for (double factor : row)
        if (factor != 0 && std::abs(factor) != 1 &&
            factors.size() < WinogradScratch::kSlot &&
            !llvm::is_contained(factors, factor))
          factors.push_back(factor);
  return factors;
}

namespace {
class WinogradEmitter : public TiledConvolution {
public:
  explicit WinogradEmitter(ContractEmitter &emitter)
      : TiledConvolution(emitter), transforms{b, emitter.cpu.fma},
        y(getWinogradForm(form.getHeight(), form.getWindowHeight())),
        x(getWinogradForm(form.getWidth(), form.getWindowWidth())),
        factors{getFactors(y.input, x.input), getFactors(y.output, x.output)} {}

private:
  void beginBlock() override;
  void emitInputs(const Offsets &bases, Value tile, Value target) override;
  void emitOutputs(const Offsets &bases, Value tile, Value row, Value column,
                   int64_t count) override;

  /// left * grid * right^T: `load` gives a column of the grid, and `store`
  /// gets the lines of the result, of which there are `lines`.
  /// `set` is the number of their set of factors.
  void transform(int64_t set, const Matrix &left, const Matrix &right,
                 function_ref<SmallVector<Value>(Value)> load, Value lines,
                 TileColumn vector,
                 function_ref<void(Value, ArrayRef<Value>)> store);

  WinogradTransform transforms;
  WinogradForm y, x;
  SmallVector<double> factors[kFactorSlots]; // of a large tile
};
} // namespace

/// The position of factor i of a set, behind the slots of a tile.
static int64_t getFactorOffset(WinogradAttr form, int64_t set, int64_t i) {
  return (form.getProducts() + set) * WinogradScratch::kSlot + i;
}

/// The factors of a large tile lie in the scratch: as constants of the code
/// they would take registers from the products' loops, whose nests are no
/// deeper.
void WinogradEmitter::beginBlock() {
  if (!isLargeTile(form))
    return;
  TileColumn scalar{0, 1, 1};
  for (auto [set, numbers] : llvm::enumerate(factors))
    for (auto [i, factor] : llvm::enumerate(numbers)) {
      Value one = arith::ConstantOp::create(
          b, DenseElementsAttr::get(VectorType::get(1, op.getSumType()),
                                    float(factor)));
      e.storeVector(
          getScratch(), one,
          math.constant(layout.slotOffset + getFactorOffset(form, set, i)),
          math.constant(1), scalar, /*mask=*/{});
    }
}

void WinogradEmitter::transform(
    int64_t set, const Matrix &left, const Matrix &right,
    function_ref<SmallVector<Value>(Value)> load, Value lines,
    TileColumn vector, function_ref<void(Value, ArrayRef<Value>)> store) {
  int64_t width = x.tile();
  if (!isLargeTile(form)) {
    VectorGrid grid(y.tile());
    for (int64_t j = 0; j < width; ++j)
      for (auto [line, value] : llvm::zip_equal(grid, load(math.constant(j))))
        line.push_back(value);
    VectorGrid result = transforms.apply(left, grid, right);
    for (int64_t i = 0, e = result.size(); i < e; ++i)
      store(math.constant(i), result[i]);
    return;
  }
  transforms.factors.clear();
  for (auto [i, factor] : llvm::enumerate(factors[set]))
    transforms.factors.push_back(
        {factor, e.loadScalar(getScratch(),
                              math.constant(layout.slotOffset +
                                            getFactorOffset(form, set, i)))});
  e.emitFor(math.constant(0), math.constant(width), 1, [&](Value j) {
    for (auto [i, value] : llvm::enumerate(transforms.multiply(left, load(j))))
      storeSlot(math.add(j, i * width), value, vector);
  });
  e.emitFor(math.constant(0), lines, 1, [&](Value i) {
    Value start = math.mul(i, width);
    SmallVector<Value> line;
    for (int64_t j = 0; j < width; ++j)
      line.push_back(loadSlot(math.add(start, j), vector));
    store(i, transforms.multiply(right, line));
  });
}

void WinogradEmitter::emitInputs(const Offsets &bases, Value tile,
                                 Value target) {
  Position at = getPosition(tile);
  SmallVector<Value> lines = getInputOffsets(conv.y, at.y, y.tile());
  Value base = getImage(bases, at);
  Value stride = loops.a().strides[conv.channel];
  forVectors(channels, [&](Value first, TileColumn vector, Value mask) {
    Value source = math.add(base, math.mul(first, stride));
    Value start = math.add(target, first);
    transform(
        0, y.input, x.input,
        [&](Value j) {
          Value column = math.add(source, getInputOffset(conv.x, at.x, j));
          SmallVector<Value> inputs;
          for (Value line : lines)
            inputs.push_back(e.loadVector(loops.a(), math.add(column, line),
                                          stride, vector, mask));
          return inputs;
        },
        math.constant(y.tile()), vector,
        [&](Value i, ArrayRef<Value> line) {
          Value plane = math.mul(i, x.tile());
          for (auto [j, value] : llvm::enumerate(line))
            e.storeVector(getScratch(), value,
                          math.add(start, math.mul(math.add(plane, j),
                                                   layout.inputPlane)),
                          math.constant(1), vector, mask);
        });
  });
}

void WinogradEmitter::emitOutputs(const Offsets &bases, Value tile, Value row,
                                  Value column, int64_t count) {
  Position at = getPosition(tile);
  Offsets tileCorner = getCorner(bases, at);
  Value rowOffset =
      math.add(math.mul(row, layout.productRow), layout.productOffset);
  forVectors(count, [&](Value first, TileColumn vector, Value mask) {
    Value products = math.add(rowOffset, first);
    Offsets corner = e.move(tileCorner, conv.column, math.add(column, first));
    transform(
        1, y.output, x.output,
        [&](Value j) {
          SmallVector<Value> sums;
          for (int64_t i = 0; i < y.tile(); ++i) {
            Value plane = math.add(j, i * x.tile());
            sums.push_back(load(
                0, math.add(products, math.mul(plane, layout.productPlane)),
                vector, mask));
          }
          return sums;
        },
        countLines(at), vector,
        [&](Value i, ArrayRef<Value> line) {
          auto storeIt = [&] {
            storeLine(at, corner, i, line, conv.column, vector, mask);
          };
          if (std::optional<int64_t> known = staticIndex(i))
            ifInside(conv.y, at.y, *known, storeIt);
          else
            storeIt();
        });
  });
}

bool dlc::emitWinograd(ContractEmitter &emitter) {
  ContractOp op = emitter.loops.op;
  WinogradAttr form = op.getWinogradAttr();
  if (!form || form.isFourier())
    return false;
  emitter.description =
      llvm::formatv(", {0}x{1} outputs of {2}x{3} windows, {4} tiles at a time",
                    form.getHeight(), form.getWidth(), form.getWindowHeight(),
                    form.getWindowWidth(), form.getTiles());
  WinogradEmitter(emitter).emit();
  return true;
}
