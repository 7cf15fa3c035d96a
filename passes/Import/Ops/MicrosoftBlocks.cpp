// com.microsoft's operators on weights of 2, 4 or 8 bits with a scale for each
// block: they stay in their bits, and are real numbers in registers only.

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/Cpu/BlockProduct.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Quantization.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Y = A * W^T with weights W[n, k] = (q - zero) * scale, in blocks along k.
struct BlockProduct {
  NodeImport &node;
  int64_t k, n, bits, block, blocks, bytes;
  Type f32 = node.b.getF32Type();

  explicit BlockProduct(NodeImport &node)
      : node(node), k(node.getInt("K", 0)), n(node.getInt("N", 0)),
        bits(node.getInt("bits", 4)), block(node.getInt("block_size", 0)) {}

  /// Reads what the attributes say; an error where that makes no weights.
  LogicalResult check() {
    if (bits != 2 && bits != 4 && bits != 8) {
      node.error() << "expected bits of 2, 4 or 8, found " << bits;
      return failure();
    }
    if (k < 1 || n < 1) {
      node.error() << "expected K and N of 1 or more, found " << k << " and "
                   << n;
      return failure();
    }
    if (block < 16 || (block & (block - 1))) {
      node.error() << "expected a block_size that is a power of 2 of at least "
                      "16, found "
                   << block;
      return failure();
    }
    blocks = llvm::divideCeil(k, block);
    bytes = block * bits / 8;
    return success();
  }

  /// Input i as [n, count], of any shape of so many elements.
  Value matrix(unsigned i, int64_t count) {
    RankedTensorType type = node.type(node.input(i));
    if (!type.hasStaticShape() || type.getNumElements() != n * count) {
      node.error() << "expected " << node.inputName(i) << " of " << n << " x "
                   << count << " elements, found " << type;
      return {};
    }
    return node.reshape(node.input(i), {node.index(n), node.index(count)});
  }

  /// The zero point of weights without one.
  int64_t getMiddle() { return int64_t(1) << (bits - 1); }

  /// Zero points in f32 as [n, blocks]: integers packed like the weights, or
  /// numbers of the scales' type.
  Value zeros() {
    if (isa<FloatType>(node.elementType(node.input(3)))) {
      Value zero = matrix(3, blocks);
      return zero ? node.cast(zero, f32) : Value();
    }
    Value packed = matrix(3, llvm::divideCeil(blocks * bits, 8));
    if (!packed)
      return {};
    Value zero = unpackBits(node, packed, bits);
    return node.cast(node.sliceAxis(zero, 1, node.index(0), node.index(blocks)),
                     f32);
  }

  /// How many columns stand side by side, and how many bytes of each: a lane of
  /// 32 bits has bytes of one column, as dot products of bytes want it.
  static constexpr int64_t kPanel = 64, kGroup = 4;

  /// [n, rows...] -> [panel, rows..., kPanel], filled up with zeros.
  Value toPanels(Value x) {
    int64_t rank = node.rank(x), panels = llvm::divideCeil(n, kPanel);
    Elements sizes = node.dims(x);
    if (int64_t rest = panels * kPanel - n) {
      sizes[0] = node.index(rest);
      x = node.concat({x, node.broadcast(node.scalarLike(0, x), sizes)}, 0);
    }
    sizes[0] = node.index(panels);
    sizes.insert(sizes.begin() + 1, node.index(kPanel));
    SmallVector<int64_t> order{0};
    for (int64_t i = 2; i <= rank; ++i)
      order.push_back(i);
    order.push_back(1);
    return node.transpose(node.reshape(x, sizes), order);
  }

  /// The parts that blocks are cut into: sums of no more numbers are exact in
  /// the kernel of digits, and k is filled up to whole parts.
  int64_t getPart() {
    int64_t part = std::min<int64_t>(block, 256);
    while (part > 32 && llvm::alignTo(k, part / 2) < llvm::alignTo(k, part))
      part /= 2;
    return part;
  }

