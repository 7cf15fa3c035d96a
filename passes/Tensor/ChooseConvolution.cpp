// The form of each convolution, direct or Winograd's, by a model of its cost.

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"
#include "passes/Tensor/WinogradChoice.h"

namespace dlc {
#define GEN_PASS_DEF_CHOOSECONVOLUTION
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-choose-convolution";

namespace {

struct ChooseConvolutionPass
    : dlc::impl::ChooseConvolutionBase<ChooseConvolutionPass> {
  using ChooseConvolutionBase::ChooseConvolutionBase;

  void runOnOperation() override;

private:
  void apply(const WinogradCandidate &candidate);
};

} // namespace

/// Replaces B by its transform.
void ChooseConvolutionPass::apply(const WinogradCandidate &candidate) {
  ContractOp op = candidate.op;
  ContractOp::Convolution conv = *op.getConvolution();
  OpBuilder b(&getContext());
  b.setInsertionPointAfterValue(op.getB());
  RankedTensorType type = getTileType(op, candidate.form);
  Location loc = op.getB().getLoc();
  Value empty =
      tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  auto weights = WinogradWeightsOp::create(
      b, loc, type, op.getB(), empty, getPositionInB(op, conv.windowY),
      getPositionInB(op, conv.windowX), candidate.form);
  weights->setAttr(kExpandAttr, b.getUnitAttr());
  op.getBMutable().assign(weights.getResult());
  op.setWinogradAttr(candidate.form);
}

void ChooseConvolutionPass::runOnOperation() {
  if (form != "direct" && form != "auto" && form != "winograd") {
    getOperation()->emitError("expected a convolution of form auto, direct or "
                              "winograd, found '")
        << form << "'";
    return signalPassFailure();
  }
  WinogradChoice choice = chooseWinograd(
      getOperation(), {&getContext(), form, error, lanes, speed});
  for (ContractOp op : choice.tooSmall)
    remarkMissed(op->getLoc(), kPass)
        << "direct: Winograd's form would gain less than a tenth";
  int64_t room = std::numeric_limits<int64_t>::max();
  if (form == "auto" && growth >= 0)
    room = choice.constantBytes * growth / 100;
  for (const WinogradCandidate &candidate : choice.candidates) {
    if (candidate.bytes > room) {
      remarkMissed(candidate.op->getLoc(), kPass) << mlir::remark::add(
          "direct: the constants may grow by {0} bytes more, Winograd's form "
          "needs {1}",
          room, candidate.bytes);
      continue;
    }
    room -= candidate.bytes;
    remarkDone(candidate.op->getLoc(), kPass) << mlir::remark::add(
        "Winograd's form, {0}x{1} outputs a tile: saves {2} % of the cycles",
        candidate.form.getHeight(), candidate.form.getWidth(),
        int(100 * candidate.gain / candidate.direct));
    apply(candidate);
  }
}
