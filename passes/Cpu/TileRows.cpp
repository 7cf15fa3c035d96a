// Loops over blocks of rows around the steps of a softmax or a normalisation,
// so that what one step writes is still in the cache when the next one reads
// it.

#include "dialects/Dlc/Dlc.h"
#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/RowSweep.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_TILEROWS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The length of a row that only the run knows.
static constexpr int64_t kUnknownRow = 512;

namespace {

struct TileRowsPass : dlc::impl::TileRowsBase<TileRowsPass> {
  using TileRowsBase::TileRowsBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("dlc.row_dims") && !function.isExternal())
        tile(function);
  }

  void tile(func::FuncOp function);
  /// Says what LLVM may know of the arguments. Finds those whose memory is of
  /// no use behind the kernel, and that no other one has.
  static void describeArguments(func::FuncOp function,
                                SmallVectorImpl<bool> &movable);
  RowStep findStep(ImplicitLocOpBuilder &b, linalg::GenericOp op,
                   unsigned dims);
  static void emitStep(ImplicitLocOpBuilder &b, const RowStep &step,
                       function_ref<Value(Value)> getBlock);
  void emitSteps(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
                 ArrayRef<int64_t> places, bool isFar,
                 function_ref<Value(Value)> getBlock) const;

  /// Of arguments with so many dimensions of rows, which become one. A single
  /// row may be one dimension of an argument to a step, and two to another.
  DenseMap<std::pair<Value, unsigned>, Value> views;
};

} // namespace

void TileRowsPass::describeArguments(func::FuncOp function,
                                     SmallVectorImpl<bool> &movable) {
  auto places = function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_places");
  auto areOwn = function->getAttrOfType<DenseBoolArrayAttr>("dlc.row_private");
  unsigned count = function.getNumArguments();
  SmallVector<bool> isAlone(count, true);
  for (unsigned i = 0; i < count; ++i) {
    auto k = unsigned(places[i]);
    if (k == i)
      continue;
    // The same rows in the same memory are one buffer.
    if (function.getArgument(i).getType() == function.getArgument(k).getType())
      function.getArgument(i).replaceAllUsesWith(function.getArgument(k));
    else
      isAlone[i] = isAlone[k] = false;
  }
  bool isStatic = true;
  for (unsigned i = 0; i < count; ++i) {
    bool hasTwin = false, isPrivate = true;
    for (unsigned k = 0; k < count; ++k)
      if (places[k] == places[i]) {
        hasTwin |= k != i;
        // Twins of one type have become one.
        isPrivate &= areOwn[k] && function.getArgument(k).getType() ==
                                      function.getArgument(i).getType();
      }
    movable.push_back(isPrivate && !hasTwin);
    auto type = dyn_cast<MemRefType>(function.getArgument(i).getType());
    if (!type)
      continue;
    isStatic &= type.hasStaticShape();
    if (isAlone[i] && isAlone[places[i]])
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                          UnitAttr::get(function.getContext()));
  }
  if (isStatic)
    function->setAttr("llvm.bareptr", UnitAttr::get(function.getContext()));
  function->setAttr(
      "passthrough",
      Builder(function.getContext()).getStrArrayAttr({"noinline"}));
}

/// Makes one dimension of the first `dims` ones of the loops and of the
/// buffers.
RowStep TileRowsPass::findStep(ImplicitLocOpBuilder &b, linalg::GenericOp op,
                               unsigned dims) {
  RowStep step;
  step.op = op;
  step.kinds = {utils::IteratorType::parallel};
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  llvm::append_range(step.kinds, ArrayRef(kinds).drop_front(dims));
  SmallVector<AffineExpr> renumbered(dims, b.getAffineDimExpr(0));
  for (unsigned dim = dims; dim < kinds.size(); ++dim)
    renumbered.push_back(b.getAffineDimExpr(dim - dims + 1));
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    Value buffer = operand.get();
    bool hasRows = isa<MemRefType>(buffer.getType()) &&
                   map.getNumResults() >= dims && map.isFunctionOfDim(0);
    ArrayRef<AffineExpr> results = map.getResults();
    SmallVector<AffineExpr> places;
    if (hasRows) {
      if (dims > 1) {
        SmallVector<ReassociationIndices> merged(1);
        for (unsigned dim = 0; dim < results.size(); ++dim) {
          if (dim >= dims)
            merged.emplace_back();
          merged.back().push_back(dim);
        }
        Value &view = views[{buffer, dims}];
        if (!view)
          view = memref::CollapseShapeOp::create(b, buffer, merged);
        buffer = view;
      }
      places.push_back(b.getAffineDimExpr(0));
      results = results.drop_front(dims);
    }
    for (AffineExpr expr : results)
      places.push_back(expr.replaceDims(renumbered));
    step.maps.push_back(
        AffineMap::get(step.kinds.size(), 0, places, b.getContext()));
    step.buffers.push_back(buffer);
    step.hasRows.push_back(hasRows);
  }
  return step;
}

