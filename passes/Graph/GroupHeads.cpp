// Products with keys or values that are repeated for each head of a group
// become products of one more dimension, and nothing is repeated.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/Graph/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_GROUPHEADS
#include "passes/Graph/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr StringLiteral kPass = "dlc-group-heads";

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool hasOneElement(Value value) {
  return llvm::all_of(typeOf(value).getShape(),
                      [](int64_t size) { return size == 1; });
}

namespace {

/// Heads of keys, and how many of queries each of them has.
struct Groups {
  int64_t count = 0, size = 0;
  bool operator==(const Groups &other) const {
    return count == other.count && size == other.size;
  }
};

class HeadGrouping {
public:
  explicit HeadGrouping(MLIRContext *context) : b(context) {}

  void visit(Operation *op) {
    b.setInsertionPoint(op);
    if (auto product = dyn_cast<MatMulOp>(op))
      return groupProduct(product);
    if (isa<SoftmaxOp, CastOp, ElementwiseOp>(op))
      follow(op);
  }

private:
  /// The operand of `op` that has its elements, if the others are numbers.
  static Value findSource(Operation *op) {
    if (isa<CastOp, TransposeOp>(op))
      return op->getOperand(0);
    Value source;
    if (!isa<ElementwiseOp>(op) || op->getNumResults() != 1)
      return source;
    for (Value operand : op->getOperands()) {
      if (hasOneElement(operand) && typeOf(operand).getRank() <= 1)
        continue;
      if (source)
        return {};
      source = operand;
    }
    return source;
  }

  /// What is repeated, [b, heads, 1, n, d], behind what is computed with each
  /// element; null for nothing.
  Value findRepeated(Value value, Groups &groups) {
    Operation *op = value.getDefiningOp();
    if (!op || typeOf(value).getRank() != 4)
      return {};
    if (auto transpose = dyn_cast<TransposeOp>(op))
      if (!transpose.getPermutation().take_front(2).equals({0, 1}))
        return {};
    auto reshape = dyn_cast<ReshapeOp>(op);
    if (!reshape) {
      Value source = findSource(op);
      return source && typeOf(source).getRank() == 4
                 ? findRepeated(source, groups)
                 : Value();
    }
    auto broadcast = reshape.getX().getDefiningOp<BroadcastOp>();
    if (!broadcast || typeOf(broadcast).getRank() != 5 ||
        typeOf(broadcast.getX()).getRank() != 5)
      return {};
    ArrayRef<int64_t> from = typeOf(broadcast.getX()).getShape(),
                      repeated = typeOf(broadcast).getShape();
    groups = {repeated[1], repeated[2]};
    if (ShapedType::isDynamic(groups.count) ||
        ShapedType::isDynamic(groups.size) || from[1] != groups.count ||
        from[2] != 1 || groups.size < 2 ||
        typeOf(value).getDimSize(1) != groups.count * groups.size)
      return {};
    // The other dimensions stay.
    for (auto [four, five] : {std::pair(0, 0), {2, 3}, {3, 4}})
      if (!areEqual(value, four, reshape.getX(), five) ||
          !areEqual(broadcast.getX(), five, reshape.getX(), five))
        return {};
    return broadcast.getX();
  }

  bool areEqual(Value x, int64_t dimX, Value y, int64_t dimY) {
    int64_t sizeX = typeOf(x).getDimSize(dimX),
            sizeY = typeOf(y).getDimSize(dimY);
    if (!ShapedType::isDynamic(sizeX) || !ShapedType::isDynamic(sizeY))
      return sizeX == sizeY;
    return areEqualSizes(getDim(b, x.getLoc(), x, dimX),
                         getDim(b, y.getLoc(), y, dimY));
  }

  /// `value` for one head of each group, [b, heads, 1, ...].
  Value buildShared(Value value, Value repeated) {
    if (value.getDefiningOp<ReshapeOp>())
      return repeated;
    Operation *op = value.getDefiningOp();
    Value source = findSource(op), shared = buildShared(source, repeated);
    if (auto transpose = dyn_cast<TransposeOp>(op)) {
      SmallVector<int64_t> permutation{0, 1, 2};
      for (int64_t dim : transpose.getPermutation().drop_front(2))
        permutation.push_back(dim + 1);
      return TransposeOp::create(b, op->getLoc(), shared, permutation);
    }
    IRMapping mapping;
    mapping.map(source, shared);
    return cloneAs(op, mapping, typeOf(shared).getShape());
  }

  Value cloneAs(Operation *op, IRMapping &mapping, ArrayRef<int64_t> shape) {
    Operation *copy = b.clone(*op, mapping);
    copy->getResult(0).setType(typeOf(op->getResult(0)).clone(shape));
    return copy->getResult(0);
  }

