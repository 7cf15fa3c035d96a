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

/// Whether all sizes of `part`, and where it lies, are known.
static bool isStatic(memref::SubViewOp part) {
  return part.getOffsets().empty() && part.getSizes().empty() &&
         part.getStrides().empty();
}

/// The buffer that `view` is all or a static part of.
static memref::AllocOp getBuffer(Value view) {
  if (auto part = view.getDefiningOp<memref::SubViewOp>()) {
    if (!isStatic(part))
      return {};
    view = part.getSource();
  }
  return view.getDefiningOp<memref::AllocOp>();
}

/// Whether two views of getBuffer() have their elements at the same places.
static bool isSamePlace(Value one, Value other) {
  if (one.getType() != other.getType())
    return false;
  auto first = one.getDefiningOp<memref::SubViewOp>(),
       second = other.getDefiningOp<memref::SubViewOp>();
  if (!first || !second)
    return !first && !second;
  return isStatic(first) && isStatic(second) &&
         first.getStaticOffsets() == second.getStaticOffsets() &&
         first.getStaticSizes() == second.getStaticSizes() &&
         first.getStaticStrides() == second.getStaticStrides();
}

/// Whether two parts of a buffer share no element.
static bool areApart(Value one, Value other) {
  auto first = one.getDefiningOp<memref::SubViewOp>(),
       second = other.getDefiningOp<memref::SubViewOp>();
  if (!first || !second || !isStatic(first) || !isStatic(second) ||
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

/// Something that is done to a buffer.
struct Access {
  OpOperand *use;
  Value part; ///< the part of the buffer that it is done to, or a larger one

  Operation *getOp() const { return use->getOwner(); }
  bool isWrite() const {
    auto op = dyn_cast<DestinationStyleOpInterface>(getOp());
    return !op || op.isDpsInit(use);
  }
};

/// All that is done to a buffer of the first block of @main, in that block.
struct Accesses {
  /// False if it is not known.
  bool find(memref::AllocOp buffer) {
    block = buffer->getBlock();
    for (OpOperand &use : buffer->getUses()) {
      auto part = dyn_cast<memref::SubViewOp>(use.getOwner());
      if (!find(use, part ? part.getResult() : use.get()))
        return false;
    }
    return true;
  }

  /// Where it is done.
  Operation *getPlace(const Access &access) const {
    return block->findAncestorOpInBlock(*access.getOp());
  }

  SmallVector<Access> all;

private:
  bool find(OpOperand &use, Value part) {
    Operation *user = use.getOwner();
    if (isa<ViewLikeOpInterface>(user)) {
      for (Value view : user->getResults())
        for (OpOperand &next : view.getUses())
          if (!find(next, part))
            return false;
      return true;
    }
    all.push_back({&use, part});
    return block->findAncestorOpInBlock(*user) &&
           !user->hasTrait<OpTrait::IsTerminator>() &&
           llvm::none_of(user->getResultTypes(), llvm::IsaPred<BaseMemRefType>);
  }

  Block *block = nullptr;
};

/// A contraction, an operand of its epilogue, and the buffers of that operand
/// and of the results.
struct Candidate {
  ContractOp op;
  Value operand;
  memref::AllocOp source, target;
  /// What fills the borders of either.
  SmallVector<linalg::FillOp> sourceBorders = {}, targetBorders = {};

  bool isLegal() {
    return source != target && source.getType() == target.getType() &&
           isSamePlace(operand, op.getInit()) && endsHere() && beginsHere() &&
           haveSameBorders();
  }

private:
  /// The filling of a border, where `access` is that.
  linalg::FillOp getBorder(const Access &access) {
    auto fill = dyn_cast<linalg::FillOp>(access.getOp());
    return fill && fill->getBlock() == op->getBlock() &&
                   fill.output() == access.part &&
                   areApart(access.part, operand)
               ? fill
               : linalg::FillOp();
  }

  /// Nothing but `op`, for its epilogue, reads the operand then or later.
  bool endsHere() {
    Accesses accesses;
    if (!accesses.find(source))
      return false;
    for (const Access &access : accesses.all) {
      Operation *place = accesses.getPlace(access);
      if (place == op) {
        if (!isOperand(*access.use))
          return false;
      } else if (!place->isBeforeInBlock(op)) {
        return false;
      } else if (linalg::FillOp border = getBorder(access)) {
        sourceBorders.push_back(border);
      } else if (access.isWrite() && !isSamePlace(access.part, operand)) {
        return false;
      }
    }
    return true;
  }

  /// Nothing but borders is written to the results' buffer before.
  bool beginsHere() {
    Accesses accesses;
    if (!accesses.find(target))
      return false;
    for (const Access &access : accesses.all) {
      Operation *place = accesses.getPlace(access);
      if (place == op) {
        if (access.use->get() != op.getInit() ||
            access.use->getOperandNumber() != getLast())
          return false;
      } else if (linalg::FillOp border = getBorder(access)) {
        if (!place->isBeforeInBlock(op))
          return false;
        targetBorders.push_back(border);
      } else if (!op->isBeforeInBlock(place) ||
                 (access.isWrite() &&
                  !isSamePlace(access.part, op.getInit()))) {
        return false;
      }
    }
    return true;
  }

  /// Each border of the results' buffer is filled in the operand's, too.
  bool haveSameBorders() {
    return sourceBorders.size() == targetBorders.size() &&
           llvm::all_of(targetBorders, [&](linalg::FillOp border) {
             return llvm::any_of(sourceBorders, [&](linalg::FillOp other) {
               return border.value() == other.value() &&
                      isSamePlace(border.output(), other.output());
             });
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
    for (linalg::FillOp border : candidate.targetBorders)
      border.erase();
    // Says that both are one place.
    candidate.op.getInitMutable().assign(candidate.operand);
    memref::AllocOp first = candidate.source, second = candidate.target;
    if (second->isBeforeInBlock(first))
      std::swap(first, second);
    second.getResult().replaceAllUsesWith(first.getResult());
    second.erase();
  }

  static bool isF32(Value value) {
    return getElementTypeOrSelf(value.getType()).isF32();
  }
};

} // namespace
