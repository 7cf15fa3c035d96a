// Moves transposes towards the results, where they cancel.

#include "passes/Graph/SinkTransposes.h"
#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Graph/Constants.h"
#include "passes/Graph/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SINKTRANSPOSES
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool hasOneElement(Value value) {
  return llvm::all_of(typeOf(value).getShape(),
                      [](int64_t size) { return size == 1; });
}

/// `x`, which broadcasts to `rank` dimensions, with its dimensions moved by
/// the inverse of `permutation`. `x` has that rank, or a static shape.
static Value transposeBack(PatternRewriter &b, Location loc, Value x,
                           ArrayRef<int64_t> permutation) {
  RankedTensorType type = typeOf(x);
  if (hasOneElement(x))
    return b.createOrFold<ReshapeOp>(
        loc, RankedTensorType::get({}, type.getElementType()), x, ValueRange());
  if (type.getRank() != int64_t(permutation.size())) {
    SmallVector<int64_t> shape(permutation.size() - type.getRank(), 1);
    llvm::append_range(shape, type.getShape());
    x = b.createOrFold<ReshapeOp>(
        loc, RankedTensorType::get(shape, type.getElementType()), x,
        ValueRange());
  }
  return b.createOrFold<TransposeOp>(loc, x,
                                     invertPermutationVector(permutation));
}

/// True if transposing `x` back moves no element: dimensions that aren't 1 stay
/// in their order, as those of [n, c, 1, 1] do.
static bool isReshape(Value x, ArrayRef<int64_t> permutation) {
  RankedTensorType type = typeOf(x);
  if (type.getRank() != int64_t(permutation.size()))
    return false;
  int64_t last = -1;
  for (int64_t dim : invertPermutationVector(permutation)) {
    if (type.getDimSize(dim) == 1)
      continue;
    if (dim < last)
      return false;
    last = dim;
  }
  return true;
}

namespace {

struct SinkThroughElementwise : OpInterfaceRewritePattern<ElementwiseOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(ElementwiseOp op,
                                PatternRewriter &b) const override {
    int64_t rank = typeOf(op->getResult(0)).getRank();
    TransposeOp found;
    for (Value operand : op->getOperands()) {
      auto transpose = operand.getDefiningOp<TransposeOp>();
      if (!transpose || isConstantOnly(operand) ||
          typeOf(operand).getRank() != rank)
        continue;
      if (found && found.getPermutation() != transpose.getPermutation())
        return b.notifyMatchFailure(op, "operands are transposed differently");
      found = transpose;
    }
    if (!found)
      return b.notifyMatchFailure(op, "no operand is transposed");
    ArrayRef<int64_t> permutation = found.getPermutation();
    auto isMoved = [&](Value operand) {
      auto transpose = operand.getDefiningOp<TransposeOp>();
      return transpose && transpose.getPermutation() == permutation;
    };
    // Where no element moves, two operands would take turns in being sunk.
    bool moves = !isReshape(found.getResult(), permutation);
    auto isFree = [&](Value operand) {
      return hasOneElement(operand) ||
             (moves && isReshape(operand, permutation)) ||
             (isConstantOnly(operand) && typeOf(operand).hasStaticShape());
    };
    // Before anything is made: what a failure leaves behind is visited again,
    // and so is this op, for ever.
    if (!llvm::all_of(op->getOperands(),
                      [&](Value x) { return isMoved(x) || isFree(x); }))
      return b.notifyMatchFailure(op, "an operand would be transposed");
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(
          isMoved(operand)
              ? operand.getDefiningOp<TransposeOp>().getX()
              : transposeBack(b, op->getLoc(), operand, permutation));
    SmallVector<Type> types;
    auto infer = op->getName().getInterface<InferTypeOpInterface>();
    if (failed(infer->inferReturnTypes(b.getContext(), op->getLoc(), operands,
                                       op->getAttrDictionary(),
                                       op->getPropertiesStorage(), {}, types)))
      return failure();
    OperationState state(op->getLoc(), op->getName(), operands, types,
                         op->getAttrs());
    Value moved = b.create(state)->getResult(0);
    b.replaceOpWithNewOp<TransposeOp>(op, moved, permutation);
    return success();
  }
};

