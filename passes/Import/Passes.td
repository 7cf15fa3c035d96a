// The passes of the phase `import`: from the onnx dialect to the dlc dialect.
#ifndef DLC_PASSES_IMPORT
#define DLC_PASSES_IMPORT

include "mlir/Pass/PassBase.td"

def ImportOnnx : Pass<"dlc-import-onnx", "::mlir::ModuleOp"> {
  let summary = "Import onnx.graph @main into a function of dlc ops";
  let description = [{
    Looks every node up in the table of operators (OpTable.h) and reports all
    that cannot be imported, with the reason, before it fails. The module's
    attributes `dlc.inputs` and `dlc.outputs` then describe the interface.
  }];
  let dependentDialects = [
    "::dlc::DlcDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect", "::mlir::cf::ControlFlowDialect",
    "::mlir::linalg::LinalgDialect",
    "::mlir::bufferization::BufferizationDialect"
  ];
}

#endif
