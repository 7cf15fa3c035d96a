// Contractions: a tile of C a block on tensor cores. Parts of A and B go
// through several stages of shared memory.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/ContractTile.h"
#include "passes/Gpu/EmitContract.h"
#include "passes/Gpu/MmaBuilder.h"

using namespace mlir;
using namespace dlc;

namespace {

constexpr int64_t kStep = MmaBuilder::kStep;

class MmaEmitter {
public:
  MmaEmitter(Kernel &kernel, ContractOp op, MmaTile tile, Type type)
      : kernel(kernel), b(kernel.b), op(op), nest(kernel, op),
        mma(kernel, type), tile(tile), depth(4 * mma.chunk) {}

  void emit();

private:
  MmaSource makeSource(unsigned operand);
  /// The fragments of a warp's rows and columns for one step of the part in a
  /// stage.
  SmallVector<Value> loadFragments(const MmaSource &a, const MmaSource &c,
                                   Value slot, int64_t step);
  SmallVector<Value> multiply(ValueRange fragments, ValueRange sums);
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
                 operand == 0 ? tile.rows : tile.columns, depth, tile.threads(),
                 MmaBuilder::kChunkBytes * 8 / bits, /*isWhole=*/false));
}

SmallVector<Value> MmaEmitter::loadFragments(const MmaSource &a,
                                             const MmaSource &c, Value slot,
                                             int64_t step) {
  SmallVector<Value> fragments;
  int64_t k = step * mma.terms();
  for (int64_t i = 0; i < tile.warpRows; i += kStep)
    fragments.push_back(mma.fragment(
        a.shared, slot, kernel.add(warpRow, kernel.index(i)), k, false));
  for (int64_t j = 0; j < tile.warpColumns; j += kStep)
    fragments.push_back(mma.fragment(
        c.shared, slot, kernel.add(warpColumn, kernel.index(j)), k, true));
  return fragments;
}

SmallVector<Value> MmaEmitter::multiply(ValueRange fragments, ValueRange sums) {
  SmallVector<Value> result;
  ValueRange x = fragments.take_front(tile.warpRows / kStep);
  ValueRange y = fragments.drop_front(x.size());
  StringRef name =
      getMmaMultiply(mma.type, op.getAUnsigned(), op.getBUnsigned());
  for (auto [i, row] : llvm::enumerate(x))
    for (auto [j, column] : llvm::enumerate(y)) {
      Value sum = sums[i * y.size() + j];
      result.push_back(mma.call(name, sum.getType(), {row, column, sum}));
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
  kernel.grid.threads = tile.threads();
  block = nest.placeBlock(tile.rows, tile.columns);
  Value thread = kernel.thread();
  int64_t across = tile.columns / tile.warpColumns;
  Value warp = kernel.div(thread, MmaBuilder::kWarp);
  warpRow = kernel.mul(kernel.div(warp, across), kernel.index(tile.warpRows));
  warpColumn =
      kernel.mul(kernel.rem(warp, across), kernel.index(tile.warpColumns));

  MmaSource a = makeSource(0), c = makeSource(1);
  bool isAsync = a.isAsync || c.isAsync;
  stages = isAsync ? tile.stages : 2;
  mma.allocate(a.shared, stages);
  mma.allocate(c.shared, stages);
  // A source that needs registers is loaded before the products and put into
  // shared memory behind them.
  auto isStaged = [](const MmaSource &source) {
    return !source.isAsync && !source.isPartial;
  };
  bool anyStaged = isStaged(a) || isStaged(c);
  auto commit = [&] {
    if (isAsync)
      mma.call("dlc_mma_commit", {}, {});
  };
  // The next stage is there for all, and they have read the one before this.
  auto wait = [&] {
    if (isAsync)
      mma.call(("dlc_mma_wait" + Twine(stages - 2)).str(), {}, {});
    kernel.barrier();
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
  wait();
  // Fragments are loaded a step ahead of the products, but where registers
  // hold what goes to shared memory.
  auto sumType = VectorType::get({8}, op.getSumType());
  size_t numSums = tile.warpRows / kStep * (tile.warpColumns / kStep);
  SmallVector<Value> carried(
      numSums, arith::ConstantOp::create(b, b.getZeroAttr(sumType)));
  if (!anyStaged)
    carried.append(loadFragments(a, c, zero, 0));
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
        SmallVector<Value> sums(values.take_front(numSums));
        SmallVector<Value> fragments(values.drop_front(numSums).drop_back());
        int64_t steps = depth / mma.terms();
        for (int64_t step = 0; step < steps; ++step) {
          SmallVector<Value> following;
          if (anyStaged)
            fragments = loadFragments(a, c, slot, step);
          else if (step + 1 < steps)
            following = loadFragments(a, c, slot, step + 1);
          else {
            wait();
            following = loadFragments(a, c, next, 0);
          }
          sums = multiply(fragments, sums);
          fragments = std::move(following);
        }
        if (anyStaged) {
          mma.put(a, fromA, free);
          mma.put(c, fromC, free);
          wait();
        }
        sums.append(fragments);
        sums.push_back(next);
        return sums;
      });
  store(ValueRange(results).take_front(numSums));
}

bool dlc::emitContractMma(Kernel &kernel, ContractOp op) {
  std::optional<MmaPlan> plan = chooseMmaTile(op, kernel.capability);
  if (!plan)
    return false;
  kernel.description =
      llvm::formatv("a tile of {0} x {1} a block on tensor cores, {2}",
                    plan->tile.rows, plan->tile.columns, plan->operands.name);
  MmaEmitter(kernel, op, plan->tile, plan->operands.type).emit();
  return true;
}
