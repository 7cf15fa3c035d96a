// Sums of a softmax in f64. All results are divided by them, so what they are
// rounded by is an error of each; along an axis of any length and place.

#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_WIDENSUMS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

/// A sum of exponentials, zero at first.
struct Sum {
  linalg::GenericOp op;
  arith::AddFOp addition;
  Value power; ///< what is added, in the body of `op`
  math::ExpOp exp;
  Value init; ///< the tensor that is filled with the zero
};

} // namespace

/// The operand behind an argument of the body of `op`.
static Value toArgument(Value value, linalg::GenericOp op) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != op.getBody() ||
      argument.getArgNumber() >= op.getNumDpsInputs())
    return {};
  return op.getDpsInputs()[argument.getArgNumber()];
}

static math::ExpOp findExp(Value power, linalg::GenericOp op) {
  if (Value input = toArgument(power, op)) {
    auto producer = input.getDefiningOp<linalg::GenericOp>();
    if (!producer || producer->getNumResults() != 1)
      return nullptr;
    power = producer.getBody()->getTerminator()->getOperand(0);
  }
  auto exp = power.getDefiningOp<math::ExpOp>();
  return exp && exp->hasAttr(kSoftmaxAttr) ? exp : math::ExpOp();
}

/// The sum that `value` is, if it is one of f32.
static std::optional<Sum> findSum(Value value) {
  auto op = value.getDefiningOp<linalg::GenericOp>();
  if (!op || !op->hasOneUse() || op->getNumResults() != 1 ||
      !op.getNumReductionLoops() || op.hasIndexSemantics() ||
      !getElementTypeOrSelf(value.getType()).isF32())
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  auto addition = yielded.getDefiningOp<arith::AddFOp>();
  if (!fill || !addition ||
      !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
    return std::nullopt;
  Value out = op.getBody()->getArguments().back();
  if (!out.hasOneUse() || !llvm::is_contained(addition->getOperands(), out))
    return std::nullopt;
  Value power =
      addition.getLhs() == out ? addition.getRhs() : addition.getLhs();
  math::ExpOp exp = findExp(power, op);
  if (!exp)
    return std::nullopt;
  return Sum{op, addition, power, exp, fill.getOutputs()[0]};
}

/// The only op of a body on the only input, if it computes the result.
template <typename Op> static Op findOnly(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1)
    return {};
  auto only = op.getBody()->getTerminator()->getOperand(0).getDefiningOp<Op>();
  return only && &op.getBody()->front() == only.getOperation() &&
                 only->getOperands().back() == op.getBody()->getArgument(0)
             ? only
             : Op();
}

/// The op that multiplies by the inverse that `use` reads, if that is all that
/// is done with it.
static arith::MulFOp findProduct(OpOperand &use) {
  auto user = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!user || user.isDpsInit(&use))
    return nullptr;
  BlockArgument factor = user.getMatchingBlockArgument(&use);
  auto product = factor.hasOneUse()
                     ? dyn_cast<arith::MulFOp>(*factor.user_begin())
                     : arith::MulFOp();
  return product && product->getBlock() == user.getBody() ? product
                                                          : arith::MulFOp();
}

namespace {

class Widening {
public:
  Widening(linalg::GenericOp root) : root(root), b(root.getLoc(), root) {}

  void run() {
    std::optional<Sum> found = findSum(root->getOperand(0));
    if (!found || root.getNumReductionLoops())
      return;
    sum = *found;
    if (findOnly<math::LogOp>(root))
      return widenLogarithm();
    auto quotient = findOnly<arith::DivFOp>(root);
    if (quotient && matchPattern(quotient.getLhs(), m_OneFloat()) &&
        llvm::all_of(root->getUses(), findProduct))
      widenInverse();
  }

private:
  /// The sum of what `getAddend` makes of the body's copy.
  Value addUp(Type type, function_ref<Value(const IRMapping &)> getAddend) {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, b.getLoc(), sum.init);
    Value empty = tensor::EmptyOp::create(b, sizes, type);
    Value init = linalg::FillOp::create(b, ValueRange(zero), ValueRange(empty))
                     .getResult(0);
    Block &body = *sum.op.getBody();
    Value total = createGeneric(
        sum.op.getDpsInputs(), init, sum.op, sum.op.getIndexingMapsArray(),
        [&](ValueRange arguments) -> SmallVector<Value> {
          IRMapping mapping;
          mapping.map(body.getArguments().drop_back(), arguments.drop_back());
          for (Operation &op : body.without_terminator())
            if (&op != sum.addition)
              b.clone(op, mapping);
          Value addend = getAddend(mapping);
          if (type.isInteger())
            return {arith::AddIOp::create(b, arguments.back(), addend)};
          return {arith::AddFOp::create(b, arguments.back(), addend,
                                        arith::FastMathFlags::reassoc)};
        })[0];
    total.getDefiningOp()->setLoc(sum.op.getLoc());
    return total;
  }

