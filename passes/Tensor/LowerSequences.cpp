// Strings, sequences and maps -> calls of the runtime.
//
//   %1 = dlc.sequence_insert %x into %0[%i]
// becomes
//   %1 = dlc.call "sequence_insert"(%0, %x, %i) : (index, ..., index) -> index

#include "passes/Tensor/Lowering.h"

using namespace mlir;
using namespace dlc;

static Value callFor(OpBuilder &b, Location loc, Type result, StringRef callee,
                     ValueRange operands) {
  return CallOp::create(b, loc, TypeRange(result), callee, operands)
      .getResult(0);
}

static Value integer(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIntOp::create(b, loc, value, 64);
}

namespace {

/// The strings one after the other, each with its 0, as a constant; the run
/// makes addresses of where they begin.
struct LowerStrings : OpConversionPattern<StringsOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(StringsOp op, OpAdaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    std::string bytes;
    SmallVector<int64_t> offsets;
    llvm::StringMap<int64_t> known;
    for (auto text : op.getValues().getAsRange<StringAttr>()) {
      StringRef value = text.getValue();
      value = value.take_front(value.find('\0'));
      auto [it, isNew] = known.try_emplace(value, bytes.size());
      if (isNew) {
        bytes.append(value.begin(), value.end());
        bytes.push_back('\0');
      }
      offsets.push_back(it->second);
    }
    if (bytes.empty())
      bytes.push_back('\0');
    auto type = cast<RankedTensorType>(op.getType());
    auto bytesType =
        RankedTensorType::get(int64_t(bytes.size()), b.getI8Type());
    Value data = arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::getFromRawBuffer(
            bytesType, ArrayRef<char>(bytes.data(), bytes.size())));
    Value begins = arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(type.clone(b.getI64Type()),
                               ArrayRef<int64_t>(offsets)));
    b.replaceOp(op, callFor(b, loc, getTypeConverter()->convertType(type),
                            "string_table", {data, begins}));
    return success();
  }
};

struct LowerSequence : OpConversionPattern<SequenceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(SequenceOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type index = b.getIndexType();
    Value result = callFor(b, loc, index, "sequence",
                           integer(b, loc, op.getAbsent() ? -1 : 0));
    for (auto [i, item] : llvm::enumerate(adaptor.getItems())) {
      Value at = arith::ConstantIndexOp::create(b, loc, i);
      result = callFor(b, loc, index, "sequence_insert", {result, item, at});
    }
    b.replaceOp(op, result);
    return success();
  }
};

struct LowerInsert : OpConversionPattern<SequenceInsertOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(SequenceInsertOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    b.replaceOp(op, callFor(b, op.getLoc(), b.getIndexType(), "sequence_insert",
                            {adaptor.getSequence(), adaptor.getX(),
                             adaptor.getPosition()}));
    return success();
  }
};

struct LowerConcat : OpConversionPattern<SequenceConcatOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(SequenceConcatOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    b.replaceOp(op,
                callFor(b, loc, getTypeConverter()->convertType(op.getType()),
                        "sequence_concat",
                        {adaptor.getSequence(), integer(b, loc, op.getAxis()),
                         integer(b, loc, op.getNewAxis())}));
    return success();
  }
};

/// Keys and values, as a sequence of both.
struct LowerMaps : OpConversionPattern<MapsOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(MapsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type index = b.getIndexType();
    Value result = callFor(b, loc, index, "sequence", integer(b, loc, 0));
    SmallVector<Value> parts{adaptor.getKeys(), adaptor.getValues()};
    for (auto [i, item] : llvm::enumerate(parts)) {
      Value at = arith::ConstantIndexOp::create(b, loc, i);
      result = callFor(b, loc, index, "sequence_insert", {result, item, at});
    }
    b.replaceOp(op, result);
    return success();
  }
};

/// One of both.
template <typename OpTy> struct LowerMapPart : OpConversionPattern<OpTy> {
  LowerMapPart(const TypeConverter &converter, MLIRContext *context,
               int64_t part)
      : OpConversionPattern<OpTy>(converter, context), part(part) {}
  LogicalResult matchAndRewrite(OpTy op, typename OpTy::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Value at = arith::ConstantIndexOp::create(b, loc, part);
    b.replaceOp(op, callFor(b, loc,
                            this->getTypeConverter()->convertType(op.getType()),
                            "sequence_at", {adaptor.getMap(), at}));
    return success();
  }
  int64_t part;
};

/// The others: the operands as they are.
template <typename OpTy> struct LowerToCall : OpConversionPattern<OpTy> {
  LowerToCall(const TypeConverter &converter, MLIRContext *context)
      : OpConversionPattern<OpTy>(converter, context) {}
  LogicalResult matchAndRewrite(OpTy op, typename OpTy::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    StringRef callee = OpTy::getOperationName();
    callee.consume_front("dlc.");
    Type type = this->getTypeConverter()->convertType(op.getType());
    b.replaceOp(op,
                callFor(b, op.getLoc(), type, callee, adaptor.getOperands()));
    return success();
  }
};

} // namespace

void dlc::populateSequenceLowering(const TypeConverter &converter,
                                   RewritePatternSet &patterns) {
  patterns.add<LowerStrings, LowerSequence, LowerInsert, LowerConcat,
               LowerToCall<SequenceEraseOp>, LowerToCall<SequenceLengthOp>,
               LowerToCall<SequenceAtOp>, LowerMaps>(converter,
                                                     patterns.getContext());
  patterns.add<LowerMapPart<MapKeysOp>>(converter, patterns.getContext(), 0);
  patterns.add<LowerMapPart<MapValuesOp>>(converter, patterns.getContext(), 1);
}
