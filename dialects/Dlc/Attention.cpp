// dlc.attention: verifier, kinds of iteration dimensions, effects.
#include "dialects/Dlc/Destination.h"
#include "dialects/Dlc/MatrixTilesAttr.h"
#include "dialects/Dlc/PartsAttr.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

//===----------------------------------------------------------------------===//
// Iteration space
//===----------------------------------------------------------------------===//

DimKind AttentionOp::getDimKind(unsigned dim) {
  bool inQ = getQMap().isFunctionOfDim(dim);
  bool inK = getKMap().isFunctionOfDim(dim);
  bool inC = getCMap().isFunctionOfDim(dim);
  if (inQ && !inC)
    return DimKind::Depth;
  if (inQ)
    return inK ? DimKind::Batch : DimKind::Row;
  return inK ? DimKind::Key : DimKind::Column;
}

SmallVector<unsigned> AttentionOp::getDims(DimKind kind) {
  SmallVector<unsigned> dims;
  for (unsigned dim = 0, e = getNumDims(); dim < e; ++dim)
    if (getDimKind(dim) == kind)
      dims.push_back(dim);
  return dims;
}

/// An operand and a position in its shape that hold the extent of `dim`, a
/// static one where there is one.
static std::pair<Value, unsigned> findExtent(AttentionOp op, unsigned dim) {
  std::pair<Value, unsigned> found;
  for (auto [operand, value] : llvm::enumerate(op.getMapped())) {
    std::optional<unsigned> position = op.getMap(operand).getResultPosition(
        getAffineDimExpr(dim, op.getContext()));
    if (!position)
      continue;
    if (!cast<ShapedType>(value.getType()).isDynamicDim(*position))
      return {value, *position};
    if (!found.first)
      found = {value, *position};
  }
  return found;
}

Value AttentionOp::createExtent(OpBuilder &builder, unsigned dim) {
  auto [value, position] = findExtent(*this, dim);
  if (isa<TensorType>(value.getType()))
    return builder.createOrFold<tensor::DimOp>(getLoc(), value,
                                               int64_t(position));
  return builder.createOrFold<memref::DimOp>(getLoc(), value,
                                             int64_t(position));
}

int64_t AttentionOp::getStaticExtent(unsigned dim) {
  auto [value, position] = findExtent(*this, dim);
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

MutableOperandRange AttentionOp::getDpsInitsMutable() {
  return getInitMutable();
}

void AttentionOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  addDestinationEffects(*this, effects);
  for (OpOperand &operand : getOperation()->getOpOperands())
    if (operand.get() == getScratch())
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
}

//===----------------------------------------------------------------------===//
// Verifier
//===----------------------------------------------------------------------===//

static std::string operandName(AttentionOp op, unsigned operand) {
  unsigned scores = op.getScoreExtras().size();
  if (operand < 3)
    return std::string(1, "qkv"[operand]);
  if (operand < 3 + scores)
    return llvm::formatv("score extra {0}", operand - 3).str();
  if (operand + 1 == op.getMapped().size())
    return "init";
  return llvm::formatv("extra {0}", operand - 3 - scores).str();
}

/// The kinds of dimensions that an operand's map may have.
static bool mayHave(AttentionOp op, unsigned operand, DimKind kind) {
  switch (kind) {
  case DimKind::Batch:
    return true;
  case DimKind::Row:
    return operand == 0 || operand > 2;
  case DimKind::Key:
    return operand == 1 || operand == 2 ||
           (operand > 2 && operand < 3 + op.getScoreExtras().size());
  case DimKind::Depth:
    return operand < 2;
  case DimKind::Column:
    return operand == 2 || operand >= 3 + op.getScoreExtras().size();
  }
  llvm_unreachable("a kind");
}

static LogicalResult verifyMap(AttentionOp op, unsigned operand) {
  AffineMap map = op.getMap(operand);
  std::string name = operandName(op, operand);
  auto type = cast<ShapedType>(op->getOperand(operand).getType());
  if (map.getNumSymbols() || map.getNumDims() != op.getNumDims())
    return op.emitOpError("expected all maps to have ")
           << op.getNumDims() << " dimensions and no symbols, that of " << name
           << " has " << map.getNumDims() << " and " << map.getNumSymbols();
  if (!type.hasRank() || type.getRank() != map.getNumResults())
    return op.emitOpError("expected ")
           << name << " of rank " << map.getNumResults()
           << " as its map has results, found " << type;
  bool isExtra = operand > 2 && operand + 1 < op.getMapped().size();
  bool isPlain =
      isExtra ? llvm::all_of(map.getResults(),
                             llvm::IsaPred<AffineDimExpr, AffineConstantExpr>)
              : map.isProjectedPermutation();
  if (!isPlain)
    return op.emitOpError("expected the map of ")
           << name
           << (isExtra ? " to have dimensions and constants"
                       : " to be a projected permutation")
           << ", found " << AffineMapAttr::get(map);
  for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
    if (map.isFunctionOfDim(dim) && !mayHave(op, operand, op.getDimKind(dim)))
      return op.emitOpError("expected no d")
             << dim << " in the map of " << name;
  return success();
}

