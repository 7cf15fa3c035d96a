// The passes of the phase `simplify`: from nodes of ONNX to fewer of them.
#ifndef DLC_PASSES_SIMPLIFY
#define DLC_PASSES_SIMPLIFY

include "mlir/Pass/PassBase.td"

class Simplify_Pass<string name> : Pass<name, "::mlir::ModuleOp"> {
  let dependentDialects = ["::dlc::onnx::OnnxDialect"];
}

def ConstantsToInitializers : Simplify_Pass<"dlc-constants-to-initializers"> {
  let summary = "Make initializers of Constant nodes";
  let description = [{
    ```mlir
    %c = onnx.node "Constant"() {value_float = 2.0 : f32} : () -> ("c" : tensor<f32>)
    ```
    becomes
    ```mlir
    %c = onnx.initializer "c" = dense<2.0> : tensor<f32>
    ```
    Sparse constants stay. Up to IR version 3 an initializer had to be an input as
    well; then it is one no longer, so that engines take it for a constant. In newer
    models such an input is one with a default value, which an object has not: with
    `keep-inputs=false` it is no input.
  }];
  let options = [Option<"keepInputs", "keep-inputs", "bool", /*default=*/"true",
                        "Inputs with a default value stay inputs">];
}

def RemoveIdentities : Simplify_Pass<"dlc-remove-identities"> {
  let summary = "Remove nodes that give back their input, and merge reshapes and casts";
  let description = [{
    Identity, Dropout, a Cast to the same type, a Reshape, Expand, Slice, Pad,
    Transpose or Tile that changes nothing, a window of one element, x * 1,
    x + 0, x / 1 ... where the shape stays.

    ```mlir
    %a = onnx.node "Reshape"(%x, %s) : (tensor<2x12xf32>, tensor<3xi64>) -> ("a" : tensor<2x3x4xf32>)
    %b = onnx.node "Flatten"(%a) : (tensor<2x3x4xf32>) -> ("b" : tensor<2x12xf32>)
    %y = onnx.node "Relu"(%b) : (tensor<2x12xf32>) -> ("y" : tensor<2x12xf32>)
    ```
    becomes
    ```mlir
    %y = onnx.node "Relu"(%x) : (tensor<2x12xf32>) -> ("y" : tensor<2x12xf32>)
    ```
  }];
}

def MergeEqualNodes : Simplify_Pass<"dlc-merge-equal-nodes"> {
  let summary = "Compute equal nodes once, and keep equal weights once";
  let description = [{
    Nodes of one operator with equal attributes and inputs, and initializers
    of equal bytes, become one; a node in a subgraph also takes what the graph
    around it has computed before.

    ```mlir
    %a = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("a" : tensor<4xf32>)
    %b = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("b" : tensor<4xf32>)
    %y = onnx.node "Add"(%a, %b) : ...
    ```
    becomes
    ```mlir
    %a = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("a" : tensor<4xf32>)
    %y = onnx.node "Add"(%a, %a) : ...
    ```
    Random numbers, and operators of other domains, stay as they are.
  }];
}

def HoistInvariants : Simplify_Pass<"dlc-hoist-invariants"> {
  let summary = "Take out of subgraphs what does not depend on them";
  let description = [{
    Constants, and what is made of constants only, out of every subgraph; any
    node that uses nothing of it out of the body of a Loop or Scan. An If with a
    constant condition becomes the branch that it chooses.

    ```mlir
    %y = onnx.node "If"(%c) : (tensor<i1>) -> ("y" : tensor<4xf32>)
      graph then_branch = "t" () -> ("a") {
        %w = onnx.initializer "w" = dense<1.0> : tensor<4xf32>
        %a = onnx.node "Add"(%x, %w) : ...
    ```
    becomes
    ```mlir
    %w = onnx.initializer "w" = dense<1.0> : tensor<4xf32>
    %y = onnx.node "If"(%c) : (tensor<i1>) -> ("y" : tensor<4xf32>)
      graph then_branch = "t" () -> ("a") {
        %a = onnx.node "Add"(%x, %w) : ...
    ```
    The sum stays: without the branch nobody may want it. So does in a loop what may
    fail, such as a Gather, unless the loop certainly runs.
  }];
}

