// dlc.contract: verifier, kinds of iteration dimensions, effects.
#include "dialects/Dlc/Destination.h"
#include "dialects/Dlc/Dilation.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

/// All but the attributes.
static void addParts(OperationState &state, Value a, Value b, ValueRange extras,
                     Value init) {
  state.addOperands({a, b});
  state.addOperands(extras);
  state.addOperands(init);
  if (isa<TensorType>(init.getType()))
    state.addTypes(init.getType());
  state.addRegion();
  auto &properties = state.getOrAddProperties<ContractOp::Properties>();
  properties.operandSegmentSizes = {1, 1, int32_t(extras.size()), 1, 0};
}

void ContractOp::build(OpBuilder &builder, OperationState &state, Value a,
                       Value b, ValueRange extras, Value init,
                       ArrayRef<AffineMap> maps, bool aUnsigned, bool bUnsigned,
                       DotAttr dot, PrecisionAttr precision) {
  addParts(state, a, b, extras, init);
  auto &properties = state.getOrAddProperties<Properties>();
  properties.indexingMaps = builder.getAffineMapArrayAttr(maps);
  properties.aUnsigned = aUnsigned ? builder.getUnitAttr() : UnitAttr();
  properties.bUnsigned = bUnsigned ? builder.getUnitAttr() : UnitAttr();
  properties.dot = dot;
  properties.precision = precision;
}

void ContractOp::build(OpBuilder &builder, OperationState &state,
                       ContractOp like, Value a, Value b, ValueRange extras,
                       Value init, ArrayRef<AffineMap> maps) {
  auto &properties = state.getOrAddProperties<Properties>();
  properties = like.getProperties();
  properties.indexingMaps = builder.getAffineMapArrayAttr(maps);
  addParts(state, a, b, extras, init);
  state.addAttributes(like->getDiscardableAttrDictionary().getValue());
}

//===----------------------------------------------------------------------===//
// Iteration space
//===----------------------------------------------------------------------===//

ContractOp::DimKind ContractOp::getDimKind(unsigned dim) {
  if (!getCMap().isFunctionOfDim(dim))
    return DimKind::Sum;
  if (!getBMap().isFunctionOfDim(dim))
    return DimKind::Row;
  return getAMap().isFunctionOfDim(dim) ? DimKind::Batch : DimKind::Column;
}

SmallVector<unsigned> ContractOp::getDims(DimKind kind) {
  SmallVector<unsigned> dims;
  for (unsigned dim = 0, e = getNumDims(); dim < e; ++dim)
    if (getDimKind(dim) == kind)
      dims.push_back(dim);
  return dims;
}

std::pair<Value, unsigned> ContractOp::getExtent(unsigned dim) {
  std::pair<Value, unsigned> found;
  unsigned count = getIndexingMaps().size();
  // C first: its extents are what the user sees. Extras may be broadcast, but
  // not along a dimension that their map names.
  SmallVector<unsigned> order{count - 1, 1, 0};
  for (unsigned operand = 2; operand + 1 < count; ++operand)
    order.push_back(operand);
  for (unsigned operand : order) {
    std::optional<unsigned> position =
        getMap(operand).getResultPosition(getAffineDimExpr(dim, getContext()));
    if (!position)
      continue;
    Value value = getOperation()->getOperand(operand);
    if (!cast<ShapedType>(value.getType()).isDynamicDim(*position))
      return {value, *position};
    if (!found.first)
      found = {value, *position};
  }
  return found;
}

std::optional<unsigned> ContractOp::getGroupedDim() {
  if (!getDot() || getDotAttr().getGroup() == 1)
    return std::nullopt;
  auto last = dyn_cast<AffineBinaryOpExpr>(getBMap().getResults().back());
  AffineExpr dim;
  if (last)
    dim = dyn_cast<AffineDimExpr>(last.getLHS());
  if (!dim)
    return std::nullopt;
  return cast<AffineDimExpr>(dim).getPosition();
}

Value ContractOp::createExtent(OpBuilder &builder, unsigned dim) {
  if (getGroupedDim() == dim)
    return arith::ConstantIndexOp::create(builder, getLoc(),
                                          getDotAttr().getExtent());
  auto [value, position] = getExtent(dim);
  if (isa<TensorType>(value.getType()))
    return builder.createOrFold<tensor::DimOp>(getLoc(), value,
                                               int64_t(position));
  return builder.createOrFold<memref::DimOp>(getLoc(), value,
                                             int64_t(position));
}

