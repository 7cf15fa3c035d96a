// Ops that move elements without computing: reshape, broadcast, transpose,
// concat, slice, pad, gather.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

static Value asValue(OpBuilder &b, Location loc, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(b, loc, size);
}

/// The factors of a product of sizes: constants are multiplied to `constant`.
static void addFactors(OpFoldResult size, SmallVectorImpl<Value> &factors,
                       int64_t &constant) {
  if (std::optional<int64_t> known = getConstantIntValue(size)) {
    constant *= *known;
    return;
  }
  Value value = cast<Value>(size);
  if (auto product = value.getDefiningOp<arith::MulIOp>()) {
    addFactors(product.getLhs(), factors, constant);
    addFactors(product.getRhs(), factors, constant);
    return;
  }
  factors.push_back(value);
}

/// Checks in the run that two shapes have as many elements, where their
/// factors do not prove it. Scalar arithmetic only.
static void checkElementCount(OpBuilder &b, Location loc,
                              ArrayRef<OpFoldResult> from,
                              ArrayRef<OpFoldResult> to) {
  SmallVector<Value> have, want;
  int64_t haveConstant = 1, wantConstant = 1;
  for (OpFoldResult size : from)
    addFactors(size, have, haveConstant);
  for (OpFoldResult size : to)
    addFactors(size, want, wantConstant);
  llvm::erase_if(have, [&](Value factor) {
    auto same = llvm::find_if(
        want, [&](Value other) { return areEqualSizes(factor, other); });
    if (same == want.end())
      return false;
    want.erase(same);
    return true;
  });
  if (have.empty() && want.empty() && haveConstant == wantConstant)
    return;
  // Of all factors: one that both have may be 0.
  auto multiply = [&](ArrayRef<OpFoldResult> sizes) {
    OpFoldResult product = b.getIndexAttr(1);
    for (OpFoldResult size : sizes)
      product = mulSizes(b, loc, product, size);
    return product;
  };
  createEqualCheck(b, loc, multiply(from), multiply(to),
                   "expected a shape with as many elements as the operand");
  // Nor do two negative sizes make one.
  Value signs;
  for (Value factor : want)
    signs = signs ? b.createOrFold<arith::OrIOp>(loc, signs, factor) : factor;
  if (!signs)
    return;
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  createCheck(b, loc,
              b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::sge,
                                            signs, zero),
              "expected sizes of 0 or more");
}

namespace {

struct LowerReshape : OpConversionPattern<ReshapeOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ReshapeOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    SmallVector<OpFoldResult> sizes = getMixedValues(
        op.getType().getShape(), adaptor.getDynamicSizes(), rewriter);
    checkElementCount(rewriter, op.getLoc(),
                      getDims(rewriter, op.getLoc(), op.getX()),
                      getDims(rewriter, op.getLoc(), op.getResult()));
    Value result = createReshape(rewriter, op.getLoc(), adaptor.getX(), sizes);
    rewriter.replaceOp(op,
                       castTo(rewriter, op.getLoc(), result,
                              getTypeConverter()->convertType(op.getType())));
    return success();
  }
};

/// Repetition is a map with constant 0, or index arithmetic where an operand
/// dimension is 1 or not only at run time.
struct LowerBroadcast : OpConversionPattern<BroadcastOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(BroadcastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value x = adaptor.getX();
    auto from = cast<RankedTensorType>(x.getType());
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    SmallVector<OpFoldResult> sizes =
        getMixedValues(type.getShape(), adaptor.getDynamicSizes(), rewriter);
    int64_t skipped = type.getRank() - from.getRank();
    Value result = createFromIndices(
        rewriter, loc, sizes, type.getElementType(),
        [&](OpBuilder &b, Location loc, ValueRange indices) -> Value {
          Value zero = arith::ConstantIndexOp::create(b, loc, 0);
          Value one = arith::ConstantIndexOp::create(b, loc, 1);
          SmallVector<Value> at;
          for (int64_t i = 0; i < from.getRank(); ++i) {
            Value size = b.createOrFold<tensor::DimOp>(loc, x, i);
            Value isOne = b.createOrFold<arith::CmpIOp>(
                loc, arith::CmpIPredicate::eq, size, one);
            at.push_back(b.createOrFold<arith::SelectOp>(loc, isOne, zero,
                                                         indices[skipped + i]));
          }
          return tensor::ExtractOp::create(b, loc, x, at);
        });
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

struct LowerTranspose : OpConversionPattern<TransposeOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(TransposeOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getX());
    Value x = showSizes(rewriter, loc, adaptor.getX(), sizes);
    sizes =
        applyPermutation(ArrayRef<OpFoldResult>(sizes), op.getPermutation());
    Value empty = createEmpty(rewriter, loc, sizes, getElementTypeOrSelf(x));
    Value result = linalg::TransposeOp::create(rewriter, loc, x, empty,
                                               op.getPermutation())
                       ->getResult(0);
    rewriter.replaceOp(op,
                       castTo(rewriter, loc, result,
                              getTypeConverter()->convertType(op.getType())));
    return success();
  }
};

