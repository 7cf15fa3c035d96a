// Whether steps on the same rows can be done by chunks, and how.
#include "passes/Gpu/RowPlan.h"

using namespace mlir;
using namespace dlc;

static constexpr int64_t kWarp = 32, kChunkBytes = 16;

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

/// Whether `exprs` are the dimensions from `first` up to `end` in order, less
/// those of one element.
static bool areInOrder(ArrayRef<AffineExpr> exprs, ArrayRef<int64_t> sizes,
                       unsigned first, unsigned end) {
  for (unsigned dim = first; dim < end; ++dim) {
    if (sizes[dim] == 1)
      continue;
    if (exprs.empty() ||
        exprs.front() != getAffineDimExpr(dim, exprs.front().getContext()))
      return false;
    exprs = exprs.drop_front();
  }
  return exprs.empty();
}

static RowForm findForm(linalg::LinalgOp op, OpOperand &operand,
                        unsigned dims) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return RowForm::Number;
  AffineMap map = op.getMatchingIndexingMap(&operand);
  SmallVector<int64_t> sizes = op.getStaticLoopRanges(), shape;
  SmallVector<AffineExpr> exprs;
  for (auto [expr, size] : llvm::zip(map.getResults(), type.getShape()))
    if (size != 1) {
      exprs.push_back(expr);
      shape.push_back(size);
    }
  unsigned rowDims = llvm::count_if(ArrayRef(sizes).take_front(dims),
                                    [](int64_t size) { return size != 1; });
  bool usesRows = llvm::any_of(exprs, [&](AffineExpr expr) {
    return llvm::any_of(llvm::seq<unsigned>(0, dims), [&](unsigned dim) {
      return sizes[dim] != 1 && expr.isFunctionOfDim(dim);
    });
  });
  if (usesRows &&
      (exprs.size() < rowDims ||
       !areInOrder(ArrayRef(exprs).take_front(rowDims), sizes, 0, dims)))
    return RowForm::Other;
  unsigned skipped = usesRows ? rowDims : 0;
  if ((usesRows || rowDims == 0) && exprs.size() == skipped)
    return RowForm::One;
  bool isWhole = countElements(shape, skipped) == countElements(sizes, dims) &&
                 areInOrder(ArrayRef(exprs).drop_front(skipped), sizes, dims,
                            sizes.size());
  if (!isWhole)
    return RowForm::Other;
  return usesRows || rowDims == 0 ? RowForm::Row : RowForm::Shared;
}

bool RowPlan::addStep(Kernel &kernel, linalg::LinalgOp op, unsigned dims,
                      const RowSteps &given) {
  RowStep step{op, dims, false, {}};
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
    RowOperand added{findForm(op, operand, dims)};
    added.isWritten = op.isDpsInit(&operand);
    added.isRead = !added.isWritten || op.payloadUsesValueFromOperand(&operand);
    if (added.form != RowForm::Number)
      added.argument = kernel.arguments.lookup(operand.get());
    added.buffer =
        given.buffers.empty() ? added.argument : given.buffers[added.argument];
    if (added.isWritten && added.form != RowForm::Row &&
        added.form != RowForm::One)
      return false;
    // A row's result is one element, and nothing else is.
    if (added.isWritten && (added.form == RowForm::Row) !=
                               (step.isWhole && !op.getNumReductionLoops()))
      return false;
    step.operands.push_back(added);
    if (added.form == RowForm::Number || added.form == RowForm::Shared)
      continue;
    Type type = cast<MemRefType>(operand.get().getType()).getElementType();
    bool isPrivate =
        !given.isPrivate.empty() && given.isPrivate[added.argument];
    auto [it, isNew] = lives.try_emplace(
        added.buffer,
        RowLife{steps.size(), steps.size(), 0, added.form, added.isRead,
                !isPrivate || added.isRead, false, type,
                given.places.empty() ? added.buffer
                                     : given.places[added.argument]});
    RowLife &life = it->second;
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
bool RowPlan::isFree() const {
  for (const auto &[i, written] : lives) {
    if (!written.isWritten || !written.isStored)
      continue;
    // The other threads have no use for it behind the only step.
    if (written.form == RowForm::One && written.isLoaded &&
        written.first != written.last)
      return false;
    for (const auto &[k, other] : lives) {
      if (i == k || written.place != other.place ||
          !(other.isLoaded || (other.isWritten && other.isStored)))
        continue;
      if (written.form != RowForm::Row || other.form != RowForm::Row ||
          written.type != other.type)
        return false;
    }
  }
  return true;
}

void RowPlan::chooseWidth() {
  int64_t bits = 64;
  for (const auto &[i, life] : lives)
    if (life.form == RowForm::Row &&
        (life.isLoaded || life.isStored || chunks == 0))
      bits = std::min<int64_t>(bits,
                               std::max(8u, life.type.getIntOrFloatBitWidth()));
  width = std::min<int64_t>(8, 8 * kChunkBytes / bits);
  while (ShapedType::isDynamic(length) ? width > 1 : length % width != 0)
    width /= 2;
}

/// Registers that a thread needs for each of its elements of a row.
int64_t RowPlan::countRegisters() const {
  int64_t most = 1;
  for (size_t i = 0; i < steps.size(); ++i) {
    int64_t now = 0;
    for (const auto &[number, life] : lives)
      if (life.form == RowForm::Row && life.first <= i && i < life.last)
        now += life.type.getIntOrFloatBitWidth() > 32 ? 2 : 1;
    most = std::max(most, now);
  }
  return most;
}

void RowPlan::chooseThreads() {
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

bool RowPlan::make(Kernel &kernel, const RowSteps &given) {
  for (auto [op, dims] : llvm::zip(given.ops, given.rowDims))
    if (!addStep(kernel, op, dims, given))
      return false;
  auto isRow = [](const auto &life) {
    return life.second.form == RowForm::Row;
  };
  if (length == 1 || llvm::none_of(lives, isRow))
    return false;
  const RowStep &first = steps.front();
  rows = countElements(linalg::LinalgOp(first.op).getStaticLoopRanges(), 0,
                       first.dims);
  chunks = 1;
  chooseWidth();
  chooseThreads();
  if (chunks == 0) {
    // What is not in registers is in memory.
    for (auto &[i, life] : lives)
      life.isStored |= life.form == RowForm::Row;
    chooseWidth();
  }
  for (auto &[i, life] : lives)
    // A part of a row is read that others have written.
    if (life.form == RowForm::Other && life.isWritten)
      return false;
  return isFree();
}
