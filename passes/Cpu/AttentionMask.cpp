// Keys that a mask of the run hides from all rows of a tile, in front of the
// others and behind them: they are not computed.
//
//   first = keys, end = 1
//   for the rows that have masks of their own
//     least = -1e30
//     front = the first block of keys with a mask > least
//     if the row sees none of this block
//       least = -infinity
//       front = the first block with a mask > least
//     back = keys
//     while back > end, front and all masks of the block in front of it <=
//     least
//       back -= block
//     first = min(first, front), end = max(end, back)
//   first = min(first, end - 1)
//
// A weight of such a score is 0 beside that of a key that the row sees, or of
// any key: a row of none, whose weights are no numbers, needs one. Blocks are
// vectors of keys, or single ones.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "passes/Cpu/AttentionEmitter.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

/// Fewer keys are computed faster than a mask is read.
static constexpr int64_t kFewKeys = 256;

/// What hides a key, and what does not.
static constexpr double kHidden = -1e30, kSeen = -1e29;

/// Whether a value of the region that makes scores depends on the products.
static bool dependsOnSum(Value value, Block &body) {
  if (value == body.getArgument(0))
    return true;
  Operation *op = value.getDefiningOp();
  return op && op->getBlock() == &body &&
         llvm::any_of(op->getOperands(),
                      [&](Value x) { return dependsOnSum(x, body); });
}

/// The last mask: what is added to the scores.
static Value findAdded(Block &body) {
  Value score = body.getTerminator()->getOperand(0);
  auto sum = score.getDefiningOp<arith::AddFOp>();
  if (!sum || sum->getBlock() != &body)
    return {};
  for (unsigned i : {0, 1})
    if (!dependsOnSum(sum->getOperand(i), body) &&
        dependsOnSum(sum->getOperand(1 - i), body))
      return sum->getOperand(i);
  return {};
}

/// ... or the choice between them and a number that hides them.
static arith::SelectOp findChoice(Block &body) {
  auto select =
      body.getTerminator()->getOperand(0).getDefiningOp<arith::SelectOp>();
  FloatAttr hidden;
  if (!select || select->getBlock() != &body ||
      dependsOnSum(select.getCondition(), body) ||
      !(matchPattern(select.getTrueValue(), m_Constant(&hidden)) ||
        matchPattern(select.getFalseValue(), m_Constant(&hidden))) ||
      hidden.getValueAsDouble() > kHidden)
    return nullptr;
  return select;
}

/// The extras that `value` is computed from.
static void findExtras(Value value, Block &body, SetVector<unsigned> &extras) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (argument.getOwner() == &body)
      extras.insert(argument.getArgNumber() - 1);
    return;
  }
  Operation *op = value.getDefiningOp();
  if (op->getBlock() == &body)
    for (Value operand : op->getOperands())
      findExtras(operand, body, extras);
}

namespace dlc {

/// The masks of a tile of rows, and which of its keys all of them hide.
class HiddenKeys {
public:
  explicit HiddenKeys(AttentionEmitter &emitter)
      : e(emitter), b(emitter.b), math(emitter.math) {}

  /// False if there is no mask that is worth a look.
  bool find();
  KeyRange trim(const RowTile &tile, Value keys);

private:
  void makeMask(Value added, arith::SelectOp choice);
  bool hasVectors();
  Value load(Value row, Value at, int64_t width);
  Value number(double value) {
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, predicate, x, y);
  }
  /// Counts from `start` on in steps of `step` while `goesOn`.
  Value countWhile(Value start, int64_t step,
                   function_ref<Value(Value)> goesOn);
  /// `then` if `condition`, else false.
  Value both(Value condition, function_ref<Value()> then);
  Value isHidden(Value row, Value at, int64_t width, Value least);
  Value findFront(Value row, Value least);
  Value seesAny(Value row, Value front);
  Value findBack(Value row, Value bound, Value least);

  AttentionEmitter &e;
  ImplicitLocOpBuilder &b;
  IndexMath &math;
  SetVector<unsigned> extras; // what the mask is made of
  Region region;              // a block that makes it
  Type type;
  const RowTile *tile = nullptr;
  Value keys;
  int64_t block = 1;
};

} // namespace dlc

