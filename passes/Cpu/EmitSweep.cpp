// Several steps on a row in one pass over it, as vector code.
#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractTile.h"
#include "passes/Cpu/RowSum.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

/// So many vectors are computed at once, op after op, so that what one waits
/// for is hidden by the others; fewer where bodies are not this short and
/// registers few, more where these are many and bodies exponentials, which are
/// long chains. NEON's instructions take no factors from memory: eight chains
/// and these fit no 32 registers (18.0 cycles a vector on a Neoverse N1 by
/// llvm-mca, 16.8 with four).
static constexpr int64_t kVectors = 4, kShortBody = 3, kLongChains = 8;

namespace {

class SweepEmitter {
public:
  SweepEmitter(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
               int64_t vectorBytes, int64_t registers, bool isFar,
               function_ref<Value(Value)> getBlock);
  void emit();

private:
  void emitRow();
  /// All of a row, by so many vectors at once.
  void emitVectors(int64_t most);
  /// Whether the maximum of the row's softmax is less than kNear; null if it is
  /// none, or too short to have two forms.
  Value findNear();
  void emitRest(Value column, MutableArrayRef<Value> parts);
  /// Loads what is one number a row, and computes with it.
  void prepare();
  /// All steps for `width` elements from `column` on, or for one if that is 0;
  /// with a mask, those of it. Adds them to the sums.
  void emitVector(Value column, int64_t width, Value mask,
                  MutableArrayRef<Value> parts);
  /// Leaves the counting of ones to sums of exponentials.
  void findCounters();
  /// Asks for the elements that come a block later, of this row or another.
  void prefetch(Value column, int64_t width);
  /// One step; what it adds to a sum, if it does.
  Value emitStep(unsigned number, const RowSum *sum, Value column,
                 int64_t width, Value mask,
                 DenseMap<std::pair<Value, AffineMap>, Value> &elements);
  Value load(const RowStep &step, Value buffer, unsigned operand, Value column,
             int64_t width, Value mask);
  SmallVector<Value> getIndices(AffineMap map, Value column);
  Value spread(Value scalar, int64_t width);
  Type vectorOf(Type type, int64_t width) {
    return width ? VectorType::get({width}, type) : type;
  }
  SmallVector<Value> startAll(int64_t width);
  unsigned slots(const RowSum &sum) { return sum.countSlots(vectors); }

  ImplicitLocOpBuilder &b;
  IndexMath math;
  ArrayRef<RowStep> steps;
  SmallVector<SmallVector<Value>> blocks; // of each step
  SmallVector<RowSum> sums;               // of those that add up
  DenseSet<unsigned> counters;            // of ones, by a sum of exponentials
  int64_t lanes, vectors;
  bool hasMasks, prefetches, isNear = false;
  Value row, rows, length;
  /// What stands for values of bodies that are the same in all of a row, and
  /// vectors of it.
  DenseMap<Value, Value> uniforms;
  DenseMap<std::pair<Value, int64_t>, Value> spreads;
  Operation *beforeVectors = nullptr;
};

} // namespace

SweepEmitter::SweepEmitter(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
                           int64_t vectorBytes, int64_t registers, bool isFar,
                           function_ref<Value(Value)> getBlock)
    : b(b), math(b), steps(steps), lanes(vectorBytes), hasMasks(true) {
  CpuIsa cpu;
  cpu.vectorBytes = vectorBytes;
  int64_t size = 0;
  for (auto [number, step] : llvm::enumerate(steps)) {
    SmallVector<Value> &block = blocks.emplace_back();
    size += int64_t(step.getBody().getOperations().size());
    if (RowSum::isReduction(step))
      sums.emplace_back(step, number);
    for (unsigned i = 0; i < step.buffers.size(); ++i) {
      Value buffer = step.buffers[i];
      block.push_back(step.hasRows[i] ? getBlock(buffer) : buffer);
      if (!step.isAlongRow(i))
        continue;
      Type element = getElementTypeOrSelf(buffer.getType());
      lanes = std::min(lanes, cpu.getLanes(element));
      hasMasks &= cpu.hasMasks(element);
      if (!length)
        length = b.createOrFold<memref::DimOp>(
            block.back(), int64_t(step.maps[i].getNumResults() - 1));
    }
  }
  findCounters();
  bool hasExponentials = llvm::any_of(steps, [](const RowStep &step) {
    return !step.getBody().getOps<math::ExpOp>().empty();
  });
  vectors = size <= kShortBody || registers >= 32 ? kVectors : kVectors / 2;
  if (hasExponentials && registers >= 32 && vectorBytes > 16)
    vectors = kLongChains;
  prefetches = isFar && hasExponentials;
}

