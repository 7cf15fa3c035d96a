// The size of the register tile of a contraction.
#include "passes/Cpu/ContractTile.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace dlc;

int64_t CpuIsa::getLanes(Type type) const {
  return std::max<int64_t>(1, vectorBytes * 8 / type.getIntOrFloatBitWidth());
}

bool CpuIsa::hasMasks(Type type) const {
  // AVX-512 masks everything, AVX2 words of 32 and 64 bits, the others none.
  unsigned bits = type.getIntOrFloatBitWidth();
  return vectorBytes >= 64 || (vectorBytes == 32 && bits >= 32);
}

/// Bytes of B that a tile reads in a cycle where it is the only one, or nearly:
/// they come from the L2 cache.
static constexpr double kStreamBytes = 24;

/// Cycles per step of the summed dimension: two multiply-adds a cycle, each
/// sum waits four cycles for itself, two loads a cycle, and `stream` cycles for
/// each vector of B. Loads are never quite free, which decides between tiles
/// that are equal otherwise.
static double getCost(int64_t rows, int64_t vectors, double stream) {
  double loads = double(rows + vectors) / 2;
  return std::max({double(rows * vectors) / 2, 4.0, loads, vectors * stream}) +
         loads / 10;
}

RegisterTile dlc::chooseTile(const CpuIsa &isa, int64_t lanes,
                             std::optional<int64_t> rows,
                             std::optional<int64_t> columns, int64_t panelWidth,
                             int64_t regularRows) {
  int64_t rowCount = std::max<int64_t>(1, rows.value_or(960));
  int64_t vectorCount =
      llvm::divideCeil(std::max<int64_t>(1, columns.value_or(960)), lanes);
  int64_t maxRows = isa.pointers <= 4 ? isa.pointers : 14;
  // What many tiles of rows read again is near.
  double stream =
      rows && rowCount <= maxRows ? isa.vectorBytes / kStreamBytes : 0;
  RegisterTile best{1, 1};
  double bestCost = -1;
  for (int64_t vectors = 1; vectors <= 4; ++vectors) {
    if (vectors > 1 && vectors > vectorCount)
      break;
    // A tile lies in one panel.
    if (panelWidth && vectors * lanes < panelWidth &&
        panelWidth % (vectors * lanes))
      continue;
    if (panelWidth && vectors * lanes > panelWidth)
      continue;
    for (int64_t r = 1; r <= std::min(maxRows, rowCount); ++r) {
      if (r * vectors + vectors + 1 > isa.registers)
        break;
      if (r > isa.pointers && regularRows % r)
        continue;
      double cost = 0;
      for (auto [n, v] :
           {std::pair(vectorCount / vectors, vectors),
            std::pair<int64_t, int64_t>(1, vectorCount % vectors)}) {
        if (!v)
          continue;
        cost += n * (rowCount / r) * getCost(r, v, stream);
        if (rowCount % r)
          cost += n * getCost(rowCount % r, v, stream);
      }
      if (bestCost < 0 || cost < bestCost) {
        bestCost = cost;
        best = {r, vectors};
      }
    }
  }
  return best;
}

SmallVector<TileColumn> dlc::splitColumns(int64_t count, int64_t lanes,
                                          bool masks) {
  SmallVector<TileColumn> columns;
  int64_t offset = 0;
  for (; offset + lanes <= count; offset += lanes)
    columns.push_back({offset, lanes, lanes});
  if (offset < count && masks) {
    columns.push_back({offset, lanes, count - offset});
    return columns;
  }
  for (int64_t width = lanes / 2; offset < count; width /= 2)
    if (offset + width <= count) {
      columns.push_back({offset, width, width});
      offset += width;
    }
  return columns;
}
