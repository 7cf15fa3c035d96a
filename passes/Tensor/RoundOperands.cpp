// Operands of contractions rounded to bfloat16, where a CPU has dot products of
// that type and the products that it saves pay for the rounding:
//
//   %c = dlc.contract %a, %b : tensor<4x64xf32>, tensor<64x16xf32>
// ->
//   %x = linalg.generic ins(%a) { truncf }
//   %w = linalg.generic ins(%b) { truncf }
//   %c = dlc.contract %x, %w : tensor<4x64xbf16>, tensor<64x16xbf16>
#include "passes/Remarks.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/FindAttention.h"
#include "passes/Tensor/PackDot.h"
#include "passes/Tensor/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

namespace dlc {
#define GEN_PASS_DEF_ROUNDOPERANDS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-round-operands";

/// `value` rounded, so that LLVM may choose the instruction for it.
static Value roundScalar(Value value, OpBuilder &b, Location loc) {
  auto rounded = arith::TruncFOp::create(b, loc, b.getBF16Type(), value);
  rounded.setFastmath(arith::FastMathFlags::afn);
  return rounded;
}

namespace {

/// Rounds tensors, each once.
class Rounding {
public:
  explicit Rounding(MLIRContext *context) : b(context) {}
  Value round(Value value);

private:
  Value roundInFront(Value value);
  Value roundHere(Value value);

  OpBuilder b;
  DenseMap<Value, Value> rounded;
};

struct RoundOperands : dlc::impl::RoundOperandsBase<RoundOperands> {
  using RoundOperandsBase::RoundOperandsBase;

  void runOnOperation() override;

private:
  void roundAttention(Rounding &rounding, DenseSet<Operation *> &done);
  StringRef findObstacle(ContractOp op);
  bool pays(ContractOp op);

  KnownConstants constants;
};

} // namespace

//===----------------------------------------------------------------------===//
// Rounding
//===----------------------------------------------------------------------===//

Value Rounding::round(Value value) {
  if (Value known = rounded.lookup(value))
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(value);
  Value result = roundInFront(value);
  if (!result)
    result = roundHere(value);
  rounded[value] = result;
  return result;
}

/// Rounds what a pad, a reshape or a transposition reads, and repeats that for
/// bfloat16: then it is the producer's loop that rounds. Null for another op,
/// or one that others need as it is.
Value Rounding::roundInFront(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return {};
  Location loc = op->getLoc();
  auto type = cast<RankedTensorType>(value.getType()).clone(b.getBF16Type());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return tensor::EmptyOp::create(b, loc, type, empty.getDynamicSizes());
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    Value scalar = fill.getInputs().front();
    Value init = round(fill.getOutputs().front());
    b.setInsertionPointAfterValue(value);
    return linalg::FillOp::create(b, loc, roundScalar(scalar, b, loc), init)
        .getResult(0);
  }
  if (auto reshape = dyn_cast<tensor::CollapseShapeOp>(op)) {
    Value source = round(reshape.getSrc());
    b.setInsertionPointAfterValue(value);
    return tensor::CollapseShapeOp::create(b, loc, type, source,
                                           reshape.getReassociationIndices());
  }
  if (auto reshape = dyn_cast<tensor::ExpandShapeOp>(op)) {
    Value source = round(reshape.getSrc());
    b.setInsertionPointAfterValue(value);
    return tensor::ExpandShapeOp::create(b, loc, type, source,
                                         reshape.getReassociationIndices(),
                                         reshape.getMixedOutputShape());
  }
  if (!value.hasOneUse())
    return {};
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    Value source = round(insert.getSource()), dest = round(insert.getDest());
    b.setInsertionPointAfterValue(value);
    return tensor::InsertSliceOp::create(
        b, loc, source, dest, insert.getMixedOffsets(), insert.getMixedSizes(),
        insert.getMixedStrides());
  }
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    Value source = round(transpose.getInput()),
          init = round(transpose.getInit());
    b.setInsertionPointAfterValue(value);
    return linalg::TransposeOp::create(b, loc, source, init,
                                       transpose.getPermutation())
        .getResult()
        .front();
  }
  return {};
}

Value Rounding::roundHere(Value value) {
  Location loc = value.getLoc();
  auto type = cast<RankedTensorType>(value.getType());
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, value), b.getBF16Type());
  AffineMap map = b.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> loops(type.getRank(),
                                         utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, empty.getType(), value, empty, ArrayRef{map, map}, loops,
             [](OpBuilder &b, Location loc, ValueRange elements) {
               linalg::YieldOp::create(b, loc,
                                       roundScalar(elements.front(), b, loc));
             })
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Choice
//===----------------------------------------------------------------------===//

/// What the run alone knows counts as many.
static int64_t countMany(int64_t extent) {
  return ShapedType::isDynamic(extent) ? 1024 : extent;
}

static int64_t countElements(Value value) {
  int64_t count = 1;
  for (int64_t extent : cast<RankedTensorType>(value.getType()).getShape())
    count *= countMany(extent);
  return count;
}

