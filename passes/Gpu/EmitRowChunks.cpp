// Several linalg ops on the same rows, by chunks of up to 16 bytes. A chunk is
// the same thread's in all steps: what a step makes of it the next ones have in
// registers, and threads wait for each other only in reductions.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Rows.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Which elements of an operand a step uses for a row.
enum class Form {
  Number, ///< no memory: a value
  One,    ///< a single one
  Row,    ///< all, in the order of the step
  Shared, ///< all, in this order, of a row that is the same for all rows
  Other,
};

struct Operand {
  Form form;
  unsigned argument = 0;
  int64_t buffer = 0;
  bool isRead = true, isWritten = false;
};

struct Step {
  linalg::LinalgOp op;
  unsigned dims;        // of the rows
  bool isWhole = false; // on all elements of rows
  SmallVector<Operand> operands;
};

/// How long the threads need a buffer, in steps.
struct Life {
  size_t first, last, lastWritten = 0;
  Form form;
  bool isLoaded, isStored, isWritten = false;
  Type type;
  int64_t place;
};

constexpr int64_t kWarp = 32, kChunkBytes = 16;

/// Finds out whether the steps can be done by chunks, and how.
struct Plan {
  bool make(Kernel &kernel, const RowSteps &given);

  SmallVector<Step> steps;
  llvm::MapVector<int64_t, Life> lives; // of buffers with rows
  int64_t rows = 1;                     // or kDynamic
  int64_t length = 1;                   // of a row, or kDynamic
  int64_t width = 1;                    // elements of a chunk
  int64_t threads = 256;                // of a row
  int64_t chunks = 0;                   // of a thread; 0: in a loop
  int64_t rowsPerBlock = 1;

private:
  bool addStep(Kernel &kernel, linalg::LinalgOp op, unsigned dims,
               const RowSteps &given);
  bool isFree() const;
  void chooseWidth();
  void chooseThreads();
  int64_t countRegisters() const;
};

} // namespace

/// The product of the sizes from `first` on, up to `end`.
static int64_t countElements(ArrayRef<int64_t> sizes, unsigned first,
                             unsigned end) {
  int64_t count = 1;
  for (int64_t size : sizes.slice(first, end - first)) {
    if (ShapedType::isDynamic(size))
      return ShapedType::kDynamic;
    count *= size;
  }
  return count;
}

/// Elements of a row, of buffers or loops whose first `dims` dimensions are the
/// rows.
static int64_t countElements(ArrayRef<int64_t> sizes, unsigned dims) {
  return countElements(sizes, dims, sizes.size());
}

/// Whether the results of `map` behind the first `skipped` go through the
/// dimensions behind the first `dims` in order, less those of one element.
static bool isInOrder(AffineMap map, unsigned skipped, unsigned dims,
                      ArrayRef<int64_t> sizes) {
  unsigned dim = dims;
  auto skip = [&] {
    while (dim < sizes.size() && sizes[dim] == 1)
      ++dim;
  };
  for (AffineExpr expr : map.getResults().drop_front(skipped)) {
    if (isa<AffineConstantExpr>(expr))
      continue;
    auto found = dyn_cast<AffineDimExpr>(expr);
    if (!found || found.getPosition() < dims)
      return false;
    if (sizes[found.getPosition()] == 1)
      continue;
    skip();
    if (found.getPosition() != dim++)
      return false;
  }
  skip();
  return dim == sizes.size();
}

static Form findForm(linalg::LinalgOp op, OpOperand &operand, unsigned dims) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return Form::Number;
  AffineMap map = op.getMatchingIndexingMap(&operand);
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  bool isRowwise = map.getNumResults() >= dims;
  for (unsigned dim = 0; isRowwise && dim < dims; ++dim)
    isRowwise = map.getResult(dim) == getAffineDimExpr(dim, map.getContext());
  int64_t elements = countElements(sizes, dims);
  if (isRowwise) {
    int64_t count = countElements(type.getShape(), dims);
    if (count == 1)
      return Form::One;
    return count == elements && isInOrder(map, dims, dims, sizes) ? Form::Row
                                                                  : Form::Other;
  }
  for (unsigned dim = 0; dim < dims; ++dim)
    if (map.isFunctionOfDim(dim))
      return Form::Other;
  return countElements(type.getShape(), 0) == elements &&
                 isInOrder(map, 0, dims, sizes)
             ? Form::Shared
             : Form::Other;
}