  /// An op with the loops of `like`, and a body of its own.
  ValueRange createGeneric(ValueRange inputs, ValueRange inits,
                           linalg::GenericOp like, ArrayRef<AffineMap> maps,
                           function_ref<SmallVector<Value>(ValueRange)> body) {
    auto made = linalg::GenericOp::create(
        b, inits.getTypes(), inputs, inits, maps, like.getIteratorTypesArray(),
        [&](OpBuilder &inner, Location, ValueRange arguments) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPoint(inner.getInsertionBlock(),
                              inner.getInsertionPoint());
          linalg::YieldOp::create(b, body(arguments));
        });
    return made.getResults();
  }

  /// Gives `op` another input, which is read as operand `like` is.
  static Value addInput(linalg::GenericOp op, unsigned like, Value input) {
    unsigned place = op.getNumDpsInputs();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps.insert(maps.begin() + place, maps[like]);
    op.getInputsMutable().append(input);
    op.setIndexingMapsAttr(
        Builder(op.getContext()).getAffineMapArrayAttr(maps));
    return op.getBody()->insertArgument(
        place, getElementTypeOrSelf(input.getType()), op.getLoc());
  }

  Value widen(Value value) {
    return arith::ExtFOp::create(b, b.getF64Type(), value);
  }
  Value narrow(Value value) {
    return arith::TruncFOp::create(b, b.getF32Type(), value);
  }

  /// An op of numbers of each row.
  ValueRange mapRows(ValueRange inputs, TypeRange types,
                     function_ref<SmallVector<Value>(ValueRange)> compute) {
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, b.getLoc(), sum.init);
    SmallVector<Value> inits;
    for (Type type : types)
      inits.push_back(tensor::EmptyOp::create(b, sizes, type));
    SmallVector<AffineMap> given = root.getIndexingMapsArray();
    SmallVector<AffineMap> maps(inputs.size(), given[0]);
    maps.append(inits.size(), given[1]);
    return createGeneric(inputs, inits, root, maps, [&](ValueRange arguments) {
      return compute(arguments.take_front(inputs.size()));
    });
  }

  Value constant(double value) {
    return arith::ConstantOp::create(b, b.getF64FloatAttr(value));
  }

  void widenInverse();
  void widenLogarithm();

  linalg::GenericOp root;
  ImplicitLocOpBuilder b;
  Sum sum;
};

} // namespace

/// x * inverse -> x * high + x * low, where high + low is the inverse in f64.
void Widening::widenInverse() {
  Value total = addUp(b.getF64Type(), [&](const IRMapping &mapping) {
    return widen(mapping.lookup(sum.power));
  });
  ValueRange parts = mapRows(
      total, {b.getF32Type(), b.getF32Type()},
      [&](ValueRange values) -> SmallVector<Value> {
        Value inverse = arith::DivFOp::create(b, constant(1), values[0]);
        Value high = narrow(inverse);
        return {high, narrow(arith::SubFOp::create(b, inverse, widen(high)))};
      });
  // An op's operands move when it gets another one.
  while (!root->use_empty()) {
    OpOperand &use = *root->use_begin();
    arith::MulFOp product = findProduct(use);
    auto user = cast<linalg::GenericOp>(use.getOwner());
    BlockArgument factor = user.getMatchingBlockArgument(&use);
    Value x = product.getLhs() == factor ? product.getRhs() : product.getLhs();
    unsigned number = use.getOperandNumber();
    use.set(parts[0]);
    Value low = addInput(user, number, parts[1]);
    b.setInsertionPoint(product);
    Value rest = arith::MulFOp::create(b, x, low);
    product.replaceAllUsesWith(Value(math::FmaOp::create(b, x, factor, rest)));
    product.erase();
  }
}

/// log(sum) -> log1p(count - 1 + rest): how often there is a 1 in the sum, at
/// the maximum, and all else. So the logarithm keeps its digits where one
/// exponential is nearly the whole sum.
void Widening::widenLogarithm() {
  auto isOne = [&](const IRMapping &mapping) -> Value {
    // Of what is the exponential, if that is in the body.
    bool isInside = sum.exp->getBlock() == sum.op.getBody();
    Value x = mapping.lookup(isInside ? sum.exp.getOperand() : sum.power);
    Value at =
        arith::ConstantOp::create(b, b.getF32FloatAttr(isInside ? 0 : 1));
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, at);
  };
  auto number = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value count = addUp(b.getI32Type(), [&](const IRMapping &mapping) -> Value {
    return arith::SelectOp::create(b, isOne(mapping), number(1), number(0));
  });
  Value rest = addUp(b.getF64Type(), [&](const IRMapping &mapping) -> Value {
    Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
    return widen(arith::SelectOp::create(b, isOne(mapping), zero,
                                         mapping.lookup(sum.power)));
  });
  for (Value part : {count, rest})
    part.getDefiningOp()->setAttr(kOnesAttr, b.getUnitAttr());
  Value logarithm =
      mapRows({count, rest}, b.getF32Type(), [&](ValueRange values) {
        Value more = arith::SubIOp::create(b, values[0], number(1));
        Value others = arith::UIToFPOp::create(b, b.getF64Type(), more);
        others = arith::AddFOp::create(b, others, values[1]);
        auto log = math::Log1pOp::create(b, others);
        log->setAttr(kSoftmaxAttr, b.getUnitAttr());
        return SmallVector<Value>{narrow(log)};
      })[0];
  root.getResult(0).replaceAllUsesWith(logarithm);
}

namespace {
struct WidenSumsPass : dlc::impl::WidenSumsBase<WidenSumsPass> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> roots;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (op.getNumDpsInputs() == 1 && op->getNumResults() == 1)
        roots.push_back(op);
    });
    for (linalg::GenericOp root : roots)
      Widening(root).run();
  }
};
} // namespace
