// Loops whose bodies are subgraphs. Values carried by a loop whose shape
// changes have a dynamic one.

#include "passes/Import/Ops/LoopImport.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace dlc;

Type dlc::commonType(Type a, Type b) {
  if (a == b)
    return a;
  auto x = dyn_cast<RankedTensorType>(a), y = dyn_cast<RankedTensorType>(b);
  if (!x || !y || x.getRank() != y.getRank() ||
      x.getElementType() != y.getElementType())
    return {};
  SmallVector<int64_t> shape(x.getShape());
  for (auto [size, other] : llvm::zip(shape, y.getShape()))
    if (size != other)
      size = ShapedType::kDynamic;
  return x.clone(shape);
}

/// Whether a loop writes what it carries in place.
static bool hasStaticShape(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.hasStaticShape();
}

Value dlc::readCondition(NodeImport &node, Value x) {
  SmallVector<Value> at;
  for (OpFoldResult size : node.dims(x))
    (void)node.expectEqual(size, node.index(1), "a condition of one element");
  for (int64_t i = 0; i < node.rank(x); ++i)
    at.push_back(arith::ConstantIndexOp::create(node.b, node.loc, 0));
  return tensor::ExtractOp::create(node.b, node.loc, x, at);
}

std::optional<bool> dlc::knownCondition(NodeImport &node, Value x) {
  std::optional<SmallVector<int64_t>> numbers = node.constants(x);
  if (!numbers || numbers->size() != 1)
    return std::nullopt;
  return numbers->front() != 0;
}

bool LoopImport::hoist(Value value) {
  if (!draft.getBodyRegion().isAncestor(value.getParentRegion()))
    return true;
  Operation *op = value.getDefiningOp();
  if (!op || !isPure(op) || op->getNumRegions() ||
      !llvm::all_of(op->getOperands(), [&](Value x) { return hoist(x); }))
    return false;
  op->moveBefore(draft);
  return true;
}

LogicalResult
LoopImport::importBody(Value count, unsigned firstState,
                       function_ref<LogicalResult(Value)> mapInputs) {
  OpBuilder &b = node.b;
  SmallVector<Type> types(ValueRange(initial).getTypes());
  Value zero = arith::ConstantIndexOp::create(b, node.loc, 0);
  Value one = arith::ConstantIndexOp::create(b, node.loc, 1);
  while (true) {
    SmallVector<Value> inits;
    for (auto [value, type] : llvm::zip(initial, types))
      inits.push_back(castShape(node, value, type));
    draft = scf::ForOp::create(b, node.loc, zero, count, one, inits);
    // Without states the loop comes with a terminator, which finish makes.
    if (inits.empty())
      draft.getBody()->getTerminator()->erase();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(draft.getBody());
    if (failed(mapInputs(draft.getInductionVar())))
      return failure();
    for (auto [i, state] : llvm::enumerate(draft.getRegionIterArgs()))
      node.graph.map(body.getArgument(firstState + i), state);
    results.clear();
    if (failed(node.graph.importBlock(body, results))) {
      node.hasFailed = true;
      return failure();
    }
    bool changed = false;
    for (auto [i, type] : llvm::enumerate(types)) {
      Type yielded = results[resultsBefore + i].getType();
      Type common = commonType(type, yielded);
      if (!common) {
        node.error() << "expected a carried value of one rank and type, found "
                     << type << " and then " << yielded;
        return failure();
      }
      changed |= common != type;
      type = common;
    }
    if (!changed) {
      b.setInsertionPoint(draft);
      for (Value &init : inits)
        if (hasStaticShape(init))
          init = ownCopy(node, init);
      initial = inits;
      return success();
    }
    node.graph.discard(draft);
  }
}

SmallVector<Value> LoopImport::yieldStates(ValueRange states) {
  SmallVector<Value> yielded;
  for (auto [i, state] : llvm::enumerate(states)) {
    Value value = castShape(node, results[resultsBefore + i], state.getType());
    bool isStatic = hasStaticShape(state);
    yielded.push_back(isStatic ? ownCopy(node, value) : value);
  }
  for (auto [value, state] : llvm::zip(yielded, states))
    if (hasStaticShape(state))
      value = writeInto(node, value, state);
  return yielded;
}

