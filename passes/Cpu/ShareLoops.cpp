// Lets threads share the loops of linalg ops that take long.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/ReduceColumns.h"
#include "passes/Cpu/Units.h"
#include "passes/Remarks.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_SHARELOOPS
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The extent that an unknown one is taken for, and how many elements a vector
/// has, in estimates.
static constexpr int64_t kUnknownExtent = 64;
static constexpr double kLanes = 8;
/// Elements of the innermost loop come in multiples of this, so that blocks
/// begin at whole vectors and cache lines.
static constexpr int64_t kInnerStep = 64;

double dlc::estimateIteration(linalg::LinalgOp op) {
  double work = op->getNumOperands();
  op.getBlock()->walk([&](Operation *inner) {
    if (isa<math::MathDialect>(inner->getDialect()))
      work += 16;
    else if (isa<arith::DivFOp, arith::DivSIOp, arith::DivUIOp>(inner))
      work += 8;
    else if (isa<memref::LoadOp>(inner))
      work += kLanes;
    else if (!inner->hasTrait<OpTrait::ConstantLike>())
      work += 1;
  });
  return work / kLanes;
}

/// True if iterations along `dim` write to elements of their own.
static bool isShareable(linalg::LinalgOp op, unsigned dim) {
  if (op.getIteratorTypesArray()[dim] != utils::IteratorType::parallel)
    return false;
  AffineExpr expr = getAffineDimExpr(dim, op.getContext());
  return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &init) {
    AffineMap map = op.getMatchingIndexingMap(&init);
    return map.isProjectedPermutation() &&
           llvm::is_contained(map.getResults(), expr);
  });
}

/// True if the body does nothing but compute and read.
static bool onlyReads(linalg::LinalgOp op) {
  for (Operation &inner : op.getBlock()->without_terminator())
    if (!isMemoryEffectFree(&inner) && !isa<memref::LoadOp>(inner))
      return false;
  return true;
}

namespace {
/// A dimension that is split into blocks of `size`.
struct SplitDim {
  unsigned dim;
  int64_t size;
};

struct ShareLoopsPass : dlc::impl::ShareLoopsBase<ShareLoopsPass> {
  using ShareLoopsBase::ShareLoopsBase;

  void runOnOperation() override {
    SmallVector<ColumnGroup> groups;
    SmallPtrSet<Operation *, 8> parts;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (!op.hasPureBufferSemantics() || !onlyReads(op) || parts.contains(op))
        return;
      ColumnGroup group{op, {}, {}};
      if (isColumnReduction(op))
        group = ColumnGroup::find(op);
      if (group.fill)
        parts.insert(group.fill);
      parts.insert_range(group.tails);
      groups.push_back(group);
    });
    for (ColumnGroup &group : groups)
      if (!parts.contains(group.op))
        share(group);
  }

  /// Outer dimensions are split until there are enough units, and not into
  /// units that are too small.
  static SmallVector<SplitDim> choose(linalg::LinalgOp op, double &cycles) {
    SmallVector<int64_t> extents = op.getStaticLoopRanges();
    cycles = estimateIteration(op);
    for (int64_t &extent : extents) {
      if (ShapedType::isDynamic(extent))
        extent = kUnknownExtent;
      cycles *= extent;
    }
    SmallVector<SplitDim> split;
    double units = 1;
    for (auto [dim, extent] : llvm::enumerate(extents)) {
      if (units >= kWantedUnits || cycles < 2 * kUnitCycles)
        break;
      if (extent < 2 || !isShareable(op, dim))
        continue;
      double each = cycles / extent;
      int64_t step = dim + 1 == extents.size() ? kInnerStep : 1;
      int64_t size = std::min(
          extent,
          int64_t(llvm::alignTo(
              std::max<int64_t>(1, std::ceil(kUnitCycles / each)), step)));
      split.push_back({unsigned(dim), size});
      units *= llvm::divideCeil(extent, size);
      cycles = each * size;
    }
    return split;
  }

  void share(ColumnGroup &group) {
    linalg::LinalgOp op = group.op;
    double cycles;
    SmallVector<SplitDim> split = choose(op, cycles);
    if (split.empty())
      return;
    ImplicitLocOpBuilder b(op.getLoc(), op);
    // Behind what the last one reads.
    if (!group.tails.empty())
      b.setInsertionPoint(group.tails.back());
    IndexMath math(b);
    SmallVector<std::pair<Value, Value>> all = getLoopBounds(b, op);
    SmallVector<Value> extents, counts;
    for (SplitDim dim : split) {
      extents.push_back(all[dim.dim].second);
      counts.push_back(
          math.div(math.add(extents.back(), dim.size - 1), dim.size));
    }
    std::string sizes;
    for (SplitDim dim : split)
      sizes += llvm::formatv("{0}{1}", sizes.empty() ? "" : " x ", dim.size);
    bool done = emitUnits(b, counts, cycles, [&](const Unit &unit) {
      SmallVector<std::pair<Value, Value>> bounds;
      for (auto [dim, extent, index] :
           llvm::zip_equal(split, extents, unit.index)) {
        Value first = math.mul(index, math.constant(dim.size));
        bounds.push_back({first, math.min(math.add(first, dim.size), extent)});
      }
      if (isColumnReduction(op)) {
        for (auto [dim, bound] : llvm::zip_equal(split, bounds))
          all[dim.dim] = bound;
        return emitColumnReduction(b, group, all, vectorBytes);
      }
      op->moveBefore(b.getBlock(), b.getInsertionPoint());
      IRRewriter rewriter(op);
      FailureOr<linalg::LinalgLoops> loops =
          linalg::linalgOpToLoops(rewriter, op);
      for (auto [dim, bound] : llvm::zip_equal(split, bounds)) {
        auto loop = cast<scf::ForOp>((*loops)[dim.dim]);
        loop.setLowerBound(bound.first);
        loop.setUpperBound(bound.second);
      }
    });
    if (!done)
      return;
    remarkDone(op.getLoc(), "dlc-share-loops")
        << remark::add("shared by threads in {0} iterations", sizes);
    group.erase();
  }
};
} // namespace
