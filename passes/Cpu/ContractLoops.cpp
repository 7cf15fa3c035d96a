// Extents, strides and kinds of the loops of a dlc.contract on memrefs.
#include "passes/Cpu/ContractLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// IndexMath
//===----------------------------------------------------------------------===//

Value IndexMath::constant(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}
Value IndexMath::add(Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(x, y);
}
Value IndexMath::sub(Value x, Value y) {
  return b.createOrFold<arith::SubIOp>(x, y);
}
Value IndexMath::mul(Value x, Value y) {
  return b.createOrFold<arith::MulIOp>(x, y);
}
Value IndexMath::div(Value x, Value y) {
  return b.createOrFold<arith::DivUIOp>(x, y);
}
Value IndexMath::rem(Value x, Value y) {
  return b.createOrFold<arith::RemUIOp>(x, y);
}
Value IndexMath::min(Value x, Value y) {
  return b.createOrFold<arith::MinSIOp>(x, y);
}
Value IndexMath::max(Value x, Value y) {
  return b.createOrFold<arith::MaxSIOp>(x, y);
}

std::optional<int64_t> dlc::staticIndex(Value value) {
  return getConstantIntValue(value);
}

bool dlc::isStatic(Value value, int64_t expected) {
  return staticIndex(value) == expected;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void dlc::emitFor(ImplicitLocOpBuilder &b, Value lower, Value upper,
                  int64_t step, function_ref<void(Value)> body) {
  std::optional<int64_t> from = staticIndex(lower), to = staticIndex(upper);
  if (from && to && *from >= *to)
    return;
  if (from && to && *from + step >= *to)
    return body(lower);
  auto loop = scf::ForOp::create(b, lower, upper, IndexMath(b).constant(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

static void emitInner(ImplicitLocOpBuilder &b, ArrayRef<Value> extents,
                      SmallVector<Value> &index,
                      function_ref<void(ArrayRef<Value>)> body) {
  if (index.size() == extents.size())
    return body(index);
  Value zero = IndexMath(b).constant(0);
  emitFor(b, zero, extents[index.size()], 1, [&](Value i) {
    index.push_back(i);
    emitInner(b, extents, index, body);
    index.pop_back();
  });
}

void dlc::emitNest(ImplicitLocOpBuilder &b, ArrayRef<Value> extents,
                   function_ref<void(ArrayRef<Value>)> body) {
  SmallVector<Value> index;
  emitInner(b, extents, index, body);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

LogicalResult dlc::flatten(Value memref, ImplicitLocOpBuilder &b,
                           ContractOperand &operand,
                           SmallVectorImpl<Value> &strides) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  SmallVector<int64_t> staticStrides;
  int64_t staticOffset;
  if (!type || failed(type.getStridesAndOffset(staticStrides, staticOffset)))
    return failure();
  IndexMath math(b);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
  // The extent of the flat view: one past the last element that is reached.
  Value extent = math.constant(1);
  for (auto [i, stride] : llvm::enumerate(staticStrides)) {
    strides.push_back(ShapedType::isDynamic(stride) ? metadata.getStrides()[i]
                                                    : math.constant(stride));
    Value size = type.isDynamicDim(i) ? metadata.getSizes()[i]
                                      : math.constant(type.getDimSize(i));
    extent = math.add(
        extent, math.mul(math.sub(size, math.constant(1)), strides.back()));
  }
  auto layout = StridedLayoutAttr::get(b.getContext(), staticOffset,
                                       ArrayRef<int64_t>{1});
  auto flatType = MemRefType::get({ShapedType::kDynamic}, type.getElementType(),
                                  layout, type.getMemorySpace());
  OpFoldResult offset = ShapedType::isDynamic(staticOffset)
                            ? OpFoldResult(metadata.getOffset())
                            : b.getIndexAttr(staticOffset);
  operand.type = type.getElementType();
  operand.buffer = memref::ReinterpretCastOp::create(
      b, flatType, metadata.getBaseBuffer(), offset,
      ArrayRef<OpFoldResult>{extent},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  return success();
}

/// Adds `factor * stride * expr` to the operand's address.
static LogicalResult addTerm(AffineExpr expr, int64_t factor, Value stride,
                             ContractOperand &operand, IndexMath &math) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    Value &total = operand.strides[dim.getPosition()];
    total = math.add(total, math.mul(stride, factor));
    return success();
  }
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    operand.base =
        math.add(operand.base, math.mul(stride, factor * constant.getValue()));
    return success();
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return failure();
  auto right = dyn_cast<AffineConstantExpr>(binary.getRHS());
  switch (binary.getKind()) {
  case AffineExprKind::Add:
    return success(
        succeeded(addTerm(binary.getLHS(), factor, stride, operand, math)) &&
        succeeded(addTerm(binary.getRHS(), factor, stride, operand, math)));
  case AffineExprKind::Mul:
    if (!right)
      return failure();
    return addTerm(binary.getLHS(), factor * right.getValue(), stride, operand,
                   math);
  case AffineExprKind::FloorDiv:
  case AffineExprKind::Mod: {
    auto dim = dyn_cast<AffineDimExpr>(binary.getLHS());
    if (!dim || !right || factor != 1)
      return failure();
    // One packed dimension beside the grouped one; the two parts of each have
    // one width.
    bool isGroup = operand.groupDim == dim.getPosition();
    std::optional<unsigned> &packed =
        isGroup ? operand.groupDim : operand.panelDim;
    int64_t &width = isGroup ? operand.groupWidth : operand.panelWidth;
    if (packed && width &&
        (*packed != dim.getPosition() || width != right.getValue()))
      return failure();
    packed = dim.getPosition();
    width = right.getValue();
    if (binary.getKind() == AffineExprKind::FloorDiv)
      (isGroup ? operand.groupStride : operand.panelStride) = stride;
    else
      operand.strides[dim.getPosition()] = stride;
    return success();
  }
  default:
    return failure();
  }
}

/// True if `operand` walks `outer` and `inner` as one dimension.
static bool isContiguous(const ContractOperand &operand, Value memref,
                         AffineMap map, unsigned outer, unsigned inner,
                         Value innerExtent) {
  if (operand.panelDim == outer || operand.panelDim == inner ||
      operand.groupDim == outer || operand.groupDim == inner)
    return false;
  std::optional<int64_t> outerStride = staticIndex(operand.strides[outer]);
  std::optional<int64_t> innerStride = staticIndex(operand.strides[inner]);
  std::optional<int64_t> extent = staticIndex(innerExtent);
  if (outerStride == 0 && innerStride == 0)
    return true;
  if (outerStride && innerStride && extent)
    return *outerStride == *innerStride * *extent;
  // With a dynamic size: neighbours in a dense row-major buffer, each alone
  // in its index.
  MLIRContext *context = map.getContext();
  auto position = map.getResultPosition(getAffineDimExpr(outer, context));
  if (!position || *position + 1 >= map.getNumResults() ||
      map.getResult(*position + 1) != getAffineDimExpr(inner, context) ||
      !cast<MemRefType>(memref.getType()).getLayout().isIdentity())
    return false;
  for (auto [i, expr] : llvm::enumerate(map.getResults()))
    if (i != *position && i != *position + 1 &&
        (expr.isFunctionOfDim(outer) || expr.isFunctionOfDim(inner)))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// Merges neighbours of `dims` that all operands walk as one; the inner one
/// stays, with the product of the extents.
static void mergeDims(ContractLoops &loops, SmallVectorImpl<unsigned> &dims,
                      IndexMath &math) {
  for (unsigned i = dims.size(); i-- > 1;) {
    unsigned outer = dims[i - 1], inner = dims[i];
    bool merge = llvm::none_of(loops.outside, [&](const OutsideWindow &window) {
      return llvm::is_contained({outer, inner}, window.position) ||
             llvm::is_contained({outer, inner}, window.window);
    });
    for (auto [j, operand] : llvm::enumerate(loops.operands))
      merge &=
          isContiguous(operand, loops.op->getOperand(j), loops.op.getMap(j),
                       outer, inner, loops.extents[inner]);
    if (!merge)
      continue;
    // The merged dimension goes on as `inner`, which then has a product as
    // its extent: with dynamic sizes it only merges further by static strides.
    loops.extents[inner] = math.mul(loops.extents[outer], loops.extents[inner]);
    dims.erase(dims.begin() + i - 1);
  }
}

/// Orders `dims` as the operand has them in memory, outermost first.
static void sortByPosition(SmallVectorImpl<unsigned> &dims, AffineMap map) {
  auto position = [&](unsigned dim) {
    unsigned i = 0;
    for (AffineExpr expr : map.getResults()) {
      if (expr.isFunctionOfDim(dim))
        return i;
      ++i;
    }
    return 0u;
  };
  llvm::stable_sort(
      dims, [&](unsigned x, unsigned y) { return position(x) < position(y); });
}

FailureOr<ContractLoops> ContractLoops::analyse(ContractOp op,
                                                ImplicitLocOpBuilder &b) {
  ContractLoops loops;
  loops.op = op;
  loops.aUnsigned = op.getAUnsigned();
  loops.bUnsigned = op.getBUnsigned();
  loops.aFlipped = op.getDot() && op.getDotAttr().getFlip();
  loops.bFlipped = false;
  IndexMath math(b);
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
    loops.extents.push_back(op.createExtent(b, dim));

  for (auto [i, value] : llvm::enumerate(op.getMapped())) {
    ContractOperand operand;
    SmallVector<Value> strides;
    if (failed(flatten(value, b, operand, strides)))
      return failure();
    operand.base = math.constant(0);
    operand.strides.assign(op.getNumDims(), operand.base);
    if (i == 1)
      operand.groupDim = op.getGroupedDim();
    for (auto [expr, stride] :
         llvm::zip_equal(op.getMap(i).getResults(), strides))
      if (failed(addTerm(expr, 1, stride, operand, math)))
        return failure();
    if (operand.panelDim && !operand.panelStride)
      return failure();
    loops.operands.push_back(std::move(operand));
  }

  for (const ContractOp::Window &window : op.getOutside()) {
    OpFoldResult size =
        memref::getMixedSize(b, op.getLoc(), op.getA(), window.dim);
    loops.outside.push_back(
        {window, getValueOrCreateConstantIndexOp(b, op.getLoc(), size)});
  }

  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim) {
    if (isStatic(loops.extents[dim], 1))
      continue;
    switch (op.getDimKind(dim)) {
    case ContractOp::DimKind::Batch:
      loops.batches.push_back(dim);
      break;
    case ContractOp::DimKind::Row:
      loops.rows.push_back(dim);
      break;
    case ContractOp::DimKind::Column:
      loops.columns.push_back(dim);
      break;
    case ContractOp::DimKind::Sum:
      loops.sums.push_back(dim);
      break;
    }
  }
  for (SmallVector<unsigned> *dims :
       {&loops.batches, &loops.rows, &loops.columns})
    sortByPosition(*dims, op.getCMap());
  sortByPosition(loops.sums, op.getBMap());
  for (SmallVector<unsigned> *dims :
       {&loops.batches, &loops.rows, &loops.columns, &loops.sums})
    mergeDims(loops, *dims, math);
  return loops;
}

Value ContractLoops::getExtent(ArrayRef<unsigned> dims,
                               ImplicitLocOpBuilder &b) const {
  IndexMath math(b);
  Value extent = math.constant(1);
  for (unsigned dim : dims)
    extent = math.mul(extent, extents[dim]);
  return extent;
}

std::optional<unsigned> ContractLoops::contiguousInC(ArrayRef<unsigned> dims) {
  for (unsigned dim : dims)
    if (isStatic(c().strides[dim], 1))
      return dim;
  return std::nullopt;
}

void ContractLoops::transpose() {
  std::swap(a(), b());
  std::swap(rows, columns);
  std::swap(aUnsigned, bUnsigned);
  isTransposed = !isTransposed;
  std::swap(aFlipped, bFlipped);
}
