// Two contractions with a softmax between them become dlc.attention, whose
// kernel keeps the scores to itself.
#include "dialects/Dlc/Dlc.h"
#include "dialects/Dlc/MatrixTilesAttr.h"
#include "passes/Remarks.h"
#include "passes/Tensor/AttentionSources.h"
#include "passes/Tensor/FindAttention.h"
#include "passes/Tensor/Passes.h"
#include "passes/Tensor/SplitKeys.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace dlc {
#define GEN_PASS_DEF_FUSEATTENTION
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fuse-attention";

/// Of a CPU's tiles: queries, which fill its vectors, and keys.
static constexpr int64_t kTileRows = 64, kFewestKeys = 64, kTileKeys = 512;
/// ... of products of tiles: the queries that keys and values are laid out for,
/// of which kMatrixRows at a time have scores.
static constexpr int64_t kMostMatrixRows = 256, kMatrixRows = 32,
                         kMatrixKeys = 512;
/// ... and fewer than these take the other form.
static constexpr int64_t kFewestMatrixRows = 8;
/// Threads are to have so many parts of the work.
static constexpr int64_t kWantedParts = 8;

/// What the body of an op computes, behind conversions.
static Value yieldedBy(linalg::LinalgOp op) {
  return stripCasts(op.getBlock()->getTerminator()->getOperand(0));
}

/// The operand that `value`, behind conversions, is an element of; null for
/// none.
static OpOperand *operandOf(linalg::LinalgOp op, Value value) {
  auto argument = dyn_cast<BlockArgument>(stripCasts(value));
  if (!argument || argument.getOwner() != op.getBlock())
    return nullptr;
  return &op->getOpOperand(argument.getArgNumber());
}

/// The identity without dimension `axis`.
static AffineMap rowMap(MLIRContext *context, unsigned rank, unsigned axis) {
  return AffineMap::getMultiDimIdentityMap(rank, context).dropResult(axis);
}

namespace {

/// A softmax along `axis` as LowerReductions and the fusion behind it leave it:
/// maximum, exponentials, sum, quotient.
struct Softmax {
  Value scores;                    ///< what it is of
  unsigned axis = 0;               ///< the dimension that it is along
  linalg::LinalgOp max, exps, sum; ///< three of its passes
  linalg::LinalgOp quotient;       ///< the last one, which may do more
  OpOperand *weight = nullptr;     ///< the exponentials, in `quotient`
  /// Puts 0 in rows without a key; null for none. Its condition is computed
  /// from `rows`, operands of `quotient`, by `condition`.
  arith::SelectOp hide;
  SetVector<Operation *> condition;
  SetVector<OpOperand *> rows;
};

/// Two contractions around a softmax.
struct FuseIntoAttention : OpRewritePattern<ContractOp> {
  FuseIntoAttention(MLIRContext *context, const FuseAttentionOptions &options)
      : OpRewritePattern(context), cache(options.cache), lanes(options.lanes),
        pairs(options.pairs), matrixTiles(options.matrixTiles) {}

  LogicalResult matchAndRewrite(ContractOp second,
                                PatternRewriter &rewriter) const override {
    Softmax softmax;
    ContractOp first;
    StringRef why = findSoftmax(second, softmax);
    if (why.empty())
      why = findFirst(second, softmax, first);
    if (!why.empty())
      return rewriter.notifyMatchFailure(second, why);
    DenseI64ArrayAttr tile;
    if (cache)
      tile = chooseTile(first, second);
    AttentionOp fused = fuse(first, second, softmax, tile, rewriter);
    if (pairs && tile && arePairs(fused))
      setPairs(fused);
    if (tile)
      splitKeys(fused, lanes, rewriter);
    return success();
  }

  /// Says why what looks like attention is none.
  void explain(ContractOp second) const {
    Softmax softmax;
    ContractOp first;
    if (!findSoftmax(second, softmax).empty())
      return;
    if (StringRef why = findFirst(second, softmax, first); !why.empty())
      remarkMissed(second.getLoc(), kPass)
          << "the scores go to memory: " << why.str();
  }

private:
  /// The product in front of a softmax; "" where both are attention.
  StringRef findFirst(ContractOp second, const Softmax &softmax,
                      ContractOp &first) const {
    first = softmax.scores.getDefiningOp<ContractOp>();
    if (!first || llvm::range_size(softmax.scores.getUses()) != 2)
      return "others than a softmax read them";
    StringRef why = findAttentionObstacle(first, second, softmax.axis);
    return why.empty() && cache ? findCpuObstacle(first, second) : why;
  }

