/// \file
/// What the tiles of a register-tiled product ask the caches for before they,
/// or the tiles behind them, read it.
#ifndef DLC_PASSES_CPU_TILEPREFETCH_H
#define DLC_PASSES_CPU_TILEPREFETCH_H

#include "passes/Cpu/ContractDot.h"

namespace dlc {

/// The number of elements of a memref; nothing with dynamic sizes.
std::optional<int64_t> countElements(mlir::Value memref);

class TilePrefetch {
public:
  using Offsets = ContractEmitter::Offsets;

  /// For tiles of `tile` of the product's `rowCount` rows, whose vectors run
  /// along `dim`; `dot` is of bytes or pairs.
  TilePrefetch(ContractEmitter &emitter, unsigned dim,
               const std::optional<DotProducts> &dot, RegisterTile tile,
               mlir::Value rowCount);

  /// Chooses what is asked for, where blocks of `blockRows` rows (nothing: all)
  /// go through all columns, in loops over the dimensions `outer`.
  void choose(std::optional<int64_t> blockRows, llvm::ArrayRef<unsigned> outer);
  /// So many rows go through a panel of B before the next one.
  void setRows(int64_t rows);
  /// How many steps a turn of the loop has, for a tile of so many sums. Some 48
  /// multiply-adds hide the loop itself; where addresses don't fit the
  /// registers, more steps would only cost more of them. Longer turns are for
  /// prefetching: the tiles of a panel ask for it once if the lines of a turn
  /// are a multiple of their number.
  int64_t chooseUnrolling(int64_t sums);

  /// The steps that follow are those of a tile of `rows` rows from `row` on,
  /// the tile of rows `number`.
  void beginTile(const Offsets &bases, mlir::Value row, int64_t rows,
                 mlir::Value number);
  /// What comes before `steps` steps from `k` on, whose B begins at `bOffset`.
  void emitStep(mlir::Value k, mlir::Value bOffset, int64_t steps);
  /// What the epilogue reads, a sum's other side, comes while the sums are
  /// made.
  void emitExtras(llvm::ArrayRef<Offsets> offsets,
                  llvm::ArrayRef<TileColumn> columns);

private:
  /// Elements of B in a step of so many columns.
  int64_t getStep(int64_t columns) const {
    return dot ? columns * dot->getGroup() : columns;
  }
  std::optional<int64_t> chooseRows();
  void emitB(mlir::Value bOffset, int64_t steps);
  void emitRows(mlir::Value k, int64_t steps);
  void emit(const ContractOperand &operand, mlir::Value offset, bool isNear);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  unsigned dim;
  const std::optional<DotProducts> &dot;
  RegisterTile tile;
  mlir::Value rowCount;
  /// How far behind an element of B the one lies that is asked for; null if
  /// nothing of B is.
  mlir::Value ahead;
  int64_t askers = 1;  // tiles of rows that ask for a part of it each
  bool isSoon = false; // it is read by the same tile
  /// Elements between rows of A, if those of the next tile are asked for.
  std::optional<int64_t> stride;
  mlir::Value number, nextRows; // of the tile: its number, the next one's A
};

} // namespace dlc

#endif
