// Activation functions, as compositions of elementwise ops.

#include "passes/Import/Ops/Activations.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

namespace {
/// Arithmetic between a tensor and numbers of its type.
struct Terms {
  NodeImport &node;
  Value x;
  Value number(double value) { return node.scalarLike(value, x); }
  Value add(Value a, double c) { return node.map<AddOp>({a, number(c)}); }
  Value mul(Value a, double c) { return node.map<MulOp>({a, number(c)}); }
  Value mul(Value a, Value c) { return node.map<MulOp>({a, c}); }
  Value clamp(Value a, double low, double high) {
    return node.map<MinOp>({node.map<MaxOp>({a, number(low)}), number(high)});
  }
  /// x where x > bound, else `otherwise`.
  Value whereAbove(double bound, Value then, Value otherwise) {
    return node.map<SelectOp>(
        {node.map<LessOp>({number(bound), x}), then, otherwise});
  }
  Value whereBelow(double bound, Value then, Value otherwise) {
    return node.map<SelectOp>(
        {node.map<LessOp>({x, number(bound)}), then, otherwise});
  }
  Value exp(Value a) { return node.map<ExpOp>({a}); }
  Value sigmoid(Value a) { return node.map<SigmoidOp>({a}); }
  Value tanh(Value a) { return node.map<TanhOp>({a}); }
  Value sub(Value a, Value c) { return node.map<SubOp>({a, c}); }
  /// log(1 + exp(a)) without overflow: max(a, 0) + log(1 + exp(-|a|)). What the
  /// sum with 1 rounds away counts as itself, for the logarithm's slope is 1
  /// there.
  Value softplus(Value a) {
    Value small = exp(node.map<NegOp>({node.map<AbsOp>({a})}));
    Value sum = add(small, 1);
    Value log =
        node.map<AddOp>({node.map<LogOp>({sum}), sub(small, add(sum, -1))});
    return node.map<AddOp>({node.map<MaxOp>({a, number(0)}), log});
  }
};
} // namespace

Value Activation::apply(NodeImport &node, Value x) const {
  auto number = [&](double value) { return node.scalarLike(value, x); };
  auto line = [&]() {
    return node.map<AddOp>({node.map<MulOp>({x, number(alpha)}), number(beta)});
  };
  auto whereNegative = [&](Value then) {
    return node.map<SelectOp>({node.map<LessOp>({x, number(0)}), then, x});
  };
  if (name == "tanh")
    return node.map<TanhOp>({x});
  if (name == "sigmoid")
    return node.map<SigmoidOp>({x});
  if (name == "relu")
    return node.map<MaxOp>({x, number(0)});
  if (name == "affine")
    return line();
  if (name == "leakyrelu")
    return whereNegative(node.map<MulOp>({x, number(alpha)}));
  if (name == "thresholdedrelu")
    return node.map<SelectOp>(
        {node.map<LessOp>({x, number(alpha)}), number(0), x});
  if (name == "scaledtanh")
    return node.map<MulOp>(
        {node.map<TanhOp>({node.map<MulOp>({x, number(beta)})}),
         number(alpha)});
  if (name == "hardsigmoid")
    return node.map<MinOp>({node.map<MaxOp>({line(), number(0)}), number(1)});
  if (name == "elu")
    return whereNegative(node.map<MulOp>(
        {node.map<SubOp>({node.map<ExpOp>({x}), number(1)}), number(alpha)}));
  if (name == "softsign")
    return node.map<DivOp>(
        {x, node.map<AddOp>({node.map<AbsOp>({x}), number(1)})});
  if (name == "softplus") {
    // max(x, 0) + log(1 + exp(-|x|))
    Value small = node.map<ExpOp>({node.map<NegOp>({node.map<AbsOp>({x})})});
    Value log = node.map<LogOp>({node.map<AddOp>({small, number(1)})});
    return node.map<AddOp>({node.map<MaxOp>({x, number(0)}), log});
  }
  node.error() << "unknown activation function '" << name << "'";
  return {};
}

static ImportResult importRelu(NodeImport &node) {
  Value x = node.input(0);
  return node.result(node.map<MaxOp>({x, node.scalarLike(0, x)}));
}

static ImportResult importLeakyRelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  return node.result(
      t.whereBelow(0, t.mul(t.x, node.getFloat("alpha", 0.01f)), t.x));
}

static ImportResult importPRelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  Value slope = node.input(1);
  if (failed(node.expectBroadcast(1, node.dims(t.x), "those of X")))
    return failure();
  return node.result(t.whereBelow(0, t.mul(t.x, slope), t.x));
}

