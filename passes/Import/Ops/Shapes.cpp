// Operators that make, take apart and move tensors without computing.

#include "passes/Import/GraphImporter.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace dlc;

/// The axes of an input or (empty) the default; nullopt after an error.
static std::optional<SmallVector<int64_t>>
readAxes(NodeImport &node, unsigned input, int64_t rank) {
  std::optional<SmallVector<int64_t>> axes = node.constants(node.input(input));
  if (!axes) {
    node.error() << "expected constant axes, found values known at run time "
                    "only";
    return std::nullopt;
  }
  for (int64_t &axis : *axes)
    axis = node.normalizeAxis(axis, rank);
  if (node.hasFailed)
    return std::nullopt;
  return axes;
}

static Value sizeValue(NodeImport &node, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(node.b, node.loc, size);
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static ImportResult importConstant(NodeImport &node) {
  onnx::NodeOp op = node.node;
  if (ElementsAttr value = op.getTensor("value")) {
    if (!value.getElementType().isIntOrFloat()) {
      node.error() << "expected a constant of numbers, found "
                   << value.getElementType();
      return failure();
    }
    return node.result(node.constant(value));
  }
  if (op.hasAttribute("value_float"))
    return node.result(
        node.scalar(op.getFloat("value_float", 0), node.b.getF32Type()));
  if (op.hasAttribute("value_int"))
    return node.result(node.constant(DenseElementsAttr::get(
        RankedTensorType::get({}, node.b.getI64Type()),
        ArrayRef<int64_t>{op.getInt("value_int", 0)})));
  if (auto values = op.getFloats("value_floats"))
    return node.result(node.constant(DenseElementsAttr::get(
        RankedTensorType::get(values->size(), node.b.getF32Type()),
        ArrayRef<float>(*values))));
  if (auto values = op.getInts("value_ints"))
    return node.result(node.integers(*values));
  node.error() << "expected a constant of numbers, found another kind";
  return failure();
}

static ImportResult importConstantOfShape(NodeImport &node) {
  std::optional<Elements> sizes = node.elements(node.input(0), /*read=*/true);
  if (!sizes)
    return failure();
  Value value;
  if (ElementsAttr given = node.node.getTensor("value")) {
    value = node.constant(given);
    value = node.reshape(value, {});
  } else {
    value = node.scalar(0, node.b.getF32Type());
  }
  return node.result(node.broadcast(value, *sizes));
}

/// start, start + step, … below limit; of integers or floats.
static ImportResult importRange(NodeImport &node) {
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Value start = node.input(0), limit = node.input(1), step = node.input(2);
  Type element = node.elementType(start);
  auto read = [&](Value x) -> Value {
    return b.createOrFold<tensor::ExtractOp>(loc, x, ValueRange());
  };
  OpFoldResult count;
  std::optional<Elements> s = node.elements(start), l = node.elements(limit),
                          d = node.elements(step);
  if (s && l && d && getConstantIntValue(d->front()).value_or(0) != 0) {
    // ceil((limit - start) / step), 0 where that is negative
    Value span = b.createOrFold<arith::SubIOp>(loc, sizeValue(node, l->front()),
                                               sizeValue(node, s->front()));
    Value quotient = b.createOrFold<arith::CeilDivSIOp>(
        loc, span, sizeValue(node, d->front()));
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    count = b.createOrFold<arith::MaxSIOp>(loc, quotient, zero);
    if (std::optional<int64_t> constant = getConstantIntValue(count))
      count = node.index(*constant);
  } else if (isa<FloatType>(element) && node.constantFloat(start) &&
             node.constantFloat(limit) && node.constantFloat(step)) {
    double n = std::ceil((*node.constantFloat(limit) -
                          *node.constantFloat(start)) /
                         *node.constantFloat(step));
    count = node.index(std::max<int64_t>(0, int64_t(n)));
  } else {
    Value from = read(start), to = read(limit), by = read(step), n;
    if (isa<FloatType>(element)) {
      Type wide = b.getF64Type();
      auto widen = [&](Value x) -> Value {
        return x.getType() == wide
                   ? x
                   : Value(arith::ExtFOp::create(b, loc, wide, x));
      };
      Value quotient = arith::DivFOp::create(
          b, loc, arith::SubFOp::create(b, loc, widen(to), widen(from)),
          widen(by));
      Value zero = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0));
      Value one = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(1));
      quotient = arith::MaxNumFOp::create(b, loc, quotient, zero);
      // The ceiling: truncate, and add 1 where that is less.
      Value whole = arith::FPToSIOp::create(b, loc, b.getI64Type(), quotient);
      Value back = arith::SIToFPOp::create(b, loc, wide, whole);
      Value more = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT,
                                         back, quotient);
      (void)one;
      n = arith::AddIOp::create(
          b, loc, whole,
          arith::ExtUIOp::create(b, loc, b.getI64Type(), more));
    } else {
      // A step of 0 has no meaning; it gives no elements.
      Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(element, 0));
      Value one = arith::ConstantOp::create(b, loc, b.getIntegerAttr(element, 1));
      Value isZero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, by, zero);
      Value divisor = arith::SelectOp::create(b, loc, isZero, one, by);
      Value span = arith::SubIOp::create(b, loc, to, from);
      span = arith::SelectOp::create(b, loc, isZero, zero, span);
      n = arith::CeilDivSIOp::create(b, loc, span, divisor);
      n = arith::MaxSIOp::create(b, loc, n, zero);
    }
    count = arith::IndexCastOp::create(b, loc, b.getIndexType(), n).getResult();
  }
  std::optional<int64_t> constant = getConstantIntValue(count);
  SmallVector<Value> dynamic;
  if (!constant)
    dynamic.push_back(llvm::cast<Value>(count));
  auto type = RankedTensorType::get(
      constant ? *constant : ShapedType::kDynamic, element);
  Value from = read(start), by = read(step);
  auto generate = tensor::GenerateOp::create(
      b, loc, type, dynamic, [&](OpBuilder &b, Location loc, ValueRange at) {
        Value i = arith::IndexCastOp::create(b, loc, b.getI64Type(), at[0]);
        Value value;
        if (isa<FloatType>(element)) {
          Value x = arith::SIToFPOp::create(b, loc, element, i);
          value = arith::AddFOp::create(
              b, loc, from, arith::MulFOp::create(b, loc, x, by));
        } else {
          Value x = i;
          if (element.getIntOrFloatBitWidth() < 64)
            x = arith::TruncIOp::create(b, loc, element, i);
          value = arith::AddIOp::create(
              b, loc, from, arith::MulIOp::create(b, loc, x, by));
        }
        tensor::YieldOp::create(b, loc, value);
      });
  return node.result(generate.getResult());
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

