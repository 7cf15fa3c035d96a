// matmul and conv -> dlc.contract; pool -> linalg.generic. Padding becomes an
// explicit padded buffer, into which the producer writes.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Tensor/IntegerContraction.h"
#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

/// The type in which products are summed.
static Type getSumType(Type resultType) { return getComputeType(resultType); }

/// A contraction without an epilogue but the rounding to its result's type.
static Value createContract(OpBuilder &b, Location loc, Value lhs, Value rhs,
                            ArrayRef<OpFoldResult> sizes, Type element,
                            ArrayRef<AffineMap> maps, bool lhsUnsigned,
                            bool rhsUnsigned) {
  Value empty = createEmpty(b, loc, sizes, element);
  auto op = ContractOp::create(b, loc, lhs, rhs, /*extras=*/ValueRange(), empty,
                               maps, lhsUnsigned, rhsUnsigned);
  OpBuilder::InsertionGuard guard(b);
  Type sumType = getSumType(element);
  Block *block = b.createBlock(&op.getEpilogue(), {}, sumType, loc);
  Value sum = block->getArgument(0);
  if (sumType != element)
    sum = arith::TruncFOp::create(b, loc, element, sum);
  YieldOp::create(b, loc, sum);
  return op.getResult();
}

static bool isUnsigned(Value value) {
  return getElementTypeOrSelf(value).isUnsignedInteger();
}

/// The contraction of a dlc.matmul or dlc.conv.
template <typename OpTy, typename Adaptor>
static Value contract(OpBuilder &b, OpTy op, Adaptor adaptor, Value lhs,
                      Value rhs, ArrayRef<OpFoldResult> sizes, Type element,
                      ArrayRef<AffineMap> maps, ByteKind bytes,
                      int64_t group = 1) {
  Value left = op->getOperand(0), right = op->getOperand(1);
  bool areBytes = element.isInteger(32) &&
                  getElementTypeOrSelf(lhs).isInteger(8) &&
                  getElementTypeOrSelf(rhs).isInteger(8);
  if (!areBytes)
    return createContract(b, op.getLoc(), lhs, rhs, sizes, element, maps,
                          isUnsigned(left), isUnsigned(right));
  IntegerContraction integers{lhs,
                              rhs,
                              isUnsigned(left),
                              isUnsigned(right),
                              Value(),
                              Value(),
                              Value(),
                              Value(),
                              llvm::to_vector(maps),
                              llvm::to_vector(sizes)};
  if (!op.getZeros().empty()) {
    integers.lhsZero = op.getZeros()[0];
    integers.rhsZero = op.getZeros()[1];
    integers.lhsZeroBytes = adaptor.getZeros()[0];
    integers.rhsZeroBytes = adaptor.getZeros()[1];
    auto type = cast<RankedTensorType>(integers.rhsZeroBytes.getType());
    if (group != 1 && type.getRank() == 1)
      integers.rhsZeroBytes = createReshape(
          b, op.getLoc(), integers.rhsZeroBytes,
          {b.getIndexAttr(group), b.getIndexAttr(type.getDimSize(0) / group)});
  }
  return createIntegerContraction(b, op.getLoc(), integers, bytes);
}

/// `x` in a border of `value`: low and high amounts of each dimension.
static Value padWith(OpBuilder &b, Location loc, Value original, Value x,
                     ArrayRef<int64_t> low, ArrayRef<int64_t> high,
                     Value value) {
  if (llvm::all_of(low, [](int64_t n) { return n == 0; }) &&
      llvm::all_of(high, [](int64_t n) { return n == 0; }))
    return x;
  SmallVector<OpFoldResult> inner = getDims(b, loc, original), sizes, offsets,
                            behind;
  for (auto [i, size] : llvm::enumerate(inner)) {
    sizes.push_back(addSizes(b, loc, size, b.getIndexAttr(low[i] + high[i])));
    offsets.push_back(b.getIndexAttr(low[i]));
    behind.push_back(b.getIndexAttr(high[i]));
  }
  SmallVector<OpFoldResult> strides(inner.size(), b.getIndexAttr(1));
  Value border = createBorder(b, loc, sizes, offsets, inner, behind, value);
  // Not even nothing can be inserted into what has no element.
  if (llvm::any_of(sizes, [](OpFoldResult size) {
        return getConstantIntValue(size) == 0;
      }))
    return border;
  return tensor::InsertSliceOp::create(b, loc, showSizes(b, loc, x, inner),
                                       border, offsets, inner, strides);
}

