// Type inference, verification and folding of the ops that are not
// elementwise.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace dlc;

#define GET_OP_CLASSES
#include "dialects/Dlc/DlcOps.cpp.inc"

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Constants and casts
//===----------------------------------------------------------------------===//

LogicalResult ConstantOp::inferReturnTypes(MLIRContext *,
                                           std::optional<Location>,
                                           ConstantOp::Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  types.push_back(adaptor.getValue().getType());
  return success();
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

LogicalResult CastOp::verify() {
  if (typeOf(getX()).getShape() != getType().getShape())
    return emitOpError("expected a result of the operand's shape");
  return success();
}

OpFoldResult CastOp::fold(FoldAdaptor) {
  return getX().getType() == getType() ? getX() : OpFoldResult();
}

//===----------------------------------------------------------------------===//
// Shapes and layout
//===----------------------------------------------------------------------===//

/// One index operand a dynamic dimension of the result.
static LogicalResult verifyDynamicSizes(Operation *op, RankedTensorType type,
                                        ValueRange sizes) {
  if (type.getNumDynamicDims() != sizes.size())
    return op->emitOpError("expected ")
           << type.getNumDynamicDims()
           << " sizes, one a dynamic dimension of the result, found "
           << sizes.size();
  return success();
}

LogicalResult ReshapeOp::verify() {
  if (typeOf(getX()).hasStaticShape() && getType().hasStaticShape() &&
      typeOf(getX()).getNumElements() != getType().getNumElements())
    return emitOpError("expected as many elements as the operand's ")
           << typeOf(getX()).getNumElements() << ", found "
           << getType().getNumElements();
  return verifyDynamicSizes(*this, getType(), getDynamicSizes());
}

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getType() &&
      (getType().hasStaticShape() || getType().getRank() <= 1))
    return getX();
  if (!getType().hasStaticShape())
    return {};
  if (auto dense = dyn_cast_if_present<DenseElementsAttr>(adaptor.getX()))
    return dense.reshape(getType());
  if (auto resource =
          dyn_cast_if_present<DenseResourceElementsAttr>(adaptor.getX()))
    return DenseResourceElementsAttr::get(getType(), resource.getRawHandle());
  return {};
}

namespace {
/// reshape(reshape(x)) -> reshape(x)
struct MergeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op,
                                PatternRewriter &rewriter) const override {
    auto producer = op.getX().getDefiningOp<ReshapeOp>();
    if (!producer)
      return rewriter.notifyMatchFailure(op, "operand is not a reshape");
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, op.getType(), producer.getX(),
                                           op.getDynamicSizes());
    return success();
  }
};
} // namespace

void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<MergeReshapes>(context);
}

LogicalResult BroadcastOp::verify() {
  ArrayRef<int64_t> from = typeOf(getX()).getShape();
  ArrayRef<int64_t> to = getType().getShape();
  if (from.size() > to.size())
    return emitOpError("expected a result of rank ")
           << from.size() << " or more, found " << to.size();
  for (auto [a, b] : llvm::zip(from, to.take_back(from.size())))
    if (a != 1 && a != b && ShapedType::isStatic(a) && ShapedType::isStatic(b))
      return emitOpError("expected operand dimensions of 1 or the result's, "
                         "found ")
             << a << " against " << b;
  return verifyDynamicSizes(*this, getType(), getDynamicSizes());
}

OpFoldResult BroadcastOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getType() && getType().hasStaticShape())
    return getX();
  if (auto splat = dyn_cast_if_present<SplatElementsAttr>(adaptor.getX()))
    if (getType().hasStaticShape())
      return splat.resizeSplat(getType());
  return {};
}

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            TransposeOp::Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType type = typeOf(adaptor.getX());
  if (!isPermutationVector(adaptor.getPermutation()) ||
      int64_t(adaptor.getPermutation().size()) != type.getRank())
    return emitOptionalError(loc, "expected a permutation of ", type.getRank(),
                             " dimensions");
  types.push_back(RankedTensorType::get(
      applyPermutation(type.getShape(), adaptor.getPermutation()),
      type.getElementType()));
  return success();
}

