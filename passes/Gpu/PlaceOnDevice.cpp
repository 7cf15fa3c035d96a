// Puts the buffers of @main that kernels use into the memory of the GPU.
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "passes/Gpu/HostPart.h"
#include "passes/Gpu/Passes.h"
#include "passes/Remarks.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"
#include <set>

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLACEONDEVICE
#include "passes/Gpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Clones the views between `value` and `root` for `copy`, another buffer of
/// root's type.
static Value cloneViews(Value value, Value root, Value copy, OpBuilder &b) {
  if (value == root)
    return copy;
  Operation *view = value.getDefiningOp();
  IRMapping mapping;
  mapping.map(sourceOf(view), cloneViews(sourceOf(view), root, copy, b));
  return b.clone(*view, mapping)
      ->getResult(cast<OpResult>(value).getResultNumber());
}

/// The dynamic sizes of `buffer`.
static SmallVector<Value> sizesOf(Value buffer, OpBuilder &b) {
  SmallVector<Value> sizes;
  auto type = cast<MemRefType>(buffer.getType());
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (type.isDynamicDim(dim))
      sizes.push_back(
          memref::DimOp::create(b, buffer.getLoc(), buffer, dim).getResult());
  return sizes;
}

static bool isDense(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return type.getLayout().isIdentity();
}

namespace {

/// How an op of the host uses a buffer.
struct HostUse {
  OpOperand *operand;
  bool reads, writes;
};

/// The buffers of @main, and where they are.
class Placement {
public:
  explicit Placement(func::FuncOp main) : main(main), b(main), classes(main) {}

  LogicalResult run();

private:
  void findClasses();
  bool isOnDevice(Value buffer) {
    return onDevice.contains(classes.classOf(buffer));
  }
  Value findOnHost(Value buffer);
  void copyToDevice(OpResult result);
  LogicalResult useOnHost(HostUse use);
  Operation *findHostLoop(Operation *access, Value root);
  bool isHostLoop(Operation *loop, Value root);
  void accessOnHost(ArrayRef<Operation *> accesses);
  void copyAround(Operation *loop, Value root, ArrayRef<Operation *> accesses);
  void accessElement(Operation *access);
  void placeHostArena();

  func::FuncOp main;
  OpBuilder b;
  BufferClasses classes;
  DenseSet<Value> onDevice; ///< classes that kernels use
  DenseSet<Value> written;  ///< classes that something writes to
  DenseMap<Value, Value> onHost;
};

} // namespace

static Value bufferOf(Operation *access) {
  if (auto load = dyn_cast<memref::LoadOp>(access))
    return load.getMemRef();
  return cast<memref::StoreOp>(access).getMemRef();
}

/// The buffers that an op of the host follows, whatever its kind.
static SmallVector<HostUse> findHostUses(Operation *op) {
  SmallVector<HostUse> uses;
  SmallVector<bool> isWritten;
  if (auto call = dyn_cast<func::CallOp>(op))
    isWritten =
        findWrittenArguments(SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
            op, call.getCalleeAttr()));
  auto function = dyn_cast<ExternOp>(op);
  if (isa<func::CallOp, CallOp, ExternOp>(op))
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<MemRefType>(operand.get().getType()))
        continue;
      // A C function is given the outputs to fill them.
      bool isOutput = function && function.isDpsInit(&operand);
      bool writes = isOutput || (!isWritten.empty() &&
                                 isWritten[operand.getOperandNumber()]);
      uses.push_back({&operand, !isOutput, writes});
    }
  return uses;
}

/// Finds the classes that kernels use, and those that something writes to.
void Placement::findClasses() {
  main.walk([&](Operation *op) {
    if (auto launch = dyn_cast<LaunchOp>(op)) {
      std::optional<ArrayRef<int64_t>> parameters = launch.getWritten();
      for (auto [i, value] : llvm::enumerate(launch.getParameters())) {
        if (!isa<MemRefType>(value.getType()))
          continue;
        onDevice.insert(classes.classOf(value));
        if (!parameters || llvm::is_contained(*parameters, int64_t(i)))
          written.insert(classes.classOf(value));
      }
    } else if (auto output = dyn_cast<OutputOp>(op)) {
      // The caller's may be there. Strings, which are addresses, are not.
      if (!cast<MemRefType>(output.getType()).getElementType().isIndex())
        onDevice.insert(classes.classOf(output));
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      written.insert(classes.classOf(store.getMemRef()));
    }
    for (HostUse use : findHostUses(op))
      if (use.writes)
        written.insert(classes.classOf(use.operand->get()));
  });
}

