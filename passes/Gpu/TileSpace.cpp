// What the generators of kernels that work on tiles share.
#include "passes/Gpu/TileSpace.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

/// Of the widest access.
static constexpr int64_t kVectorBits = 128;

TileSpace::TileSpace(Kernel &kernel, ValueRange buffers, ArrayAttr maps,
                     Block *epilogue, unsigned firstExtra)
    : kernel(kernel), buffers(buffers), epilogue(epilogue),
      firstExtra(firstExtra) {
  for (AffineMap map : maps.getAsValueRange<AffineMapAttr>())
    this->maps.push_back(map);
}

SmallVector<Extent> TileSpace::extentsOf(ArrayRef<unsigned> dims) const {
  return llvm::map_to_vector(dims, [&](unsigned dim) { return extents[dim]; });
}

Value TileSpace::extend(Value value, bool isUnsigned) {
  Type type = sumType();
  if (value.getType() == type)
    return value;
  if (isa<FloatType>(type))
    return arith::ExtFOp::create(kernel.b, type, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(kernel.b, type, value);
  return arith::ExtSIOp::create(kernel.b, type, value);
}

Value TileSpace::multiplyAdd(Value x, Value y, Value sum) {
  if (isa<FloatType>(sumType()))
    return math::FmaOp::create(kernel.b, x, y, sum);
  return arith::AddIOp::create(kernel.b, arith::MulIOp::create(kernel.b, x, y),
                               sum);
}

Value TileSpace::inlineRegion(Block &region, Value sum, ValueRange extras) {
  IRMapping mapping;
  mapping.map(region.getArgument(0), sum);
  mapping.map(region.getArguments().drop_front(), extras);
  for (Operation &inner : region.without_terminator())
    kernel.b.clone(inner, mapping);
  return mapping.lookupOrDefault(region.getTerminator()->getOperand(0));
}

void TileSpace::store(Value sum, ArrayRef<Value> at) {
  SmallVector<Value> extras;
  for (unsigned i = firstExtra; i < result(); ++i)
    extras.push_back(memref::LoadOp::create(kernel.b, buffers[i],
                                            kernel.apply(maps[i], at)));
  memref::StoreOp::create(kernel.b, inlineRegion(*epilogue, sum, extras),
                          buffers.back(), kernel.apply(maps.back(), at));
}

SmallVector<Value> TileSpace::loadRun(Value buffer, Value offset,
                                      int64_t width) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  if (width == 1)
    return {memref::LoadOp::create(kernel.b, buffer, offset)};
  int64_t bytes = width * element.getIntOrFloatBitWidth() / 8;
  Value vector = vector::LoadOp::create(
      kernel.b, VectorType::get({width}, element), buffer, ValueRange{offset},
      /*nontemporal=*/false, llvm::MaybeAlign(std::min<int64_t>(bytes, 16)));
  SmallVector<Value> values;
  for (int64_t i = 0; i < width; ++i)
    values.push_back(vector::ExtractOp::create(kernel.b, vector, i));
  return values;
}

SmallVector<Value> TileSpace::loadAlong(unsigned operand, ArrayRef<Value> at,
                                        unsigned dim, int64_t width) {
  if (!maps[operand].isFunctionOfDim(dim))
    return SmallVector<Value>(
        width, memref::LoadOp::create(kernel.b, buffers[operand],
                                      kernel.apply(maps[operand], at)));
  if (chooseVector(operand, dim, width) == width)
    return loadRun(flatten(operand), offsetOf(operand, at), width);
  SmallVector<Value> here(at), values;
  for (int64_t i = 0; i < width; ++i) {
    here[dim] = kernel.add(at[dim], kernel.index(i));
    values.push_back(memref::LoadOp::create(kernel.b, buffers[operand],
                                            kernel.apply(maps[operand], here)));
  }
  return values;
}