/// cast(transpose(x)) -> transpose(cast(x))
struct SinkThroughCast : OpRewritePattern<CastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CastOp op, PatternRewriter &b) const override {
    auto transpose = op.getX().getDefiningOp<TransposeOp>();
    if (!transpose)
      return b.notifyMatchFailure(op, "the operand is not transposed");
    Type type =
        typeOf(transpose.getX()).clone(getElementTypeOrSelf(op.getType()));
    Value moved = CastOp::create(b, op.getLoc(), type, transpose.getX(),
                                 op.getSaturate());
    b.replaceOpWithNewOp<TransposeOp>(op, moved, transpose.getPermutation());
    return success();
  }
};

/// The same for casts between integers with a sign and without, in which loops
/// compute.
struct SinkThroughSign : OpRewritePattern<UnrealizedConversionCastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(UnrealizedConversionCastOp op,
                                PatternRewriter &b) const override {
    if (op.getNumOperands() != 1 || op.getNumResults() != 1)
      return b.notifyMatchFailure(op, "not of one tensor");
    auto transpose = op.getOperand(0).getDefiningOp<TransposeOp>();
    auto type = dyn_cast<RankedTensorType>(op.getResult(0).getType());
    if (!transpose || !type || type.getShape() != typeOf(transpose).getShape())
      return b.notifyMatchFailure(op, "the operand is not transposed");
    Value moved = UnrealizedConversionCastOp::create(
                      b, op.getLoc(),
                      typeOf(transpose.getX()).clone(type.getElementType()),
                      transpose.getX())
                      .getResult(0);
    b.replaceOpWithNewOp<TransposeOp>(op, moved, transpose.getPermutation());
    return success();
  }
};

struct SinkThroughReduce : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReduceOp op,
                                PatternRewriter &b) const override {
    auto transpose = op.getX().getDefiningOp<TransposeOp>();
    if (!transpose)
      return b.notifyMatchFailure(op, "the operand is not transposed");
    SmallVector<int64_t> axes;
    for (int64_t axis : op.getAxes())
      axes.push_back(transpose.getPermutation()[axis]);
    llvm::sort(axes);
    Value moved =
        ReduceOp::create(b, op.getLoc(), op.getKind(), transpose.getX(), axes);
    b.replaceOpWithNewOp<TransposeOp>(op, moved, transpose.getPermutation());
    return success();
  }
};

struct SinkThroughConcat : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ConcatOp op,
                                PatternRewriter &b) const override {
    SmallVector<Value> inputs;
    TransposeOp first;
    for (Value input : op.getInputs()) {
      auto transpose = input.getDefiningOp<TransposeOp>();
      if (!transpose ||
          (first && first.getPermutation() != transpose.getPermutation()))
        return b.notifyMatchFailure(op,
                                    "not all operands are transposed alike");
      first = transpose;
      inputs.push_back(transpose.getX());
    }
    int64_t axis = first.getPermutation()[op.getAxis()];
    Value moved = ConcatOp::create(b, op.getLoc(), inputs, axis);
    b.replaceOpWithNewOp<TransposeOp>(op, moved, first.getPermutation());
    return success();
  }
};

/// The entries of `values`, one a dimension of the transposed tensor, in the
/// order of the tensor before.
template <typename T>
static SmallVector<T> before(ArrayRef<T> values,
                             ArrayRef<int64_t> permutation) {
  SmallVector<T> result(values.size());
  for (auto [i, dim] : llvm::enumerate(permutation))
    result[dim] = values[i];
  return result;
}

