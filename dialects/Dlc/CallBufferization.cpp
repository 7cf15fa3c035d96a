// dlc.call for one-shot bufferization: it reads its tensors, and its results
// are memory of the run that nothing may write to.
#include "dialects/Dlc/CallBufferization.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::bufferization;

/// A dense copy of a buffer that may have another layout.
static Value makeDense(RewriterBase &b, Location loc, Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (type.getLayout().isIdentity())
    return buffer;
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(memref::DimOp::create(b, loc, buffer, i));
  auto dense = MemRefType::get(type.getShape(), type.getElementType());
  Value copy =
      memref::AllocOp::create(b, loc, dense, sizes, b.getI64IntegerAttr(64));
  memref::CopyOp::create(b, loc, buffer, copy);
  return copy;
}

namespace {
struct CallModel
    : BufferizableOpInterface::ExternalModel<CallModel, dlc::CallOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  bool isWritable(Operation *, Value, const AnalysisState &) const {
    return false;
  }

  FailureOr<BufferLikeType> getBufferType(Operation *, Value value,
                                          const BufferizationOptions &,
                                          const BufferizationState &,
                                          SmallVector<Value> &) const {
    auto type = cast<RankedTensorType>(value.getType());
    return cast<BufferLikeType>(
        MemRefType::get(type.getShape(), type.getElementType()));
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (isa<TensorType>(operand.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
        if (failed(buffer))
          return failure();
        operand = makeDense(rewriter, op->getLoc(), *buffer);
      }
      operands.push_back(operand);
    }
    SmallVector<Type> types;
    for (Type type : op->getResultTypes()) {
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        type = MemRefType::get(tensor.getShape(), tensor.getElementType());
      types.push_back(type);
    }
    auto call =
        dlc::CallOp::create(rewriter, op->getLoc(), types,
                            cast<dlc::CallOp>(op).getCalleeAttr(), operands);
    replaceOpWithBufferizedValues(rewriter, op, call.getResults());
    return success();
  }
};
} // namespace

void dlc::registerCallBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, DlcDialect *) {
    CallOp::attachInterface<CallModel>(*context);
  });
}
