// dlc.extern becomes the call of a C function:
//
//     int symbol(const dlc_tensor *inputs, dlc_tensor *outputs,
//                const char *attributes);

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "passes/Cpu/RunOpLowering.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

namespace {

struct LowerExtern : RunOpLowering<ExternOp> {
  using RunOpLowering::RunOpLowering;

  LogicalResult matchAndRewrite(ExternOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    Value inputs = describeAll(b, op, op.getInputs(), adaptor.getInputs());
    Value outputs = describeAll(b, op, op.getInits(), adaptor.getInits());
    Value text = addText(b, module, loc, op.getNodeAttributes());
    FailureOr<LLVM::LLVMFuncOp> function = LLVM::lookupOrCreateFn(
        b, module, op.getSymbol(),
        {pointerType(b), pointerType(b), pointerType(b)}, b.getI32Type());
    if (failed(function))
      return op.emitError("expected a function '")
             << op.getSymbol() << "' of its own, found another symbol";
    Value status =
        LLVM::CallOp::create(b, loc, *function, {inputs, outputs, text})
            .getResult();
    Value isGood = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, status,
                                        integer(b, loc, b.getI32Type(), 0));
    std::string message =
        ("the function '" + op.getSymbol() + "' returned an error").str();
    endRunUnless(b, op, isGood, [&](OpBuilder &) {
      return callRuntime(
          b, op, "dlc_rt_fail", b.getI32Type(),
          {getRun(op), status, addText(b, module, loc, message)});
    });
    b.eraseOp(op);
    return success();
  }

private:
  /// The address of a constant text that ends with a 0; equal ones share it.
  static Value addText(ConversionPatternRewriter &b, ModuleOp module,
                       Location loc, StringRef text) {
    std::string bytes = text.str() + '\0';
    std::string name = llvm::formatv(
        "dlc_text_{0:x}", llvm::hash_value(StringRef(bytes)).operator size_t());
    if (!module.lookupSymbol(name)) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      LLVM::GlobalOp::create(
          b, module.getLoc(),
          LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size()),
          /*isConstant=*/true, LLVM::Linkage::Private, name,
          b.getStringAttr(bytes));
    }
    return LLVM::AddressOfOp::create(b, loc, pointerType(b), name);
  }

  /// Memory on the stack, taken once although the op may be in a loop.
  Value allocate(ConversionPatternRewriter &b, Operation *op, Type element,
                 int64_t count) const {
    OpBuilder::InsertionGuard guard(b);
    Region *body =
        op->getParentOfType<FunctionOpInterface>()->getRegions().begin();
    b.setInsertionPointToStart(&body->front());
    return LLVM::AllocaOp::create(
        b, op->getLoc(), pointerType(b), element,
        integer(b, op->getLoc(), b.getI32Type(), count));
  }

  static Value element(OpBuilder &b, Location loc, Type type, Value base,
                       int64_t index) {
    return LLVM::GEPOp::create(b, loc, pointerType(b), type, base,
                               ArrayRef<LLVM::GEPArg>{int32_t(index)});
  }

  /// An array of dlc_tensor for buffers, which are dense.
  Value describeAll(ConversionPatternRewriter &b, ExternOp op,
                    ValueRange buffers, ValueRange descriptors) const {
    Location loc = op.getLoc();
    // data, capacity, shape
    auto tensor = LLVM::LLVMStructType::getLiteral(
        b.getContext(), {pointerType(b), getIndexType(), pointerType(b)});
    Value array = allocate(b, op, tensor, std::max<int64_t>(1, buffers.size()));
    for (auto [i, buffer, value] : llvm::enumerate(buffers, descriptors)) {
      auto type = cast<MemRefType>(buffer.getType());
      MemRefDescriptor descriptor(value);
      SmallVector<Value> dynamic;
      Value shape =
          allocate(b, op, b.getI64Type(), std::max<int64_t>(1, type.getRank()));
      for (int64_t d = 0; d < type.getRank(); ++d) {
        Value size = descriptor.size(b, loc, d);
        if (type.isDynamicDim(d))
          dynamic.push_back(size);
        if (size.getType() != b.getI64Type())
          size = LLVM::SExtOp::create(b, loc, b.getI64Type(), size);
        LLVM::StoreOp::create(b, loc, size,
                              element(b, loc, b.getI64Type(), shape, d));
      }
      Value bytes = bytesOf(b, loc, type, dynamic);
      if (bytes.getType() != getIndexType())
        bytes = LLVM::TruncOp::create(b, loc, getIndexType(), bytes);
      Value fields[] = {descriptor.bufferPtr(b, loc, *getTypeConverter(), type),
                        bytes, shape};
      Value base = element(b, loc, tensor, array, i);
      for (auto [f, field] : llvm::enumerate(fields)) {
        Value address =
            LLVM::GEPOp::create(b, loc, pointerType(b), tensor, base,
                                ArrayRef<LLVM::GEPArg>{0, int32_t(f)});
        LLVM::StoreOp::create(b, loc, field, address);
      }
    }
    return array;
  }
};

} // namespace

void dlc::populateExternLowering(const LLVMTypeConverter &converter,
                                 RewritePatternSet &patterns) {
  patterns.add<LowerExtern>(converter);
}
