// The passes of the phase `llvm` for GPUs.
#ifndef DLC_PASSES_GPU
#define DLC_PASSES_GPU

include "mlir/Pass/PassBase.td"

def KeepFallback : Pass<"dlc-keep-fallback", "::mlir::ModuleOp"> {
  let summary = "Copy @main for machines without a GPU";
  let description = [{
    `@fallback` is a copy of `@main`, which goes on to be the model for the
    CPU. The kernels are shared until `dlc-map-kernels`, which makes device
    code of copies. Those of attention are the GPU's alone: for the fallback
    `dlc-decompose-attention` makes others.
  }];
}

def MapKernels : Pass<"dlc-map-kernels", "::mlir::ModuleOp"> {
  let summary = "Make GPU kernels of the functions that @main calls";
  let description = [{
    Each kernel, a function that holds one linalg op or contraction, becomes a
    `gpu.func`, whose threads share its work in the first form of a list (best
    first) that fits; calls become launches, whose number of blocks follows
    from the sizes of the operands.

    ```mlir
    func.call @kernel_0(%a, %b) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
    ```
    becomes
    ```mlir
    %size = memref.dim %a, %c0
    %blocks = ... // ceil(%size * 8 / 256)
    dlc.launch @kernels::@kernel_0 blocks %blocks threads 256 (%a, %b, %size, ...)
    ```
    Kernels that write strings, which are addresses of the host's memory, and
    those of more parameters than a launch has stay functions of the host.

    A kernel's parameters are the addresses of its buffers, and, behind each,
    the sizes and strides that are dynamic. The module's attribute
    `dlc.kernels` lists their names. Needs `convert-math-to-funcs`
    before, since a gpu.module holds copies of the functions that kernels call.
  }];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::affine::AffineDialect",
    "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
  let options = [
    Option<"capability", "capability", "unsigned", "70",
           "the least compute capability, times 10, of the GPUs to run on">];
}

def PlaceOnDevice : Pass<"dlc-place-on-device", "::mlir::ModuleOp"> {
  let summary = "Put the buffers of @main into the memory of the GPU";
  let description = [{
    Those, that is, which kernels use; others (strings, conditions) stay with
    the host. What the host itself reads (sizes, conditions, the operands of its
    functions) it reads from the caller's input or the weights where they hold
    it; else it waits for the device and copies the element, or the whole buffer
    where a function or a loop of the host uses it. What a function of the host
    makes is copied to the device where kernels use it. A remark tells of each.

    ```mlir
    %0 = dlc.arena 64 : memref<i64>
    %1 = memref.load %0[] : memref<i64>
    ```
    becomes
    ```mlir
    %0 = dlc.arena 64 {device} : memref<i64>
    %1 = dlc.read %0[] : memref<i64>
    ```
    and
    ```mlir
    dlc.extern "f" ins(%0 : memref<4xf32>) outs(%1 : memref<4xf32>) with "{}"
    ```
    becomes
    ```mlir
    %2 = dlc.alloc : memref<4xf32>
    dlc.fetch %0 to %2 : memref<4xf32>
    %3 = dlc.alloc : memref<4xf32>
    dlc.extern "f" ins(%2 : memref<4xf32>) outs(%3 : memref<4xf32>) with "{}"
    dlc.send %3 to %1 : memref<4xf32>
    ```
    What the host has of the arena gets memory of its own. The module's attribute
    `dlc.host_inputs` lists the inputs that the host reads. `dlc.graphs` says
    that launches follow from the shapes of the inputs alone, so that the runtime
    may keep them as a graph; `dlc.host_work` that the host computes tensors.
  }];
  let dependentDialects = ["::dlc::DlcDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def ConvertKernels : Pass<"dlc-convert-kernels", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Convert kernels to the LLVM and NVVM dialects";
  let description = [{
    Buffers are bare pointers. Math functions that have no instruction must be
    gone: `dlc-expand-math` expands them, or calls a function of the device
    library that codegen links.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

#endif
