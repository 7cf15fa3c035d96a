// Contractions: a tile of C a block on tensor cores. Parts of A and B go
// through several stages of shared memory.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/EmitContract.h"
#include "passes/Gpu/MmaBuilder.h"

using namespace mlir;
using namespace dlc;

namespace {

constexpr int64_t kThreads = 256;
constexpr int64_t kWarp = MmaBuilder::kWarp, kStep = MmaBuilder::kStep;

/// What a block computes, `depth` terms of each sum at a time, and what a warp
/// has of it.
struct MmaTile {
  int64_t rows, columns, warpRows, warpColumns;
};

class MmaEmitter {
public:
  MmaEmitter(Kernel &kernel, ContractOp op, MmaTile tile, Type type)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op),
        mma(kernel, type), tile(tile), depth(4 * mma.chunk) {}

  void emit();

private:
  MmaSource makeSource(unsigned operand);
  SmallVector<Value> multiply(const MmaSource &a, const MmaSource &c,
                              Value slot, ValueRange sums);
  void store(ValueRange sums);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  ContractOp op;
  ContractNest nest;
  MmaBuilder mma;
  MmaTile tile;
  int64_t depth;
  int64_t stages = 2;
  ContractNest::Place block;
  Value warpRow, warpColumn;
};

} // namespace

MmaSource MmaEmitter::makeSource(unsigned operand) {
  int64_t bits = cast<MemRefType>(op.getMapped()[operand].getType())
                     .getElementTypeBitWidth();
  return mma.makeSource(
      TileSource(nest, operand, block.batchAt,
                 operand == 0 ? nest.rowsOf(block) : nest.columnsOf(block),
                 {nest.sums, block.sumCount, Value()},
                 operand == 0 ? tile.rows : tile.columns, depth, kThreads,
                 MmaBuilder::kChunkBytes * 8 / bits, /*isWhole=*/false));
}

SmallVector<Value> MmaEmitter::multiply(const MmaSource &a, const MmaSource &c,
                                        Value slot, ValueRange sums) {
  SmallVector<Value> result(sums);
  for (int64_t k = 0; k < depth; k += mma.terms()) {
    SmallVector<Value> x, y;
    for (int64_t i = 0; i < tile.warpRows; i += kStep)
      x.push_back(mma.fragment(a.shared, slot,
                               kernel.add(warpRow, kernel.index(i)), k, false));
    for (int64_t j = 0; j < tile.warpColumns; j += kStep)
      y.push_back(mma.fragment(
          c.shared, slot, kernel.add(warpColumn, kernel.index(j)), k, true));
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t j = 0; j < y.size(); ++j) {
        Value &sum = result[i * y.size() + j];
        sum = mma.call(
            getMmaMultiply(mma.type, op.getAUnsigned(), op.getBUnsigned()),
            sum.getType(), {x[i], y[j], sum});
      }
  }
  return result;
}

void MmaEmitter::store(ValueRange sums) {
  Type index = b.getIndexType();
  Value firstRow = kernel.add(kernel.add(block.firstRow, warpRow),
                              mma.call("dlc_mma_row", index, {}));
  Value firstColumn = kernel.add(kernel.add(block.firstColumn, warpColumn),
                                 mma.call("dlc_mma_column", index, {}));
  SmallVector<Value> at(op.getNumDims(), kernel.index(0));
  nest.setCoordinates(at, nest.batch, block.batchAt);
  bool raggedRows = nest.isRagged(nest.rows, tile.rows);
  bool raggedColumns = nest.isRagged(nest.columns, tile.columns);
  int64_t across = tile.warpColumns / kStep;
  for (int64_t i = 0; i < tile.warpRows / kStep; ++i) {
    SmallVector<Value> turned;
    for (Value sum : sums.slice(i * across, across))
      turned.push_back(
          mma.call(getMmaTurn(op.getSumType()), sum.getType(), {sum}));
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
  int64_t across = tile.columns / tile.warpColumns;
  Value warp = kernel.div(thread, kWarp);
  warpRow = kernel.mul(kernel.div(warp, across), kernel.index(tile.warpRows));
  warpColumn =
      kernel.mul(kernel.rem(warp, across), kernel.index(tile.warpColumns));

  MmaSource a = makeSource(0), c = makeSource(1);
  if (a.isAsync || c.isAsync)
    stages = 3;
  mma.allocate(a.shared, stages);
  mma.allocate(c.shared, stages);
  // A source that needs registers is loaded before the products and put into
  // shared memory behind them.
  auto isStaged = [](const MmaSource &source) {
    return !source.isAsync && !source.isPartial;
  };
  auto commit = [&] {
    if (a.isAsync || c.isAsync)
      mma.call("dlc_mma_commit", {}, {});
  };

  Value zero = kernel.index(0);
  for (int64_t stage = 0; stage + 1 < stages; ++stage) {
    Value firstK = kernel.index(stage * depth);
    bool isDynamic =
        ShapedType::isDynamic(fixedProduct(nest.extentsOf(nest.sums)));
    // Without terms there is nothing to read.
    kernel.when(isDynamic ? kernel.isLess(zero, block.sumCount) : Value(), [&] {
      mma.copy(a, firstK, kernel.index(stage));
      mma.copy(c, firstK, kernel.index(stage));
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
          mma.call("dlc_mma_wait1", {}, {});
        // All have written this stage, and read the one before it.
        kernel.barrier();
        Value ahead = kernel.add(k, kernel.index((stages - 1) * depth));
        SmallVector<Value> fromA, fromC;
        if (isStaged(a))
          fromA = mma.load(a, ahead);
        else
          mma.copy(a, ahead, free);
        if (isStaged(c))
          fromC = mma.load(c, ahead);
        else
          mma.copy(c, ahead, free);
        commit();
        SmallVector<Value> sums = multiply(a, c, slot, values.drop_back());
        mma.put(a, fromA, free);
        mma.put(c, fromC, free);
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
