/// \file
/// The constants of a model: one read-only block of bytes in the object,
/// NAME_weights, into which generated code points by offset.
#ifndef DLC_LIB_CODEGEN_WEIGHTTABLE_H
#define DLC_LIB_CODEGEN_WEIGHTTABLE_H

#include "dlc/Api.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace dlc {

/// Gives each constant an offset. It keeps references to the bytes, never
/// copies of them: their owner must outlive the table. Equal bytes get one
/// offset. Offsets depend on the order of the calls only.
class DLC_API WeightTable {
public:
  /// The alignment of the block itself, and the most an entry can ask for.
  static constexpr int64_t maxAlignment = 64;

  struct Entry {
    int64_t offset;
    llvm::ArrayRef<char> bytes;
  };

  /// Adds `bytes`; `alignment` is a power of two of at most maxAlignment.
  int64_t add(llvm::ArrayRef<char> bytes, int64_t alignment = maxAlignment);

  /// Adds bytes that the table shall own.
  int64_t add(std::vector<char> &&bytes, int64_t alignment = maxAlignment);

  /// Adds `size` zero bytes that exist nowhere, neither here nor, where the
  /// file system has holes, on disk.
  int64_t addZeros(int64_t size, int64_t alignment = maxAlignment);

  /// Bytes of the whole block.
  int64_t size() const { return total; }
  bool empty() const { return total == 0; }

  /// A hash of all bytes and their places.
  uint64_t hash() const { return bytesHash; }

  /// The entries by rising offset; what lies between them is zero.
  llvm::ArrayRef<Entry> entries() const { return list; }

private:
  int64_t place(int64_t size, int64_t alignment);

  std::vector<Entry> list;
  std::vector<std::vector<char>> owned;
  std::unordered_multimap<uint64_t, size_t> byHash;
  int64_t total = 0;
  uint64_t bytesHash = 0;
};

} // namespace dlc

#endif
