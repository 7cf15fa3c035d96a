// Attention on the ordinary multiply-add units, for all types and sizes: a tile
// of rows a block, which goes through the keys a tile at a time and keeps the
// scores of this one in shared memory. What it has is scaled whenever a larger
// score is found.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Gpu/EmitAttention.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Of a thread, along both sides of a product.
constexpr int64_t kSide = 4;
/// Terms that are in shared memory at a time.
constexpr int64_t kDepth = 16;
/// Keeps rows of shared memory at 16 bytes and spreads them over the banks.
constexpr int64_t kPadding = 4;

class AttentionTileEmitter {
public:
  /// `size`: rows and keys of a tile; `groups`: of so many columns each.
  AttentionTileEmitter(Kernel &kernel, AttentionOp op, int64_t size,
                       int64_t groups)
      : kernel(kernel), b(kernel.b), nest(kernel, op), size(size),
        groups(groups), scoreType(nest.scoreType()), sumType(nest.sumType()) {}

  void emit();

private:
  using Values = SmallVector<Value>;
  void fill(const TileSource &source, Value firstK, Value memory, Type type);
  Values multiply(Value left, Value firstLeft, Value right, int64_t columns,
                  ValueRange sums);
  Values addScores(Value firstKey);
  void storeScores(Value firstKey, ValueRange sums);
  void weigh();
  Values addValues(Value firstKey, ValueRange sums);
  void store(ValueRange sums);
  Value multiplyAdd(Value x, Value y, Value sum) {
    return math::FmaOp::create(b, x, y, sum);
  }
  Value load(Value memory, ValueRange at) {
    return memref::LoadOp::create(b, memory, at);
  }
  Value larger(Value x, Value y) { return arith::MaximumFOp::create(b, x, y); }

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  AttentionNest nest;
  int64_t size, groups;
  Type scoreType, sumType;
  AttentionNest::Place block;
  Value thread, firstRow, firstOther; // of the thread, in a tile
  // Shared: parts of the operands, [term][row]; the weights, [key][row]; of
  // each row the largest score, the sum, the last scale; parts of these.
  Value left, keys, values, weights, largest, total, scale, parts;
};

} // namespace

/// Brings a part of an operand to shared memory.
void AttentionTileEmitter::fill(const TileSource &source, Value firstK,
                                Value memory, Type type) {
  source.forEach(
      firstK, /*staysInside=*/true, [&](size_t i, Value at, Value isInside) {
        Values run = nest.loadRun(source.buffer, at, source.vector);
        for (auto [j, value] : llvm::enumerate(run)) {
          Value outer = source.outer[i], k = source.k[i];
          Value &moved = source.isDepthFast ? k : outer;
          moved = kernel.add(moved, kernel.index(j));
          memref::StoreOp::create(
              b,
              arith::SelectOp::create(b, isInside, nest.convert(value, type),
                                      nest.floatOf(type, 0)),
              memory, ValueRange{k, outer});
        }
      });
}

/// Adds kDepth terms to sums of 4 rows and `columns` groups of 4.
SmallVector<Value> AttentionTileEmitter::multiply(Value left, Value firstLeft,
                                                  Value right, int64_t columns,
                                                  ValueRange sums) {
  Values result(sums);
  Type type = sums.front().getType();
  for (int64_t k = 0; k < kDepth; ++k) {
    Values x, y;
    for (int64_t i = 0; i < kSide; ++i)
      x.push_back(
          nest.convert(load(left, {kernel.add(firstLeft, kernel.index(k)),
                                   kernel.add(firstRow, kernel.index(i))}),
                       type));
    for (int64_t g = 0; g < columns; ++g)
      for (int64_t j = 0; j < kSide; ++j)
        y.push_back(
            load(right, {kernel.index(k),
                         kernel.add(firstOther, kernel.index(g * size + j))}));
    for (int64_t i = 0; i < kSide; ++i)
      for (size_t j = 0; j < y.size(); ++j) {
        Value &sum = result[i * y.size() + j];
        sum = multiplyAdd(x[i], y[j], sum);
      }
  }
  return result;
}

