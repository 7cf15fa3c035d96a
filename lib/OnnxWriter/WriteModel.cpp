/// \file
/// Makes the protobuf message of a module.
#include "google/protobuf/text_format.h"
#include "lib/OnnxWriter/Writer.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace dlc::writer;

namespace {

using Entries = google::protobuf::RepeatedPtrField<pb::StringStringEntryProto>;

class ModelWriter {
public:
  ModelWriter(pb::ModelProto &model, DataFile &data)
      : model(model), data(data) {}

  void write(ModuleOp module);

private:
  void writeFunction(ir::FunctionOp op);
  void writeGraph(pb::GraphProto &proto, Block &block, ArrayAttr inputs,
                  ArrayAttr outputs, DictionaryAttr extras);
  void writeNode(pb::NodeProto &proto, ir::NodeOp op);
  void writeInitializer(pb::GraphProto &proto, ir::InitializerOp op,
                        std::vector<std::pair<int64_t, pb::ValueInfoProto>> &);
  void writeAttribute(pb::AttributeProto &proto, StringRef name,
                      Attribute value);
  void writeSparse(pb::SparseTensorProto &proto, ir::SparseTensorAttr value);
  void writeValue(pb::ValueInfoProto &proto, StringRef name, Type type,
                  DictionaryAttr entry);
  void addInfos(google::protobuf::RepeatedPtrField<pb::ValueInfoProto> &list,
                Block &block);

  pb::ModelProto &model;
  DataFile &data;
  const Names *names = nullptr;
};

} // namespace

static std::string textOf(DictionaryAttr dictionary, StringRef name) {
  auto text = dictionary ? dictionary.getAs<StringAttr>(name) : StringAttr();
  return text ? text.str() : "";
}

static void writeMetadata(Entries &proto, DictionaryAttr extras) {
  if (!extras)
    return;
  if (auto metadata = extras.getAs<DictionaryAttr>("metadata"))
    for (NamedAttribute item : metadata) {
      auto *entry = proto.Add();
      entry->set_key(item.getName().str());
      entry->set_value(cast<StringAttr>(item.getValue()).str());
    }
}

/// What a person wrote on a message.
template <typename Proto>
static void writeExtras(Proto &proto, DictionaryAttr extras) {
  if (std::string doc = textOf(extras, "doc_string"); !doc.empty())
    proto.set_doc_string(doc);
  writeMetadata(*proto.mutable_metadata_props(), extras);
}

