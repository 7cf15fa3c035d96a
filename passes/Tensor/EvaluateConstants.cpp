// Evaluates at compile time what depends on constants only.

#include "lib/Codegen/ElementBytes.h"
#include "lib/Compiler/Evaluate.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_EVALUATECONSTANTS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Results beyond this many bytes must not be larger than their operands.
static constexpr int64_t kFreeBytes = 1 << 16;

int64_t dlc::getConstantBytes(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape())
    return 0;
  return tensor.getNumElements() * getElementBytes(tensor.getElementType());
}

namespace {

struct EvaluateConstantsPass
    : dlc::impl::EvaluateConstantsBase<EvaluateConstantsPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    collect(main.front());
    SmallVector<Value> roots = findRoots(main.front());
    if (roots.empty())
      return;
    OwningOpRef<ModuleOp> model = extract(roots);
    FailureOr<SmallVector<TypedAttr>> values = evaluateOnHost(*model);
    if (failed(values))
      return signalPassFailure();
    OpBuilder b(&getContext());
    for (auto [root, value] : llvm::zip(roots, *values)) {
      b.setInsertionPointAfterValue(root);
      root.replaceAllUsesWith(
          arith::ConstantOp::create(b, root.getLoc(), value));
    }
  }

  /// Fills `constantOps` with the pure ops on constants, in order.
  void collect(Block &block) {
    for (Operation &op : block) {
      if (op.hasTrait<OpTrait::ConstantLike>()) {
        constantOps.insert(&op);
        continue;
      }
      if (op.hasTrait<OpTrait::IsTerminator>() || !isMemoryEffectFree(&op))
        continue;
      llvm::SetVector<Value> used(op.operand_begin(), op.operand_end());
      getUsedValuesDefinedAbove(op.getRegions(), used);
      int64_t inputs = 0, results = 0;
      bool isConstant = llvm::all_of(used, [&](Value value) {
        inputs += getConstantBytes(value.getType());
        return value.getDefiningOp() &&
               constantOps.contains(value.getDefiningOp());
      });
      isConstant &= llvm::all_of(op.getResultTypes(), [&](Type type) {
        results += getConstantBytes(type);
        auto tensor = dyn_cast<RankedTensorType>(type);
        return !tensor || tensor.hasStaticShape();
      });
      // An empty tensor is the destination of something; it adds no bytes.
      if (isa<tensor::EmptyOp, linalg::FillOp>(op))
        results = 0;
      if (isConstant && (results <= kFreeBytes || results <= 2 * inputs ||
                         op.hasAttr(kExpandAttr)))
        constantOps.insert(&op);
    }
  }

  /// Constant tensors that something else uses, and that cost something.
  SmallVector<Value> findRoots(Block &block) {
    SmallVector<Value> roots;
    for (Operation &op : block) {
      if (!constantOps.contains(&op) || op.hasTrait<OpTrait::ConstantLike>() ||
          isa<tensor::EmptyOp, linalg::FillOp>(op))
        continue;
      for (Value result : op.getResults()) {
        auto type = dyn_cast<RankedTensorType>(result.getType());
        bool isUsed = llvm::any_of(result.getUsers(), [&](Operation *user) {
          return !constantOps.contains(block.findAncestorOpInBlock(*user));
        });
        if (type && isUsed && type.getElementType().isIntOrFloat())
          roots.push_back(result);
      }
    }
    return roots;
  }

  /// A module whose @main returns the roots.
  OwningOpRef<ModuleOp> extract(ArrayRef<Value> roots) {
    llvm::SetVector<Operation *> needed;
    SmallVector<Value> pending(roots);
    while (!pending.empty()) {
      Operation *op = pending.pop_back_val().getDefiningOp();
      if (!needed.insert(op))
        continue;
      llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
      getUsedValuesDefinedAbove(op->getRegions(), used);
      llvm::append_range(pending, used);
    }
    OwningOpRef<ModuleOp> model = ModuleOp::create(getOperation().getLoc());
    OpBuilder b(model->getBodyRegion());
    SmallVector<Type> types = llvm::to_vector(ValueRange(roots).getTypes());
    auto function = func::FuncOp::create(b, getOperation().getLoc(), "main",
                                         b.getFunctionType({}, types));
    b.setInsertionPointToStart(function.addEntryBlock());
    IRMapping mapping;
    for (Operation *op :
         llvm::make_pointer_range(*Value(roots.front()).getParentBlock()))
      if (needed.contains(op))
        b.clone(*op, mapping);
    SmallVector<Value> results;
    for (Value root : roots)
      results.push_back(mapping.lookup(root));
    func::ReturnOp::create(b, getOperation().getLoc(), results);
    return model;
  }

  llvm::SetVector<Operation *> constantOps;
};

} // namespace