def FoldShapes : Simplify_Pass<"dlc-fold-shapes"> {
  let summary = "Compute what nodes make of sizes";
  let description = [{
    Integer tensors of up to 64 elements are followed through the graph, with
    elements that are numbers, or the size of a dimension of some tensor. Sizes
    with one name are equal.

    ```mlir
    %s = onnx.node "Shape"(%x) : (tensor<?x5x8xf32>) -> ("s" : tensor<3xi64>)
    %n = onnx.node "Gather"(%s, %zero) : (tensor<3xi64>, tensor<1xi64>) -> ("n" : tensor<1xi64>)
    %t = onnx.node "Concat"(%n, %forty) {axis = 0 : i64} : ... -> ("t" : tensor<2xi64>)
    %y = onnx.node "Reshape"(%x, %t) : ...
    ```
    becomes
    ```mlir
    %t = onnx.initializer "t" = dense<[0, 40]> : tensor<2xi64>
    %y = onnx.node "Reshape"(%x, %t) : ...
    ```
    Sizes are followed through nodes: Slice, Range, broadcasts and the rest that a
    Reshape leaves among them. Those that turn out to be numbers go into types. An
    Expand to the sizes that a tensor has goes away. A shape of two unknown
    sizes that are not those of the reshaped tensor, in place, stays.
  }];
}

def InferTypes : Simplify_Pass<"dlc-infer-types"> {
  let summary = "Infer types of values from shapes that have become known";
  let description = [{
    ONNX's own inference, on a copy without large tensors. A size that is known
    stays as it is.

    ```mlir
    %s = onnx.initializer "s" = dense<[2, -1]> : tensor<2xi64>
    %y = onnx.node "Reshape"(%x, %s) : (tensor<2x3x4xf32>, tensor<2xi64>) -> ("y" : tensor<?x?xf32>)
    ```
    becomes
    ```mlir
    %y = onnx.node "Reshape"(%x, %s) : (tensor<2x3x4xf32>, tensor<2xi64>) -> ("y" : tensor<2x12xf32>)
    ```
  }];
}

def FoldConstants : Simplify_Pass<"dlc-fold-constants"> {
  let summary = "Evaluate nodes on constants";
  let description = [{
    The nodes are compiled for this machine, all together, and run. A result of
    more than 64 KB that is over twice as large as its operands stays a node.

    ```mlir
    %t = onnx.node "Transpose"(%w) {perm = array<i64: 1, 0>} : (tensor<8x4xf32>) -> ("t" : tensor<4x8xf32>)
    ```
    becomes, for an initializer %w,
    ```mlir
    %t = onnx.initializer "t" = dense_resource<folded> : tensor<4x8xf32>
    ```
  }];
}

def FoldAffine : Simplify_Pass<"dlc-fold-affine"> {
  let summary = "Fold scales and shifts, such as batch normalisation, into weights";
  let description = [{
    BatchNormalization, Mul, Div, Add and Sub by constants along the channels,
    behind Conv, ConvTranspose, Gemm and MatMul, or in front of these. Two of them
    where there is neither become one BatchNormalization.

    ```mlir
    %a = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> ("a" : tensor<1x4x6x6xf32>)
    %y = onnx.node "BatchNormalization"(%a, %s, %b, %m, %v) : ...
    ```
    becomes, with nodes on constants that FoldConstants evaluates,
    ```mlir
    %y = onnx.node "Conv"(%x, %w1, %b1) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> ("y" : tensor<1x4x6x6xf32>)
    ```
    In front of a padded Conv, and of ConvTranspose, only a scale is folded: the
    padding is 0, and a shift would make something else of it. The sum of a
    product of two matrices and a bias becomes Gemm.

    Behind Relu and MaxPool a scale above 0 goes in front of them, behind means any,
    and behind a Concat of convolutions each gets its part:
    ```mlir
    %a = onnx.node "Conv"(%x, %w) : ...
    %r = onnx.node "Relu"(%a) : ...
    %y = onnx.node "Mul"(%r, %s) : ...
    ```
    becomes
    ```mlir
    %a = onnx.node "Conv"(%x, %w1) : ...
    %y = onnx.node "Relu"(%a) : ...
    ```
  }];
}

class ForOpset : Option<"opset", "opset", "int64_t", /*default=*/"28",
                        "Operator set whose operators may be used">;

