// dlc.extern for one-shot bufferization: destination style, on buffers that
// are dense, as the C interface says. Others are copied.

#include "dialects/Dlc/ExternBufferization.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::bufferization;

/// A dense buffer of the shape of `buffer`.
static FailureOr<Value> allocateDense(RewriterBase &rewriter, Location loc,
                                      Value buffer,
                                      const BufferizationOptions &options) {
  auto type = cast<MemRefType>(buffer.getType());
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(memref::DimOp::create(rewriter, loc, buffer, i));
  auto dense =
      MemRefType::get(type.getShape(), type.getElementType(),
                      MemRefLayoutAttrInterface(), type.getMemorySpace());
  return options.createAlloc(rewriter, loc, dense, sizes);
}

namespace {
struct ExternModel
    : DstBufferizableOpInterfaceExternalModel<ExternModel, dlc::ExternOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !cast<dlc::ExternOp>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto call = cast<dlc::ExternOp>(op);
    Location loc = op->getLoc();
    if (call->getNumResults() == 0)
      return success();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> dense, results;
    SmallVector<std::pair<Value, Value>> copies; // behind the call
    for (OpOperand &operand : op->getOpOperands()) {
      FailureOr<Value> buffer =
          getBuffer(rewriter, operand.get(), options, state);
      if (failed(buffer))
        return failure();
      bool isInit = call.isDpsInit(&operand);
      if (isInit)
        results.push_back(*buffer);
      if (cast<MemRefType>(buffer->getType()).getLayout().isIdentity()) {
        dense.push_back(*buffer);
        continue;
      }
      FailureOr<Value> copy = allocateDense(rewriter, loc, *buffer, options);
      if (failed(copy))
        return failure();
      if (isInit)
        copies.emplace_back(*copy, *buffer);
      else if (failed(options.createMemCpy(rewriter, loc, *buffer, *copy)))
        return failure();
      dense.push_back(*copy);
    }
    size_t numInputs = call.getInputs().size();
    dlc::ExternOp::create(rewriter, loc, TypeRange(), call.getSymbol(),
                          ValueRange(dense).take_front(numInputs),
                          ValueRange(dense).drop_front(numInputs),
                          call.getNodeAttributes());
    for (auto [from, to] : copies)
      if (failed(options.createMemCpy(rewriter, loc, from, to)))
        return failure();
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};
} // namespace

void dlc::registerExternBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, DlcDialect *) {
    ExternOp::attachInterface<ExternModel>(*context);
  });
}