OpFoldResult TransposeOp::fold(FoldAdaptor adaptor) {
  if (isIdentityPermutation(getPermutation()))
    return getX();
  if (auto splat = dyn_cast_if_present<SplatElementsAttr>(adaptor.getX()))
    return splat.reshape(cast<ShapedType>(getType()));
  return {};
}

namespace {
/// transpose(transpose(x, p), q) -> transpose(x, p applied after q)
struct MergeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto producer = op.getX().getDefiningOp<TransposeOp>();
    if (!producer)
      return rewriter.notifyMatchFailure(op, "operand is not a transpose");
    SmallVector<int64_t> permutation =
        applyPermutation(producer.getPermutation(), op.getPermutation());
    rewriter.replaceOpWithNewOp<TransposeOp>(op, producer.getX(), permutation);
    return success();
  }
};

/// A transpose that moves only dimensions of size 1 is a reshape.
struct TransposeToReshape : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType type = typeOf(op.getX());
    int64_t last = -1;
    for (int64_t dim : op.getPermutation()) {
      if (type.getDimSize(dim) == 1)
        continue;
      if (dim < last)
        return rewriter.notifyMatchFailure(op, "moves more than unit sizes");
      last = dim;
    }
    SmallVector<Value> sizes;
    for (int64_t dim : op.getPermutation())
      if (type.isDynamicDim(dim))
        sizes.push_back(
            cast<Value>(getDim(rewriter, op.getLoc(), op.getX(), dim)));
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, op.getType(), op.getX(), sizes);
    return success();
  }
};
} // namespace

void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<MergeTransposes, TransposeToReshape>(context);
}

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         ConcatOp::Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  if (adaptor.getInputs().empty())
    return emitOptionalError(loc, "expected an operand to concatenate");
  RankedTensorType first = typeOf(adaptor.getInputs().front());
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= first.getRank())
    return emitOptionalError(loc, "expected an axis in [0, ", first.getRank(),
                             "), found ", axis);
  SmallVector<int64_t> shape(first.getShape());
  shape[axis] = 0;
  for (Value input : adaptor.getInputs()) {
    RankedTensorType type = typeOf(input);
    if (type.getRank() != first.getRank() ||
        type.getElementType() != first.getElementType())
      return emitOptionalError(loc,
                               "expected operands of one rank and type, found ",
                               first, " and ", type);
    for (auto [i, size] : llvm::enumerate(type.getShape())) {
      if (int64_t(i) == axis) {
        shape[i] =
            ShapedType::isDynamic(shape[i]) || ShapedType::isDynamic(size)
                ? ShapedType::kDynamic
                : shape[i] + size;
        continue;
      }
      if (ShapedType::isDynamic(shape[i]))
        shape[i] = size;
      else if (ShapedType::isStatic(size) && size != shape[i])
        return emitOptionalError(loc, "expected equal sizes in dimension ", i,
                                 ", found ", shape[i], " and ", size);
    }
  }
  types.push_back(RankedTensorType::get(shape, first.getElementType()));
  return success();
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 ? getInputs().front() : OpFoldResult();
}

SmallVector<OpFoldResult> SliceOp::getMixedOffsets() {
  Builder builder(getContext());
  return getMixedValues(getStaticOffsets(), getOffsets(), builder);
}

SmallVector<OpFoldResult> SliceOp::getMixedSizes() {
  Builder builder(getContext());
  return getMixedValues(getStaticSizes(), getSizes(), builder);
}

