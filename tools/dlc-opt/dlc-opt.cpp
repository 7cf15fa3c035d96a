// dlc-opt: runs passes of dlc and MLIR on IR given as text.

#include "dlc/Registration.h"
#include "lib/Codegen/Codegen.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  dlc::registerDialects(registry);
  // For what passes evaluate in this process.
  dlc::registerCodegenTranslations(registry);
  dlc::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "dlc-opt: run passes on the IR of dlc\n", registry));
}
