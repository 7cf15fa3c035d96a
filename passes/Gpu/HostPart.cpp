// What the passes ask about the part of a model that stays on the host.
#include "passes/Gpu/HostPart.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace dlc;

Value dlc::sourceOf(Operation *view) {
  if (!view)
    return {};
  if (auto cast = dyn_cast<memref::CastOp>(view))
    return cast.getSource();
  if (auto like = dyn_cast<ViewLikeOpInterface>(view))
    return like.getViewSource();
  return {};
}

Value dlc::rootOf(Value value) {
  while (Value source = sourceOf(value.getDefiningOp()))
    value = source;
  return value;
}

SmallVector<bool> dlc::findWrittenArguments(func::FuncOp kernel) {
  SmallVector<bool> written(kernel.getNumArguments());
  kernel.walk([&](MemoryEffectOpInterface op) {
    SmallVector<MemoryEffects::EffectInstance> effects;
    op.getEffects(effects);
    for (const MemoryEffects::EffectInstance &effect : effects) {
      if (!isa<MemoryEffects::Write>(effect.getEffect()) || !effect.getValue())
        continue;
      auto argument = dyn_cast<BlockArgument>(rootOf(effect.getValue()));
      if (argument && argument.getOwner() == &kernel.front())
        written[argument.getArgNumber()] = true;
    }
  });
  return written;
}

BufferClasses::BufferClasses(func::FuncOp function) {
  auto uniteBuffers = [&](Value a, Value b) {
    if (isa<BaseMemRefType>(a.getType()) && isa<BaseMemRefType>(b.getType()))
      unite(a, b);
  };
  function.walk([&](Operation *op) {
    if (Value source = sourceOf(op))
      uniteBuffers(source, op->getResult(0));
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      uniteBuffers(select.getTrueValue(), select.getResult());
      uniteBuffers(select.getFalseValue(), select.getResult());
    }
    if (auto branch = dyn_cast<RegionBranchOpInterface>(op)) {
      RegionBranchSuccessorMapping mapping;
      branch.getSuccessorOperandInputMapping(mapping);
      for (auto &[operand, inputs] : mapping)
        for (Value input : inputs)
          uniteBuffers(operand->get(), input);
    }
  });
}

Value BufferClasses::classOf(Value buffer) const {
  const void *pointer = buffer.getAsOpaquePointer();
  auto it = classes.findLeader(pointer);
  if (it == classes.member_end())
    return buffer;
  return Value::getFromOpaquePointer(*it);
}

void BufferClasses::unite(Value a, Value b) {
  classes.unionSets(a.getAsOpaquePointer(), b.getAsOpaquePointer());
}
