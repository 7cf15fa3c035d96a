// Loops over blocks of rows around the steps of a softmax or a normalisation,
// so that what one step writes is still in the cache when the next one reads
// it.

#include "dialects/Dlc/Dlc.h"
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
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_TILEROWS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// So many elements of a buffer in a block, which a few of them leave in the
/// nearest cache; and a row that only the run knows.
static constexpr int64_t kBlockElements = 2048, kUnknownRow = 512;

namespace {

/// One of the steps, with its rows as the first loop.
struct Step {
  linalg::GenericOp op;
  SmallVector<AffineMap> maps;
  SmallVector<utils::IteratorType> kinds;
  /// Of each operand: the buffer, whose first dimension are the rows where it
  /// has some of its own.
  SmallVector<Value> buffers;
  SmallVector<bool> hasRows;
  /// It adds up exponentials: in f64, since there may be many.
  bool addsExponentials = false;
  /// Then the inverse of the sum goes here, and what it is rounded by into the
  /// sum's own place.
  Value inverse;
  /// What the input with the number `scaled` is rounded by.
  Value low;
  unsigned scaled = 0;
};

struct TileRowsPass : dlc::impl::TileRowsBase<TileRowsPass> {
  using TileRowsBase::TileRowsBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("dlc.row_dims") && !function.isExternal())
        tile(function);
  }

  void tile(func::FuncOp function);
  /// Says what LLVM may know of the arguments. Finds those whose memory is of
  /// no use behind the kernel, and those that no other has, either.
  static void describeArguments(func::FuncOp function,
                                SmallVectorImpl<bool> &isOwn,
                                SmallVectorImpl<bool> &movable);
  static std::optional<Step> findStep(ImplicitLocOpBuilder &b,
                                      linalg::GenericOp op, unsigned dims);
  static void emitStep(ImplicitLocOpBuilder &b, const Step &step,
                       function_ref<Value(Value)> getBlock);
};

} // namespace

