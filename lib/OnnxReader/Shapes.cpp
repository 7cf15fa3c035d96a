/// \file
/// Shapes: those that the user gives, and ONNX's inference of all types.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include "llvm/ADT/StringExtras.h"
#include <mutex>

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;
using Values = google::protobuf::RepeatedPtrField<pb::ValueInfoProto>;

//===----------------------------------------------------------------------===//
// Walking
//===----------------------------------------------------------------------===//

/// Calls `visit` for every dimension of a type.
static void
forEachDim(pb::TypeProto &type,
           llvm::function_ref<void(pb::TensorShapeProto::Dimension &)> visit) {
  switch (type.value_case()) {
  case pb::TypeProto::kTensorType:
    if (type.tensor_type().has_shape())
      for (auto &dim :
           *type.mutable_tensor_type()->mutable_shape()->mutable_dim())
        visit(dim);
    break;
  case pb::TypeProto::kSparseTensorType:
    if (type.sparse_tensor_type().has_shape())
      for (auto &dim :
           *type.mutable_sparse_tensor_type()->mutable_shape()->mutable_dim())
        visit(dim);
    break;
  case pb::TypeProto::kSequenceType:
    forEachDim(*type.mutable_sequence_type()->mutable_elem_type(), visit);
    break;
  case pb::TypeProto::kOptionalType:
    forEachDim(*type.mutable_optional_type()->mutable_elem_type(), visit);
    break;
  case pb::TypeProto::kMapType:
    forEachDim(*type.mutable_map_type()->mutable_value_type(), visit);
    break;
  default:
    break;
  }
}

/// Calls `visit` for a graph and all graphs in it.
static void forEachGraph(pb::GraphProto &graph,
                         llvm::function_ref<void(pb::GraphProto &)> visit) {
  visit(graph);
  for (pb::NodeProto &node : *graph.mutable_node())
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forEachGraph(*attribute.mutable_g(), visit);
      for (pb::GraphProto &inner : *attribute.mutable_graphs())
        forEachGraph(inner, visit);
    }
}

static void
forEachDeclaredType(pb::GraphProto &graph,
                    llvm::function_ref<void(pb::TypeProto &)> visit) {
  forEachGraph(graph, [&](pb::GraphProto &inner) {
    for (Values *list : {inner.mutable_input(), inner.mutable_output(),
                         inner.mutable_value_info()})
      for (pb::ValueInfoProto &value : *list)
        visit(*value.mutable_type());
  });
}

static void clearShape(pb::TypeProto &type) {
  if (type.has_tensor_type())
    type.mutable_tensor_type()->clear_shape();
  else if (type.has_sequence_type())
    clearShape(*type.mutable_sequence_type()->mutable_elem_type());
  else if (type.has_optional_type())
    clearShape(*type.mutable_optional_type()->mutable_elem_type());
}

//===----------------------------------------------------------------------===//
// Shapes that the user gives
//===----------------------------------------------------------------------===//

/// Sets the shape of one input. Sizes that a name had before are collected in
/// `values`; `clash` tells whether a fixed size changed.
static LogicalResult setShape(const Model &model, pb::ValueInfoProto &input,
                              ArrayRef<int64_t> shape,
                              llvm::StringMap<int64_t> &values, bool &clash) {
  Location loc = model.namedLoc(input.name());
  if (!input.type().has_tensor_type())
    return emitError(loc, "input '")
           << input.name() << "' is no tensor, so it cannot be given a shape";
  auto &type = *input.mutable_type()->mutable_tensor_type();
  if (type.has_shape() && type.shape().dim_size() != int(shape.size()))
    return emitError(loc, "expected a shape of rank ")
           << type.shape().dim_size() << " for input '" << input.name()
           << "', found rank " << shape.size();
  bool hadShape = type.has_shape();
  for (auto [i, size] : llvm::enumerate(shape)) {
    auto &dim = hadShape ? *type.mutable_shape()->mutable_dim(i)
                         : *type.mutable_shape()->add_dim();
    if (size < 0) {
      if (dim.has_dim_value()) {
        dim.clear_value();
        clash = true;
      }
      continue;
    }
    if (dim.has_dim_param() && !isUnnamed(dim.dim_param())) {
      auto [it, isNew] = values.try_emplace(dim.dim_param(), size);
      if (it->second != size)
        return emitError(loc, "dimension '")
               << dim.dim_param() << "' is given both as " << it->second
               << " and as " << size;
    }
    clash |=
        dim.has_dim_value() && dim.dim_value() > 0 && dim.dim_value() != size;
    dim.set_dim_value(size);
  }
  return success();
}

