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

/// The first operator set that has CastLike.
static constexpr int kCastLikeOpset = 15;

static pb::OperatorSetIdProto *defaultImport(pb::ModelProto &proto) {
  for (pb::OperatorSetIdProto &import : *proto.mutable_opset_import())
    if (import.domain().empty())
      return &import;
  return nullptr;
}

/// Converts to `target`; nullopt and the reason when the converter cannot.
static std::optional<pb::ModelProto>
tryConvert(const pb::ModelProto &proto, int target, std::string &reason) {
  using namespace pb::version_conversion;
  int64_t initial = 0;
  for (const pb::OperatorSetIdProto &import : proto.opset_import())
    if (import.domain().empty())
      initial = import.version();
  try {
    DefaultVersionConverter converter;
    // ONNX has no adapters for the second half of these, and asks for static
    // shapes for the first; rewriteLegacy has left nothing to adapt.
    for (const char *op :
         {"Add", "Sub", "Mul", "Div", "Pow", "Gemm", "And", "Or", "Xor",
          "Equal", "Greater", "Less", "RNN", "GRU", "LSTM"})
      converter.registerAdapter(std::make_unique<CompatibleAdapter>(
          op, pb::OpSetID(6), pb::OpSetID(7)));
    // fixBatchedScan adapts it afterwards.
    converter.registerAdapter(std::make_unique<CompatibleAdapter>(
        "Scan", pb::OpSetID(8), pb::OpSetID(9)));
    return converter.convert_version(proto, pb::OpSetID(initial),
                                     pb::OpSetID(target));
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

/// Up to operator set 10 the bounds of a Clip and the value of a Pad were
/// attributes; the converter makes tensors of float of them whatever the data
/// is. Before: `Clip(x, low)`, after: `Clip(x, CastLike(low, x))`. And it
/// leaves the value of a Pad that repeats what there is, which has none any
/// longer.
static void fixFloatConstants(Nodes &nodes) {
  Nodes result;
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        fixFloatConstants(*attribute.mutable_g()->mutable_node());
    auto *attributes = node.mutable_attribute();
    if (node.domain().empty() && node.op_type() == "Pad")
      attributes->erase(
          std::remove_if(attributes->begin(), attributes->end(),
                         [](auto &a) { return a.name() == "value"; }),
          attributes->end());
    int first = !node.domain().empty()     ? 0
                : node.op_type() == "Clip" ? 1
                : node.op_type() == "Pad"  ? 2
                                           : 0;
    for (int i = first; first && i < node.input_size(); ++i) {
      if (node.input(i).empty())
        continue;
      std::string typed = node.output(0) + ".input" + std::to_string(i);
      pb::NodeProto *cast = result.Add();
      cast->set_op_type("CastLike");
      cast->set_name(node.name());
      cast->set_doc_string(node.doc_string());
      cast->add_input(node.input(i));
      cast->add_input(node.input(0));
      cast->add_output(typed);
      node.set_input(i, typed);
    }
    result.Add()->Swap(&node);
  }
  nodes.Swap(&result);
}

/// Up to operator set 12 Hardmax worked on its input flattened to a matrix;
/// the converter forgets that. Before: `y = Hardmax(x) {axis}`, after:
/// `y = Reshape(Hardmax(Flatten(x) {axis}) {axis = 1}, Shape(x))`.
static void fixHardmax(Nodes &nodes) {
  Nodes result;
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        fixHardmax(*attribute.mutable_g()->mutable_node());
    if (!node.domain().empty() || node.op_type() != "Hardmax" ||
        node.input_size() != 1 || node.output_size() != 1) {
      result.Add()->Swap(&node);
      continue;
    }
    int64_t axis = 1;
    for (const pb::AttributeProto &attribute : node.attribute())
      if (attribute.name() == "axis")
        axis = attribute.i();
    const std::string x = node.input(0), y = node.output(0);
    auto add = [&](StringRef op, std::vector<std::string> inputs,
                   std::string output, std::optional<int64_t> axis) {
      pb::NodeProto *added = result.Add();
      added->set_op_type(op.str());
      added->set_name(node.name());
      added->set_doc_string(node.doc_string());
      for (std::string &input : inputs)
        added->add_input(std::move(input));
      added->add_output(std::move(output));
      if (!axis)
        return;
      pb::AttributeProto *attribute = added->add_attribute();
      attribute->set_name("axis");
      attribute->set_type(pb::AttributeProto::INT);
      attribute->set_i(*axis);
    };
    add("Flatten", {x}, y + ".matrix", axis);
    add("Hardmax", {y + ".matrix"}, y + ".hardmax", 1);
    add("Shape", {x}, y + ".shape", std::nullopt);
    add("Reshape", {y + ".hardmax", y + ".shape"}, y, std::nullopt);
  }
  nodes.Swap(&result);
}

