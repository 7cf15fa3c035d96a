// Operators that compute element by element, with broadcasting.

#include "passes/Import/Ops/Strings.h"

using namespace mlir;
using namespace dlc;

/// One dlc op on all inputs.
template <typename OpTy> static ImportResult importMap(NodeImport &node) {
  SmallVector<Value> operands;
  for (unsigned i = 0; i < node.numInputs(); ++i)
    operands.push_back(node.input(i));
  return node.result(node.map<OpTy>(operands));
}

/// Integers are computed as f32, and lose their fractions again.
static ImportResult importErf(NodeImport &node) {
  Value x = node.input(0);
  Type element = node.elementType(x);
  if (isa<FloatType>(element))
    return importMap<ErfOp>(node);
  Value y = node.map<ErfOp>({node.cast(x, node.b.getF32Type())});
  return node.result(node.cast(y, element));
}

static ImportResult importIdentity(NodeImport &node) {
  return node.result(node.input(0));
}

static ImportResult importReciprocal(NodeImport &node) {
  Value x = node.input(0);
  return node.result(node.map<DivOp>({node.scalarLike(1, x), x}));
}

/// Greater and GreaterOrEqual: Less and LessOrEqual with exchanged operands.
template <typename OpTy> static ImportResult importSwapped(NodeImport &node) {
  return node.result(node.map<OpTy>({node.input(1), node.input(0)}));
}

/// Sum, Max, Min and Mean of any number of inputs.
template <typename OpTy> static ImportResult importVariadic(NodeImport &node) {
  Value result = node.input(0);
  for (unsigned i = 1; i < node.numInputs(); ++i)
    result = node.map<OpTy>({result, node.input(i)});
  return node.result(result);
}

static ImportResult importMean(NodeImport &node) {
  Value sum = node.input(0);
  for (unsigned i = 1; i < node.numInputs(); ++i)
    sum = node.map<AddOp>({sum, node.input(i)});
  Value count = node.scalarLike(node.numInputs(), sum);
  return node.result(node.map<DivOp>({sum, count}));
}

/// The exponent may have another type; the result has the base's. Small whole
/// exponents become products, and 0.5 a square root.
static ImportResult importPow(NodeImport &node) {
  Value x = node.input(0), y = node.input(1);
  Type type = node.elementType(x);
  std::optional<double> exponent = node.constantFloat(y);
  if (exponent && node.rank(y) == 0 && isa<FloatType>(type)) {
    if (*exponent == 1)
      return node.result(x);
    if (*exponent == 2)
      return node.result(node.map<MulOp>({x, x}));
    if (*exponent == 3)
      return node.result(node.map<MulOp>({node.map<MulOp>({x, x}), x}));
    if (*exponent == 0.5)
      return node.result(node.map<SqrtOp>({x}));
    if (*exponent == -1)
      return node.result(node.map<DivOp>({node.scalarLike(1, x), x}));
  }
  if (node.elementType(y) == type)
    return node.result(node.map<PowOp>({x, y}));
  // As numpy: computed in a float type when one of the two is a float.
  Type compute = type;
  if (isa<FloatType>(node.elementType(y)) && !isa<FloatType>(type))
    compute = node.elementType(y).getIntOrFloatBitWidth() >= 64 ||
                      type.getIntOrFloatBitWidth() >= 32
                  ? Type(node.b.getF64Type())
                  : Type(node.b.getF32Type());
  Value result =
      node.map<PowOp>({node.cast(x, compute), node.cast(y, compute)});
  return node.result(node.cast(result, type));
}

static ImportResult importMod(NodeImport &node) {
  Value x = node.input(0), y = node.input(1);
  return node.result(node.getInt("fmod", 0) ? node.map<RemOp>({x, y})
                                            : node.map<ModOp>({x, y}));
}

static ImportResult importBitShift(NodeImport &node) {
  StringRef direction = node.getString("direction", "");
  if (direction == "LEFT")
    return importMap<ShlOp>(node);
  if (direction == "RIGHT")
    return importMap<ShrOp>(node);
  node.error() << "expected the direction LEFT or RIGHT, found '" << direction
               << "'";
  return failure();
}

static ImportResult importIsInf(NodeImport &node) {
  Value x = node.input(0);
  bool negative = node.getInt("detect_negative", 1);
  bool positive = node.getInt("detect_positive", 1);
  Value result = node.map<IsInfOp>({x});
  Value zero = node.scalarLike(0, x);
  if (!negative)
    result = node.map<AndOp>({result, node.map<LessOp>({zero, x})});
  if (!positive)
    result = node.map<AndOp>({result, node.map<LessOp>({x, zero})});
  return node.result(result);
}

static ImportResult importWhere(NodeImport &node) {
  return importMap<SelectOp>(node);
}

