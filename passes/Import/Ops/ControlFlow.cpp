// If and Loop: regions of scf ops, into which the importer imports the
// subgraphs.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/Ops/LoopImport.h"

using namespace mlir;
using namespace dlc;

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

static OpRows rows{
    {"", "If", 1, importIf},
    {"", "Loop", 1, importLoop},
};
