// What the scores of a softmax are masked with by position becomes a tensor of
// its own, so that the rest goes into the product's epilogue.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_SEPARATEMASKS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// The product whose sums `op` reads, element by element; null for none.
static OpOperand *findProduct(linalg::GenericOp op) {
  if (!op.hasIndexSemantics() || op->getNumResults() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity() ||
      llvm::range_size(op->getUses()) < 2 ||
      llvm::none_of(op->getUsers(), [](Operation *user) {
        auto reduction = dyn_cast<linalg::LinalgOp>(user);
        return reduction && reduction.getNumReductionLoops();
      }))
    return nullptr;
  for (OpOperand *operand : op.getDpsInputOperands())
    if (operand->get().getDefiningOp<ContractOp>() &&
        operand->get().hasOneUse() &&
        op.getMatchingIndexingMap(operand).isIdentity())
      return operand;
  return nullptr;
}

namespace {

/// Takes one op apart.
class MaskSeparation {
public:
  MaskSeparation(linalg::GenericOp op, OpOperand *product)
      : op(op), b(op.getLoc(), op) {
    DenseSet<Value> known{op.getMatchingBlockArgument(product)};
    for (Operation &inner : op.getBody()->without_terminator())
      if (llvm::any_of(inner.getOperands(),
                       [&](Value x) { return known.contains(x); })) {
        dependent.insert(&inner);
        known.insert(inner.result_begin(), inner.result_end());
      }
  }

  bool run() {
    SetVector<Value> masks;
    for (Operation *inner : dependent) {
      // A region would hide what it reads.
      if (inner->getNumRegions() || isa<linalg::IndexOp>(inner))
        return false;
      for (Value operand : inner->getOperands()) {
        Operation *maker = operand.getDefiningOp();
        if (maker && maker->getBlock() == op.getBody() &&
            !dependent.contains(maker) &&
            !maker->hasTrait<OpTrait::ConstantLike>())
          masks.insert(operand);
      }
    }
    if (masks.empty() || !llvm::all_of(masks, [](Value mask) {
          return isa<FloatType>(mask.getType()) || mask.getType().isInteger(1);
        }))
      return false;
    for (Value mask : masks)
      separate(mask);
    return true;
  }

private:
  /// Makes a tensor of `mask`, which `op` reads instead.
  void separate(Value mask) {
    SetVector<Operation *> slice;
    llvm::SmallBitVector used(op.getNumLoops());
    SetVector<OpOperand *> inputs;
    std::function<void(Value)> collect = [&](Value value) {
      if (auto argument = dyn_cast<BlockArgument>(value);
          argument && argument.getOwner() == op.getBody()) {
        OpOperand *input = &op->getOpOperand(argument.getArgNumber());
        inputs.insert(input);
        for (unsigned dim = 0; dim < used.size(); ++dim)
          if (op.getMatchingIndexingMap(input).isFunctionOfDim(dim))
            used.set(dim);
        return;
      }
      Operation *maker = value.getDefiningOp();
      if (!maker || maker->getBlock() != op.getBody() || slice.contains(maker))
        return;
      if (auto index = dyn_cast<linalg::IndexOp>(maker))
        used.set(index.getDim());
      for (Value operand : maker->getOperands())
        collect(operand);
      slice.insert(maker); // behind what it reads
    };
    collect(mask);

    // The loops that it depends on.
    SmallVector<AffineExpr> dims(used.size(), b.getAffineConstantExpr(0)), read;
    SmallVector<OpFoldResult> sizes;
    SmallVector<OpFoldResult> all =
        tensor::getMixedSizes(b, b.getLoc(), op.getDpsInits()[0]);
    for (unsigned dim : used.set_bits()) {
      dims[dim] = b.getAffineDimExpr(sizes.size());
      read.push_back(b.getAffineDimExpr(dim));
      sizes.push_back(all[dim]);
    }
    unsigned rank = sizes.size();
    SmallVector<Value> operands;
    SmallVector<AffineMap> maps;
    for (OpOperand *input : inputs) {
      operands.push_back(input->get());
      maps.push_back(op.getMatchingIndexingMap(input).replaceDimsAndSymbols(
          dims, {}, rank, 0));
    }
    maps.push_back(b.getMultiDimIdentityMap(rank));
    Value empty = tensor::EmptyOp::create(b, sizes, mask.getType());
    auto made = linalg::GenericOp::create(
        b, empty.getType(), operands, empty, maps,
        SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
        [&](OpBuilder &inner, Location loc, ValueRange arguments) {
          IRMapping mapping;
          for (auto [input, argument] : llvm::zip(inputs, arguments))
            mapping.map(op.getMatchingBlockArgument(input), argument);
          for (Operation *maker : slice) {
            if (auto index = dyn_cast<linalg::IndexOp>(maker)) {
              unsigned dim =
                  cast<AffineDimExpr>(dims[index.getDim()]).getPosition();
              mapping.map(index.getResult(),
                          linalg::IndexOp::create(inner, loc, dim).getResult());
              continue;
            }
            inner.clone(*maker, mapping);
          }
          linalg::YieldOp::create(inner, loc, mapping.lookup(mask));
        });

    unsigned place = op.getNumDpsInputs();
    maps.assign(op.getIndexingMapsArray());
    maps.insert(maps.begin() + place,
                AffineMap::get(op.getNumLoops(), 0, read, b.getContext()));
    op.getInputsMutable().append(made.getResult(0));
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
    Value argument =
        op.getBody()->insertArgument(place, mask.getType(), op.getLoc());
    mask.replaceUsesWithIf(argument, [&](OpOperand &use) {
      return dependent.contains(use.getOwner());
    });
  }

  linalg::GenericOp op;
  ImplicitLocOpBuilder b;
  SetVector<Operation *> dependent; // on the product
};

struct SeparateMasksPass : dlc::impl::SeparateMasksBase<SeparateMasksPass> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : ops)
      if (OpOperand *product = findProduct(op))
        if (MaskSeparation(op, product).run())
          (void)runRegionDCE(rewriter, op->getRegions());
  }
};

} // namespace
