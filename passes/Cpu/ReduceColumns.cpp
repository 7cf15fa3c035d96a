// Reductions whose results lie side by side, on vectors:
//
//   for the parallel dimensions but the last one
//     for vectors of the last one
//       sums = C, or what C has been filled with
//       for the reduced dimensions
//         sums = body(inputs, sums)
//       C = sums, or what elementwise ops make of them
#include "passes/Cpu/ReduceColumns.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractLoops.h"
#include "passes/Cpu/ContractTile.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_REDUCECOLUMNS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Vectors that are computed at once, and steps of reduced dimensions that are
/// worth unrolling.
static constexpr int64_t kVectors = 4, kUnrolledSteps = 32;

static bool isVectorElement(Type type) {
  return isa<FloatType, IntegerType>(type) &&
         llvm::is_contained({8u, 16u, 32u, 64u}, type.getIntOrFloatBitWidth());
}

/// True if `operand` doesn't move along `dim`, or by one element.
static bool isContiguous(AffineMap map, Value operand, unsigned dim) {
  auto type = dyn_cast<MemRefType>(operand.getType());
  if (!type)
    return true; // a scalar
  if (!isVectorElement(type.getElementType()))
    return false;
  if (!map.isFunctionOfDim(dim))
    return true;
  int64_t offset;
  SmallVector<int64_t> strides;
  return map.getNumResults() &&
         map.getResults().back() == getAffineDimExpr(dim, map.getContext()) &&
         !map.dropResult(map.getNumResults() - 1).isFunctionOfDim(dim) &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

bool dlc::isColumnReduction(linalg::LinalgOp op) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  bool hasLookup = llvm::any_of(*op.getBlock(), llvm::IsaPred<LookupOp>);
  if (!op.hasPureBufferSemantics() || !op.getNumLoops() ||
      (!op.getNumReductionLoops() && !hasLookup) ||
      iterators.back() != utils::IteratorType::parallel ||
      !hasVectorBody(*op.getBlock()))
    return false;
  unsigned inner = iterators.size() - 1;
  for (OpOperand &operand : op->getOpOperands())
    if (!isContiguous(op.getMatchingIndexingMap(&operand), operand.get(),
                      inner))
      return false;
  return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &init) {
    AffineMap map = op.getMatchingIndexingMap(&init);
    return map.isProjectedPermutation() && map.isFunctionOfDim(inner);
  });
}

bool ColumnGroup::takes(linalg::LinalgOp op, linalg::GenericOp tail) {
  if (op.getNumDpsInits() != 1 || tail.getNumDpsInits() != 1 ||
      !tail.hasPureBufferSemantics() || tail.getNumReductionLoops() ||
      tail.hasIndexSemantics() || tail.getLibraryCall() ||
      !hasVectorBody(*tail.getBody()))
    return false;
  // An element of the one is an element of the other.
  AffineMap results = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  SmallVector<unsigned> parallel;
  op.getParallelDims(parallel);
  if (tail.getNumLoops() != parallel.size() ||
      results != AffineMap::getMultiDimMapWithTargets(
                     op.getNumLoops(), parallel, op.getContext()) ||
      !tail.getMatchingIndexingMap(tail.getDpsInitOperand(0)).isIdentity())
    return false;
  Value made = tail.getDpsInits()[0];
  return llvm::all_of(tail->getOpOperands(), [&](OpOperand &operand) {
    return (tail.isDpsInit(&operand) || operand.get() != made) &&
           isContiguous(tail.getMatchingIndexingMap(&operand), operand.get(),
                        parallel.size() - 1);
  });
}

ColumnGroup ColumnGroup::find(linalg::LinalgOp op) {
  ColumnGroup group{op, {}, {}};
  if (op.getNumDpsInits() != 1)
    return group;
  Value results = op.getDpsInits()[0];
  auto isIdle = [](Operation &other) {
    return !other.getNumRegions() && isMemoryEffectFree(&other);
  };
  Operation *front = op->getPrevNode();
  while (front && isIdle(*front))
    front = front->getPrevNode();
  auto fill = dyn_cast_or_null<linalg::FillOp>(front);
  if (fill && fill.hasPureBufferSemantics() &&
      fill.getOutputs()[0] == results &&
      fill.getInputs()[0].getType() == getElementTypeOrSelf(results))
    group.fill = fill;
  for (Operation *behind = op->getNextNode(); behind;
       behind = behind->getNextNode()) {
    if (isIdle(*behind))
      continue;
    auto tail = dyn_cast<linalg::GenericOp>(behind);
    if (!tail || tail.getNumDpsInits() != 1 ||
        tail.getDpsInits()[0] != results || !takes(op, tail))
      break;
    group.tails.push_back(tail);
  }
  return group;
}

