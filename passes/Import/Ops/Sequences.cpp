// Sequences and optionals. What is known of them while importing is resolved:
// tensors of a sequence that is built of known ones are those tensors.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

static SequenceType sequenceOf(Type element) {
  return SequenceType::get(element.getContext(), element);
}

static Value makeSequence(NodeImport &node, Type element, ValueRange items,
                          bool absent = false) {
  return SequenceOp::create(node.b, node.loc, sequenceOf(element), items,
                            absent);
}

/// The tensors of a sequence that is built in one op, which all other rows
/// make as long as positions are known.
static std::optional<SmallVector<Value>> knownItems(Value sequence) {
  auto op = sequence.getDefiningOp<SequenceOp>();
  if (!op || op.getAbsent())
    return std::nullopt;
  return SmallVector<Value>(op.getItems());
}

static Num lengthOf(Emit &e, Value sequence) {
  return e.num(e.b.createOrFold<SequenceLengthOp>(e.loc, sequence));
}

static Value asTensor(NodeImport &node, Num number) {
  return node.fromElements(OpFoldResult(number.value), node.b.getI64Type(),
                           /*isScalar=*/true);
}

/// Input i as a sequence; an error where it is none.
static Value sequenceInput(NodeImport &node, unsigned i) {
  Value value = node.input(i);
  if (value && isa<SequenceType>(value.getType()))
    return value;
  node.error() << "expected a sequence as " << node.inputName(i) << ", found "
               << (value ? value.getType() : Type(node.b.getNoneType()));
  return {};
}

/// The position in input i: a number where it is known, and the run's
/// otherwise. A negative one counts from `end`; others than those in
/// [-end, last] are errors.
struct Position {
  std::optional<int64_t> known;
  Value value;
};

static std::optional<Position> readPosition(Emit &e, unsigned i, Num end,
                                            bool mayBeEnd) {
  NodeImport &node = e.node;
  std::optional<int64_t> size = getConstantIntValue(end.value);
  std::optional<SmallVector<int64_t>> numbers = node.constants(node.input(i));
  std::string message = "expected a position in the sequence" +
                        std::string(mayBeEnd ? ", or at its end" : "");
  if (numbers && numbers->size() == 1 && size) {
    int64_t at = numbers->front(), normal = at < 0 ? at + *size : at;
    if (normal < 0 || normal >= *size + mayBeEnd) {
      node.error() << message << " of " << *size << ", found " << at;
      return std::nullopt;
    }
    return Position{normal, e.index(normal).value};
  }
  Num at = e.toIndex(e.loadScalar(node.input(i)));
  e.check(at >= end * -1.0 && (mayBeEnd ? at <= end : at < end), message);
  return Position{std::nullopt, e.select(at < 0, at + end, at).value};
}

static ImportResult importSequenceConstruct(NodeImport &node) {
  SmallVector<Value> items;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    items.push_back(node.input(i));
  Type element = node.elementType(items.front());
  for (Value item : items)
    if (node.elementType(item) != element) {
      node.error() << "expected tensors of one type, found " << element
                   << " and " << node.elementType(item);
      return failure();
    }
  return node.result(makeSequence(node, element, items));
}

/// The type of a result that is a sequence, as ONNX inferred it.
static SequenceType resultType(NodeImport &node) {
  Type type = convertOnnxType(node.node.getResult(0).getType());
  return dyn_cast_if_present<SequenceType>(type);
}

static ImportResult importSequenceEmpty(NodeImport &node) {
  SequenceType type = resultType(node);
  if (!type)
    return failure();
  return node.result(makeSequence(node, type.getElementType(), {}));
}