LogicalResult dlc::reader::applyShapes(Model &model,
                                       const ReadOptions &options) {
  pb::GraphProto &graph = *model.proto.mutable_graph();
  if (model.raised)
    forEachDeclaredType(graph, [](pb::TypeProto &type) {
      forEachDim(type, [](pb::TensorShapeProto::Dimension &dim) {
        if ((dim.has_dim_param() && isUnnamed(dim.dim_param())) ||
            (dim.has_dim_value() && dim.dim_value() <= 0))
          dim.clear_value();
      });
    });
  if (options.shapes.empty() && options.dims.empty() &&
      options.dimBounds.empty())
    return success();

  llvm::StringMap<int64_t> values;
  bool ok = true, clash = false;
  llvm::StringMap<bool> names, inputs;
  forEachDeclaredType(graph, [&](pb::TypeProto &type) {
    forEachDim(type, [&](pb::TensorShapeProto::Dimension &dim) {
      if (dim.has_dim_param())
        names[dim.dim_param()] = true;
    });
  });
  auto list = [](const llvm::StringMap<bool> &map) {
    std::vector<StringRef> sorted(map.keys().begin(), map.keys().end());
    llvm::sort(sorted);
    return sorted.empty() ? "none" : "'" + llvm::join(sorted, "', '") + "'";
  };
  auto expectName = [&](StringRef name) {
    if (names.contains(name))
      return;
    emitError(model.fileLoc(), "no dimension is named '")
        << name << "'; the model has " << list(names);
    ok = false;
  };
  for (const auto &entry : options.dims) {
    expectName(entry.getKey());
    values[entry.getKey()] = entry.getValue();
  }
  for (const auto &entry : options.dimBounds) {
    expectName(entry.getKey());
    model.dimBounds[entry.getKey()] = entry.getValue();
  }
  for (pb::ValueInfoProto &input : *graph.mutable_input()) {
    inputs[input.name()] = true;
    if (auto it = options.shapes.find(input.name()); it != options.shapes.end())
      ok &= succeeded(setShape(model, input, it->second, values, clash));
  }
  for (const auto &entry : options.shapes)
    if (!inputs.contains(entry.getKey())) {
      emitError(model.fileLoc(), "no input is named '")
          << entry.getKey() << "'; the model has " << list(inputs);
      ok = false;
    }
  // A named dimension has its size everywhere.
  forEachDeclaredType(graph, [&](pb::TypeProto &type) {
    forEachDim(type, [&](pb::TensorShapeProto::Dimension &dim) {
      if (auto it = values.find(dim.dim_param());
          dim.has_dim_param() && it != values.end())
        dim.set_dim_value(it->second);
    });
  });
  // Where a fixed size changed, other declared sizes are stale.
  if (clash)
    for (Values *values : {graph.mutable_output(), graph.mutable_value_info()})
      for (pb::ValueInfoProto &value : *values)
        forEachDim(*value.mutable_type(), [](auto &dim) {
          if (dim.has_dim_value())
            dim.clear_value();
        });
  return success(ok);
}

//===----------------------------------------------------------------------===//
// Inference
//===----------------------------------------------------------------------===//