/// An empty tensor into which each operand is inserted.
struct LowerConcat : OpConversionPattern<ConcatOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ConcatOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    int64_t axis = op.getAxis(), rank = type.getRank();
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getResult());
    Value result = createEmpty(rewriter, loc, sizes, type.getElementType());
    bool isEmpty = llvm::is_contained(
        cast<RankedTensorType>(result.getType()).getShape(), 0);
    OpFoldResult position = rewriter.getIndexAttr(0);
    SmallVector<OpFoldResult> strides(rank, rewriter.getIndexAttr(1));
    for (auto [original, input] :
         llvm::zip(op.getInputs(), adaptor.getInputs())) {
      // Nothing can be inserted behind the last element.
      if (llvm::is_contained(cast<RankedTensorType>(input.getType()).getShape(),
                             0))
        continue;
      for (int64_t i = 0; i < rank; ++i)
        if (i != axis)
          createEqualCheck(rewriter, loc, getDim(rewriter, loc, original, i),
                           sizes[i],
                           "expected parts of equal sizes but along the axis");
      if (isEmpty)
        continue;
      SmallVector<OpFoldResult> partSizes = sizes;
      partSizes[axis] = getDim(rewriter, loc, original, axis);
      Value part = showSizes(rewriter, loc, input, partSizes);
      SmallVector<OpFoldResult> offsets(rank, rewriter.getIndexAttr(0));
      offsets[axis] = position;
      result = tensor::InsertSliceOp::create(rewriter, loc, part, result,
                                             offsets, partSizes, strides);
      position = addSizes(rewriter, loc, position, partSizes[axis]);
    }
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

struct LowerSlice : OpConversionPattern<SliceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(SliceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    SmallVector<OpFoldResult> offsets =
        getMixedValues(op.getStaticOffsets(), adaptor.getOffsets(), rewriter);
    SmallVector<OpFoldResult> sizes =
        getMixedValues(op.getStaticSizes(), adaptor.getSizes(), rewriter);
    Value x = adaptor.getX(), result;
    bool isEmpty = llvm::is_contained(type.getShape(), 0);
    for (auto [offset, size] :
         llvm::zip(op.getStaticOffsets(),
                   cast<RankedTensorType>(x.getType()).getShape()))
      isEmpty |= ShapedType::isStatic(offset) && ShapedType::isStatic(size) &&
                 offset >= size;
    if (isEmpty) {
      // An offset behind the last element is no slice for `tensor`.
      result = createEmpty(rewriter, loc, sizes, type.getElementType());
    } else if (llvm::all_of(op.getStrides(), [](int64_t s) { return s > 0; })) {
      SmallVector<OpFoldResult> strides =
          getAsIndexOpFoldResult(rewriter.getContext(), op.getStrides());
      result = tensor::ExtractSliceOp::create(rewriter, loc, x, offsets, sizes,
                                              strides);
    } else {
      result = createFromIndices(
          rewriter, loc, sizes, type.getElementType(),
          [&](OpBuilder &b, Location loc, ValueRange indices) -> Value {
            SmallVector<Value> at;
            for (auto [i, index] : llvm::enumerate(indices)) {
              Value stride =
                  arith::ConstantIndexOp::create(b, loc, op.getStrides()[i]);
              Value step = b.createOrFold<arith::MulIOp>(loc, index, stride);
              at.push_back(b.createOrFold<arith::AddIOp>(
                  loc, asValue(b, loc, offsets[i]), step));
            }
            return tensor::ExtractOp::create(b, loc, x, at);
          });
    }
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

/// The mode `constant` fills the borders and lets the producer write into the
/// middle; the others read the element that a border position stands for.
struct LowerPad : OpConversionPattern<PadOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(PadOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value x = adaptor.getX();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    SmallVector<OpFoldResult> low =
        getMixedValues(op.getStaticLow(), adaptor.getLow(), rewriter);
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getResult());
    SmallVector<OpFoldResult> inner = getDims(rewriter, loc, op.getX());
    Value result;
    if (op.getMode() == PadMode::Constant) {
      Value scalar = tensor::ExtractOp::create(
          rewriter, loc, adaptor.getValue(), ValueRange());
      SmallVector<OpFoldResult> high =
          getMixedValues(op.getStaticHigh(), adaptor.getHigh(), rewriter);
      Value border =
          createBorder(rewriter, loc, sizes, low, inner, high, scalar);
      SmallVector<OpFoldResult> strides(type.getRank(),
                                        rewriter.getIndexAttr(1));
      x = showSizes(rewriter, loc, x, inner);
      // Not even nothing can be inserted into what has no element.
      bool isEmpty = llvm::is_contained(type.getShape(), 0);
      result = isEmpty ? border
                       : Value(tensor::InsertSliceOp::create(
                             rewriter, loc, x, border, low, inner, strides));
    } else {
      result = createFromIndices(
          rewriter, loc, sizes, type.getElementType(),
          [&](OpBuilder &b, Location loc, ValueRange indices) -> Value {
            SmallVector<Value> at;
            for (auto [i, index] : llvm::enumerate(indices)) {
              Value shifted = b.createOrFold<arith::SubIOp>(
                  loc, index, asValue(b, loc, low[i]));
              at.push_back(source(b, loc, shifted, asValue(b, loc, inner[i]),
                                  op.getMode()));
            }
            return tensor::ExtractOp::create(b, loc, x, at);
          });
    }
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }

  /// The position in [0, size) that `index` (negative before it, or size and
  /// more behind it) stands for.
  static Value source(OpBuilder &b, Location loc, Value index, Value size,
                      PadMode mode) {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value last = b.createOrFold<arith::SubIOp>(loc, size, one);
    if (mode == PadMode::Edge) {
      Value above = b.createOrFold<arith::MaxSIOp>(loc, index, zero);
      return b.createOrFold<arith::MinSIOp>(loc, above, last);
    }
    // Modulo the period: size, or 2 * (size - 1) for reflection.
    Value period = size;
    if (mode == PadMode::Reflect)
      period = b.createOrFold<arith::MaxSIOp>(
          loc, b.createOrFold<arith::AddIOp>(loc, last, last), one);
    Value rem = b.createOrFold<arith::RemSIOp>(loc, index, period);
    Value isNegative = b.createOrFold<arith::CmpIOp>(
        loc, arith::CmpIPredicate::slt, rem, zero);
    Value moved = b.createOrFold<arith::AddIOp>(loc, rem, period);
    rem = b.createOrFold<arith::SelectOp>(loc, isNegative, moved, rem);
    if (mode == PadMode::Wrap)
      return rem;
    Value mirrored = b.createOrFold<arith::SubIOp>(loc, period, rem);
    return b.createOrFold<arith::MinSIOp>(loc, rem, mirrored);
  }
};

