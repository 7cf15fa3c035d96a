/// \file
/// Sparse tensors: their check, and the dense ones that they become when a
/// model is raised, since nothing behind the reader knows sparse values.
#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc::reader;

/// A dense form is at most this large: a file of a few bytes can ask for any
/// size.
constexpr int64_t kMaxDenseBytes = int64_t(1) << 32;

namespace {
/// The positions of a sparse tensor's values.
class Positions {
public:
  Positions(const Model &model, const pb::SparseTensorProto &tensor)
      : dims(tensor.dims().begin(), tensor.dims().end()),
        perValue(tensor.indices().dims_size() == 2 ? dims.size() : 0),
        raw(getRawData(model, tensor.indices(), storage)) {}

  int64_t count() const {
    return raw.size() / 8 / std::max<size_t>(perValue, 1);
  }
  /// The position of value `i` among all elements; nullopt where an index is
  /// outside.
  std::optional<int64_t> at(int64_t i) const {
    if (!perValue)
      return inside(index(i), product());
    int64_t position = 0;
    for (size_t k = 0; k < perValue; ++k) {
      std::optional<int64_t> part = inside(index(i * perValue + k), dims[k]);
      if (!part)
        return std::nullopt;
      position = position * dims[k] + *part;
    }
    return position;
  }

private:
  int64_t index(int64_t i) const {
    return int64_t(llvm::support::endian::read64le(raw.data() + 8 * i));
  }
  int64_t product() const {
    int64_t result = 1;
    for (int64_t size : dims)
      result *= size;
    return result;
  }
  static std::optional<int64_t> inside(int64_t i, int64_t size) {
    return i >= 0 && i < size ? std::optional(i) : std::nullopt;
  }

  std::vector<int64_t> dims;
  size_t perValue;
  std::vector<char> storage;
  ArrayRef<char> raw;
};
} // namespace

LogicalResult dlc::reader::checkSparseTensor(
    const Model &model, const pb::SparseTensorProto &tensor, Location loc) {
  const pb::TensorProto &values = tensor.values(), &indices = tensor.indices();
  if (values.dims_size() != 1)
    return emitError(loc, "sparse tensor expected values of rank 1, found "
                          "rank ")
           << values.dims_size();
  int64_t count = values.dims(0), rank = tensor.dims_size(), elements = 1;
  for (int64_t size : tensor.dims())
    if (size < 0 || llvm::MulOverflow(elements, size, elements))
      return emitError(loc, "sparse tensor expected sizes of at least 0 whose "
                            "product is below 2^63");
  if (rank == 0)
    return emitError(loc, "sparse tensor expected a rank of 1 or more");
  if (indices.data_type() != pb::TensorProto::INT64)
    return emitError(loc, "sparse tensor expected indices of type int64");
  bool isFlat = indices.dims_size() == 1 && indices.dims(0) == count;
  bool isDeep = indices.dims_size() == 2 && indices.dims(0) == count &&
                indices.dims(1) == rank;
  if (!isFlat && !isDeep) {
    InFlightDiagnostic diag =
        emitError(loc, "sparse tensor expected indices of shape [")
        << count << "] or [" << count << ", " << rank << "], found [";
    llvm::interleaveComma(indices.dims(), diag);
    return diag << "]";
  }
  Positions positions(model, tensor);
  int64_t last = -1;
  for (int64_t i = 0; i < count; ++i) {
    std::optional<int64_t> position = positions.at(i);
    if (!position)
      return emitError(loc, "sparse tensor expected indices inside its shape, "
                            "found one outside for value ")
             << i;
    if (*position <= last)
      return emitError(loc, "sparse tensor expected indices in ascending "
                            "order, found a smaller or equal one for value ")
             << i;
    last = *position;
  }
  return success();
}

/// Copies `bits` bits of element `from` to element `to`.
static void copyElement(MutableArrayRef<char> into, int64_t to,
                        ArrayRef<char> source, int64_t from, unsigned bits) {
  if (bits % 8 == 0) {
    memcpy(into.data() + to * bits / 8, source.data() + from * bits / 8,
           bits / 8);
    return;
  }
  for (unsigned b = 0; b < bits; ++b) {
    int64_t at = from * bits + b, place = to * bits + b;
    if (source[at / 8] >> (at % 8) & 1)
      into[place / 8] |= char(1 << (place % 8));
  }
}

