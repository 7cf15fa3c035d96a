// Contractions of bytes and of bfloat16 whose B is in panels and groups, by
// products of tiles (x86's AMX).
//
//   for batches and outer columns
//     for blocks of row tiles that stay in the L2 cache
//       for pairs of column tiles            // half a panel or a panel of B
//         for pairs of row tiles
//           sums = 0, after the last block's went to memory
//           for summed dimensions, 64 bytes a step
//             sums[r][c] += A[r] x B[c]
//             C = epilogue(sums) for some rows of the last block
//
// Sums leave their registers through memory, which takes as long as a few
// products, and so does the epilogue: both are done among the products of the
// next block.
//
// Rows of a tile lie at one distance in A: in one line of an image, or in
// several where those are at such a distance too, with what is between them.
// All tiles are of one height; the last one of a line overlaps the one before.
// For what is left of a sum, A is copied: nothing behind it is read.
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Cpu/TileProducts.h"
#include "passes/Cpu/Units.h"
#include "passes/Tensor/PackDot.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

namespace {
/// Emits a contraction as units of blocks.
class TileUnits {
public:
  TileUnits(ContractEmitter &emitter, TileProducts &products,
            const RowTiles &rowTiles)
      : e(emitter), loops(e.loops), math(e.math), b(e.b), products(products),
        rowTiles(rowTiles), dim(*loops.b().panelDim) {}

  void emit(ArrayRef<unsigned> outer);

private:
  using Offsets = ContractEmitter::Offsets;
  std::optional<int64_t> getBlockTiles();
  bool emitForThreads(ArrayRef<unsigned> outer);

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  ImplicitLocOpBuilder &b;
  TileProducts &products;
  const RowTiles &rowTiles;
  unsigned dim; // the columns'
};
} // namespace

//===----------------------------------------------------------------------===//
// Units
//===----------------------------------------------------------------------===//

/// Row tiles whose part of A fits a third of the L2 cache, since C and two
/// panels of B go through it too, an even number; nothing if all do, or half as
/// many again.
std::optional<int64_t> TileUnits::getBlockTiles() {
  int64_t tileBytes = products.getTileBytes();
  auto type = cast<MemRefType>(loops.op.getA().getType());
  std::optional<int64_t> all = staticIndex(rowTiles.count);
  if (type.hasStaticShape() && all)
    tileBytes = std::min(
        tileBytes, type.getNumElements() *
                       int64_t(loops.a().type.getIntOrFloatBitWidth() / 8) /
                       std::max<int64_t>(1, *all));
  int64_t block = std::max<int64_t>(
      2, e.cpu.l2Bytes / 3 / std::max<int64_t>(1, tileBytes) / 2 * 2);
  if (all && *all <= block + block / 2)
    return std::nullopt;
  return block;
}

void TileUnits::emit(ArrayRef<unsigned> outer) {
  if (emitForThreads(outer))
    return;
  std::optional<int64_t> blockTiles = getBlockTiles(),
                         all = staticIndex(rowTiles.count);
  products.chooseStreams(blockTiles ? blockTiles : all);
  products.takeMemory(&loops.op->getParentOfType<func::FuncOp>().front());
  products.begin();
  Value columns = loops.extents[dim], zero = math.constant(0);
  e.emitLoops(outer, e.getBases(), [&](const Offsets &bases) {
    // A loop of known step, since the number of rows may be 0.
    int64_t block = blockTiles.value_or(std::max<int64_t>(1, all.value_or(0)));
    e.emitFor(zero, rowTiles.count, block, [&](Value first) {
      products.emit(bases, first,
                    math.min(math.add(first, block), rowTiles.count), zero,
                    columns);
    });
  });
  products.end();
}