/// What the mask is, as a block on the arguments of the scores'.
void HiddenKeys::makeMask(Value added, arith::SelectOp choice) {
  IRMapping mapping;
  e.op.getScores().cloneInto(&region, mapping);
  Operation *yield = region.front().getTerminator();
  Value mask = mapping.lookup(added);
  type = choice ? choice.getType() : added.getType();
  if (choice) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(yield);
    // A number that hides keys only beside others, and one that does nothing.
    bool isFirst = matchPattern(choice.getTrueValue(), m_Constant());
    FloatAttr hidden;
    matchPattern(isFirst ? choice.getTrueValue() : choice.getFalseValue(),
                 m_Constant(&hidden));
    Value low = number(hidden.getValueAsDouble()), none = number(0);
    mask = arith::SelectOp::create(b, mask, isFirst ? low : none,
                                   isFirst ? none : low);
  }
  yield->setOperand(0, mask);
}

/// Whether masks of neighbouring keys are neighbours, or one, and vectors of
/// them are computed as single ones are.
bool HiddenKeys::hasVectors() {
  return hasVectorBody(region.front()) && llvm::all_of(extras, [&](unsigned i) {
           Value stride = e.operands[3 + i].strides[e.key];
           return isStatic(stride, 0) || isStatic(stride, 1);
         });
}

bool HiddenKeys::find() {
  int64_t known = e.op.getStaticExtent(e.key);
  if (!ShapedType::isDynamic(known) && known <= kFewKeys)
    return false;
  Block &body = e.op.getScores().front();
  arith::SelectOp choice = findChoice(body);
  Value added = choice ? choice.getCondition() : findAdded(body);
  if (added)
    findExtras(added, body, extras);
  // What has no keys hides all of them or none.
  if (llvm::none_of(extras, [&](unsigned i) {
        return e.op.getScoreExtraMap(i).isFunctionOfDim(e.key);
      }))
    return false;
  makeMask(added, choice);
  block = hasVectors() ? e.lanes : 1;
  return true;
}

/// The masks of a row and `width` keys; a single one for 0.
Value HiddenKeys::load(Value row, Value at, int64_t width) {
  Block &body = region.front();
  SmallVector<Value> arguments;
  for (BlockArgument argument : body.getArguments()) {
    Type element = argument.getType();
    Type made = width ? VectorType::get({width}, element) : element;
    unsigned i = argument.getArgNumber() - 1;
    if (!argument.getArgNumber() || !extras.contains(i)) {
      arguments.push_back(
          arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(made))));
      continue;
    }
    const AttentionOperand &operand = e.operands[3 + i];
    Value offset = e.rowOffsets(operand, *tile, tile->position)(row);
    offset = math.add(offset, math.mul(at, operand.strides[e.key]));
    if (!width || isStatic(operand.strides[e.key], 0)) {
      Value x = memref::LoadOp::create(b, operand.flat.buffer, offset);
      arguments.push_back(width ? vector::BroadcastOp::create(b, made, x) : x);
    } else if (element.isInteger(1)) {
      arguments.push_back(toBooleans(
          b, loadBooleans(b, operand.flat.buffer, offset, width, Value())));
    } else {
      arguments.push_back(vector::LoadOp::create(b, cast<VectorType>(made),
                                                 operand.flat.buffer, offset));
    }
  }
  return emitVectorBody(b, body, arguments, width).front();
}

Value HiddenKeys::countWhile(Value start, int64_t step,
                             function_ref<Value(Value)> goesOn) {
  auto loop = scf::WhileOp::create(
      b, b.getIndexType(), start,
      [&](OpBuilder &, Location, ValueRange at) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(at[0].getParentBlock());
        Value condition = goesOn(at[0]);
        scf::ConditionOp::create(b, condition, at);
      },
      [&](OpBuilder &, Location, ValueRange at) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(at[0].getParentBlock());
        scf::YieldOp::create(b, ValueRange{math.add(at[0], step)});
      });
  return loop.getResult(0);
}

Value HiddenKeys::both(Value condition, function_ref<Value()> then) {
  auto branch = scf::IfOp::create(b, b.getI1Type(), condition,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  scf::YieldOp::create(b, no);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, then());
  return branch.getResult(0);
}