static ImportResult importShape(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  auto bound = [&](StringRef name, int64_t otherwise) {
    int64_t at = node.getInt(name, otherwise);
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = bound("start", 0), end = bound("end", rank);
  Elements sizes = node.dims(x), chosen;
  for (int64_t i = start; i < end; ++i)
    chosen.push_back(sizes[i]);
  return node.result(node.fromElements(chosen, node.b.getI64Type()));
}

static ImportResult importSize(NodeImport &node) {
  OpFoldResult count = node.index(1);
  for (OpFoldResult size : node.dims(node.input(0)))
    count = mulSizes(node.b, node.loc, count, size);
  return node.result(
      node.fromElements(count, node.b.getI64Type(), /*isScalar=*/true));
}

static ImportResult importReshape(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Elements> sizes = node.elements(node.input(1), /*read=*/true);
  if (!sizes) {
    node.error() << "expected a shape of static length";
    return failure();
  }
  bool allowZero = node.getInt("allowzero", 0);
  Elements from = node.dims(x);
  int64_t inferred = -1;
  OpBuilder &b = node.b;
  Location loc = node.loc;
  OpFoldResult known = node.index(1);
  // Dimensions that cancel against the same one of x need not be divided.
  SmallVector<OpFoldResult> remaining = from;
  bool runTime = false;
  for (auto [i, size] : llvm::enumerate(*sizes)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (constant == 0 && !allowZero) {
      if (i >= from.size()) {
        node.error() << "expected a size other than 0 in dimension " << i
                     << " of a shape for an operand of rank " << from.size();
        return failure();
      }
      size = from[i];
    } else if (constant == -1) {
      if (inferred >= 0) {
        node.error() << "expected one size of -1, found two";
        return failure();
      }
      inferred = i;
      continue;
    } else if (!constant && !node.graph.getElements(node.input(1))) {
      runTime = true;
    }
    auto same = llvm::find_if(remaining, [&](OpFoldResult other) {
      return areEqualSizes(size, other);
    });
    if (same != remaining.end())
      remaining.erase(same);
    else
      known = mulSizes(b, loc, known, size);
  }
  if (runTime) {
    // Any size may be 0 or -1: decide at run time.
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value minusOne = arith::ConstantIndexOp::create(b, loc, -1);
    Value total = one, product = one;
    for (OpFoldResult size : from)
      total = arith::MulIOp::create(b, loc, total, sizeValue(node, size));
    SmallVector<Value> values;
    for (auto [i, size] : llvm::enumerate(*sizes)) {
      Value value = sizeValue(node, size);
      if (!allowZero && i < from.size()) {
        Value isZero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             value, zero);
        value = arith::SelectOp::create(b, loc, isZero,
                                        sizeValue(node, from[i]), value);
      }
      values.push_back(value);
      Value isInferred = arith::CmpIOp::create(
          b, loc, arith::CmpIPredicate::eq, value, minusOne);
      Value factor = arith::SelectOp::create(b, loc, isInferred, one, value);
      product = arith::MulIOp::create(b, loc, product, factor);
    }
    Value divisor = arith::MaxSIOp::create(b, loc, product, one);
    Value rest = arith::DivUIOp::create(b, loc, total, divisor);
    Value check = one;
    for (auto [i, value] : llvm::enumerate(values)) {
      Value isInferred = arith::CmpIOp::create(
          b, loc, arith::CmpIPredicate::eq, value, minusOne);
      Value size = arith::SelectOp::create(b, loc, isInferred, rest, value);
      check = arith::MulIOp::create(b, loc, check, size);
      (*sizes)[i] = size;
    }
    Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, check,
                                       total);
    cf::AssertOp::create(
        b, loc, fits,
        b.getStringAttr("expected a shape with as many elements as the operand"));
    return node.result(node.reshape(x, *sizes));
  }
  if (inferred >= 0) {
    OpFoldResult total = node.index(1);
    for (OpFoldResult size : remaining)
      total = mulSizes(b, loc, total, size);
    std::optional<int64_t> t = getConstantIntValue(total),
                           k = getConstantIntValue(known);
    if (t && k) {
      if (*k == 0 ? *t != 0 : *t % *k != 0) {
        node.error() << "expected a shape into which " << *t
                     << " elements fit, found a multiple of " << *k;
        return failure();
      }
      (*sizes)[inferred] = node.index(*k == 0 ? 0 : *t / *k);
    } else if (k == 1) {
      (*sizes)[inferred] = total;
    } else {
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      Value divisor = b.createOrFold<arith::MaxSIOp>(
          loc, sizeValue(node, known), one);
      (*sizes)[inferred] = b.createOrFold<arith::DivUIOp>(
          loc, sizeValue(node, total), divisor);
    }
  }
  return node.result(node.reshape(x, *sizes));
}