LogicalResult SliceOp::verify() {
  RankedTensorType type = typeOf(getX());
  size_t rank = type.getRank();
  if (getStaticOffsets().size() != rank || getStaticSizes().size() != rank ||
      getStrides().size() != rank || getType().getRank() != int64_t(rank))
    return emitOpError("expected ")
           << rank << " offsets, sizes and strides, found "
           << getStaticOffsets().size() << ", " << getStaticSizes().size()
           << " and " << getStrides().size();
  for (size_t i = 0; i < rank; ++i) {
    int64_t offset = getStaticOffsets()[i], size = getStaticSizes()[i];
    int64_t stride = getStrides()[i], whole = type.getDimSize(i);
    if (size != getType().getDimSize(i))
      return emitOpError("expected a result of the given sizes, found ")
             << getType().getDimSize(i) << " for " << size;
    if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(size) ||
        ShapedType::isDynamic(whole) || size == 0)
      continue;
    int64_t last = offset + (size - 1) * stride;
    if (offset < 0 || offset >= whole || last < 0 || last >= whole)
      return emitOpError("expected a range within dimension ")
             << i << " of size " << whole << ", found " << offset << " to "
             << last;
  }
  return success();
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  if (getX().getType() == getType() && getType().hasStaticShape() &&
      llvm::all_of(getStrides(), [](int64_t stride) { return stride == 1; }))
    return getX();
  return {};
}

SmallVector<OpFoldResult> PadOp::getMixedLow() {
  Builder builder(getContext());
  return getMixedValues(getStaticLow(), getLow(), builder);
}

SmallVector<OpFoldResult> PadOp::getMixedHigh() {
  Builder builder(getContext());
  return getMixedValues(getStaticHigh(), getHigh(), builder);
}

LogicalResult PadOp::verify() {
  size_t rank = typeOf(getX()).getRank();
  if (getStaticLow().size() != rank || getStaticHigh().size() != rank)
    return emitOpError("expected ") << rank << " amounts before and after";
  if ((getMode() == PadMode::Constant) != bool(getValue()))
    return emitOpError("expected a value in the mode constant and no other");
  for (int64_t amount :
       llvm::concat<const int64_t>(getStaticLow(), getStaticHigh()))
    if (amount < 0 && ShapedType::isStatic(amount))
      return emitOpError("expected amounts of 0 or more, found ") << amount;
  return success();
}

OpFoldResult PadOp::fold(FoldAdaptor) {
  if (getX().getType() == getType() && getType().hasStaticShape())
    return getX();
  return {};
}

LogicalResult GatherOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         GatherOp::Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  RankedTensorType type = typeOf(adaptor.getX());
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= type.getRank())
    return emitOptionalError(loc, "expected an axis in [0, ", type.getRank(),
                             "), found ", axis);
  SmallVector<int64_t> shape(type.getShape().take_front(axis));
  llvm::append_range(shape, typeOf(adaptor.getIndices()).getShape());
  llvm::append_range(shape, type.getShape().drop_front(axis + 1));
  types.push_back(RankedTensorType::get(shape, type.getElementType()));
  return success();
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

static LogicalResult inferReduced(Value x, ArrayRef<int64_t> axes, Type element,
                                  std::optional<Location> loc,
                                  SmallVectorImpl<Type> &types) {
  RankedTensorType type = typeOf(x);
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t axis : axes) {
    if (axis < 0 || axis >= type.getRank())
      return emitOptionalError(loc, "expected axes in [0, ", type.getRank(),
                               "), found ", axis);
    shape[axis] = 1;
  }
  types.push_back(RankedTensorType::get(shape, element));
  return success();
}

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         ReduceOp::Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  return inferReduced(adaptor.getX(), adaptor.getAxes(),
                      getElementTypeOrSelf(adaptor.getX()), loc, types);
}

LogicalResult ArgReduceOp::inferReturnTypes(MLIRContext *context,
                                            std::optional<Location> loc,
                                            ArgReduceOp::Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  if (adaptor.getKind() != ReduceKind::Max &&
      adaptor.getKind() != ReduceKind::Min)
    return emitOptionalError(loc, "expected the kind max or min");
  return inferReduced(adaptor.getX(), int64_t(adaptor.getAxis()),
                      IntegerType::get(context, 64), loc, types);
}

LogicalResult SoftmaxOp::inferReturnTypes(MLIRContext *,
                                          std::optional<Location> loc,
                                          SoftmaxOp::Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  RankedTensorType type = typeOf(adaptor.getX());
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= type.getRank())
    return emitOptionalError(loc, "expected an axis in [0, ", type.getRank(),
                             "), found ", axis);
  types.push_back(type);
  return success();
}