void SweepEmitter::findCounters() {
  for (RowSum &sum : sums) {
    const RowStep &step = steps[sum.getNumber()];
    if (!step.addsExponentials || !step.op->hasAttr(kOnesAttr))
      continue;
    const auto *ones = llvm::find_if(steps, [&](const RowStep &other) {
      return !other.addsExponentials && other.op->hasAttr(kOnesAttr) &&
             RowSum::isReduction(other) &&
             llvm::equal(ArrayRef(other.buffers).drop_back(),
                         ArrayRef(step.buffers).drop_back());
    });
    unsigned number = ones - steps.begin();
    if (ones != steps.end() && counters.insert(number).second)
      sum.takeOnes(number);
  }
  llvm::erase_if(sums, [&](const RowSum &sum) {
    return counters.contains(sum.getNumber());
  });
}

void SweepEmitter::emit() {
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
  for (const RowSum &sum : sums)
    llvm::append_range(all, sum.start(b, width, vectors));
  return all;
}

/// The maximum of a row that is subtracted from what `exp` is of, or null.
static Value findMost(math::ExpOp exp, const DenseMap<Value, Value> &uniforms) {
  auto difference = exp.getOperand().getDefiningOp<arith::SubFOp>();
  Value most = difference ? uniforms.lookup(difference.getRhs()) : Value();
  return exp->hasAttr(kSoftmaxAttr) && most && most.getType().isF32() ? most
                                                                      : Value();
}

Value SweepEmitter::findNear() {
  std::optional<int64_t> known = staticIndex(length);
  Value near;
  if (known && *known < 2 * lanes)
    return near;
  for (const RowStep &step : steps)
    for (auto exp : step.getBody().getOps<math::ExpOp>())
      if (Value most = findMost(exp, uniforms)) {
        Value isNear = arith::CmpFOp::create(
            b, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, most),
            constantLike(b, most.getType(), kNear));
        near = near ? Value(arith::AndIOp::create(b, near, isNear)) : isNear;
      }
  return near;
}

void SweepEmitter::emitRow() {
  prepare();
  Value near = findNear();
  if (!near)
    return emitVectors(vectors);
  // The others are rare.
  auto branch = scf::IfOp::create(b, near, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  isNear = true;
  emitVectors(vectors);
  b.setInsertionPointToStart(branch.elseBlock());
  isNear = false;
  emitVectors(1);
}

void SweepEmitter::emitVectors(int64_t most) {
  std::optional<int64_t> known = staticIndex(length);
  vectors = most;
  while (known && vectors > 1 && *known < vectors * lanes)
    vectors /= 2;
  SmallVector<Value> parts = startAll(lanes);
  Value column = math.constant(0);
  auto emitLoop = [&](int64_t width) {
    Value end =
        math.add(column, math.roundDown(math.sub(length, column), width));
    if (known && *staticIndex(end) == *staticIndex(column))
      return;
    if (known && *staticIndex(end) == *staticIndex(column) + width) {
      emitVector(column, width, Value(), parts);
      column = end;
      return;
    }
    auto loop = scf::ForOp::create(b, column, end, math.constant(width), parts);
    keepRolled(loop);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> next(loop.getRegionIterArgs());
    emitVector(loop.getInductionVar(), width, Value(), next);
    if (!next.empty())
      scf::YieldOp::create(b, next);
    llvm::copy(loop.getResults(), parts.begin());
    column = end;
  };
  // Of unknown rows few are what each further loop is for.
  for (int64_t count = vectors; count > 1; count /= known ? 2 : 4)
    emitLoop(count * lanes);
  emitLoop(lanes);
  emitRest(column, parts);
}

/// What is behind whole vectors: a part of one, or smaller ones. Then the sums.
void SweepEmitter::emitRest(Value column, MutableArrayRef<Value> parts) {
  std::optional<int64_t> known = staticIndex(length);
  SmallVector<SmallVector<Value>> results(sums.size());
  auto addResults = [&](ArrayRef<Value> part) {
    for (auto [sum, result] : llvm::zip(sums, results)) {
      SmallVector<Value> other = sum.finish(b, part.take_front(slots(sum)));
      part = part.drop_front(slots(sum));
      for (auto [i, value] : llvm::enumerate(result))
        other[i] = sum.combine(b, value, other[i]);
      result = other;
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
    emitVector(column, lanes, mask, parts);
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
                   parts);
        continue;
      }
      int64_t width = part.width > 1 ? part.width : 0;
      SmallVector<Value> smaller = startAll(width);
      emitVector(at, width, Value(), smaller);
      addResults(smaller);
    }
  }
  addResults(parts);
  auto getPlace = [&](unsigned number) {
    return getIndices(steps[number].maps.back(), Value());
  };
  for (auto [sum, result] : llvm::zip(sums, results))
    sum.store(
        b, result,
        [&](unsigned number) -> Value {
          return memref::LoadOp::create(b, blocks[number].back(),
                                        getPlace(number));
        },
        [&](Value value, unsigned number) {
          memref::StoreOp::create(b, value, blocks[number].back(),
                                  getPlace(number));
        });
}