/// Whether all masks of so many keys are at most `least`.
Value HiddenKeys::isHidden(Value row, Value at, int64_t width, Value least) {
  if (width == 1)
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLE, load(row, at, 0),
                                 least);
  auto vector = VectorType::get({width}, type);
  Value hidden =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLE, load(row, at, width),
                            vector::BroadcastOp::create(b, vector, least));
  return vector::ReductionOp::create(b, vector::CombiningKind::AND, hidden);
}

/// In front of the first block that isn't hidden wholly, or of a rest.
Value HiddenKeys::findFront(Value row, Value least) {
  return countWhile(math.constant(0), block, [&](Value at) {
    Value fits = compare(arith::CmpIPredicate::sle, math.add(at, block), keys);
    return both(fits, [&] { return isHidden(row, at, block, least); });
  });
}

/// Whether the row sees a key of the block there, one that no causality hides
/// from any row.
Value HiddenKeys::seesAny(Value row, Value front) {
  Value end = math.min(keys, math.add(front, block));
  if (Value fewest = e.getCausalEnd(*tile, math.constant(0)).fewest)
    end = math.min(end, fewest);
  Value at = countWhile(front, 1, [&](Value at) {
    return both(compare(arith::CmpIPredicate::slt, at, end), [&]() -> Value {
      return arith::CmpFOp::create(b, arith::CmpFPredicate::ULT,
                                   load(row, at, 0), number(kSeen));
    });
  });
  return compare(arith::CmpIPredicate::slt, at, end);
}

/// Behind the last key that isn't hidden, or `bound`.
Value HiddenKeys::findBack(Value row, Value bound, Value least) {
  auto search = [&](Value from, int64_t width) {
    return countWhile(from, -width, [&](Value at) {
      Value first = math.sub(at, math.constant(width));
      return both(compare(arith::CmpIPredicate::sge, first, bound),
                  [&] { return isHidden(row, first, width, least); });
    });
  };
  Value back = search(keys, block);
  return block == 1 ? back : search(back, 1);
}

KeyRange HiddenKeys::trim(const RowTile &rowTile, Value keyCount) {
  tile = &rowTile;
  keys = keyCount;
  bool hasSplit = false, hasInner = false;
  for (unsigned i : extras) {
    AffineMap map = e.op.getScoreExtraMap(i);
    hasSplit |= e.layout.split && map.isFunctionOfDim(*e.layout.split);
    for (unsigned dim : e.layout.inner)
      hasInner |= map.isFunctionOfDim(dim);
  }
  Value zero = math.constant(0), one = math.constant(1);
  Value rows = hasSplit   ? e.rowCount(rowTile)
               : hasInner ? math.constant(e.layout.innerRows)
                          : one;
  Type index = b.getIndexType();
  auto branch = scf::IfOp::create(b, TypeRange{index, index},
                                  compare(arith::CmpIPredicate::sgt, keys, one),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, ValueRange{zero, keys});
  b.setInsertionPointToStart(branch.thenBlock());
  auto loop = scf::ForOp::create(b, zero, rows, one, ValueRange{keys, one});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value row = loop.getInductionVar();
    Value first = loop.getRegionIterArg(0), end = loop.getRegionIterArg(1);
    Value front = findFront(row, number(kHidden));
    auto search =
        scf::IfOp::create(b, TypeRange{index, type}, seesAny(row, front),
                          /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(search.thenBlock());
      scf::YieldOp::create(b, ValueRange{front, number(kHidden)});
      b.setInsertionPointToStart(search.elseBlock());
      Value least = number(-INFINITY);
      scf::YieldOp::create(b, ValueRange{findFront(row, least), least});
    }
    front = search.getResult(0);
    Value back = findBack(row, math.max(front, end), search.getResult(1));
    scf::YieldOp::create(
        b, ValueRange{math.min(first, front), math.max(end, back)});
  }
  Value end = loop.getResult(1);
  Value first = math.min(loop.getResult(0), math.sub(end, one));
  scf::YieldOp::create(b, ValueRange{first, end});
  return {branch.getResult(0), branch.getResult(1)};
}

KeyRange AttentionEmitter::trimKeys(const RowTile &tile, Value keys) {
  HiddenKeys hidden(*this);
  if (!hidden.find())
    return {math.constant(0), keys};
  return hidden.trim(tile, keys);
}
