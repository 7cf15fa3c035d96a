// Makes kernels that a CPU has of dlc.attention: its scores go to memory.

#include "dialects/Dlc/Dlc.h"
#include "dialects/Dlc/SoftmaxAttr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Cpu/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_DECOMPOSEATTENTION
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

using DimKind = AttentionOp::DimKind;

namespace {

/// One op on buffers, in the place of which others are put.
class Decomposition {
public:
  explicit Decomposition(AttentionOp op)
      : op(op), b(op.getLoc(), op), context(op.getContext()) {}

  void run() {
    SmallVector<unsigned> whole;
    for (unsigned dim = 0; dim < op.getNumDims(); ++dim)
      if (op.getDimKind(dim) == DimKind::Batch ||
          op.getDimKind(dim) == DimKind::Row)
        whole.push_back(dim);
    rows = whole;
    unsigned key = op.getDim(DimKind::Key);
    whole.push_back(key);
    Type type = op.getScores().front().getArgument(0).getType();

    Value scores = allocate(whole, type);
    multiplyByKeys(scores, mapOf(whole));
    Value most = allocate(rows, type);
    Value infinity = arith::ConstantOp::create(
        b, b.getFloatAttr(
               type, APFloat::getInf(cast<FloatType>(type).getFloatSemantics(),
                                     /*Negative=*/true)));
    reduce<arith::MaximumFOp>(scores, most, infinity);
    exponentiate(scores, most);
    Value total = allocate(rows, type);
    reduce<arith::AddFOp>(
        scores, total, arith::ConstantOp::create(b, b.getFloatAttr(type, 0)));
    multiplyByValues(scores, mapOf(whole), total);
    for (Value buffer : buffers)
      FreeOp::create(b, buffer, UnitAttr());
    op.erase();
  }

private:
  /// Memory with a dimension for each of `dims`.
  Value allocate(ArrayRef<unsigned> dims, Type type) {
    SmallVector<int64_t> shape;
    SmallVector<Value> sizes;
    for (unsigned dim : dims) {
      shape.push_back(op.getStaticExtent(dim));
      if (ShapedType::isDynamic(shape.back()))
        sizes.push_back(op.createExtent(b, dim));
    }
    buffers.push_back(
        AllocOp::create(b, MemRefType::get(shape, type), sizes, UnitAttr())
            .getResult());
    return buffers.back();
  }

  AffineMap mapOf(ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(op.getNumDims(), dims, context);
  }

  /// `map` in the space without the dimension of kind `left`.
  AffineMap without(DimKind left, AffineMap map) {
    unsigned gone = op.getDim(left);
    SmallVector<AffineExpr> dims;
    for (unsigned dim = 0; dim < op.getNumDims(); ++dim)
      dims.push_back(getAffineDimExpr(dim - (dim > gone), context));
    return map.replaceDimsAndSymbols(dims, {}, op.getNumDims() - 1, 0);
  }

  /// scores = epilogue(Q * K)
  void multiplyByKeys(Value scores, AffineMap scoreMap) {
    Value keys = op.getK();
    AffineMap keyMap = op.getKMap();
    unsigned key = op.getDim(DimKind::Key);
    // Products read B along its columns.
    AffineExpr last = getAffineDimExpr(key, context);
    if (keyMap.getResults().back() != last) {
      SmallVector<unsigned> dims;
      SmallVector<int64_t> permutation;
      for (auto [i, expr] : llvm::enumerate(keyMap.getResults()))
        if (expr != last) {
          dims.push_back(cast<AffineDimExpr>(expr).getPosition());
          permutation.push_back(i);
        }
      dims.push_back(key);
      permutation.push_back(*keyMap.getResultPosition(last));
      Value turned = allocate(dims, getElementTypeOrSelf(keys.getType()));
      linalg::TransposeOp::create(b, keys, turned, permutation);
      keys = turned;
      keyMap = mapOf(dims);
    }
    SmallVector<AffineMap> maps{op.getQMap(), keyMap};
    for (unsigned i = 0; i < op.getScoreExtras().size(); ++i)
      maps.push_back(op.getScoreExtraMap(i));
    maps.push_back(scoreMap);
    createContract(DimKind::Column, op.getQ(), keys, op.getScoreExtras(),
                   scores, maps, op.getScores());
  }

