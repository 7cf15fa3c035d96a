/// \file
/// The entry of the writer: message, operator set, files.
#include "lib/OnnxWriter/OnnxWriter.h"

#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "lib/Codegen/OutputFiles.h"
#include "lib/OnnxWriter/Writer.h"
#include "mlir/IR/Diagnostics.h"
#include "onnx/checker.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::writer;

/// Messages of protobuf end at 2 GB; what is no tensor needs some of that.
static constexpr int64_t kLargestFile = (int64_t(2) << 30) - (64 << 20);

/// The bytes of all tensors.
static int64_t countBytes(ModuleOp module) {
  int64_t bytes = 0;
  auto add = [&](Attribute value) {
    if (auto resource = dyn_cast_or_null<DenseResourceElementsAttr>(value))
      bytes += resource.getData().size();
  };
  module.walk([&](Operation *op) {
    if (auto initializer = dyn_cast<ir::InitializerOp>(op))
      add(initializer.getValue());
    else if (auto node = dyn_cast<ir::NodeOp>(op))
      for (NamedAttribute item : node.getOnnxAttributes())
        add(item.getValue());
  });
  return bytes;
}

/// Puts numbers behind names of nodes that a graph and those in it have twice:
/// a node that became several, which engines refuse.
static void separateNodeNames(pb::GraphProto &graph,
                              llvm::StringMap<unsigned> &taken) {
  for (pb::NodeProto &node : *graph.mutable_node()) {
    std::string name = node.name();
    while (!name.empty() && !taken.try_emplace(name, 0).second)
      name = node.name() + "_" + std::to_string(++taken[node.name()]);
    if (!name.empty())
      node.set_name(name);
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        separateNodeNames(*attribute.mutable_g(), taken);
      for (pb::GraphProto &inner : *attribute.mutable_graphs())
        separateNodeNames(inner, taken);
    }
  }
}

/// Whether there are inputs with default values, which the first IR versions
/// take for weights.
static bool hasDefaultValues(ModuleOp module) {
  auto version = module->getAttrOfType<IntegerAttr>("onnx.original_ir_version");
  if (!version)
    version = module->getAttrOfType<IntegerAttr>("onnx.ir_version");
  auto graph = module.lookupSymbol<ir::GraphOp>("main");
  return version && version.getInt() >= 4 &&
         llvm::any_of(graph.getOps<ir::InitializerOp>(),
                      [](auto op) { return op.getInput(); });
}

static LogicalResult write(ModuleOp module, StringRef path,
                           const WriteOptions &options) {
  if (!module.lookupSymbol<ir::GraphOp>("main"))
    return module.emitError("expected a graph @main to write");
  if (auto count = module->getAttrOfType<IntegerAttr>("onnx.training_info"))
    module.emitWarning("does not keep its training information, ")
        << count.getInt() << " entries";
  bool isStream = OutputFiles::isStream(path);
  bool isLarge = countBytes(module) > kLargestFile;
  if (isStream && isLarge)
    return module.emitError("expected a file for a model of more than 2 GB, "
                            "which needs one beside it for its tensors");

  auto fail = [&](llvm::Error error) -> LogicalResult {
    return module.emitError() << llvm::toString(std::move(error));
  };
  OutputFiles files;
  pb::ModelProto model;
  DataFile data;
  if (isLarge || (options.externalData && !isStream)) {
    std::string dataPath = (path + ".data").str();
    data.name = llvm::sys::path::filename(dataPath).str();
    if (llvm::Error error =
            files.write(dataPath, [&](llvm::raw_fd_ostream &os) {
              data.stream = &os;
              model = writeModel(module, data);
              return llvm::Error::success();
            }))
      return fail(std::move(error));
  } else {
    model = writeModel(module, data);
  }
  if (options.opset &&
      failed(convertOpset(model, options.opset, module.getLoc())))
    return failure();
  // Without an operator set the file is as it was read.
  llvm::StringMap<unsigned> taken;
  if (options.opset)
    separateNodeNames(*model.mutable_graph(), taken);
  int64_t version = findIrVersion(model);
  // Up to 3 an input that has an initializer is none that a caller gives.
  if (hasDefaultValues(module))
    version = std::max<int64_t>(version, 4);
  model.set_ir_version(version);
  std::string bytes;
  if (!model.SerializeToString(&bytes))
    return module.emitError("cannot be written: protobuf refuses the message");
  if (llvm::Error error = files.write(path, [&](llvm::raw_fd_ostream &os) {
        os.write(bytes.data(), bytes.size());
        return llvm::Error::success();
      }))
    return fail(std::move(error));
  if (llvm::Error error = files.commit())
    return fail(std::move(error));
  return success();
}

LogicalResult dlc::writeOnnx(ModuleOp module, StringRef path,
                             const WriteOptions &options) {
  // Nothing that protobuf or the ONNX library throws leaves the writer.
  try {
    return write(module, path, options);
  } catch (const std::exception &e) {
    return module.emitError("cannot be written: ") << e.what();
  }
}
