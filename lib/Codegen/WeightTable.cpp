// Lays out the constants of a model.
#include "lib/Codegen/WeightTable.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/xxhash.h"
#include <cassert>

using namespace llvm;
using namespace dlc;

int64_t WeightTable::place(int64_t size, int64_t alignment) {
  assert(isPowerOf2_64(alignment) && alignment <= maxAlignment);
  int64_t offset = alignTo(total, alignment);
  total = offset + size;
  return offset;
}

int64_t WeightTable::add(ArrayRef<char> bytes, int64_t alignment) {
  if (bytes.empty())
    return place(0, alignment);
  uint64_t hash = xxh3_64bits(StringRef(bytes.data(), bytes.size()));
  auto [begin, end] = byHash.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const Entry &entry = list[it->second];
    if (entry.bytes == bytes && entry.offset % alignment == 0)
      return entry.offset;
  }
  int64_t offset = place(bytes.size(), alignment);
  byHash.emplace(hash, list.size());
  uint64_t chain[] = {bytesHash, hash, uint64_t(offset)};
  bytesHash = xxh3_64bits(
      StringRef(reinterpret_cast<const char *>(chain), sizeof chain));
  list.push_back({offset, bytes});
  return offset;
}

int64_t WeightTable::add(std::vector<char> &&bytes, int64_t alignment) {
  size_t before = list.size();
  owned.push_back(std::move(bytes));
  int64_t offset = add(ArrayRef<char>(owned.back()), alignment);
  if (list.size() == before)
    owned.pop_back();
  return offset;
}

int64_t WeightTable::addZeros(int64_t size, int64_t alignment) {
  return place(size, alignment);
}
