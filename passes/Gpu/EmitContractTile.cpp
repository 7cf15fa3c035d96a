// Contractions: a tile of C a block, whose parts of A and B go through shared
// memory, on the ordinary multiply-add units.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/EmitContract.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The sizes of a tile: what a block computes, `depth` terms of each sum at a
/// time, and what a thread has of it.
struct Tile {
  int64_t rows, columns, depth, threadRows, threadColumns;
  int64_t threads() const {
    return rows / threadRows * (columns / threadColumns);
  }
};

/// A part of A or B on its way to shared memory: an element is at `outer` (a
/// row or column of the tile) and `k` (a term of the sum).
struct Source {
  Value buffer;                // one-dimensional view
  Type type;                   // of elements
  bool isUnsigned;             // how elements are extended
  int64_t width;               // rows or columns of the tile
  bool isDepthFast;            // elements side by side in memory differ in k
  int64_t vector;              // elements that are loaded at once
  Value memory;                // shared, [depth][width + padding]
  SmallVector<Value> starts;   // offsets without k, one a load of the thread
  SmallVector<Value> outer, k; // places of the loads' elements in the tile
};

class TileEmitter {
public:
  TileEmitter(Kernel &kernel, ContractOp op, Tile tile)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op), tile(tile) {}

  void emit();

private:
  Source makeSource(unsigned operand, Value firstOuter,
                    ArrayRef<unsigned> outerDims);
  SmallVector<Value> load(Source &source, unsigned operand, Value firstK);
  void put(Source &source, ValueRange values);
  SmallVector<Value> multiply(Source &a, Source &c, ValueRange sums);
  void store(Value firstRow, Value firstColumn, ValueRange sums);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  ContractOp op;
  ContractNest nest;
  Tile tile;
  ContractNest::Place block;
  Value threadRow, threadColumn;
};

} // namespace

Source TileEmitter::makeSource(unsigned operand, Value firstOuter,
                               ArrayRef<unsigned> outerDims) {
  Source source;
  Value buffer = op.getMapped()[operand];
  auto type = cast<MemRefType>(buffer.getType());
  source.type = type.getElementType();
  source.isUnsigned = operand == 0 ? op.getAUnsigned() : op.getBUnsigned();
  source.width = operand == 0 ? tile.rows : tile.columns;
  source.isDepthFast = nest.isDepthFast(operand);
  // The padding keeps the rows at 16 bytes and spreads them over the banks.
  source.memory =
      kernel.shared({tile.depth, source.width + 4}, op.getSumType());
  source.buffer = nest.flatten(operand);

  // Threads side by side take elements side by side.
  int64_t count = source.width * tile.depth / tile.threads();
  unsigned fastDim = source.isDepthFast ? nest.sums.back() : outerDims.back();
  source.vector = nest.chooseVector(operand, fastDim, 4);
  if (count % source.vector)
    source.vector = 1;
  count /= source.vector;
  int64_t fast =
      (source.isDepthFast ? tile.depth : source.width) / source.vector;
  int64_t step = tile.threads() / fast;
  Value thread = kernel.thread();
  Value inner =
      kernel.mul(b.createOrFold<arith::RemUIOp>(thread, kernel.index(fast)),
                 kernel.index(source.vector));
  Value other = b.createOrFold<arith::DivUIOp>(thread, kernel.index(fast));
  Value last =
      kernel.add(operand == 0 ? block.rowCount : block.columnCount,
                 kernel.index(source.isDepthFast ? -1 : -source.vector));
  bool isRaggedHere = nest.isRagged(outerDims, source.width);
  Value known; // all elements of the thread may be at one row or column
  for (int64_t i = 0; i < count; ++i) {
    Value moved = kernel.add(other, kernel.index(i * step));
    source.outer.push_back(source.isDepthFast ? moved : inner);
    source.k.push_back(source.isDepthFast ? inner : moved);
    if (!source.isDepthFast && known) {
      source.starts.push_back(known);
      continue;
    }
    Value position = kernel.add(firstOuter, source.outer.back());
    // What lies behind the end is read somewhere inside and never stored.
    if (isRaggedHere)
      position = kernel.min(position, last);
    SmallVector<Value> at(op.getNumDims());
    for (auto [dim, value] : llvm::zip(nest.batch, block.batchAt))
      at[dim] = value;
    for (auto [dim, value] :
         llvm::zip(outerDims,
                   kernel.coordinates(position, nest.extentsOf(outerDims))))
      at[dim] = value;
    known = nest.offsetOf(operand, at);
    source.starts.push_back(known);
  }
  return source;
}

