// Kernels for convolutions in Winograd's form, F(m x m, r x r):
//
//   for blocks of tiles
//     for tiles of the block, for vectors of channels
//       V[ty, tx][tile] = transform(A's T x T inputs)
//     for blocks of columns
//       M[ty, tx][tile] = V[ty, tx][tile] * B[ty, tx]     // T * T products
//       for tiles of the block, for vectors of columns
//         C's m x m outputs = epilogue(transform(M[.., ..][tile]))
//
// V and M are the op's scratch. See lib/Kernels/Winograd.h for the transforms.
//
// For threads the blocks of tiles by the blocks of columns are a grid of units;
// each part of it transforms the inputs of the blocks that it begins.
#include "lib/Kernels/Winograd.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/WinogradTransform.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;
using llvm::divideCeil;

namespace {

class WinogradEmitter {
public:
  explicit WinogradEmitter(ContractEmitter &emitter)
      : e(emitter), loops(emitter.loops), math(emitter.math),
        b(emitter.b), transforms{b, emitter.cpu.fma}, op(loops.op),
        form(op.getWinogradAttr()), conv(*op.getConvolution()),
        y(getWinogradForm(form.getHeight(), form.getWindowHeight())),
        x(getWinogradForm(form.getWidth(), form.getWindowWidth())),
        height(op.getStaticExtent(conv.y)), width(op.getStaticExtent(conv.x)),
        channels(op.getStaticExtent(conv.channel)),
        columns(op.getStaticExtent(conv.column)),
        layout(y.tile() * x.tile(), form.getTiles(), channels, columns),
        memory(op.getScratch()), blockTiles(form.getTiles()) {}

  void emit();

private:
  using Offsets = ContractEmitter::Offsets;

  bool emitForThreads();
  void emitImages(const Offsets &bases, Value images);
  void emitBlock(const Offsets &bases, Value first, Value total);
  void emitBlockInputs(const Offsets &bases, Value first, Value count);
  /// The tiles of the block from `first` on.
  Value getBlockTiles(Value first, Value total);
  /// The columns that are computed at a time.
  int64_t getColumnBlock();
  void emitColumnBlock(const Offsets &bases, Value first, Value count,
                       Value total, Value column, int64_t width);
  void emitInputs(const Offsets &bases, Value tile, Value row);
  void emitProducts(OpFoldResult tiles, Value column, int64_t width);
  void emitOutputs(const Offsets &bases, Value tile, Value row, Value column,
                   int64_t width);

  /// Where the first output of a tile lies.
  struct Position {
    Value image, y, x;
  };
  Position getPosition(Value tile);
  /// T * T planes of `rows` x `columns` elements of the scratch.
  Value getPlanes(int64_t offset, int64_t plane, OpFoldResult rows, int64_t row,
                  int64_t columns);
  ContractOperand getScratch();

  ContractEmitter &e;
  ContractLoops &loops;
  IndexMath &math;
  ImplicitLocOpBuilder &b;
  WinogradTransform transforms;
  ContractOp op;
  WinogradAttr form;
  ContractOp::Convolution conv;
  WinogradForm y, x;
  int64_t height, width; // perhaps ShapedType::kDynamic
  int64_t channels, columns;
  Value images, heightValue, widthValue;
  Value down, across; // tiles of an image
  WinogradScratch layout;
  Value memory;       // the scratch
  int64_t blockTiles; // that go through the kernel at a time
};

} // namespace

//===----------------------------------------------------------------------===//
// Scratch
//===----------------------------------------------------------------------===//

ContractOperand WinogradEmitter::getScratch() {
  ContractOperand scratch;
  scratch.buffer = memory;
  scratch.type = op.getSumType();
  return scratch;
}