  /// [n, blocks] -> [n, parts], for each part what its block has.
  Value cut(Value x, int64_t perBlock, int64_t parts) {
    x = node.broadcast(
        node.reshape(x, {node.index(n), node.index(blocks), node.index(1)}),
        {node.index(n), node.index(blocks), node.index(perBlock)});
    x = node.reshape(x, {node.index(n), node.index(blocks * perBlock)});
    return node.sliceAxis(x, 1, node.index(0), node.index(parts));
  }

  /// The same weights in smaller blocks.
  void cutBlocks(Value &packed, Value &scales, Value &zeros) {
    int64_t part = getPart(), parts = llvm::divideCeil(k, part);
    if (part == block)
      return;
    scales = cut(scales, block / part, parts);
    if (zeros)
      zeros = cut(zeros, block / part, parts);
    packed = node.reshape(packed, {node.index(n), node.index(blocks * bytes)});
    block = part, blocks = parts, bytes = block * bits / 8;
    packed =
        node.sliceAxis(packed, 1, node.index(0), node.index(blocks * bytes));
  }

  /// The product for a [m, k] with the weights as they are, column after
  /// column in the lanes of a vector:
  /// y[m, n] += sum over the numbers of a byte of (q - zero) * a, by scale.
  Value multiply(Value a, Value packed, Value scales, Value zeros) {
    cutBlocks(packed, scales, zeros);
    int64_t perByte = 8 / bits, padded = blocks * block;
    Emit e(node);
    if (padded != k)
      a = node.concat(
          {a, node.broadcast(node.scalar(0, f32),
                             {node.dim(a, 0), node.index(padded - k)})},
          1);
    OpFoldResult m = node.dim(a, 0);
    OpFoldResult groups = node.index(bytes / kGroup);
    a = node.reshape(a, {m, node.index(blocks), groups, node.index(kGroup),
                         node.index(perByte)});
    packed = node.reshape(packed, {node.index(n), node.index(blocks), groups,
                                   node.index(kGroup)});
    packed = node.transpose(toPanels(packed), {0, 1, 2, 4, 3});
    MLIRContext *context = node.b.getContext();
    AffineExpr dm, dp, db, dg, dc, dt, di;
    bindDims(context, dm, dp, db, dg, dc, dt, di);
    auto map = [&](ArrayRef<AffineExpr> exprs) {
      return AffineMap::get(7, 0, exprs, context);
    };
    SmallVector<Value> inputs{e.plain(packed), toPanels(scales)};
    SmallVector<AffineMap> maps{map({dp, db, dg, dc, dt}), map({dp, db, dc})};
    if (zeros) {
      inputs.push_back(toPanels(zeros));
      maps.push_back(map({dp, db, dc}));
    }
    inputs.push_back(a);
    maps.push_back(map({dm, db, dg, dt, di}));
    maps.push_back(map({dm, dp, dc}));
    if (node.hasFailed || llvm::is_contained(inputs, Value()))
      return {};
    int64_t columns = llvm::alignTo(n, kPanel);
    Value init = e.filled({m, node.index(columns / kPanel), node.index(kPanel)},
                          e.constant(0, f32));
    using utils::IteratorType;
    SmallVector<IteratorType> loops(7, IteratorType::reduction);
    loops[0] = loops[1] = loops[4] = IteratorType::parallel;
    auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
      auto fast = arith::FastMathFlagsAttr::get(
          context,
          arith::FastMathFlags::reassoc | arith::FastMathFlags::contract);
      auto constant = [&](int64_t value) {
        return arith::ConstantIntOp::create(b, loc, value, 32);
      };
      Value q = arith::ExtUIOp::create(b, loc, b.getI32Type(), args[0]);
      if (perByte > 1) {
        Value number = linalg::IndexOp::create(b, loc, 6);
        number = arith::IndexCastOp::create(b, loc, b.getI32Type(), number);
        Value low = arith::MulIOp::create(b, loc, number, constant(bits));
        q = arith::ShRUIOp::create(b, loc, q, low);
        q = arith::AndIOp::create(b, loc, q, constant((1 << bits) - 1));
      }
      Value zero = zeros ? args[2]
                         : arith::ConstantOp::create(
                               b, loc, b.getF32FloatAttr(getMiddle()));
      Value x = args[zeros ? 3 : 2];
      Value real = arith::SIToFPOp::create(b, loc, f32, q);
      real = arith::SubFOp::create(b, loc, real, zero);
      Value product = arith::MulFOp::create(b, loc, real, x, fast);
      product = arith::MulFOp::create(b, loc, product, args[1], fast);
      linalg::YieldOp::create(
          b, loc,
          arith::AddFOp::create(b, loc, args.back(), product, fast)
              .getResult());
    };
    auto product = linalg::GenericOp::create(node.b, node.loc, init.getType(),
                                             inputs, init, maps, loops, body);
    product.setLibraryCall(kBlockProduct);
    if (!zeros)
      product->setAttr(kBlockZero, node.b.getI64IntegerAttr(getMiddle()));
    Value y = node.reshape(product.getResult(0), {m, node.index(columns)});
    return columns == n ? y
                        : node.sliceAxis(y, 1, node.index(0), node.index(n));
  }

  /// The weights as [k, n] in f32, where a number of each k says which block's
  /// scale is its own.
  Value expand(Value packed, Value scales, Value zeros, Value blockOf) {
    Value q = node.cast(unpackBits(node, packed, bits), f32);
    q = node.sliceAxis(q, 1, node.index(0), node.index(k));
    Value mine = node.sliceAxis(blockOf, 0, node.index(0), node.index(k));
    auto choose = [&](Value x) {
      return node.rank(x) ? node.infer<GatherOp>(x, mine, 1) : x;
    };
    Value w =
        node.map<MulOp>({node.map<SubOp>({q, choose(zeros)}), choose(scales)});
    return w ? node.transpose(w, {1, 0}) : w;
  }
};

} // namespace