static ImportResult importFlatten(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x), axis = node.getInt("axis", 1);
  if (axis < -rank || axis > rank) {
    node.error() << "expected an axis in [" << -rank << ", " << rank
                 << "], found " << axis;
    return failure();
  }
  if (axis < 0)
    axis += rank;
  OpFoldResult rows = node.index(1), columns = node.index(1);
  for (auto [i, size] : llvm::enumerate(node.dims(x))) {
    OpFoldResult &part = int64_t(i) < axis ? rows : columns;
    part = mulSizes(node.b, node.loc, part, size);
  }
  return node.result(node.reshape(x, {rows, columns}));
}

static ImportResult importSqueeze(NodeImport &node) {
  Value x = node.input(0);
  SmallVector<int64_t> axes;
  if (node.hasInput(1)) {
    std::optional<SmallVector<int64_t>> given = readAxes(node, 1, node.rank(x));
    if (!given)
      return failure();
    axes = *given;
  } else {
    for (auto [i, size] : llvm::enumerate(node.type(x).getShape()))
      if (size == 1)
        axes.push_back(i);
  }
  for (int64_t axis : axes)
    if (int64_t size = node.type(x).getDimSize(axis);
        size != 1 && ShapedType::isStatic(size)) {
      node.error() << "expected size 1 in dimension " << axis << ", found "
                   << size;
      return failure();
    }
  return node.result(node.squeeze(x, axes));
}

static ImportResult importUnsqueeze(NodeImport &node) {
  Value x = node.input(0);
  std::optional<SmallVector<int64_t>> count = node.constants(node.input(1));
  if (!count) {
    node.error() << "expected constant axes";
    return failure();
  }
  std::optional<SmallVector<int64_t>> axes =
      readAxes(node, 1, node.rank(x) + count->size());
  if (!axes)
    return failure();
  llvm::sort(*axes);
  if (std::adjacent_find(axes->begin(), axes->end()) != axes->end()) {
    node.error() << "expected different axes";
    return failure();
  }
  return node.result(node.unsqueeze(x, *axes));
}

