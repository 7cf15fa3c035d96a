/// \file
/// Converts a model to the newest operator set with ONNX's version converter,
/// and gives back what that loses.
#include "lib/OnnxReader/Model.h"

#include "onnx/defs/schema.h"
#include "onnx/version_converter/convert.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

static pb::OperatorSetIdProto *defaultImport(pb::ModelProto &proto) {
  for (pb::OperatorSetIdProto &import : *proto.mutable_opset_import())
    if (import.domain().empty())
      return &import;
  return nullptr;
}

/// Converts to `target`; nullopt and the reason when the converter cannot.
static std::optional<pb::ModelProto> tryConvert(const pb::ModelProto &proto,
                                                int target, std::string &reason) {
  try {
    return pb::version_conversion::ConvertVersion(proto, target);
  } catch (const std::exception &e) {
    reason = describe(e.what());
    return std::nullopt;
  }
}

/// Up to operator set 10 a Resize had the coordinates that are now called
/// asymmetric, and rounded down; the converter leaves today's defaults.
static void fixResize(Nodes &nodes) {
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        fixResize(*attribute.mutable_g()->mutable_node());
    if (!node.domain().empty() || node.op_type() != "Resize")
      continue;
    auto add = [&](StringRef name, StringRef value) {
      for (const pb::AttributeProto &attribute : node.attribute())
        if (attribute.name() == name)
          return;
      pb::AttributeProto *attribute = node.add_attribute();
      attribute->set_name(name.str());
      attribute->set_type(pb::AttributeProto::STRING);
      attribute->set_s(value.str());
    };
    add("coordinate_transformation_mode", "asymmetric");
    add("nearest_mode", "floor");
  }
}

void dlc::reader::convertToNewest(Model &model) {
  pb::ModelProto &proto = model.proto;
  pb::OperatorSetIdProto *import = defaultImport(proto);
  int newest = getNewestOpset("");
  if (!import || import->version() >= newest)
    return;
  int oldest = int(import->version());

  // The converter does not know sparse initializers: to it they are inputs.
  pb::ModelProto copy = proto;
  copy.clear_functions();
  copy.clear_training_info();
  pb::GraphProto &graph = *copy.mutable_graph();
  for (const pb::SparseTensorProto &tensor : graph.sparse_initializer()) {
    pb::ValueInfoProto *input = graph.add_input();
    input->set_name(tensor.values().name());
    input->mutable_type()->mutable_tensor_type()->set_elem_type(
        tensor.values().data_type());
  }
  graph.clear_sparse_initializer();

  // The newest set that the converter reaches: one step that fails stops it.
  std::string reason;
  std::optional<pb::ModelProto> best = tryConvert(copy, newest, reason);
  if (!best) {
    int low = oldest, high = newest; // low can be reached, high cannot
    while (high - low > 1) {
      int middle = (low + high) / 2;
      std::string ignored;
      if (std::optional<pb::ModelProto> result = tryConvert(copy, middle, ignored)) {
        best = std::move(result);
        low = middle;
      } else {
        high = middle;
      }
    }
    model.notes.push_back(llvm::formatv("stays at operator set {0}: {1}", low, reason));
    if (!best)
      return;
  }
  pb::GraphProto &converted = *best->mutable_graph();
  if (oldest < 11)
    fixResize(*converted.mutable_node());

  // Take the nodes, and what the converter added; the rest stays.
  pb::GraphProto &mine = *proto.mutable_graph();
  mine.mutable_node()->Swap(converted.mutable_node());
  mine.mutable_value_info()->Swap(converted.mutable_value_info());
  llvm::StringMap<bool> known;
  for (const pb::TensorProto &tensor : mine.initializer())
    known[tensor.name()] = true;
  for (pb::TensorProto &tensor : *converted.mutable_initializer())
    if (!known.contains(tensor.name()))
      mine.add_initializer()->Swap(&tensor);
  for (const pb::OperatorSetIdProto &result : best->opset_import())
    if (result.domain().empty())
      import->set_version(result.version());
}
