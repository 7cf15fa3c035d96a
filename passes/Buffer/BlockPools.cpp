// A pool behind a convolution: both block by block of lines, so that what
// stands between them stays in the second cache.

#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Buffer/Passes.h"
#include "passes/Buffer/PooledConvolution.h"
#include "passes/Remarks.h"
#include "llvm/Support/MathExtras.h"

namespace dlc {
#define GEN_PASS_DEF_BLOCKPOOLS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;
using llvm::divideCeil;

static constexpr StringLiteral kPass = "dlc-block-pools";

namespace {

/// Blocks of `lines` of the pool's results, which need `inputs` lines.
struct Blocks {
  int64_t count, lines, inputs;
};

struct BlockPools : dlc::impl::BlockPoolsBase<BlockPools> {
  using BlockPoolsBase::BlockPoolsBase;

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> pools;
    getOperation()->walk([&](linalg::GenericOp op) { pools.push_back(op); });
    for (linalg::GenericOp pool : pools)
      if (std::optional<PooledConvolution> found = findPooledConvolution(pool))
        if (std::optional<Blocks> blocks = choose(*found))
          emit(*found, *blocks);
  }

private:
  std::optional<Blocks> choose(PooledConvolution &found) const;
  static void emit(PooledConvolution &found, Blocks blocks);
};

} // namespace

static double getBytes(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return double(type.getNumElements()) * getElementBytes(type.getElementType());
}

/// As many lines as half of the cache holds, in blocks of which the
/// convolution does little twice, or for nothing.
std::optional<Blocks> BlockPools::choose(PooledConvolution &found) const {
  ContractOp conv = found.conv;
  MemRefType type = found.getMapType();
  double bytes = getBytes(found.map);
  double line = bytes / double(found.images * type.getDimSize(1));
  double macs = 1;
  for (unsigned dim = 0, e = conv.getNumDims(); dim < e; ++dim)
    macs *= double(conv.getStaticExtent(dim));
  int64_t tile = 1;
  if (WinogradAttr form = conv.getWinogradAttr()) {
    tile = form.getHeight();
    macs /= double(tile * form.getWidth());
  }
  double cycles = macs / macsPerCycle;
  // The weights are read once for a block, or for so many tiles.
  double weights = getBytes(conv.getB());
  double again = weights / (weights <= double(cache) / 2 ? double(nearBytes)
                                                         : bytesPerCycle);
  auto countReads = [&](int64_t images, int64_t lines) -> int64_t {
    WinogradAttr form = conv.getWinogradAttr();
    if (!form)
      return 1;
    int64_t width = found.getConvType().getDimSize(2);
    return divideCeil(images * int64_t(divideCeil(lines, form.getHeight())) *
                          int64_t(divideCeil(width, form.getWidth())),
                      form.getTiles());
  };
  int64_t reads = countReads(found.images, found.convLines);
  // Stores of the map go on beside the convolution, loads are waited for.
  double gain = bytes / bytesPerCycle;
  double whole = double(llvm::alignTo(found.convLines, tile));
  Blocks best{0, 0, 0};
  // The model is not exact: a clear gain.
  double least = gain / 2;
  for (int64_t count = 2; count <= found.lines; ++count) {
    Blocks blocks{count, int64_t(divideCeil(found.lines, count)), 0};
    blocks.inputs = (blocks.lines - 1) * found.stride + found.span;
    if (int64_t(divideCeil(found.lines, blocks.lines)) != count ||
        blocks.inputs > found.convLines)
      continue;
    // The border's lines are those of the first and the last block only.
    int64_t before = (count - 1) * blocks.lines - 1;
    if (blocks.lines * found.stride < found.low[1] ||
        before * found.stride + found.span - found.low[1] > found.convLines)
      continue;
    double size = double(blocks.inputs) * line;
    if (size > double(cache) / 2)
      continue;
    double each = cycles * double(blocks.inputs) / double(found.convLines);
    if (each < double(leastCycles))
      break;
    double more = double(count * llvm::alignTo(blocks.inputs, tile)) / whole;
    int64_t allReads = found.images * count * countReads(1, blocks.inputs);
    double cost = cycles * (more - 1) + double(count) * double(launch) +
                  again * double(std::max<int64_t>(0, allReads - reads));
    if (cost < least) {
      least = cost;
      best = blocks;
    }
  }
  if (bytes < double(cache) / 2 || !best.count) {
    remarkMissed(found.pool.getLoc(), kPass) << remark::add(
        "not in blocks with its convolution: a map of {0:F0} bytes, which is "
        "{1:F0} cycles to load; the convolution takes {2:F0}",
        bytes, gain, cycles);
    return std::nullopt;
  }
  remarkDone(found.pool.getLoc(), kPass) << remark::add(
      "in {0} blocks of {1} lines with its convolution: {2:F0} cycles more, "
      "and a map of {3:F0} bytes less, which is {4:F0} to load",
      best.count, best.lines, least, bytes, gain);
  return best;
}

