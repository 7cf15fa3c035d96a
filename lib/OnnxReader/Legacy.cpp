/// \file
/// Rewrites nodes of old operator sets that ONNX's version converter refuses,
/// or converts into something else, before it sees them. What follows means
/// the same in the old operator set and in today's.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

static const pb::AttributeProto *findAttribute(const pb::NodeProto &node,
                                               StringRef name) {
  for (const pb::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

static void removeAttribute(pb::NodeProto &node, StringRef name) {
  google::protobuf::RepeatedPtrField<pb::AttributeProto> kept;
  for (pb::AttributeProto &attribute : *node.mutable_attribute())
    if (attribute.name() != name)
      kept.Add()->Swap(&attribute);
  node.mutable_attribute()->Swap(&kept);
}

/// Operators that up to operator set 6 matched B with the dimensions of A from
/// `axis` on.
static bool hadBroadcastAxis(StringRef op) {
  return llvm::StringSwitch<bool>(op)
      .Cases({"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor"}, true)
      .Cases({"Equal", "Greater", "Less"}, true)
      .Default(false);
}

static bool isRecurrent(StringRef op) {
  return op == "RNN" || op == "GRU" || op == "LSTM";
}

/// The mode bilinear is called linear since operator set 7.
static void rewriteUpsample(pb::NodeProto &node) {
  for (pb::AttributeProto &attribute : *node.mutable_attribute())
    if (attribute.name() == "mode" && attribute.s() == "bilinear")
      attribute.set_s("linear");
}

namespace {
class Rewriter {
public:
  Rewriter(const Model &model, int opset, llvm::StringMap<pb::TypeProto> types)
      : model(model), opset(opset), types(std::move(types)) {}

  void rewrite(Nodes &nodes);
  bool ok = true;

private:
  void rewriteBroadcast(pb::NodeProto &node, Nodes &before);
  void rewriteBatchNormalization(pb::NodeProto &node, Nodes &before,
                                 Nodes &after);
  void rewriteDropout(pb::NodeProto &node, Nodes &after);

  InFlightDiagnostic error(const pb::NodeProto &node) {
    ok = false;
    return emitError(model.nodeLoc(node))
           << "'" << node.op_type() << "' node: ";
  }
  std::optional<int64_t> rankOf(StringRef value) {
    auto it = types.find(value);
    if (it == types.end() || !it->second.tensor_type().has_shape())
      return std::nullopt;
    return it->second.tensor_type().shape().dim_size();
  }
  /// Adds a node that stands for a part of `origin`.
  static pb::NodeProto *add(Nodes &list, const pb::NodeProto &origin,
                            StringRef op, std::vector<std::string> inputs,
                            std::string output) {
    pb::NodeProto *node = list.Add();
    node->set_op_type(op.str());
    node->set_name(origin.name());
    node->set_doc_string(origin.doc_string());
    for (std::string &input : inputs)
      node->add_input(std::move(input));
    node->add_output(std::move(output));
    return node;
  }
  static void setInt(pb::NodeProto *node, StringRef name, int64_t value) {
    pb::AttributeProto *attribute = node->add_attribute();
    attribute->set_name(name.str());
    attribute->set_type(pb::AttributeProto::INT);
    attribute->set_i(value);
  }
  static void setInts(pb::NodeProto *node, StringRef name,
                      ArrayRef<int64_t> values) {
    pb::AttributeProto *attribute = node->add_attribute();
    attribute->set_name(name.str());
    attribute->set_type(pb::AttributeProto::INTS);
    for (int64_t value : values)
      attribute->add_ints(value);
  }

  const Model &model;
  int opset;
  llvm::StringMap<pb::TypeProto> types;
};
} // namespace

/// `Add(a, b) {broadcast = 1, axis = 1}` with a of rank 4 and b of rank 1
/// becomes `Add(a, Unsqueeze(b) {axes = [1, 2]})`. The converter puts too many
/// dimensions there. Without an axis, and in a Gemm, numpy's rule serves.
void Rewriter::rewriteBroadcast(pb::NodeProto &node, Nodes &before) {
  const pb::AttributeProto *broadcast = findAttribute(node, "broadcast");
  const pb::AttributeProto *axisGiven = findAttribute(node, "axis");
  if (broadcast && broadcast->i() && axisGiven && node.input_size() == 2) {
    std::optional<int64_t> a = rankOf(node.input(0)), b = rankOf(node.input(1));
    if (!a || !b) {
      error(node) << "expected operands of known ranks with an axis";
      return;
    }
    int64_t axis = axisGiven->i() < 0 ? axisGiven->i() + *a : axisGiven->i();
    if (axis < 0 || axis + *b > *a) {
      error(node) << "expected an axis of A from which B, of rank " << *b
                  << ", fits into rank " << *a << ", found " << axisGiven->i();
      return;
    }
    std::vector<int64_t> axes;
    for (int64_t i = axis + *b; i < *a; ++i)
      axes.push_back(i - axis);
    if (!axes.empty()) {
      std::string wide = node.output(0) + ".b";
      setInts(add(before, node, "Unsqueeze", {node.input(1)}, wide), "axes",
              axes);
      node.set_input(1, wide);
    }
  }
  removeAttribute(node, "broadcast");
  removeAttribute(node, "axis");
}

/// With spatial = 0 there is a mean for each element of an example, as in the
/// BatchNormalization of examples that are flat:
/// `Reshape(BatchNormalization(Flatten(x), flat parameters...), Shape(x))`.
void Rewriter::rewriteBatchNormalization(pb::NodeProto &node, Nodes &before,
                                         Nodes &after) {
  const pb::AttributeProto *spatial = findAttribute(node, "spatial");
  if (!spatial || spatial->i() || node.input_size() != 5 ||
      node.output_size() != 1)
    return;
  const std::string x = node.input(0), y = node.output(0);
  setInt(add(before, node, "Flatten", {x}, y + ".matrix"), "axis", 1);
  add(before, node, "Shape", {x}, y + ".shape");
  node.set_input(0, y + ".matrix");
  for (int i = 1; i < 5; ++i) {
    std::string row = y + ".row" + std::to_string(i);
    std::string flat = y + ".flat" + std::to_string(i);
    setInt(add(before, node, "Flatten", {node.input(i)}, row), "axis", 0);
    setInts(add(before, node, "Squeeze", {row}, flat), "axes", {0});
    node.set_input(i, flat);
  }
  removeAttribute(node, "spatial");
  node.set_output(0, y + ".flat");
  add(after, node, "Reshape", {y + ".flat", y + ".shape"}, y);
}

/// The mask of a Dropout in inference is all true. It had the type of the data
/// up to operator set 9, and the converter forgets that: `c or not c`, with c
/// any boolean of the data's shape, in the mask's type.
void Rewriter::rewriteDropout(pb::NodeProto &node, Nodes &after) {
  if (node.output_size() < 2 || node.output(1).empty())
    return;
  const std::string x = node.input(0), mask = node.output(1);
  int type = pb::TensorProto::BOOL;
  if (opset < 10) {
    type = types.lookup(x).tensor_type().elem_type();
    if (type == pb::TensorProto::UNDEFINED) {
      error(node) << "expected data of a known type with a mask";
      return;
    }
  }
  setInt(add(after, node, "Cast", {x}, mask + ".some"), "to",
         pb::TensorProto::BOOL);
  add(after, node, "Not", {mask + ".some"}, mask + ".others");
  add(after, node, "Or", {mask + ".some", mask + ".others"}, mask + ".all");
  setInt(add(after, node, "Cast", {mask + ".all"}, mask), "to", type);
  node.mutable_output()->RemoveLast();
}

void Rewriter::rewrite(Nodes &nodes) {
  Nodes result;
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        rewrite(*attribute.mutable_g()->mutable_node());
    Nodes before, after;
    if (node.domain().empty()) {
      if (opset < 7 && node.op_type() == "Gemm")
        removeAttribute(node, "broadcast");
      else if (opset < 7 && hadBroadcastAxis(node.op_type()))
        rewriteBroadcast(node, before);
      else if (opset < 7 && isRecurrent(node.op_type()))
        // Since then outputs are left out by having no name.
        removeAttribute(node, "output_sequence");
      else if (opset < 7 && node.op_type() == "Upsample")
        rewriteUpsample(node);
      else if (opset >= 5 && opset < 9 &&
               node.op_type() == "BatchNormalization")
        rewriteBatchNormalization(node, before, after);
      else if (opset >= 6 && opset < 12 && node.op_type() == "Dropout")
        rewriteDropout(node, after);
    }
    for (pb::NodeProto &added : before)
      result.Add()->Swap(&added);
    result.Add()->Swap(&node);
    for (pb::NodeProto &added : after)
      result.Add()->Swap(&added);
  }
  nodes.Swap(&result);
}

LogicalResult dlc::reader::rewriteLegacy(const Model &model,
                                         pb::ModelProto &proto, int opset) {
  if (opset >= 12)
    return success();
  pb::ModelProto typed = proto;
  (void)inferShapes(typed, /*strict=*/false, /*propagate=*/false);
  llvm::StringMap<pb::TypeProto> types;
  collectTypes(typed.graph(), types);
  Rewriter rewriter(model, opset, std::move(types));
  rewriter.rewrite(*proto.mutable_graph()->mutable_node());
  return success(rewriter.ok);
}
