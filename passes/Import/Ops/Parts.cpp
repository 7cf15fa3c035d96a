// Operators that put tensors together, take parts of them and pad them.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/IndexRange.h"
#include "passes/Import/Ops/Axes.h"

using namespace mlir;
using namespace dlc;

static Value sizeValue(NodeImport &node, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(node.b, node.loc, size);
}

static ImportResult importConcat(NodeImport &node) {
  SmallVector<Value> inputs;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    inputs.push_back(node.input(i));
  if (inputs.empty())
    return failure();
  int64_t axis = node.axis("axis", 0, inputs[0]);
  return node.result(node.concat(inputs, axis));
}

static ImportResult importSplit(NodeImport &node) {
  Value x = node.input(0);
  int64_t axis = node.axis("axis", 0, x), parts = node.numOutputs();
  if (node.hasFailed)
    return failure();
  OpFoldResult whole = node.dim(x, axis);
  Elements sizes;
  if (node.hasInput(1)) {
    std::optional<Elements> given = node.elements(node.input(1), true, parts);
    if (!given || int64_t(given->size()) != parts) {
      node.error() << "expected " << parts << " sizes, one an output";
      return failure();
    }
    sizes = *given;
  } else {
    // Equal parts, the last one smaller when they do not divide.
    Value size = sizeValue(node, whole);
    Value count = arith::ConstantIndexOp::create(node.b, node.loc, parts);
    Value part = node.b.createOrFold<arith::CeilDivUIOp>(node.loc, size, count);
    OpFoldResult each = part;
    if (std::optional<int64_t> constant = getConstantIntValue(part))
      each = node.index(*constant);
    sizes.assign(parts, each);
    Value before = node.b.createOrFold<arith::MulIOp>(
        node.loc, part,
        arith::ConstantIndexOp::create(node.b, node.loc, parts - 1));
    Value last = node.b.createOrFold<arith::SubIOp>(node.loc, size, before);
    sizes.back() = last;
    if (std::optional<int64_t> constant = getConstantIntValue(last))
      sizes.back() = node.index(*constant);
  }
  Emit e(node);
  Num sum = e.index(int64_t(0)), areSizes = e.flag(true);
  for (OpFoldResult size : sizes) {
    areSizes = areSizes && e.index(size) >= 0;
    sum = sum + e.index(size);
  }
  Num fits = areSizes && sum == e.index(whole);
  if (isConstantIntValue(fits.value, 0)) {
    node.error() << "expected sizes of parts that sum to that of the whole";
    return failure();
  }
  e.check(fits, "expected sizes of parts that sum to that of the whole");
  SmallVector<Value> results;
  OpFoldResult begin = node.index(0);
  for (OpFoldResult size : sizes) {
    results.push_back(node.sliceAxis(x, axis, begin, size));
    begin = addSizes(node.b, node.loc, begin, size);
  }
  return node.results(results);
}

/// One bound of a slice: a negative one counts from the end; clamped to
/// [low, high].
static OpFoldResult clampBound(NodeImport &node, OpFoldResult bound,
                               OpFoldResult size, int64_t low,
                               OpFoldResult high) {
  std::optional<int64_t> at = getConstantIntValue(bound),
                         whole = getConstantIntValue(size),
                         top = getConstantIntValue(high);
  if (at && whole && top)
    return node.index(
        std::clamp<int64_t>(*at < 0 ? *at + *whole : *at, low, *top));
  if (at == 0 && low == 0)
    return node.index(0);
  // An end far behind every size is the size.
  if (at && *at >= std::numeric_limits<int32_t>::max())
    return high;
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Value value = sizeValue(node, bound);
  // A size counts from the front: as many of them, or all there are.
  if (low <= 0 && getIndexRange(bound, /*wraps=*/false).low >= 0 &&
      getIndexRange(high, /*wraps=*/false).low >= 0)
    return areEqualSizes(bound, high)
               ? high
               : OpFoldResult(b.createOrFold<arith::MinSIOp>(
                     loc, value, sizeValue(node, high)));
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value fromEnd =
      b.createOrFold<arith::AddIOp>(loc, value, sizeValue(node, size));
  Value isNegative = b.createOrFold<arith::CmpIOp>(
      loc, arith::CmpIPredicate::slt, value, zero);
  value = b.createOrFold<arith::SelectOp>(loc, isNegative, fromEnd, value);
  value = b.createOrFold<arith::MinSIOp>(loc, value, sizeValue(node, high));
  value = b.createOrFold<arith::MaxSIOp>(
      loc, value, arith::ConstantIndexOp::create(b, loc, low));
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return node.index(*constant);
  return value;
}

