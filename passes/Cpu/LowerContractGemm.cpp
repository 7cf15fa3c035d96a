// Register-tiled kernels for contractions whose B moves by one element along
// a column dimension: matrix products and convolutions as implicit products.
//
//   for batches and outer columns
//     for blocks of rows that stay in the L2 cache
//       for tiles of columns                 // a panel of B
//         for tiles of rows                  // may run across image rows
//           for summed dimensions            // never split: sums in registers
//             sums[r][v] += broadcast(A[row r + k]) * B[k, v]
//           C = epilogue(sums)
//
// Weights come from memory or the outer caches in every run, so the tiles of
// rows ask for the panel of B that the next tile of columns reads. Where there
// is one tile of rows, or few and no room for two panels in the cache, each
// asks for what it reads itself some steps later. With threads each tile also
// asks for the next rows of A.
//
// For threads the blocks of rows and the tiles of columns are a grid of units.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/ContractDot.h"
#include "passes/Cpu/Units.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

namespace {
class GemmEmitter {
public:
  GemmEmitter(ContractEmitter &emitter, unsigned dim,
              std::optional<DotProducts> dot)
      : e(emitter), loops(emitter.loops), math(emitter.math), dim(dim),
        dot(dot) {}

  void emit(ArrayRef<unsigned> outer);

private:
  using Offsets = ContractEmitter::Offsets;

  int64_t getRegularRows();
  bool emitForThreads(ArrayRef<unsigned> outer);
  void emitRowBlocks(const Offsets &bases);
  void emitColumns(const Offsets &bases, Value firstRow, Value endRow,
                   const ContractEmitter::ColumnRange &columns);
  /// `number` is that of the tile of rows.
  void emitTile(const Offsets &bases, Value row, int64_t rows, Value number,
                ArrayRef<TileColumn> columns, Value mask);
  std::optional<int64_t> getBlockRows();
  /// Elements of B in a step of so many columns.
  int64_t getStep(int64_t columns) {
    return dot ? columns * dot->getGroup() : columns;
  }
  void choosePrefetch(ArrayRef<unsigned> outer);
  int64_t chooseUnrolling(int64_t sums);
  void emitPrefetch(Value bOffset, Value number, int64_t steps);
  std::optional<int64_t> getPrefetchedRows();
  void prefetchRows(Value start, int64_t stride, Value k, int64_t steps);
  void prefetchExtras(ArrayRef<Offsets> offsets, ArrayRef<TileColumn> columns);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim;                   // the column dimension that vectors run along
  std::optional<DotProducts> dot; // of bytes or pairs
  Value rowCount;
  RegisterTile tile{1, 1};
  /// How far behind an element of B the one lies that is asked for; null if
  /// nothing is prefetched.
  Value ahead;
  int64_t askers = 1;  // tiles of rows that ask for a part of it each
  bool isSoon = false; // it is read by the same tile
};
} // namespace

/// So many rows, or any divisor of that, lie at a constant distance in A.
int64_t GemmEmitter::getRegularRows() {
  constexpr int64_t kAny = 360360; // all numbers up to 15 divide it
  if (loops.rows.empty())
    return kAny;
  unsigned inner = loops.rows.back();
  if (!staticIndex(loops.a().strides[inner]))
    return 1;
  return loops.rows.size() == 1 ? kAny
                                : staticIndex(loops.extents[inner]).value_or(1);
}