void ColumnGroup::erase() {
  if (fill)
    fill.erase();
  for (linalg::GenericOp tail : tails)
    tail.erase();
  op.erase();
}

namespace {
class ColumnReduction {
public:
  ColumnReduction(ImplicitLocOpBuilder &b, const ColumnGroup &group,
                  ArrayRef<std::pair<Value, Value>> bounds, int64_t vectorBytes)
      : b(b), math(b), group(group), op(group.op), bounds(bounds),
        at(bounds.size()) {
    cpu.vectorBytes = vectorBytes;
    for (auto [i, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
      (iterator == utils::IteratorType::parallel ? outer : reduced)
          .push_back(i);
    outer.pop_back();
    lanes = vectorBytes;
    hasMasks = true;
    noteTypes(op);
    for (linalg::GenericOp tail : group.tails)
      noteTypes(tail);
  }

  void emit(ArrayRef<unsigned> dims);
  void emit() { emit(outer); }

private:
  void noteTypes(Operation *op);
  void emitColumns();
  void emitVectors(Value column, ArrayRef<TileColumn> vectors);
  Value emitTails(Value result, Value column, TileColumn vector);
  SmallVector<Value> emitSteps(ArrayRef<unsigned> dims, ArrayRef<Value> sums);
  SmallVector<Value> emitStep(ArrayRef<Value> sums);
  Value spread(Value scalar, TileColumn vector);
  /// A vector of an operand whose elements lie where `map` says of `places`,
  /// the last of which becomes `column`.
  Value load(Value buffer, AffineMap map, ArrayRef<Value> places, Value column,
             TileColumn vector);
  Value load(OpOperand &operand, Value column, TileColumn vector) {
    return load(operand.get(), op.getMatchingIndexingMap(&operand), at, column,
                vector);
  }
  void store(OpOperand &operand, Value value, Value column, TileColumn vector);
  SmallVector<Value> getIndices(AffineMap map, ArrayRef<Value> places,
                                Value column);

  ImplicitLocOpBuilder &b;
  IndexMath math;
  ColumnGroup group;
  linalg::LinalgOp op;
  ArrayRef<std::pair<Value, Value>> bounds;
  CpuIsa cpu;
  int64_t lanes;
  bool hasMasks;
  SmallVector<unsigned> outer, reduced;
  SmallVector<Value> at; // of each loop
  Value firstColumn;
  SmallVector<TileColumn> columns;
};
} // namespace

void ColumnReduction::noteTypes(Operation *of) {
  for (Value operand : of->getOperands())
    if (auto type = dyn_cast<MemRefType>(operand.getType())) {
      lanes = std::min(lanes, cpu.getLanes(type.getElementType()));
      hasMasks &= cpu.hasMasks(type.getElementType());
    }
}

void ColumnReduction::emit(ArrayRef<unsigned> dims) {
  if (dims.empty())
    return emitColumns();
  auto [lower, upper] = bounds[dims.front()];
  auto loop = scf::ForOp::create(b, lower, upper, math.constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  at[dims.front()] = loop.getInductionVar();
  emit(dims.drop_front());
}

void ColumnReduction::emitColumns() {
  auto [lower, upper] = bounds.back();
  auto emitLoop = [&](Value from, Value to, int64_t step,
                      ArrayRef<TileColumn> vectors) {
    auto loop = scf::ForOp::create(b, from, to, math.constant(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitVectors(loop.getInductionVar(), vectors);
  };
  std::optional<int64_t> first = staticIndex(lower), end = staticIndex(upper);
  if (!first || !end) {
    Value from = lower;
    for (int64_t width : {kVectors * lanes, lanes, int64_t(1)}) {
      Value to = math.add(from, math.roundDown(math.sub(upper, from), width));
      emitLoop(from, to, width,
               splitColumns(width, std::min(width, lanes), false));
      from = to;
    }
    return;
  }
  int64_t count = *end - *first;
  int64_t width =
      std::min(kVectors, std::max<int64_t>(1, count / lanes)) * lanes;
  int64_t whole = count / width * width;
  if (whole)
    emitLoop(lower, math.constant(*first + whole), width,
             splitColumns(width, lanes, hasMasks));
  if (whole < count)
    emitVectors(math.constant(*first + whole),
                splitColumns(count - whole, lanes, hasMasks));
}

void ColumnReduction::emitVectors(Value column, ArrayRef<TileColumn> vectors) {
  firstColumn = column;
  columns.assign(vectors.begin(), vectors.end());
  for (unsigned dim : reduced)
    at[dim] = math.constant(0);
  SmallVector<Value> sums;
  for (const TileColumn &vector : columns)
    for (OpOperand &init : op.getDpsInitsMutable())
      sums.push_back(group.fill ? spread(group.fill.getInputs()[0], vector)
                                : load(init, column, vector));
  SmallVector<Value> results = emitSteps(reduced, sums);
  // There are tails for one result only.
  if (!group.tails.empty())
    for (auto [result, vector] : llvm::zip_equal(results, columns))
      result = emitTails(result, column, vector);
  auto next = results.begin();
  for (const TileColumn &vector : columns)
    for (OpOperand &init : op.getDpsInitsMutable())
      store(init, *next++, column, vector);
}

/// What the elementwise ops make of the results.
Value ColumnReduction::emitTails(Value result, Value column,
                                 TileColumn vector) {
  SmallVector<Value> places;
  for (unsigned dim : outer)
    places.push_back(at[dim]);
  places.push_back({});
  for (linalg::GenericOp tail : group.tails) {
    SmallVector<Value> arguments;
    for (OpOperand *input : tail.getDpsInputOperands()) {
      // Of what is not used, any vector.
      BlockArgument argument = tail.getMatchingBlockArgument(input);
      arguments.push_back(argument.use_empty()
                              ? argument
                              : load(input->get(),
                                     tail.getMatchingIndexingMap(input), places,
                                     column, vector));
    }
    arguments.push_back(result);
    result = emitVectorBody(b, *tail.getBody(), arguments, vector.width)[0];
  }
  return result;
}

SmallVector<Value> ColumnReduction::emitSteps(ArrayRef<unsigned> dims,
                                              ArrayRef<Value> sums) {
  if (dims.empty())
    return emitStep(sums);
  auto [lower, upper] = bounds[dims.front()];
  int64_t steps = 1;
  for (unsigned dim : dims) {
    std::optional<int64_t> from = staticIndex(bounds[dim].first),
                           to = staticIndex(bounds[dim].second);
    steps = from && to && *to - *from <= kUnrolledSteps
                ? steps * std::max<int64_t>(0, *to - *from)
                : kUnrolledSteps + 1;
    if (steps > kUnrolledSteps)
      break;
  }
  if (steps <= kUnrolledSteps) {
    SmallVector<Value> current(sums);
    for (int64_t i = *staticIndex(lower), e = *staticIndex(upper); i < e; ++i) {
      at[dims.front()] = math.constant(i);
      current = emitSteps(dims.drop_front(), current);
    }
    return current;
  }
  auto loop = scf::ForOp::create(b, lower, upper, math.constant(1), sums);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  at[dims.front()] = loop.getInductionVar();
  SmallVector<Value> carried(loop.getRegionIterArgs());
  scf::YieldOp::create(b, emitSteps(dims.drop_front(), carried));
  return SmallVector<Value>(loop.getResults());
}

/// The body for every vector.
SmallVector<Value> ColumnReduction::emitStep(ArrayRef<Value> sums) {
  SmallVector<Value> results;
  for (const TileColumn &vector : columns) {
    SmallVector<Value> arguments;
    for (OpOperand *input : op.getDpsInputOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(input);
      // The window of a pool has a shape only.
      if (argument.use_empty())
        arguments.push_back(argument);
      else
        arguments.push_back(load(*input, firstColumn, vector));
    }
    for (int64_t i = 0; i < op.getNumDpsInits(); ++i)
      arguments.push_back(sums[results.size() + i]);
    llvm::append_range(
        results, emitVectorBody(b, *op.getBlock(), arguments, vector.width));
  }
  return results;
}

SmallVector<Value> ColumnReduction::getIndices(AffineMap map,
                                               ArrayRef<Value> places,
                                               Value column) {
  SmallVector<OpFoldResult> all = getAsOpFoldResult(places.drop_back());
  all.push_back(column);
  SmallVector<Value> indices;
  for (unsigned i = 0; i < map.getNumResults(); ++i)
    indices.push_back(getValueOrCreateConstantIndexOp(
        b, op.getLoc(),
        affine::makeComposedFoldedAffineApply(b, op.getLoc(), map.getSubMap(i),
                                              all)));
  return indices;
}

Value ColumnReduction::spread(Value scalar, TileColumn vector) {
  return vector::BroadcastOp::create(
      b, VectorType::get({vector.width}, scalar.getType()), scalar);
}

Value ColumnReduction::load(Value buffer, AffineMap map, ArrayRef<Value> places,
                            Value column, TileColumn vector) {
  if (!isa<MemRefType>(buffer.getType()))
    return spread(buffer, vector);
  SmallVector<Value> indices =
      getIndices(map, places, math.add(column, vector.offset));
  if (!map.isFunctionOfDim(places.size() - 1))
    return spread(memref::LoadOp::create(b, buffer, indices), vector);
  auto type = VectorType::get({vector.width}, getElementTypeOrSelf(buffer));
  if (vector.count == vector.width)
    return vector::LoadOp::create(b, type, buffer, indices);
  Value pad = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(
      b, type, buffer, indices, getConstantMask(b, vector.count, vector.width),
      pad);
}

void ColumnReduction::store(OpOperand &operand, Value value, Value column,
                            TileColumn vector) {
  Value buffer = operand.get();
  SmallVector<Value> indices = getIndices(op.getMatchingIndexingMap(&operand),
                                          at, math.add(column, vector.offset));
  if (vector.count == vector.width)
    vector::StoreOp::create(b, value, buffer, indices);
  else
    vector::MaskedStoreOp::create(
        b, buffer, indices, getConstantMask(b, vector.count, vector.width),
        value);
}

SmallVector<std::pair<Value, Value>> dlc::getLoopBounds(ImplicitLocOpBuilder &b,
                                                        linalg::LinalgOp op) {
  Value zero = arith::ConstantIndexOp::create(b, 0);
  SmallVector<std::pair<Value, Value>> bounds;
  // By hand: the helper of linalg does not look at an operand that is read at
  // a constant 0 along a dimension of size 1.
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim) {
    Value size;
    for (OpOperand &operand : op->getOpOperands()) {
      ArrayRef<AffineExpr> places =
          op.getMatchingIndexingMap(&operand).getResults();
      const auto *it = llvm::find(places, b.getAffineDimExpr(dim));
      if (size || it == places.end())
        continue;
      size = b.createOrFold<memref::DimOp>(operand.get(),
                                           int64_t(it - places.begin()));
    }
    bounds.push_back({zero, size});
  }
  return bounds;
}

void dlc::emitColumnReduction(ImplicitLocOpBuilder &b, const ColumnGroup &group,
                              ArrayRef<std::pair<Value, Value>> bounds,
                              int64_t vectorBytes) {
  ColumnReduction(b, group, bounds, vectorBytes).emit();
  markVectorCode(group.op);
}

namespace {
struct ReduceColumnsPass : dlc::impl::ReduceColumnsBase<ReduceColumnsPass> {
  using ReduceColumnsBase::ReduceColumnsBase;

  void runOnOperation() override {
    SmallVector<ColumnGroup> groups;
    SmallPtrSet<Operation *, 8> parts;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (!isColumnReduction(op) || parts.contains(op))
        return;
      groups.push_back(ColumnGroup::find(op));
      parts.insert_range(groups.back().tails);
    });
    for (ColumnGroup &group : groups) {
      linalg::LinalgOp op = group.op;
      ImplicitLocOpBuilder b(op.getLoc(), op);
      // Behind what the last one reads.
      if (!group.tails.empty())
        b.setInsertionPoint(group.tails.back());
      emitColumnReduction(b, group, getLoopBounds(b, op), vectorBytes);
      group.erase();
    }
  }
};
} // namespace