namespace {

/// What a slice takes of one dimension; null bounds take all of it.
struct SliceRange {
  OpFoldResult begin, end;
  OpFoldResult step;
};

} // namespace

namespace {

/// A list, a plain tensor, of one number an axis from `first` on.
struct AxisList {
  Value list;
  Num first;
};

} // namespace

/// What the lists say of each dimension where `axes` names it, or is null and
/// they are those from 0 on; else what `values` has. The run knows how many
/// there are: `count`. Dimensions of the first list come first.
static SmallVector<Num> readByAxis(Emit &e, Value axes, Num count,
                                   ArrayRef<AxisList> lists,
                                   ArrayRef<Num> values) {
  int64_t rank = int64_t(values.size() / lists.size());
  Num most = e.index(kLargestSize);
  auto body = [&](Num i, ValueRange carried) -> Emit::Values {
    Num axis = axes ? e.toIndex(e.load(axes, i)) : i;
    axis = e.wrapIndex(axis, e.index(rank));
    Emit::Values next;
    for (auto [k, list] : llvm::enumerate(lists)) {
      Num value = e.toIndex(e.load(list.list, list.first + i));
      value = e.clamp(value, most * -1, most);
      for (int64_t dim = 0; dim < rank; ++dim)
        next.push_back(e.select(axis == dim, value,
                                e.num(carried[int64_t(k) * rank + dim]))
                           .value);
    }
    return next;
  };
  Emit::Values inits(values.begin(), values.end());
  SmallVector<Num> result;
  for (Value value : e.loop(e.index(int64_t(0)), count, inits, body))
    result.push_back(e.num(value));
  return result;
}

/// The ranges of a slice along a number of axes that only the run knows.
static std::optional<SmallVector<SliceRange>>
readRangesAtRunTime(NodeImport &node) {
  Emit e(node);
  int64_t rank = node.rank(node.input(0));
  OpFoldResult count = node.dim(node.input(1), 0);
  for (unsigned i : {2, 3, 4})
    if (node.hasInput(i) &&
        (node.rank(node.input(i)) != 1 ||
         failed(node.expectEqual(node.dim(node.input(i), 0), count,
                                 "as many " + Twine(node.inputName(i)) +
                                     " as starts"))))
      return std::nullopt;
  e.check(e.index(count) <= double(rank),
          "expected no more starts than dimensions");
  if (node.hasInput(3))
    RunTimeAxes(e, 3, rank); // checks them
  SmallVector<AxisList> lists;
  SmallVector<Num> values(rank, e.index(int64_t(0)));
  llvm::append_range(values, e.indices(node.dims(node.input(0))));
  for (unsigned i : {1, 2, 4})
    if (node.hasInput(i))
      lists.push_back({e.plain(node.input(i)), e.index(int64_t(0))});
  if (node.hasInput(4))
    values.append(rank, e.index(1));
  Value axes = node.hasInput(3) ? e.plain(node.input(3)) : Value();
  values = readByAxis(e, axes, e.index(count), lists, values);
  SmallVector<SliceRange> ranges;
  for (int64_t dim = 0; dim < rank; ++dim)
    ranges.push_back({values[dim].value, values[rank + dim].value,
                      node.hasInput(4)
                          ? OpFoldResult(values[2 * rank + dim].value)
                          : node.index(1)});
  return ranges;
}

