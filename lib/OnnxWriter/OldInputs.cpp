/// \file
/// Inputs that were attributes in older operator sets: the axes of a Squeeze,
/// the sizes of a Split, the bounds of a Clip ...
#include "lib/OnnxWriter/Writer.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/STLExtras.h"
#include <cstring>

using namespace dlc::writer;

/// As long as lists of axes or sizes are.
static constexpr size_t kMostBytes = 1024;

void Constants::collect(const pb::GraphProto &graph) {
  auto add = [&](const std::string &name, const pb::TensorProto *tensor) {
    auto [it, isNew] = tensors.try_emplace(name);
    // A name that two graphs have could be either.
    if (isNew && tensor && tensor->raw_data().size() <= kMostBytes)
      it->second = *tensor;
    else
      it->second.Clear();
  };
  for (const pb::TensorProto &tensor : graph.initializer())
    add(tensor.name(), &tensor);
  // What a caller may replace is no constant.
  for (const pb::ValueInfoProto &input : graph.input())
    add(input.name(), nullptr);
  for (const pb::NodeProto &node : graph.node()) {
    for (const std::string &output : node.output())
      if (!output.empty())
        add(output, node.op_type() == "Constant" && node.domain().empty() &&
                            node.attribute_size() == 1 &&
                            node.attribute(0).has_t()
                        ? &node.attribute(0).t()
                        : nullptr);
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_g())
        collect(attribute.g());
      for (const pb::GraphProto &inner : attribute.graphs())
        collect(inner);
    }
  }
}

namespace {

/// The numbers of a small constant.
template <typename T> std::vector<T> read(const pb::TensorProto &tensor) {
  std::vector<T> numbers(tensor.raw_data().size() / sizeof(T));
  std::memcpy(numbers.data(), tensor.raw_data().data(),
              numbers.size() * sizeof(T));
  return numbers;
}

/// Gives `node` the attribute with the numbers of `tensor`; whether it can have
/// them.
bool addAttribute(pb::NodeProto &node, const pb::OpSchema::Attribute &schema,
                  const pb::TensorProto &tensor) {
  using Kind = pb::AttributeProto;
  pb::AttributeProto attribute;
  attribute.set_name(schema.name);
  attribute.set_type(schema.type);
  bool isInt = tensor.data_type() == pb::TensorProto::INT64;
  bool isFloat = tensor.data_type() == pb::TensorProto::FLOAT;
  auto ints = isInt ? read<int64_t>(tensor) : std::vector<int64_t>();
  auto floats = isFloat ? read<float>(tensor) : std::vector<float>();
  if (schema.type == Kind::INTS && isInt)
    attribute.mutable_ints()->Add(ints.begin(), ints.end());
  else if (schema.type == Kind::INT && ints.size() == 1)
    attribute.set_i(ints.front());
  else if (schema.type == Kind::FLOAT && floats.size() == 1)
    attribute.set_f(floats.front());
  else
    return false;
  *node.add_attribute() = attribute;
  return true;
}

/// Whether an input means the same when it is left out.
bool isDefault(llvm::StringRef input, const pb::TensorProto &tensor) {
  if (input == "steps" && tensor.data_type() == pb::TensorProto::INT64)
    return llvm::all_of(read<int64_t>(tensor),
                        [](int64_t x) { return x == 1; });
  return input == "training_mode" &&
         llvm::all_of(tensor.raw_data(), [](char x) { return x == 0; });
}

/// What an attribute was called of which an input has this name now.
std::string oldName(const std::string &input) {
  if (input == "constant_value")
    return "value";
  return input == "K" ? "k" : input;
}

} // namespace

std::string dlc::writer::inputsToAttributes(pb::NodeProto &node,
                                            const pb::OpSchema &now,
                                            const pb::OpSchema &then,
                                            const Constants &constants,
                                            llvm::StringSet<> &moved) {
  // Of as many inputs as one likes there are no more.
  size_t known = now.inputs().size();
  auto *inputs = node.mutable_input();
  while (size_t(inputs->size()) > then.inputs().size() &&
         size_t(inputs->size()) <= known) {
    std::string name = *inputs->rbegin();
    const std::string &formal = now.inputs()[inputs->size() - 1].GetName();
    inputs->RemoveLast();
    if (name.empty())
      continue;
    auto it = then.attributes().find(oldName(formal));
    const pb::TensorProto *tensor = constants.get(name);
    if (!tensor || (it != then.attributes().end()
                        ? !addAttribute(node, it->second, *tensor)
                        : !isDefault(formal, *tensor)))
      return "input '" + formal + "'";
    moved.insert(name);
  }
  return "";
}

/// Names that nodes and graphs use.
static void collectUses(const pb::GraphProto &graph, llvm::StringSet<> &used) {
  for (const pb::ValueInfoProto &output : graph.output())
    used.insert(output.name());
  for (const pb::NodeProto &node : graph.node()) {
    for (const std::string &input : node.input())
      used.insert(input);
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_g())
        collectUses(attribute.g(), used);
      for (const pb::GraphProto &inner : attribute.graphs())
        collectUses(inner, used);
    }
  }
}

void dlc::writer::dropUnused(pb::GraphProto &graph,
                             const llvm::StringSet<> &moved) {
  llvm::StringSet<> used;
  collectUses(graph, used);
  auto *tensors = graph.mutable_initializer();
  tensors->erase(std::remove_if(tensors->begin(), tensors->end(),
                                [&](const pb::TensorProto &tensor) {
                                  return moved.contains(tensor.name()) &&
                                         !used.contains(tensor.name());
                                }),
                 tensors->end());
}
