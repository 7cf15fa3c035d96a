/// \file
/// Lays boxes out in layers, so that edges go down and cross little.
#ifndef DLC_LIB_DRAW_LAYERS_H
#define DLC_LIB_DRAW_LAYERS_H

#include <vector>

namespace dlc::draw {

struct Point {
  double x, y;
};

/// A box of one level of the drawing.
struct Item {
  /// Whether it must be the first layer's (where edges come in from outside),
  /// or the last one's (where they leave).
  enum Pin { None, Top, Bottom };

  double width, height;
  Pin pin = None;
  double label = 0; ///< what is written below it takes so much from its middle
  double x = 0, y = 0; ///< of the upper left corner; the result
};

/// An edge between two of them. Edges are no cycle.
struct Line {
  unsigned from, to;
  double fromOffset, toOffset; ///< where it begins and ends, from the left
  unsigned stem; ///< lines of one stem out of an item run together, and branch
  std::vector<Point> bends; ///< between them; the result
};

/// Sets the results, and returns how large the whole is.
Point layOutLayers(std::vector<Item> &items, std::vector<Line> &lines);

} // namespace dlc::draw

#endif
