// Blocks of two row tiles by two column tiles. Their sums are stored, and their
// part of C is computed, among the products of the next block.
#include "passes/Cpu/TileProducts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "passes/Cpu/VectorBody.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

TileProducts::TileProducts(ContractEmitter &emitter, StringRef product,
                           const RowTiles &rows)
    : e(emitter), loops(e.loops), math(e.math), b(e.b), tiles(b, product),
      rowTiles(rows), dim(*loops.b().panelDim), inner(*loops.b().groupDim),
      bytes(loops.b().type.getIntOrFloatBitWidth() / 8),
      groupSize(MatrixTiles::kGroupBytes / bytes) {
  int64_t extent = *staticIndex(loops.extents[inner]);
  int64_t stored = llvm::divideCeil(extent, groupSize);
  // The packing may have made all steps equal by zeros.
  AffineMap map = loops.op.getMap(1);
  for (auto [i, expr] : llvm::enumerate(map.getResults()))
    if (expr == b.getAffineDimExpr(inner).floorDiv(groupSize))
      stored =
          cast<ShapedType>(loops.op->getOperand(1).getType()).getDimSize(i);
  constexpr int64_t kDepth = MatrixTiles::kRowBytes / MatrixTiles::kGroupBytes;
  steps = llvm::divideCeil(stored, kDepth);
  while (stored % steps)
    ++steps;
  groups = stored / steps;
  int64_t present = extent - (steps - 1) * groups * groupSize;
  rest = present == groups * groupSize ? 0 : present;
  allSteps = steps;
  for (unsigned sum : ArrayRef(loops.sums).drop_back())
    allSteps *= *staticIndex(loops.extents[sum]);
}

/// A product of tiles takes 16 cycles, that of a vector of 16 sums of a group
/// half a cycle.
bool TileProducts::isWorthIt() const {
  constexpr int64_t kFewGroups = 48;
  return groups * rowTiles.height.value_or(MatrixTiles::kRows) >= kFewGroups;
}

double TileProducts::getCycles(double rowTiles, double columns) const {
  return rowTiles * columns / MatrixTiles::kColumns * allSteps *
         MatrixTiles::kRows;
}

int64_t TileProducts::getTileBytes() const {
  return allSteps * MatrixTiles::kRows * groups * MatrixTiles::kGroupBytes;
}

/// Whether what a tile of A reads are lines of the cache, if A begins with one,
/// and no other tile of the sum reads them.
bool TileProducts::readsLines() const {
  auto keepsLine = [&](unsigned dim) {
    std::optional<int64_t> stride = staticIndex(loops.a().strides[dim]);
    return stride && *stride * bytes % kLineBytes == 0;
  };
  return loops.sums.size() == 1 && !rest && !loops.a().panelDim &&
         groups * MatrixTiles::kGroupBytes == kLineBytes &&
         llvm::all_of(loops.batches, keepsLine) &&
         llvm::all_of(loops.rows, keepsLine);
}

/// A panel of B is what the next block of rows reads again. Streamed tiles of A
/// leave the L1 cache to it, but a line that two tiles read would come from the
/// L2 cache twice. There, and where no block of rows follows, B is streamed.
void TileProducts::chooseStreams(std::optional<int64_t> unitTiles) {
  this->unitTiles = unitTiles;
  constexpr int64_t kManyBytes = 28 << 10; // of a panel: rows of A come beside
  bool hasOnePair = unitTiles && *unitTiles <= 2;
  int64_t depthBytes = allSteps * groups * MatrixTiles::kGroupBytes;
  streamsA = !hasOnePair && readsLines();
  streamsB = hasOnePair || depthBytes * kWidth >= kManyBytes;
}

void TileProducts::takeMemory(mlir::Block *stack) {
  auto local = [&](int64_t size, Type type) -> Value {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(stack);
    return memref::AllocaOp::create(b, MemRefType::get({size}, type),
                                    b.getI64IntegerAttr(64));
  };
  shapes = local(64, b.getI8Type());
  sums = local(2 * MatrixTiles::kRows * kWidth, e.sumType);
  if (rest)
    rests = local(2 * MatrixTiles::kRows * MatrixTiles::kRowBytes / bytes,
                  loops.a().type);
  Value zero = math.constant(0);
  aStart = getAddress(b, loops.a().buffer, zero, bytes);
  bStart = getAddress(b, loops.b().buffer, zero, bytes);
  isAligned = {};
  if (streamsA) {
    Value first = math.add(aStart, math.mul(loops.a().base, bytes));
    isAligned = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                      math.rem(first, kLineBytes), zero);
  }
}

