/// \file
/// Writes each Gradient of the training domain as the nodes that compute it:
/// the chain rule, from the result back to the variables.
///
/// Before: `c = Mul(a, b)`, `da, db = Gradient(a, b) {xs = [a, b], y = c}`,
/// after: `one = ConstantOfShape(Shape(c)) {1}`, `da = Mul(one, b)`,
/// `db = Mul(one, a)`. Where the Gradient's inputs are not the values that xs
/// and zs name, the nodes between these and y stand once more before that, for
/// the inputs. The derivative of a y of many elements is that of their sum.
#include "lib/OnnxReader/Gradient.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace dlc::reader;

static constexpr llvm::StringLiteral kDomain = "ai.onnx.preview.training";
/// The first operator set in which all that the rules write is as it is today.
static constexpr int64_t kOldest = 18;

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

std::optional<int> Derivation::rankOf(StringRef value) const {
  auto it = types.find(value);
  if (it == types.end() || !it->second.tensor_type().has_shape())
    return std::nullopt;
  return it->second.tensor_type().shape().dim_size();
}

bool Derivation::isFloat(StringRef value) const {
  auto it = types.find(value);
  int type = it == types.end() ? 0 : it->second.tensor_type().elem_type();
  return type == pb::TensorProto::FLOAT || type == pb::TensorProto::DOUBLE ||
         type == pb::TensorProto::FLOAT16 || type == pb::TensorProto::BFLOAT16;
}

pb::AttributeProto Derivation::attribute(StringRef name, int64_t value) {
  pb::AttributeProto result;
  result.set_name(name.str());
  result.set_type(pb::AttributeProto::INT);
  result.set_i(value);
  return result;
}
pb::AttributeProto Derivation::attribute(StringRef name, float value) {
  pb::AttributeProto result;
  result.set_name(name.str());
  result.set_type(pb::AttributeProto::FLOAT);
  result.set_f(value);
  return result;
}
pb::AttributeProto Derivation::attribute(StringRef name,
                                         ArrayRef<int64_t> values) {
  pb::AttributeProto result;
  result.set_name(name.str());
  result.set_type(pb::AttributeProto::INTS);
  for (int64_t value : values)
    result.add_ints(value);
  return result;
}

