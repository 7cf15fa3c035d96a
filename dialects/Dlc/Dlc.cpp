// The dlc dialect's registration, types and shape arithmetic.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialects/Dlc/DlcDialect.cpp.inc"
#include "dialects/Dlc/DlcEnums.cpp.inc"
#include "dialects/Dlc/DlcInterfaces.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Dlc/DlcTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dlc/DlcAttrs.cpp.inc"

void dlc::DlcDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Dlc/DlcTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Dlc/DlcAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Dlc/DlcOps.cpp.inc"
      >();
}

Operation *dlc::DlcDialect::materializeConstant(OpBuilder &builder,
                                                Attribute value, Type type,
                                                Location loc) {
  if (auto elements = dyn_cast<ElementsAttr>(value))
    if (elements.getType() == type)
      return ConstantOp::create(builder, loc, elements);
  return nullptr;
}

FailureOr<SmallVector<int64_t>>
dlc::broadcastShapes(ArrayRef<ArrayRef<int64_t>> shapes,
                     std::optional<Location> loc) {
  size_t rank = 0;
  for (ArrayRef<int64_t> shape : shapes)
    rank = std::max(rank, shape.size());
  SmallVector<int64_t> result(rank, 1);
  for (ArrayRef<int64_t> shape : shapes) {
    for (auto [i, size] : llvm::enumerate(shape)) {
      int64_t &known = result[rank - shape.size() + i];
      if (size == 1 || size == known)
        continue;
      if (ShapedType::isDynamic(size)) {
        if (known == 1)
          known = size;
        continue;
      }
      if (known != 1 && ShapedType::isStatic(known))
        return emitOptionalError(loc, "expected shapes that broadcast, found ",
                                 known, " against ", size, " in dimension ",
                                 rank - shape.size() + i);
      known = size;
    }
  }
  return result;
}

LogicalResult dlc::inferElementwise(StringRef opName,
                                    std::optional<Location> loc,
                                    ValueRange operands, bool isPredicate,
                                    SmallVectorImpl<Type> &types) {
  SmallVector<ArrayRef<int64_t>> shapes;
  for (Value operand : operands)
    shapes.push_back(cast<RankedTensorType>(operand.getType()).getShape());
  FailureOr<SmallVector<int64_t>> shape = broadcastShapes(shapes, loc);
  if (failed(shape))
    return failure();
  Type element = getElementTypeOrSelf(operands.back());
  // The condition of a select is the one operand of another type.
  ValueRange same = operands.size() == 3 ? operands.drop_front() : operands;
  for (Value operand : same)
    if (getElementTypeOrSelf(operand) != element)
      return emitOptionalError(loc, "'", opName,
                               "' op expected operands of one element type, "
                               "found ",
                               getElementTypeOrSelf(operand), " and ", element);
  if (operands.size() == 3 && !getElementTypeOrSelf(operands[0]).isInteger(1))
    return emitOptionalError(loc, "'", opName,
                             "' op expected a condition of type i1, found ",
                             getElementTypeOrSelf(operands[0]));
  if (isPredicate)
    element = IntegerType::get(element.getContext(), 1);
  types.push_back(RankedTensorType::get(*shape, element));
  return success();
}

Type dlc::getSignlessType(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped.clone(getSignlessType(shaped.getElementType()));
  if (auto integer = dyn_cast<IntegerType>(type))
    return IntegerType::get(type.getContext(), integer.getWidth());
  return type;
}

int64_t dlc::getWindowedSize(int64_t size, int64_t kernel, int64_t stride,
                             int64_t dilation, int64_t padding) {
  if (ShapedType::isDynamic(size))
    return size;
  int64_t span = (kernel - 1) * dilation + 1;
  return std::max<int64_t>(0, size + padding - span + stride) / stride;
}
