// Lowers the dlc dialect to linalg: the pass, its type conversion and the
// helpers of the pattern files.

#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Tensor/Lowering.h"
#include "passes/Tensor/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERTOLINALG
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace dlc;

Value dlc::createEmpty(OpBuilder &builder, Location loc,
                       ArrayRef<OpFoldResult> sizes, Type elementType) {
  return tensor::EmptyOp::create(builder, loc, sizes, elementType);
}

Value dlc::createFilled(OpBuilder &builder, Location loc,
                        ArrayRef<OpFoldResult> sizes, Value scalar) {
  Value empty = createEmpty(builder, loc, sizes, scalar.getType());
  return linalg::FillOp::create(builder, loc, scalar, empty).getResult(0);
}

Value dlc::createBorder(OpBuilder &b, Location loc,
                        ArrayRef<OpFoldResult> sizes,
                        ArrayRef<OpFoldResult> low,
                        ArrayRef<OpFoldResult> inner,
                        ArrayRef<OpFoldResult> high, Value scalar) {
  size_t rank = sizes.size();
  SmallVector<OpFoldResult> strides(rank, b.getIndexAttr(1));
  // The slab of one dimension: within the middle of those before it, all of
  // those behind it.
  SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0));
  SmallVector<OpFoldResult> extents(sizes);
  Value result = createEmpty(b, loc, sizes, scalar.getType());
  auto fill = [&](size_t dim, OpFoldResult offset, OpFoldResult extent) {
    offsets[dim] = offset;
    extents[dim] = extent;
    if (llvm::any_of(extents, [](OpFoldResult size) {
          return getConstantIntValue(size) == 0;
        }))
      return;
    result = tensor::InsertSliceOp::create(
        b, loc, createFilled(b, loc, extents, scalar), result, offsets, extents,
        strides);
  };
  for (size_t dim = 0; dim < rank; ++dim) {
    OpFoldResult end = addSizes(b, loc, low[dim], inner[dim]);
    fill(dim, b.getIndexAttr(0), low[dim]);
    fill(dim, end, high[dim]);
    offsets[dim] = low[dim];
    extents[dim] = inner[dim];
  }
  return result;
}

Value dlc::createScalar(OpBuilder &builder, Location loc, Type type,
                        double value) {
  TypedAttr attr =
      isa<FloatType>(type)
          ? TypedAttr(builder.getFloatAttr(type, value))
          : TypedAttr(builder.getIntegerAttr(type, int64_t(value)));
  return arith::ConstantOp::create(builder, loc, attr);
}

Value dlc::createFromIndices(
    OpBuilder &builder, Location loc, ArrayRef<OpFoldResult> sizes,
    Type elementType,
    function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  Value empty = createEmpty(builder, loc, sizes, elementType);
  SmallVector<AffineMap> maps{builder.getMultiDimIdentityMap(sizes.size())};
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(builder, loc, empty.getType(), ValueRange(),
                                   empty, maps, iterators,
                                   [&](OpBuilder &b, Location loc, ValueRange) {
                                     SmallVector<Value> indices;
                                     for (size_t i = 0; i < sizes.size(); ++i)
                                       indices.push_back(
                                           linalg::IndexOp::create(b, loc, i));
                                     Value result = body(b, loc, indices);
                                     linalg::YieldOp::create(b, loc, result);
                                   })
      .getResult(0);
}

Value dlc::castTo(OpBuilder &builder, Location loc, Value tensor, Type type) {
  if (tensor.getType() == type)
    return tensor;
  return tensor::CastOp::create(builder, loc, type, tensor);
}

Value dlc::showSizes(OpBuilder &builder, Location loc, Value tensor,
                     ArrayRef<OpFoldResult> sizes) {
  auto [shape, dynamic] = decomposeMixedValues(sizes);
  return castTo(builder, loc, tensor,
                RankedTensorType::get(shape, getElementTypeOrSelf(tensor)));
}

