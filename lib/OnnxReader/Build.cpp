/// \file
/// Makes the module of the onnx dialect from a checked model.
#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace dlc::reader;

namespace {

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;
using Values = google::protobuf::RepeatedPtrField<pb::ValueInfoProto>;
using Entries = google::protobuf::RepeatedPtrField<pb::StringStringEntryProto>;

/// The values and their declared types of a graph, and of those around it.
struct Scope {
  llvm::StringMap<Value> values;
  llvm::StringMap<const pb::TypeProto *> types;
  llvm::StringMap<const pb::ValueInfoProto *> infos; ///< of inner values
  const Scope *outer = nullptr;
  Value none;

  Value find(StringRef name) const {
    if (Value value = values.lookup(name))
      return value;
    return outer ? outer->find(name) : Value();
  }
};

class ModuleBuilder {
public:
  ModuleBuilder(const Model &model) : model(model), builder(model.context) {}

  OwningOpRef<ModuleOp> build();

private:
  StringAttr string(StringRef text) { return builder.getStringAttr(text); }
  Type type(const pb::TypeProto &type) {
    return *convertType(model.context, type, model.raised);
  }
  void addText(NamedAttrList &list, StringRef name, const std::string &text) {
    if (!text.empty())
      list.set(name, string(text));
  }
  void addMetadata(NamedAttrList &list, StringRef name, const Entries &entries);
  DictionaryAttr entry(const pb::ValueInfoProto &value);
  template <typename Shape>
  void addDims(NamedAttrList &list, const Shape &shape);
  DictionaryAttr imports(
      const google::protobuf::RepeatedPtrField<pb::OperatorSetIdProto> &list);
  NamedAttrList moduleAttributes();

  void buildFunction(const pb::FunctionProto &function);
  void buildMain();
  void buildGraphBody(const pb::GraphProto &graph, Region &region, Scope &scope,
                      SmallVector<Attribute> &inputs,
                      SmallVector<Attribute> &outputs);
  void buildNode(const pb::NodeProto &node, Scope &scope);
  Value none(Scope &scope, Location loc);
  Attribute attribute(const pb::AttributeProto &attribute, StringRef hint);
  Attribute sparse(const pb::SparseTensorProto &tensor, StringRef name);
  NamedAttrList graphExtras(const pb::GraphProto &graph);
  void addNodeExtras(OperationState &state, const pb::NodeProto &node,
                     const Scope &scope);

  const Model &model;
  OpBuilder builder;
};

} // namespace

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

void ModuleBuilder::addMetadata(NamedAttrList &list, StringRef name,
                                const Entries &entries) {
  NamedAttrList dictionary;
  for (const pb::StringStringEntryProto &item : entries)
    if (!item.key().empty())
      dictionary.set(item.key(), string(item.value()));
  if (!dictionary.empty())
    list.set(name, dictionary.getDictionary(model.context));
}

template <typename Shape>
void ModuleBuilder::addDims(NamedAttrList &list, const Shape &shape) {
  SmallVector<Attribute> names, denotations;
  bool named = false, denoted = false;
  for (const auto &dim : shape.dim()) {
    bool has = dim.has_dim_param() && !isUnnamed(dim.dim_param());
    names.push_back(string(has ? dim.dim_param() : ""));
    denotations.push_back(string(dim.denotation()));
    named |= has;
    denoted |= !dim.denotation().empty();
  }
  if (named)
    list.set("dim_names", builder.getArrayAttr(names));
  if (denoted)
    list.set("dim_denotations", builder.getArrayAttr(denotations));
}

