// Several steps on a row in one pass over it, as vector code.
#include "passes/Cpu/RowSweep.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractTile.h"
#include "passes/Cpu/RowSum.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Tensor/RowOps.h"

using namespace mlir;
using namespace dlc;

/// So many vectors are computed at once, op after op, so that what one waits
/// for is hidden by the others; fewer where bodies are not this short and
/// registers few.
static constexpr int64_t kVectors = 4, kShortBody = 3;

int64_t RowStep::getLength() const {
  for (auto [map, buffer] : llvm::zip(maps, buffers))
    if (kinds.size() > 1 && map.isFunctionOfDim(1))
      return cast<MemRefType>(buffer.getType()).getShape().back();
  return 1;
}

Operation *RowStep::findAddition() const {
  Operation *combiner = findCombiner(linalg::GenericOp(op));
  if (isa_and_nonnull<arith::AddFOp, arith::MulFOp>(combiner) &&
      !bitEnumContainsAny(cast<arith::ArithFastMathInterface>(combiner)
                              .getFastMathFlagsAttr()
                              .getValue(),
                          arith::FastMathFlags::reassoc))
    return nullptr;
  return combiner;
}

bool RowSweep::fits(const RowStep &step, int64_t vectorBytes) {
  linalg::GenericOp op = step.op;
  if (step.kinds.size() != 2 || !hasVectorBody(*op.getBody()) ||
      (step.isReduction() &&
       (op->getNumOperands() < 2 || op.getNumDpsInits() != 1 ||
        !step.findAddition())))
    return false;
  bool hasVectors = false;
  for (auto [i, map, buffer] : llvm::enumerate(step.maps, step.buffers)) {
    auto type = dyn_cast<MemRefType>(buffer.getType());
    if (!type)
      continue;
    unsigned bits = type.getElementTypeBitWidth();
    if (!isa<FloatType, IntegerType>(type.getElementType()) ||
        !llvm::is_contained({8u, 16u, 32u, 64u}, bits))
      return false;
    ArrayRef<AffineExpr> results = map.getResults();
    if (map.isFunctionOfDim(1)) {
      if (results.back() != getAffineDimExpr(1, map.getContext()) ||
          map.dropResult(results.size() - 1).isFunctionOfDim(1) ||
          !type.isLastDimUnitStride() || vectorBytes * 8 < 2 * bits)
        return false;
      hasVectors = true;
      results = results.drop_back();
    } else if (step.isWritten(i) && !step.isReduction()) {
      return false;
    }
    if (!llvm::all_of(results, [](AffineExpr expr) {
          return isa<AffineDimExpr, AffineConstantExpr>(expr);
        }))
      return false;
  }
  return hasVectors;
}

static bool isAlongRow(const RowStep &step, unsigned operand) {
  return step.kinds.size() > 1 && step.maps[operand].isFunctionOfDim(1);
}

bool RowSweep::takes(const RowStep &step,
                     function_ref<bool(Value, Value)> share) const {
  if (steps.empty())
    return true;
  bool isOfSameLength = false;
  for (const RowStep &before : steps) {
    int64_t length = before.getLength();
    isOfSameLength |=
        !ShapedType::isDynamic(length) && length == step.getLength();
    for (unsigned i = 0; i < before.buffers.size(); ++i)
      for (unsigned k = 0; k < step.buffers.size(); ++k) {
        bool areVectors = isAlongRow(before, i) && isAlongRow(step, k);
        if (before.buffers[i] == step.buffers[k] && areVectors &&
            before.maps[i] == step.maps[k]) {
          isOfSameLength = true;
          continue;
        }
        if (!before.isWritten(i) && !step.isWritten(k))
          continue;
        // What one step does to an element the other one finds there, if they
        // are the same bytes.
        if (share(before.buffers[i], step.buffers[k]) &&
            !(areVectors && before.hasRows[i] && step.hasRows[k] &&
              cast<MemRefType>(before.buffers[i].getType())
                      .getElementTypeBitWidth() ==
                  cast<MemRefType>(step.buffers[k].getType())
                      .getElementTypeBitWidth()))
          return false;
      }
  }
  return isOfSameLength;
}

bool RowSweep::mayFollow(const RowStep &step,
                         function_ref<bool(Value, Value)> share) const {
  return llvm::none_of(steps, [&](const RowStep &before) {
    for (unsigned i = 0; i < before.buffers.size(); ++i)
      for (unsigned k = 0; k < step.buffers.size(); ++k)
        if ((before.isWritten(i) || step.isWritten(k)) &&
            share(before.buffers[i], step.buffers[k]))
          return true;
    return false;
  });
}

