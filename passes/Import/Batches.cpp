// Batch dimensions of matrices that broadcast in the run only.

#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Loops.h"

using namespace mlir;
using namespace dlc;

/// `x` with these sizes, which it has or, at dimensions of size 1, repeats to:
/// x itself where it has them, a copy otherwise. What a transpose reads is
/// repeated, so that the transpose still stands at its user.
static Value repeatTo(NodeImport &node, Value x, ArrayRef<OpFoldResult> sizes) {
  if (auto transpose = x.getDefiningOp<TransposeOp>()) {
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    Elements before(sizes.size());
    for (auto [i, dim] : llvm::enumerate(permutation))
      before[dim] = sizes[i];
    return node.transpose(repeatTo(node, transpose.getX(), before),
                          permutation);
  }
  Emit e(node);
  Num isSame = e.flag(true);
  for (auto [have, want] : llvm::zip(node.dims(x), sizes))
    if (!areEqualSizes(have, want))
      isSame = isSame && e.index(have) == e.index(want);
  if (getConstantIntValue(isSame.value))
    return x;
  Type type = RankedTensorType::get(decomposeMixedValues(sizes).first,
                                    node.elementType(x));
  Value same = e.ifElse(
      isSame, type, [&] { return Emit::Values{castShape(node, x, type)}; },
      [&] { return Emit::Values{node.broadcast(x, sizes)}; })[0];
  // So that its sizes are known.
  return node.reshape(same, sizes);
}

LogicalResult NodeImport::broadcastBatches(Value &lhs, Value &rhs) {
  Emit e(*this);
  Elements left = dims(lhs), right = dims(rhs);
  size_t leftBatch = left.size() - 2, rightBatch = right.size() - 2;
  Num fits = e.flag(true);
  bool repeatsLeft = false, repeatsRight = false;
  // Aligned at the right; what one operand lacks is 1.
  for (size_t i = 1; i <= std::min(leftBatch, rightBatch); ++i) {
    OpFoldResult &l = left[leftBatch - i], &r = right[rightBatch - i];
    std::optional<int64_t> knownLeft = getConstantIntValue(l),
                           knownRight = getConstantIntValue(r);
    if (areEqualSizes(l, r) || knownLeft == 1 || knownRight == 1)
      continue;
    Num a = e.index(l), c = e.index(r);
    Num isWide = a == c;
    if (!knownLeft)
      isWide = isWide || a == 1;
    if (!knownRight)
      isWide = isWide || c == 1;
    fits = fits && isWide;
    OpFoldResult both = knownLeft ? l
                        : knownRight
                            ? r
                            : OpFoldResult(e.select(a == 1, c, a).value);
    repeatsLeft |= !knownLeft;
    repeatsRight |= !knownRight;
    l = r = both;
  }
  if (isConstantIntValue(fits.value, 0)) {
    error() << "expected batch dimensions that broadcast, found " << type(lhs)
            << " and " << type(rhs);
    return failure();
  }
  e.check(fits, "expected batch dimensions that broadcast", /*status=*/0);
  if (repeatsLeft)
    lhs = repeatTo(*this, lhs, left);
  if (repeatsRight)
    rhs = repeatTo(*this, rhs, right);
  return success(lhs && rhs);
}
