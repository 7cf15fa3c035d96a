// Reductions, arg-reductions and softmax.

#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

/// The value that changes nothing when combined: 0, 1, lowest or highest.
static Value neutralElement(OpBuilder &b, Location loc, ReduceKind kind,
                            Type type, bool isUnsigned) {
  if (kind == ReduceKind::Sum)
    return createScalar(b, loc, type, 0);
  if (kind == ReduceKind::Prod)
    return createScalar(b, loc, type, 1);
  bool isMax = kind == ReduceKind::Max;
  TypedAttr attr;
  if (auto floatType = dyn_cast<FloatType>(type)) {
    attr = b.getFloatAttr(
        type, llvm::APFloat::getInf(floatType.getFloatSemantics(), isMax));
  } else {
    unsigned width = type.getIntOrFloatBitWidth();
    // Of i1, false is the lower value.
    bool zeroIsLowest = isUnsigned || width == 1;
    llvm::APInt low = zeroIsLowest ? llvm::APInt::getZero(width)
                                   : llvm::APInt::getSignedMinValue(width);
    llvm::APInt high = zeroIsLowest ? llvm::APInt::getMaxValue(width)
                                    : llvm::APInt::getSignedMaxValue(width);
    attr = b.getIntegerAttr(type, isMax ? low : high);
  }
  return arith::ConstantOp::create(b, loc, attr);
}

static Value combine(OpBuilder &b, Location loc, ReduceKind kind, Value acc,
                     Value x, bool isUnsigned) {
  Type type = x.getType();
  bool isFloat = isa<FloatType>(type);
  // The order of additions is ours to choose, so that LLVM may vectorise.
  auto reassoc = arith::FastMathFlagsAttr::get(b.getContext(),
                                               arith::FastMathFlags::reassoc);
  switch (kind) {
  case ReduceKind::Sum:
    if (isFloat)
      return arith::AddFOp::create(b, loc, acc, x, reassoc);
    return arith::AddIOp::create(b, loc, acc, x);
  case ReduceKind::Prod:
    if (isFloat)
      return arith::MulFOp::create(b, loc, acc, x, reassoc);
    return arith::MulIOp::create(b, loc, acc, x);
  case ReduceKind::Max:
    if (isFloat)
      return arith::MaximumFOp::create(b, loc, acc, x);
    return isUnsigned || type.isInteger(1)
               ? Value(arith::MaxUIOp::create(b, loc, acc, x))
               : Value(arith::MaxSIOp::create(b, loc, acc, x));
  case ReduceKind::Min:
    if (isFloat)
      return arith::MinimumFOp::create(b, loc, acc, x);
    return isUnsigned || type.isInteger(1)
               ? Value(arith::MinUIOp::create(b, loc, acc, x))
               : Value(arith::MinSIOp::create(b, loc, acc, x));
  }
  llvm_unreachable("all kinds are handled");
}

/// Reduces `x` along `axes`, which disappear. Floats of fewer than 32 bits are
/// combined in f32; `prepare` is applied to each element before.
static Value reduceAway(OpBuilder &b, Location loc, ReduceKind kind, Value x,
                        ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> axes,
                        bool isUnsigned) {
  auto type = cast<RankedTensorType>(x.getType());
  Type compute = getComputeType(type.getElementType());
  int64_t rank = type.getRank();
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  SmallVector<AffineExpr> kept;
  SmallVector<OpFoldResult> keptSizes;
  for (int64_t i = 0; i < rank; ++i) {
    if (llvm::is_contained(axes, i)) {
      iterators[i] = utils::IteratorType::reduction;
      continue;
    }
    kept.push_back(b.getAffineDimExpr(i));
    keptSizes.push_back(sizes[i]);
  }
  Value init = createFilled(b, loc, keptSizes,
                            neutralElement(b, loc, kind, compute, isUnsigned));
  SmallVector<AffineMap> maps{b.getMultiDimIdentityMap(rank),
                              AffineMap::get(rank, 0, kept, b.getContext())};
  return linalg::GenericOp::create(
             b, loc, init.getType(), x, init, maps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               Value element = args[0];
               if (element.getType() != compute)
                 element = arith::ExtFOp::create(b, loc, compute, element);
               linalg::YieldOp::create(
                   b, loc, combine(b, loc, kind, args[1], element, isUnsigned));
             })
      .getResult(0);
}

/// A parallel linalg.generic; operand i has the dimensions `dims[i]` of the
/// result.
static Value
mapElements(OpBuilder &b, Location loc, ValueRange operands,
            ArrayRef<SmallVector<int64_t>> dims, ArrayRef<OpFoldResult> sizes,
            Type element,
            function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  SmallVector<AffineMap> maps;
  for (ArrayRef<int64_t> of : dims) {
    SmallVector<AffineExpr> exprs;
    for (int64_t dim : of)
      exprs.push_back(b.getAffineDimExpr(dim));
    maps.push_back(AffineMap::get(sizes.size(), 0, exprs, b.getContext()));
  }
  maps.push_back(b.getMultiDimIdentityMap(sizes.size()));
  Value empty = createEmpty(b, loc, sizes, element);
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, empty.getType(), operands, empty, maps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(b, loc, body(b, loc, args.drop_back()));
             })
      .getResult(0);
}