void TileProducts::emit(const Offsets &bases, Value firstTile, Value endTile,
                        Value firstColumn, Value endColumn) {
  int64_t columns = *staticIndex(loops.extents[dim]);
  int64_t whole = columns / kWidth * kWidth;
  bool hasPairs = !isStatic(math.sub(endTile, firstTile), 1) &&
                  !isStatic(rowTiles.count, 1);
  auto section = [&](int64_t width) {
    Columns made{splitColumns(width, MatrixTiles::kColumns, /*masks=*/true),
                 {}};
    made.mask = e.getMask(made.vectors.back());
    return Section{bases, firstTile, endTile, made, hasPairs};
  };
  if (whole)
    emitSection(section(kWidth), firstColumn,
                math.min(endColumn, math.constant(whole)));
  if (whole == columns)
    return;
  auto emitLast = [&] {
    emitSection(section(columns - whole), math.constant(whole),
                math.constant(columns));
  };
  if (staticIndex(endColumn))
    return emitLast();
  auto branch =
      scf::IfOp::create(b,
                        arith::CmpIOp::create(b, arith::CmpIPredicate::ugt,
                                              endColumn, math.constant(whole)),
                        /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  emitLast();
}

void TileProducts::emitSection(const Section &section, Value firstColumn,
                               Value endColumn) {
  Value zero = math.constant(0);
  SmallVector<Value> state{zero, zero, zero};
  state = e.emitSumLoop(
      firstColumn, endColumn, kWidth, state,
      [&](Value column, ArrayRef<Value> before) {
        return e.emitSumLoop(
            section.firstTile, section.endTile, 2, before,
            [&](Value tile, ArrayRef<Value> before) {
              Block block = emitBlock(section, tile, column,
                                      {before[0], before[1], before[2]});
              return SmallVector<Value>{block.tile, block.column, block.count};
            });
      });
  for (int64_t r = 0; r < 1 + section.hasPairs; ++r)
    for (size_t c = 0; c < section.columns.vectors.size(); ++c)
      tiles.store(MatrixTiles::getC(r, c), getSums(r, c),
                  math.constant(kWidth * 4));
  emitRows(getRows(section, {state[0], state[1], state[2]}), zero,
           2 * MatrixTiles::kRows);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Where the sums of a block lie: rows of the second row tile follow those of
/// the first one.
Value TileProducts::getSums(int64_t r, int64_t c) {
  Value offset = math.add(math.mul(rowTiles.heightValue, r * kWidth),
                          c * MatrixTiles::kColumns);
  return getAddress(b, sums, offset, 4);
}

TileProducts::Block TileProducts::emitBlock(const Section &section, Value tile,
                                            Value column, const Block &before) {
  Rows rows = getRows(section, before);
  Offsets bases = e.move(section.bases, dim, column);
  Place places[2];
  places[0] = rowTiles.getPlace(e, bases, tile);
  if (section.hasPairs)
    places[1] = rowTiles.getPlace(e, bases, math.add(tile, 1));
  this->section = &section;
  last = &rows;
  pair = math.div(math.sub(tile, section.firstTile), 2);
  // The second column tile may be in another panel.
  bOffsets[0] = bases[1];
  bOffsets[1] =
      e.move(section.bases, dim, math.add(column, MatrixTiles::kColumns))[1];
  auto emitAll = [&](int64_t count) {
    blockTiles = count;
    for (int64_t r = 0; r < count; ++r)
      aOffsets[r] = math.add(
          places[r].offsets[0],
          math.mul(places[r].first, loops.a().strides[rowTiles.inner]));
    Value zero = math.constant(0);
    Value row = emitStep(zero, zero, /*isFirst=*/true,
                         /*isRest=*/rest && steps == 1, zero);
    Value isFirst = arith::ConstantOp::create(b, b.getBoolAttr(true));
    emitSums(ArrayRef(loops.sums).drop_back(), zero, zero, isFirst, row);
  };
  Value one = rowTiles.heightValue;
  if (!section.hasPairs) {
    emitAll(1);
    return {tile, column, one};
  }
  Value two = math.mul(one, 2), next = math.add(tile, 1);
  std::optional<int64_t> from = staticIndex(section.firstTile),
                         to = staticIndex(section.endTile);
  if (from && to && (*to - *from) % 2 == 0) {
    emitAll(2);
    return {tile, column, two};
  }
  Value isPair = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, next,
                                       section.endTile);
  auto branch = scf::IfOp::create(b, isPair, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitAll(2);
    b.setInsertionPointToStart(branch.elseBlock());
    emitAll(1);
  }
  return {tile, column, arith::SelectOp::create(b, isPair, two, one)};
}

/// All steps but the first of all. Returns the next row of the last block.
Value TileProducts::emitSums(ArrayRef<unsigned> dims, Value aOffset,
                             Value bOffset, Value isFirst, Value row) {
  if (!dims.empty()) {
    unsigned sum = dims.front();
    return e
        .emitSumLoop(
            math.constant(0), loops.extents[sum], 1, row,
            [&](Value i, ArrayRef<Value> before) {
              Value begins = b.createOrFold<arith::CmpIOp>(
                  arith::CmpIPredicate::eq, i, math.constant(0));
              return SmallVector<Value>{emitSums(
                  dims.drop_front(),
                  math.add(aOffset, math.mul(i, loops.a().strides[sum])),
                  math.add(bOffset, math.mul(i, loops.b().strides[sum])),
                  b.createOrFold<arith::AndIOp>(isFirst, begins),
                  before.front())};
            })
        .front();
  }
  int64_t aStep = groups * groupSize;
  Value bStep = math.mul(loops.b().groupStride, groups);
  auto step = [&](Value k, bool isRest, Value next) {
    return emitStep(math.add(aOffset, math.mul(k, aStep)),
                    math.add(bOffset, math.mul(k, bStep)), /*isFirst=*/false,
                    isRest, next);
  };
  bool isKnown = matchPattern(isFirst, m_One());
  Value start = isKnown ? math.constant(1)
                        : b.createOrFold<arith::SelectOp>(
                              isFirst, math.constant(1), math.constant(0));
  int64_t whole = rest ? steps - 1 : steps;
  row =
      e.emitSumLoop(start, math.constant(whole), 1, row,
                    [&](Value k, ArrayRef<Value> before) {
                      return SmallVector<Value>{step(k, false, before.front())};
                    })
          .front();
  if (!rest || (steps == 1 && isKnown))
    return row;
  Value k = math.constant(steps - 1);
  if (steps > 1)
    return step(k, true, row);
  auto branch =
      scf::IfOp::create(b, row.getType(), isFirst, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, row);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, step(k, true, row));
  return branch.getResult(0);
}

