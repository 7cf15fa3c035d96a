// ai.onnx.ml: operators that prepare features.

#include "passes/Import/Ops/Ml.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// A list of one number, or of one for each of x's last dimension.
static FailureOr<Value> perFeature(NodeImport &node, Value x, StringRef name,
                                   ArrayRef<double> values, Type type) {
  if (values.size() == 1)
    return numberTable(node, values, {}, type);
  int64_t count = values.size();
  if (node.rank(x) == 0 ||
      failed(node.expectEqual(node.dim(x, node.rank(x) - 1), node.index(count),
                              name + " of one number, or one a feature")))
    return failure();
  return numberTable(node, values, count, type);
}

static LogicalResult expectNumbers(NodeImport &node, unsigned i) {
  if (node.elementType(node.input(i)).isIntOrFloat())
    return success();
  node.error() << "expected numbers, found " << node.type(node.input(i));
  return failure();
}

/// (x - offset) * scale
static ImportResult importScaler(NodeImport &node) {
  if (failed(expectNumbers(node, 0)))
    return failure();
  Type f32 = node.b.getF32Type();
  Value x = node.cast(node.input(0), f32);
  for (StringRef name : {"offset", "scale"}) {
    std::optional<SmallVector<double>> values = readNumbers(node, name);
    if (!values || values->empty())
      continue;
    FailureOr<Value> table = perFeature(node, x, name, *values, f32);
    if (failed(table))
      return failure();
    x = name == "offset" ? node.map<SubOp>({x, *table})
                         : node.map<MulOp>({x, *table});
  }
  return node.result(x);
}

/// Each row divided by a norm of it; rows of 0 stay.
static ImportResult importNormalizer(NodeImport &node) {
  if (failed(expectNumbers(node, 0)))
    return failure();
  Value x = node.cast(node.input(0), node.b.getF32Type());
  if (node.rank(x) < 1) {
    node.error() << "expected X of rank 1 or more, found rank 0";
    return failure();
  }
  int64_t axis = node.rank(x) - 1;
  StringRef name = node.getString("norm", "MAX");
  Value norm;
  if (name == "MAX")
    norm = node.reduce(ReduceKind::Max, x, axis);
  else if (name == "L1")
    norm = node.reduce(ReduceKind::Sum, node.map<AbsOp>({x}), axis);
  else if (name == "L2")
    norm = node.map<SqrtOp>(
        {node.reduce(ReduceKind::Sum, node.map<MulOp>({x, x}), axis)});
  if (!norm) {
    if (!node.hasFailed)
      node.error() << "expected the norm MAX, L1 or L2, found '" << name << "'";
    return failure();
  }
  Value isZero = node.map<EqualOp>({norm, node.scalarLike(0, norm)});
  Value safe = node.map<SelectOp>({isZero, node.scalarLike(1, norm), norm});
  return node.result(node.map<DivOp>({x, safe}));
}

/// 1 above the threshold, 0 elsewhere.
static ImportResult importBinarizer(NodeImport &node) {
  if (failed(expectNumbers(node, 0)))
    return failure();
  Value x = node.input(0);
  Type type = node.elementType(x), wide = type;
  // The threshold need not be one of the type's numbers.
  if (!isa<FloatType>(type))
    wide = type.getIntOrFloatBitWidth() > 16 ? Type(node.b.getF64Type())
                                             : Type(node.b.getF32Type());
  Value threshold = node.scalar(node.getFloat("threshold", 0), wide);
  Value above = node.map<LessOp>({threshold, node.cast(x, wide)});
  return node.result(node.cast(above, type));
}

/// Columns of the last dimension; of one row where X has one dimension.
static ImportResult importArrayFeatureExtractor(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0), indices = node.input(1);
  if (node.rank(x) < 1) {
    node.error() << "expected X of rank 1 or more, found rank 0";
    return failure();
  }
  OpFoldResult count = node.index(1);
  for (OpFoldResult size : node.dims(indices))
    count = mulSizes(node.b, node.loc, count, size);
  indices = node.reshape(indices, count);
  int64_t axis = node.rank(x) - 1;
  Num size = e.index(node.dim(x, axis));
  e.checkRange(e.plain(indices), e.to(e.index(int64_t(0)), node.b.getI64Type()),
               e.to(size - 1, node.b.getI64Type()),
               "expected indices of features of X");
  if (axis == 0)
    x = node.unsqueeze(x, {0});
  return node.result(
      node.infer<GatherOp>(x, indices, std::max<int64_t>(axis, 1)));
}