Value WinogradEmitter::getPlanes(int64_t offset, int64_t plane,
                                 OpFoldResult rows, int64_t row,
                                 int64_t columns) {
  int64_t staticRows = getConstantIntValue(rows).value_or(ShapedType::kDynamic);
  SmallVector<int64_t> strides{x.tile() * plane, plane, row, 1};
  auto type = MemRefType::get(
      {y.tile(), x.tile(), staticRows, columns}, op.getSumType(),
      StridedLayoutAttr::get(b.getContext(), offset, strides));
  SmallVector<OpFoldResult> sizes{b.getIndexAttr(y.tile()),
                                  b.getIndexAttr(x.tile()), rows,
                                  b.getIndexAttr(columns)};
  return memref::ReinterpretCastOp::create(
      b, type, memory, b.getIndexAttr(offset), sizes,
      getAsIndexOpFoldResult(b.getContext(), strides));
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

WinogradEmitter::Position WinogradEmitter::getPosition(Value tile) {
  Value line = math.div(tile, across);
  Value image = math.div(line, down);
  return {image, math.mul(math.rem(line, down), form.getHeight()),
          math.mul(math.rem(tile, across), form.getWidth())};
}

/// Lines and columns past the end of A, which only outputs past the end of C
/// depend on, are read as the last ones.
void WinogradEmitter::emitInputs(const Offsets &bases, Value tile, Value row) {
  Position at = getPosition(tile);
  auto offsetsOf = [&](Value first, int64_t count, int64_t extent,
                       int64_t outputs, unsigned position, unsigned dim) {
    int64_t size = cast<MemRefType>(op.getA().getType()).getDimSize(position);
    bool inside =
        ShapedType::isStatic(extent) && ShapedType::isStatic(size) &&
        int64_t(divideCeil(extent, outputs) - 1) * outputs + count - 1 < size;
    Value end = math.add(
        b.createOrFold<memref::DimOp>(op.getA(), int64_t(position)), -1);
    SmallVector<Value> offsets;
    for (int64_t i = 0; i < count; ++i) {
      Value next = math.add(first, i);
      offsets.push_back(math.mul(inside ? next : math.min(next, end),
                                 loops.a().strides[dim]));
    }
    return offsets;
  };
  SmallVector<Value> lines =
      offsetsOf(at.y, y.tile(), height, form.getHeight(), 1, conv.y);
  SmallVector<Value> starts =
      offsetsOf(at.x, x.tile(), width, form.getWidth(), 2, conv.x);
  Value base =
      math.add(bases[0], math.mul(at.image, loops.a().strides[conv.image]));
  Value rowOffset = math.mul(row, layout.inputRow);
  ContractOperand scratch = getScratch();
  Value one = math.constant(1), stride = loops.a().strides[conv.channel];
  auto emitVector = [&](Value channel, TileColumn vector, Value mask) {
    Value first = math.add(channel, vector.offset);
    Value source = math.add(base, math.mul(first, stride));
    VectorGrid grid(y.tile());
    for (auto [i, inputs] : llvm::enumerate(grid))
      for (Value x : starts)
        inputs.push_back(e.loadVector(loops.a(),
                                      math.add(source, math.add(lines[i], x)),
                                      stride, vector, mask));
    Value target = math.add(rowOffset, first);
    int64_t plane = 0;
    for (const auto &values : transforms.apply(y.input, grid, x.input))
      for (Value value : values)
        e.storeVector(scratch, value,
                      math.add(target, layout.inputPlane * plane++), one,
                      vector, mask);
  };
  e.emitColumns(e.getColumns(math.constant(channels), {}, 0), e.lanes,
                [&](Value channel, ArrayRef<TileColumn> vectors, Value mask) {
                  for (auto [v, vector] : llvm::enumerate(vectors))
                    emitVector(channel, vector,
                               v + 1 == vectors.size() ? mask : Value());
                });
}

/// M = V * B, by the kernel for batches of products.
void WinogradEmitter::emitProducts(OpFoldResult tiles, Value column,
                                   int64_t width) {
  Value inputs =
      getPlanes(0, layout.inputPlane, tiles, layout.inputRow, channels);
  Value products = getPlanes(layout.productOffset, layout.productPlane, tiles,
                             layout.productRow, width);
  ContractOperand &weights = loops.b();
  Value offset =
      weights.panelDim
          ? math.mul(math.div(column, weights.panelWidth), weights.panelStride)
          : math.mul(column, weights.strides[conv.column]);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, weights.buffer);
  offset = math.add(math.add(offset, weights.base), metadata.getOffset());
  SmallVector<int64_t> sizes{y.tile(), x.tile(), channels, width};
  SmallVector<OpFoldResult> strides;
  SmallVector<int64_t> staticStrides;
  for (unsigned dim : {conv.windowY, conv.windowX, conv.channel, conv.column}) {
    strides.push_back(getAsOpFoldResult(weights.strides[dim]));
    staticStrides.push_back(
        getConstantIntValue(strides.back()).value_or(ShapedType::kDynamic));
  }
  auto type =
      MemRefType::get(sizes, weights.type,
                      StridedLayoutAttr::get(
                          b.getContext(), ShapedType::kDynamic, staticStrides));
  Value part = memref::ReinterpretCastOp::create(
      b, type, metadata.getBaseBuffer(), OpFoldResult(offset),
      getAsIndexOpFoldResult(b.getContext(), sizes), strides);

  AffineExpr ty = b.getAffineDimExpr(0), tx = b.getAffineDimExpr(1),
             tile = b.getAffineDimExpr(2), n = b.getAffineDimExpr(3),
             k = b.getAffineDimExpr(4);
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(5, 0, exprs, b.getContext());
  };
  auto product = ContractOp::create(
      b, Type(), inputs, part, ValueRange(), products, Value(),
      b.getAffineMapArrayAttr({map({ty, tx, tile, k}), map({ty, tx, k, n}),
                               map({ty, tx, tile, n})}),
      false, false, WinogradAttr(), DotAttr(), op.getPrecisionAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *body =
      b.createBlock(&product.getEpilogue(), {}, op.getSumType(), op.getLoc());
  YieldOp::create(b, body->getArgument(0));
  CpuIsa serial = e.cpu;
  serial.threads = false;
  lowerContract(product, serial);
}

