// Which contractions are attention's.
#include "passes/Tensor/FindAttention.h"
#include "passes/Tensor/Constants.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace dlc;

using Kind = ContractOp::DimKind;

StringRef dlc::findAttentionObstacle(ContractOp first, ContractOp second,
                                     unsigned axis) {
  for (ContractOp op : {first, second})
    if (!op.getAMap().isProjectedPermutation() ||
        !op.getBMap().isProjectedPermutation(/*allowZeroInResults=*/true) ||
        op.getWinograd() || op.getDot() || !isa<FloatType>(op.getSumType()))
      return "a contraction of another form";
  if (first.getPrecision() != second.getPrecision())
    return "two precisions";
  auto dimAt = [](AffineMap map, unsigned i) {
    return cast<AffineDimExpr>(map.getResult(i)).getPosition();
  };
  if (first.getDims(Kind::Sum).size() != 1 ||
      second.getDims(Kind::Sum).size() != 1 ||
      second.getDims(Kind::Column).size() != 1 ||
      first.getDimKind(dimAt(first.getCMap(), axis)) != Kind::Column ||
      first.getDims(Kind::Column).size() != 1 ||
      second.getDimKind(dimAt(second.getAMap(), axis)) != Kind::Sum)
    return "the dimensions of the products aren't those of attention";
  for (unsigned i = 0, e = first.getCMap().getNumResults(); i < e; ++i)
    if (first.getDimKind(dimAt(first.getCMap(), i)) == Kind::Row &&
        second.getDimKind(dimAt(second.getAMap(), i)) == Kind::Batch)
      return "values of a row";
  return "";
}

StringRef dlc::findCpuObstacle(ContractOp first, ContractOp second) {
  if (first.getSumType() != second.getSumType())
    return "sums of two types";
  auto extentOf = [](ContractOp op, Kind kind) {
    return op.getStaticExtent(op.getDims(kind).front());
  };
  if (ShapedType::isDynamic(extentOf(first, Kind::Sum)) ||
      ShapedType::isDynamic(extentOf(second, Kind::Column)))
    return "vectors of an unknown size";
  for (ContractOp op : {first, second})
    for (unsigned dim = 0; dim < op.getNumDims(); ++dim)
      if (op.getStaticExtent(dim) == 0)
        return "nothing to compute";
  return "";
}

Value dlc::stripCasts(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::TruncFOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

namespace {

/// What is between the products: elementwise ops on the scores, and the
/// softmax's, exp(score - maximum) among them. Its maximum and sum, and masks,
/// are other operands of these.
struct ScorePath {
  ContractOp product;
  bool hasExp = false, isPlain = true;
  DenseSet<Operation *> seen;

  void follow(Value value);
};

} // namespace

void ScorePath::follow(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !seen.insert(op).second)
    return;
  if (auto contract = dyn_cast<ContractOp>(op)) {
    isPlain &= !product;
    product = contract;
    return;
  }
  auto loops = dyn_cast<linalg::GenericOp>(op);
  if (!loops || loops.getNumParallelLoops() != loops.getNumLoops() ||
      loops->getNumResults() != 1)
    return;
  loops.getBody()->walk([&](math::ExpOp exp) {
    hasExp |=
        stripCasts(exp.getOperand()).getDefiningOp<arith::SubFOp>() != nullptr;
  });
  for (OpOperand *operand : loops.getDpsInputOperands())
    if (loops.getMatchingIndexingMap(operand).isIdentity())
      follow(operand->get());
}

/// The product whose scores, as a softmax's weights, `second` reads.
static ContractOp findFirst(ContractOp second) {
  ScorePath path;
  path.follow(second.getA());
  ContractOp first = path.product;
  if (!first || !path.hasExp || !path.isPlain || !first.hasTensors() ||
      !first.getCMap().isProjectedPermutation() ||
      !second.getAMap().isProjectedPermutation() ||
      first.getCMap().getNumResults() != second.getAMap().getNumResults())
    return nullptr;
  SmallVector<unsigned> columns = first.getDims(Kind::Column);
  std::optional<unsigned> axis;
  if (columns.size() == 1)
    axis = first.getCMap().getResultPosition(
        getAffineDimExpr(columns.front(), first.getContext()));
  if (!axis || !findAttentionObstacle(first, second, *axis).empty() ||
      !findCpuObstacle(first, second).empty())
    return nullptr;
  return first;
}

SmallVector<AttentionProducts> dlc::findAttention(Operation *root,
                                                  KnownConstants &constants) {
  SmallVector<AttentionProducts> found;
  root->walk([&](ContractOp second) {
    if (!second.hasTensors() || constants.contains(second.getB()))
      return;
    ContractOp first = findFirst(second);
    if (first && !constants.contains(first.getB()))
      found.push_back({first, second});
  });
  return found;
}

bool dlc::hasRowsForPairs(ContractOp first) {
  constexpr int64_t kFewRows = 8;
  int64_t rows = 1;
  for (unsigned dim : first.getDims(Kind::Row)) {
    int64_t extent = first.getStaticExtent(dim);
    rows *= ShapedType::isDynamic(extent) ? kFewRows : extent;
  }
  return rows >= kFewRows &&
         first.getStaticExtent(first.getDims(Kind::Sum).front()) > 1;
}