/// The argument of the kernel behind a buffer of a step.
static Value argumentOf(Value buffer) {
  if (auto collapse = buffer.getDefiningOp<memref::CollapseShapeOp>())
    return collapse.getSrc();
  return buffer;
}

/// sum[row] += x[row, ...], added up in f64.
static void emitDoubleSum(ImplicitLocOpBuilder &b, Value x, Value sum) {
  IndexMath math(b);
  Value zero = math.constant(0), one = math.constant(1);
  Value rows = b.createOrFold<memref::DimOp>(x, int64_t(0));
  auto loop = scf::ForOp::create(b, zero, rows, one);
  if (cast<MemRefType>(x.getType()).getRank() > 1)
    keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar();
  SmallVector<Value> at{row};
  auto load = [&](Value buffer, ValueRange place) -> Value {
    Value element = memref::LoadOp::create(b, buffer, place);
    return arith::ExtFOp::create(b, b.getF64Type(), element);
  };
  Value total = load(sum, row);
  std::function<Value(unsigned, Value)> addUp = [&](unsigned dim,
                                                    Value start) -> Value {
    if (dim == cast<MemRefType>(x.getType()).getRank()) {
      return arith::AddFOp::create(b, start, load(x, at),
                                   arith::FastMathFlags::reassoc);
    }
    Value size = b.createOrFold<memref::DimOp>(x, int64_t(dim));
    auto inner = scf::ForOp::create(b, zero, size, one, start);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(inner.getBody());
    at.push_back(inner.getInductionVar());
    Value result = addUp(dim + 1, inner.getRegionIterArg(0));
    at.pop_back();
    scf::YieldOp::create(b, result);
    return inner.getResult(0);
  };
  total = addUp(1, total);
  total = arith::TruncFOp::create(b, b.getF32Type(), total);
  memref::StoreOp::create(b, total, sum, ValueRange(row));
}

/// Whether it does nothing but add the elements of `x`, one sum a row.
static bool isSum(const RowStep &step) {
  linalg::GenericOp op = step.op;
  Operation *combiner = op.getNumReductionLoops() && op.getNumDpsInputs() == 1
                            ? &op.getBody()->front()
                            : nullptr;
  return isa_and_nonnull<arith::AddFOp>(combiner) &&
         combiner->getResult(0).getType().isF32() &&
         combiner->getNextNode() == op.getBody()->getTerminator() &&
         step.maps[0].isIdentity() && step.maps[1].getNumResults() == 1 &&
         step.hasRows[0] && step.hasRows[1];
}

void TileRowsPass::emitStep(ImplicitLocOpBuilder &b, const RowStep &step,
                            function_ref<Value(Value)> getBlock) {
  SmallVector<Value> operands;
  for (auto [buffer, hasRows] : llvm::zip(step.buffers, step.hasRows))
    operands.push_back(hasRows ? getBlock(buffer) : buffer);
  if (step.addsExponentials && isSum(step))
    return emitDoubleSum(b, operands[0], operands[1]);
  linalg::GenericOp op = step.op;
  unsigned inputCount = op.getNumDpsInputs();
  ArrayRef<Value> inputs = ArrayRef(operands).take_front(inputCount);
  auto made = linalg::GenericOp::create(
      b, op.getLoc(), TypeRange(), inputs,
      ArrayRef(operands).drop_front(inputCount), step.maps, step.kinds);
  IRMapping mapping;
  op.getRegion().cloneInto(&made.getRegion(), mapping);
  IRRewriter rewriter(made);
  if (FailureOr<linalg::LinalgLoops> loops =
          linalg::linalgOpToLoops(rewriter, made);
      succeeded(loops) && loops->size() > 1)
    keepRolled(loops->front());
  made.erase();
}

static bool isExponential(Value value) {
  auto exp = value.getDefiningOp<math::ExpOp>();
  return exp && exp->hasAttr(kSoftmaxAttr);
}

