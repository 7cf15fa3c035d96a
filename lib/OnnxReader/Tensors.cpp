/// \file
/// Tensors of the model: external data, the check of shapes and sizes, and
/// the conversion to attributes without a copy of large ones.
#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Alignment.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace dlc::reader;

//===----------------------------------------------------------------------===//
// Walking
//===----------------------------------------------------------------------===//

namespace {
struct TensorWalk {
  Model &model;
  llvm::function_ref<void(pb::TensorProto &, Location)> visit;

  void sparse(pb::SparseTensorProto &tensor, Location loc) {
    visit(*tensor.mutable_values(), loc);
    // Left out where there are no values.
    if (!tensor.has_indices() && tensor.values().dims_size() == 1 &&
        tensor.values().dims(0) == 0) {
      tensor.mutable_indices()->set_data_type(pb::TensorProto::INT64);
      tensor.mutable_indices()->add_dims(0);
    }
    visit(*tensor.mutable_indices(), loc);
  }
  void attribute(pb::AttributeProto &attribute, Location loc) {
    if (attribute.has_t())
      visit(*attribute.mutable_t(), loc);
    for (pb::TensorProto &tensor : *attribute.mutable_tensors())
      visit(tensor, loc);
    if (attribute.has_sparse_tensor())
      sparse(*attribute.mutable_sparse_tensor(), loc);
    for (pb::SparseTensorProto &tensor : *attribute.mutable_sparse_tensors())
      sparse(tensor, loc);
    if (attribute.has_g())
      graph(*attribute.mutable_g());
    for (pb::GraphProto &inner : *attribute.mutable_graphs())
      graph(inner);
  }
  void nodes(google::protobuf::RepeatedPtrField<pb::NodeProto> &list) {
    for (pb::NodeProto &node : list) {
      Location loc = model.nodeLoc(node);
      for (pb::AttributeProto &inner : *node.mutable_attribute())
        attribute(inner, loc);
    }
  }
  void graph(pb::GraphProto &graph) {
    for (pb::TensorProto &tensor : *graph.mutable_initializer())
      visit(tensor, model.namedLoc(tensor.name()));
    for (pb::SparseTensorProto &tensor : *graph.mutable_sparse_initializer())
      sparse(tensor, model.namedLoc(tensor.values().name()));
    nodes(*graph.mutable_node());
  }
};
} // namespace