void WinogradEmitter::emitOutputs(const Offsets &bases, Value tile, Value row,
                                  Value column, int64_t count) {
  Position at = getPosition(tile);
  ContractOperand scratch = getScratch();
  Value rowOffset =
      math.add(math.mul(row, layout.productRow), layout.productOffset);
  Value one = math.constant(1);
  /// Runs `body` if `first + i` lies before the extent of `dim`; the first
  /// output of a tile does.
  auto ifInside = [&](Value first, int64_t i, unsigned dim, int64_t outputs,
                      llvm::function_ref<void()> body) {
    int64_t extent = op.getStaticExtent(dim);
    if (i == 0 ||
        (ShapedType::isStatic(extent) && i < (extent - 1) % outputs + 1))
      return body();
    Value inside = arith::CmpIOp::create(
        b, arith::CmpIPredicate::slt, math.add(first, i), loops.extents[dim]);
    auto branch = scf::IfOp::create(b, inside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    body();
  };
  auto emitVector = [&](Value first, TileColumn vector, Value mask) {
    Value within = math.add(first, vector.offset);
    VectorGrid grid(y.tile());
    int64_t plane = 0;
    for (auto &products : grid)
      for (int64_t j = 0; j < x.tile(); ++j)
        products.push_back(e.loadVector(scratch,
                                        math.add(math.add(rowOffset, within),
                                                 layout.productPlane * plane++),
                                        one, vector, mask));
    VectorGrid sums = transforms.apply(y.output, grid, x.output);
    Offsets corner;
    for (auto [operand, base] : llvm::zip_equal(loops.operands, bases)) {
      Value offset =
          math.add(base, math.mul(at.image, operand.strides[conv.image]));
      offset = math.add(offset, math.mul(at.y, operand.strides[conv.y]));
      offset = math.add(offset, math.mul(at.x, operand.strides[conv.x]));
      corner.push_back(
          math.add(offset, math.mul(math.add(column, within),
                                    operand.strides[conv.column])));
    }
    for (int64_t i = 0; i < form.getHeight(); ++i)
      ifInside(at.y, i, conv.y, form.getHeight(), [&] {
        for (int64_t j = 0; j < form.getWidth(); ++j)
          ifInside(at.x, j, conv.x, form.getWidth(), [&] {
            Offsets offsets;
            for (auto [operand, offset] :
                 llvm::zip_equal(loops.operands, corner))
              offsets.push_back(math.add(
                  math.add(offset, math.mul(operand.strides[conv.y], i)),
                  math.mul(operand.strides[conv.x], j)));
            e.finish(sums[i][j], offsets, conv.column, vector, mask);
          });
      });
  };
  e.emitColumns(e.getColumns(math.constant(count), {}, 0), e.lanes,
                [&](Value first, ArrayRef<TileColumn> vectors, Value mask) {
                  for (auto [v, vector] : llvm::enumerate(vectors))
                    emitVector(first, vector,
                               v + 1 == vectors.size() ? mask : Value());
                });
}

/// The transforms are long, so they are emitted once for blocks of any number
/// of tiles; the products once for whole blocks and once for the last one.
void WinogradEmitter::emitColumnBlock(const Offsets &bases, Value first,
                                      Value count, Value total, Value column,
                                      int64_t width) {
  OpFoldResult block = b.getIndexAttr(blockTiles), rest = count;
  std::optional<int64_t> known = staticIndex(total);
  if (known)
    rest = b.getIndexAttr(*known % blockTiles);
  if (known && (*known <= blockTiles || *known % blockTiles == 0)) {
    emitProducts(*known < blockTiles ? rest : block, column, width);
  } else {
    Value isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, count,
                                          math.constant(blockTiles));
    auto branch = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitProducts(block, column, width);
    b.setInsertionPointToStart(branch.elseBlock());
    emitProducts(rest, column, width);
  }
  e.emitFor(math.constant(0), count, 1, [&](Value row) {
    emitOutputs(bases, math.add(first, row), row, column, width);
  });
}

