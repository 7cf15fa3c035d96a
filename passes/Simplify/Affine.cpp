// Scales and shifts by constants, as FoldAffine reads and folds them.

#include "passes/Simplify/Affine.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

//===----------------------------------------------------------------------===//
// Computing with constants
//===----------------------------------------------------------------------===//

Value Weights::fold(StringRef op, ValueRange operands, Type type,
                    ArrayRef<NamedAttribute> attributes) {
  Value value = make(op, operands, type, "folded", attributes);
  value.getDefiningOp()->setAttr(kConstantAttr, b.getUnitAttr());
  return value;
}

Value Weights::reshape(Value value, ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getShape() == shape)
    return value;
  // A 0 would else stand for a size of the operand.
  SmallVector<NamedAttribute> attributes;
  if (llvm::is_contained(shape, 0))
    attributes.push_back(attr("allowzero", int64_t(1)));
  return fold("Reshape", {value, ints(shape, "shape")}, type.clone(shape),
              attributes);
}

Value Weights::transpose(Value value, ArrayRef<int64_t> perm) {
  auto type = cast<RankedTensorType>(value.getType());
  if (llvm::is_sorted(perm))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t axis : perm)
    shape.push_back(type.getDimSize(axis));
  return fold("Transpose", value, type.clone(shape), attr("perm", perm));
}

Value Weights::binary(StringRef op, Value a, Value b) {
  auto x = cast<RankedTensorType>(a.getType()),
       y = cast<RankedTensorType>(b.getType());
  SmallVector<int64_t> shape(std::max(x.getRank(), y.getRank()), 1);
  for (RankedTensorType type : {x, y})
    for (auto [to, size] :
         llvm::zip(llvm::reverse(shape), llvm::reverse(type.getShape())))
      to = to == 1 ? size : to;
  return fold(op, {a, b}, x.clone(shape));
}

Value Weights::matmul(Value a, Value b) {
  auto x = cast<RankedTensorType>(a.getType()),
       y = cast<RankedTensorType>(b.getType());
  SmallVector<int64_t> shape(x.getShape());
  shape.back() = y.getDimSize(1);
  return fold("MatMul", {a, b}, x.clone(shape));
}

Value Weights::sum(Value value, ArrayRef<int64_t> axes) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape;
  for (auto [i, size] : llvm::enumerate(type.getShape()))
    if (!llvm::is_contained(axes, int64_t(i)))
      shape.push_back(size);
  return fold("ReduceSum", {value, ints(axes, "axes")}, type.clone(shape),
              attr("keepdims", int64_t(0)));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

bool simplify::isVector(Value constant, int64_t rank, int64_t axis,
                        int64_t size) {
  RankedTensorType type = tensorOf(constant);
  if (!isConstantTree(constant) || !type || !type.hasStaticShape() ||
      type.getRank() > rank)
    return false;
  for (auto [i, found] : llvm::enumerate(type.getShape())) {
    int64_t at = int64_t(i) + rank - type.getRank();
    if (found != 1 && (at != axis || found != size))
      return false;
  }
  return true;
}

Value simplify::toVector(Weights &make, Value constant) {
  return make.reshape(
      constant, {cast<RankedTensorType>(constant.getType()).getNumElements()});
}

static bool isConstantBatchNorm(onnx::NodeOp node) {
  if (node.getNumOperands() != 5 || node.getInt("training_mode", 0) ||
      llvm::any_of(node->getResults().drop_front(),
                   [](Value v) { return !v.use_empty(); }))
    return false;
  for (unsigned i = 1; i < 5; ++i)
    if (!isConstantTree(node.getOperand(i)) || !sizesOf(node.getOperand(i)) ||
        getElementTypeOrSelf(node.getOperand(i).getType()) !=
            getElementTypeOrSelf(node.getOperand(0).getType()))
      return false;
  return true;
}

/// The scale and shift that BatchNormalization is, for constant statistics.
static Affine readBatchNorm(Weights &make, onnx::NodeOp node) {
  Value variance = node.getOperand(4);
  Value epsilon =
      make.number(node.getFloat("epsilon", 1e-5),
                  getElementTypeOrSelf(variance.getType()), "epsilon");
  Value deviation = make.unary("Sqrt", make.binary("Add", variance, epsilon));
  Value scale = make.binary("Div", node.getOperand(1), deviation);
  Value shift = make.binary("Sub", node.getOperand(2),
                            make.binary("Mul", node.getOperand(3), scale));
  return Affine{node.getOperand(0), scale, shift};
}

Value simplify::variableOf(onnx::NodeOp node) {
  if (node.isOp("BatchNormalization"))
    return node.getOperand(0);
  Value a = node.getOperand(0), b = node.getOperand(1);
  bool isOrdered = node.isOp("Sub") || node.isOp("Div");
  if (isConstantTree(b) && !isConstantTree(a))
    return a;
  return isConstantTree(a) && !isConstantTree(b) && !isOrdered ? b : Value();
}

bool simplify::isAffine(onnx::NodeOp node, int64_t axis, int64_t size) {
  if (node.isOp("BatchNormalization"))
    return axis == 1 && isConstantBatchNorm(node);
  Value x = variableOf(node);
  RankedTensorType type = tensorOf(x);
  return type && node.getResult(0).getType() == type &&
         isVector(otherOperand(node, x), type.getRank(), axis, size);
}

Affine simplify::readAffine(Weights &make, onnx::NodeOp node) {
  if (node.isOp("BatchNormalization"))
    return readBatchNorm(make, node);
  Value x = variableOf(node);
  Value vector = toVector(make, otherOperand(node, x));
  if (node.isOp("Mul"))
    return Affine{x, vector, {}};
  if (node.isOp("Div"))
    return Affine{x, make.binary("Div", make.one(vector), vector), {}};
  if (node.isOp("Add"))
    return Affine{x, {}, vector};
  return Affine{x, {}, make.unary("Neg", vector)};
}

Value simplify::foldBias(Weights &make, Value bias, const Affine &affine,
                         int64_t size) {
  Value result = bias;
  if (result && affine.scale)
    result = make.binary("Mul", result, affine.scale);
  if (affine.shift)
    result = result ? make.binary("Add", result, affine.shift) : affine.shift;
  auto type = result ? tensorOf(result) : RankedTensorType();
  if (result && type.getNumElements() != size)
    result = make.binary(
        "Add", result, make.number(0, type.getElementType(), "zeros", {size}));
  return result;
}