void dlc::reader::forEachTensor(
    Model &model, llvm::function_ref<void(pb::TensorProto &, Location)> visit) {
  TensorWalk walk{model, visit};
  walk.graph(*model.proto.mutable_graph());
  for (pb::FunctionProto &function : *model.proto.mutable_functions()) {
    walk.nodes(*function.mutable_node());
    for (pb::AttributeProto &attribute : *function.mutable_attribute_proto())
      walk.attribute(attribute, model.namedLoc(function.name()));
  }
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

const Blob *dlc::reader::stubOf(const Model &model,
                                const pb::TensorProto &tensor) {
  if (tensor.data_location() != pb::TensorProto::EXTERNAL)
    return nullptr;
  for (const pb::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef value = entry.value();
    size_t index;
    if (entry.key() == "location" && value.consume_front("#") &&
        !value.getAsInteger(10, index) && index < model.blobs.size())
      return &model.blobs[index];
  }
  return nullptr;
}

/// Makes `tensor` a stub of `blob`.
static void makeStub(Model &model, pb::TensorProto &tensor, Blob blob) {
  tensor.clear_raw_data();
  tensor.clear_float_data();
  tensor.clear_int32_data();
  tensor.clear_int64_data();
  tensor.clear_double_data();
  tensor.clear_uint64_data();
  tensor.clear_external_data();
  tensor.set_data_location(pb::TensorProto::EXTERNAL);
  pb::StringStringEntryProto *entry = tensor.add_external_data();
  entry->set_key("location");
  entry->set_value("#" + std::to_string(model.blobs.size()));
  model.blobs.push_back(std::move(blob));
}

/// The number of elements, nullopt when a size is negative or they overflow.
static std::optional<int64_t> countElements(const pb::TensorProto &tensor) {
  int64_t count = 1;
  for (int64_t size : tensor.dims())
    if (size < 0 || llvm::MulOverflow(count, size, count))
      return std::nullopt;
  return count;
}

/// Appends the `bytes` low bytes of every entry of a typed field.
template <typename Field>
static void appendLow(std::vector<char> &out, const Field &field,
                      unsigned bytes) {
  out.reserve(field.size() * bytes);
  for (auto entry : field)
    for (unsigned b = 0; b < bytes; ++b)
      out.push_back(char(uint64_t(entry) >> (8 * b)));
}

template <typename Field>
static void appendWhole(std::vector<char> &out, const Field &field) {
  auto *begin = reinterpret_cast<const char *>(field.data());
  out.assign(begin, begin + field.size() * sizeof(*field.data()));
}

/// The values of a typed field (float_data, int32_data, ...) as raw_data.
static std::vector<char> typedToRaw(const pb::TensorProto &tensor, Type element,
                                    int64_t count) {
  std::vector<char> out;
  using T = pb::TensorProto;
  switch (tensor.data_type()) {
  case T::FLOAT:
  case T::COMPLEX64:
    appendWhole(out, tensor.float_data());
    break;
  case T::DOUBLE:
  case T::COMPLEX128:
    appendWhole(out, tensor.double_data());
    break;
  case T::INT64:
    appendWhole(out, tensor.int64_data());
    break;
  case T::UINT64:
    appendWhole(out, tensor.uint64_data());
    break;
  case T::UINT32:
    appendLow(out, tensor.uint64_data(), 4);
    break;
  case T::BOOL:
    for (int32_t entry : tensor.int32_data())
      out.push_back(entry != 0);
    break;
  default: {
    unsigned bits = element.getIntOrFloatBitWidth();
    int64_t entries = tensor.int32_data_size();
    if (bits >= 8) {
      appendLow(out, tensor.int32_data(), bits / 8);
    } else if (bits == 6 || (entries == count && count > 8 / bits)) {
      // One element an entry.
      out.resize((count * bits + 7) / 8);
      for (int64_t i = 0; i < std::min(count, entries); ++i)
        for (unsigned b = 0; b < bits; ++b)
          if (tensor.int32_data(i) >> b & 1)
            out[(i * bits + b) / 8] |= char(1 << ((i * bits + b) % 8));
    } else {
      // Packed, one byte or four bytes an entry.
      int64_t expected = (count * bits + 7) / 8;
      appendLow(out, tensor.int32_data(), entries == expected ? 1 : 4);
      if (int64_t(out.size()) > expected && entries == (expected + 3) / 4)
        out.resize(expected);
    }
  }
  }
  return out;
}

/// Whether the values are in a typed field.
static bool isTyped(const pb::TensorProto &tensor) {
  return tensor.float_data_size() || tensor.int32_data_size() ||
         tensor.int64_data_size() || tensor.double_data_size() ||
         tensor.uint64_data_size();
}

LogicalResult dlc::reader::checkTensor(const Model &model,
                                       const pb::TensorProto &tensor,
                                       Location loc) {
  auto shape = [&]() {
    std::string text;
    llvm::raw_string_ostream os(text);
    os << '[';
    llvm::interleaveComma(tensor.dims(), os);
    os << ']';
    return text;
  };
  Type element = convertElementType(model.context, tensor.data_type());
  if (!element || tensor.data_type() == pb::TensorProto::UNDEFINED)
    return emitError(loc, "tensor has the unknown data type ")
           << tensor.data_type();
  std::optional<int64_t> count = countElements(tensor);
  if (!count)
    return emitError(loc, "tensor has the shape ")
           << shape()
           << ", expected sizes of at least 0 whose product is below 2^63";
  if (tensor.has_segment())
    return emitError(loc,
                     "tensor is stored in segments, which is not supported");
  if (isa<ir::StringType>(element)) {
    if (tensor.string_data_size() != *count)
      return emitError(loc, "tensor of shape ")
             << shape() << " expected " << *count << " strings, found "
             << tensor.string_data_size();
    return success();
  }
  std::optional<int64_t> expected = ir::getRawSize(element, *count);
  if (!expected)
    return emitError(loc, "tensor of shape ") << shape() << " is too large";
  int64_t found;
  if (const Blob *blob = stubOf(model, tensor)) {
    found = blob->bytes.size();
  } else {
    if (tensor.string_data_size())
      return emitError(loc, "tensor of type ")
             << element << " has strings as values";
    if (tensor.has_raw_data() && !tensor.raw_data().empty()) {
      if (isTyped(tensor))
        return emitError(loc, "tensor has its values in several fields");
      found = tensor.raw_data().size();
    } else {
      found = typedToRaw(tensor, element, *count).size();
    }
  }
  if (found != *expected)
    return emitError(loc, "tensor of shape ")
           << shape() << " and type " << element << " expected " << *expected
           << " bytes of data, found " << found;
  return success();
}

ArrayRef<char> dlc::reader::getRawData(const Model &model,
                                       const pb::TensorProto &tensor,
                                       std::vector<char> &storage) {
  if (const Blob *blob = stubOf(model, tensor))
    return blob->bytes;
  if (!tensor.raw_data().empty())
    return ArrayRef<char>(tensor.raw_data().data(), tensor.raw_data().size());
  storage =
      typedToRaw(tensor, convertElementType(model.context, tensor.data_type()),
                 countElements(tensor).value_or(0));
  return storage;
}

void dlc::reader::setRawData(
    Model &model, pb::TensorProto &tensor,
    std::shared_ptr<const std::vector<char>> elements) {
  if (elements->size() < kStubBytes)
    tensor.set_raw_data(elements->data(), elements->size());
  else
    makeStub(model, tensor, {ArrayRef<char>(*elements), elements});
}

//===----------------------------------------------------------------------===//
// External data
//===----------------------------------------------------------------------===//

namespace {
/// Maps the files of external data, each once.
class ExternalFiles {
public:
  explicit ExternalFiles(Model &model) : model(model) {}

  /// Turns a tensor with external data into a stub.
  LogicalResult load(pb::TensorProto &tensor, Location loc);

private:
  Model &model;
  llvm::StringMap<std::shared_ptr<llvm::MemoryBuffer>> files;
};
} // namespace

LogicalResult ExternalFiles::load(pb::TensorProto &tensor, Location loc) {
  StringRef location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
  for (const pb::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    uint64_t number;
    if (key == "location")
      location = value;
    if (key != "offset" && key != "length")
      continue;
    if (value.getAsInteger(10, number))
      return emitError(loc, "external data expected a number as its ")
             << key << ", found '" << value << "'";
    if (key == "offset")
      offset = number;
    else
      length = number;
  }
  if (location.empty())
    return emitError(loc, "external data expected a location, found none");

  // The data lies in the model's folder or below it.
  SmallString<128> relative(location);
  llvm::sys::path::remove_dots(relative, /*remove_dot_dot=*/true);
  if (llvm::sys::path::is_absolute(location) ||
      *llvm::sys::path::begin(relative) == "..")
    return emitError(loc, "external data expected a file below the model's "
                          "folder, found '")
           << location << "'";
  SmallString<256> path(model.directory);
  llvm::sys::path::append(path, relative);
  std::shared_ptr<llvm::MemoryBuffer> &file = files[path];
  if (!file) {
    // A pipe would be waited for.
    if (llvm::sys::fs::exists(path) && !llvm::sys::fs::is_regular_file(path))
      return emitError(loc, "cannot read the external data '")
             << path << "': expected a regular file";
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                              /*RequiresNullTerminator=*/false);
    if (!buffer)
      return emitError(loc, "cannot read the external data '")
             << path << "': " << buffer.getError().message();
    file = std::move(*buffer);
  }

  uint64_t size = file->getBufferSize();
  if (!length) {
    Type element = convertElementType(model.context, tensor.data_type());
    std::optional<int64_t> count = countElements(tensor);
    std::optional<int64_t> bytes =
        element && count ? ir::getRawSize(element, *count) : std::nullopt;
    length = bytes ? *bytes : 0;
  }
  if (offset > size || *length > size - offset)
    return emitError(loc, "external data expected ")
           << *length << " bytes at offset " << offset << " of '" << location
           << "', which has " << size << " bytes";
  makeStub(model, tensor,
           {ArrayRef<char>(file->getBufferStart() + offset, *length), file});
  return success();
}