/// Moves a summed dimension of A to its end, so that it is contiguous along it.
/// False, with nothing changed, if A isn't made of dimensions.
static bool turnA(ContractOp op) {
  AffineMap map = op.getAMap();
  int64_t rank = map.getNumResults();
  if (!map.isProjectedPermutation() || !rank)
    return false;
  auto isSum = [&](int64_t i) {
    return op.getDimKind(map.getDimPosition(i)) == ContractOp::DimKind::Sum;
  };
  if (isSum(rank - 1))
    return true;
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  auto last = llvm::find_if(llvm::reverse(order), isSum);
  if (last == order.rend())
    return false;
  std::rotate(last.base() - 1, last.base(), order.end());
  OpBuilder b(op);
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> results;
  for (int64_t i : order) {
    sizes.push_back(tensor::getMixedSize(b, op.getLoc(), op.getA(), i));
    results.push_back(map.getResult(i));
  }
  Value empty = tensor::EmptyOp::create(
      b, op.getLoc(), sizes, getElementTypeOrSelf(op.getA().getType()));
  op.getAMutable().assign(
      linalg::TransposeOp::create(b, op.getLoc(), op.getA(), empty, order)
          .getResult()
          .front());
  SmallVector<AffineMap> maps(
      op.getIndexingMaps().getAsValueRange<AffineMapAttr>());
  maps[0] = AffineMap::get(map.getNumDims(), 0, results, op.getContext());
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  return true;
}

/// Cycles saved against those that rounding takes. Of float32 two vectors of
/// products begin in a cycle, which run along the sum where there are few
/// columns, of bfloat16 twice as many products. An operand is read and written,
/// and laid out if it is B, whose pairs lie apart: of rows that only the run
/// knows there may be one.
bool RoundOperands::pays(ContractOp op) {
  constexpr double kRound = 1.0 / 8, kLayOut = 1.5;
  AffineMap c = op.getCMap();
  unsigned column = c.getDimPosition(c.getNumResults() - 1);
  bool isConstant = constants.contains(op.getB());
  double perColumn = 1;
  for (unsigned dim = 0; dim < op.getNumDims(); ++dim) {
    int64_t extent = op.getStaticExtent(dim);
    bool mayBeOne = !isConstant && ShapedType::isDynamic(extent);
    if (dim != column)
      perColumn *= mayBeOne ? 1 : countMany(extent);
  }
  int64_t columns = countMany(op.getStaticExtent(column));
  double vectors = llvm::divideCeil(columns, lanes);
  double now = columns < lanes ? double(columns) / lanes : vectors;
  double saved = perColumn * (now / 2 - vectors / 4);
  double cost = 0;
  if (!constants.contains(op.getA()))
    cost += countElements(op.getA()) * kRound;
  if (!isConstant)
    cost += countElements(op.getB()) * kLayOut;
  return saved > cost;
}

/// What is against products of bfloat16, or nothing; A may be turned then.
StringRef RoundOperands::findObstacle(ContractOp op) {
  if (op->hasAttr(kTransformedAttr))
    return "another form of the convolution is faster";
  DotLayout layout{2, lanes, 4 * lanes};
  AffineMap map = op.getAMap();
  bool isTurned = map.isProjectedPermutation() && map.getNumResults() &&
                  op.getCMap().getNumResults() &&
                  op.getDimKind(map.getDimPosition(map.getNumResults() - 1)) !=
                      ContractOp::DimKind::Sum;
  if (!isTurned && !hasDotForm(op, layout))
    return "its operands cannot be laid out in pairs";
  if (!pays(op))
    return "the products are too few to pay for it";
  if (isTurned && (!turnA(op) || !hasDotForm(op, layout)))
    return "its operands cannot be laid out in pairs";
  return "";
}

static bool isFloat(Value operand) {
  return getElementTypeOrSelf(operand.getType()).isF32();
}

/// Rounds queries, keys and values; `done` are both products.
void RoundOperands::roundAttention(Rounding &rounding,
                                   DenseSet<Operation *> &done) {
  for (AttentionProducts found : findAttention(getOperation(), constants)) {
    ContractOp first = found.first, second = found.second;
    if (!hasRowsForPairs(first) || !first.getSumType().isF32() ||
        !isFloat(first.getA()) || !isFloat(first.getB()) ||
        !isFloat(second.getA()) || !isFloat(second.getB()))
      continue;
    remarkDone(second.getLoc(), kPass)
        << "rounds the operands of attention to bfloat16";
    Value queries = rounding.round(first.getA()),
          keys = rounding.round(first.getB()),
          values = rounding.round(second.getB());
    first.getAMutable().assign(queries);
    first.getBMutable().assign(keys);
    second.getBMutable().assign(values);
    done.insert(first);
    done.insert(second);
  }
}

void RoundOperands::runOnOperation() {
  Rounding rounding(&getContext());
  DenseSet<Operation *> done;
  roundAttention(rounding, done);
  SmallVector<ContractOp> ops;
  getOperation()->walk([&](ContractOp op) {
    if (op.hasTensors() && !done.contains(op) && isFloat(op.getA()) &&
        isFloat(op.getB()) && op.getSumType().isF32())
      ops.push_back(op);
  });
  for (ContractOp op : ops) {
    if (StringRef why = findObstacle(op); !why.empty()) {
      remarkMissed(op.getLoc(), kPass)
          << mlir::remark::add("stays float32: {0}", why);
      continue;
    }
    remarkDone(op.getLoc(), kPass) << "rounds its operands to bfloat16";
    Value a = rounding.round(op.getA()), b = rounding.round(op.getB());
    op.getAMutable().assign(a);
    op.getBMutable().assign(b);
  }
}
