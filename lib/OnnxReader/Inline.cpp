/// \file
/// Inlines functions with ONNX's inliner: those of the model, and the bodies
/// that schemas give for operators that the import does not lower itself.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "onnx/common/proto_util.h"
#include "onnx/defs/schema.h"
#include "onnx/inliner/inliner.h"
#include "onnx/shape_inference/implementation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

/// Expanded models may not have more nodes than this: a file of a few bytes
/// can describe 2^100 of them.
constexpr uint64_t kMaxNodes = 4'000'000;

static void forEachNode(Nodes &nodes,
                        llvm::function_ref<void(pb::NodeProto &)> visit) {
  for (pb::NodeProto &node : nodes) {
    visit(node);
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forEachNode(*attribute.mutable_g()->mutable_node(), visit);
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        forEachNode(*graph.mutable_node(), visit);
    }
  }
}

static int64_t opsetOf(const pb::ModelProto &proto, StringRef domain) {
  for (const pb::OperatorSetIdProto &import : proto.opset_import())
    if (import.domain() == domain)
      return import.version();
  return 0;
}

//===----------------------------------------------------------------------===//
// Types for the inliner
//===----------------------------------------------------------------------===//

void dlc::reader::collectTypes(const pb::GraphProto &graph,
                               llvm::StringMap<pb::TypeProto> &types) {
  for (const auto *list :
       {&graph.value_info(), &graph.output(), &graph.input()})
    for (const pb::ValueInfoProto &value : *list)
      if (value.type().value_case() != pb::TypeProto::VALUE_NOT_SET)
        types[value.name()] = value.type();
  for (const pb::TensorProto &tensor : graph.initializer()) {
    pb::TypeProto &type = types[tensor.name()];
    type.mutable_tensor_type()->set_elem_type(tensor.data_type());
    type.mutable_tensor_type()->clear_shape();
    type.mutable_tensor_type()->mutable_shape();
    for (int64_t size : tensor.dims())
      type.mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(
          size);
  }
  for (const pb::NodeProto &node : graph.node())
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_g())
        collectTypes(attribute.g(), types);
      for (const pb::GraphProto &inner : attribute.graphs())
        collectTypes(inner, types);
    }
}

/// Gives every value of the model a value_info in the main graph, since
/// the inliner looks for types only there.
static void addTypes(pb::ModelProto &proto) {
  llvm::StringMap<pb::TypeProto> types;
  collectTypes(proto.graph(), types);
  pb::GraphProto &graph = *proto.mutable_graph();
  llvm::StringMap<bool> known;
  for (const auto *list :
       {&graph.value_info(), &graph.output(), &graph.input()})
    for (const pb::ValueInfoProto &value : *list)
      known[value.name()] = true;
  auto add = [&](StringRef name) {
    if (name.empty() || !known.try_emplace(name, true).second)
      return;
    pb::ValueInfoProto *value = graph.add_value_info();
    value->set_name(name.str());
    *value->mutable_type() = types.lookup(name);
  };
  std::vector<std::string> names;
  for (const pb::TensorProto &tensor : graph.initializer())
    names.push_back(tensor.name());
  forEachNode(*graph.mutable_node(), [&](pb::NodeProto &node) {
    names.insert(names.end(), node.input().begin(), node.input().end());
    names.insert(names.end(), node.output().begin(), node.output().end());
  });
  llvm::for_each(names, add);
}

/// Removes the value_infos that say nothing and those of initializers.
static void dropEmptyTypes(pb::ModelProto &proto) {
  pb::GraphProto &graph = *proto.mutable_graph();
  llvm::StringMap<bool> initializers;
  for (const pb::TensorProto &tensor : graph.initializer())
    initializers[tensor.name()] = true;
  google::protobuf::RepeatedPtrField<pb::ValueInfoProto> kept;
  for (pb::ValueInfoProto &value : *graph.mutable_value_info())
    if (value.type().value_case() != pb::TypeProto::VALUE_NOT_SET &&
        !initializers.contains(value.name()))
      kept.Add()->Swap(&value);
  graph.mutable_value_info()->Swap(&kept);
}

/// Removes copies of constants: the inliner leaves one beside every function
/// that it converts and that uses the constant.
static void dropCopies(Nodes &nodes, llvm::StringSet<> defined) {
  Nodes kept;
  for (pb::NodeProto &node : nodes) {
    if (node.domain().empty() && node.op_type() == "Constant" &&
        node.output_size() == 1 && defined.contains(node.output(0)))
      continue;
    for (const std::string &output : node.output())
      defined.insert(output);
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        dropCopies(*attribute.mutable_g()->mutable_node(), defined);
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        dropCopies(*graph.mutable_node(), defined);
    }
    kept.Add()->Swap(&node);
  }
  nodes.Swap(&kept);
}

