// Makes one kernel of several that work on the same rows one after the other:
// a softmax, a normalisation.
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Buffer/KernelWork.h"
#include "passes/Buffer/Passes.h"
#include "passes/Remarks.h"
#include "passes/Tensor/RowOps.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FUSEROWS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The size of a dimension in @main: a number, or what is behind it, a value or
/// a dimension of one.
using Size = std::tuple<int64_t, Value, unsigned>;

static Size sizeOf(Value buffer, unsigned dim);

static Size sizeOf(Value size) {
  if (std::optional<int64_t> known = getConstantIntValue(size))
    return {*known, Value(), 0};
  if (auto of = size.getDefiningOp<memref::DimOp>())
    if (std::optional<int64_t> dim = of.getConstantIndex())
      return sizeOf(of.getSource(), *dim);
  return {ShapedType::kDynamic, size, 0};
}

static Size sizeOf(Value buffer, unsigned dim) {
  auto type = cast<MemRefType>(buffer.getType());
  if (!type.isDynamicDim(dim))
    return {type.getDimSize(dim), Value(), 0};
  if (auto expand = buffer.getDefiningOp<memref::ExpandShapeOp>())
    if (auto size = dyn_cast<Value>(expand.getMixedOutputShape()[dim]))
      return sizeOf(size);
  ValueRange sizes;
  if (auto alloc = buffer.getDefiningOp<AllocOp>())
    sizes = alloc.getDynamicSizes();
  else if (auto output = buffer.getDefiningOp<OutputOp>())
    sizes = output.getDynamicSizes();
  if (!sizes.empty())
    return sizeOf(sizes[type.getDynamicDimIndex(dim)]);
  return {ShapedType::kDynamic, buffer, dim};
}

static bool isOne(const Size &size) { return std::get<0>(size) == 1; }

/// The product of sizes that are known.
static std::optional<int64_t> productOf(ArrayRef<Size> sizes) {
  int64_t product = 1;
  for (const Size &size : sizes) {
    if (ShapedType::isDynamic(std::get<0>(size)))
      return std::nullopt;
    product *= std::get<0>(size);
  }
  return product;
}

/// How many of the first dimensions of `op`, all parallel, make up rows of
/// these sizes; nothing if none do.
static std::optional<unsigned>
findRowDims(linalg::LinalgOp op, ArrayRef<Size> sizes, ArrayRef<Size> rows) {
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  unsigned dims = 0;
  auto isParallel = [&] {
    return dims < sizes.size() && kinds[dims] == utils::IteratorType::parallel;
  };
  if (std::optional<int64_t> count = productOf(rows)) {
    int64_t product = 1;
    while (product < *count && isParallel() && std::get<0>(sizes[dims]) > 0)
      product *= std::get<0>(sizes[dims++]);
    // One row is a dimension of size 1.
    while (*count == 1 && dims < rows.size() && isParallel() &&
           isOne(sizes[dims]))
      ++dims;
    return product == *count ? std::optional(dims) : std::nullopt;
  }
  for (const Size &row : rows) {
    if (isOne(row))
      continue;
    while (isParallel() && isOne(sizes[dims]))
      ++dims;
    if (!isParallel() || sizes[dims] != row)
      return std::nullopt;
    ++dims;
  }
  return dims;
}

namespace {

/// Bytes of the workspace that a buffer takes; empty for other memory.
struct Place {
  int64_t begin = 0, end = 0;
};

struct FuseRowsPass : dlc::impl::FuseRowsBase<FuseRowsPass> {
  using FuseRowsBase::FuseRowsBase;

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
          // A buffer may come before the whole group, and go behind it.
          if (!lateFrees && isa<FreeOp>(op) && isLarge(op.getOperand(0))) {
            finish(group);
            continue;
          }
          if (isa<AllocOp, OutputOp, FreeOp>(op))
            continue;
          if (!isMemoryEffectFree(&op) || op.getNumRegions()) {
            finish(group);
            before.clear();
          }
          continue;
        }
        if (!group.empty() && joins(call)) {
          group.push_back(call);
          continue;
        }
        finish(group);
        if (begins(call))
          group.push_back(call);
        else
          before.push_back(call);
      }
      finish(group);
      before.clear();
    });
  }

