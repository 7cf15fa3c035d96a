// Tensors in loops. The ops that have no counterpart in the dlc dialect are
// built on storage types: unsigned elements go through an unrealized cast,
// which the tensor phase removes.

#include "passes/Import/Ops/Loops.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace dlc;

Value dlc::takeElement(NodeImport &node, Value x, int64_t axis,
                       OpFoldResult at) {
  return node.squeeze(node.sliceAxis(x, axis, at, node.index(1)), {axis});
}

Value dlc::putElement(NodeImport &node, Value element, Value x, int64_t axis,
                      OpFoldResult at) {
  Elements sizes = node.dims(x), offsets(node.rank(x), node.index(0));
  SmallVector<OpFoldResult> strides(node.rank(x), node.index(1));
  sizes[axis] = node.index(1);
  offsets[axis] = at;
  Value part = node.reshape(element, sizes);
  if (!part)
    return {};
  return tensor::InsertSliceOp::create(node.b, node.loc, part, x, offsets,
                                       sizes, strides);
}

Value dlc::emptyTensor(NodeImport &node, ArrayRef<OpFoldResult> sizes,
                       Type elementType) {
  return tensor::EmptyOp::create(node.b, node.loc, sizes, elementType);
}

Value dlc::writeInto(NodeImport &node, Value value, Value into) {
  value = castShape(node, value, into.getType());
  return bufferization::MaterializeInDestinationOp::create(
             node.b, node.loc, into.getType(), value, into)
      .getResult();
}

Value dlc::ownCopy(NodeImport &node, Value value) {
  if (!value)
    return {};
  return bufferization::AllocTensorOp::create(node.b, node.loc,
                                              node.type(value), ValueRange(),
                                              value, Value(), IntegerAttr());
}

Value dlc::castShape(NodeImport &node, Value value, Type type) {
  if (!value || value.getType() == type)
    return value;
  return tensor::CastOp::create(node.b, node.loc, type, value);
}