static ImportResult importSequenceInsert(NodeImport &node) {
  Emit e(node);
  Value sequence = sequenceInput(node, 0), x = node.input(1);
  if (!sequence)
    return failure();
  Type element = cast<SequenceType>(sequence.getType()).getElementType();
  if (node.elementType(x) != element) {
    node.error() << "expected a tensor of " << element << ", found "
                 << node.type(x);
    return failure();
  }
  std::optional<SmallVector<Value>> items = knownItems(sequence);
  Num length = items ? e.index(int64_t(items->size())) : lengthOf(e, sequence);
  Position at{items ? std::optional<int64_t>(items->size()) : std::nullopt,
              length.value};
  if (node.hasInput(2)) {
    std::optional<Position> given =
        readPosition(e, 2, length, /*mayBeEnd=*/true);
    if (!given)
      return failure();
    at = *given;
  }
  if (items && at.known) {
    items->insert(items->begin() + *at.known, x);
    return node.result(makeSequence(node, element, *items));
  }
  return node.result(
      SequenceInsertOp::create(node.b, node.loc, sequence, x, at.value));
}

static ImportResult importSequenceErase(NodeImport &node) {
  Emit e(node);
  Value sequence = sequenceInput(node, 0);
  if (!sequence)
    return failure();
  std::optional<SmallVector<Value>> items = knownItems(sequence);
  Num length = items ? e.index(int64_t(items->size())) : lengthOf(e, sequence);
  Position at{items && !items->empty()
                  ? std::optional<int64_t>(items->size() - 1)
                  : std::nullopt,
              (length - 1).value};
  if (node.hasInput(1)) {
    std::optional<Position> given =
        readPosition(e, 1, length, /*mayBeEnd=*/false);
    if (!given)
      return failure();
    at = *given;
  } else {
    e.check(length > 0, "expected a sequence that is not empty");
  }
  if (items && at.known) {
    items->erase(items->begin() + *at.known);
    Type element = cast<SequenceType>(sequence.getType()).getElementType();
    return node.result(makeSequence(node, element, *items));
  }
  return node.result(
      SequenceEraseOp::create(node.b, node.loc, sequence, at.value));
}

namespace {
/// Finds the rank of the tensors in a sequence from what puts them there.
class ItemRank {
public:
  /// Null where the ranks differ, or something is not known.
  static std::optional<int64_t> of(Value sequence) {
    ItemRank search;
    search.visit(sequence);
    return search.isKnown ? search.rank : std::nullopt;
  }

private:
  void visit(Value sequence) {
    if (!seen.insert(sequence).second || !isKnown)
      return;
    if (auto argument = dyn_cast<BlockArgument>(sequence))
      return visitArgument(argument);
    unsigned i = cast<OpResult>(sequence).getResultNumber();
    Operation *op = sequence.getDefiningOp();
    if (auto list = dyn_cast<SequenceOp>(op)) {
      for (Value item : list->getOperands())
        add(item);
    } else if (auto insert = dyn_cast<SequenceInsertOp>(op)) {
      visit(insert.getSequence());
      add(insert.getX());
    } else if (auto erase = dyn_cast<SequenceEraseOp>(op)) {
      visit(erase.getSequence());
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      visit(loop.getInitArgs()[i]);
      visitYield(loop.getRegion(), i);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      for (Region &region : branch->getRegions())
        visitYield(region, i);
    } else if (auto loop = dyn_cast<scf::WhileOp>(op)) {
      if (auto end = terminatorOf<scf::ConditionOp>(loop.getBefore()))
        visit(end.getArgs()[i]);
    } else {
      isKnown = false;
    }
  }

  void visitArgument(BlockArgument argument) {
    Operation *op = argument.getOwner()->getParentOp();
    unsigned i = argument.getArgNumber();
    if (auto loop = dyn_cast<scf::ForOp>(op)) {
      visit(loop.getInitArgs()[i - 1]);
      visitYield(loop.getRegion(), i - 1);
    } else if (auto loop = dyn_cast<scf::WhileOp>(op)) {
      if (argument.getOwner() == loop.getBeforeBody()) {
        visit(loop.getInits()[i]);
        visitYield(loop.getAfter(), i);
      } else if (auto end = terminatorOf<scf::ConditionOp>(loop.getBefore())) {
        visit(end.getArgs()[i]);
      }
    } else {
      isKnown = false;
    }
  }

  void visitYield(Region &region, unsigned i) {
    if (auto yield = terminatorOf<scf::YieldOp>(region))
      visit(yield.getOperand(i));
  }