/// The products of a step, and, before those of the first one, the last block's
/// sums to memory. Then some rows of its C; returns the next one.
Value TileProducts::emitStep(Value aOffset, Value bOffset, bool isFirst,
                             bool isRest, Value row) {
  int64_t columnTiles = section->columns.vectors.size();
  Value stride = math.constant(kWidth * 4);
  auto loadA = [&](int64_t r) {
    Value offset = math.add(aOffsets[r], aOffset);
    if (isRest)
      return tiles.load(MatrixTiles::getA(r), copyRest(r, offset),
                        math.constant(MatrixTiles::kRowBytes));
    load(MatrixTiles::getA(r), math.add(aStart, math.mul(offset, bytes)),
         math.mul(loops.a().strides[rowTiles.inner], bytes), streamsA,
         /*streamed=*/false);
  };
  auto loadB = [&](int64_t c) {
    Value offset = math.add(bOffsets[c], bOffset);
    load(MatrixTiles::getB(c), math.add(bStart, math.mul(offset, bytes)),
         math.mul(loops.b().groupStride, bytes), streamsB && !streamsA,
         streamsB);
  };
  auto save = [&](int64_t r, int64_t c) {
    tiles.store(MatrixTiles::getC(r, c), getSums(r, c), stride);
  };
  auto multiply = [&](int64_t r, int64_t c) {
    if (isFirst) {
      save(r, c);
      tiles.clear(MatrixTiles::getC(r, c));
    }
    tiles.multiply(r, c);
  };
  for (int64_t r = 0; r < blockTiles; ++r) {
    loadA(r);
    for (int64_t c = 0; c < columnTiles; ++c) {
      if (r == 0)
        loadB(c);
      multiply(r, c);
    }
  }
  if (isFirst && section->hasPairs && blockTiles == 1)
    for (int64_t c = 0; c < columnTiles; ++c)
      save(1, c);
  prefetch(bOffset);
  int64_t height = rowTiles.height.value_or(MatrixTiles::kRows);
  int64_t most = height * (1 + section->hasPairs);
  return emitRows(*last, row, llvm::divideCeil(most, allSteps));
}