void TileSpace::storeWide(ValueRange sums, ArrayRef<Value> at, unsigned dim) {
  int64_t width = sums.size();
  SmallVector<SmallVector<Value>> extras(width);
  for (unsigned i = firstExtra; i < result(); ++i)
    for (auto [j, value] : llvm::enumerate(loadAlong(i, at, dim, width)))
      extras[j].push_back(value);
  SmallVector<Value> results;
  for (int64_t j = 0; j < width; ++j)
    results.push_back(inlineRegion(*epilogue, sums[j], extras[j]));
  unsigned c = result();
  Value vector = vector::FromElementsOp::create(
      kernel.b, VectorType::get({width}, results.front().getType()), results);
  int64_t bytes = width * results.front().getType().getIntOrFloatBitWidth() / 8;
  vector::StoreOp::create(
      kernel.b, vector, flatten(c), ValueRange{offsetOf(c, at)},
      /*nontemporal=*/false, llvm::MaybeAlign(std::min<int64_t>(bytes, 16)));
}

void TileSpace::storeRun(ValueRange sums, SmallVector<Value> at, Value column,
                         Value count) {
  int64_t width = chooseStore(columns.back(), sums.size());
  for (size_t i = 0; i < sums.size(); i += width) {
    Value here = kernel.add(column, kernel.index(i));
    kernel.when(count ? kernel.isLess(here, count) : Value(), [&] {
      place(at, columns, here);
      if (width == 1)
        store(sums[i], at);
      else
        storeWide(sums.slice(i, width), at, columns.back());
    });
  }
}

void TileSpace::setCoordinates(SmallVectorImpl<Value> &at,
                               ArrayRef<unsigned> dims, ValueRange values) {
  for (auto [dim, value] : llvm::zip(dims, values))
    at[dim] = value;
}

void TileSpace::place(SmallVectorImpl<Value> &at, ArrayRef<unsigned> dims,
                      Value position) {
  setCoordinates(at, dims, kernel.coordinates(position, extentsOf(dims)));
}

Value TileSpace::zero() {
  return arith::ConstantOp::create(kernel.b, kernel.b.getZeroAttr(sumType()));
}

TileSpace::Place TileSpace::placeBlock(int64_t tileRows, int64_t tileColumns) {
  SmallVector<Extent> batchExtents = extentsOf(batch),
                      rowExtents = extentsOf(rows),
                      columnExtents = extentsOf(columns);
  kernel.grid.factors = {
      {batchExtents, 1}, {rowExtents, tileRows}, {columnExtents, tileColumns}};
  Place place;
  place.rowCount = kernel.product(rowExtents);
  place.columnCount = kernel.product(columnExtents);
  place.sumCount = kernel.product(extentsOf(sums));

  // Blocks side by side share rows.
  auto blocksOf = [&](ArrayRef<Extent> extents, Value count, int64_t size) {
    int64_t fixed = fixedProduct(extents);
    return ShapedType::isDynamic(fixed)
               ? Extent{kernel.ceilDiv(count, size), ShapedType::kDynamic}
               : kernel.fixedExtent(llvm::divideCeil(fixed, size));
  };
  SmallVector<Extent> blocks(batchExtents);
  blocks.push_back(blocksOf(rowExtents, place.rowCount, tileRows));
  blocks.push_back(blocksOf(columnExtents, place.columnCount, tileColumns));
  place.batchAt = kernel.coordinates(kernel.block(), blocks);
  place.firstColumn =
      kernel.mul(place.batchAt.pop_back_val(), kernel.index(tileColumns));
  place.firstRow =
      kernel.mul(place.batchAt.pop_back_val(), kernel.index(tileRows));
  return place;
}

Value TileSpace::offsetOf(unsigned operand, ArrayRef<Value> at) {
  Value buffer = buffers[operand];
  auto type = cast<MemRefType>(buffer.getType());
  auto [strides, offset] = type.getStridesAndOffset();
  SmallVector<Value> dims(at);
  for (Value &dim : dims)
    if (!dim)
      dim = kernel.index(0);
  memref::ExtractStridedMetadataOp metadata;
  Value sum = kernel.index(0);
  for (auto [i, value] : llvm::enumerate(kernel.apply(maps[operand], dims))) {
    if (ShapedType::isDynamic(strides[i]) && !metadata)
      metadata = memref::ExtractStridedMetadataOp::create(kernel.b, buffer);
    Value stride = ShapedType::isDynamic(strides[i]) ? metadata.getStrides()[i]
                                                     : kernel.index(strides[i]);
    sum = kernel.add(sum, kernel.mul(value, stride));
  }
  return sum;
}

