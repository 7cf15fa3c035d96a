// Several linalg ops on the same rows, by chunks of up to 16 bytes. A chunk is
// the same thread's in all steps: what a step makes of it the next ones have in
// registers, and threads wait for each other only in reductions.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/RowPlan.h"

using namespace mlir;
using namespace dlc;

static bool isVectorType(Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  return (type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
          isa<IntegerType>(type)) &&
         bits >= 8 && llvm::isPowerOf2_32(bits);
}

namespace {

/// Elements side by side of a row: at a thread's number `number`, where it is
/// kept in registers.
struct Chunk {
  int64_t number;
  Value position; // of the first
  Value isInside; // null: it is
};

class ChunkEmitter {
public:
  ChunkEmitter(Kernel &kernel, RowPlan &plan)
      : kernel(kernel), b(kernel.b), plan(plan) {}

  void run();

private:
  void emitWhole(size_t number, LoopNest &nest);
  void emitReduction(size_t number, LoopNest &nest);
  void emitOne(size_t number, LoopNest &nest);
  /// Reads what the step uses of a row's single values, outside of any loop.
  void readOnes(size_t number, LoopNest &nest);
  SmallVector<Value>
  forEachChunk(LoopNest &nest, const RowStep &step, ValueRange carried,
               function_ref<SmallVector<Value>(const Chunk &, ValueRange)>);
  /// The elements of a chunk, or the same one `width` times.
  SmallVector<Value> readChunk(size_t number, LoopNest &nest, unsigned operand,
                               const Chunk &chunk);
  Value readOne(size_t number, LoopNest &nest, unsigned operand);
  void writeOne(size_t number, LoopNest &nest, unsigned operand, Value value);
  void writeChunk(size_t number, LoopNest &nest, unsigned operand,
                  const Chunk &chunk, ArrayRef<Value> values);
  SmallVector<Value> load(Value buffer, Value offset);
  void store(Value buffer, Value offset, ArrayRef<Value> values);
  SmallVector<Value> loadOther(LoopNest &nest, const RowStep &step,
                               OpOperand &operand, const Chunk &chunk);
  /// A view of one dimension.
  Value flatten(Value buffer);
  Value offsetOf(LoopNest &nest, const RowStep &step, const RowOperand &operand,
                 const Chunk &chunk);
  Value lengthOf(LoopNest &nest, const RowStep &step);
  SmallVector<Value> rowAt(LoopNest &nest, const RowStep &step);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  RowPlan &plan;
  Value thread, row, isRow; // of a row; null: there is one
  DenseMap<int64_t, Value> ones;
  DenseMap<int64_t, SmallVector<Value>> rows;
};

} // namespace

Value ChunkEmitter::flatten(Value buffer) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  auto flat = MemRefType::get({ShapedType::kDynamic}, element,
                              StridedLayoutAttr::get(b.getContext(), 0, {1}));
  return memref::ReinterpretCastOp::create(
      b, flat, buffer, OpFoldResult(b.getIndexAttr(0)),
      ArrayRef<OpFoldResult>{OpFoldResult(kernel.index(1))},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
}

SmallVector<Value> ChunkEmitter::load(Value buffer, Value offset) {
  Value flat = flatten(buffer);
  Type type = cast<MemRefType>(flat.getType()).getElementType();
  SmallVector<Value> values;
  if (plan.width == 1 || !isVectorType(type)) {
    for (int64_t i = 0; i < plan.width; ++i)
      values.push_back(
          memref::LoadOp::create(b, flat, kernel.add(offset, kernel.index(i))));
    return values;
  }
  int64_t each =
      std::min<int64_t>(plan.width, 128 / type.getIntOrFloatBitWidth());
  int64_t bytes = each * type.getIntOrFloatBitWidth() / 8;
  for (int64_t i = 0; i < plan.width; i += each) {
    Value vector =
        vector::LoadOp::create(b, VectorType::get({each}, type), flat,
                               ValueRange{kernel.add(offset, kernel.index(i))},
                               /*nontemporal=*/false, llvm::MaybeAlign(bytes));
    for (int64_t k = 0; k < each; ++k)
      values.push_back(vector::ExtractOp::create(b, vector, k));
  }
  return values;
}