/// Whether a type says what its MLIR type and `dim_names` cannot: sizes that
/// are taken for unknown, names inside of a sequence.
static bool saysMore(const pb::TypeProto &type, bool isInner) {
  if (type.has_sequence_type())
    return saysMore(type.sequence_type().elem_type(), true);
  if (type.has_optional_type())
    return saysMore(type.optional_type().elem_type(), true);
  if (!type.has_tensor_type())
    return isInner;
  return (isInner && !type.denotation().empty()) ||
         llvm::any_of(type.tensor_type().shape().dim(), [&](const auto &dim) {
           return (dim.has_dim_value() && dim.dim_value() <= 0) ||
                  (dim.has_dim_param() &&
                   (isInner || isUnnamed(dim.dim_param())));
         });
}

/// The dictionary of a graph's input or output, without an output's type.
DictionaryAttr ModuleBuilder::entry(const pb::ValueInfoProto &value) {
  NamedAttrList list;
  list.set("name", string(value.name()));
  if (value.type().has_tensor_type())
    addDims(list, value.type().tensor_type().shape());
  else if (value.type().has_sparse_tensor_type())
    addDims(list, value.type().sparse_tensor_type().shape());
  if (!model.raised && saysMore(value.type(), false))
    list.set("type_proto", string(value.type().ShortDebugString()));
  addText(list, "doc_string", value.doc_string());
  addText(list, "denotation", value.type().denotation());
  addMetadata(list, "metadata", value.metadata_props());
  return list.getDictionary(model.context);
}

DictionaryAttr ModuleBuilder::imports(
    const google::protobuf::RepeatedPtrField<pb::OperatorSetIdProto> &list) {
  NamedAttrList result;
  for (const pb::OperatorSetIdProto &import : list)
    result.set(import.domain().empty() ? "ai.onnx" : import.domain(),
               builder.getI64IntegerAttr(import.version()));
  return result.getDictionary(model.context);
}

NamedAttrList ModuleBuilder::moduleAttributes() {
  const pb::ModelProto &proto = model.proto;
  NamedAttrList list;
  list.set("onnx.ir_version", builder.getI64IntegerAttr(proto.ir_version()));
  list.set("onnx.opset_imports", imports(proto.opset_import()));
  addText(list, "onnx.producer_name", proto.producer_name());
  addText(list, "onnx.producer_version", proto.producer_version());
  addText(list, "onnx.domain", proto.domain());
  addText(list, "onnx.doc_string", proto.doc_string());
  if (proto.has_model_version())
    list.set("onnx.model_version",
             builder.getI64IntegerAttr(proto.model_version()));
  addMetadata(list, "onnx.metadata", proto.metadata_props());
  if (proto.training_info_size())
    list.set("onnx.training_info",
             builder.getI64IntegerAttr(proto.training_info_size()));
  if (proto.configuration_size()) {
    SmallVector<Attribute> devices;
    for (const auto &device : proto.configuration())
      devices.push_back(string(device.ShortDebugString()));
    list.set("onnx.device_configurations", builder.getArrayAttr(devices));
  }
  if (model.raised && model.originalOpset)
    list.set("onnx.original_opset",
             builder.getI64IntegerAttr(model.originalOpset));
  if (model.raised && model.originalIrVersion)
    list.set("onnx.original_ir_version",
             builder.getI64IntegerAttr(model.originalIrVersion));
  SmallVector<NamedAttribute> bounds;
  for (const auto &entry : model.dimBounds) {
    int64_t range[] = {entry.getValue().first, entry.getValue().second};
    bounds.push_back(builder.getNamedAttr(entry.getKey(),
                                          builder.getDenseI64ArrayAttr(range)));
  }
  if (!bounds.empty())
    list.set(dlc::kDimBoundsAttr, builder.getDictionaryAttr(bounds));
  if (!model.notes.empty()) {
    SmallVector<StringRef> notes(model.notes.begin(), model.notes.end());
    list.set("onnx.raise_notes", builder.getStrArrayAttr(notes));
  }
  return list;
}

