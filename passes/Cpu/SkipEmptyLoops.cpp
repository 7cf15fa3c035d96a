// Asks before a loop whether any loop inside it has a trip, so that tensors
// without elements cost nothing however long their other dimensions are.

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SKIPEMPTYLOOPS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

/// So many trips of a loop, all in vain, are not worth a question.
static constexpr int64_t kFewTrips = 1024;

/// Whether an operation without regions does nothing but compute and read.
static bool isInert(Operation *op) {
  if (isMemoryEffectFree(op))
    return true;
  auto effects = dyn_cast<MemoryEffectOpInterface>(op);
  return effects && !effects.hasEffect<MemoryEffects::Write>() &&
         !effects.hasEffect<MemoryEffects::Free>() && op->getNumRegions() == 0;
}

static bool hasFewTrips(scf::ForOp loop) {
  std::optional<APInt> trips = loop.getStaticTripCount();
  return trips && trips->ule(kFewTrips);
}

/// Whether a loop ends with what it began with when no loop inside it has a
/// trip.
static bool keepsInits(scf::ForOp loop) {
  for (auto [i, value] : llvm::enumerate(loop.getYieldedValues())) {
    Value init = loop.getRegionIterArg(i);
    auto inner = value.getDefiningOp<scf::ForOp>();
    if (value != init &&
        (!inner || inner->getParentOp() != loop ||
         inner.getInitArgs()[cast<OpResult>(value).getResultNumber()] != init))
      return false;
  }
  return true;
}

namespace {

/// When something has an effect.
struct Activity {
  enum Kind { Never, When, Always } kind;
  Value condition;
};

/// Builds, in front of a loop, the condition under which it does something.
/// In a function that the loop calls, `call` is the call and `outside` the
/// question where it stands.
struct Question {
  OpBuilder &b;
  Region &inside;
  func::CallOp call = {};
  Question *outside = nullptr;
  DenseMap<Value, Value> hoisted = DenseMap<Value, Value>();

  /// `value` in front of the loop: itself, or a copy of the pure operations
  /// that compute it there; null where it depends on an iteration.
  Value hoist(Value value) {
    if (!inside.isAncestor(value.getParentRegion()))
      return value;
    if (Value known = hoisted.lookup(value))
      return known;
    auto argument = dyn_cast<BlockArgument>(value);
    if (argument && call && argument.getOwner() == &inside.front())
      return outside->hoist(call.getOperand(argument.getArgNumber()));
    Operation *op = value.getDefiningOp();
    if (!op || !isPure(op) || op->getNumRegions())
      return {};
    IRMapping map;
    for (Value operand : op->getOperands()) {
      Value known = hoist(operand);
      if (!known)
        return {};
      map.map(operand, known);
    }
    Operation *copy = b.clone(*op, map);
    for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults()))
      hoisted[from] = to;
    return hoisted[value];
  }

  /// Whether a loop has a trip; null where that is not known, or always so.
  Value hasTrip(scf::ForOp loop) {
    if (loop.getStaticTripCount())
      return {};
    Value from = hoist(loop.getLowerBound()), to = hoist(loop.getUpperBound());
    if (!from || !to)
      return {};
    return arith::CmpIOp::create(b, loop.getLoc(), arith::CmpIPredicate::slt,
                                 from, to);
  }

  /// Whether the operations of a block do anything, provided that loops whose
  /// trips are not known do.
  Activity isActive(Block &block) {
    Activity any{Activity::Never, {}};
    for (Operation &op : block.without_terminator()) {
      Activity next = isActive(&op);
      if (next.kind == Activity::Always)
        return next;
      if (next.kind == Activity::When)
        any = any.kind == Activity::Never
                  ? next
                  : Activity{Activity::When,
                             arith::OrIOp::create(b, op.getLoc(), any.condition,
                                                  next.condition)};
    }
    return any;
  }

private:
  Activity isActive(Operation *op) {
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return isActive(loop);
    if (auto branch = dyn_cast<scf::IfOp>(op)) {
      Activity then = isActive(*branch.thenBlock());
      return branch.elseBlock() || then.kind != Activity::When
                 ? Activity{Activity::Always, {}}
                 : then;
    }
    if (auto inner = dyn_cast<func::CallOp>(op))
      return isActive(inner);
    return {isInert(op) ? Activity::Never : Activity::Always, {}};
  }

  Activity isActive(scf::ForOp loop) {
    // What is yielded would have to be what the loop began with.
    bool isYielded = llvm::any_of(loop->getUsers(), [](Operation *user) {
      return isa<scf::YieldOp>(user);
    });
    Activity inner = isYielded && !keepsInits(loop)
                         ? Activity{Activity::Always, {}}
                         : isActive(*loop.getBody());
    Value trips = inner.kind == Activity::Never ? Value() : hasTrip(loop);
    if (!trips)
      return inner;
    if (inner.kind == Activity::When)
      trips = arith::AndIOp::create(b, loop.getLoc(), trips, inner.condition);
    return {Activity::When, trips};
  }

  /// Kernels are small functions of one block.
  Activity isActive(func::CallOp inner) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        inner, inner.getCalleeAttr());
    if (!callee || callee.getBody().getBlocks().size() != 1 ||
        inner.getNumResults() || call)
      return {Activity::Always, {}};
    return Question{b, callee.getBody(), inner, this}.isActive(
        callee.getBody().front());
  }
};

struct SkipEmptyLoopsPass : dlc::impl::SkipEmptyLoopsBase<SkipEmptyLoopsPass> {
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation()->walk<WalkOrder::PreOrder>(
        [&](scf::ForOp loop) { loops.push_back(loop); });
    for (scf::ForOp loop : loops)
      if (!isAsked(loop))
        ask(loop);
  }

  /// Whether the loop is all that its parent does, whose question holds for it.
  static bool isAsked(scf::ForOp loop) {
    auto parent = dyn_cast<scf::ForOp>(loop->getParentOp());
    return parent && !hasFewTrips(parent) &&
           llvm::all_of(
               parent.getBody()->without_terminator(), [&](Operation &op) {
                 return &op == loop || (!isa<scf::ForOp>(op) && isInert(&op));
               });
  }

  static void ask(scf::ForOp loop) {
    if (hasFewTrips(loop) || !keepsInits(loop))
      return;
    OpBuilder b(loop);
    Activity body = Question{b, loop.getRegion()}.isActive(*loop.getBody());
    if (body.kind != Activity::When)
      return;
    auto guard = scf::IfOp::create(b, loop.getLoc(), loop.getResultTypes(),
                                   body.condition,
                                   /*addElse=*/loop.getNumResults() != 0);
    loop.replaceAllUsesWith(guard.getResults());
    Block *then = guard.thenBlock();
    loop->moveBefore(then, then->begin());
    if (loop.getNumResults() == 0)
      return;
    b.setInsertionPointToEnd(then);
    scf::YieldOp::create(b, loop.getLoc(), loop.getResults());
    b.setInsertionPointToEnd(guard.elseBlock());
    scf::YieldOp::create(b, loop.getLoc(), loop.getInitArgs());
  }
};

} // namespace
