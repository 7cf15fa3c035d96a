// Converts everything to the LLVM dialect: MLIR's patterns, and those for the
// ops of the run.

#include "mlir/Analysis/DataLayoutAnalysis.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ComplexToLLVM/ComplexToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/RunOpLowering.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CONVERTTOLLVM
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The status code of a failed check that has no attribute `dlc.status`;
/// `DLC_ERROR_SHAPE` of the C interface.
static constexpr int32_t kShapeError = 3;

/// The name of the node that an op comes from; "" when there is none.
static StringRef getNodeName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName();
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return getNodeName(call.getCallee());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (StringRef name = getNodeName(part); !name.empty())
        return name;
  return "";
}

namespace {

struct LowerInput : RunOpLowering<InputOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(InputOp op, OpAdaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getType());
    Value pointer =
        loadPointer(b, loc, loadField(b, loc, op, Inputs), op.getIndex());
    SmallVector<Value> dynamic;
    if (!type.hasStaticShape()) {
      Value shape = loadPointer(b, loc, loadField(b, loc, op, InputShapes),
                                op.getIndex());
      for (int64_t i = 0; i < type.getRank(); ++i) {
        if (!type.isDynamicDim(i))
          continue;
        Value address =
            LLVM::GEPOp::create(b, loc, pointerType(b), b.getI64Type(), shape,
                                ArrayRef<LLVM::GEPArg>{int32_t(i)});
        Value size = LLVM::LoadOp::create(b, loc, b.getI64Type(), address);
        if (getIndexType() != b.getI64Type())
          size = LLVM::TruncOp::create(b, loc, getIndexType(), size);
        dynamic.push_back(size);
      }
    }
    if (op.getDevice()) {
      pointer = callRuntime(b, op, "dlc_rt_cuda_input", pointerType(b),
                            {getRun(op),
                             integer(b, loc, b.getI32Type(), op.getIndex()),
                             bytesOf(b, loc, type, dynamic)});
      endRunIfNull(b, op, pointer);
    }
    b.replaceOp(op, describe(b, loc, type, pointer, dynamic));
    return success();
  }
};

struct LowerOutput : RunOpLowering<OutputOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(OutputOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getType());
    Value pointer;
    if (type.hasStaticShape()) {
      pointer =
          loadPointer(b, loc, loadField(b, loc, op, Outputs), op.getIndex());
    } else {
      SmallVector<Value> sizes, strides;
      Value bytes;
      getMemRefDescriptorSizes(loc, type, adaptor.getDynamicSizes(), b, sizes,
                               strides, bytes);
      Value shape = LLVM::AllocaOp::create(
          b, loc, pointerType(b), b.getI64Type(),
          integer(b, loc, b.getI32Type(), type.getRank()));
      for (auto [i, size] : llvm::enumerate(sizes)) {
        Value address =
            LLVM::GEPOp::create(b, loc, pointerType(b), b.getI64Type(), shape,
                                ArrayRef<LLVM::GEPArg>{int32_t(i)});
        if (size.getType() != b.getI64Type())
          size = LLVM::ZExtOp::create(b, loc, b.getI64Type(), size);
        LLVM::StoreOp::create(b, loc, size, address);
      }
      pointer = callRuntime(
          b, op, "dlc_rt_output", pointerType(b),
          {getRun(op), integer(b, loc, b.getI32Type(), op.getIndex()), shape,
           bytesOf(b, loc, type, adaptor.getDynamicSizes())});
      endRunIfNull(b, op, pointer);
    }
    if (op.getDevice()) {
      pointer = callRuntime(
          b, op, "dlc_rt_cuda_output", pointerType(b),
          {getRun(op), integer(b, loc, b.getI32Type(), op.getIndex()), pointer,
           bytesOf(b, loc, type, adaptor.getDynamicSizes())});
      endRunIfNull(b, op, pointer);
    }
    b.replaceOp(op, describe(b, loc, type, pointer, adaptor.getDynamicSizes()));
    return success();
  }
};

/// A buffer at an offset of the memory that a field of the run points to.
template <typename OpTy, RunField field>
struct LowerPlaced : RunOpLowering<OpTy> {
  using RunOpLowering<OpTy>::RunOpLowering;
  LogicalResult matchAndRewrite(OpTy op, typename OpTy::Adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RunField place = field;
    if constexpr (std::is_same_v<OpTy, ArenaOp>)
      place = op.getDevice() ? DeviceArena : Arena;
    Value base = this->loadField(b, loc, op, place);
    Value offset = this->integer(b, loc, this->getIndexType(), op.getOffset());
    Value pointer = LLVM::GEPOp::create(b, loc, this->pointerType(b),
                                        b.getI8Type(), base, offset);
    b.replaceOp(op, this->describe(b, loc, cast<MemRefType>(op.getType()),
                                   pointer, {}));
    return success();
  }
};

