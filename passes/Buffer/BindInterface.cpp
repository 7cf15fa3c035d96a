// Turns the arguments and results of @main into buffers of the caller, and
// those of @init into places in the state.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Buffer/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_BINDINTERFACE
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// What a state begins with, for the runtime, and the alignment of all in it.
static constexpr int64_t kStateHeader = 64;

namespace {

/// The empty tensor in whose place a value is computed, and the reshapes
/// between them, the last one first.
struct Destination {
  tensor::EmptyOp empty;
  SmallVector<Operation *> reshapes;
};

/// That of `value`, if nothing else that is computed in that place is a result:
/// results are copied to their buffers at the end, which must not overwrite
/// others.
Destination findOnlyDestination(Value value) {
  Destination found;
  for (Value next = value; next;) {
    if (auto empty = next.getDefiningOp<tensor::EmptyOp>()) {
      if (empty->hasOneUse())
        found.empty = empty;
      return found;
    }
    Operation *owner = next.getDefiningOp();
    bool isReshape =
        isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(owner);
    if (auto op = dyn_cast_or_null<DestinationStyleOpInterface>(owner))
      next = op.getTiedOpOperand(cast<OpResult>(next))->get();
    else if (auto op = dyn_cast_or_null<tensor::InsertSliceOp>(owner))
      next = op.getDest();
    else if (isReshape)
      next = owner->getOperand(0);
    else
      return {};
    if (isReshape)
      found.reshapes.push_back(owner);
    int64_t overwrites = llvm::count_if(
        next.getUses(), [](OpOperand &use) { return isDestination(use); });
    bool isResult =
        llvm::any_of(next.getUsers(), llvm::IsaPred<func::ReturnOp>);
    if (overwrites != !isReshape || isResult)
      return {};
  }
  return {};
}

/// `result`, of the shape that `reshapes` end with, in the shape of their
/// beginning.
Value undo(ArrayRef<Operation *> reshapes, Value result, OpBuilder &b) {
  for (Operation *op : reshapes) {
    Type type = op->getOperand(0).getType();
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
      result = tensor::ExpandShapeOp::create(
          b, op->getLoc(), type, result, collapse.getReassociationIndices());
    else
      result = tensor::CollapseShapeOp::create(
          b, op->getLoc(), type, result,
          cast<tensor::ExpandShapeOp>(op).getReassociationIndices());
  }
  return result;
}

MemRefType toMemRef(RankedTensorType type) {
  return MemRefType::get(type.getShape(), type.getElementType());
}

/// Has `value`, which `returned` returns, computed in `buffer`, behind which
/// the builder stands, or else copied to it.
void computeIn(Value value, Value buffer, Operation *returned,
               ImplicitLocOpBuilder &b) {
  auto type = cast<RankedTensorType>(value.getType());
  if (Destination found = findOnlyDestination(value);
      found.empty && found.empty.getType().hasStaticShape() &&
      type.hasStaticShape()) {
    Value place = bufferization::ToTensorOp::create(
        b, type, buffer, /*restrict=*/true, /*writable=*/true);
    found.empty.replaceAllUsesWith(undo(found.reshapes, place, b));
  }
  b.setInsertionPoint(returned);
  auto copy =
      bufferization::MaterializeInDestinationOp::create(b, value, buffer);
  copy.setWritable(true);
}

struct BindInterfacePass : dlc::impl::BindInterfaceBase<BindInterfacePass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      getOperation().emitError("expected a function @main");
      return signalPassFailure();
    }
    if (failed(bindState(main)))
      return signalPassFailure();
    ImplicitLocOpBuilder b(main.getLoc(), main.getContext());
    b.setInsertionPointToStart(&main.front());
    Block &entry = main.front();
    unsigned inputs = entry.getNumArguments();
    for (unsigned i = 0; i < inputs; ++i) {
      auto type = dyn_cast<RankedTensorType>(entry.getArgument(i).getType());
      if (!type) {
        // A sequence or map, by its handle.
        Value index = arith::ConstantIntOp::create(b, i, 32);
        entry.getArgument(i).replaceAllUsesWith(
            CallOp::create(
                b, TypeRange(b.getIndexType()),
                isMap("dlc.inputs", i) ? "map_input" : "sequence_input", index)
                .getResult(0));
        continue;
      }
      Value buffer = InputOp::create(b, toMemRef(type), i);
      Value tensor = bufferization::ToTensorOp::create(
          b, type, buffer, /*restrict=*/true, /*writable=*/false);
      entry.getArgument(i).replaceAllUsesWith(tensor);
    }
    auto returned = cast<func::ReturnOp>(entry.getTerminator());
    for (auto [i, value] : llvm::enumerate(returned.getOperands())) {
      auto type = dyn_cast<RankedTensorType>(value.getType());
      if (!type) {
        b.setInsertionPoint(returned);
        Value index = arith::ConstantIntOp::create(b, i, 32);
        CallOp::create(b, TypeRange(),
                       isMap("dlc.outputs", i) ? "map_output"
                                               : "sequence_output",
                       {index, value});
        continue;
      }
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
      Value buffer = OutputOp::create(b, toMemRef(type), i, sizes);
      computeIn(value, buffer, returned, b);
    }
    takeRun(main);
  }

  /// Whether an input or output is a map, or a sequence of maps.
  bool isMap(StringRef list, unsigned i) {
    auto entries = getOperation()->getAttrOfType<ArrayAttr>(list);
    auto entry =
        entries ? dyn_cast<DictionaryAttr>(entries[i]) : DictionaryAttr();
    return entry && entry.contains("keys");
  }

  /// Makes `function` one that takes the run and returns a status.
  static void takeRun(func::FuncOp function) {
    Block &entry = function.front();
    Operation *returned = entry.getTerminator();
    ImplicitLocOpBuilder b(function.getLoc(), returned);
    Value zero = arith::ConstantIntOp::create(b, 0, 32);
    func::ReturnOp::create(b, zero);
    returned->erase();
    unsigned inputs = entry.getNumArguments();
    entry.addArgument(LLVM::LLVMPointerType::get(b.getContext()),
                      function.getLoc());
    entry.eraseArguments(0, inputs);
    function.setArgAttrsAttr(nullptr);
    function.setResAttrsAttr(nullptr);
    function.setFunctionType(
        b.getFunctionType(entry.getArgumentTypes(), b.getI32Type()));
  }

  /// Gives each result of @init its place in the state, where @main reads it.
  LogicalResult bindState(func::FuncOp main) {
    auto init = getOperation().lookupSymbol<func::FuncOp>("init");
    SmallVector<int64_t> offsets;
    if (init) {
      Block &entry = init.front();
      ImplicitLocOpBuilder b(init.getLoc(), init.getContext());
      Operation *returned = entry.getTerminator();
      llvm::MapVector<Value, int64_t> places;
      int64_t size = kStateHeader;
      for (Value value : returned->getOperands()) {
        auto type = cast<RankedTensorType>(value.getType());
        auto [place, isNew] = places.insert({value, size});
        offsets.push_back(place->second);
        if (!isNew)
          continue;
        size += llvm::alignTo(type.getNumElements() *
                                  getElementBytes(type.getElementType()),
                              kStateHeader);
        b.setInsertionPointToStart(&entry);
        Value buffer = StateOp::create(b, toMemRef(type), place->second);
        computeIn(value, buffer, returned, b);
      }
      takeRun(init);
      getOperation()->setAttr("dlc.state_size", b.getI64IntegerAttr(size));
    }
    WalkResult result = main.walk([&](ExpandedOp op) {
      if (op.getIndex() >= offsets.size()) {
        op.emitOpError("expected a result of @init, which has ")
            << offsets.size() << ", found number " << op.getIndex();
        return WalkResult::interrupt();
      }
      ImplicitLocOpBuilder b(op.getLoc(), op);
      auto type = cast<RankedTensorType>(op.getType());
      Value buffer = StateOp::create(b, toMemRef(type), offsets[op.getIndex()]);
      op.replaceAllUsesWith(Value(bufferization::ToTensorOp::create(
          b, type, buffer, /*restrict=*/true, /*writable=*/false)));
      op.erase();
      return WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }
};

} // namespace