struct SinkThroughPad : OpRewritePattern<PadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(PadOp op, PatternRewriter &b) const override {
    auto transpose = op.getX().getDefiningOp<TransposeOp>();
    if (!transpose)
      return b.notifyMatchFailure(op, "the operand is not transposed");
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    auto [staticLow, low] = decomposeMixedValues(
        before<OpFoldResult>(op.getMixedLow(), permutation));
    auto [staticHigh, high] = decomposeMixedValues(
        before<OpFoldResult>(op.getMixedHigh(), permutation));
    auto type = RankedTensorType::get(
        before<int64_t>(typeOf(op.getResult()).getShape(), permutation),
        getElementTypeOrSelf(op.getType()));
    Value moved =
        PadOp::create(b, op.getLoc(), type, transpose.getX(), op.getValue(),
                      low, high, staticLow, staticHigh, op.getMode());
    b.replaceOpWithNewOp<TransposeOp>(op, moved, permutation);
    return success();
  }
};

struct SinkThroughSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &b) const override {
    auto transpose = op.getX().getDefiningOp<TransposeOp>();
    if (!transpose)
      return b.notifyMatchFailure(op, "the operand is not transposed");
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    auto [staticOffsets, offsets] = decomposeMixedValues(
        before<OpFoldResult>(op.getMixedOffsets(), permutation));
    auto [staticSizes, sizes] = decomposeMixedValues(
        before<OpFoldResult>(op.getMixedSizes(), permutation));
    auto type = RankedTensorType::get(
        before<int64_t>(typeOf(op.getResult()).getShape(), permutation),
        getElementTypeOrSelf(op.getType()));
    Value moved = SliceOp::create(
        b, op.getLoc(), type, transpose.getX(), offsets, sizes, staticOffsets,
        staticSizes, before<int64_t>(op.getStrides(), permutation));
    b.replaceOpWithNewOp<TransposeOp>(op, moved, permutation);
    return success();
  }
};

/// A channel shuffle (ShuffleNet, section 3.1): dimension `axis` seen as
/// [groups, channels], which trade places.
struct Shuffle {
  TransposeOp front; // of what is shuffled
  ReshapeOp split;
  int64_t axis;
};

/// The shuffle of a transposed tensor that ends with `merge`, or nothing.
static std::optional<Shuffle> findShuffle(ReshapeOp merge) {
  auto swap = merge.getX().getDefiningOp<TransposeOp>();
  auto split = swap ? swap.getX().getDefiningOp<ReshapeOp>() : ReshapeOp();
  auto front =
      split ? split.getX().getDefiningOp<TransposeOp>() : TransposeOp();
  if (!front || front.getType() != merge.getType())
    return std::nullopt;
  RankedTensorType type = typeOf(front), parts = typeOf(split);
  // Two dynamic sizes could be others behind the reshape.
  if (parts.getRank() != type.getRank() + 1 || type.getNumDynamicDims() > 1)
    return std::nullopt;
  int64_t axis = 0;
  while (axis < type.getRank() && swap.getPermutation()[axis] == axis)
    ++axis;
  if (axis == type.getRank() || type.isDynamicDim(axis))
    return std::nullopt;
  auto swapped = llvm::to_vector(llvm::seq<int64_t>(0, parts.getRank()));
  std::swap(swapped[axis], swapped[axis + 1]);
  SmallVector<int64_t> shape(parts.getShape());
  shape[axis] *= shape[axis + 1];
  shape.erase(shape.begin() + axis + 1);
  if (swap.getPermutation() != ArrayRef<int64_t>(swapped) ||
      parts.isDynamicDim(axis) || parts.isDynamicDim(axis + 1) ||
      ArrayRef<int64_t>(shape) != type.getShape())
    return std::nullopt;
  return Shuffle{front, split, axis};
}

struct SinkThroughShuffle : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp merge,
                                PatternRewriter &b) const override {
    std::optional<Shuffle> shuffle = findShuffle(merge);
    if (!shuffle)
      return b.notifyMatchFailure(merge, "no shuffle of a transposed tensor");
    auto [front, split, axis] = *shuffle;
    Value x = front.getX();
    RankedTensorType type = typeOf(x);
    int64_t moved = front.getPermutation()[axis];
    SmallVector<int64_t> shape(type.getShape());
    shape[moved] = typeOf(split).getDimSize(axis);
    shape.insert(shape.begin() + moved + 1, typeOf(split).getDimSize(axis + 1));
    auto swapped = llvm::to_vector(llvm::seq<int64_t>(0, shape.size()));
    std::swap(swapped[moved], swapped[moved + 1]);
    Value parts = ReshapeOp::create(b, split.getLoc(), type.clone(shape), x,
                                    split.getDynamicSizes());
    Value swap = TransposeOp::create(b, merge.getLoc(), parts, swapped);
    Value whole = ReshapeOp::create(b, merge.getLoc(), type, swap,
                                    merge.getDynamicSizes());
    b.replaceOpWithNewOp<TransposeOp>(merge, whole, front.getPermutation());
    return success();
  }
};

