// Contractions: a tile of C a block on tensor cores. Parts of A and B go
// through several stages of shared memory, whose chunks of 16 bytes are
// swizzled so that accesses of a warp reach all banks.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/ContractSource.h"
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
struct Source : ContractSource {
  using ContractSource::ContractSource;
  bool isDepthMajor;         // in shared memory
  bool isAsync;              // copied without registers
  Value pointer;             // to memory, of one element
  Value memory, first;       // shared, of all stages; of one element
  SmallVector<Value> places; // of the loads, in a stage

  int64_t elements() const { return width * depth; }
};

class MmaEmitter {
public:
  MmaEmitter(Kernel &kernel, ContractOp op, MmaTile tile, Type type)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op), tile(tile),
        type(type), bytes(type.getIntOrFloatBitWidth() / 8),
        chunk(kChunkBytes / bytes), depth(4 * chunk) {}

  void emit();

private:
  Source makeSource(unsigned operand);
  void makeMemory(Source &source);
  Value placeOf(const Source &source, Value outer, Value k);
  Value swizzle(const Source &source, Value row, Value at);
  SmallVector<Value> load(const Source &source, Value firstK);
  void put(const Source &source, ValueRange values, Value slot);
  void copy(const Source &source, Value firstK, Value slot);
  Value fragment(const Source &source, Value slot, Value firstOuter,
                 int64_t firstK, bool isB);
  SmallVector<Value> multiply(Source &a, Source &c, Value slot,
                              ValueRange sums);
  void store(ValueRange sums);
  Value call(StringRef name, Type result, ValueRange operands);
  Value rem(Value x, int64_t y) { return kernel.rem(x, y); }
  Value div(Value x, int64_t y) { return kernel.div(x, y); }
  Value bitXor(Value x, Value y) { return b.createOrFold<arith::XOrIOp>(x, y); }

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

Source MmaEmitter::makeSource(unsigned operand) {
  int64_t bits = cast<MemRefType>(op.getMapped()[operand].getType())
                     .getElementTypeBitWidth();
  Source source(nest, block, operand, operand == 0 ? tile.rows : tile.columns,
                depth, kThreads, kChunkBytes * 8 / bits, /*isWhole=*/false);
  source.isDepthMajor = source.isDepthFast || bytes == 1;
  source.isAsync = source.type == type && source.vector == chunk &&
                   source.isDepthFast == source.isDepthMajor;
  source.pointer = memref::ReinterpretCastOp::create(
      b, MemRefType::get({1}, source.type), source.buffer, /*offset=*/0,
      ArrayRef<int64_t>{1}, ArrayRef<int64_t>{1});
  for (auto [outer, k] : llvm::zip(source.outer, source.k))
    source.places.push_back(placeOf(source, outer, k));
  return source;
}

/// The shared memory of all stages.
void MmaEmitter::makeMemory(Source &source) {
  source.memory = kernel.shared({stages * source.elements()}, type);
  auto shared = cast<MemRefType>(source.memory.getType());
  source.first = memref::ReinterpretCastOp::create(
      b,
      MemRefType::get({1}, type, MemRefLayoutAttrInterface(),
                      shared.getMemorySpace()),
      source.memory, /*offset=*/0, ArrayRef<int64_t>{1}, ArrayRef<int64_t>{1});
}

/// The thread's elements of the part that begins at `firstK`, as they are kept
/// in shared memory; 0 behind the end. One value a load.
SmallVector<Value> MmaEmitter::load(const Source &source, Value firstK) {
  SmallVector<Value> values;
  // The last parts are loaded beyond the end, too.
  source.forEach(
      firstK, /*staysInside=*/true, [&](size_t, Value at, Value isInside) {
        Value value;
        Type kept = type;
        if (source.vector == 1) {
          value = memref::LoadOp::create(b, source.buffer, at);
        } else {
          value = vector::LoadOp::create(
              b, VectorType::get({source.vector}, source.type), source.buffer,
              ValueRange{at}, /*nontemporal=*/false,
              llvm::MaybeAlign(kChunkBytes));
          kept = VectorType::get({source.vector}, type);
        }
        if (kept != value.getType())
          value = arith::TruncFOp::create(b, kept, value);
        Value zero = arith::ConstantOp::create(b, b.getZeroAttr(kept));
        values.push_back(arith::SelectOp::create(b, isInside, value, zero));
      });
  return values;
}

