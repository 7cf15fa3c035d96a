// Kernels for contractions channel by channel: depthwise convolutions. A, B
// and C move by one element along a batch dimension, which vectors run along.
//
//   for outer rows                           // image, line
//     for tiles of the innermost row         // outputs side by side
//       for vectors of channels
//         for taps                           // the innermost unrolled
//           sums[r] += A[tap + r] * B[tap]   // an input is loaded once
//         C = epilogue(sums)
//
// For threads the outer rows and blocks of channels are a grid of units.
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Units.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace dlc;

namespace {
class DepthwiseEmitter {
public:
  DepthwiseEmitter(ContractEmitter &emitter, unsigned dim)
      : e(emitter), loops(emitter.loops), math(emitter.math), dim(dim) {}

  void emit(ArrayRef<unsigned> outer);

private:
  using Offsets = ContractEmitter::Offsets;
  using Sums = ContractEmitter::Sums;

  bool emitForThreads(ArrayRef<unsigned> outer, int64_t height);
  void emitRow(const Offsets &bases, int64_t height,
               const ContractEmitter::ColumnRange &channels);
  void emitTile(const Offsets &bases, Value row, int64_t rows,
                TileColumn channels, Value mask);
  /// Whether signed bytes become unsigned, 128 more, on the way: LLVM has
  /// instructions for pairs of products where one of two bytes is unsigned.
  /// With 16 registers a tile would not fit any more.
  bool flips() {
    return (e.cpu.dot == DotKind::Vnni || e.cpu.dot == DotKind::Madd) &&
           e.cpu.registers >= 32 && !loops.aUnsigned && !loops.bUnsigned &&
           !loops.aFlipped && loops.a().type.isInteger(8) &&
           loops.b().type.isInteger(8) && e.sumType.isInteger(32) &&
           staticIndex(loops.getExtent(loops.sums, e.b)).value_or(65) <= 64;
  }
  Value loadWeight(Value offset, TileColumn channels, Value mask);
  Value getAdded(Value bOffset, TileColumn channels, Value mask);
  Sums emitTaps(Value aOffset, Value bOffset, ArrayRef<Value> sums,
                ArrayRef<Offsets> rows, TileColumn channels, Value mask);
  int64_t getTileRows();

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim; // the channels
  /// Taps of the innermost summed dimension, unrolled; 1 if not unrolled.
  int64_t taps = 1;
  ArrayRef<unsigned> outerSums;
};
} // namespace

/// Outputs that fit the registers beside the taps, in tiles of equal size.
int64_t DepthwiseEmitter::getTileRows() {
  int64_t most = std::clamp<int64_t>(e.cpu.registers - taps - 3, 2, 14);
  if (loops.rows.empty())
    return 1;
  std::optional<int64_t> rows = staticIndex(loops.extents[loops.rows.back()]);
  if (!rows)
    return std::min<int64_t>(most, 8);
  for (int64_t count = most; count > most / 2; --count)
    if (*rows % count == 0)
      return count;
  int64_t tiles = std::max<int64_t>(1, llvm::divideCeil(*rows, most));
  return std::max<int64_t>(1, llvm::divideCeil(*rows, tiles));
}

void DepthwiseEmitter::emit(ArrayRef<unsigned> outer) {
  outerSums = loops.sums;
  if (!outerSums.empty()) {
    std::optional<int64_t> count = staticIndex(loops.extents[outerSums.back()]);
    if (count && *count <= 8) {
      taps = *count;
      outerSums = outerSums.drop_back();
    }
  }
  int64_t height = getTileRows();
  if (emitForThreads(outer, height))
    return;
  e.emitLoops(outer, e.getBases(), [&](const Offsets &bases) {
    emitRow(bases, height, e.getColumns(loops.extents[dim], /*index=*/{}, 0));
  });
}

bool DepthwiseEmitter::emitForThreads(ArrayRef<unsigned> outer,
                                      int64_t height) {
  if (!e.cpu.threads)
    return false;
  double perChannel = staticIndex(loops.getExtent(loops.sums, e.b)).value_or(9);
  if (!loops.rows.empty())
    perChannel *= staticIndex(loops.extents[loops.rows.back()]).value_or(64);
  SmallVector<Value> counts;
  double others = 1;
  for (unsigned i : outer) {
    counts.push_back(loops.extents[i]);
    others *= staticIndex(loops.extents[i]).value_or(kWantedUnits);
  }
  Value channels = loops.extents[dim];
  int64_t extent = staticIndex(channels).value_or(256);
  int64_t block =
      shrinkBlock(extent, extent, e.lanes, others, e.getCycles(perChannel, 0));
  // A tile loads each input once: two products a load.
  counts.push_back(e.countBlocks(channels, block));
  bool done =
      emitUnits(e.b, counts, 1.5 * e.getCycles(perChannel * block, 0),
                [&](const Unit &unit) {
                  Offsets bases = e.getBases();
                  for (auto [i, index] : llvm::zip(outer, unit.index))
                    bases = e.move(bases, i, index);
                  Value index =
                      isStatic(counts.back(), 1) ? Value() : unit.index.back();
                  emitRow(bases, height, e.getColumns(channels, index, block));
                });
  if (done)
    e.description = ", shared by threads by rows";
  return done;
}

