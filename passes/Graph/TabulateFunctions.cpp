// Functions of one 8-bit number become tables of 256.

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Graph/Constants.h"
#include "passes/Graph/Passes.h"
#include "passes/Remarks.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_TABULATEFUNCTIONS
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-tabulate-functions";
/// Longer chains are no activation functions.
static constexpr size_t kMostOps = 64;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool isScalarConstant(Value value) {
  return typeOf(value).getRank() == 0 && isConstantOnly(value);
}

/// True for what takes longer to compute than to look up; vectors of the
/// others are faster than loads one by one.
static bool isExpensive(Operation *op) {
  return isa<ExpOp, LogOp, SinOp, CosOp, TanOp, AsinOp, AcosOp, AtanOp, SinhOp,
             CoshOp, TanhOp, AsinhOp, AcoshOp, AtanhOp, ErfOp, SigmoidOp, PowOp,
             RemOp, ModOp>(op);
}

namespace {

/// The elementwise ops between one dequantized tensor and a quantize op.
struct Function {
  DequantizeOp input;
  llvm::SetVector<Operation *> ops; // in reverse order
  bool isExpensive = false;

  /// Adds what `value` is computed by; false if that isn't a function of one
  /// number.
  bool add(Value value) {
    if (isScalarConstant(value))
      return true;
    Operation *op = value.getDefiningOp();
    if (!op || ops.size() > kMostOps)
      return false;
    if (auto dequantize = dyn_cast<DequantizeOp>(op)) {
      if (input && input != dequantize)
        return false;
      input = dequantize;
      return typeOf(input.getX()).getElementTypeBitWidth() == 8 &&
             isScalarConstant(input.getScale()) &&
             isScalarConstant(input.getZero());
    }
    if (!isa<ElementwiseOp, CastOp>(op))
      return false;
    isExpensive |= ::isExpensive(op);
    ops.insert(op);
    return llvm::all_of(op->getOperands(), [&](Value v) { return add(v); });
  }
};

struct Tabulate : OpRewritePattern<QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(QuantizeOp op,
                                PatternRewriter &b) const override {
    Function function;
    if (!isScalarConstant(op.getScale()) || !isScalarConstant(op.getZero()) ||
        !function.add(op.getX()) || !function.input ||
        isConstantOnly(function.input.getX())) // as a table itself is
      return b.notifyMatchFailure(op, "no function of one 8-bit number");
    if (!function.isExpensive)
      return b.notifyMatchFailure(op, "computed faster than looked up");
    Value x = function.input.getX();
    if (typeOf(x).getShape() != typeOf(op.getResult()).getShape())
      return b.notifyMatchFailure(op, "a constant makes the result larger");
    Location loc = op.getLoc();

    // The number n stands at n, the negative ones behind the others: gather
    // counts their indices from the end.
    auto codes = RankedTensorType::get({256}, typeOf(x).getElementType());
    SmallVector<char> bytes(256);
    for (int i = 0; i < 256; ++i)
      bytes[i] = char(i);
    IRMapping mapping;
    mapping.map(x,
                ConstantOp::create(
                    b, loc, DenseElementsAttr::getFromRawBuffer(codes, bytes)));
    SmallVector<Operation *> ops(function.ops.begin(), function.ops.end());
    llvm::sort(
        ops, [](Operation *p, Operation *q) { return p->isBeforeInBlock(q); });
    ops.insert(ops.begin(), function.input);
    ops.push_back(op);
    Value table;
    for (Operation *source : ops) {
      Operation *copy = b.clone(*source, mapping);
      table = copy->getResult(0);
      table.setType(typeOf(table).clone(ArrayRef<int64_t>{256}));
    }
    Type i32 = b.getI32Type();
    Value indices = CastOp::create(b, loc, typeOf(x).clone(i32), x);
    remarkDone(loc, kPass) << remark::add("a table of 256 in place of {0} ops",
                                          function.ops.size());
    b.replaceOpWithNewOp<GatherOp>(op, op.getType(), table, indices, 0);
    return success();
  }
};

/// Says which ops work in float on what are integers in memory, and which have
/// float in memory too. Products have had their remark.
static void remarkFloat(Operation *op) {
  if (isa<DequantizeOp, QuantizeOp, ConvOp, MatMulOp>(op) ||
      op->getNumResults() != 1 || isConstantOnly(op->getResult(0)))
    return;
  if (llvm::none_of(op->getOperands(), [](Value x) {
        return x.getDefiningOp<DequantizeOp>() && !isConstantOnly(x);
      }))
    return;
  StringRef name = op->getName().getStringRef();
  if (isa<ElementwiseOp, CastOp>(op))
    remarkMissed(op->getLoc(), kPass) << remark::add(
        "'{0}' computes in float on numbers of 8 bits in memory: no table of "
        "one operand would be faster",
        name);
  else
    remarkMissed(op->getLoc(), kPass) << remark::add(
        "'{0}' computes in float: it has no form on integers", name);
}

struct TabulateFunctionsPass
    : dlc::impl::TabulateFunctionsBase<TabulateFunctionsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Tabulate>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    if (wantsRemarks(&getContext()))
      getOperation().walk(remarkFloat);
  }
};

} // namespace
