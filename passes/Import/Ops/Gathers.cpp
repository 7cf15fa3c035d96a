// Operators that pick elements by index: gathers, diagonals, permutations.

#include "passes/Import/Ops/Indices.h"

using namespace mlir;
using namespace dlc;

LogicalResult dlc::expectWithin(NodeImport &node, unsigned i, Value x,
                                int64_t axis) {
  Value indices = node.input(i);
  std::string message =
      "expected " + node.inputName(i) +
      " of the operand's rank, and no larger in the other dimensions";
  auto isWrong = [&]() -> LogicalResult {
    node.error() << message << ", found " << node.type(indices) << " and "
                 << node.type(x);
    return failure();
  };
  if (node.rank(indices) != node.rank(x))
    return isWrong();
  Emit e(node);
  Num fits = e.flag(true);
  for (int64_t dim = 0; dim < node.rank(x); ++dim) {
    OpFoldResult have = node.dim(indices, dim), most = node.dim(x, dim);
    if (dim == axis || areEqualSizes(have, most))
      continue;
    fits = fits && e.index(have) <= e.index(most);
  }
  if (isConstantIntValue(fits.value, 0))
    return isWrong();
  e.check(fits, message, /*status=*/0);
  return success();
}

/// result[i...] = x[i..., indices[i...], i...]
static ImportResult importGatherElements(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = node.input(1);
  int64_t axis = node.axis("axis", 0, x);
  if (node.hasFailed || failed(expectWithin(node, 1, x, axis)))
    return failure();
  Value from = e.plain(x), chosen = e.plain(indices);
  Num size = e.index(node.dim(x, axis));
  e.checkIndices(chosen, size);
  Value result = e.generate(
      node.dims(indices), node.elementType(from), [&](ArrayRef<Num> at) {
        SmallVector<Num> source(at);
        source[axis] = e.wrapIndex(e.toIndex(e.load(chosen, at)), size);
        return e.load(from, source);
      });
  return node.result(e.typed(result, node.elementType(x)));
}

/// The last dimension of `indices` addresses the first of x's dimensions
/// behind the batch dimensions; the rest are copied.
static ImportResult importGatherND(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = node.input(1);
  int64_t batch = node.getInt("batch_dims", 0);
  int64_t xRank = node.rank(x), rank = node.rank(indices);
  int64_t depth = rank ? node.type(indices).getDimSize(rank - 1) : 0;
  // The rank of the result says it, too.
  if (std::optional<int64_t> given = node.inferredRank(0);
      given && ShapedType::isDynamic(depth)) {
    depth = rank - 1 + xRank - batch - *given;
    if (failed(node.expectEqual(node.dim(indices, rank - 1),
                                node.index(std::max<int64_t>(depth, 0)),
                                "indices that give the result's rank")))
      return failure();
  }
  if (rank < 1 || depth < 0 || batch < 0 || batch >= rank ||
      batch + depth > xRank) {
    node.error() << "expected indices of at least one dimension whose last is "
                    "static and at most "
                 << xRank - batch << ", found " << node.type(indices);
    return failure();
  }
  Elements sizes = node.dims(indices), xSizes = node.dims(x);
  sizes.pop_back();
  for (int64_t i = batch + depth; i < xRank; ++i)
    sizes.push_back(xSizes[i]);
  for (int64_t i = 0; i < batch; ++i)
    if (failed(node.expectEqual(sizes[i], xSizes[i],
                                "indices of the operand's batch dimensions")))
      return failure();
  SmallVector<Num> extents = e.indices(xSizes);
  Value from = e.plain(x), chosen = e.plain(indices);
  if (depth)
    e.checkIndices(chosen, ArrayRef(extents).slice(batch, depth), true);
  Value result =
      e.generate(sizes, node.elementType(from), [&](ArrayRef<Num> at) {
        SmallVector<Num> source(at.take_front(batch));
        for (int64_t i = 0; i < depth; ++i) {
          SmallVector<Num> place(at.take_front(rank - 1));
          place.push_back(e.index(i));
          source.push_back(e.wrapIndex(e.toIndex(e.load(chosen, place)),
                                       extents[batch + i]));
        }
        llvm::append_range(source, at.drop_front(rank - 1));
        return e.load(from, source);
      });
  return node.result(e.typed(result, node.elementType(x)));
}

