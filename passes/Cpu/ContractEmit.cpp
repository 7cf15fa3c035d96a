// What the generators of contraction kernels share.
#include "passes/Cpu/ContractEmit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/VectorAccess.h"
#include "passes/Cpu/VectorBody.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

ContractEmitter::Offsets ContractEmitter::getBases() {
  Offsets offsets;
  for (ContractOperand &operand : loops.operands)
    offsets.push_back(operand.base);
  return offsets;
}

double ContractEmitter::getCycles(double products, double bytes) {
  // A vector of products a cycle, 16 bytes a cycle from the outer caches.
  return std::max(products / double(lanes), bytes / 16);
}

Value ContractEmitter::countBlocks(Value extent, int64_t size) {
  return math.div(math.add(extent, size - 1), size);
}

ContractEmitter::Offsets ContractEmitter::move(const Offsets &offsets,
                                               unsigned dim, Value i) {
  Offsets moved;
  for (auto [operand, offset] : llvm::zip_equal(loops.operands, offsets)) {
    Value step = math.mul(i, operand.strides[dim]);
    if (operand.panelDim == dim)
      step = math.add(
          math.mul(math.div(i, operand.panelWidth), operand.panelStride),
          math.mul(math.rem(i, operand.panelWidth), operand.strides[dim]));
    moved.push_back(math.add(offset, step));
  }
  return moved;
}

void ContractEmitter::emitLoops(ArrayRef<unsigned> dims, const Offsets &start,
                                Body body) {
  SmallVector<Value> extents;
  for (unsigned dim : dims)
    extents.push_back(loops.extents[dim]);
  emitNest(b, extents, [&](ArrayRef<Value> index) {
    Offsets offsets = start;
    for (auto [dim, i] : llvm::zip_equal(dims, index))
      offsets = move(offsets, dim, i);
    body(offsets);
  });
}

ContractEmitter::ColumnRange
ContractEmitter::getColumns(Value extent, Value index, int64_t width) {
  if (!index)
    return {math.constant(0), extent, extent};
  Value first = math.mul(index, width);
  return {first, math.min(math.add(first, width), extent), extent};
}

void ContractEmitter::emitColumns(
    const ColumnRange &range, int64_t width,
    function_ref<void(Value, ArrayRef<TileColumn>, Value)> body) {
  Value first = range.first, end = range.end, extent = range.extent;
  bool isAll = isStatic(first, 0) && end == extent;
  bool masks = hasMasks();
  Value whole = math.roundDown(extent, width);
  emitFor(first, isAll ? whole : math.min(end, whole), width,
          [&](Value column) {
            body(column, splitColumns(width, lanes, masks), {});
          });
  if (std::optional<int64_t> count = staticIndex(extent)) {
    if (*count % width == 0)
      return;
    SmallVector<TileColumn> rest = splitColumns(*count % width, lanes, masks);
    if (isAll)
      return body(whole, rest, getMask(rest.back()));
    Value isLast =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, end, whole);
    auto branch = scf::IfOp::create(b, isLast, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    return body(whole, rest, getMask(rest.back()));
  }
  // An unknown rest, only in the last range: one vector after the other, the
  // last one masked, or element by element.
  Value full = masks ? extent : math.roundDown(extent, lanes);
  auto limit = [&](Value stop) { return isAll ? stop : math.min(end, stop); };
  auto start = [&](Value from) { return isAll ? from : math.max(first, from); };
  if (width > lanes || masks)
    emitFor(start(whole), limit(full), lanes, [&](Value column) {
      TileColumn vector{0, lanes, lanes};
      body(column, vector,
           masks ? getMask(math.sub(extent, column), lanes) : Value());
    });
  if (!masks)
    emitFor(start(full), limit(extent), 1, [&](Value column) {
      TileColumn element{0, 1, 1};
      body(column, element, {});
    });
}

void ContractEmitter::emitRows(Value first, Value end, Value total,
                               int64_t height,
                               function_ref<void(Value, int64_t)> body) {
  SmallVector<int64_t> heights{height};
  if (std::optional<int64_t> rows = staticIndex(total)) {
    if (*rows % height)
      heights.push_back(*rows % height);
  } else {
    for (int64_t h = llvm::PowerOf2Ceil(height) / 2; h > 0; h /= 2)
      heights.push_back(h);
  }
  Value row = first;
  for (int64_t h : heights) {
    Value stop = math.add(row, math.roundDown(math.sub(end, row), h));
    emitFor(row, stop, h, [&](Value i) { body(i, h); });
    row = stop;
  }
}

