// What the tiles of a register-tiled product ask the caches for.
#include "passes/Cpu/TilePrefetch.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

std::optional<int64_t> dlc::countElements(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  return type.hasStaticShape() ? std::optional(type.getNumElements())
                               : std::nullopt;
}

TilePrefetch::TilePrefetch(ContractEmitter &emitter, unsigned dim,
                           const std::optional<DotProducts> &dot,
                           RegisterTile tile, Value rowCount)
    : e(emitter), loops(emitter.loops), math(emitter.math), dim(dim), dot(dot),
      tile(tile), rowCount(rowCount) {}

void TilePrefetch::setRows(int64_t rows) {
  askers = llvm::divideCeil(rows, tile.rows);
}

/// Into the first cache, or the second one.
void TilePrefetch::emit(const ContractOperand &operand, Value offset,
                        bool isNear) {
  memref::PrefetchOp::create(e.b, operand.buffer, ValueRange{offset},
                             /*isWrite=*/false,
                             /*localityHint=*/isNear ? 3 : 2,
                             /*isDataCache=*/true);
}

/// Bytes of an operand that is worth asking for early, and those between what a
/// tile reads and what it asks for: some thousand cycles of a few rows.
static constexpr int64_t kPrefetchedBytes = 64 << 10, kAheadBytes = 16 << 10;

/// The cache lines that one step reads of B.
static int64_t countLines(int64_t elements, Type type) {
  return llvm::divideCeil(elements * type.getIntOrFloatBitWidth() / 8,
                          kLineBytes);
}

/// Every tile of rows asks for some of the lines of each step, so that few
/// requests are on their way at a time, and all are there before the last one
/// ends.
void TilePrefetch::choose(std::optional<int64_t> blockRows,
                          ArrayRef<unsigned> outer) {
  stride = chooseRows();
  const ContractOperand &operand = loops.b();
  std::optional<int64_t> rows = staticIndex(rowCount),
                         elements = countElements(
                             loops.op->getOperand(loops.isTransposed ? 0 : 1));
  int64_t width = tile.vectors * e.lanes;
  int64_t rowTiles = llvm::divideCeil(
      blockRows.value_or(rows.value_or(16 * tile.rows)), tile.rows);
  // Addresses don't fit few registers.
  if ((dot && !dot->prefetches()) || e.cpu.pointers <= 4 ||
      !loops.b().moves(dim) ||
      (elements &&
       countLines(*elements, operand.type) * kLineBytes < kPrefetchedBytes))
    return;
  int64_t stepBytes = getStep(width) *
                      llvm::divideCeil(operand.type.getIntOrFloatBitWidth(), 8);
  std::optional<int64_t> sums = staticIndex(loops.getExtent(loops.sums, e.b));
  // Many tiles of rows hide that a panel comes from the next cache.
  constexpr int64_t kFewTiles = 8;
  bool isLarge =
      sums && 2 * *sums * stepBytes > e.cpu.l2Bytes && rowTiles <= kFewTiles;
  if (!dot && (rowTiles < 2 || isLarge)) {
    // A single row waits for memory alone.
    if (tile.rows < 2 || loops.sums.empty())
      return;
    ahead = math.mul(operand.strides[loops.sums.back()],
                     std::max<int64_t>(1, kAheadBytes / stepBytes));
    isSoon = true;
    return;
  }
  if (rowTiles < 2)
    return;
  if (operand.panelDim) {
    if (operand.panelWidth == width)
      ahead = operand.panelStride;
  } else if (std::optional<int64_t> columns = staticIndex(loops.extents[dim]);
             !columns || *columns > width) {
    ahead = math.mul(operand.strides[dim], width);
  } else if (!outer.empty() && operand.moves(outer.back())) {
    ahead = operand.strides[outer.back()];
  }
  askers = rowTiles;
}

int64_t TilePrefetch::chooseUnrolling(int64_t sums) {
  constexpr int64_t kMostSteps = 8, kFew = 48, kMany = 160;
  if (e.cpu.pointers <= 4)
    return 1;
  int64_t unroll = std::clamp<int64_t>(kFew / sums, 1, kMostSteps);
  if (!ahead || isSoon)
    return unroll;
  int64_t inStep = countLines(getStep(tile.vectors * e.lanes), loops.b().type);
  auto waste = [&](int64_t steps) {
    int64_t lines = steps * inStep;
    return double(llvm::alignTo(lines, askers)) / double(lines);
  };
  int64_t most = std::min(kMostSteps, kMany / sums);
  for (int64_t steps = unroll + 1; steps <= most; ++steps)
    if (waste(steps) < waste(unroll))
      unroll = steps;
  return unroll;
}

