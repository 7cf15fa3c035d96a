// Verification of the ops on strings, sequences and maps.

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace dlc;

LogicalResult StringsOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!isa<StringType>(type.getElementType()))
    return emitOpError("expected a tensor of strings, found ") << type;
  if (!llvm::all_of(getValues(), llvm::IsaPred<StringAttr>))
    return emitOpError("expected a list of strings");
  if (int64_t(getValues().size()) != type.getNumElements())
    return emitOpError("expected ")
           << type.getNumElements() << " strings, found " << getValues().size();
  return success();
}

LogicalResult SequenceOp::verify() {
  Type element = cast<SequenceType>(getType()).getElementType();
  if (getAbsent() && !getItems().empty())
    return emitOpError("expected no tensors in an absent sequence");
  for (Value item : getItems())
    if (getElementTypeOrSelf(item) != element)
      return emitOpError("expected tensors of ")
             << element << ", found " << item.getType();
  return success();
}

LogicalResult MapsOp::verify() {
  auto type = cast<MapType>(getType());
  auto keys = cast<RankedTensorType>(getKeys().getType());
  auto values = cast<RankedTensorType>(getValues().getType());
  if (keys.getElementType() != type.getKeyType() ||
      values.getElementType() != type.getValueType())
    return emitOpError("expected keys and values of ")
           << type << ", found " << keys << " and " << values;
  if (isa<StringType>(type.getValueType()))
    return emitOpError("expected values that are numbers");
  return success();
}