namespace {

class SweepEmitter {
public:
  SweepEmitter(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
               int64_t vectorBytes, int64_t registers,
               function_ref<Value(Value)> getBlock);
  void emit();

private:
  void emitRow();
  void emitRest(Value column, MutableArrayRef<Value> sums);
  /// Loads what is one number a row, and computes with it.
  void prepare();
  /// All steps for `width` elements from `column` on, or for one if that is 0;
  /// with a mask, those of it. Adds them to the sums.
  void emitVector(Value column, int64_t width, Value mask,
                  MutableArrayRef<Value> sums);
  /// One step; what it adds to a sum, if it does.
  Value emitStep(unsigned number, Value column, int64_t width, Value mask,
                 DenseMap<std::pair<Value, AffineMap>, Value> &elements);
  Value load(const RowStep &step, Value buffer, unsigned operand, Value column,
             int64_t width, Value mask);
  SmallVector<Value> getIndices(AffineMap map, Value column);
  Value spread(Value scalar, int64_t width);
  Type vectorOf(Type type, int64_t width) {
    return width ? VectorType::get({width}, type) : type;
  }
  SmallVector<Value> startAll(int64_t width);

  ImplicitLocOpBuilder &b;
  IndexMath math;
  ArrayRef<RowStep> steps;
  SmallVector<SmallVector<Value>> blocks;    // of each step
  llvm::MapVector<unsigned, RowSum> rowSums; // of those that add up
  int64_t lanes, vectors;
  bool hasMasks;
  Value row, length;
  /// What stands for values of bodies that are the same in all of a row, and
  /// vectors of it.
  DenseMap<Value, Value> uniforms;
  DenseMap<std::pair<Value, int64_t>, Value> spreads;
  Operation *beforeVectors = nullptr;
};

} // namespace

SweepEmitter::SweepEmitter(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
                           int64_t vectorBytes, int64_t registers,
                           function_ref<Value(Value)> getBlock)
    : b(b), math(b), steps(steps), lanes(vectorBytes), hasMasks(true) {
  CpuIsa cpu;
  cpu.vectorBytes = vectorBytes;
  int64_t size = 0;
  for (auto [number, step] : llvm::enumerate(steps)) {
    SmallVector<Value> &block = blocks.emplace_back();
    size += int64_t(step.getBody().getOperations().size());
    if (step.isReduction())
      rowSums.insert({unsigned(number), RowSum(b, step)});
    for (unsigned i = 0; i < step.buffers.size(); ++i) {
      Value buffer = step.buffers[i];
      block.push_back(step.hasRows[i] ? getBlock(buffer) : buffer);
      if (!isAlongRow(step, i))
        continue;
      Type element = getElementTypeOrSelf(buffer.getType());
      lanes = std::min(lanes, cpu.getLanes(element));
      hasMasks &= cpu.hasMasks(element);
      if (!length)
        length = b.createOrFold<memref::DimOp>(
            block.back(), int64_t(step.maps[i].getNumResults() - 1));
    }
  }
  vectors = size <= kShortBody || registers >= 32 ? kVectors : kVectors / 2;
}

void SweepEmitter::emit() {
  Value rows;
  for (auto [step, block] : llvm::zip(steps, blocks))
    for (unsigned i = 0; i < block.size() && !rows; ++i)
      if (step.hasRows[i])
        rows = b.createOrFold<memref::DimOp>(block[i], int64_t(0));
  auto loop = scf::ForOp::create(b, math.constant(0), rows, math.constant(1));
  keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  row = loop.getInductionVar();
  beforeVectors = loop.getBody()->getTerminator();
  emitRow();
}

SmallVector<Value> SweepEmitter::startAll(int64_t width) {
  SmallVector<Value> all;
  for (const RowSum &sum : llvm::make_second_range(rowSums))
    llvm::append_range(all, sum.start(width, vectors));
  return all;
}

void SweepEmitter::emitRow() {
  prepare();
  std::optional<int64_t> known = staticIndex(length);
  if (known)
    while (vectors > 1 && *known < vectors * lanes)
      vectors /= 2;
  SmallVector<Value> sums = startAll(lanes);
  Value column = math.constant(0);
  auto emitLoop = [&](int64_t width) {
    Value end =
        math.add(column, math.roundDown(math.sub(length, column), width));
    if (known && *staticIndex(end) == *staticIndex(column))
      return;
    auto loop = scf::ForOp::create(b, column, end, math.constant(width), sums);
    keepRolled(loop);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> next(loop.getRegionIterArgs());
    emitVector(loop.getInductionVar(), width, Value(), next);
    if (!next.empty())
      scf::YieldOp::create(b, next);
    llvm::copy(loop.getResults(), sums.begin());
    column = end;
  };
  emitLoop(vectors * lanes);
  if (vectors > 1)
    emitLoop(lanes);
  emitRest(column, sums);
}