def RecognizeActivations : Simplify_Pass<"dlc-recognize-activations"> {
  let summary = "Find activations that exporters write as several nodes";
  let description = [{
    Gelu (with erf, with tanh of either form, in any order of the factors; from
    operator set 20 on), HardSigmoid, HardSwish (from 14 on), Mish (from 18 on),
    Softplus, Sigmoid, Relu, and Swish (from 24 on).

    ```mlir
    %a = onnx.node "Div"(%x, %sqrt2) : ...
    %b = onnx.node "Erf"(%a) : ...
    %c = onnx.node "Add"(%b, %one) : ...
    %d = onnx.node "Mul"(%x, %c) : ...
    %y = onnx.node "Mul"(%d, %half) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "Gelu"(%x) : ...
    ```
    Constants must be those of the formula, as far as the type can tell.
  }];
  let options = [ForOpset<>];
}

def RecognizeNormalizations : Simplify_Pass<"dlc-recognize-normalizations"> {
  let summary = "Find normalisations that exporters write as several nodes";
  let description = [{
    LayerNormalization (from operator set 17 on) and InstanceNormalization with
    scale and bias, GroupNormalization (from 21 on) as torch writes it, and from 23
    on RMSNormalization.

    ```mlir
    %m = onnx.node "ReduceMean"(%x, %last) : ...
    %d = onnx.node "Sub"(%x, %m) : ...
    %q = onnx.node "Pow"(%d, %two) : ...
    %v = onnx.node "ReduceMean"(%q, %last) : ...
    %e = onnx.node "Add"(%v, %epsilon) : ...
    %s = onnx.node "Sqrt"(%e) : ...
    %n = onnx.node "Div"(%d, %s) : ...
    %g = onnx.node "Mul"(%n, %scale) : ...
    %y = onnx.node "Add"(%g, %bias) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "LayerNormalization"(%x, %scale, %bias) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : ...
    ```
    Means over axes that are not the last ones stay.
  }];
  let options = [ForOpset<>];
}

def RecognizeAttention : Simplify_Pass<"dlc-recognize-attention"> {
  let summary = "Find attention as exporters write it";
  let description = [{
    From operator set 23 on. Scales may stand at the queries, the keys or the
    scores; a mask is added to these. Where heads are split from, and joined
    to, a tensor of rank 3, that goes into the operator as well.

    ```mlir
    %s = onnx.node "MatMul"(%q, %kt) : ...
    %t = onnx.node "Div"(%s, %eight) : ...
    %m = onnx.node "Add"(%t, %mask) : ...
    %p = onnx.node "Softmax"(%m) : ...
    %y = onnx.node "MatMul"(%p, %v) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "Attention"(%q, %k, %v, %mask) {scale = 1.25e-1 : f32} : ...
    ```
    A mask is what is added, or what a Where puts in the place of scores and is too
    low to leave any of their digits. Its sizes have to be those of the scores, or 1,
    by their numbers, their names or what they come from; others stay. Along the
    queries it is expanded, since the operator's engines do not. Queries, keys and
    values that are thirds of one product are split as that.
  }];
  let options = [ForOpset<>];
}

def ReduceStrength : Simplify_Pass<"dlc-reduce-strength"> {
  let summary = "Write what nodes compute with cheaper nodes, or fewer";
  let description = [{
    Powers of 2, 0.5 and -1, products and sums with two numbers, a transpose of
    a transpose or of sizes of 1, and

    ```mlir
    %a = onnx.node "GlobalAveragePool"(%x) : (tensor<1x8x7x7xf32>) -> ("a" : tensor<1x8x1x1xf32>)
    %y = onnx.node "Flatten"(%a) : (tensor<1x8x1x1xf32>) -> ("y" : tensor<1x8xf32>)
    ```
    becomes
    ```mlir
    %y = onnx.node "ReduceMean"(%x, %axes) {keepdims = 0 : i64} : ...
    ```
  }];
}

def MergeParallel : Simplify_Pass<"dlc-merge-parallel"> {
  let summary = "Make one product, or convolution, of several that share their input";
  let description = [{
    MatMul, Gemm and Conv with constant weights, with the bias and the
    activation behind them where these are alike, if that makes fewer nodes.

    ```mlir
    %q = onnx.node "MatMul"(%x, %wq) : ...
    %k = onnx.node "MatMul"(%x, %wk) : ...
    %v = onnx.node "MatMul"(%x, %wv) : ...
    ```
    becomes
    ```mlir
    %w = onnx.node "Concat"(%wq, %wk, %wv) {axis = 1 : i64} : ...
    %j = onnx.node "MatMul"(%x, %w) : ...
    %q, %k, %v = onnx.node "Split"(%j, %sizes) {axis = 2 : i64} : ...
    ```
    Convolutions of other kernels, strides or pads stay apart.
  }];
}

