/// \file
/// Locations and origins of nodes, and the way messages are written.
#include "lib/OnnxReader/Model.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc::reader;

Location Model::fileLoc() const {
  return FileLineColLoc::get(context, fileName, 0, 0);
}

Location Model::namedLoc(StringRef name) const {
  Location loc =
      FusedLoc::get(context, fileLoc(), StringAttr::get(context, "named"));
  return NameLoc::get(StringAttr::get(context, name), loc);
}

/// Markers are doc_strings "\x01<index of the origin>": the one field of a
/// node that the inliner and the version converter keep.
static std::optional<unsigned> markerOf(const pb::NodeProto &node) {
  StringRef doc = node.doc_string();
  unsigned index;
  if (doc.consume_front("\x01") && !doc.getAsInteger(10, index))
    return index;
  return std::nullopt;
}

const Origin *Model::originOf(const pb::NodeProto &node) const {
  if (std::optional<unsigned> marker = markerOf(node))
    return *marker < origins.size() ? &origins[*marker] : nullptr;
  for (const std::string &output : node.output())
    if (auto it = originOfOutput.find(output);
        !output.empty() && it != originOfOutput.end())
      return &origins[it->second];
  return nullptr;
}

Location Model::nodeLoc(const pb::NodeProto &node) const {
  std::string name = node.name();
  for (int i = 0; name.empty() && i < node.output_size(); ++i)
    name = node.output(i);
  if (name.empty())
    name = node.op_type();
  Location loc = fileLoc();
  if (const Origin *origin = originOf(node))
    loc = FileLineColLoc::get(context, origin->file, origin->line,
                              origin->column);
  return name.empty() ? loc : NameLoc::get(StringAttr::get(context, name), loc);
}

namespace {
/// Gives every node of a graph its marker. Nodes of subgraphs have the line of
/// the outermost node and their own index + 1 as the column.
struct Marker {
  Model &model;
  std::string file;
  bool mainGraph;

  void mark(pb::NodeProto &node, unsigned line, unsigned column) {
    Origin origin{file, line, column, node.doc_string(), {}, {}};
    origin.metadata = node.metadata_props();
    for (const auto &device : node.device_configurations())
      origin.devices += device.ShortDebugString() + "\n";
    unsigned index = model.origins.size();
    model.origins.push_back(std::move(origin));
    node.set_doc_string("\x01" + std::to_string(index));
    if (mainGraph)
      for (const std::string &output : node.output())
        model.originOfOutput.try_emplace(output, index);
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        markSubgraph(*attribute.mutable_g(), line);
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        markSubgraph(graph, line);
    }
  }
  void markSubgraph(pb::GraphProto &graph, unsigned line) {
    unsigned i = 0;
    for (pb::NodeProto &node : *graph.mutable_node())
      mark(node, line, ++i);
  }
};
} // namespace

void dlc::reader::markNodes(Model &model) {
  Marker marker{model, model.fileName, true};
  unsigned i = 0;
  for (pb::NodeProto &node : *model.proto.mutable_graph()->mutable_node())
    marker.mark(node, i++, 0);
  for (pb::FunctionProto &function : *model.proto.mutable_functions()) {
    Marker inner{
        model, model.fileName + "/" + function.domain() + "." + function.name(),
        false};
    i = 0;
    for (pb::NodeProto &node : *function.mutable_node())
      inner.mark(node, i++, 0);
  }
}

std::string dlc::reader::describe(StringRef message) {
  // "/path/file.h:65: function: Assertion `x` failed: what" -> "what"
  if (size_t at = message.find("failed: "); at != StringRef::npos)
    message = message.substr(at + strlen("failed: "));
  std::string text;
  bool space = false;
  for (size_t i = 0; i < message.size(); ++i) {
    StringRef rest = message.substr(i);
    bool skipped = false;
    for (StringRef noise : {"[ShapeInferenceError]", "[TypeInferenceError]",
                            "==> Context:", "[ONNXRuntimeError]"})
      if (rest.starts_with(noise)) {
        i += noise.size() - 1;
        skipped = true;
        break;
      }
    if (skipped || isspace(uint8_t(message[i]))) {
      space = true;
      continue;
    }
    if (space && !text.empty())
      text += ' ';
    space = false;
    text += message[i];
  }
  while (!text.empty() && (text.back() == '.' || text.back() == ' '))
    text.pop_back();
  if (text.size() > 1 && islower(uint8_t(text[1])))
    text[0] = char(tolower(text[0]));
  return text;
}
