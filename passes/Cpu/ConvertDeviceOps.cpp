// Converts what the host asks of a GPU to calls of the runtime.
#include "passes/Cpu/RunOpLowering.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Bytes of a parameter or element; a complex number of doubles has most.
constexpr int64_t kSlotBytes = 16;

/// `count` slots on the stack, which are there once, also in a loop.
Value allocateSlots(ConversionPatternRewriter &b, Operation *op, Type type,
                    int64_t count) {
  OpBuilder::InsertionGuard guard(b);
  auto function = op->getParentOfType<FunctionOpInterface>();
  b.setInsertionPointToStart(&function.getFunctionBody().front());
  Location loc = op->getLoc();
  Value size = LLVM::ConstantOp::create(b, loc, b.getI32Type(),
                                        b.getI32IntegerAttr(count));
  return LLVM::AllocaOp::create(b, loc,
                                LLVM::LLVMPointerType::get(b.getContext()),
                                type, size, /*alignment=*/kSlotBytes);
}

Type slotType(OpBuilder &b) {
  return LLVM::LLVMArrayType::get(b.getI8Type(), kSlotBytes);
}

/// Parameters go to slots, their addresses to an array.
struct LowerLaunch : RunOpLowering<LaunchOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(LaunchOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto kernels = module->getAttrOfType<ArrayAttr>("dlc.kernels");
    Attribute name = op.getKernel().getLeafReference();
    auto *found = llvm::find(kernels, name);
    if (found == kernels.end())
      return op.emitError("expected a kernel of the module's 'dlc.kernels', "
                          "found ")
             << op.getKernel();
    int64_t count = op.getParameters().size();
    Value slots = allocateSlots(b, op, slotType(b), count);
    Value addresses = allocateSlots(b, op, pointerType(b), count);
    for (auto [i, original, value] :
         llvm::enumerate(op.getParameters(), adaptor.getParameters())) {
      Value parameter = value;
      if (auto type = dyn_cast<MemRefType>(original.getType()))
        parameter = MemRefDescriptor(value).bufferPtr(
            b, loc, *getTypeConverter(), type);
      SmallVector<LLVM::GEPArg> at{int32_t(i)};
      Value slot =
          LLVM::GEPOp::create(b, loc, pointerType(b), slotType(b), slots, at);
      LLVM::StoreOp::create(b, loc, parameter, slot);
      Value address = LLVM::GEPOp::create(b, loc, pointerType(b),
                                          pointerType(b), addresses, at);
      LLVM::StoreOp::create(b, loc, slot, address);
    }
    callRuntime(
        b, op, "dlc_rt_cuda_launch", LLVM::LLVMVoidType::get(getContext()),
        {getRun(op), integer(b, loc, b.getI32Type(), found - kernels.begin()),
         adaptor.getBlocks(), integer(b, loc, b.getI32Type(), op.getThreads()),
         addresses});
    b.eraseOp(op);
    return success();
  }
};

/// The host waits; a failure ends the run.
struct LowerRead : RunOpLowering<ReadOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(ReadOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getBuffer().getType());
    Value from = getStridedElementPtr(b, loc, type, adaptor.getBuffer(),
                                      adaptor.getIndices());
    Value to = allocateSlots(b, op, slotType(b), 1);
    Type element = getTypeConverter()->convertType(type.getElementType());
    Value status = callRuntime(
        b, op, "dlc_rt_cuda_read", b.getI32Type(),
        {getRun(op), to, from, getSizeInBytes(loc, type.getElementType(), b)});
    Value isDone = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, status,
                                        integer(b, loc, b.getI32Type(), 0));
    endRunUnless(b, op, isDone, [&](OpBuilder &) { return status; });
    b.replaceOp(op, LLVM::LoadOp::create(b, loc, element, to));
    return success();
  }
};

struct LowerWrite : RunOpLowering<WriteOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(WriteOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getBuffer().getType());
    Value to = getStridedElementPtr(b, loc, type, adaptor.getBuffer(),
                                    adaptor.getIndices());
    Value from = allocateSlots(b, op, slotType(b), 1);
    LLVM::StoreOp::create(b, loc, adaptor.getValue(), from);
    callRuntime(
        b, op, "dlc_rt_cuda_write", LLVM::LLVMVoidType::get(getContext()),
        {getRun(op), to, from, getSizeInBytes(loc, type.getElementType(), b)});
    b.eraseOp(op);
    return success();
  }
};

/// A dense buffer from one memory to the other.
template <typename OpTy> struct LowerTransfer : RunOpLowering<OpTy> {
  using RunOpLowering<OpTy>::RunOpLowering;
  LogicalResult matchAndRewrite(OpTy op, typename OpTy::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getFrom().getType());
    if (!type.getLayout().isIdentity())
      return op.emitError("expected dense buffers, found ") << type;
    MemRefDescriptor from(adaptor.getFrom()), to(adaptor.getTo());
    SmallVector<Value> sizes;
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (type.isDynamicDim(dim))
        sizes.push_back(from.size(b, loc, dim));
    Value bytes = this->bytesOf(b, loc, type, sizes);
    Value operands[] = {this->getRun(op), to.alignedPtr(b, loc),
                        from.alignedPtr(b, loc), bytes};
    if constexpr (std::is_same_v<OpTy, SendOp>) {
      this->callRuntime(b, op, "dlc_rt_cuda_write",
                        LLVM::LLVMVoidType::get(b.getContext()), operands);
    } else {
      Value status = this->callRuntime(b, op, "dlc_rt_cuda_read",
                                       b.getI32Type(), operands);
      Value isDone =
          LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, status,
                               this->integer(b, loc, b.getI32Type(), 0));
      this->endRunUnless(b, op, isDone, [&](OpBuilder &) { return status; });
    }
    b.eraseOp(op);
    return success();
  }
};

} // namespace

void dlc::populateDeviceOpPatterns(const LLVMTypeConverter &converter,
                                   RewritePatternSet &patterns) {
  patterns.add<LowerLaunch, LowerRead, LowerWrite, LowerTransfer<FetchOp>,
               LowerTransfer<SendOp>>(converter);
}
