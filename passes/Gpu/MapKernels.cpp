// Makes GPU kernels of the functions that @main calls.
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Gpu/HostPart.h"
#include "passes/Gpu/Kernel.h"
#include "passes/Gpu/Passes.h"
#include "passes/Gpu/Rows.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MAPKERNELS
#include "passes/Gpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// The generators, best first; the last of each kind takes everything.
static constexpr bool (*linalgGenerators[])(Kernel &, linalg::LinalgOp) = {
    emitReduction, emitVectors, emitTransposition, emitLoops};
static constexpr bool (*contractGenerators[])(Kernel &, ContractOp) = {
    emitContractMma, emitContractTile, emitContractDepthwise,
    emitContractScalar};
static constexpr bool (*attentionGenerators[])(Kernel &, AttentionOp) = {
    emitAttentionMma, emitAttentionTile};

/// The type of a buffer inside of a kernel: its parameter points to the first
/// element, so that there is no offset.
static MemRefType withoutOffset(MemRefType type) {
  auto [strides, offset] = type.getStridesAndOffset();
  if (type.getLayout().isIdentity() && type.hasStaticShape())
    return type;
  return MemRefType::get(type.getShape(), type.getElementType(),
                         StridedLayoutAttr::get(type.getContext(), 0, strides),
                         type.getMemorySpace());
}

static bool isStatic(MemRefType type) {
  auto [strides, offset] = type.getStridesAndOffset();
  return type.hasStaticShape() && llvm::none_of(strides, ShapedType::isDynamic);
}

namespace {

/// A kernel that has been made of a function; none where it is the host's.
struct Mapped {
  gpu::GPUFuncOp func;
  Grid grid;
  SmallVector<bool> written; ///< for each argument
  /// Of each operand of a launch: the kernel has a parameter for it. Empty: of
  /// all.
  SmallVector<bool> isParameter;
};

struct MapKernelsPass : dlc::impl::MapKernelsBase<MapKernelsPass> {
  using MapKernelsBase::MapKernelsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    OpBuilder b(&getContext());
    b.setInsertionPointToEnd(module.getBody());
    device = gpu::GPUModuleOp::create(b, module.getLoc(), "kernels");
    SmallVector<func::CallOp> calls;
    main.walk([&](func::CallOp call) { calls.push_back(call); });
    llvm::DenseMap<Operation *, Mapped> kernels;
    SymbolTable symbols(module);
    SmallVector<func::FuncOp> functions;
    for (func::CallOp call : calls) {
      auto function = symbols.lookup<func::FuncOp>(call.getCallee());
      // What is computed of sizes stays with these.
      if (llvm::none_of(function.getArgumentTypes(), llvm::IsaPred<MemRefType>))
        continue;
      auto [it, isNew] = kernels.try_emplace(function);
      if (isNew && !staysOnHost(function)) {
        FailureOr<Mapped> mapped = map(function);
        if (failed(mapped))
          return signalPassFailure();
        it->second = *mapped;
        functions.push_back(function);
      }
      if (it->second.func)
        launch(call, it->second);
    }
    releaseBuffers(main);
    SmallVector<Attribute> names;
    for (func::FuncOp function : functions)
      names.push_back(function.getNameAttr());
    module->setAttr("dlc.kernels", b.getArrayAttr(names));
    // The fallback may use them still.
    for (func::FuncOp function : functions)
      if (SymbolTable::symbolKnownUseEmpty(function, module))
        function.erase();
  }

  /// Whether the host is to compute what `function` does.
  static bool staysOnHost(func::FuncOp function) {
    std::string reason;
    // Strings are addresses of the host's memory, handles of sequences too.
    for (auto [type, isWritten] :
         llvm::zip(function.getArgumentTypes(), findWrittenArguments(function)))
      if (auto buffer = dyn_cast<MemRefType>(type);
          isWritten && buffer && buffer.getElementType().isIndex())
        reason = "strings are the host's";
    SmallVector<Type> types;
    for (Type type : function.getArgumentTypes())
      addParameters(type, types);
    // A complex number has 16 bytes at most, all else 8.
    static constexpr size_t mostBytes = 4096;
    if (types.size() * 8 > mostBytes)
      reason = llvm::formatv("a kernel has at most {0} bytes of parameters, "
                             "this needs {1}",
                             mostBytes, types.size() * 8);
    if (reason.empty())
      return false;
    remarkMissed(function.getLoc(), "dlc-map-kernels")
        << remark::add("computed by the host: {0}", reason);
    return true;
  }

