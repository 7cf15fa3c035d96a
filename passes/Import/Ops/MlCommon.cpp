// What the operators of ai.onnx.ml share.

#include "lib/Codegen/ElementBytes.h"
#include "passes/Import/Ops/Ml.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

std::optional<SmallVector<double>> dlc::numbersOf(ElementsAttr value) {
  Type type = value.getElementType();
  if (!type.isIntOrFloat() || type.getIntOrFloatBitWidth() % 8)
    return std::nullopt;
  std::vector<char> storage;
  ArrayRef<char> bytes = getElementData(value, storage);
  unsigned width = type.getIntOrFloatBitWidth();
  int64_t count = value.getNumElements();
  if (int64_t(bytes.size()) < count * (width / 8) || width > 64)
    return std::nullopt;
  SmallVector<double> numbers;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * (width / 8), width / 8);
    llvm::APInt raw = llvm::APInt(64, bits).trunc(width);
    if (auto floatType = dyn_cast<FloatType>(type)) {
      llvm::APFloat number(floatType.getFloatSemantics(), raw);
      bool losesInfo;
      number.convert(llvm::APFloat::IEEEdouble(),
                     llvm::APFloat::rmNearestTiesToEven, &losesInfo);
      numbers.push_back(number.convertToDouble());
    } else {
      numbers.push_back(type.isUnsignedInteger() ? double(raw.getZExtValue())
                                                 : double(raw.getSExtValue()));
    }
  }
  return numbers;
}

std::optional<SmallVector<double>> dlc::readNumbers(NodeImport &node,
                                                    StringRef name) {
  if (auto floats = node.node.getFloats(name))
    return SmallVector<double>(floats->begin(), floats->end());
  if (auto ints = node.getInts(name))
    return SmallVector<double>(ints->begin(), ints->end());
  for (std::string key : {name.str(), (name + "_as_tensor").str()})
    if (ElementsAttr value = node.node.getTensor(key))
      return numbersOf(value);
  return std::nullopt;
}

Value dlc::numberTable(NodeImport &node, ArrayRef<double> values,
                       ArrayRef<int64_t> shape, Type type) {
  SmallVector<Attribute> elements;
  for (double value : values)
    elements.push_back(
        isa<FloatType>(type)
            ? Attribute(node.b.getFloatAttr(type, value))
            : Attribute(node.b.getIntegerAttr(type, int64_t(value))));
  return node.constant(
      DenseElementsAttr::get(RankedTensorType::get(shape, type), elements));
}

//===----------------------------------------------------------------------===//
// Matrices, labels and scores
//===----------------------------------------------------------------------===//

Value dlc::matrixInput(NodeImport &node, Type type) {
  Value x = node.input(0);
  if (!node.elementType(x).isIntOrFloat() || node.rank(x) < 1 ||
      node.rank(x) > 2) {
    node.error() << "expected X of numbers and of rank 1 or 2, found "
                 << node.type(x);
    return {};
  }
  if (node.rank(x) == 1)
    x = node.unsqueeze(x, {0});
  return node.cast(x, type);
}

Type dlc::scoreType(NodeImport &node, Value x) {
  return node.elementType(x).isF64() ? Type(node.b.getF64Type())
                                     : Type(node.b.getF32Type());
}

Value dlc::readLabels(NodeImport &node) {
  if (auto names = node.node.getStrings("classlabels_strings");
      names && !names->empty())
    return node.strings(*names, int64_t(names->size()));
  for (StringRef name : {"classlabels_int64s", "classlabels_ints"})
    if (auto labels = node.getInts(name); labels && !labels->empty())
      return node.integers(*labels);
  node.error() << "expected class labels";
  return {};
}

Value dlc::takeLabels(NodeImport &node, Value table, Value positions) {
  return node.infer<GatherOp>(table, positions, int64_t(0));
}

