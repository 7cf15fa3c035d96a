// Moves scales and shifts in front of activations, pools and joins, where the
// weights of what stands there take them.

#include "passes/Simplify/Affine.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-affine";

/// Whether the value is made by weights that a scale and a shift fold into,
/// for nothing else.
static bool isFoldable(Value value) {
  for (StringRef op : {"Conv", "ConvTranspose", "Gemm", "MatMul"})
    if (onnx::NodeOp node = soleProducerOf(value, op)) {
      Value bias = node.getInput(2);
      return isConstantTree(node.getOperand(1)) &&
             (!bias || isConstantTree(bias)) &&
             (op != "ConvTranspose" || node.getInt("group", 1) == 1);
    }
  return false;
}

static bool isAll(Value constant, bool (*test)(double)) {
  auto numbers = numbersOf(constant);
  return numbers && llvm::all_of(*numbers, test);
}

/// Whether all scales of an affine are above 0, so that they keep an order.
static bool isRising(onnx::NodeOp affine) {
  auto isPositive = [](double number) {
    return number > 0 && std::isfinite(number);
  };
  if (affine.isOp("BatchNormalization"))
    return isAll(affine.getOperand(1), isPositive) &&
           isAll(affine.getOperand(4), isPositive);
  return affine.isOp("Add") || affine.isOp("Sub") ||
         isAll(otherOperand(affine, variableOf(affine)), isPositive);
}

bool simplify::poolKeepsShift(onnx::NodeOp pool) {
  auto pads = pool.getInts("pads");
  bool isPadded =
      (pads && llvm::any_of(*pads, [](int64_t p) { return p != 0; })) ||
      pool.getString("auto_pad", "NOTSET") != "NOTSET" ||
      pool.getInt("ceil_mode", 0);
  return !pool.getInt("count_include_pad", 0) || !isPadded;
}

/// Whether f(x) * scale + shift is f(x * scale + shift).
static bool commutes(onnx::NodeOp f, onnx::NodeOp affine) {
  bool hasShift = !affine.isOp("Mul") && !affine.isOp("Div");
  if (f.isOp("Relu") || f.isOp("LeakyRelu"))
    return !hasShift && isRising(affine);
  if (f.isOp("MaxPool") || f.isOp("GlobalMaxPool"))
    return isRising(affine);
  if (f.isOp("GlobalAveragePool"))
    return true;
  return f.isOp("AveragePool") && (!hasShift || poolKeepsShift(f));
}

/// Affine(f(x)) as f(Affine(x)) where x takes it.
static LogicalResult moveThrough(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value middle = variableOf(node);
  RankedTensorType type = tensorOf(middle);
  if (!type || !middle.hasOneUse() || !isFloat(middle))
    return failure();
  auto f = middle.getDefiningOp<onnx::NodeOp>();
  if (!f || !f.getDomain().empty() || f.getNumResults() != 1 ||
      f.getResult(0) != middle || f.getNumOperands() != 1 ||
      !isFoldable(f.getOperand(0)))
    return failure();
  RankedTensorType from = tensorOf(f.getOperand(0));
  bool isProduct = producerOf(f.getOperand(0), "MatMul") ||
                   producerOf(f.getOperand(0), "Gemm");
  // The channels of a product are last, where a pool has its windows.
  if (isProduct && !f.isOp("Relu") && !f.isOp("LeakyRelu"))
    return rewriter.notifyMatchFailure(node, "a pool of a product");
  if (!from || from.getRank() != type.getRank() || type.getRank() < 2 ||
      (producerOf(f.getOperand(0), "MatMul") && !node.isOp("Mul") &&
       !node.isOp("Div")))
    return failure();
  int64_t axis = isProduct ? type.getRank() - 1 : 1;
  if (type.isDynamicDim(axis) || !isAffine(node, axis, type.getDimSize(axis)))
    return failure();
  if (!commutes(f, node))
    return rewriter.notifyMatchFailure(node, "it does not commute");
  NodeBuilder make(rewriter, node);
  SmallVector<Value> operands(node.getOperands());
  for (Value &operand : operands)
    if (operand == middle)
      operand = f.getOperand(0);
  Value moved = make.make(node.getOpType(), operands, from, "moved",
                          withAttributes(node, {}));
  remarkDone(node.getLoc(), kPass)
      << "moved in front of '" << getNodeName(f.getLoc()) << "'";
  Location loc = f.getLoc();
  make.replace(f.getOpType(), moved, withAttributes(f, {}))->setLoc(loc);
  return success();
}

/// Affine(Concat(a, b, ...)) as Concat(Affine(a), Affine(b), ...) where all of
/// them take their parts.
static LogicalResult moveIntoConcat(onnx::NodeOp node,
                                    PatternRewriter &rewriter) {
  Value middle = variableOf(node);
  onnx::NodeOp concat = soleProducerOf(middle, "Concat");
  RankedTensorType type = tensorOf(middle);
  if (!concat || !type || type.getRank() < 3 || !isFloat(middle) ||
      toAxis(concat.getInt("axis", 0), type.getRank()) != 1 ||
      type.isDynamicDim(1) || !isAffine(node, 1, type.getDimSize(1)))
    return failure();
  for (Value operand : concat.getOperands())
    if (!isFoldable(operand) || !tensorOf(operand) ||
        tensorOf(operand).isDynamicDim(1))
      return rewriter.notifyMatchFailure(node, "not all parts take it");
  Weights make(rewriter, node);
  Affine affine = readAffine(make, node);
  SmallVector<Value> parts;
  int64_t at = 0;
  for (Value operand : concat.getOperands()) {
    RankedTensorType part = tensorOf(operand);
    int64_t size = part.getDimSize(1);
    SmallVector<int64_t> along(type.getRank() - 1, 1);
    auto cut = [&](Value vector) {
      RankedTensorType whole = tensorOf(vector);
      along[0] = std::min(size, whole.getNumElements());
      if (whole.getNumElements() != 1)
        vector =
            make.fold("Slice",
                      {vector, make.ints({at}, "begin"),
                       make.ints({at + size}, "end"), make.ints({0}, "axis")},
                      whole.clone({size}));
      return make.reshape(vector, along);
    };
    if (affine.scale)
      operand = make.make("Mul", {operand, cut(affine.scale)}, part, "scaled");
    if (affine.shift)
      operand = make.make("Add", {operand, cut(affine.shift)}, part, "shifted");
    parts.push_back(operand);
    at += size;
  }
  remarkDone(node.getLoc(), kPass)
      << "moved in front of '" << getNodeName(concat.getLoc()) << "'";
  Location loc = concat.getLoc();
  make.replace("Concat", parts, withAttributes(concat, {}))->setLoc(loc);
  return success();
}

void simplify::populateFoldThrough(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  for (StringRef op : kAffineOps) {
    patterns.add<FunctionPattern<moveThrough>>(context, op, 2);
    patterns.add<FunctionPattern<moveIntoConcat>>(context, op, 2);
  }
}
