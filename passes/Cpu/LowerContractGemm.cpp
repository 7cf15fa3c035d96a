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
#include "passes/Cpu/ContractEmit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

namespace {
class GemmEmitter {
public:
  GemmEmitter(ContractEmitter &emitter, unsigned dim)
      : e(emitter), loops(emitter.loops), math(emitter.math), dim(dim) {}

  void emit(ArrayRef<unsigned> outer);

private:
  using Offsets = ContractEmitter::Offsets;

  /// Columns that one tile covers.
  struct Columns {
    SmallVector<TileColumn> vectors;
    Value mask; // of the last vector, null if it is full
  };

  void emitRowBlocks(const Offsets &bases);
  void emitColumns(const Offsets &bases, Value firstRow, Value endRow);
  void emitRows(const Offsets &bases, Value firstRow, Value endRow,
                const Columns &columns);
  void emitTile(const Offsets &bases, Value row, int64_t rows,
                const Columns &columns);
  SmallVector<Offsets> getRowOffsets(const Offsets &bases, Value row,
                                     int64_t count);
  Offsets moveToColumn(const Offsets &bases, Value column);
  std::optional<int64_t> getBlockRows();

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim; // the column dimension that vectors run along
  Value rowCount;
  RegisterTile tile{1, 1};
};
} // namespace

void GemmEmitter::emit(ArrayRef<unsigned> outer) {
  rowCount = loops.getExtent(loops.rows, e.b);
  bool regular =
      loops.rows.empty() ||
      (loops.rows.size() == 1 &&
       staticIndex(loops.a().strides[loops.rows.front()]).has_value());
  int64_t panel = loops.b().panelDim == dim ? loops.b().panelWidth : 0;
  tile = chooseTile(e.cpu, e.lanes, staticIndex(rowCount),
                    staticIndex(loops.extents[dim]), panel, regular);
  e.emitLoops(outer, e.getBases(),
              [&](const Offsets &bases) { emitRowBlocks(bases); });
}

/// Rows whose part of A takes half the L2 cache; nothing if all rows do, or
/// the summed extent isn't known.
std::optional<int64_t> GemmEmitter::getBlockRows() {
  std::optional<int64_t> sums =
      staticIndex(loops.getExtent(loops.sums, e.b));
  int64_t bytes = llvm::divideCeil(loops.a().type.getIntOrFloatBitWidth(), 8);
  int64_t rowBytes = std::max<int64_t>(1, sums.value_or(1024) * bytes);
  int64_t rows = std::max<int64_t>(
      tile.rows, e.cpu.l2Bytes / 2 / rowBytes / tile.rows * tile.rows);
  std::optional<int64_t> all = staticIndex(rowCount);
  if (all && *all <= rows + rows / 2)
    return std::nullopt;
  return rows;
}

void GemmEmitter::emitRowBlocks(const Offsets &bases) {
  std::optional<int64_t> block = getBlockRows();
  if (!block)
    return emitColumns(bases, math.constant(0), rowCount);
  e.emitFor(math.constant(0), rowCount, *block, [&](Value first) {
    emitColumns(bases, first, math.min(math.add(first, *block), rowCount));
  });
}

ContractEmitter::Offsets GemmEmitter::moveToColumn(const Offsets &bases,
                                                   Value column) {
  Offsets moved;
  for (auto [operand, base] : llvm::zip_equal(loops.operands, bases)) {
    // Tiles begin at multiples of their width, which divides the panel's; the
    // last one may begin anywhere.
    Value step = math.mul(column, operand.strides[dim]);
    if (operand.panelDim == dim)
      step = math.add(math.mul(math.div(column, operand.panelWidth),
                               operand.panelStride),
                      math.mul(math.rem(column, operand.panelWidth),
                               operand.strides[dim]));
    moved.push_back(math.add(base, step));
  }
  return moved;
}

void GemmEmitter::emitColumns(const Offsets &bases, Value firstRow,
                              Value endRow) {
  Value extent = loops.extents[dim];
  int64_t width = tile.vectors * e.lanes;
  bool masks = e.cpu.hasMasks(e.sumType);
  for (ContractOperand &operand : loops.operands)
    masks &= e.cpu.hasMasks(operand.type);
  auto tileAt = [&](Value column, Columns columns) {
    emitRows(moveToColumn(bases, column), firstRow, endRow, columns);
  };

  Value whole = math.roundDown(extent, width);
  e.emitFor(math.constant(0), whole, width, [&](Value column) {
    tileAt(column, {splitColumns(width, e.lanes, masks), {}});
  });
  if (std::optional<int64_t> count = staticIndex(extent)) {
    if (*count % width == 0)
      return;
    Columns rest{splitColumns(*count % width, e.lanes, masks), {}};
    rest.mask = e.getMask(rest.vectors.back());
    return tileAt(whole, rest);
  }
  // An unknown rest: one vector after the other, the last one masked, or
  // element by element.
  Value full = masks ? extent : math.roundDown(extent, e.lanes);
  if (tile.vectors > 1 || masks)
    e.emitFor(whole, full, e.lanes, [&](Value column) {
      TileColumn vector{0, e.lanes, e.lanes};
      Value mask;
      if (masks)
        mask = vector::CreateMaskOp::create(
            e.b, VectorType::get({e.lanes}, e.b.getI1Type()),
            ValueRange{math.sub(extent, column)});
      tileAt(column, {{vector}, mask});
    });
  if (!masks)
    e.emitFor(full, extent, 1,
              [&](Value column) { tileAt(column, {{{0, 1, 1}}, {}}); });
}

