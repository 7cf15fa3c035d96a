// Which kernel a contraction gets on a GPU, and with which tile.
#include "passes/Gpu/ContractTile.h"

using namespace mlir;
using namespace dlc;

/// Rows, columns and terms from which on tiles are worth it.
static constexpr int64_t fewest = 8;
/// Multiprocessors of an H100.
static constexpr int64_t kProcessors = 132;

bool dlc::isSeparable(ContractOp op, unsigned operand) {
  for (AffineExpr expr : op.getMap(operand).getResults()) {
    bool separable = true;
    expr.walk([&](AffineExpr part) {
      if (part.getKind() != AffineExprKind::FloorDiv &&
          part.getKind() != AffineExprKind::Mod &&
          part.getKind() != AffineExprKind::CeilDiv)
        return;
      bool ofSum = false, ofOther = false;
      for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
        if (part.isFunctionOfDim(dim))
          (op.getDimKind(dim) == ContractOp::DimKind::Sum ? ofSum : ofOther) =
              true;
      separable &= !(ofSum && ofOther);
    });
    if (!separable)
      return false;
  }
  return true;
}

/// The product of the sizes of one kind; one that is not known is thought to be
/// large.
static int64_t guessSize(ContractOp op, ContractOp::DimKind kind) {
  int64_t size = 1;
  for (unsigned dim : op.getDims(kind)) {
    int64_t extent = op.getStaticExtent(dim);
    size *= ShapedType::isDynamic(extent) ? 1024 : extent;
  }
  return size;
}

/// How elements of operands get to shared memory.
enum class Way { Plain, Rounded, OneByOne };

/// The tile for which a GPU of the size of an H100 is done first: for a part of
/// 32 terms of 16 bits the multiprocessor that has most blocks takes as long as
/// its instructions, or what they read from the second-level cache, and a block
/// alone waits for what depends on each other.
static MmaTile chooseTile(unsigned capability, Way way, int64_t rows,
                          int64_t columns, int64_t batch) {
  if (rows <= 16)
    return {16, 128, 16, 16};
  if (columns <= 16)
    return {128, 16, 16, 16};
  auto blocksOf = [&](MmaTile tile) {
    return llvm::divideCeil(rows, tile.rows) *
           llvm::divideCeil(columns, tile.columns) * batch;
  };
  // Warps of 64 x 64 need all registers of a thread: no place for what is
  // carried in registers on its way to shared memory, as on older GPUs.
  if (capability < 80 || way == Way::OneByOne) {
    MmaTile large = {128, 128, 64, 32};
    return blocksOf(large) >= 128 ? large : MmaTile{64, 64, 32, 16};
  }
  static constexpr MmaTile tiles[] = {
      {128, 256, 64, 64, 4}, {256, 128, 64, 64, 4}, {128, 128, 64, 64},
      {128, 128, 64, 32},    {128, 64, 64, 32},     {64, 128, 32, 64},
      {64, 64, 32, 32, 4}};
  static constexpr double cyclesOfMma = 8.6, bytesOfCycle = 27, latency = 120;
  MmaTile best = tiles[0];
  double least = std::numeric_limits<double>::infinity();
  for (MmaTile tile : tiles) {
    if (way == Way::Rounded && tile.warpRows * tile.warpColumns == 64 * 64)
      continue;
    double each = llvm::divideCeil(blocksOf(tile), kProcessors);
    double area = tile.rows * tile.columns, edge = tile.rows + tile.columns;
    // 32 terms: an instruction has 16 x 8 x 16, and there are four units.
    double work = each * area * 32 / (16 * 8 * 16) / 4 * cyclesOfMma;
    double reading = each * edge * 64 / bytesOfCycle;
    double cycles = std::max(work, reading) + latency;
    if (cycles < least) {
      least = cycles;
      best = tile;
    }
  }
  return best;
}

