/// \file
/// A model in memory while it is read: the protobuf message, in which every
/// large tensor is a stub, and the bytes of those tensors beside it.
///
/// A stub is a TensorProto with external data at location "#k", where k is an
/// index into `blobs`. So copies of the message are cheap, and what the ONNX
/// library does to it never touches weights.
#ifndef DLC_LIB_ONNXREADER_MODEL_H
#define DLC_LIB_ONNXREADER_MODEL_H

#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/IR/Location.h"
#include "onnx/onnx_pb.h"

#include <functional>
#include <memory>

namespace dlc::onnx {}

namespace dlc::reader {

namespace pb = ::onnx;    // protobuf messages and the ONNX library
namespace ir = dlc::onnx; // the dialect

/// The bytes of a large tensor, and what keeps them in memory.
struct Blob {
  llvm::ArrayRef<char> bytes;
  std::shared_ptr<const void> owner;
};

/// Where a node stands in the file, and what ONNX's converter would lose.
struct Origin {
  std::string file;
  unsigned line = 0, column = 0;
  std::string doc;
  google::protobuf::RepeatedPtrField<pb::StringStringEntryProto> metadata;
  std::string devices; ///< text of device_configurations
};

struct Model {
  pb::ModelProto proto;
  std::string fileName;
  std::string directory;
  std::vector<Blob> blobs;
  std::vector<Origin> origins;
  /// Origins of the nodes by their outputs, for nodes that a conversion
  /// replaced.
  llvm::StringMap<unsigned> originOfOutput;
  /// Inputs that an initializer gives a default, with their position; moved
  /// out of the graph when raised.
  std::vector<std::pair<int, pb::ValueInfoProto>> defaultedInputs;
  /// Declared types of the main graph's outputs and values before inference.
  llvm::StringMap<pb::TypeProto> declared;
  bool raised = false;
  int64_t originalOpset = 0;
  int64_t originalIrVersion = 0;
  std::vector<std::string> notes;
  llvm::StringMap<std::pair<int64_t, int64_t>> dimBounds;
  mlir::MLIRContext *context = nullptr;