  /// The end of a region; a region that has none yet is being imported.
  template <typename OpTy> OpTy terminatorOf(Region &region) {
    OpTy end;
    if (!region.empty() && !region.front().empty())
      end = dyn_cast<OpTy>(region.front().back());
    isKnown &= bool(end);
    return end;
  }

  void add(Value item) {
    int64_t mine = cast<RankedTensorType>(item.getType()).getRank();
    isKnown &= !rank || *rank == mine;
    rank = mine;
  }

  llvm::DenseSet<Value> seen;
  std::optional<int64_t> rank;
  bool isKnown = true;
};
} // namespace

/// What is known of the shape of the tensors in input 0, of which output 0 is
/// one: from the tensors, else from ONNX's inference. Null, and an error, where
/// not even their rank is.
static RankedTensorType tensorType(NodeImport &node, Value sequence) {
  Type element = cast<SequenceType>(sequence.getType()).getElementType();
  if (std::optional<SmallVector<Value>> items = knownItems(sequence);
      items && !items->empty()) {
    SmallVector<int64_t> shape(node.type(items->front()).getShape());
    bool isOneRank = llvm::all_of(*items, [&](Value item) {
      return node.rank(item) == int64_t(shape.size());
    });
    for (Value item : *items)
      for (size_t i = 0; isOneRank && i < shape.size(); ++i)
        if (node.type(item).getDimSize(i) != shape[i])
          shape[i] = ShapedType::kDynamic;
    if (isOneRank)
      return RankedTensorType::get(shape, element);
  }
  auto inferred = dyn_cast<RankedTensorType>(node.node.getResult(0).getType());
  Type given = node.node.getInput(0).getType();
  if (auto optional = dyn_cast<onnx::OptionalType>(given))
    given = optional.getElementType();
  if (auto list = dyn_cast<onnx::SeqType>(given))
    given = list.getElementType();
  auto declared = dyn_cast<RankedTensorType>(given);
  if (!inferred)
    inferred = declared;
  if (!inferred)
    if (std::optional<int64_t> rank = ItemRank::of(sequence))
      inferred = RankedTensorType::get(
          SmallVector<int64_t>(*rank, ShapedType::kDynamic), element);
  if (!inferred) {
    node.error() << "expected a sequence of tensors of a known rank, found "
                 << node.node.getInput(0).getType();
    return {};
  }
  return RankedTensorType::get(inferred.getShape(), element);
}

static ImportResult importSequenceAt(NodeImport &node) {
  Emit e(node);
  Value sequence = sequenceInput(node, 0);
  if (!sequence)
    return failure();
  std::optional<SmallVector<Value>> items = knownItems(sequence);
  Num length = items ? e.index(int64_t(items->size())) : lengthOf(e, sequence);
  std::optional<Position> at = readPosition(e, 1, length, /*mayBeEnd=*/false);
  if (!at)
    return failure();
  if (items && at->known)
    return node.result((*items)[*at->known]);
  RankedTensorType type = tensorType(node, sequence);
  if (!type)
    return failure();
  return node.result(
      SequenceAtOp::create(node.b, node.loc, type, sequence, at->value));
}

static ImportResult importSequenceLength(NodeImport &node) {
  Emit e(node);
  Value sequence = sequenceInput(node, 0);
  if (!sequence)
    return failure();
  if (std::optional<SmallVector<Value>> items = knownItems(sequence))
    return node.result(asTensor(node, e.index(int64_t(items->size()))));
  return node.result(asTensor(node, lengthOf(e, sequence)));
}

