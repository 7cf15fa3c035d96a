// Transposes in blocks that fit the registers: rows are loaded as vectors, and
// columns stored as such.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockTranspose.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Remarks.h"
#include "passes/Tensor/RowOps.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERTRANSPOSE
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-lower-transpose";

/// What an element takes, in a block that is in the second-level cache.
static constexpr double kElementCycles = 0.4;

/// Blocks are done in tiles of about so many rows of so many bytes: each row of
/// the source and each column of the result may be in a page of its own.
static constexpr int64_t kTileRows = 64, kTileRowBytes = 256;

namespace {

/// A copy whose result has another dimension innermost than its source. None of
/// its dimensions has a size of 1.
struct Transpose {
  Value from, to;
  /// Which dimension of the result each of the source is.
  SmallVector<unsigned> places;
  /// Those of the result that are innermost in the source, and in itself: a
  /// vector is loaded along `column`, and stored along `row`.
  unsigned column, row;
};

struct LowerTransposePass : dlc::impl::LowerTransposeBase<LowerTransposePass> {
  using LowerTransposeBase::LowerTransposeBase;

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    for (linalg::LinalgOp op : ops)
      if (std::optional<Transpose> found = match(op))
        lower(op, *found);
  }

private:
  static std::optional<Transpose> match(linalg::LinalgOp op);
  void lower(linalg::LinalgOp op, Transpose transpose) const;
  void emitPlanes(ImplicitLocOpBuilder &b, const Transpose &transpose,
                  const BlockShape &shape) const;
};

} // namespace

/// The type of a view of `type` without dimensions of size 1.
static MemRefType dropUnits(MemRefType type) {
  SmallVector<int64_t> shape(type.getShape());
  llvm::erase(shape, 1);
  SmallVector<int64_t> zeros(type.getRank(), 0), ones(type.getRank(), 1);
  return memref::SubViewOp::inferRankReducedResultType(shape, type, zeros,
                                                       type.getShape(), ones);
}

static Value dropUnits(ImplicitLocOpBuilder &b, Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (!llvm::is_contained(type.getShape(), 1))
    return buffer;
  return memref::SubViewOp::create(
      b, dropUnits(type), buffer,
      SmallVector<OpFoldResult>(type.getRank(), b.getIndexAttr(0)),
      memref::getMixedSizes(b, b.getLoc(), buffer),
      SmallVector<OpFoldResult>(type.getRank(), b.getIndexAttr(1)));
}

std::optional<Transpose> LowerTransposePass::match(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics() || !isCopy(op))
    return std::nullopt;
  OpOperand *input = op.getDpsInputOperand(0), *init = op.getDpsInitOperand(0);
  AffineMap in = op.getMatchingIndexingMap(input),
            out = op.getMatchingIndexingMap(init);
  auto from = dyn_cast<MemRefType>(input->get().getType());
  auto to = cast<MemRefType>(init->get().getType());
  if (!from || !in.isPermutation() || !out.isPermutation() ||
      !to.getElementType().isIntOrFloat() || to.getElementTypeBitWidth() < 8)
    return std::nullopt;
  // Of each dimension of the result that is not 1 the place among these.
  SmallVector<int64_t> numbers;
  int64_t count = 0;
  for (int64_t size : to.getShape())
    numbers.push_back(size == 1 ? -1 : count++);
  AffineMap order = in.compose(inversePermutation(out));
  Transpose transpose{input->get(), init->get(), {}, 0, 0};
  for (unsigned dim = 0; dim < order.getNumResults(); ++dim)
    if (int64_t number = numbers[order.getDimPosition(dim)]; number >= 0)
      transpose.places.push_back(number);
  if (count < 2 || !dropUnits(from).isLastDimUnitStride() ||
      !dropUnits(to).isLastDimUnitStride())
    return std::nullopt;
  transpose.column = transpose.places.back();
  transpose.row = count - 1;
  if (transpose.column == transpose.row)
    return std::nullopt;
  return transpose;
}