def MergeSums : Simplify_Pass<"dlc-merge-sums"> {
  let summary = "Make one convolution of a sum of branches";
  let description = [{
    Convolutions of one input whose windows fit into each other, and the input
    itself or its batch normalisation (RepVGG), in whatever order they are added up.

    ```mlir
    %a = onnx.node "Conv"(%x, %w3) {pads = array<i64: 1, 1, 1, 1>} : ...
    %b = onnx.node "Conv"(%x, %w1) : ...
    %y = onnx.node "Add"(%a, %b) : ...
    ```
    becomes, with nodes on constants that FoldConstants evaluates,
    ```mlir
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 1, 1, 1, 1>} : ...
    ```
    Windows that look at other elements stay: their sum is no convolution of the
    larger window.
  }];
}

def FoldPads : Simplify_Pass<"dlc-fold-pads"> {
  let summary = "Make pads the pads of a convolution or pool";
  let description = [{
    ```mlir
    %p = onnx.node "Pad"(%x, %amounts) : ...
    %y = onnx.node "Conv"(%p, %w) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 1, 1, 1, 1>} : ...
    ```
    A pad of batch or channels stays, one of other numbers, and one in front of
    a mean that does not count its padding. In front of MaxPool it is the lowest
    number that goes away, or zeros where nothing is below them.
  }];
}

def MergeSlices : Simplify_Pass<"dlc-merge-slices"> {
  let summary = "Make one Split of slices, and remove Splits that are joined again";
  let description = [{
    ```mlir
    %a = onnx.node "Slice"(%x, %c0, %c4, %axis) : (tensor<2x8xf32>, ...) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Slice"(%x, %c4, %c8, %axis) : (tensor<2x8xf32>, ...) -> ("b" : tensor<2x4xf32>)
    ```
    becomes
    ```mlir
    %a, %b = onnx.node "Split"(%x, %sizes) {axis = 1 : i64} : ...
    ```
    Slices that overlap, or leave something out, stay. A Concat of all parts of a
    Split is what was split, a Split of a Concat in the same places gives what
    was joined, and a Concat in a Concat becomes a part of it.
  }];
}

def SinkNodeTransposes : Simplify_Pass<"dlc-sink-node-transposes"> {
  let summary = "Move transposes behind elementwise nodes, where they cancel";
  let description = [{
    ```mlir
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : ...
    %y = onnx.node "Relu"(%t) : ...
    ```
    becomes
    ```mlir
    %r = onnx.node "Relu"(%x) : ...
    %y = onnx.node "Transpose"(%r) {perm = array<i64: 0, 2, 3, 1>} : ...
    ```
    A transpose that something else uses, too, stays.
  }];
}

def MultiplyOut : Simplify_Pass<"dlc-multiply-out"> {
  let summary = "Multiply matrices of constants that follow each other";
  let description = [{
    MatMul and Gemm, with their biases, and convolutions of one element, where
    the product has no more elements than both factors.

    ```mlir
    %a = onnx.node "MatMul"(%x, %u) : (tensor<8x64xf32>, tensor<64x64xf32>) -> ("a" : tensor<8x64xf32>)
    %y = onnx.node "MatMul"(%a, %v) : (tensor<8x64xf32>, tensor<64x64xf32>) -> ("y" : tensor<8x64xf32>)
    ```
    becomes
    ```mlir
    %w = onnx.node "MatMul"(%u, %v) : (tensor<64x64xf32>, tensor<64x64xf32>) -> ("w" : tensor<64x64xf32>)
    %y = onnx.node "MatMul"(%x, %w) : (tensor<8x64xf32>, tensor<64x64xf32>) -> ("y" : tensor<8x64xf32>)
    ```
    A matrix of low rank, written as two thin ones, stays so.
  }];
}

