/// \file
/// Checks a model before anything else looks at it, and reports every problem
/// at the node that has it. What the ONNX library's checker knows (attributes,
/// arity, operator sets) it is asked, node by node.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Diagnostics.h"
#include "onnx/checker.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringSet.h"

#include <queue>

using namespace mlir;
using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

/// Calls `visit` for every name that a node takes from around it: its inputs,
/// and what its subgraphs use without defining it.
static void forEachUse(const pb::NodeProto &node,
                       llvm::function_ref<void(StringRef)> visit) {
  for (const std::string &input : node.input())
    if (!input.empty())
      visit(input);
  auto graph = [&](const pb::GraphProto &graph) {
    llvm::StringSet<> own;
    for (const pb::ValueInfoProto &input : graph.input())
      own.insert(input.name());
    for (const pb::TensorProto &initializer : graph.initializer())
      own.insert(initializer.name());
    for (const pb::SparseTensorProto &initializer : graph.sparse_initializer())
      own.insert(initializer.values().name());
    for (const pb::NodeProto &inner : graph.node())
      own.insert(inner.output().begin(), inner.output().end());
    auto visitOuter = [&](StringRef name) {
      if (!own.contains(name))
        visit(name);
    };
    for (const pb::NodeProto &inner : graph.node())
      forEachUse(inner, visitOuter);
    for (const pb::ValueInfoProto &output : graph.output())
      visitOuter(output.name());
  };
  for (const pb::AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      graph(attribute.g());
    llvm::for_each(attribute.graphs(), graph);
  }
}

/// Sorts a list of nodes, stably, when a node uses the output of a later one.
static LogicalResult sortList(const Model &model, Nodes &nodes) {
  llvm::StringMap<int> producer;
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &output : nodes[i].output())
      if (!output.empty())
        producer.try_emplace(output, i);
  std::vector<std::vector<int>> users(nodes.size());
  std::vector<int> missing(nodes.size(), 0);
  bool sorted = true;
  for (int i = 0; i < nodes.size(); ++i)
    forEachUse(nodes[i], [&](StringRef name) {
      auto it = producer.find(name);
      if (it == producer.end())
        return;
      users[it->second].push_back(i);
      ++missing[i];
      sorted &= it->second < i;
    });
  if (sorted)
    return success();

  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  for (int i = 0; i < nodes.size(); ++i)
    if (missing[i] == 0)
      ready.push(i);
  std::vector<int> order;
  while (!ready.empty()) {
    int i = ready.top();
    ready.pop();
    order.push_back(i);
    for (int user : users[i])
      if (--missing[user] == 0)
        ready.push(user);
  }
  for (int i = 0; i < nodes.size(); ++i)
    if (missing[i] > 0)
      return emitError(model.nodeLoc(nodes[i]))
             << "'" << nodes[i].op_type()
             << "' node is on a cycle: it needs its own output, directly or "
                "through other nodes";
  Nodes result;
  for (int i : order)
    result.Add()->Swap(&nodes[i]);
  nodes.Swap(&result);
  return success();
}

static LogicalResult sortAll(const Model &model, Nodes &nodes) {
  if (failed(sortList(model, nodes)))
    return failure();
  for (pb::NodeProto &node : nodes)
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g() &&
          failed(sortAll(model, *attribute.mutable_g()->mutable_node())))
        return failure();
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        if (failed(sortAll(model, *graph.mutable_node())))
          return failure();
    }
  return success();
}

