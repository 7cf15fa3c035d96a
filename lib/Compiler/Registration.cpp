// Registers dialects, their interfaces and passes.

#include "dlc/Registration.h"
#include "dialects/Dlc/CallBufferization.h"
#include "dialects/Dlc/ContractBufferization.h"
#include "dialects/Dlc/Dlc.h"
#include "dialects/Dlc/ExternBufferization.h"
#include "dialects/Onnx/Onnx.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "passes/Buffer/Passes.h"
#include "passes/Cpu/Passes.h"
#include "passes/Gpu/Passes.h"
#include "passes/Graph/Passes.h"
#include "passes/Import/Passes.h"
#include "passes/Simplify/Passes.h"
#include "passes/Tensor/Passes.h"
#include <mutex>

void dlc::registerDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<DlcDialect, onnx::OnnxDialect>();
  registerContractBufferization(registry);
  registerExternBufferization(registry);
  registerCallBufferization(registry);
}

void dlc::registerPasses() {
  static std::once_flag once;
  std::call_once(once, [] {
    mlir::registerAllPasses();
    registerDlcSimplifyPasses();
    registerDlcImportPasses();
    registerDlcGraphPasses();
    registerDlcTensorPasses();
    registerDlcBufferPasses();
    registerDlcCpuPasses();
    registerDlcGpuPasses();
  });
}
