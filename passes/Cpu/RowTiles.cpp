// The rows of a contraction in tiles of rows that lie at one distance in A.
#include "passes/Cpu/RowTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/Cpu/MatrixTiles.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

using Offsets = ContractEmitter::Offsets;

/// The number of tiles that `length` rows need.
static int64_t countTiles(int64_t length) {
  return llvm::divideCeil(length, MatrixTiles::kRows);
}

/// Cycles of a product for all tiles of a line. One of few rows takes no less
/// than this.
static int64_t getCost(int64_t length) {
  constexpr int64_t kLeast = 10;
  int64_t tiles = countTiles(length);
  return tiles * std::max<int64_t>(kLeast, llvm::divideCeil(length, tiles));
}

/// Rows from a line of an image to the next one, where those are at a distance
/// and the lines are short; else 0.
static int64_t findPitch(ContractLoops &loops) {
  if (loops.rows.size() < 2)
    return 0;
  unsigned x = loops.rows.back(), y = loops.rows[loops.rows.size() - 2];
  std::optional<int64_t> step = staticIndex(loops.a().strides[x]),
                         lineStep = staticIndex(loops.a().strides[y]),
                         width = staticIndex(loops.extents[x]),
                         lines = staticIndex(loops.extents[y]);
  if (!step || !lineStep || !width || !lines || *step <= 0 ||
      *lineStep % *step || *width < 1 || *lines < 2)
    return 0;
  int64_t pitch = *lineStep / *step;
  if (pitch < *width)
    return 0;
  // To find a row's line takes time, too.
  double apart = double(*lines) * getCost(*width);
  return 1.05 * getCost((*lines - 1) * pitch + *width) < apart ? pitch : 0;
}

RowTiles RowTiles::choose(ContractEmitter &e) {
  ContractLoops &loops = e.loops;
  IndexMath &math = e.math;
  RowTiles tiles;
  tiles.outer = loops.rows;
  tiles.inner = tiles.outer.pop_back_val();
  tiles.length = loops.extents[tiles.inner];
  tiles.pitch = findPitch(loops);
  if (tiles.pitch) {
    tiles.next = tiles.outer.pop_back_val();
    int64_t lines = *staticIndex(loops.extents[*tiles.next]);
    tiles.length = math.add(tiles.length, (lines - 1) * tiles.pitch);
  }
  Value number = e.countBlocks(tiles.length, MatrixTiles::kRows);
  Value one = math.constant(1);
  tiles.count = math.mul(loops.getExtent(tiles.outer, e.b), number);
  std::optional<int64_t> length = staticIndex(tiles.length);
  if (length && *length > 0) {
    tiles.tilesPerLine = number;
    tiles.height = llvm::divideCeil(*length, countTiles(*length));
    tiles.heightValue = math.constant(*tiles.height);
    tiles.overlaps = *length % *tiles.height != 0;
    return tiles;
  }
  tiles.tilesPerLine = math.max(number, one);
  tiles.heightValue = math.max(
      math.div(math.add(tiles.length, math.sub(tiles.tilesPerLine, one)),
               tiles.tilesPerLine),
      one);
  return tiles;
}

RowTiles::Place RowTiles::getPlace(ContractEmitter &e, const Offsets &bases,
                                   Value tile) const {
  IndexMath &math = e.math;
  Value line = math.constant(0), part = tile;
  if (!outer.empty()) {
    line = math.div(tile, tilesPerLine);
    part = math.rem(tile, tilesPerLine);
  }
  Place place;
  place.offsets = e.getOffsets(bases, outer, line, 1, 1).front();
  place.first = math.mul(part, heightValue);
  place.skipped = math.constant(0);
  if (!overlaps)
    return place;
  Value wanted = place.first;
  place.first = math.min(wanted, math.sub(length, heightValue));
  place.skipped = math.sub(wanted, place.first);
  return place;
}

Offsets RowTiles::getRow(ContractEmitter &e, const Place &place, Value i,
                         function_ref<void(Value)> guard) const {
  IndexMath &math = e.math;
  ContractLoops &loops = e.loops;
  Value x = math.add(place.first, i), y, exists;
  auto require = [&](arith::CmpIPredicate predicate, Value a, Value b) {
    Value holds = arith::CmpIOp::create(e.b, predicate, a, b);
    exists = exists ? arith::AndIOp::create(e.b, exists, holds) : holds;
  };
  if (overlaps)
    require(arith::CmpIPredicate::sge, i, place.skipped);
  if (next) {
    y = math.div(x, pitch);
    x = math.rem(x, pitch);
    if (!isStatic(loops.extents[inner], pitch))
      require(arith::CmpIPredicate::slt, x, loops.extents[inner]);
  }
  if (exists)
    guard(exists);
  Offsets offsets;
  for (auto [operand, offset] :
       llvm::zip_equal(loops.operands, place.offsets)) {
    Value at = math.add(offset, math.mul(x, operand.strides[inner]));
    if (next)
      at = math.add(at, math.mul(y, operand.strides[*next]));
    offsets.push_back(at);
  }
  return offsets;
}
