// Kernels for contractions whose A and B both move by one element along a
// summed dimension: dot products, a tile of them at a time.
//
//   for batches
//     for tiles of columns, for tiles of rows
//       for vectors of the summed dimension
//         sums[r][c] += A[row r + k] * B[column c + k]
//       C = epilogue(horizontal sums)
//
// For threads the batches and blocks of columns are a grid of units.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Units.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace dlc;

namespace {
class DotEmitter {
public:
  DotEmitter(ContractEmitter &emitter, unsigned dim)
      : e(emitter), loops(emitter.loops), math(emitter.math), dim(dim) {}

  void emit();

private:
  using Offsets = ContractEmitter::Offsets;
  using Sums = ContractEmitter::Sums;

  bool emitForThreads(int64_t height, int64_t width);
  void emitColumns(const Offsets &bases, Value first, Value end, int64_t height,
                   int64_t width);
  /// `rows` hold the offsets of whole elements but for the part of the
  /// columns, which `columns` hold alone.
  void emitTile(ArrayRef<Offsets> rows, ArrayRef<Offsets> columns);
  Sums emitVectors(ArrayRef<Offsets> rows, ArrayRef<Offsets> columns,
                   Value aOffset, Value bOffset, ArrayRef<Value> sums);
  Sums emitStep(ArrayRef<Offsets> rows, ArrayRef<Offsets> columns,
                Value aOffset, Value bOffset, TileColumn vector, Value mask,
                ArrayRef<Value> sums);
  Value sumUp(Value vector);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim; // the summed dimension that vectors run along
};
} // namespace

void DotEmitter::emit() {
  Value rowCount = loops.getExtent(loops.rows, e.b);
  Value columnCount = loops.getExtent(loops.columns, e.b);
  // Sums, the vectors of B and one of A fit the registers.
  bool many = e.cpu.registers >= 32;
  int64_t height =
      std::clamp<int64_t>(staticIndex(rowCount).value_or(4), 1, many ? 4 : 3);
  int64_t width = height >= 3 ? (many ? 4 : 3) : (many ? 8 : 6) / height;
  width =
      std::clamp<int64_t>(staticIndex(columnCount).value_or(width), 1, width);
  if (emitForThreads(height, width))
    return;
  e.emitLoops(loops.batches, e.getBases(), [&](const Offsets &bases) {
    emitColumns(bases, math.constant(0), columnCount, height, width);
  });
}

bool DotEmitter::emitForThreads(int64_t height, int64_t width) {
  if (!e.cpu.threads)
    return false;
  Value rowCount = loops.getExtent(loops.rows, e.b);
  Value columnCount = loops.getExtent(loops.columns, e.b);
  double sums = staticIndex(loops.getExtent(loops.sums, e.b)).value_or(256);
  double rows = staticIndex(rowCount).value_or(16);
  int64_t bBytes = llvm::divideCeil(loops.b().type.getIntOrFloatBitWidth(), 8);
  double perColumn = e.getCycles(rows * sums, sums * bBytes);
  SmallVector<Value> counts;
  double others = 1;
  for (unsigned i : loops.batches) {
    counts.push_back(loops.extents[i]);
    others *= staticIndex(loops.extents[i]).value_or(1);
  }
  int64_t extent = staticIndex(columnCount).value_or(16 * width);
  int64_t block = shrinkBlock(extent, extent, width, others, perColumn);
  Value blocks = e.countBlocks(columnCount, block);
  counts.push_back(blocks);
  bool done = emitUnits(e.b, counts, perColumn * block, [&](const Unit &unit) {
    Offsets bases = e.getBases();
    for (auto [i, index] : llvm::zip(loops.batches, unit.index))
      bases = e.move(bases, i, index);
    Value first = math.mul(unit.index.back(), block);
    Value end = isStatic(blocks, 1)
                    ? columnCount
                    : math.min(math.add(first, block), columnCount);
    emitColumns(bases, first, end, height, width);
  });
  if (done)
    e.description = llvm::formatv(", shared by threads in {0} columns", block);
  return done;
}

void DotEmitter::emitColumns(const Offsets &bases, Value first, Value end,
                             int64_t height, int64_t width) {
  Value rowCount = loops.getExtent(loops.rows, e.b);
  Value columnCount = loops.getExtent(loops.columns, e.b);
  Value zero = math.constant(0);
  e.emitRows(
      first, end, columnCount, width, [&](Value column, int64_t columns) {
        Offsets none(bases.size(), zero);
        SmallVector<Offsets> columnOffsets =
            e.getOffsets(none, loops.columns, column, columns, width);
        e.emitRows(
            zero, rowCount, rowCount, height, [&](Value row, int64_t rows) {
              emitTile(e.getOffsets(bases, loops.rows, row, rows, height),
                       columnOffsets);
            });
      });
}

