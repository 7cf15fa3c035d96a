// Makes one kernel of several that work on the same rows one after the other:
// a softmax, a normalisation.
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Gpu/Passes.h"
#include "passes/Gpu/Rows.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FUSEROWS
#include "passes/Gpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

std::optional<unsigned> dlc::findRowDims(linalg::LinalgOp op, int64_t rows) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  int64_t product = 1;
  unsigned dims = 0;
  while (dims < sizes.size() && product < rows &&
         kinds[dims] == utils::IteratorType::parallel && sizes[dims] > 0)
    product *= sizes[dims++];
  if (product != rows)
    return std::nullopt;
  return dims;
}

namespace {

/// Bytes of the workspace that a buffer takes; empty for other memory.
struct Place {
  int64_t begin = 0, end = 0;
};

struct FuseRowsPass : dlc::impl::FuseRowsBase<FuseRowsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    symbols.emplace(module);
    main.walk([&](Block *block) {
      SmallVector<func::CallOp> group;
      for (Operation &op : llvm::make_early_inc_range(*block)) {
        auto call = dyn_cast<func::CallOp>(op);
        if (!call) {
          if (!isMemoryEffectFree(&op) || op.getNumRegions())
            finish(group);
          continue;
        }
        if (!group.empty() && joins(group, call)) {
          group.push_back(call);
          continue;
        }
        finish(group);
        if (begins(call))
          group.push_back(call);
      }
      finish(group);
    });
  }

