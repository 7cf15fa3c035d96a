// Quantized tensors as signed or unsigned bytes, as their products take them.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Remarks.h"
#include "passes/Tensor/IntegerContraction.h"
#include "passes/Tensor/Passes.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CHOOSESIGNS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-choose-signs";

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool isBytes(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getElementType().isInteger(8);
}

static bool isUnsigned(Value value) {
  return typeOf(value).getElementType().isUnsignedInteger();
}

/// The type of bytes of the other sign.
static Type getOtherSign(Value value) {
  return IntegerType::get(value.getContext(), 8,
                          isUnsigned(value) ? IntegerType::Signless
                                            : IntegerType::Unsigned);
}

static bool isConstant(Value value) {
  DenseElementsAttr elements;
  return matchPattern(value, m_Constant(&elements));
}

namespace {

/// Tensors of bytes in classes: all of one have the same sign, as those do
/// between which an op only moves numbers or chooses some.
class Signs {
public:
  Signs(ModuleOp module, ByteKind left) : left(left) {
    module.walk([&](Operation *op) { add(op); });
  }

  /// Changes the classes whose products would rather have the other sign.
  void apply(ModuleOp module);

private:
  /// What a class is like.
  struct Class {
    bool isFixed = false, wantsUnsigned = false, wantsSigned = false;
  };

  void add(Operation *op);
  void addProduct(Operation *op);
  void addMove(Operation *op, OperandRange moved);
  void want(Value x, bool isUnsigned) {
    (isUnsigned ? state[x].wantsUnsigned : state[x].wantsSigned) = true;
  }
  void fix(Value x) {
    if (isBytes(x))
      state[x].isFixed = true;
  }

  void change(Operation *op);
  Value shifted(OpBuilder &b, Value constant);
  void shift(OpOperand &operand);
  bool isChanged(Value x) { return changed.contains(x); }

  ByteKind left;
  llvm::EquivalenceClasses<Value> classes;
  DenseMap<Value, Class> state;
  llvm::SetVector<Value> changed; // in the order of the module
};

} // namespace

/// The operands whose numbers `op` gives out again, in another place or some of
/// them.
static OperandRange movedBy(Operation *op) {
  if (isa<ReshapeOp, BroadcastOp, TransposeOp, SliceOp, PadOp, GatherOp>(op))
    return op->getOperands().take_front(1);
  if (isa<ConcatOp, MaxOp, MinOp>(op))
    return op->getOperands();
  if (isa<SelectOp>(op))
    return op->getOperands().drop_front(1);
  auto reduce = dyn_cast<ReduceOp>(op);
  auto pool = dyn_cast<PoolOp>(op);
  if ((reduce && (reduce.getKind() == ReduceKind::Max ||
                  reduce.getKind() == ReduceKind::Min)) ||
      (pool && pool.getKind() == PoolKind::Max))
    return op->getOperands().take_front(1);
  return op->getOperands().take_front(0);
}

void Signs::addMove(Operation *op, OperandRange moved) {
  Value result = op->getResult(0);
  unsigned first = moved.getBeginOperandIndex();
  // Weights are evaluated as they are.
  bool isFixed = llvm::all_of(moved, isConstant);
  for (auto [i, x] : llvm::enumerate(op->getOperands())) {
    if (!isBytes(x) || isConstant(x))
      continue;
    if (i >= first && i < first + moved.size()) {
      classes.unionSets(x, result);
    } else {
      // Such as a number to pad with.
      fix(x);
      isFixed = true;
    }
  }
  if (isFixed)
    fix(result);
}

/// Of sums of 32 bits, whose zero points are known.
void Signs::addProduct(Operation *op) {
  ValueRange operands = op->getOperands();
  bool isKnown = operands.size() == 4 &&
                 typeOf(op->getResult(0)).getElementType().isInteger(32);
  for (unsigned i = 0; i < 2; ++i) {
    if (!isBytes(operands[i]))
      continue;
    if (!isKnown || !isConstant(operands[2 + i]))
      fix(operands[i]);
    else if (i == 1)
      want(operands[i], false);
    else if (left != ByteKind::Any)
      want(operands[i], left != ByteKind::Signed);
  }
}

