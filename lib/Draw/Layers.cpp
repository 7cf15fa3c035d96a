// The layered layout of Sugiyama, Tagawa and Toda ("Methods for Visual
// Understanding of Hierarchical System Structures", 1981): layers by the
// longest path, an order in each that barycentres improve, and places that
// keep edges straight, for a layer at a time the best in the least squares.

#include "lib/Draw/Layers.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

using namespace dlc::draw;

/// Between boxes beside each other, and between layers.
static constexpr double kColumnGap = 18, kRowGap = 30, kPortGap = 12;
/// What an edge takes where it passes a layer.
static constexpr double kLineWidth = 8;
/// Between two such.
static constexpr double kLineGap = 4;

namespace {

/// An item, or the place where lines of one stem pass a layer.
struct Vertex {
  int item = -1;
  bool isLine() const { return item < 0; }
  unsigned layer = 0;
  double width = kLineWidth;
  double x = 0; ///< of its middle
};

/// A line from one layer to the next; offsets are from the vertices' middles.
struct Segment {
  unsigned up, down;
  double upOffset, downOffset;
};

class Layers {
public:
  Layers(std::vector<Item> &items, std::vector<Line> &lines)
      : items(items), lines(lines) {}

  Point run() {
    findLayers();
    makeVertices();
    order();
    place();
    return finish();
  }

private:
  void findLayers();
  void makeVertices();
  double distance(const Vertex &left, const Vertex &right) const;
  void order();
  unsigned countCrossings() const;
  void place();
  void placeLayer(const std::vector<unsigned> &layer, bool useUp, bool useDown);
  Point finish();

  std::vector<Item> &items;
  std::vector<Line> &lines;
  std::vector<unsigned> layerOf; ///< of each item
  unsigned numLayers = 0;
  std::vector<Vertex> vertices;
  std::vector<Segment> segments;
  std::vector<std::vector<unsigned>> ways; ///< vertices that each line passes
  std::vector<std::vector<unsigned>> up, down; ///< segments of each vertex
  std::vector<std::vector<unsigned>> layers;   ///< vertices in order
  std::vector<unsigned> position;              ///< of each vertex in its layer
};

} // namespace

void Layers::findLayers() {
  std::vector<std::vector<unsigned>> next(items.size()), before(items.size());
  std::vector<unsigned> missing(items.size());
  for (const Line &line : lines) {
    next[line.from].push_back(line.to);
    before[line.to].push_back(line.from);
    ++missing[line.to];
  }
  bool hasTop = llvm::any_of(
      items, [](const Item &item) { return item.pin == Item::Top; });
  layerOf.assign(items.size(), hasTop ? 1 : 0);
  std::vector<unsigned> ready;
  for (unsigned i = 0; i < items.size(); ++i) {
    if (items[i].pin == Item::Top)
      layerOf[i] = 0;
    if (!missing[i])
      ready.push_back(i);
  }
  for (size_t i = 0; i < ready.size(); ++i)
    for (unsigned to : next[ready[i]]) {
      layerOf[to] = std::max(layerOf[to], layerOf[ready[i]] + 1);
      if (!--missing[to])
        ready.push_back(to);
    }
  for (unsigned layer : layerOf)
    numLayers = std::max(numLayers, layer + 1);
  // What comes from nowhere stands directly above where it goes.
  for (unsigned i : llvm::reverse(ready))
    if (before[i].empty() && !next[i].empty() && items[i].pin == Item::None) {
      unsigned nearest = numLayers;
      for (unsigned to : next[i])
        nearest = std::min(nearest, layerOf[to]);
      layerOf[i] = nearest - 1;
    }
  bool hasBottom = false;
  for (unsigned i = 0; i < items.size(); ++i)
    if (items[i].pin == Item::Bottom) {
      layerOf[i] = numLayers;
      hasBottom = true;
    }
  numLayers += hasBottom;
}