namespace {
/// ONNX's schemas, with an inference for operators that have none, or whose
/// function body is of one type where the operator has several. The results of
/// all of these have the first input's type.
class Schemas final : public pb::ISchemaRegistry {
public:
  Schemas() {
    for (const char *op : {"Abs",       "Add",         "BatchNormalization",
                           "Ceil",      "Clip",        "Div",
                           "Dropout",   "Elu",         "Exp",
                           "Floor",     "HardSigmoid", "InstanceNormalization",
                           "LeakyRelu", "Log",         "Mul",
                           "Neg",       "PRelu",       "Reciprocal",
                           "Relu",      "Selu",        "Sigmoid",
                           "Sqrt",      "Sub",         "Tanh"})
      add(op, 1);
    add("MeanVarianceNormalization", 9);
    add("MeanVarianceNormalization", 13);
    for (int version : {10, 11, 13})
      guardSlice(version);
  }

  const pb::OpSchema *GetSchema(const std::string &name, int version,
                                const std::string &domain = "") const override {
    const pb::OpSchema *schema =
        pb::OpSchemaRegistry::Schema(name, version, domain);
    if (!schema || !domain.empty())
      return schema;
    auto it = mended.find({name, schema->since_version()});
    return it == mended.end() ? schema : &it->second;
  }

private:
  void add(const char *name, int version) {
    const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(name, version);
    if (!schema || schema->since_version() != version ||
        schema->has_type_and_shape_inference_function())
      return;
    pb::OpSchema copy = *schema;
    copy.TypeAndShapeInferenceFunction(pb::propagateShapeAndTypeFromFirstInput);
    mended.emplace(std::pair(name, version), std::move(copy));
  }

  /// ONNX counts the elements that a Slice takes of a shape with an `int`,
  /// which a large step overflows: it then reads outside or never ends. Nothing
  /// is propagated through such a step.
  void guardSlice(int version) {
    constexpr int64_t most = 1 << 30;
    constexpr int kSteps = 4;
    const pb::OpSchema *schema =
        pb::OpSchemaRegistry::Schema("Slice", version, "");
    if (!schema || schema->since_version() != version ||
        !schema->has_data_propagation_function())
      return;
    pb::OpSchema copy = *schema;
    copy.PartialDataPropagationFunction(
        [propagate = schema->GetDataPropagationFunction()](
            pb::DataPropagationContext &context) {
          const pb::TensorShapeProto *steps = context.getNumInputs() > kSteps
                                                  ? context.getInputData(kSteps)
                                                  : nullptr;
          if (!steps || llvm::all_of(steps->dim(), [](const auto &step) {
                return step.dim_value() >= -most && step.dim_value() <= most;
              }))
            propagate(context);
        });
    mended.emplace(std::pair("Slice", version), std::move(copy));
  }

  std::map<std::pair<std::string, int>, pb::OpSchema> mended;
};
} // namespace

std::optional<std::string>
dlc::reader::inferShapes(pb::ModelProto &proto, bool strict, bool propagate) {
  static const Schemas schemas;
  pb::shape_inference::DataValueMap data;
  try {
    pb::shape_inference::InferShapes(
        proto, &schemas,
        pb::ShapeInferenceOptions(/*check_type=*/strict, strict, propagate),
        &data);
  } catch (const std::exception &e) {
    return e.what();
  }
  return std::nullopt;
}

/// Names every node "#k", so that messages tell which it is, and lists them.
static std::vector<const pb::NodeProto *>
numberNodes(pb::ModelProto &proto, pb::GraphProto &original) {
  std::vector<const pb::NodeProto *> nodes;
  forEachGraph(original, [&](pb::GraphProto &graph) {
    for (const pb::NodeProto &node : graph.node())
      nodes.push_back(&node);
  });
  size_t i = 0;
  forEachGraph(*proto.mutable_graph(), [&](pb::GraphProto &graph) {
    for (pb::NodeProto &node : *graph.mutable_node())
      node.set_name("#" + std::to_string(i++));
  });
  return nodes;
}

