// The body of an op on scalars, computed on vectors.
#include "passes/Cpu/VectorBody.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

bool dlc::hasVectorBody(Block &body) {
  for (Operation &op : body.without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>())
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&op) || op.getNumRegions() ||
        op.getNumResults() != 1)
      return false;
  }
  return true;
}

SmallVector<Value> dlc::emitVectorBody(ImplicitLocOpBuilder &b, Block &body,
                                       ArrayRef<Value> arguments,
                                       int64_t width) {
  IRMapping mapping;
  for (auto [argument, value] : llvm::zip_equal(body.getArguments(), arguments))
    mapping.map(argument, value);
  auto spread = [&](Value scalar) -> Value {
    if (!width)
      return scalar;
    return vector::BroadcastOp::create(
        b, VectorType::get({width}, scalar.getType()), scalar);
  };
  auto spreadOuter = [&](Value value) {
    if (!mapping.contains(value))
      mapping.map(value, spread(value));
  };
  for (Operation &op : body.without_terminator()) {
    llvm::for_each(op.getOperands(), spreadOuter);
    Operation *copy = b.clone(op, mapping);
    if (op.hasTrait<OpTrait::ConstantLike>())
      mapping.map(op.getResult(0), spread(copy->getResult(0)));
    else if (width)
      copy->getResult(0).setType(
          VectorType::get({width}, op.getResult(0).getType()));
  }
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands()) {
    spreadOuter(value);
    results.push_back(mapping.lookup(value));
  }
  return results;
}

// Masks are made of arith ops: what vector has for them, the patterns that
// convert vector to LLVM leave behind.
Value dlc::getConstantMask(ImplicitLocOpBuilder &b, int64_t count,
                           int64_t width) {
  SmallVector<bool> bits(width);
  std::fill_n(bits.begin(), count, true);
  auto type = VectorType::get({width}, b.getI1Type());
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, bits));
}

void dlc::markVectorCode(Operation *op) {
  auto function = op->getParentOfType<func::FuncOp>();
  if (!function || !function.isPrivate())
    return;
  llvm::SetVector<Attribute> attributes;
  if (auto others = function->getAttrOfType<ArrayAttr>("passthrough"))
    attributes.insert_range(others);
  attributes.insert(StringAttr::get(op->getContext(), kVectorCodeAttr));
  function->setAttr("passthrough",
                    ArrayAttr::get(op->getContext(), attributes.getArrayRef()));
}

void dlc::keepRolled(Operation *loop) {
  MLIRContext *context = loop->getContext();
  auto unroll = LLVM::LoopUnrollAttr::get(
      context, /*disable=*/BoolAttr::get(context, true), {}, {}, {}, {}, {},
      {});
  loop->setAttr("llvm.loop_annotation",
                LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {},
                                              {}, {}, {}, {}, {}, {}, {}, {},
                                              {}, {}));
}