bool Plan::addStep(Kernel &kernel, linalg::LinalgOp op, unsigned dims,
                   const RowSteps &given) {
  Step step{op, dims, false, {}};
  for (Operation &inner : *op.getBlock())
    if (inner.getNumRegions())
      return false;
  int64_t elements = countElements(op.getStaticLoopRanges(), dims);
  if (elements == 0)
    return false;
  step.isWhole = elements != 1;
  if (step.isWhole && length != 1 && length != elements)
    return false;
  if (step.isWhole)
    length = elements;
  for (OpOperand &operand : op->getOpOperands()) {
    Operand added{findForm(op, operand, dims)};
    added.isWritten = op.isDpsInit(&operand);
    added.isRead = !added.isWritten || op.payloadUsesValueFromOperand(&operand);
    if (added.form != Form::Number)
      added.argument = kernel.arguments.lookup(operand.get());
    added.buffer =
        given.buffers.empty() ? added.argument : given.buffers[added.argument];
    if (added.isWritten && added.form != Form::Row && added.form != Form::One)
      return false;
    // A row's result is one element, and nothing else is.
    if (added.isWritten && (added.form == Form::Row) !=
                               (step.isWhole && !op.getNumReductionLoops()))
      return false;
    step.operands.push_back(added);
    if (added.form == Form::Number || added.form == Form::Shared)
      continue;
    Type type = cast<MemRefType>(operand.get().getType()).getElementType();
    bool isPrivate =
        !given.isPrivate.empty() && given.isPrivate[added.argument];
    auto [it, isNew] = lives.try_emplace(
        added.buffer,
        Life{steps.size(), steps.size(), 0, added.form, added.isRead,
             !isPrivate || added.isRead, false, type,
             given.places.empty() ? added.buffer
                                  : given.places[added.argument]});
    Life &life = it->second;
    // Another type or order of the same memory.
    if (life.form != added.form || life.type != type)
      return false;
    life.last = steps.size();
    if (added.isWritten) {
      life.isWritten = true;
      life.lastWritten = steps.size();
    }
  }
  steps.push_back(step);
  return true;
}

/// Whether no thread changes what another one has yet to read.
bool Plan::isFree() const {
  for (const auto &[i, written] : lives) {
    if (!written.isWritten || !written.isStored)
      continue;
    if (written.form == Form::One && written.isLoaded)
      return false;
    for (const auto &[k, other] : lives) {
      if (i == k || written.place != other.place ||
          !(other.isLoaded || (other.isWritten && other.isStored)))
        continue;
      if (written.form != Form::Row || other.form != Form::Row ||
          written.type != other.type)
        return false;
    }
  }
  return true;
}

static bool isVectorType(Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  return (type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
          isa<IntegerType>(type)) &&
         bits >= 8 && llvm::isPowerOf2_32(bits);
}

void Plan::chooseWidth() {
  int64_t bits = 64;
  for (const auto &[i, life] : lives)
    if (life.form == Form::Row &&
        (life.isLoaded || life.isStored || chunks == 0))
      bits = std::min<int64_t>(bits,
                               std::max(8u, life.type.getIntOrFloatBitWidth()));
  width = std::min<int64_t>(8, 8 * kChunkBytes / bits);
  while (ShapedType::isDynamic(length) ? width > 1 : length % width != 0)
    width /= 2;
}

/// Registers that a thread needs for each of its elements of a row.
int64_t Plan::countRegisters() const {
  int64_t most = 1;
  for (size_t i = 0; i < steps.size(); ++i) {
    int64_t now = 0;
    for (const auto &[number, life] : lives)
      if (life.form == Form::Row && life.first <= i && i < life.last)
        now += life.type.getIntOrFloatBitWidth() > 32 ? 2 : 1;
    most = std::max(most, now);
  }
  return most;
}

void Plan::chooseThreads() {
  if (ShapedType::isDynamic(length)) {
    chunks = 0;
    return;
  }
  int64_t all = length / width;
  auto take = [&](int64_t number) {
    threads = number;
    chunks = llvm::divideCeil(all, threads);
  };
  int64_t each = countRegisters();
  if (length <= 1024 &&
      each * int64_t(llvm::divideCeil(all, kWarp)) * width <= 96) {
    take(std::min<int64_t>(kWarp, llvm::PowerOf2Ceil(all)));
    rowsPerBlock = 128 / threads;
    // Blocks for all multiprocessors, if there are that many rows.
    static constexpr int64_t fewest = 256;
    while (rowsPerBlock * threads > kWarp && !ShapedType::isDynamic(rows) &&
           rows / rowsPerBlock < fewest)
      rowsPerBlock /= 2;
    return;
  }
  // Elements for several loads at once first, then as many as there are
  // registers for.
  static constexpr std::pair<int64_t, int64_t> choices[] = {
      {64, 16}, {128, 16}, {256, 16}, {512, 16}, {512, 32}, {1024, 40}};
  for (auto [number, most] : choices)
    if (all >= number &&
        int64_t(llvm::divideCeil(all, number)) * width * each <= most)
      return take(number);
  chunks = 0;
  threads = 256;
  while (threads > kWarp && threads > all)
    threads /= 2;
}