static ImportResult importTranspose(NodeImport &node) {
  Value x = node.input(0);
  std::optional<SmallVector<int64_t>> permutation = node.getInts("perm");
  if (!permutation) {
    permutation.emplace();
    for (int64_t i = node.rank(x) - 1; i >= 0; --i)
      permutation->push_back(i);
  }
  return node.result(node.transpose(x, *permutation));
}

static ImportResult importExpand(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Elements> sizes = node.elements(node.input(1), /*read=*/true);
  if (!sizes) {
    node.error() << "expected a shape of static length";
    return failure();
  }
  // The shape and x's shape broadcast against each other.
  Elements from = node.dims(x);
  size_t rank = std::max(from.size(), sizes->size());
  Elements result(rank, node.index(1));
  for (size_t i = 0; i < rank; ++i) {
    OpFoldResult have = i < from.size() ? from[from.size() - 1 - i]
                                        : OpFoldResult(node.index(1));
    OpFoldResult want = i < sizes->size() ? (*sizes)[sizes->size() - 1 - i]
                                          : OpFoldResult(node.index(1));
    OpFoldResult &out = result[rank - 1 - i];
    std::optional<int64_t> h = getConstantIntValue(have),
                           w = getConstantIntValue(want);
    if (h && w && *h != *w && *h != 1 && *w != 1) {
      node.error() << "expected a shape that broadcasts, found " << *w
                   << " against " << *h;
      return failure();
    }
    if (w == 1 || areEqualSizes(have, want))
      out = have;
    else if (h == 1 || w)
      out = want;
    else if (h)
      out = have;
    else {
      Value a = sizeValue(node, have), c = sizeValue(node, want);
      Value one = arith::ConstantIndexOp::create(node.b, node.loc, 1);
      Value isOne = arith::CmpIOp::create(node.b, node.loc,
                                          arith::CmpIPredicate::eq, a, one);
      out = arith::SelectOp::create(node.b, node.loc, isOne, c, a).getResult();
    }
  }
  return node.result(node.broadcast(x, result));
}

