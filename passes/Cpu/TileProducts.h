/// \file
/// Contractions by products of tiles (x86's AMX): the blocks of some row tiles
/// and columns.
#ifndef DLC_PASSES_CPU_TILEPRODUCTS_H
#define DLC_PASSES_CPU_TILEPRODUCTS_H

#include "passes/Cpu/MatrixTiles.h"
#include "passes/Cpu/RowTiles.h"

namespace dlc {

/// Emits blocks of two row tiles by two column tiles of a contraction whose B
/// is in panels and groups: see LowerContractTiles.cpp.
class TileProducts {
public:
  /// Columns of a block, two tiles.
  static constexpr int64_t kWidth = 2 * MatrixTiles::kColumns;

  using Offsets = ContractEmitter::Offsets;

  /// `product` is the instruction.
  TileProducts(ContractEmitter &emitter, llvm::StringRef product,
               const RowTiles &rows);

  /// Whether vectors take longer.
  bool isWorthIt() const;
  /// Cycles of so many row tiles and columns.
  double getCycles(double rowTiles, double columns) const;
  /// Bytes of A that a row tile reads.
  int64_t getTileBytes() const;

  /// Chooses how units of so many row tiles (nothing: of any number) go through
  /// the caches. Before everything that follows.
  void chooseStreams(std::optional<int64_t> unitTiles);
  /// Takes memory on the stack at the begin of a block that is in no loop.
  /// Everything else comes behind.
  void takeMemory(mlir::Block *stack);
  /// Around the blocks of a thread's unit.
  void begin() { tiles.configure(shapes, rowTiles.heightValue, groups); }
  void end() { tiles.release(); }
  /// Row tiles and columns from the first ones, columns from a multiple of
  /// kWidth on.
  void emit(const Offsets &bases, mlir::Value firstTile, mlir::Value endTile,
            mlir::Value firstColumn, mlir::Value endColumn);

private:
  using Place = RowTiles::Place;
  /// The columns of blocks: one or two vectors, the mask of the last one.
  struct Columns {
    llvm::SmallVector<TileColumn> vectors;
    mlir::Value mask;
  };
  /// Blocks that are emitted together: `hasPairs` unless there is one row tile.
  struct Section {
    Offsets bases;
    mlir::Value firstTile, endTile;
    Columns columns;
    bool hasPairs;
  };
  /// A block whose sums are in registers or memory: its first row tile, its
  /// first column, its rows (0: there is none).
  struct Block {
    mlir::Value tile, column, count;
  };
  /// What emits some rows of the last block's C.
  struct Rows {
    Place places[2];
    mlir::Value count;
    const Columns *columns;
    bool hasPairs;
  };

  void emitSection(const Section &section, mlir::Value firstColumn,
                   mlir::Value endColumn);
  Block emitBlock(const Section &section, mlir::Value tile, mlir::Value column,
                  const Block &last);
  mlir::Value emitSums(llvm::ArrayRef<unsigned> dims, mlir::Value aOffset,
                       mlir::Value bOffset, mlir::Value isFirst,
                       mlir::Value row);
  mlir::Value emitStep(mlir::Value aOffset, mlir::Value bOffset, bool isFirst,
                       bool isRest, mlir::Value row);
  bool readsLines() const;
  void load(int64_t tile, mlir::Value address, mlir::Value stride,
            bool streamedIfAligned, bool streamed);
  void prefetch(mlir::Value bOffset);
  mlir::Value copyRest(int64_t r, mlir::Value offset);
  Rows getRows(const Section &section, const Block &block);
  mlir::Value emitRows(const Rows &rows, mlir::Value first, int64_t count);
  void emitRow(const Rows &rows, mlir::Value row);
  mlir::Value getSums(int64_t r, int64_t c);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  mlir::ImplicitLocOpBuilder &b;
  MatrixTiles tiles;
  RowTiles rowTiles;
  unsigned dim, inner; // the columns', the grouped sum
  int64_t bytes;       // of an element of A and B
  int64_t groupSize;   // in elements
  int64_t groups;      // of a step
  int64_t steps;       // of the grouped sum
  int64_t rest;        // elements of the last of these; 0: as of the others
  int64_t allSteps;
  std::optional<int64_t> unitTiles; // of rows
  // Whether tiles of A are streamed if they are aligned, those of B if not.
  bool streamsA = false, streamsB = false;
  mlir::Value isAligned; // none unless streamsA
  // On the stack: the shapes of tiles, sums of a block, rests of two tiles.
  mlir::Value shapes, sums, rests;
  mlir::Value aStart, bStart; // the operands' addresses
  // Of the block that is emitted.
  const Section *section = nullptr;
  const Rows *last = nullptr;
  int64_t blockTiles = 0; // of rows
  mlir::Value aOffsets[2], bOffsets[2];
  mlir::Value pair; // its number in the section
};

} // namespace dlc

#endif