/// `buffer` on the host if it is a part of an input, of the weights or of what
/// a function of the host has made, which nothing writes; else nothing.
///
///     %0 = dlc.input 0 : memref<4xi64>                  // stays on the host
///     %1 = memref.subview %0[1] [1] [1] : ...           // likewise
Value Placement::findOnHost(Value buffer) {
  auto [it, isNew] = onHost.try_emplace(buffer);
  if (!isNew)
    return it->second;
  Operation *producer = buffer.getDefiningOp();
  Value found;
  OpBuilder::InsertionGuard guard(b);
  if (isa_and_nonnull<InputOp, WeightOp>(producer)) {
    b.setInsertionPoint(producer);
    found = b.clone(*producer)->getResult(0);
  } else if (Value source = sourceOf(producer)) {
    if (Value base = findOnHost(source)) {
      b.setInsertionPoint(producer);
      found = cloneViews(buffer, source, base, b);
    }
  }
  return onHost[buffer] = found;
}

/// Kernels get a copy of what a function of the host has made:
///
///     %0 = dlc.call "trees"(%x) : ... -> memref<3xf32>
///     %1 = dlc.alloc {device} : memref<3xf32>
///     dlc.send %0 to %1 : memref<3xf32>
void Placement::copyToDevice(OpResult result) {
  Operation *call = result.getOwner();
  b.setInsertionPointAfter(call);
  auto alloc = AllocOp::create(b, call->getLoc(), result.getType(),
                               sizesOf(result, b), b.getUnitAttr());
  Value copy = alloc.getResult();
  SmallPtrSet<Operation *, 4> own;
  for (OpOperand &use : result.getUses())
    if (use.getOwner()->getBlock() == alloc->getBlock() &&
        use.getOwner()->isBeforeInBlock(alloc))
      own.insert(use.getOwner());
  result.replaceAllUsesExcept(copy, own);
  SendOp::create(b, call->getLoc(), result, copy);
  remarkMissed(call->getLoc(), "dlc-place-on-device")
      << remark::add("what the host computes is copied to the GPU");
  // In a loop it must not pile up; what is carried on is freed with the run.
  bool isCarried = false, isFreed = false;
  SmallVector<Value> queue{copy};
  while (!queue.empty())
    for (Operation *user : queue.pop_back_val().getUsers()) {
      isFreed |= isa<FreeOp>(user);
      isCarried |= isa<RegionBranchOpInterface, arith::SelectOp>(user) ||
                   user->hasTrait<OpTrait::IsTerminator>();
      if (sourceOf(user))
        queue.append(user->result_begin(), user->result_end());
    }
  if (!isCarried && !isFreed) {
    b.setInsertionPoint(call->getBlock()->getTerminator());
    FreeOp::create(b, call->getLoc(), copy, b.getUnitAttr());
  }
  bool isWritten = written.contains(classes.classOf(result));
  classes.unite(result, copy);
  // Another buffer may stand for the class now.
  onDevice.insert(classes.classOf(copy));
  if (isWritten)
    written.insert(classes.classOf(copy));
  else
    onHost[copy] = result;
}

/// Gives an op of the host a buffer that it can follow: a copy where the
/// buffer is the GPU's.
LogicalResult Placement::useOnHost(HostUse use) {
  Value buffer = use.operand->get();
  Operation *op = use.operand->getOwner();
  if (!isOnDevice(buffer))
    return success();
  if (!use.writes)
    if (Value found = findOnHost(buffer)) {
      use.operand->set(found);
      return success();
    }
  Value root = isDense(buffer) ? buffer : rootOf(buffer);
  if (!isDense(root))
    return op->emitError("not supported for a GPU: the host needs a copy of a "
                         "buffer that is not dense, ")
           << root.getType();
  b.setInsertionPoint(op);
  Location loc = op->getLoc();
  Value copy =
      AllocOp::create(b, loc, root.getType(), sizesOf(root, b), UnitAttr())
          .getResult();
  // Of a part, the rest must be there when all goes back.
  if (use.reads || root != buffer)
    FetchOp::create(b, loc, root, copy);
  use.operand->set(cloneViews(buffer, root, copy, b));
  b.setInsertionPointAfter(op);
  if (use.writes)
    SendOp::create(b, loc, copy, root);
  FreeOp::create(b, loc, copy, UnitAttr());
  remarkMissed(loc, "dlc-place-on-device") << remark::add(
      use.writes && use.reads ? "the host computes with a copy of the GPU's "
                                "memory, for which it waits"
      : use.writes            ? "what the host computes is copied to the GPU"
                   : "the host waits for the GPU and copies a buffer from it");
  return success();
}