/// What is behind whole vectors: a part of one, or smaller ones. Then the sums.
void SweepEmitter::emitRest(Value column, MutableArrayRef<Value> sums) {
  std::optional<int64_t> known = staticIndex(length);
  SmallVector<Value> results(rowSums.size());
  auto addResults = [&](ArrayRef<Value> part) {
    for (auto [sum, result] :
         llvm::zip(llvm::make_second_range(rowSums), results)) {
      unsigned slots = sum.countSlots(vectors);
      Value other = sum.finish(part.take_front(slots));
      result = result ? sum.combine(result, other) : other;
      part = part.drop_front(slots);
    }
  };
  if (!known && hasMasks) {
    auto type = VectorType::get({lanes}, b.getI32Type());
    SmallVector<int32_t> numbers(lanes);
    std::iota(numbers.begin(), numbers.end(), 0);
    Value lane = arith::ConstantOp::create(
        b, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
    Value rest =
        arith::IndexCastOp::create(b, b.getI32Type(), math.sub(length, column));
    Value mask =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lane,
                              vector::BroadcastOp::create(b, type, rest));
    emitVector(column, lanes, mask, sums);
  } else if (!known) {
    auto loop =
        scf::ForOp::create(b, column, length, math.constant(1), startAll(0));
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next(loop.getRegionIterArgs());
      emitVector(loop.getInductionVar(), 0, Value(), next);
      if (!next.empty())
        scf::YieldOp::create(b, next);
    }
    addResults(SmallVector<Value>(loop.getResults()));
  } else {
    int64_t first = *staticIndex(column);
    for (const TileColumn &part :
         splitColumns(*known - first, lanes, hasMasks)) {
      Value at = math.constant(first + part.offset);
      if (part.width == lanes) {
        bool isWhole = part.count == part.width;
        emitVector(at, lanes,
                   isWhole ? Value() : getConstantMask(b, part.count, lanes),
                   sums);
        continue;
      }
      int64_t width = part.width > 1 ? part.width : 0;
      SmallVector<Value> smaller = startAll(width);
      emitVector(at, width, Value(), smaller);
      addResults(smaller);
    }
  }
  addResults(sums);
  for (auto [entry, result] : llvm::zip(rowSums, results)) {
    unsigned number = entry.first;
    Value buffer = blocks[number].back();
    SmallVector<Value> at = getIndices(steps[number].maps.back(), Value());
    Value given = memref::LoadOp::create(b, buffer, at);
    bool isNarrow = given.getType() != result.getType();
    if (isNarrow)
      given = arith::ExtFOp::create(b, result.getType(), given);
    Value sum = entry.second.combine(given, result);
    if (isNarrow)
      sum = arith::TruncFOp::create(b, b.getF32Type(), sum);
    memref::StoreOp::create(b, sum, buffer, at);
  }
}

void SweepEmitter::prepare() {
  for (auto [number, step] : llvm::enumerate(steps)) {
    Block &body = step.getBody();
    Operation *combiner = step.isReduction() ? step.findAddition() : nullptr;
    for (BlockArgument argument : body.getArguments()) {
      unsigned i = argument.getArgNumber();
      if (argument.use_empty() || isAlongRow(step, i) ||
          (combiner && step.isWritten(i)))
        continue;
      Value buffer = blocks[number][i];
      uniforms[argument] =
          isa<MemRefType>(buffer.getType())
              ? memref::LoadOp::create(b, buffer,
                                       getIndices(step.maps[i], Value()))
              : buffer;
    }
    for (Operation &op : body.without_terminator()) {
      IRMapping mapping;
      bool isUniform = &op != combiner;
      for (Value operand : op.getOperands()) {
        if (operand.getParentBlock() != &body)
          continue;
        isUniform &= uniforms.contains(operand);
        if (isUniform)
          mapping.map(operand, uniforms.lookup(operand));
      }
      if (isUniform)
        uniforms[op.getResult(0)] = b.clone(op, mapping)->getResult(0);
    }
  }
}