void TileRowsPass::describeArguments(func::FuncOp function,
                                     SmallVectorImpl<bool> &isOwn,
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
    isOwn.push_back(isPrivate);
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
std::optional<Step> TileRowsPass::findStep(ImplicitLocOpBuilder &b,
                                           linalg::GenericOp op,
                                           unsigned dims) {
  Step step;
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
        buffer = memref::CollapseShapeOp::create(b, buffer, merged);
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

/// sum[row] += x[row, ...], added up in f64; or, where there is `inverse`,
/// inverse[row] + sum[row] is 1 over that.
static void emitDoubleSum(ImplicitLocOpBuilder &b, Value x, Value sum,
                          Value inverse) {
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
  auto round = [&](Value value) -> Value {
    return arith::TruncFOp::create(b, b.getF32Type(), value);
  };
  if (inverse) {
    Value one = arith::ConstantOp::create(b, b.getF64FloatAttr(1));
    Value quotient = arith::DivFOp::create(b, one, total);
    Value high = round(quotient);
    memref::StoreOp::create(b, high, inverse, ValueRange(row));
    Value widened = arith::ExtFOp::create(b, b.getF64Type(), high);
    total = arith::SubFOp::create(b, quotient, widened);
  }
  memref::StoreOp::create(b, round(total), sum, ValueRange(row));
}

/// The product of x with the argument `scaled`, if it is all that is done with
/// it.
static arith::MulFOp findProduct(Block &body, unsigned scaled) {
  BlockArgument factor = body.getArgument(scaled);
  return factor.hasOneUse() ? dyn_cast<arith::MulFOp>(*factor.user_begin())
                            : arith::MulFOp();
}

/// x y -> x (y + low), with a new argument for `low`.
static void addLowPart(linalg::GenericOp op, unsigned scaled, unsigned place) {
  Block &body = *op.getBody();
  arith::MulFOp product = findProduct(body, scaled);
  BlockArgument y = body.getArgument(scaled);
  Value x = product.getLhs() == y ? product.getRhs() : product.getLhs();
  Value low = body.insertArgument(place, y.getType(), op.getLoc());
  ImplicitLocOpBuilder b(product.getLoc(), product);
  Value rest = arith::MulFOp::create(b, x, low);
  product.replaceAllUsesWith(Value(math::FmaOp::create(b, x, y, rest)));
  product.erase();
}

void TileRowsPass::emitStep(ImplicitLocOpBuilder &b, const Step &step,
                            function_ref<Value(Value)> getBlock) {
  SmallVector<Value> operands;
  for (auto [buffer, hasRows] : llvm::zip(step.buffers, step.hasRows))
    operands.push_back(hasRows ? getBlock(buffer) : buffer);
  if (step.addsExponentials)
    return emitDoubleSum(b, operands[0], operands[1],
                         step.inverse ? getBlock(step.inverse) : Value());
  linalg::GenericOp op = step.op;
  unsigned inputCount = op.getNumDpsInputs();
  SmallVector<AffineMap> maps(step.maps);
  if (step.low) {
    operands.insert(operands.begin() + inputCount, getBlock(step.low));
    maps.insert(maps.begin() + inputCount, maps[step.scaled]);
    ++inputCount;
  }
  ArrayRef<Value> inputs = ArrayRef(operands).take_front(inputCount);
  auto made = linalg::GenericOp::create(
      b, op.getLoc(), TypeRange(), inputs,
      ArrayRef(operands).drop_front(inputCount), maps, step.kinds);
  IRMapping mapping;
  op.getRegion().cloneInto(&made.getRegion(), mapping);
  if (step.low)
    addLowPart(made, step.scaled, inputCount - 1);
  IRRewriter rewriter(made);
  if (FailureOr<linalg::LinalgLoops> loops =
          linalg::linalgOpToLoops(rewriter, made);
      succeeded(loops) && loops->size() > 1)
    keepRolled(loops->front());
  made.erase();
}

/// Whether it does nothing but add the elements of `x`, one sum a row.
static bool isSum(const Step &step) {
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

/// Of a softmax: keeps the inverse of a sum of exponentials in two parts, since
/// it is a factor of every result. The place of the sum must be of no use
/// later.
static void splitInverse(std::vector<Step> &steps, ArrayRef<bool> isOwn) {
  auto isFree = [&](Value buffer, unsigned behind) {
    auto argument = dyn_cast<BlockArgument>(buffer);
    return argument && isOwn[argument.getArgNumber()] &&
           llvm::none_of(ArrayRef(steps).drop_front(behind),
                         [&](const Step &step) {
                           return llvm::is_contained(step.buffers, buffer);
                         });
  };
  for (unsigned i = 0; i + 2 < steps.size(); ++i) {
    linalg::GenericOp inversion = steps[i + 1].op, scaling = steps[i + 2].op;
    Value sum = steps[i].op.getDpsInits()[0];
    Value inverse = inversion.getDpsInits()[0];
    auto division = dyn_cast<arith::DivFOp>(inversion.getBody()->front());
    if (!steps[i].addsExponentials || !isFree(sum, i + 2) || sum == inverse ||
        inversion.getNumDpsInputs() != 1 ||
        inversion.getDpsInputs()[0] != sum || !division ||
        division->getNextNode() != inversion.getBody()->getTerminator() ||
        !matchPattern(division.getLhs(), m_OneFloat()) ||
        division.getRhs() != inversion.getBody()->getArgument(0) ||
        steps[i + 1].kinds.size() != 1)
      continue;
    for (unsigned k = 0; k < scaling.getNumDpsInputs(); ++k)
      if (scaling.getDpsInputs()[k] == inverse &&
          findProduct(*scaling.getBody(), k)) {
        steps[i].inverse = steps[i + 1].buffers.back();
        steps[i + 2].low = steps[i].buffers.back();
        steps[i + 2].scaled = k;
        steps[i + 1].op.erase();
        steps.erase(steps.begin() + i + 1);
        break;
      }
  }
}

void TileRowsPass::tile(func::FuncOp function) {
  auto dims = function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_dims");
  SmallVector<bool> isOwn, movable;
  describeArguments(function, isOwn, movable);
  for (StringRef name :
       {"dlc.row_dims", "dlc.row_buffers", "dlc.row_places", "dlc.row_private"})
    function->removeAttr(name);
  SmallVector<linalg::LinalgOp> ops(
      function.front().getOps<linalg::LinalgOp>());
  if (llvm::is_contained(dims.asArrayRef(), 0))
    return;
  IRRewriter rewriter(&getContext());
  ImplicitLocOpBuilder b(function.getLoc(), function.front().getTerminator());
  std::vector<Step> steps;
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
    std::optional<Step> step = findStep(b, generic, count);
    Value output = generic.getDpsInits()[0];
    if (isSum(*step) && exponentials.contains(generic.getDpsInputs()[0]))
      step->addsExponentials = true;
    exponentials.erase(output);
    if (!generic.getBody()->getOps<math::ExpOp>().empty())
      exponentials.insert(output);
    if (!rowCount && step->hasRows.back())
      rowCount =
          b.createOrFold<memref::DimOp>(step->buffers.back(), int64_t(0));
    int64_t length = 1;
    for (int64_t size :
         ArrayRef(generic.getStaticLoopRanges()).drop_front(count))
      length *= ShapedType::isDynamic(size) ? kUnknownRow : size;
    longest = std::max(longest, length);
    cycles += estimateIteration(generic) * double(length);
    steps.push_back(*step);
  }
  if (!rowCount)
    return;
  splitInverse(steps, isOwn);
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
  bool isEven = block == 1 || (known && *known % block == 0);
  IndexMath math(b);
  Value blocks = math.div(math.add(rowCount, block - 1), block);
  auto emitBlock = [&](Value number, Value firstNumber) {
    Value first = math.mul(number, block);
    // Where the part of a thread begins is room for what it alone needs.
    Value own = math.mul(firstNumber, block);
    Value size =
        isEven ? math.constant(block)
               : math.min(math.constant(block), math.sub(rowCount, first));
    auto getBlock = [&](Value buffer) -> Value {
      Value argument = buffer;
      if (auto collapse = buffer.getDefiningOp<memref::CollapseShapeOp>())
        argument = collapse.getSrc();
      auto number = cast<BlockArgument>(argument).getArgNumber();
      auto type = cast<MemRefType>(buffer.getType());
      SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
          sizes = memref::getMixedSizes(b, b.getLoc(), buffer),
          strides(type.getRank(), b.getIndexAttr(1));
      offsets[0] = movable[number] ? own : first;
      sizes[0] = getAsOpFoldResult(size);
      return memref::SubViewOp::create(b, buffer, offsets, sizes, strides);
    };
    for (const Step &step : steps)
      emitStep(b, step, getBlock);
  };
  bool isShared = threads && emitUnits(b, {blocks}, cycles * double(block),
                                       [&](const Unit &unit) {
                                         emitBlock(unit.number, unit.first);
                                       });
  if (!isShared) {
    Value zero = math.constant(0);
    auto loop = scf::ForOp::create(b, zero, blocks, math.constant(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitBlock(loop.getInductionVar(), zero);
  }
  for (Step &step : steps)
    step.op.erase();
}
