// Evaluates what depends on constants only: at compile time, or, where the
// values are much larger than what they come from, before the first run.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Compiler/Evaluate.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Tensor/ConstantView.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/Passes.h"
#include "llvm/Support/xxhash.h"
#include <unordered_map>

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

/// What `op` reads, in its regions too.
static SmallVector<Value> getUsed(Operation *op) {
  llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), used);
  return used.takeVector();
}

namespace {

/// Constants of equal bytes are one value, so that what is made of them is
/// made once.
class EqualConstants {
public:
  /// A constant that is equal to `op`; `op` itself when it is the first.
  Operation *find(Operation *op);

private:
  std::unordered_multimap<uint64_t, Operation *> byHash;
};

struct EvaluateConstantsPass
    : dlc::impl::EvaluateConstantsBase<EvaluateConstantsPass> {
  using EvaluateConstantsBase::EvaluateConstantsBase;

  void runOnOperation() override {
    if (expand != "init" && expand != "object") {
      getOperation()->emitError("expected constants to be expanded by init or "
                                "in the object, found '")
          << expand << "'";
      return signalPassFailure();
    }
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    takeConstantsOutOfRegions(main);
    collect(main.front());
    if (failed(evaluate(main.front())))
      return signalPassFailure();
    moveToInit(main.front());
  }

  void collect(Block &block);
  SmallVector<Value> findRoots(Block &block,
                               llvm::function_ref<bool(Operation *)> isMade,
                               llvm::function_ref<bool(Operation *)> isUser);
  LogicalResult evaluate(Block &block);
  void moveToInit(Block &block);
  void returnFrom(func::FuncOp function, ArrayRef<Value> roots,
                  EqualConstants *equal = nullptr);

  /// What depends on constants only, and can be had before a run.
  llvm::SetVector<Operation *> constantOps;
  /// Those of them whose values are much larger than what they come from, of
  /// which the number of bytes is kept.
  DenseMap<Operation *, int64_t> expandedOps;
};

} // namespace

Operation *EqualConstants::find(Operation *op) {
  auto constant = dyn_cast<arith::ConstantOp>(op);
  auto value = constant
                   ? dyn_cast<DenseResourceElementsAttr>(constant.getValue())
                   : DenseResourceElementsAttr();
  if (!value || !value.getRawHandle().getBlob())
    return op;
  auto dataOf = [](DenseResourceElementsAttr value) {
    ArrayRef<char> data = value.getRawHandle().getBlob()->getData();
    return StringRef(data.data(), data.size());
  };
  uint64_t hash = llvm::xxh3_64bits(dataOf(value));
  auto [begin, end] = byHash.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    auto other = cast<DenseResourceElementsAttr>(
        cast<arith::ConstantOp>(it->second).getValue());
    if (other.getType() == value.getType() && dataOf(other) == dataOf(value))
      return it->second;
  }
  byHash.emplace(hash, op);
  return op;
}

/// Finds the pure ops on constants, in order. Values that are much larger than
/// what they come from are left to the run where nothing may be expanded.
void EvaluateConstantsPass::collect(Block &block) {
  bool isInit = expand == "init";
  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::ConstantLike>()) {
      constantOps.insert(&op);
      continue;
    }
    if (op.hasTrait<OpTrait::IsTerminator>() || !isMemoryEffectFree(&op))
      continue;
    int64_t inputs = 0, results = 0;
    bool isConstant = llvm::all_of(getUsed(&op), [&](Value value) {
      Operation *producer = value.getDefiningOp();
      if (!producer || !constantOps.contains(producer))
        return false;
      auto expanded = expandedOps.find(producer);
      if (expanded != expandedOps.end())
        inputs += expanded->second;
      else if (!isInit || !isDestinationOnly(producer))
        inputs += getConstantBytes(value.getType());
      return true;
    });
    isConstant &= llvm::all_of(op.getResultTypes(), [&](Type type) {
      results += getConstantBytes(type);
      auto tensor = dyn_cast<RankedTensorType>(type);
      return !tensor || tensor.hasStaticShape();
    });
    if (isDestinationOnly(&op))
      results = 0;
    // What is marked need not be much larger to be kept out of the object.
    bool isMarked = op.hasAttr(kExpandAttr);
    int64_t factor = isMarked && isInit ? 1 : 2;
    bool isLarge = results > kFreeBytes && results > factor * inputs;
    if (!isConstant || (isLarge && !isInit && !isMarked))
      continue;
    constantOps.insert(&op);
    if (isLarge && isInit)
      expandedOps[&op] = inputs;
  }
}

