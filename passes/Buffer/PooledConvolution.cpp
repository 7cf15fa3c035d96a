// Finds pools that can be computed line by line with the convolution before.
#include "passes/Buffer/PooledConvolution.h"
#include "mlir/Dialect/MemRef/Utils/MemRefUtils.h"

using namespace mlir;
using namespace dlc;

int64_t dlc::getFactor(AffineExpr expr, unsigned dim, unsigned dims) {
  MLIRContext *context = expr.getContext();
  SmallVector<AffineExpr> at(dims, getAffineConstantExpr(0, context));
  auto evaluate = [&] {
    return cast<AffineConstantExpr>(expr.replaceDims(at)).getValue();
  };
  int64_t before = evaluate();
  at[dim] = getAffineConstantExpr(1, context);
  return evaluate() - before;
}

static bool isSum(AffineExpr expr) {
  bool result = true;
  expr.walk([&](AffineExpr part) {
    result &= isa<AffineDimExpr, AffineConstantExpr>(part) ||
              part.getKind() == AffineExprKind::Add ||
              part.getKind() == AffineExprKind::Mul;
  });
  return result;
}

/// Whether only the result `at` of `map` is of `dim`, and nothing else than
/// it; with `mayMiss` there may be none.
static bool isPlain(AffineMap map, unsigned dim, bool mayMiss) {
  unsigned uses = 0;
  for (AffineExpr expr : map.getResults()) {
    if (!expr.isFunctionOfDim(dim))
      continue;
    if (!isa<AffineDimExpr>(expr))
      return false;
    ++uses;
  }
  return uses == 1 || (mayMiss && uses == 0);
}

static Value rootOf(Value buffer) {
  return memref::skipViewLikeOps(cast<MemrefValue>(buffer));
}

/// What fills a pool's results, and the elementwise ops behind it.
static bool findNeighbours(PooledConvolution &found) {
  auto isIdle = [](Operation &op) {
    return !op.getNumRegions() &&
           (isMemoryEffectFree(&op) || isa<memref::AllocOp>(op));
  };
  Value results = found.pool.getDpsInits()[0];
  Operation *front = found.pool->getPrevNode();
  while (front && isIdle(*front))
    front = front->getPrevNode();
  found.fill = dyn_cast_or_null<linalg::FillOp>(front);
  if (!found.fill || found.fill.getOutputs()[0] != results)
    return false;
  for (Operation *op = found.pool->getNextNode(); op; op = op->getNextNode()) {
    if (isIdle(*op))
      continue;
    auto tail = dyn_cast<linalg::GenericOp>(op);
    if (!tail || tail.getNumDpsInits() != 1 ||
        tail.getDpsInits()[0] != results || tail.getNumReductionLoops() ||
        tail.hasIndexSemantics() ||
        !tail.getMatchingIndexingMap(tail.getDpsInitOperand(0)).isIdentity() ||
        llvm::any_of(tail.getDpsInputOperands(), [&](OpOperand *input) {
          return isa<MemRefType>(input->get().getType()) &&
                 (rootOf(input->get()) == rootOf(results) ||
                  !tail.getMatchingIndexingMap(input).isProjectedPermutation(
                      /*allowZeroInResults=*/true));
        }))
      break;
    found.tails.push_back(tail);
  }
  return true;
}

/// The convolution that fills the map but for a border, if nothing else is done
/// with it.
static bool findConvolution(PooledConvolution &found) {
  MemRefType type = found.getMapType();
  Value border;
  int64_t filled = 0;
  ContractOp conv;
  auto addUser = [&](Operation *user, Value value) {
    if (user == found.pool)
      return value == found.map.getResult();
    if (auto fill = dyn_cast<linalg::FillOp>(user)) {
      if (border && border != fill.getInputs()[0])
        return false;
      border = fill.getInputs()[0];
      filled += cast<MemRefType>(value.getType()).getNumElements();
      found.borders.push_back(fill);
      return true;
    }
    auto contract = dyn_cast<ContractOp>(user);
    if (!contract || conv || contract.getInit() != value ||
        llvm::count(contract->getOperands(), value) != 1)
      return false;
    conv = contract;
    return true;
  };
  found.low.assign(type.getRank(), 0);
  for (Operation *user : found.map->getUsers()) {
    auto view = dyn_cast<memref::SubViewOp>(user);
    if (!view) {
      if (!addUser(user, found.map.getResult()))
        return false;
      continue;
    }
    if (view.getType().getRank() != type.getRank() ||
        !view.getType().hasStaticShape() || !view.hasUnitStride() ||
        llvm::any_of(view.getStaticOffsets(), ShapedType::isDynamic))
      return false;
    for (Operation *inner : view->getUsers()) {
      if (!addUser(inner, view.getResult()))
        return false;
      if (isa<ContractOp>(inner))
        found.low = llvm::to_vector(view.getStaticOffsets());
    }
  }
  if (!conv ||
      filled + cast<MemRefType>(conv.getInit().getType()).getNumElements() !=
          type.getNumElements())
    return false;
  found.conv = conv;
  found.border = border;
  return true;
}

