/// \file
/// Writes for an older operator set, where all nodes can be expressed in it.
#include "lib/OnnxReader/OnnxReader.h"
#include "lib/OnnxWriter/Writer.h"
#include "mlir/IR/Diagnostics.h"
#include "onnx/defs/data_type_utils.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringMap.h"
#include <map>

using namespace mlir;
using namespace dlc::writer;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

namespace {

/// The first version of an operator in which the same node means something
/// else than before, though the schema took it then, too.
struct NewMeaning {
  StringLiteral op;
  int version;
};

} // namespace

static constexpr NewMeaning kNewMeanings[] = {
    {"BatchNormalization", 9},
    {"Flatten", 11},
    {"GroupNormalization", 21},
    {"Hardmax", 13},
    {"LogSoftmax", 13},
    {"PRelu", 7},
    {"Resize", 11},
    {"Scan", 9},
    {"Softmax", 13},
    {"TopK", 11},
    {"Upsample", 9},
};

namespace {

class Converter {
public:
  Converter(pb::ModelProto &model, int from, int to) : from(from), to(to) {
    collect(model.graph());
    constants.collect(model.graph());
  }

  void convert(Nodes &nodes);
  /// What cannot be expressed: operators with the reason, each once.
  std::map<std::string, std::string> problems;
  /// The constants that became attributes.
  llvm::StringSet<> moved;

private:
  void collect(const pb::GraphProto &graph);
  std::string convert(pb::NodeProto &node);
  bool splitsEvenly(const pb::NodeProto &node) const;

  int from, to;
  llvm::StringMap<pb::TypeProto> types;
  Constants constants;
};

} // namespace

void Converter::collect(const pb::GraphProto &graph) {
  for (const auto *list :
       {&graph.input(), &graph.output(), &graph.value_info()})
    for (const pb::ValueInfoProto &value : *list)
      types[value.name()] = value.type();
  for (const pb::TensorProto &tensor : graph.initializer())
    types[tensor.name()].mutable_tensor_type()->set_elem_type(
        tensor.data_type());
  for (const pb::NodeProto &node : graph.node())
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_g())
        collect(attribute.g());
      for (const pb::GraphProto &inner : attribute.graphs())
        collect(inner);
    }
}

static bool isEqual(const pb::AttributeProto &a, const pb::AttributeProto &b) {
  pb::AttributeProto x = a, y = b;
  for (pb::AttributeProto *p : {&x, &y}) {
    p->clear_doc_string();
    p->clear_name();
  }
  return x.SerializeAsString() == y.SerializeAsString();
}

/// Whether a Split has parts of one size without being told so.
bool Converter::splitsEvenly(const pb::NodeProto &node) const {
  auto type = types.find(node.input(0));
  if (type == types.end() || !type->second.tensor_type().has_shape())
    return false;
  const auto &dims = type->second.tensor_type().shape().dim();
  int64_t axis = 0;
  for (const pb::AttributeProto &attribute : node.attribute())
    if (attribute.name() == "axis")
      axis = attribute.i();
  axis += axis < 0 ? dims.size() : 0;
  return axis >= 0 && axis < dims.size() && dims[axis].has_dim_value() &&
         dims[axis].dim_value() % node.output_size() == 0;
}

