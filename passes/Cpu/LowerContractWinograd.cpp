// Winograd's transforms of tiles, for the kernels of TiledConvolution.cpp.
#include "passes/Cpu/TiledConvolution.h"
#include "passes/Cpu/WinogradTransform.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

namespace {
class WinogradEmitter : public TiledConvolution {
public:
  explicit WinogradEmitter(ContractEmitter &emitter)
      : TiledConvolution(emitter), transforms{b, emitter.cpu.fma},
        y(getWinogradForm(form.getHeight(), form.getWindowHeight())),
        x(getWinogradForm(form.getWidth(), form.getWindowWidth())) {}

private:
  void emitInputs(const Offsets &bases, Value tile, Value row) override;
  void emitOutputs(const Offsets &bases, Value tile, Value row, Value column,
                   int64_t count) override;

  WinogradTransform transforms;
  WinogradForm y, x;
};
} // namespace

void WinogradEmitter::emitInputs(const Offsets &bases, Value tile, Value row) {
  Position at = getPosition(tile);
  SmallVector<Value> lines = getInputOffsets(conv.y, at.y, y.tile());
  SmallVector<Value> starts = getInputOffsets(conv.x, at.x, x.tile());
  Value base =
      math.add(bases[0], math.mul(at.image, loops.a().strides[conv.image]));
  Value rowOffset = math.mul(row, layout.inputRow);
  ContractOperand scratch = getScratch();
  Value one = math.constant(1), stride = loops.a().strides[conv.channel];
  forVectors(channels, [&](Value first, TileColumn vector, Value mask) {
    Value source = math.add(base, math.mul(first, stride));
    VectorGrid grid(y.tile());
    for (auto [i, inputs] : llvm::enumerate(grid))
      for (Value x : starts)
        inputs.push_back(e.loadVector(loops.a(),
                                      math.add(source, math.add(lines[i], x)),
                                      stride, vector, mask));
    Value target = math.add(rowOffset, first);
    int64_t plane = 0;
    for (const auto &values : transforms.apply(y.input, grid, x.input))
      for (Value value : values)
        e.storeVector(scratch, value,
                      math.add(target, layout.inputPlane * plane++), one,
                      vector, mask);
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
    VectorGrid grid(y.tile());
    int64_t plane = 0;
    for (auto &line : grid)
      for (int64_t j = 0; j < x.tile(); ++j)
        line.push_back(
            load(layout.productPlane * plane++, products, vector, mask));
    VectorGrid sums = transforms.apply(y.output, grid, x.output);
    Offsets corner = e.move(tileCorner, conv.column, math.add(column, first));
    for (int64_t i = 0; i < form.getHeight(); ++i)
      ifInside(conv.y, at.y, i, [&] {
        Offsets line = e.move(corner, conv.y, math.constant(i));
        for (int64_t j = 0; j < form.getWidth(); ++j)
          ifInside(conv.x, at.x, j, [&] {
            e.finish(sums[i][j], e.move(line, conv.x, math.constant(j)),
                     conv.column, vector, mask);
          });
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