/// Units are blocks of row tiles by columns, of some 20000 cycles: the tiles'
/// shapes are set in each.
bool TileUnits::emitForThreads(ArrayRef<unsigned> outer) {
  if (!e.cpu.threads)
    return false;
  constexpr double kScale = 0.2;          // of what other kernels' units have
  constexpr int64_t kFewBytes = 24 << 10; // half of the L1 cache
  int64_t columns = *staticIndex(loops.extents[dim]);
  SmallVector<Value> counts;
  double others = 1;
  for (unsigned i : outer) {
    counts.push_back(loops.extents[i]);
    others *= staticIndex(loops.extents[i]).value_or(1);
  }
  std::optional<int64_t> all = staticIndex(rowTiles.count);
  int64_t block = getBlockTiles().value_or(all.value_or(0)), width = columns;
  if (!all)
    block = std::min<int64_t>(block, 16);
  block = std::max<int64_t>(block, 1);
  auto shrinkRows = [&] {
    if (all && *all > 0)
      block =
          shrinkBlock(*all, block, 2, others * llvm::divideCeil(columns, width),
                      kScale * products.getCycles(1, width));
  };
  auto shrinkColumns = [&] {
    width = shrinkBlock(columns, columns, TileProducts::kWidth,
                        others * llvm::divideCeil(all.value_or(block), block),
                        kScale * products.getCycles(block, 1));
  };
  // All units of some columns read their panels again, from beyond the L2 cache
  // where there are many: those of all rows are few columns then.
  if (products.getTileBytes() / MatrixTiles::kRows * columns <= kFewBytes) {
    shrinkRows();
    shrinkColumns();
  } else {
    shrinkColumns();
    shrinkRows();
  }
  products.chooseStreams(all ? std::min(*all, block) : block);
  Value rowBlocks = e.countBlocks(rowTiles.count, block),
        columnBlocks = math.constant(llvm::divideCeil(columns, width));
  counts.append({rowBlocks, columnBlocks});
  bool done = emitUnits(
      b, counts,
      products.getCycles(std::min(block, all.value_or(block)), width),
      [&](const Unit &unit) {
        OpBuilder::InsertionGuard guard(b);
        Offsets bases = e.getBases();
        for (auto [i, index] : llvm::zip(outer, unit.index))
          bases = e.move(bases, i, index);
        Value tile = math.mul(unit.index[outer.size()], block),
              column = math.mul(unit.index[outer.size() + 1], width);
        {
          OpBuilder::InsertionGuard inside(b);
          Operation *units = b.getInsertionBlock()->getParentOp();
          b.setInsertionPoint(units);
          products.takeMemory(units->getBlock());
        }
        products.begin();
        products.emit(
            bases, tile, math.min(math.add(tile, block), rowTiles.count),
            column, math.min(math.add(column, width), math.constant(columns)));
        products.end();
      });
  if (done)
    e.description +=
        llvm::formatv(", shared by threads in {0} tiles x {1}", block, width);
  return done;
}

//===----------------------------------------------------------------------===//
// The choice
//===----------------------------------------------------------------------===//

/// The instruction for the operands' types; empty if there is none.
static StringRef getProduct(ContractLoops &loops, const CpuIsa &cpu) {
  if (loops.b().type.isBF16())
    return cpu.pairTiles ? "tdpbf16ps" : "";
  if (!cpu.byteTiles)
    return "";
  if (loops.aUnsigned)
    return loops.bUnsigned ? "tdpbuud" : "tdpbusd";
  return loops.bUnsigned ? "tdpbsud" : "tdpbssd";
}

/// Whether B is in panels and groups as tiles take them.
static bool hasGroups(ContractLoops &loops, Type sumType) {
  const ContractOperand &b = loops.b();
  int64_t bits = b.type.getIntOrFloatBitWidth();
  if (!b.groupDim || !b.panelDim || loops.aFlipped || loops.bFlipped ||
      loops.isTransposed || (bits != 8 && bits != 16) ||
      sumType.getIntOrFloatBitWidth() != 32 || loops.sums.empty() ||
      loops.sums.back() != *b.groupDim)
    return false;
  int64_t group = MatrixTiles::kGroupBytes * 8 / bits;
  auto isKnown = [&](unsigned dim) {
    return staticIndex(loops.extents[dim]).has_value();
  };
  return b.groupWidth == group && b.panelWidth % MatrixTiles::kColumns == 0 &&
         isStatic(loops.a().strides[*b.groupDim], 1) &&
         isStatic(b.strides[*b.groupDim], 1) &&
         isStatic(b.strides[*b.panelDim], group) &&
         staticIndex(b.groupStride) && isKnown(*b.panelDim) &&
         llvm::all_of(loops.sums, isKnown);
}

bool dlc::emitTiles(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
  StringRef product = getProduct(loops, emitter.cpu);
  if (product.empty() || !hasGroups(loops, emitter.sumType) ||
      loops.rows.empty() || emitter.cpu.vectorBytes != 64)
    return false;
  if (std::optional<int64_t> rows =
          staticIndex(loops.getExtent(loops.rows, emitter.b));
      rows && *rows < kFewestTileRows)
    return false;
  RowTiles rows = RowTiles::choose(emitter);
  TileProducts products(emitter, product, rows);
  // Vectors take signed bytes of A twice as long.
  bool areSigned = loops.b().type.isInteger(8) && !loops.aUnsigned;
  if (!areSigned && !products.isWorthIt())
    return false;
  emitter.lanes = MatrixTiles::kColumns;
  unsigned dim = *loops.b().panelDim;
  SmallVector<unsigned> outer(loops.batches);
  for (unsigned column : loops.columns)
    if (column != dim)
      outer.push_back(column);
  emitter.description =
      llvm::formatv(", amx, {0} x {1} sums in tiles, {2}",
                    rows.height ? llvm::itostr(2 * *rows.height) : "up to 32",
                    TileProducts::kWidth, product);
  TileUnits(emitter, products, rows).emit(outer);
  return true;
}
