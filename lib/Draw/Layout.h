/// \file
/// Where everything of a drawing lies.
#ifndef DLC_LIB_DRAW_LAYOUT_H
#define DLC_LIB_DRAW_LAYOUT_H

#include "lib/Draw/Draw.h"
#include "lib/Draw/Layers.h"
#include "llvm/ADT/ArrayRef.h"

namespace dlc::draw {

struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};

/// The frame around the nodes of a group.
struct Frame {
  Box box;
  std::string label;
  unsigned depth;
};

/// A piece of an edge; the last one has the arrow.
struct Route {
  std::vector<Point> points;
  bool hasArrow;
};

struct Label {
  Point at; ///< the left end of its base line
  std::string text;
};

struct Layout {
  double width = 0, height = 0;
  std::vector<Box> nodes;
  std::vector<Frame> frames; ///< outer ones first
  std::vector<Route> routes;
  std::vector<Label> labels; ///< of tensors, where they leave their nodes
};

/// Lays a graph out whose nodes have these widths and heights.
Layout layOut(const Graph &graph, llvm::ArrayRef<Point> sizes);

} // namespace dlc::draw

#endif
