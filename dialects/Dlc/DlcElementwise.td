// Elementwise ops: numpy broadcasting, one scalar expression each.
#ifndef DLC_ELEMENTWISE
#define DLC_ELEMENTWISE

include "dialects/Dlc/DlcBase.td"

class Dlc_Elementwise<string mnemonic, dag ins, string doc, bit isPredicate>
    : Dlc_Op<mnemonic, [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>,
        DeclareOpInterfaceMethods<Dlc_ElementwiseInterface>]> {
  let summary = doc;
  let arguments = ins;
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "operands attr-dict `:` type(operands)";
  let extraClassDeclaration = "static bool isPredicate() { return "
      # !if(isPredicate, "true", "false") # "; }";
  let extraClassDefinition = [{
    ::mlir::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *, ::std::optional<::mlir::Location> loc,
        ::mlir::ValueRange operands, ::mlir::DictionaryAttr,
        ::mlir::OpaqueProperties, ::mlir::RegionRange,
        ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::dlc::inferElementwise(getOperationName(), loc, operands,
                                     isPredicate(), types);
    }
  }];
}

class Dlc_Unary<string mnemonic, string doc, bit isPredicate = 0>
    : Dlc_Elementwise<mnemonic, (ins AnyRankedTensor:$x), doc, isPredicate>;
class Dlc_Binary<string mnemonic, string doc, bit isPredicate = 0>
    : Dlc_Elementwise<mnemonic, (ins AnyRankedTensor:$lhs, AnyRankedTensor:$rhs),
                      doc, isPredicate>;

def Dlc_AbsOp : Dlc_Unary<"abs", "absolute value">;
def Dlc_NegOp : Dlc_Unary<"neg", "negation">;
def Dlc_ExpOp : Dlc_Unary<"exp", "e to the x">;
def Dlc_LogOp : Dlc_Unary<"log", "natural logarithm">;
def Dlc_SqrtOp : Dlc_Unary<"sqrt", "square root">;
def Dlc_SinOp : Dlc_Unary<"sin", "sine">;
def Dlc_CosOp : Dlc_Unary<"cos", "cosine">;
def Dlc_TanOp : Dlc_Unary<"tan", "tangent">;
def Dlc_AsinOp : Dlc_Unary<"asin", "inverse sine">;
def Dlc_AcosOp : Dlc_Unary<"acos", "inverse cosine">;
def Dlc_AtanOp : Dlc_Unary<"atan", "inverse tangent">;
def Dlc_SinhOp : Dlc_Unary<"sinh", "hyperbolic sine">;
def Dlc_CoshOp : Dlc_Unary<"cosh", "hyperbolic cosine">;
def Dlc_TanhOp : Dlc_Unary<"tanh", "hyperbolic tangent">;
def Dlc_AsinhOp : Dlc_Unary<"asinh", "inverse hyperbolic sine">;
def Dlc_AcoshOp : Dlc_Unary<"acosh", "inverse hyperbolic cosine">;
def Dlc_AtanhOp : Dlc_Unary<"atanh", "inverse hyperbolic tangent">;
def Dlc_ErfOp : Dlc_Unary<"erf", "error function">;
def Dlc_SigmoidOp : Dlc_Unary<"sigmoid", "1 / (1 + exp(-x))">;
def Dlc_FloorOp : Dlc_Unary<"floor", "largest integer not above x">;
def Dlc_CeilOp : Dlc_Unary<"ceil", "smallest integer not below x">;
def Dlc_RoundOp : Dlc_Unary<"round", "nearest integer, ties to even">;
def Dlc_SignOp : Dlc_Unary<"sign", "-1, 0 or 1">;
def Dlc_NotOp : Dlc_Unary<"not", "bitwise complement; of i1, logical">;
def Dlc_IsNanOp : Dlc_Unary<"is_nan", "true where x is not a number", 1>;
def Dlc_IsInfOp : Dlc_Unary<"is_inf", "true where x is an infinity", 1>;

