// dlc.extern: a call into the program around the model.

#include "dialects/Dlc/Dlc.h"

using namespace mlir;
using namespace dlc;

MutableOperandRange ExternOp::getDpsInitsMutable() { return getInitsMutable(); }

void ExternOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // What else the function does is not known; so it is called as often as the
  // model says, and not while compiling.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
  for (OpOperand &operand : getOperation()->getOpOperands()) {
    if (!isa<BaseMemRefType>(operand.get().getType()))
      continue;
    if (isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}

LogicalResult ExternOp::verify() {
  if (getSymbol().empty())
    return emitOpError("expected the name of a function, found \"\"");
  bool hasTensors = llvm::any_of(getOperandTypes(), llvm::IsaPred<TensorType>);
  size_t expected = hasTensors ? getInits().size() : 0;
  if (getNumResults() != expected)
    return emitOpError("expected ")
           << expected << " results, found " << getNumResults();
  for (Type type : getOperandTypes())
    if (isa<TensorType>(type) != hasTensors)
      return emitOpError("expected tensors or buffers only, found both");
  return success();
}
