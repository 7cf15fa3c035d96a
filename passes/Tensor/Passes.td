// The passes of the phase `tensor`: from the dlc dialect to linalg.
#ifndef DLC_PASSES_TENSOR
#define DLC_PASSES_TENSOR

include "mlir/Pass/PassBase.td"

def DeriveShapes : Pass<"dlc-derive-shapes", "::mlir::ModuleOp"> {
  let summary = "Derive from @main the function that computes the sizes of its results";
  let description = [{
    Where a result has a dynamic size. The function reads the sizes of all
    dimensions of all inputs and writes those of the outputs that are dynamic;
    -1 stands for one that depends on the elements of a tensor. It becomes the
    call `NAME_shapes` of the C interface.

    ```mlir
    func.func @main(%x: tensor<?x4xf32>) -> tensor<?xf32> {
      %0 = dlc.reshape %x ...
    ```
    has beside it
    ```mlir
    func.func @shapes(%in: memref<2xi64>, %out: memref<1xi64>) attributes {llvm.bareptr} {
      %0 = memref.load %in[%c0] : memref<2xi64>
      %1 = arith.muli %0, %c4 ...
      memref.store %1, %out[%c0] : memref<1xi64>
      return
    }
    ```
    It stands before the lowering, since the ops of dlc tell their sizes.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::tensor::TensorDialect"];
}

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

def LowerToLinalg : Pass<"dlc-lower-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Lower dlc ops to linalg, tensor and arith, and contractions to dlc.contract";
  let description = [{
    Afterwards every tensor has a signless element type and no dlc op but
    `dlc.contract` is left. One file of patterns an op family: see Lowering.h.

    Contractions of bytes take signed numbers on the right, and on the left
    what `bytes` says; zero points become terms of the epilogue:

    ```mlir
    %0 = dlc.matmul %x, %w zeros %xz, %wz ... : tensor<4x8xui8>, tensor<8x16xi8> -> tensor<4x16xi32>
    ```
    becomes, where %wz is 0,
    ```mlir
    %t = linalg.generic ins(%w, %xz) ... -> tensor<16xi32>    // xz * sum w
    %0 = dlc.contract %x, %w extras %t : tensor<16xi32> outs %e [...] {aUnsigned} ... {
    ^bb0(%sum: i32, %u: i32):
      %1 = arith.subi %sum, %u : i32
      dlc.yield %1 : i32
    }
    ```
  }];
  let options = [
    Option<"bytes", "bytes", "std::string", "\"any\"",
           "what dot products of bytes take on the left: any, unsigned, "
           "signed or unsigned-or-tiles">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect", "::mlir::cf::ControlFlowDialect"
  ];
}

def SinkReshapes : Pass<"dlc-sink-reshapes", "::mlir::ModuleOp"> {
  let summary = "Move reshapes of contractions behind elementwise ops";
  let description = [{
    What follows a contraction goes into its epilogue, also where a reshape
    stands between that leaves channels side by side: that of a transposed
    convolution, whose window is its stride, is one. Operands along the
    channels are repeated.

    ```mlir
    %s = dlc.contract ... -> tensor<80x2x120x48xf32>
    %x = tensor.collapse_shape %s ... into tensor<921600xf32>
    %y = tensor.expand_shape %x ... into tensor<160x240x24xf32>
    %z = linalg.generic ins(%y, %bias : tensor<160x240x24xf32>, tensor<24xf32>)
    ```
    becomes
    ```mlir
    %s = dlc.contract ... -> tensor<80x2x120x48xf32>
    %b = ... : tensor<48xf32>    // %bias twice
    %t = linalg.generic ins(%s, %b : tensor<80x2x120x48xf32>, tensor<48xf32>)
    %x = tensor.collapse_shape %t ... into tensor<921600xf32>
    %z = tensor.expand_shape %x ... into tensor<160x240x24xf32>
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def EvaluateConstants : Pass<"dlc-evaluate-constants", "::mlir::ModuleOp"> {
  let summary = "Evaluate at compile time what depends on constants only";
  let description = [{
    The ops of @main whose operands are constants form a model of their own,
    which is compiled for this machine, run once in this process, and replaced
    by its results. So no operator is implemented a second time. Values that
    are much larger than what they come from stay, and so do those that cost
    nothing (fills). What depends on constants only inside of a loop or a
    branch is taken out of it first. What transposes, reshapes and slices make
    of a constant, as layouts of weights, is copied without code for it.

    An op with the attribute `dlc.expand` makes a value that is large and
    worth having. With `expand=init` it moves, with all large values that
    depend on it, to the function @init, whose results @main reads as
    `dlc.expanded`; the object then holds what they come from. With
    `expand=object` it is evaluated as the others are.

    ```mlir
    %w = arith.constant dense_resource<w> : tensor<64x3x3x3xf32>
    %t = linalg.transpose ins(%w) ...
    ```
    becomes
    ```mlir
    %t = arith.constant dense_resource<folded> : tensor<3x3x3x64xf32>
    ```
    and
    ```mlir
    func.func @main(...) {
      %w = arith.constant dense_resource<w> : tensor<3x3x64x64xf32>
      %u = dlc.winograd_weights %w outs %e ... {dlc.expand}
    ```
    becomes
    ```mlir
    func.func @main(...) {
      %u = dlc.expanded 0 : tensor<6x6x64x64xf32>
      ...
    func.func @init() -> tensor<6x6x64x64xf32> {
      %w = arith.constant dense_resource<w> : tensor<3x3x64x64xf32>
      %u = dlc.winograd_weights %w outs %e ...
      return %u
    ```
  }];
  let options = [
    Option<"expand", "expand", "std::string", "\"init\"",
           "where values much larger than what they come from are made: init, "
           "before the first run, or object, at compile time">];
  let dependentDialects = ["::dlc::DlcDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect"];
}

def FlushSubnormals : Pass<"dlc-flush-subnormals", "::mlir::ModuleOp"> {
  let summary = "Take subnormal weights for zeros";
  let description = [{
    Trained weights that decayed: of f32, all below 1.2e-38. x86 CPUs take some
    150 cycles for a product with one. Only weights of contractions, and only
    beside such of 1.6e-30 or more, against which they are less than what a sum is
    rounded by.

    ```mlir
    %w = arith.constant dense<[[0.5, 1.0e-40]]> : tensor<1x2xf32>
    %r = dlc.contract %x, %w ...
    ```
    becomes
    ```mlir
    %w = arith.constant dense<[[0.5, 0.0]]> : tensor<1x2xf32>
    %r = dlc.contract %x, %w ...
    ```
    For CPUs.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseEpilogue : Pass<"dlc-fuse-epilogue"> {
  let summary = "move elementwise ops into the epilogue of the contraction before them";
  let description = [{
    An all-parallel linalg op of one result that is the only user of a
    contraction's result, and keeps its innermost dimension, becomes part of
    its epilogue. Its other operands become extras; scalars and constants are
    copied into the region. Of two contractions that are added, the later one
    takes the sum and the earlier one's result becomes its extra. Where the
    result is expanded before, the op is done on its own shape, and what it
    gives expanded.

    ```mlir
    %c = dlc.contract %a, %b outs %e [...] : ... {
    ^bb0(%sum: f32):
      dlc.yield %sum : f32
    }
    %r = linalg.generic {...} ins(%c, %bias : ...) outs(%e : ...) {
    ^bb0(%x: f32, %y: f32, %out: f32):
      %0 = arith.addf %x, %y : f32
      linalg.yield %0 : f32
    }
    ```
    becomes
    ```mlir
    %r = dlc.contract %a, %b extras %bias : tensor<8xf32> outs %e [...] : ... {
    ^bb0(%sum: f32, %y: f32):
      %0 = arith.addf %sum, %y : f32
      dlc.yield %0 : f32
    }
    ```
  }];
}

def SimplifyRounding : Pass<"dlc-simplify-rounding"> {
  let summary = "round to whole numbers without divisions and ways through bytes";
  let description = [{
    A number that was rounded, became a byte and is a float again, stays a float.
    A quotient that is to be rounded is found by the reciprocal and a correction,
    both fused multiply-adds: the same bits, in a fraction of the time.

    ```mlir
    %q = arith.divf %x, %c : f32
    %low = arith.maxnumf %q, %cst_0 : f32
    %high = arith.minnumf %low, %cst_255 : f32
    %sum = arith.addf %high, %magic : f32
    ```
    becomes
    ```mlir
    %low = arith.maxnumf %x, %cst_0 : f32
    %high = arith.minnumf %low, %cst_255c : f32
    %q = arith.mulf %high, %r : f32
    %rest = math.fma %q, %minus_c, %high : f32
    %better = math.fma %rest, %r, %q : f32
    %sum = arith.addf %better, %magic : f32
    ```
  }];
  let options = [
    Option<"fma", "fma", "bool", "true", "the machine multiplies and adds in one step">
  ];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect"];
}

def SeparateMasks : Pass<"dlc-separate-masks", "::mlir::ModuleOp"> {
  let summary = "Make tensors of what masks the scores of a softmax by position";
  let description = [{
    An op on the sums of a product that a softmax reads, and that computes with
    its own position, gives that part to an op of its own, over the loops that
    it depends on. What is left goes into the product's epilogue, and
    `dlc-fuse-attention` finds both.

    ```mlir
    %y = linalg.generic ins(%s : tensor<8x1x?xf32>) {
      %i = linalg.index 2
      %hidden = arith.cmpi slt, %length, %i
      %bias = arith.select %hidden, %low, %zero
      %masked = arith.addf %score, %bias
    }
    ```
    becomes
    ```mlir
    %m = linalg.generic ... -> tensor<?xf32>     // %bias
    %y = linalg.generic ins(%s, %m : tensor<8x1x?xf32>, tensor<?xf32>) {
      %masked = arith.addf %score, %bias
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FuseAttention : Pass<"dlc-fuse-attention"> {
  let summary = "make attention of two contractions with a softmax between them";
  let description = [{
    A contraction whose result only a softmax along one dimension reads, and a
    contraction that sums over this dimension, become `dlc.attention`, whatever
    else the first one's epilogue does to the scores: scale them, hide some,
    bend them. What is done to whole rows behind the softmax (a row without any
    key is 0) goes into the epilogue. A transposition of the keys is dropped.
    Weights of fewer bits between the products are no longer rounded.

    ```mlir
    %s = dlc.contract %q, %kt ... outs %e [...] { ... }
    %max = linalg.generic {maximumf} ins(%s) ...
    %exp = linalg.generic {exp(s - max)} ins(%s, %max) ...
    %sum = linalg.generic {addf} ins(%exp) ...
    %p = linalg.generic {exp * (1 / sum)} ins(%exp, %sum) ...
    %r = dlc.contract %p, %v outs %e2 [...] { ... }
    ```
    becomes
    ```mlir
    %r = dlc.attention %q, %k, %v outs %e2 [...] { ... }, { ... }
    ```
    For a CPU, `cache` is the size of its second cache, and `lanes` that of its
    vectors: then what a kernel has of the scores at a time, `tile`, queries by
    keys, fits a part of that, and what would not gain stays as it is. With
    `pairs`, of a CPU with dot products of bfloat16, attention of queries, keys
    and values of that type gets the precision of it: its weights are rounded
    too. Of a few queries and heads many keys are cut in parts (`dlc.parts`),
    which threads share, and whose results are put together behind.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
  let options = [
    Option<"cache", "cache", "int64_t", "0",
           "bytes of a CPU's second cache; 0: for a GPU's kernels">,
    Option<"lanes", "lanes", "int64_t", "8", "scores in a CPU's vector">,
    Option<"pairs", "pairs", "bool", "false",
           "whether a CPU has dot products of bfloat16">];
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

def EmbedTables : Pass<"dlc-embed-tables", "::mlir::ModuleOp"> {
  let summary = "Make constant tables of bytes part of what looks up in them";
  let description = [{
    So that a function of a byte is one elementwise op, which fuses with
    others, goes into the epilogue of a contraction, and works on vectors.

    ```mlir
    %i = arith.index_castui %x : i8 to index
    %y = tensor.extract %table[%i] : tensor<256xi8>
    ```
    becomes
    ```mlir
    %y = dlc.lookup %x {table = array<i8: ...>} : i8
    ```
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def FuseElementwise : Pass<"dlc-fuse-elementwise"> {
  let summary = "Make one pass over memory of chains of elementwise ops";
  let description = [{
    MLIR's fusion of elementwise ops, where the cost model of docs/Fusion.md says
    that computing again costs no more than storing and loading: what a loop repeats
    for many elements stays alone, and what several loops use is repeated for each
    if it is cheap. Up to a limit: the time for each step, and for the code of the
    loop, grows with the body.

    ```mlir
    %0 = linalg.generic ins(%x) ... { math.exp }
    %1 = linalg.generic ins(%0) ... { arith.negf }
    ```
    becomes
    ```mlir
    %1 = linalg.generic ins(%x) ... { math.exp, arith.negf }
    ```
  }];
  let options = [
    Option<"limit", "limit", "int64_t", "256",
           "ops that the body of a loop has at most">,
    Option<"lanes", "lanes", "int64_t", "8",
           "elements that an operation of a cycle computes">,
    Option<"cache", "cache", "int64_t", "1048576",
           "bytes that are near when the next loop begins">,
    Option<"nearBytes", "near-bytes", "int64_t", "32",
           "bytes a cycle from there">,
    Option<"memoryBytes", "memory-bytes", "int64_t", "4",
           "bytes a cycle from memory">,
    Option<"launch", "launch", "int64_t", "500",
           "cycles that another loop takes to begin">,
    Option<"perElement", "per-element", "bool", "false",
           "every element is computed apart, as a GPU's threads do">];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"];
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

def SplitReductions : Pass<"dlc-split-reductions"> {
  let summary = "Split reductions that have few results";
  let description = [{
    A reduction of fewer rows than a GPU has use for becomes several, each of a
    part of the elements; another op combines their results, always in the same
    order. Across memory, where each thread makes a result, it takes fewer
    elements. Reductions of sizes that are not known stay as they are.

    ```mlir
    %s = linalg.generic ins(%x : tensor<1048576xf32>) outs(%init : tensor<f32>) { sum }
    ```
    becomes
    ```mlir
    %y = tensor.expand_shape %x [[0, 1]] : tensor<1048576xf32> into tensor<512x2048xf32>
    %p = linalg.generic ins(%y) outs(%zeros : tensor<512xf32>) { sum }
    %s = linalg.generic ins(%p) outs(%init : tensor<f32>) { sum }
    ```
  }];
  let options = [
    Option<"blocks", "blocks", "int64_t", "512",
           "blocks that occupy a GPU">,
    Option<"fewRows", "few-rows", "int64_t", "64",
           "as many rows are not split">,
    Option<"fewestTerms", "fewest-terms", "int64_t", "2048",
           "terms that a part of a row has at least">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"];
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

def ShareConcats : Pass<"dlc-share-concats"> {
  let summary = "Let concatenations that begin alike share one tensor";
  let description = [{
    The layers of a dense block each read what all layers before made. What
    begins with all parts of another concatenation goes on where that ends, if
    nothing reads that one any more. `dlc-place-parts` then computes the parts
    in their place.

    ```mlir
    %a = tensor.insert_slice %x into %e[0, 0] [8, 64] [1, 1]    // of 8x96
    %b = tensor.insert_slice %y into %a[0, 64] [8, 32] [1, 1]
    %z = use(%b)
    %c = tensor.insert_slice %x into %f[0, 0] [8, 64] [1, 1]    // of 8x128
    %d = tensor.insert_slice %y into %c[0, 64] [8, 32] [1, 1]
    %g = tensor.insert_slice %z into %d[0, 96] [8, 32] [1, 1]
    ```
    becomes
    ```mlir
    %c = tensor.insert_slice %x into %f[0, 0] [8, 64] [1, 1]    // of 8x128
    %d = tensor.insert_slice %y into %c[0, 64] [8, 32] [1, 1]
    %b = tensor.extract_slice %d[0, 0] [8, 96] [1, 1]
    %z = use(%b)
    %g = tensor.insert_slice %z into %d[0, 96] [8, 32] [1, 1]
    ```
    For CPUs: kernels of GPUs want rows one after the other.
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def MergeReductions : Pass<"dlc-merge-reductions"> {
  let summary = "Read a tensor once for several numbers";
  let description = [{
    Reductions of the same tensors to one number each become one op. Those of
    rows stay as they are: `dlc-fuse-rows` makes kernels of them.

    ```mlir
    %low = linalg.generic ins(%x : tensor<56x64xf32>) outs(%a : tensor<f32>) { min }
    %high = linalg.generic ins(%x : tensor<56x64xf32>) outs(%b : tensor<f32>) { max }
    ```
    becomes
    ```mlir
    %both:2 = linalg.generic ins(%x) outs(%a, %b) { min, max }
    ```
    For CPUs: a GPU splits reductions of one result.
  }];
}

def WidenSums : Pass<"dlc-widen-sums"> {
  let summary = "Add up the exponentials of a softmax in f64";
  let description = [{
    Every result is divided by the sum. Its inverse is a factor of them
    in two parts.

    ```mlir
    %s = linalg.generic ins(%e : tensor<4x8xf32>) outs(%zeros : tensor<4xf32>) { sum }
    %i = linalg.generic ins(%s) outs(...) { 1 / s }
    %y = linalg.generic ins(%e, %i) outs(...) { e * i }
    ```
    becomes
    ```mlir
    %s = linalg.generic ins(%e) outs(%zeros : tensor<4xf64>) { sum + extf e }
    %high, %low = linalg.generic ins(%s) outs(...) { 1 / s }
    %y = linalg.generic ins(%e, %high, %low) outs(...) { e * high + e * low }
    ```
    The logarithm of a sum is log1p of all but a 1 at a maximum. For CPUs; along
    whatever axis. Needs the marks that `dlc-lower-to-linalg` makes, and stands
    behind fusion, so that patterns know one form of a softmax.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

#endif