  /// Dimension 1 of four, or 0 of three, as two; null where that is none of
  /// heads. What broadcasts along them may stay.
  Value split(Value x, Groups groups) {
    if (auto found = grouped.find(x); found != grouped.end())
      return found->second.second == groups ? found->second.first : Value();
    RankedTensorType type = typeOf(x);
    int64_t rank = type.getRank();
    if (hasOneElement(x))
      return ReshapeOp::create(b, x.getLoc(),
                               RankedTensorType::get({}, type.getElementType()),
                               x, ValueRange());
    if (rank < 3)
      return x;
    int64_t heads = type.getDimSize(rank - 3);
    if (rank > 4 || (heads != 1 && heads != groups.count * groups.size))
      return {};
    if (heads == 1 && (rank == 3 || type.getDimSize(0) == 1))
      return x;
    SmallVector<OpFoldResult> sizes = getDims(b, x.getLoc(), x);
    sizes[rank - 3] = b.getIndexAttr(heads == 1 ? 1 : groups.count);
    sizes.insert(sizes.begin() + rank - 2,
                 b.getIndexAttr(heads == 1 ? 1 : groups.size));
    return reshape(x, sizes);
  }

  Value reshape(Value x, ArrayRef<OpFoldResult> sizes) {
    SmallVector<int64_t> shape;
    for (OpFoldResult size : sizes)
      shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
    return ReshapeOp::create(b, x.getLoc(), typeOf(x).clone(shape), x,
                             getDynamicSizes(sizes));
  }

  /// Puts `five`, with its heads in groups, in the place of `op`.
  void replace(Operation *op, Value five, Groups groups) {
    Value old = op->getResult(0);
    Value merged = reshape(five, getDims(b, op->getLoc(), old));
    if (merged.getType() != old.getType())
      merged.setType(old.getType());
    old.replaceAllUsesWith(merged);
    grouped[merged] = {five, groups};
  }

  static SmallVector<int64_t> groupedShape(Value four, Groups groups) {
    SmallVector<int64_t> shape(typeOf(four).getShape());
    shape[1] = groups.count;
    shape.insert(shape.begin() + 2, groups.size);
    return shape;
  }

  /// Q x repeated K -> (Q in groups) x K
  void groupProduct(MatMulOp op) {
    Groups groups;
    if (!op.getZeros().empty() || typeOf(op.getLhs()).getRank() != 4 ||
        typeOf(op.getLhs()).getDimSize(0) != typeOf(op).getDimSize(0))
      return;
    Value repeated = findRepeated(op.getRhs(), groups);
    if (!repeated ||
        typeOf(op.getLhs()).getDimSize(1) != groups.count * groups.size)
      return;
    Value left = split(op.getLhs(), groups);
    if (!left)
      return;
    Value right = buildShared(op.getRhs(), repeated);
    auto type = typeOf(op).clone(groupedShape(op.getResult(), groups));
    remarkDone(op.getLoc(), kPass) << remark::add(
        "{0} heads share what one of {1} reads", groups.size, groups.count);
    replace(op,
            MatMulOp::create(b, op.getLoc(), type, left, right, ValueRange()),
            groups);
  }

  /// What is computed of grouped heads is computed in groups.
  void follow(Operation *op) {
    const std::pair<Value, Groups> *found = nullptr;
    for (Value operand : op->getOperands())
      if (auto it = grouped.find(operand); it != grouped.end())
        found = &it->second;
    if (!found || op->getNumResults() != 1 ||
        typeOf(op->getResult(0)).getRank() != 4)
      return;
    Groups groups = found->second;
    if (auto softmax = dyn_cast<SoftmaxOp>(op);
        softmax && softmax.getAxis() < 2)
      return;
    if (typeOf(op->getResult(0)).getDimSize(1) != groups.count * groups.size)
      return;
    IRMapping mapping;
    for (Value operand : op->getOperands()) {
      Value five = split(operand, groups);
      if (!five)
        return;
      mapping.map(operand, five);
    }
    Value five = cloneAs(op, mapping, groupedShape(op->getResult(0), groups));
    if (auto softmax = five.getDefiningOp<SoftmaxOp>())
      softmax.setAxis(softmax.getAxis() + 1);
    replace(op, five, groups);
  }

  IRRewriter b;
  DenseMap<Value, std::pair<Value, Groups>> grouped; // by the merged value
};

struct GroupHeadsPass : dlc::impl::GroupHeadsBase<GroupHeadsPass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<MatMulOp, SoftmaxOp, CastOp, ElementwiseOp>(op))
        ops.push_back(op);
    });
    HeadGrouping grouping(&getContext());
    for (Operation *op : ops)
      grouping.visit(op);
  }
};

} // namespace