void DotEmitter::emitTile(ArrayRef<Offsets> rows, ArrayRef<Offsets> columns) {
  SmallVector<unsigned> outerSums;
  for (unsigned sum : loops.sums)
    if (sum != dim)
      outerSums.push_back(sum);
  Sums sums(rows.size() * columns.size(), e.zeros(e.lanes));
  // Without masks, elements that fill no vector are summed beside them.
  std::optional<int64_t> extent = staticIndex(loops.extents[dim]);
  bool hasSingles = !e.hasMasks() && !(extent && *extent % e.lanes == 0);
  if (hasSingles)
    sums.append(rows.size() * columns.size(), e.zeros(1));
  Value zero = math.constant(0);
  sums =
      e.emitSum(outerSums, zero, zero, sums, 1,
                [&](Value aOffset, Value bOffset, ArrayRef<Value> before) {
                  return emitVectors(rows, columns, aOffset, bOffset, before);
                });

  size_t i = 0, count = rows.size() * columns.size();
  for (const Offsets &row : rows)
    for (const Offsets &column : columns) {
      Value sum = sumUp(sums[i]);
      if (hasSingles) {
        Value rest = sumUp(sums[count + i]);
        sum = isa<FloatType>(e.sumType)
                  ? Value(arith::AddFOp::create(e.b, sum, rest))
                  : Value(arith::AddIOp::create(e.b, sum, rest));
      }
      ++i;
      SmallVector<Value> arguments{sum};
      for (size_t o = 2, last = loops.operands.size() - 1; o < last; ++o)
        arguments.push_back(
            e.loadScalar(loops.operands[o], math.add(row[o], column[o])));
      memref::StoreOp::create(e.b, e.emitEpilogue(arguments, 0),
                              loops.c().buffer,
                              ValueRange{math.add(row.back(), column.back())});
    }
}

/// The sum along `dim`: whole vectors, then a masked one or single elements.
ContractEmitter::Sums DotEmitter::emitVectors(ArrayRef<Offsets> rows,
                                              ArrayRef<Offsets> columns,
                                              Value aOffset, Value bOffset,
                                              ArrayRef<Value> sums) {
  size_t count = rows.size() * columns.size();
  Value extent = loops.extents[dim];
  Value whole = math.roundDown(extent, e.lanes);
  Sums vectors(sums.take_front(count)), singles(sums.drop_front(count));
  auto stepOf = [&](TileColumn vector, Value mask) {
    return [&, vector, mask](Value k, ArrayRef<Value> before) {
      return emitStep(rows, columns, math.add(aOffset, k), math.add(bOffset, k),
                      vector, mask, before);
    };
  };
  TileColumn full{0, e.lanes, e.lanes}, single{0, 1, 1};
  vectors = e.emitSumLoop(math.constant(0), whole, e.lanes, vectors,
                          stepOf(full, {}));
  if (e.hasMasks())
    vectors = e.emitSumLoop(
        whole, extent, e.lanes, vectors, [&](Value k, ArrayRef<Value> before) {
          return stepOf(full, e.getMask(math.sub(extent, k), e.lanes))(k,
                                                                       before);
        });
  else if (!singles.empty())
    singles = e.emitSumLoop(whole, extent, 1, singles, stepOf(single, {}));
  vectors.append(singles);
  return vectors;
}

ContractEmitter::Sums DotEmitter::emitStep(ArrayRef<Offsets> rows,
                                           ArrayRef<Offsets> columns,
                                           Value aOffset, Value bOffset,
                                           TileColumn vector, Value mask,
                                           ArrayRef<Value> sums) {
  Value one = math.constant(1);
  SmallVector<Value> right;
  for (const Offsets &column : columns)
    right.push_back(e.extendB(e.loadVector(
        loops.b(), math.add(math.add(rows.front()[1], column[1]), bOffset), one,
        vector, mask)));
  Sums after(sums);
  for (auto [r, row] : llvm::enumerate(rows)) {
    Value left = e.extendA(
        e.loadVector(loops.a(), math.add(row[0], aOffset), one, vector, mask));
    for (size_t c = 0; c < right.size(); ++c) {
      Value &sum = after[r * right.size() + c];
      sum = e.multiplyAdd(left, right[c], sum);
    }
  }
  return after;
}

Value DotEmitter::sumUp(Value vector) {
  auto fastMath = isa<FloatType>(e.sumType) ? arith::FastMathFlags::reassoc
                                            : arith::FastMathFlags::none;
  return vector::ReductionOp::create(e.b, vector::CombiningKind::ADD, vector,
                                     fastMath);
}

bool dlc::emitDot(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
  if (loops.a().panelDim || loops.b().panelDim)
    return false;
  for (unsigned dim : loops.sums)
    if (isStatic(loops.a().strides[dim], 1) &&
        isStatic(loops.b().strides[dim], 1)) {
      DotEmitter(emitter, dim).emit();
      return true;
    }
  return false;
}
