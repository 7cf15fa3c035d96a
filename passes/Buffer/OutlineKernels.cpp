// Moves each computation of a run into a function; equal ones share it.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Buffer/Passes.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The buffer that a view looks into.
static Value rootOf(Value buffer) {
  while (Operation *producer = buffer.getDefiningOp()) {
    if (auto view = dyn_cast<ViewLikeOpInterface>(producer))
      buffer = view.getViewSource();
    else if (auto cast = dyn_cast<memref::CastOp>(producer))
      buffer = cast.getSource();
    else
      break;
  }
  return buffer;
}

/// True if no memory of `buffer` is reached through another of `captured`.
static bool isAlone(Value buffer, ArrayRef<Value> captured) {
  Value root = rootOf(buffer);
  // What comes out of control flow may be anything.
  if (!root.getDefiningOp() || root.getDefiningOp()->getNumRegions())
    return false;
  return llvm::none_of(captured, [&](Value other) {
    if (other == buffer || !isa<MemRefType>(other.getType()))
      return false;
    Value otherRoot = rootOf(other);
    return otherRoot == root || !otherRoot.getDefiningOp() ||
           otherRoot.getDefiningOp()->getNumRegions();
  });
}

/// The location of a kernel, and those of all that was fused into it.
static Location getNodes(Operation *kernel) {
  SetVector<Location> nodes;
  nodes.insert(kernel->getLoc());
  kernel->walk([&](Operation *op) { nodes.insert(op->getLoc()); });
  return FusedLoc::get(kernel->getContext(), nodes.getArrayRef());
}

/// True if all buffers of `kernel` have a few elements.
static bool isSmall(Operation *kernel) {
  constexpr int64_t kFew = 16;
  return llvm::all_of(kernel->getOperandTypes(), [](Type type) {
    auto buffer = dyn_cast<MemRefType>(type);
    return !buffer ||
           (buffer.hasStaticShape() && buffer.getNumElements() <= kFew);
  });
}

namespace {

struct OutlineKernelsPass : dlc::impl::OutlineKernelsBase<OutlineKernelsPass> {
  void runOnOperation() override {
    SmallVector<Operation *> kernels;
    for (StringRef name : {"main", "init", "fallback"})
      if (auto function = getOperation().lookupSymbol<func::FuncOp>(name))
        function.walk<WalkOrder::PreOrder>([&](Operation *op) {
          if (!isa<linalg::LinalgOp, AttentionOp, ContractOp,
                   WinogradWeightsOp>(op))
            return WalkResult::advance();
          kernels.push_back(op);
          return WalkResult::skip();
        });
    for (Operation *kernel : kernels)
      outline(kernel);
  }

  void outline(Operation *kernel) {
    llvm::SetVector<Value> used(kernel->operand_begin(), kernel->operand_end());
    getUsedValuesDefinedAbove(kernel->getRegions(), used);
    SmallVector<Value> captured;
    SmallVector<Operation *> constants;
    for (Value value : used) {
      Operation *producer = value.getDefiningOp();
      if (producer && producer->hasTrait<OpTrait::ConstantLike>())
        constants.push_back(producer);
      else
        captured.push_back(value);
    }

    OpBuilder b(&getContext());
    StringAttr sharedBy = b.getStringAttr(kSharedBy);
    auto type = b.getFunctionType(ValueRange(captured).getTypes(), {});
    auto function = func::FuncOp::create(kernel->getLoc(), "kernel", type);
    function.setPrivate();
    Block *body = function.addEntryBlock();
    b.setInsertionPointToStart(body);
    IRMapping mapping;
    for (Operation *constant : constants)
      b.clone(*constant, mapping);
    mapping.map(captured, body->getArguments());
    b.clone(*kernel, mapping);
    func::ReturnOp::create(b, kernel->getLoc());
    bool isStatic = true;
    for (auto [i, value] : llvm::enumerate(captured)) {
      auto memrefType = dyn_cast<MemRefType>(value.getType());
      if (!memrefType)
        continue;
      if (isAlone(value, captured))
        function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                            b.getUnitAttr());
      auto [strides, offset] = memrefType.getStridesAndOffset();
      isStatic &= memrefType.hasStaticShape() && ShapedType::isStatic(offset) &&
                  llvm::none_of(strides, ShapedType::isDynamic);
    }
    if (isStatic)
      function->setAttr("llvm.bareptr", b.getUnitAttr());
    // One huge function would take LLVM far longer than its parts. The work of
    // a few elements costs less than a call.
    if (!isSmall(kernel))
      function->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));

    // Equal text is an equal kernel.
    std::string text;
    llvm::raw_string_ostream stream(text);
    function->print(stream,
                    OpPrintingFlags().printGenericOpForm().useLocalScope());
    func::FuncOp &shared = functions[text];
    if (shared) {
      function->destroy();
      // Says for which nodes the code is.
      SmallVector<Location> all{shared.getLoc()};
      if (auto fused = dyn_cast<FusedLoc>(shared.getLoc());
          fused && fused.getMetadata() == sharedBy)
        all.assign(fused.getLocations().begin(), fused.getLocations().end());
      all.push_back(kernel->getLoc());
      shared->setLoc(FusedLoc::get(all, sharedBy, &getContext()));
    } else {
      shared = function;
      function.setName(llvm::formatv("kernel_{0}", functions.size() - 1).str());
      // Under another name where a pass before has made kernels.
      SymbolTable(getOperation()).insert(function);
    }
    b.setInsertionPoint(kernel);
    func::CallOp::create(b, getNodes(kernel), shared, captured);
    kernel->erase();
  }

  llvm::StringMap<func::FuncOp> functions;
};

} // namespace
