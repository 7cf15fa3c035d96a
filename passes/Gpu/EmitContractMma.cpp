// Contractions: a tile of C a block on tensor cores. Parts of A and B go
// through several stages of shared memory, whose chunks of 16 bytes are
// swizzled so that accesses of a warp reach all banks.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/EmitContract.h"
#include "passes/Gpu/Mma.h"

using namespace mlir;
using namespace dlc;

namespace {

constexpr int64_t kWarp = 32, kThreads = 256, kChunkBytes = 16;
/// The rows and columns that one step of a warp computes.
constexpr int64_t kStep = 16;

/// What a block computes, `depth` terms of each sum at a time, and what a warp
/// has of it.
struct MmaTile {
  int64_t rows, columns, warpRows, warpColumns;
};

/// A part of A or B on its way to shared memory, where it is [width][depth] or
/// [depth][width]: as in memory, but bytes are always [width][depth].
struct Source {
  Value buffer, pointer;       // one-dimensional, of one element
  Type type;                   // of elements in memory
  int64_t width;               // rows or columns of the tile
  bool isDepthFast;            // memory has terms of a sum side by side
  bool isDepthMajor;           // and shared memory
  bool isAsync;                // copied without registers
  bool isPartial;              // not all threads copy
  int64_t vector;              // elements that are copied at once
  Value memory, first;         // shared, of all stages; of one element
  SmallVector<Value> starts;   // offsets without k, one a copy of the thread
  SmallVector<Value> outer, k; // places of the copies' elements in the tile
  SmallVector<Value> places;   // in a stage
};

class MmaEmitter {
public:
  MmaEmitter(Kernel &kernel, ContractOp op, MmaTile tile, Type type)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op), tile(tile),
        type(type), bytes(type.getIntOrFloatBitWidth() / 8),
        chunk(kChunkBytes / bytes), depth(4 * chunk) {}

  void emit();

private:
  Source makeSource(unsigned operand, Value firstOuter,
                    ArrayRef<unsigned> outerDims);
  Value placeOf(const Source &source, Value outer, Value k);
  Value swizzle(const Source &source, Value row, Value at);
  SmallVector<Value> load(Source &source, unsigned operand, Value firstK);
  void put(Source &source, ValueRange values, Value slot);
  void copy(Source &source, unsigned operand, Value firstK, Value slot);
  Value fragment(const Source &source, Value slot, Value firstOuter,
                 int64_t firstK, bool isB);
  SmallVector<Value> multiply(Source &a, Source &c, Value slot,
                              ValueRange sums);
  void store(Value firstRow, Value firstColumn, ValueRange sums);
  Value offsetOfSum(unsigned operand, Value k);
  Value call(StringRef name, Type result, ValueRange operands);
  Value rem(Value x, int64_t y) {
    return b.createOrFold<arith::RemUIOp>(x, kernel.index(y));
  }
  Value div(Value x, int64_t y) {
    return b.createOrFold<arith::DivUIOp>(x, kernel.index(y));
  }
  Value bitXor(Value x, Value y) { return b.createOrFold<arith::XOrIOp>(x, y); }
  /// Bytes of a stage of an operand.
  int64_t elements(const Source &source) { return source.width * depth; }

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  ContractOp op;
  ContractNest nest;
  MmaTile tile;
  Type type;     // of operands in shared memory
  int64_t bytes; // of such an element
  int64_t chunk, depth;
  int64_t stages = 2;
  ContractNest::Place block;
  Value lane, warpRow, warpColumn;
};

} // namespace

/// Calls a function that lib/Codegen/TensorCores.cpp defines.
Value MmaEmitter::call(StringRef name, Type result, ValueRange operands) {
  auto device = kernel.func->getParentOfType<gpu::GPUModuleOp>();
  auto function = device.lookupSymbol<func::FuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(device.getBody());
    SmallVector<Type> results;
    if (result)
      results.push_back(result);
    function = func::FuncOp::create(
        b, name, b.getFunctionType(operands.getTypes(), results));
    function.setPrivate();
  }
  auto call = func::CallOp::create(b, function, operands);
  return result ? call.getResult(0) : Value();
}