/// Inputs: a, the packed weights [n, blocks, bytes], scales, zero points, for
/// each k its block, a bias.
static ImportResult importMatMulNBits(NodeImport &node) {
  BlockProduct product(node);
  if (failed(product.check()) || failed(expectScale(node, 2)))
    return failure();
  Value a = node.input(0);
  if (node.rank(a) < 1 ||
      failed(node.expectEqual(node.dim(a, node.rank(a) - 1),
                              node.index(product.k),
                              "an input whose last dimension is K")))
    return failure();
  if (!node.elementType(node.input(1)).isUnsignedInteger(8)) {
    node.error() << "expected weights packed in ui8, found "
                 << node.elementType(node.input(1));
    return failure();
  }
  if (node.hasInput(3))
    if (Type zero = node.elementType(node.input(3));
        !zero.isUnsignedInteger(8) && !isa<FloatType>(zero)) {
      node.error() << "expected zero points packed in ui8, or real ones, found "
                   << zero;
      return failure();
    }
  Value packed = product.matrix(1, product.blocks * product.bytes);
  Value scales = product.matrix(2, product.blocks);
  Value zeros = node.hasInput(3) ? product.zeros() : Value();
  if (!packed || !scales || (node.hasInput(3) && !zeros) ||
      failed(node.expectShape(5, node.index(product.n), "N")))
    return failure();
  scales = node.cast(scales, product.f32);
  Elements sizes = node.dims(a);
  OpFoldResult rows = node.index(1);
  for (OpFoldResult size : ArrayRef(sizes).drop_back())
    rows = mulSizes(node.b, node.loc, rows, size);
  a = node.reshape(node.cast(a, product.f32), {rows, node.index(product.k)});
  Value y;
  if (Value blockOf = node.input(4))
    y = node.matmul(a, product.expand(packed, scales, zeros, blockOf),
                    product.f32);
  else
    y = product.multiply(a, packed, scales, zeros);
  if (y && node.hasInput(5))
    y = node.map<AddOp>({y, node.cast(node.input(5), product.f32)});
  if (!y)
    return failure();
  sizes.back() = node.index(product.n);
  y = node.reshape(y, sizes);
  return node.result(y);
}

