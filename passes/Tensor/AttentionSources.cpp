// What a kernel of attention reads, in front of what others do to it.
#include "passes/Tensor/AttentionSources.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// From the result of a transposition to its input, if `source` is one.
bool dlc::skipTransposition(Source &source) {
  auto transpose = source.value.getDefiningOp<linalg::TransposeOp>();
  if (!transpose)
    return false;
  SmallVector<AffineExpr> results(source.map.getNumResults());
  for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
    results[from] = source.map.getResult(to);
  source = {transpose.getInput(),
            AffineMap::get(source.map.getNumDims(), 0, results,
                           source.map.getContext())};
  return true;
}

void dlc::dropUnits(Source &source, OpBuilder &builder, Location loc) {
  SmallVector<ReassociationIndices> groups;
  SmallVector<AffineExpr> results;
  ReassociationIndices units; // in front of a dimension, or behind the last
  for (auto [i, expr] : llvm::enumerate(source.map.getResults())) {
    if (isa<AffineConstantExpr>(expr)) {
      (groups.empty() ? units : groups.back()).push_back(i);
      continue;
    }
    groups.push_back(units);
    units.clear();
    groups.back().push_back(i);
    results.push_back(expr);
  }
  if (results.size() == source.map.getNumResults() || groups.empty())
    return;
  source.value =
      tensor::CollapseShapeOp::create(builder, loc, source.value, groups);
  source.map =
      AffineMap::get(source.map.getNumDims(), 0, results, builder.getContext());
}

/// The constant that an elementwise op multiplies its one operand with.
static std::optional<double> findFactor(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops() ||
      llvm::any_of(op.getIndexingMapsArray(),
                   [](AffineMap map) { return !map.isIdentity(); }))
    return std::nullopt;
  Block &body = *op.getBody();
  auto product =
      body.getTerminator()->getOperand(0).getDefiningOp<arith::MulFOp>();
  if (!product || product->getBlock() != &body)
    return std::nullopt;
  for (unsigned i : {0, 1}) {
    FloatAttr factor;
    if (product->getOperand(i) == body.getArgument(0) &&
        matchPattern(product->getOperand(1 - i), m_Constant(&factor)))
      return factor.getValueAsDouble();
  }
  return std::nullopt;
}

/// To what is behind transpositions that leave the last dimension the last, and
/// behind products with constants, which become part of `factor` if there is
/// one.
void dlc::skipProducers(Source &source, double *factor) {
  while (true) {
    if (auto transpose = source.value.getDefiningOp<linalg::TransposeOp>();
        transpose && !transpose.getPermutation().empty() &&
        transpose.getPermutation().back() + 1 ==
            int64_t(transpose.getPermutation().size())) {
      skipTransposition(source);
      continue;
    }
    auto op = source.value.getDefiningOp<linalg::GenericOp>();
    std::optional<double> found = factor && op ? findFactor(op) : std::nullopt;
    if (!found || !std::isfinite(*found))
      return;
    *factor *= *found;
    source.value = op.getDpsInputs().front();
  }
}

/// How many keys more than its number each row of a mask has, the others being
/// hidden; nothing if it is no such mask, or a row has no key.
static std::optional<int64_t> findCausality(Value mask, int64_t rows,
                                            int64_t keys) {
  ElementsAttr values;
  if (!matchPattern(mask, m_Constant(&values)) ||
      !values.getElementType().isF32() ||
      values.getNumElements() != rows * keys || rows * keys == 0)
    return std::nullopt;
  std::vector<char> storage;
  ArrayRef<char> bytes = getElementData(values, storage);
  if (bytes.size() != size_t(rows * keys) * sizeof(float))
    return std::nullopt;
  const auto *numbers = reinterpret_cast<const float *>(bytes.data());
  // A weight of such a score is 0 beside that of any other one.
  constexpr float kHidden = -1e30f;
  int64_t more = -1;
  while (more + 1 < keys && numbers[more + 1] == 0)
    ++more;
  if (more < 0)
    return std::nullopt;
  bool hidesAny = false;
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < keys; ++n) {
      float number = numbers[m * keys + n];
      bool isHidden = n > m + more;
      hidesAny |= isHidden;
      if (isHidden ? !(number <= kHidden) : number != 0)
        return std::nullopt;
    }
  return hidesAny ? std::optional(more) : std::nullopt;
}

/// A constant mask that gives each row the keys up to its own number, and is
/// added last, becomes a number: no key behind is computed, and no mask read.
void dlc::dropCausalMask(AttentionOp op, PatternRewriter &rewriter) {
  using Kind = AttentionOp::DimKind;
  unsigned key = op.getDim(Kind::Key);
  Block &body = op.getScores().front();
  auto sum = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  for (unsigned i = 0; sum && i < op.getScoreExtras().size(); ++i) {
    BlockArgument argument = body.getArgument(i + 1);
    std::optional<unsigned> row;
    bool isPlain = true;
    for (AffineExpr expr : op.getScoreExtraMap(i).getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || dim.getPosition() == key)
        continue;
      isPlain &= !row && op.getDimKind(dim.getPosition()) == Kind::Row;
      row = dim.getPosition();
    }
    if (!row || !isPlain || !argument.hasOneUse() ||
        (sum.getLhs() != argument && sum.getRhs() != argument))
      continue;
    // The rows in front of the keys.
    std::optional<unsigned> rowAt = op.getScoreExtraMap(i).getResultPosition(
        getAffineDimExpr(*row, op.getContext()));
    std::optional<unsigned> keyAt = op.getScoreExtraMap(i).getResultPosition(
        getAffineDimExpr(key, op.getContext()));
    std::optional<int64_t> more;
    if (keyAt && *rowAt < *keyAt)
      more = findCausality(op.getScoreExtras()[i], op.getStaticExtent(*row),
                           op.getStaticExtent(key));
    if (!more)
      continue;
    Value score = sum.getLhs() == argument ? sum.getRhs() : sum.getLhs();
    rewriter.replaceOp(sum, score);
    body.eraseArgument(i + 1);
    SmallVector<Attribute> maps(op.getIndexingMaps().getValue());
    maps.erase(maps.begin() + 3 + i);
    op.getScoreExtrasMutable().erase(i);
    op.setIndexingMapsAttr(rewriter.getArrayAttr(maps));
    op.setCausal(ArrayRef<int64_t>{*row, *more});
    return;
  }
}
