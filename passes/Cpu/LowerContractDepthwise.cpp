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
//
// Padding that is not in memory costs nothing: outer taps go from the first to
// the last line that is there, one line at a time, and the tiles at both ends
// of the innermost row leave out what they have none of.
#include "dialects/Dlc/Depthwise.h"
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

  /// False, having emitted nothing, where it can't leave out what lies outside.
  bool emit(ArrayRef<unsigned> outer);

private:
  using Offsets = ContractEmitter::Offsets;
  using Sums = ContractEmitter::Sums;

  bool chooseTaps();
  bool emitForThreads(ArrayRef<unsigned> outer, int64_t height);
  void emitLine(ArrayRef<unsigned> outer, ArrayRef<Value> index, int64_t height,
                const ContractEmitter::ColumnRange &channels);
  void emitTiles(int64_t height,
                 function_ref<void(Value, int64_t, bool)> emitTile);
  void emitRow(const Offsets &bases, int64_t height,
               const ContractEmitter::ColumnRange &channels);
  /// With `isEdge` the first row is known, and some of its inputs are not
  /// there.
  void emitTile(const Offsets &bases, Value row, int64_t rows, bool isEdge,
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
                ArrayRef<Offsets> rows, std::optional<int64_t> edge,
                TileColumn channels, Value mask);
  int64_t getTileRows();
  /// Whether an outer summed dimension goes only over what is there.
  bool isClipped(unsigned dim) const {
    return llvm::any_of(outside, [&](const OutsideWindow &window) {
      return window.window == dim;
    });
  }

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim; // the channels
  /// Taps of the innermost summed dimension, unrolled; 1 if not unrolled.
  int64_t taps = 1;
  ArrayRef<unsigned> outerSums;
  /// What may lie outside along outer rows, and along the innermost one.
  SmallVector<OutsideWindow> outside;
  std::optional<OutsideWindow> edges;
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

bool DepthwiseEmitter::chooseTaps() {
  auto getExtent = [&](unsigned i) { return staticIndex(loops.extents[i]); };
  DepthwiseLoops nest(loops.rows, loops.sums, getExtent);
  outerSums = nest.lines;
  if (nest.taps)
    taps = *getExtent(*nest.taps);
  for (const OutsideWindow &window : loops.outside) {
    bool isKnown = staticIndex(window.size) && getExtent(window.position);
    switch (nest.getSkip(window, isKnown)) {
    case ZeroSkip::None:
      return false;
    case ZeroSkip::Lines:
      outside.push_back(window);
      break;
    case ZeroSkip::Ends:
      edges = window;
      break;
    }
  }
  return true;
}

bool DepthwiseEmitter::emit(ArrayRef<unsigned> outer) {
  if (!chooseTaps())
    return false;
  int64_t height = getTileRows();
  if (emitForThreads(outer, height))
    return true;
  SmallVector<Value> counts;
  for (unsigned i : outer)
    counts.push_back(loops.extents[i]);
  emitNest(e.b, counts, [&](ArrayRef<Value> index) {
    emitLine(outer, index, height,
             e.getColumns(loops.extents[dim], /*index=*/{}, 0));
  });
  return true;
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
                  Value index =
                      isStatic(counts.back(), 1) ? Value() : unit.index.back();
                  emitLine(outer, ArrayRef(unit.index).drop_back(), height,
                           e.getColumns(channels, index, block));
                });
  if (done)
    e.description = ", shared by threads by rows";
  return done;
}

/// Whether every position of `window`, which has `taps`, has one that is there.
static bool isNeverEmpty(const OutsideWindow &window,
                         std::optional<int64_t> positions,
                         std::optional<int64_t> taps) {
  std::optional<int64_t> size = staticIndex(window.size);
  if (!positions || !taps || !size)
    return false;
  return llvm::all_of(llvm::seq(*positions), [&](int64_t position) {
    int64_t begin = position * window.stride - window.low;
    int64_t first =
        begin < 0 ? llvm::divideCeil(-begin, window.dilation) : int64_t(0);
    return first < *taps && begin + first * window.dilation < *size;
  });
}

/// One innermost row, at `index` of the outer ones: with the outer taps whose
/// lines are there.
void DepthwiseEmitter::emitLine(ArrayRef<unsigned> outer, ArrayRef<Value> index,
                                int64_t height,
                                const ContractEmitter::ColumnRange &channels) {
  Offsets bases = e.getBases();
  for (auto [i, position] : llvm::zip_equal(outer, index))
    bases = e.move(bases, i, position);
  SmallVector<Value> whole(loops.extents);
  for (const OutsideWindow &window : outside) {
    // A position of extent 1 has no loop.
    Value position = math.constant(0);
    for (auto [i, value] : llvm::zip_equal(outer, index))
      if (i == window.position)
        position = value;
    Value begin =
        math.sub(math.mul(position, window.stride), math.constant(window.low));
    auto countBefore = [&](Value end) {
      Value distance = math.max(math.sub(end, begin), math.constant(0));
      return math.div(math.add(distance, window.dilation - 1), window.dilation);
    };
    Value first = countBefore(math.constant(0));
    Value taps = whole[window.window];
    Value end = math.min(countBefore(window.size), taps);
    bases = e.move(bases, window.window, first);
    // Told that there is one, LLVM makes no code for none.
    bool isSome = isNeverEmpty(
        window, staticIndex(loops.extents[window.position]), staticIndex(taps));
    loops.extents[window.window] =
        math.max(math.sub(end, first), math.constant(isSome));
  }
  emitRow(bases, height, channels);
  loops.extents = whole;
}