/// The products of the rows and a tile of keys.
SmallVector<Value> AttentionTileEmitter::addScores(Value firstKey) {
  TileSource q(nest, 0, block.batchAt, nest.rowsOf(block), nest.depthOf(), size,
               kDepth, kernel.grid.threads, /*most=*/4, /*isWhole=*/true);
  TileSource k(nest, 1, block.batchAt, nest.keysOf(block, firstKey),
               nest.depthOf(), size, kDepth, kernel.grid.threads, /*most=*/4,
               /*isWhole=*/true);
  return kernel.loop(kernel.index(0), nest.depthOf().count, kDepth,
                     Values(kSide * kSide, nest.floatOf(scoreType, 0)),
                     [&](Value at, ValueRange sums) {
                       fill(q, at, left, scoreType);
                       fill(k, at, keys, scoreType);
                       kernel.barrier();
                       Values next = multiply(left, kernel.index(0), keys,
                                              /*columns=*/1, sums);
                       kernel.barrier();
                       return next;
                     });
}

void AttentionTileEmitter::storeScores(Value firstKey, ValueRange sums) {
  for (int64_t i = 0; i < kSide; ++i) {
    Value row = kernel.add(firstRow, kernel.index(i));
    Values at(nest.numDims(), kernel.index(0));
    nest.setCoordinates(at, nest.batch, block.batchAt);
    nest.placeRow(at, block, kernel.add(block.firstRow, row), size);
    Values scores =
        nest.makeScores(sums.slice(i * kSide, kSide), at,
                        kernel.add(firstKey, firstOther), block, size);
    for (auto [j, score] : llvm::enumerate(scores))
      memref::StoreOp::create(
          b, score, weights,
          ValueRange{kernel.add(firstOther, kernel.index(j)), row});
  }
}

/// Makes weights of the scores. A few threads share a row.
void AttentionTileEmitter::weigh() {
  int64_t sharers = kernel.grid.threads / size;
  Value row = kernel.rem(thread, size), part = kernel.div(thread, size);
  auto forKeys = [&](Value start,
                     function_ref<Value(Value key, Value sum)> body) {
    return kernel.loop(part, kernel.index(size), sharers, start,
                       [&](Value key, ValueRange sums) -> Values {
                         return {body(key, sums.front())};
                       })[0];
  };
  auto combine = [&](function_ref<Value(Value, Value)> body) {
    Value result = load(parts, {kernel.index(0), row});
    for (int64_t i = 1; i < sharers; ++i)
      result = body(result, load(parts, {kernel.index(i), row}));
    return result;
  };
  Value none =
      nest.floatOf(scoreType, -std::numeric_limits<double>::infinity());
  Value mine = forKeys(none, [&](Value key, Value sum) {
    return larger(sum, load(weights, {key, row}));
  });
  memref::StoreOp::create(b, mine, parts, ValueRange{part, row});
  kernel.barrier();
  Value before = load(largest, row);
  Value now =
      larger(before, combine([&](Value x, Value y) { return larger(x, y); }));
  Value shift = nest.makeShift(now);
  Value factor = nest.exp(arith::SubFOp::create(b, before, shift));
  // All have read what the others found.
  kernel.barrier();
  Value sum = forKeys(nest.floatOf(scoreType, 0), [&](Value key, Value sum) {
    Value weight =
        nest.exp(arith::SubFOp::create(b, load(weights, {key, row}), shift));
    memref::StoreOp::create(b, weight, weights, ValueRange{key, row});
    return arith::AddFOp::create(b, sum, weight);
  });
  memref::StoreOp::create(b, sum, parts, ValueRange{part, row});
  kernel.barrier();
  Value isFirst = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, part,
                                                kernel.index(0));
  kernel.when(isFirst, [&] {
    Value added = combine([&](Value x, Value y) -> Value {
      return arith::AddFOp::create(b, x, y);
    });
    memref::StoreOp::create(b, multiplyAdd(load(total, row), factor, added),
                            total, row);
    memref::StoreOp::create(b, now, largest, row);
    memref::StoreOp::create(b, factor, scale, row);
  });
}