bool Plan::make(Kernel &kernel, const RowSteps &given) {
  for (auto [op, dims] : llvm::zip(given.ops, given.rowDims))
    if (!addStep(kernel, op, dims, given))
      return false;
  if (length == 1)
    return false;
  const Step &first = steps.front();
  rows = countElements(linalg::LinalgOp(first.op).getStaticLoopRanges(), 0,
                       first.dims);
  chunks = 1;
  chooseWidth();
  chooseThreads();
  if (chunks == 0) {
    // What is not in registers is in memory.
    for (auto &[i, life] : lives)
      life.isStored |= life.form == Form::Row;
    chooseWidth();
  }
  for (auto &[i, life] : lives)
    // A part of a row is read that others have written.
    if (life.form == Form::Other && life.isWritten)
      return false;
  return isFree();
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
  ChunkEmitter(Kernel &kernel, Plan &plan)
      : kernel(kernel), b(kernel.b), plan(plan) {}

  void run();

private:
  void emitWhole(size_t number, LoopNest &nest);
  void emitReduction(size_t number, LoopNest &nest);
  void emitOne(size_t number, LoopNest &nest);
  /// Reads what the step uses of a row's single values, outside of any loop.
  void readOnes(size_t number, LoopNest &nest);
  SmallVector<Value>
  forEachChunk(LoopNest &nest, const Step &step, ValueRange carried,
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
  SmallVector<Value> loadOther(LoopNest &nest, const Step &step,
                               OpOperand &operand, const Chunk &chunk);
  /// A view of one dimension.
  Value flatten(Value buffer);
  Value offsetOf(LoopNest &nest, const Step &step, const Operand &operand,
                 const Chunk &chunk);
  Value lengthOf(LoopNest &nest, const Step &step);
  SmallVector<Value> rowAt(LoopNest &nest, const Step &step);

  Kernel &kernel;
  ImplicitLocOpBuilder &b;
  Plan &plan;
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

Value ChunkEmitter::lengthOf(LoopNest &nest, const Step &step) {
  auto inner = llvm::to_vector(
      llvm::seq<unsigned>(step.dims, linalg::LinalgOp(step.op).getNumLoops()));
  return kernel.product(nest.extentsOf(inner));
}

/// The coordinates of the row's first element.
SmallVector<Value> ChunkEmitter::rowAt(LoopNest &nest, const Step &step) {
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, step.dims));
  SmallVector<Value> at = kernel.coordinates(row, nest.extentsOf(dims));
  at.resize(linalg::LinalgOp(step.op).getNumLoops(), kernel.index(0));
  return at;
}

Value ChunkEmitter::offsetOf(LoopNest &nest, const Step &step,
                             const Operand &operand, const Chunk &chunk) {
  if (operand.form == Form::Shared)
    return chunk.position;
  return kernel.add(kernel.mul(row, lengthOf(nest, step)), chunk.position);
}

SmallVector<Value> ChunkEmitter::loadOther(LoopNest &nest, const Step &step,
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
  const Step &step = plan.steps[number];
  Value &known = ones[step.operands[operand].buffer];
  if (!known)
    known = memref::LoadOp::create(
        b, flatten(linalg::LinalgOp(step.op)->getOperand(operand)), row);
  return known;
}

void ChunkEmitter::readOnes(size_t number, LoopNest &nest) {
  for (auto [i, operand] : llvm::enumerate(plan.steps[number].operands))
    if (operand.form == Form::One && operand.isRead)
      readOne(number, nest, i);
}

SmallVector<Value> ChunkEmitter::readChunk(size_t number, LoopNest &nest,
                                           unsigned operand,
                                           const Chunk &chunk) {
  const Step &step = plan.steps[number];
  linalg::LinalgOp op = step.op;
  const Operand &what = step.operands[operand];
  Value buffer = op->getOperand(operand);
  switch (what.form) {
  case Form::Number:
    return SmallVector<Value>(plan.width, buffer);
  case Form::One:
    return SmallVector<Value>(plan.width, readOne(number, nest, operand));
  case Form::Other:
    return loadOther(nest, step, op->getOpOperand(operand), chunk);
  case Form::Shared:
    return load(buffer, offsetOf(nest, step, what, chunk));
  case Form::Row:
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
  const Step &step = plan.steps[number];
  const Operand &what = step.operands[operand];
  const Life &life = plan.lives.find(what.buffer)->second;
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
  const Step &step = plan.steps[number];
  const Operand &what = step.operands[operand];
  const Life &life = plan.lives.find(what.buffer)->second;
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
    LoopNest &nest, const Step &step, ValueRange carried,
    function_ref<SmallVector<Value>(const Chunk &, ValueRange)> body) {
  int64_t stride = plan.threads * plan.width;
  Value first = kernel.mul(thread, kernel.index(plan.width));
  if (!plan.chunks)
    return kernel.loop(first, lengthOf(nest, step), stride, carried,
                       [&](Value position, ValueRange sums) {
                         return body({0, position, Value()}, sums);
                       });
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
  const Step &step = plan.steps[number];
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
  const Step &step = plan.steps[number];
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
  const Step &step = plan.steps[number];
  unsigned inputs = nest.op.getNumDpsInputs();
  SmallVector<Value> values;
  for (auto [i, operand] : llvm::enumerate(step.operands)) {
    if (!operand.isRead)
      values.emplace_back();
    else if (operand.form == Form::One)
      values.push_back(readOne(number, nest, i));
    else if (operand.form == Form::Number)
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
  Plan plan;
  if (!plan.make(kernel, steps))
    return false;
  ChunkEmitter(kernel, plan).run();
  return true;
}