/// A tile, streamed or not as A's rows are aligned.
void TileProducts::load(int64_t tile, Value address, Value stride,
                        bool streamedIfAligned, bool streamed) {
  if (!isAligned || streamedIfAligned == streamed)
    return tiles.load(tile, address, stride, streamed);
  auto branch = scf::IfOp::create(b, isAligned, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  tiles.load(tile, address, stride, streamedIfAligned);
  b.setInsertionPointToStart(branch.elseBlock());
  tiles.load(tile, address, stride, streamed);
}

/// Asks for some of the lines that the same step of the next panel reads: the
/// blocks of rows together ask for all.
void TileProducts::prefetch(Value bOffset) {
  constexpr int64_t kFewPairs = 2, kManyPairs = 16;
  const ContractOperand &operand = loops.b();
  int64_t pairs = unitTiles ? llvm::divideCeil(*unitTiles, 2) : kManyPairs;
  std::optional<int64_t> columns = staticIndex(loops.extents[dim]);
  if (operand.panelWidth != kWidth || pairs < kFewPairs || *columns <= kWidth ||
      section->columns.mask)
    return;
  int64_t lines = groups * kWidth * MatrixTiles::kGroupBytes / kLineBytes;
  int64_t each = llvm::divideCeil(lines, pairs);
  Value next = math.add(math.add(bOffsets[0], bOffset), operand.panelStride);
  for (int64_t i = 0; i < each; ++i) {
    Value line = math.rem(math.add(math.mul(pair, each), i), lines);
    memref::PrefetchOp::create(
        b, operand.buffer,
        ValueRange{math.add(next, math.mul(line, kLineBytes / bytes))},
        /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
  }
}

/// The rest of the sum of row tile `r`, with zeros behind it. Returns the
/// address.
Value TileProducts::copyRest(int64_t r, Value offset) {
  int64_t width = MatrixTiles::kRowBytes / bytes;
  auto type = VectorType::get({width}, loops.a().type);
  Value mask = getConstantMask(b, rest, width);
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value start = math.constant(r * MatrixTiles::kRows * width);
  e.emitFor(math.constant(0), rowTiles.heightValue, 1, [&](Value i) {
    Value from =
        math.add(offset, math.mul(i, loops.a().strides[rowTiles.inner]));
    Value row = vector::MaskedLoadOp::create(b, type, loops.a().buffer,
                                             ValueRange{from}, mask, none);
    vector::StoreOp::create(b, row, rests,
                            ValueRange{math.add(start, math.mul(i, width))});
  });
  return getAddress(b, rests, start, bytes);
}

//===----------------------------------------------------------------------===//
// Epilogues
//===----------------------------------------------------------------------===//

TileProducts::Rows TileProducts::getRows(const Section &section,
                                         const Block &block) {
  Rows rows;
  Offsets bases = e.move(section.bases, dim, block.column);
  rows.places[0] = rowTiles.getPlace(e, bases, block.tile);
  if (section.hasPairs)
    rows.places[1] = rowTiles.getPlace(e, bases, math.add(block.tile, 1));
  rows.count = block.count;
  rows.columns = &section.columns;
  rows.hasPairs = section.hasPairs;
  return rows;
}

/// `count` rows from `first` on, those that there are; returns the next one.
Value TileProducts::emitRows(const Rows &rows, Value first, int64_t count) {
  Value next = math.add(first, count);
  auto loop = scf::ForOp::create(b, first, math.min(next, rows.count),
                                 math.constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  emitRow(rows, loop.getInductionVar());
  return next;
}

void TileProducts::emitRow(const Rows &rows, Value row) {
  Value inTile = row, isSecond;
  if (rows.hasPairs) {
    isSecond = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, row,
                                     rowTiles.heightValue);
    inTile = arith::SelectOp::create(b, isSecond,
                                     math.sub(row, rowTiles.heightValue), row);
  }
  auto choose = [&](Value x, Value y) -> Value {
    if (!isSecond || x == y)
      return x;
    return b.createOrFold<arith::SelectOp>(isSecond, y, x);
  };
  Place place = rows.places[0];
  if (rows.hasPairs) {
    const Place &other = rows.places[1];
    place.first = choose(place.first, other.first);
    place.skipped = choose(place.skipped, other.skipped);
    for (size_t i = 0; i < place.offsets.size(); ++i)
      place.offsets[i] = choose(place.offsets[i], other.offsets[i]);
  }
  OpBuilder::InsertionGuard guard(b);
  Offsets offsets = rowTiles.getRow(e, place, inTile, [&](Value exists) {
    auto branch = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
    b.setInsertionPointToStart(branch.thenBlock());
  });
  auto type = VectorType::get({MatrixTiles::kColumns}, e.sumType);
  const Columns &columns = *rows.columns;
  for (auto [v, column] : llvm::enumerate(columns.vectors)) {
    Value found = vector::LoadOp::create(
        b, type, sums,
        ValueRange{math.add(math.mul(row, kWidth), column.offset)});
    Offsets at;
    for (auto [operand, offset] : llvm::zip_equal(loops.operands, offsets))
      at.push_back(
          math.add(offset, math.mul(operand.strides[dim], column.offset)));
    e.finish(found, at, dim, column,
             v + 1 == columns.vectors.size() ? columns.mask : Value());
  }
}