struct LowerWeight : RunOpLowering<WeightOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(WeightOp op, OpAdaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    std::string name =
        (cast<StringAttr>(module->getAttr("dlc.name")).getValue() + "_weights")
            .str();
    Value base = op.getDevice()
                     ? loadField(b, loc, op, DeviceWeights)
                     : LLVM::AddressOfOp::create(b, loc, pointerType(b), name);
    Value offset = integer(b, loc, b.getI64Type(), op.getOffset());
    Value pointer = LLVM::GEPOp::create(b, loc, pointerType(b), b.getI8Type(),
                                        base, offset);
    b.replaceOp(op,
                describe(b, loc, cast<MemRefType>(op.getType()), pointer, {}));
    return success();
  }
};

struct LowerAlloc : RunOpLowering<AllocOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(AllocOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getType());
    Value pointer = callRuntime(
        b, op, op.getDevice() ? "dlc_rt_cuda_alloc" : "dlc_rt_alloc",
        pointerType(b),
        {getRun(op), bytesOf(b, loc, type, adaptor.getDynamicSizes())});
    endRunIfNull(b, op, pointer);
    b.replaceOp(op, describe(b, loc, type, pointer, adaptor.getDynamicSizes()));
    return success();
  }
};

struct LowerFree : RunOpLowering<FreeOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(FreeOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    MemRefDescriptor buffer(adaptor.getBuffer());
    callRuntime(b, op, op.getDevice() ? "dlc_rt_cuda_free" : "dlc_rt_free",
                LLVM::LLVMVoidType::get(getContext()),
                {getRun(op), buffer.allocatedPtr(b, op.getLoc())});
    b.eraseOp(op);
    return success();
  }
};

/// The memory of the thread, where it has its own.
struct LowerScratch : RunOpLowering<ScratchOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(ScratchOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    MemRefDescriptor planned(adaptor.getPlanned());
    Value null = LLVM::ZeroOp::create(b, loc, pointerType(b));
    Value isOwn = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne,
                                       adaptor.getOwn(), null);
    Value pointer = LLVM::SelectOp::create(b, loc, isOwn, adaptor.getOwn(),
                                           planned.alignedPtr(b, loc));
    b.replaceOp(op,
                describe(b, loc, cast<MemRefType>(op.getType()), pointer, {}));
    return success();
  }
};

/// The operands go to the threads as a record on the stack; a function that
/// takes it calls the kernel:
///
///     void kernel_0_part(void *data, first, end, void *own, since) {
///       kernel_0(data->a, data->b, first, end, own, since);
///     }
struct LowerFork : RunOpLowering<ForkOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(ForkOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SmallVector<Value> values = getTypeConverter()->promoteOperands(
        loc, op.getArguments(), adaptor.getArguments(), b,
        /*useBarePtrCallConv=*/op->hasAttr("llvm.bareptr"));
    auto record = LLVM::LLVMStructType::getLiteral(
        b.getContext(), llvm::to_vector(ValueRange(values).getTypes()));
    Value data;
    {
      // One record a place, also where that is in a loop.
      OpBuilder::InsertionGuard guard(b);
      auto function = op->getParentOfType<FunctionOpInterface>();
      b.setInsertionPointToStart(&function.getFunctionBody().front());
      data = LLVM::AllocaOp::create(b, loc, pointerType(b), record,
                                    integer(b, loc, b.getI32Type(), 1));
    }
    for (auto [i, value] : llvm::enumerate(values))
      LLVM::StoreOp::create(b, loc, value, fieldOf(b, loc, record, data, i));
    Value part = LLVM::AddressOfOp::create(b, loc, pointerType(b),
                                           getPart(b, op, record));
    Value grain = integer(b, loc, getIndexType(), op.getGrain());
    callRuntime(b, op, "dlc_rt_parallel", LLVM::LLVMVoidType::get(getContext()),
                {getRun(op), part, data, adaptor.getCount(), grain});
    b.eraseOp(op);
    return success();
  }

  static Value fieldOf(OpBuilder &b, Location loc, Type record, Value data,
                       size_t index) {
    return LLVM::GEPOp::create(b, loc, pointerType(b), record, data,
                               ArrayRef<LLVM::GEPArg>{0, int32_t(index)});
  }

  /// The name of the function that takes a record, made at its first use.
  std::string getPart(OpBuilder &b, ForkOp op,
                      LLVM::LLVMStructType record) const {
    auto module = op->getParentOfType<ModuleOp>();
    std::string name = (op.getCallee() + "_part").str();
    if (module.lookupSymbol(name))
      return name;
    Location loc = module.getLoc();
    Type pointer = pointerType(b), none = LLVM::LLVMVoidType::get(getContext());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(
        none,
        {pointer, getIndexType(), getIndexType(), pointer, getIndexType()});
    auto function =
        LLVM::LLVMFuncOp::create(b, loc, name, type, LLVM::Linkage::Internal);
    Block *entry = function.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    SmallVector<Value> values;
    for (auto [i, field] : llvm::enumerate(record.getBody()))
      values.push_back(LLVM::LoadOp::create(
          b, loc, field, fieldOf(b, loc, record, entry->getArgument(0), i)));
    llvm::append_range(values, entry->getArguments().drop_front());
    LLVM::CallOp::create(b, loc, TypeRange(), op.getCallee(), values);
    LLVM::ReturnOp::create(b, loc, ValueRange());
    return name;
  }
};