int64_t ContractOp::getStaticExtent(unsigned dim) {
  if (getGroupedDim() == dim)
    return getDotAttr().getExtent();
  auto [value, position] = getExtent(dim);
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

std::optional<ContractOp::Window> ContractOp::getWindow(unsigned dim) {
  AffineExpr expr = getAMap().getResult(dim);
  auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!sum || sum.getKind() != AffineExprKind::Add)
    return std::nullopt;
  Window result{dim, 0, 0, 1, 1, 0};
  // A constant stands last.
  if (auto constant = dyn_cast<AffineConstantExpr>(sum.getRHS())) {
    result.low = -constant.getValue();
    sum = dyn_cast<AffineBinaryOpExpr>(sum.getLHS());
    if (!sum || sum.getKind() != AffineExprKind::Add || result.low < 0)
      return std::nullopt;
  }
  bool hasPosition = false, hasWindow = false;
  for (AffineExpr part : {sum.getLHS(), sum.getRHS()}) {
    int64_t factor = 1;
    if (auto product = dyn_cast<AffineBinaryOpExpr>(part)) {
      auto constant = dyn_cast<AffineConstantExpr>(product.getRHS());
      if (!constant || product.getKind() != AffineExprKind::Mul)
        return std::nullopt;
      factor = constant.getValue();
      part = product.getLHS();
    }
    auto loop = dyn_cast<AffineDimExpr>(part);
    if (!loop || factor < 1)
      return std::nullopt;
    DimKind kind = getDimKind(loop.getPosition());
    if (kind == DimKind::Row) {
      result.position = loop.getPosition();
      result.stride = factor;
      hasPosition = true;
    } else if (kind == DimKind::Sum) {
      result.window = loop.getPosition();
      result.dilation = factor;
      hasWindow = true;
    }
  }
  return hasPosition && hasWindow ? std::optional(result) : std::nullopt;
}

SmallVector<ContractOp::Window> ContractOp::getOutside() {
  SmallVector<Window> windows;
  for (int64_t dim : getZeroOutside().value_or(ArrayRef<int64_t>()))
    windows.push_back(*getWindow(dim));
  return windows;
}

Dilation dlc::getDilation(ContractOp op) {
  unsigned x = op.getAMap().getNumResults() - 2;
  return {op.getWindow(x - 1)->dilation, op.getWindow(x)->dilation};
}

std::optional<Depth> dlc::getDepth(ContractOp op) {
  AffineMap a = op.getAMap();
  if (a.getNumResults() != 5)
    return std::nullopt;
  std::optional<ContractOp::Window> depth = op.getWindow(1);
  if (!depth)
    return std::nullopt;
  return Depth{depth->position, depth->window};
}

/// Of two or three dimensions, with all that it reads in memory.
std::optional<ContractOp::Convolution> ContractOp::getConvolution() {
  if (getZeroOutside())
    return std::nullopt;
  AffineMap a = getAMap();
  auto dimOf = [](AffineExpr expr) -> std::optional<unsigned> {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return dim.getPosition();
    return std::nullopt;
  };
  SmallVector<unsigned> columns = getDims(DimKind::Column);
  SmallVector<unsigned> groups = getDims(DimKind::Batch);
  bool isVolume = a.getNumResults() == 5;
  if ((a.getNumResults() != 4 && !isVolume) ||
      getNumDims() != 7 + 2 * isVolume + groups.size() || columns.size() != 1 ||
      groups.size() > 1 || !dimOf(a.getResult(0)))
    return std::nullopt;
  Convolution conv;
  conv.image = *dimOf(a.getResult(0));
  AffineExpr channel = a.getResults().back();
  if (!groups.empty()) {
    // The channels of a group lie one after the other.
    conv.group = groups.front();
    auto sum = dyn_cast<AffineBinaryOpExpr>(channel);
    AffineExpr group = getAffineDimExpr(groups.front(), getContext());
    if (!sum || sum.getKind() != AffineExprKind::Add || !dimOf(sum.getRHS()) ||
        sum.getLHS() != group * getStaticExtent(*dimOf(sum.getRHS())))
      return std::nullopt;
    channel = sum.getRHS();
  }
  if (!dimOf(channel))
    return std::nullopt;
  conv.channel = *dimOf(channel);
  conv.column = columns.front();
  for (unsigned i : {1, 2}) {
    std::optional<Window> dim = getWindow(i + isVolume);
    if (!dim || dim->stride != 1)
      return std::nullopt;
    (i == 1 ? conv.y : conv.x) = dim->position;
    (i == 1 ? conv.windowY : conv.windowX) = dim->window;
  }
  if (isVolume && !getDepth(*this))
    return std::nullopt;
  if (getDimKind(conv.image) != DimKind::Row ||
      getDimKind(conv.channel) != DimKind::Sum)
    return std::nullopt;
  return conv;
}

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

MutableOperandRange ContractOp::getDpsInitsMutable() {
  return getInitMutable();
}

