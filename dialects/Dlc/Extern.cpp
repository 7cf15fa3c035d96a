// dlc.extern: a call into the program around the model.

#include "dialects/Dlc/Destination.h"

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
  addDestinationEffects(*this, effects);
}

LogicalResult ExternOp::verify() {
  if (getSymbol().empty())
    return emitOpError("expected the name of a function, found \"\"");
  return verifyDestination(*this, getOperands(), [](unsigned operand) {
    return llvm::formatv("operand {0}", operand).str();
  });
}