/// Makes `node` one of the older operator set; says why it cannot.
std::string Converter::convert(pb::NodeProto &node) {
  const std::string &op = node.op_type();
  const pb::OpSchema *now = pb::OpSchemaRegistry::Schema(op, from);
  const pb::OpSchema *then = pb::OpSchemaRegistry::Schema(op, to);
  if (!now || now == then)
    return "";
  if (!then || then->Deprecated()) {
    int first = 0;
    for (int version = to + 1; version <= from && !first; ++version)
      if (pb::OpSchemaRegistry::Schema(op, version))
        first = version;
    return "since " + std::to_string(first);
  }
  for (const NewMeaning &change : kNewMeanings)
    if (change.op == op && then->SinceVersion() < change.version &&
        now->SinceVersion() >= change.version)
      return "means something else before " + std::to_string(change.version);
  if (std::string why = inputsToAttributes(node, *now, *then, constants, moved);
      !why.empty())
    return why;
  google::protobuf::RepeatedPtrField<pb::AttributeProto> kept;
  for (const pb::AttributeProto &attribute : node.attribute()) {
    const auto &known = then->attributes();
    if (known.count(attribute.name())) {
      *kept.Add() = attribute;
      continue;
    }
    auto it = now->attributes().find(attribute.name());
    bool isDefault = it != now->attributes().end() &&
                     it->second.default_value.has_name() &&
                     isEqual(it->second.default_value, attribute);
    bool isNumberOfParts = op == "Split" && attribute.name() == "num_outputs" &&
                           splitsEvenly(node);
    if (!isDefault && !isNumberOfParts)
      return "attribute '" + attribute.name() + "'";
  }
  // What is left out now may have had another meaning then, and the other way.
  for (const auto &[name, attribute] : now->attributes()) {
    auto it = then->attributes().find(name);
    if (it == then->attributes().end())
      continue;
    bool isGiven = llvm::any_of(node.attribute(), [&, &name = name](auto &a) {
      return a.name() == name;
    });
    if (isGiven ||
        (isEqual(attribute.default_value, it->second.default_value) &&
         attribute.required == it->second.required))
      continue;
    if (!attribute.default_value.has_name())
      return "without the attribute '" + name + "'";
    *kept.Add() = attribute.default_value;
  }
  for (const auto &[name, attribute] : then->attributes())
    if (attribute.required && !now->attributes().count(name) &&
        llvm::none_of(kept,
                      [&, &name = name](auto &a) { return a.name() == name; }))
      return "without the attribute '" + name + "'";
  auto check = [&](const auto &values, const auto &formals, int min,
                   int max) -> std::string {
    if (values.size() < min || values.size() > max)
      return std::to_string(values.size()) + " values";
    for (int i = 0; i < values.size(); ++i) {
      auto type = types.find(values[i]);
      if (values[i].empty() || type == types.end() ||
          type->second.value_case() == pb::TypeProto::VALUE_NOT_SET)
        continue;
      const auto &formal = formals[std::min<size_t>(i, formals.size() - 1)];
      auto data = pb::Utils::DataTypeUtils::ToType(type->second);
      if (!formal.GetTypes().count(data))
        return "type " + *data;
    }
    return "";
  };
  if (std::string why = check(node.input(), then->inputs(), then->min_input(),
                              then->max_input());
      !why.empty())
    return why;
  if (std::string why = check(node.output(), then->outputs(),
                              then->min_output(), then->max_output());
      !why.empty())
    return why;
  node.mutable_attribute()->Swap(&kept);
  return "";
}

void Converter::convert(Nodes &nodes) {
  for (pb::NodeProto &node : nodes) {
    if (node.domain().empty())
      if (std::string why = convert(node); !why.empty())
        problems.try_emplace(node.op_type(), why);
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        convert(*attribute.mutable_g()->mutable_node());
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        convert(*graph.mutable_node());
    }
  }
}

LogicalResult dlc::writer::convertOpset(pb::ModelProto &model, int64_t opset,
                                        Location loc) {
  pb::OperatorSetIdProto *import = nullptr;
  for (pb::OperatorSetIdProto &item : *model.mutable_opset_import())
    if (item.domain().empty())
      import = &item;
  if (!import)
    return success();
  int64_t newest = getNewestOpset("");
  if (opset < 1 || opset > newest)
    return emitError(loc, "expected an operator set from 1 to ")
           << newest << ", found " << opset;
  if (import->version() == opset)
    return success();
  if (import->version() < opset)
    return emitError(loc, "expected an operator set of at most ")
           << import->version() << ", found " << opset
           << ": the model could not be raised to it";
  Converter converter(model, int(import->version()), int(opset));
  converter.convert(*model.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *model.mutable_functions())
    for (pb::OperatorSetIdProto &item : *function.mutable_opset_import())
      if (item.domain().empty() && item.version() != opset) {
        // Only what is the same in both sets.
        for (const pb::NodeProto &node : function.node())
          if (node.domain().empty() &&
              pb::OpSchemaRegistry::Schema(node.op_type(), item.version()) !=
                  pb::OpSchemaRegistry::Schema(node.op_type(), int(opset)))
            converter.problems.try_emplace(
                node.op_type(), "in the function '" + function.name() + "'");
        item.set_version(opset);
      }
  if (converter.problems.empty()) {
    dropUnused(*model.mutable_graph(), converter.moved);
    import->set_version(opset);
    return success();
  }
  InFlightDiagnostic error =
      emitError(loc, "cannot be expressed in operator set ");
  error << opset << ": ";
  llvm::interleaveComma(converter.problems, error, [&](auto &problem) {
    error << problem.first << " (" << problem.second << ")";
  });
  return error;
}

