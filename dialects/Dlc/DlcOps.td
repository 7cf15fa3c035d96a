// Every op of the dlc dialect that is not elementwise.
#ifndef DLC_OPS
#define DLC_OPS

include "dialects/Dlc/DlcElementwise.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

//===----------------------------------------------------------------------===//
// Constants and types
//===----------------------------------------------------------------------===//

def Dlc_ConstantOp : Dlc_Op<"constant", [Pure, ConstantLike,
    InferTypeOpAdaptor]> {
  let summary = "a constant tensor";
  let description = [{
    Large values are resources that share the memory of the model file.
    `%0 = dlc.constant dense<1.0> : tensor<4xf32>`
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyRankedTensor:$result);
  let hasFolder = 1;
  let assemblyFormat = "attr-dict $value";
}

def Dlc_CastOp : Dlc_Op<"cast", [Pure]> {
  let summary = "conversion of every element to another type";
  let description = [{
    As ONNX's Cast: float to integer truncates, to `i1` compares with 0; to a
    float of 8 bits or fewer saturates unless `saturate = false`.
    `roundMode` is that of conversions to `f8E8M0FNU` ("up", "down",
    "nearest").
  }];
  let arguments = (ins AnyRankedTensor:$x,
                       DefaultValuedAttr<BoolAttr, "true">:$saturate,
                       DefaultValuedStrAttr<StrAttr, "up">:$roundMode);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Shapes and layout
//===----------------------------------------------------------------------===//

class Dlc_SizedOp<string mnemonic, list<Trait> traits = []>
    : Dlc_Op<mnemonic, !listconcat([Pure], traits)> {
  let arguments = (ins AnyRankedTensor:$x, Variadic<Index>:$dynamicSizes);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $x (`[` $dynamicSizes^ `]`)? attr-dict `:` type($x) `to` type($result)
  }];
  let hasVerifier = 1;
}

