// Contractions: one element of C a thread. Slow where elements of A and B are
// used again and again, and right for everything.
#include "passes/Gpu/EmitContract.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace dlc;

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

void ContractNest::store(Value sum, ArrayRef<Value> at) {
  IRMapping mapping;
  mapping.map(op.getBody()->getArgument(0), sum);
  for (auto [i, extra] : llvm::enumerate(op.getExtras()))
    mapping.map(op.getBody()->getArgument(1 + i),
                memref::LoadOp::create(kernel.b, extra,
                                       kernel.apply(op.getExtraMap(i), at)));
  for (Operation &inner : op.getBody()->without_terminator())
    kernel.b.clone(inner, mapping);
  memref::StoreOp::create(
      kernel.b,
      mapping.lookupOrDefault(op.getBody()->getTerminator()->getOperand(0)),
      op.getInit(), kernel.apply(op.getCMap(), at));
}

Value ContractNest::zero() {
  return arith::ConstantOp::create(kernel.b,
                                   kernel.b.getZeroAttr(op.getSumType()));
}

bool dlc::emitContractScalar(Kernel &kernel, ContractOp op) {
  ContractNest nest(kernel, op);
  SmallVector<Extent> outer = nest.extentsOf(nest.outer);
  kernel.grid.factors = {{outer, kernel.grid.threads}};
  kernel.description = "one element a thread";
  Value thread = kernel.globalThread();
  kernel.when(kernel.isLess(thread, kernel.product(outer)), [&] {
    SmallVector<Value> at(op.getNumDims(), kernel.index(0));
    for (auto [dim, value] :
         llvm::zip(nest.outer, kernel.coordinates(thread, outer)))
      at[dim] = value;
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