void SweepEmitter::prepare() {
  for (auto [number, step] : llvm::enumerate(steps)) {
    Block &body = step.getBody();
    Operation *combiner =
        RowSum::isReduction(step) ? RowSum::findAddition(step) : nullptr;
    for (BlockArgument argument : body.getArguments()) {
      unsigned i = argument.getArgNumber();
      if (argument.use_empty() || step.isAlongRow(i) ||
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
    unsigned number, const RowSum *sum, Value column, int64_t width, Value mask,
    DenseMap<std::pair<Value, AffineMap>, Value> &elements) {
  const RowStep &step = steps[number];
  Block &body = step.getBody();
  Operation *combiner =
      RowSum::isReduction(step) ? RowSum::findAddition(step) : nullptr;
  IRMapping mapping;
  auto find = [&](Value value) -> Value {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Value scalar = uniforms.lookup(value);
    return spread(scalar ? scalar : value, width);
  };
  for (BlockArgument argument : body.getArguments()) {
    unsigned i = argument.getArgNumber();
    if (argument.use_empty() || !step.isAlongRow(i))
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
    if (auto exp = dyn_cast<math::ExpOp>(op);
        isNear && exp && findMost(exp, uniforms))
      copy->setAttr(kNearAttr, b.getUnitAttr());
    mapping.map(op.getResult(0), copy->getResult(0));
  }
  if (combiner) {
    Value total = body.getArguments().back();
    Value added = combiner->getOperand(combiner->getOperand(0) == total);
    added = find(sum->getAddend(added));
    if (mask)
      added =
          arith::SelectOp::create(b, mask, added, sum->getNeutral(b, width));
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

void SweepEmitter::prefetch(Value column, int64_t width) {
  constexpr int64_t kLine = 64;
  DenseSet<Value> done;
  for (auto [number, step] : llvm::enumerate(steps))
    for (unsigned i = 0; i < step.buffers.size(); ++i) {
      if (!step.isAlongRow(i) || !step.hasNext[i] ||
          !done.insert(step.buffers[i]).second)
        continue;
      int64_t bytes =
          getElementTypeOrSelf(step.buffers[i]).getIntOrFloatBitWidth() / 8;
      Value buffer = step.buffers[i];
      bool isWritten = llvm::any_of(steps, [&](const RowStep &other) {
        return llvm::is_contained(
            ArrayRef(other.buffers).drop_front(other.getInputCount()), buffer);
      });
      for (int64_t at = 0; at < width; at += kLine / bytes) {
        SmallVector<Value> place =
            getIndices(step.maps[i], math.add(column, at + kBlockElements));
        memref::PrefetchOp::create(b, blocks[number][i], place, isWritten,
                                   /*localityHint=*/3, /*isDataCache=*/true);
      }
    }
}

void SweepEmitter::emitVector(Value column, int64_t width, Value mask,
                              MutableArrayRef<Value> parts) {
  if (prefetches && isNear && width > lanes)
    prefetch(column, width);
  DenseMap<std::pair<Value, AffineMap>, Value> elements;
  const RowSum *sum = sums.begin();
  for (unsigned number = 0; number < steps.size(); ++number) {
    if (counters.contains(number))
      continue;
    bool isSum = sum != sums.end() && sum->getNumber() == number;
    Value added =
        emitStep(number, isSum ? sum : nullptr, column, width, mask, elements);
    if (!isSum)
      continue;
    sum->accumulate(b, lanes, parts.take_front(slots(*sum)), added);
    parts = parts.drop_front(slots(*sum));
    ++sum;
  }
}

void RowSweep::emit(ImplicitLocOpBuilder &b,
                    function_ref<Value(Value)> getBlock) const {
  SweepEmitter(b, steps, vectorBytes, registers, isFar, getBlock).emit();
}
