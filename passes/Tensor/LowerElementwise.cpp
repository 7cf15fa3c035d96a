// Elementwise ops -> one linalg.generic each; linalg's fusion then merges
// chains of them.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

/// Repeats `operand` at run time along the dimensions that may be 1 where the
/// result's are not.
static Value broadcastAtRunTime(OpBuilder &builder, Location loc, Value operand,
                                ArrayRef<OpFoldResult> sizes) {
  auto type = cast<RankedTensorType>(operand.getType());
  return createFromIndices(
      builder, loc, sizes, type.getElementType(),
      [&](OpBuilder &b, Location loc, ValueRange indices) -> Value {
        Value zero = arith::ConstantIndexOp::create(b, loc, 0);
        Value one = arith::ConstantIndexOp::create(b, loc, 1);
        SmallVector<Value> at;
        size_t skipped = indices.size() - type.getRank();
        for (int64_t i = 0; i < type.getRank(); ++i) {
          Value size = b.createOrFold<tensor::DimOp>(loc, operand, i);
          Value isOne = b.createOrFold<arith::CmpIOp>(
              loc, arith::CmpIPredicate::eq, size, one);
          at.push_back(b.createOrFold<arith::SelectOp>(loc, isOne, zero,
                                                       indices[skipped + i]));
        }
        return tensor::ExtractOp::create(b, loc, operand, at);
      });
}

namespace {

struct LowerElementwise : OpInterfaceConversionPattern<ElementwiseOp> {
  using OpInterfaceConversionPattern::OpInterfaceConversionPattern;

  LogicalResult
  matchAndRewrite(ElementwiseOp op, ArrayRef<Value> operands,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op->getLoc();
    auto type = cast<RankedTensorType>(
        getTypeConverter()->convertType(op->getResult(0).getType()));
    bool isUnsigned =
        getElementTypeOrSelf(op->getOperands().back()).isUnsignedInteger();
    SmallVector<Value> originals(op->getOperands());
    SmallVector<OpFoldResult> sizes = broadcastSizes(rewriter, loc, originals);

    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    for (auto [original, converted] : llvm::zip(originals, operands)) {
      Value operand = converted;
      auto operandType = cast<RankedTensorType>(operand.getType());
      int64_t skipped = type.getRank() - operandType.getRank();
      SmallVector<AffineExpr> exprs;
      bool mayRepeat = false;
      for (int64_t i = 0; i < operandType.getRank(); ++i) {
        OpFoldResult wanted = sizes[skipped + i];
        if (operandType.getDimSize(i) == 1 && !isConstantIntValue(wanted, 1)) {
          exprs.push_back(rewriter.getAffineConstantExpr(0));
          continue;
        }
        exprs.push_back(rewriter.getAffineDimExpr(skipped + i));
        OpFoldResult size = getDim(rewriter, loc, original, i);
        if (areEqualSizes(size, wanted))
          continue;
        mayRepeat = true;
        Value have = getValueOrCreateConstantIndexOp(rewriter, loc, size);
        Value want = getValueOrCreateConstantIndexOp(rewriter, loc, wanted);
        Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
        Value fits = arith::OrIOp::create(
            rewriter, loc,
            arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::eq, have,
                                  want),
            arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::eq, have,
                                  one));
        createCheck(rewriter, loc, fits, "expected operands that broadcast");
      }
      if (mayRepeat) {
        operand = broadcastAtRunTime(rewriter, loc, operand, sizes);
        exprs.clear();
        for (int64_t i = 0; i < type.getRank(); ++i)
          exprs.push_back(rewriter.getAffineDimExpr(i));
      }
      inputs.push_back(operand);
      maps.push_back(
          AffineMap::get(type.getRank(), 0, exprs, rewriter.getContext()));
    }
    maps.push_back(rewriter.getMultiDimIdentityMap(type.getRank()));
    SmallVector<utils::IteratorType> iterators(type.getRank(),
                                               utils::IteratorType::parallel);
    Value empty = createEmpty(rewriter, loc, sizes, type.getElementType());
    Value result =
        linalg::GenericOp::create(
            rewriter, loc, empty.getType(), inputs, empty, maps, iterators,
            [&](OpBuilder &b, Location loc, ValueRange args) {
              linalg::YieldOp::create(
                  b, loc, buildWide(b, loc, op, args.drop_back(), isUnsigned));
            })
            .getResult(0);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }

  /// The scalar expression; floats of fewer than 32 bits are computed in f32
  /// and rounded after each op, as the definition (numpy) does.
  static Value buildWide(OpBuilder &b, Location loc, ElementwiseOp op,
                         ValueRange args, bool isUnsigned) {
    Type resultType = getElementTypeOrSelf(op->getResult(0).getType());
    // A choice between stored elements computes nothing.
    if (isa<SelectOp>(op))
      return op.buildScalar(b, loc, args, isUnsigned);
    SmallVector<Value> wide;
    for (auto [arg, operand] : llvm::zip(args, op->getOperands())) {
      Value element =
          loadElement(b, loc, arg, getElementTypeOrSelf(operand.getType()));
      Type computeType = getComputeType(element.getType());
      wide.push_back(
          computeType == element.getType()
              ? element
              : Value(arith::ExtFOp::create(b, loc, computeType, element)));
    }
    Value result = op.buildScalar(b, loc, wide, isUnsigned);
    if (isSmallType(resultType))
      return storeElement(b, loc, result, resultType);
    if (result.getType() != getSignlessType(resultType))
      result = arith::TruncFOp::create(b, loc, resultType, result);
    return result;
  }
};

} // namespace

void dlc::populateElementwiseLowering(const TypeConverter &converter,
                                      RewritePatternSet &patterns) {
  patterns.add<LowerElementwise>(converter, patterns.getContext());
}