/// The place of chunk `at` of a row of shared memory: rows that a warp reads
/// at once differ in the banks of a chunk.
Value MmaEmitter::swizzle(const Source &source, Value row, Value at) {
  int64_t length = (source.isDepthMajor ? depth : source.width) / chunk;
  Value key;
  if (!source.isDepthMajor && bytes == 4)
    // Eight elements side by side of four rows, without ldmatrix.
    key =
        kernel.mul(rem(row, std::min<int64_t>(4, length / 2)), kernel.index(2));
  else if (length >= 8)
    key = rem(row, 8);
  else
    key = rem(div(row, 8 / length), length);
  return bitXor(at, key);
}

/// The place of an element in a stage.
Value MmaEmitter::placeOf(const Source &source, Value outer, Value k) {
  Value row = source.isDepthMajor ? outer : k;
  Value at = source.isDepthMajor ? k : outer;
  int64_t length = source.isDepthMajor ? depth : source.width;
  Value place = kernel.add(
      kernel.mul(swizzle(source, row, div(at, chunk)), kernel.index(chunk)),
      rem(at, chunk));
  return kernel.add(kernel.mul(row, kernel.index(length)), place);
}

Source MmaEmitter::makeSource(unsigned operand, Value firstOuter,
                              ArrayRef<unsigned> outerDims) {
  Source source;
  source.type =
      cast<MemRefType>(op.getMapped()[operand].getType()).getElementType();
  source.width = operand == 0 ? tile.rows : tile.columns;
  source.isDepthFast = nest.isDepthFast(operand);
  source.isDepthMajor = source.isDepthFast || bytes == 1;
  source.buffer = nest.flatten(operand);
  unsigned fastDim = source.isDepthFast ? nest.sums.back() : outerDims.back();
  source.vector = nest.chooseVector(
      operand, fastDim, kChunkBytes * 8 / source.type.getIntOrFloatBitWidth());
  int64_t fast = source.isDepthFast ? depth : source.width;
  source.isAsync = source.type == type && source.vector == chunk &&
                   source.isDepthFast == source.isDepthMajor;
  source.pointer = memref::ReinterpretCastOp::create(
      b, MemRefType::get({1}, source.type), source.buffer, /*offset=*/0,
      ArrayRef<int64_t>{1}, ArrayRef<int64_t>{1});

  int64_t total = elements(source) / source.vector;
  int64_t perRow = fast / source.vector;
  source.isPartial = total < kThreads;
  int64_t count = llvm::divideCeil(total, kThreads);
  Value thread = kernel.thread();
  Value inner = kernel.mul(rem(thread, perRow), kernel.index(source.vector));
  Value other = div(thread, perRow);
  Value last =
      kernel.add(operand == 0 ? block.rowCount : block.columnCount,
                 kernel.index(source.isDepthFast ? -1 : -source.vector));
  bool isRagged = nest.isRagged(outerDims, source.width);
  Value known; // all copies of the thread may be at one row or column
  for (int64_t i = 0; i < count; ++i) {
    Value moved = kernel.add(other, kernel.index(i * (kThreads / perRow)));
    source.outer.push_back(source.isDepthFast ? moved : inner);
    source.k.push_back(source.isDepthFast ? inner : moved);
    source.places.push_back(
        placeOf(source, source.outer.back(), source.k.back()));
    if (!source.isDepthFast && known) {
      source.starts.push_back(known);
      continue;
    }
    Value position = kernel.add(firstOuter, source.outer.back());
    // What lies behind the end is read somewhere inside and never stored.
    if (isRagged)
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

Value MmaEmitter::offsetOfSum(unsigned operand, Value k) {
  SmallVector<Value> at(op.getNumDims());
  for (auto [dim, value] :
       llvm::zip(nest.sums, kernel.coordinates(k, nest.extentsOf(nest.sums))))
    at[dim] = value;
  return nest.offsetOf(operand, at);
}

/// The thread's elements of the part that begins at `firstK`, as they are kept
/// in shared memory; 0 behind the end. One value a copy.
SmallVector<Value> MmaEmitter::load(Source &source, unsigned operand,
                                    Value firstK) {
  SmallVector<Value> values;
  Value last = kernel.add(
      block.sumCount, kernel.index(source.isDepthFast ? -source.vector : -1));
  Value offset, isInside;
  for (auto [start, place] : llvm::zip(source.starts, source.k)) {
    if (!offset || !source.isDepthFast) {
      Value k = kernel.add(firstK, place);
      isInside = kernel.isLess(k, block.sumCount);
      offset = offsetOfSum(operand, kernel.min(k, last));
    }
    Value at = kernel.add(start, offset), value;
    Type kept = type;
    if (source.vector == 1) {
      value = memref::LoadOp::create(b, source.buffer, at);
    } else {
      value = vector::LoadOp::create(
          b, VectorType::get({source.vector}, source.type), source.buffer,
          ValueRange{at}, /*nontemporal=*/false, llvm::MaybeAlign(kChunkBytes));
      kept = VectorType::get({source.vector}, type);
    }
    if (kept != value.getType())
      value = arith::TruncFOp::create(b, kept, value);
    // The last parts are loaded beyond the end, too.
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(kept));
    values.push_back(arith::SelectOp::create(b, isInside, value, zero));
  }
  return values;
}

void MmaEmitter::put(Source &source, ValueRange values, Value slot) {
  Value base = kernel.mul(slot, kernel.index(elements(source)));
  for (auto [i, value] : llvm::enumerate(values)) {
    Value at = kernel.add(base, source.places[i]);
    if (source.vector > 1 && source.isDepthFast != source.isDepthMajor) {
      // Side by side in memory, and one below the other here.
      for (int64_t j = 0; j < source.vector; ++j)
        memref::StoreOp::create(
            b, vector::ExtractOp::create(b, value, j), source.memory,
            ValueRange{kernel.add(
                base,
                placeOf(source, kernel.add(source.outer[i], kernel.index(j)),
                        source.k[i]))});
    } else if (source.vector == 1)
      memref::StoreOp::create(b, value, source.memory, at);
    else
      vector::StoreOp::create(b, value, source.memory, ValueRange{at},
                              /*nontemporal=*/false,
                              llvm::MaybeAlign(source.vector * bytes));
  }
}

/// Fills a stage: by copies that go on while the threads do, or at once.
void MmaEmitter::copy(Source &source, unsigned operand, Value firstK,
                      Value slot) {
  Value isBusy;
  if (source.isPartial)
    isBusy = kernel.isLess(kernel.thread(),
                           kernel.index(elements(source) / source.vector));
  kernel.when(isBusy, [&] {
    if (!source.isAsync)
      return put(source, load(source, operand, firstK), slot);
    Value base = kernel.mul(slot, kernel.index(elements(source)));
    Value offset, size;
    for (auto [start, place, k] :
         llvm::zip(source.starts, source.places, source.k)) {
      if (!offset || !source.isDepthFast) {
        Value at = kernel.add(firstK, k);
        // Nothing is read behind the end, and zeros are written.
        size = arith::SelectOp::create(
            b, kernel.isLess(at, block.sumCount),
            arith::ConstantIntOp::create(b, kChunkBytes, 32),
            arith::ConstantIntOp::create(b, 0, 32));
        offset = offsetOfSum(operand, at);
      }
      call(("dlc_mma_copy" + Twine(bytes)).str(), {},
           {source.first, kernel.add(base, place), source.pointer,
            kernel.add(start, offset), size});
    }
  });
}

/// Rows or columns `firstOuter` ... + 15 of the terms `firstK` ... of a step,
/// as instructions take them.
Value MmaEmitter::fragment(const Source &source, Value slot, Value firstOuter,
                           int64_t firstK, bool isB) {
  Value which = arith::ConstantIntOp::create(b, isB, 32);
  Type result = VectorType::get({8}, b.getI32Type());
  Value base = kernel.mul(slot, kernel.index(source.width * depth));
  Value low = rem(lane, 16), high = div(lane, 16);
  if (source.isDepthMajor) {
    Value place = placeOf(source, kernel.add(firstOuter, low),
                          kernel.add(kernel.index(firstK),
                                     kernel.mul(high, kernel.index(chunk))));
    return call(getMmaLoad(type, /*isTransposed=*/false), result,
                {source.first, kernel.add(base, place), which});
  }
  if (bytes == 2) {
    Value place = placeOf(
        source, kernel.add(firstOuter, kernel.mul(high, kernel.index(chunk))),
        kernel.add(kernel.index(firstK), low));
    return call(getMmaLoad(type, /*isTransposed=*/true), result,
                {source.first, kernel.add(base, place), which});
  }
  // Elements of 4 bytes cannot be transposed by ldmatrix.
  SmallVector<Value> places;
  for (int64_t i = 0; i < 4; ++i)
    places.push_back(kernel.add(
        base,
        placeOf(source,
                kernel.add(firstOuter,
                           kernel.add(div(lane, 4), kernel.index(i % 2 * 8))),
                kernel.add(rem(lane, 4), kernel.index(firstK + i / 2 * 4)))));
  SmallVector<Value> operands{source.first};
  operands.append(places);
  return call(getMmaLoad(type, /*isTransposed=*/true), result, operands);
}

SmallVector<Value> MmaEmitter::multiply(Source &a, Source &c, Value slot,
                                        ValueRange sums) {
  SmallVector<Value> result(sums);
  int64_t terms = 2 * chunk;
  for (int64_t k = 0; k < depth; k += terms) {
    SmallVector<Value> x, y;
    for (int64_t i = 0; i < tile.warpRows; i += kStep)
      x.push_back(
          fragment(a, slot, kernel.add(warpRow, kernel.index(i)), k, false));
    for (int64_t j = 0; j < tile.warpColumns; j += kStep)
      y.push_back(
          fragment(c, slot, kernel.add(warpColumn, kernel.index(j)), k, true));
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t j = 0; j < y.size(); ++j) {
        Value &sum = result[i * y.size() + j];
        sum = call(getMmaMultiply(type, op.getAUnsigned(), op.getBUnsigned()),
                   sum.getType(), {x[i], y[j], sum});
      }
  }
  return result;
}

