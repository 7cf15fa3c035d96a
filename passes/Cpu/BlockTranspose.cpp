// Turns rows into columns by blocks that fit the registers.
#include "passes/Cpu/BlockTranspose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

void dlc::emitLoop(ImplicitLocOpBuilder &b, Value first, Value end,
                   int64_t step, function_ref<void(Value)> body) {
  IndexMath math(b);
  std::optional<int64_t> from = staticIndex(first), to = staticIndex(end);
  if (from && to && *from >= *to)
    return;
  auto loop = scf::ForOp::create(b, first, end, math.constant(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void dlc::transposeVectors(ImplicitLocOpBuilder &b,
                           SmallVectorImpl<Value> &rows) {
  int64_t size = rows.size();
  int64_t length = cast<VectorType>(rows[0].getType()).getNumElements();
  SmallVector<int64_t> low, high;
  for (int64_t part = 0; part < length; part += size)
    for (int64_t i = part; i < part + size / 2; ++i) {
      low.append({i, length + i});
      high.append({size / 2 + i, length + size / 2 + i});
    }
  for (int64_t stage = 1; stage < size; stage *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < size / 2; ++i)
      for (ArrayRef<int64_t> mask : {ArrayRef(low), ArrayRef(high)})
        next.push_back(
            vector::ShuffleOp::create(b, rows[i], rows[i + size / 2], mask));
    rows.assign(next.begin(), next.end());
  }
}

void dlc::emitTransposition(ImplicitLocOpBuilder &b, Value source,
                            const RowOffsets &row, Value stride, Value target,
                            int64_t lanes) {
  IndexMath math(b);
  Type element = getElementTypeOrSelf(source.getType());
  auto type = VectorType::get({lanes}, element);
  Value zero = math.constant(0);
  Value columns = b.createOrFold<memref::DimOp>(target, int64_t(0));
  Value rows = b.createOrFold<memref::DimOp>(target, int64_t(1));
  bool areBooleans = element.isInteger(1);
  bool hasVectors = isStatic(stride, 1);
  emitLoop(b, zero, rows, lanes, [&](Value first) {
    SmallVector<Value> offsets;
    for (int64_t r = 0; r < lanes; ++r)
      offsets.push_back(row(math.add(first, r)));
    auto emitBlock = [&](Value column) {
      SmallVector<Value> block;
      for (Value offset : offsets) {
        Value at = math.add(offset, column);
        block.push_back(
            areBooleans
                ? loadBooleans(b, source, at, lanes, /*mask=*/{})
                : vector::LoadOp::create(b, type, source, ValueRange{at}));
      }
      transposeVectors(b, block);
      for (auto [i, turned] : llvm::enumerate(block))
        vector::StoreOp::create(b, turned, target,
                                ValueRange{math.add(column, i), first});
    };
    Value whole = hasVectors ? math.roundDown(columns, lanes) : zero;
    emitLoop(b, zero, whole, lanes, emitBlock);
    emitLoop(b, whole, columns, 1, [&](Value column) {
      for (auto [r, offset] : llvm::enumerate(offsets)) {
        Value x = memref::LoadOp::create(
            b, source, ValueRange{math.add(offset, math.mul(column, stride))});
        if (areBooleans)
          x = arith::ExtUIOp::create(b, b.getI8Type(), x);
        memref::StoreOp::create(b, x, target,
                                ValueRange{column, math.add(first, r)});
      }
    });
  });
}

std::optional<BlockShape> dlc::chooseBlock(Type element, int64_t vectorBytes,
                                           int64_t rows, int64_t columns) {
  static constexpr int64_t pieceBytes = 16;
  unsigned bits = element.getIntOrFloatBitWidth();
  if (!llvm::is_contained({8u, 16u, 32u, 64u}, bits))
    return std::nullopt;
  int64_t bytes = bits / 8;
  auto holds = [](int64_t size, int64_t least) {
    return ShapedType::isDynamic(size) || size >= least;
  };
  for (; vectorBytes >= pieceBytes; vectorBytes /= 2) {
    BlockShape shape{vectorBytes / bytes, vectorBytes / bytes};
    if (bytes < 4)
      shape.columns = pieceBytes / bytes;
    if (holds(rows, shape.rows) && holds(columns, shape.columns))
      return shape;
  }
  return std::nullopt;
}

void dlc::emitBlockTransposition(
    ImplicitLocOpBuilder &b, const BlockShape &shape, Value source,
    Value target, function_ref<SmallVector<Value>(int64_t)> row,
    function_ref<SmallVector<Value>(int64_t)> column) {
  auto type =
      VectorType::get({shape.columns}, getElementTypeOrSelf(source.getType()));
  // Rows whose columns are parts of one vector stand side by side.
  SmallVector<Value> block(shape.columns);
  for (int64_t r = 0; r < shape.columns; ++r) {
    SmallVector<Value> parts;
    for (int64_t part = r; part < shape.rows; part += shape.columns)
      parts.push_back(vector::LoadOp::create(b, type, source, row(part)));
    for (; parts.size() > 1; parts.resize(parts.size() / 2)) {
      int64_t length = cast<VectorType>(parts[0].getType()).getNumElements();
      auto both = llvm::to_vector(llvm::seq(2 * length));
      for (size_t i = 0; i < parts.size() / 2; ++i)
        parts[i] =
            vector::ShuffleOp::create(b, parts[2 * i], parts[2 * i + 1], both);
    }
    block[r] = parts[0];
  }
  transposeVectors(b, block);
  for (auto [c, turned] : llvm::enumerate(block))
    vector::StoreOp::create(b, turned, target, column(c));
}

void dlc::emitConversion(ImplicitLocOpBuilder &b, Value source, Value target,
                         int64_t lanes) {
  IndexMath math(b);
  auto from = cast<MemRefType>(source.getType());
  Type element = getElementTypeOrSelf(target.getType());
  Value zero = math.constant(0);
  Value rows = b.createOrFold<memref::DimOp>(target, int64_t(0));
  Value columns = b.createOrFold<memref::DimOp>(target, int64_t(1));
  bool hasVectors = from.getStridesAndOffset().first.back() == 1;
  Value whole = hasVectors ? math.roundDown(columns, lanes) : zero;
  emitLoop(b, zero, rows, 1, [&](Value row) {
    emitLoop(b, zero, whole, lanes, [&](Value column) {
      SmallVector<Value> at{row, column};
      Value x = vector::LoadOp::create(
          b, VectorType::get({lanes}, from.getElementType()), source, at);
      x = arith::ExtFOp::create(b, VectorType::get({lanes}, element), x);
      vector::StoreOp::create(b, x, target, at);
    });
    emitLoop(b, whole, columns, 1, [&](Value column) {
      SmallVector<Value> at{row, column};
      Value x = memref::LoadOp::create(b, source, at);
      memref::StoreOp::create(b, arith::ExtFOp::create(b, element, x), target,
                              at);
    });
  });
}