Value WinogradEmitter::getBlockTiles(Value first, Value total) {
  Value count = math.constant(blockTiles);
  std::optional<int64_t> known = staticIndex(total);
  if (!known || *known % blockTiles)
    count = math.min(math.sub(total, first), count);
  return count;
}

int64_t WinogradEmitter::getColumnBlock() {
  return loops.b().panelDim ? loops.b().panelWidth
                            : std::min(columns, WinogradScratch::kMaxColumns);
}

void WinogradEmitter::emitBlockInputs(const Offsets &bases, Value first,
                                      Value count) {
  e.emitFor(math.constant(0), count, 1,
            [&](Value row) { emitInputs(bases, math.add(first, row), row); });
}

void WinogradEmitter::emitBlock(const Offsets &bases, Value first,
                                Value total) {
  Value count = getBlockTiles(first, total);
  emitBlockInputs(bases, first, count);
  int64_t block = getColumnBlock();
  int64_t whole = columns / block * block;
  e.emitFor(math.constant(0), math.constant(whole), block, [&](Value column) {
    emitColumnBlock(bases, first, count, total, column, block);
  });
  if (whole < columns)
    emitColumnBlock(bases, first, count, total, math.constant(whole),
                    columns - whole);
}

void WinogradEmitter::emitImages(const Offsets &bases, Value images) {
  Value total = math.mul(images, math.mul(down, across));
  e.emitFor(math.constant(0), total, blockTiles,
            [&](Value first) { emitBlock(bases, first, total); });
}

/// So many blocks of tiles are enough for a few threads.
static constexpr int64_t kManyBlocks = 16;

