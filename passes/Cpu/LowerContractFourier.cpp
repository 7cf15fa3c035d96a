// Fourier's transforms of tiles, for the kernels of TiledConvolution.cpp, and
// kernels of their own for convolutions channel by channel, which keep no tile:
//
//   for tiles, for vectors of channels
//     C's outputs = epilogue(transform'(transform(A's inputs) * B))
//
// What lies between the lines and the columns of a tile is in the scratch.
#include "passes/Cpu/FourierTransform.h"
#include "passes/Cpu/TiledConvolution.h"
#include "passes/Cpu/Units.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

namespace {
class FourierEmitter : public TiledConvolution {
public:
  explicit FourierEmitter(ContractEmitter &emitter)
      : TiledConvolution(emitter),
        tile(b, getFourierLayout(form), emitter.cpu.fma,
             TileTransform::Slots::Own) {}

protected:
  void emitInputs(const Offsets &bases, Value tile, Value target) override;
  void emitOutputs(const Offsets &bases, Value tile, Value row, Value column,
                   int64_t count) override;
  /// The slots of numbers between the two passes.
  TileTransform::Memory getMemory(TileColumn vector) {
    return {[this, vector](Value slot) { return loadSlot(slot, vector); },
            [this, vector](Value slot, Value value) {
              storeSlot(slot, value, vector);
            }};
  }
  /// The inputs of line i of the tile at `at`, from `source` on.
  SmallVector<Value> loadLine(const Position &at, Value i,
                              ArrayRef<Value> starts, Value source,
                              TileColumn vector, Value mask);
  /// What vectors of inputs run along.
  unsigned channelDim() {
    return form.getPair() == 2 ? *conv.group : conv.channel;
  }

  TileTransform tile;
};

class FourierDepthwiseEmitter : public FourierEmitter {
public:
  using FourierEmitter::FourierEmitter;

private:
  bool emitForThreads() override;
  void emitImages(const Offsets &bases, Value images) override;
  void emitTile(const Offsets &bases, Value tile,
                const ContractEmitter::ColumnRange &channels);
};
} // namespace

SmallVector<Value> FourierEmitter::loadLine(const Position &at, Value i,
                                            ArrayRef<Value> starts,
                                            Value source, TileColumn vector,
                                            Value mask) {
  Value line = math.add(source, getInputOffset(conv.y, at.y, i));
  SmallVector<Value> values;
  for (Value start : starts)
    values.push_back(e.loadVector(loops.a(), math.add(line, start),
                                  loops.a().strides[channelDim()], vector,
                                  mask));
  return values;
}

void FourierEmitter::emitInputs(const Offsets &bases, Value number,
                                Value target) {
  Position at = getPosition(number);
  SmallVector<Value> starts =
      getInputOffsets(conv.x, at.x, form.getTileWidth());
  Value base = getImage(bases, at);
  ContractOperand scratch = getScratch();
  Value stride = loops.a().strides[conv.channel];
  forVectors(channels, [&](Value first, TileColumn vector, Value mask) {
    Value source = math.add(base, math.mul(first, stride));
    Value start = math.add(target, first);
    auto store = [&](Value plane, Value value) {
      e.storeVector(scratch, value,
                    math.add(start, math.mul(plane, layout.inputPlane)),
                    math.constant(1), vector, mask);
    };
    tile.forward(
        form.getTileHeight(),
        [&](Value i) { return loadLine(at, i, starts, source, vector, mask); },
        getMemory(vector),
        [&](Value plane, Complex value) {
          if (!value.im)
            return store(plane, value.re);
          store(plane, tile.arithmetic().add(value.re, value.im));
          store(math.add(plane, 1), value.re);
          store(math.add(plane, 2), value.im);
        });
  });
}

void FourierEmitter::emitOutputs(const Offsets &bases, Value number, Value row,
                                 Value column, int64_t count) {
  Position at = getPosition(number);
  Offsets tileCorner = getCorner(bases, at);
  Value rowOffset =
      math.add(math.mul(row, layout.productRow), layout.productOffset);
  forVectors(count, [&](Value first, TileColumn vector, Value mask) {
    Offsets corner = e.move(tileCorner, conv.column, math.add(column, first));
    Value products = math.add(rowOffset, first);
    auto loadPlane = [&](Value plane, int64_t more) {
      return load(more * layout.productPlane,
                  math.add(products, math.mul(plane, layout.productPlane)),
                  vector, mask);
    };
    tile.inverse(
        [&](Value plane, bool isReal) -> Complex {
          Value sum = loadPlane(plane, 0);
          if (isReal)
            return {sum, {}};
          return {tile.arithmetic().sub(sum, loadPlane(plane, 2)),
                  tile.arithmetic().add(sum, loadPlane(plane, 1))};
        },
        countLines(at), form.getHeight(), getMemory(vector),
        [&](Value i, ArrayRef<Value> line) {
          storeLine(at, corner, i, line, conv.column, vector, mask);
        });
  });
}