def FoldStrides : Simplify_Pass<"dlc-fold-strides"> {
  let summary = "Make steps and squares a matter of a convolution";
  let description = [{
    A Slice with steps behind a Conv, or in front of one of one element, becomes
    its strides; a pool of windows of one element is such a Slice. Squares that
    SpaceToDepth, or slices and Concat, gather in the channels become a part of
    the window of the Conv behind it.

    ```mlir
    %s = onnx.node "SpaceToDepth"(%x) {blocksize = 2 : i64} : (tensor<1x3x8x8xf32>) -> ("s" : tensor<1x12x4x4xf32>)
    %y = onnx.node "Conv"(%s, %w) : (tensor<1x12x4x4xf32>, tensor<8x12x3x3xf32>) -> ("y" : tensor<1x8x2x2xf32>)
    ```
    becomes, with nodes on constants that FoldConstants evaluates,
    ```mlir
    %y = onnx.node "Conv"(%x, %w1) {strides = array<i64: 2, 2>, kernel_shape = array<i64: 6, 6>} : (tensor<1x3x8x8xf32>, tensor<8x3x6x6xf32>) -> ("y" : tensor<1x8x2x2xf32>)
    ```
  }];
}

def SwapPointwise : Simplify_Pass<"dlc-swap-pointwise"> {
  let summary = "Let convolutions of one element and means change places";
  let description = [{
    AveragePool, GlobalAveragePool, ReduceMean behind the channels and Resize
    (nearest and linear) make of each channel means of its positions, a Conv of one
    element of each position sums of its channels: in either order that is
    the same. The one that runs first is the one that leaves less to the other.

    ```mlir
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x256x56x56xf32>, tensor<128x256x1x1xf32>) -> ("c" : tensor<1x128x56x56xf32>)
    %y = onnx.node "AveragePool"(%c) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : ...
    ```
    becomes, with a quarter of the products,
    ```mlir
    %p = onnx.node "AveragePool"(%x) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : ...
    %y = onnx.node "Conv"(%p, %w) : (tensor<1x256x28x28xf32>, tensor<128x256x1x1xf32>) -> ("y" : tensor<1x128x28x28xf32>)
    ```
    Behind a pool of stride 1, and an enlarging Resize, a Conv that makes fewer channels
    runs in front of it. Where a pool counts the zeros of a padding, the bias is
    added behind it, by one more node that only an object has for nothing. A cubic
    Resize stays: its means are so only up to rounding, and may lie outside of the
    picture.
  }];
  let options = [Option<"addsBias", "adds-bias", "bool", /*default=*/"true",
                        "Whether a bias may become a node of its own">];
}

def CancelTransposes : Simplify_Pass<"dlc-cancel-transposes"> {
  let summary = "Turn whole regions round where that takes fewer transposes";
  let description = [{
    Nodes that compute the same in any order of axes and hang together are one
    region: elementwise ones, Concat, Split, Softmax, Slice, Pad, reductions
    that keep their axes, quantization with one step; and, while the last axis
    stays, products and normalizations of it. It is turned by the
    permutation of a transpose in front of it if fewer are left then.

    ```mlir
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : ...
    %a = onnx.node "Mul"(%t, %c) : ...
    %b = onnx.node "Sigmoid"(%a) : ...
    %m = onnx.node "Concat"(%a, %b) {axis = 3 : i64} : ...
    %y = onnx.node "Transpose"(%m) {perm = array<i64: 0, 3, 1, 2>} : ...
    ```
    becomes
    ```mlir
    %a = onnx.node "Mul"(%x, %c1) : ...
    %b = onnx.node "Sigmoid"(%a) : ...
    %y = onnx.node "Concat"(%a, %b) {axis = 1 : i64} : ...
    ```
    A region from which more than that is used as it is stays.
  }];
}

def ConvertProducts : Simplify_Pass<"dlc-convert-products"> {
  let summary = "Make Conv of MatMul between transposes, and Gemm of a flat Conv";
  let description = [{
    ```mlir
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : ...
    %b = onnx.node "MatMul"(%a, %w) : ...
    %y = onnx.node "Transpose"(%b) {perm = array<i64: 0, 3, 1, 2>} : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "Conv"(%x, %w1) {kernel_shape = array<i64: 1, 1>} : ...
    ```
    and Conv of one element between a mean of the picture and Flatten becomes
    Gemm behind it; Gemm between reshapes that only flatten becomes MatMul. A product whose transposes others use, too, stays.
  }];
}

