// Kernels around a dlc.parallel -> kernels of a part of it, called by dlc.fork.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Cpu/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FORKKERNELS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// All of the work on the thread of the run.
static void makeSerial(ParallelOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  for (Value zero : {op.getFirst(), op.getSince()})
    zero.replaceAllUsesWith(arith::ConstantIndexOp::create(b, loc, 0));
  op.getEnd().replaceAllUsesWith(op.getCount());
  for (Operation *user : llvm::make_early_inc_range(op.getOwn().getUsers())) {
    auto scratch = cast<ScratchOp>(user);
    scratch.getResult().replaceAllUsesWith(scratch.getPlanned());
    scratch.erase();
  }
  Block &body = op.getBody().front();
  // Memory on the stack is taken once, although the op may be in a loop.
  if (auto function = op->getParentOfType<func::FuncOp>())
    for (auto local :
         llvm::make_early_inc_range(body.getOps<memref::AllocaOp>()))
      if (local->getNumOperands() == 0)
        local->moveBefore(&function.front(), function.front().begin());
  body.getTerminator()->erase();
  op->getBlock()->getOperations().splice(op->getIterator(),
                                         body.getOperations());
  op.erase();
}

/// What refers to each symbol of a module. To ask of one symbol is to look
/// through the whole module.
using Users = DenseMap<StringAttr, SmallVector<Operation *>>;

static FailureOr<Users> findUsers(ModuleOp module) {
  std::optional<SymbolTable::UseRange> uses =
      SymbolTable::getSymbolUses(&module.getBodyRegion());
  if (!uses)
    return failure();
  Users users;
  for (SymbolTable::SymbolUse use : *uses)
    users[use.getSymbolRef().getRootReference()].push_back(use.getUser());
  return users;
}

/// The calls of `function`, if nothing else refers to it and all are in a
/// function that has the run as its first argument.
static FailureOr<SmallVector<func::CallOp>> findCalls(func::FuncOp function,
                                                      const Users &users) {
  SmallVector<func::CallOp> calls;
  for (Operation *user : users.lookup(function.getSymNameAttr())) {
    auto call = dyn_cast<func::CallOp>(user);
    auto caller = user->getParentOfType<func::FuncOp>();
    if (!call || !caller ||
        !llvm::is_contained({"main", "init", "fallback"}, caller.getName()) ||
        caller.getNumArguments() == 0 ||
        !isa<LLVM::LLVMPointerType>(caller.getArgument(0).getType()))
      return failure();
    calls.push_back(call);
  }
  return calls;
}

/// Whether the function is nothing but its one dlc.parallel and what leads to
/// its operands, which each part may compute for itself.
static bool isKernelOf(ParallelOp op, func::FuncOp function) {
  if (!function.isPrivate() || !function.getBody().hasOneBlock() ||
      function.getNumResults())
    return false;
  return llvm::all_of(
      function.front().without_terminator(), [&](Operation &other) {
        return &other == op.getOperation() || isMemoryEffectFree(&other);
      });
}

namespace {
struct ForkKernelsPass : dlc::impl::ForkKernelsBase<ForkKernelsPass> {
  void runOnOperation() override {
    SmallVector<ParallelOp> ops;
    getOperation().walk([&](ParallelOp op) { ops.push_back(op); });
    FailureOr<Users> users = findUsers(getOperation());
    for (ParallelOp op : ops) {
      auto function = dyn_cast<func::FuncOp>(op->getParentOp());
      if (!function || !isKernelOf(op, function)) {
        remarkMissed(op.getLoc(), getArgument())
            << "on one thread: it is in no kernel of its own";
        makeSerial(op);
        continue;
      }
      FailureOr<SmallVector<func::CallOp>> calls = failure();
      if (succeeded(users))
        calls = findCalls(function, *users);
      if (failed(calls))
        makeSerial(op);
      else
        fork(op, function, *calls);
    }
    shareCalls();
  }

  /// Functions of the runtime that can share their work.
  void shareCalls() {
    getOperation().walk([](CallOp call) {
      auto function = call->getParentOfType<func::FuncOp>();
      if (call.getCallee() == "trees" && function &&
          function.getName() == "main")
        call.setCallee("trees_parallel");
    });
  }

  static void fork(ParallelOp op, func::FuncOp function,
                   ArrayRef<func::CallOp> calls) {
    // What the number of units is computed from, for the callers.
    SetVector<Operation *> slice;
    BackwardSliceOptions options;
    options.omitBlockArguments = true;
    (void)getBackwardSlice(op.getCount(), &slice, options);
    if (Operation *producer = op.getCount().getDefiningOp())
      slice.insert(producer);
    slice = topologicalSort(slice);
    for (func::CallOp call : calls) {
      OpBuilder b(call);
      IRMapping mapping;
      mapping.map(function.getArguments(), call.getOperands());
      for (Operation *other : slice)
        b.clone(*other, mapping);
      auto fork =
          ForkOp::create(b, call.getLoc(), call.getCallee(), call.getOperands(),
                         mapping.lookup(op.getCount()), op.getGrain());
      if (Attribute bare = function->getAttr("llvm.bareptr"))
        fork->setAttr("llvm.bareptr", bare);
      call.erase();
    }

    Block &entry = function.front();
    for (BlockArgument argument : op.getBody().getArguments())
      argument.replaceAllUsesWith(
          entry.addArgument(argument.getType(), argument.getLoc()));
    Block &body = op.getBody().front();
    body.getTerminator()->erase();
    entry.getOperations().splice(op->getIterator(), body.getOperations());
    op.erase();
    SmallVector<DictionaryAttr> attributes;
    function.getAllArgAttrs(attributes);
    attributes.resize(entry.getNumArguments(),
                      DictionaryAttr::get(function.getContext()));
    function.setFunctionType(
        FunctionType::get(function.getContext(), entry.getArgumentTypes(), {}));
    function.setAllArgAttrs(attributes);
  }
};
} // namespace
