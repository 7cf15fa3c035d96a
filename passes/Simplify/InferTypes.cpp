// Infers types once shapes have become known.

#include "lib/OnnxWriter/OnnxWriter.h"
#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_INFERTYPES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

namespace {

struct InferTypesPass : dlc::impl::InferTypesBase<InferTypesPass> {
  void runOnOperation() override {
    if (dlc::simplify::isKnownOpset(getOperation()) &&
        failed(dlc::inferTypes(getOperation())))
      signalPassFailure();
  }
};

} // namespace
