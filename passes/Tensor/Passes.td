// The passes of the phase `tensor`: from the dlc dialect to linalg.
#ifndef DLC_PASSES_TENSOR
#define DLC_PASSES_TENSOR

include "mlir/Pass/PassBase.td"

def LowerToLinalg : Pass<"dlc-lower-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Lower dlc ops to linalg, tensor and arith, and contractions to dlc.contract";
  let description = [{
    Afterwards every tensor has a signless element type and no dlc op but
    `dlc.contract` is left. One file of patterns an op family: see Lowering.h.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect", "::mlir::cf::ControlFlowDialect"
  ];
}

#endif