/// The tensors that ops of `isMade` make for ops of `isUser`, and that cost
/// something.
SmallVector<Value>
EvaluateConstantsPass::findRoots(Block &block,
                                 llvm::function_ref<bool(Operation *)> isMade,
                                 llvm::function_ref<bool(Operation *)> isUser) {
  SmallVector<Value> roots;
  for (Operation &op : block) {
    if (!isMade(&op) || op.hasTrait<OpTrait::ConstantLike>() ||
        isDestinationOnly(&op))
      continue;
    for (Value result : op.getResults()) {
      auto type = dyn_cast<RankedTensorType>(result.getType());
      bool isUsed = llvm::any_of(result.getUsers(), [&](Operation *user) {
        return isUser(block.findAncestorOpInBlock(*user));
      });
      if (type && isUsed && type.getElementType().isIntOrFloat())
        roots.push_back(result);
    }
  }
  return roots;
}

/// Has `function`, which is empty, compute and return `roots`.
void EvaluateConstantsPass::returnFrom(func::FuncOp function,
                                       ArrayRef<Value> roots,
                                       EqualConstants *equal) {
  llvm::SetVector<Operation *> needed;
  SmallVector<Value> pending(roots);
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (needed.insert(op))
      llvm::append_range(pending, getUsed(op));
  }
  OpBuilder b(&getContext());
  b.setInsertionPointToStart(function.addEntryBlock());
  IRMapping mapping;
  for (Operation &op : *Value(roots.front()).getParentBlock()) {
    if (!needed.contains(&op))
      continue;
    Operation *first = equal ? equal->find(&op) : &op;
    if (first != &op)
      mapping.map(op.getResult(0), mapping.lookup(first->getResult(0)));
    else
      b.clone(op, mapping)->removeAttr(kExpandAttr);
  }
  SmallVector<Value> results;
  for (Value root : roots)
    results.push_back(mapping.lookup(root));
  func::ReturnOp::create(b, function.getLoc(), results);
}

/// What only lies in another order than a constant is copied: no code need be
/// made for that. Null for all else.
static TypedAttr copyView(Value value) {
  std::optional<ConstantView> view = ConstantView::find(value);
  if (!view)
    return nullptr;
  std::vector<char> storage;
  ArrayRef<char> data = getElementData(view->source, storage);
  if (data.empty())
    return nullptr;
  auto type = cast<RankedTensorType>(value.getType());
  int64_t bytes = getElementBytes(type.getElementType());
  AsmResourceBlob blob =
      HeapAsmResourceBlob::allocate(type.getNumElements() * bytes, 64);
  view->copy(data.data(), const_cast<char *>(blob.getData().data()), bytes);
  return makeConstant(type, std::move(blob));
}

/// Replaces by their values what is evaluated at compile time.
LogicalResult EvaluateConstantsPass::evaluate(Block &block) {
  SmallVector<Value> roots = findRoots(
      block,
      [&](Operation *op) {
        return constantOps.contains(op) && !expandedOps.contains(op);
      },
      [&](Operation *user) {
        return !constantOps.contains(user) || expandedOps.contains(user);
      });
  OpBuilder b(&getContext());
  auto replace = [&](Value root, TypedAttr value) {
    b.setInsertionPointAfterValue(root);
    root.replaceAllUsesWith(arith::ConstantOp::create(b, root.getLoc(), value));
  };
  llvm::erase_if(roots, [&](Value root) {
    TypedAttr value = copyView(root);
    if (value)
      replace(root, value);
    return value;
  });
  if (roots.empty())
    return success();
  OwningOpRef<ModuleOp> model = ModuleOp::create(getOperation().getLoc());
  b.setInsertionPointToStart(model->getBody());
  SmallVector<Type> types = llvm::to_vector(ValueRange(roots).getTypes());
  returnFrom(func::FuncOp::create(b, getOperation().getLoc(), "main",
                                  b.getFunctionType({}, types)),
             roots);
  FailureOr<SmallVector<TypedAttr>> values = evaluateOnHost(*model);
  if (failed(values))
    return failure();
  for (auto [root, value] : llvm::zip(roots, *values))
    replace(root, value);
  return success();
}

/// Moves what is expanded before the first run to @init.
void EvaluateConstantsPass::moveToInit(Block &block) {
  SmallVector<Value> roots = findRoots(
      block, [&](Operation *op) { return expandedOps.contains(op); },
      [&](Operation *user) { return !constantOps.contains(user); });
  if (roots.empty())
    return;
  OpBuilder b(getOperation().getBodyRegion());
  b.setInsertionPointToEnd(getOperation().getBody());
  SmallVector<Type> types = llvm::to_vector(ValueRange(roots).getTypes());
  EqualConstants equal;
  returnFrom(func::FuncOp::create(b, getOperation().getLoc(), "init",
                                  b.getFunctionType({}, types)),
             roots, &equal);
  for (auto [i, root] : llvm::enumerate(roots)) {
    b.setInsertionPointAfterValue(root);
    root.replaceAllUsesWith(
        ExpandedOp::create(b, root.getLoc(), root.getType(), i));
  }
}