/// `values` holds the value for "off" and that for "on".
static ImportResult importOneHot(NodeImport &node) {
  Emit e(node);
  Value indices = node.input(0), values = node.input(2);
  int64_t axis =
      node.normalizeAxis(node.getInt("axis", -1), node.rank(indices) + 1);
  if (node.hasFailed || failed(node.expectShape(2, node.index(2), "")))
    return failure();
  Num depth;
  Value depthInput = node.input(1);
  OpFoldResult size;
  if (std::optional<double> known = node.constantFloat(depthInput)) {
    size = node.index(toSize(*known));
    if (!(*known >= 0)) {
      node.error() << "expected a depth of 0 or more, found " << *known;
      return failure();
    }
  } else {
    depth = e.toIndex(e.loadScalar(depthInput));
    e.check(depth >= 0, "expected a depth of 0 or more");
    size = depth.value;
  }
  depth = e.index(size);
  Elements sizes = node.dims(indices);
  sizes.insert(sizes.begin() + axis, size);
  Value chosen = e.plain(indices), both = e.plain(values);
  Value result =
      e.generate(sizes, node.elementType(both), [&](ArrayRef<Num> at) {
        SmallVector<Num> place(at);
        place.erase(place.begin() + axis);
        Num hot = e.toIndex(e.load(chosen, place));
        hot = e.select(hot < 0, hot + depth, hot);
        return e.load(
            both, e.select(hot == at[axis], e.index(1), e.index(int64_t(0))));
      });
  return node.result(e.typed(result, node.elementType(values)));
}

static ImportResult importEyeLike(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  Type element = node.inferredElementType(0);
  if (!element || node.rank(x) != 2) {
    node.error() << "expected a matrix, found rank " << node.rank(x);
    return failure();
  }
  int64_t k = node.getInt("k", 0);
  Type signless = element;
  if (auto integer = dyn_cast<IntegerType>(element))
    signless = node.b.getIntegerType(integer.getWidth());
  Value result = e.generate(node.dims(x), signless, [&](ArrayRef<Num> at) {
    return e.select(at[0] + k == at[1], e.constant(1, signless),
                    e.constant(0, signless));
  });
  return node.result(e.typed(result, element));
}

/// The upper or lower triangle of each matrix; zeros elsewhere.
static ImportResult importTrilu(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  if (rank < 2) {
    node.error() << "expected rank 2 or more, found " << rank;
    return failure();
  }
  bool upper = node.getInt("upper", 1);
  Num k = node.hasInput(1) ? e.toIndex(e.loadScalar(node.input(1)))
                           : e.index(int64_t(0));
  Value from = e.plain(x);
  Type element = node.elementType(from);
  Value result = e.generate(node.dims(x), element, [&](ArrayRef<Num> at) {
    Num row = at[rank - 2] + k, column = at[rank - 1];
    return e.select(upper ? row <= column : column <= row, e.load(from, at),
                    e.constant(0, element));
  });
  return node.result(e.typed(result, node.elementType(x)));
}

/// Reverses the first sequence_lens[batch] steps of each sequence.
static ImportResult importReverseSequence(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), lengths = e.plain(node.input(1));
  int64_t batch = node.axis("batch_axis", 1, x);
  int64_t time = node.axis("time_axis", 0, x);
  if (node.hasFailed ||
      failed(node.expectShape(1, node.dim(x, batch), "batch_size")))
    return failure();
  Value from = e.plain(x);
  Num steps = e.index(node.dim(x, time));
  e.checkRange(lengths, e.index(int64_t(0)), steps,
               "expected " + node.inputName(1) +
                   " from 0 to the number of steps");
  Value result =
      e.generate(node.dims(x), node.elementType(from), [&](ArrayRef<Num> at) {
        Num length = e.toIndex(e.load(lengths, at[batch]));
        SmallVector<Num> source(at);
        source[time] =
            e.select(at[time] < length, length - 1 - at[time], at[time]);
        return e.load(from, source);
      });
  return node.result(e.typed(result, node.elementType(x)));
}