std::optional<MmaPlan> dlc::chooseMmaTile(ContractOp op, unsigned capability) {
  Type a = getElementTypeOrSelf(op.getA()), b = getElementTypeOrSelf(op.getB());
  std::optional<MmaOperands> operands = findMmaOperands(
      a, b, op.getSumType(), op.getPrecision(), capability, op.getContext());
  if (!operands || op.getDot() || !isSeparable(op, 0) || !isSeparable(op, 1))
    return std::nullopt;
  int64_t rows = guessSize(op, ContractOp::DimKind::Row);
  int64_t columns = guessSize(op, ContractOp::DimKind::Column);
  int64_t sums = guessSize(op, ContractOp::DimKind::Sum);
  if (rows < fewest || columns < fewest || sums < 2 * fewest)
    return std::nullopt;
  auto isUnknown = [&](ContractOp::DimKind kind) {
    return llvm::any_of(op.getDims(kind), [&](unsigned dim) {
      return ShapedType::isDynamic(op.getStaticExtent(dim));
    });
  };
  // On their way through registers they are rounded, or go one by one, since
  // nothing is known of where rows begin.
  Way way = isUnknown(ContractOp::DimKind::Column) &&
                    isUnknown(ContractOp::DimKind::Sum)
                ? Way::OneByOne
            : a != operands->type || b != operands->type ? Way::Rounded
                                                         : Way::Plain;
  return MmaPlan{*operands,
                 chooseTile(capability, way, rows, columns,
                            guessSize(op, ContractOp::DimKind::Batch))};
}

/// Large tiles where they are enough to occupy a GPU, of the form that is done
/// first.
static ExactTile chooseTile(ContractOp op, int64_t rows, int64_t columns) {
  if (rows <= 16)
    return {16, 64, 16, 2, 2};
  if (columns <= 16)
    return {64, 16, 16, 2, 2};
  // A thread of 256 has 128 registers where there is a second block: enough
  // for 8 x 8 sums and the addresses of tensors of fixed sizes, without a
  // batch. One of 128 may have 168, with three blocks.
  static constexpr ExactTile tiles[] = {
      {128, 128, 8, 8, 8, 2}, {128, 64, 8, 8, 8, 3}, {64, 128, 8, 8, 8, 3}};
  static constexpr int64_t manyBlocks = 128;
  int64_t batch = guessSize(op, ContractOp::DimKind::Batch);
  auto blocksOf = [&](const ExactTile &tile) {
    return llvm::divideCeil(rows, tile.rows) *
           llvm::divideCeil(columns, tile.columns) * batch;
  };
  bool isWide = op.getSumType().getIntOrFloatBitWidth() > 32;
  if (isWide || blocksOf(tiles[0]) < manyBlocks)
    return {64, 64, 16, 4, 4};
  auto isFixed = [&](unsigned dim) {
    return !ShapedType::isDynamic(op.getStaticExtent(dim));
  };
  // What the multiprocessor computes that has most blocks; tiles of half the
  // size read more and are slower by a tenth.
  auto workOf = [&](const ExactTile &tile) {
    int64_t area = tile.rows * tile.columns;
    return llvm::divideCeil(blocksOf(tile), kProcessors) * area *
           (area == 128 * 128 ? 10 : 11);
  };
  ArrayRef<ExactTile> usable(tiles);
  if (!llvm::all_of(llvm::seq(op.getNumDims()), isFixed) || batch > 1)
    usable = usable.drop_front();
  return *llvm::min_element(usable,
                            [&](const ExactTile &x, const ExactTile &y) {
                              return workOf(x) < workOf(y);
                            });
}

std::optional<ExactTile> dlc::chooseExactTile(ContractOp op) {
  int64_t rows = guessSize(op, ContractOp::DimKind::Row);
  int64_t columns = guessSize(op, ContractOp::DimKind::Column);
  int64_t sums = guessSize(op, ContractOp::DimKind::Sum);
  if (rows < fewest || columns < fewest || sums < fewest ||
      !isSeparable(op, 0) || !isSeparable(op, 1))
    return std::nullopt;
  return chooseTile(op, rows, columns);
}

int64_t dlc::countBlocks(ContractOp op, unsigned capability) {
  int64_t rows = guessSize(op, ContractOp::DimKind::Row);
  int64_t columns = guessSize(op, ContractOp::DimKind::Column);
  int64_t batch = guessSize(op, ContractOp::DimKind::Batch);
  auto count = [&](const auto &tile) {
    return llvm::divideCeil(rows, tile.rows) *
           llvm::divideCeil(columns, tile.columns) * batch;
  };
  if (std::optional<MmaPlan> plan = chooseMmaTile(op, capability))
    return count(plan->tile);
  if (std::optional<ExactTile> tile = chooseExactTile(op))
    return count(*tile);
  // A result a thread.
  return llvm::divideCeil(rows * columns * batch, 256);
}