//===----------------------------------------------------------------------===//
// Contractions and windows
//===----------------------------------------------------------------------===//

/// Two zero points or none: one number for the left operand; one number, or
/// one for each of its columns, for the right one.
static LogicalResult verifyZeros(Operation *op, ValueRange zeros,
                                 ValueRange operands) {
  if (zeros.empty())
    return success();
  if (zeros.size() != 2)
    return op->emitOpError("expected two zero points or none, found ")
           << zeros.size();
  for (auto [i, zero] : llvm::enumerate(zeros)) {
    RankedTensorType type = typeOf(zero), operand = typeOf(operands[i]);
    if (type.getElementType() != operand.getElementType() ||
        type.getElementTypeBitWidth() != 8 ||
        !isa<IntegerType>(type.getElementType()))
      return op->emitOpError("expected 8-bit zero points of the operands' "
                             "type, found ")
             << type.getElementType() << " for " << operand.getElementType();
    bool isPerColumn = i == 1 && type.getRank() == 1 &&
                       succeeded(verifyCompatibleShape(
                           type.getShape(), operand.getShape().take_back()));
    if (type.getRank() != 0 && !isPerColumn)
      return op->emitOpError("expected a zero point of rank 0")
             << (i == 1 ? " or one for each column" : "") << ", found " << type;
  }
  return success();
}

LogicalResult MatMulOp::verify() {
  if (failed(verifyZeros(*this, getZeros(), {getLhs(), getRhs()})))
    return failure();
  RankedTensorType lhs = typeOf(getLhs()), rhs = typeOf(getRhs());
  if (lhs.getRank() < 2 || rhs.getRank() < 2)
    return emitOpError("expected operands of rank 2 or more, found ")
           << lhs.getRank() << " and " << rhs.getRank();
  int64_t k = lhs.getDimSize(lhs.getRank() - 1);
  int64_t other = rhs.getDimSize(rhs.getRank() - 2);
  if (ShapedType::isStatic(k) && ShapedType::isStatic(other) && k != other)
    return emitOpError("expected matrices that can be multiplied, found ")
           << k << " columns against " << other << " rows";
  return success();
}

LogicalResult ConvOp::verify() {
  if (failed(verifyZeros(*this, getZeros(), {getX(), getWeights()})))
    return failure();
  RankedTensorType x = typeOf(getX()), weights = typeOf(getWeights());
  int64_t spatial = x.getRank() - 2;
  if (spatial < 0 || weights.getRank() != x.getRank() ||
      getType().getRank() != x.getRank())
    return emitOpError("expected an operand, weights and result of one rank "
                       "of 2 or more, found ")
           << x.getRank() << ", " << weights.getRank() << " and "
           << getType().getRank();
  if (int64_t(getStrides().size()) != spatial ||
      int64_t(getDilations().size()) != spatial ||
      int64_t(getPads().size()) != 2 * spatial)
    return emitOpError("expected ") << spatial << " strides and dilations and "
                                    << 2 * spatial << " pads";
  int64_t channels = x.getShape().back();
  int64_t perGroup = weights.getDimSize(spatial);
  if (ShapedType::isStatic(channels) && ShapedType::isStatic(perGroup) &&
      channels != perGroup * int64_t(getGroup()))
    return emitOpError("expected ")
           << perGroup * int64_t(getGroup()) << " input channels ("
           << getGroup() << " groups of " << perGroup << "), found "
           << channels;
  return success();
}

LogicalResult PoolOp::verify() {
  int64_t spatial = typeOf(getX()).getRank() - 2;
  if (spatial < 1 || int64_t(getKernel().size()) != spatial ||
      int64_t(getStrides().size()) != spatial ||
      int64_t(getDilations().size()) != spatial ||
      int64_t(getPads().size()) != 2 * spatial)
    return emitOpError("expected an operand of rank ")
           << getKernel().size() + 2
           << " with as many strides, dilations and pads as its kernel has "
              "dimensions";
  return success();
}
