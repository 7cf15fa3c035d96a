// A plugin all of whose names are taken or wrong.

#include "dlc/Plugin.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace dlc;

namespace {
struct ClashingPass : PassWrapper<ClashingPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ClashingPass)
  StringRef getArgument() const override { return "cse"; }
  void runOnOperation() override {}
};
struct NamelessPass : PassWrapper<NamelessPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(NamelessPass)
  void runOnOperation() override {}
};
} // namespace

static ImportResult importNothing(NodeImport &) { return failure(); }

DLC_PLUGIN(registry, "clashing", "1") {
  registry.registerPass([] { return std::make_unique<ClashingPass>(); });
  registry.registerPass([] { return std::make_unique<NamelessPass>(); });
  registry.addOperator({"", "Relu", 1, importNothing});
  registry.addOperator({"com.microsoft", "Gelu", 1, importNothing});
  registry.addOption("a=b", 1, "");
  registry.addOption("twice", 1, "");
  registry.addOption("twice", true, "");
  registry.addTarget(*listTargets().front());
}