/// Inputs: data, indices, scales, zero points. Only what is gathered becomes
/// real.
static ImportResult importGatherBlockQuantized(NodeImport &node) {
  Value data = node.input(0), indices = node.input(1), scales = node.input(2);
  Value zeros = node.input(3);
  Type stored = node.elementType(data), f32 = node.b.getF32Type();
  int64_t rank = node.rank(data), block = node.getInt("block_size", 128);
  int64_t bits = node.getInt("bits", 4);
  int64_t axis = node.axis("gather_axis", 0, data);
  int64_t along = node.axis("quantize_axis", 1, data);
  if (node.hasFailed || failed(expectScale(node, 2)))
    return failure();
  bool isPacked = stored.isUnsignedInteger(8);
  if (isPacked && bits != 2 && bits != 4 && bits != 8) {
    node.error() << "expected bits of 2, 4 or 8, found " << bits;
    return failure();
  }
  if (block < 16 || (block & (block - 1))) {
    node.error() << "expected a block_size that is a power of 2 of at least "
                    "16, found "
                 << block;
    return failure();
  }
  if (axis == along || (isPacked && bits != 8 && along != rank - 1)) {
    node.error() << "expected blocks along another axis than the gathered "
                 << axis << (isPacked ? ", the last one" : "") << ", found "
                 << along;
    return failure();
  }
  if (node.rank(scales) != rank) {
    node.error() << "expected scales of the data's rank " << rank
                 << ", found rank " << node.rank(scales);
    return failure();
  }
  auto gather = [&](Value x) { return node.infer<GatherOp>(x, indices, axis); };
  Value q = gather(data), s = gather(scales), z = zeros ? gather(zeros) : zeros;
  if (!q || !s || (zeros && !z))
    return failure();
  if (isPacked) {
    q = unpackBits(node, q, bits);
    z = z ? unpackBits(node, z, bits) : node.scalar(1 << (bits - 1), stored);
  }
  // The axis of the blocks, behind the dimensions of the indices.
  int64_t blocked = along < axis ? along : along + node.rank(indices) - 1;
  int64_t size = node.type(q).getDimSize(blocked);
  int64_t given = node.type(s).getDimSize(blocked);
  if (ShapedType::isDynamic(size) || ShapedType::isDynamic(given) ||
      given != int64_t(llvm::divideCeil(size, block))) {
    node.error() << "expected a scale for each block of " << block << " of "
                 << size << " elements along axis " << along << ", found "
                 << given;
    return failure();
  }
  SmallVector<int64_t> blockOf;
  for (int64_t i = 0; i < size; ++i)
    blockOf.push_back(i / block);
  auto spread = [&](Value x) {
    if (node.rank(x) == 0)
      return x;
    if (node.type(x).getDimSize(blocked) != given)
      x = node.sliceAxis(x, blocked, node.index(0), node.index(given));
    return node.infer<GatherOp>(x, node.integers(blockOf), blocked);
  };
  Value y = node.cast(q, f32);
  if (z)
    y = node.map<SubOp>({y, node.cast(spread(z), f32)});
  Type type = node.elementType(scales);
  return node.result(
      node.cast(node.map<MulOp>({y, node.cast(spread(s), f32)}), type));
}

/// The 16 numbers that 4 bits stand for by bitsandbytes: FP4 or NF4.
static constexpr float kFp4[] = {
    0,         0.0625f / 12,  8.f / 12,  1,
    4.f / 12,  6.f / 12,      2.f / 12,  3.f / 12,
    -0.f,      -0.0625f / 12, -8.f / 12, -1,
    -4.f / 12, -6.f / 12,     -2.f / 12, -3.f / 12};
static constexpr float kNf4[] = {-1,
                                 -0.6961928009986877f,
                                 -0.5250730514526367f,
                                 -0.39491748809814453f,
                                 -0.28444138169288635f,
                                 -0.18477343022823334f,
                                 -0.09105003625154495f,
                                 0,
                                 0.07958029955625534f,
                                 0.16093020141124725f,
                                 0.24611230194568634f,
                                 0.33791524171829224f,
                                 0.44070982933044434f,
                                 0.5626170039176941f,
                                 0.7229568362236023f,
                                 1};

