// What ops with destinations and bodies check and do alike.
#include "dialects/Dlc/Destination.h"

using namespace mlir;

LogicalResult dlc::verifyDestination(DestinationStyleOpInterface op,
                                     ValueRange operands, OperandName name) {
  OperandRange inits = op.getDpsInits();
  bool isTensor = llvm::any_of(
      inits.empty() ? operands : ValueRange(inits),
      [](Value value) { return isa<TensorType>(value.getType()); });
  for (auto [i, operand] : llvm::enumerate(operands))
    if (isa<TensorType>(operand.getType()) != isTensor)
      return op->emitOpError("expected all operands to be tensors or all "
                             "memrefs, found ")
             << name(i) << " of " << operand.getType();
  size_t expected = isTensor ? inits.size() : 0;
  if (op->getNumResults() != expected)
    return op->emitOpError("expected ")
           << expected << (expected == 1 ? " result" : " results") << " for "
           << (isTensor ? "tensors" : "memrefs") << ", found "
           << op->getNumResults();
  for (auto [result, init] : llvm::zip(op->getResultTypes(), inits))
    if (isTensor && result != init.getType())
      return op->emitOpError("expected a result of init's type ")
             << init.getType() << ", found " << result;
  return success();
}

LogicalResult dlc::verifySizes(Operation *op, ArrayRef<AffineMap> maps,
                               function_ref<int64_t(unsigned)> extent,
                               OperandName name) {
  for (auto [operand, map] : llvm::enumerate(maps)) {
    auto type = cast<ShapedType>(op->getOperand(operand).getType());
    for (auto [i, expr] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || type.isDynamicDim(i))
        continue;
      int64_t expected = extent(dim.getPosition());
      if (!ShapedType::isDynamic(expected) && expected != type.getDimSize(i))
        return op->emitOpError("expected dimension ")
               << i << " of " << name(operand) << " to be " << expected
               << " as d" << dim.getPosition() << " is elsewhere, found "
               << type.getDimSize(i);
    }
  }
  return success();
}

LogicalResult dlc::verifyBody(Operation *op, StringRef name, Block &body,
                              ValueRange extras, Type yielded) {
  if (body.getNumArguments() != 1 + extras.size())
    return op->emitOpError("expected ")
           << name << " of " << 1 + extras.size()
           << " arguments (the sum, the extras), found "
           << body.getNumArguments();
  for (auto [i, extra] : llvm::enumerate(extras))
    if (body.getArgument(1 + i).getType() !=
        getElementTypeOrSelf(extra.getType()))
      return op->emitOpError("expected argument ")
             << 1 + i << " of " << name << " to have the type of extra " << i
             << "'s elements";
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  if (!yield || yield.getNumOperands() != 1 ||
      yield.getOperand(0).getType() != yielded)
    return op->emitOpError("expected ") << name << " to yield one " << yielded;
  for (Operation &inner : body)
    if (!isMemoryEffectFree(&inner))
      return op->emitOpError("expected no side effects in ")
             << name << ", found '" << inner.getName() << "'";
  return success();
}

void dlc::addDestinationEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<BaseMemRefType>(operand.get().getType()))
      continue;
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}
