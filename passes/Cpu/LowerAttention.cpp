// dlc.attention with a tile -> products, a softmax and loops over tiles, whose
// scores stay in scratch memory of a thread.
//
//   for batches, for tiles of rows                 // units, which threads share
//     queries[k][r] = Q[r][k]
//     for tiles of keys
//       scores[n][r] = score(sum_k K[n][k] * queries[k][r])
//       most' = max(most, max_n scores), factor = exp(most - most')
//       scores[n][r] = exp(scores[n][r] - most')
//       sum = sum * factor + sum_n scores[n][r]
//       results[r][c] = results[r][c] * factor + sum_n scores[n][r] * V[n][c]
//     C[r][c] = epilogue(results[r][c] / sum)      // with the last tile
//
// With one tile of keys nothing is carried. Vectors run along rows, so that
// keys are read as they lie and no maximum or sum is one across a vector. Few
// rows fill no vectors: their scores lie row by row, and vectors run along keys.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/AttentionSoftmax.h"
#include "passes/Cpu/BlockTranspose.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Buffer/AttentionScratch.h"
#include "passes/Remarks.h"
#include "lib/Codegen/ElementBytes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

namespace {

/// An operand of the op as a flat buffer, with one stride an iteration
/// dimension.
struct Operand {
  ContractOperand flat;
  SmallVector<Value> strides;
};

/// A tile of rows: its place, one number an iteration dimension (null: 0), and
/// its size in the dimension that is split.
struct RowTile {
  SmallVector<Value> position;
  Value splitRows;
};

/// A buffer, and which dimensions of a contraction its own are.
struct Part {
  Value buffer;
  SmallVector<unsigned> dims;
};

class AttentionEmitter {
public:
  AttentionEmitter(AttentionOp op, const CpuIsa &isa)
      : op(op), cpu(isa), b(op.getLoc(), op), math(b), layout(op),
        key(op.getDim(DimKind::Key)), depth(op.getDim(DimKind::Depth)),
        column(op.getDim(DimKind::Column)), lanes(isa.getLanes(layout.type)) {
    cpu.threads = false;
    if (layout.split)
      rowDims.push_back(*layout.split);
    llvm::append_range(rowDims, layout.inner);
  }

  LogicalResult readOperands();
  /// Returns whether threads share the work.
  bool emit(bool threads);

private:
  double getCycles();

  // Memory.
  Value scratch(int64_t offset, Type type, ArrayRef<Value> sizes,
                ArrayRef<int64_t> strides);
  Value view(const Operand &operand, ArrayRef<unsigned> dims,
             ArrayRef<Value> sizes, ArrayRef<Value> position);
  Part rowPart(int64_t offset, int64_t stride, const RowTile &tile,
               std::optional<unsigned> other, Value otherSize,
               int64_t otherStride);
  Part operandPart(unsigned i, const RowTile &tile, ArrayRef<Value> position,
                   unsigned other, Value otherSize);

  // Steps.
  void emitRows(const RowTile &tile);
  void emitTile(const RowTile &tile, Value firstKey, Value keys, bool isLast);
  void packQueries(const RowTile &tile);
  SmallVector<Part> packExtras(const RowTile &tile, Value firstKey, Value keys);
  Value copyKeys(const RowTile &tile, Value firstKey, Value keys);
  void multiplyByKeys(const RowTile &tile, Value firstKey, Value keys);
  void multiplyByValues(const RowTile &tile, Value firstKey, Value keys,
                        bool isLast);
  void createContract(ArrayRef<Part> parts, unsigned dims,
                      function_ref<void(ContractOp)> addBody);
  RowOffsets rowOffsets(const Operand &operand, const RowTile &tile,
                        ArrayRef<Value> position);
  SoftmaxState getState(const RowTile &tile, bool isLast);

  Value rowCount(const RowTile &tile) {
    return math.mul(layout.split ? tile.splitRows : math.constant(1),
                    layout.innerRows);
  }
  /// Rows of whole vectors.
  Value paddedCount(const RowTile &tile) {
    return math.mul(math.div(math.add(rowCount(tile), lanes - 1), lanes),
                    lanes);
  }
  SmallVector<Value> at(const RowTile &tile, Value firstKey) {
    SmallVector<Value> position(tile.position);
    position[key] = firstKey;
    return position;
  }