  /// The reduction along `axis` of the identity by `Combiner` that makes
  /// `value`, which is read by rows, by `map`.
  template <typename Combiner>
  static linalg::LinalgOp findReduction(Value value, AffineMap map,
                                        unsigned rank,
                                        std::optional<unsigned> &axis) {
    auto op = value.getDefiningOp<linalg::LinalgOp>();
    if (!op || op->getNumResults() != 1 || op.getNumDpsInputs() != 1 ||
        op.getNumLoops() != rank || op.getNumReductionLoops() != 1)
      return nullptr;
    SmallVector<unsigned> reduced;
    op.getReductionDims(reduced);
    if (axis && *axis != reduced.front())
      return nullptr;
    axis = reduced.front();
    AffineMap rows = rowMap(op.getContext(), rank, *axis);
    if (!op.getMatchingIndexingMap(op.getDpsInputOperand(0)).isIdentity() ||
        op.getMatchingIndexingMap(op.getDpsInitOperand(0)) != rows ||
        map != rows)
      return nullptr;
    auto combiner = yieldedBy(op).getDefiningOp<Combiner>();
    if (!combiner || &op.getBlock()->front() == op.getBlock()->getTerminator())
      return nullptr;
    OpOperand *lhs = operandOf(op, combiner->getOperand(0));
    OpOperand *rhs = operandOf(op, combiner->getOperand(1));
    if (!lhs || !rhs || lhs == rhs)
      return nullptr;
    // One of them is what there is so far.
    return op.isDpsInit(lhs) != op.isDpsInit(rhs) ? op : nullptr;
  }

  /// What `value` is 1 divided by, if anything.
  static Value invertedBy(Value value) {
    auto inverse = stripCasts(value).getDefiningOp<arith::DivFOp>();
    return inverse && matchPattern(inverse.getLhs(), m_OneFloat())
               ? inverse.getRhs()
               : Value();
  }