/// Reports the errors of a strict inference at the nodes that they name.
static void reportInference(const Model &model, StringRef message,
                            ArrayRef<const pb::NodeProto *> nodes) {
  SmallVector<StringRef> lines;
  message.split(lines, '\n', -1, /*KeepEmpty=*/false);
  bool reported = false;
  for (StringRef line : lines) {
    size_t at = line.rfind("node name: #");
    size_t index;
    StringRef rest =
        at == StringRef::npos ? "" : line.substr(at + strlen("node name: #"));
    if (rest.consumeInteger(10, index) || index >= nodes.size())
      continue;
    rest.consume_front("): ");
    emitError(model.nodeLoc(*nodes[index]))
        << "'" << nodes[index]->op_type()
        << "' node: types or shapes are inconsistent: " << describe(rest);
    reported = true;
  }
  if (!reported)
    emitError(model.fileLoc(), "types or shapes are inconsistent: ")
        << describe(message);
}

static const pb::OpSchema *schemaOf(const pb::ModelProto &proto,
                                    const pb::NodeProto &node) {
  int opset = 0;
  for (const pb::OperatorSetIdProto &import : proto.opset_import())
    if (import.domain() == node.domain())
      opset = int(import.version());
  return pb::OpSchemaRegistry::Schema(node.op_type(), opset, node.domain());
}

/// Whether every operator has a schema.
static bool allKnown(pb::ModelProto &proto) {
  bool known = true;
  forEachGraph(*proto.mutable_graph(), [&](pb::GraphProto &graph) {
    for (const pb::NodeProto &node : graph.node())
      known &= schemaOf(proto, node) != nullptr;
  });
  return known;
}

static std::string shapeText(const pb::TensorShapeProto &shape) {
  std::string text = "[";
  for (const auto &dim : shape.dim()) {
    if (text.size() > 1)
      text += ", ";
    text += dim.has_dim_value() ? std::to_string(dim.dim_value())
            : dim.has_dim_param() && !isUnnamed(dim.dim_param())
                ? dim.dim_param()
                : "?";
  }
  return text + "]";
}

/// Compares the declared shape of an output with the inferred one, and keeps
/// the names of its dimensions. Returns what is wrong, "" when nothing is.
static std::string mergeOutput(pb::ValueInfoProto &output,
                               const pb::TypeProto &declared, bool overridden) {
  if (!declared.has_tensor_type() || !declared.tensor_type().has_shape() ||
      !output.type().has_tensor_type())
    return "";
  const pb::TensorShapeProto &expected = declared.tensor_type().shape();
  auto &type = *output.mutable_type()->mutable_tensor_type();
  if (!type.has_shape()) {
    *type.mutable_shape() = expected;
    return "";
  }
  pb::TensorShapeProto &found = *type.mutable_shape();
  bool same = found.dim_size() == expected.dim_size();
  for (int i = 0; same && i < found.dim_size(); ++i) {
    auto &dim = *found.mutable_dim(i);
    const auto &other = expected.dim(i);
    if (dim.has_dim_value() && other.has_dim_value())
      same &= dim.dim_value() == other.dim_value();
    else if (!dim.has_dim_value() && other.has_dim_param())
      dim.set_dim_param(other.dim_param());
    if (!other.denotation().empty())
      dim.set_denotation(other.denotation());
  }
  if (same || overridden)
    return "";
  return "output '" + output.name() + "' is declared with the shape " +
         shapeText(expected) + ", but the graph computes " + shapeText(found);
}

