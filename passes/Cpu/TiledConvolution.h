/// \file
/// Convolutions tile by tile, by transforms of inputs, weights and products:
/// what Winograd's form and Fourier's share.
#ifndef DLC_PASSES_CPU_TILEDCONVOLUTION_H
#define DLC_PASSES_CPU_TILEDCONVOLUTION_H

#include "dialects/Dlc/Dilation.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/WinogradScratch.h"

namespace dlc {

/// Emits the loops over tiles, and the products; a form adds its transforms.
class TiledConvolution {
public:
  explicit TiledConvolution(ContractEmitter &emitter);
  virtual ~TiledConvolution() = default;

  void emit();

protected:
  using Offsets = ContractEmitter::Offsets;
  /// A run of channels or columns that vectors cover.
  using VectorBody =
      llvm::function_ref<void(mlir::Value first, TileColumn, mlir::Value mask)>;

  /// Comes before the tiles of a block.
  virtual void beginBlock() {}
  /// Transforms the inputs of `tile` into the scratch, from `target` on. Of a
  /// volume they are those of one tap of the window's depth.
  virtual void emitInputs(const Offsets &bases, mlir::Value tile,
                          mlir::Value target) = 0;
  /// Transforms the products of `count` columns from `column` on in row `row`
  /// of the scratch, and stores the outputs of `tile`.
  virtual void emitOutputs(const Offsets &bases, mlir::Value tile,
                           mlir::Value row, mlir::Value column,
                           int64_t count) = 0;
  /// True for threads that share the work.
  virtual bool emitForThreads();
  virtual void emitImages(const Offsets &bases, mlir::Value images);

  /// The distance of neighbours in a tile along conv.y or conv.x.
  int64_t getStep(unsigned dim) const {
    return dim == conv.y ? dilation.y : dilation.x;
  }
  /// Where the first output of a tile lies.
  struct Position {
    mlir::Value image, z, y, x; // z of a volume only
  };
  Position getPosition(mlir::Value tile);
  /// The offset of the image, or the part of a volume, in A.
  mlir::Value getImage(const Offsets &bases, const Position &at);
  /// The offset of A's line (or column) `first` + i. Those past the end of A,
  /// which only outputs past the end of C depend on, are read as the last ones.
  /// `dim` is conv.y or conv.x.
  mlir::Value getInputOffset(unsigned dim, mlir::Value first, mlir::Value i);
  llvm::SmallVector<mlir::Value>
  getInputOffsets(unsigned dim, mlir::Value first, int64_t count);
  /// The offsets of the operands at a tile's first output.
  Offsets getCorner(const Offsets &bases, const Position &at);
  /// Runs `body` if output i of a tile that begins at `first` lies before the
  /// end of `dim`; the first one of a tile does, without a dilation.
  void ifInside(unsigned dim, mlir::Value first, int64_t i,
                llvm::function_ref<void()> body);
  /// The lines of outputs of the tile at `at` that lie before the end of C.
  mlir::Value countLines(const Position &at);
  /// Stores the outputs of line i of the tile at `at`, whose first ones lie at
  /// `corner`, by vectors along `dim`.
  void storeLine(const Position &at, const Offsets &corner, mlir::Value i,
                 llvm::ArrayRef<mlir::Value> line, unsigned dim,
                 TileColumn vector, mlir::Value mask);
  void forVectors(int64_t count, VectorBody body);
  /// A slot of the scratch holds a whole vector, whatever a mask says.
  mlir::Value loadSlot(mlir::Value slot, TileColumn vector);
  void storeSlot(mlir::Value slot, mlir::Value value, TileColumn vector);
  ContractOperand getScratch();
  mlir::Value load(int64_t offset, mlir::Value at, TileColumn vector,
                   mlir::Value mask);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  mlir::ImplicitLocOpBuilder &b;
  ContractOp op;
  WinogradAttr form;
  ContractOp::Convolution conv;
  Dilation dilation;
  std::optional<Depth> depth;      // of a volume
  int64_t taps, channels, columns; // of the depth; of a group
  mlir::Value images, depthValue, heightValue, widthValue;
  mlir::Value down, across; // tiles of an image, or at one depth of a volume
  WinogradScratch layout;
  mlir::Value memory; // the scratch

private:
  void emitGroup(const Offsets &bases);
  void emitBlock(const Offsets &bases, mlir::Value first, mlir::Value total);
  void emitBlockInputs(const Offsets &bases, mlir::Value first,
                       mlir::Value count);
  /// The tiles of the block from `first` on.
  mlir::Value getBlockTiles(mlir::Value first, mlir::Value total);
  /// The columns that are computed at a time.
  int64_t getColumnBlock();
  void emitColumnBlock(const Offsets &bases, mlir::Value first,
                       mlir::Value count, mlir::Value total, mlir::Value column,
                       int64_t width);
  void emitProducts(const Offsets &bases, mlir::OpFoldResult tiles,
                    mlir::Value column, int64_t width);
  /// Planes of the scratch, one a product, of `rows` of so many elements, or of
  /// taps by elements.
  mlir::Value getPlanes(int64_t offset, int64_t plane, mlir::OpFoldResult rows,
                        int64_t row, llvm::ArrayRef<int64_t> elements);
  /// The part of the transformed weights from `column` on, of `width` columns.
  mlir::Value getWeights(const Offsets &bases, mlir::Value column,
                         int64_t width);
  /// The tiles of an image.
  mlir::Value countImageTiles() {
    return math.mul(depthValue, math.mul(down, across));
  }

  int64_t blockTiles; // that go through the kernel at a time
};

} // namespace dlc

#endif