/// Attributes of a graph that are neither its signature nor its body.
NamedAttrList ModuleBuilder::graphExtras(const pb::GraphProto &graph) {
  NamedAttrList list;
  addText(list, "doc_string", graph.doc_string());
  addMetadata(list, "metadata", graph.metadata_props());
  NamedAttrList annotations;
  for (const pb::TensorAnnotation &annotation :
       graph.quantization_annotation()) {
    NamedAttrList parameters;
    for (const auto &item : annotation.quant_parameter_tensor_names())
      if (!item.key().empty())
        parameters.set(item.key(), string(item.value()));
    if (!annotation.tensor_name().empty())
      annotations.set(annotation.tensor_name(),
                      parameters.getDictionary(model.context));
  }
  if (!annotations.empty())
    list.set("quantization", annotations.getDictionary(model.context));
  return list;
}

Attribute ModuleBuilder::sparse(const pb::SparseTensorProto &tensor,
                                StringRef name) {
  auto type = RankedTensorType::get(
      SmallVector<int64_t>(tensor.dims().begin(), tensor.dims().end()),
      convertElementType(model.context, tensor.values().data_type()));
  return ir::SparseTensorAttr::get(
      model.context, type, convertTensor(model, tensor.values(), name),
      convertTensor(model, tensor.indices(), (name + ".indices").str()));
}

