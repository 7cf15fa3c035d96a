/// \file
/// The kernel of attention on a CPU: what LowerAttention.cpp tells, in parts.
#ifndef DLC_PASSES_CPU_ATTENTIONEMITTER_H
#define DLC_PASSES_CPU_ATTENTIONEMITTER_H

#include "dialects/Dlc/PartsAttr.h"
#include "passes/Buffer/AttentionScratch.h"
#include "passes/Cpu/AttentionSoftmax.h"
#include "passes/Cpu/BlockTranspose.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/MatrixTiles.h"
#include "passes/Cpu/PairPacking.h"

namespace dlc {

/// An operand of the op as a flat buffer, with one stride an iteration
/// dimension.
struct AttentionOperand {
  ContractOperand flat;
  llvm::SmallVector<mlir::Value> strides;
};

/// A tile of rows: its place, one number an iteration dimension (null: 0), and
/// its size in the dimension that is split.
struct RowTile {
  llvm::SmallVector<mlir::Value> position;
  mlir::Value splitRows;
};

/// A buffer, and which dimensions of a contraction its own are, or the map of
/// another layout.
struct ContractPart {
  mlir::Value buffer;
  llvm::SmallVector<unsigned> dims;
  mlir::AffineMap map = {};
};

/// A dimension of a contraction in scratch memory.
struct PartDim {
  unsigned dim;
  mlir::Value size;
  int64_t stride;
};

/// Keys from `first` up to `end`.
struct KeyRange {
  mlir::Value first, end;
};

class AttentionEmitter {
  friend class HiddenKeys;
  friend class AttentionTiles;

public:
  AttentionEmitter(AttentionOp op, const CpuIsa &isa)
      : op(op), cpu(isa), b(op.getLoc(), op), math(b), layout(op),
        key(op.getDim(AttentionOp::DimKind::Key)),
        depth(op.getDim(AttentionOp::DimKind::Depth)),
        column(op.getDim(AttentionOp::DimKind::Column)),
        lanes(isa.getLanes(layout.type)) {
    cpu.threads = false;
    if (layout.split)
      rowDims.push_back(*layout.split);
    llvm::append_range(rowDims, layout.inner);
    if (getParts(op)) {
      part = op.getDims(AttentionOp::DimKind::Column)[1];
      wide = op.getDims(AttentionOp::DimKind::Column)[2];
    }
  }

  llvm::LogicalResult readOperands();
  /// Returns whether threads share the work.
  bool emit(bool threads);

private:
  double getCycles();

  // Memory.
  mlir::Value scratch(int64_t offset, mlir::Type type,
                      llvm::ArrayRef<mlir::Value> sizes,
                      llvm::ArrayRef<int64_t> strides);
  mlir::Value view(const AttentionOperand &operand,
                   llvm::ArrayRef<unsigned> dims,
                   llvm::ArrayRef<mlir::Value> sizes,
                   llvm::ArrayRef<mlir::Value> position);
  ContractPart rowPart(int64_t offset, int64_t stride, const RowTile &tile,
                       llvm::ArrayRef<PartDim> others = {},
                       mlir::Type type = {});
  ContractPart operandPart(unsigned i, const RowTile &tile,
                           llvm::ArrayRef<mlir::Value> position, unsigned other,
                           mlir::Value otherSize);

  // Steps.
  void emitRows(const RowTile &tile);
  void emitTile(const RowTile &tile, mlir::Value firstKey, mlir::Value keys,
                bool isLast);
  void packQueries(const RowTile &tile);
  llvm::SmallVector<ContractPart>
  packExtras(const RowTile &tile, mlir::Value firstKey, mlir::Value keys);
  mlir::Value copyKeys(const RowTile &tile, mlir::Value firstKey,
                       mlir::Value keys);
  void multiplyByKeys(const RowTile &tile, mlir::Value firstKey,
                      mlir::Value keys);
  void multiplyByValues(const RowTile &tile, mlir::Value firstKey,
                        mlir::Value keys, bool isLast);
  void createContract(llvm::ArrayRef<ContractPart> parts, unsigned dims,
                      DotAttr dot,
                      llvm::function_ref<void(ContractOp)> addBody);

  ContractPart queryPart(const RowTile &tile);