/// A sequence of parts along an axis, as long as `split` says (1 without it).
static ImportResult importSplitToSequence(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), split = node.input(1);
  int64_t axis = node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  Type element = node.elementType(x);
  bool keeps = split || node.getInt("keepdims", 1);
  auto part = [&](OpFoldResult begin, OpFoldResult size) {
    Value slice = node.sliceAxis(x, axis, begin, size);
    return keeps ? slice : node.squeeze(slice, {axis});
  };
  OpFoldResult size = node.dim(x, axis);
  std::optional<int64_t> known = getConstantIntValue(size);
  std::optional<SmallVector<int64_t>> lengths;
  if (!split && known)
    lengths = SmallVector<int64_t>(*known, 1);
  else if (split)
    lengths = node.constants(split);
  bool isOne = split && node.rank(split) == 0;
  if (lengths && isOne && lengths->front() < 1) {
    node.error() << "expected a split of 1 or more, found " << lengths->front();
    return failure();
  }
  if (lengths && isOne && known) {
    int64_t length = lengths->front();
    lengths->assign(*known / length, length);
    if (*known % length)
      lengths->push_back(*known % length);
  }
  // Few parts of known lengths are values of their own.
  constexpr size_t most = 256;
  if (lengths && (!isOne || known) && lengths->size() <= most) {
    SmallVector<Value> items;
    int64_t begin = 0;
    for (int64_t length : *lengths) {
      if (length < 0) {
        node.error() << "expected lengths of 0 or more, found " << length;
        return failure();
      }
      begin += length;
    }
    if (failed(node.expectEqual(size, node.index(begin),
                                "lengths whose sum is the size of the axis")))
      return failure();
    begin = 0;
    for (int64_t length : *lengths) {
      items.push_back(part(node.index(begin), node.index(length)));
      begin += length;
    }
    return node.result(makeSequence(node, element, items));
  }
  // Otherwise in a loop.
  Num whole = e.index(size), zero = e.index(int64_t(0)), one = e.index(1);
  Num each = one, count = whole;
  Value list;
  if (isOne) {
    each = e.toIndex(e.loadScalar(split));
    e.check(each >= 1, "expected a split of 1 or more");
    count = (whole + each - 1) / each;
  } else if (split) {
    list = e.plain(split);
    count = e.index(node.dim(split, 0));
    Emit::Values sum = e.loop(
        zero, count, {zero.value, e.flag(true).value},
        [&](Num i, ValueRange args) -> Emit::Values {
          Num length = e.toIndex(e.load(list, i)), before = e.num(args[0]);
          Num good = e.num(args[1]) && length >= 0 && length <= whole - before;
          return {e.select(good, before + length, before), good};
        });
    e.check(e.num(sum[1]) && e.num(sum[0]) == whole,
            "expected lengths whose sum is the size of the axis");
  }
  Value empty = makeSequence(node, element, {});
  Emit::Values result =
      e.loop(zero, count, {empty, zero.value},
             [&](Num i, ValueRange args) -> Emit::Values {
               Num begin = e.num(args[1]);
               Num length = list ? e.toIndex(e.load(list, i))
                                 : e.min(each, whole - begin);
               OpFoldResult size = split ? OpFoldResult(length.value)
                                         : OpFoldResult(node.index(1));
               Value item = part(begin.value, size);
               return {SequenceInsertOp::create(node.b, node.loc, args[0], item,
                                                i.value),
                       begin + length};
             });
  return node.result(result[0]);
}

static ImportResult importConcatFromSequence(NodeImport &node) {
  Value sequence = sequenceInput(node, 0);
  if (!sequence)
    return failure();
  bool isNew = node.getInt("new_axis", 0);
  int64_t given = node.getInt("axis", 0);
  std::optional<SmallVector<Value>> items = knownItems(sequence);
  if (items && items->empty()) {
    node.error() << "expected a sequence that is not empty";
    return failure();
  }
  bool isOneRank = items && llvm::all_of(*items, [&](Value item) {
                     return node.rank(item) == node.rank(items->front());
                   });
  if (items && !isOneRank) {
    node.error() << "expected tensors of one rank";
    return failure();
  }
  if (items) {
    int64_t axis = node.normalizeAxis(given, node.rank(items->front()) + isNew);
    if (node.hasFailed)
      return failure();
    for (Value &item : *items)
      if (isNew)
        item = node.unsqueeze(item, {axis});
    return node.result(node.concat(*items, axis));
  }
  // The rank of the tensors, or that of the result, has to be known.
  std::optional<int64_t> rank = node.inferredRank(0);
  if (!rank) {
    RankedTensorType type = tensorType(node, sequence);
    if (!type)
      return failure();
    rank = type.getRank() + isNew;
  }
  int64_t axis = node.normalizeAxis(given, *rank);
  if (node.hasFailed)
    return failure();
  Type element = cast<SequenceType>(sequence.getType()).getElementType();
  auto type = RankedTensorType::get(
      SmallVector<int64_t>(*rank, ShapedType::kDynamic), element);
  return node.result(
      SequenceConcatOp::create(node.b, node.loc, type, sequence, axis, isNew));
}