Value dlc::chooseLabel(NodeImport &node, Value table, Value condition,
                       int64_t ifTrue, int64_t ifFalse) {
  auto label = [&](int64_t at) {
    return node.squeeze(node.sliceAxis(table, 0, node.index(at), node.index(1)),
                        {0});
  };
  return node.map<SelectOp>({condition, label(ifTrue), label(ifFalse)});
}

Value dlc::largestOfRow(NodeImport &node, Value scores) {
  Value place =
      node.infer<ArgReduceOp>(ReduceKind::Max, scores, int64_t(1), false);
  return place ? node.squeeze(place, {1}) : Value();
}

/// sqrt(2) times Winitzki's approximation of the inverse error function, as
/// ONNX Runtime and ONNX's reference have it.
static Value probit(NodeImport &node, Value p) {
  Type type = node.elementType(p);
  auto number = [&](double value) { return node.scalar(value, type); };
  auto add = [&](Value a, Value c) { return node.map<AddOp>({a, c}); };
  auto mul = [&](Value a, Value c) { return node.map<MulOp>({a, c}); };
  auto sub = [&](Value a, Value c) { return node.map<SubOp>({a, c}); };
  Value x = sub(mul(number(2), p), number(1));
  Value isNegative = node.map<LessOp>({x, number(0)});
  Value sign = node.map<SelectOp>({isNegative, number(-1), number(1)});
  Value log = node.map<LogOp>({mul(sub(number(1), x), add(number(1), x))});
  Value v = add(number(2 / (3.14159 * 0.147)), mul(number(0.5), log));
  Value root = node.map<SqrtOp>({sub(mul(v, v), mul(number(1 / 0.147), log))});
  Value inverse = node.map<SqrtOp>({sub(root, v)});
  return mul(number(std::sqrt(2.0)), mul(sign, inverse));
}

/// Softmax in which scores of 0 stay nearly so.
static Value softmaxZero(NodeImport &node, Value x) {
  Value zero = node.scalarLike(0, x), tiny = node.scalarLike(1e-7, x);
  Value most = node.reduce(ReduceKind::Max, x, {1});
  Value power = node.map<ExpOp>({node.map<SubOp>({x, most})});
  Value counts = node.map<LessOp>({tiny, node.map<AbsOp>({x})});
  Value sum = node.reduce(ReduceKind::Sum,
                          node.map<SelectOp>({counts, power, zero}), {1});
  Value factor = node.map<ExpOp>({node.map<NegOp>({most})});
  Value other = node.map<MulOp>({x, factor});
  return node.map<DivOp>({node.map<SelectOp>({counts, power, other}), sum});
}

Value dlc::applyPostTransform(NodeImport &node, Value scores, StringRef name) {
  if (!scores || name == "NONE")
    return scores;
  if (name == "LOGISTIC")
    return node.map<SigmoidOp>({scores});
  if (name == "SOFTMAX")
    return node.infer<SoftmaxOp>(scores, int64_t(1));
  if (name == "SOFTMAX_ZERO")
    return softmaxZero(node, scores);
  if (name == "PROBIT")
    return probit(node, scores);
  node.error() << "expected the post_transform NONE, LOGISTIC, SOFTMAX, "
                  "SOFTMAX_ZERO or PROBIT, found '"
               << name << "'";
  return {};
}

Value dlc::secondScore(NodeImport &node, Value score, bool isMixed) {
  Value other = node.map<NegOp>({score});
  if (node.getString("post_transform", "NONE") == "LOGISTIC") {
    score = node.map<SigmoidOp>({score});
    other = node.map<SigmoidOp>({other});
  } else if (!isMixed) {
    other = node.map<SubOp>({node.scalarLike(1, score), score});
  }
  return node.concat({other, score}, 1);
}

//===----------------------------------------------------------------------===//
// Keys
//===----------------------------------------------------------------------===//