/// A position is divided into indices once; the others follow by counting.
SmallVector<ContractEmitter::Offsets>
ContractEmitter::getOffsets(const Offsets &bases, ArrayRef<unsigned> dims,
                            Value first, int64_t count, int64_t alignment) {
  SmallVector<Value> index(dims.size());
  Value rest = first;
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
      for (auto [i, dim] : llvm::zip_equal(index, dims))
        offset = math.add(offset, math.mul(i, operand.strides[dim]));
      if (inner)
        offset =
            math.add(offset, math.mul(operand.strides[dims.back()], inner));
      current.push_back(offset);
    }
    offsets.push_back(current);
  };
  // Positions that cannot wrap lie at a constant distance.
  std::optional<int64_t> inner =
      dims.empty() ? std::nullopt : staticIndex(loops.extents[dims.back()]);
  if (dims.size() <= 1 || (inner && *inner % alignment == 0)) {
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
      Value wraps = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, index[i],
                                          loops.extents[dims[i]]);
      index[i] = arith::SelectOp::create(b, wraps, math.constant(0), index[i]);
      carry = arith::IndexCastUIOp::create(b, b.getIndexType(), wraps);
    }
  }
  return offsets;
}

ContractEmitter::Sums
ContractEmitter::emitSumLoop(Value lower, Value upper, int64_t step,
                             ArrayRef<Value> sums,
                             function_ref<Sums(Value, ArrayRef<Value>)> body) {
  std::optional<int64_t> from = staticIndex(lower), to = staticIndex(upper);
  if (from && to && *from >= *to)
    return Sums(sums);
  if (from && to && *from + step >= *to)
    return body(lower, sums);
  auto loop = scf::ForOp::create(b, lower, upper, math.constant(step), sums);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Sums next = body(loop.getInductionVar(), Sums(loop.getRegionIterArgs()));
  scf::YieldOp::create(b, next);
  return Sums(loop.getResults());
}

/// How often to unroll a loop of `count` steps: a short one wholly, a longer
/// one by a factor of about `wanted` that leaves no rest, if there is one.
static int64_t getUnrolling(std::optional<int64_t> count, int64_t wanted) {
  if (!count)
    return wanted;
  if (*count <= 2 * wanted)
    return std::max<int64_t>(1, *count);
  for (int64_t factor = wanted; factor > wanted / 2 && factor > 1; --factor)
    if (*count % factor == 0)
      return factor;
  return wanted;
}

ContractEmitter::Sums
ContractEmitter::emitSum(ArrayRef<unsigned> dims, Value aOffset, Value bOffset,
                         ArrayRef<Value> sums, int64_t unroll,
                         function_ref<Sums(Value, Value, ArrayRef<Value>)> body,
                         function_ref<void(Value, Value, int64_t)> group) {
  if (dims.empty())
    return body(aOffset, bOffset, sums);
  unsigned dim = dims.front();
  Value aStride = loops.a().strides[dim], bStride = loops.b().strides[dim];
  Value extent = loops.extents[dim];
  int64_t steps =
      dims.size() > 1 ? 1 : getUnrolling(staticIndex(extent), unroll);
  auto emitSteps = [&](int64_t number) {
    return [&, number](Value i, ArrayRef<Value> start) {
      Sums current(start);
      Value a = math.add(aOffset, math.mul(i, aStride));
      Value bb = math.add(bOffset, math.mul(i, bStride));
      if (dims.size() == 1)
        group(a, bb, number);
      for (int64_t u = 0; u < number; ++u)
        current = emitSum(dims.drop_front(), math.add(a, math.mul(aStride, u)),
                          math.add(bb, math.mul(bStride, u)), current, unroll,
                          body, group);
      return current;
    };
  };
  Value whole = math.roundDown(extent, steps);
  Sums result =
      emitSumLoop(math.constant(0), whole, steps, sums, emitSteps(steps));
  if (steps == 1)
    return result;
  return emitSumLoop(whole, extent, 1, result, emitSteps(1));
}

//===----------------------------------------------------------------------===//
// Access
//===----------------------------------------------------------------------===//

Value ContractEmitter::loadScalar(const ContractOperand &operand,
                                  Value offset) {
  return memref::LoadOp::create(b, operand.buffer, ValueRange{offset});
}

Value ContractEmitter::getMask(TileColumn column) {
  if (column.count == column.width)
    return {};
  return getConstantMask(b, column.count, column.width);
}

Value dlc::getMask(ImplicitLocOpBuilder &b, Value count, int64_t width) {
  IndexMath math(b);
  auto type = VectorType::get({width}, b.getI32Type());
  Value positions = arith::ConstantOp::create(
      b, DenseIntElementsAttr::get(
             type, llvm::to_vector(llvm::seq<int32_t>(0, width))));
  Value limit = arith::IndexCastOp::create(
      b, b.getI32Type(), math.min(count, math.constant(width)));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, positions,
                               vector::BroadcastOp::create(b, type, limit));
}

bool ContractEmitter::hasMasks() {
  return cpu.hasMasks(sumType) &&
         llvm::all_of(loops.operands, [&](const ContractOperand &operand) {
           return cpu.hasMasks(operand.type);
         });
}

Value ContractEmitter::getMask(Value count, int64_t width) {
  return dlc::getMask(b, count, width);
}