/// Inputs beside each other as f32, each cut or filled with 0 to its size of
/// `inputdimensions`.
static ImportResult importFeatureVectorizer(NodeImport &node) {
  SmallVector<int64_t> widths =
      node.getInts("inputdimensions").value_or(SmallVector<int64_t>());
  if (widths.size() != node.numInputs()) {
    node.error() << "expected " << node.numInputs()
                 << " inputdimensions, found " << widths.size();
    return failure();
  }
  Emit e(node);
  Type f32 = node.b.getF32Type();
  SmallVector<Value> parts;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    if (failed(expectNumbers(node, i)))
      return failure();
    Value x = node.input(i);
    if (node.rank(x) == 1)
      x = node.unsqueeze(x, {1});
    if (node.rank(x) != 2 || widths[i] < 0) {
      node.error() << "expected inputs of rank 1 or 2 and inputdimensions of 0 "
                      "or more, found "
                   << node.type(x) << " and " << widths[i];
      return failure();
    }
    x = node.cast(x, f32);
    OpFoldResult width = node.dim(x, 1);
    if (!isConstantIntValue(width, widths[i])) {
      Num have = e.index(width);
      Value from = x;
      x = e.generate({node.dim(x, 0), node.index(widths[i])}, f32,
                     [&](ArrayRef<Num> at) -> Value {
                       Num column = e.max(e.min(at[1], have - 1), 0);
                       return e
                           .select(at[1] < have, e.load(from, {at[0], column}),
                                   e.constant(0, f32))
                           .value;
                     });
    }
    parts.push_back(x);
  }
  return node.result(node.concat(parts, 1));
}

/// Replaces one value, which may be NaN, by one for all or one a feature.
static ImportResult importImputer(NodeImport &node) {
  if (failed(expectNumbers(node, 0)))
    return failure();
  Value x = node.input(0);
  Type type = node.elementType(x);
  bool isFloat = isa<FloatType>(type);
  std::optional<SmallVector<double>> values = readNumbers(
      node, isFloat ? "imputed_value_floats" : "imputed_value_int64s");
  if (!values || values->empty()) {
    node.error() << "expected imputed values of X's type, " << type;
    return failure();
  }
  FailureOr<Value> table = perFeature(node, x, "imputed values", *values, type);
  if (failed(table))
    return failure();
  double replaced = isFloat ? node.getFloat("replaced_value_float", 0)
                            : double(node.getInt("replaced_value_int64", 0));
  Value isMissing = std::isnan(replaced)
                        ? node.map<IsNanOp>({x})
                        : node.map<EqualOp>({x, node.scalar(replaced, type)});
  return node.result(node.map<SelectOp>({isMissing, *table, x}));
}

/// A last dimension of one place a category: 1 at that of the element.
static ImportResult importOneHotEncoder(NodeImport &node) {
  Emit e(node);
  Value x = node.input(0);
  Type element = node.elementType(x), f32 = node.b.getF32Type();
  Keys keys;
  if (isa<StringType>(element)) {
    if (auto names = node.node.getStrings("cats_strings"))
      keys.strings = *names;
  } else if (auto numbers = node.getInts("cats_int64s")) {
    keys.integers = *numbers;
    if (isa<FloatType>(element)) // as ONNX Runtime: truncated
      x = node.cast(x, node.b.getI64Type());
  }
  Value places = findKeys(node, x, keys);
  if (!places)
    return failure();
  Elements sizes = node.dims(x);
  if (!node.getInt("zeros", 1)) {
    Value all = e.nest(sizes, e.flag(true).value,
                       [&](ArrayRef<Num> at, ValueRange args) -> Emit::Values {
                         return {e.num(args[0]) && e.load(places, at) >= 0};
                       })[0];
    e.check(e.num(all), "expected categories that the encoder knows");
  }
  sizes.push_back(node.index(int64_t(keys.size())));
  return node.result(e.generate(sizes, f32, [&](ArrayRef<Num> at) -> Value {
    Num hit = e.load(places, at.drop_back()) == at.back();
    return e.select(hit, e.constant(1, f32), e.constant(0, f32)).value;
  }));
}

static OpRows rows{
    {"ai.onnx.ml", "Scaler", 1, importScaler},
    {"ai.onnx.ml", "Normalizer", 1, importNormalizer},
    {"ai.onnx.ml", "Binarizer", 1, importBinarizer},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 1, importArrayFeatureExtractor},
    {"ai.onnx.ml", "FeatureVectorizer", 1, importFeatureVectorizer},
    {"ai.onnx.ml", "Imputer", 1, importImputer},
    {"ai.onnx.ml", "OneHotEncoder", 1, importOneHotEncoder},
};