/// The ranges that a slice takes of each dimension; nullopt after an error.
static std::optional<SmallVector<SliceRange>> readRanges(NodeImport &node) {
  int64_t rank = node.rank(node.input(0));
  // As many as one of the lists tells.
  std::optional<int64_t> expected;
  for (unsigned i = 1; i < 5; ++i)
    if (Value list = node.input(i);
        list && node.rank(list) == 1 && node.type(list).hasStaticShape())
      expected = node.type(list).getDimSize(0);
  if (!expected && node.rank(node.input(1)) == 1 &&
      !node.elements(node.input(1), true))
    return readRangesAtRunTime(node);
  std::optional<Elements> starts = node.elements(node.input(1), true, expected);
  std::optional<Elements> ends = node.elements(node.input(2), true, expected);
  if (!starts || !ends || starts->size() != ends->size()) {
    node.error() << "expected as many starts as ends, of a static number";
    return std::nullopt;
  }
  size_t count = starts->size();
  Elements steps(count, node.index(1));
  if (node.hasInput(4)) {
    std::optional<Elements> given = node.elements(node.input(4), true, count);
    if (!given || given->size() != count) {
      node.error() << "expected " << count << " steps, one a start";
      return std::nullopt;
    }
    steps = *given;
  }
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, count));
  SmallVector<SliceRange> ranges(rank, {{}, {}, node.index(1)});
  if (node.hasInput(3)) {
    std::optional<SmallVector<int64_t>> known = knownAxes(node, 3, rank);
    if (node.hasFailed)
      return std::nullopt;
    if (!known) {
      Emit e(node);
      RunTimeAxes named(e, 3, rank);
      if (named.list.size() != count) {
        node.error() << "expected " << count << " axes, one a start";
        return std::nullopt;
      }
      bool stepsAreOne = llvm::all_of(
          steps, [](OpFoldResult step) { return isConstantIntValue(step, 1); });
      SmallVector<Num> begins = e.indices(*starts), stops = e.indices(*ends),
                       by = e.indices(steps);
      for (auto [dim, range] : llvm::enumerate(ranges)) {
        range.begin = named.choose(dim, begins, e.index(int64_t(0))).value;
        range.end =
            named.choose(dim, stops, e.index(node.dim(node.input(0), dim)))
                .value;
        if (!stepsAreOne)
          range.step = named.choose(dim, by, e.index(1)).value;
      }
      return ranges;
    }
    axes = *known;
  }
  if (axes.size() != count ||
      llvm::any_of(axes, [&](int64_t axis) { return axis >= rank; })) {
    node.error() << "expected " << count << " axes, found " << axes.size();
    return std::nullopt;
  }
  for (auto [i, axis] : llvm::enumerate(axes))
    ranges[axis] = {(*starts)[i], (*ends)[i], steps[i]};
  return ranges;
}