/// The thread's elements of the part that begins at `firstK`; 0 behind the end.
SmallVector<Value> TileEmitter::load(Source &source, unsigned operand,
                                     Value firstK) {
  SmallVector<Value> values;
  bool isRaggedHere = nest.isRagged(nest.sums, tile.depth);
  Value last = kernel.add(
      block.sumCount, kernel.index(source.isDepthFast ? -source.vector : -1));
  Value offset, isInside;
  for (auto [start, place] : llvm::zip(source.starts, source.k)) {
    if (!offset || !source.isDepthFast) {
      Value k = kernel.add(firstK, place);
      isInside = kernel.isLess(k, block.sumCount);
      // Always: the last part is prefetched once more.
      k = kernel.min(k, last);
      SmallVector<Value> at(op.getNumDims());
      for (auto [dim, value] : llvm::zip(
               nest.sums, kernel.coordinates(k, nest.extentsOf(nest.sums))))
        at[dim] = value;
      offset = nest.offsetOf(operand, at);
    }
    Value at = kernel.add(start, offset);
    SmallVector<Value> loaded;
    if (source.vector == 1) {
      loaded.push_back(memref::LoadOp::create(b, source.buffer, at));
    } else {
      auto type = VectorType::get({source.vector}, source.type);
      uint64_t bytes = source.vector * source.type.getIntOrFloatBitWidth() / 8;
      Value vector = vector::LoadOp::create(
          b, type, source.buffer, ValueRange{at}, /*nontemporal=*/false,
          llvm::MaybeAlign(std::min<uint64_t>(bytes, 16)));
      for (int64_t i = 0; i < source.vector; ++i)
        loaded.push_back(vector::ExtractOp::create(b, vector, i));
    }
    for (Value value : loaded) {
      value = nest.extend(value, source.isUnsigned);
      if (isRaggedHere)
        value = arith::SelectOp::create(b, isInside, value, nest.zero());
      values.push_back(value);
    }
  }
  return values;
}

void TileEmitter::put(Source &source, ValueRange values) {
  for (auto [i, value] : llvm::enumerate(values)) {
    Value outer = source.outer[i / source.vector];
    Value k = source.k[i / source.vector];
    Value &moved = source.isDepthFast ? k : outer;
    moved = kernel.add(moved, kernel.index(i % source.vector));
    memref::StoreOp::create(b, value, source.memory, ValueRange{k, outer});
  }
}

/// Adds `depth` terms to each of the thread's sums.
SmallVector<Value> TileEmitter::multiply(Source &a, Source &c,
                                         ValueRange sums) {
  SmallVector<Value> result(sums);
  for (int64_t k = 0; k < tile.depth; ++k) {
    auto read = [&](Source &source, Value first, int64_t count) {
      SmallVector<Value> values;
      for (int64_t i = 0; i < count; ++i)
        values.push_back(memref::LoadOp::create(
            b, source.memory,
            ValueRange{kernel.index(k), kernel.add(first, kernel.index(i))}));
      return values;
    };
    SmallVector<Value> x = read(a, threadRow, tile.threadRows);
    SmallVector<Value> y = read(c, threadColumn, tile.threadColumns);
    for (int64_t i = 0; i < tile.threadRows; ++i)
      for (int64_t j = 0; j < tile.threadColumns; ++j) {
        Value &sum = result[i * tile.threadColumns + j];
        sum = nest.multiplyAdd(x[i], y[j], sum);
      }
  }
  return result;
}