//===----------------------------------------------------------------------===//
// Channel by channel
//===----------------------------------------------------------------------===//

void FourierDepthwiseEmitter::emitTile(
    const Offsets &bases, Value number,
    const ContractEmitter::ColumnRange &range) {
  Position at = getPosition(number);
  SmallVector<Value> starts =
      getInputOffsets(conv.x, at.x, form.getTileWidth());
  Offsets tileCorner = getCorner(bases, at);
  Value image = getImage(bases, at);
  unsigned dim = channelDim();
  Value planeStride = loops.b().strides[conv.windowY];
  auto emitVector = [&](Value channel, TileColumn vector, Value mask) {
    Offsets corner = e.move(tileCorner, dim, channel);
    Value source = math.add(image, math.mul(channel, loops.a().strides[dim]));
    Value weights =
        math.add(bases[1], math.mul(channel, loops.b().strides[dim]));
    auto loadWeights = [&](Value plane) {
      return e.loadVector(loops.b(),
                          math.add(weights, math.mul(plane, planeStride)),
                          loops.b().strides[dim], vector, mask);
    };
    tile.filter(
        [&](Value i) { return loadLine(at, i, starts, source, vector, mask); },
        getMemory(vector),
        [&](Value plane, Complex value) -> Complex {
          Value re = loadWeights(plane);
          if (!value.im)
            return {tile.arithmetic().multiply(value.re, re), {}};
          return tile.arithmetic().multiply(
              value, {re, loadWeights(math.add(plane, 1))});
        },
        countLines(at), form.getHeight(),
        [&](Value i, ArrayRef<Value> line) {
          storeLine(at, corner, i, line, dim, vector, mask);
        });
  };
  e.emitColumns(range, e.lanes,
                [&](Value channel, ArrayRef<TileColumn> vectors, Value mask) {
                  for (auto [v, vector] : llvm::enumerate(vectors))
                    emitVector(math.add(channel, vector.offset), vector,
                               v + 1 == vectors.size() ? mask : Value());
                });
}

void FourierDepthwiseEmitter::emitImages(const Offsets &bases, Value count) {
  Value total = math.mul(count, math.mul(down, across));
  Value extent = loops.extents[channelDim()];
  e.emitFor(math.constant(0), total, 1, [&](Value number) {
    emitTile(bases, number, e.getColumns(extent, /*index=*/{}, 0));
  });
}

bool FourierDepthwiseEmitter::emitForThreads() {
  if (!e.cpu.threads)
    return false;
  Value extent = loops.extents[channelDim()];
  Value tiles = math.mul(images, math.mul(down, across));
  FourierLayout sizes = getFourierLayout(form);
  double cycles = countFilter(sizes, form.getHeight());
  SmallVector<Value> counts{tiles, e.countBlocks(extent, e.lanes)};
  bool done = emitUnits(e.b, counts, cycles, [&](const Unit &unit) {
    memory = ScratchOp::create(b, op.getScratch(), unit.own);
    emitTile(e.getBases(), unit.index[0],
             e.getColumns(extent, unit.index[1], e.lanes));
  });
  memory = op.getScratch();
  return done;
}

bool dlc::emitFourier(ContractEmitter &emitter) {
  ContractOp op = emitter.loops.op;
  WinogradAttr form = op.getWinogradAttr();
  if (!form || !form.isFourier())
    return false;
  emitter.description = llvm::formatv(
      ", {0}x{1} outputs of {2}x{3} windows{4}", form.getHeight(),
      form.getWidth(), form.getWindowHeight(), form.getWindowWidth(),
      form.getPair() == 2
          ? std::string(", channel by channel")
          : llvm::formatv(", {0} tiles at a time", form.getTiles()).str());
  if (form.getPair() == 2)
    FourierDepthwiseEmitter(emitter).emit();
  else
    FourierEmitter(emitter).emit();
  return true;
}
