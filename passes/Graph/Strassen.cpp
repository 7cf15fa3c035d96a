// One level of Strassen's product in Winograd's variant (Knuth, The Art of
// Computer Programming, volume 2, section 4.6.4): seven products of quarters
// and fifteen sums instead of eight products. Sums of the weights' quarters
// are constants; those of the results become epilogues of the products.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Graph/Constants.h"
#include "passes/Graph/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_STRASSEN
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-strassen";

/// Of a concat of two halves that this pass made: elementwise ops move in
/// front of it, so that they too are computed with the products.
static constexpr StringLiteral kHalves = "dlc.halves";

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Half `index` of `x` along `axis`.
static Value getHalf(OpBuilder &b, Location loc, Value x, int64_t axis,
                     int64_t index) {
  RankedTensorType type = typeOf(x);
  SmallVector<int64_t> sizes(type.getShape()), offsets(type.getRank(), 0),
      strides(type.getRank(), 1);
  sizes[axis] /= 2;
  offsets[axis] = index * sizes[axis];
  return b.createOrFold<SliceOp>(loc, type.clone(sizes), x, ValueRange(),
                                 ValueRange(), offsets, sizes, strides);
}

namespace {

/// Numbers in a vector, and bytes that a cycle moves.
struct Cost {
  double lanes, passBytes;
};

/// A matrix in quarters: [row][column].
struct Quarters {
  Quarters(OpBuilder &b, Location loc, Value x) {
    int64_t rank = typeOf(x).getRank();
    for (int64_t i : {0, 1}) {
      Value rows = getHalf(b, loc, x, rank - 2, i);
      for (int64_t j : {0, 1})
        parts[i][j] = getHalf(b, loc, rows, rank - 1, j);
    }
  }
  ArrayRef<Value> operator[](int64_t i) const { return parts[i]; }
  Value parts[2][2];
};

} // namespace

/// Why the product stays as it is; empty if nothing is against it.
static StringRef findObstacle(MatMulOp op, Cost cost) {
  RankedTensorType type = typeOf(op), weights = typeOf(op.getRhs());
  if (!type.getElementType().isF32() || !op.getZeros().empty())
    return "not of float32";
  if (!type.hasStaticShape() || !typeOf(op.getLhs()).hasStaticShape())
    return "a size is not known";
  if (weights.getRank() != 2 || !isConstantOnly(op.getRhs()))
    return "its right side is no constant matrix";
  ArrayRef<int64_t> shape = type.getShape();
  if (llvm::any_of(shape.drop_back(2), [](int64_t size) { return size != 1; }))
    return "it is several products";
  int64_t m = shape[type.getRank() - 2], k = weights.getDimSize(0),
          n = weights.getDimSize(1);
  if (m % 2 || k % 2 || n % 2)
    return "a size is odd";
  // Sums of x's quarters read two and write one, four times; seven sums of
  // results do so, and seven products are stored. Weights grow by 3/4.
  double saved = double(m) * k * n / 8 / (2 * cost.lanes);
  double bytes = 12 * double(m) * k + 28 * double(m) * n + 3 * double(k) * n;
  return saved > bytes / cost.passBytes ? "" : "sums would take what it saves";
}

namespace {

struct MultiplyQuarters : OpRewritePattern<MatMulOp> {
  MultiplyQuarters(MLIRContext *context, Cost cost)
      : OpRewritePattern(context), cost(cost) {}