LogicalResult dlc::reader::sortNodes(Model &model) {
  if (failed(sortAll(model, *model.proto.mutable_graph()->mutable_node())))
    return failure();
  for (pb::FunctionProto &function : *model.proto.mutable_functions())
    if (failed(sortAll(model, *function.mutable_node())))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Names and schemas
//===----------------------------------------------------------------------===//

namespace {
/// The names that a graph may use: its own and those of the graphs around it.
using Names = pb::checker::LexicalScopeContext;

class Checker {
public:
  Checker(const Model &model, bool full) : model(model), full(full) {}

  void checkImports();
  void checkMain();
  void checkFunction(const pb::FunctionProto &function);
  bool ok = true;

private:
  InFlightDiagnostic error(Location loc) {
    ok = false;
    return emitError(loc);
  }
  void checkGraph(const pb::GraphProto &graph, Location loc, const Names &outer,
                  bool isMain);
  void checkNode(const pb::NodeProto &node, Names &names);
  void checkType(const pb::TypeProto &type, Location loc, bool needed);
  void checkAttribute(const pb::AttributeProto &attribute, Location loc);
  void checkSparse(const pb::SparseTensorProto &tensor, Location loc);
  void define(const std::string &name, Names &names, Location loc);

  const Model &model;
  bool full;
  pb::checker::CheckerContext context;
};
} // namespace

void Checker::checkImports() {
  const pb::ModelProto &proto = model.proto;
  Location loc = model.fileLoc();
  if (proto.ir_version() < 3 || proto.ir_version() > pb::IR_VERSION)
    error(loc) << "expected an IR version from 3 to "
               << int(pb::Version::IR_VERSION) << ", found "
               << proto.ir_version();
  if (proto.opset_import().empty())
    error(loc) << "model imports no operator set";
  context.set_ir_version(int(proto.ir_version()));

  auto read = [&](const auto &imports, Location loc) {
    std::unordered_map<std::string, int> versions;
    const auto &ranges =
        pb::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
    for (const pb::OperatorSetIdProto &import : imports) {
      StringRef domain =
          import.domain() == "ai.onnx" ? "" : StringRef(import.domain());
      auto range = ranges.find(domain.str());
      int64_t newest = range == ranges.end() ? INT32_MAX : range->second.second;
      if (import.version() < 1 || import.version() > newest)
        error(loc) << "expected a version from 1 to " << newest
                   << " of operator set '" << import.domain() << "', found "
                   << import.version();
      else if (int version = int(import.version());
               versions.emplace(domain.str(), version).first->second != version)
        error(loc) << "operator set '" << import.domain()
                   << "' is imported in two versions";
    }
    return versions;
  };
  context.set_opset_imports(read(proto.opset_import(), loc));
  for (const pb::FunctionProto &function : proto.functions())
    read(function.opset_import(), model.namedLoc(function.name()));
  try {
    pb::checker::check_function_call_cycles(proto);
  } catch (const std::exception &e) {
    error(loc) << describe(e.what());
  }
}

void Checker::checkType(const pb::TypeProto &type, Location loc, bool needed) {
  if (failed(convertType(model.context, type, false)))
    error(loc) << "value has a type that ONNX does not know: "
               << describe(type.ShortDebugString());
  else if (needed && type.value_case() == pb::TypeProto::VALUE_NOT_SET)
    error(loc) << "graph input expected a type, found none";
}

void Checker::checkSparse(const pb::SparseTensorProto &tensor, Location loc) {
  ok &= succeeded(checkSparseTensor(model, tensor, loc));
}

/// Checks that an attribute has a value of its type. (The ONNX library does so
/// too, but only for operators that it knows.)
void Checker::checkAttribute(const pb::AttributeProto &attribute,
                             Location loc) {
  using A = pb::AttributeProto;
  bool reference = !attribute.ref_attr_name().empty();
  bool missing = (attribute.type() == A::TENSOR && !attribute.has_t()) ||
                 (attribute.type() == A::GRAPH && !attribute.has_g()) ||
                 (attribute.type() == A::TYPE_PROTO && !attribute.has_tp()) ||
                 (attribute.type() == A::SPARSE_TENSOR &&
                  !attribute.has_sparse_tensor()) ||
                 attribute.type() == A::UNDEFINED;
  if (missing && !reference)
    error(loc) << "attribute '" << attribute.name()
               << "' expected a value of type "
               << StringRef(A::AttributeType_Name(attribute.type())).lower()
               << ", found none";
  if (attribute.has_tp())
    checkType(attribute.tp(), loc, false);
  for (const pb::TypeProto &type : attribute.type_protos())
    checkType(type, loc, false);
  if (attribute.has_sparse_tensor())
    checkSparse(attribute.sparse_tensor(), loc);
  for (const pb::SparseTensorProto &tensor : attribute.sparse_tensors())
    checkSparse(tensor, loc);
}

void Checker::define(const std::string &name, Names &names, Location loc) {
  if (name.empty())
    return;
  if (names.this_or_ancestor_graph_has(name))
    error(loc) << "value '" << name << "' is defined a second time";
  names.add(name);
}

void Checker::checkGraph(const pb::GraphProto &graph, Location loc,
                         const Names &outer, bool isMain) {
  Names names(outer); // a scope inside `outer`, not its copy
  for (const pb::ValueInfoProto &input : graph.input()) {
    Location at = model.namedLoc(input.name());
    if (input.name().empty())
      error(loc) << "graph input expected a name, found none";
    define(input.name(), names, at);
    checkType(input.type(), at, isMain);
  }
  llvm::StringSet<> initializers;
  auto initializer = [&](const std::string &name) {
    if (name.empty())
      error(loc) << "initializer expected a name, found none";
    else if (!initializers.insert(name).second)
      error(model.namedLoc(name))
          << "initializer '" << name << "' is defined a second time";
    names.add(name);
  };
  for (const pb::TensorProto &tensor : graph.initializer())
    initializer(tensor.name());
  for (const pb::SparseTensorProto &tensor : graph.sparse_initializer()) {
    initializer(tensor.values().name());
    checkSparse(tensor, model.namedLoc(tensor.values().name()));
  }
  for (const pb::NodeProto &node : graph.node())
    checkNode(node, names);
  for (const pb::ValueInfoProto &value : graph.value_info())
    checkType(value.type(), model.namedLoc(value.name()), false);
  for (const pb::ValueInfoProto &output : graph.output()) {
    checkType(output.type(), model.namedLoc(output.name()), false);
    if (!names.this_or_ancestor_graph_has(output.name()))
      error(isMain ? model.namedLoc(output.name()) : loc)
          << "graph output '" << output.name()
          << "' is not the output of any node, nor an input";
  }
}

void Checker::checkNode(const pb::NodeProto &node, Names &names) {
  Location loc = model.nodeLoc(node);
  bool before = ok;
  ok = true;
  if (node.op_type().empty())
    error(loc) << "node expected an operator, found none";
  for (const std::string &input : node.input())
    if (!input.empty() && !names.this_or_ancestor_graph_has(input))
      error(loc) << "'" << node.op_type() << "' node uses the value '" << input
                 << "', which nothing defines";
  llvm::StringSet<> seen;
  for (const pb::AttributeProto &attribute : node.attribute()) {
    if (attribute.name().empty() || !seen.insert(attribute.name()).second)
      error(loc) << "'" << node.op_type() << "' node has the attribute '"
                 << attribute.name()
                 << (attribute.name().empty() ? "', expected a name"
                                              : "' twice");
    checkAttribute(attribute, loc);
    if (attribute.has_g())
      checkGraph(attribute.g(), loc, names, false);
    for (const pb::GraphProto &graph : attribute.graphs())
      checkGraph(graph, loc, names, false);
  }
  // The converter replaces what its operator set deprecates already.
  auto version = context.get_opset_imports().find(
      node.domain() == "ai.onnx" ? "" : node.domain());
  const pb::OpSchema *schema =
      version == context.get_opset_imports().end()
          ? nullptr
          : pb::OpSchemaRegistry::Schema(node.op_type(), version->second,
                                         version->first);
  bool deprecated = schema && schema->Deprecated();
  // What has no schema is the importer's to report, with all that it lacks.
  bool isUnknown = !schema && version != context.get_opset_imports().end();
  if (ok && full && !deprecated && !isUnknown) {
    try {
      pb::checker::check_node(node, context, names);
    } catch (const std::exception &e) {
      std::string message = describe(e.what());
      // The location says which node it is.
      if (size_t at = message.find(" bad node spec"); at != std::string::npos)
        message.resize(at);
      error(loc) << "'" << node.op_type() << "' node: " << message;
    }
  }
  for (const std::string &output : node.output())
    define(output, names, loc);
  ok &= before;
}

void Checker::checkMain() {
  checkGraph(model.proto.graph(), model.fileLoc(), Names(), true);
}

void Checker::checkFunction(const pb::FunctionProto &function) {
  Location loc = model.namedLoc(function.name());
  if (function.name().empty())
    error(loc) << "function expected a name, found none";
  std::unordered_map<std::string, int> imports;
  for (const pb::OperatorSetIdProto &import : function.opset_import())
    imports[import.domain() == "ai.onnx" ? "" : import.domain()] =
        int(import.version());
  auto outer = context.get_opset_imports();
  context.set_opset_imports(imports);
  context.set_is_main_graph(false);
  for (const pb::AttributeProto &attribute : function.attribute_proto())
    checkAttribute(attribute, loc);
  Names names;
  for (const std::string &input : function.input())
    define(input, names, loc);
  for (const pb::NodeProto &node : function.node())
    checkNode(node, names);
  for (const std::string &output : function.output())
    if (!names.this_or_ancestor_graph_has(output))
      error(loc) << "function '" << function.name() << "' has the output '"
                 << output << "', which nothing defines";
  context.set_opset_imports(outer);
  context.set_is_main_graph(true);
}

LogicalResult dlc::reader::checkModel(Model &model, bool full) {
  Checker checker(model, full);
  checker.checkImports();
  if (!checker.ok)
    return failure();
  checker.checkMain();
  for (const pb::FunctionProto &function : model.proto.functions())
    checker.checkFunction(function);
  return success(checker.ok);
}
