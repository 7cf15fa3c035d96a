// Reductions, arg-reductions and softmax.

#include "passes/Import/Ops/Axes.h"

using namespace mlir;
using namespace dlc;

namespace {

/// A reduction's operand and axes. Where the axes are known at run time only,
/// each dimension of the operand becomes two, a kept and a reduced one: one of
/// them is 1, and the axes are the reduced ones.
struct Reduction {
  NodeImport &node;
  Value x = {};
  SmallVector<int64_t> axes = {};
  /// The result's sizes, where axes are known at run time only.
  std::optional<Elements> sizes = {};

  /// Reads the node. The axes are an input, an attribute (before opset 13 or
  /// 18), or all; none at all with noop_with_empty_axes.
  LogicalResult read() {
    x = node.input(0);
    int64_t rank = node.rank(x);
    if (node.hasInput(1)) {
      std::optional<SmallVector<int64_t>> known = knownAxes(node, 1, rank);
      if (!known)
        return failure(node.hasFailed || failed(split()));
      axes = *known;
    } else if (auto given = node.getInts("axes")) {
      for (int64_t axis : *given)
        axes.push_back(node.normalizeAxis(axis, rank));
    }
    if (axes.empty() && !isNoop())
      llvm::append_range(axes, llvm::seq<int64_t>(0, rank));
    return failure(node.hasFailed);
  }

  Value reduce(ReduceKind kind, Value x) { return node.reduce(kind, x, axes); }

  /// `reduced` in the shape of the result: the reduced dimensions are taken
  /// out unless keepdims says otherwise.
  ImportResult finish(Value reduced) {
    if (sizes)
      return node.result(node.reshape(reduced, *sizes));
    return node.result(keepsDims() ? reduced : node.squeeze(reduced, axes));
  }

private:
  bool isNoop() { return node.getInt("noop_with_empty_axes", 0); }
  bool keepsDims() { return node.getInt("keepdims", 1); }

  LogicalResult split() {
    Emit e(node);
    Elements from = node.dims(x), kept, parts;
    int64_t rank = from.size();
    std::optional<int64_t> count =
        keepsDims() ? 0 : countAxes(node, 1, rank, -1);
    if (!count)
      return failure();
    RunTimeAxes named(e, 1, rank);
    Num all = e.index(named.count) == 0 && e.flag(!isNoop());
    if (!keepsDims())
      named.expectCount(*count, /*orElse=*/all && e.flag(*count == rank));
    for (auto [i, dim] : llvm::enumerate(from)) {
      Num size = e.index(dim), one = e.index(1);
      Num isReduced = named.isNamed[i] || all;
      kept.push_back(e.select(isReduced, one, size).value);
      parts.append({kept.back(), e.select(isReduced, size, one).value});
      axes.push_back(2 * i + 1);
    }
    sizes = keepsDims() ? kept : named.sizesOfOthers(from, rank - *count);
    x = node.reshape(x, parts);
    return success();
  }
};

} // namespace

template <ReduceKind kind> static ImportResult importReduce(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  return r.finish(r.reduce(kind, r.x));
}

static ImportResult importReduceMean(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  Value sum = r.reduce(ReduceKind::Sum, r.x);
  Value count = node.countAlong(r.x, r.axes, node.elementType(r.x));
  return r.finish(node.map<DivOp>({sum, count}));
}

static ImportResult importReduceL1(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  return r.finish(r.reduce(ReduceKind::Sum, node.map<AbsOp>({r.x})));
}

template <bool root> static ImportResult importReduceSquares(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  Value sum = r.reduce(ReduceKind::Sum, node.map<MulOp>({r.x, r.x}));
  if (root) {
    Type type = node.elementType(r.x);
    sum =
        isa<FloatType>(type)
            ? node.map<SqrtOp>({sum})
            : node.cast(node.map<SqrtOp>({node.cast(sum, node.b.getF64Type())}),
                        type);
  }
  return r.finish(sum);
}

static ImportResult importReduceLogSum(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  Value sum = r.reduce(ReduceKind::Sum, r.x);
  Type type = node.elementType(sum);
  bool isInteger = isa<IntegerType>(type);
  if (isInteger)
    sum = node.cast(sum, node.b.getF64Type());
  return r.finish(node.cast(node.map<LogOp>({sum}), type));
}

/// max + log(sum(exp(x - max))); an infinite maximum is not subtracted.
static ImportResult importReduceLogSumExp(NodeImport &node) {
  Reduction r{node};
  if (failed(r.read()))
    return failure();
  Value x = r.x;
  Type type = node.elementType(x);
  bool isInteger = isa<IntegerType>(type);
  if (isInteger)
    x = node.cast(x, node.b.getF64Type());
  Value max = r.reduce(ReduceKind::Max, x);
  Value zero = node.scalarLike(0, x);
  max = node.map<SelectOp>({node.map<IsInfOp>({max}), zero, max});
  Value sum =
      r.reduce(ReduceKind::Sum, node.map<ExpOp>({node.map<SubOp>({x, max})}));
  Value result = node.map<AddOp>({node.map<LogOp>({sum}), max});
  if (isInteger)
    result = node.cast(result, type);
  return r.finish(result);
}

template <ReduceKind kind> static ImportResult importArg(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  if (failed(node.expectNotEmpty(node.dim(x, axis), "a dimension")))
    return failure();
  Value result = node.create<ArgReduceOp>(
      kind, x, axis, bool(node.getInt("select_last_index", 0)));
  bool keepsDims = node.getInt("keepdims", 1);
  return node.result(keepsDims ? result : node.squeeze(result, axis));
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
  Emit e(node);
  OpFoldResult size = node.dim(x, axis);
  Elements sizes(node.rank(x), node.index(1));
  sizes[axis] = size;
  Type i64 = node.b.getI64Type();
  Value positions = e.generate(
      size, i64, [&](ArrayRef<Num> at) -> Value { return e.to(at[0], i64); });
  Value index = node.reshape(positions, sizes);
  Value isBest = node.map<EqualOp>({best, index});
  return node.result(node.map<SelectOp>(
      {isBest, node.scalarLike(1, x), node.scalarLike(0, x)}));
}

static OpRows rows{
    {"", "ReduceSum", 1, importReduce<ReduceKind::Sum>},
    {"", "ReduceProd", 1, importReduce<ReduceKind::Prod>},
    {"", "ReduceMax", 1, importReduce<ReduceKind::Max>},
    {"", "ReduceMin", 1, importReduce<ReduceKind::Min>},
    {"", "ReduceMean", 1, importReduceMean, kComposition},
    {"", "ReduceL1", 1, importReduceL1, kComposition},
    {"", "ReduceL2", 1, importReduceSquares<true>, kComposition},
    {"", "ReduceSumSquare", 1, importReduceSquares<false>, kComposition},
    {"", "ReduceLogSum", 1, importReduceLogSum, kComposition},
    {"", "ReduceLogSumExp", 1, importReduceLogSumExp, kComposition},
    {"", "ArgMax", 1, importArg<ReduceKind::Max>},
    {"", "ArgMin", 1, importArg<ReduceKind::Min>},
    {"", "Softmax", 13, importSoftmax<false>},
    {"", "LogSoftmax", 13, importSoftmax<true>},
    {"", "Hardmax", 13, importHardmax},
};