  AttentionOp op;
  CpuIsa cpu;
  ImplicitLocOpBuilder b;
  IndexMath math;
  AttentionScratch layout;
  unsigned key, depth, column;
  int64_t lanes;
  SmallVector<unsigned> rowDims; // those of a tile
  SmallVector<Operand> operands;
  Value memory; // the scratch of this thread
};

} // namespace

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

LogicalResult AttentionEmitter::readOperands() {
  for (auto [i, value] : llvm::enumerate(op.getMapped())) {
    Operand operand;
    SmallVector<Value> strides;
    if (failed(flatten(value, b, operand.flat, strides)))
      return failure();
    Value zero = math.constant(0);
    operand.flat.base = zero;
    operand.strides.assign(op.getNumDims(), zero);
    for (auto [expr, stride] :
         llvm::zip_equal(op.getMap(i).getResults(), strides)) {
      if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
        Value &total = operand.strides[dim.getPosition()];
        total = math.add(total, stride);
      } else {
        int64_t index = cast<AffineConstantExpr>(expr).getValue();
        operand.flat.base =
            math.add(operand.flat.base, math.mul(stride, index));
      }
    }
    operands.push_back(std::move(operand));
  }
  return success();
}

/// A part of the scratch memory, from byte `offset` on.
Value AttentionEmitter::scratch(int64_t offset, Type type,
                                ArrayRef<Value> sizes,
                                ArrayRef<int64_t> strides) {
  int64_t elements = (layout.size - offset) / getElementBytes(type);
  Value flat =
      memref::ViewOp::create(b, MemRefType::get({elements}, type), memory,
                             math.constant(offset), ValueRange());
  SmallVector<int64_t> shape;
  for (Value size : sizes)
    shape.push_back(staticIndex(size).value_or(ShapedType::kDynamic));
  auto result = MemRefType::get(
      shape, type, StridedLayoutAttr::get(b.getContext(), 0, strides));
  return memref::ReinterpretCastOp::create(
      b, result, flat, b.getIndexAttr(0),
      getAsOpFoldResult(SmallVector<Value>(sizes)),
      getAsIndexOpFoldResult(b.getContext(), strides));
}

/// The dimensions `dims` of an operand, from `position` on.
Value AttentionEmitter::view(const Operand &operand, ArrayRef<unsigned> dims,
                             ArrayRef<Value> sizes, ArrayRef<Value> position) {
  auto metadata =
      memref::ExtractStridedMetadataOp::create(b, operand.flat.buffer);
  Value offset = math.add(metadata.getOffset(), operand.flat.base);
  for (auto [i, stride] : llvm::zip_equal(position, operand.strides))
    if (i)
      offset = math.add(offset, math.mul(i, stride));
  SmallVector<OpFoldResult> strides;
  SmallVector<int64_t> shape, staticStrides;
  for (auto [dim, size] : llvm::zip_equal(dims, sizes)) {
    strides.push_back(getAsOpFoldResult(operand.strides[dim]));
    staticStrides.push_back(
        getConstantIntValue(strides.back()).value_or(ShapedType::kDynamic));
    shape.push_back(staticIndex(size).value_or(ShapedType::kDynamic));
  }
  auto type = MemRefType::get(
      shape, operand.flat.type,
      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic,
                             staticStrides));
  return memref::ReinterpretCastOp::create(
      b, type, metadata.getBaseBuffer(), OpFoldResult(offset),
      getAsOpFoldResult(SmallVector<Value>(sizes)), strides);
}

