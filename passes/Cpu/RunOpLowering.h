/// \file
/// What the conversions to LLVM of the ops of a run share.
#ifndef DLC_PASSES_CPU_RUNOPLOWERING_H
#define DLC_PASSES_CPU_RUNOPLOWERING_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Dialect/LLVMIR/FunctionCallUtils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace dlc {

/// The fields of `struct dlc_rt_ctx` that generated code reads, in order.
enum RunField {
  Inputs,
  InputShapes,
  Outputs,
  Arena,
  State,
  DeviceArena,
  DeviceWeights
};

/// What the lowerings of the run's ops share.
template <typename OpTy>
struct RunOpLowering : mlir::ConvertOpToLLVMPattern<OpTy> {
  using mlir::ConvertOpToLLVMPattern<OpTy>::ConvertOpToLLVMPattern;
  using OpAdaptor = typename OpTy::Adaptor;

  static mlir::Type pointerType(mlir::OpBuilder &b) {
    return mlir::LLVM::LLVMPointerType::get(b.getContext());
  }

  /// The run's context: the first argument of the function.
  static mlir::Value getRun(mlir::Operation *op) {
    return op->getParentOfType<mlir::FunctionOpInterface>().getArgument(0);
  }

  static mlir::Value loadPointer(mlir::OpBuilder &b, mlir::Location loc,
                                 mlir::Value base, int64_t index) {
    mlir::Value address = mlir::LLVM::GEPOp::create(
        b, loc, pointerType(b), pointerType(b), base,
        llvm::ArrayRef<mlir::LLVM::GEPArg>{int32_t(index)});
    return mlir::LLVM::LoadOp::create(b, loc, pointerType(b), address);
  }

  static mlir::Value loadField(mlir::OpBuilder &b, mlir::Location loc,
                               mlir::Operation *op, RunField field) {
    return loadPointer(b, loc, getRun(op), field);
  }

  mlir::Value integer(mlir::OpBuilder &b, mlir::Location loc, mlir::Type type,
                      int64_t value) const {
    return mlir::LLVM::ConstantOp::create(b, loc, type,
                                          b.getIntegerAttr(type, value));
  }

  /// Calls a function of the runtime, declaring it at its first use. Null if
  /// it has no result.
  mlir::Value callRuntime(mlir::ConversionPatternRewriter &b,
                          mlir::Operation *op, llvm::StringRef name,
                          mlir::Type result, mlir::ValueRange arguments) const {
    auto module = op->getParentOfType<mlir::ModuleOp>();
    mlir::FailureOr<mlir::LLVM::LLVMFuncOp> function =
        mlir::LLVM::lookupOrCreateFn(
            b, module, name, llvm::to_vector(arguments.getTypes()), result);
    auto call =
        mlir::LLVM::CallOp::create(b, op->getLoc(), *function, arguments);
    return call->getNumResults() ? call.getResult() : mlir::Value();
  }

  /// Ends the run with the status `fail()` unless `condition` holds.
  void
  endRunUnless(mlir::ConversionPatternRewriter &b, mlir::Operation *op,
               mlir::Value condition,
               llvm::function_ref<mlir::Value(mlir::OpBuilder &)> fail) const {
    mlir::Location loc = op->getLoc();
    mlir::Block *before = b.getInsertionBlock();
    mlir::Block *after = b.splitBlock(before, b.getInsertionPoint());
    mlir::Block *failed =
        b.createBlock(before->getParent(), before->getParent()->end());
    mlir::Value status = fail(b);
    mlir::LLVM::ReturnOp::create(b, loc, status);
    b.setInsertionPointToEnd(before);
    mlir::LLVM::CondBrOp::create(b, loc, condition, after, failed);
    b.setInsertionPointToStart(after);
  }

