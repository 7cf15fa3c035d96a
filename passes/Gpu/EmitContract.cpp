// Contractions: one element of C a thread. Slow where elements of A and B are
// used again and again, and right for everything.
#include "passes/Gpu/EmitContract.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

/// Of the widest access.
static constexpr int64_t kVectorBits = 128;

ContractNest::ContractNest(Kernel &kernel, ContractOp op)
    : kernel(kernel), op(op) {
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim) {
    auto [value, position] = op.getExtent(dim);
    extents.push_back(kernel.extentOf(value, position));
  }
  // As C has them, so that threads side by side write side by side.
  for (AffineExpr expr : op.getCMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    outer.push_back(dim);
    switch (op.getDimKind(dim)) {
    case ContractOp::DimKind::Batch:
      batch.push_back(dim);
      break;
    case ContractOp::DimKind::Row:
      rows.push_back(dim);
      break;
    case ContractOp::DimKind::Column:
      columns.push_back(dim);
      break;
    case ContractOp::DimKind::Sum:
      llvm_unreachable("summed dimensions are not in C");
    }
  }
  sums = op.getDims(ContractOp::DimKind::Sum);
}

SmallVector<Extent> ContractNest::extentsOf(ArrayRef<unsigned> dims) const {
  return llvm::map_to_vector(dims, [&](unsigned dim) { return extents[dim]; });
}