void ChunkEmitter::store(Value buffer, Value offset, ArrayRef<Value> values) {
  Value flat = flatten(buffer);
  Type type = cast<MemRefType>(flat.getType()).getElementType();
  if (plan.width == 1 || !isVectorType(type)) {
    for (auto [i, value] : llvm::enumerate(values))
      memref::StoreOp::create(b, value, flat,
                              kernel.add(offset, kernel.index(i)));
    return;
  }
  int64_t each =
      std::min<int64_t>(plan.width, 128 / type.getIntOrFloatBitWidth());
  int64_t bytes = each * type.getIntOrFloatBitWidth() / 8;
  for (int64_t i = 0; i < plan.width; i += each)
    vector::StoreOp::create(
        b,
        vector::FromElementsOp::create(b, VectorType::get({each}, type),
                                       values.slice(i, each)),
        flat, ValueRange{kernel.add(offset, kernel.index(i))},
        /*nontemporal=*/false, llvm::MaybeAlign(bytes));
}

Value ChunkEmitter::lengthOf(LoopNest &nest, const RowStep &step) {
  auto inner = llvm::to_vector(
      llvm::seq<unsigned>(step.dims, linalg::LinalgOp(step.op).getNumLoops()));
  return kernel.product(nest.extentsOf(inner));
}

/// The coordinates of the row's first element.
SmallVector<Value> ChunkEmitter::rowAt(LoopNest &nest, const RowStep &step) {
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, step.dims));
  SmallVector<Value> at = kernel.coordinates(row, nest.extentsOf(dims));
  at.resize(linalg::LinalgOp(step.op).getNumLoops(), kernel.index(0));
  return at;
}

Value ChunkEmitter::offsetOf(LoopNest &nest, const RowStep &step,
                             const RowOperand &operand, const Chunk &chunk) {
  if (operand.form == RowForm::Shared)
    return chunk.position;
  return kernel.add(kernel.mul(row, lengthOf(nest, step)), chunk.position);
}

SmallVector<Value> ChunkEmitter::loadOther(LoopNest &nest, const RowStep &step,
                                           OpOperand &operand,
                                           const Chunk &chunk) {
  linalg::LinalgOp op = step.op;
  AffineMap map = op.getMatchingIndexingMap(&operand);
  SmallVector<Value> at = rowAt(nest, step), values;
  auto inner =
      llvm::to_vector(llvm::seq<unsigned>(step.dims, op.getNumLoops()));
  bool isSame = llvm::none_of(
      inner, [&](unsigned dim) { return map.isFunctionOfDim(dim); });
  for (int64_t i = 0; i < plan.width; ++i) {
    if (isSame && i) {
      values.push_back(values.front());
      continue;
    }
    if (!isSame)
      for (auto [dim, value] : llvm::zip(
               inner,
               kernel.coordinates(kernel.add(chunk.position, kernel.index(i)),
                                  nest.extentsOf(inner))))
        at[dim] = value;
    values.push_back(
        memref::LoadOp::create(b, operand.get(), kernel.apply(map, at)));
  }
  return values;
}

Value ChunkEmitter::readOne(size_t number, LoopNest &nest, unsigned operand) {
  const RowStep &step = plan.steps[number];
  Value &known = ones[step.operands[operand].buffer];
  if (!known)
    known = memref::LoadOp::create(
        b, flatten(linalg::LinalgOp(step.op)->getOperand(operand)), row);
  return known;
}

void ChunkEmitter::readOnes(size_t number, LoopNest &nest) {
  for (auto [i, operand] : llvm::enumerate(plan.steps[number].operands))
    if (operand.form == RowForm::One && operand.isRead)
      readOne(number, nest, i);
}

SmallVector<Value> ChunkEmitter::readChunk(size_t number, LoopNest &nest,
                                           unsigned operand,
                                           const Chunk &chunk) {
  const RowStep &step = plan.steps[number];
  linalg::LinalgOp op = step.op;
  const RowOperand &what = step.operands[operand];
  Value buffer = op->getOperand(operand);
  switch (what.form) {
  case RowForm::Number:
    return SmallVector<Value>(plan.width, buffer);
  case RowForm::One:
    return SmallVector<Value>(plan.width, readOne(number, nest, operand));
  case RowForm::Other:
    return loadOther(nest, step, op->getOpOperand(operand), chunk);
  case RowForm::Shared:
    return load(buffer, offsetOf(nest, step, what, chunk));
  case RowForm::Row:
    break;
  }
  if (!plan.chunks)
    return load(buffer, offsetOf(nest, step, what, chunk));
  SmallVector<Value> &known = rows[what.buffer];
  known.resize(plan.chunks * plan.width);
  auto first = known.begin() + chunk.number * plan.width;
  if (!*first)
    llvm::copy(load(buffer, offsetOf(nest, step, what, chunk)), first);
  return SmallVector<Value>(first, first + plan.width);
}

