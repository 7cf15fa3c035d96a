/// \file
/// Gives the model's inputs the sizes that an operator's rules leave no choice
/// about. ONNX's inference takes them for 0 where they are unknown, and refuses
/// the model.
#include "lib/OnnxReader/Model.h"

using namespace mlir;
using namespace dlc::reader;

static const pb::AttributeProto *findAttribute(const pb::NodeProto &node,
                                               StringRef name) {
  for (const pb::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

static bool hasInput(const pb::NodeProto &node, int i) {
  return i < node.input_size() && !node.input(i).empty();
}

namespace {
/// The first dimension of an input is `factor` times the rank of `like`, or the
/// number of the node's axes; without `like` it is `factor`.
struct Length {
  std::string input;
  int64_t factor;
  std::string like;
  const pb::AttributeProto *axes;
};
} // namespace

static std::vector<Length> findLengths(const pb::GraphProto &graph) {
  std::vector<Length> lengths;
  for (const pb::NodeProto &node : graph.node()) {
    if (!node.domain().empty() || node.input_size() == 0)
      continue;
    const pb::AttributeProto *axes = findAttribute(node, "axes");
    auto add = [&](int i, int64_t factor, bool isRank = true) {
      if (hasInput(node, i))
        lengths.push_back({node.input(i), factor,
                           isRank ? node.input(0) : std::string(), axes});
    };
    if (node.op_type() == "StringNormalizer") {
      add(0, 1, /*isRank=*/false);
    } else if (node.op_type() == "Resize") {
      const pb::AttributeProto *mode =
          findAttribute(node, "coordinate_transformation_mode");
      if (mode && mode->s() == "tf_crop_and_resize")
        add(1, 2);
      // Without sizes there are scales, which else may be empty.
      add(hasInput(node, 3) ? 3 : 2, 1);
    }
  }
  return lengths;
}

void dlc::reader::applyLengths(Model &model) {
  pb::GraphProto &graph = *model.proto.mutable_graph();
  std::vector<Length> lengths = findLengths(graph);
  llvm::StringMap<pb::TensorShapeProto *> open;
  for (pb::ValueInfoProto &input : *graph.mutable_input()) {
    if (!input.type().tensor_type().has_shape())
      continue;
    pb::TensorShapeProto *shape =
        input.mutable_type()->mutable_tensor_type()->mutable_shape();
    if (shape->dim_size() > 0 && !shape->dim(0).has_dim_value())
      open[input.name()] = shape;
  }
  llvm::erase_if(lengths,
                 [&](const Length &l) { return !open.contains(l.input); });
  if (lengths.empty())
    return;
  pb::ModelProto typed = model.proto;
  (void)inferShapes(typed, /*strict=*/false, /*propagate=*/false);
  llvm::StringMap<pb::TypeProto> types;
  collectTypes(typed.graph(), types);
  for (const Length &length : lengths) {
    pb::TensorShapeProto *shape = open.lookup(length.input);
    if (length.like.empty()) {
      // A list of words is a row of them.
      if (shape->dim_size() == 2)
        shape->mutable_dim(0)->set_dim_value(length.factor);
      continue;
    }
    const pb::TypeProto &type = types[length.like];
    int64_t count = length.axes ? length.axes->ints_size()
                    : type.tensor_type().has_shape()
                        ? type.tensor_type().shape().dim_size()
                        : 0;
    if (shape->dim_size() == 1 && count)
      shape->mutable_dim(0)->set_dim_value(length.factor * count);
  }
}
