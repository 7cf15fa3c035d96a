// dlc.contract, dlc.attention and dlc.winograd_weights for one-shot
// bufferization: destination style, except that the init is never read.
#include "dialects/Dlc/ContractBufferization.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;

/// The buffers of all operands.
static FailureOr<SmallVector<Value>>
getBuffers(Operation *op, RewriterBase &rewriter,
           const BufferizationOptions &options, BufferizationState &state) {
  SmallVector<Value> buffers;
  for (Value operand : op->getOperands()) {
    FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
    if (failed(buffer))
      return failure();
    buffers.push_back(*buffer);
  }
  return buffers;
}

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
    FailureOr<SmallVector<Value>> found =
        getBuffers(op, rewriter, options, state);
    if (failed(found))
      return failure();
    SmallVector<Value> &buffers = *found;
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    auto lowered = dlc::ContractOp::create(
        rewriter, op->getLoc(), contract, buffers[0], buffers[1],
        ValueRange(buffers).slice(2, buffers.size() - 3), buffers.back(),
        llvm::to_vector(
            contract.getIndexingMaps().getAsValueRange<AffineMapAttr>()));
    rewriter.inlineRegionBefore(contract.getEpilogue(), lowered.getEpilogue(),
                                lowered.getEpilogue().end());
    replaceOpWithBufferizedValues(rewriter, op, buffers.back());
    return success();
  }
};

struct AttentionModel
    : DstBufferizableOpInterfaceExternalModel<AttentionModel,
                                              dlc::AttentionOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !cast<dlc::AttentionOp>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto attention = cast<dlc::AttentionOp>(op);
    if (!attention.hasTensors())
      return success();
    FailureOr<SmallVector<Value>> found =
        getBuffers(op, rewriter, options, state);
    if (failed(found))
      return failure();
    ValueRange buffers(*found);
    unsigned scores = attention.getScoreExtras().size();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    auto lowered = dlc::AttentionOp::create(
        rewriter, op->getLoc(), /*result=*/Type(), buffers[0], buffers[1],
        buffers[2], buffers.slice(3, scores),
        buffers.slice(3 + scores, attention.getExtras().size()), buffers.back(),
        /*scratch=*/Value(), attention.getIndexingMaps(),
        attention.getPrecisionAttr(), attention.getTileAttr(),
        attention.getCausalAttr());
    lowered->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    for (auto [from, to] :
         llvm::zip(attention->getRegions(), lowered->getRegions()))
      rewriter.inlineRegionBefore(from, to, to.end());
    replaceOpWithBufferizedValues(rewriter, op, buffers.back());
    return success();
  }
};

struct WinogradWeightsModel
    : DstBufferizableOpInterfaceExternalModel<WinogradWeightsModel,
                                              dlc::WinogradWeightsOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !cast<dlc::WinogradWeightsOp>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto weights = cast<dlc::WinogradWeightsOp>(op);
    if (!weights.getResult())
      return success();
    FailureOr<SmallVector<Value>> buffers =
        getBuffers(op, rewriter, options, state);
    if (failed(buffers))
      return failure();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    dlc::WinogradWeightsOp::create(
        rewriter, op->getLoc(), /*result=*/Type(), buffers->front(),
        buffers->back(), weights.getY(), weights.getX(), weights.getWinograd());
    replaceOpWithBufferizedValues(rewriter, op, buffers->back());
    return success();
  }
};
} // namespace

void dlc::registerContractBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, DlcDialect *) {
    AttentionOp::attachInterface<AttentionModel>(*context);
    ContractOp::attachInterface<ContractModel>(*context);
    WinogradWeightsOp::attachInterface<WinogradWeightsModel>(*context);
  });
}