/// A slice with steps known at run time only: first element, step and number
/// of elements of each dimension are computed, then the elements picked.
static ImportResult sliceAtRunTime(NodeImport &node,
                                   ArrayRef<SliceRange> ranges) {
  Emit e(node);
  Value x = e.plain(node.input(0));
  SmallVector<Num> firsts, steps;
  Elements sizes;
  Num areGood = e.flag(true);
  for (auto [dim, range] : llvm::enumerate(ranges)) {
    Num size = e.index(node.dim(x, dim)), zero = size.like(0);
    if (!range.begin) {
      firsts.push_back(zero);
      steps.push_back(size.like(1));
      sizes.push_back(size.value);
      continue;
    }
    Num step = e.index(range.step);
    Num forward = step > 0;
    areGood = areGood && step != 0;
    auto bound = [&](OpFoldResult given, Num lowest) {
      Num at = e.index(given);
      at = e.select(at < 0, at + size, at);
      return e.clamp(at, lowest, e.select(forward, size, size - 1));
    };
    Num begin = bound(range.begin, zero);
    Num end = bound(range.end, e.select(forward, zero, zero - 1));
    Num distance = e.select(forward, end - begin, begin - end);
    Num stride = e.abs(step);
    // An empty dimension has nothing to begin with.
    Num count = (e.max(distance, 0) + stride - 1) / stride;
    firsts.push_back(begin);
    steps.push_back(step);
    sizes.push_back(e.min(count, size).value);
  }
  e.check(areGood, "expected steps other than 0");
  Value result = e.generate(sizes, node.elementType(x), [&](ArrayRef<Num> at) {
    SmallVector<Num> source;
    for (auto [i, first, step] : llvm::zip(at, firsts, steps))
      source.push_back(first + i * step);
    return e.load(x, source);
  });
  return node.result(e.typed(result, node.elementType(node.input(0))));
}

static ImportResult importSlice(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  std::optional<SmallVector<SliceRange>> ranges = readRanges(node);
  if (!ranges)
    return failure();
  if (llvm::any_of(*ranges, [](const SliceRange &range) {
        return !getConstantIntValue(range.step);
      }))
    return sliceAtRunTime(node, *ranges);
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Elements offsets(rank, node.index(0)), sizes = node.dims(x);
  SmallVector<int64_t> strides(rank, 1);
  for (auto [axis, range] : llvm::enumerate(*ranges)) {
    if (!range.begin)
      continue;
    OpFoldResult whole = node.dim(x, axis);
    int64_t step = *getConstantIntValue(range.step);
    if (step == 0) {
      node.error() << "expected steps other than 0";
      return failure();
    }
    // Forward: [begin, end) within [0, size]; backward: (end, begin] within
    // [-1, size - 1].
    bool forward = step > 0;
    OpFoldResult last = addSizes(b, loc, whole, node.index(-1));
    OpFoldResult begin =
        clampBound(node, range.begin, whole, 0, forward ? whole : last);
    OpFoldResult end;
    if (std::optional<int64_t> at = getConstantIntValue(range.end);
        !forward && at && *at <= std::numeric_limits<int32_t>::min())
      end = node.index(-1);
    else
      end = clampBound(node, range.end, whole, forward ? 0 : -1,
                       forward ? whole : last);
    Value span =
        forward ? b.createOrFold<arith::SubIOp>(loc, sizeValue(node, end),
                                                sizeValue(node, begin))
                : b.createOrFold<arith::SubIOp>(loc, sizeValue(node, begin),
                                                sizeValue(node, end));
    Value stride = arith::ConstantIndexOp::create(b, loc, std::abs(step));
    Value count = span;
    if (std::abs(step) != 1)
      count = b.createOrFold<arith::CeilDivSIOp>(loc, span, stride);
    bool startsAtZero = getConstantIntValue(begin) == 0;
    if (!(forward && startsAtZero))
      count = b.createOrFold<arith::MaxSIOp>(
          loc, count, arith::ConstantIndexOp::create(b, loc, 0));
    // An empty dimension has no last element to begin with.
    if (!forward && getConstantIntValue(whole).value_or(0) == 0)
      count =
          b.createOrFold<arith::MinSIOp>(loc, count, sizeValue(node, whole));
    std::optional<int64_t> constant = getConstantIntValue(count);
    sizes[axis] =
        constant ? OpFoldResult(node.index(std::max<int64_t>(0, *constant)))
                 : OpFoldResult(count);
    offsets[axis] = constant == 0 ? OpFoldResult(node.index(0)) : begin;
    strides[axis] = step;
  }
  return node.result(node.slice(x, offsets, sizes, strides));
}