/// What kParts says of C.
static LogicalResult verifyParts(AttentionOp op, int64_t parts) {
  int64_t columns = op.getStaticExtent(op.getDim(DimKind::Column));
  ArrayRef<int64_t> shape = cast<ShapedType>(op.getInit().getType()).getShape();
  SmallVector<unsigned> dims = op.getDims(DimKind::Column);
  AffineMap map = op.getCMap();
  if (parts < 1 || !op.getTile() || op.getExtras().size() || dims.size() != 3 ||
      map.getNumResults() < 2 || ShapedType::isDynamic(columns) ||
      map.getDimPosition(0) != dims[1] ||
      map.getDimPosition(map.getNumResults() - 1) != dims[2] ||
      shape.front() != parts || shape.back() != columns + 2)
    return op.emitOpError("expected a tile, no extras and init of ")
           << parts << " parts, rows and " << columns + 2
           << " numbers a row, found " << op.getInit().getType();
  return success();
}

LogicalResult AttentionOp::verify() {
  unsigned count = getMapped().size();
  if (getIndexingMaps().size() != count)
    return emitOpError("expected ")
           << count << " maps, found " << getIndexingMaps().size();
  auto name = [this](unsigned operand) { return operandName(*this, operand); };
  if (failed(verifyDestination(*this, getMapped(), name)))
    return failure();
  for (unsigned operand = 0; operand < count; ++operand)
    if (failed(verifyMap(*this, operand)))
      return failure();
  for (auto [kind, name] : {std::pair(DimKind::Key, "keys"),
                            {DimKind::Depth, "depth"},
                            {DimKind::Column, "columns"}})
    if (getDims(kind).size() !=
        (kind == DimKind::Column && getParts(*this) ? 3 : 1))
      return emitOpError("expected one dimension of ")
             << name << ", found " << getDims(kind).size();
  if (std::optional<int64_t> parts = getParts(*this);
      parts && failed(verifyParts(*this, *parts)))
    return failure();
  if (std::optional<ArrayRef<int64_t>> tile = getTile();
      tile && (tile->size() != 2 || (*tile)[0] < 1 || (*tile)[1] < 1))
    return emitOpError("expected a tile of some queries and some keys, found ")
           << getTileAttr();
  if (std::optional<ArrayRef<int64_t>> causal = getCausal();
      causal && (causal->size() != 2 || (*causal)[0] < 0 ||
                 (*causal)[0] >= getNumDims() ||
                 getDimKind((*causal)[0]) != DimKind::Row || (*causal)[1] < 0))
    return emitOpError("expected causal of a dimension of rows and a number of "
                       "0 or more, found ")
           << getCausalAttr();
  if (hasMatrixTiles(*this) &&
      (!getTile() || getPrecision() != Precision::BF16))
    return emitOpError("expected dlc.matrix_tiles only with a tile and "
                       "precision bf16");
  if (getScratch() && (!getTile() || hasTensors()))
    return emitOpError("expected scratch only with a tile and memrefs");
  return verifySizes(
      *this,
      llvm::to_vector(getIndexingMaps().getAsValueRange<AffineMapAttr>()),
      [this](unsigned dim) { return getStaticExtent(dim); }, name);
}

/// The scores or the epilogue: a body on a float sum.
static LogicalResult verifyFloatBody(AttentionOp op, StringRef name,
                                     Region &region, ValueRange extras,
                                     Type yielded) {
  Block &body = region.front();
  if (body.getNumArguments() && !isa<FloatType>(body.getArgument(0).getType()))
    return op.emitOpError("expected ") << name << " of a float sum, found "
                                       << body.getArgument(0).getType();
  return verifyBody(op, name, body, extras, yielded);
}

LogicalResult AttentionOp::verifyRegions() {
  for (Value operand : {getQ(), getK(), getV()})
    if (!isa<FloatType>(getElementTypeOrSelf(operand.getType())))
      return emitOpError("expected q, k and v of floats, found ")
             << operand.getType();
  Block &scores = getScores().front();
  if (!scores.getNumArguments())
    return emitOpError("expected scores of 1 or more arguments, found 0");
  if (failed(verifyFloatBody(*this, "scores", getScores(), getScoreExtras(),
                             scores.getArgument(0).getType())))
    return failure();
  return verifyFloatBody(*this, "epilogue", getEpilogue(), getExtras(),
                         getElementTypeOrSelf(getInit().getType()));
}