private:
  /// The only op of a kernel, if it is linalg's.
  linalg::LinalgOp workOf(func::CallOp call) {
    auto function = symbols->lookup<func::FuncOp>(call.getCallee());
    linalg::LinalgOp found;
    for (Operation &op : function.front().without_terminator()) {
      if (isMemoryEffectFree(&op) && !op.getNumRegions())
        continue;
      auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
      if (!linalgOp || found)
        return nullptr;
      found = linalgOp;
    }
    return found;
  }

  /// Where the buffer behind `value` is.
  static Value baseOf(Value value) {
    for (;;) {
      Operation *producer = value.getDefiningOp();
      if (auto view = dyn_cast_if_present<ViewLikeOpInterface>(producer))
        value = view.getViewSource();
      else
        return value;
    }
  }
  static Place placeOf(Value base) {
    auto arena = base.getDefiningOp<ArenaOp>();
    if (!arena)
      return {};
    auto type = cast<MemRefType>(base.getType());
    int64_t bytes = llvm::divideCeil(
        type.getNumElements() *
            std::max<int64_t>(8, type.getElementTypeBitWidth()),
        8);
    return {int64_t(arena.getOffset()), int64_t(arena.getOffset()) + bytes};
  }

  /// How the ops of a group use a buffer.
  struct Use {
    Value base;
    int64_t elements;
    bool isRowwise, isWritten;
  };

  /// The uses of the buffers of `call`, if it works on `rows` rows each of
  /// which is a part of its buffers of its own; `isReduction` tells of a sum
  /// along rows.
  std::optional<SmallVector<Use>> findUses(func::CallOp call, int64_t rows,
                                           bool *isReduction = nullptr) {
    linalg::LinalgOp op = workOf(call);
    if (!op)
      return std::nullopt;
    std::optional<unsigned> dims = findRowDims(op, rows);
    if (!dims || !isRowOp(op, *dims))
      return std::nullopt;
    if (isReduction)
      *isReduction = op.getNumReductionLoops() > 0;
    SmallVector<Use> uses;
    SmallVector<int64_t> sizes = op.getStaticLoopRanges();
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      auto argument = dyn_cast<BlockArgument>(operand.get());
      if (!argument || !type.getLayout().isIdentity() ||
          !type.hasStaticShape() || !type.getElementType().isIntOrFloat())
        return std::nullopt;
      Value given = call.getOperand(argument.getArgNumber());
      AffineMap map = op.getMatchingIndexingMap(&operand);
      bool isRowwise = map.getNumResults() >= *dims, usesRows = false;
      for (unsigned dim = 0; dim < *dims; ++dim) {
        isRowwise =
            isRowwise &&
            map.getResult(dim) == getAffineDimExpr(dim, op.getContext()) &&
            type.getDimSize(dim) == sizes[dim];
        usesRows |= map.isFunctionOfDim(dim);
      }
      bool isWritten = op.isDpsInit(&operand);
      if (!isRowwise && (usesRows || isWritten))
        return std::nullopt;
      uses.push_back(
          {baseOf(given), type.getNumElements(), isRowwise, isWritten});
      // A part of a buffer has rows elsewhere.
      if (cast<MemRefType>(uses.back().base.getType()).getNumElements() !=
          type.getNumElements())
        return std::nullopt;
    }
    return uses;
  }

  /// A group begins with what fills or reduces rows, which tells their number.
  bool begins(func::CallOp call) {
    linalg::LinalgOp op = workOf(call);
    if (!op || op.getNumDpsInits() != 1)
      return false;
    auto type = dyn_cast<MemRefType>(op.getDpsInits()[0].getType());
    if (!type || !type.hasStaticShape())
      return false;
    rows = type.getNumElements();
    static constexpr int64_t fewest = 64;
    uses.clear();
    hasReduction = false;
    return rows >= fewest && joins({}, call);
  }

  /// Whether `call` may become a part of the group; notes its buffers if so.
  bool joins(ArrayRef<func::CallOp> group, func::CallOp call) {
    bool isReduction = false;
    std::optional<SmallVector<Use>> added = findUses(call, rows, &isReduction);
    if (!added)
      return false;
    SmallVector<Use> all(uses);
    all.append(*added);
    for (const Use &a : all)
      for (const Use &b : all) {
        if (!a.isWritten)
          continue;
        if (a.base == b.base) {
          // Others' rows are not done yet.
          if (!b.isRowwise)
            return false;
          continue;
        }
        Place x = placeOf(a.base), y = placeOf(b.base);
        bool overlaps = x.begin < y.end && y.begin < x.end;
        // The same rows in the same memory, or none.
        if (overlaps && (x.begin != y.begin || x.end != y.end || !b.isRowwise))
          return false;
      }
    uses = std::move(all);
    hasReduction |= isReduction;
    return true;
  }

  void finish(SmallVectorImpl<func::CallOp> &group) {
    if (group.size() > 1 && hasReduction)
      fuse(group);
    group.clear();
  }

  void fuse(MutableArrayRef<func::CallOp> group) {
    OpBuilder b(group.back());
    SmallVector<Value> operands;
    SmallVector<Location> locations;
    DenseMap<Value, unsigned> numbers;
    for (func::CallOp call : group) {
      locations.push_back(call.getLoc());
      for (Value operand : call.getOperands())
        if (numbers.try_emplace(operand, operands.size()).second)
          operands.push_back(operand);
    }
    Location loc = b.getFusedLoc(locations);
    auto first = symbols->lookup<func::FuncOp>(group.front().getCallee());
    b.setInsertionPoint(first);
    auto fused = func::FuncOp::create(
        b, loc, ("rows_" + Twine(count++)).str(),
        b.getFunctionType(ValueRange(operands).getTypes(), {}));
    fused.setPrivate();
    fused->setAttr("dlc.rows", b.getI64IntegerAttr(rows));
    symbols->insert(fused);
    Block *body = fused.addEntryBlock();
    b.setInsertionPointToStart(body);
    for (func::CallOp call : group) {
      auto function = symbols->lookup<func::FuncOp>(call.getCallee());
      IRMapping mapping;
      for (auto [argument, operand] :
           llvm::zip(function.getArguments(), call.getOperands()))
        mapping.map(argument, body->getArgument(numbers.lookup(operand)));
      for (Operation &op : function.front().without_terminator())
        b.clone(op, mapping);
    }
    func::ReturnOp::create(b, loc);
    b.setInsertionPoint(group.back());
    func::CallOp::create(b, loc, fused, operands);
    remarkDone(loc, "dlc-fuse-rows") << remark::add(
        "{0} kernels on rows became one", std::to_string(group.size()));
    for (func::CallOp call : group)
      call.erase();
  }

  std::optional<SymbolTable> symbols;
  int64_t rows = 0;
  SmallVector<Use> uses;
  bool hasReduction = false;
  unsigned count = 0;
};

} // namespace