  // Products of bfloat16: the factors, laid out in pairs.
  llvm::SmallVector<ContractPart>
  pairKeys(const RowTile &tile, mlir::Value firstKey, mlir::Value keys);
  llvm::SmallVector<ContractPart>
  pairValues(const RowTile &tile, mlir::Value firstKey, mlir::Value keys);
  ContractPart copyQueries(const RowTile &tile);
  PairSource pairSource(unsigned operand, llvm::ArrayRef<mlir::Value> position,
                        unsigned sum, unsigned other);
  mlir::Value padKeys(mlir::Value keys);
  mlir::Value fillPanel(mlir::Value first, mlir::Value end);
  int64_t getPanel(int64_t columns);

  RowOffsets rowOffsets(const AttentionOperand &operand, const RowTile &tile,
                        llvm::ArrayRef<mlir::Value> position);
  SoftmaxState getState(const RowTile &tile, bool isLast);
  mlir::Value getKeyEnd(const RowTile &tile);
  /// The first `keys` ones without those that a mask hides from all rows, at
  /// both ends.
  KeyRange trimKeys(const RowTile &tile, mlir::Value keys);
  /// The tile's part of the keys, if they are cut in parts.
  KeyRange takePart(const RowTile &tile, KeyRange keys);
  void storeSoftmax(const RowTile &tile);
  CausalEnd getCausalEnd(const RowTile &tile, mlir::Value firstKey);

  mlir::Value rowCount(const RowTile &tile) {
    return math.mul(layout.split ? tile.splitRows : math.constant(1),
                    layout.innerRows);
  }
  /// Rows of whole vectors.
  mlir::Value paddedCount(const RowTile &tile) {
    return math.mul(math.div(math.add(rowCount(tile), lanes - 1), lanes),
                    lanes);
  }
  llvm::SmallVector<mlir::Value> at(const RowTile &tile, mlir::Value firstKey) {
    llvm::SmallVector<mlir::Value> position(tile.position);
    position[key] = firstKey;
    return position;
  }

  AttentionOp op;
  CpuIsa cpu;
  mlir::ImplicitLocOpBuilder b;
  IndexMath math;
  AttentionScratch layout;
  unsigned key, depth, column;
  std::optional<unsigned> part; // of keys that are cut in parts
  unsigned wide = 0;            // then, columns and what is known of a row
  int64_t lanes;
  llvm::SmallVector<unsigned> rowDims; // those of a tile
  llvm::SmallVector<AttentionOperand> operands;
  mlir::Value memory; // the scratch of this thread
};

/// Emits attention of bfloat16 whose products are those of tiles: what is in
/// AttentionTiles.cpp.
class AttentionTiles {
public:
  explicit AttentionTiles(AttentionEmitter &emitter)
      : e(emitter), b(e.b), math(e.math), layout(e.layout),
        tiles(b, "tdpbf16ps") {}

  /// Around all rows of a thread's unit.
  void begin();
  void end() { tiles.release(); }
  /// Of a tile of rows: before and for some of its keys.
  void copyQueries(const RowTile &tile);
  void emit(const RowTile &tile, mlir::Value firstKey, mlir::Value keys,
            bool isLast);

private:
  /// Rows of a tile that have scores at a time, some of them in use.
  struct Block {
    const RowTile &tile;
    mlir::Value first, count;
    int64_t rowTiles;
    mlir::Value firstKey, keys;
    bool isLast;
  };
  static constexpr int64_t kGroup = 4;

  void emitBlock(Block block);
  mlir::Value limitKeys(const Block &block);
  void multiplyByKeys(const Block &block, mlir::Value panels);
  void emitSoftmax(const Block &block, const SoftmaxState &state,
                   mlir::Value scores, mlir::Value panels);
  void emitScores(const Block &block, mlir::Value scores);
  void multiplyByValues(const Block &block, mlir::Value panels);
  void finishRows(const Block &block, const SoftmaxState &state);
  void multiply(int64_t rowTiles, int64_t columnTiles, mlir::Value aAddress,
                int64_t aStride, mlir::Value bAddress);
  void clear(int64_t rowTiles, int64_t columnTiles);
  void store(int64_t rowTiles, int64_t columnTiles, mlir::Value address,
             int64_t stride);
  mlir::Value address(int64_t offset) {
    return getAddress(b, e.memory, math.constant(offset), 1);
  }
  /// Elements of an operand; one for a width of 0.
  mlir::Value load(const AttentionOperand &operand, unsigned dim,
                   mlir::Value offset, mlir::Value index, int64_t width,
                   mlir::Value mask);
  bool hasVectors(mlir::Region &body, unsigned first, unsigned end,
                  unsigned dim);

  AttentionEmitter &e;
  mlir::ImplicitLocOpBuilder &b;
  IndexMath &math;
  const AttentionScratch &layout;
  MatrixTiles tiles;
};

} // namespace dlc

#endif