def Dlc_AddOp : Dlc_Binary<"add", "sum">;
def Dlc_SubOp : Dlc_Binary<"sub", "difference">;
def Dlc_MulOp : Dlc_Binary<"mul", "product">;
def Dlc_DivOp : Dlc_Binary<"div", "quotient; of integers, rounded towards zero">;
def Dlc_RemOp : Dlc_Binary<"rem", "remainder with the sign of the dividend (C's % and fmod)">;
def Dlc_ModOp : Dlc_Binary<"mod", "remainder with the sign of the divisor (numpy.mod)">;
def Dlc_PowOp : Dlc_Binary<"pow", "lhs to the power of rhs, both of one type">;
def Dlc_MinOp : Dlc_Binary<"min", "smaller one; NaN where one is NaN">;
def Dlc_MaxOp : Dlc_Binary<"max", "larger one; NaN where one is NaN">;
def Dlc_Atan2Op : Dlc_Binary<"atan2", "angle of the point (rhs, lhs)">;
def Dlc_AndOp : Dlc_Binary<"and", "bitwise and; of i1, logical">;
def Dlc_OrOp : Dlc_Binary<"or", "bitwise or; of i1, logical">;
def Dlc_XorOp : Dlc_Binary<"xor", "bitwise exclusive or; of i1, logical">;
def Dlc_ShlOp : Dlc_Binary<"shl", "shift to the left; 0 when by the width or more">;
def Dlc_ShrOp : Dlc_Binary<"shr", "shift to the right; 0 or -1 when by the width or more">;
def Dlc_EqualOp : Dlc_Binary<"equal", "lhs == rhs", 1>;
def Dlc_LessOp : Dlc_Binary<"less", "lhs < rhs", 1>;
def Dlc_LessEqualOp : Dlc_Binary<"less_equal", "lhs <= rhs", 1>;

def Dlc_SelectOp : Dlc_Elementwise<"select",
    (ins AnyRankedTensor:$condition, AnyRankedTensor:$ifTrue,
         AnyRankedTensor:$ifFalse),
    "ifTrue where the condition (i1) holds, else ifFalse", 0>;

// Between real numbers and integers that stand for them. The parameters
// broadcast like other operands; the zero point has the integers' type.
class Dlc_Quantizer<string mnemonic, string value, string factor, string typed,
                    string doc>
    : Dlc_Op<mnemonic, [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>,
        DeclareOpInterfaceMethods<Dlc_ElementwiseInterface>]> {
  let summary = doc;
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$scale,
                       AnyRankedTensor:$zero);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "operands attr-dict `:` type(operands)";
  let hasVerifier = 1;
  let extraClassDefinition = [{
    ::mlir::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *, ::std::optional<::mlir::Location> loc,
        ::mlir::ValueRange operands, ::mlir::DictionaryAttr,
        ::mlir::OpaqueProperties, ::mlir::RegionRange,
        ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::dlc::inferQuantizer(loc, operands, }] # typed # [{, types);
    }
    ::llvm::LogicalResult $cppClass::verify() {
      return ::dlc::verifyQuantizer(*this, "}] # value # [{", "}] # factor # [{");
    }
  }];
}

def Dlc_QuantizeOp : Dlc_Quantizer<"quantize", "f32", "scale", "2",
    "round(x / scale) + zero, ties to even, saturated; NaN is the lowest">;
def Dlc_RequantizeOp : Dlc_Quantizer<"requantize", "i32", "factor", "2",
    "round(float(x) * scale) + zero of a sum x, ties to even, saturated">;
def Dlc_DequantizeOp : Dlc_Quantizer<"dequantize", "", "scale", "1",
    "float(x - zero) * scale">;

/// A scalar or vector of bytes, as in the bodies of linalg ops and epilogues.
def Dlc_Bytes : TypeConstraint<Or<[I8.predicate, VectorOfRankAndType<[1], [I8]>.predicate]>,
                               "a byte or a vector of bytes">;

def Dlc_LookupOp : Dlc_Op<"lookup", [Pure, SameOperandsAndResultType]
                                    # ElementwiseMappable.traits> {
  let summary = "a number of a table for each byte";
  let description = [{
    The element of `table`, which has 256, at each byte of `x` as an unsigned
    number.
  }];
  let arguments = (ins Dlc_Bytes:$x, DenseI8ArrayAttr:$table);
  let results = (outs Dlc_Bytes:$result);
  let assemblyFormat = "$x attr-dict `:` type($result)";
  let hasCanonicalizeMethod = 1;
  let hasVerifier = 1;
}

#endif