void ChunkEmitter::writeChunk(size_t number, LoopNest &nest, unsigned operand,
                              const Chunk &chunk, ArrayRef<Value> values) {
  const RowStep &step = plan.steps[number];
  const RowOperand &what = step.operands[operand];
  const RowLife &life = plan.lives.find(what.buffer)->second;
  if (plan.chunks) {
    SmallVector<Value> &known = rows[what.buffer];
    known.resize(plan.chunks * plan.width);
    llvm::copy(values, known.begin() + chunk.number * plan.width);
    if (!life.isStored || life.lastWritten != number)
      return;
  }
  Value condition = isRow;
  if (chunk.isInside)
    condition = condition
                    ? b.createOrFold<arith::AndIOp>(condition, chunk.isInside)
                    : chunk.isInside;
  kernel.when(condition, [&] {
    store(linalg::LinalgOp(step.op)->getOperand(operand),
          offsetOf(nest, step, what, chunk), values);
  });
}

void ChunkEmitter::writeOne(size_t number, LoopNest &nest, unsigned operand,
                            Value value) {
  const RowStep &step = plan.steps[number];
  const RowOperand &what = step.operands[operand];
  const RowLife &life = plan.lives.find(what.buffer)->second;
  ones[what.buffer] = value;
  if (!life.isStored || life.lastWritten != number)
    return;
  Value condition = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq,
                                                  thread, kernel.index(0));
  if (isRow)
    condition = b.createOrFold<arith::AndIOp>(condition, isRow);
  kernel.when(condition, [&] {
    memref::StoreOp::create(
        b, value, flatten(linalg::LinalgOp(step.op)->getOperand(operand)), row);
  });
}

SmallVector<Value> ChunkEmitter::forEachChunk(
    LoopNest &nest, const RowStep &step, ValueRange carried,
    function_ref<SmallVector<Value>(const Chunk &, ValueRange)> body) {
  int64_t stride = plan.threads * plan.width;
  Value first = kernel.mul(thread, kernel.index(plan.width));
  if (!plan.chunks) {
    Value end = lengthOf(nest, step);
    SmallVector<Value> sums(carried);
    if (!sums.empty()) {
      // Loads of several chunks are on their way at once.
      static constexpr int64_t several = 4;
      Value many = kernel.mul(kernel.div(end, several * stride),
                              kernel.index(several * stride));
      sums = kernel.loop(
          first, many, several * stride, sums,
          [&](Value position, ValueRange old) {
            SmallVector<Value> now(old);
            for (int64_t i = 0; i < several; ++i)
              now = body(
                  {0, kernel.add(position, kernel.index(i * stride)), Value()},
                  now);
            return now;
          });
      first = kernel.add(first, many);
    }
    return kernel.loop(first, end, stride, sums,
                       [&](Value position, ValueRange old) {
                         return body({0, position, Value()}, old);
                       });
  }
  SmallVector<Value> sums(carried);
  for (int64_t i = 0; i < plan.chunks; ++i) {
    Chunk chunk{i, kernel.add(first, kernel.index(i * stride)), Value()};
    if ((i + 1) * stride > plan.length) {
      // What lies behind the end is computed of the last chunk, and not used.
      chunk.isInside = kernel.isLess(chunk.position, kernel.index(plan.length));
      chunk.position =
          kernel.min(chunk.position, kernel.index(plan.length - plan.width));
    }
    sums = body(chunk, sums);
  }
  return sums;
}

void ChunkEmitter::emitWhole(size_t number, LoopNest &nest) {
  const RowStep &step = plan.steps[number];
  unsigned inputs = nest.op.getNumDpsInputs();
  readOnes(number, nest);
  forEachChunk(
      nest, step, {},
      [&](const Chunk &chunk, ValueRange) -> SmallVector<Value> {
        SmallVector<SmallVector<Value>> operands;
        for (auto [i, operand] : llvm::enumerate(step.operands))
          operands.push_back(operand.isRead ? readChunk(number, nest, i, chunk)
                                            : SmallVector<Value>(plan.width));
        SmallVector<SmallVector<Value>> results(nest.op.getNumDpsInits());
        for (int64_t i = 0; i < plan.width; ++i) {
          SmallVector<Value> values;
          for (const SmallVector<Value> &operand : operands)
            values.push_back(operand[i]);
          SmallVector<Value> made =
              nest.inlineBody(ArrayRef(values).take_front(inputs),
                              ArrayRef(values).drop_front(inputs), {});
          for (auto [result, value] : llvm::zip(results, made))
            result.push_back(value);
        }
        for (auto [i, values] : llvm::enumerate(results))
          writeChunk(number, nest, inputs + i, chunk, values);
        return {};
      });
}

