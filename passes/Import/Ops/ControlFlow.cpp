// If, Loop and Scan: regions of scf ops, into which the importer imports the
// subgraphs. Values carried by a loop whose shape changes have a dynamic one.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/Ops/Loops.h"

using namespace mlir;
using namespace dlc;

/// The type of values of both types: dimensions that differ are dynamic. Null
/// when ranks or element types differ.
static Type commonType(Type a, Type b) {
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

/// The only element of a tensor of booleans.
static Value readCondition(NodeImport &node, Value x) {
  SmallVector<Value> at;
  for (OpFoldResult size : node.dims(x))
    (void)node.expectEqual(size, node.index(1), "a condition of one element");
  for (int64_t i = 0; i < node.rank(x); ++i)
    at.push_back(arith::ConstantIndexOp::create(node.b, node.loc, 0));
  return tensor::ExtractOp::create(node.b, node.loc, x, at);
}

/// The truth of a condition that is known while importing.
static std::optional<bool> knownCondition(NodeImport &node, Value x) {
  std::optional<SmallVector<int64_t>> numbers = node.constants(x);
  if (!numbers || numbers->size() != 1)
    return std::nullopt;
  return numbers->front() != 0;
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

static ImportResult importIf(NodeImport &node) {
  OpBuilder &b = node.b;
  Region *branches[] = {node.node.getGraph("then_branch"),
                        node.node.getGraph("else_branch")};
  if (!branches[0] || !branches[1]) {
    node.error() << "expected a then_branch and an else_branch";
    return failure();
  }
  Value condition = node.input(0);
  SmallVector<Value> values[2];
  if (std::optional<bool> known = knownCondition(node, condition)) {
    Block &taken = branches[*known ? 0 : 1]->front();
    if (failed(node.graph.importBlock(taken, values[0]))) {
      node.hasFailed = true;
      return failure();
    }
    return node.results(values[0]);
  }
  // The types of the results are known once both branches are imported.
  Value isTrue = readCondition(node, condition);
  auto draft = scf::IfOp::create(b, node.loc, TypeRange(), isTrue,
                                 /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  for (unsigned i = 0; i < 2; ++i) {
    Block &block = draft->getRegion(i).front();
    if (block.mightHaveTerminator())
      block.getTerminator()->erase();
    b.setInsertionPointToEnd(&block);
    if (failed(node.graph.importBlock(branches[i]->front(), values[i]))) {
      node.hasFailed = true;
      return failure();
    }
  }
  SmallVector<Type> types;
  for (auto [x, y] : llvm::zip(values[0], values[1])) {
    types.push_back(commonType(x.getType(), y.getType()));
    if (types.back())
      continue;
    node.error() << "expected branches whose results have one rank and type, "
                    "found "
                 << x.getType() << " and " << y.getType();
    return failure();
  }
  for (unsigned i = 0; i < 2; ++i) {
    b.setInsertionPointToEnd(&draft->getRegion(i).front());
    SmallVector<Value> yielded;
    for (auto [value, type] : llvm::zip(values[i], types))
      yielded.push_back(castShape(node, value, type));
    scf::YieldOp::create(b, node.loc, yielded);
  }
  b.setInsertionPoint(draft);
  auto op = scf::IfOp::create(b, node.loc, types, isTrue);
  op.getThenRegion().takeBody(draft.getThenRegion());
  op.getElseRegion().takeBody(draft.getElseRegion());
  node.graph.discard(draft);
  return node.results(SmallVector<Value>(op.getResults()));
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

namespace {

/// A loop while its body is imported: first into a `draft` that carries the
/// states only, until their types no longer change; then the draft's body
/// moves into the loop that also collects the outputs.
struct LoopImport {
  NodeImport &node;
  Block &body;                // of the onnx dialect
  SmallVector<Value> initial; // states
  unsigned resultsBefore;     // results of the body in front of the states
  scf::ForOp draft = {};
  SmallVector<Value> results = {}; // of the body

  /// Moves `value`'s computation in front of the draft if it does not depend
  /// on the iteration.
  bool hoist(Value value) {
    if (!draft.getBodyRegion().isAncestor(value.getParentRegion()))
      return true;
    Operation *op = value.getDefiningOp();
    if (!op || !isPure(op) || op->getNumRegions() ||
        !llvm::all_of(op->getOperands(), [&](Value x) { return hoist(x); }))
      return false;
    op->moveBefore(draft);
    return true;
  }

  /// Imports the body over [0, count); `mapInputs(iteration)` maps the body's
  /// arguments that are not states, which begin at `firstState`.
  LogicalResult importBody(Value count, unsigned firstState,
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
          node.error()
              << "expected a carried value of one rank and type, found " << type
              << " and then " << yielded;
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

  /// What the body yields for its states, at the end of the final loop. All
  /// are copied before the first is written over: a state may be another's
  /// next one.
  SmallVector<Value> yieldStates(ValueRange states) {
    SmallVector<Value> yielded;
    for (auto [i, state] : llvm::enumerate(states)) {
      Value value =
          castShape(node, results[resultsBefore + i], state.getType());
      bool isStatic = hasStaticShape(state);
      yielded.push_back(isStatic ? ownCopy(node, value) : value);
    }
    for (auto [value, state] : llvm::zip(yielded, states))
      if (hasStaticShape(state))
        value = writeInto(node, value, state);
    return yielded;
  }

  /// Moves the draft's ops to the end of `block`, in which the iteration and
  /// the states have the given names.
  void moveInto(Block *block, Value iteration, ValueRange states) {
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
    block->getOperations().splice(block->end(),
                                  draft.getBody()->getOperations());
    node.graph.discard(draft);
  }

  /// The sizes of a result of the body, if none depends on the iteration.
  std::optional<Elements> invariantSizes(Value element) {
    OpBuilder::InsertionGuard guard(node.b);
    node.b.setInsertionPointToEnd(draft.getBody());
    Elements sizes = node.dims(element);
    for (OpFoldResult size : sizes)
      if (auto value = dyn_cast<Value>(size); value && !hoist(value))
        return std::nullopt;
    return sizes;
  }

  /// No rows of an output whose elements are like `element`.
  Value noRows(Value element) {
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

  /// `rows` and one more. Sizes that an empty output does not know yet come
  /// from the element.
  Value appendRow(Value rows, Value element) {
    Elements sizes = node.dims(element);
    sizes.insert(sizes.begin(), node.dim(rows, 0));
    Value before = node.reshape(rows, sizes);
    Value whole = node.concat({before, node.unsqueeze(element, {0})}, 0);
    return castShape(node, whole, rows.getType());
  }

  /// The final loop. It runs while the iteration is below `bound` (null: no
  /// bound) and, where the body returns one, its condition holds, which is
  /// `condition` at first (null: true). Outputs are collected along `axes[i]`,
  /// from the end where `fromEnd[i]`.
  ImportResult finish(Value bound, Value condition, bool isConditional,
                      ArrayRef<int64_t> axes, ArrayRef<bool> fromEnd) {
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
      inits.push_back(sizes
                          ? emptyTensor(node, *sizes, node.elementType(element))
                          : noRows(element));
    }
    b.setInsertionPoint(draft);
    // scf.for takes a cast of a carried value's shape for one that holds in
    // every iteration, so values whose shape changes need scf.while.
    bool needsWhile = isConditional || llvm::is_contained(grows, true) ||
                      llvm::any_of(initial, [&](Value state) {
                        return isa<RankedTensorType>(state.getType()) &&
                               !hasStaticShape(state);
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

private:
  /// What the final loop yields, at the end of its body.
  FailureOr<SmallVector<Value>> yield(Value iteration, Value count,
                                      ValueRange carried, ArrayRef<bool> grows,
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

  ImportResult finishFor(Value count, ValueRange inits, ArrayRef<bool> grows,
                         ArrayRef<int64_t> axes, ArrayRef<bool> fromEnd) {
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

  ImportResult finishWhile(Value bound, Value condition, bool isConditional,
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

  /// Rows collected in dimension 0, in their order and at their axis.
  Value arrangeRows(Value rows, int64_t axis, bool fromEnd) {
    if (fromEnd) {
      Elements offsets(node.rank(rows), node.index(0));
      SmallVector<int64_t> strides(node.rank(rows), 1);
      offsets[0] =
          addSizes(node.b, node.loc, node.dim(rows, 0), node.index(-1));
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
};

} // namespace

/// Inputs: the bound, the condition, the states. The body takes the iteration,
/// the condition and the states, and returns the condition, the states and
/// an element of each output.
static ImportResult importLoop(NodeImport &node) {
  OpBuilder &b = node.b;
  Region *region = node.node.getGraph("body");
  if (!region) {
    node.error() << "expected a body";
    return failure();
  }
  Value limit = node.input(0), condition = node.input(1);
  OpFoldResult size;
  if (limit) {
    std::optional<Elements> known = node.elements(limit, /*read=*/true);
    if (!known || known->size() != 1) {
      node.error() << "expected a trip count of one element";
      return failure();
    }
    size = known->front();
  } else {
    size = node.index(std::numeric_limits<int64_t>::max());
  }
  LoopImport loop{node, region->front(), {}, 1};
  for (unsigned i = 2; i < node.numInputs(); ++i) {
    loop.initial.push_back(node.input(i));
  }
  // A negative trip count means no iteration.
  Value zero = arith::ConstantIndexOp::create(b, node.loc, 0);
  Value count = b.createOrFold<arith::MaxSIOp>(
      node.loc, getValueOrCreateConstantIndexOp(b, node.loc, size), zero);
  auto mapInputs = [&](Value iteration) {
    node.graph.map(loop.body.getArgument(0),
                   node.fromElements(OpFoldResult(iteration), b.getI64Type(),
                                     /*isScalar=*/true));
    // Inside the body the condition holds.
    node.graph.map(loop.body.getArgument(1), node.scalar(1, b.getI1Type()));
    return success();
  };
  if (failed(loop.importBody(count, 2, mapInputs)))
    return failure();
  std::optional<bool> goesOn = knownCondition(node, loop.results.front());
  std::optional<bool> begins =
      condition ? knownCondition(node, condition) : std::optional(true);
  bool isConditional = goesOn != true || begins != true || !limit;
  SmallVector<int64_t> axes(loop.results.size(), 0);
  SmallVector<bool> fromEnd(loop.results.size(), false);
  return loop.finish(limit ? count : Value(), condition, isConditional, axes,
                     fromEnd);
}

/// Inputs: states, then the tensors that the body sees element by element.
static ImportResult importScan(NodeImport &node) {
  OpBuilder &b = node.b;
  Region *region = node.node.getGraph("body");
  int64_t scanned = node.getInt("num_scan_inputs", 0);
  if (!region || scanned < 1 || scanned > int64_t(node.numInputs())) {
    node.error() << "expected a body and num_scan_inputs in [1, "
                 << node.numInputs() << "], found " << scanned;
    return failure();
  }
  unsigned numStates = node.numInputs() - scanned;
  unsigned numOutputs = node.numOutputs() - numStates;
  auto listOf = [&](StringRef name, size_t count) {
    SmallVector<int64_t> list =
        node.getInts(name).value_or(SmallVector<int64_t>());
    list.resize(count, 0);
    return list;
  };
  SmallVector<int64_t> axes = listOf("scan_input_axes", scanned);
  SmallVector<int64_t> directions = listOf("scan_input_directions", scanned);
  LoopImport loop{node, region->front(), {}, 0};
  SmallVector<Value> inputs;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    (i < numStates ? loop.initial : inputs).push_back(node.input(i));
  for (auto [axis, input] : llvm::zip(axes, inputs))
    axis = node.normalizeAxis(axis, node.rank(input));
  if (node.hasFailed)
    return failure();
  OpFoldResult size = node.dim(inputs[0], axes[0]);
  for (auto [axis, input] : llvm::zip(axes, inputs))
    if (failed(node.expectEqual(node.dim(input, axis), size,
                                "scan inputs of one length")))
      return failure();
  Value count = getValueOrCreateConstantIndexOp(b, node.loc, size);
  auto mapInputs = [&](Value iteration) {
    for (auto [i, input] : llvm::enumerate(inputs)) {
      Value at = iteration;
      if (directions[i]) {
        Value one = arith::ConstantIndexOp::create(b, node.loc, 1);
        Value last = arith::SubIOp::create(b, node.loc, count, one);
        at = arith::SubIOp::create(b, node.loc, last, iteration);
      }
      Value element = takeElement(node, input, axes[i], at);
      if (!element)
        return failure();
      node.graph.map(loop.body.getArgument(numStates + i), element);
    }
    return success();
  };
  if (failed(loop.importBody(count, 0, mapInputs)))
    return failure();
  SmallVector<int64_t> outputAxes = listOf("scan_output_axes", numOutputs);
  SmallVector<bool> fromEnd;
  for (int64_t direction : listOf("scan_output_directions", numOutputs))
    fromEnd.push_back(direction != 0);
  for (auto [i, axis] : llvm::enumerate(outputAxes))
    axis = node.normalizeAxis(axis, node.rank(loop.results[numStates + i]) + 1);
  if (node.hasFailed)
    return failure();
  return loop.finish(count, {}, /*isConditional=*/false, outputAxes, fromEnd);
}

static OpRows rows{
    {"", "If", 1, importIf},
    {"", "Loop", 1, importLoop},
    {"", "Scan", 9, importScan},
};
