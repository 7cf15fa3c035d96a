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

/// Inputs: states, then the tensors that the body sees element by element.
static ImportResult importScan(NodeImport &node) {
  Region *region = node.node.getGraph("body");
  int64_t scanned = node.getInt("num_scan_inputs", 0);
  int64_t most = int64_t(node.numInputs());
  if (!region || scanned < 1 || scanned > most) {
    node.error() << "expected a body and num_scan_inputs in [1, " << most
                 << "], found " << scanned;
    return failure();
  }
  SmallVector<int64_t> directions =
      listOf(node, "scan_input_directions", scanned);
  SmallVector<Value> values;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    values.push_back(node.input(i));
  return scan(node, region->front(), values, directions);
}

static OpRows rows{{"", "Scan", 9, importScan}};