/// x repeated: a broadcast along new dimensions before each of x's, reshaped.
static ImportResult importTile(NodeImport &node) {
  Value x = node.input(0);
  std::optional<Elements> repeats = node.elements(node.input(1), /*read=*/true);
  if (!repeats || int64_t(repeats->size()) != node.rank(x)) {
    node.error() << "expected one repeat a dimension";
    return failure();
  }
  Elements from = node.dims(x), apart, repeated, result;
  for (auto [size, count] : llvm::zip(from, *repeats)) {
    apart.append({OpFoldResult(node.index(1)), size});
    repeated.append({count, size});
    result.push_back(mulSizes(node.b, node.loc, count, size));
  }
  Value wide = node.broadcast(node.reshape(x, apart), repeated);
  return node.result(node.reshape(wide, result));
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

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
    std::optional<Elements> given = node.elements(node.input(1), true);
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
  SmallVector<Value> results;
  OpFoldResult begin = node.index(0);
  for (OpFoldResult size : sizes) {
    results.push_back(node.sliceAxis(x, axis, begin, size));
    begin = addSizes(node.b, node.loc, begin, size);
  }
  if (std::optional<int64_t> end = getConstantIntValue(begin),
      all = getConstantIntValue(whole);
      end && all && *end != *all) {
    node.error() << "expected sizes that sum to " << *all << ", found " << *end;
    return failure();
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
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value fromEnd = b.createOrFold<arith::AddIOp>(loc, value, sizeValue(node, size));
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

static ImportResult importSlice(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  std::optional<Elements> starts = node.elements(node.input(1), true);
  std::optional<Elements> ends = node.elements(node.input(2), true);
  if (!starts || !ends || starts->size() != ends->size()) {
    node.error() << "expected as many starts as ends, of a static number";
    return failure();
  }
  SmallVector<int64_t> axes(llvm::to_vector(
      llvm::seq<int64_t>(0, starts->size())));
  if (node.hasInput(3)) {
    std::optional<SmallVector<int64_t>> given = readAxes(node, 3, rank);
    if (!given)
      return failure();
    axes = *given;
  }
  SmallVector<int64_t> steps(axes.size(), 1);
  if (node.hasInput(4)) {
    std::optional<SmallVector<int64_t>> given = node.constants(node.input(4));
    if (!given || given->size() != axes.size()) {
      node.error() << "expected constant steps, one an axis";
      return failure();
    }
    steps = *given;
  }
  if (axes.size() != starts->size()) {
    node.error() << "expected " << starts->size() << " axes, found "
                 << axes.size();
    return failure();
  }
  OpBuilder &b = node.b;
  Location loc = node.loc;
  Elements offsets(rank, node.index(0)), sizes = node.dims(x);
  SmallVector<int64_t> strides(rank, 1);
  for (auto [i, axis] : llvm::enumerate(axes)) {
    OpFoldResult whole = node.dim(x, axis);
    int64_t step = steps[i];
    if (step == 0) {
      node.error() << "expected steps other than 0";
      return failure();
    }
    // Forward: [begin, end) within [0, size]; backward: (end, begin] within
    // [-1, size - 1].
    bool forward = step > 0;
    OpFoldResult last = addSizes(b, loc, whole, node.index(-1));
    OpFoldResult begin = clampBound(node, (*starts)[i], whole, 0,
                                    forward ? whole : last);
    OpFoldResult end;
    if (std::optional<int64_t> at = getConstantIntValue((*ends)[i]);
        !forward && at && *at <= std::numeric_limits<int32_t>::min())
      end = node.index(-1);
    else
      end = clampBound(node, (*ends)[i], whole, forward ? 0 : -1,
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
    std::optional<int64_t> constant = getConstantIntValue(count);
    sizes[axis] = constant ? OpFoldResult(node.index(std::max<int64_t>(
                                 0, *constant)))
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
    int64_t at = constant->front() < 0 ? constant->front() + size
                                       : constant->front();
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

/// Negative amounts take away; the axes' input names those that are padded.
static ImportResult importPad(NodeImport &node) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  std::optional<Elements> pads = node.elements(node.input(1), true);
  SmallVector<int64_t> axes(llvm::to_vector(llvm::seq<int64_t>(0, rank)));
  if (node.hasInput(3)) {
    std::optional<SmallVector<int64_t>> given = readAxes(node, 3, rank);
    if (!given)
      return failure();
    axes = *given;
  }
  if (!pads || pads->size() != 2 * axes.size()) {
    node.error() << "expected " << 2 * axes.size()
                 << " pads, two a padded dimension";
    return failure();
  }
  Elements low(rank, node.index(0)), high = low;
  Elements cutBegin(rank, node.index(0)), cutSizes = node.dims(x);
  bool cuts = false;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    auto split = [&](OpFoldResult pad, OpFoldResult &added) -> int64_t {
      std::optional<int64_t> amount = getConstantIntValue(pad);
      if (!amount || *amount >= 0) {
        added = pad;
        return 0;
      }
      cuts = true;
      return -*amount;
    };
    int64_t before = split((*pads)[i], low[axis]);
    int64_t after = split((*pads)[axes.size() + i], high[axis]);
    cutBegin[axis] = node.index(before);
    cutSizes[axis] = addSizes(node.b, node.loc, cutSizes[axis],
                              node.index(-before - after));
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
  Value value;
  if (mode == PadMode::Constant) {
    value = node.input(2);
    value = value ? node.reshape(value, {}) : node.scalarLike(0, x);
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

/// In inference, the identity; the mask is all true.
static ImportResult importDropout(NodeImport &node) {
  Value x = node.input(0);
  if (Value training = node.input(2)) {
    std::optional<SmallVector<int64_t>> mode = node.constants(training);
    std::optional<double> ratio =
        node.hasInput(1) ? node.constantFloat(node.input(1)) : 0.5;
    if ((!mode || mode->front() != 0) && ratio != 0.0) {
      node.error() << "expected training_mode = false, found a mode that drops "
                      "elements at random";
      return failure();
    }
  }
  SmallVector<Value> results{x};
  if (node.numOutputs() > 1)
    results.push_back(node.broadcast(
        node.scalar(1, node.b.getI1Type()), node.dims(x)));
  return node.results(results);
}

static OpRows rows{
    {"", "Constant", 1, importConstant},
    {"", "ConstantOfShape", 9, importConstantOfShape},
    {"", "Range", 11, importRange},
    {"", "Shape", 1, importShape},
    {"", "Size", 1, importSize},
    {"", "Reshape", 5, importReshape},
    {"", "Flatten", 1, importFlatten},
    {"", "Squeeze", 13, importSqueeze},
    {"", "Unsqueeze", 13, importUnsqueeze},
    {"", "Transpose", 1, importTranspose},
    {"", "Expand", 8, importExpand},
    {"", "Tile", 6, importTile},
    {"", "Concat", 4, importConcat},
    {"", "Split", 13, importSplit},
    {"", "Slice", 10, importSlice},
    {"", "Gather", 1, importGather},
    {"", "Pad", 11, importPad},
    {"", "Dropout", 12, importDropout},
};