/// Nothing is computed of no elements: `%r = dlc.contract ... outs %init` is
/// `%init`, so that no kernel is chosen for it.
LogicalResult ContractOp::canonicalize(ContractOp op, PatternRewriter &b) {
  auto type = cast<ShapedType>(op.getInit().getType());
  if (!op.hasTensors() || !llvm::is_contained(type.getShape(), 0))
    return failure();
  b.replaceOp(op, op.getInit());
  return success();
}

void ContractOp::getEffects(
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

/// True if `expr` is a sum of dimensions times non-negative constants.
static bool isLinear(AffineExpr expr) {
  if (isa<AffineDimExpr>(expr))
    return true;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue() >= 0;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return false;
  if (binary.getKind() == AffineExprKind::Add)
    return isLinear(binary.getLHS()) && isLinear(binary.getRHS());
  if (binary.getKind() != AffineExprKind::Mul)
    return false;
  return isLinear(binary.getLHS()) && isLinear(binary.getRHS()) &&
         isa<AffineConstantExpr>(binary.getRHS());
}

/// True if `expr` is `dim floordiv c` or `dim mod c` with c > 0.
static bool isPanel(AffineExpr expr) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary || !isa<AffineDimExpr>(binary.getLHS()))
    return false;
  auto width = dyn_cast<AffineConstantExpr>(binary.getRHS());
  return width && width.getValue() > 0 &&
         (binary.getKind() == AffineExprKind::FloorDiv ||
          binary.getKind() == AffineExprKind::Mod);
}

static std::string operandName(ContractOp op, unsigned operand) {
  unsigned count = op.getIndexingMaps().size();
  if (operand == 0 || operand == 1)
    return operand == 0 ? "a" : "b";
  return operand + 1 == count ? "init"
                              : llvm::formatv("extra {0}", operand - 2).str();
}

static std::string toString(AffineExpr expr) {
  std::string text;
  llvm::raw_string_ostream(text) << expr;
  return text;
}

static LogicalResult verifyMap(ContractOp op, unsigned operand) {
  AffineMap map = op.getMap(operand);
  std::string name = operandName(op, operand);
  auto type = cast<ShapedType>(op->getOperand(operand).getType());
  if (map.getNumSymbols())
    return op.emitOpError("expected the map of ") << name << " without symbols";
  if (map.getNumDims() != op.getNumDims())
    return op.emitOpError("expected all maps to have ")
           << op.getNumDims() << " dimensions, that of " << name << " has "
           << map.getNumDims();
  if (!type.hasRank() || type.getRank() != map.getNumResults())
    return op.emitOpError("expected ")
           << name << " of rank " << map.getNumResults()
           << " as its map has results, found " << type;
  bool isInit = operand + 1 == op.getIndexingMaps().size();
  if (isInit && !map.isProjectedPermutation())
    return op.emitOpError(
        "expected the map of init to be a projected permutation");
  ArrayRef<int64_t> outside = op.getZeroOutside().value_or(ArrayRef<int64_t>());
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    // Its constant may be negative.
    if (operand == 0 && llvm::is_contained(outside, int64_t(i)))
      continue;
    if (operand >= 2 && !isInit &&
        !isa<AffineDimExpr, AffineConstantExpr>(expr))
      return op.emitOpError("expected dimensions and constants in the map of ")
             << name << ", found " << toString(expr);
    if (operand < 2 && !isLinear(expr) && !(operand == 1 && isPanel(expr)))
      return op.emitOpError("expected linear expressions")
             << (operand == 1 ? " or panels" : "") << " in the map of " << name
             << ", found " << toString(expr);
  }
  for (unsigned dim = 0; operand >= 2 && dim < op.getNumDims(); ++dim)
    if (map.isFunctionOfDim(dim) && !op.getCMap().isFunctionOfDim(dim))
      return op.emitOpError("expected no summed dimension in the map of ")
             << name << ", found d" << dim;
  return success();
}

/// A convolution in Winograd's form has its window dimensions in B as long as
/// a tile.
static LogicalResult verifyWinograd(ContractOp op) {
  WinogradAttr form = op.getWinogradAttr();
  if (!form)
    return success();
  std::optional<ContractOp::Convolution> conv = op.getConvolution();
  if (!conv)
    return op.emitOpError("expected a 2-D or 3-D convolution of stride 1 for ")
           << form;
  if (getDepth(op) && form.getPair() == 2)
    return op.emitOpError("expected a 2-D convolution for ") << form;
  if (form.isFourier() && !getDilation(op).isNone())
    return op.emitOpError("expected no dilation for ") << form;
  for (int64_t size :
       {form.getHeight(), form.getWidth(), form.getWindowHeight(),
        form.getWindowWidth(), form.getTiles()})
    if (size < 1)
      return op.emitOpError("expected positive sizes in ") << form;
  if (failed(verifyFourier([&] { return op.emitOpError(); }, form)))
    return failure();
  int64_t height = op.getStaticExtent(conv->windowY);
  int64_t width = op.getStaticExtent(conv->windowX);
  if (height != form.getProductHeight() || width != form.getProductWidth())
    return op.emitOpError("expected weights of ")
           << form.getProductHeight() << "x" << form.getProductWidth()
           << " a tile for " << form << ", found " << height << "x" << width;
  return success();
}