void Layers::makeVertices() {
  layers.resize(numLayers);
  for (unsigned i = 0; i < items.size(); ++i) {
    Vertex vertex;
    vertex.item = i;
    vertex.layer = layerOf[i];
    vertex.width = items[i].width;
    vertices.push_back(vertex);
  }
  // The vertices of each stem, from the layer below its item on.
  std::map<std::pair<unsigned, unsigned>, std::vector<unsigned>> stems;
  for (const Line &line : lines) {
    std::vector<unsigned> &stem = stems[{line.from, line.stem}];
    unsigned first = layerOf[line.from] + 1;
    double offset = line.fromOffset - items[line.from].width / 2;
    auto above = [&](size_t i) { return i ? stem[i - 1] : line.from; };
    size_t length = layerOf[line.to] - first;
    while (stem.size() < length) {
      size_t i = stem.size();
      Vertex vertex;
      vertex.layer = first + i;
      segments.push_back(
          {above(i), unsigned(vertices.size()), i ? 0 : offset, 0});
      stem.push_back(vertices.size());
      vertices.push_back(vertex);
    }
    ways.emplace_back(stem.begin(), stem.begin() + length);
    segments.push_back({above(length), line.to, length ? 0 : offset,
                        line.toOffset - items[line.to].width / 2});
  }
  up.resize(vertices.size());
  down.resize(vertices.size());
  for (auto [i, segment] : llvm::enumerate(segments)) {
    down[segment.up].push_back(i);
    up[segment.down].push_back(i);
  }
  // In the order of a walk down, which keeps branches together.
  std::vector<bool> seen(vertices.size());
  std::vector<unsigned> stack;
  for (unsigned i = vertices.size(); i-- > 0;)
    if (up[i].empty())
      stack.push_back(i);
  while (!stack.empty()) {
    unsigned i = stack.back();
    stack.pop_back();
    if (seen[i])
      continue;
    seen[i] = true;
    layers[vertices[i].layer].push_back(i);
    for (unsigned segment : llvm::reverse(down[i]))
      stack.push_back(segments[segment].down);
  }
  position.resize(vertices.size());
  for (const auto &layer : layers)
    for (auto [p, i] : llvm::enumerate(layer))
      position[i] = p;
}

/// The least between the middles of neighbours in a layer.
double Layers::distance(const Vertex &left, const Vertex &right) const {
  double gap = left.isLine() && right.isLine() ? kLineGap : kColumnGap;
  double label = left.isLine() ? 0 : items[left.item].label;
  return std::max((left.width + right.width) / 2 + gap, label);
}

unsigned Layers::countCrossings() const {
  unsigned crossings = 0;
  for (const auto &layer : layers) {
    // Of two segments out of a layer, the right one's end lies to the left.
    std::vector<unsigned> ends;
    for (unsigned i : layer) {
      std::vector<unsigned> own;
      for (unsigned segment : down[i])
        own.push_back(position[segments[segment].down]);
      llvm::sort(own);
      for (unsigned end : own) {
        auto it = llvm::upper_bound(ends, end);
        crossings += ends.end() - it;
        ends.insert(it, end);
      }
    }
  }
  return crossings;
}

void Layers::order() {
  auto best = layers;
  unsigned fewest = countCrossings();
  for (unsigned round = 0; round < 16 && fewest; ++round) {
    bool goesDown = round % 2 == 0;
    for (unsigned step = 1; step < numLayers; ++step) {
      auto &layer = layers[goesDown ? step : numLayers - 1 - step];
      std::vector<std::pair<double, unsigned>> keys;
      for (unsigned i : layer) {
        const auto &near = goesDown ? up[i] : down[i];
        double sum = 0;
        for (unsigned s : near) {
          unsigned other = goesDown ? segments[s].up : segments[s].down;
          double offset =
              goesDown ? segments[s].upOffset : segments[s].downOffset;
          sum += position[other] + offset / (vertices[other].width + 1);
        }
        keys.emplace_back(near.empty() ? position[i] : sum / near.size(), i);
      }
      std::stable_sort(
          keys.begin(), keys.end(),
          [](const auto &a, const auto &b) { return a.first < b.first; });
      for (auto [p, key] : llvm::enumerate(keys)) {
        layer[p] = key.second;
        position[key.second] = p;
      }
    }
    if (unsigned crossings = countCrossings(); crossings < fewest) {
      fewest = crossings;
      best = layers;
    }
  }
  layers = best;
  for (const auto &layer : layers)
    for (auto [p, i] : llvm::enumerate(layer))
      position[i] = p;
}

