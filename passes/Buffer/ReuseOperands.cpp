// Contractions write where they read an operand of their epilogue.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Buffer/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_REUSEOPERANDS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// What `view` is made of by a view whose sizes and place are known, or null.
static Value getViewed(Value view) {
  Operation *op = view.getDefiningOp();
  if (!isa_and_nonnull<memref::SubViewOp, memref::CollapseShapeOp,
                       memref::ExpandShapeOp>(op) ||
      op->getNumOperands() != 1)
    return {};
  return op->getOperand(0);
}

/// The buffer that `view` is all or a part of, if it is known which.
static memref::AllocOp getBuffer(Value view) {
  while (Value viewed = getViewed(view))
    view = viewed;
  return view.getDefiningOp<memref::AllocOp>();
}

/// Whether `view` has all elements of its buffer, in order.
static bool isWhole(Value view) {
  for (; Value viewed = getViewed(view); view = viewed)
    if (view.getDefiningOp<memref::SubViewOp>())
      return false;
  return true;
}

/// The part of its buffer that `view`, of any kind, is of, or the buffer.
static Value getPart(Value view) {
  while (auto op = view.getDefiningOp<ViewLikeOpInterface>()) {
    Value viewed = op.getViewSource();
    if (isa<memref::SubViewOp>(op) && viewed.getDefiningOp<memref::AllocOp>())
      break;
    view = viewed;
  }
  return view;
}

/// Whether two views have their elements at the same places of their buffers,
/// which are of one type.
static bool isSamePlace(Value one, Value other) {
  while (one.getType() == other.getType()) {
    Value first = getViewed(one), second = getViewed(other);
    if (!first || !second)
      return !first && !second;
    if (one.getDefiningOp()->getName() != other.getDefiningOp()->getName() ||
        one.getDefiningOp()->getAttrDictionary() !=
            other.getDefiningOp()->getAttrDictionary())
      return false;
    one = first;
    other = second;
  }
  return false;
}

/// Whether two parts of a buffer share no element.
static bool areApart(Value one, Value other) {
  auto first = one.getDefiningOp<memref::SubViewOp>(),
       second = other.getDefiningOp<memref::SubViewOp>();
  if (!first || !second || !getViewed(one) || !getViewed(other) ||
      !first.hasUnitStride() || !second.hasUnitStride())
    return false;
  for (auto [begin, size, otherBegin, otherSize] :
       llvm::zip_equal(first.getStaticOffsets(), first.getStaticSizes(),
                       second.getStaticOffsets(), second.getStaticSizes()))
    if (begin + size <= otherBegin || otherBegin + otherSize <= begin)
      return true;
  return false;
}

namespace {

/// Collects all that is done to `buffer`, of the first block of @main, or to
/// views of it; false if it is not known.
static bool findUses(Value buffer, Block *block,
                     SmallVectorImpl<OpOperand *> &uses) {
  return llvm::all_of(buffer.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (isa<ViewLikeOpInterface>(user))
      return llvm::all_of(user->getResults(), [&](Value view) {
        return findUses(view, block, uses);
      });
    uses.push_back(&use);
    return block->findAncestorOpInBlock(*user) &&
           !user->hasTrait<OpTrait::IsTerminator>() &&
           llvm::none_of(user->getResultTypes(), llvm::IsaPred<BaseMemRefType>);
  });
}

static bool isWrite(OpOperand &use) {
  auto op = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
  return !op || op.isDpsInit(&use);
}

/// A contraction, an operand of its epilogue, and the buffers of that operand
/// and of the results.
struct Candidate {
  ContractOp op;
  Value operand;
  memref::AllocOp source, target;
  /// What fills the borders of either, in order.
  SmallVector<linalg::FillOp> sourceBorders = {}, targetBorders = {};
  /// Whether all else that is written to either buffer goes where the operand
  /// and the results are, not to the borders.
  bool staysInside = true;

  bool isLegal() {
    if (source == target ||
        (!isSamePlace(operand, op.getInit()) && !areWhole()))
      return false;
    if (!endsHere() || !beginsHere())
      return false;
    if (sourceBorders.empty() && targetBorders.empty())
      return true;
    return staysInside && haveSameBorders();
  }

  /// Both are all of their buffers, which may be of several shapes.
  bool areWhole() {
    return isWhole(operand) && op.getInit() == target.getResult() &&
           operand.getType() == target.getType();
  }

private:
  /// The filling of a border, where `use` is of that.
  linalg::FillOp getBorder(OpOperand &use) {
    auto fill = dyn_cast<linalg::FillOp>(use.getOwner());
    return fill && fill->getBlock() == op->getBlock() &&
                   use.get() == getPart(use.get()) &&
                   areApart(use.get(), getPart(operand))
               ? fill
               : linalg::FillOp();
  }