//===----------------------------------------------------------------------===//
// Optionals: see SequenceType
//===----------------------------------------------------------------------===//

/// Whether the type of a value is that of an optional sequence.
static bool isOptionalSequence(Type type) {
  auto optional = dyn_cast<onnx::OptionalType>(type);
  return optional && isa<onnx::SeqType>(optional.getElementType());
}

static ImportResult importOptional(NodeImport &node) {
  if (Value value = node.input(0)) {
    if (isa<SequenceType>(value.getType()))
      return node.result(value);
    return node.result(makeSequence(node, node.elementType(value), value));
  }
  Type onnxType = node.node.getResult(0).getType();
  SequenceType type = resultType(node);
  if (!type)
    return failure();
  return node.result(makeSequence(node, type.getElementType(), {},
                                  isOptionalSequence(onnxType)));
}

static ImportResult importOptionalHasElement(NodeImport &node) {
  Emit e(node);
  Value value = node.input(0);
  auto result = [&](Num condition) {
    if (std::optional<int64_t> known = getConstantIntValue(condition.value))
      return node.result(node.scalar(*known != 0, node.b.getI1Type()));
    Value empty = e.empty({}, node.b.getI1Type());
    return node.result(e.store(condition, empty, {}));
  };
  if (!value)
    return result(e.flag(false));
  Type given = node.node.getInput(0).getType();
  if (!isa<onnx::OptionalType>(given))
    return result(e.flag(true));
  int64_t least = isOptionalSequence(given) ? 0 : 1;
  if (std::optional<SmallVector<Value>> items = knownItems(value))
    return result(e.flag(int64_t(items->size()) >= least));
  if (auto op = value.getDefiningOp<SequenceOp>())
    return result(e.flag(!op.getAbsent()));
  return result(lengthOf(e, value) >= e.index(least));
}

static ImportResult importOptionalGetElement(NodeImport &node) {
  Emit e(node);
  Value value = node.input(0);
  Type given = node.node.getInput(0).getType();
  if (!isa<onnx::OptionalType>(given))
    return node.result(value);
  StringRef message = "expected an optional that has an element";
  if (isOptionalSequence(given)) {
    if (!knownItems(value))
      e.check(lengthOf(e, value) >= 0, message);
    return node.result(value);
  }
  std::optional<SmallVector<Value>> items = knownItems(value);
  if (items && items->size() == 1)
    return node.result(items->front());
  if (items) {
    node.error() << message << ", found none";
    return failure();
  }
  e.check(lengthOf(e, value) > 0, message);
  RankedTensorType type = tensorType(node, value);
  if (!type)
    return failure();
  return node.result(SequenceAtOp::create(node.b, node.loc, type, value,
                                          e.index(int64_t(0)).value));
}

static OpRows rows{
    {"", "SequenceConstruct", 11, importSequenceConstruct},
    {"", "SequenceEmpty", 11, importSequenceEmpty},
    {"", "SequenceInsert", 11, importSequenceInsert},
    {"", "SequenceErase", 11, importSequenceErase},
    {"", "SequenceAt", 11, importSequenceAt},
    {"", "SequenceLength", 11, importSequenceLength},
    {"", "SplitToSequence", 11, importSplitToSequence},
    {"", "ConcatFromSequence", 11, importConcatFromSequence},
    {"", "Optional", 15, importOptional},
    {"", "OptionalHasElement", 15, importOptionalHasElement},
    {"", "OptionalGetElement", 15, importOptionalGetElement},
};