/// The order of `keys`, without those that came before.
template <typename T> static SmallVector<int64_t> sortKeys(ArrayRef<T> keys) {
  SmallVector<int64_t> order =
      llvm::to_vector(llvm::seq<int64_t>(0, keys.size()));
  llvm::stable_sort(order,
                    [&](int64_t i, int64_t j) { return keys[i] < keys[j]; });
  order.erase(
      llvm::unique(order,
                   [&](int64_t i, int64_t j) { return keys[i] == keys[j]; }),
      order.end());
  return order;
}

/// Binary search in a sorted table without branches: the place of `x`, or -1.
static Num search(Emit &e, Value table, int64_t count, Num x) {
  Num place = e.index(int64_t(0)), last = e.index(count - 1);
  for (int64_t step = llvm::bit_floor(uint64_t(count)); step; step /= 2) {
    Num next = place + step;
    Num before = e.load(table, e.min(next - 1, last));
    place = e.select(next <= count && before < x, next, place);
  }
  Num found = e.load(table, e.min(place, last));
  return e.select(place < count && found == x, place, e.index(-1));
}

Value dlc::findKeys(NodeImport &node, Value x, const Keys &keys) {
  Emit e(node);
  OpBuilder &b = node.b;
  Type element = node.elementType(x), index = b.getIndexType();
  Elements sizes = node.dims(x);
  bool isString = isa<StringType>(element);
  if (isString != !keys.strings.empty() ||
      (!isString && !element.isIntOrFloat()) || keys.size() == 0) {
    node.error() << "expected keys of the type of X, " << element;
    return {};
  }
  SmallVector<int64_t> order;
  Value places;
  if (isString) {
    order = sortKeys(ArrayRef(keys.strings));
    SmallVector<StringRef> sorted;
    for (int64_t i : order)
      sorted.push_back(keys.strings[i]);
    Value table = e.plain(node.strings(sorted, int64_t(sorted.size())));
    Value read = e.plain(x);
    places = e.generateInLoops(sizes, index, [&](ArrayRef<Num> at) {
      return e.callFor(index, "string_find", {e.load(read, at).value, table})
          .value;
    });
  } else {
    bool isFloat = isa<FloatType>(element);
    Type wide = isFloat ? Type(b.getF64Type()) : Type(b.getI64Type());
    SmallVector<double> numbers(keys.numbers);
    for (int64_t key : keys.integers)
      numbers.push_back(double(key));
    int64_t nan = -1;
    Value table;
    int64_t count;
    if (isFloat) {
      // NaN has no place in an order.
      SmallVector<int64_t> numbered;
      SmallVector<double> finite, sorted;
      for (auto [i, key] : llvm::enumerate(numbers)) {
        if (std::isnan(key)) {
          nan = nan < 0 ? int64_t(i) : nan;
          continue;
        }
        numbered.push_back(i);
        finite.push_back(key);
      }
      for (int64_t i : sortKeys(ArrayRef(finite))) {
        order.push_back(numbered[i]);
        sorted.push_back(finite[i]);
      }
      count = sorted.size();
      table = numberTable(node, sorted, count, wide);
    } else {
      SmallVector<int64_t> integers(keys.integers), sorted;
      for (double key : keys.numbers)
        integers.push_back(int64_t(key));
      order = sortKeys(ArrayRef(integers));
      for (int64_t i : order)
        sorted.push_back(integers[i]);
      count = sorted.size();
      table = node.integers(sorted);
    }
    if (nan >= 0)
      order.push_back(nan);
    Value read = e.plain(node.cast(x, wide));
    places = e.generate(sizes, index, [&](ArrayRef<Num> at) -> Value {
      Num key = e.load(read, at);
      Num place = count ? search(e, table, count, key) : e.index(-1);
      if (nan >= 0)
        place = e.select(key == key, place, e.index(int64_t(order.size()) - 1));
      return place.value;
    });
  }
  Value numbers = node.integers(order);
  return e.generate(sizes, index, [&](ArrayRef<Num> at) -> Value {
    Num place = e.load(places, at);
    Num number = e.toIndex(e.load(numbers, e.max(place, 0)));
    return e.select(place >= 0, number, place).value;
  });
}
