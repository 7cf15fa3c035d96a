/// \file
/// MLIR's types and constants as ONNX's messages.
#include "lib/OnnxWriter/Writer.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace dlc::writer;

static int32_t toDataType(IntegerType type) {
  using T = pb::TensorProto;
  bool isUnsigned = type.isUnsigned();
  switch (type.getWidth()) {
  case 1:
    return T::BOOL;
  case 2:
    return isUnsigned ? T::UINT2 : T::INT2;
  case 4:
    return isUnsigned ? T::UINT4 : T::INT4;
  case 8:
    return isUnsigned ? T::UINT8 : T::INT8;
  case 16:
    return isUnsigned ? T::UINT16 : T::INT16;
  case 32:
    return isUnsigned ? T::UINT32 : T::INT32;
  case 64:
    return isUnsigned ? T::UINT64 : T::INT64;
  default:
    return T::UNDEFINED;
  }
}

int32_t dlc::writer::toDataType(Type element) {
  using T = pb::TensorProto;
  return llvm::TypeSwitch<Type, int32_t>(element)
      .Case([](IntegerType type) { return ::toDataType(type); })
      .Case([](Float32Type) { return T::FLOAT; })
      .Case([](Float64Type) { return T::DOUBLE; })
      .Case([](Float16Type) { return T::FLOAT16; })
      .Case([](BFloat16Type) { return T::BFLOAT16; })
      .Case([](Float8E4M3FNType) { return T::FLOAT8E4M3FN; })
      .Case([](Float8E4M3FNUZType) { return T::FLOAT8E4M3FNUZ; })
      .Case([](Float8E5M2Type) { return T::FLOAT8E5M2; })
      .Case([](Float8E5M2FNUZType) { return T::FLOAT8E5M2FNUZ; })
      .Case([](Float8E8M0FNUType) { return T::FLOAT8E8M0; })
      .Case([](Float4E2M1FNType) { return T::FLOAT4E2M1; })
      .Case([](Float6E2M3FNType) { return T::FLOAT6E2M3; })
      .Case([](Float6E3M2FNType) { return T::FLOAT6E3M2; })
      .Case([](ir::StringType) { return T::STRING; })
      .Case([](ComplexType type) {
        return type.getElementType().isF32() ? T::COMPLEX64 : T::COMPLEX128;
      })
      .Default([](Type) { return T::UNDEFINED; });
}

/// Fills the message of a dense or sparse tensor's type.
template <typename Proto>
static void writeTensorType(Proto &proto, ShapedType type,
                            DictionaryAttr entry) {
  proto.set_elem_type(toDataType(type.getElementType()));
  if (!type.hasRank())
    return;
  auto get = [&](StringRef name, size_t i) -> StringRef {
    auto list = entry ? entry.getAs<ArrayAttr>(name) : ArrayAttr();
    return list && i < list.size() ? cast<StringAttr>(list[i]).getValue() : "";
  };
  proto.mutable_shape();
  for (auto [i, size] : llvm::enumerate(type.getShape())) {
    auto *dim = proto.mutable_shape()->add_dim();
    if (!ShapedType::isDynamic(size))
      dim->set_dim_value(size);
    else if (StringRef name = get("dim_names", i); !name.empty())
      dim->set_dim_param(name.str());
    if (StringRef text = get("dim_denotations", i); !text.empty())
      dim->set_denotation(text.str());
  }
}

void dlc::writer::writeType(pb::TypeProto &proto, Type type,
                            DictionaryAttr entry) {
  llvm::TypeSwitch<Type>(type)
      .Case([&](ShapedType shaped) {
        writeTensorType(*proto.mutable_tensor_type(), shaped, entry);
      })
      .Case([&](ir::SparseType sparse) {
        writeTensorType(*proto.mutable_sparse_tensor_type(),
                        cast<ShapedType>(sparse.getTensorType()), entry);
      })
      .Case([&](ir::SeqType seq) {
        writeType(*proto.mutable_sequence_type()->mutable_elem_type(),
                  seq.getElementType(), {});
      })
      .Case([&](ir::OptionalType optional) {
        writeType(*proto.mutable_optional_type()->mutable_elem_type(),
                  optional.getElementType(), {});
      })
      .Case([&](ir::MapType map) {
        proto.mutable_map_type()->set_key_type(toDataType(map.getKeyType()));
        writeType(*proto.mutable_map_type()->mutable_value_type(),
                  map.getValueType(), {});
      })
      .Case([&](ir::OpaqueType opaque) {
        proto.mutable_opaque_type()->set_domain(opaque.getDomain().str());
        proto.mutable_opaque_type()->set_name(opaque.getName().str());
      });
  if (entry)
    if (auto text = entry.getAs<StringAttr>("denotation"))
      proto.set_denotation(text.str());
}

void dlc::writer::writeTensor(pb::TensorProto &proto, ElementsAttr value,
                              DataFile &data) {
  auto type = cast<ShapedType>(value.getType());
  for (int64_t size : type.getShape())
    proto.add_dims(size);
  proto.set_data_type(toDataType(type.getElementType()));
  if (auto strings = dyn_cast<DenseStringElementsAttr>(value)) {
    for (int64_t i = 0, n = type.getNumElements(); i < n; ++i)
      proto.add_string_data(
          strings.getRawStringData()[strings.isSplat() ? 0 : i].str());
    return;
  }
  SmallVector<char> storage;
  ArrayRef<char> bytes = ir::getRawBytes(value, storage);
  if (!data.stream || bytes.size() < kExternalBytes) {
    proto.set_raw_data(bytes.data(), bytes.size());
    return;
  }
  // Pages are what can be mapped.
  uint64_t padding = llvm::alignTo(data.offset, 4096) - data.offset;
  data.stream->write_zeros(padding);
  data.offset += padding;
  proto.set_data_location(pb::TensorProto::EXTERNAL);
  auto add = [&](StringRef key, const std::string &text) {
    auto *entry = proto.add_external_data();
    entry->set_key(key.str());
    entry->set_value(text);
  };
  add("location", data.name);
  add("offset", std::to_string(data.offset));
  add("length", std::to_string(bytes.size()));
  data.stream->write(bytes.data(), bytes.size());
  data.offset += bytes.size();
}