/// An attribute that is no graph, with its kind. `hint` names its resources.
Attribute ModuleBuilder::attribute(const pb::AttributeProto &attribute,
                                   StringRef hint) {
  using A = pb::AttributeProto;
  if (!attribute.ref_attr_name().empty())
    return ir::RefAttr::get(
        model.context, attribute.ref_attr_name(),
        StringRef(A::AttributeType_Name(attribute.type())).lower());
  auto list = [&](StringRef kind, const auto &items,
                  auto convert) -> Attribute {
    SmallVector<Attribute> elements;
    for (const auto &item : items)
      elements.push_back(convert(item));
    return ir::ListAttr::get(model.context, kind,
                             builder.getArrayAttr(elements));
  };
  switch (attribute.type()) {
  case A::FLOAT:
    return builder.getF32FloatAttr(attribute.f());
  case A::INT:
    return builder.getI64IntegerAttr(attribute.i());
  case A::STRING:
    return string(attribute.s());
  case A::TENSOR:
    return convertTensor(model, attribute.t(), hint);
  case A::SPARSE_TENSOR:
    return sparse(attribute.sparse_tensor(), hint);
  case A::TYPE_PROTO:
    return TypeAttr::get(type(attribute.tp()));
  case A::FLOATS:
    return builder.getDenseF32ArrayAttr(SmallVector<float>(
        attribute.floats().begin(), attribute.floats().end()));
  case A::INTS:
    return builder.getDenseI64ArrayAttr(
        SmallVector<int64_t>(attribute.ints().begin(), attribute.ints().end()));
  case A::STRINGS:
    return builder.getStrArrayAttr(SmallVector<StringRef>(
        attribute.strings().begin(), attribute.strings().end()));
  case A::TENSORS:
    return list("tensors", attribute.tensors(),
                [&](const pb::TensorProto &tensor) {
                  return convertTensor(model, tensor, hint);
                });
  case A::SPARSE_TENSORS:
    return list("sparse_tensors", attribute.sparse_tensors(),
                [&](const pb::SparseTensorProto &tensor) {
                  return sparse(tensor, hint);
                });
  case A::TYPE_PROTOS:
    return list(
        "type_protos", attribute.type_protos(),
        [&](const pb::TypeProto &item) { return TypeAttr::get(type(item)); });
  case A::GRAPHS: // an empty list; others are regions
    return ir::ListAttr::get(model.context, "graphs", builder.getArrayAttr({}));
  default:
    return builder.getUnitAttr();
  }
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

/// Adds what is neither in the types nor in the operands of a node: what a
/// person wrote, names of tensors in attributes, and what value_infos say.
void ModuleBuilder::addNodeExtras(OperationState &state,
                                  const pb::NodeProto &node,
                                  const Scope &scope) {
  NamedAttrList extras, tensorNames;
  if (const Origin *origin = model.originOf(node)) {
    addText(extras, "doc_string", origin->doc);
    addText(extras, "devices", origin->devices);
    addMetadata(extras, "metadata", origin->metadata);
  }
  if (!model.raised && node.name().empty())
    extras.set("unnamed", builder.getUnitAttr());
  for (const pb::AttributeProto &item : node.attribute())
    if (item.has_t())
      addText(tensorNames, item.name(), item.t().name());
  if (!tensorNames.empty())
    extras.set("tensor_names", tensorNames.getDictionary(model.context));
  SmallVector<Attribute> infos;
  bool hasInfo = false;
  for (const std::string &output : node.output()) {
    NamedAttrList info;
    if (const pb::ValueInfoProto *value = scope.infos.lookup(output))
      info = NamedAttrList(entry(*value));
    info.erase("name");
    hasInfo |= !info.empty();
    infos.push_back(info.getDictionary(model.context));
  }
  if (hasInfo)
    extras.set("output_infos", builder.getArrayAttr(infos));
  state.addAttributes(extras);
}

/// The value of an absent optional input, one a graph.
Value ModuleBuilder::none(Scope &scope, Location loc) {
  if (!scope.none)
    scope.none = ir::NoneOp::create(builder, loc, builder.getNoneType());
  return scope.none;
}

void ModuleBuilder::buildNode(const pb::NodeProto &node, Scope &scope) {
  Location loc = model.nodeLoc(node);
  SmallVector<Value> operands;
  for (const std::string &input : node.input())
    operands.push_back(input.empty() ? none(scope, loc) : scope.find(input));

  std::string hint;
  SmallVector<Type> types;
  SmallVector<Attribute> names, graphs;
  for (const std::string &output : node.output()) {
    const pb::TypeProto *declared = scope.types.lookup(output);
    types.push_back(output.empty() ? builder.getNoneType()
                    : declared     ? type(*declared)
                                   : ir::UnknownType::get(model.context));
    names.push_back(string(output));
    if (hint.empty())
      hint = output;
  }

  NamedAttrList attributes;
  SmallVector<const pb::GraphProto *> bodies;
  for (const pb::AttributeProto &item : node.attribute()) {
    auto addGraph = [&](const pb::GraphProto &graph, int index) {
      NamedAttrList info = graphExtras(graph);
      info.set("attribute", string(item.name()));
      info.set("name", string(graph.name()));
      if (index >= 0)
        info.set("index", builder.getI64IntegerAttr(index));
      graphs.push_back(info.getDictionary(model.context));
      bodies.push_back(&graph);
    };
    bool isReference = !item.ref_attr_name().empty();
    if (item.type() == pb::AttributeProto::GRAPH && !isReference)
      addGraph(item.g(), -1);
    else if (item.type() == pb::AttributeProto::GRAPHS && item.graphs_size())
      for (int i = 0; i < item.graphs_size(); ++i)
        addGraph(item.graphs(i), i);
    else
      attributes.set(item.name(), attribute(item, hint + "." + item.name()));
  }

  OperationState state(loc, ir::NodeOp::getOperationName());
  state.addOperands(operands);
  state.addTypes(types);
  state.addAttribute("op_type", string(node.op_type()));
  bool isDefault = model.raised && node.domain() == "ai.onnx";
  state.addAttribute("domain", string(isDefault ? "" : node.domain()));
  state.addAttribute("overload", string(node.overload()));
  state.addAttribute("onnx_attributes",
                     attributes.getDictionary(model.context));
  state.addAttribute("output_names", builder.getArrayAttr(names));
  addNodeExtras(state, node, scope);
  for (unsigned i = 0; i < bodies.size(); ++i) {
    SmallVector<Attribute> inputs, outputs;
    Scope inner;
    inner.outer = &scope;
    buildGraphBody(*bodies[i], *state.addRegion(), inner, inputs, outputs);
    NamedAttrList info(cast<DictionaryAttr>(graphs[i]));
    info.set("inputs", builder.getArrayAttr(inputs));
    info.set("outputs", builder.getArrayAttr(outputs));
    graphs[i] = info.getDictionary(model.context);
  }
  state.addAttribute("graphs", builder.getArrayAttr(graphs));
  Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip(node.output(), op->getResults()))
    if (!name.empty())
      scope.values[name] = result;
}

