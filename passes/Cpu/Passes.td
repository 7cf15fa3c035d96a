// The passes of the phase `llvm` for CPUs.
#ifndef DLC_PASSES_CPU
#define DLC_PASSES_CPU

include "mlir/Pass/PassBase.td"

def ExpandMath : Pass<"dlc-expand-math", "::mlir::ModuleOp"> {
  let summary = "Expand math functions on f32 inline; leave the rest to libm";
  let description = [{
    Inline polynomials let LLVM vectorise the loops around them. Functions of
    doubles, and those without an expansion, become calls of libm.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
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

#endif
