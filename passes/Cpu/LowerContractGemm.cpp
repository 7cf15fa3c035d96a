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
// asks for the next rows of A (TilePrefetch.h).
//
// For threads the blocks of rows and the tiles of columns are a grid of units.
#include "passes/Cpu/TilePrefetch.h"
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

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim;                   // the column dimension that vectors run along
  std::optional<DotProducts> dot; // of bytes or pairs
  Value rowCount;
  RegisterTile tile{1, 1};
  std::optional<TilePrefetch> prefetch;
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
  prefetch.emplace(e, dim, dot, tile, rowCount);
  prefetch->choose(getBlockRows(), outer);
  if (emitForThreads(outer))
    return;
  e.emitLoops(outer, e.getBases(),
              [&](const Offsets &bases) { emitRowBlocks(bases); });
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
        prefetch->setRows(splitRows ? block : rows.value_or(block));
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
  prefetch->beginTile(bases, row, rows, number);
  auto ask = [&](Value k, Value bOffset, int64_t steps) {
    prefetch->emitStep(k, bOffset, steps);
  };
  if (dot)
    return dot->emitTile(offsets, bases[1], dim, columns, mask, ask);
  prefetch->emitExtras(offsets, columns);
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
                   prefetch->chooseUnrolling(rows * int64_t(columns.size())),
                   step, ask);

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