/// Up to operator set 20 GroupNormalization had one scale and bias a group,
/// then one a channel; ONNX 1.23's adapter for that is registered twice, and
/// the one that does nothing wins. Repeats both, as the adapter would:
/// `Reshape(Expand(Reshape(scale, [-1, 1]), [1, C / groups]), [-1])`.
static void fixGroupNormalization(Nodes &nodes) {
  Nodes result;
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        fixGroupNormalization(*attribute.mutable_g()->mutable_node());
    if (!node.domain().empty() || node.op_type() != "GroupNormalization" ||
        node.input_size() != 3 || node.output_size() != 1) {
      result.Add()->Swap(&node);
      continue;
    }
    int64_t groups = 1;
    for (const pb::AttributeProto &attribute : node.attribute())
      if (attribute.name() == "num_groups")
        groups = attribute.i();
    const std::string y = node.output(0);
    auto add = [&](StringRef op, std::vector<std::string> inputs,
                   StringRef suffix) {
      pb::NodeProto *added = result.Add();
      added->set_op_type(op.str());
      added->set_name(node.name());
      added->set_doc_string(node.doc_string());
      for (std::string &input : inputs)
        added->add_input(std::move(input));
      added->add_output(y + suffix.str());
      return added;
    };
    auto setInt = [](pb::NodeProto *node, StringRef name, int64_t value) {
      pb::AttributeProto *attribute = node->add_attribute();
      attribute->set_name(name.str());
      attribute->set_type(pb::AttributeProto::INT);
      attribute->set_i(value);
    };
    auto constant = [&](std::vector<int64_t> values, StringRef suffix) {
      pb::AttributeProto *attribute =
          add("Constant", {}, suffix)->add_attribute();
      attribute->set_name("value");
      attribute->set_type(pb::AttributeProto::TENSOR);
      attribute->mutable_t()->set_data_type(pb::TensorProto::INT64);
      attribute->mutable_t()->add_dims(values.size());
      for (int64_t value : values)
        attribute->mutable_t()->add_int64_data(value);
    };
    pb::NodeProto *channels = add("Shape", {node.input(0)}, ".channels");
    setInt(channels, "start", 1);
    setInt(channels, "end", 2);
    constant({groups}, ".groups");
    add("Div", {y + ".channels", y + ".groups"}, ".repeats");
    constant({1}, ".one");
    setInt(add("Concat", {y + ".one", y + ".repeats"}, ".wide"), "axis", 0);
    constant({-1, 1}, ".column");
    constant({-1}, ".flat");
    for (int i : {1, 2}) {
      std::string at = "." + std::to_string(i);
      add("Reshape", {node.input(i), y + ".column"}, at + ".column");
      add("Expand", {y + at + ".column", y + ".wide"}, at + ".wide");
      add("Reshape", {y + at + ".wide", y + ".flat"}, at + ".repeated");
      node.set_input(i, y + at + ".repeated");
    }
    result.Add()->Swap(&node);
  }
  nodes.Swap(&result);
}

/// Up to operator set 6 a PRelu had one slope a channel; the converter leaves
/// it to broadcast along the last dimension. Makes it [C, 1, ...].
static void fixPRelu(Model &model) {
  pb::GraphProto &graph = *model.proto.mutable_graph();
  llvm::StringMap<int> ranks;
  for (const auto *list :
       {&graph.value_info(), &graph.input(), &graph.output()})
    for (const pb::ValueInfoProto &value : *list)
      if (value.type().tensor_type().has_shape())
        ranks[value.name()] = value.type().tensor_type().shape().dim_size();
  llvm::StringMap<pb::TensorProto *> tensors;
  for (pb::TensorProto &tensor : *graph.mutable_initializer())
    tensors[tensor.name()] = &tensor;
  for (int i = 0, n = graph.node_size(); i < n; ++i) {
    pb::NodeProto &node = *graph.mutable_node(i);
    if (!node.domain().empty() || node.op_type() != "PRelu")
      continue;
    pb::TensorProto *slope = tensors.lookup(node.input(1));
    int rank = ranks.lookup(node.input(0));
    if (!slope || slope->dims_size() != 1 || slope->dims(0) == 1 || rank < 3)
      continue;
    pb::TensorProto *wide = graph.add_initializer();
    *wide = *slope;
    wide->set_name(slope->name() + ".channels" + std::to_string(i));
    for (int d = 2; d < rank; ++d)
      wide->add_dims(1);
    node.set_input(1, wide->name());
  }
}

void dlc::reader::fixConverted(Model &model) {
  if (model.originalOpset && model.originalOpset < 7)
    fixPRelu(model);
}

LogicalResult dlc::reader::convertToNewest(Model &model) {
  pb::ModelProto &proto = model.proto;
  pb::OperatorSetIdProto *import = defaultImport(proto);
  int newest = getNewestOpset("");
  if (!import || import->version() >= newest)
    return success();
  int oldest = int(import->version());

  pb::ModelProto copy = proto;
  copy.clear_functions();
  copy.clear_training_info();
  pb::GraphProto &graph = *copy.mutable_graph();
  if (failed(rewriteLegacy(model, copy, oldest)))
    return failure();
  if (oldest < 13)
    fixHardmax(*graph.mutable_node());
  pb::ModelProto unrepeated = copy;
  if (oldest >= 18 && oldest < 21)
    fixGroupNormalization(*graph.mutable_node());

  // The newest set that the converter reaches: one step that fails stops it.
  std::string reason;
  std::optional<pb::ModelProto> best = tryConvert(copy, newest, reason);
  if (!best) {
    int low = oldest, high = newest; // low can be reached, high cannot
    while (high - low > 1) {
      int middle = (low + high) / 2;
      std::string ignored;
      if (std::optional<pb::ModelProto> result =
              tryConvert(copy, middle, ignored)) {
        best = std::move(result);
        low = middle;
      } else {
        high = middle;
      }
    }
    model.notes.push_back(
        llvm::formatv("stays at operator set {0}: {1}", low, reason));
    if (best && low < 21)
      best = tryConvert(unrepeated, low, reason);
    if (!best)
      return success();
  }
  pb::GraphProto &converted = *best->mutable_graph();
  if (oldest < 11)
    fixResize(*converted.mutable_node());
  if (oldest < 11 && defaultImport(*best)->version() >= kCastLikeOpset)
    fixFloatConstants(*converted.mutable_node());
  if (oldest == 8)
    fixBatchedScan(*converted.mutable_node(), defaultImport(*best)->version());

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
  return success();
}
