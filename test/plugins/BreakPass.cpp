// A plain plugin of MLIR's with a wrong pass, for the test of dlc verify: it
// turns dlc.tanh into dlc.erf, or whatever its options say.

#include "dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

namespace {
struct BreakPass : PassWrapper<BreakPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(BreakPass)
  BreakPass() = default;
  BreakPass(const BreakPass &other) : PassWrapper(other) {}

  StringRef getArgument() const override { return "test-break"; }
  StringRef getDescription() const override { return "Make values wrong"; }

  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (op->getName().getStringRef() != from)
        return;
      OpBuilder b(op);
      OperationState state(op->getLoc(), to, op->getOperands(),
                           op->getResultTypes(), op->getAttrs());
      op->replaceAllUsesWith(b.create(state));
      op->erase();
    });
  }

  Option<std::string> from{*this, "from", llvm::cl::init("dlc.tanh")};
  Option<std::string> to{*this, "to", llvm::cl::init("dlc.erf")};
};
} // namespace

extern "C" DLC_API PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "break", "1",
          [] { PassRegistration<BreakPass>(); }};
}
