// Measures what the run calls: kernels, functions of the runtime, copies.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PROFILENODES
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Adds the names of the nodes in `loc`. What is of no node has the location of
/// the graph, whose place is no line of the file.
static void addNodes(Location loc, SetVector<StringRef> &nodes) {
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      addNodes(part, nodes);
  } else if (auto call = dyn_cast<CallSiteLoc>(loc)) {
    addNodes(call.getCallee(), nodes);
  } else if (auto name = dyn_cast<NameLoc>(loc)) {
    if (isa<FileLineColLoc>(name.getChildLoc()))
      nodes.insert(name.getName());
    else if (isa<NameLoc>(name.getChildLoc()))
      addNodes(name.getChildLoc(), nodes);
  }
}

namespace {
struct ProfileNodesPass : dlc::impl::ProfileNodesBase<ProfileNodesPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    SmallVector<Operation *> measured;
    main.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (!isMeasured(op))
        return WalkResult::advance();
      measured.push_back(op);
      return WalkResult::skip();
    });
    Builder b(&getContext());
    SmallVector<Attribute> names;
    for (Operation *op : measured) {
      OpBuilder before(op);
      auto index = int32_t(names.size());
      names.push_back(b.getStringAttr(nameOf(op)));
      Value time =
          BeginNodeOp::create(before, op->getLoc(), b.getI64Type(), index);
      OpBuilder after = before;
      after.setInsertionPointAfter(op);
      EndNodeOp::create(after, op->getLoc(), index, time);
    }
    // A model that computes nothing has a table of nothing.
    if (names.empty())
      names.push_back(b.getStringAttr(main.getName()));
    getOperation()->setAttr("dlc.profile", b.getArrayAttr(names));
  }

  bool isMeasured(Operation *op) {
    if (auto call = dyn_cast<func::CallOp>(op)) {
      auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee());
      // Small kernels may be inlined.
      return callee && callee->hasAttr("passthrough");
    }
    // A loop that calls nothing computes something itself.
    if (isa<scf::ForOp, scf::WhileOp, scf::ParallelOp>(op)) {
      bool callsAny = false;
      for (Region &region : op->getRegions())
        region.walk([&](Operation *inner) {
          callsAny |= inner->getNumRegions() == 0 && isMeasured(inner);
        });
      return !callsAny;
    }
    return isa<ForkOp, CallOp, ExternOp, memref::CopyOp>(op);
  }

  static std::string nameOf(Operation *op) {
    SetVector<StringRef> nodes;
    addNodes(op->getLoc(), nodes);
    for (Region &region : op->getRegions())
      region.walk([&](Operation *inner) { addNodes(inner->getLoc(), nodes); });
    if (nodes.empty())
      return isa<memref::CopyOp>(op) ? "copy" : "(no node)";
    return llvm::join(nodes, "+");
  }
};
} // namespace
