// com.microsoft's older copies of ONNX's operators, and its own on indices.

#include "passes/Import/Ops/Emit.h"
#include <limits>

using namespace mlir;
using namespace dlc;

/// ONNX took the operator over: inputs and attributes are the same.
static OpRow sameAs(StringRef name) {
  return {"com.microsoft", name, 1,
          [name](NodeImport &node) { return importAs(node, name); }};
}

static ImportResult importSample(NodeImport &node) {
  return node.result(node.input(0));
}

/// A dimension of size 1 more, at the axis in input 1.
static ImportResult importExpandDims(NodeImport &node) {
  Value x = node.input(0);
  std::optional<SmallVector<int64_t>> axis = node.constants(node.input(1));
  if (!axis || axis->size() != 1) {
    node.error() << "expected a constant axis";
    return failure();
  }
  int64_t at = node.normalizeAxis(axis->front(), node.rank(x) + 1);
  if (node.hasFailed)
    return failure();
  return node.result(node.unsqueeze(x, {at}));
}

/// The amounts may stand in one row.
static ImportResult importPad(NodeImport &node) {
  Value pads = node.input(1);
  if (node.rank(pads) == 2) {
    Elements sizes = node.dims(pads);
    if (failed(node.expectEqual(sizes[0], node.index(1), "one row of pads")))
      return failure();
    node.replaceInput(1, node.reshape(pads, {sizes[1]}));
  }
  return importAs(node, "Pad");
}

/// The default step is 1.
static ImportResult importRange(NodeImport &node) {
  if (!node.hasInput(2))
    node.replaceInput(2, node.scalarLike(1, node.input(0)));
  return importAs(node, "Range");
}

/// Windows of `size` elements along dimension `dim`, `step` apart, in a new
/// last dimension.
static ImportResult importUnfoldTensor(NodeImport &node) {
  Value x = node.input(0);
  int64_t dim = node.axis("dim", -1, x), step = node.getInt("step", 1);
  int64_t size = node.getInt("size", 0);
  if (node.hasFailed)
    return failure();
  if (size < 1 || step < 1) {
    node.error() << "expected size and step of 1 or more, found " << size
                 << " and " << step;
    return failure();
  }
  Emit e(node);
  Elements sizes = node.dims(x);
  Num whole = e.index(sizes[dim]);
  e.check(whole >= double(size), "expected a dimension of at least size",
          /*status=*/0);
  sizes[dim] = e.fold((whole - double(size)) / double(step) + 1);
  sizes.push_back(node.index(size));
  Value from = e.plain(x);
  Value y = e.generate(sizes, node.elementType(from), [&](ArrayRef<Num> at) {
    SmallVector<Num> place(at.drop_back());
    place[dim] = place[dim] * double(step) + at.back();
    return e.load(from, place);
  });
  return node.result(e.typed(y, node.elementType(x)));
}

/// Products of complex numbers in the last dimension, of size 2.
template <bool conjugate>
static ImportResult importComplexMul(NodeImport &node) {
  Value parts[2][2];
  for (unsigned i = 0; i < 2; ++i) {
    Value x = node.input(i);
    int64_t last = node.rank(x) - 1;
    if (last < 0 || failed(node.expectEqual(node.dim(x, last), node.index(2),
                                            "a last dimension of size 2"))) {
      if (!node.hasFailed && last < 0)
        node.error() << "expected operands of rank 1 or more";
      return failure();
    }
    for (unsigned k = 0; k < 2; ++k)
      parts[i][k] = node.sliceAxis(x, last, node.index(k), node.index(1));
  }
  auto [a, b] = parts[0];
  auto [c, d] = parts[1];
  if (conjugate)
    d = node.map<NegOp>({d});
  Value real =
      node.map<SubOp>({node.map<MulOp>({a, c}), node.map<MulOp>({b, d})});
  Value imaginary =
      node.map<AddOp>({node.map<MulOp>({a, d}), node.map<MulOp>({b, c})});
  if (!real || !imaginary)
    return failure();
  return node.result(node.concat({real, imaginary}, node.rank(real) - 1));
}

/// Scores of words that would repeat `ngram_size` words of the sequence become
/// -infinity.
static ImportResult importNGramRepeatBlock(NodeImport &node) {
  Emit e(node);
  Value ids = node.input(0), scores = node.input(1);
  int64_t size = node.getInt("ngram_size", 0);
  if (size < 1 || node.rank(ids) != 2 || node.rank(scores) != 2) {
    node.error() << "expected ngram_size of 1 or more and operands of rank 2";
    return failure();
  }
  Elements sizes = node.dims(scores), idSizes = node.dims(ids);
  if (failed(node.expectEqual(sizes[0], idSizes[0], "operands of one batch")))
    return failure();
  Value from = e.plain(ids);
  e.checkRange(from, e.index(0), e.index(sizes[1]) - 1,
               "expected words of the vocabulary");
  Num length = e.index(idSizes[1]), past = length - double(size - 1);
  Type element = node.elementType(scores);
  double least = -std::numeric_limits<double>::infinity();
  Num none = e.constant(least, element);
  Value y = e.loop(
      e.index(0), e.index(sizes[0]), e.head(scores, sizes),
      [&](Num b, ValueRange args) -> Emit::Values {
        return e.loop(
            e.index(0), past, args,
            [&](Num start, ValueRange into) -> Emit::Values {
              Num same = e.flag(true);
              for (int64_t i = 0; i + 1 < size; ++i)
                same = same && e.load(from, {b, start + double(i)}) ==
                                   e.load(from, {b, past + double(i)});
              Num word = e.toIndex(e.load(from, {b, start + double(size - 1)}));
              Num old = e.load(into[0], {b, word});
              return {e.store(e.select(same, none, old), into[0], {b, word})};
            });
      })[0];
  return node.result(y);
}

static OpRows rows{
    sameAs("Trilu"),
    sameAs("GatherND"),
    sameAs("GridSample"),
    {"com.microsoft", "Pad", 1, importPad},
    {"com.microsoft", "Range", 1, importRange},
    {"com.microsoft", "ExpandDims", 1, importExpandDims},
    {"com.microsoft", "SampleOp", 1, importSample},
    {"com.microsoft", "UnfoldTensor", 1, importUnfoldTensor},
    {"com.microsoft", "ComplexMul", 1, importComplexMul<false>},
    {"com.microsoft", "ComplexMulConj", 1, importComplexMul<true>},
    {"com.microsoft", "NGramRepeatBlock", 1, importNGramRepeatBlock},
};
