// dlc.call -> a call of the runtime, and the end of the run where it failed.

#include "passes/Cpu/RunOpLowering.h"

using namespace mlir;
using namespace dlc;

namespace {

struct LowerCall : RunOpLowering<CallOp> {
  using RunOpLowering::RunOpLowering;

  /// A place on the stack, made once and not in every turn of a loop.
  static Value allocate(ConversionPatternRewriter &b, Operation *op, Type type,
                        int64_t count) {
    OpBuilder::InsertionGuard guard(b);
    auto function = op->getParentOfType<FunctionOpInterface>();
    b.setInsertionPointToStart(&function.getFunctionBody().front());
    Value number = LLVM::ConstantOp::create(b, op->getLoc(), b.getI32Type(),
                                            b.getI32IntegerAttr(count));
    return LLVM::AllocaOp::create(b, op->getLoc(), pointerType(b), type,
                                  number);
  }

  static Value elementAddress(OpBuilder &b, Location loc, Type type,
                              Value array, int64_t index) {
    return LLVM::GEPOp::create(b, loc, pointerType(b), type, array,
                               ArrayRef<LLVM::GEPArg>{int32_t(index)});
  }

  /// `struct dlc_rt_view`.
  static Type viewType(OpBuilder &b) {
    return LLVM::LLVMStructType::getLiteral(
        b.getContext(),
        {pointerType(b), pointerType(b), b.getI32Type(), b.getI32Type()});
  }

  /// A view of `data` (null: none yet) on the stack, and its sizes.
  std::pair<Value, Value> makeView(ConversionPatternRewriter &b, CallOp op,
                                   MemRefType type, Value data,
                                   SmallVector<Value> sizes) const {
    Location loc = op.getLoc();
    Value shape =
        allocate(b, op, b.getI64Type(), std::max<int64_t>(type.getRank(), 1));
    for (auto [i, size] : llvm::enumerate(sizes)) {
      if (size.getType() != b.getI64Type())
        size = LLVM::SExtOp::create(b, loc, b.getI64Type(), size);
      LLVM::StoreOp::create(b, loc, size,
                            elementAddress(b, loc, b.getI64Type(), shape, i));
    }
    if (!data)
      data = LLVM::ZeroOp::create(b, loc, pointerType(b));
    Value bytes = getSizeInBytes(loc, type.getElementType(), b);
    if (bytes.getType() != b.getI32Type())
      bytes = LLVM::TruncOp::create(b, loc, b.getI32Type(), bytes);
    Value view = allocate(b, op, viewType(b), 1);
    Value fields[] = {data, shape,
                      integer(b, loc, b.getI32Type(), type.getRank()), bytes};
    for (auto [i, field] : llvm::enumerate(fields)) {
      Value address =
          LLVM::GEPOp::create(b, loc, pointerType(b), viewType(b), view,
                              ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      LLVM::StoreOp::create(b, loc, field, address);
    }
    return {view, shape};
  }

  LogicalResult matchAndRewrite(CallOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SmallVector<Value> arguments{getRun(op)};
    for (auto [value, original] :
         llvm::zip(adaptor.getOperands(), op.getOperands())) {
      auto type = dyn_cast<MemRefType>(original.getType());
      if (!type) {
        if (value.getType().isInteger(1))
          value = LLVM::ZExtOp::create(b, loc, b.getI32Type(), value);
        arguments.push_back(value);
        continue;
      }
      if (!type.getLayout().isIdentity())
        return op.emitError("expected dense buffers, found ") << type;
      MemRefDescriptor buffer(value);
      SmallVector<Value> sizes;
      for (int64_t i = 0; i < type.getRank(); ++i)
        sizes.push_back(buffer.size(b, loc, i));
      arguments.push_back(
          makeView(b, op, type, buffer.alignedPtr(b, loc), sizes).first);
    }

    // Places for the results that are buffers.
    SmallVector<std::pair<Value, Value>> views;
    Type returned = LLVM::LLVMVoidType::get(getContext());
    for (Type result : op.getResultTypes()) {
      auto type = dyn_cast<MemRefType>(result);
      if (!type) {
        returned = result.isInteger(1)
                       ? b.getI32Type()
                       : getTypeConverter()->convertType(result);
        views.push_back({});
        continue;
      }
      SmallVector<Value> sizes;
      for (int64_t size : type.getShape())
        sizes.push_back(integer(b, loc, b.getI64Type(),
                                ShapedType::isDynamic(size) ? -1 : size));
      views.push_back(makeView(b, op, type, Value(), sizes));
      arguments.push_back(views.back().first);
    }

    Value number = callRuntime(b, op, ("dlc_rt_" + op.getCallee()).str(),
                               returned, arguments);
    Value status =
        callRuntime(b, op, "dlc_rt_status", b.getI32Type(), getRun(op));
    Value isGood = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, status,
                                        integer(b, loc, b.getI32Type(), 0));
    endRunUnless(b, op, isGood, [&](OpBuilder &) { return status; });

    SmallVector<Value> results;
    for (auto [result, view] : llvm::zip(op.getResultTypes(), views)) {
      auto type = dyn_cast<MemRefType>(result);
      if (!type) {
        if (result.isInteger(1))
          number = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, number,
                                        integer(b, loc, b.getI32Type(), 0));
        results.push_back(number);
        continue;
      }
      SmallVector<Value> dynamic;
      for (int64_t i = 0; i < type.getRank(); ++i) {
        if (!type.isDynamicDim(i))
          continue;
        Value size = LLVM::LoadOp::create(
            b, loc, b.getI64Type(),
            elementAddress(b, loc, b.getI64Type(), view.second, i));
        if (getIndexType() != b.getI64Type())
          size = LLVM::TruncOp::create(b, loc, getIndexType(), size);
        dynamic.push_back(size);
      }
      Value data = LLVM::LoadOp::create(b, loc, pointerType(b), view.first);
      results.push_back(describe(b, loc, type, data, dynamic));
    }
    b.replaceOp(op, results);
    return success();
  }
};

} // namespace

void dlc::populateCallLowering(const LLVMTypeConverter &converter,
                               RewritePatternSet &patterns) {
  patterns.add<LowerCall>(converter);
}
