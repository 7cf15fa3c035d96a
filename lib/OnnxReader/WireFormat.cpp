/// \file
/// Reads the file into the protobuf message without the bytes of large
/// tensors. Protobuf would copy them (and refuses files of 2 GB); so this
/// walks the wire format (https://protobuf.dev/programming-guides/encoding),
/// leaves large raw_data, float_data and double_data where they are in the
/// mapped file, and parses the small rest.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc::reader;

namespace {

/// The messages of onnx.proto on the way to a tensor.
enum class Message {
  None,
  Model,
  Training,
  Function,
  Graph,
  Node,
  Attribute,
  Sparse,
  Tensor
};

/// The kind of message that a field of a message holds.
Message fieldMessage(Message message, unsigned field) {
  switch (message) {
  case Message::Model:
    return field == 7    ? Message::Graph
           : field == 20 ? Message::Training
           : field == 25 ? Message::Function
                         : Message::None;
  case Message::Training:
    return field <= 2 ? Message::Graph : Message::None;
  case Message::Function:
    return field == 7    ? Message::Node
           : field == 11 ? Message::Attribute
                         : Message::None;
  case Message::Graph:
    return field == 1    ? Message::Node
           : field == 5  ? Message::Tensor
           : field == 15 ? Message::Sparse
                         : Message::None;
  case Message::Node:
    return field == 5 ? Message::Attribute : Message::None;
  case Message::Attribute:
    return field == 5 || field == 10    ? Message::Tensor
           : field == 6 || field == 11  ? Message::Graph
           : field == 22 || field == 23 ? Message::Sparse
                                        : Message::None;
  case Message::Sparse:
    return field <= 2 ? Message::Tensor : Message::None;
  default:
    return Message::None;
  }
}

/// Copies a message without the bytes of large tensors.
class Skeleton {
public:
  Skeleton(const char *begin, std::vector<StringRef> &blobs)
      : fileBegin(begin), blobs(blobs) {}

  /// Appends the copy of `in` to `out`. On failure `error` says why.
  bool copy(Message message, StringRef in, std::string &out, unsigned depth);

  std::string error;

private:
  bool fail(const char *where, const Twine &what) {
    error = llvm::formatv("{0} at byte {1}", what.str(), where - fileBegin);
    return false;
  }

  bool varint(const char *&p, const char *end, uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && p != end; shift += 7) {
      uint8_t byte = *p++;
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128)
        return true;
    }
    return fail(p, p == end ? "the file ends in the middle of a number"
                            : "malformed number");
  }

  const char *fileBegin;
  std::vector<StringRef> &blobs;
};

void putVarint(std::string &out, uint64_t value) {
  for (; value >= 128; value >>= 7)
    out.push_back(char(value | 128));
  out.push_back(char(value));
}

void putBytes(std::string &out, unsigned field, StringRef bytes) {
  putVarint(out, field << 3 | 2);
  putVarint(out, bytes.size());
  out.append(bytes.begin(), bytes.end());
}

