// Contractions: one element of C a thread. Slow where elements of A and B are
// used again and again, and right for everything.
#include "passes/Gpu/EmitContract.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace dlc;

ContractNest::ContractNest(Kernel &kernel, ContractOp op)
    : TileSpace(kernel, op.getMapped(), op.getIndexingMaps(), op.getBody(),
                /*firstExtra=*/2),
      op(op) {
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