bool WinogradEmitter::emitForThreads() {
  if (!e.cpu.threads)
    return false;
  bool isDynamic = !staticIndex(images);
  Value tiles = math.mul(down, across);
  if (!isDynamic)
    tiles = math.mul(tiles, images);
  std::optional<int64_t> known = staticIndex(tiles);
  // Blocks of like size, for threads that get one each.
  if (known)
    blockTiles = divideCeil(*known, divideCeil(*known, form.getTiles()));
  int64_t block = getColumnBlock(), rest = columns % block;
  SmallVector<Value> counts{
      isDynamic ? images : math.constant(1),
      math.div(math.add(tiles, blockTiles - 1), blockTiles),
      math.constant(divideCeil(columns, block))};
  double products = double(y.tile()) * x.tile() *
                    std::min(known.value_or(blockTiles), blockTiles) *
                    channels * std::min(block, columns);
  // A thread that does all columns of a block transforms its inputs once.
  bool hasMany = staticIndex(counts[1]).value_or(0) >= kManyBlocks;
  int64_t group = hasMany ? divideCeil(columns, block) : 1;
  // The transforms take some 15 % beside the products.
  bool done = emitUnits(
      e.b, counts, 1.15 * e.getCycles(products, 0),
      [&](const Unit &unit) {
        memory = ScratchOp::create(b, op.getScratch(), unit.own);
        Offsets bases = e.getBases();
        if (isDynamic)
          bases = e.move(bases, conv.image, unit.index[0]);
        Value first = math.mul(unit.index[1], blockTiles);
        Value count = getBlockTiles(first, tiles), columnBlock = unit.index[2];
        auto ifElse = [&](Value condition, bool hasElse) {
          return scf::IfOp::create(b, condition, hasElse);
        };
        auto equals = [&](Value x, Value y) {
          return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
        };
        OpBuilder::InsertionGuard guard(b);
        if (isStatic(counts[2], 1)) {
          emitBlockInputs(bases, first, count);
        } else {
          Value begins =
              arith::OrIOp::create(b, equals(columnBlock, math.constant(0)),
                                   equals(unit.number, unit.first));
          auto branch = ifElse(begins, false);
          OpBuilder::InsertionGuard inside(b);
          b.setInsertionPointToStart(branch.thenBlock());
          emitBlockInputs(bases, first, count);
        }
        Value column = math.mul(columnBlock, block);
        if (!rest || columns < block)
          return emitColumnBlock(bases, first, count, tiles, column,
                                 rest ? rest : block);
        auto branch =
            ifElse(equals(columnBlock, math.constant(columns / block)), true);
        b.setInsertionPointToStart(branch.thenBlock());
        emitColumnBlock(bases, first, count, tiles,
                        math.constant(columns - rest), rest);
        b.setInsertionPointToStart(branch.elseBlock());
        emitColumnBlock(bases, first, count, tiles, column, block);
      },
      group);
  memory = op.getScratch();
  if (!done)
    blockTiles = form.getTiles();
  return done;
}

void WinogradEmitter::emit() {
  auto countTiles = [&](Value extent, int64_t outputs) {
    return math.div(math.add(extent, outputs - 1), outputs);
  };
  // Those of the loops may be of several dimensions together.
  images = op.createExtent(b, conv.image);
  heightValue = op.createExtent(b, conv.y);
  widthValue = op.createExtent(b, conv.x);
  down = countTiles(heightValue, form.getHeight());
  across = countTiles(widthValue, form.getWidth());
  if (emitForThreads()) {
    e.description += ", shared by threads";
    return;
  }
  // Tiles of one image at a time where their number is known then, and only
  // then.
  if (staticIndex(images) || !staticIndex(math.mul(down, across)))
    return emitImages(e.getBases(), images);
  e.emitLoops(conv.image, e.getBases(), [&](const Offsets &bases) {
    emitImages(bases, math.constant(1));
  });
}

bool dlc::emitWinograd(ContractEmitter &emitter) {
  ContractOp op = emitter.loops.op;
  WinogradAttr form = op.getWinogradAttr();
  if (!form)
    return false;
  emitter.description =
      llvm::formatv(", {0}x{1} outputs of {2}x{3} windows, {4} tiles at a time",
                    form.getHeight(), form.getWidth(), form.getWindowHeight(),
                    form.getWindowWidth(), form.getTiles());
  WinogradEmitter(emitter).emit();
  return true;
}
