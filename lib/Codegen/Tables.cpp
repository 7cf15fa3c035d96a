// The tables of tensors, and the layout of the structs that a header declares.
#include "lib/Codegen/Tables.h"

using namespace llvm;
using namespace dlc;

/// An array of dlc_tensor_info.
Constant *Tables::tensors(StringRef suffix, ArrayRef<TensorInterface> list) {
  SmallVector<Constant *> infos;
  for (const TensorInterface &tensor : list) {
    SmallVector<Constant *> names;
    for (const std::string &name : tensor.dimNames)
      names.push_back(string(name));
    infos.push_back(
        record({string(tensor.name), string(tensor.cName), int32(tensor.dtype),
                int32(tensor.dims.size()), ints<int64_t>("dims", tensor.dims),
                array("dim_names", pointer, names)}));
  }
  if (infos.empty())
    return null;
  return array(suffix, infos.front()->getType(), infos);
}

/// The C layout of a generated struct.
StructType *Tables::layout(ArrayRef<StructField> fields,
                           ArrayRef<TensorInterface> tensors) {
  SmallVector<Type *> types;
  for (const StructField &field : fields) {
    switch (field.kind) {
    case StructField::Pointer:
      types.push_back(pointer);
      break;
    case StructField::Dim:
      types.push_back(i64);
      break;
    case StructField::Capacity:
      types.push_back(size);
      break;
    case StructField::Shape:
      types.push_back(ArrayType::get(i64, tensors[field.tensor].dims.size()));
      break;
    }
  }
  return StructType::get(context, types);
}