namespace {

struct LowerReduce : OpConversionPattern<ReduceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ReduceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    bool isUnsigned = getElementTypeOrSelf(op.getX()).isUnsignedInteger();
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getX());
    Value reduced = reduceAway(rewriter, loc, op.getKind(), adaptor.getX(),
                               sizes, op.getAxes(), isUnsigned);
    SmallVector<OpFoldResult> resultSizes = sizes;
    for (int64_t axis : op.getAxes())
      resultSizes[axis] = rewriter.getIndexAttr(1);
    if (getElementTypeOrSelf(reduced) != type.getElementType()) {
      SmallVector<OpFoldResult> kept;
      for (int64_t i = 0; i < type.getRank(); ++i)
        if (!llvm::is_contained(op.getAxes(), i))
          kept.push_back(sizes[i]);
      reduced = mapElements(
          rewriter, loc, reduced,
          SmallVector<int64_t>(
              llvm::to_vector(llvm::seq<int64_t>(0, kept.size()))),
          kept, type.getElementType(),
          [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
            return arith::TruncFOp::create(b, loc, type.getElementType(),
                                           args[0]);
          });
    }
    Value result = createReshape(rewriter, loc, reduced, resultSizes);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

/// A reduction over pairs (value, index); of equal values the first or the
/// last stays.
struct LowerArgReduce : OpConversionPattern<ArgReduceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ArgReduceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value x = adaptor.getX();
    auto xType = cast<RankedTensorType>(x.getType());
    Type element = xType.getElementType();
    bool isUnsigned = getElementTypeOrSelf(op.getX()).isUnsignedInteger();
    int64_t rank = xType.getRank(), axis = op.getAxis();
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getX());
    SmallVector<OpFoldResult> kept = sizes;
    kept.erase(kept.begin() + axis);
    Value bestInit = createFilled(
        rewriter, loc, kept,
        neutralElement(rewriter, loc, op.getKind(), element, isUnsigned));
    Value indexInit =
        createFilled(rewriter, loc, kept,
                     createScalar(rewriter, loc, rewriter.getI64Type(), -1));
    SmallVector<AffineExpr> exprs;
    SmallVector<utils::IteratorType> iterators(rank,
                                               utils::IteratorType::parallel);
    iterators[axis] = utils::IteratorType::reduction;
    for (int64_t i = 0; i < rank; ++i)
      if (i != axis)
        exprs.push_back(rewriter.getAffineDimExpr(i));
    AffineMap keptMap = AffineMap::get(rank, 0, exprs, rewriter.getContext());
    SmallVector<AffineMap> maps{rewriter.getMultiDimIdentityMap(rank), keptMap,
                                keptMap};
    bool isMax = op.getKind() == ReduceKind::Max;
    auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
      Value value = args[0], best = args[1], bestIndex = args[2];
      Value index = arith::IndexCastOp::create(
          b, loc, b.getI64Type(), linalg::IndexOp::create(b, loc, axis));
      Value better;
      if (isa<FloatType>(element)) {
        auto predicate = op.getSelectLast()
                             ? (isMax ? arith::CmpFPredicate::OGE
                                      : arith::CmpFPredicate::OLE)
                             : (isMax ? arith::CmpFPredicate::OGT
                                      : arith::CmpFPredicate::OLT);
        better = arith::CmpFOp::create(b, loc, predicate, value, best);
        // The first NaN wins, as in numpy.
        Value isNan = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO,
                                            value, value);
        Value wasNumber = arith::CmpFOp::create(
            b, loc, arith::CmpFPredicate::ORD, best, best);
        better = arith::OrIOp::create(
            b, loc, better, arith::AndIOp::create(b, loc, isNan, wasNumber));
      } else {
        bool zeroIsLowest = isUnsigned || element.isInteger(1);
        arith::CmpIPredicate predicate;
        if (op.getSelectLast())
          predicate = zeroIsLowest ? (isMax ? arith::CmpIPredicate::uge
                                            : arith::CmpIPredicate::ule)
                                   : (isMax ? arith::CmpIPredicate::sge
                                            : arith::CmpIPredicate::sle);
        else
          predicate = zeroIsLowest ? (isMax ? arith::CmpIPredicate::ugt
                                            : arith::CmpIPredicate::ult)
                                   : (isMax ? arith::CmpIPredicate::sgt
                                            : arith::CmpIPredicate::slt);
        better = arith::CmpIOp::create(b, loc, predicate, value, best);
      }
      // The first element wins against the neutral one even when equal to it.
      Value isFirst =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, bestIndex,
                                createScalar(b, loc, b.getI64Type(), 0));
      better = arith::OrIOp::create(b, loc, better, isFirst);
      SmallVector<Value> results{
          arith::SelectOp::create(b, loc, better, value, best),
          arith::SelectOp::create(b, loc, better, index, bestIndex)};
      linalg::YieldOp::create(b, loc, results);
    };
    Value indices =
        linalg::GenericOp::create(
            rewriter, loc, TypeRange{bestInit.getType(), indexInit.getType()},
            ValueRange{x}, ValueRange{bestInit, indexInit}, maps, iterators,
            body)
            .getResult(1);
    SmallVector<OpFoldResult> resultSizes = sizes;
    resultSizes[axis] = rewriter.getIndexAttr(1);
    Value result = createReshape(rewriter, loc, indices, resultSizes);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, op.getType()));
    return success();
  }
};