/// Whether nothing in `loop` but loads and stores through `root` touches this
/// buffer, and nothing is launched.
bool Placement::isHostLoop(Operation *loop, Value root) {
  Value wanted = classes.classOf(root);
  return !loop->walk([&](Operation *op) {
                if (isa<LaunchOp>(op))
                  return WalkResult::interrupt();
                for (Value value : op->getOperands())
                  if (isa<MemRefType>(value.getType()) &&
                      classes.classOf(value) == wanted &&
                      (rootOf(value) != root ||
                       !(isa<memref::LoadOp, memref::StoreOp>(op) ||
                         sourceOf(op))))
                    return WalkResult::interrupt();
                return WalkResult::advance();
              })
              .wasInterrupted();
}

/// The outermost loop around `access` in which only the host uses `root`; null
/// if there is none.
Operation *Placement::findHostLoop(Operation *access, Value root) {
  Operation *found = nullptr;
  if (!isDense(root))
    return found;
  for (Operation *parent = access->getParentOp(); parent != main;
       parent = parent->getParentOp()) {
    if (parent->isAncestor(root.getParentBlock()->getParentOp()) ||
        !isHostLoop(parent, root))
      break;
    if (isa<LoopLikeOpInterface>(parent))
      found = parent;
  }
  return found;
}

/// Elements that the host reads and writes itself: in a loop of its own in a
/// copy of the buffer, else one by one.
void Placement::accessOnHost(ArrayRef<Operation *> accesses) {
  llvm::MapVector<std::pair<Operation *, Value>, SmallVector<Operation *>>
      groups;
  for (Operation *access : accesses) {
    Value buffer = bufferOf(access);
    if (!isOnDevice(buffer))
      continue;
    if (auto load = dyn_cast<memref::LoadOp>(access))
      if (Value found = findOnHost(buffer)) {
        load.getMemrefMutable().assign(found);
        continue;
      }
    Value root = rootOf(buffer);
    groups[{findHostLoop(access, root), root}].push_back(access);
  }
  for (auto &[place, group] : groups) {
    auto [loop, root] = place;
    if (loop)
      copyAround(loop, root, group);
    else
      llvm::for_each(group, [&](Operation *access) { accessElement(access); });
  }
}

void Placement::copyAround(Operation *loop, Value root,
                           ArrayRef<Operation *> accesses) {
  Location loc = loop->getLoc();
  b.setInsertionPoint(loop);
  Value copy =
      AllocOp::create(b, loc, root.getType(), sizesOf(root, b), UnitAttr())
          .getResult();
  FetchOp::create(b, loc, root, copy);
  for (Operation *access : accesses) {
    b.setInsertionPoint(access);
    Value place = cloneViews(bufferOf(access), root, copy, b);
    if (auto load = dyn_cast<memref::LoadOp>(access))
      load.getMemrefMutable().assign(place);
    else
      cast<memref::StoreOp>(access).getMemrefMutable().assign(place);
  }
  b.setInsertionPointAfter(loop);
  bool writes = llvm::any_of(accesses, llvm::IsaPred<memref::StoreOp>);
  if (writes)
    SendOp::create(b, loc, copy, root);
  FreeOp::create(b, loc, copy, UnitAttr());
  remarkMissed(loc, "dlc-place-on-device") << remark::add(
      writes ? "the host computes with a copy of the GPU's memory, for which "
               "it waits"
             : "the host waits for the GPU and copies a buffer from it");
}

void Placement::accessElement(Operation *access) {
  b.setInsertionPoint(access);
  if (auto load = dyn_cast<memref::LoadOp>(access)) {
    remarkMissed(load.getLoc(), "dlc-place-on-device") << remark::add(
        "the host waits for the GPU and copies an element from it");
    load.replaceAllUsesWith(
        ReadOp::create(b, load.getLoc(), load.getMemRef(), load.getIndices())
            .getResult());
  } else {
    auto store = cast<memref::StoreOp>(access);
    remarkMissed(store.getLoc(), "dlc-place-on-device")
        << remark::add("the host copies an element to the GPU");
    WriteOp::create(b, store.getLoc(), store.getValue(), store.getMemRef(),
                    store.getIndices());
  }
  access->erase();
}