void ModelWriter::writeValue(pb::ValueInfoProto &proto, StringRef name,
                             Type type, DictionaryAttr entry) {
  proto.set_name(name.str());
  std::string exact = textOf(entry, "type_proto");
  if (!exact.empty())
    google::protobuf::TextFormat::ParseFromString(exact, proto.mutable_type());
  else if (!isa<ir::UnknownType>(type))
    writeType(*proto.mutable_type(), type, entry);
  writeExtras(proto, entry);
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

void ModelWriter::writeSparse(pb::SparseTensorProto &proto,
                              ir::SparseTensorAttr value) {
  for (int64_t size : cast<ShapedType>(value.getType()).getShape())
    proto.add_dims(size);
  DataFile inside;
  writeTensor(*proto.mutable_values(), cast<ElementsAttr>(value.getValues()),
              inside);
  writeTensor(*proto.mutable_indices(), cast<ElementsAttr>(value.getIndices()),
              inside);
}

void ModelWriter::writeAttribute(pb::AttributeProto &proto, StringRef name,
                                 Attribute value) {
  using A = pb::AttributeProto;
  proto.set_name(name.str());
  if (auto ref = dyn_cast<ir::RefAttr>(value)) {
    A::AttributeType type;
    A::AttributeType_Parse(ref.getKind().upper(), &type);
    proto.set_type(type);
    proto.set_ref_attr_name(ref.getName().str());
  } else if (auto list = dyn_cast<ir::ListAttr>(value)) {
    A::AttributeType type;
    A::AttributeType_Parse(list.getKind().upper(), &type);
    proto.set_type(type);
    for (Attribute item : list.getElements())
      if (auto sparse = dyn_cast<ir::SparseTensorAttr>(item))
        writeSparse(*proto.add_sparse_tensors(), sparse);
      else if (auto typeAttr = dyn_cast<TypeAttr>(item))
        writeType(*proto.add_type_protos(), typeAttr.getValue(), {});
      else
        writeTensor(*proto.add_tensors(), cast<ElementsAttr>(item), data);
  } else if (auto sparse = dyn_cast<ir::SparseTensorAttr>(value)) {
    proto.set_type(A::SPARSE_TENSOR);
    writeSparse(*proto.mutable_sparse_tensor(), sparse);
  } else if (auto ints = dyn_cast<DenseI64ArrayAttr>(value)) {
    proto.set_type(A::INTS);
    for (int64_t item : ints.asArrayRef())
      proto.add_ints(item);
  } else if (auto floats = dyn_cast<DenseF32ArrayAttr>(value)) {
    proto.set_type(A::FLOATS);
    for (float item : floats.asArrayRef())
      proto.add_floats(item);
  } else if (auto strings = dyn_cast<ArrayAttr>(value)) {
    proto.set_type(A::STRINGS);
    for (Attribute item : strings)
      proto.add_strings(cast<StringAttr>(item).str());
  } else if (auto text = dyn_cast<StringAttr>(value)) {
    proto.set_type(A::STRING);
    proto.set_s(text.str());
  } else if (auto number = dyn_cast<IntegerAttr>(value)) {
    proto.set_type(A::INT);
    proto.set_i(number.getInt());
  } else if (auto number = dyn_cast<FloatAttr>(value)) {
    proto.set_type(A::FLOAT);
    proto.set_f(float(number.getValueAsDouble()));
  } else if (auto type = dyn_cast<TypeAttr>(value)) {
    proto.set_type(A::TYPE_PROTO);
    writeType(*proto.mutable_tp(), type.getValue(), {});
  } else if (auto tensor = dyn_cast<ElementsAttr>(value)) {
    proto.set_type(A::TENSOR);
    writeTensor(*proto.mutable_t(), tensor, data);
  }
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

/// The configurations that the reader kept as text, one a line.
static void writeDevices(pb::NodeProto &proto, StringRef text) {
  while (!text.empty()) {
    auto [line, rest] = text.split('\n');
    if (!line.empty())
      google::protobuf::TextFormat::ParseFromString(
          line.str(), proto.add_device_configurations());
    text = rest;
  }
}

void ModelWriter::writeNode(pb::NodeProto &proto, ir::NodeOp op) {
  if (!op->hasAttr("unnamed"))
    proto.set_name(op.getNodeName().str());
  proto.set_op_type(op.getOpType().str());
  if (!op.getDomain().empty())
    proto.set_domain(op.getDomain().str());
  if (!op.getOverload().empty())
    proto.set_overload(op.getOverload().str());
  for (Value operand : op.getOperands())
    proto.add_input(names->get(operand));
  for (Value result : op.getResults())
    proto.add_output(names->get(result));
  auto tensorNames = op->getAttrOfType<DictionaryAttr>("tensor_names");
  for (NamedAttribute item : op.getOnnxAttributes()) {
    pb::AttributeProto &attribute = *proto.add_attribute();
    writeAttribute(attribute, item.getName(), item.getValue());
    if (std::string name = textOf(tensorNames, item.getName());
        !name.empty() && attribute.has_t())
      attribute.mutable_t()->set_name(name);
  }
  for (auto [i, region] : llvm::enumerate(op.getBodies())) {
    DictionaryAttr info = op.getGraphInfo(i);
    std::string name = textOf(info, "attribute");
    pb::GraphProto *graph = nullptr;
    if (!info.getAs<IntegerAttr>("index")) {
      pb::AttributeProto *attribute = proto.add_attribute();
      attribute->set_name(name);
      attribute->set_type(pb::AttributeProto::GRAPH);
      graph = attribute->mutable_g();
    } else {
      // Graphs of one list stand side by side.
      pb::AttributeProto *list = nullptr;
      for (pb::AttributeProto &known : *proto.mutable_attribute())
        if (known.name() == name)
          list = &known;
      if (!list) {
        list = proto.add_attribute();
        list->set_name(name);
        list->set_type(pb::AttributeProto::GRAPHS);
      }
      graph = list->add_graphs();
    }
    graph->set_name(textOf(info, "name"));
    writeGraph(*graph, region.front(), info.getAs<ArrayAttr>("inputs"),
               info.getAs<ArrayAttr>("outputs"), info);
  }
  writeExtras(proto, op->getDiscardableAttrDictionary());
  if (auto devices = op->getAttrOfType<StringAttr>("devices"))
    writeDevices(proto, devices);
}

void ModelWriter::writeInitializer(
    pb::GraphProto &proto, ir::InitializerOp op,
    std::vector<std::pair<int64_t, pb::ValueInfoProto>> &inputs) {
  DictionaryAttr extras = op->getDiscardableAttrDictionary();
  std::string name = names->get(op);
  if (auto sparse = dyn_cast<ir::SparseTensorAttr>(op.getValue())) {
    pb::SparseTensorProto &tensor = *proto.add_sparse_initializer();
    writeSparse(tensor, sparse);
    tensor.mutable_values()->set_name(name);
    writeExtras(*tensor.mutable_values(), extras);
  } else {
    pb::TensorProto &tensor = *proto.add_initializer();
    writeTensor(tensor, op.getElements(), data);
    tensor.set_name(name);
    writeExtras(tensor, extras);
  }
  if (std::optional<uint64_t> position = op.getInput()) {
    inputs.emplace_back(*position, pb::ValueInfoProto());
    writeValue(inputs.back().second, name, op.getType(),
               op->getAttrOfType<DictionaryAttr>("input_info"));
  }
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

/// Declares the inner values whose type is known.
void ModelWriter::addInfos(
    google::protobuf::RepeatedPtrField<pb::ValueInfoProto> &list,
    Block &block) {
  llvm::SmallPtrSet<Value, 8> outputs;
  outputs.insert_range(block.getTerminator()->getOperands());
  for (auto node : block.getOps<ir::NodeOp>()) {
    auto infos = node->getAttrOfType<ArrayAttr>("output_infos");
    for (auto [i, result] : llvm::enumerate(node.getResults()))
      if (!isa<NoneType, ir::UnknownType>(result.getType()) &&
          !outputs.contains(result))
        writeValue(*list.Add(), names->get(result), result.getType(),
                   infos ? cast<DictionaryAttr>(infos[i]) : DictionaryAttr());
  }
}

void ModelWriter::writeGraph(pb::GraphProto &proto, Block &block,
                             ArrayAttr inputs, ArrayAttr outputs,
                             DictionaryAttr extras) {
  for (BlockArgument argument : block.getArguments())
    writeValue(*proto.add_input(), names->get(argument), argument.getType(),
               cast<DictionaryAttr>(inputs[argument.getArgNumber()]));
  std::vector<std::pair<int64_t, pb::ValueInfoProto>> defaulted;
  for (Operation &op : block) {
    if (auto node = dyn_cast<ir::NodeOp>(op))
      writeNode(*proto.add_node(), node);
    else if (auto initializer = dyn_cast<ir::InitializerOp>(op))
      writeInitializer(proto, initializer, defaulted);
  }
  llvm::sort(defaulted, [](auto &a, auto &b) { return a.first < b.first; });
  for (auto &[position, value] : defaulted) {
    *proto.add_input() = std::move(value);
    for (int i = proto.input_size() - 1; i > position; --i)
      proto.mutable_input()->SwapElements(i, i - 1);
  }
  for (auto [i, value] :
       llvm::enumerate(block.getTerminator()->getOperands())) {
    auto entry = cast<DictionaryAttr>(outputs[i]);
    std::string name = names->getOutput(block, i);
    auto declared = entry.getAs<TypeAttr>("type");
    writeValue(*proto.add_output(), name,
               declared ? declared.getValue() : value.getType(), entry);
    if (names->get(value) == name)
      continue;
    // A value that is called otherwise: an input, or another output.
    pb::NodeProto &copy = *proto.add_node();
    copy.set_op_type("Identity");
    copy.set_name(name);
    copy.add_input(names->get(value));
    copy.add_output(name);
  }
  addInfos(*proto.mutable_value_info(), block);
  if (auto annotations =
          extras ? extras.getAs<DictionaryAttr>("quantization") : nullptr)
    for (NamedAttribute item : annotations) {
      auto *annotation = proto.add_quantization_annotation();
      annotation->set_tensor_name(item.getName().str());
      for (NamedAttribute parameter : cast<DictionaryAttr>(item.getValue())) {
        auto *entry = annotation->add_quant_parameter_tensor_names();
        entry->set_key(parameter.getName().str());
        entry->set_value(cast<StringAttr>(parameter.getValue()).str());
      }
    }
  writeExtras(proto, extras);
}

static void
writeImports(google::protobuf::RepeatedPtrField<pb::OperatorSetIdProto> &proto,
             DictionaryAttr imports) {
  for (NamedAttribute item : imports) {
    auto *import = proto.Add();
    import->set_domain(item.getName() == "ai.onnx" ? "" : item.getName().str());
    import->set_version(cast<IntegerAttr>(item.getValue()).getInt());
  }
}

void ModelWriter::writeFunction(ir::FunctionOp op) {
  Names local(op);
  names = &local;
  pb::FunctionProto &proto = *model.add_functions();
  proto.set_domain(op.getDomain().str());
  proto.set_name(op.getName().str());
  if (!op.getOverload().empty())
    proto.set_overload(op.getOverload().str());
  Block &block = *op.getBodyBlock();
  for (auto [i, argument] : llvm::enumerate(block.getArguments())) {
    proto.add_input(names->get(argument));
    if (!isa<ir::UnknownType>(argument.getType()))
      writeValue(*proto.add_value_info(), names->get(argument),
                 argument.getType(), cast<DictionaryAttr>(op.getInputs()[i]));
  }
  for (auto node : block.getOps<ir::NodeOp>())
    writeNode(*proto.add_node(), node);
  for (auto [i, value] :
       llvm::enumerate(block.getTerminator()->getOperands())) {
    std::string name = op.getOutputName(i).str();
    proto.add_output(name);
    if (names->get(value) != name) {
      pb::NodeProto &copy = *proto.add_node();
      copy.set_op_type("Identity");
      copy.set_name(name);
      copy.add_input(names->get(value));
      copy.add_output(name);
    }
  }
  addInfos(*proto.mutable_value_info(), block);
  for (Attribute name : op.getParameters())
    proto.add_attribute(cast<StringAttr>(name).str());
  for (NamedAttribute item : op.getDefaults())
    writeAttribute(*proto.add_attribute_proto(), item.getName(),
                   item.getValue());
  writeImports(*proto.mutable_opset_import(), op.getOpsetImports());
  writeExtras(proto, op->getDiscardableAttrDictionary());
}

void ModelWriter::write(ModuleOp module) {
  auto text = [&](StringRef name) {
    auto attribute = module->getAttrOfType<StringAttr>(name);
    return attribute ? attribute.str() : std::string();
  };
  if (auto imports =
          module->getAttrOfType<DictionaryAttr>("onnx.opset_imports"))
    writeImports(*model.mutable_opset_import(), imports);
  if (std::string value = text("onnx.producer_name"); !value.empty())
    model.set_producer_name(value);
  if (std::string value = text("onnx.producer_version"); !value.empty())
    model.set_producer_version(value);
  if (std::string value = text("onnx.domain"); !value.empty())
    model.set_domain(value);
  if (std::string value = text("onnx.doc_string"); !value.empty())
    model.set_doc_string(value);
  if (auto version = module->getAttrOfType<IntegerAttr>("onnx.model_version"))
    model.set_model_version(version.getInt());
  Builder b(module.getContext());
  if (Attribute metadata = module->getAttr("onnx.metadata"))
    writeMetadata(*model.mutable_metadata_props(),
                  b.getDictionaryAttr(b.getNamedAttr("metadata", metadata)));
  if (auto devices =
          module->getAttrOfType<ArrayAttr>("onnx.device_configurations"))
    for (Attribute device : devices)
      google::protobuf::TextFormat::ParseFromString(
          cast<StringAttr>(device).str(), model.add_configuration());
  for (auto function : module.getOps<ir::FunctionOp>())
    writeFunction(function);
  auto graph = module.lookupSymbol<ir::GraphOp>("main");
  Names all(graph);
  names = &all;
  DictionaryAttr extras = graph->getDiscardableAttrDictionary();
  model.mutable_graph()->set_name(textOf(extras, "name"));
  writeGraph(*model.mutable_graph(), *graph.getBodyBlock(), graph.getInputs(),
             graph.getOutputs(), extras);
}

pb::ModelProto dlc::writer::writeModel(ModuleOp module, DataFile &data) {
  pb::ModelProto model;
  ModelWriter(model, data).write(module);
  return model;
}
