// The passes of the phase `tensor`: from the dlc dialect to linalg.
#ifndef DLC_PASSES_TENSOR
#define DLC_PASSES_TENSOR

include "mlir/Pass/PassBase.td"
include "passes/Tensor/ConstantPasses.td"
include "passes/Tensor/ContractionPasses.td"
include "passes/Tensor/FusionPasses.td"

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

def FinishPools : Pass<"dlc-finish-pools"> {
  let summary = "Finish reductions of windows in their place";
  let description = [{
    What one elementwise op makes of a pool's results, such as the quotient of
    an average, has their memory, so that one kernel can do both:

    ```mlir
    %sums = linalg.generic {iterator_types = [..., "reduction", ...]} ins(%x, %window) outs(%zeros) ...
    %y = linalg.generic ins(%sums : tensor<1x35x35x192xf32>) outs(%e) {
    ^bb0(%in: f32, %out: f32):
      %q = arith.divf %in, %cst : f32
    ```
    becomes
    ```mlir
    %zeros = linalg.fill ...
    %sums = linalg.generic ...
    %y = linalg.generic outs(%sums : tensor<1x35x35x192xf32>) {
    ^bb0(%out: f32):
      %q = arith.divf %out, %cst : f32
    ```
    The three stand side by side. For CPUs.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
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