void MmaEmitter::put(const Source &source, ValueRange values, Value slot) {
  Value base = kernel.mul(slot, kernel.index(source.elements()));
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
void MmaEmitter::copy(const Source &source, Value firstK, Value slot) {
  Value isBusy;
  if (source.isPartial)
    isBusy = kernel.isLess(kernel.thread(),
                           kernel.index(source.elements() / source.vector));
  kernel.when(isBusy, [&] {
    if (!source.isAsync)
      return put(source, load(source, firstK), slot);
    Value base = kernel.mul(slot, kernel.index(source.elements()));
    // Nothing is read behind the end, and zeros are written.
    source.forEach(
        firstK, /*staysInside=*/false, [&](size_t i, Value at, Value isInside) {
          Value size = arith::SelectOp::create(
              b, isInside, arith::ConstantIntOp::create(b, kChunkBytes, 32),
              arith::ConstantIntOp::create(b, 0, 32));
          call(("dlc_mma_copy" + Twine(bytes)).str(), {},
               {source.first, kernel.add(base, source.places[i]),
                source.pointer, at, size});
        });
  });
}

/// Rows or columns `firstOuter` ... + 15 of the terms `firstK` ... of a step,
/// as instructions take them.
Value MmaEmitter::fragment(const Source &source, Value slot, Value firstOuter,
                           int64_t firstK, bool isB) {
  Value which = arith::ConstantIntOp::create(b, isB, 32);
  Type result = VectorType::get({8}, b.getI32Type());
  Value base = kernel.mul(slot, kernel.index(source.elements()));
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

void MmaEmitter::store(ValueRange sums) {
  Type index = b.getIndexType();
  Value firstRow = kernel.add(kernel.add(block.firstRow, warpRow),
                              call("dlc_mma_row", index, {}));
  Value firstColumn = kernel.add(kernel.add(block.firstColumn, warpColumn),
                                 call("dlc_mma_column", index, {}));
  SmallVector<Value> at(op.getNumDims(), kernel.index(0));
  nest.setCoordinates(at, nest.batch, block.batchAt);
  bool raggedRows = nest.isRagged(nest.rows, tile.rows);
  bool raggedColumns = nest.isRagged(nest.columns, tile.columns);
  int64_t across = tile.warpColumns / kStep;
  for (int64_t i = 0; i < tile.warpRows / kStep; ++i) {
    SmallVector<Value> turned;
    for (Value sum : sums.slice(i * across, across))
      turned.push_back(call(getMmaTurn(op.getSumType()), sum.getType(), {sum}));
    Value row = kernel.add(firstRow, kernel.index(i * kStep));
    kernel.when(raggedRows ? kernel.isLess(row, block.rowCount) : Value(), [&] {
      nest.place(at, nest.rows, row);
      for (auto [j, sum] : llvm::enumerate(turned)) {
        SmallVector<Value> run;
        for (int64_t one = 0; one < 8; ++one)
          run.push_back(vector::ExtractOp::create(b, sum, one));
        nest.storeRun(run, at, kernel.add(firstColumn, kernel.index(j * kStep)),
                      raggedColumns ? block.columnCount : Value());
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

  Source a = makeSource(0), c = makeSource(1);
  if (a.isAsync || c.isAsync)
    stages = 3;
  makeMemory(a);
  makeMemory(c);
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
      copy(a, firstK, kernel.index(stage));
      copy(c, firstK, kernel.index(stage));
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
          fromA = load(a, ahead);
        else
          copy(a, ahead, free);
        if (isStaged(c))
          fromC = load(c, ahead);
        else
          copy(c, ahead, free);
        commit();
        SmallVector<Value> sums = multiply(a, c, slot, values.drop_back());
        put(a, fromA, free);
        put(c, fromC, free);
        sums.push_back(next);
        return sums;
      });
  store(ValueRange(results).drop_back());
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