void GemmEmitter::emit(ArrayRef<unsigned> outer) {
  rowCount = loops.getExtent(loops.rows, e.b);
  int64_t panel = loops.b().panelDim == dim ? loops.b().panelWidth : 0;
  CpuIsa cpu = e.cpu;
  if (dot)
    cpu.registers = dot->getRegisters();
  else if (loops.b().type != e.sumType && isa<IntegerType>(e.sumType))
    cpu.registers -= cpu.registers / 8; // extended halves of B
  tile = chooseTile(cpu, e.lanes, staticIndex(rowCount),
                    staticIndex(loops.extents[dim]), panel, getRegularRows());
  if (dot)
    tile = dot->pairRows(tile, staticIndex(rowCount));
  e.description =
      llvm::formatv(", {0} x {1} sums in registers{2}{3}", tile.rows,
                    tile.vectors * e.lanes, panel ? ", packed weights" : "",
                    dot ? (", " + dot->getName()).str() : "");
  choosePrefetch(outer);
  if (emitForThreads(outer))
    return;
  e.emitLoops(outer, e.getBases(),
              [&](const Offsets &bases) { emitRowBlocks(bases); });
}

/// The number of elements of a memref; nothing with dynamic sizes.
static std::optional<int64_t> countElements(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  return type.hasStaticShape() ? std::optional(type.getNumElements())
                               : std::nullopt;
}