bool Skeleton::copy(Message message, StringRef in, std::string &out,
                    unsigned depth) {
  if (depth > 100)
    return fail(in.begin(), "messages are nested deeper than 100");
  const char *p = in.begin(), *end = in.end();
  // Of a tensor: its type, its large field, and how many fields hold data.
  uint64_t dataType = 0;
  unsigned dataFields = 0, largeField = 0;
  StringRef large;
  bool external = false;

  while (p != end) {
    const char *start = p;
    uint64_t tag = 0, size = 0;
    if (!varint(p, end, tag))
      return false;
    unsigned field = tag >> 3, wire = tag & 7;
    if (field == 0 || tag >> 32)
      return fail(start, "malformed field");
    switch (wire) {
    case 0:
      if (!varint(p, end, size))
        return false;
      if (message == Message::Tensor && field == 2)
        dataType = size;
      if (message == Message::Tensor && field == 14)
        external = size == 1;
      break;
    case 1:
    case 5: {
      ptrdiff_t width = wire == 1 ? 8 : 4;
      if (end - p < width)
        return fail(p, "the file ends in the middle of a number");
      p += width;
      break;
    }
    case 2: {
      if (!varint(p, end, size))
        return false;
      if (size > uint64_t(end - p))
        return fail(start, llvm::formatv("expected {0} bytes, found {1}: the "
                                         "file is truncated or corrupted",
                                         size, end - p)
                               .str());
      StringRef bytes(p, size);
      p += size;
      Message inner = fieldMessage(message, field);
      if (inner != Message::None && size >= kStubBytes) {
        std::string copied;
        if (!copy(inner, bytes, copied, depth + 1))
          return false;
        putBytes(out, field, copied);
        continue;
      }
      if (message == Message::Tensor && size > 0 &&
          (field == 4 || field == 5 || field == 6 || field == 7 ||
           (field >= 9 && field <= 11))) {
        ++dataFields;
        if ((field == 9 || field == 4 || field == 10) && size >= kStubBytes) {
          large = bytes;
          largeField = field;
          continue; // decided at the end, when the type is known
        }
      }
      break;
    }
    default:
      return fail(start, "malformed field");
    }
    out.append(start, p);
  }

  if (large.data()) {
    bool isFloat = dataType == pb::TensorProto::FLOAT ||
                   dataType == pb::TensorProto::COMPLEX64;
    bool isDouble = dataType == pb::TensorProto::DOUBLE ||
                    dataType == pb::TensorProto::COMPLEX128;
    bool plain = dataFields == 1 && !external &&
                 (largeField == 9 || (largeField == 4 && isFloat) ||
                  (largeField == 10 && isDouble)) &&
                 dataType != pb::TensorProto::STRING;
    if (!plain)
      return fail(large.data(),
                  llvm::formatv("a tensor of data type {0} has its values in "
                                "field {1}, or in several fields",
                                dataType, largeField)
                      .str());
    std::string entry;
    putBytes(entry, 1, "location");
    putBytes(entry, 2, "#" + std::to_string(blobs.size()));
    putBytes(out, 13, entry);
    putVarint(out, 14 << 3);
    putVarint(out, pb::TensorProto::EXTERNAL);
    blobs.push_back(large);
  }
  return true;
}

} // namespace

/// What a file is by its first bytes, of the kinds that are taken for models;
/// "" where they say nothing.
static StringRef guessKind(StringRef bytes) {
  static constexpr std::pair<StringLiteral, StringLiteral> known[] = {
      {"PK\x03\x04", "a ZIP archive, as PyTorch's and Keras's files are"},
      {"\x89HDF", "an HDF5 file, as Keras's files are"},
      {"GGUF", "a GGUF file"},
      {"\x7f"
       "ELF",
       "a program or an object file"},
      {"\x89PNG", "a PNG image"},
      {"\xff\xd8\xff", "a JPEG image"},
      {"%PDF", "a PDF document"},
      {"\x1f\x8b", "a file compressed by gzip"},
      {"ML\xefR", "MLIR bytecode"},
      {"version https://git-lfs", "a pointer of Git LFS instead of the file"},
  };
  for (const auto &[start, kind] : known)
    if (bytes.starts_with(start))
      return kind;
  if (bytes.drop_front(std::min<size_t>(4, bytes.size())).starts_with("TFL3"))
    return "a TensorFlow Lite model";
  bool isText = llvm::all_of(bytes.take_front(512), [](char c) {
    return llvm::isPrint(c) || llvm::isSpace(c);
  });
  return isText ? "a text" : "";
}

LogicalResult
dlc::reader::parseModel(Model &model,
                        std::shared_ptr<llvm::MemoryBuffer> buffer) {
  Location loc = model.fileLoc();
  StringRef bytes = buffer->getBuffer();
  if (bytes.empty())
    return emitError(loc, "expected an ONNX model, found an empty file");
  std::vector<StringRef> large;
  std::string skeleton;
  Skeleton walk(bytes.data(), large);
  if (!walk.copy(Message::Model, bytes, skeleton, 0)) {
    StringRef kind = guessKind(bytes);
    if (!kind.empty())
      return emitError(loc, "expected an ONNX model, found ") << kind;
    return emitError(loc, "not a complete ONNX model: ") << walk.error;
  }
  if (skeleton.size() >= size_t(std::numeric_limits<int>::max()))
    return emitError(loc, "the model without its weights has ")
           << skeleton.size() << " bytes, more than protobuf's 2 GB";
  if (!model.proto.ParseFromString(skeleton))
    return emitError(loc, "not an ONNX model: protobuf cannot parse it");
  if (!model.proto.has_ir_version() || !model.proto.has_graph())
    return emitError(loc, "not an ONNX model: it has no ")
           << (model.proto.has_graph() ? "ir_version" : "graph");
  for (StringRef blob : large)
    model.blobs.push_back({ArrayRef<char>(blob.data(), blob.size()), buffer});
  return success();
}
