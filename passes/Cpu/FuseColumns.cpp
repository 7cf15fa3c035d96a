// Makes one kernel of a pool, what fills its results before and what changes
// them behind it.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Utils/MemRefUtils.h"
#include "passes/Buffer/KernelWork.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/ReduceColumns.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FUSECOLUMNS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-fuse-columns";

/// Whether `op` reduces windows of an operand.
static bool hasWindows(linalg::LinalgOp op) {
  return llvm::any_of(op.getIndexingMapsArray(), [](AffineMap map) {
    return !map.isProjectedPermutation(/*allowZeroInResults=*/true);
  });
}

namespace {

struct FuseColumnsPass : dlc::impl::FuseColumnsBase<FuseColumnsPass> {
  using FuseColumnsBase::FuseColumnsBase;

  void runOnOperation() override;

private:
  linalg::LinalgOp workOf(func::CallOp call) {
    return findKernelWork(symbols->lookup<func::FuncOp>(call.getCallee()));
  }
  /// What `op`, the work of `call`, writes to, as the caller has it.
  static Value resultOf(func::CallOp call, linalg::LinalgOp op);
  void fuse(ArrayRef<func::CallOp> calls);
  func::FuncOp create(ArrayRef<func::CallOp> calls, ArrayRef<Value> operands);

  std::optional<SymbolTable> symbols;
  /// Kernels made so far, by the functions and the operands of their parts.
  std::map<SmallVector<int64_t>, func::FuncOp> made;
  llvm::MapVector<Operation *, int64_t> numbers;
};

} // namespace

Value FuseColumnsPass::resultOf(func::CallOp call, linalg::LinalgOp op) {
  if (!op || op.getNumDpsInits() != 1)
    return {};
  auto argument = dyn_cast<BlockArgument>(op.getDpsInits()[0]);
  return argument ? call.getOperand(argument.getArgNumber()) : Value();
}

/// The kernel that is called next (or, with `isBefore`, was last), if nothing
/// in between does more than compute addresses.
static func::CallOp getNeighbour(func::CallOp call, bool isBefore) {
  auto step = [&](Operation *op) {
    return isBefore ? op->getPrevNode() : op->getNextNode();
  };
  Operation *op = step(call);
  while (op && !op->getNumRegions() &&
         (isMemoryEffectFree(op) || isa<AllocOp>(op)))
    op = step(op);
  return dyn_cast_or_null<func::CallOp>(op);
}

void FuseColumnsPass::runOnOperation() {
  ModuleOp module = getOperation();
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return;
  symbols.emplace(module);
  made.clear();
  numbers.clear();
  SmallVector<SmallVector<func::CallOp>> groups;
  main.walk([&](func::CallOp call) {
    linalg::LinalgOp op = workOf(call);
    Value results = resultOf(call, op);
    if (!results || !hasWindows(op) || !isColumnReduction(op))
      return;
    SmallVector<func::CallOp> group;
    func::CallOp before = getNeighbour(call, /*isBefore=*/true);
    if (before)
      if (linalg::LinalgOp fill = workOf(before);
          isa_and_nonnull<linalg::FillOp>(fill.getOperation()) &&
          resultOf(before, fill) == results)
        group.push_back(before);
    group.push_back(call);
    while (func::CallOp behind =
               getNeighbour(group.back(), /*isBefore=*/false)) {
      linalg::LinalgOp work = workOf(behind);
      auto tail =
          work ? dyn_cast<linalg::GenericOp>(*work) : linalg::GenericOp();
      if (!tail || resultOf(behind, tail) != results ||
          llvm::count(behind.getOperands(), results) != 1 ||
          !ColumnGroup::takes(op, tail))
        break;
      group.push_back(behind);
    }
    if (group.size() > 1)
      groups.push_back(group);
  });
  for (ArrayRef<func::CallOp> group : groups)
    fuse(group);
}

/// True if no memory of `buffer` is reached through another of `operands`.
static bool isAlone(Value buffer, ArrayRef<Value> operands) {
  auto rootOf = [](Value value) -> Value {
    return memref::skipViewLikeOps(cast<MemrefValue>(value));
  };
  return llvm::none_of(operands, [&](Value other) {
    return other != buffer && isa<MemRefType>(other.getType()) &&
           rootOf(other) == rootOf(buffer);
  });
}

func::FuncOp FuseColumnsPass::create(ArrayRef<func::CallOp> calls,
                                     ArrayRef<Value> operands) {
  func::CallOp first = calls.front();
  OpBuilder b(symbols->lookup(first.getCallee()));
  SmallVector<Location> locations;
  for (func::CallOp call : calls)
    locations.push_back(symbols->lookup(call.getCallee())->getLoc());
  auto function = func::FuncOp::create(
      b, b.getFusedLoc(locations), ("columns_" + Twine(made.size() - 1)).str(),
      b.getFunctionType(ValueRange(operands).getTypes(), {}));
  function.setPrivate();
  function->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));
  symbols->insert(function);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  SmallVector<bool> isAliased(operands.size(), false);
  bool isBare = true;
  for (func::CallOp call : calls) {
    auto part = symbols->lookup<func::FuncOp>(call.getCallee());
    isBare &= part->hasAttr("llvm.bareptr");
    IRMapping mapping;
    for (auto [argument, operand] :
         llvm::zip_equal(part.getArguments(), call.getOperands())) {
      auto number = llvm::find(operands, operand) - operands.begin();
      mapping.map(argument, body->getArgument(number));
      isAliased[number] =
          isAliased[number] ||
          !part.getArgAttr(argument.getArgNumber(),
                           LLVM::LLVMDialect::getNoAliasAttrName());
    }
    for (Operation &op : part.front().without_terminator())
      b.clone(op, mapping);
  }
  func::ReturnOp::create(b, function.getLoc());
  if (isBare)
    function->setAttr("llvm.bareptr", b.getUnitAttr());
  for (auto [i, operand] : llvm::enumerate(operands))
    if (isa<MemRefType>(operand.getType()) && !isAliased[i] &&
        isAlone(operand, operands))
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                          b.getUnitAttr());
  return function;
}

void FuseColumnsPass::fuse(ArrayRef<func::CallOp> calls) {
  SmallVector<Location> locations;
  SmallVector<Value> operands;
  SmallVector<int64_t> key;
  for (func::CallOp call : calls) {
    locations.push_back(call.getLoc());
    Operation *callee = symbols->lookup(call.getCallee());
    key.push_back(numbers.try_emplace(callee, numbers.size()).first->second);
    for (Value operand : call.getOperands()) {
      const auto *it = llvm::find(operands, operand);
      key.push_back(it - operands.begin());
      if (it == operands.end())
        operands.push_back(operand);
    }
  }
  // Whether two are views of one buffer is a part of the kernel, too.
  for (Value operand : operands)
    key.push_back(isa<MemRefType>(operand.getType()) &&
                  isAlone(operand, operands));
  func::FuncOp &function = made[key];
  if (!function)
    function = create(calls, operands);
  func::CallOp last = calls.back();
  OpBuilder b(last);
  auto call =
      func::CallOp::create(b, b.getFusedLoc(locations), function, operands);
  remarkDone(call.getLoc(), kPass) << remark::add(
      "{0} kernels on the same results became one", calls.size());
  for (func::CallOp part : calls)
    part.erase();
}