/// The dimensions of 1 that `op` takes out of a tensor, if that is all it does.
static std::optional<SmallVector<int64_t>> findDropped(ReshapeOp op) {
  RankedTensorType from = typeOf(op.getX()), to = typeOf(op);
  // Two dynamic sizes could be others behind the reshape.
  if (from.getNumDynamicDims() > 1)
    return std::nullopt;
  SmallVector<int64_t> dropped;
  for (int64_t dim = 0; dim < from.getRank(); ++dim) {
    int64_t kept = dim - int64_t(dropped.size());
    if (kept < to.getRank() && from.getDimSize(dim) == to.getDimSize(kept))
      continue;
    if (from.getDimSize(dim) != 1)
      return std::nullopt;
    dropped.push_back(dim);
  }
  if (dropped.empty() ||
      from.getRank() - int64_t(dropped.size()) != to.getRank())
    return std::nullopt;
  return dropped;
}

/// squeeze(transpose(x)) -> transpose(squeeze(x))
struct SinkThroughSqueeze : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op,
                                PatternRewriter &b) const override {
    auto transpose = op.getX().getDefiningOp<TransposeOp>();
    std::optional<SmallVector<int64_t>> dropped = findDropped(op);
    if (!transpose || !dropped)
      return b.notifyMatchFailure(op, "no squeeze of a transposed tensor");
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    RankedTensorType type = typeOf(transpose.getX());
    // Of the dimensions that stay, which one each was.
    SmallVector<int64_t> shape, places(type.getRank()), order;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      places[dim] = shape.size();
      if (llvm::none_of(*dropped,
                        [&](int64_t d) { return permutation[d] == dim; }))
        shape.push_back(type.getDimSize(dim));
    }
    for (auto [i, dim] : llvm::enumerate(permutation))
      if (!llvm::is_contained(*dropped, int64_t(i)))
        order.push_back(places[dim]);
    Value squeezed = ReshapeOp::create(b, op.getLoc(), type.clone(shape),
                                       transpose.getX(), op.getDynamicSizes());
    b.replaceOpWithNewOp<TransposeOp>(op, squeezed, order);
    return success();
  }
};

/// Names who keeps a transpose, which is then computed at run time.
static void remarkLeft(TransposeOp op) {
  if (isConstantOnly(op.getX()))
    return;
  std::string users;
  for (Operation *user : op->getUsers())
    users += ((users.empty() ? "" : ", ") + user->getName().getStringRef() +
              " of '" + getNodeName(user->getLoc()) + "'")
                 .str();
  remarkMissed(op.getLoc(), "dlc-sink-transposes")
      << remark::add("a transpose stays in front of {0}", users);
}

struct SinkTransposesPass : dlc::impl::SinkTransposesBase<SinkTransposesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkThroughElementwise, SinkThroughCast, SinkThroughSign,
                 SinkThroughReduce, SinkThroughConcat, SinkThroughPad,
                 SinkThroughSlice, SinkThroughShuffle, SinkThroughSqueeze>(
        &getContext());
    populateSinkThroughLoops(patterns);
    // Merging and cancelling are folds of the op itself.
    TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    unsigned before = wantsRemarks(&getContext()) ? countTransposes() : 0;
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (!before)
      return;
    remarkDone(getOperation().getLoc(), "dlc-sink-transposes")
        << remark::add("{0} transposes became {1}", before, countTransposes());
    getOperation().walk(remarkLeft);
  }

  unsigned countTransposes() {
    unsigned count = 0;
    getOperation().walk(
        [&](TransposeOp op) { count += !isConstantOnly(op.getX()); });
    return count;
  }
};

} // namespace