  /// C = epilogue(scores * V / total)
  void multiplyByValues(Value scores, AffineMap scoreMap, Value total) {
    SmallVector<AffineMap> maps{scoreMap, op.getVMap(), mapOf(rows)};
    SmallVector<Value> extras{total};
    llvm::append_range(extras, op.getExtras());
    for (unsigned i = 0; i < op.getExtras().size(); ++i)
      maps.push_back(op.getExtraMap(i));
    maps.push_back(op.getCMap());
    ContractOp contract =
        createContract(DimKind::Depth, scores, op.getV(), extras, op.getInit(),
                       maps, op.getEpilogue());
    Block *body = contract.getBody();
    Value sum = body->getArgument(0);
    Type type = getElementTypeOrSelf(total.getType());
    Value divisor = body->insertArgument(1u, type, op.getLoc());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(body);
    if (sum.getType().getIntOrFloatBitWidth() > type.getIntOrFloatBitWidth())
      divisor = arith::ExtFOp::create(b, sum.getType(), divisor);
    else if (sum.getType() != type)
      divisor = arith::TruncFOp::create(b, sum.getType(), divisor);
    auto quotient = arith::DivFOp::create(b, sum, divisor);
    sum.replaceAllUsesExcept(quotient, quotient);
  }

  ContractOp createContract(DimKind left, Value x, Value y, ValueRange extras,
                            Value init, MutableArrayRef<AffineMap> maps,
                            Region &epilogue) {
    for (AffineMap &map : maps)
      map = without(left, map);
    auto contract = ContractOp::create(b, x, y, extras, init, maps);
    contract.getEpilogue().takeBody(epilogue);
    return contract;
  }

  AffineMap rowMap(unsigned rank) {
    return AffineMap::getMultiDimIdentityMap(rank, context)
        .dropResult(rank - 1);
  }

  template <typename Combiner>
  void reduce(Value scores, Value result, Value start) {
    linalg::FillOp::create(b, ValueRange(start), ValueRange(result));
    unsigned rank = cast<MemRefType>(scores.getType()).getRank();
    SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
    kinds.back() = utils::IteratorType::reduction;
    linalg::GenericOp::create(
        b, TypeRange(), ValueRange(scores), ValueRange(result),
        ArrayRef<AffineMap>{AffineMap::getMultiDimIdentityMap(rank, context),
                            rowMap(rank)},
        kinds, [](OpBuilder &b, Location loc, ValueRange values) {
          Value combined = Combiner::create(b, loc, values[0], values[1]);
          linalg::YieldOp::create(b, loc, combined);
        });
  }

  /// scores = exp(scores - most)
  void exponentiate(Value scores, Value most) {
    unsigned rank = cast<MemRefType>(scores.getType()).getRank();
    AffineMap identity = AffineMap::getMultiDimIdentityMap(rank, context);
    linalg::GenericOp::create(
        b, TypeRange(), ValueRange{scores, most}, ValueRange(scores),
        ArrayRef<AffineMap>{identity, rowMap(rank), identity},
        SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
        [](OpBuilder &b, Location loc, ValueRange values) {
          Value shifted = arith::SubFOp::create(b, loc, values[0], values[1]);
          auto power = math::ExpOp::create(b, loc, shifted);
          power->setAttr(kSoftmaxAttr, b.getUnitAttr());
          linalg::YieldOp::create(b, loc, power.getResult());
        });
  }

  AttentionOp op;
  ImplicitLocOpBuilder b;
  MLIRContext *context;
  SmallVector<unsigned> rows;
  SmallVector<Value> buffers;
};

struct DecomposeAttentionPass
    : dlc::impl::DecomposeAttentionBase<DecomposeAttentionPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    for (StringRef name : {"main", "fallback"})
      if (auto function = symbols.lookup<func::FuncOp>(name)) {
        inlineKernels(function, symbols);
        SmallVector<AttentionOp> ops;
        function.walk([&](AttentionOp op) {
          if (!op.getTile())
            ops.push_back(op);
        });
        for (AttentionOp op : ops)
          Decomposition(op).run();
      }
    for (auto kernel :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (kernel.isPrivate() && holdsAttention(kernel) &&
          SymbolTable::symbolKnownUseEmpty(kernel, module))
        kernel.erase();
  }

  static bool holdsAttention(func::FuncOp kernel) {
    return kernel
        .walk([](AttentionOp op) {
          return op.getTile() ? WalkResult::advance() : WalkResult::interrupt();
        })
        .wasInterrupted();
  }

  /// What comes instead needs memory, which a run's function alone can take.
  static void inlineKernels(func::FuncOp function, SymbolTable &symbols) {
    SmallVector<func::CallOp> calls;
    function.walk([&](func::CallOp call) { calls.push_back(call); });
    for (func::CallOp call : calls) {
      auto kernel = symbols.lookup<func::FuncOp>(call.getCallee());
      if (!kernel || kernel.isExternal() || !holdsAttention(kernel))
        continue;
      OpBuilder b(call);
      IRMapping mapping;
      mapping.map(kernel.getArguments(), call.getOperands());
      for (Operation &op : kernel.front().without_terminator())
        b.clone(op, mapping);
      call.erase();
    }
  }
};

} // namespace