  /// Emits the one op of `function` as a kernel.
  FailureOr<Mapped> map(func::FuncOp function) {
    Operation *work = nullptr;
    function.walk([&](Operation *op) {
      if (!isa<linalg::LinalgOp, AttentionOp, ContractOp>(op))
        return WalkResult::advance();
      work = op;
      return WalkResult::interrupt();
    });
    if (!work)
      return function.emitError(
                 "expected a linalg op, a contraction or an attention in '")
             << function.getName() << "'";
    if (auto contract = dyn_cast<ContractOp>(work);
        contract && contract.getWinogradAttr())
      return work->emitError(
          "expected a direct convolution for a GPU, found Winograd's form");
    if (auto contract = dyn_cast<ContractOp>(work);
        contract && contract.getZeroOutside())
      return work->emitError("expected the zeros around a convolution's input "
                             "in memory for a GPU, found zeroOutside");

    ImplicitLocOpBuilder b(work->getLoc(), &getContext());
    b.setInsertionPointToEnd(device.getBody());
    SmallVector<Type> types;
    for (Type type : function.getArgumentTypes())
      addParameters(type, types);
    auto func = gpu::GPUFuncOp::create(b, function.getName(),
                                       b.getFunctionType(types, {}));
    func->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    b.setInsertionPointToStart(&func.getBody().front());
    Kernel kernel(func, b, capability);
    IRMapping mapping;
    unsigned parameter = 0;
    for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
      Value inside = rebuild(argument.getType(), func, parameter, b);
      if (isa<MemRefType>(inside.getType())) {
        kernel.arguments[inside] = i;
        copyAttributes(function, i, func, parameter);
      }
      parameter += countParameters(argument.getType());
      mapping.map(argument, inside);
    }
    for (Operation &op : function.front().without_terminator())
      b.clone(op, mapping);
    Operation *inside = nullptr;
    SmallVector<linalg::LinalgOp> steps;
    for (Operation &op : func.getBody().front()) {
      if (isa<linalg::LinalgOp, AttentionOp, ContractOp>(op))
        inside = &op;
      if (auto step = dyn_cast<linalg::LinalgOp>(op))
        steps.push_back(step);
    }
    b.setInsertionPoint(inside);
    if (auto dims = function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_dims"))
      emitRows(kernel, getRowSteps(function, steps, dims));
    else if (auto op = dyn_cast<linalg::LinalgOp>(inside))
      (void)llvm::any_of(linalgGenerators,
                         [&](auto emit) { return emit(kernel, op); });
    else if (auto op = dyn_cast<AttentionOp>(inside))
      (void)llvm::any_of(attentionGenerators,
                         [&](auto emit) { return emit(kernel, op); });
    else
      (void)llvm::any_of(contractGenerators, [&](auto emit) {
        return emit(kernel, cast<ContractOp>(inside));
      });
    remarkDone(work->getLoc(), "dlc-map-kernels")
        << remark::add("kernel: {0}", kernel.description);
    for (linalg::LinalgOp step : steps)
      if (step != inside)
        step.erase();
    inside->erase();
    b.setInsertionPointToEnd(&func.getBody().back());
    gpu::ReturnOp::create(b);
    func.setKnownBlockSizeAttr(
        b.getDenseI32ArrayAttr({int32_t(kernel.grid.threads), 1, 1}));
    if (kernel.residentBlocks)
      func->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(kernel.residentBlocks));
    copyCallees(func);
    SmallVector<bool> isParameter;
    if (function->hasAttr("dlc.row_private"))
      isParameter = dropParameters(func);
    return Mapped{func, kernel.grid, findWrittenArguments(function),
                  isParameter};
  }

  /// Takes away parameters that are of no use: buffers that a kernel on rows
  /// has in registers. Tells which of them there are still.
  static SmallVector<bool> dropParameters(gpu::GPUFuncOp func) {
    Block &entry = func.getBody().front();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(entry)))
      if (isOpTriviallyDead(&op))
        op.erase();
    SmallVector<bool> isParameter;
    SmallVector<Type> types;
    SmallVector<DictionaryAttr> attributes;
    for (unsigned i = 0, e = func.getNumArguments(); i < e; ++i) {
      isParameter.push_back(!entry.getArgument(i).use_empty());
      if (!isParameter.back())
        continue;
      types.push_back(entry.getArgument(i).getType());
      attributes.push_back(func.getArgAttrDict(i));
    }
    for (unsigned i = isParameter.size(); i-- > 0;)
      if (!isParameter[i])
        entry.eraseArgument(i);
    func.setFunctionType(FunctionType::get(func.getContext(), types, {}));
    func.setAllArgAttrs(attributes);
    return isParameter;
  }

  /// Takes away buffers that no kernel has a use for, and what the arena need
  /// not have then.
  void releaseBuffers(func::FuncOp main) {
    SmallVector<Operation *> ops;
    main.walk([&](Operation *op) {
      if (isa<ViewLikeOpInterface, memref::DimOp, ArenaOp, AllocOp>(op))
        ops.push_back(op);
    });
    bool isChanged = false;
    for (Operation *op : llvm::reverse(ops)) {
      auto isFree = [](Operation *user) { return isa<FreeOp>(user); };
      if (isa<AllocOp>(op) && llvm::all_of(op->getUsers(), isFree))
        for (Operation *user : llvm::make_early_inc_range(op->getUsers()))
          user->erase();
      if (!op->use_empty())
        continue;
      isChanged |= isa<ArenaOp>(op);
      op->erase();
    }
    auto workspace =
        getOperation()->getAttrOfType<IntegerAttr>("dlc.workspace");
    if (!workspace || !isChanged)
      return;
    int64_t end = 0;
    getOperation().walk([&](ArenaOp arena) {
      auto type = cast<MemRefType>(arena.getType());
      end = std::max<int64_t>(
          end, arena.getOffset() + type.getNumElements() *
                                       getElementBytes(type.getElementType()));
    });
    getOperation()->setAttr("dlc.workspace", Builder(&getContext())
                                                 .getI64IntegerAttr(std::min(
                                                     workspace.getInt(), end)));
  }

  static RowSteps getRowSteps(func::FuncOp function,
                              ArrayRef<linalg::LinalgOp> ops,
                              DenseI64ArrayAttr dims) {
    RowSteps steps{llvm::to_vector(ops), dims.asArrayRef(), {}, {}, {}};
    if (auto buffers =
            function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_buffers"))
      steps.buffers = buffers;
    if (auto places =
            function->getAttrOfType<DenseI64ArrayAttr>("dlc.row_places"))
      steps.places = places;
    if (auto isPrivate =
            function->getAttrOfType<DenseBoolArrayAttr>("dlc.row_private"))
      steps.isPrivate = isPrivate;
    return steps;
  }

  /// A buffer is a pointer, its dynamic sizes and its dynamic strides.
  static void addParameters(Type type, SmallVectorImpl<Type> &types) {
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref) {
      types.push_back(type);
      return;
    }
    Type index = IndexType::get(type.getContext());
    if (isStatic(memref)) {
      types.push_back(withoutOffset(memref));
      return;
    }
    types.push_back(MemRefType::get({}, memref.getElementType()));
    types.append(memref.getNumDynamicDims(), index);
    types.append(llvm::count_if(memref.getStridesAndOffset().first,
                                ShapedType::isDynamic),
                 index);
  }

  static unsigned countParameters(Type type) {
    SmallVector<Type> types;
    addParameters(type, types);
    return types.size();
  }

  /// The value inside the kernel of what `addParameters` added.
  static Value rebuild(Type type, gpu::GPUFuncOp func, unsigned first,
                       ImplicitLocOpBuilder &b) {
    auto memref = dyn_cast<MemRefType>(type);
    Value pointer = func.getBody().getArgument(first);
    if (!memref || isStatic(memref))
      return pointer;
    auto take = [&](ArrayRef<int64_t> numbers) {
      SmallVector<OpFoldResult> values;
      for (int64_t number : numbers)
        values.push_back(ShapedType::isDynamic(number)
                             ? OpFoldResult(func.getBody().getArgument(++first))
                             : OpFoldResult(b.getIndexAttr(number)));
      return values;
    };
    SmallVector<OpFoldResult> sizes = take(memref.getShape());
    SmallVector<OpFoldResult> strides =
        take(memref.getStridesAndOffset().first);
    return memref::ReinterpretCastOp::create(b, withoutOffset(memref), pointer,
                                             OpFoldResult(b.getIndexAttr(0)),
                                             sizes, strides);
  }

  /// Keeps what is known of a pointer, and says that a buffer which is no part
  /// of another begins at 16 bytes.
  static void copyAttributes(func::FuncOp from, unsigned argument,
                             gpu::GPUFuncOp to, unsigned parameter) {
    MLIRContext *context = from.getContext();
    StringRef noAlias = LLVM::LLVMDialect::getNoAliasAttrName();
    if (from.getArgAttr(argument, noAlias))
      to.setArgAttr(parameter, noAlias, UnitAttr::get(context));
    auto type = cast<MemRefType>(from.getArgument(argument).getType());
    if (type.getLayout().isIdentity())
      to.setArgAttr(parameter, LLVM::LLVMDialect::getAlignAttrName(),
                    Builder(context).getI64IntegerAttr(16));
  }

  /// A kernel sees only its own module: gives it the functions it calls.
  void copyCallees(gpu::GPUFuncOp func) {
    SmallVector<Operation *> queue{func};
    while (!queue.empty())
      queue.pop_back_val()->walk([&](func::CallOp call) {
        if (SymbolTable::lookupSymbolIn(device, call.getCallee()))
          return;
        OpBuilder b(&getContext());
        b.setInsertionPointToEnd(device.getBody());
        Operation *callee =
            SymbolTable::lookupSymbolIn(getOperation(), call.getCallee());
        queue.push_back(b.clone(*callee));
      });
  }

  void launch(func::CallOp call, Mapped &mapped) {
    ImplicitLocOpBuilder b(call.getLoc(), call);
    SmallVector<Value> operands;
    SmallVector<int64_t> written;
    unsigned parameter = 0;
    auto add = [&](Value operand, bool isWritten) {
      bool isKept = mapped.isParameter.empty() || mapped.isParameter[parameter];
      ++parameter;
      if (!isKept)
        return;
      if (isWritten)
        written.push_back(operands.size());
      operands.push_back(operand);
    };
    for (auto [operand, isWritten] :
         llvm::zip(call.getOperands(), mapped.written)) {
      add(operand, isWritten);
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type || isStatic(type))
        continue;
      auto metadata = memref::ExtractStridedMetadataOp::create(b, operand);
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          add(b.createOrFold<memref::DimOp>(operand, dim), false);
      for (auto [known, stride] :
           llvm::zip(type.getStridesAndOffset().first, metadata.getStrides()))
        if (ShapedType::isDynamic(known))
          add(stride, false);
    }
    auto symbol =
        SymbolRefAttr::get(device.getNameAttr(),
                           {FlatSymbolRefAttr::get(mapped.func.getNameAttr())});
    LaunchOp::create(b, symbol, mapped.grid.emitBlocks(b, call.getOperands()),
                     mapped.grid.threads, operands,
                     b.getDenseI64ArrayAttr(written));
    call.erase();
  }

  gpu::GPUModuleOp device;
};

} // namespace