/// Inlines all functions of the model, with conversion to its operator sets.
static void inlineConverted(pb::ModelProto &proto) {
  addTypes(proto);
  pb::inliner::InlineLocalFunctions(proto, /*convert_version=*/true);
  dropEmptyTypes(proto);
  dropCopies(*proto.mutable_graph()->mutable_node(), {});
}

//===----------------------------------------------------------------------===//
// Model-local functions
//===----------------------------------------------------------------------===//

namespace {
/// How many nodes the main graph has when all calls are inlined.
class Expansion {
public:
  explicit Expansion(pb::ModelProto &proto) : proto(proto) {
    for (pb::FunctionProto &function : *proto.mutable_functions())
      functions[pb::GetFunctionImplId(function)] = &function;
  }
  uint64_t count() { return count(*proto.mutable_graph()->mutable_node()); }

private:
  uint64_t count(Nodes &nodes) {
    uint64_t sum = 0;
    forEachNode(nodes, [&](pb::NodeProto &node) {
      auto it = functions.find(pb::GetCalleeId(node));
      sum += it == functions.end() ? 1 : count(*it->second);
      sum = std::min(sum, kMaxNodes + 1);
    });
    return sum;
  }
  uint64_t count(pb::FunctionProto &function) {
    // No recursion without end: the checker has refused cycles.
    auto [it, isNew] = counts.try_emplace(&function, 0);
    if (isNew) {
      uint64_t sum = count(*function.mutable_node());
      return counts[&function] = sum;
    }
    return it->second;
  }

  pb::ModelProto &proto;
  std::map<std::string, pb::FunctionProto *> functions;
  std::map<const pb::FunctionProto *, uint64_t> counts;
};
} // namespace

/// Gives calls the default values of attributes that they leave out; the
/// inliner does not.
static void addDefaults(pb::ModelProto &proto) {
  std::map<std::string, const pb::FunctionProto *> functions;
  for (const pb::FunctionProto &function : proto.functions())
    if (function.attribute_proto_size())
      functions[pb::GetFunctionImplId(function)] = &function;
  if (functions.empty())
    return;
  auto add = [&](pb::NodeProto &node) {
    auto it = functions.find(pb::GetCalleeId(node));
    if (it == functions.end())
      return;
    for (const pb::AttributeProto &value : it->second->attribute_proto())
      if (llvm::none_of(node.attribute(), [&](const pb::AttributeProto &given) {
            return given.name() == value.name();
          }))
        *node.add_attribute() = value;
  };
  forEachNode(*proto.mutable_graph()->mutable_node(), add);
  for (pb::FunctionProto &function : *proto.mutable_functions())
    forEachNode(*function.mutable_node(), add);
}

