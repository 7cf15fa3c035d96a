// The graph in the language of Graphviz.

#include "lib/Draw/Draw.h"
#include "llvm/ADT/StringExtras.h"
#include <map>

using namespace llvm;
using namespace dlc::draw;

static std::string quote(StringRef text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

namespace {
/// Nodes by group, so that each group is one cluster.
struct Cluster {
  std::map<std::string, Cluster> inner;
  std::vector<unsigned> nodes;
};
} // namespace

static void writeCluster(raw_ostream &os, const Graph &graph,
                         const Cluster &cluster, unsigned &number,
                         unsigned depth) {
  std::string indent(2 * depth, ' ');
  for (unsigned i : cluster.nodes) {
    const Node &node = graph.nodes[i];
    std::vector<std::string> lines{node.label};
    if (!node.name.empty() && node.name != node.label)
      lines.push_back(node.name);
    append_range(lines, node.details);
    // Graphviz breaks lines at "\n", which is no newline.
    std::string label = quote(join(lines, "\n"));
    for (size_t at; (at = label.find('\n')) != std::string::npos;)
      label.replace(at, 1, "\\n");
    os << indent << "n" << i << " [label=" << label
       << ", fillcolor=" << quote(getKindColour(node.kind))
       << ", tooltip=" << quote(node.fullName)
       << (node.kind == Kind::Interface ? ", shape=oval" : "") << "];\n";
  }
  for (const auto &[name, inner] : cluster.inner) {
    os << indent << "subgraph cluster_" << number++ << " {\n"
       << indent << "  label=" << quote(name)
       << "; style=rounded; color=\"#999999\";\n";
    writeCluster(os, graph, inner, number, depth + 1);
    os << indent << "}\n";
  }
}

void dlc::draw::writeDot(raw_ostream &os, const Graph &graph) {
  Cluster root;
  for (auto [i, node] : enumerate(graph.nodes)) {
    Cluster *cluster = &root;
    for (const std::string &group : node.groups)
      cluster = &cluster->inner[group];
    cluster->nodes.push_back(i);
  }
  os << "digraph " << quote(graph.title) << " {\n"
     << "  node [shape=box, style=\"filled,rounded\", fontname=\"sans-serif\", "
        "fontsize=11];\n"
     << "  edge [fontname=\"sans-serif\", fontsize=9, color=\"#555555\"];\n";
  unsigned number = 0;
  writeCluster(os, graph, root, number, 1);
  for (const Edge &edge : graph.edges)
    os << "  n" << edge.from << " -> n" << edge.to
       << " [label=" << quote(edge.label) << "];\n";
  os << "}\n";
}
