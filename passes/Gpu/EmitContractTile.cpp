// Contractions: a tile of C a block, whose parts of A and B go through shared
// memory, on the ordinary multiply-add units.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/ContractTile.h"
#include "passes/Gpu/EmitContract.h"
#include "passes/Gpu/TileSource.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The rows or columns that a thread has: runs of up to four side by side, as
/// many as an access takes, with those of the other threads between them, so
/// that these read shared memory side by side.
struct Runs {
  static constexpr int64_t most = 4;
  Runs(int64_t size, int64_t count)
      : length(std::min(count, most)), distance(size / (count / length)) {}
  int64_t distanceTo(int64_t i) const {
    return i / length * distance + i % length;
  }
  int64_t length, distance;
};

/// A part of A or B on its way to shared memory, [depth][width + padding].
struct Source : TileSource {
  using TileSource::TileSource;
  Value memory;
  bool isUnsigned; // how elements are extended
};

class TileEmitter {
public:
  TileEmitter(Kernel &kernel, ContractOp op, ExactTile tile)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op), tile(tile),
        rowRuns(tile.rows, tile.threadRows),
        columnRuns(tile.columns, tile.threadColumns) {}

  void emit();

private:
  Source makeSource(unsigned operand);
  SmallVector<Value> load(const Source &source, Value firstK);
  void put(const Source &source, ValueRange values);
  SmallVector<Value> read(const Source &source, int64_t k, Value first,
                          int64_t count, Runs runs);
  SmallVector<Value> multiply(const Source &a, const Source &c,
                              ValueRange sums);
  void store(ValueRange sums);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  ContractOp op;
  ContractNest nest;
  ExactTile tile;
  Runs rowRuns, columnRuns;
  ContractNest::Place block;
  Value threadRow, threadColumn;
};

} // namespace

Source TileEmitter::makeSource(unsigned operand) {
  Source source(nest, operand, block.batchAt,
                operand == 0 ? nest.rowsOf(block) : nest.columnsOf(block),
                {nest.sums, block.sumCount, Value()},
                operand == 0 ? tile.rows : tile.columns, tile.depth,
                tile.threads(), /*most=*/4, /*isWhole=*/true);
  source.isUnsigned = operand == 0 ? op.getAUnsigned() : op.getBUnsigned();
  // The padding keeps the rows at 16 bytes and spreads them over the banks.
  source.memory =
      kernel.shared({tile.depth, source.width + 4}, op.getSumType());
  return source;
}

/// The thread's elements of the part that begins at `firstK`; 0 behind the end.
SmallVector<Value> TileEmitter::load(const Source &source, Value firstK) {
  SmallVector<Value> values;
  bool isRagged = nest.isRagged(nest.sums, tile.depth);
  // Always inside: the last part is prefetched once more.
  source.forEach(
      firstK, /*staysInside=*/true, [&](size_t, Value at, Value isInside) {
        for (Value value : nest.loadRun(source.buffer, at, source.vector)) {
          value = nest.extend(value, source.isUnsigned);
          if (isRagged)
            value = arith::SelectOp::create(b, isInside, value, nest.zero());
          values.push_back(value);
        }
      });
  return values;
}

void TileEmitter::put(const Source &source, ValueRange values) {
  for (auto [i, value] : llvm::enumerate(values)) {
    Value outer = source.outer[i / source.vector];
    Value k = source.k[i / source.vector];
    Value &moved = source.isDepthFast ? k : outer;
    moved = kernel.add(moved, kernel.index(i % source.vector));
    memref::StoreOp::create(b, value, source.memory, ValueRange{k, outer});
  }
}

/// The thread's elements of a term in shared memory.
SmallVector<Value> TileEmitter::read(const Source &source, int64_t k,
                                     Value first, int64_t count, Runs runs) {
  SmallVector<Value> values;
  int64_t bytes = runs.length * op.getSumType().getIntOrFloatBitWidth() / 8;
  for (int64_t i = 0; i < count; i += runs.length) {
    Value run = vector::LoadOp::create(
        b, VectorType::get({runs.length}, op.getSumType()), source.memory,
        ValueRange{kernel.index(k),
                   kernel.add(first, kernel.index(runs.distanceTo(i)))},
        /*nontemporal=*/false, llvm::MaybeAlign(std::min<int64_t>(bytes, 16)));
    for (int64_t j = 0; j < runs.length; ++j)
      values.push_back(vector::ExtractOp::create(b, run, j));
  }
  return values;
}