LogicalResult dlc::reader::inlineFunctions(Model &model) {
  pb::ModelProto &proto = model.proto;
  if (proto.functions().empty())
    return success();
  if (uint64_t nodes = Expansion(proto).count(); nodes > kMaxNodes)
    return emitError(model.fileLoc(),
                     "model-local functions expand to more than ")
           << kMaxNodes << " nodes";

  // The model imports what its functions import. Versions of other domains
  // than ONNX's own mean nothing to the inliner; the model's win.
  bool convert = false;
  for (pb::FunctionProto &function : *proto.mutable_functions())
    for (pb::OperatorSetIdProto &import : *function.mutable_opset_import()) {
      int64_t version = opsetOf(proto, import.domain());
      if (version == 0)
        *proto.add_opset_import() = import;
      else if (!import.domain().empty())
        import.set_version(version);
      else
        convert |= version != import.version();
    }
  if (model.originalOpset == 0)
    model.originalOpset = opsetOf(proto, "");

  addDefaults(proto);
  try {
    if (convert) {
      pb::shape_inference::InferShapes(proto);
      inlineConverted(proto);
    } else {
      pb::inliner::InlineLocalFunctions(proto);
    }
  } catch (const std::exception &e) {
    return emitError(model.fileLoc(),
                     "cannot inline the model-local functions: ")
           << describe(e.what());
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Function bodies of schemas
//===----------------------------------------------------------------------===//

/// The newest version of `versions` that is not above `opset`.
static int newestUpTo(const std::vector<int> &versions, int opset) {
  int best = 0;
  for (int version : versions)
    if (version <= opset)
      best = std::max(best, version);
  return best;
}

/// Makes the body of `node`, for its schema, a function; false when it has
/// none.
static bool makeBody(const pb::NodeProto &node, const pb::OpSchema &schema,
                     int opset, const llvm::StringMap<pb::TypeProto> &types,
                     pb::FunctionProto &body) {
  int version = 0;
  if (schema.HasContextDependentFunction()) {
    std::vector<pb::TypeProto> inputs;
    for (const std::string &input : node.input())
      inputs.push_back(types.lookup(input));
    pb::FunctionBodyBuildContextImpl context(node, inputs);
    if (schema.BuildContextDependentFunction(context, body, opset))
      version =
          newestUpTo(schema.context_dependent_function_opset_versions(), opset);
  }
  if (!version && schema.HasFunction()) {
    const pb::FunctionProto *function =
        schema.GetFunction(opset, /*validate=*/false);
    if (!function)
      return false;
    body = *function;
    version = newestUpTo(schema.function_opset_versions(), opset);
  }
  if (!version)
    return false;
  // A body of an older operator set is converted where an operator changed.
  bool changed = false;
  for (const pb::NodeProto &inner : body.node())
    if (inner.domain().empty())
      changed |= pb::OpSchemaRegistry::Schema(inner.op_type(), opset) !=
                 pb::OpSchemaRegistry::Schema(inner.op_type(), version);
  if (schema.domain().empty()) {
    body.clear_opset_import();
    pb::OperatorSetIdProto *import = body.add_opset_import();
    import->set_domain("");
    import->set_version(changed ? version : opset);
  }
  return true;
}

/// Puts the check of the inputs' shapes in front of a body.
static void addExpectations(pb::FunctionProto &body, const pb::NodeProto &node,
                            const llvm::StringMap<pb::TypeProto> &types) {
  if (node.input_size() == 0)
    return;
  std::vector<std::string> shapes =
      expectedShapes(node, types.lookup(node.input(0)));
  if (shapes.empty())
    return;
  pb::NodeProto *check = body.add_node();
  check->set_domain("dlc");
  check->set_op_type("ExpectShapes");
  pb::AttributeProto *words = check->add_attribute();
  words->set_name("shapes");
  words->set_type(pb::AttributeProto::STRINGS);
  pb::AttributeProto *names = check->add_attribute();
  names->set_name("names");
  names->set_type(pb::AttributeProto::STRINGS);
  for (int i = 0; i < body.input_size() && i < int(shapes.size()); ++i) {
    check->add_input(body.input(i));
    words->add_strings(shapes[i]);
    names->add_strings(body.input(i));
  }
  for (int i = body.node_size() - 1; i > 0; --i)
    body.mutable_node()->SwapElements(i, i - 1);
  pb::OperatorSetIdProto *import = body.add_opset_import();
  import->set_domain("dlc");
  import->set_version(1);
}

LogicalResult dlc::reader::expandFunctionBodies(Model &model,
                                                const ReadOptions &options) {
  pb::ModelProto &proto = model.proto;
  // Bodies may use operators that have bodies again, a few levels deep.
  for (int level = 0; level < 8; ++level) {
    llvm::StringMap<pb::TypeProto> types;
    collectTypes(proto.graph(), types);
    int count = 0;
    std::vector<pb::FunctionProto> bodies;
    forEachNode(
        *proto.mutable_graph()->mutable_node(), [&](pb::NodeProto &node) {
          int opset = int(opsetOf(proto, node.domain()));
          const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(
              node.op_type(), opset, node.domain());
          if (!schema || options.hasRow(node.domain(), node.op_type()))
            return;
          pb::FunctionProto body;
          pb::NodeProto call = node;
          for (const auto &[name, attribute] : schema->attributes())
            if (attribute.default_value.has_name() &&
                llvm::none_of(call.attribute(),
                              [&, &name = name](const auto &given) {
                                return given.name() == name;
                              }))
              *call.add_attribute() = attribute.default_value;
          try {
            if (!makeBody(call, *schema, opset, types, body))
              return;
          } catch (const std::exception &e) {
            model.notes.push_back(
                llvm::formatv("'{0}' keeps its function body: {1}",
                              node.op_type(), describe(e.what())));
            return;
          }
          addExpectations(body, node, types);
          call.set_domain("dlc.body");
          call.set_overload(std::to_string(count++));
          body.set_domain("dlc.body");
          body.set_name(node.op_type());
          body.set_overload(call.overload());
          std::string name = node.name().empty() && node.output_size()
                                 ? node.output(0)
                                 : node.name();
          for (pb::NodeProto &inner : *body.mutable_node()) {
            inner.set_name(name);
            inner.set_doc_string(node.doc_string());
          }
          for (const pb::OperatorSetIdProto &import : body.opset_import())
            if (opsetOf(proto, import.domain()) == 0)
              *proto.add_opset_import() = import;
          bodies.push_back(std::move(body));
          node = std::move(call);
        });
    if (bodies.empty())
      return success();
    for (pb::FunctionProto &body : bodies)
      *proto.add_functions() = std::move(body);
    try {
      inlineConverted(proto);
    } catch (const std::exception &e) {
      return emitError(model.fileLoc(), "cannot expand the function bodies of "
                                        "operators: ")
             << describe(e.what());
    }
    // Bodies are ONNX's: where they contradict its own inference, so be it.
    std::string why;
    if (failed(inferTypes(model, true, Strictness::Strict, &why)) &&
        failed(inferTypes(model, true, Strictness::Lenient, nullptr)))
      return failure();
  }
  return success();
}
