/// \file
/// The steps of writing a model.
#ifndef DLC_LIB_ONNXWRITER_WRITER_H
#define DLC_LIB_ONNXWRITER_WRITER_H

#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxWriter/OnnxWriter.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

namespace onnx {
class OpSchema;
}

namespace dlc::onnx {}

namespace dlc::writer {

namespace pb = ::onnx;
namespace ir = dlc::onnx;

/// Where large tensors go: into the message, or, with a stream, behind each
/// other into a file of that name.
struct DataFile {
  llvm::raw_ostream *stream = nullptr;
  std::string name;
  uint64_t offset = 0;
};

/// Tensors of at least so many bytes go to the data file.
constexpr size_t kExternalBytes = 1024;

/// The TensorProto::DataType of an element type; UNDEFINED when it has none.
int32_t toDataType(mlir::Type element);

/// Fills a message of a type; nothing where the type is unknown. `entry`, which
/// may be null, has the names of dimensions and what else belongs to a value.
void writeType(pb::TypeProto &proto, mlir::Type type,
               mlir::DictionaryAttr entry);

/// Fills a message of a tensor.
void writeTensor(pb::TensorProto &proto, mlir::ElementsAttr value,
                 DataFile &data);

/// The names of all values of a graph or function and the graphs in it.
///
/// A result has the name that the node gives it, a graph's output the name that
/// the graph gives it. Where a name is taken, in the graph or around it, a
/// number is put behind it.
class Names {
public:
  explicit Names(mlir::Operation *graph);

  /// The name; "" of an absent value.
  std::string get(mlir::Value value) const { return names.lookup(value); }
  /// The name of the i-th output of a graph: as the graph says, unless a graph
  /// around it has that.
  std::string getOutput(mlir::Block &block, unsigned i) const {
    return outputNames.lookup({&block, i});
  }

private:
  struct Scope;
  void addBlock(mlir::Block &block, mlir::ArrayAttr inputs,
                mlir::ArrayAttr outputs, const Scope *outer);

  llvm::DenseMap<mlir::Value, std::string> names;
  llvm::DenseMap<std::pair<mlir::Block *, unsigned>, std::string> outputNames;
};

/// Makes the message of a module.
pb::ModelProto writeModel(mlir::ModuleOp module, DataFile &data);

/// The small constants of a graph and the graphs in it, by name.
class Constants {
public:
  void collect(const pb::GraphProto &graph);
  /// Null for what is no constant, and for a name that two values have.
  const pb::TensorProto *get(const std::string &name) const {
    auto it = tensors.find(name);
    return it != tensors.end() && it->second.has_raw_data() ? &it->second
                                                            : nullptr;
  }

private:
  /// Copies, since nodes change; empty where there is none.
  llvm::StringMap<pb::TensorProto> tensors;
};

/// Makes attributes of the constant inputs of `node` that the older schema has
/// as such, or that mean nothing. Their names go into `moved`. Says which input
/// is none of these.
std::string inputsToAttributes(pb::NodeProto &node, const pb::OpSchema &now,
                               const pb::OpSchema &then,
                               const Constants &constants,
                               llvm::StringSet<> &moved);

/// Removes the initializers among `moved` that nothing uses any longer.
void dropUnused(pb::GraphProto &graph, const llvm::StringSet<> &moved);

/// Turns the nodes of the model, that import one operator set, into those of
/// another. Fails with one error that names all operators that cannot be
/// expressed there.
mlir::LogicalResult convertOpset(pb::ModelProto &model, int64_t opset,
                                 mlir::Location loc);

/// The lowest IR version that knows all of the message.
int64_t findIrVersion(const pb::ModelProto &model);

} // namespace dlc::writer

#endif