void GemmEmitter::emitRows(const Offsets &bases, Value firstRow, Value endRow,
                           const Columns &columns) {
  // Whole tiles; then the rest in one tile of that size, or if it isn't known
  // in tiles of 4, 2 and 1 rows.
  SmallVector<int64_t> heights{tile.rows};
  if (std::optional<int64_t> rows = staticIndex(rowCount)) {
    if (*rows % tile.rows)
      heights.push_back(*rows % tile.rows);
  } else {
    for (int64_t height = llvm::PowerOf2Ceil(tile.rows) / 2; height > 0;
         height /= 2)
      heights.push_back(height);
  }
  Value row = firstRow;
  for (int64_t height : heights) {
    Value end = math.add(
        row, math.roundDown(math.sub(endRow, row), height));
    e.emitFor(row, end, height,
              [&](Value i) { emitTile(bases, i, height, columns); });
    row = end;
  }
}

/// The operands' offsets for `count` rows from `row` on. A row is a position
/// in the merged row dimensions: the first is divided into indices, the others
/// follow by counting.
SmallVector<ContractEmitter::Offsets>
GemmEmitter::getRowOffsets(const Offsets &bases, Value row, int64_t count) {
  ArrayRef<unsigned> dims = loops.rows;
  SmallVector<Value> index(dims.size());
  Value rest = row;
  for (size_t i = dims.size(); i-- > 1;) {
    index[i] = math.rem(rest, loops.extents[dims[i]]);
    rest = math.div(rest, loops.extents[dims[i]]);
  }
  if (!dims.empty())
    index[0] = rest;

  SmallVector<Offsets> offsets;
  auto append = [&](int64_t inner) {
    Offsets current;
    for (auto [operand, base] : llvm::zip_equal(loops.operands, bases)) {
      Value offset = base;
      for (auto [i, rowDim] : llvm::zip_equal(index, dims))
        offset = math.add(offset, math.mul(i, operand.strides[rowDim]));
      if (inner)
        offset = math.add(
            offset, math.mul(operand.strides[dims.back()], inner));
      current.push_back(offset);
    }
    offsets.push_back(current);
  };
  // Rows of one tile that cannot wrap lie at a constant distance.
  std::optional<int64_t> inner =
      dims.empty() ? std::nullopt : staticIndex(loops.extents[dims.back()]);
  if (dims.size() <= 1 || (inner && *inner % tile.rows == 0)) {
    for (int64_t r = 0; r < count; ++r)
      append(r);
    return offsets;
  }
  for (int64_t r = 0; r < count; ++r) {
    append(0);
    if (r + 1 == count)
      break;
    Value carry = math.constant(1);
    for (size_t i = dims.size(); i-- > 0;) {
      index[i] = math.add(index[i], carry);
      if (i == 0)
        break;
      Value extent = loops.extents[dims[i]];
      Value wraps = arith::CmpIOp::create(e.b, arith::CmpIPredicate::eq,
                                          index[i], extent);
      index[i] = arith::SelectOp::create(e.b, wraps, math.constant(0),
                                         index[i]);
      carry = arith::IndexCastUIOp::create(e.b, e.b.getIndexType(), wraps);
    }
  }
  return offsets;
}

void GemmEmitter::emitTile(const Offsets &bases, Value row, int64_t rows,
                           const Columns &columns) {
  SmallVector<Offsets> offsets = getRowOffsets(bases, row, rows);
  Value bStride = loops.b().strides[dim];
  auto maskOf = [&](size_t v) {
    return v + 1 == columns.vectors.size() ? columns.mask : Value();
  };

  SmallVector<Value> sums;
  for (int64_t r = 0; r < rows; ++r)
    for (const TileColumn &column : columns.vectors)
      sums.push_back(e.zeros(column.width));

  auto step = [&](Value aOffset, Value bOffset, ArrayRef<Value> before) {
    SmallVector<Value> b;
    for (auto [v, column] : llvm::enumerate(columns.vectors))
      b.push_back(e.extend(
          e.loadVector(loops.b(), math.add(bOffset, column.offset), bStride,
                       column, maskOf(v)),
          loops.bUnsigned));
    SmallVector<Value> after(before);
    for (int64_t r = 0; r < rows; ++r) {
      Value a = e.extend(
          e.loadScalar(loops.a(), math.add(offsets[r][0], aOffset)),
          loops.aUnsigned);
      for (size_t v = 0; v < b.size(); ++v) {
        Value &sum = after[r * b.size() + v];
        sum = e.multiplyAdd(e.broadcast(a, columns.vectors[v].width), b[v],
                            sum);
      }
    }
    return after;
  };
  // Some 48 multiply-adds a step hide the loop itself.
  int64_t unroll = std::clamp<int64_t>(
      48 / (rows * int64_t(columns.vectors.size())), 1, 8);
  sums = e.emitSum(0, math.constant(0), bases[1], sums, unroll, step);

  for (int64_t r = 0; r < rows; ++r)
    for (auto [v, column] : llvm::enumerate(columns.vectors)) {
      Offsets at;
      for (auto [operand, offset] : llvm::zip_equal(loops.operands, offsets[r]))
        at.push_back(
            math.add(offset, math.mul(operand.strides[dim], column.offset)));
      e.finish(sums[r * columns.vectors.size() + v], at, dim, column,
               maskOf(v));
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

bool dlc::emitGemm(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
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

  SmallVector<unsigned> outer(loops.batches);
  for (unsigned column : loops.columns)
    if (column != *dim)
      outer.push_back(column);
  GemmEmitter(emitter, *dim).emit(outer);
  return true;
}
