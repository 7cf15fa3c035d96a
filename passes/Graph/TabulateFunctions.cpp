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
static constexpr size_t kMostOps = 128;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// A constant of one number, whatever its rank is.
static bool isNumber(Value value) {
  return llvm::all_of(typeOf(value).getShape(),
                      [](int64_t size) { return size == 1; }) &&
         isConstantOnly(value);
}

/// True for what takes longer to compute than to look up; vectors of the
/// others are faster than loads one by one.
static bool isExpensive(Operation *op) {
  return isa<ExpOp, LogOp, SinOp, CosOp, TanOp, AsinOp, AcosOp, AtanOp, SinhOp,
             CoshOp, TanhOp, AsinhOp, AcoshOp, AtanhOp, ErfOp, SigmoidOp, PowOp,
             RemOp, ModOp>(op);
}

namespace {

/// What a quantize op computes of one tensor of 8 bits.
struct Function {
  Value input;
  SmallVector<Operation *> ops; // in order
  bool isExpensive = false;
};

/// Finds the longest function that ends in a quantize op: between is what is
/// elementwise, other pairs of quantize and dequantize included.
///
///   x -> dequantize -> h -> quantize -> dequantize -> * -> quantize
///         |___________________________________________|
class FunctionFinder {
public:
  explicit FunctionFinder(QuantizeOp last) : last(last) {}

  Function find() {
    Function best;
    if (!addQuantize(last))
      return best;
    while (!sources.empty()) {
      if (sources.size() == 1 && isAlike(sources.front()))
        best = Function{sources.front(), inOrder(), isExpensive()};
      // The latest may be computed from the others.
      auto maker = [&](Value x) {
        Operation *op = x.getDefiningOp();
        return op && op->getBlock() == last->getBlock() ? op : nullptr;
      };
      auto latest = llvm::max_element(sources, [&](Value x, Value y) {
        Operation *p = maker(x), *q = maker(y);
        return q && (!p || p->isBeforeInBlock(q));
      });
      auto quantize = latest->getDefiningOp<QuantizeOp>();
      sources.erase(latest);
      if (!quantize || !addQuantize(quantize))
        break;
    }
    return best;
  }

private:
  bool addQuantize(QuantizeOp op) {
    if (op->getBlock() != last->getBlock() || !isNumber(op.getScale()) ||
        !isNumber(op.getZero()))
      return false;
    ops.insert(op);
    return add(op.getX());
  }

  /// Adds what `value` is computed by; false if that isn't elementwise.
  bool add(Value value) {
    if (isNumber(value))
      return true;
    Operation *op = value.getDefiningOp();
    if (!op || op->getBlock() != last->getBlock() || ops.size() > kMostOps)
      return false;
    if (ops.contains(op))
      return true;
    if (auto dequantize = dyn_cast<DequantizeOp>(op)) {
      Value x = dequantize.getX();
      if (!isa<IntegerType>(typeOf(x).getElementType()) ||
          typeOf(x).getElementTypeBitWidth() != 8 ||
          !isNumber(dequantize.getScale()) || !isNumber(dequantize.getZero()) ||
          isConstantOnly(x)) // as a table itself is
        return false;
      ops.insert(op);
      if (!llvm::is_contained(sources, x))
        sources.push_back(x);
      return true;
    }
    if (!isa<ElementwiseOp, CastOp>(op) || isa<QuantizeOp>(op))
      return false;
    ops.insert(op);
    return llvm::all_of(op->getOperands(), [&](Value v) { return add(v); });
  }

  /// A constant may make the result larger than the operand.
  bool isAlike(Value x) {
    return typeOf(x).getShape() == typeOf(last.getResult()).getShape();
  }

  /// Rounding takes some eight ops, so that a table is faster than three.
  bool isExpensive() {
    return llvm::any_of(ops, ::isExpensive) ||
           llvm::count_if(ops, llvm::IsaPred<QuantizeOp>) >= 3;
  }

  SmallVector<Operation *> inOrder() {
    SmallVector<Operation *> sorted(ops.begin(), ops.end());
    llvm::sort(sorted, [](Operation *p, Operation *q) {
      return p->isBeforeInBlock(q);
    });
    return sorted;
  }

  QuantizeOp last;
  llvm::SetVector<Operation *> ops;
  SmallVector<Value> sources;
};

} // namespace

/// The function's values for all numbers of 8 bits: n stands at n, the negative
/// ones behind the others, since gather counts their indices from the end.
static Value makeTable(IRRewriter &b, QuantizeOp last,
                       const Function &function) {
  Location loc = last.getLoc();
  auto codes =
      RankedTensorType::get({256}, typeOf(function.input).getElementType());
  SmallVector<char> bytes(256);
  for (int i = 0; i < 256; ++i)
    bytes[i] = char(i);
  IRMapping mapping;
  mapping.map(function.input,
              ConstantOp::create(
                  b, loc, DenseElementsAttr::getFromRawBuffer(codes, bytes)));
  Value table;
  for (Operation *source : function.ops) {
    for (Value operand : source->getOperands())
      if (!mapping.contains(operand) && typeOf(operand).getRank())
        mapping.map(operand, b.createOrFold<ReshapeOp>(
                                 loc,
                                 RankedTensorType::get(
                                     {}, typeOf(operand).getElementType()),
                                 operand, ValueRange()));
    table = b.clone(*source, mapping)->getResult(0);
    table.setType(typeOf(table).clone(ArrayRef<int64_t>{256}));
  }
  return table;
}

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

namespace {

struct TabulateFunctionsPass
    : dlc::impl::TabulateFunctionsBase<TabulateFunctionsPass> {
  /// Puts a table in the place of a function; what nobody else reads of its ops
  /// goes, and out of `left`.
  void tabulate(QuantizeOp op, const Function &function,
                llvm::SetVector<Operation *> &left) {
    IRRewriter b(op);
    Location loc = op.getLoc();
    Value table = makeTable(b, op, function);
    Value indices = CastOp::create(
        b, loc, typeOf(function.input).clone(b.getI32Type()), function.input);
    remarkDone(loc, kPass) << remark::add("a table of 256 in place of {0} ops",
                                          function.ops.size() - 2);
    b.replaceAllUsesWith(
        op, GatherOp::create(b, loc, op.getType(), table, indices, 0));
    for (Operation *dead : llvm::reverse(function.ops))
      if (dead->use_empty()) {
        left.remove(dead);
        b.eraseOp(dead);
      }
  }

  void runOnOperation() override {
    llvm::SetVector<Operation *> left;
    getOperation().walk([&](QuantizeOp op) { left.insert(op); });
    // The last first, so that what a function is part of has one table.
    while (!left.empty()) {
      auto op = cast<QuantizeOp>(left.pop_back_val());
      Function function = FunctionFinder(op).find();
      if (function.isExpensive)
        tabulate(op, function, left);
    }
    if (wantsRemarks(&getContext()))
      getOperation().walk(remarkFloat);
  }
};

} // namespace