void DepthwiseEmitter::emitRow(const Offsets &bases, int64_t height,
                               const ContractEmitter::ColumnRange &channels) {
  Value width =
      loops.rows.empty() ? math.constant(1) : loops.extents[loops.rows.back()];
  e.emitRows(
      math.constant(0), width, width, height, [&](Value row, int64_t rows) {
        e.emitColumns(
            channels, e.lanes,
            [&](Value channel, ArrayRef<TileColumn> vectors, Value mask) {
              Offsets at = e.move(bases, dim, channel);
              for (auto [v, vector] : llvm::enumerate(vectors)) {
                bool isLast = v + 1 == vectors.size();
                emitTile(e.move(at, dim, math.constant(vector.offset)), row,
                         rows, vector, isLast ? mask : Value());
              }
            });
      });
}

void DepthwiseEmitter::emitTile(const Offsets &bases, Value row, int64_t rows,
                                TileColumn channels, Value mask) {
  ArrayRef<unsigned> inner(loops.rows);
  SmallVector<Offsets> offsets = e.getOffsets(
      bases, inner.take_back(inner.empty() ? 0 : 1), row, rows, rows);
  Sums sums(rows, flips() ? getAdded(bases[1], channels, mask)
                          : e.zeros(channels.width));
  // A small window is unrolled whole.
  int64_t unroll = std::clamp<int64_t>(128 / (rows * taps), 1, 4);
  sums = e.emitSum(outerSums, math.constant(0), bases[1], sums, unroll,
                   [&](Value aOffset, Value bOffset, ArrayRef<Value> before) {
                     return emitTaps(aOffset, bOffset, before, offsets,
                                     channels, mask);
                   });
  for (int64_t r = 0; r < rows; ++r)
    e.finish(sums[r], offsets[r], dim, channels, mask);
}

Value DepthwiseEmitter::loadWeight(Value offset, TileColumn channels,
                                   Value mask) {
  return e.extendB(
      e.loadVector(loops.b(), offset, math.constant(1), channels, mask));
}

/// What a sum begins with where `flips`: -128 times the sum of all weights.
Value DepthwiseEmitter::getAdded(Value bOffset, TileColumn channels,
                                 Value mask) {
  SmallVector<Value> offsets{bOffset};
  for (unsigned i : loops.sums) {
    SmallVector<Value> moved;
    for (Value offset : offsets)
      for (int64_t n = 0; n < *staticIndex(loops.extents[i]); ++n)
        moved.push_back(math.add(offset, math.mul(loops.b().strides[i], n)));
    offsets = moved;
  }
  Value sum = e.zeros(channels.width);
  for (Value offset : offsets)
    sum = arith::AddIOp::create(e.b, sum, loadWeight(offset, channels, mask));
  Value times =
      e.broadcast(arith::ConstantOp::create(e.b, e.b.getI32IntegerAttr(-128)),
                  channels.width);
  return arith::MulIOp::create(e.b, sum, times);
}

/// One line of taps. Inputs are visited from left to right, and each is used
/// for all the outputs whose window holds it.
ContractEmitter::Sums DepthwiseEmitter::emitTaps(Value aOffset, Value bOffset,
                                                 ArrayRef<Value> sums,
                                                 ArrayRef<Offsets> rows,
                                                 TileColumn channels,
                                                 Value mask) {
  Value one = math.constant(1), zero = math.constant(0);
  Value aTap = zero, bTap = zero;
  if (outerSums.size() < loops.sums.size()) {
    aTap = loops.a().strides[loops.sums.back()];
    bTap = loops.b().strides[loops.sums.back()];
  }
  SmallVector<Value> weights;
  for (int64_t tap = 0; tap < taps; ++tap)
    weights.push_back(
        loadWeight(math.add(bOffset, math.mul(bTap, tap)), channels, mask));

  std::optional<int64_t> step = staticIndex(aTap);
  std::optional<int64_t> distance =
      loops.rows.empty() ? 0
                         : staticIndex(loops.a().strides[loops.rows.back()]);
  // (row, tap) by the input they meet at, in the order of first use.
  llvm::MapVector<int64_t, SmallVector<std::pair<int64_t, int64_t>>> inputs;
  int64_t unshared = 0;
  for (int64_t r = 0; r < int64_t(rows.size()); ++r)
    for (int64_t tap = 0; tap < taps; ++tap)
      inputs[step && distance ? r * *distance + tap * *step : unshared++]
          .push_back({r, tap});
  Sums after(sums);
  for (auto &[position, uses] : inputs) {
    auto [r, tap] = uses.front();
    Value offset = math.add(math.add(rows[r][0], aOffset), math.mul(aTap, tap));
    Value input = e.loadVector(loops.a(), offset, one, channels, mask);
    input = flips() ? e.extend(input, /*isUnsigned=*/true, /*flipped=*/true)
                    : e.extendA(input);
    for (auto [row, weight] : uses)
      after[row] = e.multiplyAdd(input, weights[weight], after[row]);
  }
  return after;
}

bool dlc::emitDepthwise(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
  std::optional<unsigned> dim = loops.contiguousInC(loops.batches);
  if (!dim || loops.a().panelDim || loops.b().panelDim ||
      !isStatic(loops.a().strides[*dim], 1) ||
      !isStatic(loops.b().strides[*dim], 1))
    return false;
  // All but the channels and the innermost row are loops around the kernel.
  SmallVector<unsigned> outer;
  for (unsigned batch : loops.batches)
    if (batch != *dim)
      outer.push_back(batch);
  llvm::append_range(outer, loops.columns);
  if (!loops.rows.empty())
    outer.append(loops.rows.begin(), loops.rows.end() - 1);
  DepthwiseEmitter(emitter, *dim).emit(outer);
  return true;
}