void TilePrefetch::emitB(Value bOffset, int64_t steps) {
  const ContractOperand &operand = loops.b();
  int64_t inStep = countLines(getStep(tile.vectors * e.lanes), operand.type);
  int64_t elements = kLineBytes * 8 / operand.type.getIntOrFloatBitWidth();
  int64_t lines = steps * inStep;
  int64_t share = isSoon ? lines : llvm::divideCeil(lines, askers);
  Value stepStride = operand.strides[loops.sums.back()];
  bool isPacked = steps == 1 || isStatic(stepStride, inStep * elements);
  for (int64_t i = 0; i < share; ++i) {
    Value line = isSoon ? math.constant(i)
                        : math.rem(math.add(math.mul(number, share), i), lines);
    Value offset = isPacked
                       ? math.mul(line, elements)
                       : math.add(math.mul(math.div(line, inStep), stepStride),
                                  math.mul(math.rem(line, inStep), elements));
    emit(operand, math.add(bOffset, math.add(ahead, offset)), isSoon);
  }
}

/// Elements between rows of A, if those of the next tile are worth asking for:
/// with threads, others computed a part of them, and have it in their caches.
/// Of windows, which share most of what they read, they are not, nor of bytes
/// and pairs, of which there are few.
std::optional<int64_t> TilePrefetch::chooseRows() {
  if (!e.cpu.threads || dot || tile.rows < 2 || e.cpu.pointers <= 4 ||
      loops.rows.size() != 1 || loops.sums.size() != 1)
    return std::nullopt;
  unsigned k = loops.sums.back();
  std::optional<int64_t> rowStep =
                             staticIndex(loops.a().strides[loops.rows.back()]),
                         sums = staticIndex(loops.extents[k]),
                         rows = staticIndex(rowCount);
  if (!rowStep || !sums || !isStatic(loops.a().strides[k], 1))
    return std::nullopt;
  int64_t rowBytes = *sums * loops.a().type.getIntOrFloatBitWidth() / 8;
  if (rowBytes < kLineBytes ||
      (rows && (*rows <= tile.rows || *rows * rowBytes < kPrefetchedBytes)))
    return std::nullopt;
  return rowStep;
}

/// The share of these steps of the lines of a tile of A: one after the other,
/// as the cache's own prefetching likes it.
void TilePrefetch::emitRows(Value k, int64_t steps) {
  constexpr int64_t kNearBytes = 16 << 10; // a third of the L1 cache
  int64_t elements = kLineBytes * 8 / loops.a().type.getIntOrFloatBitWidth();
  int64_t rowLines = llvm::divideCeil(
      *staticIndex(loops.extents[loops.sums.back()]), elements);
  int64_t share = llvm::divideCeil(tile.rows * steps, elements);
  bool isNear = tile.rows * rowLines * kLineBytes <= kNearBytes;
  for (int64_t i = 0; i < share; ++i) {
    Value line = math.add(math.mul(math.div(k, steps), share), i);
    Value offset = *stride == rowLines * elements
                       ? math.mul(line, elements)
                       : math.add(math.mul(math.div(line, rowLines), *stride),
                                  math.mul(math.rem(line, rowLines), elements));
    emit(loops.a(), math.add(nextRows, offset), isNear);
  }
}

void TilePrefetch::beginTile(const Offsets &bases, Value row, int64_t rows,
                             Value tileNumber) {
  number = tileNumber;
  if (!stride)
    return;
  // Behind the last rows come the first ones, for the next columns.
  Value next = math.add(row, rows);
  Value isInside =
      arith::CmpIOp::create(e.b, arith::CmpIPredicate::slt, next, rowCount);
  next = arith::SelectOp::create(e.b, isInside, next, math.constant(0));
  nextRows = math.add(bases[0], math.mul(next, *stride));
}

void TilePrefetch::emitStep(Value k, Value bOffset, int64_t steps) {
  if (ahead)
    emitB(bOffset, steps);
  if (stride)
    emitRows(k, steps);
}

void TilePrefetch::emitExtras(ArrayRef<Offsets> offsets,
                              ArrayRef<TileColumn> columns) {
  if (e.cpu.pointers <= 4)
    return;
  for (size_t i = 2, last = loops.operands.size() - 1; i < last; ++i) {
    const ContractOperand &operand = loops.operands[i];
    auto moves = [&](unsigned row) { return operand.moves(row); };
    if (!isStatic(operand.strides[dim], 1) || llvm::none_of(loops.rows, moves))
      continue;
    for (const Offsets &at : offsets)
      for (const TileColumn &column : columns)
        emit(operand, math.add(at[i], column.offset), /*isNear=*/true);
  }
}