  LogicalResult matchAndRewrite(MatMulOp op,
                                PatternRewriter &b) const override {
    if (op->hasAttr(kHalves))
      return failure();
    if (StringRef why = findObstacle(op, cost); !why.empty())
      return b.notifyMatchFailure(op, why);
    Location loc = op.getLoc();
    RankedTensorType type = typeOf(op);
    auto add = [&](Value x, Value y) -> Value {
      return AddOp::create(b, loc, x.getType(), x, y);
    };
    auto sub = [&](Value x, Value y) -> Value {
      return SubOp::create(b, loc, x.getType(), x, y);
    };
    SmallVector<int64_t> shape(type.getShape());
    for (int64_t &size : MutableArrayRef(shape).take_back(2))
      size /= 2;
    auto multiply = [&](Value x, Value y) -> Value {
      auto product = MatMulOp::create(b, loc, type.clone(shape), x, y,
                                      /*zeros=*/ValueRange());
      product->setAttr(kHalves, b.getUnitAttr()); // one level
      return product;
    };
    Quarters x(b, loc, op.getLhs()), w(b, loc, op.getRhs());
    Value s1 = add(x[1][0], x[1][1]), s2 = sub(s1, x[0][0]),
          s3 = sub(x[0][0], x[1][0]), s4 = sub(x[0][1], s2);
    Value t1 = sub(w[0][1], w[0][0]), t2 = sub(w[1][1], t1),
          t3 = sub(w[1][1], w[0][1]), t4 = sub(t2, w[1][0]);
    Value first = multiply(x[0][0], w[0][0]);
    Value top = add(first, multiply(x[0][1], w[1][0]));
    Value sum = add(first, multiply(s2, t2));
    Value next = multiply(s1, t1);
    Value right = add(add(sum, next), multiply(s4, w[1][1]));
    Value other = add(sum, multiply(s3, t3));
    Value left = sub(other, multiply(x[1][1], t4));
    Value corner = add(other, next);
    auto join = [&](Value x, Value y, int64_t axis) -> Value {
      auto joined = ConcatOp::create(b, loc, ValueRange{x, y}, axis);
      joined->setAttr(kHalves, b.getUnitAttr());
      return joined;
    };
    int64_t rank = type.getRank();
    Value upper = join(top, right, rank - 1),
          lower = join(left, corner, rank - 1);
    remarkDone(loc, kPass) << mlir::remark::add("seven products of quarters");
    b.replaceOp(op, join(upper, lower, rank - 2));
    return success();
  }

private:
  Cost cost;
};

/// f(concat(x, y), z) -> concat(f(x, half of z), f(y, other half of z))
struct ComputeHalves : OpInterfaceRewritePattern<ElementwiseOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(ElementwiseOp op,
                                PatternRewriter &b) const override {
    RankedTensorType type = typeOf(op->getResult(0));
    ConcatOp halves;
    for (Value operand : op->getOperands())
      if (auto concat = operand.getDefiningOp<ConcatOp>())
        if (concat->hasAttr(kHalves) &&
            concat.getType() == type.clone(typeOf(concat).getElementType()))
          halves = concat;
    // Where others need the whole, that would be made twice.
    if (!halves || !llvm::all_of(halves->getUsers(), [](Operation *user) {
          return isa<ElementwiseOp>(user);
        }))
      return b.notifyMatchFailure(op, "no halves that only such ops read");
    if (!llvm::all_of(op->getOperandTypes(), [](Type operand) {
          return cast<RankedTensorType>(operand).hasStaticShape();
        }))
      return b.notifyMatchFailure(op, "a size is not known");
    int64_t axis = halves.getAxis();
    SmallVector<Value> results;
    for (int64_t index : {0, 1}) {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands()) {
        int64_t own = axis - type.getRank() + typeOf(operand).getRank();
        if (operand == halves.getResult())
          operands.push_back(halves.getInputs()[index]);
        else if (own < 0 || typeOf(operand).getDimSize(own) == 1)
          operands.push_back(operand);
        else
          operands.push_back(getHalf(b, op->getLoc(), operand, own, index));
      }
      SmallVector<int64_t> shape(type.getShape());
      shape[axis] /= 2;
      OperationState state(op->getLoc(), op->getName(), operands,
                           TypeRange(type.clone(shape)), op->getAttrs());
      results.push_back(b.create(state)->getResult(0));
    }
    auto joined = ConcatOp::create(b, op->getLoc(), results, axis);
    joined->setAttr(kHalves, b.getUnitAttr());
    b.replaceOp(op, joined);
    return success();
  }
};

struct StrassenPass : dlc::impl::StrassenBase<StrassenPass> {
  using StrassenBase::StrassenBase;
  void runOnOperation() override {
    RewritePatternSet products(&getContext());
    Cost cost{double(lanes), double(passBytes)};
    products.add<MultiplyQuarters>(&getContext(), cost);
    if (failed(applyPatternsGreedily(getOperation(), std::move(products))))
      return signalPassFailure();
    if (wantsRemarks(&getContext()))
      getOperation().walk([&](MatMulOp op) {
        if (!op->hasAttr(kHalves))
          remarkMissed(op.getLoc(), kPass) << mlir::remark::add(
              "eight products of quarters: {0}", findObstacle(op, cost));
      });
    RewritePatternSet halves(&getContext());
    halves.add<ComputeHalves>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(halves))))
      return signalPassFailure();
    getOperation().walk([](Operation *op) { op->removeAttr(kHalves); });
  }
};

} // namespace
