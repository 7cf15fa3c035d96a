// Keys that a mask of the run hides from all rows of a tile, behind the others:
// they are not computed.
//
//   least = all rows see key 0 ? -1e30 : -infinity
//   end = 1
//   for the rows that have masks of their own
//     while keys > end and the mask of keys - 1 <= least
//       keys--
//     end = keys
//
// A weight of such a score is 0 beside that of key 0, or of any key.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/Cpu/AttentionEmitter.h"

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

Value AttentionEmitter::trimKeys(const RowTile &tile, Value keys) {
  int64_t known = op.getStaticExtent(key);
  Block &body = op.getScores().front();
  if (!ShapedType::isDynamic(known) && known <= kFewKeys)
    return keys;
  arith::SelectOp choice = findChoice(body);
  Value added = choice ? choice.getCondition() : findAdded(body);
  SetVector<unsigned> extras;
  if (added)
    findExtras(added, body, extras);
  // What has no keys hides all of them or none.
  bool hasKeys = false, hasSplit = false, hasRows = false;
  for (unsigned i : extras) {
    AffineMap map = op.getScoreExtraMap(i);
    hasKeys |= map.isFunctionOfDim(key);
    hasSplit |= layout.split && map.isFunctionOfDim(*layout.split);
    for (unsigned dim : layout.inner)
      hasRows |= map.isFunctionOfDim(dim);
  }
  if (!hasKeys)
    return keys;

  // The mask of a row and a key.
  auto load = [&](Value row, Value at) -> Value {
    IRMapping mapping;
    for (unsigned i : extras) {
      const AttentionOperand &operand = operands[3 + i];
      Value offset = math.add(rowOffsets(operand, tile, tile.position)(row),
                              math.mul(at, operand.strides[key]));
      mapping.map(body.getArgument(i + 1),
                  memref::LoadOp::create(b, operand.flat.buffer, offset));
    }
    std::function<Value(Value)> compute = [&](Value value) -> Value {
      Operation *maker = value.getDefiningOp();
      if (mapping.contains(value) || !maker || maker->getBlock() != &body)
        return mapping.lookupOrDefault(value);
      for (Value operand : maker->getOperands())
        compute(operand);
      b.clone(*maker, mapping);
      return mapping.lookup(value);
    };
    Value mask = compute(added);
    if (!choice)
      return mask;
    auto number = [&](double value) -> Value {
      return arith::ConstantOp::create(b,
                                       b.getFloatAttr(choice.getType(), value));
    };
    // A number that hides keys only beside others, and one that does nothing.
    bool isFirst = matchPattern(choice.getTrueValue(), m_Constant());
    FloatAttr hidden;
    matchPattern(isFirst ? choice.getTrueValue() : choice.getFalseValue(),
                 m_Constant(&hidden));
    Value low = number(hidden.getValueAsDouble()), none = number(0);
    return arith::SelectOp::create(b, mask, isFirst ? low : none,
                                   isFirst ? none : low);
  };
  auto number = [&](Type type, double value) -> Value {
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  };
  Value zero = math.constant(0), one = math.constant(1);
  Value rows = hasSplit  ? rowCount(tile)
               : hasRows ? math.constant(layout.innerRows)
                         : one;

  Value isMore = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, keys, one);
  auto branch =
      scf::IfOp::create(b, b.getIndexType(), isMore, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, keys);
  b.setInsertionPointToStart(branch.thenBlock());

  // Whether all rows see the first key.
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  auto look = scf::ForOp::create(b, zero, rows, one, yes);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(look.getBody());
    Value mask = load(look.getInductionVar(), zero);
    Value sees = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, mask,
                                       number(mask.getType(), kSeen));
    scf::YieldOp::create(b, ValueRange{arith::AndIOp::create(
                                b, look.getRegionIterArg(0), sees)});
  }
  Type type = choice ? choice.getType() : added.getType();
  Value least = arith::SelectOp::create(
      b, look.getResult(0), number(type, kHidden), number(type, -INFINITY));
  auto search = scf::ForOp::create(b, zero, rows, one, one);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(search.getBody());
    Value end = search.getRegionIterArg(0);
    // Of the key in front, while there is one.
    auto loop = scf::WhileOp::create(
        b, b.getIndexType(), keys,
        [&](OpBuilder &, Location loc, ValueRange at) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(at[0].getParentBlock());
          Value isBehind =
              arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, at[0], end);
          Value mask = load(search.getInductionVar(), math.sub(at[0], one));
          Value isHidden =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OLE, mask, least);
          scf::ConditionOp::create(
              b, arith::AndIOp::create(b, isBehind, isHidden), at);
        },
        [&](OpBuilder &, Location loc, ValueRange at) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(at[0].getParentBlock());
          scf::YieldOp::create(b, ValueRange{math.sub(at[0], one)});
        });
    scf::YieldOp::create(b, ValueRange{loop.getResult(0)});
  }
  scf::YieldOp::create(b, ValueRange{search.getResult(0)});
  return branch.getResult(0);
}