/// Padding of the spatial dimensions of `[n, spatial..., c]`.
static Value padSpatial(OpBuilder &b, Location loc, Value original, Value x,
                        ArrayRef<int64_t> pads, Value value) {
  size_t spatial = pads.size() / 2;
  SmallVector<int64_t> low{0}, high{0};
  llvm::append_range(low, pads.take_front(spatial));
  llvm::append_range(high, pads.take_back(spatial));
  low.push_back(0);
  high.push_back(0);
  return padWith(b, loc, original, x, low, high, value);
}

/// Fails the run where a window is larger than the padded input by more than
/// what gives no element.
static void checkWindow(OpBuilder &b, Location loc, OpFoldResult size,
                        int64_t kernel, int64_t stride, int64_t dilation,
                        int64_t padding) {
  int64_t more = padding - ((kernel - 1) * dilation + 1) + stride;
  if (getConstantIntValue(size) || more >= 0)
    return;
  Value least = arith::ConstantIndexOp::create(b, loc, -more);
  createCheck(b, loc,
              arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                    cast<Value>(size), least),
              "expected an input, with its padding, that is no smaller than "
              "the window");
}

/// The contraction reads what a transpose reads: `map` with its results in the
/// other order, and `operand` replaced.
static AffineMap readThroughTranspose(ConversionPatternRewriter &b,
                                      Value original, AffineMap map,
                                      Value &operand) {
  auto transpose = original.getDefiningOp<TransposeOp>();
  if (!transpose)
    return map;
  Value source = b.getRemappedValue(transpose.getX());
  if (!source)
    return map;
  SmallVector<AffineExpr> exprs(map.getNumResults());
  for (auto [i, dim] : llvm::enumerate(transpose.getPermutation()))
    exprs[dim] = map.getResult(i);
  operand = source;
  return AffineMap::get(map.getNumDims(), 0, exprs, b.getContext());
}

namespace {

struct LowerMatMul : OpConversionPattern<MatMulOp> {
  LowerMatMul(const TypeConverter &converter, MLIRContext *context,
              ByteKind bytes)
      : OpConversionPattern(converter, context), bytes(bytes) {}
  ByteKind bytes;

  LogicalResult
  matchAndRewrite(MatMulOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    int64_t rank = type.getRank(), batch = rank - 2;
    // Iteration space: batch..., m, n, k.
    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getResult());
    auto mapOf = [&](Value original, AffineExpr row,
                     AffineExpr column) -> AffineMap {
      auto operandType = cast<RankedTensorType>(original.getType());
      int64_t skipped = rank - operandType.getRank();
      SmallVector<AffineExpr> exprs;
      for (int64_t i = 0; i < operandType.getRank() - 2; ++i) {
        OpFoldResult size = getDim(rewriter, loc, original, i);
        bool repeats = operandType.getDimSize(i) == 1 &&
                       !isConstantIntValue(sizes[skipped + i], 1);
        if (!repeats)
          createEqualCheck(rewriter, loc, size, sizes[skipped + i],
                           "expected matrices with equal batch dimensions");
        exprs.push_back(repeats ? rewriter.getAffineConstantExpr(0)
                                : rewriter.getAffineDimExpr(skipped + i));
      }
      exprs.push_back(row);
      exprs.push_back(column);
      return AffineMap::get(rank + 1, 0, exprs, rewriter.getContext());
    };
    AffineExpr m = rewriter.getAffineDimExpr(batch);
    AffineExpr n = rewriter.getAffineDimExpr(batch + 1);
    AffineExpr k = rewriter.getAffineDimExpr(batch + 2);
    auto rankOf = [](Value v) {
      return cast<RankedTensorType>(v.getType()).getRank();
    };
    OpFoldResult kl =
        getDim(rewriter, loc, op.getLhs(), rankOf(op.getLhs()) - 1);
    OpFoldResult kr =
        getDim(rewriter, loc, op.getRhs(), rankOf(op.getRhs()) - 2);
    createEqualCheck(
        rewriter, loc, kl, kr,
        "expected as many columns on the left as rows on the right");
    Value lhs = adaptor.getLhs(), rhs = adaptor.getRhs();
    SmallVector<AffineMap> maps{
        readThroughTranspose(rewriter, op.getLhs(), mapOf(op.getLhs(), m, k),
                             lhs),
        readThroughTranspose(rewriter, op.getRhs(), mapOf(op.getRhs(), k, n),
                             rhs),
        rewriter.getMultiDimIdentityMap(rank + 1).dropResult(rank)};
    Value result = contract(rewriter, op, adaptor, lhs, rhs, sizes,
                            type.getElementType(), maps, bytes);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

/// With groups, the last dimension of weights and result is taken apart into
/// `[group, m / group]`; with one input channel a group (depthwise) the group
/// is a batch dimension of its own.
struct LowerConv : OpConversionPattern<ConvOp> {
  LowerConv(const TypeConverter &converter, MLIRContext *context,
            ByteKind bytes)
      : OpConversionPattern(converter, context), bytes(bytes) {}
  ByteKind bytes;