/// Scales what there is and adds the weighted values of a tile of keys.
SmallVector<Value> AttentionTileEmitter::addValues(Value firstKey,
                                                   ValueRange sums) {
  // The scales are there behind the first barrier of the loop.
  TileSource v(nest, 2, block.batchAt, nest.columnsOf(block),
               nest.keysOf(block, Value()), size * groups, kDepth,
               kernel.grid.threads, /*most=*/4, /*isWhole=*/true);
  kernel.barrier();
  Values scaled(sums);
  for (int64_t i = 0; i < kSide; ++i) {
    Value factor = nest.convert(
        load(scale, kernel.add(firstRow, kernel.index(i))), sumType);
    for (int64_t j = 0; j < kSide * groups; ++j) {
      Value &sum = scaled[i * kSide * groups + j];
      sum = arith::MulFOp::create(b, sum, factor);
    }
  }
  return kernel.loop(kernel.index(0), kernel.index(size), kDepth, scaled,
                     [&](Value k, ValueRange inner) {
                       fill(v, kernel.add(firstKey, k), values, sumType);
                       kernel.barrier();
                       Values next =
                           multiply(weights, k, values, groups, inner);
                       kernel.barrier();
                       return next;
                     });
}

void AttentionTileEmitter::store(ValueRange sums) {
  Values at(nest.numDims(), kernel.index(0));
  nest.setCoordinates(at, nest.batch, block.batchAt);
  Value count =
      nest.isRagged(nest.columns, size * groups) ? block.columnCount : Value();
  for (int64_t i = 0; i < kSide; ++i) {
    Value inTile = kernel.add(firstRow, kernel.index(i));
    Value row = kernel.add(block.firstRow, inTile);
    Value isRow = nest.isRagged(nest.rows, size)
                      ? kernel.isLess(row, block.rowCount)
                      : Value();
    kernel.when(isRow, [&] {
      nest.place(at, nest.rows, row);
      Value inverse =
          nest.convert(arith::DivFOp::create(b, nest.floatOf(scoreType, 1),
                                             load(total, inTile)),
                       sumType);
      for (int64_t g = 0; g < groups; ++g) {
        Values run;
        for (int64_t j = 0; j < kSide; ++j)
          run.push_back(arith::MulFOp::create(
              b, sums[(i * groups + g) * kSide + j], inverse));
        nest.storeRun(run, at,
                      kernel.add(kernel.add(block.firstColumn, firstOther),
                                 kernel.index(g * size)),
                      count);
      }
    });
  }
}

void AttentionTileEmitter::emit() {
  int64_t across = size / kSide;
  kernel.grid.threads = across * across;
  kernel.residentBlocks = 2;
  block = nest.placeBlock(size, size * groups);
  thread = kernel.thread();
  firstRow = kernel.mul(kernel.div(thread, across), kernel.index(kSide));
  firstOther = kernel.mul(kernel.rem(thread, across), kernel.index(kSide));
  left = kernel.shared({kDepth, size + kPadding}, scoreType);
  keys = kernel.shared({kDepth, size + kPadding}, scoreType);
  values = kernel.shared({kDepth, size * groups + kPadding}, sumType);
  weights = kernel.shared({size, size + kPadding}, scoreType);
  parts = kernel.shared({kernel.grid.threads / size, size}, scoreType);
  for (Value *memory : {&largest, &total, &scale})
    *memory = kernel.shared({size}, scoreType);
  kernel.when(kernel.isLess(thread, kernel.index(size)), [&] {
    memref::StoreOp::create(
        b, nest.floatOf(scoreType, -std::numeric_limits<double>::infinity()),
        largest, thread);
    memref::StoreOp::create(b, nest.floatOf(scoreType, 0), total, thread);
  });
  kernel.barrier();
  Values sums =
      kernel.loop(kernel.index(0), block.sumCount, size,
                  Values(kSide * kSide * groups, nest.floatOf(sumType, 0)),
                  [&](Value key, ValueRange inner) {
                    storeScores(key, addScores(key));
                    kernel.barrier();
                    weigh();
                    return addValues(key, inner);
                  });
  store(sums);
}

bool dlc::emitAttentionTile(Kernel &kernel, AttentionOp op) {
  bool isWide = false;
  for (Region *region : {&op.getScores(), &op.getEpilogue()})
    isWide |=
        region->front().getArgument(0).getType().getIntOrFloatBitWidth() > 32;
  int64_t size = isWide ? 32 : 64;
  int64_t columns = op.getStaticExtent(op.getDim(AttentionOp::DimKind::Column));
  int64_t groups = ShapedType::isDynamic(columns) || columns > size ? 2 : 1;
  kernel.description =
      llvm::formatv("attention, a tile of {0} rows by {0} keys a block", size);
  AttentionTileEmitter(kernel, op, size, groups).emit();
  return true;
}