void TileEmitter::store(Value firstRow, Value firstColumn, ValueRange sums) {
  SmallVector<Value> at(op.getNumDims(), kernel.index(0));
  for (auto [dim, value] : llvm::zip(nest.batch, block.batchAt))
    at[dim] = value;
  auto place = [&](ArrayRef<unsigned> dims, Value position) {
    for (auto [dim, value] :
         llvm::zip(dims, kernel.coordinates(position, nest.extentsOf(dims))))
      at[dim] = value;
  };
  for (int64_t i = 0; i < tile.threadRows; ++i) {
    Value row = kernel.add(kernel.add(firstRow, threadRow), kernel.index(i));
    Value isRow = nest.isRagged(nest.rows, tile.rows)
                      ? kernel.isLess(row, block.rowCount)
                      : Value();
    kernel.when(isRow, [&] {
      place(nest.rows, row);
      for (int64_t j = 0; j < tile.threadColumns; ++j) {
        Value column =
            kernel.add(kernel.add(firstColumn, threadColumn), kernel.index(j));
        Value isColumn = nest.isRagged(nest.columns, tile.columns)
                             ? kernel.isLess(column, block.columnCount)
                             : Value();
        kernel.when(isColumn, [&] {
          place(nest.columns, column);
          nest.store(sums[i * tile.threadColumns + j], at);
        });
      }
    });
  }
}

void TileEmitter::emit() {
  kernel.grid.threads = tile.threads();
  block = nest.placeBlock(tile.rows, tile.columns);
  Value across = kernel.index(tile.columns / tile.threadColumns);
  Value thread = kernel.thread();
  threadRow = kernel.mul(b.createOrFold<arith::DivUIOp>(thread, across),
                         kernel.index(tile.threadRows));
  threadColumn = kernel.mul(b.createOrFold<arith::RemUIOp>(thread, across),
                            kernel.index(tile.threadColumns));

  Source a = makeSource(0, block.firstRow, nest.rows);
  Source c = makeSource(1, block.firstColumn, nest.columns);
  Value zero = kernel.index(0);
  auto loadBoth = [&](Value firstK) {
    SmallVector<Value> values = load(a, 0, firstK);
    values.append(load(c, 1, firstK));
    return values;
  };
  // Without terms there is nothing to read.
  SmallVector<Value> carried;
  if (ShapedType::isDynamic(fixedProduct(nest.extentsOf(nest.sums)))) {
    size_t count = a.starts.size() * a.vector + c.starts.size() * c.vector;
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
  size_t numA = a.starts.size() * a.vector, numLoaded = carried.size();
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
  store(block.firstRow, block.firstColumn,
        ValueRange(results).drop_front(numLoaded));
}

bool dlc::emitContractTile(Kernel &kernel, ContractOp op) {
  if (!isSeparable(op, 0) || !isSeparable(op, 1))
    return false;
  int64_t rows = guessSize(op, ContractOp::DimKind::Row);
  int64_t columns = guessSize(op, ContractOp::DimKind::Column);
  int64_t sums = guessSize(op, ContractOp::DimKind::Sum);
  static constexpr int64_t fewest = 8;
  if (rows < fewest || columns < fewest || sums < fewest)
    return false;
  // Large tiles where they are enough to occupy a GPU.
  static constexpr int64_t manyBlocks = 128;
  int64_t blocks = llvm::divideCeil(rows, 128) *
                   llvm::divideCeil(columns, 128) *
                   guessSize(op, ContractOp::DimKind::Batch);
  bool isWide = op.getSumType().getIntOrFloatBitWidth() > 32;
  Tile tile = {64, 64, 16, 4, 4};
  if (rows <= 16 || columns <= 16)
    tile = rows <= 16 ? Tile{16, 64, 16, 2, 2} : Tile{64, 16, 16, 2, 2};
  else if (blocks >= manyBlocks && !isWide)
    tile = {128, 128, 8, 8, 8};
  kernel.description =
      llvm::formatv("a tile of {0} x {1} a block", tile.rows, tile.columns);
  TileEmitter(kernel, op, tile).emit();
  return true;
}
