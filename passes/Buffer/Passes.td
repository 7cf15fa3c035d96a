// The passes of the phase `buffer`: from tensors to planned memory.
#ifndef DLC_PASSES_BUFFER
#define DLC_PASSES_BUFFER

include "mlir/Pass/PassBase.td"

def BindInterface : Pass<"dlc-bind-interface", "::mlir::ModuleOp"> {
  let summary = "Turn the arguments and results of @main into buffers of the caller";
  let description = [{
    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      ...
      return %y : tensor<4xf32>
    }
    // becomes
    func.func @main(%run: !llvm.ptr) -> i32 {
      %0 = dlc.input 0 : memref<4xf32>
      %x = bufferization.to_tensor %0 restrict : memref<4xf32> to tensor<4xf32>
      ...
      %1 = dlc.output 0 : memref<4xf32>
      bufferization.materialize_in_destination %y in writable %1
      return %c0 : i32
    }
    ```
    The empty tensor in whose place a result is computed becomes the caller's
    buffer, in another shape if the result is reshaped, where that is of static
    size and nothing else is computed there.
    The results of @init, which makes constants before the first run, get
    places in the state, one for equal ones; `dlc.expanded 0` of @main, which
    stands for the first, becomes `dlc.state 64 : memref<...>`. The module's
    attribute `dlc.state_size` gives the bytes.

    The interface is kept in the module's attributes `dlc.inputs` and
    `dlc.outputs`.
  }];
  let dependentDialects = ["::dlc::DlcDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::bufferization::BufferizationDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::memref::MemRefDialect"];
}

def SplitDestinations : Pass<"dlc-split-destinations"> {
  let summary = "Give every op that overwrites an empty or filled tensor its own";
  let description = [{
    What equal expressions share, bufferization would have to copy.

    ```mlir
    %e = linalg.fill ins(%zero : f32) outs(%empty) -> tensor<4xf32>
    %a = linalg.matmul ins(%x, %y) outs(%e)
    %b = linalg.matmul ins(%x, %z) outs(%e)
    ```
    becomes
    ```mlir
    %e = linalg.fill ins(%zero : f32) outs(%empty) -> tensor<4xf32>
    %a = linalg.matmul ins(%x, %y) outs(%e)
    %f = linalg.fill ins(%zero : f32) outs(%empty2) -> tensor<4xf32>
    %b = linalg.matmul ins(%x, %z) outs(%f)
    ```
    Reshapes of empty tensors become empty tensors first.
  }];
}

def PlaceParts : Pass<"dlc-place-parts"> {
  let summary = "Compute the parts of a padded or concatenated tensor in their place";
  let description = [{
    ```mlir
    %e = tensor.empty() : tensor<4x8xf32>
    %a = linalg.exp ins(%x) outs(%e)
    %b = tensor.insert_slice %a into %c[0, 8] [4, 8] [1, 1]
    ```
    becomes
    ```mlir
    %e = tensor.extract_slice %c[0, 8] [4, 8] [1, 1]
    %a = linalg.exp ins(%x) outs(%e)
    %b = tensor.insert_slice %a into %c[0, 8] [4, 8] [1, 1]
    ```
    where the analysis of bufferization finds no conflict. Parts of parts
    follow, so that a chain of concatenations is computed in one buffer.
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect",
                           "::mlir::tensor::TensorDialect"];
}

def CopyToLoops : Pass<"dlc-copy-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Turn memref.copy into linalg.generic, so that it becomes a kernel";
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def PlaceWeights : Pass<"dlc-place-weights", "::mlir::ModuleOp"> {
  let summary = "Replace global constants by offsets into the object's weights";
  let description = [{
    Equal constants share one place, also with those that the attribute has
    before: a list of the same model for another CPU. The module's attribute `dlc.weights` then
    lists the values in the order in which they enter the weight table, and
    `dlc.weights_size` gives the bytes.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def BlockPools : Pass<"dlc-block-pools"> {
  let summary = "Compute a convolution and the pool behind it block by block";
  let description = [{
    Where a pool is all that reads what a convolution makes, and that is large,
    lines of both are computed in turns, so that the map between them is a block
    of lines in the cache.

    ```mlir
    dlc.contract %x, %w outs %map [...]
    linalg.fill ins(%low : f32) outs(%y : memref<1x112x112x64xf32>)
    linalg.generic ins(%map, %window : memref<1x224x224x64xf32>, memref<2x2xf32>) outs(%y : ...)
    ```
    becomes
    ```mlir
    %block = memref.alloc() : memref<1x16x224x64xf32>
    scf.for %i = %c0 to %c14 step %c1 {
      dlc.contract %lines, %w outs %block [...]
      linalg.fill ins(%low : f32) outs(%part : memref<1x8x112x64xf32, ...>)
      linalg.generic ins(%block, %window : memref<1x16x224x64xf32>, ...) outs(%part : ...)
    }
    ```
    Convolutions of all forms, and elementwise ops behind the pool that work in
    its results' memory, but sizes are static, and zeros around the input in
    memory. Lines that two blocks need are computed for both, and the last
    block begins before the one in front of it ends where there is no even
    number: that, weights that are read again, and tiles that are not whole are
    weighed against the load of the map.
  }];
  let options = [
    Option<"cache", "cache", "int64_t", "1048576",
           "bytes of the second cache, of which a block takes up to a half">,
    Option<"bytesPerCycle", "bytes-per-cycle", "double", "5.0",
           "bytes that are loaded from beyond it in a cycle">,
    Option<"nearBytes", "near-bytes", "int64_t", "32",
           "bytes that are loaded from it in a cycle">,
    Option<"macsPerCycle", "macs-per-cycle", "double", "16.0",
           "multiply-adds of a convolution in a cycle">,
    Option<"launch", "launch", "int64_t", "2000",
           "cycles that a block costs for itself">,
    Option<"leastCycles", "least-cycles", "int64_t", "100000",
           "cycles of a block's convolution, that threads can share">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def ReuseOperands : Pass<"dlc-reuse-operands", "::mlir::ModuleOp"> {
  let summary = "Write a contraction's results where an operand of its epilogue lies";
  let description = [{
    A residual is read element by element, each right before the result of the
    same place is written. Where nothing reads it later, and both are all or the
    same part of static buffers, one buffer holds both: less memory, and
    the lines that are written are in the cache already.

    ```mlir
    %x = memref.alloc() : memref<196x1024xf32>
    %y = memref.alloc() : memref<196x1024xf32>
    dlc.contract %a, %b extras %x outs %y [...]
    ```
    becomes
    ```mlir
    %x = memref.alloc() : memref<196x1024xf32>
    dlc.contract %a, %b extras %x outs %x [...]
    ```
    Buffers that are used as a whole may have several shapes. Borders around
    parts must be filled with the same. Only for kernels that compute no element
    twice, those of a CPU for float32, and in the first block of @main.
  }];
}

def AllocateScratch : Pass<"dlc-allocate-scratch", "::mlir::ModuleOp"> {
  let summary = "Give contractions and attention the memory that their kernels need";
  let description = [{
    Convolutions in Winograd's form keep transformed inputs and products of a
    few tiles in a buffer, which is planned like any other.

    ```mlir
    dlc.contract %a, %b outs %c [...] {winograd = #dlc.winograd<...>} : ...
    ```
    becomes
    ```mlir
    %s = memref.alloc() {alignment = 64 : i64} : memref<92160xf32>
    dlc.contract %a, %b outs %c scratch %s : memref<92160xf32> [...] {winograd = #dlc.winograd<...>} : ...
    ```
    Attention with a tile has its scores and what goes with them there
    (AttentionScratch.h). The largest is what each further thread of a run needs for itself: the
    module's attribute `dlc.thread_workspace`, in bytes.

    Of several convolutions, those that run while other tensors live take fewer
    tiles at a time, so that the scratch does not make a run's memory larger
    than `limit` percent of the largest sum of live tensors.
  }];
  let options = [
    Option<"limit", "limit", "int64_t", "105",
           "percent of the largest sum of live tensors that tensors, borders "
           "and a convolution's scratch may take at a time; -1: any">,
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def PlanMemory : Pass<"dlc-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Place the buffers of static size in one arena by their lifetimes";
  let description = [{
    `memref.alloc` of static size in @main becomes `dlc.arena`; one of dynamic
    size becomes `dlc.alloc` and, behind its last use, `dlc.free`. The size of
    the arena is the module's attribute `dlc.workspace`. In @init, which runs
    once, all are of the second kind.

    The attribute `dlc.live_bytes` says what the least is: the largest sum of
    tensors that live at a time, that of their places (a result may be written
    where an operand is read), the same with the borders around them, the same
    with the kernels' scratch, too.
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

def OutlineKernels : Pass<"dlc-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "Move each computation of a run into a function; equal ones share it";
  let description = [{
    A kernel is a linalg op, a contraction or the transform of its weights. Constants move inside; buffers
    and sizes become arguments. Layers of equal shapes then share their code,
    and LLVM sees many small functions instead of a huge one. Buffer arguments
    that nothing else aliases are marked `llvm.noalias`. What is in `@main`,
    `@init` and `@fallback` is moved.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def FuseRows : Pass<"dlc-fuse-rows", "::mlir::ModuleOp"> {
  let summary = "Make one kernel of several that work on the same rows";
  let description = [{
    Of kernels that @main calls one after the other, and that each compute row
    after row (a reduction along rows, or something elementwise
    that uses such sums), one is made, in which all steps of a row are done one after the other.
    A row must be a part of its own of every buffer that is written, also where
    buffers share memory.

    ```mlir
    call @largest(%x, %max)          // softmax
    call @exp(%x, %max, %e)
    call @sum(%e, %sum)
    call @divide(%e, %sum, %y)
    ```
    becomes
    ```mlir
    call @rows_0(%x, %max, %e, %sum, %y)
    ```
    whose attribute `dlc.row_dims` says how many of the first dimensions of each
    step are the rows. Of each argument, `dlc.row_buffers` tells the first one
    that is a view of the same buffer, `dlc.row_places` the first one in the same
    memory, and `dlc.row_private` whether nothing but the kernel uses the buffer.
    An elementwise kernel in front of the others whose result they read belongs
    to them, too. Sizes that are not known are the same where the same
    value of @main is behind them; buffers that are freed in between are freed
    behind the kernel.
  }];
  let options = [
    Option<"fewestRows", "fewest-rows", "int64_t", "64",
           "there must be so many rows">,
    Option<"smallElements", "small-elements", "int64_t", "0",
           "or no buffer may have more elements than these">,
    Option<"lateFrees", "late-frees", "bool", "true",
           "a buffer with rows may be freed later than before">];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

#endif