namespace {

/// Lines of one image, where an op's dimensions `imageDim` and `lineDim` name
/// these; `image` is null where there is one.
struct Lines {
  unsigned imageDim, lineDim;
  Value image, first;
  int64_t count, whole; ///< of `whole` lines, all that the op goes over
};

} // namespace

/// The part of `buffer` that an op needs for `lines` alone: of results and what
/// is like them these, of an input also those around them that windows reach.
static Value slice(ImplicitLocOpBuilder &b, Value buffer, AffineMap map,
                   const Lines &lines) {
  auto type = dyn_cast<MemRefType>(buffer.getType());
  if (!type || (!map.isFunctionOfDim(lines.imageDim) &&
                !map.isFunctionOfDim(lines.lineDim)))
    return buffer;
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
      sizes = getAsIndexOpFoldResult(b.getContext(), type.getShape()),
      strides(type.getRank(), b.getIndexAttr(1));
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    if (expr == b.getAffineDimExpr(lines.imageDim) && lines.image) {
      offsets[i] = lines.image;
      sizes[i] = b.getIndexAttr(1);
    } else if (expr.isFunctionOfDim(lines.lineDim)) {
      int64_t step = getFactor(expr, lines.lineDim, map.getNumDims());
      offsets[i] = b.createOrFold<arith::MulIOp>(
          lines.first, arith::ConstantIndexOp::create(b, step));
      sizes[i] = b.getIndexAttr(type.getDimSize(i) -
                                (lines.whole - lines.count) * step);
    }
  }
  return memref::SubViewOp::create(b, buffer, offsets, sizes, strides);
}

