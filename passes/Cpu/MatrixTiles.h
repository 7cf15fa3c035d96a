/// \file
/// Instructions on the tile registers of x86's AMX: eight of at most 16 rows of
/// 64 bytes. A product adds up, for each row of A and column of B, the products
/// of bytes in groups of four or of bfloat16 in pairs.
#ifndef DLC_PASSES_CPU_MATRIXTILES_H
#define DLC_PASSES_CPU_MATRIXTILES_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// Emits instructions for blocks of two tiles of A by two of B.
class MatrixTiles {
public:
  static constexpr int64_t kRows = 16, kColumns = 16, kRowBytes = 64;
  /// What a lane of a tile has of A and B.
  static constexpr int64_t kGroupBytes = 4;

  MatrixTiles(mlir::ImplicitLocOpBuilder &b, llvm::StringRef product)
      : b(b), math(b), product(product) {}

  /// The register of the sums of row tile `r` and column tile `c`; those of the
  /// operands.
  static int64_t getC(int64_t r, int64_t c) { return 2 * r + c; }
  static int64_t getA(int64_t r) { return 4 + r; }
  static int64_t getB(int64_t c) { return 6 + c; }

  /// Gives tiles of A and C `rows` (an index, at most 16) rows, those of A
  /// `groups` groups in each and those of B as many rows; all become 0. Takes
  /// 200 cycles. `memory` has room for 64 bytes.
  void configure(mlir::Value memory, mlir::Value rows, int64_t groups);
  /// Gives the registers back: a switch of threads does not save them then.
  void release() { call("llvm.x86.tilerelease", {}); }

  /// Rows of a tile at `stride` bytes from `address` (indices) on. What is
  /// `streamed` takes no place in the L1 cache.
  void load(int64_t tile, mlir::Value address, mlir::Value stride,
            bool streamed = false);
  void store(int64_t tile, mlir::Value address, mlir::Value stride);
  void clear(int64_t tile);
  /// Adds the products of row tile `r` and column tile `c` to their sums.
  void multiply(int64_t r, int64_t c);

private:
  void call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::Value number(int64_t tile);
  mlir::Value pointer(mlir::Value address);

  mlir::ImplicitLocOpBuilder &b;
  IndexMath math;
  llvm::StringRef product; // "tdpbusd" and its kin
};

/// The address, an index, of the element `offset` of a flat buffer of elements
/// of so many bytes.
mlir::Value getAddress(mlir::ImplicitLocOpBuilder &b, mlir::Value buffer,
                       mlir::Value offset, int64_t bytes);

} // namespace dlc

#endif