private:
  /// Whether a buffer has more than a number a row.
  bool isLarge(Value buffer) const {
    return cast<MemRefType>(buffer.getType()).getRank() > int64_t(rows.size());
  }

  linalg::LinalgOp workOf(func::CallOp call) {
    return findKernelWork(symbols->lookup<func::FuncOp>(call.getCallee()));
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
  /// Whether `value` has all elements of the buffer behind it, in order.
  static bool isWhole(Value value) {
    while (Operation *op = value.getDefiningOp()) {
      if (!isa<memref::CollapseShapeOp, memref::ExpandShapeOp>(op))
        return !isa<ViewLikeOpInterface>(op);
      value = op->getOperand(0);
    }
    return true;
  }
  static Place placeOf(Value base) {
    auto arena = base.getDefiningOp<ArenaOp>();
    if (!arena)
      return {};
    return {int64_t(arena.getOffset()),
            int64_t(arena.getOffset()) + bytesOf(base)};
  }
  /// 0 if only the run knows it.
  static int64_t bytesOf(Value base) {
    auto type = cast<MemRefType>(base.getType());
    if (!type.hasStaticShape())
      return 0;
    return llvm::divideCeil(
        type.getNumElements() *
            std::max<int64_t>(8, type.getElementTypeBitWidth()),
        8);
  }

  /// How the ops of a group use a buffer.
  struct Use {
    Value base;
    bool isRowwise, isWritten;
  };

  /// What a kernel of the group does.
  struct Step {
    SmallVector<Use> uses;
    unsigned rowDims;
    bool isReduction;
  };

  /// The sizes of the loops of `op`, the work of `call`.
  static SmallVector<Size> findSizes(func::CallOp call, linalg::LinalgOp op) {
    SmallVector<Size> sizes(op.getNumLoops(),
                            Size{ShapedType::kDynamic, Value(), 0});
    for (OpOperand &operand : op->getOpOperands()) {
      auto argument = dyn_cast<BlockArgument>(operand.get());
      if (!argument || !isa<MemRefType>(argument.getType()))
        continue;
      for (auto [i, expr] :
           llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          if (Size &size = sizes[dim.getPosition()];
              ShapedType::isDynamic(std::get<0>(size)))
            size = sizeOf(call.getOperand(argument.getArgNumber()), i);
    }
    return sizes;
  }

  /// The work of `call`, if it is on the group's rows, each of which is a part
  /// of its buffers of its own.
  std::optional<Step> findStep(func::CallOp call) {
    linalg::LinalgOp op = workOf(call);
    if (!op)
      return std::nullopt;
    SmallVector<Size> sizes = findSizes(call, op);
    std::optional<unsigned> dims = findRowDims(op, sizes, rows);
    if (!dims || !isRowOp(op, *dims))
      return std::nullopt;
    Step step{{}, *dims, op.getNumReductionLoops() > 0};
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      auto argument = dyn_cast<BlockArgument>(operand.get());
      if (!argument || !type.getLayout().isIdentity() ||
          !type.getElementType().isIntOrFloat())
        return std::nullopt;
      if (isFew &&
          (!type.hasStaticShape() || type.getNumElements() > smallElements))
        return std::nullopt;
      Value given = call.getOperand(argument.getArgNumber());
      AffineMap map = op.getMatchingIndexingMap(&operand);
      bool isRowwise = map.getNumResults() >= *dims, usesRows = false;
      for (unsigned dim = 0; dim < *dims; ++dim) {
        isRowwise =
            isRowwise &&
            map.getResult(dim) == getAffineDimExpr(dim, op.getContext()) &&
            sizeOf(given, dim) == sizes[dim];
        usesRows |= map.isFunctionOfDim(dim);
      }
      bool isWritten = op.isDpsInit(&operand);
      if (!isRowwise && (usesRows || isWritten))
        return std::nullopt;
      Value base = baseOf(given);
      step.uses.push_back({base, isRowwise, isWritten});
      // A part of a buffer has rows elsewhere.
      auto whole = cast<MemRefType>(base.getType());
      if (!isWhole(given) &&
          (!type.hasStaticShape() || !whole.hasStaticShape() ||
           whole.getNumElements() != type.getNumElements()))
        return std::nullopt;
    }
    return step;
  }

  /// A group begins with what fills or reduces rows, which tells their number.
  bool begins(func::CallOp call) {
    linalg::LinalgOp op = workOf(call);
    if (!op || op.getNumDpsInits() != 1)
      return false;
    auto argument = dyn_cast<BlockArgument>(op.getDpsInits()[0]);
    if (!argument || !isa<MemRefType>(argument.getType()))
      return false;
    Value filled = call.getOperand(argument.getArgNumber());
    rows.clear();
    for (unsigned i = 0, e = cast<MemRefType>(filled.getType()).getRank();
         i < e; ++i)
      rows.push_back(sizeOf(filled, i));
    isFew = productOf(rows).value_or(fewestRows) < fewestRows;
    if (rows.empty() || (isFew && smallElements == 0))
      return false;
    uses.clear();
    rowDims.clear();
    hasReduction = false;
    return joins(call);
  }

  /// Gives the smaller one of two buffers, whose places were planned for
  /// kernels one after the other, a place of its own, if that is little beside
  /// `largest`, the bytes of a buffer of the group: a number a row.
  bool moveAside(Value a, Value b, int64_t largest) {
    Place small = placeOf(a), large = placeOf(b);
    if (small.end - small.begin > large.end - large.begin) {
      std::swap(a, b);
      std::swap(small, large);
    }
    auto workspace =
        getOperation()->getAttrOfType<IntegerAttr>("dlc.workspace");
    static constexpr int64_t mostOf = 16, alignment = 256;
    int64_t size = small.end - small.begin;
    if (!workspace || size > largest / mostOf)
      return false;
    int64_t begin = llvm::alignTo(workspace.getInt(), alignment);
    a.getDefiningOp<ArenaOp>().setOffset(begin);
    getOperation()->setAttr(
        "dlc.workspace",
        Builder(&getContext()).getI64IntegerAttr(begin + size));
    return true;
  }

  /// Whether `step` may become a part of the group, from what is known of
  /// buffers; notes its own if so.
  bool addUses(const Step &step) {
    SmallVector<Use> all(uses);
    all.append(step.uses);
    int64_t largest = 0;
    for (const Use &use : all)
      largest = std::max(largest, bytesOf(use.base));
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
        if (overlaps &&
            (x.begin != y.begin || x.end != y.end || !b.isRowwise) &&
            !moveAside(a.base, b.base, largest))
          return false;
      }
    uses = std::move(all);
    return true;
  }

  /// Whether `call` may become the last one of the group.
  bool joins(func::CallOp call) {
    std::optional<Step> added = findStep(call);
    if (!added || !addUses(*added))
      return false;
    rowDims.push_back(added->rowDims);
    hasReduction |= added->isReduction;
    return true;
  }

  /// Whether `call` may become the first one of the group: it makes elements
  /// that the group reads.
  bool precedes(func::CallOp call) {
    std::optional<Step> added = findStep(call);
    if (!added || added->isReduction)
      return false;
    bool isRead = llvm::any_of(added->uses, [&](const Use &made) {
      return made.isWritten && llvm::any_of(uses, [&](const Use &use) {
               return !use.isWritten && use.base == made.base;
             });
    });
    if (!isRead || !addUses(*added))
      return false;
    rowDims.insert(rowDims.begin(), added->rowDims);
    return true;
  }

  void finish(SmallVectorImpl<func::CallOp> &group) {
    if (!hasReduction || group.empty()) {
      before.append(group);
    } else {
      while (!before.empty() && precedes(before.back()))
        group.insert(group.begin(), before.pop_back_val());
      before.clear();
      if (group.size() > 1)
        fuse(group);
    }
    group.clear();
  }

  /// Whether only calls of the group use what is in the buffer `base`.
  static bool isPrivate(Value base, ArrayRef<func::CallOp> group) {
    if (!isa_and_present<ArenaOp, AllocOp>(base.getDefiningOp()))
      return false;
    SmallVector<Value> views{base};
    while (!views.empty())
      for (Operation *user : views.pop_back_val().getUsers()) {
        if (isa<ViewLikeOpInterface>(user)) {
          views.append(user->result_begin(), user->result_end());
          continue;
        }
        auto call = dyn_cast<func::CallOp>(user);
        if (!isa<FreeOp, memref::DimOp>(user) &&
            !(call && llvm::is_contained(group, call)))
          return false;
      }
    return true;
  }

  /// Says which arguments are views of one buffer, which buffers have the same
  /// memory, and which are of no use behind the kernel.
  static void noteBuffers(func::FuncOp fused, ArrayRef<Value> operands,
                          ArrayRef<func::CallOp> group) {
    SmallVector<int64_t> buffers, places;
    SmallVector<bool> areOwn;
    for (auto [i, operand] : llvm::enumerate(operands)) {
      buffers.push_back(i);
      places.push_back(i);
      Value base = baseOf(operand);
      areOwn.push_back(isPrivate(base, group));
      Place place = placeOf(base);
      for (unsigned k = 0; k < i; ++k) {
        Place other = placeOf(baseOf(operands[k]));
        if (baseOf(operands[k]) == base) {
          buffers[i] = buffers[k];
          places[i] = places[k];
          break;
        }
        if (place.begin < other.end && other.begin < place.end)
          places[i] = places[k];
      }
    }
    Builder b(fused.getContext());
    fused->setAttr("dlc.row_buffers", b.getDenseI64ArrayAttr(buffers));
    fused->setAttr("dlc.row_places", b.getDenseI64ArrayAttr(places));
    fused->setAttr("dlc.row_private", b.getDenseBoolArrayAttr(areOwn));
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
    fused->setAttr("dlc.row_dims", b.getDenseI64ArrayAttr(rowDims));
    noteBuffers(fused, operands, group);
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
    auto made = func::CallOp::create(b, loc, fused, operands);
    for (Operation &op : llvm::make_early_inc_range(llvm::make_range(
             group.front()->getIterator(), made->getIterator())))
      if (isa<FreeOp>(op))
        op.moveAfter(made);
    remarkDone(loc, "dlc-fuse-rows") << remark::add(
        "{0} kernels on rows became one", std::to_string(group.size()));
    for (func::CallOp call : group)
      call.erase();
  }

  std::optional<SymbolTable> symbols;
  SmallVector<Size> rows;
  SmallVector<int64_t> rowDims; // of each kernel of the group
  SmallVector<Use> uses;
  SmallVector<func::CallOp> before; // calls that are of no group
  bool hasReduction = false;
  bool isFew = false; // there are fewer rows than is worth a group of any size
  unsigned count = 0;
};

} // namespace
