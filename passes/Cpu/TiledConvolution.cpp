// Kernels for convolutions by transforms, F(m x m, r x r):
//
//   for blocks of tiles
//     for tiles of the block, for vectors of channels
//       V[p][tile] = transform(A's T x T inputs)
//     for blocks of columns
//       M[p][tile] = V[p][tile] * B[p]                 // for all products p
//       for tiles of the block, for vectors of columns
//         C's m x m outputs = epilogue(transform(M[..][tile]))
//
// V and M are the op's scratch. See lib/Kernels/Winograd.h and Fourier.h for
// the transforms.
//
// Of a volume each position along the depth has tiles of its own. Their inputs
// are those of all taps of the window's depth, one behind the other, so that
// the products sum over taps and channels.
//
// For threads the blocks of tiles by the blocks of columns are a grid of units;
// each thread transforms the inputs of the blocks that it begins.
#include "passes/Cpu/TiledConvolution.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/Units.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;
using llvm::divideCeil;

TiledConvolution::TiledConvolution(ContractEmitter &emitter)
    : e(emitter), loops(emitter.loops), math(emitter.math), b(emitter.b),
      op(loops.op), form(op.getWinogradAttr()), conv(*op.getConvolution()),
      dilation(getDilation(op)), depth(getDepth(op)),
      taps(depth ? op.getStaticExtent(depth->window) : 1),
      channels(op.getStaticExtent(conv.channel)),
      columns(op.getStaticExtent(conv.column)),
      layout(getWinogradScratch(form, taps, channels, columns)),
      memory(op.getScratch()), blockTiles(form.getTiles()) {}

//===----------------------------------------------------------------------===//
// Scratch
//===----------------------------------------------------------------------===//

ContractOperand TiledConvolution::getScratch() {
  ContractOperand scratch;
  scratch.buffer = memory;
  scratch.type = op.getSumType();
  return scratch;
}

Value TiledConvolution::load(int64_t offset, Value at, TileColumn vector,
                             Value mask) {
  return e.loadVector(getScratch(), math.add(at, offset), math.constant(1),
                      vector, mask);
}

Value TiledConvolution::loadSlot(Value slot, TileColumn vector) {
  return load(layout.slotOffset, math.mul(slot, WinogradScratch::kSlot), vector,
              /*mask=*/{});
}

void TiledConvolution::storeSlot(Value slot, Value value, TileColumn vector) {
  Value at =
      math.add(math.mul(slot, WinogradScratch::kSlot), layout.slotOffset);
  e.storeVector(getScratch(), value, at, math.constant(1), vector, /*mask=*/{});
}