/// The places of a layer's vertices that are nearest to where their neighbours
/// want them, in their order and without overlap: an isotonic regression, by
/// pooling adjacent violators.
void Layers::placeLayer(const std::vector<unsigned> &layer, bool useUp,
                        bool useDown) {
  struct Pool {
    double sum, weight;
    unsigned count;
  };
  std::vector<Pool> pools;
  std::vector<double> offsets;
  double offset = 0;
  for (size_t p = 0; p < layer.size(); ++p) {
    unsigned i = layer[p];
    if (p)
      offset += distance(vertices[layer[p - 1]], vertices[i]);
    offsets.push_back(offset);
    double sum = vertices[i].x * 0.01, weight = 0.01;
    auto pull = [&](unsigned segment, bool isUp) {
      const Segment &s = segments[segment];
      unsigned other = isUp ? s.up : s.down;
      double wanted = vertices[other].x + (isUp ? s.upOffset : s.downOffset) -
                      (isUp ? s.downOffset : s.upOffset);
      // Long lines are to be straight.
      bool isLine = vertices[i].isLine(), isLong = vertices[other].isLine();
      bool isChain = down[s.up].size() == 1 && up[s.down].size() == 1;
      double w = isLine && isLong ? 8 : isLine || isLong ? 2 : isChain ? 4 : 1;
      sum += w * wanted;
      weight += w;
    };
    if (useUp)
      for (unsigned s : up[i])
        pull(s, true);
    if (useDown)
      for (unsigned s : down[i])
        pull(s, false);
    pools.push_back({sum - weight * offset, weight, 1});
    while (pools.size() > 1) {
      Pool &last = pools.back(), &first = pools[pools.size() - 2];
      if (first.sum / first.weight <= last.sum / last.weight)
        break;
      first.sum += last.sum;
      first.weight += last.weight;
      first.count += last.count;
      pools.pop_back();
    }
  }
  unsigned p = 0;
  for (const Pool &pool : pools)
    for (unsigned n = 0; n < pool.count; ++n, ++p)
      vertices[layer[p]].x = pool.sum / pool.weight + offsets[p];
}

void Layers::place() {
  for (const auto &layer : layers) {
    double x = 0;
    for (auto [p, i] : llvm::enumerate(layer)) {
      if (p)
        x += distance(vertices[layer[p - 1]], vertices[i]);
      vertices[i].x = x;
    }
  }
  constexpr unsigned rounds = 40;
  for (unsigned round = 0; round < rounds; ++round) {
    bool useBoth = round + 6 >= rounds, goesDown = round % 2 == 0;
    for (unsigned l = 0; l < numLayers; ++l)
      placeLayer(layers[goesDown ? l : numLayers - 1 - l], goesDown || useBoth,
                 !goesDown || useBoth);
  }
}

Point Layers::finish() {
  double left = 0, right = 0;
  for (auto [i, vertex] : llvm::enumerate(vertices)) {
    double begin = vertex.x - vertex.width / 2,
           end = vertex.x + vertex.width / 2;
    left = i ? std::min(left, begin) : begin;
    right = i ? std::max(right, end) : end;
  }
  std::vector<Point> bands; // top and bottom of each layer
  double y = 0;
  for (const auto &layer : layers) {
    double height = 0;
    for (unsigned i : layer)
      if (vertices[i].item >= 0)
        height = std::max(height, items[vertices[i].item].height);
    bands.push_back({y, y + height});
    y += height + (height ? kRowGap : kPortGap);
  }
  for (const Vertex &vertex : vertices) {
    if (vertex.isLine())
      continue;
    Item &item = items[vertex.item];
    item.x = vertex.x - item.width / 2 - left;
    // What is written below all of a layer is beside none of its boxes.
    item.y = bands[vertex.layer].y - item.height;
  }
  for (auto [line, way] : llvm::zip(lines, ways))
    for (unsigned i : way)
      for (double y : {bands[vertices[i].layer].x, bands[vertices[i].layer].y})
        line.bends.push_back({vertices[i].x - left, y});
  // Lines into lower boxes turn before they enter the layer.
  for (Line &line : lines) {
    const Item &item = items[line.to];
    double top = bands[layerOf[line.to]].x;
    if (top < item.y)
      line.bends.push_back({item.x + line.toOffset, top});
  }
  return {right - left, bands.empty() ? 0 : bands.back().y};
}

Point dlc::draw::layOutLayers(std::vector<Item> &items,
                              std::vector<Line> &lines) {
  return Layers(items, lines).run();
}
