// Products as exporters write them.

#include "passes/Simplify/Products.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

/// No formula has more factors.
static constexpr size_t kMostFactors = 8;

bool Product::isOf(std::initializer_list<Value> values) const {
  SmallVector<Value> rest(factors.begin(), factors.end());
  for (Value value : values) {
    auto it = llvm::find(rest, value);
    if (it == rest.end())
      return false;
    rest.erase(it);
  }
  return rest.empty();
}

Value Product::beside(Value value) const {
  if (factors.size() != 2 || !llvm::is_contained(factors, value))
    return {};
  return factors[factors[0] == value ? 1 : 0];
}

static void read(Value value, bool isRoot, Product &product) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  bool isInner = node && node.getDomain().empty() &&
                 node.getNumResults() == 1 && (isRoot || value.hasOneUse()) &&
                 product.factors.size() < kMostFactors;
  if (isInner && node.isOp("Mul")) {
    for (Value operand : node.getOperands())
      if (std::optional<double> number = numberOf(operand))
        product.number *= *number;
      else
        read(operand, false, product);
    return;
  }
  if (isInner && node.isOp("Div"))
    if (auto number = numberOf(node.getOperand(1)); number && *number != 0) {
      product.number /= *number;
      return read(node.getOperand(0), false, product);
    }
  if (isInner && node.isOp("Neg")) {
    product.number = -product.number;
    return read(node.getOperand(0), false, product);
  }
  if (isInner && node.isOp("Pow"))
    if (auto power = numberOf(node.getOperand(1));
        power && (*power == 2 || *power == 3)) {
      product.factors.append(size_t(*power), node.getOperand(0));
      return;
    }
  product.factors.push_back(value);
}

Product simplify::readProduct(Value value, bool isRoot) {
  Product product;
  read(value, isRoot, product);
  return product;
}

bool simplify::isNear(double number, double wanted, Value like) {
  auto type = dyn_cast<FloatType>(getElementTypeOrSelf(like.getType()));
  double precision = type && type.getWidth() < 32 ? 4e-3 : 1e-5;
  return std::abs(number - wanted) <= precision * std::abs(wanted);
}

Value simplify::readSum(Value value, double number) {
  onnx::NodeOp add = producerOf(value, "Add");
  if (!add)
    return {};
  for (unsigned i : {0, 1})
    if (auto found = numberOf(add.getOperand(1 - i));
        found && isNear(*found, number, value))
      return add.getOperand(i);
  return {};
}
