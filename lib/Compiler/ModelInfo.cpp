// Collects what `dlc info` prints.

#include "lib/Compiler/ModelInfo.h"
#include "dialects/Dlc/Dlc.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/IR/BuiltinTypes.h"
#include "passes/Import/OpTable.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace dlc;

/// The element type as ONNX and numpy name it.
static std::string nameElement(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    if (integer.getWidth() == 1)
      return "bool";
    return ((integer.isUnsigned() ? "uint" : "int") + Twine(integer.getWidth()))
        .str();
  }
  if (isa<BFloat16Type>(type))
    return "bfloat16";
  if (isa<Float16Type, Float32Type, Float64Type>(type))
    return ("float" + Twine(type.getIntOrFloatBitWidth())).str();
  if (auto pair = dyn_cast<ComplexType>(type))
    return ("complex" +
            Twine(2 * pair.getElementType().getIntOrFloatBitWidth()))
        .str();
  if (isa<onnx::StringType>(type))
    return "string";
  if (isa<onnx::UnknownType>(type))
    return "unknown";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  // "f8E4M3FN" -> "float8e4m3fn"
  if (isa<FloatType>(type))
    return ("float" + StringRef(text).drop_front().lower());
  return text;
}

/// "float32[batch,3,?]"; other types as the dialect writes them.
static std::string nameType(Type type, ArrayAttr dimNames) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto unranked = dyn_cast<UnrankedTensorType>(type)) {
    os << nameElement(unranked.getElementType()) << "[...]";
    return text;
  }
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor) {
    os << type;
    return text;
  }
  os << nameElement(tensor.getElementType()) << "[";
  for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
    os << (i ? "," : "");
    StringRef name =
        dimNames ? cast<StringAttr>(dimNames[i]).getValue() : StringRef();
    if (!ShapedType::isDynamic(size))
      os << size;
    else
      os << (name.empty() ? "?" : name);
  }
  os << "]";
  return text;
}

static std::string stringOf(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<StringAttr>(name);
  return attr ? attr.str() : "";
}

static int64_t intOf(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : 0;
}

static void addParameter(ModelInfo &info, Attribute value) {
  if (auto sparse = dyn_cast<onnx::SparseTensorAttr>(value)) {
    addParameter(info, sparse.getValues());
    return;
  }
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements)
    return;
  Type element = elements.getElementType();
  ParameterInfo &entry = info.parameters[nameElement(element)];
  ++entry.tensors;
  entry.elements += elements.getNumElements();
  entry.bytes +=
      onnx::getRawSize(element, elements.getNumElements()).value_or(0);
}

/// Whether the import has a row for an operator, or ONNX a body that is
/// expanded instead, or the model a function of its own.
static bool isSupported(onnx::NodeOp node, const llvm::StringSet<> &functions,
                        const llvm::StringSet<> &bodies) {
  StringRef domain = node.getDomain() == "ai.onnx" ? "" : node.getDomain();
  std::string name = (domain + "::" + node.getOpType()).str();
  return findOpRow(*node.getContext(), domain, node.getOpType()) ||
         functions.contains(name) || bodies.contains(name);
}

static void collectOperators(ModelInfo &info, ModuleOp module) {
  llvm::StringSet<> functions, bodies;
  for (auto function : module.getOps<onnx::FunctionOp>()) {
    int64_t nodes = 0;
    function.walk([&](onnx::NodeOp) { ++nodes; });
    functions.insert((function.getDomain() + "::" + function.getName()).str());
    info.functions.push_back(
        {function.getDomain().str(), function.getName().str(), nodes});
  }
  for (const OpSchemaInfo &schema : listOpSchemas())
    if (schema.hasFunction)
      bodies.insert(schema.domain + "::" + schema.name);

  std::map<std::pair<std::string, std::string>, OperatorInfo> byName;
  module.walk([&](onnx::NodeOp node) {
    OperatorInfo &op = byName[{node.getDomain().str(), node.getOpType().str()}];
    op.domain = node.getDomain().str();
    op.name = node.getOpType().str();
    ++op.count;
    op.isSupported = isSupported(node, functions, bodies);
    std::optional<int64_t> macs = countMacs(node);
    if (macs && *macs < 0)
      ++op.dynamic;
    else if (macs)
      op.macs += *macs;
    op.isContraction |= macs.has_value();
    if (node.isOp("Constant"))
      if (Attribute value = node.getOnnxAttribute("value"))
        addParameter(info, value);
  });
  for (auto &entry : byName)
    info.operators.push_back(entry.second);
  llvm::sort(info.operators, [](const OperatorInfo &x, const OperatorInfo &y) {
    return std::tie(y.count, x.domain, x.name) <
           std::tie(x.count, y.domain, y.name);
  });
}

ModelInfo dlc::getModelInfo(ModuleOp module) {
  ModelInfo info;
  info.irVersion = intOf(module, "onnx.ir_version");
  info.producer = stringOf(module, "onnx.producer_name");
  info.producerVersion = stringOf(module, "onnx.producer_version");
  info.domain = stringOf(module, "onnx.domain");
  info.doc = stringOf(module, "onnx.doc_string");
  info.modelVersion = intOf(module, "onnx.model_version");
  if (auto opsets = module->getAttrOfType<DictionaryAttr>("onnx.opset_imports"))
    for (NamedAttribute entry : opsets)
      info.opsets[entry.getName().str()] =
          cast<IntegerAttr>(entry.getValue()).getInt();
  if (auto metadata = module->getAttrOfType<DictionaryAttr>("onnx.metadata"))
    for (NamedAttribute entry : metadata)
      info.metadata[entry.getName().str()] =
          cast<StringAttr>(entry.getValue()).str();

  collectOperators(info, module);
  module.walk([&](onnx::InitializerOp initializer) {
    addParameter(info, initializer.getValue());
  });
  auto graph = module.lookupSymbol<onnx::GraphOp>("main");
  if (!graph)
    return info;
  if (auto name = graph->getAttrOfType<StringAttr>("name"))
    info.graph = name.str();
  for (auto [i, argument] :
       llvm::enumerate(graph.getBodyBlock()->getArguments()))
    info.inputs.push_back(
        {graph.getInputName(i).str(),
         nameType(argument.getType(), graph.getInputDimNames(i))});
  for (auto [i, value] :
       llvm::enumerate(graph.getBodyBlock()->getTerminator()->getOperands())) {
    Type type = value.getType();
    // Where the value's own type is less than what the file says.
    if (auto declared =
            cast<DictionaryAttr>(graph.getOutputs()[i]).getAs<TypeAttr>("type"))
      if (isa<onnx::UnknownType>(type))
        type = declared.getValue();
    info.outputs.push_back({graph.getOutputName(i).str(),
                            nameType(type, graph.getOutputDimNames(i))});
  }
  return info;
}

int64_t dlc::countNodes(ModuleOp module) {
  int64_t nodes = 0;
  module.walk([&](onnx::NodeOp) { ++nodes; });
  return nodes;
}
