// The drawing as a picture that any browser shows.

#include "lib/Draw/Layout.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace dlc::draw;

static constexpr double kMargin = 24, kLineHeight = 13, kLegend = 30;
/// Longer texts are cut; the whole stands in the tooltip.
static constexpr size_t kLongest = 32;

static std::string escape(StringRef text) {
  std::string escaped;
  raw_string_ostream os(escaped);
  printHTMLEscaped(text, os);
  return escaped;
}

static std::string cut(StringRef text) {
  if (text.size() <= kLongest)
    return text.str();
  return (text.take_front(kLongest / 2 - 1) + "…" +
          text.take_back(kLongest / 2 - 1))
      .str();
}

/// What stands in a node's box, the operator first.
static std::vector<std::string> linesOf(const Node &node) {
  std::vector<std::string> lines{cut(node.label)};
  if (!node.name.empty() && node.name != node.label)
    lines.push_back(cut(node.name));
  for (auto it = node.details.begin(); it != node.details.end();) {
    auto end =
        std::find_if(it, node.details.end(),
                     [&](const std::string &other) { return other != *it; });
    std::string times =
        end - it > 1 ? formatv(", {0} times", end - it).str() : "";
    lines.push_back(cut(*it) + times);
    it = end;
  }
  return lines;
}

/// A number with one digit behind the point at most.
static std::string number(double value) {
  std::string text = formatv("{0:f1}", value);
  return StringRef(text).ends_with(".0") ? text.substr(0, text.size() - 2)
                                         : text;
}

/// A line that leaves each point downwards.
static void writePath(raw_ostream &os, const Route &route) {
  const std::vector<Point> &points = route.points;
  os << "<path d=\"M" << number(points[0].x) << " " << number(points[0].y);
  for (size_t i = 1; i < points.size(); ++i) {
    Point a = points[i - 1], b = points[i];
    if (a.x == b.x) {
      os << "L" << number(b.x) << " " << number(b.y);
      continue;
    }
    double middle = (a.y + b.y) / 2;
    os << "C" << number(a.x) << " " << number(middle) << " " << number(b.x)
       << " " << number(middle) << " " << number(b.x) << " " << number(b.y);
  }
  os << "\"" << (route.hasArrow ? " marker-end=\"url(#arrow)\"" : "") << "/>\n";
}

static void writeNode(raw_ostream &os, const Node &node, const Box &box) {
  os << "<g><title>"
     << escape(node.fullName.empty() ? node.label : node.fullName)
     << "</title><rect x=\"" << number(box.x) << "\" y=\"" << number(box.y)
     << "\" width=\"" << number(box.width) << "\" height=\""
     << number(box.height) << "\" rx=\""
     << (node.kind == Kind::Interface ? number(box.height / 2) : "4")
     << "\" fill=\"" << getKindColour(node.kind) << "\"/>";
  double y = box.y + kLineHeight + 2;
  for (auto [i, line] : enumerate(linesOf(node))) {
    os << "<text x=\"" << number(box.x + box.width / 2) << "\" y=\""
       << number(y) << "\"" << (i ? "" : " class=\"op\"") << ">" << escape(line)
       << "</text>";
    y += kLineHeight;
  }
  os << "</g>\n";
}

/// The kinds that the drawing has, and their colours. Returns how wide it is.
static double writeLegend(raw_ostream &os, const Graph &graph) {
  double x = 0;
  for (unsigned i = 0; i <= unsigned(Kind::Other); ++i) {
    if (none_of(graph.nodes,
                [&](const Node &node) { return node.kind == Kind(i); }))
      continue;
    StringRef name = getKindName(Kind(i));
    os << "<rect x=\"" << number(x) << "\" y=\"0\" width=\"14\" height=\"14\" "
       << "rx=\"3\" fill=\"" << getKindColour(Kind(i)) << "\"/><text x=\""
       << number(x + 19) << "\" y=\"11\" class=\"left\">" << escape(name)
       << "</text>\n";
    x += 40 + 6.2 * name.size();
  }
  return x;
}

void dlc::draw::writeSvg(raw_ostream &os, const Graph &graph) {
  std::vector<Point> sizes;
  for (const Node &node : graph.nodes) {
    std::vector<std::string> lines = linesOf(node);
    size_t longest = 0;
    for (const std::string &line : lines)
      longest = std::max(longest, line.size());
    sizes.push_back(
        {std::max(46.0, 6.3 * longest + 14), kLineHeight * lines.size() + 7});
  }
  Layout layout = layOut(graph, sizes);
  std::string legend;
  raw_string_ostream legendStream(legend);
  double width =
      std::max(layout.width, writeLegend(legendStream, graph)) + 2 * kMargin;
  double height = layout.height + 2 * kMargin + kLegend;
  os << formatv(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\">\n",
      number(width), number(height));
  os << R"(<style>
text { font: 11px "DejaVu Sans", Verdana, sans-serif; text-anchor: middle; fill: #222 }
text.op { font-weight: bold }
text.left, text.shape, text.group { text-anchor: start }
text.shape { font-size: 9px; fill: #666; paint-order: stroke; stroke: white; stroke-width: 3px }
text.group { font-size: 10px; fill: #777 }
g > rect { stroke: #777 }
path { fill: none; stroke: #666 }
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#666;stroke:none"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>
)";
  os << "<title>" << escape(graph.title) << "</title>\n";
  os << formatv("<g transform=\"translate({0} {0})\">{1}</g>\n",
                number(kMargin), legend);
  os << formatv("<g transform=\"translate({0} {1})\">\n", number(kMargin),
                number(kMargin + kLegend));
  for (const Frame &frame : layout.frames)
    os << formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" "
                  "rx=\"6\" fill=\"#000\" fill-opacity=\"0.03\" "
                  "style=\"stroke:#bbb\"/><text x=\"{4}\" y=\"{5}\" "
                  "class=\"group\">{6}</text>\n",
                  number(frame.box.x), number(frame.box.y),
                  number(frame.box.width), number(frame.box.height),
                  number(frame.box.x + 7), number(frame.box.y + 14),
                  escape(frame.label));
  for (const Route &route : layout.routes)
    writePath(os, route);
  for (auto [node, box] : zip(graph.nodes, layout.nodes))
    writeNode(os, node, box);
  for (const Label &label : layout.labels)
    os << formatv("<text x=\"{0}\" y=\"{1}\" class=\"shape\">{2}</text>\n",
                  number(label.at.x), number(label.at.y), escape(label.text));
  os << "</g></svg>\n";
}