/// A thread has a sum for each element of a chunk, which makes additions
/// independent of each other.
void ChunkEmitter::emitReduction(size_t number, LoopNest &nest) {
  const RowStep &step = plan.steps[number];
  unsigned inputs = nest.op.getNumDpsInputs();
  readOnes(number, nest);
  Operation *combiner = findCombiner(nest.op);
  Value neutral =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  SmallVector<Value> sums(plan.width, neutral);
  sums = forEachChunk(
      nest, step, sums,
      [&](const Chunk &chunk, ValueRange old) -> SmallVector<Value> {
        SmallVector<SmallVector<Value>> operands;
        for (unsigned i = 0; i < inputs; ++i)
          operands.push_back(readChunk(number, nest, i, chunk));
        SmallVector<Value> results;
        for (int64_t i = 0; i < plan.width; ++i) {
          SmallVector<Value> values;
          for (const SmallVector<Value> &operand : operands)
            values.push_back(operand[i]);
          Value sum = nest.inlineBody(values, old[i], {}).front();
          if (chunk.isInside)
            sum = arith::SelectOp::create(b, chunk.isInside, sum, old[i]);
          results.push_back(sum);
        }
        return results;
      });
  for (size_t count = sums.size(); count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = combine(kernel, combiner, sums[i], sums[i + count / 2]);
  Value total = emitCombination(kernel, combiner, sums[0], plan.threads);
  writeOne(number, nest, inputs,
           combine(kernel, combiner, readOne(number, nest, inputs), total));
}

void ChunkEmitter::emitOne(size_t number, LoopNest &nest) {
  const RowStep &step = plan.steps[number];
  unsigned inputs = nest.op.getNumDpsInputs();
  SmallVector<Value> values;
  for (auto [i, operand] : llvm::enumerate(step.operands)) {
    if (!operand.isRead)
      values.emplace_back();
    else if (operand.form == RowForm::One)
      values.push_back(readOne(number, nest, i));
    else if (operand.form == RowForm::Number)
      values.push_back(nest.op->getOperand(i));
    else
      values.push_back(loadOther(nest, step, nest.op->getOpOperand(i),
                                 {0, kernel.index(0), Value()})
                           .front());
  }
  SmallVector<Value> results =
      nest.inlineBody(ArrayRef(values).take_front(inputs),
                      ArrayRef(values).drop_front(inputs), {});
  for (auto [i, value] : llvm::enumerate(results))
    writeOne(number, nest, inputs + i, value);
}

void ChunkEmitter::run() {
  kernel.grid.threads = plan.threads * plan.rowsPerBlock;
  LoopNest nest(kernel, plan.steps.front().op);
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, plan.steps.front().dims));
  SmallVector<Extent> extents = nest.extentsOf(dims);
  kernel.grid.factors = {{extents, plan.rowsPerBlock}};
  kernel.description = llvm::formatv(
      "{0} steps on {1}, {2} elements at once{3}", plan.steps.size(),
      plan.rowsPerBlock == 1
          ? std::string("a row a block")
          : llvm::formatv("{0} rows a block", plan.rowsPerBlock).str(),
      plan.width, plan.chunks ? ", in registers" : "");
  thread = kernel.thread();
  row = kernel.block();
  if (plan.rowsPerBlock > 1) {
    row = kernel.add(kernel.mul(row, kernel.index(plan.rowsPerBlock)),
                     kernel.div(thread, plan.threads));
    thread = kernel.rem(thread, plan.threads);
    int64_t count = fixedProduct(extents);
    if (ShapedType::isDynamic(count) || count % plan.rowsPerBlock) {
      // Threads behind the end do the last row, for the sake of their warp.
      Value end = kernel.product(extents);
      isRow = kernel.isLess(row, end);
      row = kernel.min(row, kernel.add(end, kernel.index(-1)));
    }
  }
  for (auto [number, step] : llvm::enumerate(plan.steps)) {
    LoopNest nest(kernel, step.op);
    if (!step.isWhole)
      emitOne(number, nest);
    else if (nest.op.getNumReductionLoops())
      emitReduction(number, nest);
    else
      emitWhole(number, nest);
  }
}

bool dlc::emitRowChunks(Kernel &kernel, const RowSteps &steps) {
  RowPlan plan;
  if (!plan.make(kernel, steps))
    return false;
  ChunkEmitter(kernel, plan).run();
  return true;
}
