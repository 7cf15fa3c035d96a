// The body of an op on scalars, computed on vectors.
#include "passes/Cpu/VectorBody.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
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

/// The address of a byte of a flat buffer of booleans.
static Value getByte(ImplicitLocOpBuilder &b, Value buffer, Value offset) {
  auto metadata = memref::ExtractStridedMetadataOp::create(b, buffer);
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(
      b, metadata.getBaseBuffer());
  address = b.createOrFold<arith::AddIOp>(address, metadata.getOffset());
  address = b.createOrFold<arith::AddIOp>(address, offset);
  address = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                  address);
}

Value dlc::loadBooleans(ImplicitLocOpBuilder &b, Value buffer, Value offset,
                        int64_t width, Value mask) {
  auto type = VectorType::get({width}, b.getI8Type());
  Value address = getByte(b, buffer, offset);
  if (!mask)
    return LLVM::LoadOp::create(b, type, address, /*alignment=*/1);
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return LLVM::MaskedLoadOp::create(b, type, address, mask, none,
                                    /*alignment=*/1);
}

void dlc::storeBooleans(ImplicitLocOpBuilder &b, Value vector, Value buffer,
                        Value offset, Value mask) {
  Type type = cast<VectorType>(vector.getType()).clone(b.getI8Type());
  Value bytes = arith::ExtUIOp::create(b, type, vector);
  Value address = getByte(b, buffer, offset);
  if (mask)
    LLVM::MaskedStoreOp::create(b, bytes, address, mask, /*alignment=*/1);
  else
    LLVM::StoreOp::create(b, bytes, address, /*alignment=*/1);
}

Value dlc::toBooleans(ImplicitLocOpBuilder &b, Value bytes) {
  Value none = arith::ConstantOp::create(
      b, cast<TypedAttr>(b.getZeroAttr(bytes.getType())));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bytes, none);
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