const pb::AttributeProto *Derivation::find(StringRef name) const {
  for (const pb::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}
int64_t Derivation::getInt(StringRef name, int64_t otherwise) const {
  const pb::AttributeProto *found = find(name);
  return found ? found->i() : otherwise;
}
float Derivation::getFloat(StringRef name, float otherwise) const {
  const pb::AttributeProto *found = find(name);
  return found ? found->f() : otherwise;
}

std::string Derivation::make(StringRef op, std::vector<std::string> inputs,
                             ArrayRef<pb::AttributeProto> attributes) {
  pb::NodeProto made;
  made.set_op_type(op.str());
  for (std::string &input : inputs)
    made.add_input(std::move(input));
  for (const pb::AttributeProto &attribute : attributes)
    *made.add_attribute() = attribute;
  std::string output = newName();
  made.add_output(output);
  added.push_back(std::move(made));
  return output;
}

std::string Derivation::number(double value, std::string like) {
  pb::AttributeProto tensor;
  tensor.set_name("value");
  tensor.set_type(pb::AttributeProto::TENSOR);
  tensor.mutable_t()->set_data_type(pb::TensorProto::DOUBLE);
  tensor.mutable_t()->add_double_data(value);
  return make("CastLike", {make("Constant", {}, tensor), std::move(like)});
}

std::string Derivation::ints(ArrayRef<int64_t> values) {
  return make("Constant", {}, attribute("value_ints", values));
}

std::string Derivation::reshapeLike(std::string a, std::string like) {
  return make("Reshape", {std::move(a), make("Shape", {std::move(like)})},
              attribute("allowzero", int64_t(1)));
}

std::string Derivation::expandLike(std::string a, std::string like) {
  return make("Expand", {std::move(a), make("Shape", {std::move(like)})});
}

std::string Derivation::transpose(std::string a, int rank) {
  SmallVector<int64_t> perm;
  for (int i = 0; i < rank; ++i)
    perm.push_back(i);
  std::swap(perm[rank - 2], perm[rank - 1]);
  return make("Transpose", {std::move(a)}, attribute("perm", perm));
}

/// A size d that was repeated to n is split off: n becomes [d, n / d], of which
/// the second is summed; it is 1 where nothing was repeated.
std::string Derivation::sumTo(std::string a, std::string like, StringRef of) {
  auto wide = rankOf(of), rank = rankOf(like);
  if (of == like) { // `a` has this rank already
    wide = rank ? rank : 0;
  } else if (auto from = types.find(of), to = types.find(like);
             from != types.end() && to != types.end() && wide == rank &&
             llvm::all_of(llvm::zip(from->second.tensor_type().shape().dim(),
                                    to->second.tensor_type().shape().dim()),
                          [](auto pair) {
                            auto &[x, y] = pair;
                            return x.has_dim_value() && y.has_dim_value() &&
                                   x.dim_value() == y.dim_value();
                          })) {
    return a;
  }
  if (*wide > *rank) {
    SmallVector<int64_t> axes;
    for (int i = 0; i < *wide - *rank; ++i)
      axes.push_back(i);
    a = make("ReduceSum", {a, ints(axes)}, attribute("keepdims", int64_t(0)));
  }
  if (*rank == 0)
    return a;
  std::string sizes = make("Shape", {like}), last = ints(1);
  std::string repeats =
      make("Div", {make("Shape", {a}), make("Max", {sizes, ints(1)})});
  std::string pairs = make(
      "Concat",
      {make("Unsqueeze", {sizes, last}), make("Unsqueeze", {repeats, last})},
      attribute("axis", int64_t(1)));
  std::string split = make("Reshape", {a, make("Reshape", {pairs, ints(-1)})},
                           attribute("allowzero", int64_t(1)));
  SmallVector<int64_t> axes;
  for (int i = 0; i < *rank; ++i)
    axes.push_back(2 * i + 1);
  return make("ReduceSum", {split, ints(axes)},
              attribute("keepdims", int64_t(0)));
}

//===----------------------------------------------------------------------===//
// The chain rule
//===----------------------------------------------------------------------===//

namespace {

/// One Gradient, in front of which nodes are added.
class Expansion {
public:
  Expansion(Model &model, const pb::NodeProto &gradient,
            const llvm::StringMap<const pb::NodeProto *> &producers,
            const llvm::StringMap<pb::TypeProto> &types)
      : model(model), gradient(gradient), producers(producers), types(types) {}

  std::vector<pb::NodeProto> added;

  LogicalResult run() {
    if (!read())
      return failure();
    // The nodes between the variables and y, in order.
    visit(y);
    std::vector<pb::NodeProto> path;
    for (const pb::NodeProto *node : order)
      path.push_back(forInputs(*node));
    markActive(path);
    std::string result = renamed.lookup(y);
    if (result.empty())
      result = y;
    Derivation seed(gradient, "", types, name, added);
    derivatives[result] = filled(seed, result, 1);
    for (const pb::NodeProto &node : llvm::reverse(path))
      if (failed(back(node)))
        return failure();
    for (int i = 0; i < gradient.output_size(); ++i) {
      if (gradient.output(i).empty())
        continue;
      std::string &value = derivatives[places[i]];
      if (value.empty())
        value = filled(seed, places[i], 0);
      pb::NodeProto &last = added.emplace_back();
      last.set_op_type("Identity");
      last.add_input(value);
      last.add_output(gradient.output(i));
    }
    for (pb::NodeProto &node : added) {
      node.set_name(gradient.name());
      node.set_doc_string(gradient.doc_string());
    }
    return success();
  }

private:
  InFlightDiagnostic error() {
    return emitError(model.nodeLoc(gradient)) << "'Gradient' node: ";
  }

  bool read() {
    for (const pb::AttributeProto &attribute : gradient.attribute())
      if (attribute.name() == "y")
        y = attribute.s();
      else if (attribute.name() == "xs") {
        variables.insert(variables.begin(), attribute.strings().begin(),
                         attribute.strings().end());
        numXs = attribute.strings_size();
      } else if (attribute.name() == "zs")
        variables.insert(variables.end(), attribute.strings().begin(),
                         attribute.strings().end());
    if (int(variables.size()) != gradient.input_size() ||
        gradient.output_size() > numXs ||
        llvm::all_of(gradient.output(),
                     [](auto &name) { return name.empty(); })) {
      error() << "expected an input for each of xs and zs, and one output to "
                 "as many as xs";
      return false;
    }
    leaves.insert(variables.begin(), variables.end());
    if (!leaves.contains(y) && !producers.contains(y)) {
      error() << "expected y to be a value that a node in front of it makes, "
                 "found '"
              << y << "'";
      return false;
    }
    for (auto [i, variable] : llvm::enumerate(variables)) {
      places.push_back(gradient.input(i));
      if (variable == gradient.input(i))
        continue;
      // A name of its own: the tensor may stand in the graph elsewhere.
      Derivation start(gradient, "", types, name, added);
      places.back() = start.make("Identity", {gradient.input(i)});
      renamed[variable] = places.back();
      if (auto it = types.find(variable); it != types.end())
        known[places.back()] = it->second;
    }
    return true;
  }

  /// Puts the nodes that `value` is made of into `order`.
  void visit(const std::string &value) {
    std::vector<std::pair<const pb::NodeProto *, int>> stack;
    auto enter = [&](const std::string &name) {
      if (leaves.contains(name) || !visited.insert(name).second)
        return;
      if (const pb::NodeProto *node = producers.lookup(name))
        stack.push_back({node, 0});
    };
    enter(value);
    while (!stack.empty()) {
      auto &[node, next] = stack.back();
      if (next < node->input_size()) {
        enter(node->input(next++));
        continue;
      }
      order.insert(node);
      stack.pop_back();
    }
  }

  /// The node itself, or where it depends on variables whose values are given
  /// anew a copy that does.
  pb::NodeProto forInputs(const pb::NodeProto &node) {
    pb::NodeProto copy = node;
    bool changed = false;
    for (std::string &input : *copy.mutable_input())
      if (auto it = renamed.find(input); it != renamed.end()) {
        input = it->second;
        changed = true;
      }
    if (!changed)
      return node;
    for (std::string &output : *copy.mutable_output()) {
      if (output.empty())
        continue;
      std::string fresh = newName();
      if (auto it = types.find(output); it != types.end())
        known[fresh] = it->second;
      renamed[output] = fresh;
      output = fresh;
    }
    added.push_back(copy);
    return copy;
  }

  /// Adds what the derivative of a node's output makes of those of its inputs.
  LogicalResult back(const pb::NodeProto &node) {
    std::string derivative;
    for (const std::string &output : node.output())
      if (active.contains(output) && derivatives.contains(output))
        derivative = derivatives[output];
    if (derivative.empty())
      return success();
    Derivation derivation(node, derivative, known, name, added);
    std::string why;
    auto parts = derive(derivation, why);
    if (!parts)
      return error() << "expected nodes between xs and y that can be derived, "
                        "found node '"
                     << (node.name().empty() ? node.output(0) : node.name())
                     << "' (" << node.op_type() << "): " << why;
    for (auto [input, part] : llvm::zip(node.input(), *parts)) {
      if (part.empty())
        continue;
      std::string &sum = derivatives[input];
      sum = sum.empty() ? part : derivation.make("Add", {sum, part});
    }
    return success();
  }

  /// Puts the values that depend on xs into `active`.
  void markActive(ArrayRef<pb::NodeProto> path) {
    active.insert(places.begin(), places.begin() + numXs);
    for (const pb::NodeProto &node : path)
      if (llvm::any_of(node.input(), [&](const std::string &input) {
            return active.contains(input);
          }))
        active.insert(node.output().begin(), node.output().end());
  }

  /// Numbers in the shape of a value, of its type.
  std::string filled(Derivation &d, const std::string &like, double number) {
    return d.make("Expand", {d.number(number, like), d.make("Shape", {like})});
  }

  std::string newName() {
    const std::string &named =
        *llvm::find_if(gradient.output(),
                       [](const std::string &name) { return !name.empty(); });
    return named + ".gradient" + std::to_string(count++);
  }

  Model &model;
  const pb::NodeProto &gradient;
  const llvm::StringMap<const pb::NodeProto *> &producers;
  const llvm::StringMap<pb::TypeProto> &types;
  llvm::StringMap<pb::TypeProto> known = types; ///< with those of copies
  std::function<std::string()> name = [this] { return newName(); };
  std::string y;
  std::vector<std::string> variables; ///< xs, then zs
  std::vector<std::string> places;    ///< where their values are
  int numXs = 0, count = 0;
  llvm::StringSet<> leaves, visited, active;
  llvm::SetVector<const pb::NodeProto *> order;
  llvm::StringMap<std::string> renamed, derivatives;
};

} // namespace

/// Expands the first Gradient of a graph: whether there was one.
static FailureOr<bool>
expandFirst(Model &model, pb::GraphProto &graph,
            llvm::StringMap<const pb::NodeProto *> producers,
            const llvm::StringMap<pb::TypeProto> &types) {
  for (int i = 0; i < graph.node_size(); ++i) {
    pb::NodeProto &node = *graph.mutable_node(i);
    if (node.domain() == kDomain && node.op_type() == "Gradient") {
      Expansion expansion(model, node, producers, types);
      if (failed(expansion.run()))
        return failure();
      google::protobuf::RepeatedPtrField<pb::NodeProto> nodes;
      for (int k = 0; k < graph.node_size(); ++k)
        if (k != i)
          nodes.Add()->Swap(graph.mutable_node(k));
        else
          for (pb::NodeProto &made : expansion.added)
            nodes.Add()->Swap(&made);
      graph.mutable_node()->Swap(&nodes);
      return true;
    }
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g()) {
        FailureOr<bool> inner =
            expandFirst(model, *attribute.mutable_g(), producers, types);
        if (failed(inner) || *inner)
          return inner;
      }
    for (const std::string &output : node.output())
      producers[output] = &node;
  }
  return false;
}

LogicalResult dlc::reader::expandGradients(Model &model, bool overridden) {
  while (true) {
    llvm::StringMap<pb::TypeProto> types;
    collectTypes(model.proto.graph(), types);
    FailureOr<bool> expanded =
        expandFirst(model, *model.proto.mutable_graph(), {}, types);
    if (failed(expanded))
      return failure();
    if (!*expanded)
      return success();
    for (const pb::OperatorSetIdProto &import : model.proto.opset_import())
      if (import.domain().empty() && import.version() < kOldest)
        return emitError(model.fileLoc())
               << "expected a model with a Gradient to be of operator set "
               << kOldest << " or newer, or to be converted to it, found "
               << import.version();
    // The next one may derive what this one made.
    if (failed(inferTypes(model, overridden, Strictness::Strict, nullptr)))
      return failure();
  }
}