def RecognizeRotary : Simplify_Pass<"dlc-recognize-rotary"> {
  let summary = "Find rotary position embedding as exporters write it";
  let description = [{
    From operator set 23 on, where both halves of the tables are the same: a
    constant, rows of one, or the sine of angles that are joined with themselves.
    Where pairs are turned, and of one number each in the tables, it is
    `interleaved`.

    ```mlir
    %a, %b = onnx.node "Split"(%x, %halves) {axis = 3 : i64} : ...
    %n = onnx.node "Neg"(%b) : ...
    %r = onnx.node "Concat"(%n, %a) {axis = 3 : i64} : ...
    %c = onnx.node "Mul"(%x, %cos) : ...
    %s = onnx.node "Mul"(%r, %sin) : ...
    %y = onnx.node "Add"(%c, %s) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "RotaryEmbedding"(%x, %cos1, %sin1, %positions) : ...
    ```
    The halves (or pairs) may also be turned one by one, by tables that have each
    number once:
    ```mlir
    %l = onnx.node "Sub"(%a_cos, %b_sin) : ...
    %r = onnx.node "Add"(%b_cos, %a_sin) : ...
    %y = onnx.node "Concat"(%l, %r) {axis = 3 : i64} : ...
    ```
    A batch gets a table, or positions, for each, also where only the run knows its
    size. Tables of which the length may be another one stay, and float64, which
    the operator does not have.
  }];
  let options = [ForOpset<>];
}

def SpaceToDepth : Simplify_Pass<"dlc-space-to-depth"> {
  let summary = "Gather squares into channels in front of convolutions with strides";
  let description = [{
    A convolution with strides cannot take Winograd's form. With each square of
    the picture in the channels it has no strides:

    ```mlir
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 3, 3, 3, 3>, strides = array<i64: 2, 2>}
        : (tensor<1x3x224x224xf32>, tensor<64x3x7x7xf32>) -> ...
    ```
    becomes
    ```mlir
    %s = onnx.node "SpaceToDepth"(%x) {blocksize = 2 : i64} : ...
    %y = onnx.node "Conv"(%s, %v) {kernel_shape = array<i64: 4, 4>, pads = array<i64: 2, 2, 1, 1>}
        : (tensor<1x12x112x112xf32>, tensor<64x12x4x4xf32>) -> ...
    ```
    The window is filled up with zeros to whole blocks. It runs only for objects
    for a CPU, with a `--conv` that may be Winograd's: there windows of three
    blocks or more, with at most 2.15 times as many products, take 0.44 to 0.94 of
    the time (docs/Simplify.md). Of fewer blocks they take longer and stay, and so
    do sizes that are no multiples of the stride, or not known.
  }];
}

def CancelQuantizations : Simplify_Pass<"dlc-cancel-quantizations"> {
  let summary = "Remove quantizations that only carry a tensor along";
  let description = [{
    QuantizeLinear of DequantizeLinear with the same step, and with nodes
    between them that only move elements or choose among them: reshapes, slices,
    pads with 0, MaxPool, Concat and Split of one step, Relu above the lowest
    integer.

    ```mlir
    %f = onnx.node "DequantizeLinear"(%q, %step, %zero) : ...
    %t = onnx.node "Transpose"(%f) {perm = array<i64: 1, 0>} : ...
    %y = onnx.node "QuantizeLinear"(%t, %step, %zero) : ...
    ```
    becomes
    ```mlir
    %y = onnx.node "Transpose"(%q) {perm = array<i64: 1, 0>} : ...
    ```
    Pairs of other steps stay: they round.
  }];
}

def RecognizeRecurrence : Simplify_Pass<"dlc-recognize-recurrence"> {
  let summary = "Find recurrent networks that are written out step by step";
  let description = [{
    RNN, LSTM and GRU, in the forms of torch's cells and TensorFlow's: products of
    the input and of the state, apart or side by side, that go through all of a
    sequence, from either end.

    ```mlir
    %x0 = onnx.node "Gather"(%x, %0) : ...
    %a0 = onnx.node "Gemm"(%x0, %w, %b) : ...
    %r0 = onnx.node "Gemm"(%h, %r, %c) : ...
    %s0 = onnx.node "Add"(%a0, %r0) : ...
    %h0 = onnx.node "Tanh"(%s0) : ...
    %x1 = onnx.node "Gather"(%x, %1) : ...
    ...
    ```
    becomes
    ```mlir
    %y, %h1 = onnx.node "RNN"(%x, %w1, %r1, %b1, %none, %h0) {hidden_size = 8 : i64} : ...
    ```
    Steps that leave something of the sequence out, or have other weights, stay;
    so do those of an LSTM whose cell states on the way others use.
  }];
}

#endif