/// A maximum of a row for its softmax may be any where there is NaN in the row,
/// since then the sum of exponentials is NaN.
static void ignoreNan(Value max) {
  if (auto reduction = max.getDefiningOp<linalg::GenericOp>())
    for (auto op : reduction.getBody()->getOps<arith::MaximumFOp>())
      op.setFastmath(arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
}

/// Marks what is computed of the sum of a row.
static void markRowOp(Value value) {
  if (Operation *op = value.getDefiningOp())
    op->setAttr(kSoftmaxAttr, UnitAttr::get(op->getContext()));
}

/// Four passes over a row: maximum, exponentials, sum, quotient.
struct LowerSoftmax : OpConversionPattern<SoftmaxOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(SoftmaxOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value x = adaptor.getX();
    auto type = cast<RankedTensorType>(x.getType());
    Type element = type.getElementType(), compute = getComputeType(element);
    int64_t axis = op.getAxis();
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getX());
    SmallVector<int64_t> all =
        llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
    SmallVector<int64_t> kept = all;
    kept.erase(kept.begin() + axis);
    SmallVector<OpFoldResult> keptSizes = sizes;
    keptSizes.erase(keptSizes.begin() + axis);

    Value max = reduceAway(rewriter, loc, ReduceKind::Max, x, sizes, axis,
                           /*isUnsigned=*/false);
    ignoreNan(max);
    auto shifted = [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
      Value value = args[0];
      if (compute != element)
        value = arith::ExtFOp::create(b, loc, compute, value);
      return arith::SubFOp::create(b, loc, value, args[1]);
    };
    Value exps =
        mapElements(rewriter, loc, {x, max},
                    ArrayRef<SmallVector<int64_t>>{all, kept}, sizes, compute,
                    [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
                      auto exp =
                          math::ExpOp::create(b, loc, shifted(b, loc, args));
                      exp->setAttr(kSoftmaxAttr, b.getUnitAttr());
                      return exp;
                    });
    Value sum = reduceAway(rewriter, loc, ReduceKind::Sum, exps, sizes, axis,
                           /*isUnsigned=*/false);
    auto narrow = [&](OpBuilder &b, Location loc, Value value) -> Value {
      if (compute != element)
        value = arith::TruncFOp::create(b, loc, element, value);
      return value;
    };
    Value result;
    if (op.getLogarithm()) {
      Value logSum = mapElements(
          rewriter, loc, sum,
          SmallVector<int64_t>(
              llvm::to_vector(llvm::seq<int64_t>(0, kept.size()))),
          keptSizes, compute,
          [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
            return math::LogOp::create(b, loc, args[0]);
          });
      markRowOp(logSum);
      result = mapElements(
          rewriter, loc, {x, max, logSum},
          ArrayRef<SmallVector<int64_t>>{all, kept, kept}, sizes, element,
          [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
            return narrow(
                b, loc,
                arith::SubFOp::create(b, loc, shifted(b, loc, args), args[2]));
          });
    } else {
      Value one = createScalar(rewriter, loc, compute, 1);
      Value inverse = mapElements(
          rewriter, loc, sum,
          SmallVector<int64_t>(
              llvm::to_vector(llvm::seq<int64_t>(0, kept.size()))),
          keptSizes, compute,
          [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
            return arith::DivFOp::create(b, loc, one, args[0]);
          });
      markRowOp(inverse);
      result = mapElements(
          rewriter, loc, {exps, inverse},
          ArrayRef<SmallVector<int64_t>>{all, kept}, sizes, element,
          [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
            return narrow(b, loc,
                          arith::MulFOp::create(b, loc, args[0], args[1]));
          });
    }
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

} // namespace

void dlc::populateReductionLowering(const TypeConverter &converter,
                                    RewritePatternSet &patterns) {
  patterns.add<LowerReduce, LowerArgReduce, LowerSoftmax>(
      converter, patterns.getContext());
}
