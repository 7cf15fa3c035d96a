// Puts the buffers of @main into the memory of the GPU.
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Gpu/Passes.h"
#include "passes/Remarks.h"
#include <set>

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLACEONDEVICE
#include "passes/Gpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The op that `view` looks through, as an operand of its own; none if `view`
/// is no view.
static Value sourceOf(Operation *view) {
  if (!view)
    return {};
  if (auto cast = dyn_cast<memref::CastOp>(view))
    return cast.getSource();
  if (auto like = dyn_cast<ViewLikeOpInterface>(view))
    return like.getViewSource();
  return {};
}

/// `buffer` on the host if it is a part of an input or of the weights, which
/// nothing writes; else nothing.
///
///     %0 = dlc.input 0 : memref<4xi64>                  // stays on the host
///     %1 = memref.subview %0[1] [1] [1] : ...           // likewise
static Value findOnHost(Value buffer, OpBuilder &b,
                        DenseMap<Value, Value> &known) {
  auto [it, isNew] = known.try_emplace(buffer);
  if (!isNew)
    return it->second;
  Operation *producer = buffer.getDefiningOp();
  Value onHost;
  OpBuilder::InsertionGuard guard(b);
  if (isa_and_nonnull<InputOp, WeightOp>(producer)) {
    b.setInsertionPoint(producer);
    onHost = b.clone(*producer)->getResult(0);
  } else if (Value source = sourceOf(producer)) {
    if (Value base = findOnHost(source, b, known)) {
      b.setInsertionPoint(producer);
      IRMapping mapping;
      mapping.map(source, base);
      onHost = b.clone(*producer, mapping)
                   ->getResult(cast<OpResult>(buffer).getResultNumber());
    }
  }
  known[buffer] = onHost;
  return onHost;
}

namespace {

struct PlaceOnDevicePass : dlc::impl::PlaceOnDeviceBase<PlaceOnDevicePass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    SmallVector<memref::LoadOp> loads;
    SmallVector<memref::StoreOp> stores;
    SmallVector<Operation *> buffers;
    main.walk([&](Operation *op) {
      if (auto load = dyn_cast<memref::LoadOp>(op))
        loads.push_back(load);
      else if (auto store = dyn_cast<memref::StoreOp>(op))
        stores.push_back(store);
      else if (isa<InputOp, OutputOp, ArenaOp, WeightOp, AllocOp, FreeOp>(op))
        buffers.push_back(op);
    });
    // Functions of the runtime and of the program follow their pointers.
    bool isFine = true;
    main.walk([&](Operation *op) {
      if (!isa<CallOp, ExternOp>(op) ||
          llvm::none_of(op->getOperandTypes(),
                        [](Type type) { return isa<MemRefType>(type); }))
        return;
      op->emitError("not supported for a GPU: computed by a function of the "
                    "host (strings, sequences, extern operators)");
      isFine = false;
    });
    if (!isFine)
      return signalPassFailure();
    OpBuilder b(main);
    DenseMap<Value, Value> known;
    for (memref::LoadOp load : loads) {
      b.setInsertionPoint(load);
      if (Value onHost = findOnHost(load.getMemRef(), b, known)) {
        load.getMemrefMutable().assign(onHost);
        continue;
      }
      remarkMissed(load.getLoc(), "dlc-place-on-device") << remark::add(
          "the host waits for the GPU and copies an element from it");
      load.replaceAllUsesWith(
          ReadOp::create(b, load.getLoc(), load.getMemRef(), load.getIndices())
              .getResult());
      load.erase();
    }
    for (memref::StoreOp store : stores) {
      b.setInsertionPoint(store);
      remarkMissed(store.getLoc(), "dlc-place-on-device")
          << remark::add("the host copies an element to the GPU");
      WriteOp::create(b, store.getLoc(), store.getValue(), store.getMemRef(),
                      store.getIndices());
      store.erase();
    }
    markInputs(main, buffers, b);
    for (Operation *op : buffers) {
      op->setAttr("device", b.getUnitAttr());
      // One that only the host reads stays where it is.
      if (isa<InputOp, WeightOp>(op) && op->use_empty())
        op->erase();
    }
  }

  /// Says which inputs the host reads, and whether launches depend on nothing
  /// that it reads or computes of data.
  void markInputs(func::FuncOp main, ArrayRef<Operation *> onDevice,
                  OpBuilder &b) {
    llvm::SmallDenseSet<Operation *> device(onDevice.begin(), onDevice.end());
    std::set<int64_t> inputs;
    bool hasGraphs = true;
    main.walk([&](Operation *op) {
      auto input = dyn_cast<InputOp>(op);
      if (input && !device.contains(op)) {
        inputs.insert(input.getIndex());
        hasGraphs = false;
      }
      // Other loads are of weights.
      if (isa<InputOp, OutputOp, ArenaOp, WeightOp, AllocOp, FreeOp, LaunchOp,
              memref::LoadOp, func::FuncOp>(op) ||
          op->hasTrait<OpTrait::IsTerminator>())
        return;
      hasGraphs &= op->hasTrait<OpTrait::HasRecursiveMemoryEffects>() ||
                   isMemoryEffectFree(op);
    });
    if (!inputs.empty())
      getOperation()->setAttr("dlc.host_inputs",
                              b.getDenseI64ArrayAttr(SmallVector<int64_t>(
                                  inputs.begin(), inputs.end())));
    if (hasGraphs)
      getOperation()->setAttr("dlc.graphs", b.getUnitAttr());
  }
};

} // namespace
