// ai.onnx.ml: ZipMap, DictVectorizer and CastMap, whose inputs or outputs are
// maps.

#include "passes/Import/Ops/Ml.h"
#include "passes/Import/Ops/Strings.h"

using namespace mlir;
using namespace dlc;

/// Scores [rows, classes], or those of one row, as a map of each row from the
/// classes' labels.
static ImportResult importZipMap(NodeImport &node) {
  auto names = node.node.getStrings("classlabels_strings");
  auto numbers = node.getInts("classlabels_int64s");
  if (!names == !numbers) {
    node.error() << "expected either classlabels_strings or "
                    "classlabels_int64s";
    return failure();
  }
  int64_t count = names ? names->size() : numbers->size();
  Type f32 = node.b.getF32Type();
  Value x = node.input(0);
  if (node.elementType(x) != f32) {
    node.error() << "expected X of floats, found " << node.type(x);
    return failure();
  }
  x = matrixInput(node, f32);
  if (!x || failed(node.expectEqual(node.dim(x, 1), node.index(count),
                                    "X of " + Twine(count) +
                                        " columns, one for each class label")))
    return failure();
  Value keys = names ? node.strings(*names, count) : node.integers(*numbers);
  Type type = MapType::get(node.b.getContext(), node.elementType(keys), f32);
  return node.result(MapsOp::create(node.b, node.loc, type, keys, x));
}

namespace {

/// The keys and values of input 0, of one length.
struct MapParts {
  Value keys, values;

  static std::optional<MapParts> read(NodeImport &node) {
    auto type = dyn_cast<MapType>(node.input(0).getType());
    if (!type) {
      node.error() << "expected X to be a map, found "
                   << node.node.getInput(0).getType();
      return std::nullopt;
    }
    auto list = [](Type element) {
      return RankedTensorType::get({ShapedType::kDynamic}, element);
    };
    return MapParts{MapKeysOp::create(node.b, node.loc, list(type.getKeyType()),
                                      node.input(0)),
                    MapValuesOp::create(node.b, node.loc,
                                        list(type.getValueType()),
                                        node.input(0))};
  }
};

} // namespace

/// [1, size] of `otherwise`, a plain scalar, with values[i] at places(i) where
/// that is inside.
static Value placeValues(Emit &e, Value values, OpFoldResult size,
                         Num otherwise, function_ref<Num(Num)> place) {
  NodeImport &node = e.node;
  Value read = e.plain(values);
  Num zero = e.index(int64_t(0)), end = e.index(size);
  return e.loop(
      zero, e.index(node.dim(values, 0)),
      e.filled({node.index(1), size}, otherwise),
      [&](Num i, ValueRange args) -> Emit::Values {
        Num to = place(i);
        return e.ifThen(to >= 0 && to < end, args, [&]() -> Emit::Values {
          return {e.store(e.load(read, {i}), args[0], {zero, to})};
        });
      })[0];
}

/// The values of the vocabulary's keys in its order, 0 or "" for those that
/// the map does not have.
static ImportResult importDictVectorizer(NodeImport &node) {
  std::optional<MapParts> map = MapParts::read(node);
  auto names = node.node.getStrings("string_vocabulary");
  auto numbers = node.getInts("int64_vocabulary");
  if (!map)
    return failure();
  if (!names == !numbers) {
    node.error() << "expected either a string_vocabulary or an "
                    "int64_vocabulary";
    return failure();
  }
  Keys keys;
  if (names)
    keys.strings = *names;
  else
    keys.integers = *numbers;
  Value places = findKeys(node, map->keys, keys);
  if (!places)
    return failure();
  Emit e(node);
  Type element = node.elementType(map->values);
  // The address 0 is the empty string.
  Num otherwise = e.constant(0, node.elementType(e.plain(map->values)));
  Value result = placeValues(e, map->values, node.index(keys.size()), otherwise,
                             [&](Num i) { return e.load(places, {i}); });
  return node.result(e.typed(result, element));
}

/// Floats as strings with six decimals, as ONNX Runtime writes them here.
static Value writeNumbers(Emit &e, Value x) {
  OpBuilder &b = e.b;
  Type index = b.getIndexType();
  Value read = e.plain(e.node.cast(x, b.getF32Type()));
  Value result =
      e.generateInLoops(e.node.dims(x), index, [&](ArrayRef<Num> at) -> Value {
        return e
            .callFor(index, "string_from_float",
                     {e.toDouble(e.load(read, at)).value,
                      e.constant(0, b.getI32Type()).value})
            .value;
      });
  return e.typed(result, StringType::get(b.getContext()));
}

/// The values in the order of their keys; with SPARSE the keys are their
/// places.
static ImportResult importCastMap(NodeImport &node) {
  std::optional<MapParts> map = MapParts::read(node);
  if (!map)
    return failure();
  OpBuilder &b = node.b;
  StringRef to = node.getString("cast_to", "TO_FLOAT"),
            form = node.getString("map_form", "DENSE");
  Type type = to == "TO_FLOAT"    ? Type(b.getF32Type())
              : to == "TO_INT64"  ? Type(b.getI64Type())
              : to == "TO_STRING" ? Type(StringType::get(b.getContext()))
                                  : Type();
  if (!type || (form != "DENSE" && form != "SPARSE")) {
    node.error() << "expected cast_to of TO_FLOAT, TO_INT64 or TO_STRING and "
                    "a map_form of DENSE or SPARSE, found '"
                 << to << "' and '" << form << "'";
    return failure();
  }
  if (!node.elementType(map->keys).isInteger(64)) {
    node.error() << "expected keys that are integers";
    return failure();
  }
  Type from = node.elementType(map->values);
  Emit e(node);
  Value values;
  if (isa<StringType>(from) || !isa<StringType>(type))
    values = isa<StringType>(from) ? castStrings(node, map->values, type)
                                   : node.cast(map->values, type);
  else
    values = writeNumbers(e, map->values);
  if (!values)
    return failure();
  Value keys = e.plain(map->keys);
  if (form == "DENSE") {
    OpFoldResult count = node.dim(keys, 0);
    Value order = e.sorted(e.index(count), [&](Num i, Num j) {
      return e.load(keys, {i}) < e.load(keys, {j});
    });
    Value read = e.plain(values);
    Value result =
        e.generate({node.index(1), count}, node.elementType(read),
                   [&](ArrayRef<Num> at) -> Value {
                     return e.load(read, {e.load(order, {at[1]})}).value;
                   });
    return node.result(e.typed(result, type));
  }
  int64_t size = node.getInt("max_map", 1);
  if (size < 1) {
    node.error() << "expected a max_map of 1 or more, found " << size;
    return failure();
  }
  e.checkRange(keys, e.constant(0, b.getI64Type()),
               e.constant(9.2e18, b.getI64Type()),
               "expected keys of 0 or more");
  // What ONNX Runtime puts in the place of keys that are not there.
  Num otherwise = isa<StringType>(type)
                      ? e.load(e.plain(node.strings({"0.f"}, {})), {})
                      : e.constant(0, type);
  Value result =
      placeValues(e, values, node.index(size), otherwise,
                  [&](Num i) { return e.toIndex(e.load(keys, {i})); });
  return node.result(e.typed(result, type));
}

static OpRows rows{
    {"ai.onnx.ml", "ZipMap", 1, importZipMap},
    {"ai.onnx.ml", "DictVectorizer", 1, importDictVectorizer},
    {"ai.onnx.ml", "CastMap", 1, importCastMap},
};