/// Rows whose part of A fits the L2 cache; nothing if all rows do, or half as
/// many again, which leaves no small rest. Rows of an image share what their
/// windows have in common. Of unknown sizes only half the cache is taken.
std::optional<int64_t> GemmEmitter::getBlockRows() {
  std::optional<int64_t> sums = staticIndex(loops.getExtent(loops.sums, e.b)),
                         all = staticIndex(rowCount),
                         elements = countElements(
                             loops.op->getOperand(loops.isTransposed ? 1 : 0));
  int64_t bytes = llvm::divideCeil(loops.a().type.getIntOrFloatBitWidth(), 8);
  int64_t rowBytes = sums.value_or(1024) * bytes, cache = e.cpu.l2Bytes / 2;
  if (sums && all && elements) {
    rowBytes =
        std::min(rowBytes, *elements * bytes / std::max<int64_t>(1, *all));
    cache = e.cpu.l2Bytes;
  }
  int64_t rows = std::max(tile.rows, cache / std::max<int64_t>(1, rowBytes) /
                                         tile.rows * tile.rows);
  if (all && *all <= rows + rows / 2)
    return std::nullopt;
  return rows;
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
void GemmEmitter::choosePrefetch(ArrayRef<unsigned> outer) {
  const ContractOperand &operand = loops.b();
  std::optional<int64_t> rows = staticIndex(rowCount),
                         elements = countElements(
                             loops.op->getOperand(loops.isTransposed ? 0 : 1));
  int64_t width = tile.vectors * e.lanes;
  int64_t rowTiles = llvm::divideCeil(
      getBlockRows().value_or(rows.value_or(16 * tile.rows)), tile.rows);
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

/// How many steps a turn of the loop has, for a tile of so many sums. Some 48
/// multiply-adds hide the loop itself; where addresses don't fit the registers,
/// more steps would only cost more of them. Longer turns are for prefetching:
/// the tiles of a panel ask for it once if the lines of a turn are a multiple
/// of their number.
int64_t GemmEmitter::chooseUnrolling(int64_t sums) {
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

/// `number` is that of the tile, `steps` those that follow.
void GemmEmitter::emitPrefetch(Value bOffset, Value number, int64_t steps) {
  const ContractOperand &operand = loops.b();
  int64_t inStep = countLines(getStep(tile.vectors * e.lanes), operand.type);
  int64_t elements = kLineBytes * 8 / operand.type.getIntOrFloatBitWidth();
  int64_t lines = steps * inStep;
  int64_t share = isSoon ? lines : llvm::divideCeil(lines, askers);
  Value stride = operand.strides[loops.sums.back()];
  bool isPacked = steps == 1 || isStatic(stride, inStep * elements);
  for (int64_t i = 0; i < share; ++i) {
    Value line = isSoon ? math.constant(i)
                        : math.rem(math.add(math.mul(number, share), i), lines);
    Value offset = isPacked
                       ? math.mul(line, elements)
                       : math.add(math.mul(math.div(line, inStep), stride),
                                  math.mul(math.rem(line, inStep), elements));
    memref::PrefetchOp::create(
        e.b, operand.buffer,
        ValueRange{math.add(bOffset, math.add(ahead, offset))},
        /*isWrite=*/false, /*localityHint=*/isSoon ? 3 : 2,
        /*isDataCache=*/true);
  }
}

/// Elements between rows of A, if those of the next tile are worth asking for:
/// with threads, others computed a part of them, and have it in their caches.
/// Of windows, which share most of what they read, they are not, nor of bytes
/// and pairs, of which there are few.
std::optional<int64_t> GemmEmitter::getPrefetchedRows() {
  if (!e.cpu.threads || dot || tile.rows < 2 || e.cpu.pointers <= 4 ||
      loops.rows.size() != 1 || loops.sums.size() != 1)
    return std::nullopt;
  unsigned k = loops.sums.back();
  std::optional<int64_t> stride =
                             staticIndex(loops.a().strides[loops.rows.back()]),
                         sums = staticIndex(loops.extents[k]),
                         rows = staticIndex(rowCount);
  if (!stride || !sums || !isStatic(loops.a().strides[k], 1))
    return std::nullopt;
  int64_t rowBytes = *sums * loops.a().type.getIntOrFloatBitWidth() / 8;
  if (rowBytes < kLineBytes ||
      (rows && (*rows <= tile.rows || *rows * rowBytes < kPrefetchedBytes)))
    return std::nullopt;
  return stride;
}

/// Asks, before `steps` steps from `k` on, for their share of the lines of a
/// tile of A whose rows lie at `start` and `stride` elements apart. A line
/// after the other, as the cache's own prefetching likes it.
void GemmEmitter::prefetchRows(Value start, int64_t stride, Value k,
                               int64_t steps) {
  constexpr int64_t kNearBytes = 16 << 10; // a third of the L1 cache
  int64_t line = kLineBytes * 8 / loops.a().type.getIntOrFloatBitWidth();
  int64_t rowLines =
      llvm::divideCeil(*staticIndex(loops.extents[loops.sums.back()]), line);
  int64_t share = llvm::divideCeil(tile.rows * steps, line);
  bool isNear = tile.rows * rowLines * kLineBytes <= kNearBytes;
  for (int64_t i = 0; i < share; ++i) {
    Value number = math.add(math.mul(math.div(k, steps), share), i);
    Value offset = stride == rowLines * line
                       ? math.mul(number, line)
                       : math.add(math.mul(math.div(number, rowLines), stride),
                                  math.mul(math.rem(number, rowLines), line));
    memref::PrefetchOp::create(e.b, loops.a().buffer,
                               ValueRange{math.add(start, offset)},
                               /*isWrite=*/false,
                               /*localityHint=*/isNear ? 3 : 2,
                               /*isDataCache=*/true);
  }
}

/// What the epilogue reads, a sum's other side, comes while the sums are made.
void GemmEmitter::prefetchExtras(ArrayRef<Offsets> offsets,
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
        memref::PrefetchOp::create(
            e.b, operand.buffer, ValueRange{math.add(at[i], column.offset)},
            /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
  }
}

/// Units are blocks of rows by tiles of columns. Neighbours, which one thread
/// mostly gets, share what is larger: threads read the other one each.
bool GemmEmitter::emitForThreads(ArrayRef<unsigned> outer) {
  if (!e.cpu.threads)
    return false;
  int64_t width = tile.vectors * e.lanes;
  double sums = staticIndex(loops.getExtent(loops.sums, e.b)).value_or(256);
  int64_t bBytes = llvm::divideCeil(loops.b().type.getIntOrFloatBitWidth(), 8);
  auto cyclesOf = [&](double rows) {
    return e.getCycles(rows * width * sums, width * sums * bBytes);
  };
  Value columnTiles = e.countBlocks(loops.extents[dim], width);
  double others = staticIndex(columnTiles).value_or(1);
  for (unsigned i : outer)
    others *= staticIndex(loops.extents[i]).value_or(1);
  std::optional<int64_t> rows = staticIndex(rowCount);
  int64_t block = getBlockRows().value_or(rows.value_or(0));
  if (rows)
    block = shrinkBlock(*rows, block, tile.rows, others, cyclesOf(1));
  else
    block = std::min<int64_t>(block, 16 * tile.rows);
  Value rowBlocks = e.countBlocks(rowCount, block);

  SmallVector<Value> counts;
  for (unsigned i : outer)
    counts.push_back(loops.extents[i]);
  std::optional<int64_t> a = countElements(loops.op->getOperand(0)),
                         b = countElements(loops.op->getOperand(1));
  if (loops.isTransposed)
    std::swap(a, b);
  bool splitRows = !a || !b || *a >= *b;
  counts.push_back(splitRows ? rowBlocks : columnTiles);
  counts.push_back(splitRows ? columnTiles : rowBlocks);
  bool done = emitUnits(
      e.b, counts, cyclesOf(std::min(block, rows.value_or(block))),
      [&](const Unit &unit) {
        // A thread mostly goes through all rows of a panel, then the next one.
        askers = llvm::divideCeil(splitRows ? block : rows.value_or(block),
                                  tile.rows);
        Offsets bases = e.getBases();
        for (auto [i, index] : llvm::zip(outer, unit.index))
          bases = e.move(bases, i, index);
        Value row = unit.index[outer.size() + !splitRows];
        Value column = unit.index[outer.size() + splitRows];
        Value first = math.mul(row, block);
        Value end = isStatic(rowBlocks, 1)
                        ? rowCount
                        : math.min(math.add(first, block), rowCount);
        emitColumns(bases, first, end,
                    e.getColumns(loops.extents[dim],
                                 isStatic(columnTiles, 1) ? Value() : column,
                                 width));
      });
  if (done)
    e.description +=
        llvm::formatv(", shared by threads in {0} x {1}", block, width);
  return done;
}

void GemmEmitter::emitRowBlocks(const Offsets &bases) {
  std::optional<int64_t> block = getBlockRows();
  auto columns = e.getColumns(loops.extents[dim], /*index=*/{}, 0);
  if (!block)
    return emitColumns(bases, math.constant(0), rowCount, columns);
  e.emitFor(math.constant(0), rowCount, *block, [&](Value first) {
    emitColumns(bases, first, math.min(math.add(first, *block), rowCount),
                columns);
  });
}

void GemmEmitter::emitColumns(const Offsets &bases, Value firstRow,
                              Value endRow,
                              const ContractEmitter::ColumnRange &columns) {
  e.emitColumns(columns, tile.vectors * e.lanes,
                [&](Value column, ArrayRef<TileColumn> vectors, Value mask) {
                  // Tiles begin at multiples of their width, which divides the
                  // panel's; the last one may begin anywhere.
                  Offsets moved = e.move(bases, dim, column);
                  e.emitRows(firstRow, endRow, rowCount, tile.rows,
                             [&](Value row, int64_t rows) {
                               emitTile(moved, row, rows,
                                        math.div(row, tile.rows), vectors,
                                        mask);
                             });
                });
}

void GemmEmitter::emitTile(const Offsets &bases, Value row, int64_t rows,
                           Value number, ArrayRef<TileColumn> columns,
                           Value mask) {
  SmallVector<Offsets> offsets =
      e.getOffsets(bases, loops.rows, row, rows, tile.rows);
  // Behind the last rows come the first ones, for the next columns.
  std::optional<int64_t> stride = getPrefetchedRows();
  Value nextRows;
  if (stride) {
    Value next = math.add(row, rows);
    Value isInside =
        arith::CmpIOp::create(e.b, arith::CmpIPredicate::slt, next, rowCount);
    next = arith::SelectOp::create(e.b, isInside, next, math.constant(0));
    nextRows = math.add(bases[0], math.mul(next, *stride));
  }
  auto prefetch = [&](Value k, Value bOffset, int64_t steps) {
    if (ahead)
      emitPrefetch(bOffset, number, steps);
    if (stride)
      prefetchRows(nextRows, *stride, k, steps);
  };
  if (dot)
    return dot->emitTile(offsets, bases[1], dim, columns, mask, prefetch);
  prefetchExtras(offsets, columns);
  Value bStride = loops.b().strides[dim];
  auto maskOf = [&](size_t v) {
    return v + 1 == columns.size() ? mask : Value();
  };

  SmallVector<Value> sums;
  for (int64_t r = 0; r < rows; ++r)
    for (const TileColumn &column : columns)
      sums.push_back(e.zeros(column.width));

  auto step = [&](Value aOffset, Value bOffset, ArrayRef<Value> before) {
    SmallVector<Value> b;
    for (auto [v, column] : llvm::enumerate(columns))
      b.push_back(
          e.extendB(e.loadVector(loops.b(), math.add(bOffset, column.offset),
                                 bStride, column, maskOf(v))));
    SmallVector<Value> after(before);
    for (int64_t r = 0; r < rows; ++r) {
      Value a =
          e.extendA(e.loadScalar(loops.a(), math.add(offsets[r][0], aOffset)));
      for (size_t v = 0; v < b.size(); ++v) {
        Value &sum = after[r * b.size() + v];
        sum = e.multiplyAdd(e.broadcast(a, columns[v].width), b[v], sum);
      }
    }
    return after;
  };
  sums = e.emitSum(loops.sums, math.constant(0), bases[1], sums,
                   chooseUnrolling(rows * int64_t(columns.size())), step,
                   prefetch);

  for (int64_t r = 0; r < rows; ++r)
    for (auto [v, column] : llvm::enumerate(columns)) {
      Offsets at;
      for (auto [operand, offset] : llvm::zip_equal(loops.operands, offsets[r]))
        at.push_back(
            math.add(offset, math.mul(operand.strides[dim], column.offset)));
      e.finish(sums[r * columns.size() + v], at, dim, column, maskOf(v));
    }
}

/// The column dimension that vectors can run along: B moves by one element,
/// and C too if there is a choice.
static std::optional<unsigned> getVectorDim(ContractLoops &loops) {
  std::optional<unsigned> found;
  for (unsigned dim : loops.columns) {
    if (!isStatic(loops.b().strides[dim], 1))
      continue;
    if (isStatic(loops.c().strides[dim], 1))
      return dim;
    found = dim;
  }
  return found;
}

/// All but the column dimension `dim` that are loops around the kernel.
static SmallVector<unsigned> getOuter(ContractLoops &loops, unsigned dim) {
  SmallVector<unsigned> outer(loops.batches);
  for (unsigned column : loops.columns)
    if (column != dim)
      outer.push_back(column);
  return outer;
}

bool dlc::emitGemm(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
  if (loops.b().groupDim) {
    std::optional<DotProducts> dot = DotProducts::get(emitter);
    if (!dot || loops.b().panelWidth % dot->getLanes())
      return false;
    emitter.lanes = dot->getLanes();
    unsigned dim = *loops.b().panelDim;
    GemmEmitter(emitter, dim, dot).emit(getOuter(loops, dim));
    return true;
  }
  std::optional<unsigned> dim = getVectorDim(loops);
  // The transposed product, where that stores C in whole vectors or is the
  // only way to load them.
  if (!dim || !isStatic(loops.c().strides[*dim], 1)) {
    loops.transpose();
    std::optional<unsigned> other = getVectorDim(loops);
    if (other && (!dim || isStatic(loops.c().strides[*other], 1)))
      dim = other;
    else
      loops.transpose();
  }
  if (!dim || loops.a().panelDim)
    return false;
  int64_t panel = loops.b().panelDim ? loops.b().panelWidth : 0;
  if (panel && (loops.b().panelDim != *dim || panel % emitter.lanes))
    return false;

  GemmEmitter(emitter, *dim, std::nullopt).emit(getOuter(loops, *dim));
  return true;
}
