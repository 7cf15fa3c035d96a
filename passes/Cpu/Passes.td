// The passes of the phase `llvm` for CPUs.
#ifndef DLC_PASSES_CPU
#define DLC_PASSES_CPU

include "mlir/Pass/PassBase.td"

def ExpandMath : Pass<"dlc-expand-math"> {
  let summary = "Expand math functions on f32 inline; leave the rest to libm";
  let description = [{
    Inline polynomials let LLVM vectorise the loops around them. Functions of
    doubles, and those without an expansion, become calls of libm.
  }];
  let options = [
    Option<"bf16", "bf16", "bool", "true",
           "convert from and to bfloat16 by operations on integers">,
    Option<"scales", "scales", "bool", "false",
           "there is an instruction that multiplies by powers of two">,
    Option<"exactDifferences", "exact-differences", "bool", "false",
           "exp(x - y) is that of the difference before it is rounded">,
    Option<"doubles", "doubles", "bool", "false",
           "compute pow by arithmetic of f64">,
    Option<"rounds", "rounds", "bool", "false",
           "round to bfloat16 by an instruction where `afn` allows its zeros "
           "for subnormal numbers">];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
}

def DecomposeAttention : Pass<"dlc-decompose-attention", "::mlir::ModuleOp"> {
  let summary = "Make products and a softmax of dlc.attention";
  let description = [{
    Of attention without a tile, for CPUs that do a GPU's work where there is
    none: the scores get memory of the run.

    ```mlir
    call @kernel_0(%q, %k, %v, %y)    // dlc.attention
    ```
    becomes
    ```mlir
    %turned = dlc.alloc ...
    %scores = dlc.alloc ...
    linalg.transpose ins(%k) outs(%turned)
    dlc.contract %q, %turned outs %scores ...
    ...                               // maximum, exponentials, sum
    dlc.contract %scores, %v extras %sum outs %y ...
    ```
    of which `dlc-outline-kernels` makes kernels. The quotient is that of the
    second product's results, which are fewer than the weights.
  }];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect"];
}