/// size / block; an error where block does not divide it.
static OpFoldResult divideSize(Emit &e, OpFoldResult size, int64_t block) {
  NodeImport &node = e.node;
  if (std::optional<int64_t> constant = getConstantIntValue(size)) {
    if (*constant % block)
      node.error() << "expected a multiple of " << block << ", found "
                   << *constant;
    return node.index(*constant / block);
  }
  Num value = e.index(size);
  e.check(value % block == 0, "expected a multiple of the block size",
          /*status=*/0);
  return (value / block).value;
}

static ImportResult importDepthToSpace(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t block = node.getInt("blocksize", 1);
  if (node.rank(x) != 4 || block < 1) {
    node.error() << "expected rank 4 and a positive blocksize, found rank "
                 << node.rank(x) << " and " << block;
    return failure();
  }
  bool isCrd = node.getString("mode", "DCR") == "CRD";
  Elements s = node.dims(x);
  OpFoldResult by = node.index(block);
  OpFoldResult channels = divideSize(e, s[1], block * block);
  if (isCrd)
    x = node.transpose(node.reshape(x, {s[0], channels, by, by, s[2], s[3]}),
                       {0, 1, 4, 2, 5, 3});
  else
    x = node.transpose(node.reshape(x, {s[0], by, by, channels, s[2], s[3]}),
                       {0, 3, 4, 1, 5, 2});
  return node.result(
      node.reshape(x, {s[0], channels, mulSizes(node.b, node.loc, s[2], by),
                       mulSizes(node.b, node.loc, s[3], by)}));
}

static ImportResult importSpaceToDepth(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t block = node.getInt("blocksize", 1);
  if (node.rank(x) != 4 || block < 1) {
    node.error() << "expected rank 4 and a positive blocksize, found rank "
                 << node.rank(x) << " and " << block;
    return failure();
  }
  Elements s = node.dims(x);
  OpFoldResult by = node.index(block);
  OpFoldResult height = divideSize(e, s[2], block);
  OpFoldResult width = divideSize(e, s[3], block);
  x = node.reshape(x, {s[0], s[1], height, by, width, by});
  if (node.getString("mode", "DCR") == "CRD")
    x = node.transpose(x, {0, 1, 3, 5, 2, 4});
  else
    x = node.transpose(x, {0, 3, 5, 1, 2, 4});
  OpFoldResult channels =
      mulSizes(node.b, node.loc, s[1], node.index(block * block));
  return node.result(node.reshape(x, {s[0], channels, height, width}));
}

/// The same bits as another type of the same width.
static ImportResult importBitCast(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  Type element = node.inferredElementType(0);
  // A boolean is a byte.
  auto widthOf = [](Type type) {
    return type.isInteger(1) ? 8 : type.getIntOrFloatBitWidth();
  };
  if (!element || !element.isIntOrFloat() ||
      widthOf(element) != widthOf(node.elementType(x))) {
    node.error() << "expected types of equal width";
    return failure();
  }
  Type signless = element;
  if (auto integer = dyn_cast<IntegerType>(element))
    signless = node.b.getIntegerType(integer.getWidth());
  Value from = e.plain(x);
  Value result = e.generate(node.dims(x), signless, [&](ArrayRef<Num> at) {
    Num bits = e.load(from, at);
    if (bits.type().isInteger(1))
      bits = e.to(bits, node.b.getI8Type());
    if (signless.isInteger(1))
      return (e.num(node.b.createOrFold<arith::BitcastOp>(
                  node.loc, node.b.getI8Type(), bits.value)) != 0)
          .value;
    return node.b.createOrFold<arith::BitcastOp>(node.loc, signless,
                                                 bits.value);
  });
  return node.result(e.typed(result, element));
}

static OpRows rows{
    {"", "GatherElements", 11, importGatherElements},
    {"", "GatherND", 11, importGatherND},
    {"", "OneHot", 9, importOneHot},
    {"", "EyeLike", 9, importEyeLike},
    {"", "Trilu", 14, importTrilu},
    {"", "ReverseSequence", 10, importReverseSequence},
    {"", "DepthToSpace", 1, importDepthToSpace},
    {"", "SpaceToDepth", 1, importSpaceToDepth},
    {"", "BitCast", 26, importBitCast},
};