static ImportResult importElu(NodeImport &node) {
  Terms t{node, node.input(0)};
  Value low = t.mul(t.add(t.exp(t.x), -1), node.getFloat("alpha", 1));
  return node.result(t.whereBelow(0, low, t.x));
}

static ImportResult importSelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  double alpha = node.getFloat("alpha", 1.67326319217681884765625);
  double gamma = node.getFloat("gamma", 1.05070102214813232421875);
  Value low = t.mul(t.add(t.exp(t.x), -1), alpha);
  return node.result(t.mul(t.whereAbove(0, t.x, low), gamma));
}

static ImportResult importCelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  double alpha = node.getFloat("alpha", 1);
  Value low = t.mul(t.add(t.exp(t.mul(t.x, 1 / alpha)), -1), alpha);
  Value zero = t.number(0);
  return node.result(node.map<AddOp>(
      {node.map<MaxOp>({t.x, zero}), node.map<MinOp>({low, zero})}));
}

static ImportResult importThresholdedRelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  return node.result(t.whereAbove(node.getFloat("alpha", 1), t.x, t.number(0)));
}

static ImportResult importHardSigmoid(NodeImport &node) {
  Terms t{node, node.input(0)};
  Value line = t.add(t.mul(t.x, node.getFloat("alpha", 0.2f)),
                     node.getFloat("beta", 0.5f));
  return node.result(t.clamp(line, 0, 1));
}

static ImportResult importHardSwish(NodeImport &node) {
  Terms t{node, node.input(0)};
  Value gate = t.clamp(t.add(t.mul(t.x, 1.0 / 6), 0.5), 0, 1);
  return node.result(t.mul(t.x, gate));
}

static ImportResult importSwish(NodeImport &node) {
  Terms t{node, node.input(0)};
  double alpha = node.getFloat("alpha", 1);
  Value gate = t.sigmoid(alpha == 1 ? t.x : t.mul(t.x, alpha));
  return node.result(t.mul(t.x, gate));
}

static ImportResult importSoftplus(NodeImport &node) {
  Terms t{node, node.input(0)};
  return node.result(t.softplus(t.x));
}

static ImportResult importSoftsign(NodeImport &node) {
  Terms t{node, node.input(0)};
  return node.result(node.map<DivOp>({t.x, t.add(node.map<AbsOp>({t.x}), 1)}));
}

static ImportResult importMish(NodeImport &node) {
  Terms t{node, node.input(0)};
  return node.result(t.mul(t.x, t.tanh(t.softplus(t.x))));
}

static ImportResult importGelu(NodeImport &node) {
  Terms t{node, node.input(0)};
  StringRef form = node.getString("approximate", "none");
  Value half = t.mul(t.x, 0.5);
  if (form == "tanh") {
    Value cube = t.mul(t.mul(t.x, t.x), t.x);
    Value inner = node.map<AddOp>({t.x, t.mul(cube, 0.044715)});
    Value gate = t.tanh(t.mul(inner, std::sqrt(2 / M_PI)));
    return node.result(t.mul(half, t.add(gate, 1)));
  }
  if (form != "none") {
    node.error() << "expected approximate = none or tanh, found '" << form
                 << "'";
    return failure();
  }
  Value erf = node.map<ErfOp>({t.mul(t.x, std::sqrt(0.5))});
  return node.result(t.mul(half, t.add(erf, 1)));
}

static ImportResult importShrink(NodeImport &node) {
  Terms t{node, node.input(0)};
  double bias = node.getFloat("bias", 0), lambda = node.getFloat("lambd", 0.5);
  Value above = t.whereAbove(lambda, t.add(t.x, -bias), t.number(0));
  // What has no sign is not below.
  if (node.elementType(t.x).isUnsignedInteger())
    return node.result(above);
  return node.result(t.whereBelow(-lambda, t.add(t.x, bias), above));
}

static OpRows rows{
    {"", "Relu", 6, importRelu},
    {"", "LeakyRelu", 6, importLeakyRelu, kComposition},
    {"", "PRelu", 7, importPRelu, kComposition},
    {"", "Elu", 6, importElu, kComposition},
    {"", "Selu", 6, importSelu, kComposition},
    {"", "Celu", 12, importCelu, kComposition},
    {"", "ThresholdedRelu", 10, importThresholdedRelu, kComposition},
    {"", "HardSigmoid", 6, importHardSigmoid, kComposition},
    {"", "HardSwish", 14, importHardSwish, kComposition},
    {"", "Swish", 24, importSwish, kComposition},
    {"", "Softplus", 1, importSoftplus, kComposition},
    {"", "Softsign", 1, importSoftsign, kComposition},
    {"", "Mish", 18, importMish, kComposition},
    {"", "Gelu", 20, importGelu, kComposition},
    {"", "Shrink", 9, importShrink, kComposition},
};