void LowerTransposePass::emitPlanes(ImplicitLocOpBuilder &b,
                                    const Transpose &transpose,
                                    const BlockShape &shape) const {
  IndexMath math(b);
  unsigned row = transpose.row, column = transpose.column;
  SmallVector<Value> sizes;
  for (unsigned dim = 0; dim <= row; ++dim)
    sizes.push_back(b.createOrFold<memref::DimOp>(transpose.to, int64_t(dim)));
  int64_t bytes =
      cast<MemRefType>(transpose.to.getType()).getElementTypeBitWidth() / 8;
  int64_t tileRows = llvm::divideCeil(kTileRows, shape.rows),
          tileColumns = llvm::divideCeil(kTileRowBytes, shape.columns * bytes);
  auto divideUp = [&](Value size, int64_t step) {
    return math.div(math.add(size, step - 1), step);
  };
  Value rowBlocks = divideUp(sizes[row], shape.rows),
        columnBlocks = divideUp(sizes[column], shape.columns);
  SmallVector<Value> grid;
  SmallVector<unsigned> others;
  for (unsigned dim = 0; dim < row; ++dim)
    if (dim != column) {
      others.push_back(dim);
      grid.push_back(sizes[dim]);
    }
  grid.push_back(divideUp(rowBlocks, tileRows));
  grid.push_back(divideUp(columnBlocks, tileColumns));
  // The blocks of a tile. What does not fill the last one is done with what is
  // before it, once more.
  auto emitBlocks = [&](Value tile, int64_t tileBlocks, Value blocks,
                        Value size, int64_t step,
                        function_ref<void(Value)> body) {
    Value first = math.mul(tile, tileBlocks);
    Value end = math.min(math.add(first, tileBlocks), blocks);
    auto loop = scf::ForOp::create(b, first, end, math.constant(1));
    keepRolled(loop);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(math.min(math.mul(loop.getInductionVar(), step),
                  math.sub(size, math.constant(step))));
  };
  auto emitTile = [&](ArrayRef<Value> tile) {
    SmallVector<Value> index(row + 1, math.constant(0));
    for (auto [dim, place] : llvm::zip(others, tile))
      index[dim] = place;
    ArrayRef<Value> plane = tile.take_back(2);
    emitBlocks(plane[1], tileColumns, columnBlocks, sizes[column],
               shape.columns, [&](Value c) {
                 emitBlocks(plane[0], tileRows, rowBlocks, sizes[row],
                            shape.rows, [&](Value r) {
                              emitBlockTransposition(
                                  b, shape, transpose.from, transpose.to,
                                  [&](int64_t i) {
                                    index[row] = math.add(r, i),
                                    index[column] = c;
                                    SmallVector<Value> at;
                                    for (unsigned dim : transpose.places)
                                      at.push_back(index[dim]);
                                    return at;
                                  },
                                  [&](int64_t i) {
                                    index[row] = r,
                                    index[column] = math.add(c, i);
                                    return index;
                                  });
                            });
               });
  };
  double cycles = kElementCycles * double(tileRows * shape.rows) *
                  double(tileColumns * shape.columns);
  bool isShared = threads && emitUnits(b, grid, cycles, [&](const Unit &unit) {
                    emitTile(unit.index);
                  });
  remarkDone(b.getLoc(), kPass) << remark::add(
      "blocks of {0} x {1}{2}", std::to_string(shape.rows),
      std::to_string(shape.columns), isShared ? ", shared by threads" : "");
  if (isShared)
    return;
  scf::buildLoopNest(b, b.getLoc(),
                     SmallVector<Value>(grid.size(), math.constant(0)), grid,
                     SmallVector<Value>(grid.size(), math.constant(1)),
                     [&](OpBuilder &, Location, ValueRange tile) {
                       emitTile(SmallVector<Value>(tile));
                     });
}

void LowerTransposePass::lower(linalg::LinalgOp op, Transpose transpose) const {
  MemRefType type = dropUnits(cast<MemRefType>(transpose.to.getType()));
  std::optional<BlockShape> shape = chooseBlock(
      type.getElementType(), vectorBytes, type.getDimSize(transpose.row),
      type.getDimSize(transpose.column));
  if (!shape)
    return;
  IRRewriter rewriter(op->getContext());
  ImplicitLocOpBuilder b(op->getLoc(), op);
  IndexMath math(b);
  transpose.from = dropUnits(b, transpose.from);
  transpose.to = dropUnits(b, transpose.to);
  // Whether sizes that only the run knows hold a block.
  Value fits;
  for (auto [dim, least] : {std::pair(transpose.row, shape->rows),
                            std::pair(transpose.column, shape->columns)}) {
    if (!type.isDynamicDim(dim))
      continue;
    Value size = b.createOrFold<memref::DimOp>(transpose.to, int64_t(dim));
    Value holds = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, size,
                                        math.constant(least));
    fits = fits ? arith::AndIOp::create(b, fits, holds).getResult() : holds;
  }
  if (fits) {
    auto branch = scf::IfOp::create(b, fits, /*withElseRegion=*/true);
    b.setInsertionPointToStart(branch.thenBlock());
    emitPlanes(b, transpose, *shape);
    op->moveBefore(branch.elseBlock()->getTerminator());
    rewriter.setInsertionPoint(op);
    (void)linalg::linalgOpToLoops(rewriter, op);
  } else {
    emitPlanes(b, transpose, *shape);
    markVectorCode(op);
  }
  rewriter.eraseOp(op);
}
