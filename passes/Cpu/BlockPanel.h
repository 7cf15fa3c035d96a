/// \file
/// Many rows times weights of few bits: a part of the summed dimension becomes
/// real once, in a buffer that stays in the caches, and all rows are
/// multiplied with it as with a packed matrix of floats.
#ifndef DLC_PASSES_CPU_BLOCKPANEL_H
#define DLC_PASSES_CPU_BLOCKPANEL_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/Cpu/BlockProductEmit.h"
#include <algorithm>

namespace dlc::block {

/// From so many rows on, that costs less than numbers real in registers.
constexpr int64_t kPanelRows = 8;
/// Of the buffer, which lies on the stack: sums stay in registers for long, and
/// the second cache reads it as fast as it is multiplied.
constexpr int64_t kPanelBytes = 64 * 1024;
struct PanelEmitter {
  BlockProductEmitter &e;
  ImplicitLocOpBuilder &b = e.b;
  IndexMath &math = e.math;
  /// [row, k] and [k, column of the vectors].
  Value a, buffer;
  /// A tile's vectors and rows, and those of the first tile of all, which holds
  /// packed weights and scales besides; smaller register files have no room for
  /// both. Broadcasts of A are cheap in 512 bits.
  int64_t vectors = e.vectors, tileRows = 6, firstRows = 0;

  PanelEmitter(BlockProductEmitter &e, Value rows) : e(e) {
    if (e.vectors < 4 || e.lanes < 16)
      return;
    vectors = 2, tileRows = 14, firstRows = 8;
    if (std::optional<int64_t> known = staticIndex(rows); known && *known == 9)
      firstRows = 9;
  }

  int64_t perGroup() { return kGroup * e.numbers; }
  int64_t columns() { return vectors * e.lanes; }

  /// Groups that are real at a time: those of whole blocks, or a block's part.
  int64_t groupsAtOnce() {
    int64_t most =
        std::max<int64_t>(1, kPanelBytes / (4 * columns() * perGroup()));
    if (most >= e.groups)
      return std::min(most / e.groups, e.blocks) * e.groups;
    int64_t part = e.groups;
    while (part > most && part % 2 == 0)
      part /= 2;
    return part;
  }

  /// Whether rows lie side by side, and the buffer is small enough for a stack.
  bool canEmit() {
    return memref::CollapseShapeOp::isGuaranteedCollapsible(
               cast<MemRefType>(e.a.getType()), rowIndices()) &&
           groupsAtOnce() * perGroup() * columns() * 4 <= kPanelBytes;
  }

  SmallVector<ReassociationIndices> rowIndices() { return {{0}, {1, 2, 3, 4}}; }

  /// In front of the kernel's loops.
  void prepare() { a = memref::CollapseShapeOp::create(b, e.a, rowIndices()); }
  /// Where a thread begins: the buffer is its own. Without threads it is the
  /// function's, so that loops around the kernel do not let the stack grow.
  void allocate() {
    OpBuilder::InsertionGuard guard(b);
    if (!isa<ParallelOp>(b.getInsertionBlock()->getParentOp()))
      b.setInsertionPointToStart(e.getEntry());
    auto type = MemRefType::get({groupsAtOnce() * perGroup(), columns()},
                                b.getF32Type());
    buffer = memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  }

  /// All rows and the columns of a panel.
  void emitPanel(Value panel, Value rows) {
    Value zero = math.constant(0), end = math.constant(e.blocks * e.groups);
    int64_t step = groupsAtOnce();
    e.emitLoop(zero, math.constant(e.width), columns(), [&](Value column) {
      e.emitLoop(zero, end, step, [&](Value first) {
        Value count = math.min(math.sub(end, first), math.constant(step));
        emitFirstTile(panel, first, count, column);
        emitRows(panel, math.mul(first, perGroup()),
                 math.mul(count, perGroup()), column, rows);
      });
    });
  }

