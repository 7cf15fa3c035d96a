// Concatenations that begin alike, as those of a dense block, grow in one
// tensor: nothing is copied from one to the next.

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_SHARECONCATS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {

/// Parts that are inserted in an empty tensor, one after the other.
struct Concat {
  tensor::EmptyOp base;
  SmallVector<tensor::InsertSliceOp> parts;

  Operation *getLast() const { return parts.back(); }
  Value getResult() const {
    return tensor::InsertSliceOp(parts.back()).getResult();
  }
};

/// Concatenations of which each begins with all of the one before.
using Chain = SmallVector<Concat>;

} // namespace

/// Whether `op` only goes on with a chain of insertions.
static bool isInner(tensor::InsertSliceOp op) {
  if (!op->hasOneUse())
    return false;
  auto next = dyn_cast<tensor::InsertSliceOp>(*op->user_begin());
  return next && next.getDest() == op.getResult();
}

static std::optional<Concat> findConcat(tensor::InsertSliceOp last) {
  if (isInner(last))
    return std::nullopt;
  Concat concat;
  for (tensor::InsertSliceOp part = last; part;) {
    if (part.getSourceType().getRank() != part.getType().getRank() ||
        part->getBlock() != last->getBlock())
      return std::nullopt;
    concat.parts.push_back(part);
    Operation *before = part.getDest().getDefiningOp();
    concat.base = dyn_cast_if_present<tensor::EmptyOp>(before);
    part = dyn_cast_if_present<tensor::InsertSliceOp>(before);
    if (part && !isInner(part))
      return std::nullopt;
  }
  std::reverse(concat.parts.begin(), concat.parts.end());
  if (!concat.base || concat.parts.size() < 2)
    return std::nullopt;
  return concat;
}

static bool isSamePart(tensor::InsertSliceOp a, tensor::InsertSliceOp b) {
  return a.getSource() == b.getSource() &&
         isEqualConstantIntOrValueArray(a.getMixedOffsets(),
                                        b.getMixedOffsets()) &&
         isEqualConstantIntOrValueArray(a.getMixedSizes(), b.getMixedSizes()) &&
         isEqualConstantIntOrValueArray(a.getMixedStrides(),
                                        b.getMixedStrides());
}

/// Whether `longer` begins with all of `shorter`, and is larger in one
/// dimension, by a number that is known, and as large in the others.
static bool extends(const Concat &longer, const Concat &shorter) {
  tensor::EmptyOp large = longer.base, small = shorter.base;
  if (longer.parts.size() <= shorter.parts.size() ||
      large.getType().getRank() != small.getType().getRank() ||
      large.getType().getElementType() != small.getType().getElementType())
    return false;
  for (auto [a, b] : llvm::zip_first(shorter.parts, longer.parts))
    if (!isSamePart(a, b))
      return false;
  unsigned different = 0;
  for (auto [a, b] :
       llvm::zip_equal(large.getMixedSizes(), small.getMixedSizes())) {
    if (isEqualConstantIntOrValue(a, b))
      continue;
    std::optional<int64_t> more = getConstantIntValue(a),
                           less = getConstantIntValue(b);
    if (!more || !less || *more < *less)
      return false;
    ++different;
  }
  return different == 1;
}

/// Whether whatever reads `value`, or a view of it, stands before `place`. Not
/// where a reshape reads it, which may need elements that are contiguous.
static bool isReadBefore(Value value, Operation *place) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp>(
            user))
      return false;
    Operation *ancestor = place->getBlock()->findAncestorOpInBlock(*user);
    if (!ancestor || !ancestor->isBeforeInBlock(place) ||
        ancestor->hasTrait<OpTrait::IsTerminator>())
      return false;
    return !isa<tensor::ExtractSliceOp, tensor::CastOp>(user) ||
           isReadBefore(user->getResult(0), place);
  });
}

/// The tensor of the last concatenation, in which the others are slices.
static void share(const Chain &chain, OpBuilder &b) {
  tensor::EmptyOp base = chain.back().base;
  Operation *behind = nullptr; // of what its sizes are made from
  for (Value size : base.getDynamicSizes())
    if (Operation *op = size.getDefiningOp();
        op && op->getBlock() == chain.front().getLast()->getBlock() &&
        (!behind || behind->isBeforeInBlock(op)))
      behind = op;
  if (behind)
    b.setInsertionPointAfter(behind);
  else
    b.setInsertionPointToStart(chain.front().getLast()->getBlock());
  Value all = b.clone(*base)->getResult(0);
  size_t done = 0;
  for (const Concat &concat : chain) {
    b.setInsertionPoint(concat.getLast());
    for (tensor::InsertSliceOp part : ArrayRef(concat.parts).drop_front(done))
      all = tensor::InsertSliceOp::create(
          b, part.getLoc(), part.getSource(), all, part.getMixedOffsets(),
          part.getMixedSizes(), part.getMixedStrides());
    done = concat.parts.size();
    Value result = all;
    if (&concat != &chain.back()) {
      tensor::EmptyOp own = concat.base;
      unsigned rank = own.getType().getRank();
      result = tensor::ExtractSliceOp::create(
          b, concat.getLast()->getLoc(), own.getType(), all,
          SmallVector<OpFoldResult>(rank, b.getIndexAttr(0)),
          own.getMixedSizes(),
          SmallVector<OpFoldResult>(rank, b.getIndexAttr(1)));
    }
    Value(concat.getResult()).replaceAllUsesWith(result);
  }
  remarkDone(chain.back().getLast()->getLoc(), "dlc-share-concats")
      << remark::add("{0} concatenations share one tensor",
                     std::to_string(chain.size()));
  for (const Concat &concat : chain)
    for (tensor::InsertSliceOp part : llvm::reverse(concat.parts))
      part->erase();
}

namespace {

struct ShareConcats : dlc::impl::ShareConcatsBase<ShareConcats> {
  void runOnOperation() override {
    auto &dominance = getAnalysis<DominanceInfo>();
    SmallVector<Chain> chains;
    getOperation()->walk([&](tensor::InsertSliceOp op) {
      std::optional<Concat> concat = findConcat(op);
      if (!concat)
        return;
      auto *chain = llvm::find_if(chains, [&](const Chain &chain) {
        Operation *first = chain.front().getLast();
        return first->getBlock() == op->getBlock() &&
               extends(*concat, chain.back()) &&
               isReadBefore(chain.back().getResult(), op) &&
               llvm::all_of(concat->base.getDynamicSizes(), [&](Value size) {
                 return dominance.properlyDominates(size, first);
               });
      });
      if (chain == chains.end())
        chain = &chains.emplace_back();
      chain->push_back(*concat);
    });
    OpBuilder b(&getContext());
    for (const Chain &chain : chains)
      if (chain.size() > 1)
        share(chain, b);
  }
};

} // namespace