//===----------------------------------------------------------------------===//
// IR versions
//===----------------------------------------------------------------------===//

namespace {

/// Looks for the newest thing in a model.
struct IrVersions {
  int64_t version = 3;

  void need(int64_t least) { version = std::max(version, least); }
  void type(int32_t dataType) {
    using T = pb::TensorProto;
    switch (dataType) {
    case T::BFLOAT16:
      return need(4);
    case T::FLOAT8E4M3FN:
    case T::FLOAT8E4M3FNUZ:
    case T::FLOAT8E5M2:
    case T::FLOAT8E5M2FNUZ:
      return need(9);
    case T::UINT4:
    case T::INT4:
      return need(10);
    case T::FLOAT4E2M1:
      return need(11);
    case T::FLOAT8E8M0:
      return need(12);
    case T::UINT2:
    case T::INT2:
      return need(13);
    case T::FLOAT6E2M3:
    case T::FLOAT6E3M2:
      return need(pb::IR_VERSION);
    default:
      return;
    }
  }
  void type(const pb::TypeProto &proto) {
    switch (proto.value_case()) {
    case pb::TypeProto::kTensorType:
      return type(proto.tensor_type().elem_type());
    case pb::TypeProto::kSparseTensorType:
      need(8);
      return type(proto.sparse_tensor_type().elem_type());
    case pb::TypeProto::kSequenceType:
      return type(proto.sequence_type().elem_type());
    case pb::TypeProto::kOptionalType:
      need(8);
      return type(proto.optional_type().elem_type());
    case pb::TypeProto::kMapType:
      return type(proto.map_type().value_type());
    default:
      return;
    }
  }
  template <typename Proto> void metadata(const Proto &proto) {
    if (proto.metadata_props_size())
      need(10);
  }
  void value(const pb::ValueInfoProto &proto) {
    type(proto.type());
    metadata(proto);
  }
  void tensor(const pb::TensorProto &proto) {
    type(proto.data_type());
    metadata(proto);
  }
  void attribute(const pb::AttributeProto &proto) {
    if (proto.has_t())
      tensor(proto.t());
    for (const pb::TensorProto &item : proto.tensors())
      tensor(item);
    if (proto.has_sparse_tensor() || proto.sparse_tensors_size())
      need(6);
    if (proto.has_tp() || proto.type_protos_size())
      need(8);
    if (proto.has_g())
      graph(proto.g());
    for (const pb::GraphProto &item : proto.graphs())
      graph(item);
  }
  void nodes(const Nodes &list) {
    for (const pb::NodeProto &node : list) {
      metadata(node);
      if (!node.overload().empty())
        need(10);
      if (node.device_configurations_size())
        need(11);
      for (const pb::AttributeProto &item : node.attribute())
        attribute(item);
    }
  }
  void graph(const pb::GraphProto &proto) {
    metadata(proto);
    for (const auto *list :
         {&proto.input(), &proto.output(), &proto.value_info()})
      for (const pb::ValueInfoProto &item : *list)
        value(item);
    llvm::StringMap<bool> inputs;
    for (const pb::ValueInfoProto &item : proto.input())
      inputs[item.name()] = true;
    for (const pb::TensorProto &item : proto.initializer()) {
      tensor(item);
      // Up to 3 every initializer is an input.
      if (!inputs.contains(item.name()))
        need(4);
    }
    if (proto.sparse_initializer_size())
      need(6);
    nodes(proto.node());
  }
};

} // namespace

int64_t dlc::writer::findIrVersion(const pb::ModelProto &model) {
  IrVersions versions;
  versions.graph(model.graph());
  if (model.configuration_size())
    versions.need(11);
  for (const pb::FunctionProto &function : model.functions()) {
    versions.need(8);
    versions.metadata(function);
    if (!function.overload().empty() || function.value_info_size())
      versions.need(10);
    if (function.attribute_proto_size())
      versions.need(9);
    versions.nodes(function.node());
  }
  return versions.version;
}