/// 0, stride, 2 * stride, ...
static Value getSteps(ImplicitLocOpBuilder &b, Value stride, int64_t width) {
  auto type = VectorType::get({width}, b.getIndexType());
  Value steps = arith::ConstantOp::create(
      b, DenseIntElementsAttr::get(
             type, llvm::to_vector(llvm::seq<int64_t>(0, width))));
  return arith::MulIOp::create(b, steps,
                               vector::BroadcastOp::create(b, type, stride));
}

Value dlc::loadVector(ImplicitLocOpBuilder &b, const ContractOperand &operand,
                      Value offset, Value stride, int64_t width, Value mask) {
  auto type = VectorType::get({width}, operand.type);
  if (isStatic(stride, 0))
    return vector::BroadcastOp::create(
        b, type,
        Value(memref::LoadOp::create(b, operand.buffer, ValueRange{offset})));
  if (isStatic(stride, 1) && operand.type.isInteger(1))
    return toBooleans(b, loadBooleans(b, operand.buffer, offset, width, mask));
  if (isStatic(stride, 1) && !mask)
    return vector::LoadOp::create(b, type, operand.buffer, ValueRange{offset});
  Value pad = arith::ConstantOp::create(b, b.getZeroAttr(type));
  if (isStatic(stride, 1))
    return vector::MaskedLoadOp::create(b, type, operand.buffer,
                                        ValueRange{offset}, mask, pad);
  return vector::GatherOp::create(
      b, type, operand.buffer, ValueRange{offset}, getSteps(b, stride, width),
      mask ? mask : getConstantMask(b, width, width), pad);
}

void dlc::storeVector(ImplicitLocOpBuilder &b, const ContractOperand &operand,
                      Value vector, Value offset, Value stride, Value mask) {
  Value buffer = operand.buffer;
  int64_t width = cast<VectorType>(vector.getType()).getNumElements();
  if (!isStatic(stride, 1)) {
    vector::ScatterOp::create(
        b, Type(), buffer, ValueRange{offset}, getSteps(b, stride, width),
        mask ? mask : getConstantMask(b, width, width), vector);
    return;
  }
  if (operand.type.isInteger(1))
    storeBooleans(b, vector, buffer, offset, mask);
  else if (mask)
    vector::MaskedStoreOp::create(b, buffer, ValueRange{offset}, mask, vector);
  else
    vector::StoreOp::create(b, vector, buffer, ValueRange{offset});
}

Value ContractEmitter::loadVector(const ContractOperand &operand, Value offset,
                                  Value stride, TileColumn column, Value mask) {
  return dlc::loadVector(b, operand, offset, stride, column.width, mask);
}

void ContractEmitter::storeVector(const ContractOperand &operand, Value vector,
                                  Value offset, Value stride, TileColumn column,
                                  Value mask) {
  dlc::storeVector(b, operand, vector, offset, stride, mask);
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value ContractEmitter::extend(Value value, bool isUnsigned, bool flipped) {
  if (flipped) {
    TypedAttr top = b.getI8IntegerAttr(-128);
    if (auto vector = dyn_cast<VectorType>(value.getType()))
      top = DenseElementsAttr::get(vector, Attribute(top));
    value = arith::XOrIOp::create(b, value, arith::ConstantOp::create(b, top));
  }
  if (getElementTypeOrSelf(value.getType()) == sumType)
    return value;
  Type type = sumType;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    type = vector.clone(sumType);
  if (isa<FloatType>(sumType))
    return arith::ExtFOp::create(b, type, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(b, type, value);
  return arith::ExtSIOp::create(b, type, value);
}

Value ContractEmitter::broadcast(Value scalar, int64_t width) {
  return vector::BroadcastOp::create(
      b, VectorType::get({width}, scalar.getType()), scalar);
}

Value ContractEmitter::zeros(int64_t width) {
  Type type = width ? Type(VectorType::get({width}, sumType)) : sumType;
  return arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(type)));
}

Value ContractEmitter::multiplyAdd(Value x, Value y, Value sum) {
  if (isa<IntegerType>(sumType))
    return arith::AddIOp::create(b, arith::MulIOp::create(b, x, y), sum);
  if (cpu.fma)
    return math::FmaOp::create(b, x, y, sum);
  return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), sum);
}

//===----------------------------------------------------------------------===//
// Epilogue
//===----------------------------------------------------------------------===//

bool dlc::hasVectorEpilogue(ContractOp op) {
  return hasVectorBody(*op.getBody());
}

Value ContractEmitter::emitEpilogue(ArrayRef<Value> arguments, int64_t width) {
  return emitVectorBody(b, *loops.op.getBody(), arguments, width).front();
}

void ContractEmitter::finish(Value sums, const Offsets &offsets, unsigned dim,
                             TileColumn column, Value mask) {
  SmallVector<Value> arguments{sums};
  for (size_t i = 2, e = loops.operands.size() - 1; i < e; ++i)
    arguments.push_back(loadVector(loops.operands[i], offsets[i],
                                   loops.operands[i].strides[dim], column,
                                   mask));
  storeVector(loops.c(), emitEpilogue(arguments, column.width), offsets.back(),
              loops.c().strides[dim], column, mask);
}