static ImportResult importGather(NodeImport &node) {
  Value x = node.input(0), indices = node.input(1);
  int64_t axis = node.axis("axis", 0, x);
  if (node.hasFailed)
    return failure();
  // One known position is a slice.
  std::optional<SmallVector<int64_t>> constant = node.constants(indices);
  int64_t size = node.type(x).getDimSize(axis);
  if (constant && constant->size() == 1 &&
      (constant->front() >= 0 || ShapedType::isStatic(size))) {
    int64_t at =
        constant->front() < 0 ? constant->front() + size : constant->front();
    if (at < 0 || (ShapedType::isStatic(size) && at >= size)) {
      node.error() << "expected an index in [" << -size << ", " << size
                   << "), found " << constant->front();
      return failure();
    }
    if (ShapedType::isStatic(size)) {
      Value part = node.sliceAxis(x, axis, node.index(at), node.index(1));
      Elements sizes;
      for (auto [i, dim] : llvm::enumerate(node.dims(x))) {
        if (int64_t(i) == axis)
          sizes.append(node.rank(indices), OpFoldResult(node.index(1)));
        else
          sizes.push_back(dim);
      }
      return node.result(node.reshape(part, sizes));
    }
  }
  return node.result(node.create<GatherOp>(x, indices, axis));
}

/// The amounts before and after each dimension; nullopt after an error.
static std::optional<std::pair<Elements, Elements>> readPads(NodeImport &node) {
  int64_t rank = node.rank(node.input(0));
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::optional<RunTimeAxes> named;
  Emit e(node);
  if (node.hasInput(3)) {
    std::optional<SmallVector<int64_t>> known = knownAxes(node, 3, rank);
    if (node.hasFailed)
      return std::nullopt;
    if (known)
      axes = *known;
    else
      named.emplace(e, 3, rank);
  }
  if (named && !getConstantIntValue(named->count)) {
    Value pads = e.plain(node.input(1)), list = e.plain(node.input(3));
    Num count = e.index(named->count), zero = e.index(int64_t(0));
    if (failed(node.expectEqual(node.dim(pads, 0), e.fold(count * 2),
                                "two pads an axis")))
      return std::nullopt;
    SmallVector<Num> values =
        readByAxis(e, list, count, {{pads, zero}, {pads, count}},
                   SmallVector<Num>(2 * rank, zero));
    Elements amounts(llvm::map_range(values, [&](Num n) { return e.fold(n); }));
    return std::pair(Elements(ArrayRef(amounts).take_front(rank)),
                     Elements(ArrayRef(amounts).drop_front(rank)));
  }
  size_t count = named ? named->list.size() : axes.size();
  std::optional<Elements> pads = node.elements(node.input(1), true, 2 * count);
  if (!pads || pads->size() != 2 * count) {
    node.error() << "expected " << 2 * count << " pads, two a padded dimension";
    return std::nullopt;
  }
  Elements low(rank, node.index(0)), high = low;
  auto [before, after] = std::pair(ArrayRef(*pads).take_front(count),
                                   ArrayRef(*pads).drop_front(count));
  for (size_t i = 0; !named && i < count; ++i) {
    low[axes[i]] = before[i];
    high[axes[i]] = after[i];
  }
  for (int64_t dim = 0; named && dim < rank; ++dim) {
    Num none = e.index(int64_t(0));
    low[dim] = named->choose(dim, e.indices(before), none).value;
    high[dim] = named->choose(dim, e.indices(after), none).value;
  }
  return std::pair(low, high);
}