Value SweepEmitter::spread(Value scalar, int64_t width) {
  if (!width)
    return scalar;
  Value &vector = spreads[{scalar, width}];
  if (vector)
    return vector;
  // Behind the scalar, and before all loops over vectors.
  OpBuilder::InsertionGuard guard(b);
  if (Operation *op = scalar.getDefiningOp();
      op && op->getBlock() == beforeVectors->getBlock())
    b.setInsertionPointAfter(op);
  else
    b.setInsertionPointToStart(beforeVectors->getBlock());
  vector =
      vector::BroadcastOp::create(b, vectorOf(scalar.getType(), width), scalar);
  return vector;
}

SmallVector<Value> SweepEmitter::getIndices(AffineMap map, Value column) {
  SmallVector<Value> indices;
  for (AffineExpr expr : map.getResults()) {
    if (auto number = dyn_cast<AffineConstantExpr>(expr))
      indices.push_back(math.constant(number.getValue()));
    else
      indices.push_back(cast<AffineDimExpr>(expr).getPosition() ? column : row);
  }
  return indices;
}

Value SweepEmitter::load(const RowStep &step, Value buffer, unsigned operand,
                         Value column, int64_t width, Value mask) {
  SmallVector<Value> at = getIndices(step.maps[operand], column);
  if (!width)
    return memref::LoadOp::create(b, buffer, at);
  auto type = VectorType::get({width}, getElementTypeOrSelf(buffer.getType()));
  if (!mask)
    return vector::LoadOp::create(b, type, buffer, at);
  Value pad = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, buffer, at, mask, pad);
}

Value SweepEmitter::emitStep(
    unsigned number, Value column, int64_t width, Value mask,
    DenseMap<std::pair<Value, AffineMap>, Value> &elements) {
  const RowStep &step = steps[number];
  Block &body = step.getBody();
  Operation *combiner = step.isReduction() ? step.findAddition() : nullptr;
  IRMapping mapping;
  auto find = [&](Value value) -> Value {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Value scalar = uniforms.lookup(value);
    return spread(scalar ? scalar : value, width);
  };
  for (BlockArgument argument : body.getArguments()) {
    unsigned i = argument.getArgNumber();
    if (argument.use_empty() || !isAlongRow(step, i))
      continue;
    Value &element = elements[{step.buffers[i], step.maps[i]}];
    if (!element)
      element = load(step, blocks[number][i], i, column, width, mask);
    mapping.map(argument, element);
  }
  for (Operation &op : body.without_terminator()) {
    if (&op == combiner || uniforms.contains(op.getResult(0)))
      continue;
    IRMapping given;
    for (Value operand : op.getOperands())
      given.map(operand, find(operand));
    Operation *copy = b.clone(op, given);
    copy->getResult(0).setType(vectorOf(op.getResult(0).getType(), width));
    mapping.map(op.getResult(0), copy->getResult(0));
  }
  if (combiner) {
    Value sum = body.getArguments().back();
    Value added = find(combiner->getOperand(combiner->getOperand(0) == sum));
    // Of exponentials, before it was extended.
    if (auto extended = added.getDefiningOp<arith::ExtFOp>();
        extended && step.addsExponentials)
      added = extended.getIn();
    if (mask)
      added = arith::SelectOp::create(
          b, mask, added, rowSums.find(number)->second.neutral(width));
    return added;
  }
  for (auto [i, yielded] :
       llvm::enumerate(body.getTerminator()->getOperands())) {
    unsigned operand = step.getInputCount() + i;
    Value value = find(yielded), buffer = blocks[number][operand];
    SmallVector<Value> at = getIndices(step.maps[operand], column);
    if (!width)
      memref::StoreOp::create(b, value, buffer, at);
    else if (mask)
      vector::MaskedStoreOp::create(b, buffer, at, mask, value);
    else
      vector::StoreOp::create(b, value, buffer, at);
    elements[{step.buffers[operand], step.maps[operand]}] = value;
  }
  return {};
}

void SweepEmitter::emitVector(Value column, int64_t width, Value mask,
                              MutableArrayRef<Value> sums) {
  DenseMap<std::pair<Value, AffineMap>, Value> elements;
  for (unsigned number = 0; number < steps.size(); ++number) {
    Value added = emitStep(number, column, width, mask, elements);
    if (!added)
      continue;
    const RowSum &sum = rowSums.find(number)->second;
    unsigned slots = sum.countSlots(vectors);
    sum.accumulate(sums.take_front(slots), added, lanes);
    sums = sums.drop_front(slots);
  }
}

void RowSweep::emit(ImplicitLocOpBuilder &b,
                    function_ref<Value(Value)> getBlock) const {
  SweepEmitter(b, steps, vectorBytes, registers, getBlock).emit();
}
