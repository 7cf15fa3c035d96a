// Scan: a loop over elements of tensors.

#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/Ops/LoopImport.h"

using namespace mlir;
using namespace dlc;

/// A list of `count` numbers, filled up with 0.
static SmallVector<int64_t> listOf(NodeImport &node, StringRef name,
                                   size_t count) {
  SmallVector<int64_t> list =
      node.getInts(name).value_or(SmallVector<int64_t>());
  list.resize(count, 0);
  return list;
}

/// One scan: `values` are the states, then the tensors that the body sees
/// element by element, of which `directions` says which from the end.
static ImportResult scan(NodeImport &node, Block &body, ValueRange values,
                         ArrayRef<int64_t> directions) {
  OpBuilder &b = node.b;
  unsigned scanned = directions.size();
  unsigned numStates = values.size() - scanned;
  unsigned numOutputs = node.numOutputs() - numStates;
  SmallVector<int64_t> axes = listOf(node, "scan_input_axes", scanned);
  LoopImport loop{node, body, {}, 0};
  SmallVector<Value> inputs;
  for (auto [i, value] : llvm::enumerate(values))
    (i < numStates ? loop.initial : inputs).push_back(value);
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
  SmallVector<int64_t> outputAxes =
      listOf(node, "scan_output_axes", numOutputs);
  SmallVector<bool> fromEnd;
  for (int64_t direction : listOf(node, "scan_output_directions", numOutputs))
    fromEnd.push_back(direction != 0);
  for (auto [i, axis] : llvm::enumerate(outputAxes))
    axis = node.normalizeAxis(axis, node.rank(loop.results[numStates + i]) + 1);
  if (node.hasFailed)
    return failure();
  return loop.finish(count, {}, /*isConditional=*/false, outputAxes, fromEnd);
}

/// The first version of the operator has a batch in front, which is scanned row
/// by row, and the lengths of its rows as the first input.
static ImportResult importBatchedScan(NodeImport &node, Block &body,
                                      ArrayRef<int64_t> directions) {
  unsigned numValues = node.numInputs() - 1;
  if (node.hasInput(0)) {
    node.error() << "expected no sequence_lens, which versions of Scan before "
                    "9 have only";
    return failure();
  }
  std::optional<int64_t> batch;
  for (unsigned i = 1; i <= numValues; ++i) {
    Value x = node.input(i);
    if (!x || node.rank(x) < 1) {
      node.error() << "expected inputs with a batch";
      return failure();
    }
    if (failed(node.expectEqual(node.dim(x, 0), node.dim(node.input(1), 0),
                                "inputs of one batch")))
      return failure();
    if (!batch)
      batch = getConstantIntValue(node.dim(x, 0));
  }
  if (!batch || *batch < 1) {
    node.error() << "expected a batch whose size is known, of 1 or more";
    return failure();
  }
  SmallVector<SmallVector<Value>> columns(node.numOutputs());
  for (int64_t row = 0; row < *batch; ++row) {
    SmallVector<Value> values;
    for (unsigned i = 1; i <= numValues; ++i)
      values.push_back(takeElement(node, node.input(i), 0, node.index(row)));
    ImportResult results = scan(node, body, values, directions);
    if (failed(results))
      return failure();
    for (auto [column, value] : llvm::zip(columns, *results))
      column.push_back(node.unsqueeze(value, {0}));
  }
  SmallVector<Value> results;
  for (const SmallVector<Value> &column : columns)
    results.push_back(node.concat(column, 0));
  return node.results(results);
}

/// Inputs: states, then the tensors that the body sees element by element.
static ImportResult importScan(NodeImport &node) {
  bool isBatched = getSinceVersion("", "Scan", node.node.getOpset()) == 8;
  Region *region = node.node.getGraph("body");
  int64_t scanned = node.getInt("num_scan_inputs", 0);
  int64_t most = int64_t(node.numInputs()) - isBatched;
  if (!region || scanned < 1 || scanned > most) {
    node.error() << "expected a body and num_scan_inputs in [1, " << most
                 << "], found " << scanned;
    return failure();
  }
  SmallVector<int64_t> directions =
      listOf(node, isBatched ? "directions" : "scan_input_directions", scanned);
  if (isBatched)
    return importBatchedScan(node, region->front(), directions);
  SmallVector<Value> values;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    values.push_back(node.input(i));
  return scan(node, region->front(), values, directions);
}

static OpRows rows{{"", "Scan", 8, importScan}};