void LoopImport::moveInto(Block *block, Value iteration, ValueRange states) {
  draft.getInductionVar().replaceAllUsesWith(iteration);
  for (auto [from, to] : llvm::zip(draft.getRegionIterArgs(), states))
    from.replaceAllUsesWith(to);
  for (Value &result : results)
    for (auto [from, to] : llvm::zip(draft.getRegionIterArgs(), states))
      if (result == from)
        result = to;
  for (Value &result : results)
    if (result == draft.getInductionVar())
      result = iteration;
  block->getOperations().splice(block->end(), draft.getBody()->getOperations());
  node.graph.discard(draft);
}

std::optional<Elements> LoopImport::invariantSizes(Value element) {
  OpBuilder::InsertionGuard guard(node.b);
  node.b.setInsertionPointToEnd(draft.getBody());
  Elements sizes = node.dims(element);
  for (OpFoldResult size : sizes)
    if (auto value = dyn_cast<Value>(size); value && !hoist(value))
      return std::nullopt;
  return sizes;
}

Value LoopImport::noRows(Value element) {
  OpBuilder &b = node.b;
  Elements sizes{node.index(0)};
  SmallVector<int64_t> shape{ShapedType::kDynamic};
  for (int64_t size : node.type(element).getShape()) {
    sizes.push_back(node.index(ShapedType::isDynamic(size) ? 0 : size));
    shape.push_back(size);
  }
  Value empty = emptyTensor(node, sizes, node.elementType(element));
  return tensor::CastOp::create(
      b, node.loc, RankedTensorType::get(shape, node.elementType(element)),
      empty);
}

Value LoopImport::appendRow(Value rows, Value element) {
  Elements sizes = node.dims(element);
  sizes.insert(sizes.begin(), node.dim(rows, 0));
  Value before = node.reshape(rows, sizes);
  Value whole = node.concat({before, node.unsqueeze(element, {0})}, 0);
  return castShape(node, whole, rows.getType());
}

ImportResult LoopImport::finish(Value bound, Value condition,
                                bool isConditional, ArrayRef<int64_t> axes,
                                ArrayRef<bool> fromEnd) {
  OpBuilder &b = node.b;
  unsigned numStates = initial.size();
  // With a known number of iterations outputs are written in place if their
  // sizes do not change; others grow row by row.
  SmallVector<Value> inits = initial;
  SmallVector<bool> grows;
  for (Value element :
       ArrayRef(results).drop_front(resultsBefore + numStates)) {
    unsigned i = grows.size();
    std::optional<Elements> sizes;
    if (!isConditional)
      sizes = invariantSizes(element);
    grows.push_back(!sizes);
    b.setInsertionPoint(draft);
    if (sizes) {
      std::optional<int64_t> constant = getConstantIntValue(bound);
      sizes->insert(sizes->begin() + axes[i],
                    constant ? OpFoldResult(node.index(*constant))
                             : OpFoldResult(bound));
    }
    inits.push_back(sizes ? emptyTensor(node, *sizes, node.elementType(element))
                          : noRows(element));
  }
  b.setInsertionPoint(draft);
  // scf.for takes a cast of a carried value's shape for one that holds in
  // every iteration, so values whose shape changes need scf.while.
  bool needsWhile =
      isConditional || llvm::is_contained(grows, true) ||
      llvm::any_of(initial, [&](Value state) {
        return isa<RankedTensorType>(state.getType()) && !hasStaticShape(state);
      });
  ImportResult finished = needsWhile
                              ? finishWhile(bound, condition, isConditional,
                                            inits, grows, axes, fromEnd)
                              : finishFor(bound, inits, grows, axes, fromEnd);
  if (succeeded(finished))
    for (unsigned i = 0; i < grows.size(); ++i)
      if (grows[i])
        (*finished)[numStates + i] =
            arrangeRows((*finished)[numStates + i], axes[i], fromEnd[i]);
  return finished;
}