  /// The weights of `count` groups from `first`, and any first rows' products
  /// with them, so that instructions for bits and for floats run side by side.
  void emitFirstTile(Value panel, Value first, Value count, Value column) {
    int64_t inBlock = std::min(e.groups, groupsAtOnce());
    SmallVector<Value> rows;
    for (int64_t r = 0; r < firstRows; ++r)
      rows.push_back(math.constant(r));
    SmallVector<Value> sums = loadSums(panel, rows, column);
    sums = emitSums(count, inBlock, sums, [&](Value part, ValueRange before) {
      Value begin = math.add(first, part);
      Value block = math.div(begin, e.groups);
      Value inner = math.sub(begin, math.mul(block, e.groups));
      SmallVector<Value> at, scales, offsets;
      for (int64_t v = 0; v < vectors; ++v) {
        at.push_back(math.add(column, v * e.lanes));
        scales.push_back(e.load(e.scales, {panel, block, at[v]}));
        offsets.push_back(loadOffset(panel, block, at[v], scales[v]));
      }
      return emitSums(
          math.constant(inBlock), 1, before,
          [&](Value group, ValueRange before) {
            SmallVector<Value> next(before), words;
            Value k = math.mul(math.add(part, group), perGroup());
            Value byte = math.add(inner, group);
            for (int64_t v = 0; v < vectors; ++v)
              words.push_back(e.readWords(panel, block, byte, at[v]));
            prefetch(panel, block, byte, column);
            for (int64_t t = 0; t < kGroup; ++t)
              for (int64_t i = 0; i < e.numbers; ++i) {
                Value row = math.add(k, t * e.numbers + i);
                SmallVector<Value> weights;
                for (int64_t v = 0; v < vectors; ++v) {
                  Value q = e.readNumber(words[v], t, i);
                  weights.push_back(toReal(q, scales[v], offsets[v]));
                  vector::StoreOp::create(
                      b, weights[v], buffer,
                      ValueRange{row, math.constant(v * e.lanes)});
                }
                Value from = math.add(math.mul(first, perGroup()), row);
                multiply(rows, from, weights, next);
              }
            return next;
          });
    });
    storeSums(panel, rows, column, sums);
  }