/// Adds the default values of attributes to operators that are functions:
/// the inference in their bodies does not know them.
static void addDefaultAttributes(pb::ModelProto &proto) {
  forEachGraph(*proto.mutable_graph(), [&](pb::GraphProto &graph) {
    for (pb::NodeProto &node : *graph.mutable_node()) {
      const pb::OpSchema *schema = schemaOf(proto, node);
      if (!schema || !schema->HasFunction())
        continue;
      for (const auto &[name, attribute] : schema->attributes())
        if (attribute.default_value.has_name() &&
            llvm::none_of(node.attribute(),
                          [&, &name = name](const auto &given) {
                            return given.name() == name;
                          }))
          *node.add_attribute() = attribute.default_value;
    }
  });
}

/// Where inference knows no shape, the file's word counts.
static void addDeclared(const Model &model, pb::GraphProto &graph) {
  llvm::StringMap<bool> typed;
  for (pb::ValueInfoProto &value : *graph.mutable_value_info()) {
    typed[value.name()] = true;
    auto it = model.declared.find(value.name());
    if (it != model.declared.end() && value.type().has_tensor_type() &&
        !value.type().tensor_type().has_shape() &&
        it->second.has_tensor_type() &&
        it->second.tensor_type().elem_type() ==
            value.type().tensor_type().elem_type())
      *value.mutable_type() = it->second;
  }
  for (const pb::ValueInfoProto &output : graph.output())
    typed[output.name()] = true;
  for (const pb::NodeProto &node : graph.node())
    for (const std::string &output : node.output())
      if (auto it = model.declared.find(output);
          it != model.declared.end() && !typed.contains(output)) {
        pb::ValueInfoProto *value = graph.add_value_info();
        value->set_name(output);
        *value->mutable_type() = it->second;
      }
}

LogicalResult dlc::reader::inferTypes(Model &model, bool overridden,
                                      Strictness mode, std::string *why) {
  pb::ModelProto &proto = model.proto;
  pb::GraphProto &graph = *proto.mutable_graph();
  bool known = allKnown(proto);
  llvm::StringMap<pb::TypeProto> outputs;
  for (pb::ValueInfoProto &value : *graph.mutable_value_info())
    model.declared[value.name()] = value.type();
  for (pb::ValueInfoProto &value : *graph.mutable_output())
    outputs[value.name()] = model.declared[value.name()] = value.type();

  // What files say of inner values is often stale: infer it, where possible.
  pb::ModelProto fresh = proto;
  addDefaultAttributes(fresh);
  if (known)
    forEachGraph(*fresh.mutable_graph(),
                 [](pb::GraphProto &inner) { inner.clear_value_info(); });
  for (pb::ValueInfoProto &output : *fresh.mutable_graph()->mutable_output())
    clearShape(*output.mutable_type());

  // Propagation of values is the less proven part: it alone may not fail.
  std::vector<const pb::NodeProto *> nodes;
  pb::ModelProto result;
  std::optional<std::string> error;
  for (bool propagate : {true, false}) {
    result = fresh;
    nodes = numberNodes(result, graph);
    error = inferShapes(result, mode == Strictness::Strict, propagate);
    if (!error)
      break;
  }
  if (error && why)
    return *why = describe(*error), failure();
  if (error)
    return reportInference(model, *error, nodes), failure();

  for (pb::ValueInfoProto &output : *result.mutable_graph()->mutable_output()) {
    std::string wrong = mergeOutput(output, outputs[output.name()],
                                    overridden || mode == Strictness::Lenient);
    if (wrong.empty())
      continue;
    if (why)
      return *why = wrong, failure();
    emitError(model.namedLoc(output.name())) << wrong;
    error = wrong;
  }
  if (error)
    return failure();

  std::vector<std::string> names; // numberNodes has replaced them
  for (const pb::NodeProto *node : nodes)
    names.push_back(node->name());
  size_t i = 0;
  forEachGraph(*result.mutable_graph(), [&](pb::GraphProto &inner) {
    for (pb::NodeProto &node : *inner.mutable_node())
      node.set_name(names[i++]);
  });
  proto.Swap(&result);
  addDeclared(model, *proto.mutable_graph());
  return success();
}