struct LowerBeginNode : RunOpLowering<BeginNodeOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(BeginNodeOp op, OpAdaptor,
                                ConversionPatternRewriter &b) const override {
    Value node = integer(b, op.getLoc(), b.getI32Type(), op.getNode());
    b.replaceOp(op, callRuntime(b, op, "dlc_rt_begin_node", b.getI64Type(),
                                {getRun(op), node}));
    return success();
  }
};

struct LowerEndNode : RunOpLowering<EndNodeOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(EndNodeOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Value node = integer(b, op.getLoc(), b.getI32Type(), op.getNode());
    callRuntime(b, op, "dlc_rt_end_node", LLVM::LLVMVoidType::get(getContext()),
                {getRun(op), node, adaptor.getTime()});
    b.eraseOp(op);
    return success();
  }
};

/// A failed check ends the run with a status and the check's message.
struct LowerAssert : RunOpLowering<cf::AssertOp> {
  using RunOpLowering::RunOpLowering;
  LogicalResult matchAndRewrite(cf::AssertOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    std::string text;
    if (StringRef node = getNodeName(loc); !node.empty())
      text = ("node '" + node + "': ").str();
    text += op.getMsg();
    text.push_back('\0');
    // One global a message; equal messages share it.
    std::string name =
        llvm::formatv("dlc_message_{0:x}",
                      llvm::hash_value(StringRef(text)).operator size_t());
    if (!module.lookupSymbol(name)) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      LLVM::GlobalOp::create(
          b, module.getLoc(),
          LLVM::LLVMArrayType::get(b.getI8Type(), text.size()),
          /*isConstant=*/true, LLVM::Linkage::Private, name,
          b.getStringAttr(text));
    }
    Operation *anchor = op;
    auto given = op->getAttrOfType<IntegerAttr>(kStatusAttr);
    int64_t status = given ? given.getInt() : kShapeError;
    endRunUnless(b, op, adaptor.getArg(), [&](OpBuilder &) {
      Value message = LLVM::AddressOfOp::create(b, loc, pointerType(b), name);
      return callRuntime(
          b, anchor, "dlc_rt_fail", b.getI32Type(),
          {getRun(anchor), integer(b, loc, b.getI32Type(), status), message});
    });
    b.eraseOp(op);
    return success();
  }
};