/// The tile's rows in scratch memory, `stride` elements apart, perhaps with
/// another dimension. Of a contraction over (rows..., the others) where the
/// rows come first.
Part AttentionEmitter::rowPart(int64_t offset, int64_t stride,
                               const RowTile &tile,
                               std::optional<unsigned> other, Value otherSize,
                               int64_t otherStride) {
  Part part;
  SmallVector<Value> sizes;
  SmallVector<int64_t> strides;
  int64_t inner = layout.innerRows;
  for (auto [i, dim] : llvm::enumerate(rowDims)) {
    part.dims.push_back(i);
    if (layout.split == dim) {
      sizes.push_back(tile.splitRows);
    } else {
      int64_t extent = op.getStaticExtent(dim);
      inner /= extent;
      sizes.push_back(math.constant(extent));
    }
    strides.push_back(inner * stride);
  }
  if (other) {
    part.dims.push_back(*other);
    sizes.push_back(otherSize);
    strides.push_back(otherStride);
  }
  part.buffer = scratch(offset, layout.type, sizes, strides);
  return part;
}

/// What an operand has of the tile's rows and of one more dimension, `other`,
/// which is that behind the rows in a contraction.
Part AttentionEmitter::operandPart(unsigned i, const RowTile &tile,
                                   ArrayRef<Value> position, unsigned other,
                                   Value otherSize) {
  Part part;
  AffineMap map = op.getMap(i);
  SmallVector<unsigned> dims;
  SmallVector<Value> sizes;
  for (auto [n, dim] : llvm::enumerate(rowDims))
    if (map.isFunctionOfDim(dim)) {
      dims.push_back(dim);
      sizes.push_back(layout.split == dim
                          ? tile.splitRows
                          : math.constant(op.getStaticExtent(dim)));
      part.dims.push_back(n);
    }
  if (map.isFunctionOfDim(other)) {
    dims.push_back(other);
    sizes.push_back(otherSize);
    part.dims.push_back(rowDims.size());
  }
  part.buffer = view(operands[i], dims, sizes, position);
  return part;
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

/// Where the rows of a tile begin in an operand; behind the last row, that one.
RowOffsets AttentionEmitter::rowOffsets(const Operand &operand,
                                        const RowTile &tile,
                                        ArrayRef<Value> position) {
  Value base = operand.flat.base;
  for (auto [i, stride] : llvm::zip_equal(position, operand.strides))
    if (i)
      base = math.add(base, math.mul(i, stride));
  Value last = math.sub(rowCount(tile), math.constant(1));
  return [this, &operand, base, last](Value row) {
    Value rest = math.min(row, last), offset = base;
    for (unsigned dim : llvm::reverse(layout.inner)) {
      int64_t extent = op.getStaticExtent(dim);
      offset = math.add(
          offset, math.mul(math.rem(rest, extent), operand.strides[dim]));
      rest = math.div(rest, extent);
    }
    if (layout.split)
      offset = math.add(offset, math.mul(rest, operand.strides[*layout.split]));
    return offset;
  };
}

void AttentionEmitter::packQueries(const RowTile &tile) {
  const Operand &q = operands[0];
  Value size = math.constant(op.getStaticExtent(depth));
  emitTransposition(b, q.flat.buffer, rowOffsets(q, tile, tile.position),
                    q.strides[depth],
                    scratch(layout.queries, q.flat.type,
                            {size, paddedCount(tile)}, {layout.paddedRows, 1}),
                    lanes);
}

/// The score extras for a product over (keys, rows).
SmallVector<Part> AttentionEmitter::packExtras(const RowTile &tile,
                                               Value firstKey, Value keys) {
  SmallVector<Part> parts;
  SmallVector<Value> position = at(tile, firstKey);
  Value rows = paddedCount(tile);
  for (auto [i, offset] : llvm::enumerate(layout.extras)) {
    const Operand &extra = operands[3 + i];
    bool hasKeys = op.getScoreExtraMap(i).isFunctionOfDim(key);
    Part part;
    if (hasKeys)
      part.dims.push_back(0);
    if (offset < 0) {
      part.buffer = view(extra, hasKeys ? ArrayRef{key} : ArrayRef<unsigned>(),
                         hasKeys ? ArrayRef{keys} : ArrayRef<Value>(), position);
      parts.push_back(part);
      continue;
    }
    part.dims.push_back(1);
    emitTransposition(
        b, extra.flat.buffer, rowOffsets(extra, tile, position),
        extra.strides[key],
        scratch(offset, extra.flat.type,
                {hasKeys ? keys : math.constant(1), rows},
                {layout.paddedRows, 1}),
        lanes);
    part.buffer = hasKeys ? scratch(offset, extra.flat.type, {keys, rows},
                                    {layout.paddedRows, 1})
                          : scratch(offset, extra.flat.type, {rows}, {1});
    parts.push_back(part);
  }
  return parts;
}

/// Keys as the scores' type, so that no product converts one again.
Value AttentionEmitter::copyKeys(const RowTile &tile, Value firstKey,
                                 Value keys) {
  int64_t elements = op.getStaticExtent(depth);
  Value size = math.constant(elements);
  Value source =
      view(operands[1], {key, depth}, {keys, size}, at(tile, firstKey));
  if (layout.keysCopy < 0)
    return source;
  Value target =
      scratch(layout.keysCopy, layout.type, {keys, size}, {elements, 1});
  emitConversion(b, source, target, lanes);
  return target;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A contraction of A, B, the extras and C.
void AttentionEmitter::createContract(ArrayRef<Part> parts, unsigned dims,
                                      function_ref<void(ContractOp)> addBody) {
  SmallVector<AffineMap> maps;
  SmallVector<Value> extras;
  for (const Part &part : parts) {
    maps.push_back(AffineMap::getMultiDimMapWithTargets(dims, part.dims,
                                                        b.getContext()));
    extras.push_back(part.buffer);
  }
  auto contract = ContractOp::create(
      b, Type(), parts[0].buffer, parts[1].buffer,
      ArrayRef(extras).drop_front(2).drop_back(), parts.back().buffer,
      /*scratch=*/Value(), b.getAffineMapArrayAttr(maps), /*aUnsigned=*/false,
      /*bUnsigned=*/false, WinogradAttr(), DotAttr(), op.getPrecisionAttr());
  addBody(contract);
  lowerContract(contract, cpu);
}

/// scores = score(keys * queries)
void AttentionEmitter::multiplyByKeys(const RowTile &tile, Value firstKey,
                                      Value keys) {
  Value size = math.constant(op.getStaticExtent(depth));
  auto addBody = [&](ContractOp contract) {
    IRMapping mapping;
    op.getScores().cloneInto(&contract.getEpilogue(), mapping);
  };
  SmallVector<Part> parts;
  if (!layout.byRows) {
    // (key, row, depth)
    Value rows = paddedCount(tile);
    parts.push_back({copyKeys(tile, firstKey, keys), {0, 2}});
    parts.push_back({scratch(layout.queries, operands[0].flat.type,
                             {size, rows}, {layout.paddedRows, 1}),
                     {2, 1}});
    llvm::append_range(parts, packExtras(tile, firstKey, keys));
    parts.push_back({scratch(layout.scores, layout.type, {keys, rows},
                             {layout.paddedRows, 1}),
                     {0, 1}});
    return createContract(parts, 3, addBody);
  }
  // (rows..., key, depth)
  unsigned rank = rowDims.size();
  SmallVector<Value> position = at(tile, firstKey);
  parts.push_back(operandPart(0, tile, position, depth, size));
  parts.back().dims.back() = rank + 1;
  parts.push_back({view(operands[1], {key, depth}, {keys, size}, position),
                   {rank, rank + 1}});
  for (unsigned i = 0; i < layout.extras.size(); ++i)
    parts.push_back(operandPart(3 + i, tile, position, key, keys));
  parts.push_back(
      rowPart(layout.scores, layout.paddedKeys, tile, rank, keys, 1));
  createContract(parts, rank + 2, addBody);
}

/// results = results * factor + weights * values; with the last keys
/// C = epilogue((results * factor + weights * values) * inverse).
void AttentionEmitter::multiplyByValues(const RowTile &tile, Value firstKey,
                                        Value keys, bool isLast) {
  // (rows..., column, key)
  unsigned rank = rowDims.size();
  Type type = layout.type;
  int64_t count = op.getStaticExtent(column);
  Value columns = math.constant(count);
  SmallVector<Part> parts;
  parts.push_back(layout.byRows
                      ? rowPart(layout.scores, layout.paddedKeys, tile,
                                rank + 1, keys, 1)
                      : rowPart(layout.scores, 1, tile, rank + 1, keys,
                                layout.paddedRows));
  parts.push_back({view(operands[2], {key, column}, {keys, columns},
                        at(tile, firstKey)),
                   {rank + 1, rank}});
  SmallVector<Type> types{type};
  auto addRows = [&](int64_t offset) {
    parts.push_back(rowPart(offset, 1, tile, std::nullopt, Value(), 0));
    types.push_back(type);
  };
  auto results = [&] {
    return rowPart(layout.results, count, tile, rank, columns, 1);
  };
  if (layout.hasTiles) {
    parts.push_back(results());
    types.push_back(type);
    addRows(layout.factor);
  }
  unsigned first = 3 + op.getScoreExtras().size(), last = operands.size() - 1;
  if (isLast) {
    addRows(layout.inverse);
    for (unsigned i = first; i <= last; ++i)
      parts.push_back(operandPart(i, tile, tile.position, column, columns));
  } else {
    parts.push_back(results());
  }
  createContract(parts, rank + 2, [&](ContractOp contract) {
    Block *from = &op.getEpilogue().front();
    if (isLast)
      for (BlockArgument argument : from->getArguments().drop_front())
        types.push_back(argument.getType());
    OpBuilder::InsertionGuard guard(b);
    Block *body =
        b.createBlock(&contract.getEpilogue(), {}, types,
                      SmallVector<Location>(types.size(), op.getLoc()));
    Value sum = body->getArgument(0);
    unsigned next = 1;
    if (layout.hasTiles) {
      Value scaled = arith::MulFOp::create(b, body->getArgument(1),
                                           body->getArgument(2));
      sum = arith::AddFOp::create(b, scaled, sum);
      next = 3;
    }
    if (!isLast) {
      YieldOp::create(b, sum);
      return;
    }
    IRMapping mapping;
    mapping.map(from->getArgument(0),
                Value(arith::MulFOp::create(b, sum, body->getArgument(next))));
    for (BlockArgument argument : from->getArguments().drop_front())
      mapping.map(argument,
                  body->getArgument(next + argument.getArgNumber()));
    for (Operation &inner : *from)
      b.clone(inner, mapping);
  });
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

SoftmaxState AttentionEmitter::getState(const RowTile &tile, bool isLast) {
  Value rows = layout.byRows ? rowCount(tile) : paddedCount(tile);
  auto numbers = [&](int64_t offset) {
    return scratch(offset, layout.type, {rows}, {1});
  };
  SoftmaxState state;
  state.rows = rows;
  state.lanes = lanes;
  state.group = cpu.registers >= 32 ? 4 : 2;
  state.sum = numbers(layout.sum);
  if (layout.hasTiles) {
    state.most = numbers(layout.most);
    state.factor = numbers(layout.factor);
  }
  if (isLast) {
    state.inverse = numbers(layout.inverse);
    if (ShapedType::isDynamic(op.getStaticExtent(key)))
      state.isEmpty =
          arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                op.createExtent(b, key), math.constant(0));
  }
  return state;
}

void AttentionEmitter::emitTile(const RowTile &tile, Value firstKey, Value keys,
                                bool isLast) {
  multiplyByKeys(tile, firstKey, keys);
  SoftmaxState state = getState(tile, isLast);
  if (layout.byRows) {
    Value padded = math.mul(
        math.div(math.add(keys, lanes - 1), lanes), lanes);
    emitSoftmaxByRows(b, state,
                      scratch(layout.scores, layout.type, {state.rows, padded},
                              {layout.paddedKeys, 1}),
                      keys);
  } else {
    emitSoftmaxByKeys(b, state,
                      scratch(layout.scores, layout.type, {keys, state.rows},
                              {layout.paddedRows, 1}));
  }
  multiplyByValues(tile, firstKey, keys, isLast);
}

void AttentionEmitter::emitRows(const RowTile &tile) {
  if (!layout.byRows)
    packQueries(tile);
  Value keys = op.createExtent(b, key), zero = math.constant(0);
  if (!layout.hasTiles)
    return emitTile(tile, zero, keys, /*isLast=*/true);
  emitSoftmaxStart(b, getState(tile, false));
  Value columns = math.constant(op.getStaticExtent(column));
  emitZeros(b, scratch(layout.results, layout.type,
                       {math.mul(rowCount(tile), columns)}, {1}),
            lanes);
  // The last tile has 1 or more keys, or there are none.
  int64_t size = layout.tileKeys;
  Value last = math.roundDown(
      math.sub(math.max(keys, math.constant(1)), math.constant(1)), size);
  if (!isStatic(last, 0)) {
    auto loop = scf::ForOp::create(b, zero, last, math.constant(size));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitTile(tile, loop.getInductionVar(), math.constant(size),
             /*isLast=*/false);
  }
  emitTile(tile, last, math.sub(keys, last), /*isLast=*/true);
}

/// Of a tile of rows.
double AttentionEmitter::getCycles() {
  auto extent = [&](unsigned dim, int64_t otherwise) {
    int64_t known = op.getStaticExtent(dim);
    return double(ShapedType::isDynamic(known) ? otherwise : known);
  };
  double scores = layout.rows() * extent(key, 256);
  return scores * (extent(depth, 64) + extent(column, 64) + 20) / lanes;
}

bool AttentionEmitter::emit(bool threads) {
  SmallVector<unsigned> outer = op.getDims(DimKind::Batch);
  llvm::append_range(outer, layout.outer);
  SmallVector<Value> counts;
  for (unsigned dim : outer)
    counts.push_back(op.createExtent(b, dim));
  Value extent = layout.split ? op.createExtent(b, *layout.split)
                              : math.constant(1);
  int64_t block = layout.splitRows;
  counts.push_back(math.div(math.add(extent, block - 1), block));

  auto emitUnit = [&](ArrayRef<Value> index) {
    RowTile tile;
    tile.position.resize(op.getNumDims());
    for (auto [dim, i] : llvm::zip(outer, index))
      tile.position[dim] = i;
    if (!layout.split)
      return emitRows(tile);
    Value first = math.mul(index.back(), block);
    tile.position[*layout.split] = first;
    tile.splitRows = math.constant(block);
    std::optional<int64_t> known = staticIndex(extent);
    if (known && *known % block == 0)
      return emitRows(tile);
    RowTile rest = tile;
    rest.splitRows = known ? math.constant(*known % block)
                           : math.sub(extent, first);
    if (known && *known < block)
      return emitRows(rest);
    // Whole tiles, and the last one.
    Value isWhole = arith::CmpIOp::create(
        b, arith::CmpIPredicate::sle, math.add(first, block), extent);
    auto branch = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitRows(tile);
    b.setInsertionPointToStart(branch.elseBlock());
    emitRows(rest);
  };
  bool shared = threads && emitUnits(b, counts, getCycles(),
                                     [&](const Unit &unit) {
                                       memory = ScratchOp::create(
                                           b, op.getScratch(), unit.own);
                                       emitUnit(unit.index);
                                     });
  if (shared)
    return true;
  memory = op.getScratch();
  SmallVector<Value> index;
  std::function<void()> emitLoops = [&] {
    if (index.size() == counts.size())
      return emitUnit(index);
    Value count = counts[index.size()];
    if (isStatic(count, 1)) {
      index.push_back(math.constant(0));
      emitLoops();
      index.pop_back();
      return;
    }
    auto loop =
        scf::ForOp::create(b, math.constant(0), count, math.constant(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    index.push_back(loop.getInductionVar());
    emitLoops();
    index.pop_back();
  };
  emitLoops();
  return false;
}

LogicalResult dlc::lowerAttention(AttentionOp op, const CpuIsa &isa) {
  AttentionEmitter emitter(op, isa);
  if (failed(emitter.readOperands()))
    return op.emitError("expected operands of linear layouts");
  bool shared = emitter.emit(isa.threads);
  AttentionScratch layout(op);
  remarkDone(op.getLoc(), "dlc-lower-contract")
      << remark::add("kernel: attention, {0} queries by {1} keys at a time{2}{3}",
                     layout.rows(), layout.tileKeys,
                     layout.byRows ? ", vectors of keys" : "",
                     shared ? ", shared by threads" : "");
  markVectorCode(op);
  op.erase();
  return success();
}