LogicalResult dlc::reader::loadTensors(Model &model) {
  ExternalFiles files(model);
  bool ok = true;
  forEachTensor(model, [&](pb::TensorProto &tensor, Location loc) {
    if (tensor.data_location() == pb::TensorProto::EXTERNAL &&
        !stubOf(model, tensor)) {
      if (isTyped(tensor) || !tensor.raw_data().empty()) {
        emitError(loc, "tensor has both external data and values of its own");
        ok = false;
        return;
      }
      if (failed(files.load(tensor, loc))) {
        ok = false;
        return;
      }
    }
    if (failed(checkTensor(model, tensor, loc))) {
      ok = false;
      return;
    }
    // Values in typed fields: large ones become stubs as well.
    size_t entries = size_t(tensor.int32_data_size()) +
                     tensor.int64_data_size() + tensor.uint64_data_size() +
                     tensor.float_data_size() + tensor.double_data_size();
    if (entries >= kStubBytes / 4) {
      auto raw = std::make_shared<std::vector<char>>(typedToRaw(
          tensor, convertElementType(model.context, tensor.data_type()),
          *countElements(tensor)));
      makeStub(model, tensor, {ArrayRef<char>(*raw), raw});
    }
  });
  return success(ok);
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// A dense attribute of few elements from raw_data.
static Attribute smallTensor(RankedTensorType type, ArrayRef<char> raw) {
  Type element = type.getElementType();
  if (element.isInteger(1)) {
    SmallVector<bool> bits;
    for (char byte : raw)
      bits.push_back(byte != 0);
    return DenseElementsAttr::get(type, bits);
  }
  if (element.isIntOrFloat() && element.getIntOrFloatBitWidth() < 8) {
    // One byte an element, as MLIR has them.
    unsigned bits = element.getIntOrFloatBitWidth();
    SmallVector<char> bytes;
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      unsigned x = 0;
      for (unsigned b = 0; b < bits; ++b)
        x |= unsigned(uint8_t(raw[(i * bits + b) / 8]) >> ((i * bits + b) % 8) &
                      1)
             << b;
      bytes.push_back(char(x));
    }
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  }
  return DenseElementsAttr::getFromRawBuffer(type, raw);
}

