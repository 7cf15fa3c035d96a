// ai.onnx.ml: LabelEncoder and CategoryMapper, which map keys to values.

#include "passes/Import/Ops/Ml.h"

using namespace mlir;
using namespace dlc;

/// The strings of a tensor; nullopt for other elements.
static std::optional<SmallVector<StringRef>> stringsOf(ElementsAttr value) {
  auto strings = dyn_cast<DenseStringElementsAttr>(value);
  if (!strings)
    return std::nullopt;
  SmallVector<StringRef> texts(strings.getRawStringData());
  if (texts.size() == 1)
    texts.resize(value.getNumElements(), texts.front());
  return texts;
}

/// The keys of a LabelEncoder; empty where there are none.
static Keys readKeys(NodeImport &node) {
  Keys keys;
  if (auto names = node.node.getStrings("keys_strings")) {
    keys.strings = *names;
  } else if (auto numbers = node.getInts("keys_int64s")) {
    keys.integers = *numbers;
  } else if (auto numbers = node.node.getFloats("keys_floats")) {
    keys.numbers.assign(numbers->begin(), numbers->end());
  } else if (ElementsAttr tensor = node.node.getTensor("keys_tensor")) {
    if (auto names = stringsOf(tensor))
      keys.strings = *names;
    else if (auto numbers = numbersOf(tensor))
      keys.numbers = *numbers;
  }
  return keys;
}

/// A list of values and what stands for none of them, both constants.
struct Values {
  Value list, otherwise;
};

static std::optional<Values> readValues(NodeImport &node) {
  OpBuilder &b = node.b;
  auto countOf = [](const auto &list) { return int64_t(list.size()); };
  if (auto names = node.node.getStrings("values_strings"))
    return Values{
        node.strings(*names, countOf(*names)),
        node.strings(node.getString("default_string", "_Unused"), {})};
  if (auto numbers = node.getInts("values_int64s"))
    return Values{
        node.integers(*numbers),
        node.scalar(double(node.getInt("default_int64", -1)), b.getI64Type())};
  if (auto numbers = node.node.getFloats("values_floats")) {
    auto type = RankedTensorType::get(countOf(*numbers), b.getF32Type());
    return Values{
        node.constant(DenseElementsAttr::get(type, ArrayRef<float>(*numbers))),
        node.scalar(node.getFloat("default_float", -0.0), b.getF32Type())};
  }
  ElementsAttr tensor = node.node.getTensor("values_tensor");
  ElementsAttr given = node.node.getTensor("default_tensor");
  if (!tensor)
    return std::nullopt;
  if (auto names = stringsOf(tensor)) {
    StringRef otherwise = "_Unused";
    if (auto texts = given ? stringsOf(given) : std::nullopt;
        texts && texts->size() == 1)
      otherwise = texts->front();
    return Values{node.strings(*names, countOf(*names)),
                  node.strings(otherwise, {})};
  }
  Type element = tensor.getElementType();
  Value list = node.constant(tensor);
  list = node.reshape(list, node.index(tensor.getNumElements()));
  if (given && given.getElementType() == element && given.getNumElements() == 1)
    return Values{list, node.reshape(node.constant(given), {})};
  return Values{list,
                node.scalar(isa<FloatType>(element) ? -0.0 : -1.0, element)};
}

/// values[place of x among the keys], or the default.
static ImportResult mapValues(NodeImport &node, const Keys &keys,
                              std::optional<Values> values) {
  Emit e(node);
  Value x = node.input(0);
  if (!values || keys.size() == 0 ||
      node.type(values->list).getDimSize(0) != int64_t(keys.size())) {
    node.error() << "expected as many values as keys";
    return failure();
  }
  Value places = findKeys(node, x, keys);
  if (!places)
    return failure();
  Type element = node.elementType(values->list);
  Value list = e.plain(values->list), otherwise = e.plain(values->otherwise);
  Value result = e.generate(
      node.dims(x), node.elementType(list), [&](ArrayRef<Num> at) -> Value {
        Num place = e.load(places, at);
        return e
            .select(place >= 0, e.load(list, e.max(place, 0)),
                    e.load(otherwise, {}))
            .value;
      });
  return node.result(e.typed(result, element));
}

static ImportResult importLabelEncoder(NodeImport &node) {
  return mapValues(node, readKeys(node), readValues(node));
}

/// Names to numbers, or back.
static ImportResult importCategoryMapper(NodeImport &node) {
  auto names = node.node.getStrings("cats_strings");
  auto numbers = node.getInts("cats_int64s");
  if (!names || !numbers || names->size() != numbers->size()) {
    node.error() << "expected as many cats_strings as cats_int64s";
    return failure();
  }
  int64_t count = names->size();
  Keys keys;
  if (isa<StringType>(node.elementType(node.input(0)))) {
    keys.strings = *names;
    return mapValues(
        node, keys,
        Values{node.integers(*numbers),
               node.scalar(double(node.getInt("default_int64", -1)),
                           node.b.getI64Type())});
  }
  keys.integers = *numbers;
  return mapValues(
      node, keys,
      Values{node.strings(*names, count),
             node.strings(node.getString("default_string", "_Unused"), {})});
}

static OpRows rows{
    {"ai.onnx.ml", "LabelEncoder", 2, importLabelEncoder},
    {"ai.onnx.ml", "CategoryMapper", 1, importCategoryMapper},
};
