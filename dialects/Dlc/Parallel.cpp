// Work that threads share: dlc.parallel and dlc.fork.
#include "dialects/Dlc/Dlc.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace dlc;

/// What a part is told behind the operands of its kernel: its first unit, its
/// end, memory of its own, since when that is as it is.
static SmallVector<Type> getPartTypes(MLIRContext *context) {
  Builder b(context);
  return {b.getIndexType(), b.getIndexType(),
          LLVM::LLVMPointerType::get(context), b.getIndexType()};
}

void ParallelOp::build(OpBuilder &b, OperationState &state, Value count,
                       int64_t grain) {
  state.addOperands(count);
  state.getOrAddProperties<Properties>().grain = b.getI64IntegerAttr(grain);
  SmallVector<Type> types = getPartTypes(b.getContext());
  OpBuilder::InsertionGuard guard(b);
  Block *body =
      b.createBlock(state.addRegion(), {}, types,
                    SmallVector<Location>(types.size(), state.location));
  b.setInsertionPointToEnd(body);
  YieldOp::create(b, state.location, ValueRange());
}

LogicalResult ParallelOp::verifyRegions() {
  if (TypeRange(getBody().getArgumentTypes()) !=
      TypeRange(getPartTypes(getContext())))
    return emitOpError("expected a region with the arguments (index, index, "
                       "!llvm.ptr, index), found ")
           << getBody().getArgumentTypes();
  return success();
}

LogicalResult ForkOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto function = symbols.lookupNearestSymbolFrom<FunctionOpInterface>(
      *this, getCalleeAttr());
  if (!function)
    return emitOpError("expected a function of the name '")
           << getCallee() << "'";
  SmallVector<Type> types(getArguments().getTypes());
  llvm::append_range(types, getPartTypes(getContext()));
  // In the phase llvm the callee's types are LLVM's.
  if (isa<FunctionType>(function.getFunctionType()) &&
      TypeRange(function.getArgumentTypes()) != TypeRange(types))
    return emitOpError("expected the types of its operands, index, index, "
                       "!llvm.ptr and index as the arguments of '")
           << getCallee() << "', found " << function.getFunctionType();
  return success();
}