/// Tiles of `height` outputs of the innermost row, those at its ends apart.
void DepthwiseEmitter::emitTiles(
    int64_t height, function_ref<void(Value, int64_t, bool)> emitTile) {
  Value width =
      loops.rows.empty() ? math.constant(1) : loops.extents[loops.rows.back()];
  if (!edges)
    return e.emitRows(
        math.constant(0), width, width, height,
        [&](Value row, int64_t rows) { emitTile(row, rows, false); });
  int64_t count = *staticIndex(width), size = *staticIndex(edges->size);
  auto isInside = [&](int64_t row) {
    int64_t first = row * edges->stride - edges->low;
    int64_t last =
        first + (height - 1) * edges->stride + (taps - 1) * edges->dilation;
    return row + height <= count && first >= 0 && last < size;
  };
  for (int64_t row = 0; row < count;) {
    int64_t end = row;
    while (isInside(end))
      end += height;
    e.emitFor(math.constant(row), math.constant(end), height,
              [&](Value i) { emitTile(i, height, false); });
    row = end;
    if (row < count)
      emitTile(math.constant(row), std::min(height, count - row), true);
    row += height;
  }
}

void DepthwiseEmitter::emitRow(const Offsets &bases, int64_t height,
                               const ContractEmitter::ColumnRange &channels) {
  emitTiles(height, [&](Value row, int64_t rows, bool isEdge) {
    e.emitColumns(channels, e.lanes,
                  [&](Value channel, ArrayRef<TileColumn> vectors, Value mask) {
                    Offsets at = e.move(bases, dim, channel);
                    for (auto [v, vector] : llvm::enumerate(vectors)) {
                      bool isLast = v + 1 == vectors.size();
                      emitTile(e.move(at, dim, math.constant(vector.offset)),
                               row, rows, isEdge, vector,
                               isLast ? mask : Value());
                    }
                  });
  });
}

void DepthwiseEmitter::emitTile(const Offsets &bases, Value row, int64_t rows,
                                bool isEdge, TileColumn channels, Value mask) {
  ArrayRef<unsigned> inner(loops.rows);
  SmallVector<Offsets> offsets = e.getOffsets(
      bases, inner.take_back(inner.empty() ? 0 : 1), row, rows, rows);
  Sums sums(rows, flips() ? getAdded(bases[1], channels, mask)
                          : e.zeros(channels.width));
  // A small window is unrolled whole. Lines that may be missing are not: the
  // code for several at a time and for what is left of them gains no time, and
  // in their loops LLVM's strength reduction takes half of the compilation.
  bool isWhole = outerSums.empty() || !isClipped(outerSums.back());
  int64_t unroll = isWhole ? std::clamp<int64_t>(128 / (rows * taps), 1, 4) : 1;
  sums = e.emitSum(outerSums, math.constant(0), bases[1], sums, unroll,
                   [&](Value aOffset, Value bOffset, ArrayRef<Value> before) {
                     return emitTaps(aOffset, bOffset, before, offsets,
                                     isEdge ? staticIndex(row) : std::nullopt,
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
/// for all the outputs whose window holds it. `edge` is the first row of a tile
/// where some lie outside.
ContractEmitter::Sums
DepthwiseEmitter::emitTaps(Value aOffset, Value bOffset, ArrayRef<Value> sums,
                           ArrayRef<Offsets> rows, std::optional<int64_t> edge,
                           TileColumn channels, Value mask) {
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
  auto isInside = [&](int64_t r, int64_t tap) {
    if (!edge)
      return true;
    int64_t index =
        (*edge + r) * edges->stride + tap * edges->dilation - edges->low;
    return index >= 0 && index < *staticIndex(edges->size);
  };
  // (row, tap) by the input they meet at, in the order of first use.
  llvm::MapVector<int64_t, SmallVector<std::pair<int64_t, int64_t>>> inputs;
  int64_t unshared = 0;
  for (int64_t r = 0; r < int64_t(rows.size()); ++r)
    for (int64_t tap = 0; tap < taps; ++tap)
      if (isInside(r, tap))
        inputs[step && distance ? r * *distance + tap * *step : unshared++]
            .push_back({r, tap});
  Sums after(sums);
  for (auto &[position, uses] : inputs) {
    auto [r, tap] = uses.front();
    // LLVM finds few registers for addresses that are one and a constant.
    Value offset =
        step && distance
            ? math.add(math.add(rows[0][0], aOffset), position)
            : math.add(math.add(rows[r][0], aOffset), math.mul(aTap, tap));
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
  return DepthwiseEmitter(emitter, *dim).emit(outer);
}
