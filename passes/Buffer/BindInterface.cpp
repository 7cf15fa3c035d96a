// Turns the arguments and results of @main into buffers of the caller.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_BINDINTERFACE
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

/// The empty tensor in whose place `value` is computed, if nothing else that
/// is computed in that place is a result: results are copied to their buffers
/// at the end, which must not overwrite others.
tensor::EmptyOp findOnlyDestination(Value value) {
  for (Value next = value; next;) {
    if (auto empty = next.getDefiningOp<tensor::EmptyOp>())
      return empty->hasOneUse() ? empty : nullptr;
    Operation *owner = next.getDefiningOp();
    if (auto op = dyn_cast_or_null<DestinationStyleOpInterface>(owner))
      next = op.getTiedOpOperand(cast<OpResult>(next))->get();
    else if (auto op = dyn_cast_or_null<tensor::InsertSliceOp>(owner))
      next = op.getDest();
    else
      return nullptr;
    int64_t overwrites = llvm::count_if(
        next.getUses(), [](OpOperand &use) { return isDestination(use); });
    bool isResult =
        llvm::any_of(next.getUsers(), llvm::IsaPred<func::ReturnOp>);
    if (overwrites != 1 || isResult)
      return nullptr;
  }
  return nullptr;
}

struct BindInterfacePass : dlc::impl::BindInterfaceBase<BindInterfacePass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      getOperation().emitError("expected a function @main");
      return signalPassFailure();
    }
    ImplicitLocOpBuilder b(main.getLoc(), main.getContext());
    b.setInsertionPointToStart(&main.front());
    Block &entry = main.front();
    unsigned inputs = entry.getNumArguments();
    for (unsigned i = 0; i < inputs; ++i) {
      auto type = cast<RankedTensorType>(entry.getArgument(i).getType());
      auto memrefType = MemRefType::get(type.getShape(), type.getElementType());
      Value buffer = InputOp::create(b, memrefType, i);
      Value tensor = bufferization::ToTensorOp::create(
          b, type, buffer, /*restrict=*/true, /*writable=*/false);
      entry.getArgument(i).replaceAllUsesWith(tensor);
    }
    auto returned = cast<func::ReturnOp>(entry.getTerminator());
    for (auto [i, value] : llvm::enumerate(returned.getOperands())) {
      auto type = cast<RankedTensorType>(value.getType());
      auto memrefType = MemRefType::get(type.getShape(), type.getElementType());
      SmallVector<Value> sizes;
      // Buffers of static shape stand at the start, so that the producers of
      // the results can write into them.
      if (type.hasStaticShape())
        b.setInsertionPointToStart(&entry);
      else
        b.setInsertionPoint(returned);
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          sizes.push_back(b.createOrFold<tensor::DimOp>(value, dim));
      Value buffer = OutputOp::create(b, memrefType, i, sizes);
      if (tensor::EmptyOp empty = findOnlyDestination(value);
          empty && empty.getType() == type && type.hasStaticShape())
        empty.replaceAllUsesWith(Value(bufferization::ToTensorOp::create(
            b, type, buffer, /*restrict=*/true, /*writable=*/true)));
      // A copy, unless the value was computed in the buffer.
      b.setInsertionPoint(returned);
      auto copy =
          bufferization::MaterializeInDestinationOp::create(b, value, buffer);
      copy.setWritable(true);
    }
    b.setInsertionPoint(returned);
    Value zero = arith::ConstantIntOp::create(b, 0, 32);
    func::ReturnOp::create(b, zero);
    returned.erase();
    entry.addArgument(LLVM::LLVMPointerType::get(b.getContext()),
                      main.getLoc());
    entry.eraseArguments(0, inputs);
    main.setArgAttrsAttr(nullptr);
    main.setResAttrsAttr(nullptr);
    main.setFunctionType(
        b.getFunctionType(entry.getArgumentTypes(), b.getI32Type()));
  }
};

} // namespace
