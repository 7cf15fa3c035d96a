// Lays out group by group, from the inside: each group is a level of layers of
// its own, and a box in the level around it. Edges enter and leave it at ports
// on its frame, so that they pass between its nodes and never through them.

#include "lib/Draw/Layout.h"
#include "lib/Draw/Groups.h"
#include "llvm/ADT/STLExtras.h"
#include <map>

using namespace dlc::draw;

/// Inside of a frame; above the nodes is its title.
static constexpr double kPadding = 12, kTitle = 18;
/// Between an edge and the shape of its tensor.
static constexpr double kLabelGap = 5;

namespace {

/// The end of a piece of an edge in the level of a group.
struct End {
  enum Type { OfNode, OfGroup, TopPort, BottomPort } type;
  unsigned index; ///< of the node or group; of ports the tensor

  friend bool operator<(End a, End b) {
    return std::tie(a.type, a.index) < std::tie(b.type, b.index);
  }
};

/// The part of an edge that one level has.
struct Piece {
  End from, to;
  unsigned tensor;

  friend bool operator<(const Piece &a, const Piece &b) {
    return std::tie(a.from, a.to, a.tensor) < std::tie(b.from, b.to, b.tensor);
  }
};

/// A group while it is laid out.
struct Level {
  std::map<Piece, unsigned> pieces; ///< each once; with their lines
  std::map<End, unsigned> ends;     ///< with their items
  std::vector<Item> items;
  std::vector<Line> lines;
  Point size{0, 0}; ///< with the frame
};

class Layouter {
public:
  Layouter(const Graph &graph, llvm::ArrayRef<Point> sizes)
      : graph(graph), sizes(sizes), groups(graph), levels(groups.all().size()) {
  }

  Layout run() {
    split();
    layOutGroup(0);
    layout.nodes.resize(graph.nodes.size());
    layout.width = levels[0].size.x;
    layout.height = levels[0].size.y;
    emit(0, {0, 0}, 0);
    return std::move(layout);
  }

private:
  void split();
  void add(unsigned group, Piece piece) { levels[group].pieces[piece] = 0; }
  void layOutGroup(unsigned group);
  double portOffset(unsigned group, End port) const;
  void emit(unsigned group, Point corner, unsigned depth);
  Point pointOf(const Level &level, unsigned group, End end, unsigned tensor,
                bool isStart, Point origin, Point corner) const;

  const Graph &graph;
  llvm::ArrayRef<Point> sizes;
  Groups groups;
  std::vector<Level> levels;
  std::vector<const Edge *> tensors; ///< the first edge of each
  Layout layout;
};

} // namespace

/// Cuts the edges at the frames that they cross.
void Layouter::split() {
  std::map<std::pair<unsigned, std::string>, unsigned> known;
  for (const Edge &edge : graph.edges) {
    auto [it, isNew] =
        known.try_emplace({edge.from, edge.label}, tensors.size());
    if (isNew)
      tensors.push_back(&edge);
    unsigned tensor = it->second;
    std::vector<unsigned> up = groups.pathOf(edge.from),
                          down = groups.pathOf(edge.to);
    // What both are in.
    while (up.size() > 1 && down.size() > 1 &&
           up[up.size() - 2] == down[down.size() - 2]) {
      up.pop_back();
      down.pop_back();
    }
    End from{End::OfNode, edge.from}, to{End::OfNode, edge.to};
    for (unsigned group : llvm::ArrayRef(up).drop_back()) {
      add(group, {from, {End::BottomPort, tensor}, tensor});
      from = {End::OfGroup, group};
    }
    for (unsigned group : llvm::ArrayRef(down).drop_back()) {
      add(group, {{End::TopPort, tensor}, to, tensor});
      to = {End::OfGroup, group};
    }
    add(up.back(), {from, to, tensor});
  }
}

/// Where a port is on the frame of a group, from the left.
double Layouter::portOffset(unsigned group, End port) const {
  const Level &level = levels[group];
  return level.items[level.ends.at(port)].x + kPadding;
}

