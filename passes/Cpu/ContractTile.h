/// \file
/// The machine as the kernels see it, and the size of the register tile.
#ifndef DLC_PASSES_CPU_CONTRACTTILE_H
#define DLC_PASSES_CPU_CONTRACTTILE_H

#include "mlir/IR/Types.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <optional>

namespace dlc {

/// The instruction that sums products of bytes, or of pairs of bfloat16, in
/// lanes of 32 bits.
enum class DotKind {
  None,
  Vnni,   ///< x86 vpdpbusd: unsigned by signed
  Madd,   ///< x86 pmaddwd: pairs of 16 bits
  SDot,   ///< AArch64 sdot, udot: equal signs
  I8mm,   ///< AArch64 with usdot too
  SDot32, ///< the same of 32-bit Arm
  I8mm32,
  Bf16,   ///< x86 vdpbf16ps
  BfDot,  ///< AArch64 bfdot
  BfMmla, ///< with bfmmla too
};

/// Bytes of a line of a CPU's caches.
constexpr int64_t kLineBytes = 64;

/// What a CPU offers to a kernel.
struct CpuIsa {
  int64_t vectorBytes = 32;
  int64_t registers = 16; // vector registers
  int64_t pointers = 8;   // row addresses that fit its general registers
  int64_t l2Bytes = 1 << 20;
  bool fma = true;      // fused multiply-add in one instruction
  bool threads = false; // kernels may share their work among threads
  DotKind dot = DotKind::None;
  int64_t dotBytes = 0;          // width of its registers
  DotKind pairs = DotKind::None; // of bfloat16
  /// Products of tiles (AMX), of bytes and of bfloat16.
  bool byteTiles = false, pairTiles = false;

  /// Elements of `type` in a vector register.
  int64_t getLanes(mlir::Type type) const;
  /// True if loads and stores of `type` can be masked without a branch.
  bool hasMasks(mlir::Type type) const;
};

/// A tile of C in registers: `rows` x (`vectors` * lanes).
struct RegisterTile {
  int64_t rows, vectors;
};

/// One vector of a tile: `width` elements from column `offset` of the tile on,
/// of which `count` exist (fewer than `width`: masked).
struct TileColumn {
  int64_t offset, width, count;
};

/// The tile that needs the fewest cycles for `rows` x `columns` sums (either
/// may be unknown). `panelWidth` is that of a packed operand or 0. More rows
/// than addresses fit the general registers have to lie at a constant distance:
/// those of a tile do if their number divides `regularRows`.
RegisterTile chooseTile(const CpuIsa &isa, int64_t lanes,
                        std::optional<int64_t> rows,
                        std::optional<int64_t> columns, int64_t panelWidth,
                        int64_t regularRows);

/// Splits `count` columns into vectors of `lanes` elements and a rest, which
/// is masked or, without masks, made of narrower vectors.
llvm::SmallVector<TileColumn> splitColumns(int64_t count, int64_t lanes,
                                           bool masks);

} // namespace dlc

#endif
