// dlc.contract for one-shot bufferization: destination style, except that the
// init is never read.
#include "dialects/Dlc/ContractBufferization.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;

namespace {
struct ContractModel
    : DstBufferizableOpInterfaceExternalModel<ContractModel, dlc::ContractOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !cast<dlc::ContractOp>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto contract = cast<dlc::ContractOp>(op);
    if (!contract.hasTensors())
      return success();
    SmallVector<Value> buffers;
    for (Value operand : contract->getOperands()) {
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    auto lowered = dlc::ContractOp::create(
        rewriter, op->getLoc(), /*result=*/Type(), buffers[0], buffers[1],
        ValueRange(buffers).slice(2, buffers.size() - 3), buffers.back(),
        /*scratch=*/Value(), contract.getIndexingMaps(),
        contract.getAUnsigned(), contract.getBUnsigned(),
        contract.getWinogradAttr());
    lowered->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.inlineRegionBefore(contract.getEpilogue(), lowered.getEpilogue(),
                                lowered.getEpilogue().end());
    replaceOpWithBufferizedValues(rewriter, op, buffers.back());
    return success();
  }
};
} // namespace

void dlc::registerContractBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, DlcDialect *) {
    ContractOp::attachInterface<ContractModel>(*context);
  });
}