/// Whether the convolution may be done where the pool is, and what it reads is
/// written by neither.
static bool isMovable(PooledConvolution &found) {
  ContractOp conv = found.conv;
  if (conv->getBlock() != found.pool->getBlock() ||
      !conv->isBeforeInBlock(found.pool))
    return false;
  SmallPtrSet<Value, 8> read;
  auto add = [&](Value value) {
    if (isa<MemRefType>(value.getType()))
      read.insert(rootOf(value));
  };
  llvm::for_each(conv->getOperands(), add);
  for (linalg::GenericOp tail : found.tails)
    llvm::for_each(tail.getDpsInputs(), add);
  if (read.contains(rootOf(found.pool.getDpsInits()[0])))
    return false;
  for (Operation *op = conv->getNextNode(); op != found.getLast();
       op = op->getNextNode()) {
    if (op == found.pool || op == found.fill ||
        llvm::is_contained(found.tails, op))
      continue;
    if (!op->getNumRegions() &&
        (isMemoryEffectFree(op) || isa<memref::AllocOp>(op)))
      continue;
    auto fill = dyn_cast<linalg::FillOp>(op);
    if (!fill || (!llvm::is_contained(found.borders, fill) &&
                  read.contains(rootOf(fill.getOutputs()[0]))))
      return false;
  }
  return true;
}

/// Finds the dimensions along which both go line by line.
static bool findLines(PooledConvolution &found) {
  linalg::GenericOp pool = found.pool;
  ContractOp conv = found.conv;
  MemRefType type = found.getMapType();
  auto dimOf = [](AffineExpr expr) -> std::optional<unsigned> {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return dim.getPosition();
    return std::nullopt;
  };
  // The map is [image, line, ...].
  AffineMap reads =
      pool.getMatchingIndexingMap(&pool->getOpOperand(found.input));
  AffineMap writes = pool.getMatchingIndexingMap(pool.getDpsInitOperand(0));
  AffineMap makes = conv.getCMap();
  std::optional<unsigned> image = dimOf(reads.getResult(0)),
                          convImage = dimOf(makes.getResult(0)),
                          convLine = dimOf(makes.getResult(1));
  if (!image || !convImage || !convLine || !isSum(reads.getResult(1)))
    return false;
  SmallVector<unsigned> lines, windows;
  for (auto [dim, kind] : llvm::enumerate(pool.getIteratorTypesArray()))
    if (reads.getResult(1).isFunctionOfDim(dim))
      (kind == utils::IteratorType::parallel ? lines : windows).push_back(dim);
  SmallVector<int64_t> sizes = pool.getStaticLoopRanges();
  if (lines.size() != 1 || windows.size() > 1 ||
      llvm::any_of(sizes, [](int64_t n) { return n < 1; }))
    return false;
  auto factor = [&](unsigned dim) {
    return getFactor(reads.getResult(1), dim, sizes.size());
  };
  found.poolImage = *image;
  found.poolLine = lines[0];
  found.convImage = *convImage;
  found.convLine = *convLine;
  found.images = type.getDimSize(0);
  found.lines = sizes[lines[0]];
  found.convLines = found.getConvType().getDimSize(1);
  found.stride = factor(lines[0]);
  found.span =
      windows.empty() ? 1 : (sizes[windows[0]] - 1) * factor(windows[0]) + 1;
  if (found.low[0] || found.getConvType().getDimSize(0) != found.images ||
      !isPlain(writes, *image, false) || !isPlain(writes, lines[0], false))
    return false;
  for (unsigned i = 2; i < reads.getNumResults(); ++i)
    if (reads.getResult(i).isFunctionOfDim(*image) ||
        reads.getResult(i).isFunctionOfDim(lines[0]))
      return false;
  for (OpOperand *input : pool.getDpsInputOperands())
    if (input->getOperandNumber() != found.input) {
      AffineMap other = pool.getMatchingIndexingMap(input);
      if (other.isFunctionOfDim(*image) || other.isFunctionOfDim(lines[0]))
        return false;
    }
  // Extras, and A but for its windows.
  for (unsigned i = 1, e = conv.getIndexingMaps().size(); i < e; ++i)
    if (!isPlain(conv.getMap(i), *convImage, i + 1 < e) ||
        !isPlain(conv.getMap(i), *convLine, i + 1 < e))
      return false;
  AffineMap a = conv.getAMap();
  unsigned uses = 0;
  for (AffineExpr expr : a.getResults())
    if (expr.isFunctionOfDim(*convLine)) {
      ++uses;
      if (!isSum(expr) || expr.isFunctionOfDim(*convImage))
        return false;
    }
  return uses == 1 && isPlain(a, *convImage, false) && !conv.getZeroOutside() &&
         !conv.getBMap().isFunctionOfDim(*convLine) &&
         !conv.getBMap().isFunctionOfDim(*convImage);
}

std::optional<PooledConvolution>
dlc::findPooledConvolution(linalg::GenericOp pool) {
  if (!pool.hasPureBufferSemantics() || pool.getNumDpsInits() != 1 ||
      !pool.getNumReductionLoops() || pool.hasIndexSemantics())
    return std::nullopt;
  PooledConvolution found;
  found.pool = pool;
  for (OpOperand *input : pool.getDpsInputOperands()) {
    auto map = input->get().getDefiningOp<memref::AllocOp>();
    if (!map || pool.getMatchingIndexingMap(input).isProjectedPermutation() ||
        llvm::count(pool->getOperands(), map.getResult()) != 1)
      continue;
    found.map = map;
    found.input = input->getOperandNumber();
  }
  if (!found.map || !found.getMapType().hasStaticShape() ||
      found.getMapType().getRank() < 3)
    return std::nullopt;
  if (!findConvolution(found) || !findNeighbours(found) ||
      llvm::any_of(found.conv->getOperandTypes(),
                   [](Type type) {
                     auto memref = dyn_cast<MemRefType>(type);
                     return memref && !memref.hasStaticShape();
                   }) ||
      !findLines(found) || !isMovable(found))
    return std::nullopt;
  return found;
}