/// Whether it adds up exponentials of a softmax, all of which are from 0 to
/// 1: elements of one of the buffers `exponentials`, or made in its body.
static bool addsExponentials(const RowStep &step,
                             const SmallPtrSetImpl<Value> &exponentials) {
  Block &body = step.getBody();
  auto addition =
      body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (step.kinds.back() != utils::IteratorType::reduction || !addition ||
      !(addition.getType().isF32() || addition.getType().isF64()))
    return false;
  Value sum = body.getArguments().back();
  Value added =
      addition.getLhs() == sum ? addition.getRhs() : addition.getLhs();
  if (auto extended = added.getDefiningOp<arith::ExtFOp>())
    added = extended.getIn();
  // All but the largest ones.
  if (auto select = added.getDefiningOp<arith::SelectOp>();
      select && matchPattern(select.getTrueValue(), m_AnyZeroFloat()))
    added = select.getFalseValue();
  if (!added.getType().isF32())
    return false;
  if (auto argument = dyn_cast<BlockArgument>(added))
    return argument.getOwner() == &body &&
           exponentials.contains(
               linalg::GenericOp(step.op)->getOperand(argument.getArgNumber()));
  return isExponential(added);
}

/// Neighbours in one pass over a row where that is possible.
void TileRowsPass::emitSteps(ImplicitLocOpBuilder &b, ArrayRef<RowStep> steps,
                             ArrayRef<int64_t> places, bool isFar,
                             function_ref<Value(Value)> getBlock) const {
  auto placeOf = [&](Value buffer) -> int64_t {
    auto argument = dyn_cast<BlockArgument>(argumentOf(buffer));
    return argument ? places[argument.getArgNumber()] : -1;
  };
  auto share = [&](Value x, Value y) {
    return isa<MemRefType>(x.getType()) && isa<MemRefType>(y.getType()) &&
           placeOf(x) == placeOf(y);
  };
  RowSweep sweep(vectorBytes, registers, isFar);
  auto finish = [&] {
    if (!sweep.empty())
      sweep.emit(b, getBlock);
    sweep.clear();
  };
  for (const RowStep &step : steps) {
    bool fits = RowSweep::fits(step, vectorBytes);
    if (fits ? !sweep.takes(step, share) : !sweep.mayFollow(step, share))
      finish();
    if (fits)
      sweep.add(step);
    else
      emitStep(b, step, getBlock);
  }
  finish();
}

/// Makes steps in front of the one that writes a result, and that only it reads
/// as they wrote it, write to the result's own memory. That of the kernel need
/// not be near then, and lines of the result are fetched while there is more to
/// compute.
static void writeToResults(MutableArrayRef<RowStep> steps,
                           ArrayRef<bool> movable, ArrayRef<int64_t> places) {
  auto numberOf = [](Value buffer) -> int64_t {
    auto argument = dyn_cast<BlockArgument>(argumentOf(buffer));
    return argument ? int64_t(argument.getArgNumber()) : -1;
  };
  auto uses = [&](const RowStep &step, int64_t place) {
    return llvm::any_of(step.buffers, [&](Value buffer) {
      int64_t number = numberOf(buffer);
      return number >= 0 && places[number] == place;
    });
  };
  for (unsigned last = 1; last < steps.size(); ++last) {
    RowStep &writer = steps[last];
    Value result = writer.buffers.back();
    int64_t number = numberOf(result);
    if (number < 0 || movable[number] || !writer.hasRows.back() ||
        writer.kinds.size() < 2 ||
        writer.getBody().getArguments().back().hasNUsesOrMore(1) ||
        writer.kinds.back() != utils::IteratorType::parallel)
      continue;
    for (unsigned i = 0; i < writer.getInputCount(); ++i) {
      Value old = writer.buffers[i];
      int64_t oldNumber = numberOf(old);
      auto isFree = [&](unsigned step) {
        // Another view of it would be left behind.
        if (llvm::any_of(steps[step].buffers, [&](Value buffer) {
              return buffer != old && numberOf(buffer) == oldNumber;
            }))
          return false;
        return step == last ||
               (step < last ? !uses(steps[step], places[number])
                            : !uses(steps[step], places[oldNumber]));
      };
      if (oldNumber < 0 || !movable[oldNumber] ||
          old.getType() != result.getType() ||
          writer.maps[i] != writer.maps.back() ||
          !llvm::all_of(llvm::seq<unsigned>(0, steps.size()), isFree) ||
          llvm::count_if(
              writer.buffers,
              [&](Value other) {
                int64_t of = numberOf(other);
                return of >= 0 && places[of] == places[number];
              }) != 1)
        continue;
      for (RowStep &step : steps)
        llvm::replace(step.buffers, old, result);
      break;
    }
  }
}