/// The arena is the GPU's. What the host has of it lies in a buffer of its
/// own, where it takes no more room than needed: buffers that shared memory go
/// on to do so.
void Placement::placeHostArena() {
  struct Place {
    int64_t begin, end;
    ArenaOp op;
  };
  SmallVector<Place> places;
  main.walk([&](ArenaOp op) {
    auto type = cast<MemRefType>(op.getType());
    if (!op.getDevice())
      places.push_back(
          {int64_t(op.getOffset()),
           int64_t(op.getOffset()) +
               type.getNumElements() * getElementBytes(type.getElementType()),
           op});
  });
  if (places.empty())
    return;
  llvm::stable_sort(
      places, [](const Place &x, const Place &y) { return x.begin < y.begin; });
  constexpr int64_t kAlignment = 64;
  // Where a group of overlapping places begins, and where it goes to.
  int64_t begin = 0, end = 0, to = 0;
  SmallVector<int64_t> offsets;
  for (const Place &place : places) {
    if (place.begin >= end) {
      to = llvm::alignTo(to + (end - begin), kAlignment);
      begin = end = place.begin;
    }
    end = std::max(end, place.end);
    offsets.push_back(to + place.begin - begin);
  }
  b.setInsertionPointToStart(&main.front());
  Location loc = main.getLoc();
  int64_t size = std::max<int64_t>(to + end - begin, 1);
  Value memory = AllocOp::create(b, loc, MemRefType::get(size, b.getI8Type()),
                                 ValueRange(), UnitAttr())
                     .getResult();
  for (auto [place, offset] : llvm::zip(places, offsets)) {
    b.setInsertionPoint(place.op);
    Value shift = arith::ConstantIndexOp::create(b, loc, offset);
    place.op.replaceAllUsesWith(
        memref::ViewOp::create(b, place.op.getLoc(),
                               cast<MemRefType>(place.op.getType()), memory,
                               shift, ValueRange())
            .getResult());
    place.op.erase();
  }
}

LogicalResult Placement::run() {
  findClasses();
  SmallVector<Operation *> accesses, calls, buffers;
  main.walk([&](Operation *op) {
    if (isa<memref::LoadOp, memref::StoreOp>(op))
      accesses.push_back(op);
    else if (isa<func::CallOp, CallOp, ExternOp>(op))
      calls.push_back(op);
    else if (isa<InputOp, OutputOp, ArenaOp, WeightOp, AllocOp, FreeOp>(op))
      buffers.push_back(op);
  });
  for (Operation *call : calls)
    if (isa<CallOp>(call))
      for (OpResult result : call->getResults())
        if (isa<MemRefType>(result.getType()) && isOnDevice(result))
          copyToDevice(result);
  bool isFine = true;
  for (Operation *call : calls)
    for (HostUse use : findHostUses(call))
      isFine &= succeeded(useOnHost(use));
  accessOnHost(accesses);
  for (Operation *op : buffers) {
    Value buffer = op->getNumResults() ? op->getResult(0) : op->getOperand(0);
    if (isOnDevice(buffer))
      op->setAttr("device", b.getUnitAttr());
    // One that only the host reads stays where it is.
    if (isa<InputOp, WeightOp>(op) && op->use_empty())
      op->erase();
  }
  placeHostArena();
  return success(isFine);
}

namespace {

struct PlaceOnDevicePass : dlc::impl::PlaceOnDeviceBase<PlaceOnDevicePass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    if (failed(Placement(main).run()))
      return signalPassFailure();
    mark(main);
  }

  /// Says which inputs the host reads, whether launches depend on nothing that
  /// it reads or computes of data, and whether it computes more than sizes.
  void mark(func::FuncOp main) {
    Builder b(&getContext());
    std::set<int64_t> inputs;
    bool hasGraphs = true, hasHostWork = false;
    main.walk([&](Operation *op) {
      auto input = dyn_cast<InputOp>(op);
      if (input && !input.getDevice()) {
        inputs.insert(input.getIndex());
        hasGraphs = false;
      }
      hasHostWork |= isa<CallOp>(op) || !findHostUses(op).empty();
      // Other loads are of weights, or of what follows from these and sizes.
      if (isa<InputOp, OutputOp, ArenaOp, WeightOp, AllocOp, FreeOp, LaunchOp,
              memref::LoadOp, memref::StoreOp, func::FuncOp>(op) ||
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
    if (hasHostWork)
      getOperation()->setAttr("dlc.host_work", b.getUnitAttr());
  }
};

} // namespace
