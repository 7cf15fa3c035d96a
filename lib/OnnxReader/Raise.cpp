/// \file
/// Raises a model for the import, on the protobuf message: the linear list of
/// steps and why each stands where it stands.
#include "lib/OnnxReader/Model.h"

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

/// Writes the domain of ONNX's own operators as "" everywhere; "ai.onnx" is an
/// alias that parts of the ONNX library do not know.
template <typename Imports> static void normalizeImports(Imports &imports) {
  for (pb::OperatorSetIdProto &import : imports)
    if (import.domain() == "ai.onnx")
      import.set_domain("");
}

static void normalizeNodes(Nodes &nodes) {
  for (pb::NodeProto &node : nodes) {
    if (node.domain() == "ai.onnx")
      node.set_domain("");
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        normalizeNodes(*attribute.mutable_g()->mutable_node());
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        normalizeNodes(*graph.mutable_node());
    }
  }
}

static void normalizeDomains(pb::ModelProto &proto) {
  normalizeImports(*proto.mutable_opset_import());
  normalizeNodes(*proto.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *proto.mutable_functions()) {
    if (function.domain() == "ai.onnx")
      function.set_domain("");
    normalizeImports(*function.mutable_opset_import());
    normalizeNodes(*function.mutable_node());
  }
}

/// Moves inputs that have an initializer out of the graph's inputs: they are
/// constants. (Up to IR version 3 every initializer had to be an input.)
static void moveDefaultedInputs(Model &model) {
  llvm::StringMap<bool> initialized;
  pb::GraphProto &graph = *model.proto.mutable_graph();
  for (const pb::TensorProto &tensor : graph.initializer())
    initialized[tensor.name()] = true;
  google::protobuf::RepeatedPtrField<pb::ValueInfoProto> inputs;
  for (int i = 0; i < graph.input_size(); ++i)
    if (initialized.contains(graph.input(i).name()))
      model.defaultedInputs.push_back({i, graph.input(i)});
    else
      *inputs.Add() = graph.input(i);
  graph.mutable_input()->Swap(&inputs);
  model.originalIrVersion = model.proto.ir_version();
  model.proto.set_ir_version(pb::IR_VERSION);
}

/// Whether the bodies of all functions mean in operator set `opset` what they
/// mean in their own.
static bool areSameIn(const pb::ModelProto &proto, int64_t opset) {
  return llvm::all_of(
      proto.functions(), [&](const pb::FunctionProto &function) {
        int64_t own = 0;
        for (const pb::OperatorSetIdProto &import : function.opset_import())
          if (import.domain().empty())
            own = import.version();
        return llvm::all_of(function.node(), [&](const pb::NodeProto &node) {
          return !node.domain().empty() ||
                 dlc::getSinceVersion("", node.op_type(), int(own)) ==
                     dlc::getSinceVersion("", node.op_type(), int(opset));
        });
      });
}

LogicalResult dlc::reader::raiseModel(Model &model,
                                      const ReadOptions &options) {
  model.raised = true;
  normalizeDomains(model.proto);
  for (const pb::OperatorSetIdProto &import : model.proto.opset_import())
    if (import.domain().empty())
      model.originalOpset = import.version();
  // The library wants every later IR version's rules, so this comes first.
  moveDefaultedInputs(model);
  // Given shapes help the converter and decide what function bodies look like.
  if (failed(applyShapes(model, options)))
    return failure();
  // The converter loses functions.
  int64_t kept = std::max(options.keptOpset, model.originalOpset);
  bool keepsFunctions = options.keptOpset && areSameIn(model.proto, kept);
  if (options.keptOpset && !keepsFunctions)
    model.notes.push_back("inlines the model's functions: operator set " +
                          std::to_string(kept) +
                          " has other versions of their operators");
  if (!keepsFunctions && failed(inlineFunctions(model)))
    return failure();
  applyLengths(model);
  // Types before the expansion, which depends on them, and again after it.
  bool overridden = !options.shapes.empty() || !options.dims.empty();
  pb::ModelProto unconverted = model.proto;
  if (failed(convertToNewest(model)))
    return failure();
  std::string why;
  if (failed(inferTypes(model, overridden, Strictness::Strict, &why))) {
    // The model's own fault, or the converter's?
    model.proto.Swap(&unconverted);
    if (failed(inferTypes(model, overridden, Strictness::Strict, nullptr)))
      return failure();
    model.notes.push_back(
        "stays at operator set " + std::to_string(model.originalOpset) +
        ": ONNX converts it to a model that contradicts itself: " + why);
  }
  fixConverted(model);
  // Derivatives are those of operators, not of what their bodies make of them.
  if (options.hasRow && failed(expandGradients(model, overridden)))
    return failure();
  if (options.hasRow && failed(expandFunctionBodies(model, options)))
    return failure();
  return success();
}
