// Attention on heads, and the rotation of their elements.

#include "passes/Import/Ops/Heads.h"
#include <limits>

using namespace mlir;
using namespace dlc;

Value dlc::splitHeads(NodeImport &node, Value x, int64_t heads,
                      StringRef name) {
  if (!x)
    return {};
  if (node.rank(x) != 3) {
    node.error() << "expected " << name << " of rank 3, found rank "
                 << node.rank(x);
    return {};
  }
  Emit e(node);
  Num hidden = e.index(node.dim(x, 2));
  OpFoldResult size = e.fold(hidden / double(heads));
  if (failed(node.expectEqual(
          mulSizes(node.b, node.loc, size, node.index(heads)), node.dim(x, 2),
          Twine("the last size of ") + name + " to be a multiple of the " +
              Twine(heads) + " heads")))
    return {};
  Value split = node.reshape(
      x, {node.dim(x, 0), node.dim(x, 1), node.index(heads), size});
  return split ? node.transpose(split, {0, 2, 1, 3}) : split;
}

Value dlc::mergeHeads(NodeImport &node, Value x) {
  Elements sizes = node.dims(x);
  return node.reshape(
      node.transpose(x, {0, 2, 1, 3}),
      {sizes[0], sizes[2], mulSizes(node.b, node.loc, sizes[1], sizes[3])});
}

/// The softmax of scores with one more column, which is left out again.
static Value softmaxWithSink(NodeImport &node, Value scores, Value sink) {
  Elements sizes = node.dims(scores), column = sizes;
  column[3] = node.index(1);
  Value beside =
      node.broadcast(node.reshape(sink, {node.index(1), sizes[1], node.index(1),
                                         node.index(1)}),
                     column);
  Value all = node.concat({scores, beside}, 3);
  if (!all)
    return {};
  return node.sliceAxis(node.infer<SoftmaxOp>(all, int64_t(3)), 3,
                        node.index(0), sizes[3]);
}

Attended dlc::attend(NodeImport &node, Value queries, Value keys, Value values,
                     const Scoring &scoring) {
  if (!queries || !keys || !values)
    return {};
  Elements sizes = node.dims(queries);
  OpFoldResult keyHeads = node.dim(keys, 1), total = node.dim(keys, 2);
  Type f32 = node.elementType(queries);
  Emit e(node);
  Num group = e.index(sizes[1]) / e.index(keyHeads);
  OpFoldResult rows = e.fold(group * e.index(sizes[2]));
  bool isGrouped = !areEqualSizes(keyHeads, sizes[1]);
  std::optional<int64_t> heads = getConstantIntValue(sizes[1]),
                         shared = getConstantIntValue(keyHeads);
  if (isGrouped && heads && shared && *shared > 0 && *heads % *shared == 0) {
    // As exporters write it: dlc-group-heads repeats nothing.
    for (Value *x : {&keys, &values}) {
      Elements one = node.dims(*x);
      one.insert(one.begin() + 2, node.index(1));
      Elements all = one, merged = node.dims(*x);
      all[2] = node.index(*heads / *shared);
      merged[1] = sizes[1];
      *x = node.reshape(node.broadcast(node.reshape(*x, one), all), merged);
    }
    isGrouped = false;
  }
  // Of unknown groups: their queries are more rows of one product.
  if (isGrouped)
    queries = node.reshape(queries, {sizes[0], keyHeads, rows, sizes[3]});
  Value scores = node.matmul(queries, node.transpose(keys, {0, 1, 3, 2}), f32);
  if (!scores)
    return {};
  if (isGrouped)
    scores = node.reshape(scores, {sizes[0], sizes[1], sizes[2], total});
  if (scoring.scale != 1)
    scores = node.map<MulOp>({scores, node.scalar(scoring.scale, f32)});
  if (scoring.cap) {
    Value cap = node.scalar(scoring.cap, f32);
    Value part = node.map<TanhOp>({node.map<DivOp>({scores, cap})});
    scores = node.map<MulOp>({part, cap});
  }
  if (scoring.bias)
    scores = node.map<AddOp>({scores, scoring.bias});
  if (!scores)
    return {};
  Attended result;
  result.scores = scores;
  Value weights = scoring.sink ? softmaxWithSink(node, scores, scoring.sink)
                               : node.infer<SoftmaxOp>(scores, int64_t(3));
  if (!weights)
    return {};
  result.weights = weights;
  if (isGrouped)
    weights = node.reshape(weights, {sizes[0], keyHeads, rows, total});
  Value y = node.matmul(weights, values, f32);
  if (y && isGrouped)
    y = node.reshape(y, {sizes[0], sizes[1], sizes[2], node.dim(values, 3)});
  result.y = y;
  return result;
}

