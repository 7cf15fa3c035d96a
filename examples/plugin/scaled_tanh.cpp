// A plugin with an operator: com.example.ScaledTanh, alpha * tanh(beta * x).
// alpha and beta are attributes of the node; the plugin's option `alpha` is
// the default of the first.

#include "dlc/Plugin.h"

using namespace dlc;

static ImportResult importScaledTanh(NodeImport &node) {
  mlir::Value x = node.input(0);
  if (!mlir::isa<mlir::FloatType>(node.elementType(x))) {
    node.error() << "expected floating-point numbers, found " << x.getType();
    return mlir::failure();
  }
  double alpha = node.getFloat("alpha", node.pluginOptions().getFloat("alpha"));
  mlir::Value scaled =
      node.map<MulOp>({x, node.scalarLike(node.getFloat("beta", 1), x)});
  mlir::Value tanh = node.map<TanhOp>({scaled});
  return node.result(node.map<MulOp>({tanh, node.scalarLike(alpha, x)}));
}

DLC_PLUGIN(registry, "scaled-tanh", "1.0") {
  registry.addOption("alpha", 1.0, "what the result is multiplied with");
  registry.addOperator({"com.example", "ScaledTanh", 1, importScaledTanh});
}