void ModuleBuilder::buildGraphBody(const pb::GraphProto &graph, Region &region,
                                   Scope &scope, SmallVector<Attribute> &inputs,
                                   SmallVector<Attribute> &outputs) {
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&region);
  llvm::StringMap<int> defaults; // initializers, and their position as inputs
  llvm::StringMap<const pb::ValueInfoProto *> defaulted;
  for (const pb::TensorProto &tensor : graph.initializer())
    defaults[tensor.name()] = -1;
  for (const pb::SparseTensorProto &tensor : graph.sparse_initializer())
    defaults[tensor.values().name()] = -1;
  for (int i = 0; i < graph.input_size(); ++i) {
    const pb::ValueInfoProto &input = graph.input(i);
    if (auto it = defaults.find(input.name()); it != defaults.end()) {
      it->second = i;
      defaulted[input.name()] = &input;
      continue;
    }
    inputs.push_back(entry(input));
    scope.values[input.name()] =
        block->addArgument(type(input.type()), model.namedLoc(input.name()));
  }
  if (&graph == &model.proto.graph())
    for (const auto &[position, input] : model.defaultedInputs)
      defaults[input.name()] = position, defaulted[input.name()] = &input;
  // An output's own type is the better one.
  for (const Values *list : {&graph.value_info(), &graph.output()})
    for (const pb::ValueInfoProto &value : *list)
      if (value.type().value_case() != pb::TypeProto::VALUE_NOT_SET)
        scope.types[value.name()] = &value.type();

  for (const pb::ValueInfoProto &value : graph.value_info())
    scope.infos[value.name()] = &value;
  for (const pb::ValueInfoProto &value : graph.output())
    scope.infos.erase(value.name());

  auto initializer = [&](StringRef name, Attribute value, Type type,
                         const pb::TensorProto &tensor) {
    int position = defaults.lookup(name);
    auto op = ir::InitializerOp::create(
        builder, model.namedLoc(name), type, string(name), value,
        position < 0 ? IntegerAttr() : builder.getI64IntegerAttr(position));
    NamedAttrList extras;
    addText(extras, "doc_string", tensor.doc_string());
    addMetadata(extras, "metadata", tensor.metadata_props());
    if (const pb::ValueInfoProto *input = defaulted.lookup(name)) {
      NamedAttrList info(entry(*input));
      info.erase("name");
      if (!info.empty())
        extras.set("input_info", info.getDictionary(model.context));
    }
    for (NamedAttribute extra : extras)
      op->setAttr(extra.getName(), extra.getValue());
    scope.values[name] = op;
  };
  for (const pb::TensorProto &tensor : graph.initializer()) {
    Attribute value = convertTensor(model, tensor, tensor.name());
    initializer(tensor.name(), value, cast<ElementsAttr>(value).getType(),
                tensor);
  }
  for (const pb::SparseTensorProto &tensor : graph.sparse_initializer()) {
    const std::string &name = tensor.values().name();
    Attribute value = sparse(tensor, name);
    Type dense = cast<ir::SparseTensorAttr>(value).getType();
    initializer(name, value, ir::SparseType::get(model.context, dense),
                tensor.values());
  }
  for (const pb::NodeProto &node : graph.node())
    buildNode(node, scope);

  SmallVector<Value> results;
  for (const pb::ValueInfoProto &output : graph.output()) {
    Value value = scope.find(output.name());
    results.push_back(value);
    NamedAttrList list(entry(output));
    if (Type declared = type(output.type()); declared != value.getType())
      list.set("type", TypeAttr::get(declared));
    outputs.push_back(list.getDictionary(model.context));
  }
  ir::ReturnOp::create(builder, model.namedLoc(graph.name()), results);
}