Value dlc::maskScores(NodeImport &node, std::optional<unsigned> input,
                      bool isCausal, OpFoldResult batch, OpFoldResult length,
                      OpFoldResult total) {
  Value mask = input ? node.input(*input) : Value();
  if (!mask && !isCausal)
    return {};
  Emit e(node);
  Type f32 = node.b.getF32Type();
  int64_t rank = mask ? node.rank(mask) : 0;
  Num batches = e.index(batch);
  Num many = rank == 1 ? e.index(node.dim(mask, 0)) : e.index(1);
  if (mask && (rank < 1 || rank > 3)) {
    node.error() << "expected a mask of rank 1 to 3, found rank " << rank;
    return {};
  }
  // Numbers of keys; behind these the first keys, or what only other kernels
  // need (3 * batch + 2 numbers, of which the first are those of keys).
  if (rank == 1)
    e.check(many == batches || many == batches * 2 || many == batches * 3 + 2,
            "expected a mask of one or two numbers for each batch",
            /*status=*/0);
  else if (mask) {
    Elements wanted{batch, total};
    if (rank == 3)
      wanted.insert(wanted.begin() + 1, length);
    if (failed(
            node.expectShape(*input, wanted, "batch, (length,) total length")))
      return {};
  }
  Value plain = mask ? e.plain(mask) : mask;
  double hidden = node.getFloat("mask_filter_value", -10000);
  Num past = e.index(total) - e.index(length);
  return e.generate(
      {batch, node.index(1), length, total}, f32, [&](ArrayRef<Num> at) {
        Num sum = e.constant(0, f32), low = e.constant(hidden, f32);
        Num none = sum;
        auto isAbove0 = [&](ArrayRef<Num> place) {
          return e.toIndex(e.load(plain, place)) > 0;
        };
        if (rank == 1) {
          Num end = e.toIndex(e.load(plain, {at[0]}));
          Num has = many == batches * 2;
          Num second = e.select(has, at[0] + batches, at[0]);
          Num begin = e.toIndex(e.load(plain, {second}));
          begin = e.select(has, begin, e.index(0));
          sum = e.select(at[3] >= end || at[3] < begin, low, none);
        } else if (rank == 2) {
          sum = e.select(isAbove0({at[0], at[3]}), none, low);
        } else if (rank == 3) {
          sum = e.select(isAbove0({at[0], at[2], at[3]}), none, low);
        }
        // A key of the future never counts, be the others masked or not.
        Num lowest = e.constant(std::numeric_limits<float>::lowest(), f32);
        return isCausal ? e.select(at[3] > at[2] + past, lowest, sum) : sum;
      });
}

Value dlc::rotatePairs(NodeImport &node, Value x, Value cosines, Value sines,
                       bool isInterleaved) {
  int64_t last = node.rank(x) - 1;
  OpFoldResult pairs = node.dim(cosines, node.rank(cosines) - 1);
  OpFoldResult size = node.dim(x, last);
  OpFoldResult rotated = mulSizes(node.b, node.loc, pairs, node.index(2));
  Emit e(node);
  e.check(e.index(rotated) <= e.index(size),
          "expected no more pairs to rotate than the size of a head",
          /*status=*/0);
  Value head = node.sliceAxis(x, last, node.index(0), rotated);
  Value a, b;
  Elements split = node.dims(head);
  split.back() = pairs;
  if (isInterleaved) {
    split.push_back(node.index(2));
    Value two = node.reshape(head, split);
    split.pop_back();
    a = node.reshape(
        node.sliceAxis(two, last + 1, node.index(0), node.index(1)), split);
    b = node.reshape(
        node.sliceAxis(two, last + 1, node.index(1), node.index(1)), split);
  } else {
    a = node.sliceAxis(head, last, node.index(0), pairs);
    b = node.sliceAxis(head, last, pairs, pairs);
  }
  Value real = node.map<SubOp>(
      {node.map<MulOp>({a, cosines}), node.map<MulOp>({b, sines})});
  Value imaginary = node.map<AddOp>(
      {node.map<MulOp>({b, cosines}), node.map<MulOp>({a, sines})});
  if (!real || !imaginary)
    return {};
  Value turned;
  if (isInterleaved) {
    turned = node.concat({node.unsqueeze(real, {last + 1}),
                          node.unsqueeze(imaginary, {last + 1})},
                         last + 1);
    split.back() = rotated;
    turned = node.reshape(turned, split);
  } else {
    turned = node.concat({real, imaginary}, last);
  }
  if (areEqualSizes(rotated, size))
    return turned;
  OpFoldResult rest = e.fold(e.index(size) - e.index(rotated));
  return node.concat({turned, node.sliceAxis(x, last, rotated, rest)}, last);
}

Value dlc::gatherRows(NodeImport &node, Value x, Value indices) {
  Emit e(node);
  e.checkIndices(e.plain(indices), {e.index(node.dim(x, 0))});
  return node.infer<GatherOp>(x, indices, int64_t(0));
}
