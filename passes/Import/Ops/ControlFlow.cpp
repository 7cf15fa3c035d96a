// If and Loop: regions of scf ops, into which the importer imports the
// subgraphs.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/Ops/LoopImport.h"

using namespace mlir;
using namespace dlc;

namespace {

/// An If while it is imported: into a `draft` without results, since the types
/// of these are known once both branches are imported.
struct IfImport {
  NodeImport &node;
  scf::IfOp draft;
  /// What the draft's regions compute.
  SmallVector<Value> values[2] = {};

  /// The types that both branches have; null where they have none.
  SmallVector<Type> commonTypes() {
    SmallVector<Type> types;
    for (auto [x, y] : llvm::zip(values[0], values[1]))
      types.push_back(commonType(x.getType(), y.getType()));
    return types;
  }

  /// An error unless the results of both branches have the same elements.
  LogicalResult expectElements() {
    SmallVector<Type> types = commonTypes();
    for (auto [type, x, y] : llvm::zip(types, values[0], values[1]))
      if (isa<RankedTensorType>(x.getType()) &&
          isa<RankedTensorType>(y.getType()) &&
          node.elementType(x) == node.elementType(y))
        type = x.getType();
    return expectTypes(types);
  }

  /// An error unless both branches have the types.
  LogicalResult expectTypes(ArrayRef<Type> types) {
    for (auto [type, x, y] : llvm::zip(types, values[0], values[1]))
      if (!type)
        return node.error()
               << "expected branches whose results have one rank and type, "
                  "found "
               << x.getType() << " and " << y.getType();
    return success();
  }

  /// The op in the draft's place.
  scf::IfOp finish(ArrayRef<Type> types) {
    OpBuilder &b = node.b;
    for (unsigned i = 0; i < 2; ++i) {
      b.setInsertionPointToEnd(&draft->getRegion(i).front());
      SmallVector<Value> yielded;
      for (auto [value, type] : llvm::zip(values[i], types))
        yielded.push_back(castShape(node, value, type));
      scf::YieldOp::create(b, node.loc, yielded);
    }
    b.setInsertionPoint(draft);
    auto op = scf::IfOp::create(b, node.loc, types, draft.getCondition());
    op.getThenRegion().takeBody(draft.getThenRegion());
    op.getElseRegion().takeBody(draft.getElseRegion());
    node.graph.discard(draft);
    return op;
  }

  /// Imports the rest of the node's block into both regions, and as much of the
  /// blocks around it as it takes until the results have one type. A branch for
  /// which that is not possible fails in the run, as it does in an interpreter:
  /// exporters write branches for shapes that the model does not have.
  LogicalResult importRest();
  /// How many of the nodes around this one importRest has finished.
  unsigned levels = 0;

private:
  /// The errors of importing what follows the node, whose results are what
  /// region `i` has computed, into that region: none on success.
  SmallVector<std::string>
  importBehind(unsigned i, onnx::NodeOp behind,
               function_ref<LogicalResult(SmallVectorImpl<Value> &)> import);
  /// Empties region `i` but for a failure of the run.
  void failRun(unsigned i, ArrayRef<std::string> errors);
};

} // namespace

SmallVector<std::string> IfImport::importBehind(
    unsigned i, onnx::NodeOp behind,
    function_ref<LogicalResult(SmallVectorImpl<Value> &)> import) {
  SmallVector<std::string> errors;
  ScopedDiagnosticHandler collect(
      node.node.getContext(), [&](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return failure();
        std::string name;
        if (auto named = dyn_cast<NameLoc>(diagnostic.getLocation()))
          name = "node '" + named.getName().str() + "': ";
        errors.push_back(name + diagnostic.str());
        return success();
      });
  for (auto [j, value] : llvm::enumerate(values[i]))
    if (Value output = behind.getOutput(j))
      node.graph.map(output, value);
  node.b.setInsertionPointToEnd(&draft->getRegion(i).front());
  values[i].clear();
  if (failed(import(values[i])) && errors.empty())
    errors.push_back("the rest of the graph cannot be imported");
  return errors;
}