void Layouter::layOutGroup(unsigned group) {
  Level &level = levels[group];
  auto addItem = [&](End end, Item item) {
    level.ends[end] = level.items.size();
    level.items.push_back(item);
  };
  for (Member member : groups.all()[group].members) {
    if (member.isGroup)
      layOutGroup(member.index);
    Point size =
        member.isGroup ? levels[member.index].size : sizes[member.index];
    addItem({member.isGroup ? End::OfGroup : End::OfNode, member.index},
            {size.x, size.y});
  }
  for (auto &[piece, index] : level.pieces)
    for (End end : {piece.from, piece.to})
      if ((end.type == End::TopPort || end.type == End::BottomPort) &&
          !level.ends.count(end))
        addItem(end,
                {0, 0, end.type == End::TopPort ? Item::Top : Item::Bottom});
  auto offset = [&](End end, unsigned tensor, bool isStart) {
    if (end.type == End::OfNode)
      return sizes[end.index].x / 2;
    if (end.type == End::OfGroup)
      return portOffset(end.index,
                        {isStart ? End::BottomPort : End::TopPort, tensor});
    return 0.0;
  };
  for (auto &[piece, index] : level.pieces) {
    index = level.lines.size();
    level.lines.push_back({level.ends[piece.from],
                           level.ends[piece.to],
                           offset(piece.from, piece.tensor, true),
                           offset(piece.to, piece.tensor, false),
                           piece.tensor,
                           {}});
  }
  // The shapes of a node's tensors stand below it.
  for (const auto &[piece, index] : level.pieces)
    if (piece.from.type == End::OfNode) {
      Item &item = level.items[level.ends[piece.from]];
      item.label = std::max(
          item.label, kLabelGap + 5.2 * tensors[piece.tensor]->label.size());
    }
  Point inner = layOutLayers(level.items, level.lines);
  // What is written must fit, too: the shapes, and the title.
  for (const Item &item : level.items)
    inner.x = std::max(inner.x, item.x + item.width / 2 + item.label);
  double title = 6.5 * groups.all()[group].label.size();
  level.size = {std::max(inner.x, title) + 2 * kPadding,
                inner.y + 2 * kPadding + (group ? kTitle : 0)};
}

/// Where a piece begins or ends in the whole drawing.
Point Layouter::pointOf(const Level &level, unsigned group, End end,
                        unsigned tensor, bool isStart, Point origin,
                        Point corner) const {
  const Item &item = level.items[level.ends.at(end)];
  Point at{origin.x + item.x, origin.y + item.y + (isStart ? item.height : 0)};
  switch (end.type) {
  case End::OfNode:
    return {at.x + item.width / 2, at.y};
  case End::OfGroup:
    return {at.x +
                portOffset(end.index,
                           {isStart ? End::BottomPort : End::TopPort, tensor}),
            at.y};
  case End::TopPort:
    return {at.x, corner.y};
  case End::BottomPort:
    return {at.x, corner.y + level.size.y};
  }
  return at;
}

/// Takes what a group has over into the whole; `corner` is that of its frame.
void Layouter::emit(unsigned group, Point corner, unsigned depth) {
  const Level &level = levels[group];
  Point origin{corner.x + kPadding, corner.y + kPadding + (group ? kTitle : 0)};
  if (group)
    layout.frames.push_back({{corner.x, corner.y, level.size.x, level.size.y},
                             groups.all()[group].label,
                             depth});
  for (Member member : groups.all()[group].members) {
    End end{member.isGroup ? End::OfGroup : End::OfNode, member.index};
    const Item &item = level.items[level.ends.at(end)];
    Point at{origin.x + item.x, origin.y + item.y};
    if (member.isGroup)
      emit(member.index, at, depth + 1);
    else
      layout.nodes[member.index] = {at.x, at.y, item.width, item.height};
  }
  std::map<unsigned, unsigned> labelled; // how many labels a node has
  std::map<unsigned, bool> seen;         // tensors
  for (const auto &[piece, index] : level.pieces) {
    Route route;
    route.hasArrow = piece.to.type == End::OfNode;
    route.points.push_back(
        pointOf(level, group, piece.from, piece.tensor, true, origin, corner));
    for (Point bend : level.lines[index].bends)
      route.points.push_back({origin.x + bend.x, origin.y + bend.y});
    route.points.push_back(
        pointOf(level, group, piece.to, piece.tensor, false, origin, corner));
    if (piece.from.type == End::OfNode && !seen[piece.tensor]) {
      seen[piece.tensor] = true;
      unsigned line = labelled[piece.from.index]++;
      layout.labels.push_back({{route.points.front().x + kLabelGap,
                                route.points.front().y + 11 + 10.0 * line},
                               tensors[piece.tensor]->label});
    }
    layout.routes.push_back(std::move(route));
  }
}

Layout dlc::draw::layOut(const Graph &graph, llvm::ArrayRef<Point> sizes) {
  return Layouter(graph, sizes).run();
}