  /// Ends the run with the recorded status if `pointer` is null.
  void endRunIfNull(mlir::ConversionPatternRewriter &b, mlir::Operation *op,
                    mlir::Value pointer) const {
    mlir::Location loc = op->getLoc();
    mlir::Value null = mlir::LLVM::ZeroOp::create(b, loc, pointerType(b));
    mlir::Value isThere = mlir::LLVM::ICmpOp::create(
        b, loc, mlir::LLVM::ICmpPredicate::ne, pointer, null);
    endRunUnless(b, op, isThere, [&](mlir::OpBuilder &) {
      return callRuntime(b, op, "dlc_rt_status", b.getI32Type(), getRun(op));
    });
  }

  /// The descriptor of a contiguous buffer; `dynamic` are its dynamic sizes.
  mlir::Value describe(mlir::ConversionPatternRewriter &b, mlir::Location loc,
                       mlir::MemRefType type, mlir::Value pointer,
                       mlir::ValueRange dynamic) const {
    llvm::SmallVector<mlir::Value> sizes, strides;
    mlir::Value bytes;
    this->getMemRefDescriptorSizes(loc, type, dynamic, b, sizes, strides,
                                   bytes);
    return this->createMemRefDescriptor(loc, type, pointer, pointer, sizes,
                                        strides, b);
  }

  /// The bytes of a contiguous buffer, as the runtime takes them: the largest
  /// number where the product overflows, negative where a size is.
  mlir::Value bytesOf(mlir::ConversionPatternRewriter &b, mlir::Location loc,
                      mlir::MemRefType type, mlir::ValueRange dynamic) const {
    mlir::Type i64 = b.getI64Type();
    mlir::Value product = this->getSizeInBytes(loc, type.getElementType(), b),
                signs, overflow;
    if (product.getType() != i64)
      product = mlir::LLVM::ZExtOp::create(b, loc, i64, product);
    auto pair = mlir::LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                       {i64, b.getI1Type()});
    auto multiply = [&](mlir::Value size) {
      mlir::Value both =
          mlir::LLVM::UMulWithOverflowOp::create(b, loc, pair, product, size);
      product = mlir::LLVM::ExtractValueOp::create(b, loc, both, 0);
      mlir::Value over = mlir::LLVM::ExtractValueOp::create(b, loc, both, 1);
      overflow =
          overflow ? mlir::LLVM::OrOp::create(b, loc, overflow, over) : over;
    };
    int64_t fixed = 1;
    for (int64_t size : type.getShape())
      if (mlir::ShapedType::isStatic(size))
        fixed *= size;
    multiply(integer(b, loc, i64, fixed));
    for (mlir::Value size : dynamic) {
      if (size.getType() != i64)
        size = mlir::LLVM::SExtOp::create(b, loc, i64, size);
      signs = signs ? mlir::LLVM::OrOp::create(b, loc, signs, size) : size;
      multiply(size);
    }
    mlir::Value zero = integer(b, loc, i64, 0);
    mlir::Value isLarge = mlir::LLVM::OrOp::create(
        b, loc, overflow,
        mlir::LLVM::ICmpOp::create(b, loc, mlir::LLVM::ICmpPredicate::slt,
                                   product, zero));
    mlir::Value bytes = mlir::LLVM::SelectOp::create(
        b, loc, isLarge,
        integer(b, loc, i64, std::numeric_limits<int64_t>::max()), product);
    if (!signs)
      return bytes;
    mlir::Value isNegative = mlir::LLVM::ICmpOp::create(
        b, loc, mlir::LLVM::ICmpPredicate::slt, signs, zero);
    return mlir::LLVM::SelectOp::create(b, loc, isNegative,
                                        integer(b, loc, i64, -1), bytes);
  }
};

/// The pattern for dlc.call (LowerCalls.cpp).
void populateCallLowering(const mlir::LLVMTypeConverter &converter,
                          mlir::RewritePatternSet &patterns);
/// The pattern for dlc.extern (LowerExtern.cpp).
void populateExternLowering(const mlir::LLVMTypeConverter &converter,
                            mlir::RewritePatternSet &patterns);
/// The patterns of what the host asks of a GPU: launches, reads, writes.
void populateDeviceOpPatterns(const mlir::LLVMTypeConverter &converter,
                              mlir::RewritePatternSet &patterns);

} // namespace dlc

#endif