void ModuleBuilder::buildFunction(const pb::FunctionProto &function) {
  Location loc = model.namedLoc(function.name());
  Scope scope;
  auto region = std::make_unique<Region>();
  SmallVector<Attribute> inputs, outputs;
  NamedAttrList defaults, extras;
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *block = builder.createBlock(region.get());
    for (const pb::ValueInfoProto &value : function.value_info()) {
      scope.types[value.name()] = &value.type();
      scope.infos[value.name()] = &value;
    }
    for (const std::string &input : function.input()) {
      pb::ValueInfoProto value;
      value.set_name(input);
      if (const pb::TypeProto *declared = scope.types.lookup(input))
        *value.mutable_type() = *declared;
      inputs.push_back(entry(value));
      scope.values[input] =
          block->addArgument(type(value.type()), model.namedLoc(input));
    }
    for (const pb::AttributeProto &item : function.attribute_proto())
      defaults.set(item.name(),
                   attribute(item, function.name() + "." + item.name()));
    for (const pb::NodeProto &node : function.node())
      buildNode(node, scope);
    SmallVector<Value> results;
    for (const std::string &output : function.output()) {
      pb::ValueInfoProto value;
      value.set_name(output);
      outputs.push_back(entry(value));
      results.push_back(scope.find(output));
    }
    ir::ReturnOp::create(builder, loc, results);
  }
  addText(extras, "doc_string", function.doc_string());
  addMetadata(extras, "metadata", function.metadata_props());
  std::string symbol = function.domain() + "::" + function.name();
  if (!function.overload().empty())
    symbol += "::" + function.overload();
  SmallVector<StringRef> names(function.attribute().begin(),
                               function.attribute().end());
  auto op = ir::FunctionOp::create(
      builder, loc, symbol, function.domain(), function.name(),
      function.overload(), builder.getArrayAttr(inputs),
      builder.getArrayAttr(outputs), imports(function.opset_import()),
      builder.getStrArrayAttr(names), defaults.getDictionary(model.context));
  for (NamedAttribute extra : extras)
    op->setAttr(extra.getName(), extra.getValue());
  op.getBody().takeBody(*region);
}

void ModuleBuilder::buildMain() {
  const pb::GraphProto &graph = model.proto.graph();
  auto op =
      ir::GraphOp::create(builder, model.namedLoc(graph.name()), "main",
                          builder.getArrayAttr({}), builder.getArrayAttr({}));
  NamedAttrList extras = graphExtras(graph);
  addText(extras, "name", graph.name());
  for (NamedAttribute extra : extras)
    op->setAttr(extra.getName(), extra.getValue());
  Scope scope;
  SmallVector<Attribute> inputs, outputs;
  buildGraphBody(graph, op.getBody(), scope, inputs, outputs);
  op.setInputsAttr(builder.getArrayAttr(inputs));
  op.setOutputsAttr(builder.getArrayAttr(outputs));
}

OwningOpRef<ModuleOp> ModuleBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(model.fileLoc());
  NamedAttrList attributes = moduleAttributes();
  (*module)->setAttrs(attributes.getDictionary(model.context));
  builder.setInsertionPointToEnd(module->getBody());
  for (const pb::FunctionProto &function : model.proto.functions())
    buildFunction(function);
  buildMain();
  return module;
}

OwningOpRef<ModuleOp> dlc::reader::buildModule(const Model &model) {
  model.context->getOrLoadDialect<ir::OnnxDialect>();
  return ModuleBuilder(model).build();
}