def Dlc_ReshapeOp : Dlc_SizedOp<"reshape"> {
  let summary = "the same elements in row-major order in another shape";
  let description = [{
    One `dynamicSizes` operand for each dynamic dimension of the result.
    `dlc.reshape %x[%n] : tensor<?x3x4xf32> to tensor<?x12xf32>`
  }];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Dlc_BroadcastOp : Dlc_SizedOp<"broadcast"> {
  let summary = "numpy.broadcast_to";
  let description = [{
    Operand dimensions, aligned at the right, are 1 or equal to the result's.
  }];
  let hasFolder = 1;
}

def Dlc_TransposeOp : Dlc_InferredOp<"transpose"> {
  let summary = "dimension i of the result is dimension permutation[i] of x";
  let arguments = (ins AnyRankedTensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x $permutation attr-dict `:` type($x)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Dlc_ConcatOp : Dlc_InferredOp<"concat"> {
  let summary = "tensors one after the other along an axis";
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$inputs `axis` `=` $axis attr-dict `:` type($inputs)";
  let hasFolder = 1;
}

def Dlc_SliceOp : Dlc_Op<"slice", [Pure, AttrSizedOperandSegments]> {
  let summary = "x[offset + i * stride] along every dimension";
  let description = [{
    Strides are static and may be negative; offsets and sizes may be dynamic
    (`ShapedType::kDynamic` in the static array, then an operand). The ranges
    lie within x.
  }];
  let arguments = (ins AnyRankedTensor:$x,
                       Variadic<Index>:$offsets, Variadic<Index>:$sizes,
                       DenseI64ArrayAttr:$staticOffsets,
                       DenseI64ArrayAttr:$staticSizes,
                       DenseI64ArrayAttr:$strides);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $x custom<DynamicIndexList>($offsets, $staticOffsets)
       custom<DynamicIndexList>($sizes, $staticSizes)
       $strides attr-dict `:` type($x) `to` type($result)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
  let extraClassDeclaration = [{
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedOffsets();
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedSizes();
  }];
}

def Dlc_PadMode : I32EnumAttr<"PadMode", "how padding is filled", [
    I32EnumAttrCase<"Constant", 0, "constant">, I32EnumAttrCase<"Edge", 1, "edge">,
    I32EnumAttrCase<"Reflect", 2, "reflect">, I32EnumAttrCase<"Wrap", 3, "wrap">]> {
  let cppNamespace = "::dlc";
}

def Dlc_PadOp : Dlc_Op<"pad", [Pure, AttrSizedOperandSegments]> {
  let summary = "x with elements added before and after along every dimension";
  let description = [{
    Amounts are not negative. `value` is a rank-0 tensor, present in the mode
    `constant` only.
  }];
  let arguments = (ins AnyRankedTensor:$x, Optional<AnyRankedTensor>:$value,
                       Variadic<Index>:$low, Variadic<Index>:$high,
                       DenseI64ArrayAttr:$staticLow,
                       DenseI64ArrayAttr:$staticHigh, Dlc_PadMode:$mode);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $mode $x (`,` $value^)? `low` custom<DynamicIndexList>($low, $staticLow)
       `high` custom<DynamicIndexList>($high, $staticHigh)
       attr-dict `:` type($x) (`,` type($value)^)? `to` type($result)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
  let extraClassDeclaration = [{
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedLow();
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedHigh();
  }];
}

def Dlc_GatherOp : Dlc_InferredOp<"gather"> {
  let summary = "x's slices along an axis, chosen by indices";
  let description = [{
    ONNX's Gather; negative indices count from the end.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$indices, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x `,` $indices `axis` `=` $axis attr-dict `:` type($x) `,` type($indices)";
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

def Dlc_ReduceKind : I32EnumAttr<"ReduceKind", "how elements are combined", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Prod", 1, "prod">,
    I32EnumAttrCase<"Max", 2, "max">, I32EnumAttrCase<"Min", 3, "min">]> {
  let cppNamespace = "::dlc";
}

def Dlc_ReduceOp : Dlc_InferredOp<"reduce"> {
  let summary = "elements combined along axes, which stay with size 1";
  let description = [{
    Of no elements: 0, 1, the lowest and the highest value of the type.
  }];
  let arguments = (ins Dlc_ReduceKind:$kind, AnyRankedTensor:$x, DenseI64ArrayAttr:$axes);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $x `axes` `=` $axes attr-dict `:` type($x)";
}

def Dlc_ArgReduceOp : Dlc_InferredOp<"arg_reduce"> {
  let summary = "index (i64) of the largest or smallest element along an axis";
  let description = [{The axis stays with size 1. `kind` is max or min.}];
  let arguments = (ins Dlc_ReduceKind:$kind, AnyRankedTensor:$x, I64Attr:$axis,
                       DefaultValuedAttr<BoolAttr, "false">:$selectLast);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $x `axis` `=` $axis attr-dict `:` type($x)";
}

def Dlc_SoftmaxOp : Dlc_InferredOp<"softmax"> {
  let summary = "exp(x - max) / sum(exp(x - max)) along an axis";
  let arguments = (ins AnyRankedTensor:$x, I64Attr:$axis,
                       DefaultValuedAttr<BoolAttr, "false">:$logarithm);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x `axis` `=` $axis attr-dict `:` type($x)";
}

//===----------------------------------------------------------------------===//
// Contractions and windows
//===----------------------------------------------------------------------===//

def Dlc_MatMulOp : Dlc_Op<"matmul", [Pure]> {
  let summary = "product of matrices in the last two dimensions";
  let description = [{
    The dimensions before them broadcast as in numpy; both operands have rank
    2 or more. Products are summed in the result's element type.

    Of integers, `zeros` are the two operands' zero points, which are taken off
    first: one number, or one for each column of `rhs`.
    `dlc.matmul %x, %w zeros %xz, %wz : ...`
  }];
  let arguments = (ins AnyRankedTensor:$lhs, AnyRankedTensor:$rhs,
                       Variadic<AnyRankedTensor>:$zeros);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs (`zeros` $zeros^ `:` type($zeros))? attr-dict
    `:` type($lhs) `,` type($rhs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Dlc_ConvOp : Dlc_Op<"conv", [Pure]> {
  let summary = "convolution, channels last";
  let description = [{
    x `[n, spatial..., c]`, weights `[kernel..., c / group, m]`, result
    `[n, spatial..., m]`; `pads` are `[begin..., end...]` and filled with 0.
    Products are summed in the result's element type.

    Of integers, `zeros` are the zero points of x and of the weights, which are
    taken off first: one number, or one for each output channel of the weights.
    Padding then stands for x's.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$weights,
                       Variadic<AnyRankedTensor>:$zeros,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads, I64Attr:$group);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $x `,` $weights (`zeros` $zeros^ `:` type($zeros))?
    `strides` `=` $strides `dilations` `=` $dilations
    `pads` `=` $pads `group` `=` $group attr-dict
    `:` type($x) `,` type($weights) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Dlc_PoolKind : I32EnumAttr<"PoolKind", "how a window is combined", [
    I32EnumAttrCase<"Max", 0, "max">, I32EnumAttrCase<"Sum", 1, "sum">]> {
  let cppNamespace = "::dlc";
}

def Dlc_PoolOp : Dlc_Op<"pool", [Pure]> {
  let summary = "maximum or sum over a sliding window, channels last";
  let description = [{
    x `[n, spatial..., c]`; padding does not take part.
  }];
  let arguments = (ins Dlc_PoolKind:$kind, AnyRankedTensor:$x,
                       DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $kind $x `kernel` `=` $kernel `strides` `=` $strides
    `dilations` `=` $dilations `pads` `=` $pads attr-dict
    `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
}

include "dialects/Dlc/DlcAttention.td"
include "dialects/Dlc/DlcContract.td"
include "dialects/Dlc/DlcExtern.td"
include "dialects/Dlc/DlcMap.td"
include "dialects/Dlc/DlcSequence.td"
include "dialects/Dlc/DlcRuntime.td"

#endif