FailureOr<SmallVector<Value>> LoopImport::yield(Value iteration, Value count,
                                                ValueRange carried,
                                                ArrayRef<bool> grows,
                                                ArrayRef<int64_t> axes,
                                                ArrayRef<bool> fromEnd) {
  OpBuilder &b = node.b;
  unsigned numStates = initial.size();
  // States are written over last: an output may be a state's old value.
  SmallVector<Value> outputs;
  for (auto [i, element] : llvm::enumerate(
           ArrayRef(results).drop_front(resultsBefore + numStates))) {
    Value output = carried[numStates + i];
    if (grows[i]) {
      outputs.push_back(appendRow(output, element));
      continue;
    }
    Value at = iteration;
    if (fromEnd[i]) {
      Value one = arith::ConstantIndexOp::create(b, node.loc, 1);
      Value last = arith::SubIOp::create(b, node.loc, count, one);
      at = arith::SubIOp::create(b, node.loc, last, at);
    }
    outputs.push_back(putElement(node, element, output, axes[i], at));
  }
  SmallVector<Value> yielded = yieldStates(carried.take_front(numStates));
  llvm::append_range(yielded, outputs);
  if (llvm::is_contained(yielded, Value()))
    return failure();
  return yielded;
}

ImportResult LoopImport::finishFor(Value count, ValueRange inits,
                                   ArrayRef<bool> grows, ArrayRef<int64_t> axes,
                                   ArrayRef<bool> fromEnd) {
  OpBuilder &b = node.b;
  auto loop = scf::ForOp::create(b, node.loc, draft.getLowerBound(), count,
                                 draft.getStep(), inits);
  ValueRange carried = loop.getRegionIterArgs();
  moveInto(loop.getBody(), loop.getInductionVar(),
           carried.take_front(initial.size()));
  b.setInsertionPointToEnd(loop.getBody());
  auto yielded =
      yield(loop.getInductionVar(), count, carried, grows, axes, fromEnd);
  if (failed(yielded))
    return failure();
  scf::YieldOp::create(b, node.loc, *yielded);
  b.setInsertionPointAfter(loop);
  return node.results(SmallVector<Value>(loop.getResults()));
}

ImportResult
LoopImport::finishWhile(Value bound, Value condition, bool isConditional,
                        ValueRange carriedInits, ArrayRef<bool> grows,
                        ArrayRef<int64_t> axes, ArrayRef<bool> fromEnd) {
  OpBuilder &b = node.b;
  Location loc = node.loc;
  auto truth = [&]() -> Value {
    return arith::ConstantIntOp::create(b, loc, 1, 1);
  };
  // The iteration and the condition, then what is carried.
  SmallVector<Value> inits{arith::ConstantIndexOp::create(b, loc, 0),
                           condition ? readCondition(node, condition)
                                     : truth()};
  llvm::append_range(inits, carriedInits);
  SmallVector<Type> types(ValueRange(inits).getTypes());
  SmallVector<Location> locs(types.size(), loc);
  auto loop = scf::WhileOp::create(b, loc, types, inits);
  Block *before = b.createBlock(&loop.getBefore(), {}, types, locs);
  Value goesOn = before->getArgument(1);
  if (bound) {
    Value isBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                          before->getArgument(0), bound);
    goesOn = arith::AndIOp::create(b, loc, goesOn, isBelow);
  }
  scf::ConditionOp::create(b, loc, goesOn, before->getArguments());
  Block *after = b.createBlock(&loop.getAfter(), {}, types, locs);
  Value iteration = after->getArgument(0);
  ValueRange carried = ValueRange(after->getArguments()).drop_front(2);
  moveInto(after, iteration, carried.take_front(initial.size()));
  b.setInsertionPointToEnd(after);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  SmallVector<Value> next{arith::AddIOp::create(b, loc, iteration, one),
                          isConditional ? readCondition(node, results.front())
                                        : truth()};
  auto yielded = yield(iteration, bound, carried, grows, axes, fromEnd);
  if (failed(yielded))
    return failure();
  llvm::append_range(next, *yielded);
  scf::YieldOp::create(b, loc, next);
  b.setInsertionPointAfter(loop);
  return node.results(SmallVector<Value>(loop.getResults().drop_front(2)));
}

Value LoopImport::arrangeRows(Value rows, int64_t axis, bool fromEnd) {
  if (fromEnd) {
    Elements offsets(node.rank(rows), node.index(0));
    SmallVector<int64_t> strides(node.rank(rows), 1);
    offsets[0] = addSizes(node.b, node.loc, node.dim(rows, 0), node.index(-1));
    strides[0] = -1;
    rows = node.slice(rows, offsets, node.dims(rows), strides);
  }
  if (axis == 0)
    return rows;
  SmallVector<int64_t> permutation =
      llvm::to_vector(llvm::seq<int64_t>(1, node.rank(rows)));
  permutation.insert(permutation.begin() + axis, 0);
  return node.transpose(rows, permutation);
}
