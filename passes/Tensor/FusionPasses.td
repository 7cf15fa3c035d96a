// The passes of the phase `tensor` that make one op of several.
#ifndef DLC_PASSES_TENSOR_FUSION
#define DLC_PASSES_TENSOR_FUSION

include "mlir/Pass/PassBase.td"

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
    too; with `matrix-tiles` their products are those of tiles, and there are
    more queries at a time. Of a few queries and heads many keys are cut in
    parts (`dlc.parts`), which threads share, and whose results are put
    together behind.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
  let options = [
    Option<"cache", "cache", "int64_t", "0",
           "bytes of a CPU's second cache; 0: for a GPU's kernels">,
    Option<"lanes", "lanes", "int64_t", "8", "scores in a CPU's vector">,
    Option<"pairs", "pairs", "bool", "false",
           "whether a CPU has dot products of bfloat16">,
    Option<"matrixTiles", "matrix-tiles", "bool", "false",
           "whether it has products of tiles (AMX) of them">];
}

#endif