  /// The operand of an elementwise op that makes the inverses of its elements,
  /// which are what `value` of `reader` is; null for none. There is one where
  /// dividing once a row is cheaper than once a weight.
  static OpOperand *findInverse(linalg::LinalgOp reader, Value value) {
    OpOperand *operand = operandOf(reader, value);
    auto op = operand ? operand->get().getDefiningOp<linalg::LinalgOp>()
                      : linalg::LinalgOp();
    if (!op || !op->hasOneUse() ||
        op.getNumParallelLoops() != op.getNumLoops() ||
        !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
      return nullptr;
    Value inverted = invertedBy(yieldedBy(op));
    OpOperand *input = inverted ? operandOf(op, inverted) : nullptr;
    return input && op.getMatchingIndexingMap(input).isIdentity() ? input
                                                                  : nullptr;
  }

  /// Finds what the condition of a select is computed from.
  static StringRef readCondition(arith::SelectOp select, Softmax &softmax) {
    softmax.hide = select;
    SmallVector<Value> open{select.getCondition()};
    while (!open.empty()) {
      Value value = open.pop_back_val();
      Operation *op = value.getDefiningOp();
      if (op && (op->getBlock() == select->getBlock() ||
                 op->hasTrait<OpTrait::ConstantLike>())) {
        if (isa<linalg::IndexOp>(op) || op->getNumRegions())
          return "the position hides weights";
        softmax.condition.insert(op);
        llvm::append_range(open, op->getOperands());
        continue;
      }
      OpOperand *operand = operandOf(softmax.quotient, value);
      if (!operand || softmax.quotient.isDpsInit(operand) ||
          !llvm::all_of(
              softmax.quotient.getMatchingIndexingMap(operand).getResults(),
              llvm::IsaPred<AffineDimExpr, AffineConstantExpr>))
        return "weights are hidden by what is no broadcast";
      softmax.rows.insert(operand);
    }
    return "";
  }

  /// What keeps operand A of `second` from being a softmax; "" if it is one.
  static StringRef findSoftmax(ContractOp second, Softmax &softmax) {
    linalg::LinalgOp quotient = second.getA().getDefiningOp<linalg::LinalgOp>();
    if (!quotient || !quotient->hasOneUse() ||
        quotient.getNumParallelLoops() != quotient.getNumLoops() ||
        !quotient.getMatchingIndexingMap(quotient.getDpsInitOperand(0))
             .isIdentity())
      return "no quotient of its own";
    softmax.quotient = quotient;
    unsigned rank = quotient.getNumLoops();
    // Of the weight: e * (1 / s) or e / s, in a select with 0 or not.
    Value value = yieldedBy(quotient);
    if (auto select = value.getDefiningOp<arith::SelectOp>()) {
      bool isFirst = matchPattern(select.getTrueValue(), m_AnyZeroFloat());
      if (!isFirst && !matchPattern(select.getFalseValue(), m_AnyZeroFloat()))
        return "a select without 0";
      if (StringRef why = readCondition(select, softmax); !why.empty())
        return why;
      value =
          stripCasts(isFirst ? select.getFalseValue() : select.getTrueValue());
    }
    Value weight;
    Value sums;        // of the weights of a row
    AffineMap sumsMap; // ... and where the quotient reads them
    auto setSums = [&](Value from, Value total) {
      weight = from;
      if (OpOperand *operand = operandOf(quotient, total)) {
        sums = operand->get();
        sumsMap = quotient.getMatchingIndexingMap(operand);
      }
    };
    if (auto multiply = value.getDefiningOp<arith::MulFOp>()) {
      for (unsigned i : {0, 1}) {
        Value factor = multiply->getOperand(i),
              other = multiply->getOperand(1 - i);
        if (Value total = invertedBy(factor)) {
          setSums(other, total);
        } else if (OpOperand *total = findInverse(quotient, factor)) {
          setSums(other, factor);
          sums = total->get();
        }
      }
    } else if (auto divide = value.getDefiningOp<arith::DivFOp>()) {
      setSums(divide.getLhs(), divide.getRhs());
    }
    softmax.weight = weight ? operandOf(quotient, weight) : nullptr;
    if (!softmax.weight || !sums)
      return "no quotient of weights and their sum";
    std::optional<unsigned> axis;
    softmax.sum = findReduction<arith::AddFOp>(sums, sumsMap, rank, axis);
    if (!softmax.sum || !softmax.sum->hasOneUse())
      return "no sum along one dimension";
    if (!quotient.getMatchingIndexingMap(softmax.weight).isIdentity())
      return "weights in another layout";
    linalg::LinalgOp exps =
        softmax.weight->get().getDefiningOp<linalg::LinalgOp>();
    if (!exps ||
        softmax.sum.getDpsInputOperand(0)->get() != softmax.weight->get() ||
        llvm::range_size(exps->getUses()) != 2)
      return "another sum than that of the weights";
    softmax.exps = exps;
    auto exp = yieldedBy(exps).getDefiningOp<math::ExpOp>();
    auto shifted =
        exp ? stripCasts(exp.getOperand()).getDefiningOp<arith::SubFOp>()
            : arith::SubFOp();
    OpOperand *score = shifted ? operandOf(exps, shifted.getLhs()) : nullptr;
    OpOperand *most = shifted ? operandOf(exps, shifted.getRhs()) : nullptr;
    if (!score || !most || exps.getNumLoops() != rank ||
        !exps.getMatchingIndexingMap(score).isIdentity() ||
        !exps.getMatchingIndexingMap(exps.getDpsInitOperand(0)).isIdentity())
      return "no exponentials of scores";
    softmax.max = findReduction<arith::MaximumFOp>(
        most->get(), exps.getMatchingIndexingMap(most), rank, axis);
    if (!softmax.max || !softmax.max->hasOneUse() ||
        softmax.max.getDpsInputOperand(0)->get() != score->get())
      return "no maximum of the scores";
    softmax.scores = score->get();
    softmax.axis = *axis;
    // What stands beside the weights is of whole rows.
    for (OpOperand *operand : softmax.rows)
      if (quotient.getMatchingIndexingMap(operand).isFunctionOfDim(
              softmax.axis))
        return "single weights are hidden";
    return "";
  }

  /// Queries by keys: some queries that fill vectors, and all keys where a
  /// part of the cache holds their scores.
  DenseI64ArrayAttr chooseTile(ContractOp first, ContractOp second) const {
    using Kind = ContractOp::DimKind;
    int64_t rows = 1;
    for (unsigned dim : first.getDims(Kind::Row)) {
      int64_t extent = first.getStaticExtent(dim);
      rows *= ShapedType::isDynamic(extent) ? kTileRows : extent;
    }
    rows = std::min(rows, kTileRows);
    int64_t bytes = first.getSumType().getIntOrFloatBitWidth() / 8;
    // Long vectors take the place of queries.
    int64_t depth = first.getStaticExtent(first.getDims(Kind::Sum).front());
    while (rows > lanes && rows * depth * bytes > cache / 4)
      rows = llvm::divideCeil(rows, 2);
    int64_t most = std::max(kFewestKeys, cache / 4 / (rows * bytes));
    int64_t keys = first.getStaticExtent(first.getDims(Kind::Column).front());
    if (ShapedType::isDynamic(keys)) {
      keys = std::min(most, kTileKeys);
    } else if (keys > most) {
      // Tiles of like size.
      int64_t tiles = llvm::divideCeil(keys, std::min(most, kTileKeys));
      keys = llvm::alignTo(llvm::divideCeil(keys, tiles), lanes);
    }
    return DenseI64ArrayAttr::get(first.getContext(), {rows, keys});
  }

  /// Whether both products may be those of a CPU's pairs of bfloat16.
  static bool arePairs(AttentionOp op) {
    auto isRounded = [](Value operand) {
      return getElementTypeOrSelf(operand.getType()).isBF16();
    };
    return isRounded(op.getQ()) && isRounded(op.getK()) &&
           isRounded(op.getV()) &&
           op.getScores().front().getArgument(0).getType().isF32() &&
           op.getStaticExtent(op.getDim(AttentionOp::DimKind::Depth)) > 1;
  }

  /// Rounds the operands, and chooses the kernel.
  void setPairs(AttentionOp op) const {
    op.setPrecision(Precision::BF16);
    if (!matrixTiles || (*op.getTile())[0] < kFewestMatrixRows)
      return;
    op->setAttr(kMatrixTilesAttr, UnitAttr::get(op.getContext()));
    op.setTileAttr(chooseMatrixTile(op));
  }

  /// As many queries as threads leave, in parts of like size, since keys and
  /// values are laid out for each of them.
  static DenseI64ArrayAttr chooseMatrixTile(AttentionOp op) {
    using Kind = AttentionOp::DimKind;
    int64_t rows = 1, others = 1;
    for (unsigned dim : op.getDims(Kind::Row)) {
      int64_t extent = op.getStaticExtent(dim);
      rows *= ShapedType::isDynamic(extent) ? kMostMatrixRows : extent;
    }
    for (unsigned dim : op.getDims(Kind::Batch))
      if (int64_t extent = op.getStaticExtent(dim);
          ShapedType::isStatic(extent))
        others *= extent;
    int64_t parts = llvm::divideCeil(rows, kMostMatrixRows);
    while (others * parts < kWantedParts &&
           llvm::divideCeil(rows, 2 * parts) >= kTileRows)
      parts *= 2;
    auto divide = [](int64_t extent, int64_t parts) {
      return std::min(
          extent,
          int64_t(llvm::alignTo(llvm::divideCeil(extent, parts), kMatrixRows)));
    };
    int64_t keys = op.getStaticExtent(op.getDim(Kind::Key));
    keys = ShapedType::isDynamic(keys)
               ? kMatrixKeys
               : divide(keys, llvm::divideCeil(keys, kMatrixKeys));
    return DenseI64ArrayAttr::get(op.getContext(), {divide(rows, parts), keys});
  }

  static AttentionOp fuse(ContractOp first, ContractOp second, Softmax &softmax,
                          DenseI64ArrayAttr tile, PatternRewriter &rewriter) {
    MLIRContext *context = rewriter.getContext();
    rewriter.setInsertionPoint(second);
    unsigned dims = first.getNumDims() + 1, column = dims - 1;
    // From the dimensions of each op to the new ones.
    auto extend = [&](AffineMap map) {
      return AffineMap::get(dims, 0, map.getResults(), context);
    };
    AffineMap scoreDims = extend(first.getCMap());
    SmallVector<AffineExpr> ofSecond(second.getNumDims(),
                                     getAffineDimExpr(column, context));
    for (auto [i, expr] : llvm::enumerate(second.getAMap().getResults()))
      ofSecond[cast<AffineDimExpr>(expr).getPosition()] =
          scoreDims.getResult(i);
    auto fromSecond = [&](AffineMap map) {
      return map.replaceDimsAndSymbols(ofSecond, {}, dims, 0);
    };
    Source queries{first.getA(), extend(first.getAMap())},
        keys{first.getB(), extend(first.getBMap())},
        values{second.getB(), fromSecond(second.getBMap())};
    // The keys where they lie before a transposition.
    skipTransposition(keys);
    for (Source *source : {&keys, &values})
      dropUnits(*source, rewriter, first.getLoc());
    double factor = 1;
    if (tile)
      for (Source *source : {&queries, &keys, &values})
        skipProducers(*source, source == &values ? nullptr : &factor);
    SmallVector<AffineMap> maps{queries.map, keys.map, values.map};
    for (unsigned i = 0; i < first.getExtras().size(); ++i)
      maps.push_back(extend(first.getExtraMap(i)));
    // What hides rows, then the extras of the second contraction.
    SmallVector<Value> extras;
    for (OpOperand *operand : softmax.rows) {
      extras.push_back(operand->get());
      maps.push_back(
          softmax.quotient.getMatchingIndexingMap(operand).compose(scoreDims));
    }
    for (auto [i, extra] : llvm::enumerate(second.getExtras())) {
      extras.push_back(extra);
      maps.push_back(fromSecond(second.getExtraMap(i)));
    }
    maps.push_back(fromSecond(second.getCMap()));

    auto fused = AttentionOp::create(
        rewriter, rewriter.getFusedLoc({first.getLoc(), second.getLoc()}),
        second.getResult().getType(), queries.value, keys.value, values.value,
        first.getExtras(), extras, second.getInit(), /*scratch=*/Value(),
        rewriter.getAffineMapArrayAttr(maps), first.getPrecisionAttr(), tile,
        DenseI64ArrayAttr());
    fused->setDiscardableAttrs(second->getDiscardableAttrDictionary());

    // Scores stay sums; others' conversions to what they were stored as go.
    rewriter.cloneRegionBefore(first.getEpilogue(), fused.getScores(),
                               fused.getScores().end());
    Block &scores = fused.getScores().front();
    auto yield = cast<YieldOp>(scores.getTerminator());
    if (auto narrow = yield.getOperand(0).getDefiningOp<arith::TruncFOp>();
        narrow && narrow.getIn().getType() == first.getSumType())
      yield.setOperand(0, narrow.getIn());
    if (factor != 1) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(&scores);
      Value sum = scores.getArgument(0);
      Value scale = arith::ConstantOp::create(
          rewriter, first.getLoc(),
          rewriter.getFloatAttr(sum.getType(), factor));
      auto scaled = arith::MulFOp::create(rewriter, first.getLoc(), sum, scale);
      sum.replaceAllUsesExcept(scaled, scaled);
    }

    Block *body = rewriter.createBlock(&fused.getEpilogue());
    Value sum = body->addArgument(second.getSumType(), second.getLoc());
    IRMapping mapping;
    for (OpOperand *operand : softmax.rows)
      mapping.map(softmax.quotient.getMatchingBlockArgument(operand),
                  body->addArgument(getElementTypeOrSelf(operand->get()),
                                    operand->get().getLoc()));
    for (auto [argument, extra] : llvm::zip(
             second.getBody()->getArguments().drop_front(), second.getExtras()))
      mapping.map(argument,
                  body->addArgument(argument.getType(), extra.getLoc()));
    if (softmax.hide) {
      Location loc = softmax.quotient.getLoc();
      Block *from = softmax.hide->getBlock();
      for (Operation *op : softmax.condition)
        if (op->getBlock() != from)
          rewriter.clone(*op, mapping);
      for (Operation &op : *from)
        if (softmax.condition.contains(&op))
          rewriter.clone(op, mapping);
      Value zero = arith::ConstantOp::create(
          rewriter, loc, rewriter.getFloatAttr(sum.getType(), 0));
      bool isFirst =
          matchPattern(softmax.hide.getTrueValue(), m_AnyZeroFloat());
      sum = arith::SelectOp::create(rewriter, loc,
                                    mapping.lookup(softmax.hide.getCondition()),
                                    isFirst ? zero : sum, isFirst ? sum : zero);
    }
    mapping.map(second.getBody()->getArgument(0), sum);
    for (Operation &op : *second.getBody())
      rewriter.clone(op, mapping);
    if (tile)
      dropCausalMask(fused, rewriter);
    remarkDone(second.getLoc(), kPass)
        << "the scores of '" << getNodeName(first.getLoc())
        << "' stay in its kernel";
    rewriter.replaceOp(second, fused.getResult());
    return fused;
  }

  int64_t cache, lanes;
  bool pairs, matrixTiles;
};

struct FuseAttentionPass : dlc::impl::FuseAttentionBase<FuseAttentionPass> {
  using FuseAttentionBase::FuseAttentionBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    FuseAttentionOptions options{cache, lanes, pairs, matrixTiles};
    patterns.add<FuseIntoAttention>(&getContext(), options);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (wantsRemarks(&getContext())) {
      FuseIntoAttention pattern(&getContext(), options);
      getOperation()->walk([&](ContractOp op) { pattern.explain(op); });
    }
  }
};

} // namespace