void MmaEmitter::store(Value firstRow, Value firstColumn, ValueRange sums) {
  Type index = b.getIndexType();
  Value row0 = call("dlc_mma_row", index, {}),
        rowStep = call("dlc_mma_row_step", index, {}),
        column0 = call("dlc_mma_column", index, {}),
        columnStep = call("dlc_mma_column_step", index, {});
  SmallVector<Value> at(op.getNumDims(), kernel.index(0));
  for (auto [dim, value] : llvm::zip(nest.batch, block.batchAt))
    at[dim] = value;
  auto place = [&](ArrayRef<unsigned> dims, Value position) {
    for (auto [dim, value] :
         llvm::zip(dims, kernel.coordinates(position, nest.extentsOf(dims))))
      at[dim] = value;
  };
  bool raggedRows = nest.isRagged(nest.rows, tile.rows);
  bool raggedColumns = nest.isRagged(nest.columns, tile.columns);
  firstRow = kernel.add(kernel.add(firstRow, warpRow), row0);
  firstColumn = kernel.add(kernel.add(firstColumn, warpColumn), column0);
  int64_t across = tile.warpColumns / kStep;
  for (int64_t i = 0; i < tile.warpRows / kStep; ++i)
    for (int64_t half = 0; half < 2; ++half) {
      Value row = kernel.add(firstRow, kernel.index(i * kStep));
      if (half)
        row = kernel.add(row, rowStep);
      kernel.when(
          raggedRows ? kernel.isLess(row, block.rowCount) : Value(), [&] {
            place(nest.rows, row);
            for (int64_t j = 0; j < across; ++j)
              for (int64_t part = 0; part < 2; ++part) {
                Value column = kernel.add(firstColumn, kernel.index(j * kStep));
                if (part)
                  column = kernel.add(column, columnStep);
                for (int64_t one = 0; one < 2; ++one) {
                  Value here = kernel.add(column, kernel.index(one));
                  kernel.when(raggedColumns
                                  ? kernel.isLess(here, block.columnCount)
                                  : Value(),
                              [&] {
                                place(nest.columns, here);
                                nest.store(vector::ExtractOp::create(
                                               b, sums[i * across + j],
                                               4 * part + 2 * half + one),
                                           at);
                              });
                }
              }
          });
    }
}

