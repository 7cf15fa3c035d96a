// Products of tiles of attention, and where their operands lie.
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Cpu/AttentionEmitter.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

LogicalResult AttentionEmitter::readOperands() {
  for (auto [i, value] : llvm::enumerate(op.getMapped())) {
    AttentionOperand operand;
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
Value AttentionEmitter::view(const AttentionOperand &operand,
                             ArrayRef<unsigned> dims, ArrayRef<Value> sizes,
                             ArrayRef<Value> position) {
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
  auto type =
      MemRefType::get(shape, operand.flat.type,
                      StridedLayoutAttr::get(
                          b.getContext(), ShapedType::kDynamic, staticStrides));
  return memref::ReinterpretCastOp::create(
      b, type, metadata.getBaseBuffer(), OpFoldResult(offset),
      getAsOpFoldResult(SmallVector<Value>(sizes)), strides);
}

/// The tile's rows in scratch memory, `stride` elements apart, perhaps with
/// other dimensions; of the scores' type, or another. Of a contraction over
/// (rows..., the others) where the rows come first.
ContractPart AttentionEmitter::rowPart(int64_t offset, int64_t stride,
                                       const RowTile &tile,
                                       ArrayRef<PartDim> others, Type type) {
  ContractPart part;
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
  for (const PartDim &other : others) {
    part.dims.push_back(other.dim);
    sizes.push_back(other.size);
    strides.push_back(other.stride);
  }
  part.buffer = scratch(offset, type ? type : layout.type, sizes, strides);
  return part;
}

/// What an operand has of the tile's rows and of one more dimension, `other`,
/// which is that behind the rows in a contraction.
ContractPart AttentionEmitter::operandPart(unsigned i, const RowTile &tile,
                                           ArrayRef<Value> position,
                                           unsigned other, Value otherSize) {
  ContractPart part;
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
RowOffsets AttentionEmitter::rowOffsets(const AttentionOperand &operand,
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
      offset = math.add(offset,
                        math.mul(math.rem(rest, extent), operand.strides[dim]));
      rest = math.div(rest, extent);
    }
    if (layout.split)
      offset = math.add(offset, math.mul(rest, operand.strides[*layout.split]));
    return offset;
  };
}

void AttentionEmitter::packQueries(const RowTile &tile) {
  const AttentionOperand &q = operands[0];
  Value size = math.constant(op.getStaticExtent(depth));
  emitTransposition(b, q.flat.buffer, rowOffsets(q, tile, tile.position),
                    q.strides[depth],
                    scratch(layout.queries, q.flat.type,
                            {size, paddedCount(tile)}, {layout.paddedRows, 1}),
                    lanes);
}

/// The score extras for a product over (keys, rows).
SmallVector<ContractPart>
AttentionEmitter::packExtras(const RowTile &tile, Value firstKey, Value keys) {
  SmallVector<ContractPart> parts;
  SmallVector<Value> position = at(tile, firstKey);
  Value rows = paddedCount(tile);
  for (auto [i, offset] : llvm::enumerate(layout.extras)) {
    const AttentionOperand &extra = operands[3 + i];
    bool hasKeys = op.getScoreExtraMap(i).isFunctionOfDim(key);
    ContractPart part;
    if (hasKeys)
      part.dims.push_back(0);
    if (offset < 0) {
      part.buffer =
          view(extra, hasKeys ? ArrayRef{key} : ArrayRef<unsigned>(),
               hasKeys ? ArrayRef{keys} : ArrayRef<Value>(), position);
      parts.push_back(part);
      continue;
    }
    part.dims.push_back(1);
    bool areBooleans = extra.flat.type.isInteger(1);
    Type type = areBooleans ? b.getI8Type() : extra.flat.type;
    emitTransposition(b, extra.flat.buffer, rowOffsets(extra, tile, position),
                      extra.strides[key],
                      scratch(offset, type,
                              {hasKeys ? keys : math.constant(1), rows},
                              {layout.paddedRows, 1}),
                      lanes);
    part.buffer =
        hasKeys ? scratch(offset, type, {keys, rows}, {layout.paddedRows, 1})
                : scratch(offset, type, {rows}, {1});
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

/// The queries where they lie, for a product over (rows..., key, depth).
ContractPart AttentionEmitter::queryPart(const RowTile &tile) {
  ContractPart part = operandPart(0, tile, tile.position, depth,
                                  math.constant(op.getStaticExtent(depth)));
  part.dims.back() = rowDims.size() + 1;
  return part;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A contraction of A, B, the extras and C.
void AttentionEmitter::createContract(ArrayRef<ContractPart> parts,
                                      unsigned dims, DotAttr dot,
                                      function_ref<void(ContractOp)> addBody) {
  SmallVector<AffineMap> maps;
  SmallVector<Value> extras;
  for (const ContractPart &part : parts) {
    maps.push_back(part.map ? part.map
                            : AffineMap::getMultiDimMapWithTargets(
                                  dims, part.dims, b.getContext()));
    extras.push_back(part.buffer);
  }
  auto contract = ContractOp::create(
      b, parts[0].buffer, parts[1].buffer,
      ArrayRef(extras).drop_front(2).drop_back(), parts.back().buffer, maps,
      /*aUnsigned=*/false, /*bUnsigned=*/false, dot);
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
    // What is packed of booleans is bytes.
    Block &body = contract.getEpilogue().front();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&body);
    for (auto [i, extra] : llvm::enumerate(contract.getExtras())) {
      BlockArgument argument = body.getArgument(i + 1);
      Type type = getElementTypeOrSelf(extra.getType());
      if (argument.getType() == type)
        continue;
      argument.setType(type);
      Value isSet = toBooleans(b, argument);
      argument.replaceAllUsesExcept(isSet, isSet.getDefiningOp());
    }
  };
  SmallVector<ContractPart> parts;
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
    return createContract(parts, 3, DotAttr(), addBody);
  }
  // (rows..., key, depth)
  unsigned rank = rowDims.size();
  SmallVector<Value> position = at(tile, firstKey);
  DotAttr dot;
  if (layout.pairs) {
    dot = DotAttr::get(b.getContext(), /*flip=*/false, /*group=*/2,
                       op.getStaticExtent(depth));
    parts = pairKeys(tile, firstKey, keys);
  } else {
    parts.push_back(queryPart(tile));
    parts.push_back({view(operands[1], {key, depth}, {keys, size}, position),
                     {rank, rank + 1}});
  }
  for (unsigned i = 0; i < layout.extras.size(); ++i)
    parts.push_back(operandPart(3 + i, tile, position, key, keys));
  parts.push_back(
      rowPart(layout.scores, layout.paddedKeys, tile, {{rank, keys, 1}}));
  createContract(parts, rank + 2, dot, addBody);
}

/// results = results * factor + weights * values; with the last keys
/// C = epilogue((results * factor + weights * values) * inverse).
void AttentionEmitter::multiplyByValues(const RowTile &tile, Value firstKey,
                                        Value keys, bool isLast) {
  // (rows..., column, key), or a block of keys and its keys
  unsigned rank = rowDims.size(), dims = rank + 2;
  Type type = layout.type;
  int64_t count = op.getStaticExtent(column);
  Value columns = math.constant(count);
  SmallVector<ContractPart> parts;
  DotAttr dot;
  if (layout.pairs) {
    dims = rank + 3;
    dot = DotAttr::get(b.getContext(), /*flip=*/false, /*group=*/2,
                       AttentionScratch::kPairKeys);
    parts = pairValues(tile, firstKey, keys);
  } else {
    parts.push_back(layout.byRows
                        ? rowPart(layout.scores, layout.paddedKeys, tile,
                                  {{rank + 1, keys, 1}})
                        : rowPart(layout.scores, 1, tile,
                                  {{rank + 1, keys, layout.paddedRows}}));
    parts.push_back(
        {view(operands[2], {key, column}, {keys, columns}, at(tile, firstKey)),
         {rank + 1, rank}});
  }
  SmallVector<Type> types{type};
  auto addRows = [&](int64_t offset) {
    parts.push_back(rowPart(offset, 1, tile));
    types.push_back(type);
  };
  auto results = [&] {
    return rowPart(layout.results, count, tile, {{rank, columns, 1}});
  };
  if (layout.hasTiles) {
    parts.push_back(results());
    types.push_back(type);
    addRows(layout.factor);
  }
  unsigned first = 3 + op.getScoreExtras().size(), last = operands.size() - 1;
  if (isLast && part) {
    parts.push_back(operandPart(last, tile, tile.position, wide, columns));
  } else if (isLast) {
    addRows(layout.inverse);
    for (unsigned i = first; i <= last; ++i)
      parts.push_back(operandPart(i, tile, tile.position, column, columns));
  } else {
    parts.push_back(results());
  }
  createContract(parts, dims, dot, [&](ContractOp contract) {
    Block *from = &op.getEpilogue().front();
    if (isLast && !part)
      for (BlockArgument argument : from->getArguments().drop_front())
        types.push_back(argument.getType());
    OpBuilder::InsertionGuard guard(b);
    Block *body =
        b.createBlock(&contract.getEpilogue(), {}, types,
                      SmallVector<Location>(types.size(), op.getLoc()));
    Value sum = body->getArgument(0);
    unsigned next = 1;
    if (layout.hasTiles) {
      Value scaled =
          arith::MulFOp::create(b, body->getArgument(1), body->getArgument(2));
      sum = arith::AddFOp::create(b, scaled, sum);
      next = 3;
    }
    if (!isLast || part) {
      YieldOp::create(b, sum);
      return;
    }
    IRMapping mapping;
    mapping.map(from->getArgument(0),
                Value(arith::MulFOp::create(b, sum, body->getArgument(next))));
    for (BlockArgument argument : from->getArguments().drop_front())
      mapping.map(argument, body->getArgument(next + argument.getArgNumber()));
    for (Operation &inner : *from)
      b.clone(inner, mapping);
  });
}