def NarrowIndices : Pass<"dlc-narrow-indices"> {
  let summary = "Clamp sizes and indices of 64 bits to what an address of 32 bits reaches";
  let description = [{
    For targets with addresses of 32 bits, where a conversion to `index` keeps
    the lower half only. No memory has a dimension of 2^30 elements, so that
    what was outside stays outside, and the checks of a run find it.

    ```mlir
    %0 = arith.index_cast %x : i64 to index
    ```
    becomes
    ```mlir
    %1 = arith.minsi %x, %c1073741824_i64 : i64
    %2 = arith.maxsi %1, %c-1073741824_i64 : i64
    %0 = arith.index_cast %2 : i64 to index
    ```
    Constants of type `index` are clamped likewise.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def ExpandReshapes : Pass<"dlc-expand-reshapes"> {
  let summary = "Expand memref.expand_shape into several dynamic dimensions";
  let description = [{
    ```mlir
    %1 = memref.expand_shape %0 [[0, 1]] output_shape [%n, %m] : memref<?xf32> into memref<?x?xf32>
    ```
    becomes
    ```mlir
    %base, %offset, %size, %stride = memref.extract_strided_metadata %0
    %1 = memref.reinterpret_cast %base to offset: [0], sizes: [%n, %m], strides: [%m, 1]
    ```
    Needed before `expand-strided-metadata`, which fails on such ops.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def SkipEmptyLoops : Pass<"dlc-skip-empty-loops"> {
  let summary = "Skip loops inside which no loop has a trip";
  let description = [{
    ```mlir
    scf.for %i = %c0 to %n step %c1 {
      scf.for %j = %c0 to %m step %c1 {
        memref.store %x, %y[%i, %j]
      }
    }
    ```
    stands in an `scf.if` whose condition is `%m > 0`: a tensor without elements
    may be 2^47 long in its other dimensions. Loops of few trips, and those that
    do something else, are left alone.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

def KeepVectorLoops : Pass<"dlc-keep-vector-loops"> {
  let summary = "Keep LLVM from unrolling loops before it vectorises them";
  let description = [{
    An innermost loop of at least 8 trips, each of which stores the element
    behind the last one, gets `llvm.loop_annotation` without unrolling. Vectors
    along it are loaded and stored whole; unrolled, LLVM would make them of the
    loop around, with gathers and scatters.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def ConvertToLlvm : Pass<"dlc-convert-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert everything to the LLVM dialect";
  let description = [{
    With it go the ops of the run (`dlc.input`, `dlc.alloc`, …), which read
    the run's context or call the runtime, and `cf.assert`, which ends the run
    with a status and its message.
  }];
  let options = [
    Option<"indexBits", "index-bits", "unsigned", "64", "width of an index">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def LowerContract : Pass<"dlc-lower-contract"> {
  let summary = "turn dlc.contract on memrefs into kernels of vector code";
  let description = [{
    Each contraction becomes a nest of `scf` loops around a tile of sums that
    stays in registers, in the first form of a list (best first) that fits it:
    channels-wise (depthwise), register-tiled product, dot products along the
    summed dimension, loops over single elements. The epilogue is applied to
    the sums before they are stored.

    ```mlir
    dlc.contract %a, %b outs %c [...] : memref<?x8xf32>, memref<8x64xf32>, memref<?x64xf32> {...}
    ```
    becomes, with 64-byte vectors and six rows a tile,
    ```mlir
    scf.for %row = ... step 6 {
      %sums:24 = scf.for %k = %c0 to %c8 step %c1 iter_args(...) -> (vector<16xf32>, ...) {
        %b0 = vector.load %bflat[...]
        %a0 = memref.load %aflat[...]
        %x = vector.broadcast %a0 : f32 to vector<16xf32>
        %s = math.fma %x, %b0, %sum : vector<16xf32>
        ...
    ```
    `dlc.attention` with a tile becomes loops over tiles of queries and of keys,
    around two such products and a softmax in scratch memory; of bfloat16, where
    the CPU has AMX, both products are `amx` ops on its tiles.

    With `threads`, a kernel with enough work becomes a `dlc.parallel` over
    units of it, such as blocks of rows by a tile of columns. They are the same
    for any number of threads, made of whole tiles, and no sum is split.

    ```mlir
    dlc.parallel %n grain 3 {
    ^bb0(%first: index, %end: index, %own: !llvm.ptr):
      scf.for %unit = %first to %end step %c1 {
        %block = arith.remui %unit, %blocks
        %column = arith.divui %unit, %blocks
        ...
    ```

    Bytes in groups (`dlc.dot`) go through the CPU's dot products, four products
    a lane, and so do pairs of bfloat16, two a lane: the step is then
    ```mlir
        %a0 = vector.load %aflat[...] : memref<?xi8>, vector<4xi8>   // and so on
        %x = vector.broadcast %a0 ... to vector<64xi8>
        %s = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%sum, %x, %b0)
    ```
    With `dot=amx` or `pairs=tdpbf16ps` eight rows or more are multiplied by
    tiles of 16 rows of 64 bytes, two of A by two of B a step:
    ```mlir
        llvm.call_intrinsic "llvm.x86.tileloadd64"(%tile, %address, %stride)   // two of A, two of B
        llvm.call_intrinsic "llvm.x86.tdpbusd"(%sums, %a, %b)                  // four
    ```
    `dlc.winograd_weights` becomes loops over vectors too. Needs memrefs with
    strided layouts for the fast forms; afterwards neither op is left.
  }];
  let options =
      [Option<"vectorBytes", "vector-bytes", "int64_t", "32",
              "bytes of a vector register; 64 and 32 imply masked access">,
       Option<"registers", "registers", "int64_t", "16", "vector registers">,
       Option<"pointers", "pointers", "int64_t", "8",
              "row addresses that fit the general registers">,
       Option<"l2Bytes", "l2-bytes", "int64_t", "1048576",
              "size of the L2 cache">,
       Option<"fma", "fma", "bool", "true",
              "the CPU has a fused multiply-add instruction">,
       Option<"threads", "threads", "bool", "false",
              "kernels share their work among threads where that pays">,
       Option<
           "dot", "dot", "std::string", "\"none\"",
           "dot products of bytes: none, amx (tiles, and vnni for few rows), vnni, "
           "madd, sdot, i8mm, or sdot32 and i8mm32 of 32-bit Arm">,
       Option<"dotBytes", "dot-bytes", "int64_t", "0",
              "bytes of their registers">,
       Option<"pairs", "pairs", "std::string", "\"none\"",
              "dot products of pairs of bfloat16: none, tdpbf16ps (tiles, and "
              "vdpbf16ps for few rows), vdpbf16ps, bfdot or bfmmla">];
  let dependentDialects = [
    "::dlc::DlcDialect",
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def LowerBlockProduct : Pass<"dlc-lower-block-product"> {
  let summary = "turn products with weights in blocks of few bits into kernels";
  let description = [{
    The `linalg.generic` that MatMulNBits becomes, which its library call
    `dlc_block_product` marks, becomes loops over vectors of columns: bytes of
    weights are read once, in their order, and are floats in registers only.
    The scale and zero point of a block are applied to its sum.

    With dot products of bytes and few rows, a row's numbers become whole ones
    first: those of a block are multiples of the largest by 2^-23, in three
    digits of 8 bits, whose products with the weights are summed exactly. What
    the digits leave out is less than the rounding of float32 sums. Rows with
    infinities, NaN or blocks of nothing but numbers below 1e-30 take the other
    way.

    ```mlir
    linalg.generic {..., library_call = "dlc_block_product"}
        ins(%bytes, %scales, %zeros, %a : ...) outs(%y : memref<1x4x64xf32>)
    ```
    becomes
    ```mlir
    dlc.parallel %c4 grain 1 {
      scf.for %block = ... {
        %sums:8 = scf.for %group = %c0 to %c4 step %c1 iter_args(...) -> (vector<16xf32>, ...) {
          %w = vector.load %bytes[...] : ..., vector<64xi8>
          ...
    ```
    Without this pass, or where an operand has another layout, they stay loops.
  }];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "16",
           "size of a vector register">,
    Option<"registers", "registers", "int64_t", "16", "how many of them there are">,
    Option<"fma", "fma", "bool", "false", "whether there are fused multiply-adds">,
    Option<"dot", "dot", "std::string", "\"none\"",
           "dot products of bytes: none, vnni, madd, sdot or i8mm">,
    Option<"dotBytes", "dot-bytes", "int64_t", "0", "size of their registers">,
    Option<"threads", "threads", "bool", "false", "let threads share kernels">,
  ];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def TileRows : Pass<"dlc-tile-rows", "::mlir::ModuleOp"> {
  let summary = "Do all steps of a block of rows before the next block";
  let description = [{
    Of a kernel that `dlc-fuse-rows` has made, as many rows at a time as the
    nearest cache holds. Buffers that only the kernel uses have one block for
    each part of a thread, over and over, so that their memory stays there, too.

    ```mlir
    linalg.generic ... outs(%max)       // each step on all rows
    linalg.generic ... outs(%e)
    ```
    becomes
    ```mlir
    dlc.parallel %blocks grain 8 {      // or one loop
    ^bb0(%first: index, %end: index, %own: !llvm.ptr):
      scf.for %block = %first to %end step %c1 {
        ...                             // the loops of each step on a block
    ```
    Exponentials are added up in f64. Neighbouring steps on elements of a row,
    of which none needs a sum of the others, are one pass over the row, as
    vector code.
  }];
  let options = [
    Option<"threads", "threads", "bool", "true", "share blocks of rows">,
    Option<"vectorBytes", "vector-bytes", "int64_t", "32",
           "bytes of a vector register">,
    Option<"registers", "registers", "int64_t", "16", "vector registers">,
    Option<"l2Bytes", "l2-bytes", "int64_t", "1048576",
           "size of the L2 cache">];
  let dependentDialects = [
    "::dlc::DlcDialect",
    "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::vector::VectorDialect"];
}

def ShareLoops : Pass<"dlc-share-loops"> {
  let summary = "Let threads share the loops of linalg ops that take long";
  let description = [{
    The units are blocks of the outer parallel loops; an inner one is split only
    where these are few. Sums stay whole, and an element is computed as without
    threads.

    ```mlir
    linalg.generic {iterator_types = ["parallel", "parallel"], ...}
        ins(%x : memref<128x3072xf32>) outs(%y : memref<128x3072xf32>) ...
    ```
    becomes
    ```mlir
    dlc.parallel %c64 grain 4 {
    ^bb0(%first: index, %end: index, %own: !llvm.ptr):
      scf.for %unit = %first to %end step %c1 {
        %from = arith.muli %unit, %c2
        %to = arith.minsi ...
        scf.for %i = %from to %to step %c1 {
          scf.for %j = %c0 to %c3072 step %c1 {
    ```
    Ops whose body writes to memory, and those with little work, stay as they
    are. The loops of a unit are those of `dlc-reduce-columns` where an op is
    for it.
  }];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32",
           "bytes of a vector register; 64 and 32 imply masked access">];
  let dependentDialects = [
    "::dlc::DlcDialect",
    "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def LowerLookup : Pass<"dlc-lower-lookup", "::mlir::ModuleOp"> {
  let summary = "Look up in tables of bytes";
  let description = [{
    The table of a dlc.lookup becomes a constant of the module, of which
    equal ones are one. Vectors are looked up by instructions that permute
    registers, where `form` names one and has code for their width, else
    element by element.

    ```mlir
    %y = dlc.lookup %x {table = array<i8: ...>} : i8
    ```
    becomes
    ```mlir
    %t = llvm.mlir.addressof @lookup : !llvm.ptr
    %i = arith.extui %x : i8 to i32
    %p = llvm.getelementptr %t[%i] : (!llvm.ptr, i32) -> !llvm.ptr, i8
    %y = llvm.load %p : !llvm.ptr -> i8
    ```
  }];
  let options = [
    Option<"form", "form", "std::string", /*default=*/"\"none\"",
           "vpermb (AVX-512 VBMI), vpermw (AVX-512 BW), vpshufb (AVX2), tbl "
           "(AArch64) or none">];
  let dependentDialects = ["::mlir::arith::ArithDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect"];
}

def LowerTranspose : Pass<"dlc-lower-transpose"> {
  let summary = "Transpose blocks in registers";
  let description = [{
    For copies whose result has another dimension innermost than their source:
    a block of rows is loaded as vectors, shuffled, and stored as vectors, of
    which what is left takes elements once more that the one before had.

    ```mlir
    linalg.transpose ins(%x : memref<64x3136xf32>) outs(%y : memref<3136x64xf32>) permutation = [1, 0]
    ```
    becomes
    ```mlir
    scf.for %j = %c0 to %c3136 step %c16 {
      scf.for %i = %c0 to %c64 step %c16 {
        %0 = vector.load %x[%i, %j] : memref<64x3136xf32>, vector<16xf32>   // and 15 more
        ...
        %8 = vector.shuffle %0, %4 [0, 16, 1, 17, ...]                      // in 4 steps
        ...
        vector.store %40, %y[%j, %i] : memref<3136x64xf32>, vector<16xf32>  // and 15 more
    ```
    Sizes that do not hold a block keep the loops of the op, such as 3 channels,
    of which LLVM makes better code.
  }];
  let options = [
    Option<"threads", "threads", "bool", "false",
           "threads share the blocks">,
    Option<"vectorBytes", "vector-bytes", "int64_t", "32",
           "bytes of a vector register">];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def CollapseLoops : Pass<"dlc-collapse-loops"> {
  let summary = "Make one loop of dimensions that lie one after the other";
  let description = [{
    For dimensions that are reduced, and those of a copy. LLVM makes vectors of the innermost loop. If the ones around it have few
    trips, it copies that for each of them.

    ```mlir
    linalg.generic {iterator_types = ["reduction", "reduction"]}
        ins(%x : memref<14x1024xf32>) outs(%y : memref<f32>) ...
    ```
    becomes
    ```mlir
    %z = memref.collapse_shape %x [[0, 1]] : memref<14x1024xf32> into memref<14336xf32>
    linalg.generic {iterator_types = ["reduction"]}
        ins(%z : memref<14336xf32>) outs(%y : memref<f32>) ...
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::memref::MemRefDialect"];
}

def FuseColumns : Pass<"dlc-fuse-columns", "::mlir::ModuleOp"> {
  let summary = "Make one kernel of a pool, its first value and what follows";
  let description = [{
    A pool, or another reduction of windows, reads its results as they are at
    first, and an elementwise op behind it, as the quotient of an average, changes
    them in their place. Of kernels that `@main` calls one right after the other
    for that one is made, for which `dlc-share-loops` and `dlc-reduce-columns` keep
    results in registers from the first value to the last.

    ```mlir
    call @fill(%y)
    call @sums(%x, %window, %y)
    call @divide(%y)
    ```
    becomes
    ```mlir
    call @columns_0(%y, %x, %window)
    ```
    Equal ones share a kernel.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def ReduceColumns : Pass<"dlc-reduce-columns"> {
  let summary = "Reduce into vectors of contiguous results";
  let description = [{
    For linalg ops, on memrefs, whose innermost loop walks along contiguous
    results while others reduce: pools, means of images. The results stay in
    registers, whereas loops in the op's order would store them at each step.
    What fills the same results right before and what changes them, element by
    element, right behind is done there, too.

    ```mlir
    linalg.generic {iterator_types = ["reduction", "parallel"], ...}
        ins(%x : memref<49x64xf32>) outs(%y : memref<64xf32>) ...
    ```
    becomes
    ```mlir
    scf.for %j = %c0 to %c64 step %c32 {
      %y0 = vector.load %y[%j] : memref<64xf32>, vector<8xf32>   // and so on
      %s:4 = scf.for %i = %c0 to %c49 step %c1 iter_args(%s0 = %y0, ...) {
        %x0 = vector.load %x[%i, %j] : memref<49x64xf32>, vector<8xf32>
        %t0 = arith.addf %s0, %x0 : vector<8xf32>
        ...
      }
      vector.store %s#0, %y[%j] : memref<64xf32>, vector<8xf32>
    ```
    Ops with other layouts, or whose body has no form for vectors, stay as they
    are.
  }];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32",
           "bytes of a vector register; 64 and 32 imply masked access">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def ProfileNodes : Pass<"dlc-profile-nodes", "::mlir::ModuleOp"> {
  let summary = "Measure what the run calls";
  let description = [{
    Puts `dlc.begin_node` and `dlc.end_node` around each call in `@main` of a
    kernel, the runtime or a function of the program's, and around each copy and
    each loop without such calls; the attribute `dlc.profile` of the module gets the names of their nodes,
    "conv1+relu1" where several are computed as one. Kernels of a few elements
    are not measured: that would take longer than they do. Runs behind
    `dlc-fork-kernels`, for `--profile` only.

    ```mlir
    call @kernel_0(%a, %b) : (memref<64xf32>, memref<64xf32>) -> ()
    ```
    becomes
    ```mlir
    %0 = dlc.begin_node 0
    call @kernel_0(%a, %b) : (memref<64xf32>, memref<64xf32>) -> ()
    dlc.end_node 0, %0
    ```
  }];
}

def ForkKernels : Pass<"dlc-fork-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn kernels around a dlc.parallel into ones of a part of it";
  let description = [{
    ```mlir
    func.func @main(%run: !llvm.ptr) -> i32 {
      call @kernel_0(%a, %b) : (memref<64xf32>, memref<64xf32>) -> ()
    }
    func.func private @kernel_0(%a: memref<64xf32>, %b: memref<64xf32>) {
      dlc.parallel %n grain 4 {
      ^bb0(%first: index, %end: index, %own: !llvm.ptr):
        ...
      }
      return
    }
    ```
    becomes
    ```mlir
    func.func @main(%run: !llvm.ptr) -> i32 {
      dlc.fork @kernel_0(%a, %b) units %n grain 4 : memref<64xf32>, memref<64xf32>
    }
    func.func private @kernel_0(%a: memref<64xf32>, %b: memref<64xf32>,
                                %first: index, %end: index, %own: !llvm.ptr) {
      ...
      return
    }
    ```
    Elsewhere than in a kernel that only @main and @init call, one thread does
    all of it; @init, which makes the state, always runs on one.
    Afterwards no dlc.parallel is left.
  }];
  let dependentDialects = ["::dlc::DlcDialect", "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

#endif