  mlir::Location fileLoc() const;
  /// The location of something that has a name in the file and is no node: a
  /// value, a graph, a function.
  mlir::Location namedLoc(llvm::StringRef name) const;
  mlir::Location nodeLoc(const pb::NodeProto &node) const;
  /// The origin of a node; null when there is none.
  const Origin *originOf(const pb::NodeProto &node) const;
};

/// Sizes from which tensors become stubs, and from which they become resources.
constexpr size_t kStubBytes = 1024;
constexpr size_t kResourceBytes = 64;

/// Fills `model.proto` and `model.blobs` from the bytes of a file.
mlir::LogicalResult parseModel(Model &model,
                               std::shared_ptr<llvm::MemoryBuffer> buffer);

/// Turns external data and the remaining large tensors into stubs; checks the
/// shape and the size of every tensor.
mlir::LogicalResult loadTensors(Model &model);

/// The blob of a stub, null when the tensor is none.
const Blob *stubOf(const Model &model, const pb::TensorProto &tensor);

/// Marks every node with its origin (in its doc_string).
void markNodes(Model &model);

/// Sorts nodes topologically where they are not.
mlir::LogicalResult sortNodes(Model &model);

/// Checks what the dialect needs (names, types, order); with `full` also
/// every node against its schema.
mlir::LogicalResult checkModel(Model &model, bool full);

/// Raises the model; see ReadOptions::raise.
mlir::LogicalResult raiseModel(Model &model, const ReadOptions &options);

/// The steps of raiseModel. Conversion notes where it has to stop, and
/// fixConverted mends, once types are known, what the converter gets wrong.
mlir::LogicalResult inlineFunctions(Model &model);
mlir::LogicalResult applyShapes(Model &model, const ReadOptions &options);
void applyLengths(Model &model);
mlir::LogicalResult expandFunctionBodies(Model &model,
                                         const ReadOptions &options);
/// The dimensions that `node` asks of each input, as dlc.ExpectShapes takes
/// them (passes/Import/Ops/Expect.cpp); none where its body needs no checks.
std::vector<std::string> expectedShapes(const pb::NodeProto &node,
                                        const pb::TypeProto &firstInput);
mlir::LogicalResult convertToNewest(Model &model);
/// Rewrites nodes of `proto` that ONNX's converter does not know in `opset`.
mlir::LogicalResult rewriteLegacy(const Model &model, pb::ModelProto &proto,
                                  int opset);
void fixConverted(Model &model);
/// Rewrites each Scan of operator set 8, in nodes that are now of `opset`.
void fixBatchedScan(google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes,
                    int opset);
/// Writes each Gradient as the nodes that compute it; types are known.
mlir::LogicalResult expandGradients(Model &model, bool overridden);
/// The types of all values of a graph and its subgraphs, by name.
void collectTypes(const pb::GraphProto &graph,
                  llvm::StringMap<pb::TypeProto> &types);
/// ONNX's inference, in place; the message of the error in strict mode.
std::optional<std::string> inferShapes(pb::ModelProto &proto, bool strict,
                                       bool propagate);
/// Infers the types of all values. Strict inference fails on a contradiction;
/// with `why` it then leaves the model as it is and tells the reason there,
/// otherwise it reports errors at the nodes. `overridden`: declared
/// shapes of outputs may be stale.
enum class Strictness { Strict, Lenient };
mlir::LogicalResult inferTypes(Model &model, bool overridden, Strictness mode,
                               std::string *why);

/// Makes the module.
mlir::OwningOpRef<mlir::ModuleOp> buildModule(const Model &model);

/// The type of a value; dimensions without a positive value are dynamic, or
/// without any value if `inferred` (where 0 is a size). Fails on types that
/// ONNX does not know.
mlir::FailureOr<mlir::Type> convertType(mlir::MLIRContext *context,
                                        const pb::TypeProto &type,
                                        bool inferred);
/// The element type of a TensorProto::DataType; null when ONNX does not know
/// it.
mlir::Type convertElementType(mlir::MLIRContext *context, int dataType);

/// The elements of a checked tensor. `name` is a hint for the resource.
mlir::Attribute convertTensor(const Model &model, const pb::TensorProto &tensor,
                              llvm::StringRef name);

/// Checks shape and size of a tensor.
mlir::LogicalResult checkTensor(const Model &model,
                                const pb::TensorProto &tensor,
                                mlir::Location loc);

/// The elements of a checked tensor of numbers as raw_data has them; `storage`
/// keeps them where they are not in memory like that.
llvm::ArrayRef<char> getRawData(const Model &model,
                                const pb::TensorProto &tensor,
                                std::vector<char> &storage);
/// Gives a tensor without data these elements; a stub where they are many.
void setRawData(Model &model, pb::TensorProto &tensor,
                std::shared_ptr<const std::vector<char>> elements);

/// Checks the dimensions and indices of a sparse tensor whose two tensors are
/// checked.
mlir::LogicalResult checkSparseTensor(const Model &model,
                                      const pb::SparseTensorProto &tensor,
                                      mlir::Location loc);
/// Makes sparse initializers and constants dense.
mlir::LogicalResult densify(Model &model);

/// Calls `visit` for every tensor, with the name of the value or node.
void forEachTensor(
    Model &model,
    llvm::function_ref<void(pb::TensorProto &, mlir::Location)> visit);

/// A message of ONNX's exceptions as our diagnostics write: one line, lower
/// case, without source positions.
std::string describe(llvm::StringRef message);

/// Whether a name of a dimension says nothing.
inline bool isUnnamed(llvm::StringRef name) {
  return name.empty() || name == "?" || name.starts_with("unk__");
}

} // namespace dlc::reader

#endif