Value TileSpace::flatten(unsigned operand) {
  OpBuilder &b = kernel.b;
  Value buffer = buffers[operand];
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  auto flat = MemRefType::get({ShapedType::kDynamic}, element,
                              StridedLayoutAttr::get(b.getContext(), 0, {1}));
  return memref::ReinterpretCastOp::create(
      kernel.b, flat, buffer, OpFoldResult(b.getIndexAttr(0)),
      ArrayRef<OpFoldResult>{OpFoldResult(kernel.index(1))},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
}

int64_t TileSpace::chooseVector(unsigned operand, unsigned dim, int64_t width) {
  Value buffer = buffers[operand];
  auto type = cast<MemRefType>(buffer.getType());
  auto isMultiple = [=](int64_t number) {
    return !ShapedType::isDynamic(number) && number % width == 0;
  };
  if (auto cast = buffer.getDefiningOp<memref::ReinterpretCastOp>())
    buffer = cast.getSource();
  auto argument = dyn_cast<BlockArgument>(buffer);
  if (!argument || !isMultiple(extents[dim].fixed) ||
      !type.getElementType().isIntOrFloat() ||
      type.getElementTypeBitWidth() < 8 ||
      !kernel.func.getArgAttr(argument.getArgNumber(),
                              LLVM::LLVMDialect::getAlignAttrName()))
    return 1;
  // Without dimensions of one element, as those of a depthwise convolution's
  // groups.
  SmallVector<AffineExpr> dims;
  for (auto [i, extent] : llvm::enumerate(extents))
    dims.push_back(extent.fixed == 1
                       ? getAffineConstantExpr(0, kernel.b.getContext())
                       : getAffineDimExpr(i, kernel.b.getContext()));
  SmallVector<AffineExpr> places;
  for (AffineExpr place : maps[operand].getResults())
    places.push_back(place.replaceDimsAndSymbols(dims, {}));
  SmallVector<int64_t> strides = type.getStridesAndOffset().first;
  while (!places.empty() && isa<AffineConstantExpr>(places.back()) &&
         type.getDimSize(places.size() - 1) == 1) {
    places.pop_back();
    strides.pop_back();
  }
  if (places.empty() || strides.back() != 1)
    return 1;
  // An aligned argument has no gaps.
  int64_t known = 1;
  for (size_t i = strides.size() - 1; i > 0; --i) {
    if (int64_t size = type.getDimSize(i); !ShapedType::isDynamic(size))
      known *= size;
    if (!isMultiple(strides[i - 1]) && !isMultiple(known))
      return 1;
  }
  // `d`, or the parts `d floordiv 64` and `d mod 64` of a packed operand.
  AffineExpr expr = getAffineDimExpr(dim, kernel.b.getContext());
  auto isPart = [&](AffineExpr part, AffineExprKind kind) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(part);
    auto size = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                       : AffineConstantExpr();
    return size && binary.getKind() == kind && binary.getLHS() == expr &&
           isMultiple(size.getValue());
  };
  AffineExpr last = places.pop_back_val();
  if (last != expr && !isPart(last, AffineExprKind::Mod))
    return 1;
  for (AffineExpr other : places)
    if (other.isFunctionOfDim(dim) && !isPart(other, AffineExprKind::FloorDiv))
      return 1;
  return width;
}

int64_t TileSpace::chooseStore(unsigned dim, int64_t width) {
  auto type = cast<MemRefType>(buffers.back().getType());
  if (!type.getElementType().isIntOrFloat())
    return 1;
  int64_t bits = std::max<int64_t>(8, type.getElementTypeBitWidth());
  return chooseVector(result(), dim,
                      std::min<int64_t>(width, kVectorBits / bits));
}

bool TileSpace::isDepthFast(unsigned operand, unsigned sum) {
  AffineMap map = maps[operand];
  auto type = cast<MemRefType>(buffers[operand].getType());
  return map.getNumResults() && map.getResults().back().isFunctionOfDim(sum) &&
         type.getStridesAndOffset().first.back() == 1;
}

bool TileSpace::isRagged(ArrayRef<unsigned> dims, int64_t tileSize) {
  int64_t size = fixedProduct(extentsOf(dims));
  return ShapedType::isDynamic(size) || size % tileSize;
}