void Signs::add(Operation *op) {
  for (Region &region : op->getRegions())
    for (Block &block : region)
      for (Value x : block.getArguments())
        fix(x);
  for (Value x : op->getResults())
    if (isBytes(x))
      classes.insert(x);
  if (op->getNumResults() == 1 && isBytes(op->getResult(0)))
    if (OperandRange moved = movedBy(op); !moved.empty())
      return addMove(op, moved);
  if (isa<MatMulOp, ConvOp>(op))
    return addProduct(op);
  if (isa<QuantizeOp, RequantizeOp>(op) && isConstant(op->getOperand(2)) &&
      !isBytes(op->getOperand(0)))
    return;
  if (isa<DequantizeOp>(op) && isConstant(op->getOperand(2)))
    return;
  if (isa<CastOp>(op) && !isBytes(op->getResult(0)))
    return;
  if (isa<tensor::DimOp>(op))
    return;
  for (Value x : op->getOperands())
    fix(x);
  for (Value x : op->getResults())
    fix(x);
}

/// Each number of a constant as one of the other sign: 128 more or less.
Value Signs::shifted(OpBuilder &b, Value constant) {
  DenseElementsAttr elements;
  matchPattern(constant, m_Constant(&elements));
  auto made = elements.mapValues(getOtherSign(constant), [](const APInt &x) {
    return x ^ APInt::getSignMask(8);
  });
  return ConstantOp::create(b, constant.getLoc(), made);
}

void Signs::shift(OpOperand &operand) {
  OpBuilder b(operand.getOwner());
  operand.set(shifted(b, operand.get()));
}

/// Everything about an op that changed tensors ask for but their own types.
void Signs::change(Operation *op) {
  if (isa<QuantizeOp, RequantizeOp>(op) && isChanged(op->getResult(0)))
    return shift(op->getOpOperand(2));
  if (isa<DequantizeOp>(op) && isChanged(op->getOperand(0)))
    return shift(op->getOpOperand(2));
  if (isa<MatMulOp, ConvOp>(op)) {
    for (unsigned i = 0; i < 2; ++i)
      if (isChanged(op->getOperand(i)))
        shift(op->getOpOperand(2 + i));
    return;
  }
  if (auto cast = dyn_cast<CastOp>(op); cast && isChanged(cast.getX())) {
    OpBuilder b(op);
    auto type = typeOf(cast.getX()).clone(b.getI32Type());
    Value wide = CastOp::create(b, op->getLoc(), type, cast.getX());
    Value number = ConstantOp::create(
        b, op->getLoc(),
        DenseElementsAttr::get(RankedTensorType::get({}, b.getI32Type()),
                               isUnsigned(cast.getX()) ? -128 : 128));
    wide = AddOp::create(b, op->getLoc(), type, wide, number);
    return cast.getXMutable().assign(wide);
  }
  if (op->getNumResults() != 1 || !isChanged(op->getResult(0)))
    return;
  for (OpOperand &operand : op->getOpOperands())
    if (isBytes(operand.get()) && !isChanged(operand.get()))
      shift(operand);
}

void Signs::apply(ModuleOp module) {
  DenseSet<Value> chosen;
  for (const auto *leader : classes) {
    if (!leader->isLeader())
      continue;
    Class whole;
    for (Value x : classes.members(*leader)) {
      Class one = state.lookup(x);
      whole.isFixed |= one.isFixed;
      whole.wantsUnsigned |= one.wantsUnsigned;
      whole.wantsSigned |= one.wantsSigned;
    }
    bool wants =
        isUnsigned(leader->getData()) ? whole.wantsSigned : whole.wantsUnsigned;
    if (whole.isFixed || !wants || whole.wantsSigned == whole.wantsUnsigned)
      continue;
    for (Value x : classes.members(*leader))
      chosen.insert(x);
  }
  module.walk([&](Operation *op) {
    for (Value x : op->getResults())
      if (chosen.contains(x))
        changed.insert(x);
  });
  for (Value x : changed) {
    x.setType(typeOf(x).clone(getOtherSign(x)));
    if (isa<QuantizeOp, RequantizeOp>(x.getDefiningOp()))
      remarkDone(x.getLoc(), kPass)
          << remark::add("{0} bytes", isUnsigned(x) ? "unsigned" : "signed");
  }
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops)
    change(op);
}

namespace {

struct ChooseSignsPass : dlc::impl::ChooseSignsBase<ChooseSignsPass> {
  using ChooseSignsBase::ChooseSignsBase;

  void runOnOperation() override {
    std::optional<ByteKind> left = parseByteKind(getOperation(), kPass, bytes);
    if (!left)
      return signalPassFailure();
    Signs(getOperation(), *left).apply(getOperation());
  }
};

} // namespace