/// Indices count from the end where negative, and are clamped to the axis, so
/// that a wrong one never reads outside.
struct LowerGather : OpConversionPattern<GatherOp> {
  using OpConversionPattern::OpConversionPattern;

  /// Indices outside are an error: here where all is known, else in the run.
  static LogicalResult checkIndices(GatherOp op, Value chosen,
                                    ConversionPatternRewriter &rewriter) {
    Location loc = op.getLoc();
    OpFoldResult extent = getDim(rewriter, loc, op.getX(), op.getAxis());
    std::optional<int64_t> known = getConstantIntValue(extent);
    DenseElementsAttr constant;
    if (known && matchPattern(op.getIndices(), m_Constant(&constant))) {
      for (APInt index : constant.getValues<APInt>())
        if (index.getSExtValue() < -*known || index.getSExtValue() >= *known)
          return op.emitError("expected an index from ")
                 << -*known << " to " << *known - 1 << ", found "
                 << index.getSExtValue();
      return success();
    }
    // Numbers of 8 bits reach no further than 256.
    auto source = op.getIndices().getDefiningOp<CastOp>();
    Type from = source ? getElementTypeOrSelf(source.getX()) : Type();
    if (known && *known >= 256 && from && isa<IntegerType>(from) &&
        from.getIntOrFloatBitWidth() <= 8)
      return success();
    Value size = getValueOrCreateConstantIndexOp(rewriter, loc, extent);
    Value twice = rewriter.createOrFold<arith::AddIOp>(loc, size, size);
    auto type = cast<RankedTensorType>(chosen.getType());
    AffineMap all = rewriter.getMultiDimIdentityMap(type.getRank());
    AffineMap none = AffineMap::get(type.getRank(), 0, {}, op.getContext());
    Value init =
        createFilled(rewriter, loc, {},
                     createScalar(rewriter, loc, rewriter.getI1Type(), 1));
    SmallVector<utils::IteratorType> iterators(type.getRank(),
                                               utils::IteratorType::reduction);
    auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
      Value index =
          arith::IndexCastOp::create(b, loc, b.getIndexType(), args[0]);
      Value shifted = arith::AddIOp::create(b, loc, index, size);
      Value inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                           shifted, twice);
      inside = arith::AndIOp::create(b, loc, args[1], inside);
      linalg::YieldOp::create(b, loc, inside);
    };
    Value inside = linalg::GenericOp::create(
                       rewriter, loc, init.getType(), chosen, init,
                       ArrayRef<AffineMap>{all, none}, iterators, body)
                       .getResult(0);
    createCheck(rewriter, loc,
                tensor::ExtractOp::create(rewriter, loc, inside, ValueRange()),
                "expected indices inside the operand, found one outside",
                kValueStatus);
    return success();
  }

  /// The numbers of 8 bits that `op` looks up in a table of 256; null if it
  /// does something else.
  static Value findBytes(GatherOp op, OpAdaptor adaptor) {
    auto table = cast<RankedTensorType>(adaptor.getX().getType());
    auto source = op.getIndices().getDefiningOp<CastOp>();
    if (table.getShape() != ArrayRef<int64_t>{256} || !source ||
        !isa<IntegerType>(getElementTypeOrSelf(source.getX())) ||
        getElementTypeOrSelf(source.getX()).getIntOrFloatBitWidth() != 8)
      return {};
    return source.getX();
  }

  LogicalResult
  matchAndRewrite(GatherOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getResult());
    Value x = adaptor.getX(), chosen = adaptor.getIndices();
    int64_t axis = op.getAxis(), rank = type.getRank();
    if (Value bytes = findBytes(op, adaptor)) {
      // Negative ones stand behind the others, so that a byte is its position.
      Value empty = createEmpty(rewriter, loc, sizes, type.getElementType());
      AffineMap all = rewriter.getMultiDimIdentityMap(rank);
      auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
        Value at =
            arith::IndexCastUIOp::create(b, loc, b.getIndexType(), args[0]);
        linalg::YieldOp::create(
            b, loc,
            ValueRange{tensor::ExtractOp::create(b, loc, x, ValueRange(at))});
      };
      Value result =
          linalg::GenericOp::create(rewriter, loc, empty.getType(),
                                    rewriter.getRemappedValue(bytes), empty,
                                    ArrayRef<AffineMap>{all, all},
                                    SmallVector<utils::IteratorType>(
                                        rank, utils::IteratorType::parallel),
                                    body)
              .getResult(0);
      rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
      return success();
    }
    if (failed(checkIndices(op, chosen, rewriter)))
      return failure();
    int64_t indexRank = cast<RankedTensorType>(chosen.getType()).getRank();
    SmallVector<AffineExpr> exprs;
    for (int64_t i = 0; i < indexRank; ++i)
      exprs.push_back(rewriter.getAffineDimExpr(axis + i));
    SmallVector<AffineMap> maps{
        AffineMap::get(rank, 0, exprs, rewriter.getContext()),
        rewriter.getMultiDimIdentityMap(rank)};
    SmallVector<utils::IteratorType> iterators(rank,
                                               utils::IteratorType::parallel);
    Value empty = createEmpty(rewriter, loc, sizes, type.getElementType());
    auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
      SmallVector<Value> at;
      for (int64_t i = 0; i < axis; ++i)
        at.push_back(linalg::IndexOp::create(b, loc, i));
      Value index =
          arith::IndexCastOp::create(b, loc, b.getIndexType(), args[0]);
      Value size = b.createOrFold<tensor::DimOp>(loc, x, axis);
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      Value isNegative =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, index, zero);
      Value fromEnd = arith::AddIOp::create(b, loc, index, size);
      index = arith::SelectOp::create(b, loc, isNegative, fromEnd, index);
      Value last = b.createOrFold<arith::SubIOp>(loc, size, one);
      index = arith::MinSIOp::create(b, loc, index, last);
      at.push_back(arith::MaxSIOp::create(b, loc, index, zero));
      for (int64_t i = axis + indexRank; i < rank; ++i)
        at.push_back(linalg::IndexOp::create(b, loc, i));
      Value element = tensor::ExtractOp::create(b, loc, x, at);
      linalg::YieldOp::create(b, loc, element);
    };
    Value result =
        linalg::GenericOp::create(rewriter, loc, empty.getType(), chosen, empty,
                                  maps, iterators, body)
            .getResult(0);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

} // namespace

void dlc::populateShapeLowering(const TypeConverter &converter,
                                RewritePatternSet &patterns) {
  patterns.add<LowerReshape, LowerBroadcast, LowerTranspose, LowerConcat,
               LowerSlice, LowerPad, LowerGather>(converter,
                                                  patterns.getContext());
}