void IfImport::failRun(unsigned i, ArrayRef<std::string> errors) {
  OpBuilder &b = node.b;
  Block &block = draft->getRegion(i).front();
  while (!block.empty())
    node.graph.discard(&block.back());
  b.setInsertionPointToEnd(&block);
  StringRef branch = i == 0 ? "else_branch" : "then_branch";
  node.check(arith::ConstantOp::create(b, node.loc, b.getBoolAttr(false)),
             "expected the condition of its " + branch + ": in the other, " +
                 errors.front());
  values[i].clear();
  for (Value other : values[1 - i]) {
    if (auto sequence = dyn_cast<SequenceType>(other.getType())) {
      values[i].push_back(SequenceOp::create(b, node.loc, sequence,
                                             ValueRange(), /*absent=*/false));
      continue;
    }
    auto type = cast<RankedTensorType>(other.getType());
    SmallVector<OpFoldResult> sizes;
    for (int64_t size : type.getShape())
      sizes.push_back(node.index(ShapedType::isDynamic(size) ? 0 : size));
    values[i].push_back(
        castShape(node, emptyTensor(node, sizes, type.getElementType()), type));
  }
}

LogicalResult IfImport::importRest() {
  GraphImporter &graph = node.graph;
  SmallVector<std::string> errors[2];
  unsigned finished[2];
  for (unsigned i = 0; i < 2; ++i) {
    errors[i] =
        importBehind(i, node.node, [&](SmallVectorImpl<Value> &results) {
          return graph.importFrom(node.node->getNextNode(), results);
        });
    finished[i] = graph.takeFinishedLevels();
  }
  SmallVector<onnx::NodeOp> outer(graph.getOuterNodes());
  auto goOn = [&](unsigned i) {
    while (errors[i].empty() && finished[i] < levels) {
      unsigned number = outer.size() - ++finished[i];
      errors[i] =
          importBehind(i, outer[number], [&](SmallVectorImpl<Value> &results) {
            return graph.importBehind(number, results);
          });
      finished[i] += graph.takeFinishedLevels();
    }
  };
  for (levels = std::max(finished[0], finished[1]);; ++levels) {
    goOn(0);
    goOn(1);
    levels = std::max({levels, finished[0], finished[1]});
    if (!errors[0].empty() || !errors[1].empty() || levels == outer.size() ||
        (finished[0] == finished[1] &&
         !llvm::is_contained(commonTypes(), Type())))
      break;
  }
  auto isLack = [](StringRef error) { return error.contains(kNotSupported); };
  bool isGood = !llvm::any_of(errors[0], isLack) &&
                !llvm::any_of(errors[1], isLack) &&
                (errors[0].empty() || errors[1].empty());
  if (!isGood) {
    for (unsigned i = 0; i < 2; ++i)
      for (const std::string &error : errors[i])
        node.error() << "behind its " << (i == 0 ? "then" : "else")
                     << "_branch, " << error;
    return failure();
  }
  for (unsigned i = 0; i < 2; ++i)
    if (!errors[i].empty())
      failRun(i, errors[i]);
  return success();
}

static ImportResult importIf(NodeImport &node) {
  OpBuilder &b = node.b;
  Region *branches[] = {node.node.getGraph("then_branch"),
                        node.node.getGraph("else_branch")};
  if (!branches[0] || !branches[1]) {
    node.error() << "expected a then_branch and an else_branch";
    return failure();
  }
  Value condition = node.input(0);
  if (std::optional<bool> known = knownCondition(node, condition)) {
    Block &taken = branches[*known ? 0 : 1]->front();
    SmallVector<Value> values;
    if (failed(node.graph.importInPlace(taken, node.node, values))) {
      node.hasFailed = true;
      return failure();
    }
    unsigned levels = node.graph.takeFinishedLevels();
    if (!levels)
      return node.results(values);
    node.graph.finishBlock(values, levels - 1);
    return SmallVector<Value>();
  }
  IfImport import{node, scf::IfOp::create(b, node.loc, TypeRange(),
                                          readCondition(node, condition),
                                          /*withElseRegion=*/true)};
  OpBuilder::InsertionGuard guard(b);
  for (unsigned i = 0; i < 2; ++i) {
    Block &block = import.draft->getRegion(i).front();
    if (block.mightHaveTerminator())
      block.getTerminator()->erase();
    b.setInsertionPointToEnd(&block);
    if (failed(
            node.graph.importBlock(branches[i]->front(), import.values[i]))) {
      node.hasFailed = true;
      return failure();
    }
  }
  SmallVector<Type> types = import.commonTypes();
  // Ranks that differ are no mistake: an exporter squeezes what has a size
  // of 1.
  bool isSplit = llvm::is_contained(types, Type());
  if (isSplit) {
    if (failed(import.expectElements()))
      return failure();
    if (failed(import.importRest())) {
      node.hasFailed = true;
      return failure();
    }
    types = import.commonTypes();
    if (failed(import.expectTypes(types)))
      return failure();
  }
  scf::IfOp op = import.finish(types);
  SmallVector<Value> results(op.getResults());
  if (!isSplit)
    return node.results(results);
  node.graph.finishBlock(results, import.levels);
  return SmallVector<Value>();
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