Value ContractNest::extend(Value value, bool isUnsigned) {
  Type type = op.getSumType();
  if (value.getType() == type)
    return value;
  if (isa<FloatType>(type))
    return arith::ExtFOp::create(kernel.b, type, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(kernel.b, type, value);
  return arith::ExtSIOp::create(kernel.b, type, value);
}

Value ContractNest::multiplyAdd(Value x, Value y, Value sum) {
  if (isa<FloatType>(op.getSumType()))
    return math::FmaOp::create(kernel.b, x, y, sum);
  return arith::AddIOp::create(kernel.b, arith::MulIOp::create(kernel.b, x, y),
                               sum);
}

/// The epilogue of a sum.
Value ContractNest::finish(Value sum, ValueRange extras) {
  IRMapping mapping;
  mapping.map(op.getBody()->getArgument(0), sum);
  mapping.map(op.getBody()->getArguments().drop_front(), extras);
  for (Operation &inner : op.getBody()->without_terminator())
    kernel.b.clone(inner, mapping);
  return mapping.lookupOrDefault(op.getBody()->getTerminator()->getOperand(0));
}

void ContractNest::store(Value sum, ArrayRef<Value> at) {
  SmallVector<Value> extras;
  for (auto [i, extra] : llvm::enumerate(op.getExtras()))
    extras.push_back(memref::LoadOp::create(
        kernel.b, extra, kernel.apply(op.getExtraMap(i), at)));
  memref::StoreOp::create(kernel.b, finish(sum, extras), op.getInit(),
                          kernel.apply(op.getCMap(), at));
}

SmallVector<Value> ContractNest::loadRun(Value buffer, Value offset,
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

void ContractNest::storeWide(ValueRange sums, ArrayRef<Value> at,
                             unsigned dim) {
  int64_t width = sums.size();
  SmallVector<SmallVector<Value>> extras(width);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    unsigned operand = 2 + i;
    SmallVector<Value> values;
    if (!op.getMap(operand).isFunctionOfDim(dim)) {
      values.assign(
          width, memref::LoadOp::create(kernel.b, extra,
                                        kernel.apply(op.getMap(operand), at)));
    } else if (chooseVector(operand, dim, width) == width) {
      values = loadRun(flatten(operand), offsetOf(operand, at), width);
    } else {
      SmallVector<Value> here(at);
      for (int64_t j = 0; j < width; ++j) {
        here[dim] = kernel.add(at[dim], kernel.index(j));
        values.push_back(memref::LoadOp::create(
            kernel.b, extra, kernel.apply(op.getMap(operand), here)));
      }
    }
    for (int64_t j = 0; j < width; ++j)
      extras[j].push_back(values[j]);
  }
  SmallVector<Value> results;
  for (int64_t j = 0; j < width; ++j)
    results.push_back(finish(sums[j], extras[j]));
  unsigned c = op.getMapped().size() - 1;
  Value vector = vector::FromElementsOp::create(
      kernel.b, VectorType::get({width}, results.front().getType()), results);
  int64_t bytes = width * results.front().getType().getIntOrFloatBitWidth() / 8;
  vector::StoreOp::create(
      kernel.b, vector, flatten(c), ValueRange{offsetOf(c, at)},
      /*nontemporal=*/false, llvm::MaybeAlign(std::min<int64_t>(bytes, 16)));
}

void ContractNest::storeRun(ValueRange sums, SmallVector<Value> at,
                            Value column, Value count) {
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

void ContractNest::setCoordinates(SmallVectorImpl<Value> &at,
                                  ArrayRef<unsigned> dims, ValueRange values) {
  for (auto [dim, value] : llvm::zip(dims, values))
    at[dim] = value;
}

void ContractNest::place(SmallVectorImpl<Value> &at, ArrayRef<unsigned> dims,
                         Value position) {
  setCoordinates(at, dims, kernel.coordinates(position, extentsOf(dims)));
}

Value ContractNest::zero() {
  return arith::ConstantOp::create(kernel.b,
                                   kernel.b.getZeroAttr(op.getSumType()));
}

ContractNest::Place ContractNest::placeBlock(int64_t tileRows,
                                             int64_t tileColumns) {
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

Value ContractNest::offsetOf(unsigned operand, ArrayRef<Value> at) {
  Value buffer = op.getMapped()[operand];
  auto type = cast<MemRefType>(buffer.getType());
  auto [strides, offset] = type.getStridesAndOffset();
  SmallVector<Value> dims(at);
  for (Value &dim : dims)
    if (!dim)
      dim = kernel.index(0);
  memref::ExtractStridedMetadataOp metadata;
  Value sum = kernel.index(0);
  for (auto [i, value] :
       llvm::enumerate(kernel.apply(op.getMap(operand), dims))) {
    if (ShapedType::isDynamic(strides[i]) && !metadata)
      metadata = memref::ExtractStridedMetadataOp::create(kernel.b, buffer);
    Value stride = ShapedType::isDynamic(strides[i]) ? metadata.getStrides()[i]
                                                     : kernel.index(strides[i]);
    sum = kernel.add(sum, kernel.mul(value, stride));
  }
  return sum;
}

Value ContractNest::flatten(unsigned operand) {
  OpBuilder &b = kernel.b;
  Value buffer = op.getMapped()[operand];
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  auto flat = MemRefType::get({ShapedType::kDynamic}, element,
                              StridedLayoutAttr::get(b.getContext(), 0, {1}));
  return memref::ReinterpretCastOp::create(
      kernel.b, flat, buffer, OpFoldResult(b.getIndexAttr(0)),
      ArrayRef<OpFoldResult>{OpFoldResult(kernel.index(1))},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
}

int64_t ContractNest::chooseVector(unsigned operand, unsigned dim,
                                   int64_t width) {
  Value buffer = op.getMapped()[operand];
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
    dims.push_back(extent.fixed == 1 ? getAffineConstantExpr(0, op.getContext())
                                     : getAffineDimExpr(i, op.getContext()));
  SmallVector<AffineExpr> places;
  for (AffineExpr place : op.getMap(operand).getResults())
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
  AffineExpr expr = getAffineDimExpr(dim, op.getContext());
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

int64_t ContractNest::chooseStore(unsigned dim, int64_t width) {
  auto type = cast<MemRefType>(op.getInit().getType());
  if (!type.getElementType().isIntOrFloat())
    return 1;
  int64_t bits = std::max<int64_t>(8, type.getElementTypeBitWidth());
  return chooseVector(op.getMapped().size() - 1, dim,
                      std::min<int64_t>(width, kVectorBits / bits));
}

bool ContractNest::isDepthFast(unsigned operand) {
  AffineMap map = op.getMap(operand);
  auto type = cast<MemRefType>(op.getMapped()[operand].getType());
  return map.getNumResults() && !sums.empty() &&
         map.getResults().back().isFunctionOfDim(sums.back()) &&
         type.getStridesAndOffset().first.back() == 1;
}

bool ContractNest::isRagged(ArrayRef<unsigned> dims, int64_t tileSize) {
  int64_t size = fixedProduct(extentsOf(dims));
  return ShapedType::isDynamic(size) || size % tileSize;
}

bool dlc::isSeparable(ContractOp op, unsigned operand) {
  for (AffineExpr expr : op.getMap(operand).getResults()) {
    bool separable = true;
    expr.walk([&](AffineExpr part) {
      if (part.getKind() != AffineExprKind::FloorDiv &&
          part.getKind() != AffineExprKind::Mod &&
          part.getKind() != AffineExprKind::CeilDiv)
        return;
      bool ofSum = false, ofOther = false;
      for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
        if (part.isFunctionOfDim(dim))
          (op.getDimKind(dim) == ContractOp::DimKind::Sum ? ofSum : ofOther) =
              true;
      separable &= !(ofSum && ofOther);
    });
    if (!separable)
      return false;
  }
  return true;
}

int64_t dlc::guessSize(ContractOp op, ContractOp::DimKind kind) {
  int64_t size = 1;
  for (unsigned dim : op.getDims(kind)) {
    int64_t extent = op.getStaticExtent(dim);
    size *= ShapedType::isDynamic(extent) ? 1024 : extent;
  }
  return size;
}

bool dlc::emitContractScalar(Kernel &kernel, ContractOp op) {
  ContractNest nest(kernel, op);
  SmallVector<Extent> outer = nest.extentsOf(nest.outer);
  kernel.grid.factors = {{outer, kernel.grid.threads}};
  kernel.description = "one element a thread";
  Value thread = kernel.globalThread();
  kernel.when(kernel.isLess(thread, kernel.product(outer)), [&] {
    SmallVector<Value> at(op.getNumDims(), kernel.index(0));
    nest.place(at, nest.outer, thread);
    std::function<Value(ArrayRef<unsigned>, Value)> emit =
        [&](ArrayRef<unsigned> dims, Value sum) -> Value {
      if (dims.empty()) {
        Value x = memref::LoadOp::create(kernel.b, op.getA(),
                                         kernel.apply(op.getAMap(), at));
        Value y = memref::LoadOp::create(kernel.b, op.getB(),
                                         kernel.apply(op.getBMap(), at));
        return nest.multiplyAdd(nest.extend(x, op.getAUnsigned()),
                                nest.extend(y, op.getBUnsigned()), sum);
      }
      return kernel.loop(kernel.index(0), nest.extents[dims.front()].value, 1,
                         sum,
                         [&](Value i, ValueRange inner) -> SmallVector<Value> {
                           at[dims.front()] = i;
                           return {emit(dims.drop_front(), inner.front())};
                         })[0];
    };
    Value sum = emit(nest.sums, nest.zero());
    for (unsigned dim : nest.sums)
      at[dim] = kernel.index(0);
    nest.store(sum, at);
  });
  return true;
}
