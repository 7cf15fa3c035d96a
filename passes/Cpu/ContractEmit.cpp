// What the generators of contraction kernels share.
#include "passes/Cpu/ContractEmit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

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

void ContractEmitter::emitFor(Value lower, Value upper, int64_t step,
                              function_ref<void(Value)> body) {
  std::optional<int64_t> from = staticIndex(lower), to = staticIndex(upper);
  if (from && to && *from >= *to)
    return;
  if (from && to && *from + step >= *to)
    return body(lower);
  auto loop = scf::ForOp::create(b, lower, upper, math.constant(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void ContractEmitter::emitLoops(ArrayRef<unsigned> dims, const Offsets &start,
                                Body body) {
  if (dims.empty())
    return body(start);
  unsigned dim = dims.front();
  emitFor(math.constant(0), loops.extents[dim], 1, [&](Value i) {
    Offsets moved;
    for (auto [operand, offset] : llvm::zip_equal(loops.operands, start)) {
      Value step = math.mul(i, operand.strides[dim]);
      if (operand.panelDim == dim)
        step = math.add(
            math.mul(math.div(i, operand.panelWidth), operand.panelStride),
            math.mul(math.rem(i, operand.panelWidth), operand.strides[dim]));
      moved.push_back(math.add(offset, step));
    }
    emitLoops(dims.drop_front(), moved, body);
  });
}

SmallVector<Value> ContractEmitter::emitSum(
    unsigned level, Value aOffset, Value bOffset, ArrayRef<Value> sums,
    int64_t unroll,
    function_ref<SmallVector<Value>(Value, Value, ArrayRef<Value>)> body) {
  if (level == loops.sums.size())
    return body(aOffset, bOffset, sums);
  unsigned dim = loops.sums[level];
  bool isInnermost = level + 1 == loops.sums.size();
  Value aStride = loops.a().strides[dim], bStride = loops.b().strides[dim];
  Value extent = loops.extents[dim];
  std::optional<int64_t> count = staticIndex(extent);

  // A short innermost loop is unrolled whole; a longer one by a factor that
  // leaves no rest, if there is one.
  if (!isInnermost)
    unroll = 1;
  else if (count && *count <= 2 * unroll)
    unroll = std::max<int64_t>(1, *count);
  else if (count)
    for (int64_t factor = unroll; factor > unroll / 2 && factor > 1; --factor)
      if (*count % factor == 0) {
        unroll = factor;
        break;
      }

  auto steps = [&](Value i, int64_t number, ArrayRef<Value> start) {
    SmallVector<Value> current(start);
    Value a = math.add(aOffset, math.mul(i, aStride));
    Value bb = math.add(bOffset, math.mul(i, bStride));
    for (int64_t u = 0; u < number; ++u)
      current = emitSum(level + 1, math.add(a, math.mul(aStride, u)),
                        math.add(bb, math.mul(bStride, u)), current, unroll,
                        body);
    return current;
  };
  auto loop = [&](Value lower, Value upper, int64_t step,
                  ArrayRef<Value> start) -> SmallVector<Value> {
    std::optional<int64_t> from = staticIndex(lower), to = staticIndex(upper);
    if (from && to && *from >= *to)
      return SmallVector<Value>(start);
    if (from && to && *from + step >= *to)
      return steps(lower, step, start);
    auto forOp =
        scf::ForOp::create(b, lower, upper, math.constant(step), start);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    SmallVector<Value> iterArgs(forOp.getRegionIterArgs());
    SmallVector<Value> next = steps(forOp.getInductionVar(), step, iterArgs);
    scf::YieldOp::create(b, next);
    return SmallVector<Value>(forOp.getResults());
  };
  Value zero = math.constant(0);
  if (unroll == 1)
    return loop(zero, extent, 1, sums);
  Value whole = math.roundDown(extent, unroll);
  SmallVector<Value> result = loop(zero, whole, unroll, sums);
  return loop(whole, extent, 1, result);
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
  auto type = VectorType::get({column.width}, b.getI1Type());
  return vector::ConstantMaskOp::create(
      b, type, b.getDenseI64ArrayAttr({column.count}));
}

/// A mask for gathers and scatters, which always take one.
static Value getFullMask(ImplicitLocOpBuilder &b, int64_t width) {
  auto type = VectorType::get({width}, b.getI1Type());
  return vector::ConstantMaskOp::create(b, type,
                                        b.getDenseI64ArrayAttr({width}));
}

/// 0, stride, 2 * stride, ...
static Value getSteps(ImplicitLocOpBuilder &b, Value stride, int64_t width) {
  auto type = VectorType::get({width}, b.getIndexType());
  Value steps = vector::StepOp::create(b, type);
  return arith::MulIOp::create(b, steps,
                               vector::BroadcastOp::create(b, type, stride));
}

Value ContractEmitter::loadVector(const ContractOperand &operand, Value offset,
                                  Value stride, TileColumn column, Value mask) {
  auto type = VectorType::get({column.width}, operand.type);
  if (isStatic(stride, 0))
    return vector::BroadcastOp::create(b, type, loadScalar(operand, offset));
  if (isStatic(stride, 1) && !mask)
    return vector::LoadOp::create(b, type, operand.buffer, ValueRange{offset});
  Value pad = arith::ConstantOp::create(b, b.getZeroAttr(type));
  if (isStatic(stride, 1))
    return vector::MaskedLoadOp::create(b, type, operand.buffer,
                                        ValueRange{offset}, mask, pad);
  return vector::GatherOp::create(
      b, type, operand.buffer, ValueRange{offset},
      getSteps(b, stride, column.width),
      mask ? mask : getFullMask(b, column.width), pad);
}

void ContractEmitter::storeVector(Value vector, Value offset, Value stride,
                                  TileColumn column, Value mask) {
  Value buffer = loops.c().buffer;
  if (!isStatic(stride, 1)) {
    vector::ScatterOp::create(b, Type(), buffer, ValueRange{offset},
                              getSteps(b, stride, column.width),
                              mask ? mask : getFullMask(b, column.width),
                              vector);
    return;
  }
  if (mask)
    vector::MaskedStoreOp::create(b, buffer, ValueRange{offset}, mask, vector);
  else
    vector::StoreOp::create(b, vector, buffer, ValueRange{offset});
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value ContractEmitter::extend(Value value, bool isUnsigned) {
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
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (inner.hasTrait<OpTrait::ConstantLike>())
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&inner) ||
        inner.getNumRegions() || inner.getNumResults() != 1)
      return false;
  }
  return true;
}

Value ContractEmitter::emitEpilogue(ArrayRef<Value> arguments, int64_t width) {
  IRMapping mapping;
  Block *body = loops.op.getBody();
  for (auto [argument, value] :
       llvm::zip_equal(body->getArguments(), arguments))
    mapping.map(argument, value);
  for (Operation &inner : body->without_terminator()) {
    Operation *copy = b.clone(inner, mapping);
    if (!width)
      continue;
    if (inner.hasTrait<OpTrait::ConstantLike>()) {
      mapping.map(inner.getResult(0), broadcast(copy->getResult(0), width));
      continue;
    }
    Value result = copy->getResult(0);
    result.setType(VectorType::get({width}, inner.getResult(0).getType()));
  }
  return mapping.lookup(body->getTerminator()->getOperand(0));
}

void ContractEmitter::finish(Value sums, const Offsets &offsets, unsigned dim,
                             TileColumn column, Value mask) {
  SmallVector<Value> arguments{sums};
  for (size_t i = 2, e = loops.operands.size() - 1; i < e; ++i)
    arguments.push_back(loadVector(loops.operands[i], offsets[i],
                                   loops.operands[i].strides[dim], column,
                                   mask));
  storeVector(emitEpilogue(arguments, column.width), offsets.back(),
              loops.c().strides[dim], column, mask);
}
