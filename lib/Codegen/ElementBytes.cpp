// The bytes of a constant as generated code reads them.

#include "lib/Codegen/ElementBytes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

int64_t dlc::getElementBytes(Type elementType) {
  if (auto complex = dyn_cast<ComplexType>(elementType))
    return 2 * getElementBytes(complex.getElementType());
  if (isa<IndexType>(elementType))
    return 8;
  if (!elementType.isIntOrFloat())
    return 1;
  return llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8);
}

ArrayRef<char> dlc::getElementData(ElementsAttr value,
                                   std::vector<char> &storage) {
  ShapedType type = value.getShapedType();
  int64_t count = type.getNumElements();
  Type element = type.getElementType();
  int64_t bytes = getElementBytes(element);
  unsigned bits =
      element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 8 * bytes;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return {};
    ArrayRef<char> data = blob->getData();
    if (bits >= 8 || bits == 1)
      return data;
    // ONNX packs elements of 2 and 4 bits, the first in the lowest bits.
    storage.resize(count);
    unsigned perByte = 8 / bits;
    for (int64_t i = 0; i < count; ++i)
      storage[i] =
          (data[i / perByte] >> (bits * (i % perByte))) & ((1u << bits) - 1);
    return storage;
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return {};
  if (bits == 1) {
    storage.reserve(count);
    for (bool bit : dense.getValues<bool>())
      storage.push_back(bit);
    return storage;
  }
  ArrayRef<char> data = dense.getRawData();
  if (!dense.isSplat() || count == 1)
    return data.take_front(count * bytes);
  storage.reserve(count * bytes);
  for (int64_t i = 0; i < count; ++i)
    storage.insert(storage.end(), data.begin(), data.begin() + bytes);
  return storage;
}
