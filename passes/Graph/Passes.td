// The passes of the phase `graph`: rewrites of the dlc dialect.
#ifndef DLC_PASSES_GRAPH
#define DLC_PASSES_GRAPH

include "mlir/Pass/PassBase.td"

def SinkTransposes : Pass<"dlc-sink-transposes", "::mlir::ModuleOp"> {
  let summary = "Move transposes towards the results, where they cancel";
  let description = [{
    The import puts a transpose on either side of each image op. Those between
    two image ops meet and cancel once elementwise ops, reductions, concats,
    pads, slices, squeezes, shuffles of channels and loops such as those of a Resize
    between them work on the transposed tensor.

    ```mlir
    %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x8x8x16xf32>
    %1 = dlc.tanh %0 : tensor<1x16x8x8xf32>
    ```
    becomes
    ```mlir
    %0 = dlc.tanh %x : tensor<1x8x8x16xf32>
    %1 = dlc.transpose %0 [0, 3, 1, 2] : tensor<1x8x8x16xf32>
    ```
    An elementwise op moves only when its other operands are transposed
    likewise, or are constants, or are transposed by a reshape, as a factor of
    each channel is.
  }];
  let dependentDialects = ["::dlc::DlcDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FoldScale : Pass<"dlc-fold-scale", "::mlir::ModuleOp"> {
  let summary = "Fold scales by constants, such as batch normalisation, into weights";
  let description = [{
    ```mlir
    %0 = dlc.conv %x, %w ... -> tensor<1x8x8x16xf32>
    %1 = dlc.mul %0, %scale : tensor<1x8x8x16xf32>, tensor<1x1x1x16xf32>
    ```
    becomes, where %w and %scale are constants,
    ```mlir
    %0 = dlc.mul %w, %scale1 : tensor<3x3x4x16xf32>, tensor<16xf32>
    %1 = dlc.conv %x, %0 ...
    ```
    A constant added before the scale is scaled too, and two constants that
    are added become one.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def FoldQuantization : Pass<"dlc-fold-quantization", "::mlir::ModuleOp"> {
  let summary = "Compute on integers between dequantize and quantize";
  let description = [{
    Products become sums of i32, which are requantized by one multiplication;
    bounds, moves of numbers and maxima work on the integers.

    ```mlir
    %0 = dlc.dequantize %x, %xs, %xz : tensor<1x8x8x16xui8>, tensor<f32>, tensor<ui8>
    %1 = dlc.dequantize %w, %ws, %wz : tensor<1x1x16x32xi8>, tensor<1x1x1x32xf32>, tensor<i8>
    %2 = dlc.conv %0, %1 ... -> tensor<1x8x8x32xf32>
    %3 = dlc.max %2, %zero : tensor<1x8x8x32xf32>, tensor<f32>
    %4 = dlc.quantize %3, %ys, %yz : tensor<1x8x8x32xf32>, tensor<f32>, tensor<ui8>
    ```
    becomes, where %yz is 0,
    ```mlir
    %0 = dlc.conv %x, %w zeros %xz, %wz ... -> tensor<1x8x8x32xi32>
    %1 = dlc.requantize %0, %factor, %yz : tensor<1x8x8x32xi32>, tensor<32xf32>, tensor<ui8>
    ```
    Elementwise ops stay in float, between loads and stores of 8 bits; so do
    products of other forms, as remarks say.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def TabulateFunctions : Pass<"dlc-tabulate-functions", "::mlir::ModuleOp"> {
  let summary = "Look functions of one 8-bit number up in tables";
  let description = [{
    A chain of elementwise ops between a dequantize and a quantize whose only
    operand that isn't constant is one tensor of 8 bits, and that has a costly
    function in it, becomes a table. The same ops, on a constant of all 256
    numbers, compute that at compile time.

    ```mlir
    %0 = dlc.dequantize %x, %s, %z : tensor<1x8x8x16xui8>, tensor<f32>, tensor<ui8>
    %1 = dlc.tanh %0 : tensor<1x8x8x16xf32>
    %2 = dlc.quantize %1, %t, %y : tensor<1x8x8x16xf32>, tensor<f32>, tensor<ui8>
    ```
    becomes
    ```mlir
    %table = ... : tensor<256xui8>
    %0 = dlc.cast %x : tensor<1x8x8x16xui8> to tensor<1x8x8x16xi32>
    %1 = dlc.gather %table, %0 axis = 0 : tensor<256xui8>, tensor<1x8x8x16xi32>
    ```
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def GroupHeads : Pass<"dlc-group-heads", "::mlir::ModuleOp"> {
  let summary = "Multiply groups of heads by keys that are not repeated";
  let description = [{
    Of attention in which several heads of queries share one of keys, files
    repeat the keys and values for each. The products become ones of one more
    dimension, of groups, and so does what is computed between them, so that
    `dlc-fuse-attention` finds it.

    ```mlir
    %e = dlc.broadcast %k : tensor<1x2x1x100x64xf32> to tensor<1x2x4x100x64xf32>
    %r = dlc.reshape %e : tensor<1x2x4x100x64xf32> to tensor<1x8x100x64xf32>
    %t = dlc.transpose %r [0, 1, 3, 2] : tensor<1x8x100x64xf32>
    %s = dlc.matmul %q, %t : ... -> tensor<1x8x100x100xf32>
    ```
    becomes
    ```mlir
    %g = dlc.reshape %q : ... to tensor<1x2x4x100x64xf32>
    %t = dlc.transpose %k [0, 1, 2, 4, 3] : tensor<1x2x1x100x64xf32>
    %p = dlc.matmul %g, %t : ... -> tensor<1x2x4x100x100xf32>
    %s = dlc.reshape %p : ... to tensor<1x8x100x100xf32>
    ```
  }];
  let dependentDialects = ["::dlc::DlcDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect"];
}

def Strassen : Pass<"dlc-strassen", "::mlir::ModuleOp"> {
  let summary = "Multiply by constant matrices with seven products of quarters";
  let description = [{
    Strassen's algorithm in Winograd's variant, one level of it, for products
    of float32 with a constant matrix, known even sizes and enough rows: where
    an eighth of the multiply-adds takes longer than passing over the sums of
    quarters that take its place. Elementwise ops behind the product are
    computed for each quarter, with it.
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", /*default=*/"16",
           "numbers in a vector; two vectors are multiplied in a cycle">,
    Option<"passBytes", "pass-bytes", "int64_t", /*default=*/"32",
           "bytes that a cycle moves">,
  ];
  let dependentDialects = ["::dlc::DlcDialect"];
}

#endif
