// The passes of the phase `tensor` that choose the form of contractions.
#ifndef DLC_PASSES_TENSOR_CONTRACTION
#define DLC_PASSES_TENSOR_CONTRACTION

include "mlir/Pass/PassBase.td"

def ChooseSigns : Pass<"dlc-choose-signs", "::mlir::ModuleOp"> {
  let summary = "Make bytes signed or unsigned, as the products take them";
  let description = [{
    Instructions for dot products want the left bytes unsigned and the right
    ones signed (`vpdpbusd`), or both alike (`sdot`). Tensors that only dlc sees
    get the kind that their products take; their zero points move by 128, so the
    numbers that they stand for are the same. All tensors change together
    between which numbers only move, or are chosen by a maximum; a
    class that the caller sees stays, and the kernels turn its bytes
    (`flip` of `dlc.contract`).

    ```mlir
    %0 = dlc.quantize %x, %s, %z : tensor<4x8xf32>, tensor<f32>, tensor<i8>   // %z = 3
    %1 = dlc.matmul %0, %w zeros %z, %wz ... : tensor<4x8xi8>, tensor<8x16xi8> -> tensor<4x16xi32>
    ```
    becomes, with `bytes=unsigned`,
    ```mlir
    %0 = dlc.quantize %x, %s, %z1 : tensor<4x8xf32>, tensor<f32>, tensor<ui8> // %z1 = 131
    %1 = dlc.matmul %0, %w zeros %z1, %wz ... : tensor<4x8xui8>, tensor<8x16xi8> -> tensor<4x16xi32>
    ```
  }];
  let options = [
    Option<"bytes", "bytes", "std::string", "\"any\"",
           "what dot products of bytes take on the left: any, unsigned, "
           "signed or unsigned-or-tiles">];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def ChooseConvolution : Pass<"dlc-choose-convolution"> {
  let summary = "choose the form of convolutions: direct or by transforms";
  let description = [{
    A convolution of stride 1 with constant weights takes Winograd's form, or,
    without a dilation, Fourier's, where a model of its cost (multiply-adds, transforms, weights
    through the caches) says that this is faster. Its weights, packed or not, are transformed by an
    op on constants, to be evaluated before the first run; they grow by
    (m + r - 1)^2 / r^2. Where the object has to hold them, `growth` is the
    percentage by which the constants of the model may grow with `form=auto`;
    the layers that gain most for a byte come first. Larger tiles
    save more multiplications and cancel more digits: `form=auto` takes those
    whose products are at most `error` times as large as their sums (F(4x4,
    3x3): 5, about twice the direct form's rounding error; F(6x6, 3x3): 20),
    and one of more than 10 times only where it is better by a fifth.

    Of a volume, height and width have the transforms. The products sum over the
    window's depth beside the channels, so that along the depth there may be
    strides and dilations, and errors grow as those of maps.

    A convolution that lacks a form that is asked for is direct: a remark says
    why, and a warning where that are all convolutions of the model.

    ```mlir
    %c = dlc.contract %x, %w ... : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, ...
    ```
    becomes
    ```mlir
    %u = dlc.winograd_weights %w outs %e [0, 1] #dlc.winograd<...> {dlc.expand}
           : tensor<3x3x64x64xf32>, tensor<6x6x64x64xf32> -> tensor<6x6x64x64xf32>
    %c = dlc.contract %x, %u ... {winograd = #dlc.winograd<height = 4, width = 4,
           windowHeight = 3, windowWidth = 3, tiles = 12>}
    ```
  }];
  let options = [
    Option<"form", "form", "std::string", "\"auto\"",
           "auto, direct, winograd or fft (wherever it is possible); "
           "winograd-4x6: tiles of so many outputs, fft-16x16: of so many "
           "inputs; a third number is how many tiles go through at a time">,
    Option<"growth", "growth", "int64_t", "-1",
           "percent by which all constants together may grow with form=auto; "
           "-1: any">,
    Option<"error", "error", "double", "21",
           "largest growth of rounding errors with form=auto">,
    Option<"scratch", "scratch", "int64_t", "3",
           "percent of the largest contraction's operands by which a layer's "
           "operands and scratch may be larger with form=auto, unless that "
           "costs a tenth of the cycles of all convolutions; -1: any">,
    Option<"lanes", "lanes", "int64_t", "8", "sums in a vector register">,
    Option<"speed", "speed", "double", "1",
           "of the direct form, in multiply-adds of float32">,
    Option<
        "mark", "mark", "bool", "false",
        "give convolutions the attribute `dlc.transformed`, and leave them "
        "to a later run">];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def RoundOperands : Pass<"dlc-round-operands"> {
  let summary = "Round operands of contractions to bfloat16 for a CPU";
  let description = [{
    Contractions of float32 that a CPU's dot products of bfloat16 compute faster
    get operands of that type; those of constants are rounded at compile time.
    Sums, and all else, stay float32. Behind pads, reshapes and transpositions
    of their own the operands are rounded in front, where they are made.

    ```mlir
    %c = dlc.contract %a, %b ... : tensor<4x64xf32>, tensor<64x16xf32>, ...
    ```
    becomes
    ```mlir
    %x = linalg.generic ins(%a) outs(%e) { truncf fastmath<afn> }
    %w = linalg.generic ins(%b) outs(%f) { truncf fastmath<afn> }
    %c = dlc.contract %x, %w ... : tensor<4x64xbf16>, tensor<64x16xbf16>, ...
    ```
    `afn` allows the instruction that takes subnormal numbers as zeros. Stay as
    they are: contractions whose A isn't contiguous along the sum and cannot be
    laid out so, those with fewer columns than rounding pays for, and those with
    the attribute `dlc.transformed`: convolutions that `dlc-choose-convolution`
    has a faster form for, in float32. Of attention with some rows queries, keys
    and values are rounded, and its kernel rounds the weights.
  }];
  let options = [Option<"lanes", "lanes", "int64_t", "16",
                        "sums in a vector register">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"];
}

def ChoosePrecision : Pass<"dlc-choose-precision"> {
  let summary = "let contractions of float32 round their operands";
  let description = [{
    Contractions whose operands are float32 get the attribute `precision`, so
    that kernels may use faster arithmetic; an operand that is constant is
    rounded at compile time, to 16 bits or, for tf32, to float32 of fewer
    digits. Sums, and all else, stay float32.

    ```mlir
    %c = dlc.contract %a, %b ... : tensor<4x8xf32>, tensor<8x16xf32>, ...
    ```
    becomes with `bf16`
    ```mlir
    %w = linalg.generic ins(%b) outs(%e) { truncf } // if %b is constant
    %c = dlc.contract %a, %w ... {precision = 1 : i32}
        : tensor<4x8xf32>, tensor<8x16xbf16>, ...
    ```
  }];
  let options = [
    Option<"precision", "precision", "std::string", "\"fp32\"",
           "fp32, which changes nothing, tf32, bf16 or fp16">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"];
}

def PackContract : Pass<"dlc-pack-contract"> {
  let summary = "lay out the weights of contractions in panels of columns";
  let description = [{
    A constant B of `(k..., n)` becomes `(n floordiv P, k..., n mod P)` by ops
    on the constant (transposed, padded, reshaped), to be evaluated at compile
    time. The width P is `panel` or a smaller multiple of `lanes`, so that the
    zeros in the last panel are few; vectors of 16 elements and more have panels
    of half the width where weights come from far away: few rows and long sums,
    and convolutions that Winograd's form may have. A narrow B, which is a panel as it is, is
    only transposed where its columns aren't contiguous.

    A B that isn't constant is used as it is where its columns are contiguous,
    or the sum runs along contiguous elements of both operands and each
    element of B is used a few times only; else it is transposed at run time.

    ```mlir
    %c = dlc.contract %a, %b ... [..., affine_map<(m, n, k) -> (k, n)>, ...]
         : tensor<4x8xf32>, tensor<8x1000xf32>, ...
    ```
    becomes
    ```mlir
    %p = tensor.pad %b ... : tensor<8x1000xf32> to tensor<8x1024xf32>
    %s = tensor.expand_shape %p [[0], [1, 2]] ... into tensor<8x16x64xf32>
    %t = linalg.transpose ins(%s) outs(%e) permutation = [1, 0, 2]
    %c = dlc.contract %a, %t ... [..., affine_map<(m, n, k) -> (n floordiv 64, k, n mod 64)>, ...]
    ```
    Where a machine has dot products of `group` bytes, bytes are laid out in
    groups along k as well, `(n floordiv P, k floordiv 4, n mod P, k mod 4)`,
    and with `pairs` bfloat16 by twos, with zeros to fill panels and groups, and,
    for products of tiles (AMX), steps of at most 16 groups. Channels that fill no groups are
    merged with the innermost dimension of a convolution's window. Attention's
    kernel lays out its own.
  }];
  let options = [
    Option<"panel", "panel", "int64_t", "16",
           "columns of a panel: a multiple of lanes">,
    Option<"lanes", "lanes", "int64_t", "8",
           "sums in a vector register">,
    Option<"group", "group", "int64_t", "1",
           "bytes that a dot product sums in one lane">,
    Option<"dotLanes", "dot-lanes", "int64_t", "8",
           "sums in a vector register of dot products">,
    Option<"pairs", "pairs", "bool", "false",
           "whether there are dot products of pairs of bfloat16">,
    Option<"byteTiles", "byte-tiles", "bool", "false",
           "whether there are products of tiles (AMX) of bytes">,
    Option<"pairTiles", "pair-tiles", "bool", "false",
           "the same of bfloat16">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"];
}

def SplitSums : Pass<"dlc-split-sums"> {
  let summary = "split the sums of contractions with few results";
  let description = [{
    A contraction of fewer tiles than a GPU runs at once becomes several, each
    of a part of the terms, as one more batch dimension; another op adds their
    results, always in the same order, and does the epilogue. Sizes that are
    not known are thought to be large.

    ```mlir
    %c = dlc.contract %a, %b extras %bias ... { sum + bias }
         : tensor<16x4096xf32>, tensor<4096x256xf32>, tensor<16x256xf32>
    ```
    becomes
    ```mlir
    %x = tensor.expand_shape %a [[0], [1, 2]] : tensor<16x4096xf32> into tensor<16x16x256xf32>
    %y = tensor.expand_shape %b [[0, 1], [2]] : tensor<4096x256xf32> into tensor<16x256x256xf32>
    %s = dlc.contract %x, %y ... { sum }      // tensor<16x16x256xf32>
    %c = linalg.generic ins(%s, ... %s, %bias) { s[0] + s[1] + ... + bias }
    ```
  }];
  let options = [
    Option<"blocks", "blocks", "int64_t", "128",
           "blocks that occupy a GPU">,
    Option<"mostParts", "most-parts", "int64_t", "32",
           "parts that a sum has at most">,
    Option<"fewestTerms", "fewest-terms", "int64_t", "128",
           "terms that a part has at least">,
    Option<"capability", "capability", "unsigned", "70",
           "least compute capability of the GPUs, times 10: the kernels' tiles "
           "depend on it">];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def SkipPadding : Pass<"dlc-skip-padding"> {
  let summary = "Convolve channel by channel without zeros around the input";
  let description = [{
    The kernel leaves out what lies outside of its input: of a small map most of
    what a large window covers. Zeros at the ends of lines stay where the lines'
    length is unknown, or the window's is above 8.

    ```mlir
    %p = tensor.insert_slice %x into %zeros[0, 2, 2, 0] [1, 6, 80, 16] [1, 1, 1, 1]
    %y = dlc.contract %p, %w outs %e
        [affine_map<(n, y, x, c, i, j) -> (n, y + i, x + j, c)>, ...] ...
    ```
    becomes
    ```mlir
    %y = dlc.contract %x, %w outs %e
        [affine_map<(n, y, x, c, i, j) -> (n, y + i - 2, x + j - 2, c)>, ...]
        {zeroOutside = array<i64: 1, 2>} ...
    ```
    For CPUs.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"];
}

#endif