void TileRowsPass::tile(func::FuncOp function) {
  auto dims = function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_dims");
  auto places = function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_places");
  SmallVector<bool> movable;
  describeArguments(function, movable);
  views.clear();
  for (StringRef name :
       {"dlc.row_dims", "dlc.row_buffers", "dlc.row_places", "dlc.row_private"})
    function->removeAttr(name);
  SmallVector<linalg::LinalgOp> ops(
      function.front().getOps<linalg::LinalgOp>());
  if (llvm::is_contained(dims.asArrayRef(), 0))
    return;
  IRRewriter rewriter(&getContext());
  ImplicitLocOpBuilder b(function.getLoc(), function.front().getTerminator());
  std::vector<RowStep> steps;
  SmallPtrSet<Value, 4> exponentials;
  double cycles = 0;
  int64_t longest = 1;
  Value rowCount;
  for (auto [op, count] : llvm::zip_equal(ops, dims.asArrayRef())) {
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic) {
      rewriter.setInsertionPoint(op);
      FailureOr<linalg::GenericOp> made =
          linalg::generalizeNamedOp(rewriter, op);
      if (failed(made))
        return;
      generic = *made;
    }
    RowStep step = findStep(b, generic, count);
    Value output = generic.getDpsInits()[0];
    step.addsExponentials = addsExponentials(step, exponentials);
    exponentials.erase(output);
    if (isExponential(generic.getBody()->getTerminator()->getOperand(0)))
      exponentials.insert(output);
    if (!rowCount && step.hasRows.back())
      rowCount = b.createOrFold<memref::DimOp>(step.buffers.back(), int64_t(0));
    int64_t length = 1;
    for (int64_t size :
         ArrayRef(generic.getStaticLoopRanges()).drop_front(count))
      length *= ShapedType::isDynamic(size) ? kUnknownRow : size;
    longest = std::max(longest, length);
    cycles += estimateIteration(generic) * double(length);
    steps.push_back(step);
  }
  if (!rowCount)
    return;
  writeToResults(steps, movable, places.asArrayRef());
  for (RowStep &step : steps)
    for (auto [buffer, hasRows] : llvm::zip(step.buffers, step.hasRows)) {
      auto argument = dyn_cast<BlockArgument>(argumentOf(buffer));
      step.hasNext.push_back(hasRows && argument &&
                             !movable[argument.getArgNumber()]);
    }
  // As many rows as fit, in blocks of one size if there are such.
  int64_t block = std::max<int64_t>(1, kBlockElements / longest);
  std::optional<int64_t> known = staticIndex(rowCount);
  if (known) {
    block = std::min(block, std::max<int64_t>(1, *known));
    for (int64_t smaller = block; 2 * smaller > block; --smaller)
      if (*known % smaller == 0) {
        block = smaller;
        break;
      }
  }
  // What is read and written, of f32.
  bool isFar = !known || *known * longest * 8 > l2Bytes / 2;
  bool isEven = block == 1 || (known && *known % block == 0);
  IndexMath math(b);
  Value blocks = math.div(math.add(rowCount, block - 1), block);
  auto emitBlock = [&](Value number, Value firstNumber) {
    Value first = math.mul(number, block);
    // Where the units of a thread begin is room for what it alone needs.
    Value own = math.mul(firstNumber, block);
    Value size =
        isEven ? math.constant(block)
               : math.min(math.constant(block), math.sub(rowCount, first));
    auto getBlock = [&](Value buffer) -> Value {
      auto number = cast<BlockArgument>(argumentOf(buffer)).getArgNumber();
      auto type = cast<MemRefType>(buffer.getType());
      SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
          sizes = memref::getMixedSizes(b, b.getLoc(), buffer),
          strides(type.getRank(), b.getIndexAttr(1));
      offsets[0] = movable[number] ? own : first;
      sizes[0] = getAsOpFoldResult(size);
      return memref::SubViewOp::create(b, buffer, offsets, sizes, strides);
    };
    emitSteps(b, steps, places.asArrayRef(), isFar, getBlock);
  };
  bool isShared = threads && emitUnits(b, {blocks}, cycles * double(block),
                                       [&](const Unit &unit) {
                                         emitBlock(unit.number, unit.since);
                                       });
  if (!isShared) {
    Value zero = math.constant(0);
    auto loop = scf::ForOp::create(b, zero, blocks, math.constant(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitBlock(loop.getInductionVar(), zero);
  }
  for (RowStep &step : steps)
    step.op.erase();
}
