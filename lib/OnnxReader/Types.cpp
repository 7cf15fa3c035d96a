/// \file
/// ONNX's types as types of MLIR.
#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxReader/Model.h"

using namespace mlir;
using namespace dlc::reader;

Type dlc::reader::convertElementType(MLIRContext *context, int dataType) {
  auto integer = [&](unsigned width, bool isUnsigned = false) -> Type {
    return IntegerType::get(context, width,
                            isUnsigned ? IntegerType::Unsigned
                                       : IntegerType::Signless);
  };
  using T = pb::TensorProto;
  switch (dataType) {
  case T::UNDEFINED:
    return ir::UnknownType::get(context);
  case T::FLOAT:
    return Float32Type::get(context);
  case T::UINT8:
    return integer(8, true);
  case T::INT8:
    return integer(8);
  case T::UINT16:
    return integer(16, true);
  case T::INT16:
    return integer(16);
  case T::INT32:
    return integer(32);
  case T::INT64:
    return integer(64);
  case T::STRING:
    return ir::StringType::get(context);
  case T::BOOL:
    return integer(1);
  case T::FLOAT16:
    return Float16Type::get(context);
  case T::DOUBLE:
    return Float64Type::get(context);
  case T::UINT32:
    return integer(32, true);
  case T::UINT64:
    return integer(64, true);
  case T::COMPLEX64:
    return ComplexType::get(Float32Type::get(context));
  case T::COMPLEX128:
    return ComplexType::get(Float64Type::get(context));
  case T::BFLOAT16:
    return BFloat16Type::get(context);
  case T::FLOAT8E4M3FN:
    return Float8E4M3FNType::get(context);
  case T::FLOAT8E4M3FNUZ:
    return Float8E4M3FNUZType::get(context);
  case T::FLOAT8E5M2:
    return Float8E5M2Type::get(context);
  case T::FLOAT8E5M2FNUZ:
    return Float8E5M2FNUZType::get(context);
  case T::UINT4:
    return integer(4, true);
  case T::INT4:
    return integer(4);
  case T::FLOAT4E2M1:
    return Float4E2M1FNType::get(context);
  case T::FLOAT8E8M0:
    return Float8E8M0FNUType::get(context);
  case T::UINT2:
    return integer(2, true);
  case T::INT2:
    return integer(2);
  case T::FLOAT6E2M3:
    return Float6E2M3FNType::get(context);
  case T::FLOAT6E3M2:
    return Float6E3M2FNType::get(context);
  default:
    return {};
  }
}

/// The type of a dense or sparse tensor message, null for an unknown element.
template <typename T>
static Type convertTensorType(MLIRContext *context, const T &type,
                              bool inferred) {
  Type element = convertElementType(context, type.elem_type());
  if (!element)
    return {};
  if (!type.has_shape())
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  for (const auto &dim : type.shape().dim()) {
    bool known = dim.has_dim_value() &&
                 (inferred ? dim.dim_value() >= 0 : dim.dim_value() > 0);
    shape.push_back(known ? dim.dim_value() : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, element);
}

FailureOr<Type> dlc::reader::convertType(MLIRContext *context,
                                         const pb::TypeProto &type,
                                         bool inferred) {
  Type result;
  switch (type.value_case()) {
  case pb::TypeProto::kTensorType:
    result = convertTensorType(context, type.tensor_type(), inferred);
    break;
  case pb::TypeProto::kSparseTensorType:
    if (Type dense =
            convertTensorType(context, type.sparse_tensor_type(), inferred))
      result = ir::SparseType::get(context, dense);
    break;
  case pb::TypeProto::kSequenceType: {
    auto element =
        convertType(context, type.sequence_type().elem_type(), inferred);
    if (succeeded(element))
      result = ir::SeqType::get(context, *element);
    break;
  }
  case pb::TypeProto::kOptionalType: {
    auto element =
        convertType(context, type.optional_type().elem_type(), inferred);
    if (succeeded(element))
      result = ir::OptionalType::get(context, *element);
    break;
  }
  case pb::TypeProto::kMapType: {
    Type key = convertElementType(context, type.map_type().key_type());
    auto value = convertType(context, type.map_type().value_type(), inferred);
    if (key && succeeded(value))
      result = ir::MapType::get(context, key, *value);
    break;
  }
  case pb::TypeProto::kOpaqueType:
    result = ir::OpaqueType::get(context, type.opaque_type().domain(),
                                 type.opaque_type().name());
    break;
  case pb::TypeProto::VALUE_NOT_SET:
    result = ir::UnknownType::get(context);
    break;
  }
  if (!result)
    return failure();
  return result;
}