  LogicalResult
  matchAndRewrite(ConvOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    Value weights = adaptor.getWeights();
    auto weightsType = cast<RankedTensorType>(weights.getType());
    int64_t spatial = type.getRank() - 2, group = op.getGroup();
    int64_t channels = weightsType.getDimSize(spatial);
    int64_t columns = weightsType.getDimSize(spatial + 1);
    if (group != 1 &&
        (ShapedType::isDynamic(channels) || ShapedType::isDynamic(columns)))
      return op.emitError("expected weights of static shape for a grouped "
                          "convolution, found ")
             << weightsType;
    OpFoldResult groups = rewriter.getIndexAttr(group);
    createEqualCheck(rewriter, loc,
                     getDim(rewriter, loc, op.getX(), spatial + 1),
                     mulSizes(rewriter, loc, groups,
                              getDim(rewriter, loc, op.getWeights(), spatial)),
                     "expected as many channels as the weights have");
    for (int64_t i = 0; i < spatial; ++i)
      checkWindow(rewriter, loc, getDim(rewriter, loc, op.getX(), 1 + i),
                  weightsType.getDimSize(i), op.getStrides()[i],
                  op.getDilations()[i],
                  op.getPads()[i] + op.getPads()[spatial + i]);
    Value zero = op.getZeros().empty()
                     ? createScalar(rewriter, loc,
                                    getElementTypeOrSelf(adaptor.getX()), 0)
                     : Value(tensor::ExtractOp::create(
                           rewriter, loc, adaptor.getZeros()[0], ValueRange()));
    Value x = padSpatial(rewriter, loc, op.getX(), adaptor.getX(), op.getPads(),
                         zero);

    SmallVector<OpFoldResult> sizes = getDims(rewriter, loc, op.getResult());
    SmallVector<int64_t> strides(op.getStrides()), dilations(op.getDilations());
    // A line is a map of one line, of which the convolution may take any form.
    bool isLine = spatial == 1 && type.getElementType().isF32();
    if (isLine) {
      auto insertLine = [&](Value value, int64_t at) {
        SmallVector<OpFoldResult> shape = getDims(rewriter, loc, value);
        shape.insert(shape.begin() + at, rewriter.getIndexAttr(1));
        return createReshape(rewriter, loc, value, shape);
      };
      x = insertLine(x, 1);
      weights = insertLine(weights, 0);
      weightsType = cast<RankedTensorType>(weights.getType());
      sizes.insert(sizes.begin() + 1, rewriter.getIndexAttr(1));
      strides.insert(strides.begin(), 1);
      dilations.insert(dilations.begin(), 1);
      spatial = 2;
    }

    // Iteration space: n, output..., [group,] column, kernel..., channel.
    bool grouped = group != 1;
    int64_t groupDim = 1 + spatial, columnDim = groupDim + grouped;
    int64_t kernelDim = columnDim + 1, channelDim = kernelDim + spatial;
    int64_t dims = channelDim + 1;
    auto dim = [&](int64_t i) { return rewriter.getAffineDimExpr(i); };
    SmallVector<AffineExpr> xExprs{dim(0)}, wExprs, yExprs{dim(0)};
    for (int64_t i = 0; i < spatial; ++i) {
      xExprs.push_back(dim(1 + i) * strides[i] +
                       dim(kernelDim + i) * dilations[i]);
      wExprs.push_back(dim(kernelDim + i));
      yExprs.push_back(dim(1 + i));
    }
    xExprs.push_back(grouped ? dim(groupDim) * channels + dim(channelDim)
                             : dim(channelDim));
    wExprs.push_back(dim(channelDim));
    if (grouped) {
      SmallVector<OpFoldResult> apart =
          getAsIndexOpFoldResult(rewriter.getContext(), weightsType.getShape());
      apart.back() = rewriter.getIndexAttr(group);
      apart.push_back(rewriter.getIndexAttr(columns / group));
      weights = createReshape(rewriter, loc, weights, apart);
      wExprs.push_back(dim(groupDim));
      yExprs.push_back(dim(groupDim));
      sizes.back() = rewriter.getIndexAttr(group);
      sizes.push_back(rewriter.getIndexAttr(columns / group));
    }
    wExprs.push_back(dim(columnDim));
    yExprs.push_back(dim(columnDim));
    auto map = [&](ArrayRef<AffineExpr> exprs) {
      return AffineMap::get(dims, 0, exprs, rewriter.getContext());
    };
    Value result = contract(
        rewriter, op, adaptor, x, weights, sizes, type.getElementType(),
        {map(xExprs), map(wExprs), map(yExprs)}, bytes, group);
    if (grouped || isLine) {
      SmallVector<ReassociationIndices> whole;
      for (int64_t i = 0; i <= groupDim; ++i) {
        if (isLine && i == 1)
          whole.back().push_back(i);
        else
          whole.push_back({i});
      }
      if (grouped)
        whole.back().push_back(columnDim);
      result = tensor::CollapseShapeOp::create(rewriter, loc, result, whole);
    }
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

struct LowerPool : OpConversionPattern<PoolOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(PoolOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    Type element = type.getElementType();
    bool isMax = op.getKind() == PoolKind::Max;
    bool unsignedElements = isUnsigned(op.getX());
    int64_t spatial = type.getRank() - 2;
    for (int64_t i = 0; i < spatial; ++i)
      checkWindow(rewriter, loc, getDim(rewriter, loc, op.getX(), 1 + i),
                  op.getKernel()[i], op.getStrides()[i], op.getDilations()[i],
                  op.getPads()[i] + op.getPads()[spatial + i]);
    Value neutral;
    if (auto floatType = dyn_cast<FloatType>(element); floatType && isMax)
      neutral = arith::ConstantOp::create(
          rewriter, loc,
          rewriter.getFloatAttr(
              element,
              llvm::APFloat::getInf(floatType.getFloatSemantics(), true)));
    else if (isMax && !unsignedElements)
      neutral = arith::ConstantOp::create(
          rewriter, loc,
          rewriter.getIntegerAttr(
              element,
              llvm::APInt::getSignedMinValue(element.getIntOrFloatBitWidth())));
    else
      neutral = createScalar(rewriter, loc, element, 0);
    Value init = createFilled(rewriter, loc,
                              getDims(rewriter, loc, op.getResult()), neutral);
    // The last of no windows lies before the input, where linalg's ops may not
    // read.
    if (llvm::is_contained(type.getShape(), 0)) {
      rewriter.replaceOp(op, castTo(rewriter, loc, init, type));
      return success();
    }
    Value x = padSpatial(rewriter, loc, op.getX(), adaptor.getX(), op.getPads(),
                         neutral);

    // Iteration space: n, output..., kernel..., c: channels innermost.
    int64_t dims = 2 + 2 * spatial;
    auto dim = [&](int64_t i) { return rewriter.getAffineDimExpr(i); };
    SmallVector<AffineExpr> xExprs{dim(0)}, windowExprs, yExprs{dim(0)};
    for (int64_t i = 0; i < spatial; ++i) {
      xExprs.push_back(dim(1 + i) * op.getStrides()[i] +
                       dim(1 + spatial + i) * op.getDilations()[i]);
      windowExprs.push_back(dim(1 + spatial + i));
      yExprs.push_back(dim(1 + i));
    }
    xExprs.push_back(dim(dims - 1));
    yExprs.push_back(dim(dims - 1));
    auto map = [&](ArrayRef<AffineExpr> exprs) {
      return AffineMap::get(dims, 0, exprs, rewriter.getContext());
    };
    SmallVector<AffineMap> maps{map(xExprs), map(windowExprs), map(yExprs)};
    SmallVector<utils::IteratorType> iterators(dims,
                                               utils::IteratorType::parallel);
    for (int64_t i = 0; i < spatial; ++i)
      iterators[1 + spatial + i] = utils::IteratorType::reduction;
    // Only its shape is used.
    Value window = createEmpty(
        rewriter, loc,
        getAsIndexOpFoldResult(rewriter.getContext(), op.getKernel()), element);
    auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
      Value value = args[0], acc = args[2], next;
      if (isa<FloatType>(element))
        next = isMax ? Value(arith::MaximumFOp::create(b, loc, acc, value))
                     : Value(arith::AddFOp::create(b, loc, acc, value));
      else if (!isMax)
        next = arith::AddIOp::create(b, loc, acc, value);
      else if (unsignedElements)
        next = arith::MaxUIOp::create(b, loc, acc, value);
      else
        next = arith::MaxSIOp::create(b, loc, acc, value);
      linalg::YieldOp::create(b, loc, next);
    };
    Value result = linalg::GenericOp::create(
                       rewriter, loc, init.getType(), ValueRange{x, window},
                       ValueRange{init}, maps, iterators, body)
                       .getResult(0);
    rewriter.replaceOp(op, castTo(rewriter, loc, result, type));
    return success();
  }
};

} // namespace

void dlc::populateContractionLowering(const TypeConverter &converter,
                                      RewritePatternSet &patterns,
                                      ByteKind bytes) {
  patterns.add<LowerMatMul, LowerConv>(converter, patterns.getContext(), bytes);
  patterns.add<LowerPool>(converter, patterns.getContext());
}
