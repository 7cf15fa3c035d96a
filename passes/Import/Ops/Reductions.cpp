// Reductions, arg-reductions and softmax.

#include "passes/Import/OpTable.h"

using namespace mlir;
using namespace dlc;

/// The axes of a reduction: an input, an attribute (before opset 13 or 18), or
/// all; none at all with noop_with_empty_axes. Nullopt after an error.
static std::optional<SmallVector<int64_t>> readReducedAxes(NodeImport &node) {
  Value x = node.input(0);
  SmallVector<int64_t> axes;
  if (node.hasInput(1)) {
    std::optional<SmallVector<int64_t>> given = node.constants(node.input(1));
    // An input of length 0 reduces all, whatever its values are.
    if (!given && node.type(node.input(1)).getNumElements() == 0 &&
        node.type(node.input(1)).hasStaticShape())
      given.emplace();
    if (!given) {
      node.error() << "expected constant axes, found values known at run time "
                      "only";
      return std::nullopt;
    }
    axes = *given;
  } else if (std::optional<SmallVector<int64_t>> given = node.getInts("axes")) {
    axes = *given;
  }
  for (int64_t &axis : axes)
    axis = node.normalizeAxis(axis, node.rank(x));
  if (node.hasFailed)
    return std::nullopt;
  if (axes.empty() && !node.getInt("noop_with_empty_axes", 0))
    llvm::append_range(axes, llvm::seq<int64_t>(0, node.rank(x)));
  return axes;
}

/// Takes the reduced dimensions out unless keepdims says otherwise.
static Value finish(NodeImport &node, Value x, ArrayRef<int64_t> axes) {
  return node.getInt("keepdims", 1) ? x : node.squeeze(x, axes);
}

template <ReduceKind kind> static ImportResult importReduce(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  return node.result(finish(node, node.reduce(kind, node.input(0), *axes), *axes));
}

static ImportResult importReduceMean(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  Value x = node.input(0);
  Value sum = node.reduce(ReduceKind::Sum, x, *axes);
  Value count = node.countAlong(x, *axes, node.elementType(x));
  return node.result(finish(node, node.map<DivOp>({sum, count}), *axes));
}

static ImportResult importReduceL1(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  Value x = node.map<AbsOp>({node.input(0)});
  return node.result(finish(node, node.reduce(ReduceKind::Sum, x, *axes), *axes));
}

template <bool root> static ImportResult importReduceSquares(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  Value x = node.input(0);
  Value sum = node.reduce(ReduceKind::Sum, node.map<MulOp>({x, x}), *axes);
  if (root) {
    Type type = node.elementType(x);
    sum = isa<FloatType>(type)
              ? node.map<SqrtOp>({sum})
              : node.cast(node.map<SqrtOp>({node.cast(sum, node.b.getF64Type())}),
                          type);
  }
  return node.result(finish(node, sum, *axes));
}

static ImportResult importReduceLogSum(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  Value sum = node.reduce(ReduceKind::Sum, node.input(0), *axes);
  return node.result(finish(node, node.map<LogOp>({sum}), *axes));
}

/// max + log(sum(exp(x - max))); an infinite maximum is not subtracted.
static ImportResult importReduceLogSumExp(NodeImport &node) {
  std::optional<SmallVector<int64_t>> axes = readReducedAxes(node);
  if (!axes)
    return failure();
  Value x = node.input(0);
  Type type = node.elementType(x);
  bool isInteger = isa<IntegerType>(type);
  if (isInteger)
    x = node.cast(x, node.b.getF64Type());
  Value max = node.reduce(ReduceKind::Max, x, *axes);
  Value zero = node.scalarLike(0, x);
  max = node.map<SelectOp>({node.map<IsInfOp>({max}), zero, max});
  Value sum = node.reduce(ReduceKind::Sum,
                          node.map<ExpOp>({node.map<SubOp>({x, max})}), *axes);
  Value result = node.map<AddOp>({node.map<LogOp>({sum}), max});
  if (isInteger)
    result = node.cast(result, type);
  return node.result(finish(node, result, *axes));
}

template <ReduceKind kind> static ImportResult importArg(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  Value result = node.create<ArgReduceOp>(
      kind, x, axis, bool(node.getInt("select_last_index", 0)));
  return node.result(finish(node, result, axis));
}

template <bool logarithm> static ImportResult importSoftmax(NodeImport &node) {
  Value x = node.input(0);
  if (node.rank(x) == 0)
    return node.result(logarithm ? node.scalarLike(0, x)
                                 : node.scalarLike(1, x));
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  return node.result(node.create<SoftmaxOp>(x, axis, logarithm));
}

/// 1 at the first maximum, 0 elsewhere.
static ImportResult importHardmax(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", -1, x);
  if (node.hasFailed)
    return failure();
  Value best = node.create<ArgReduceOp>(ReduceKind::Max, x, axis, false);
  int64_t size = node.type(x).getDimSize(axis);
  if (ShapedType::isDynamic(size)) {
    node.error() << "expected a static size along the axis, found a dynamic one";
    return failure();
  }
  SmallVector<int64_t> positions = llvm::to_vector(llvm::seq<int64_t>(0, size));
  Elements sizes(node.rank(x), node.index(1));
  sizes[axis] = node.index(size);
  Value index = node.reshape(node.integers(positions), sizes);
  Value isBest = node.map<EqualOp>({best, index});
  return node.result(node.map<SelectOp>(
      {isBest, node.scalarLike(1, x), node.scalarLike(0, x)}));
}

static OpRows rows{
    {"", "ReduceSum", 1, importReduce<ReduceKind::Sum>},
    {"", "ReduceProd", 1, importReduce<ReduceKind::Prod>},
    {"", "ReduceMax", 1, importReduce<ReduceKind::Max>},
    {"", "ReduceMin", 1, importReduce<ReduceKind::Min>},
    {"", "ReduceMean", 1, importReduceMean},
    {"", "ReduceL1", 1, importReduceL1},
    {"", "ReduceL2", 1, importReduceSquares<true>},
    {"", "ReduceSumSquare", 1, importReduceSquares<false>},
    {"", "ReduceLogSum", 1, importReduceLogSum},
    {"", "ReduceLogSumExp", 1, importReduceLogSumExp},
    {"", "ArgMax", 1, importArg<ReduceKind::Max>},
    {"", "ArgMin", 1, importArg<ReduceKind::Min>},
    {"", "Softmax", 13, importSoftmax<false>},
    {"", "LogSoftmax", 13, importSoftmax<true>},
    {"", "Hardmax", 13, importHardmax},
};