  void noteWrite(OpOperand &use) {
    staysInside &=
        !isWrite(use) || isSamePlace(getPart(use.get()), getPart(operand));
  }

  /// Nothing but `op`, for its epilogue, reads the operand then or later.
  bool endsHere() {
    SmallVector<OpOperand *> uses;
    return findUses(source, op->getBlock(), uses) &&
           llvm::all_of(uses, [&](OpOperand *use) {
             if (use->getOwner() == op)
               return isOperand(*use);
             if (linalg::FillOp border = getBorder(*use))
               sourceBorders.push_back(border);
             else
               noteWrite(*use);
             return getPlace(*use)->isBeforeInBlock(op);
           });
  }

  /// Nothing but borders is written to the results' buffer before.
  bool beginsHere() {
    SmallVector<OpOperand *> uses;
    return findUses(target, op->getBlock(), uses) &&
           llvm::all_of(uses, [&](OpOperand *use) {
             if (use->getOwner() == op)
               return use->getOperandNumber() == getLast();
             if (linalg::FillOp border = getBorder(*use)) {
               targetBorders.push_back(border);
               return getPlace(*use)->isBeforeInBlock(op);
             }
             noteWrite(*use);
             return op->isBeforeInBlock(getPlace(*use));
           });
  }

  /// What `use` is in, as an op of the block.
  Operation *getPlace(OpOperand &use) {
    return op->getBlock()->findAncestorOpInBlock(*use.getOwner());
  }

  /// The results' borders are filled as the operand's are.
  bool haveSameBorders() {
    auto isEarlier = [](linalg::FillOp a, linalg::FillOp b) {
      return a->isBeforeInBlock(b);
    };
    llvm::sort(sourceBorders, isEarlier);
    llvm::sort(targetBorders, isEarlier);
    return llvm::equal(sourceBorders, targetBorders,
                       [](linalg::FillOp one, linalg::FillOp other) {
                         return one.value() == other.value() &&
                                isSamePlace(one.output(), other.output());
                       });
  }

  unsigned getLast() { return op.getIndexingMaps().size() - 1; }

  /// Whether `use` is an operand of the epilogue, read where the result of the
  /// same place is written.
  bool isOperand(OpOperand &use) {
    unsigned i = use.getOperandNumber();
    return i >= 2 && i < getLast() && op.getMap(i) == op.getMap(getLast()) &&
           isSamePlace(use.get(), operand);
  }
};

struct ReuseOperandsPass : dlc::impl::ReuseOperandsBase<ReuseOperandsPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    // Of those behind one, allocations and borders go away.
    for (ContractOp op : llvm::to_vector(main.front().getOps<ContractOp>()))
      reuse(op);
  }

  void reuse(ContractOp op) {
    // Kernels of other types have tiles that overlap (LowerContractTiles.cpp).
    if (!op.getSumType().isF32() || !isF32(op.getA()) || !isF32(op.getB()))
      return;
    memref::AllocOp target = getBuffer(op.getInit());
    if (!target || !target.getType().hasStaticShape() || !isF32(target))
      return;
    for (unsigned i = 2, last = op.getIndexingMaps().size() - 1; i < last;
         ++i) {
      Candidate candidate{op, op->getOperand(i), getBuffer(op->getOperand(i)),
                          target};
      if (!candidate.source || !candidate.isLegal())
        continue;
      MemRefType type = target.getType();
      apply(candidate);
      remarkDone(op.getLoc(), getArgument()) << remark::add(
          "written where an operand of its epilogue was: a buffer of {0} bytes "
          "less",
          type.getNumElements() * int64_t(sizeof(float)));
      return;
    }
  }

  static void apply(Candidate &candidate) {
    memref::AllocOp source = candidate.source, target = candidate.target;
    Value operand = candidate.operand;
    for (linalg::FillOp border : candidate.targetBorders)
      border.erase();
    // In front of all views of the results.
    if (target->isBeforeInBlock(source))
      source->moveBefore(target);
    bool areWhole = candidate.areWhole();
    // Says that both are one place.
    candidate.op.getInitMutable().assign(operand);
    if (!areWhole) {
      target.getResult().replaceAllUsesWith(source.getResult());
    } else {
      Operation *front = source;
      SmallVector<Operation *> views = getViews(operand);
      for (Operation *view : llvm::reverse(views)) {
        view->moveAfter(front);
        front = view;
      }
      target.getResult().replaceAllUsesWith(operand);
    }
    target.erase();
  }

  /// The views between `view` and its buffer, the last one first.
  static SmallVector<Operation *> getViews(Value view) {
    SmallVector<Operation *> views;
    for (; Value viewed = getViewed(view); view = viewed)
      views.push_back(view.getDefiningOp());
    return views;
  }

  static bool isF32(Value value) {
    return getElementTypeOrSelf(value.getType()).isF32();
  }
};

} // namespace