Value TiledConvolution::getPlanes(int64_t offset, int64_t plane,
                                  OpFoldResult rows, int64_t row,
                                  ArrayRef<int64_t> elements) {
  int64_t staticRows = getConstantIntValue(rows).value_or(ShapedType::kDynamic);
  int64_t height = form.getProductHeight(), width = form.getProductWidth();
  SmallVector<int64_t> strides{width * plane, plane, row},
      shape{height, width, staticRows};
  SmallVector<OpFoldResult> sizes{b.getIndexAttr(height), b.getIndexAttr(width),
                                  rows};
  if (elements.size() > 1)
    strides.push_back(getTapStride(elements.back()));
  strides.push_back(1);
  llvm::append_range(shape, elements);
  llvm::append_range(sizes, getAsIndexOpFoldResult(b.getContext(), elements));
  auto type =
      MemRefType::get(shape, op.getSumType(),
                      StridedLayoutAttr::get(b.getContext(), offset, strides));
  return memref::ReinterpretCastOp::create(
      b, type, memory, b.getIndexAttr(offset), sizes,
      getAsIndexOpFoldResult(b.getContext(), strides));
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// With a dilation d the tiles that begin at 0 to d - 1 come first, then those
/// that begin where these end.
TiledConvolution::Position TiledConvolution::getPosition(Value tile) {
  auto getFirst = [&](Value number, int64_t outputs, int64_t step) {
    return math.add(math.mul(math.div(number, step), outputs * step),
                    math.rem(number, step));
  };
  Value line = math.div(tile, across);
  Value image = math.div(line, down), z;
  if (depth) {
    z = math.rem(image, depthValue);
    image = math.div(image, depthValue);
  }
  return {image, z,
          getFirst(math.rem(line, down), form.getHeight(), dilation.y),
          getFirst(math.rem(tile, across), form.getWidth(), dilation.x)};
}

Value TiledConvolution::getImage(const Offsets &bases, const Position &at) {
  ArrayRef<Value> strides = loops.a().strides;
  Value image = math.add(bases[0], math.mul(at.image, strides[conv.image]));
  return at.z ? math.add(image, math.mul(at.z, strides[depth->z])) : image;
}

Value TiledConvolution::getInputOffset(unsigned dim, Value first, Value i) {
  bool isLine = dim == conv.y;
  int64_t position = (depth ? 2 : 1) + !isLine;
  int64_t size = cast<MemRefType>(op.getA().getType()).getDimSize(position);
  int64_t extent = op.getStaticExtent(dim);
  int64_t outputs = isLine ? form.getHeight() : form.getWidth();
  int64_t tile = isLine ? form.getTileHeight() : form.getTileWidth();
  int64_t step = getStep(dim);
  // Those of a tile are so far apart; the last tile begins that much later.
  auto isInside = [&] {
    int64_t tiles = divideCeil(divideCeil(extent, step), outputs);
    return step * ((tiles - 1) * outputs + tile) - 1 < size;
  };
  bool inside =
      ShapedType::isStatic(extent) && ShapedType::isStatic(size) && isInside();
  Value next = math.add(first, math.mul(i, step));
  if (!inside)
    next = math.min(
        next, math.add(b.createOrFold<memref::DimOp>(op.getA(), position), -1));
  return math.mul(next, loops.a().strides[dim]);
}

SmallVector<Value> TiledConvolution::getInputOffsets(unsigned dim, Value first,
                                                     int64_t count) {
  SmallVector<Value> offsets;
  for (int64_t i = 0; i < count; ++i)
    offsets.push_back(getInputOffset(dim, first, math.constant(i)));
  return offsets;
}

TiledConvolution::Offsets TiledConvolution::getCorner(const Offsets &bases,
                                                      const Position &at) {
  Offsets corner = e.move(bases, conv.image, at.image);
  if (at.z)
    corner = e.move(corner, depth->z, at.z);
  return e.move(e.move(corner, conv.y, at.y), conv.x, at.x);
}

void TiledConvolution::ifInside(unsigned dim, Value first, int64_t i,
                                function_ref<void()> body) {
  int64_t extent = op.getStaticExtent(dim), step = getStep(dim);
  int64_t outputs = dim == conv.y ? form.getHeight() : form.getWidth();
  // Of a tile that is not whole, and all begin inside.
  bool isEven = ShapedType::isStatic(extent) && extent % step == 0;
  if ((i == 0 && (step == 1 || isEven)) ||
      (isEven && i < (extent / step - 1) % outputs + 1))
    return body();
  // The extent of the loops may be that of several dimensions together.
  Value inside = arith::CmpIOp::create(
      b, arith::CmpIPredicate::slt, math.add(first, i * step),
      dim == conv.y ? heightValue : widthValue);
  auto branch = scf::IfOp::create(b, inside, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

Value TiledConvolution::countLines(const Position &at) {
  Value lines = math.constant(form.getHeight());
  int64_t extent = op.getStaticExtent(conv.y);
  int64_t step = dilation.y;
  if (ShapedType::isStatic(extent) && extent % (form.getHeight() * step) == 0)
    return lines;
  Value rest = math.sub(heightValue, at.y);
  if (step > 1)
    rest = math.div(math.add(math.max(rest, math.constant(0)), step - 1), step);
  return math.min(lines, rest);
}

void TiledConvolution::storeLine(const Position &at, const Offsets &corner,
                                 Value i, ArrayRef<Value> line, unsigned dim,
                                 TileColumn vector, Value mask) {
  Offsets start = e.move(corner, conv.y, math.mul(i, dilation.y));
  for (int64_t j = 0; j < form.getWidth(); ++j)
    ifInside(conv.x, at.x, j, [&] {
      Value distance = math.constant(j * dilation.x);
      e.finish(line[j], e.move(start, conv.x, distance), dim, vector, mask);
    });
}

void TiledConvolution::forVectors(int64_t count, VectorBody body) {
  e.emitColumns(e.getColumns(math.constant(count), {}, 0), e.lanes,
                [&](Value first, ArrayRef<TileColumn> vectors, Value mask) {
                  for (auto [v, vector] : llvm::enumerate(vectors))
                    body(math.add(first, vector.offset), vector,
                         v + 1 == vectors.size() ? mask : Value());
                });
}

Value TiledConvolution::getWeights(const Offsets &bases, Value column,
                                   int64_t width) {
  ContractOperand &weights = loops.b();
  Value offset =
      weights.panelDim
          ? math.mul(math.div(column, weights.panelWidth), weights.panelStride)
          : math.mul(column, weights.strides[conv.column]);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, weights.buffer);
  offset = math.add(math.add(offset, bases[1]), metadata.getOffset());
  SmallVector<int64_t> sizes{form.getProductHeight(), form.getProductWidth(),
                             channels, width};
  SmallVector<unsigned> dims{conv.windowY, conv.windowX, conv.channel,
                             conv.column};
  if (depth) {
    sizes.insert(sizes.begin(), taps);
    dims.insert(dims.begin(), depth->window);
  }
  SmallVector<OpFoldResult> strides;
  SmallVector<int64_t> staticStrides;
  for (unsigned dim : dims) {
    strides.push_back(getAsOpFoldResult(weights.strides[dim]));
    staticStrides.push_back(
        getConstantIntValue(strides.back()).value_or(ShapedType::kDynamic));
  }
  auto type =
      MemRefType::get(sizes, weights.type,
                      StridedLayoutAttr::get(
                          b.getContext(), ShapedType::kDynamic, staticStrides));
  return memref::ReinterpretCastOp::create(
      b, type, metadata.getBaseBuffer(), OpFoldResult(offset),
      getAsIndexOpFoldResult(b.getContext(), sizes), strides);
}

/// M = V * B, by the kernel for batches of products.
void TiledConvolution::emitProducts(const Offsets &bases, OpFoldResult tiles,
                                    Value column, int64_t width) {
  SmallVector<int64_t> summed{channels};
  AffineExpr ty = b.getAffineDimExpr(0), tx = b.getAffineDimExpr(1),
             tile = b.getAffineDimExpr(2), n = b.getAffineDimExpr(3),
             k = b.getAffineDimExpr(4), tap = b.getAffineDimExpr(5);
  SmallVector<AffineExpr> inputExprs{ty, tx, tile}, weightExprs;
  if (depth) {
    summed.insert(summed.begin(), taps);
    inputExprs.push_back(tap);
    weightExprs.push_back(tap);
  }
  inputExprs.push_back(k);
  weightExprs.append({ty, tx, k, n});
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(depth ? 6 : 5, 0, exprs, b.getContext());
  };
  Value inputs =
      getPlanes(0, layout.inputPlane, tiles, layout.inputRow, summed);
  Value products = getPlanes(layout.productOffset, layout.productPlane, tiles,
                             layout.productRow, width);
  AffineMap maps[] = {map(inputExprs), map(weightExprs),
                      map({ty, tx, tile, n})};
  auto product = ContractOp::create(b, inputs, getWeights(bases, column, width),
                                    /*extras=*/ValueRange(), products, maps,
                                    /*aUnsigned=*/false, /*bUnsigned=*/false,
                                    DotAttr(), op.getPrecisionAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *body =
      b.createBlock(&product.getEpilogue(), {}, op.getSumType(), op.getLoc());
  YieldOp::create(b, body->getArgument(0));
  CpuIsa serial = e.cpu;
  serial.threads = false;
  lowerContract(product, serial);
}

/// The transforms are long, so they are emitted once for blocks of any number
/// of tiles; the products once for whole blocks and once for the last one.
void TiledConvolution::emitColumnBlock(const Offsets &bases, Value first,
                                       Value count, Value total, Value column,
                                       int64_t width) {
  OpFoldResult block = b.getIndexAttr(blockTiles), rest = count;
  std::optional<int64_t> known = staticIndex(total);
  if (known)
    rest = b.getIndexAttr(*known % blockTiles);
  if (known && (*known <= blockTiles || *known % blockTiles == 0)) {
    emitProducts(bases, *known < blockTiles ? rest : block, column, width);
  } else {
    Value isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, count,
                                          math.constant(blockTiles));
    auto branch = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitProducts(bases, block, column, width);
    b.setInsertionPointToStart(branch.elseBlock());
    emitProducts(bases, rest, column, width);
  }
  e.emitFor(math.constant(0), count, 1, [&](Value row) {
    emitOutputs(bases, math.add(first, row), row, column, width);
  });
}

Value TiledConvolution::getBlockTiles(Value first, Value total) {
  Value count = math.constant(blockTiles);
  std::optional<int64_t> known = staticIndex(total);
  if (!known || *known % blockTiles)
    count = math.min(math.sub(total, first), count);
  return count;
}

int64_t TiledConvolution::getColumnBlock() {
  return loops.b().panelDim ? loops.b().panelWidth
                            : std::min(columns, WinogradScratch::kMaxColumns);
}

void TiledConvolution::emitBlockInputs(const Offsets &bases, Value first,
                                       Value count) {
  beginBlock();
  e.emitFor(math.constant(0), count, 1, [&](Value row) {
    Value tile = math.add(first, row);
    Value target = math.mul(row, layout.inputRow);
    if (!depth)
      return emitInputs(bases, tile, target);
    e.emitFor(math.constant(0), math.constant(taps), 1, [&](Value tap) {
      emitInputs(e.move(bases, depth->window, tap), tile,
                 math.add(target, math.mul(tap, getTapStride(channels))));
    });
  });
}

void TiledConvolution::emitBlock(const Offsets &bases, Value first,
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

void TiledConvolution::emitImages(const Offsets &bases, Value images) {
  Value total = math.mul(images, countImageTiles());
  e.emitFor(math.constant(0), total, blockTiles,
            [&](Value first) { emitBlock(bases, first, total); });
}

/// So many blocks of tiles are enough for a few threads.
static constexpr int64_t kManyBlocks = 16;
/// Fewer units leave a few threads without work.
static constexpr int64_t kFewUnits = 4;
/// So many columns of the products of so many tiles use what they load often
/// enough.
static constexpr int64_t kEnoughColumns = 32, kEnoughTiles = 8;

/// Blocks of tiles of all images, or those of one image at a time where their
/// number is known then, and only then.
void TiledConvolution::emitGroup(const Offsets &bases) {
  if (staticIndex(images) || !staticIndex(countImageTiles()))
    return emitImages(bases, images);
  e.emitLoops(conv.image, bases, [&](const Offsets &bases) {
    emitImages(bases, math.constant(1));
  });
}

bool TiledConvolution::emitForThreads() {
  if (!e.cpu.threads)
    return false;
  bool isDynamic = !staticIndex(images);
  Value tiles = countImageTiles();
  if (!isDynamic)
    tiles = math.mul(tiles, images);
  std::optional<int64_t> known = staticIndex(tiles);
  // Blocks of like size, for threads that get one each.
  if (known)
    blockTiles = divideCeil(*known, divideCeil(*known, form.getTiles()));
  int64_t block = getColumnBlock();
  if (known && !loops.b().panelDim && blockTiles >= kEnoughTiles &&
      *known / blockTiles * divideCeil(columns, block) < kFewUnits)
    block = std::min(block, kEnoughColumns);
  int64_t rest = columns % block;
  SmallVector<Value> counts{
      conv.group ? loops.extents[*conv.group] : math.constant(1),
      isDynamic ? images : math.constant(1),
      math.div(math.add(tiles, blockTiles - 1), blockTiles),
      math.constant(divideCeil(columns, block))};
  double products = double(form.getProducts()) *
                    std::min(known.value_or(blockTiles), blockTiles) * taps *
                    channels * std::min(block, columns);
  // A thread that does all columns of a block transforms its inputs once.
  bool hasMany = staticIndex(counts[2]).value_or(0) >= kManyBlocks;
  int64_t group = hasMany ? divideCeil(columns, block) : 1;
  // The transforms take some 15 % beside the products.
  bool done = emitUnits(
      e.b, counts, 1.15 * e.getCycles(products, 0),
      [&](const Unit &unit) {
        memory = ScratchOp::create(b, op.getScratch(), unit.own);
        Offsets bases = e.getBases();
        if (conv.group)
          bases = e.move(bases, *conv.group, unit.index[0]);
        if (isDynamic)
          bases = e.move(bases, conv.image, unit.index[1]);
        Value first = math.mul(unit.index[2], blockTiles);
        Value count = getBlockTiles(first, tiles), columnBlock = unit.index[3];
        auto ifElse = [&](Value condition, bool hasElse) {
          return scf::IfOp::create(b, condition, hasElse);
        };
        auto equals = [&](Value x, Value y) {
          return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
        };
        OpBuilder::InsertionGuard guard(b);
        if (isStatic(counts[3], 1)) {
          emitBlockInputs(bases, first, count);
        } else {
          Value begins =
              arith::OrIOp::create(b, equals(columnBlock, math.constant(0)),
                                   equals(unit.number, unit.since));
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

void TiledConvolution::emit() {
  auto countTiles = [&](Value extent, int64_t outputs, int64_t step) {
    auto divideUp = [&](Value x, int64_t y) {
      return math.div(math.add(x, y - 1), y);
    };
    return math.mul(divideUp(divideUp(extent, step), outputs), step);
  };
  // Those of the loops may be of several dimensions together.
  images = op.createExtent(b, conv.image);
  depthValue = depth ? op.createExtent(b, depth->z) : math.constant(1);
  heightValue = op.createExtent(b, conv.y);
  widthValue = op.createExtent(b, conv.x);
  down = countTiles(heightValue, form.getHeight(), dilation.y);
  across = countTiles(widthValue, form.getWidth(), dilation.x);
  if (emitForThreads()) {
    e.description += ", shared by threads";
    return;
  }
  // Channel by channel, vectors run along the groups.
  if (!conv.group || form.getPair() == 2)
    return emitGroup(e.getBases());
  e.emitLoops(*conv.group, e.getBases(),
              [&](const Offsets &bases) { emitGroup(bases); });
}