/// A masked store of the first element only becomes one of a scalar. LLVM's X86
/// backend makes that of it as well, but of a vector that is narrowed on its
/// way to memory it stores the wide element, over what lies behind.
///
///   vector.maskedstore %m[%i], %only_first, %v
///   memref.store (vector.extract %v[0]), %m[%i]
struct StoreFirstElement : OpRewritePattern<vector::MaskedStoreOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::MaskedStoreOp op,
                                PatternRewriter &rewriter) const override {
    DenseElementsAttr mask;
    if (!matchPattern(op.getMask(), m_Constant(&mask)) ||
        op.getVectorType().getRank() != 1)
      return rewriter.notifyMatchFailure(op, "expected a constant mask");
    auto bits = mask.getValues<bool>();
    if (!bits[0] || llvm::count(bits, true) != 1)
      return rewriter.notifyMatchFailure(op, "stores more than one element");
    Value first = vector::ExtractOp::create(rewriter, op.getLoc(),
                                            op.getValueToStore(), int64_t(0));
    memref::StoreOp::create(rewriter, op.getLoc(), first, op.getBase(),
                            op.getIndices());
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertToLlvmPass : dlc::impl::ConvertToLlvmBase<ConvertToLlvmPass> {
  using ConvertToLlvmBase::ConvertToLlvmBase;
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    ModuleOp module = getOperation();
    if (failed(checkAddressSpace(module)))
      return signalPassFailure();
    module.walk(ignoreSignOfZero);
    // Vector ops that have no direct counterpart become ones that do.
    RewritePatternSet vectors(context);
    vectors.add<StoreFirstElement>(context);
    vector::populateVectorMaskOpLoweringPatterns(vectors);
    vector::populateVectorBroadcastLoweringPatterns(vectors);
    vector::populateVectorShapeCastLoweringPatterns(vectors);
    vector::populateVectorMaskMaterializationPatterns(
        vectors, /*force32BitVectorIndices=*/true);
    if (failed(applyPatternsGreedily(module, std::move(vectors))))
      return signalPassFailure();

    LowerToLLVMOptions options(context);
    options.overrideIndexBitwidth(indexBits);
    LLVMTypeConverter converter(context, options);
    RewritePatternSet patterns(context);
    SymbolTableCollection symbols;
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateComplexToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns, &symbols);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    index::populateIndexToLLVMConversionPatterns(converter, patterns);
    ub::populateUBToLLVMConversionPatterns(converter, patterns);
    patterns.add<LowerInput, LowerOutput, LowerPlaced<ArenaOp, Arena>,
                 LowerPlaced<StateOp, State>, LowerWeight, LowerAlloc,
                 LowerFree, LowerScratch, LowerFork, LowerBeginNode,
                 LowerEndNode, LowerAssert>(converter);
    populateExternLowering(converter, patterns);
    populateCallLowering(converter, patterns);
    populateDeviceOpPatterns(converter, patterns);
    declareWeights(module);
    llvm::StringMap<SmallVector<unsigned>> unaliased = findUnaliased(module);
    LLVMConversionTarget target(*context);
    target.addLegalOp<ModuleOp>();
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      return signalPassFailure();
    module.walk(annotateLoop);
    for (auto function : module.getOps<LLVM::LLVMFuncOp>())
      for (unsigned argument : unaliased.lookup(function.getName()))
        function.setArgAttr(argument, LLVM::LLVMDialect::getNoAliasAttrName(),
                            UnitAttr::get(context));
  }

  /// The pointers, among the arguments that functions will have, to memrefs
  /// that no other argument overlaps. The conversion of a memref to its
  /// pointers, sizes and strides drops the attribute.
  static llvm::StringMap<SmallVector<unsigned>> findUnaliased(ModuleOp module) {
    llvm::StringMap<SmallVector<unsigned>> found;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function->hasAttr("llvm.bareptr") || function.isExternal())
        continue;
      unsigned place = 0;
      for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
        auto memref = dyn_cast<MemRefType>(type);
        if (!memref) {
          ++place;
          continue;
        }
        // Behind the pointer that was allocated stands the one that is read.
        if (function.getArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName()))
          found[function.getName()].push_back(place + 1);
        place += 3 + 2 * memref.getRank();
      }
    }
    return found;
  }

  /// No operator of ONNX says which zero the larger one of two is; x86 has no
  /// instruction that orders them.
  static void ignoreSignOfZero(Operation *op) {
    if (isa<arith::MaximumFOp, arith::MinimumFOp>(op)) {
      auto math = cast<arith::ArithFastMathInterface>(op);
      auto flags =
          math.getFastMathFlagsAttr().getValue() | arith::FastMathFlags::nsz;
      op->setAttr(math.getFastMathAttrName(),
                  arith::FastMathFlagsAttr::get(op->getContext(), flags));
    }
  }

  /// What a loop's branch carries through the dialects becomes its property.
  static void annotateLoop(LLVM::BrOp branch) {
    static constexpr StringLiteral name = "llvm.loop_annotation";
    if (auto annotation =
            branch->getAttrOfType<LLVM::LoopAnnotationAttr>(name)) {
      branch.setLoopAnnotationAttr(annotation);
      branch->removeAttr(name);
    }
  }

  /// What no memory of the target can hold is better said now.
  LogicalResult checkAddressSpace(ModuleOp module) {
    int64_t largest =
        indexBits < 64 ? (int64_t(1) << (indexBits - 1)) - 1 : int64_t(1) << 47;
    for (auto [attr, what] : {std::pair("dlc.workspace", "a workspace"),
                              std::pair("dlc.state_size", "a state"),
                              std::pair("dlc.weights_size", "weights")})
      if (auto size = module->getAttrOfType<IntegerAttr>(attr);
          size && (size.getInt() < 0 || size.getInt() > largest))
        return module.emitError("expected ")
               << what << " of at most " << largest
               << " bytes, which the target can address, found "
               << size.getInt();
    return success();
  }

  /// `@<name>_weights`, which codegen fills and places.
  static void declareWeights(ModuleOp module) {
    auto size = module->getAttrOfType<IntegerAttr>("dlc.weights_size");
    auto name = module->getAttrOfType<StringAttr>("dlc.name");
    if (!size || !name)
      return;
    OpBuilder b(module.getBodyRegion());
    LLVM::GlobalOp::create(
        b, module.getLoc(),
        LLVM::LLVMArrayType::get(b.getI8Type(), size.getInt()),
        /*isConstant=*/true, LLVM::Linkage::External,
        (name.getValue() + "_weights").str(), Attribute());
  }
};

} // namespace