/// Adds `depth` terms to each of the thread's sums.
SmallVector<Value> TileEmitter::multiply(const Source &a, const Source &c,
                                         ValueRange sums) {
  SmallVector<Value> result(sums);
  for (int64_t k = 0; k < tile.depth; ++k) {
    SmallVector<Value> x = read(a, k, threadRow, tile.threadRows, rowRuns);
    SmallVector<Value> y =
        read(c, k, threadColumn, tile.threadColumns, columnRuns);
    for (int64_t i = 0; i < tile.threadRows; ++i)
      for (int64_t j = 0; j < tile.threadColumns; ++j) {
        Value &sum = result[i * tile.threadColumns + j];
        sum = nest.multiplyAdd(x[i], y[j], sum);
      }
  }
  return result;
}

void TileEmitter::store(ValueRange sums) {
  SmallVector<Value> at(op.getNumDims(), kernel.index(0));
  nest.setCoordinates(at, nest.batch, block.batchAt);
  Value firstRow = kernel.add(block.firstRow, threadRow);
  Value firstColumn = kernel.add(block.firstColumn, threadColumn);
  bool isRagged = nest.isRagged(nest.rows, tile.rows);
  Value columnCount =
      nest.isRagged(nest.columns, tile.columns) ? block.columnCount : Value();
  for (int64_t i = 0; i < tile.threadRows; ++i) {
    Value row = kernel.add(firstRow, kernel.index(rowRuns.distanceTo(i)));
    kernel.when(isRagged ? kernel.isLess(row, block.rowCount) : Value(), [&] {
      nest.place(at, nest.rows, row);
      for (int64_t j = 0; j < tile.threadColumns; j += columnRuns.length)
        nest.storeRun(
            sums.slice(i * tile.threadColumns + j, columnRuns.length), at,
            kernel.add(firstColumn, kernel.index(columnRuns.distanceTo(j))),
            columnCount);
    });
  }
}

void TileEmitter::emit() {
  kernel.grid.threads = tile.threads();
  kernel.residentBlocks = tile.residentBlocks;
  block = nest.placeBlock(tile.rows, tile.columns);
  int64_t across = tile.columns / tile.threadColumns;
  Value thread = kernel.thread();
  threadRow =
      kernel.mul(kernel.div(thread, across), kernel.index(rowRuns.length));
  threadColumn =
      kernel.mul(kernel.rem(thread, across), kernel.index(columnRuns.length));

  Source a = makeSource(0), c = makeSource(1);
  Value zero = kernel.index(0);
  auto loadBoth = [&](Value firstK) {
    SmallVector<Value> values = load(a, firstK);
    values.append(load(c, firstK));
    return values;
  };
  // Without terms there is nothing to read.
  SmallVector<Value> carried;
  if (ShapedType::isDynamic(fixedProduct(nest.extentsOf(nest.sums)))) {
    size_t count = a.count() * a.vector + c.count() * c.vector;
    SmallVector<Type> types(count, op.getSumType());
    auto branch =
        scf::IfOp::create(b, types, kernel.isLess(zero, block.sumCount),
                          /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, SmallVector<Value>(count, nest.zero()));
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, loadBoth(zero));
    llvm::append_range(carried, branch.getResults());
  } else {
    carried = loadBoth(zero);
  }
  size_t numA = a.count() * a.vector, numLoaded = carried.size();
  carried.append(tile.threadRows * tile.threadColumns, nest.zero());
  SmallVector<Value> results =
      kernel.loop(zero, block.sumCount, tile.depth, carried,
                  [&](Value k, ValueRange values) {
                    put(a, values.take_front(numA));
                    put(c, values.slice(numA, numLoaded - numA));
                    kernel.barrier();
                    // The next part is on its way while this one is multiplied.
                    SmallVector<Value> next =
                        loadBoth(kernel.add(k, kernel.index(tile.depth)));
                    next.append(multiply(a, c, values.drop_front(numLoaded)));
                    kernel.barrier();
                    return next;
                  });
  store(ValueRange(results).drop_front(numLoaded));
}

bool dlc::emitContractTile(Kernel &kernel, ContractOp op) {
  std::optional<ExactTile> tile = chooseExactTile(op);
  if (!tile)
    return false;
  kernel.description =
      llvm::formatv("a tile of {0} x {1} a block", tile->rows, tile->columns);
  TileEmitter(kernel, op, *tile).emit();
  return true;
}