  /// The bytes that are read when the other rows are done with these: by then
  /// the machine has lost track of them.
  void prefetch(Value panel, Value block, Value group, Value column) {
    Value later = math.add(group, groupsAtOnce());
    for (int64_t line = 0; line < columns() * kGroup; line += kLineBytes)
      memref::PrefetchOp::create(
          b, e.bytes,
          ValueRange{panel, block, later,
                     math.add(math.mul(column, kGroup), line)},
          /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
  }

  /// A zero point that is a power of 2 is scaled without an error, so that a
  /// fused multiply-add gives what (q - zero) * scale does.
  bool isExact() {
    return e.fma && e.zero && llvm::isPowerOf2_64(uint64_t(e.zero.getInt()));
  }
  Value loadOffset(Value panel, Value block, Value column, Value scale) {
    if (!e.zero)
      return e.load(e.zeros, {panel, block, column});
    double zero = double(e.zero.getInt());
    Value offset = e.splat(arith::ConstantOp::create(
        b, b.getF32FloatAttr(float(isExact() ? -zero : zero))));
    return isExact() ? Value(arith::MulFOp::create(b, scale, offset)) : offset;
  }
  Value toReal(Value q, Value scale, Value offset) {
    if (isExact())
      return math::FmaOp::create(b, q, scale, offset);
    return arith::MulFOp::create(b, arith::SubFOp::create(b, q, offset), scale);
  }

  /// y += a[rows, k...] * buffer, `count` numbers from `first` on, of the rows
  /// behind the first tile.
  void emitRows(Value panel, Value first, Value count, Value column,
                Value rows) {
    SmallVector<int64_t> heights{tileRows, tileRows / 2, 3, 1};
    // A known number of rows has tiles of like size.
    if (std::optional<int64_t> known = staticIndex(rows)) {
      int64_t rest = *known - firstRows;
      int64_t tiles = std::max<int64_t>(llvm::divideCeil(rest, tileRows), 1);
      int64_t height = std::max<int64_t>(llvm::divideCeil(rest, tiles), 1);
      heights = {height, std::max<int64_t>(rest % height, 1)};
    }
    Value begin = math.constant(firstRows);
    for (int64_t height : heights) {
      Value end =
          math.add(begin, math.roundDown(math.sub(rows, begin), height));
      if (!isStatic(math.sub(end, begin), 0))
        e.emitLoop(begin, end, height, [&](Value row) {
          emitTile(panel, row, height, first, count, column);
        });
      begin = end;
    }
  }

  void emitTile(Value panel, Value row, int64_t height, Value first,
                Value count, Value column) {
    SmallVector<Value> rows;
    for (int64_t r = 0; r < height; ++r)
      rows.push_back(math.add(row, r));
    SmallVector<Value> sums = loadSums(panel, rows, column);
    sums = emitSums(count, 1, sums, [&](Value k, ValueRange before) {
      SmallVector<Value> next(before), weights;
      for (int64_t v = 0; v < vectors; ++v)
        weights.push_back(e.load(buffer, {k, math.constant(v * e.lanes)}));
      multiply(rows, math.add(first, k), weights, next);
      return next;
    });
    storeSums(panel, rows, column, sums);
    emitBarrier();
  }

  /// Keeps LLVM from holding a lone tile's sums in registers through the next
  /// part of k: there are not enough for the first tile's as well.
  void emitBarrier() {
    Value at = memref::ExtractAlignedPointerAsIndexOp::create(b, e.y);
    at = arith::IndexCastOp::create(b, b.getI64Type(), at);
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    LLVM::InlineAsmOp::create(
        b, TypeRange(), LLVM::IntToPtrOp::create(b, pointer, at).getResult(),
        /*asm_string=*/"", /*constraints=*/"r,~{memory}",
        /*has_side_effects=*/true, /*is_align_stack=*/false,
        LLVM::TailCallKind::None, /*asm_dialect=*/nullptr,
        /*operand_attrs=*/nullptr);
  }

  /// sums[row, vector] += a[row, k] * weights[vector]
  void multiply(ArrayRef<Value> rows, Value k, ArrayRef<Value> weights,
                MutableArrayRef<Value> sums) {
    for (auto [r, row] : llvm::enumerate(rows)) {
      Value factor = e.splat(memref::LoadOp::create(b, a, ValueRange{row, k}));
      for (auto [v, weight] : llvm::enumerate(weights)) {
        Value &sum = sums[r * weights.size() + v];
        sum = e.multiplyAdd(factor, weight, sum);
      }
    }
  }

  SmallVector<Value> loadSums(Value panel, ArrayRef<Value> rows, Value column) {
    SmallVector<Value> sums;
    for (Value row : rows)
      for (int64_t v = 0; v < vectors; ++v)
        sums.push_back(
            e.load(e.y, {row, panel, math.add(column, v * e.lanes)}));
    return sums;
  }
  void storeSums(Value panel, ArrayRef<Value> rows, Value column,
                 ArrayRef<Value> sums) {
    for (auto [i, sum] : llvm::enumerate(sums))
      vector::StoreOp::create(
          b, sum, e.y,
          ValueRange{rows[i / vectors], panel,
                     math.add(column, int64_t(i) % vectors * e.lanes)});
  }

  /// A loop from 0 that carries sums.
  SmallVector<Value>
  emitSums(Value count, int64_t step, ValueRange sums,
           function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    if (sums.empty()) {
      e.emitLoop(math.constant(0), count, step,
                 [&](Value i) { body(i, ValueRange()); });
      return {};
    }
    auto loop = scf::ForOp::create(b, math.constant(0), count,
                                   math.constant(step), sums);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(
        b, body(loop.getInductionVar(), loop.getRegionIterArgs()));
    return loop.getResults();
  }
};

} // namespace dlc::block

#endif