/// Bits of an element in raw_data.
static unsigned bitsOf(Type element) {
  if (auto complex = dyn_cast<ComplexType>(element))
    return 2 * complex.getElementType().getIntOrFloatBitWidth();
  return element.isInteger(1) ? 8 : element.getIntOrFloatBitWidth();
}

/// The dense form of a sparse tensor whose two tensors are checked.
static FailureOr<pb::TensorProto>
makeDense(Model &model, const pb::SparseTensorProto &sparse, Location loc) {
  if (failed(checkSparseTensor(model, sparse, loc)))
    return failure();
  const pb::TensorProto &values = sparse.values();
  pb::TensorProto dense;
  dense.set_name(values.name());
  dense.set_data_type(values.data_type());
  *dense.mutable_dims() = sparse.dims();
  int64_t count = 1;
  for (int64_t size : sparse.dims())
    count *= size;
  Type element = convertElementType(model.context, values.data_type());
  if (isa<Float8E8M0FNUType>(element) && values.dims(0) != count) {
    emitError(loc, "sparse tensor expected a type that has a zero, found ")
        << element;
    return failure();
  }
  Positions positions(model, sparse);
  bool isString = isa<ir::StringType>(element);
  std::optional<int64_t> bytes =
      isString ? std::optional(count) : ir::getRawSize(element, count);
  if (!bytes || *bytes > kMaxDenseBytes) {
    emitError(loc, "sparse tensor expected a dense form of at most 4 GiB");
    return failure();
  }
  if (isString) {
    for (int64_t i = 0; i < count; ++i)
      dense.add_string_data();
    for (int64_t i = 0; i < positions.count(); ++i)
      dense.set_string_data(int(*positions.at(i)), values.string_data(int(i)));
    return dense;
  }
  auto elements = std::make_shared<std::vector<char>>(*bytes);
  std::vector<char> storage;
  ArrayRef<char> raw = getRawData(model, values, storage);
  for (int64_t i = 0; i < positions.count(); ++i)
    copyElement(*elements, *positions.at(i), raw, i, bitsOf(element));
  setRawData(model, dense, elements);
  return dense;
}

namespace {
struct Densifier {
  Model &model;
  bool ok = true;

  void nodes(google::protobuf::RepeatedPtrField<pb::NodeProto> &list) {
    for (pb::NodeProto &node : list)
      for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
        if (attribute.has_g())
          graph(*attribute.mutable_g());
        for (pb::GraphProto &inner : *attribute.mutable_graphs())
          graph(inner);
        bool isOnnx = node.domain().empty() || node.domain() == "ai.onnx";
        if (!isOnnx || node.op_type() != "Constant" ||
            !attribute.has_sparse_tensor())
          continue;
        auto dense =
            makeDense(model, attribute.sparse_tensor(), model.nodeLoc(node));
        if (failed(dense)) {
          ok = false;
          continue;
        }
        attribute.set_name("value");
        attribute.set_type(pb::AttributeProto::TENSOR);
        attribute.clear_sparse_tensor();
        attribute.mutable_t()->Swap(&*dense);
      }
  }
  void graph(pb::GraphProto &graph) {
    for (const pb::SparseTensorProto &tensor : graph.sparse_initializer()) {
      auto dense =
          makeDense(model, tensor, model.namedLoc(tensor.values().name()));
      if (failed(dense))
        ok = false;
      else
        graph.add_initializer()->Swap(&*dense);
    }
    graph.clear_sparse_initializer();
    nodes(*graph.mutable_node());
  }
};
} // namespace

LogicalResult dlc::reader::densify(Model &model) {
  Densifier densifier{model};
  densifier.graph(*model.proto.mutable_graph());
  for (pb::FunctionProto &function : *model.proto.mutable_functions())
    densifier.nodes(*function.mutable_node());
  return success(densifier.ok);
}
