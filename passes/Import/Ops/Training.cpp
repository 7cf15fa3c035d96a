// ai.onnx.preview.training: one step of an optimizer on any number of tensors.

#include "passes/Import/OpTable.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The inputs are the learning rate, the number of updates so far, then
/// tensors in groups of one length: the parameters, their gradients, and the
/// optimizer's own states.
struct OptimizerStep {
  NodeImport &node;
  unsigned count = 0; // of parameters
  unsigned groups;    // of tensors
  Type type = {};     // of the tensor in hand
  Value rate = {}, updates = {};

  OptimizerStep(NodeImport &node, unsigned groups)
      : node(node), groups(groups) {}

  LogicalResult check() {
    unsigned tensors = node.numInputs() - std::min(node.numInputs(), 2u);
    if (tensors && tensors % groups == 0) {
      count = tensors / groups;
      return success();
    }
    node.error() << "expected " << groups
                 << " tensors for each that is optimized, found " << tensors;
    return failure();
  }

  /// Tensor i of a group; the rate and the number of updates in its type.
  Value take(unsigned group, unsigned i) {
    Value x = node.input(2 + group * count + i);
    type = node.elementType(x);
    rate = node.cast(node.reshape(node.input(0), {}), type);
    updates = node.cast(node.reshape(node.input(1), {}), type);
    return x;
  }

  Value number(double value) { return node.scalar(value, type); }
  Value attribute(StringRef name, double otherwise) {
    return number(node.getFloat(name, otherwise));
  }
  Value add(Value a, Value c) { return node.map<AddOp>({a, c}); }
  Value sub(Value a, Value c) { return node.map<SubOp>({a, c}); }
  Value mul(Value a, Value c) { return node.map<MulOp>({a, c}); }
  Value div(Value a, Value c) { return node.map<DivOp>({a, c}); }
  Value sqrt(Value a) { return node.map<SqrtOp>({a}); }

  /// The gradient with that of the L2 norm of the parameters.
  Value gradient(Value x, unsigned i) {
    Value g = take(1, i);
    return add(mul(attribute("norm_coefficient", 0), x), g);
  }
  /// `value` from the second update on, `first` at the first.
  Value afterFirst(Value value, Value first) {
    Value isLater = node.map<LessOp>({number(0), updates});
    return node.map<SelectOp>({isLater, value, first});
  }
};

} // namespace

static ImportResult importAdagrad(NodeImport &node) {
  OptimizerStep s(node, 3);
  if (failed(s.check()))
    return failure();
  SmallVector<Value> parameters, squares;
  for (unsigned i = 0; i < s.count; ++i) {
    Value x = s.take(0, i), g = s.gradient(x, i), h = s.take(2, i);
    Value decay = s.mul(s.updates, s.attribute("decay_factor", 0));
    Value rate = s.div(s.rate, s.add(s.number(1), decay));
    h = s.add(h, s.mul(g, g));
    Value adaptive = s.add(s.sqrt(h), s.attribute("epsilon", 1e-6));
    parameters.push_back(s.sub(x, s.mul(rate, s.div(g, adaptive))));
    squares.push_back(h);
  }
  llvm::append_range(parameters, squares);
  return node.results(parameters);
}

static ImportResult importAdam(NodeImport &node) {
  OptimizerStep s(node, 4);
  if (failed(s.check()))
    return failure();
  double alpha = node.getFloat("alpha", 0.9),
         beta = node.getFloat("beta", 0.999);
  SmallVector<Value> parameters, means, squares;
  for (unsigned i = 0; i < s.count; ++i) {
    Value x = s.take(0, i), g = s.gradient(x, i);
    Value v = s.take(2, i), h = s.take(3, i);
    v = s.add(s.mul(s.number(alpha), v), s.mul(s.number(1 - alpha), g));
    h = s.add(s.mul(s.number(beta), h), s.mul(s.number(1 - beta), s.mul(g, g)));
    // 1 - factor^updates
    auto rest = [&](double factor) {
      Value power = node.map<PowOp>({s.number(factor), s.updates});
      return s.sub(s.number(1), power);
    };
    Value corrected = s.div(s.mul(s.rate, s.sqrt(rest(beta))), rest(alpha));
    Value rate = s.afterFirst(corrected, s.rate);
    Value scale = s.add(s.sqrt(h), s.attribute("epsilon", 1e-6));
    x = s.sub(x, s.div(s.mul(rate, v), scale));
    double kept = 1 - node.getFloat("norm_coefficient_post", 0);
    parameters.push_back(s.mul(s.number(kept), x));
    means.push_back(v);
    squares.push_back(h);
  }
  llvm::append_range(parameters, means);
  llvm::append_range(parameters, squares);
  return node.results(parameters);
}

static ImportResult importMomentum(NodeImport &node) {
  OptimizerStep s(node, 3);
  if (failed(s.check()))
    return failure();
  StringRef mode = node.getString("mode", "standard");
  if (mode != "standard" && mode != "nesterov") {
    node.error() << "expected the mode standard or nesterov, found '" << mode
                 << "'";
    return failure();
  }
  SmallVector<Value> parameters, momenta;
  for (unsigned i = 0; i < s.count; ++i) {
    Value x = s.take(0, i), g = s.gradient(x, i), v = s.take(2, i);
    Value alpha = s.attribute("alpha", 0.9);
    Value beta = s.afterFirst(s.attribute("beta", 1), s.number(1));
    v = s.add(s.mul(alpha, v), s.mul(beta, g));
    Value step = mode == "standard" ? v : s.add(g, s.mul(alpha, v));
    parameters.push_back(s.sub(x, s.mul(s.rate, step)));
    momenta.push_back(v);
  }
  llvm::append_range(parameters, momenta);
  return node.results(parameters);
}

static OpRows rows{
    {"ai.onnx.preview.training", "Adagrad", 1, importAdagrad},
    {"ai.onnx.preview.training", "Adam", 1, importAdam},
    {"ai.onnx.preview.training", "Momentum", 1, importMomentum},
};