/// Inputs: a, the weights [n, k] as one row of 4 bits each, the higher ones
/// first, and the largest number of each block of that row.
static ImportResult importMatMulBnb4(NodeImport &node) {
  int64_t k = node.getInt("K", 0), n = node.getInt("N", 0);
  int64_t block = node.getInt("block_size", 0);
  int64_t kind = node.getInt("quant_type", 0);
  bool isTransposed = node.getInt("transB", 1);
  if (k < 1 || n < 1 || block < 16 || (block & (block - 1))) {
    node.error() << "expected K and N of 1 or more and a block_size that is a "
                    "power of 2 of at least 16, found "
                 << k << ", " << n << " and " << block;
    return failure();
  }
  if (kind != 0 && kind != 1) {
    node.error() << "expected the quant_type 0 (FP4) or 1 (NF4), found "
                 << kind;
    return failure();
  }
  Value a = node.input(0), packed = node.input(1), largest = node.input(2);
  int64_t count = n * k, blocks = llvm::divideCeil(count, block);
  int64_t bytes = llvm::divideCeil(count, 2);
  RankedTensorType packedType = node.type(packed);
  if (!packedType.hasStaticShape() || packedType.getNumElements() != bytes ||
      !packedType.getElementType().isUnsignedInteger(8)) {
    node.error() << "expected " << bytes << " bytes of weights, found "
                 << packedType;
    return failure();
  }
  int64_t rank = node.rank(a);
  if (rank < 1 ||
      failed(node.expectShape(2, node.index(blocks), "a number a block")) ||
      failed(node.expectEqual(node.dim(a, rank - 1),
                              node.index(isTransposed ? k : n),
                              "an input whose last dimension is " +
                                  Twine(isTransposed ? "K" : "N"))))
    return failure();
  Type f32 = node.b.getF32Type();
  // A byte's lower bits come first of unpackBits.
  Value codes = unpackBits(node, node.reshape(packed, {node.index(bytes)}), 4);
  if (!codes)
    return failure();
  codes = node.reshape(codes, {node.index(bytes), node.index(2)});
  codes = node.concat({node.sliceAxis(codes, 1, node.index(1), node.index(1)),
                       node.sliceAxis(codes, 1, node.index(0), node.index(1))},
                      1);
  codes = node.reshape(codes, {node.index(2 * bytes)});
  codes = node.sliceAxis(codes, 0, node.index(0), node.index(count));
  Value table = node.constant(DenseElementsAttr::get(
      RankedTensorType::get(16, f32), ArrayRef(kind ? kNf4 : kFp4)));
  Value w = node.infer<GatherOp>(table, node.cast(codes, node.b.getI64Type()),
                                 int64_t(0));
  // The last block may have fewer numbers than the others.
  Elements spread{node.index(blocks), node.index(block)};
  Value scale =
      node.broadcast(node.unsqueeze(node.cast(largest, f32), {1}), spread);
  scale = node.reshape(scale, {node.index(blocks * block)});
  scale = node.sliceAxis(scale, 0, node.index(0), node.index(count));
  w = node.map<MulOp>({w, scale});
  if (!w)
    return failure();
  w = node.reshape(w, {node.index(n), node.index(k)});
  if (isTransposed)
    w = node.transpose(w, {1, 0});
  if (rank > 1)
    return node.result(node.matmul(a, w, f32));
  Value row = node.matmul(node.unsqueeze(a, {0}), w, f32);
  return node.result(row ? node.squeeze(row, {0}) : row);
}

static OpRows rows{
    {"com.microsoft", "MatMulNBits", 1, importMatMulNBits, kComposition},
    {"com.microsoft", "GatherBlockQuantized", 1, importGatherBlockQuantized},
    {"com.microsoft", "MatMulBnb4", 1, importMatMulBnb4, kComposition},
};
