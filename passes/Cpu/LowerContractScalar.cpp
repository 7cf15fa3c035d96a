// The form of last resort of a contraction: loops over single elements, with
// the op's maps applied as they are. Slow, and right for everything.
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Units.h"

using namespace mlir;
using namespace dlc;

/// `value` as the type of the sum.
static Value extendTo(Type type, Value value, bool isUnsigned,
                      ImplicitLocOpBuilder &b) {
  if (value.getType() == type)
    return value;
  if (isa<FloatType>(type))
    return arith::ExtFOp::create(b, type, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(b, type, value);
  return arith::ExtSIOp::create(b, type, value);
}

/// A's element at `indices`, or zero outside of it.
static Value loadA(ContractOp op, ArrayRef<Value> indices,
                   ImplicitLocOpBuilder &b) {
  Value isInside;
  for (const ContractOp::Window &window : op.getOutside()) {
    // Below zero it is a large unsigned number.
    Value size = memref::DimOp::create(b, op.getA(), window.dim);
    Value isBelow = arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                          indices[window.dim], size);
    isInside = isInside
                   ? arith::AndIOp::create(b, isInside, isBelow).getResult()
                   : isBelow;
  }
  if (!isInside)
    return memref::LoadOp::create(b, op.getA(), indices);
  auto branch = scf::IfOp::create(
      b, isInside,
      [&](OpBuilder &inner, Location loc) {
        Value a = memref::LoadOp::create(inner, loc, op.getA(), indices);
        scf::YieldOp::create(inner, loc, a);
      },
      [&](OpBuilder &inner, Location loc) {
        Type type = getElementTypeOrSelf(op.getA().getType());
        Value zero =
            arith::ConstantOp::create(inner, loc, inner.getZeroAttr(type));
        scf::YieldOp::create(inner, loc, zero);
      });
  return branch.getResult(0);
}

/// One element of C at `index`, whose summed dimensions are set here.
static void emitElement(ContractOp op, ArrayRef<Value> extents,
                        ArrayRef<unsigned> sums, SmallVector<Value> index,
                        ImplicitLocOpBuilder &b) {
  Type sumType = op.getSumType();
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto indicesOf = [&](unsigned operand) {
    SmallVector<Value> indices;
    AffineMap map = op.getMap(operand);
    for (AffineExpr expr : map.getResults())
      indices.push_back(affine::makeComposedAffineApply(
          b, b.getLoc(), AffineMap::get(map.getNumDims(), 0, expr),
          getAsOpFoldResult(index)));
    return indices;
  };
  Value sum = arith::ConstantOp::create(b, b.getZeroAttr(sumType));
  SmallVector<scf::ForOp> nest;
  for (unsigned dim : sums) {
    auto loop = scf::ForOp::create(b, zero, extents[dim], one, sum);
    if (!nest.empty())
      scf::YieldOp::create(b, loop.getResult(0));
    nest.push_back(loop);
    b.setInsertionPointToStart(loop.getBody());
    index[dim] = loop.getInductionVar();
    sum = loop.getRegionIterArg(0);
  }
  Value a = loadA(op, indicesOf(0), b);
  if (op.getDot() && op.getDotAttr().getFlip())
    a = arith::XOrIOp::create(
        b, a, arith::ConstantOp::create(b, b.getI8IntegerAttr(-128)));
  Value x = extendTo(sumType, a, op.getAUnsigned(), b);
  Value y =
      extendTo(sumType, memref::LoadOp::create(b, op.getB(), indicesOf(1)),
               op.getBUnsigned(), b);
  if (isa<FloatType>(sumType))
    sum = arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), sum);
  else
    sum = arith::AddIOp::create(b, arith::MulIOp::create(b, x, y), sum);
  if (!nest.empty()) {
    scf::YieldOp::create(b, sum);
    sum = nest.front().getResult(0);
    b.setInsertionPointAfter(nest.front());
    for (unsigned dim : sums)
      index[dim] = zero;
  }

  IRMapping mapping;
  mapping.map(op.getBody()->getArgument(0), sum);
  for (auto [i, extra] : llvm::enumerate(op.getExtras()))
    mapping.map(op.getBody()->getArgument(1 + i),
                memref::LoadOp::create(b, extra, indicesOf(2 + i)));
  for (Operation &inner : op.getBody()->without_terminator())
    b.clone(inner, mapping);
  unsigned last = op.getIndexingMaps().size() - 1;
  memref::StoreOp::create(
      b, mapping.lookup(op.getBody()->getTerminator()->getOperand(0)),
      op.getInit(), indicesOf(last));
}

void dlc::emitScalar(ContractOp op, bool threads, ImplicitLocOpBuilder &b) {
  SmallVector<unsigned> outer, sums;
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
    (op.getDimKind(dim) == ContractOp::DimKind::Sum ? sums : outer)
        .push_back(dim);
  SmallVector<Value> extents, index(op.getNumDims());
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
    extents.push_back(op.createExtent(b, dim));
  Value zero = arith::ConstantIndexOp::create(b, 0);
  for (Value &i : index)
    i = zero;
  auto setIndex = [&](ArrayRef<unsigned> dims, ArrayRef<Value> values) {
    for (auto [dim, i] : llvm::zip_equal(dims, values))
      index[dim] = i;
  };
  auto getCounts = [&](ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims,
                               [&](unsigned dim) { return extents[dim]; });
  };
  auto emitElements = [&](ArrayRef<unsigned> dims) {
    emitNest(b, getCounts(dims), [&](ArrayRef<Value> values) {
      setIndex(dims, values);
      emitElement(op, extents, sums, index, b);
    });
  };
  // Units for threads: the outer loops, as far as these leave enough work.
  auto extentOf = [&](unsigned dim) {
    return double(staticIndex(extents[dim]).value_or(64));
  };
  double cycles = 1;
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
    cycles *= extentOf(dim);
  ArrayRef<unsigned> shared, inner(outer);
  while (!inner.empty() &&
         (shared.empty() || cycles / extentOf(inner.front()) > kUnitCycles)) {
    cycles /= extentOf(inner.front());
    shared = ArrayRef(outer).take_front(shared.size() + 1);
    inner = inner.drop_front();
  }
  if (threads && !shared.empty() &&
      emitUnits(b, getCounts(shared), cycles, [&](const Unit &unit) {
        setIndex(shared, unit.index);
        emitElements(inner);
      }))
    return;
  emitElements(outer);
}