/// Bounds are optional inputs; NaN stays.
static ImportResult importClip(NodeImport &node) {
  Value x = node.input(0);
  for (unsigned i : {1, 2})
    if (failed(node.expectBroadcast(i, node.index(1), "1")))
      return failure();
  if (Value low = node.input(1))
    x = node.map<MaxOp>({x, low});
  if (Value high = node.input(2))
    x = node.map<MinOp>({x, high});
  return node.result(x);
}

static ImportResult importEqual(NodeImport &node) {
  if (isa<StringType>(node.elementType(node.input(0))))
    return node.result(equalStrings(node, node.input(0), node.input(1)));
  return importMap<EqualOp>(node);
}

static ImportResult castTo(NodeImport &node, Type to) {
  Value x = node.input(0);
  if (!to)
    return failure();
  Type from = node.elementType(x);
  if (isa<StringType>(from) || isa<StringType>(to))
    return node.result(castStrings(node, x, to));
  if (!to.isIntOrFloat() || !from.isIntOrFloat()) {
    node.error() << "expected a conversion between numbers and strings, found "
                 << from << " to " << to;
    return failure();
  }
  return node.result(node.cast(x, to, node.getInt("saturate", 1),
                               node.getString("round_mode", "up")));
}

static ImportResult importCast(NodeImport &node) {
  return castTo(node, node.inferredElementType(0));
}

static ImportResult importCastLike(NodeImport &node) {
  return castTo(node, node.elementType(node.input(1)));
}

static OpRows rows{
    {"", "Abs", 6, importMap<AbsOp>},
    {"", "Neg", 6, importMap<NegOp>},
    {"", "Exp", 6, importMap<ExpOp>},
    {"", "Log", 6, importMap<LogOp>},
    {"", "Sqrt", 6, importMap<SqrtOp>},
    {"", "Sin", 7, importMap<SinOp>},
    {"", "Cos", 7, importMap<CosOp>},
    {"", "Tan", 7, importMap<TanOp>},
    {"", "Asin", 7, importMap<AsinOp>},
    {"", "Acos", 7, importMap<AcosOp>},
    {"", "Atan", 7, importMap<AtanOp>},
    {"", "Sinh", 9, importMap<SinhOp>},
    {"", "Cosh", 9, importMap<CoshOp>},
    {"", "Tanh", 6, importMap<TanhOp>},
    {"", "Asinh", 9, importMap<AsinhOp>},
    {"", "Acosh", 9, importMap<AcoshOp>},
    {"", "Atanh", 9, importMap<AtanhOp>},
    {"", "Erf", 9, importErf},
    {"", "Sigmoid", 6, importMap<SigmoidOp>},
    {"", "Floor", 6, importMap<FloorOp>},
    {"", "Ceil", 6, importMap<CeilOp>},
    {"", "Round", 11, importMap<RoundOp>},
    {"", "Sign", 9, importMap<SignOp>},
    {"", "Not", 1, importMap<NotOp>},
    {"", "BitwiseNot", 18, importMap<NotOp>},
    {"", "IsNaN", 9, importMap<IsNanOp>},
    {"", "IsInf", 10, importIsInf},
    {"", "Identity", 1, importIdentity},
    {"", "Reciprocal", 6, importReciprocal},
    {"", "Add", 7, importMap<AddOp>},
    {"", "Sub", 7, importMap<SubOp>},
    {"", "Mul", 7, importMap<MulOp>},
    {"", "Div", 7, importMap<DivOp>},
    {"", "Pow", 7, importPow, kComposition},
    {"", "Mod", 10, importMod, kComposition},
    {"", "And", 7, importMap<AndOp>},
    {"", "Or", 7, importMap<OrOp>},
    {"", "Xor", 7, importMap<XorOp>},
    {"", "BitwiseAnd", 18, importMap<AndOp>},
    {"", "BitwiseOr", 18, importMap<OrOp>},
    {"", "BitwiseXor", 18, importMap<XorOp>},
    {"", "BitShift", 11, importBitShift},
    {"", "Equal", 7, importEqual},
    {"", "Less", 7, importMap<LessOp>},
    {"", "LessOrEqual", 12, importMap<LessEqualOp>},
    {"", "Greater", 7, importSwapped<LessOp>},
    {"", "GreaterOrEqual", 12, importSwapped<LessEqualOp>},
    {"", "Sum", 8, importVariadic<AddOp>, kComposition},
    {"", "Max", 8, importVariadic<MaxOp>},
    {"", "Min", 8, importVariadic<MinOp>},
    {"", "Mean", 8, importMean, kComposition},
    {"", "Where", 9, importWhere},
    {"", "Clip", 11, importClip},
    {"", "Cast", 6, importCast},
    {"", "CastLike", 15, importCastLike},
};