Value dlc::createReshape(OpBuilder &builder, Location loc, Value tensor,
                         ArrayRef<OpFoldResult> sizes) {
  auto type = cast<RankedTensorType>(tensor.getType());
  auto [shape, dynamic] = decomposeMixedValues(sizes);
  auto resultType = RankedTensorType::get(shape, type.getElementType());
  if (type == resultType && type.hasStaticShape())
    return tensor;
  // Sizes that are known to be 0 are lost in a product with others.
  if (llvm::is_contained(shape, 0) || llvm::is_contained(type.getShape(), 0))
    return createEmpty(builder, loc, sizes, type.getElementType());
  // One unknown size is what the others leave of the same number of elements.
  bool isStatic = type.hasStaticShape() && resultType.hasStaticShape();
  bool isOneUnknown = type.getRank() && resultType.getRank() &&
                      type.getNumDynamicDims() == 1 &&
                      resultType.getNumDynamicDims() == 1;
  if (isStatic || isOneUnknown) {
    if (auto groups = getReassociationIndicesForReshape(type, resultType)) {
      if (type.getRank() > resultType.getRank())
        return tensor::CollapseShapeOp::create(builder, loc, resultType, tensor,
                                               *groups);
      if (type.getRank() < resultType.getRank())
        return tensor::ExpandShapeOp::create(builder, loc, resultType, tensor,
                                             *groups, sizes);
    }
  }
  // Through one dimension.
  Value flat = tensor;
  if (type.getRank() == 0) {
    flat = tensor::ExpandShapeOp::create(
        builder, loc, RankedTensorType::get({1}, type.getElementType()), tensor,
        ArrayRef<ReassociationIndices>{});
  } else if (type.getRank() > 1) {
    ReassociationIndices all =
        llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
    flat = tensor::CollapseShapeOp::create(builder, loc, tensor,
                                           ArrayRef<ReassociationIndices>{all});
  }
  int64_t rank = resultType.getRank();
  if (rank == 1)
    return castTo(builder, loc, flat, resultType);
  if (rank == 0) {
    flat = castTo(builder, loc, flat,
                  RankedTensorType::get({1}, type.getElementType()));
    return tensor::CollapseShapeOp::create(builder, loc, resultType, flat,
                                           ArrayRef<ReassociationIndices>{});
  }
  // The flat size must be static where all of the result's are.
  if (resultType.hasStaticShape())
    flat = castTo(builder, loc, flat,
                  RankedTensorType::get({resultType.getNumElements()},
                                        type.getElementType()));
  else
    flat = castTo(
        builder, loc, flat,
        RankedTensorType::get({ShapedType::kDynamic}, type.getElementType()));
  ReassociationIndices all = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  return tensor::ExpandShapeOp::create(builder, loc, resultType, flat,
                                       ArrayRef<ReassociationIndices>{all},
                                       sizes);
}

Type dlc::getComputeType(Type type) {
  if (isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32)
    return Float32Type::get(type.getContext());
  return type;
}

void dlc::createCheck(OpBuilder &builder, Location loc, Value condition,
                      const Twine &message, int32_t status) {
  if (matchPattern(condition, m_One()))
    return;
  auto op = cf::AssertOp::create(builder, loc, condition, message.str());
  if (status)
    op->setAttr(kStatusAttr, builder.getI32IntegerAttr(status));
}

void dlc::createEqualCheck(OpBuilder &builder, Location loc, OpFoldResult a,
                           OpFoldResult b, const Twine &message) {
  if (areEqualSizes(a, b))
    return;
  createCheck(
      builder, loc,
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                            getValueOrCreateConstantIndexOp(builder, loc, a),
                            getValueOrCreateConstantIndexOp(builder, loc, b)),
      message);
}

namespace {

/// `ui8`, `i4`, `f8E5M2`, ... -> `i8` and so on, strings, sequences and maps ->
/// `index`, in tensors and outside.
struct SignlessTypeConverter : TypeConverter {
  SignlessTypeConverter() {
    addConversion([](Type type) { return type; });
    addConversion(
        [](RankedTensorType type) -> Type { return getStorageType(type); });
    addConversion(
        [](IntegerType type) -> Type { return getStorageType(type); });
    addConversion([](FloatType type) -> Type { return getStorageType(type); });
    addConversion([](StringType type) -> Type { return getStorageType(type); });
    addConversion(
        [](SequenceType type) -> Type { return getStorageType(type); });
    addConversion([](MapType type) -> Type { return getStorageType(type); });
    auto materialize = [](OpBuilder &builder, Type type, ValueRange inputs,
                          Location loc) -> Value {
      return UnrealizedConversionCastOp::create(builder, loc, type, inputs)
          .getResult(0);
    };
    addSourceMaterialization(materialize);
    addTargetMaterialization(materialize);
  }
};

/// dlc.constant -> arith.constant over the same bytes.
struct LowerConstant : OpConversionPattern<ConstantOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ConstantOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto type =
        cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
    ElementsAttr value = op.getValue();
    if (isSmallType(op.getType().getElementType())) {
      std::vector<char> storage;
      ArrayRef<char> bytes = getElementData(value, storage);
      if (int64_t(bytes.size()) != type.getNumElements())
        return op.emitError("expected dense elements, found ") << value;
      value = DenseElementsAttr::getFromRawBuffer(type, bytes);
    } else if (value.getType() != type) {
      if (auto dense = dyn_cast<DenseElementsAttr>(value))
        value = DenseElementsAttr::getFromRawBuffer(type, dense.getRawData());
      else if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
        value = DenseResourceElementsAttr::get(type, resource.getRawHandle());
      else
        return op.emitError("expected dense elements, found ") << value;
    }
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, cast<TypedAttr>(value));
    return success();
  }
};