/// Negative amounts take away; the axes' input names those that are padded.
static ImportResult importPad(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  auto pads = readPads(node);
  if (!pads)
    return failure();
  auto [low, high] = *pads;
  Elements cutBegin(rank, node.index(0)), cutSizes = node.dims(x);
  bool cuts = false;
  for (int64_t dim = 0; dim < rank; ++dim) {
    // Leaves of `pad` what is added, and returns what is taken away.
    auto split = [&](OpFoldResult &pad) -> OpFoldResult {
      std::optional<int64_t> amount = getConstantIntValue(pad);
      OpFoldResult cut;
      if (amount) {
        cut = node.index(std::max<int64_t>(-*amount, 0));
        pad = node.index(std::max<int64_t>(*amount, 0));
      } else {
        Num given = e.index(pad);
        cut = e.max(given.like(0) - given, 0).value;
        pad = e.max(given, 0).value;
      }
      cuts |= !isConstantIntValue(cut, 0);
      return cut;
    };
    cutBegin[dim] = split(low[dim]);
    OpFoldResult after = split(high[dim]);
    if (isConstantIntValue(cutBegin[dim], 0) && isConstantIntValue(after, 0))
      continue;
    Num size = e.index(cutSizes[dim]) - e.index(cutBegin[dim]) - e.index(after);
    std::optional<int64_t> constant = getConstantIntValue(size.value);
    if (constant && *constant < 0) {
      node.error() << "expected pads that leave a size of 0 or more, found "
                   << *constant << " in dimension " << dim;
      return failure();
    }
    if (!constant)
      e.check(size >= 0, "expected pads that leave a size of 0 or more");
    cutSizes[dim] = constant ? OpFoldResult(node.index(*constant))
                             : OpFoldResult(size.value);
  }
  if (cuts)
    x = node.slice(x, cutBegin, cutSizes, SmallVector<int64_t>(rank, 1));
  StringRef modeName = node.getString("mode", "constant");
  PadMode mode;
  if (modeName == "constant")
    mode = PadMode::Constant;
  else if (modeName == "edge")
    mode = PadMode::Edge;
  else if (modeName == "reflect")
    mode = PadMode::Reflect;
  else if (modeName == "wrap")
    mode = PadMode::Wrap;
  else {
    node.error() << "expected the mode constant, edge, reflect or wrap, found '"
                 << modeName << "'";
    return failure();
  }
  if (!x)
    return failure();
  // What is repeated has to be there; a reflection repeats each element but
  // the border's once.
  for (int64_t dim = 0; dim < rank && mode != PadMode::Constant; ++dim) {
    if (isConstantIntValue(low[dim], 0) && isConstantIntValue(high[dim], 0))
      continue;
    bool reflects = mode == PadMode::Reflect;
    Num most = e.max(e.index(low[dim]), e.index(high[dim]));
    Num size = e.index(node.dim(x, dim));
    Num fits = most == 0 || (reflects ? most < size : size > 0);
    const char *message =
        reflects ? "expected pads smaller than the reflected dimension"
                 : "expected a padded dimension that is not empty";
    if (isConstantIntValue(fits.value, 0)) {
      node.error() << message;
      return failure();
    }
    e.check(fits, message);
  }
  Value value;
  if (mode == PadMode::Constant) {
    value = node.input(2);
    Value none = isa<StringType>(node.elementType(x)) ? node.strings({""}, {})
                                                      : node.scalarLike(0, x);
    value = value ? node.reshape(value, {}) : none;
  }
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < rank; ++i) {
    std::optional<int64_t> a = getConstantIntValue(low[i]),
                           c = getConstantIntValue(high[i]);
    int64_t size = node.type(x).getDimSize(i);
    shape.push_back(a && c && ShapedType::isStatic(size)
                        ? size + *a + *c
                        : ShapedType::kDynamic);
  }
  auto [staticLow, dynamicLow] = decomposeMixedValues(low);
  auto [staticHigh, dynamicHigh] = decomposeMixedValues(high);
  return node.result(node.create<PadOp>(
      RankedTensorType::get(shape, node.elementType(x)), x, value, dynamicLow,
      dynamicHigh, staticLow, staticHigh, mode));
}

static OpRows rows{
    {"", "Concat", 4, importConcat}, {"", "Split", 13, importSplit},
    {"", "Slice", 10, importSlice},  {"", "Gather", 1, importGather},
    {"", "Pad", 11, importPad},
};
