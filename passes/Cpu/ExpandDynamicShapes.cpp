// memref.expand_shape with several dynamic sizes in a group, by their sizes.

#include "passes/Cpu/Passes.h"
#include "dialects/Dlc/Dims.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_EXPANDDYNAMICSHAPES
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

namespace {

struct ExpandDynamicShapesPass
    : dlc::impl::ExpandDynamicShapesBase<ExpandDynamicShapesPass> {
  void runOnOperation() override {
    SmallVector<memref::ExpandShapeOp> found;
    getOperation().walk([&](memref::ExpandShapeOp op) {
      for (const ReassociationIndices &group : op.getReassociationIndices())
        if (llvm::count_if(group, [&](int64_t i) {
              return op.getResultType().isDynamicDim(i);
            }) > 1) {
          found.push_back(op);
          return;
        }
    });
    for (memref::ExpandShapeOp op : found)
      expand(op);
  }

  /// The stride of the last dimension of a group is that of the source's.
  static void expand(memref::ExpandShapeOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    auto source = memref::ExtractStridedMetadataOp::create(b, loc, op.getSrc());
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
    SmallVector<OpFoldResult> strides(sizes.size());
    auto [resultStrides, resultOffset] =
        op.getResultType().getStridesAndOffset();
    for (auto [i, group] : llvm::enumerate(op.getReassociationIndices())) {
      OpFoldResult stride = source.getConstifiedMixedStrides()[i];
      for (int64_t dim : llvm::reverse(group)) {
        strides[dim] = stride;
        stride = dlc::mulSizes(b, loc, stride, sizes[dim]);
      }
    }
    // Static where the result's type says so, and nowhere else.
    auto match = [&](OpFoldResult value, int64_t wanted) -> OpFoldResult {
      if (ShapedType::isStatic(wanted))
        return b.getIndexAttr(wanted);
      if (std::optional<int64_t> constant = getConstantIntValue(value))
        return arith::ConstantIndexOp::create(b, loc, *constant).getResult();
      return value;
    };
    for (auto [stride, wanted] : llvm::zip(strides, resultStrides))
      stride = match(stride, wanted);
    for (auto [size, wanted] :
         llvm::zip(sizes, op.getResultType().getShape()))
      size = match(size, wanted);
    OpFoldResult offset =
        match(source.getConstifiedMixedOffset(), resultOffset);
    Value result = memref::ReinterpretCastOp::create(
        b, loc, op.getResultType(), source.getBaseBuffer(), offset, sizes,
        strides);
    op.replaceAllUsesWith(result);
    op.erase();
  }
};

} // namespace