struct LowerToLinalgPass : dlc::impl::LowerToLinalgBase<LowerToLinalgPass> {
  /// Gives arguments their types in memory before the conversion, so that
  /// sizes can be traced to them during it.
  static void convertArguments(func::FuncOp function,
                               const TypeConverter &converter) {
    if (function.isExternal())
      return;
    OpBuilder b(function.getBody());
    for (BlockArgument argument : function.getArguments()) {
      Type type = argument.getType(), stored = converter.convertType(type);
      if (type == stored)
        continue;
      argument.setType(stored);
      auto cast = UnrealizedConversionCastOp::create(b, function.getLoc(), type,
                                                     ValueRange(argument));
      argument.replaceAllUsesExcept(cast.getResult(0), cast);
    }
    function.setFunctionType(b.getFunctionType(
        function.getBody().getArgumentTypes(), function.getResultTypes()));
  }

  using LowerToLinalgBase::LowerToLinalgBase;

  void runOnOperation() override {
    std::optional<ByteKind> kind =
        parseByteKind(getOperation(), "dlc-lower-to-linalg", bytes);
    if (!kind)
      return signalPassFailure();
    MLIRContext *context = &getContext();
    SignlessTypeConverter converter;
    for (auto function : getOperation().getOps<func::FuncOp>())
      convertArguments(function, converter);
    RewritePatternSet patterns(context);
    patterns.add<LowerConstant>(converter, context);
    populateElementwiseLowering(converter, patterns);
    populateCastLowering(converter, patterns);
    populateShapeLowering(converter, patterns);
    populateReductionLowering(converter, patterns);
    populateContractionLowering(converter, patterns, *kind);
    populateSequenceLowering(converter, patterns);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns,
                                                                   converter);
    populateReturnOpTypeConversionPattern(patterns, converter);

    ConversionTarget target(*context);
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns,
                                                         target);
    target.addIllegalDialect<DlcDialect>();
    target.addLegalOp<ContractOp, YieldOp>();
    target.addDynamicallyLegalOp<CallOp, ExternOp>(
        [&](Operation *op) { return converter.isLegal(op); });
    target.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp op) {
      return converter.isSignatureLegal(op.getFunctionType());
    });
    target.markUnknownOpDynamicallyLegal(
        [&](Operation *op) { return converter.isLegal(op); });
    // Any other op on tensors of unsigned integers only changes its types.
    struct Retype : ConversionPattern {
      Retype(const TypeConverter &converter, MLIRContext *context)
          : ConversionPattern(converter, MatchAnyOpTypeTag(), 1, context) {}
      LogicalResult
      matchAndRewrite(Operation *op, ArrayRef<Value> operands,
                      ConversionPatternRewriter &rewriter) const override {
        bool isLowered =
            isa<DlcDialect>(op->getDialect()) && !isa<CallOp, ExternOp>(op);
        if (isLowered || op->getNumRegions())
          return failure();
        SmallVector<Type> types;
        if (failed(
                getTypeConverter()->convertTypes(op->getResultTypes(), types)))
          return failure();
        OperationState state(op->getLoc(), op->getName(), operands, types,
                             op->getAttrs());
        rewriter.replaceOp(op, rewriter.create(state));
        return success();
      }
    };
    patterns.add<Retype>(converter, context);
    if (failed(
            applyFullConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    getOperation().walk(fillResults);
  }

  /// A result that is one number repeated is filled in the run; the object
  /// doesn't hold it.
  static void fillResults(func::ReturnOp op) {
    OpBuilder b(op);
    for (OpOperand &operand : op->getOpOperands()) {
      DenseElementsAttr value;
      if (!matchPattern(operand.get(), m_Constant(&value)) ||
          !value.isSplat() || value.getNumElements() < 2)
        continue;
      auto type = dyn_cast<RankedTensorType>(value.getType());
      if (!type || !type.getElementType().isIntOrFloat())
        continue;
      Value scalar = arith::ConstantOp::create(
          b, op.getLoc(), type.getElementType(),
          cast<TypedAttr>(value.getSplatValue<Attribute>()));
      operand.set(createFilled(
          b, op.getLoc(),
          getAsIndexOpFoldResult(b.getContext(), type.getShape()), scalar));
    }
  }
};

} // namespace
