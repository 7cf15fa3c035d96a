// Derives from @main the function that computes the sizes of its results.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_DERIVESHAPES
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// Where the dimensions of each tensor begin in an array of all of them, and
/// at the end how many there are.
static SmallVector<int64_t> getStarts(TypeRange tensors) {
  SmallVector<int64_t> starts{0};
  // Sequences and maps have no dimensions.
  for (Type type : tensors) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    starts.push_back(starts.back() + (tensor ? tensor.getRank() : 0));
  }
  return starts;
}

/// Whether it is a division by at least 1, which MLIR does not see to be pure.
static bool isSafeDivision(Operation *op) {
  if (!isa<arith::DivUIOp, arith::DivSIOp, arith::RemUIOp, arith::RemSIOp>(op))
    return false;
  auto divisor = op->getOperand(1).getDefiningOp<arith::MaxSIOp>();
  return divisor && llvm::any_of(divisor->getOperands(), [](Value x) {
           return getConstantIntValue(x).value_or(0) >= 1;
         });
}

/// Whether an op only computes with numbers, not with a tensor's elements or
/// with sequences or maps.
static bool isScalar(Operation *op) {
  auto isTensor = [](Type type) {
    return isa<ShapedType, SequenceType, MapType>(type);
  };
  return (isPure(op) || isSafeDivision(op)) && !op->getNumRegions() &&
         op->getNumResults() &&
         llvm::none_of(op->getOperandTypes(), isTensor) &&
         llvm::none_of(op->getResultTypes(), isTensor);
}

namespace {
struct DeriveShapesPass : dlc::impl::DeriveShapesBase<DeriveShapesPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal() ||
        llvm::all_of(main.getResultTypes(), [](Type type) {
          auto tensor = dyn_cast<RankedTensorType>(type);
          return !tensor || tensor.hasStaticShape();
        }))
      return;
    SmallVector<std::pair<int64_t, Value>> sizes = findSizes(main);
    derive(main, sizes);
  }

private:
  /// Computes the dynamic sizes at the end of @main, with their place among
  /// the sizes of all results. What is of no use there is dead code.
  static SmallVector<std::pair<int64_t, Value>> findSizes(func::FuncOp main) {
    Operation *returned = main.front().getTerminator();
    SmallVector<int64_t> starts = getStarts(main.getResultTypes());
    SmallVector<std::pair<int64_t, Value>> sizes;
    OpBuilder b(returned);
    for (auto [start, value] : llvm::zip(starts, returned->getOperands())) {
      auto type = dyn_cast<RankedTensorType>(value.getType());
      for (int64_t dim = 0; type && dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          sizes.emplace_back(
              start + dim,
              getValueOrCreateConstantIndexOp(
                  b, main.getLoc(), getDim(b, main.getLoc(), value, dim)));
    }
    return sizes;
  }

  void derive(func::FuncOp main, ArrayRef<std::pair<int64_t, Value>> sizes) {
    SmallVector<int64_t> starts = getStarts(main.getArgumentTypes());
    OpBuilder b(main->getContext());
    auto arrayOf = [&](int64_t count) {
      return MemRefType::get({count}, b.getI64Type());
    };
    b.setInsertionPointAfter(main);
    auto shapes = func::FuncOp::create(
        b, main.getLoc(), "shapes",
        b.getFunctionType({arrayOf(starts.back()),
                           arrayOf(getStarts(main.getResultTypes()).back())},
                          {}));
    shapes->setAttr("llvm.bareptr", b.getUnitAttr());
    b.setInsertionPointToStart(shapes.addEntryBlock());

    IRMapping mapping;
    for (Operation &op : main.front()) {
      Location loc = op.getLoc();
      if (auto dim = dyn_cast<tensor::DimOp>(op)) {
        auto argument = dyn_cast<BlockArgument>(dim.getSource());
        std::optional<int64_t> index = dim.getConstantIndex();
        if (!argument || !index)
          continue;
        Value at = arith::ConstantIndexOp::create(
            b, loc, starts[argument.getArgNumber()] + *index);
        Value size = memref::LoadOp::create(b, loc, shapes.getArgument(0), at);
        mapping.map(dim.getResult(),
                    arith::IndexCastOp::create(b, loc, b.getIndexType(), size));
      } else if (isScalar(&op) && llvm::all_of(op.getOperands(), [&](Value v) {
                   return mapping.contains(v);
                 })) {
        b.clone(op, mapping);
      }
    }
    for (auto [place, size] : sizes) {
      Location loc = main.getLoc();
      Value known = mapping.lookupOrNull(size);
      Value stored =
          known ? arith::IndexCastOp::create(b, loc, b.getI64Type(), known)
                      .getResult()
                : arith::ConstantIntOp::create(b, loc, -1, 64).getResult();
      Value at = arith::ConstantIndexOp::create(b, loc, place);
      memref::StoreOp::create(b, loc, stored, shapes.getArgument(1), at);
    }
    func::ReturnOp::create(b, main.getLoc());
  }
};
} // namespace