void MmaEmitter::emit() {
  kernel.grid.threads = kThreads;
  block = nest.placeBlock(tile.rows, tile.columns);
  Value thread = kernel.thread();
  lane = rem(thread, kWarp);
  int64_t across = tile.columns / tile.warpColumns;
  Value warp = div(thread, kWarp);
  warpRow = kernel.mul(div(warp, across), kernel.index(tile.warpRows));
  warpColumn = kernel.mul(rem(warp, across), kernel.index(tile.warpColumns));

  Source a = makeSource(0, block.firstRow, nest.rows);
  Source c = makeSource(1, block.firstColumn, nest.columns);
  if (a.isAsync || c.isAsync)
    stages = 3;
  for (Source *source : {&a, &c}) {
    source->memory = kernel.shared({stages * elements(*source)}, type);
    auto shared = cast<MemRefType>(source->memory.getType());
    source->first = memref::ReinterpretCastOp::create(
        b,
        MemRefType::get({1}, type, MemRefLayoutAttrInterface(),
                        shared.getMemorySpace()),
        source->memory, /*offset=*/0, ArrayRef<int64_t>{1},
        ArrayRef<int64_t>{1});
  }
  // A source that needs registers is loaded before the products and put into
  // shared memory behind them.
  auto isStaged = [](const Source &source) {
    return !source.isAsync && !source.isPartial;
  };
  auto commit = [&] {
    if (a.isAsync || c.isAsync)
      call("dlc_mma_commit", {}, {});
  };

  Value zero = kernel.index(0);
  for (int64_t stage = 0; stage + 1 < stages; ++stage) {
    Value firstK = kernel.index(stage * depth);
    bool isDynamic =
        ShapedType::isDynamic(fixedProduct(nest.extentsOf(nest.sums)));
    // Without terms there is nothing to read.
    kernel.when(isDynamic ? kernel.isLess(zero, block.sumCount) : Value(), [&] {
      copy(a, 0, firstK, kernel.index(stage));
      copy(c, 1, firstK, kernel.index(stage));
    });
    commit();
  }
  auto sumType = VectorType::get({8}, op.getSumType());
  SmallVector<Value> carried(
      tile.warpRows / kStep * tile.warpColumns / kStep,
      arith::ConstantOp::create(b, b.getZeroAttr(sumType)));
  carried.push_back(zero); // the stage to multiply
  SmallVector<Value> results = kernel.loop(
      zero, block.sumCount, depth, carried, [&](Value k, ValueRange values) {
        Value slot = values.back();
        Value isLast = b.createOrFold<arith::CmpIOp>(
            arith::CmpIPredicate::eq, slot, kernel.index(stages - 1));
        Value next = arith::SelectOp::create(b, isLast, zero,
                                             kernel.add(slot, kernel.index(1)));
        Value isFirst =
            b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, slot, zero);
        Value free =
            arith::SelectOp::create(b, isFirst, kernel.index(stages - 1),
                                    kernel.add(slot, kernel.index(-1)));
        if (a.isAsync || c.isAsync)
          call("dlc_mma_wait1", {}, {});
        // All have written this stage, and read the one before it.
        kernel.barrier();
        Value ahead = kernel.add(k, kernel.index((stages - 1) * depth));
        SmallVector<Value> fromA, fromC;
        if (isStaged(a))
          fromA = load(a, 0, ahead);
        else
          copy(a, 0, ahead, free);
        if (isStaged(c))
          fromC = load(c, 1, ahead);
        else
          copy(c, 1, ahead, free);
        commit();
        SmallVector<Value> sums = multiply(a, c, slot, values.drop_back());
        put(a, fromA, free);
        put(c, fromC, free);
        sums.push_back(next);
        return sums;
      });
  store(block.firstRow, block.firstColumn, ValueRange(results).drop_back());
}