/// Groups stand last in B's map, along a summed dimension.
static LogicalResult verifyDot(ContractOp op) {
  DotAttr form = op.getDotAttr();
  if (!form)
    return success();
  bool arePairs = form.getGroup() > 1 && !form.getFlip() &&
                  getElementTypeOrSelf(op.getB().getType()).isBF16();
  for (Value operand : {op.getA(), op.getB()}) {
    Type type = getElementTypeOrSelf(operand.getType());
    if (arePairs ? !type.isBF16() : !type.isInteger(8))
      return op.emitOpError("expected operands of ")
             << (arePairs ? "bf16" : "i8") << " for " << form << ", found "
             << operand.getType();
  }
  int64_t group = form.getGroup();
  if (group == 1)
    return success();
  AffineMap map = op.getBMap();
  AffineExpr dim;
  if (map.getNumResults())
    if (auto last = dyn_cast<AffineBinaryOpExpr>(map.getResults().back()))
      dim = dyn_cast<AffineDimExpr>(last.getLHS());
  if (group < 1 || form.getExtent() < 0 || !dim ||
      map.getResults().back() != dim % group ||
      !llvm::is_contained(map.getResults(), dim.floorDiv(group)) ||
      op.getDimKind(cast<AffineDimExpr>(dim).getPosition()) !=
          ContractOp::DimKind::Sum)
    return op.emitOpError("expected the map of b to end with a summed "
                          "dimension in groups for ")
           << form;
  return success();
}

static LogicalResult verifyOutside(ContractOp op) {
  for (int64_t dim : op.getZeroOutside().value_or(ArrayRef<int64_t>()))
    if (dim < 0 || dim >= op.getAMap().getNumResults() || !op.getWindow(dim))
      return op.emitOpError("expected zeroOutside to name dimensions of a "
                            "along which a window moves, found ")
             << dim;
  return success();
}

LogicalResult ContractOp::verify() {
  unsigned count = 3 + getExtras().size();
  if (getIndexingMaps().size() != count)
    return emitOpError("expected ")
           << count << " maps, found " << getIndexingMaps().size();
  auto name = [this](unsigned operand) { return operandName(*this, operand); };
  if (failed(verifyDestination(*this, getMapped(), name)))
    return failure();
  for (unsigned operand = 0; operand < count; ++operand)
    if (failed(verifyMap(*this, operand)))
      return failure();
  if (failed(verifyOutside(*this)) || failed(verifyDot(*this)))
    return failure();
  for (unsigned dim = 0, e = getNumDims(); dim < e; ++dim)
    if (getGroupedDim() != dim && !getExtent(dim).first)
      return emitOpError("expected the extent of d")
             << dim << " to be a dimension of an operand";
  LogicalResult sizes = verifySizes(
      *this,
      llvm::to_vector(getIndexingMaps().getAsValueRange<AffineMapAttr>()),
      [this](unsigned dim) { return getStaticExtent(dim); }, name);
  return success(succeeded(sizes) && succeeded(verifyWinograd(*this)));
}

LogicalResult ContractOp::verifyRegions() {
  if (!getBody()->getNumArguments())
    return emitOpError("expected the epilogue of 1 or more arguments, found 0");
  Type sum = getSumType();
  Type a = getElementTypeOrSelf(getA().getType());
  Type b = getElementTypeOrSelf(getB().getType());
  if (!(isa<FloatType>(a) && isa<FloatType>(b) && isa<FloatType>(sum)) &&
      !(isa<IntegerType>(a) && isa<IntegerType>(b) && isa<IntegerType>(sum)))
    return emitOpError("expected a, b and the sum to be all floats or all "
                       "integers, found ")
           << a << ", " << b << " and " << sum;
  if (!sum.isIntOrFloat() ||
      sum.getIntOrFloatBitWidth() < a.getIntOrFloatBitWidth() ||
      sum.getIntOrFloatBitWidth() < b.getIntOrFloatBitWidth())
    return emitOpError("expected a sum no narrower than its operands, found ")
           << sum;
  return verifyBody(*this, "the epilogue", *getBody(), getExtras(),
                    getElementTypeOrSelf(getInit().getType()));
}