Attribute dlc::reader::convertTensor(const Model &model,
                                     const pb::TensorProto &tensor,
                                     StringRef name) {
  Type element = convertElementType(model.context, tensor.data_type());
  auto type = RankedTensorType::get(
      SmallVector<int64_t>(tensor.dims().begin(), tensor.dims().end()),
      element);
  if (isa<ir::StringType>(element)) {
    SmallVector<StringRef> strings(tensor.string_data().begin(),
                                   tensor.string_data().end());
    return DenseStringElementsAttr::get(type, strings);
  }

  std::vector<char> converted;
  ArrayRef<char> raw = getRawData(model, tensor, converted);
  const Blob *blob = stubOf(model, tensor);
  // Every byte but 0 is true; what follows knows 0 and 1.
  if (element.isInteger(1) &&
      llvm::any_of(raw, [](char byte) { return uint8_t(byte) > 1; })) {
    std::vector<char> truths(raw.begin(), raw.end());
    for (char &byte : truths)
      byte = byte != 0;
    converted = std::move(truths);
    raw = converted;
    blob = nullptr;
  }
  if (raw.size() <= kResourceBytes)
    return smallTensor(type, raw);

  // Identifiers print without quotes and need no escapes.
  std::string key = name.empty() ? "tensor" : name.str();
  for (char &c : key)
    if (!isalnum(uint8_t(c)) && c != '_' && c != '.')
      c = '_';
  if (!isalpha(uint8_t(key[0])))
    key = "_" + key;

  // Share the mapped file where elements are aligned in it.
  size_t alignment = 1;
  if (element.isIntOrFloat())
    alignment = llvm::PowerOf2Ceil(
        llvm::divideCeil(element.getIntOrFloatBitWidth(), 8));
  else
    alignment =
        cast<ComplexType>(element).getElementType().getIntOrFloatBitWidth() / 8;
  if (blob && llvm::isAddrAligned(llvm::Align(alignment), raw.data())) {
    std::shared_ptr<const void> owner = blob->owner;
    return DenseResourceElementsAttr::get(
        type, key,
        AsmResourceBlob(
            raw, alignment, [owner](void *, size_t, size_t) {},
            /*dataIsMutable=*/false));
  }
  return DenseResourceElementsAttr::get(
      type, key,
      HeapAsmResourceBlob::allocateAndCopyWithAlign(raw, 64,
                                                    /*dataIsMutable=*/false));
}