bool dlc::emitContractMma(Kernel &kernel, ContractOp op) {
  auto elementOf = [](Value operand) {
    return cast<MemRefType>(operand.getType()).getElementType();
  };
  std::optional<MmaOperands> operands = findMmaOperands(
      elementOf(op.getA()), elementOf(op.getB()), op.getSumType(),
      op.getPrecision(), kernel.capability, op.getContext());
  if (!operands || op.getDot() || !isSeparable(op, 0) || !isSeparable(op, 1))
    return false;
  int64_t rows = guessSize(op, ContractOp::DimKind::Row);
  int64_t columns = guessSize(op, ContractOp::DimKind::Column);
  int64_t sums = guessSize(op, ContractOp::DimKind::Sum);
  static constexpr int64_t fewest = 8;
  if (rows < fewest || columns < fewest || sums < 2 * fewest)
    return false;
  // Large tiles where they are enough to occupy a GPU.
  static constexpr int64_t manyBlocks = 128;
  int64_t blocks = llvm::divideCeil(rows, 128) *
                   llvm::divideCeil(columns, 128) *
                   guessSize(op, ContractOp::DimKind::Batch);
  MmaTile tile = {64, 64, 32, 16};
  if (rows <= 16 || columns <= 16)
    tile = rows <= 16 ? MmaTile{16, 128, 16, 16} : MmaTile{128, 16, 16, 16};
  else if (blocks >= manyBlocks)
    tile = {128, 128, 64, 32};
  kernel.description =
      llvm::formatv("a tile of {0} x {1} a block on tensor cores, {2}",
                    tile.rows, tile.columns, operands->name);
  MmaEmitter(kernel, op, tile, operands->type).emit();
  return true;
}