/// ```
/// for images
///   for blocks of lines of results
///     lines of the convolution -> block
///     fill, pool of the block, what follows
/// ```
/// A block begins with `behind` lines that only the convolution of the last one
/// writes: it computes as many lines as the others, though the border is behind
/// them.
void BlockPools::emit(PooledConvolution &found, Blocks blocks) {
  ImplicitLocOpBuilder b(found.pool.getLoc(), found.getLast());
  MemRefType type = found.getMapType();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  int64_t rank = type.getRank(), low = found.low[1];
  // Lines of windows that lie behind those of the convolution.
  int64_t lastLine = (found.lines - 1) * found.stride + found.span;
  int64_t behind = std::max<int64_t>(0, lastLine - low - found.convLines);
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = 1;
  shape[1] = behind + blocks.inputs + low;
  Value block =
      memref::AllocOp::create(b, MemRefType::get(shape, type.getElementType()),
                              b.getI64IntegerAttr(64));
  auto part = [&](ArrayRef<OpFoldResult> offsets,
                  ArrayRef<OpFoldResult> sizes) -> Value {
    SmallVector<OpFoldResult> strides(rank, b.getIndexAttr(1));
    return memref::SubViewOp::create(b, block, offsets, sizes, strides);
  };
  auto getWhole = [&] { return getAsIndexOpFoldResult(b.getContext(), shape); };
  auto fillLines = [&](int64_t first, int64_t count) {
    SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)),
        sizes = getWhole();
    offsets[1] = b.getIndexAttr(first);
    sizes[1] = b.getIndexAttr(count);
    linalg::FillOp::create(b, found.border, part(offsets, sizes));
  };
  // What is beside the lines is the same for all.
  MemRefType made = found.getConvType();
  for (int64_t dim = 2; dim < rank; ++dim) {
    int64_t end = found.low[dim] + made.getDimSize(dim);
    for (auto [first, count] : {std::pair(int64_t(0), found.low[dim]),
                                std::pair(end, shape[dim] - end)}) {
      if (!count)
        continue;
      SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)),
          sizes = getWhole();
      offsets[dim] = b.getIndexAttr(first);
      sizes[dim] = b.getIndexAttr(count);
      linalg::FillOp::create(b, found.border, part(offsets, sizes));
    }
  }

  Value zero = constant(0), one = constant(1), image;
  if (found.images > 1) {
    auto loop = scf::ForOp::create(b, zero, constant(found.images), one);
    b.setInsertionPointToStart(loop.getBody());
    image = loop.getInductionVar();
  }
  auto loop = scf::ForOp::create(b, zero, constant(blocks.count), one);
  b.setInsertionPointToStart(loop.getBody());
  Value number = loop.getInductionVar();
  // The last one ends with the results.
  Value first = arith::MinSIOp::create(
      b, arith::MulIOp::create(b, number, constant(blocks.lines)),
      constant(found.lines - blocks.lines));
  Value top = arith::SubIOp::create(
      b, arith::MulIOp::create(b, first, constant(found.stride)),
      constant(low));
  Value line = top;
  if (low || behind) {
    line = arith::MaxSIOp::create(
        b,
        arith::MinSIOp::create(b, top,
                               constant(found.convLines - blocks.inputs)),
        zero);
    auto fillAt = [&](int64_t place, int64_t from, int64_t count) {
      if (!count)
        return;
      Value isThere = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, number,
                                            constant(place));
      auto branch = scf::IfOp::create(b, isThere, /*withElseRegion=*/false);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      fillLines(from, count);
    };
    fillAt(0, behind, low);
    fillAt(blocks.count - 1, blocks.inputs, behind);
  }
  SmallVector<OpFoldResult> offsets = getAsIndexOpFoldResult(b.getContext(),
                                                             found.low),
                            sizes = getAsIndexOpFoldResult(b.getContext(),
                                                           made.getShape());
  offsets[1] = OpFoldResult(b.getIndexAttr(behind));
  if (line != top)
    offsets[1] = arith::AddIOp::create(b, arith::SubIOp::create(b, line, top),
                                       constant(behind))
                     .getResult();
  sizes[0] = b.getIndexAttr(1);
  sizes[1] = b.getIndexAttr(blocks.inputs);

  IRMapping mapping;
  ContractOp conv = found.conv;
  bool isWhole = line == top &&
                 made.getShape().drop_front(2) == ArrayRef(shape).drop_front(2);
  Value target = isWhole ? block : part(offsets, sizes);
  auto copy = cast<ContractOp>(b.clone(*conv, mapping));
  Lines inputs{found.convImage, found.convLine, image, line,
               blocks.inputs,   found.convLines};
  for (unsigned i = 0, e = conv.getIndexingMaps().size(); i < e; ++i) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(copy);
    copy->setOperand(
        i, i + 1 == e ? target
                      : slice(b, conv->getOperand(i), conv.getMap(i), inputs));
  }
  AffineMap places =
      found.pool.getMatchingIndexingMap(found.pool.getDpsInitOperand(0));
  Lines pooled{found.poolImage, found.poolLine, image,
               first,           blocks.lines,   found.lines};
  Value results = slice(b, found.pool.getDpsInits()[0], places, pooled);
  b.clone(*found.fill)->replaceUsesOfWith(found.fill.getOutputs()[0], results);
  SmallVector<OpFoldResult> begin(rank, b.getIndexAttr(0)), extent = getWhole();
  begin[1] = b.getIndexAttr(behind);
  extent[1] = b.getIndexAttr(blocks.inputs);
  Value lines = shape[1] == blocks.inputs ? block : part(begin, extent);
  Operation *pool = b.clone(*found.pool);
  pool->setOperand(found.input, lines);
  pool->replaceUsesOfWith(found.pool.getDpsInits()[0], results);
  for (linalg::GenericOp tail : found.tails) {
    // An element of its loops is one of the results.
    auto positionOf = [&](unsigned dim) {
      return *places.getResultPosition(b.getAffineDimExpr(dim));
    };
    Lines changed = pooled;
    changed.imageDim = positionOf(found.poolImage);
    changed.lineDim = positionOf(found.poolLine);
    SmallVector<Value> operands;
    for (OpOperand &operand : tail->getOpOperands())
      operands.push_back(tail.isDpsInit(&operand)
                             ? results
                             : slice(b, operand.get(),
                                     tail.getMatchingIndexingMap(&operand),
                                     changed));
    b.clone(*tail)->setOperands(operands);
  }

  for (linalg::GenericOp tail : llvm::reverse(found.tails))
    tail.erase();
  found.pool.erase();
  found.fill.erase();
  conv.erase();
  for (linalg::FillOp fill : found.borders)
    fill.erase();
  for (Operation *user : llvm::make_early_inc_range(found.map->getUsers()))
    user->erase();
  found.map.erase();
}
