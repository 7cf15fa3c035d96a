// Finds normalisations that exporters write as several nodes.

#include "passes/Simplify/Passes.h"
#include "passes/Simplify/Products.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZENORMALIZATIONS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-normalizations";

namespace {

/// x / sqrt(mean of squares + epsilon), the mean over trailing axes from
/// `axis` on.
struct Normalized {
  Value x;
  int64_t axis = 0;
  double epsilon = 0;
};

} // namespace

/// The trailing axes that a ReduceMean takes, by the first; -1 otherwise.
static int64_t readTrailingAxis(onnx::NodeOp mean) {
  int64_t rank = rankOf(mean.getOperand(0));
  if (rank < 1 || !mean.getInt("keepdims", 1))
    return -1;
  if (!mean.getInput(1))
    return mean.getInt("noop_with_empty_axes", 0) ? -1 : 0;
  auto axes = intsOf(mean.getInput(1));
  if (!axes || axes->empty())
    return -1;
  for (int64_t &axis : *axes)
    axis = toAxis(axis, rank);
  llvm::sort(*axes);
  for (auto [i, axis] : llvm::enumerate(*axes))
    if (axis < 0 || axis != rank - int64_t(axes->size()) + int64_t(i))
      return -1;
  return axes->front();
}

/// The operand of a square; null otherwise.
static Value readSquare(Value value) {
  if (onnx::NodeOp power = producerOf(value, "Pow"))
    return isNumber(power.getOperand(1), 2) ? power.getOperand(0) : Value();
  onnx::NodeOp product = producerOf(value, "Mul");
  return product && product.getOperand(0) == product.getOperand(1)
             ? product.getOperand(0)
             : Value();
}

/// The axis of mean(x0 * x0) - mean(x0)^2, at least 0 or as it is, for x = x0 -
/// mean(x0); -1 otherwise.
static int64_t readFastVariance(Value variance, Value x) {
  if (onnx::NodeOp most = producerOf(variance, "Max");
      most && most.getNumOperands() == 2)
    if (auto [zero, rest] = splitConstant(most); zero && isNumber(zero, 0))
      variance = rest;
  if (onnx::NodeOp relu = producerOf(variance, "Relu"))
    variance = relu.getOperand(0);
  onnx::NodeOp sub = producerOf(variance, "Sub"),
               centred = producerOf(x, "Sub");
  onnx::NodeOp squares =
      sub ? producerOf(sub.getOperand(0), "ReduceMean") : onnx::NodeOp();
  if (!centred || !squares)
    return -1;
  Value mean = centred.getOperand(1);
  onnx::NodeOp means = producerOf(mean, "ReduceMean");
  if (!means || means.getOperand(0) != centred.getOperand(0) ||
      readSquare(sub.getOperand(1)) != mean ||
      readSquare(squares.getOperand(0)) != centred.getOperand(0))
    return -1;
  int64_t axis = readTrailingAxis(means);
  return axis == readTrailingAxis(squares) ? axis : -1;
}

/// Reads sqrt(ReduceMean(x * x) + epsilon), which divides `x`.
static std::optional<Normalized> readDeviation(Value deviation, Value x) {
  onnx::NodeOp root = producerOf(deviation, "Sqrt");
  if (!root)
    if (onnx::NodeOp power = producerOf(deviation, "Pow");
        power && isNumber(power.getOperand(1), 0.5))
      root = power;
  onnx::NodeOp sum = root ? producerOf(root.getOperand(0), "Add") : root;
  if (!sum)
    return std::nullopt;
  auto [constant, variance] = splitConstant(sum);
  auto epsilon = constant ? numberOf(constant) : std::nullopt;
  onnx::NodeOp mean = producerOf(variance, "ReduceMean");
  if (!epsilon)
    return std::nullopt;
  int64_t axis = mean && readSquare(mean.getOperand(0)) == x
                     ? readTrailingAxis(mean)
                     : readFastVariance(variance, x);
  if (axis < 0)
    return std::nullopt;
  return Normalized{x, axis, *epsilon};
}

/// Reads x / deviation, or x times one over it.
static std::optional<Normalized> readNormalized(onnx::NodeOp node) {
  if (node.isOp("Div"))
    return readDeviation(node.getOperand(1), node.getOperand(0));
  for (unsigned i : {0, 1}) {
    Value x = node.getOperand(i), inverse = node.getOperand(1 - i);
    Value deviation;
    if (onnx::NodeOp one = producerOf(inverse, "Reciprocal"))
      deviation = one.getOperand(0);
    else if (onnx::NodeOp one = producerOf(inverse, "Div");
             one && isNumber(one.getOperand(0), 1))
      deviation = one.getOperand(1);
    if (deviation)
      if (auto found = readDeviation(deviation, x))
        return found;
  }
  return std::nullopt;
}

/// x * (1 / deviation * scale) as (x * (1 / deviation)) * scale.
static LogicalResult scaleLast(onnx::NodeOp product,
                               PatternRewriter &rewriter) {
  for (unsigned i : {0, 1}) {
    onnx::NodeOp factor = soleProducerOf(product.getOperand(i), "Mul");
    if (!factor)
      continue;
    Value x = product.getOperand(1 - i);
    auto [scale, inverse] = splitConstant(factor);
    onnx::NodeOp one =
        scale ? soleProducerOf(inverse, "Reciprocal") : onnx::NodeOp();
    if (!one || x.getType() != product.getResult(0).getType() ||
        !readDeviation(one.getOperand(0), x))
      continue;
    NodeBuilder make(rewriter, product);
    Value normal = make.make("Mul", {x, inverse}, x.getType(), "normal");
    make.replace("Mul", {normal, scale});
    return success();
  }
  return failure();
}

/// The only user of a value when it is `op` with a constant; and the constant.
static std::pair<onnx::NodeOp, Value> findConstantUser(onnx::NodeOp node,
                                                       StringRef op) {
  if (!node.getResult(0).hasOneUse())
    return {};
  auto user = dyn_cast<onnx::NodeOp>(*node->user_begin());
  if (!user || !user.isOp(op) || user->getBlock() != node->getBlock() ||
      user.getResult(0).getType() != node.getResult(0).getType())
    return {};
  Value constant = otherOperand(user, node.getResult(0));
  if (!constant || !isConstantTree(constant))
    return {};
  return {user, constant};
}

/// Whether a constant has the sizes of `type` from `axis` on, and no others.
static bool isOverTrailing(Value constant, RankedTensorType type,
                           int64_t axis) {
  RankedTensorType found = tensorOf(constant);
  return found && found.getRank() == type.getRank() - axis &&
         llvm::equal(found.getShape(), type.getShape().drop_front(axis));
}

/// Whether a constant varies with the channels only, written [C, 1, 1].
static bool isOverChannels(Value constant, RankedTensorType type) {
  RankedTensorType found = tensorOf(constant);
  if (!found || type.isDynamicDim(1) || type.getRank() < 3)
    return false;
  int64_t offset = type.getRank() - found.getRank();
  if (offset < 0 || offset > 1)
    return false;
  for (auto [i, size] : llvm::enumerate(found.getShape())) {
    int64_t axis = int64_t(i) + offset;
    if (size != (axis == 1 ? type.getDimSize(1) : 1))
      return false;
  }
  return true;
}

static Value flatten(NodeBuilder &make, Value constant) {
  auto type = cast<RankedTensorType>(constant.getType());
  Value flat = make.make("Reshape", {constant, make.ints({-1}, "shape")},
                         type.clone({type.getNumElements()}), "folded");
  flat.getDefiningOp()->setAttr(kConstantAttr, make.b.getUnitAttr());
  return flat;
}

namespace {

struct MakeNormalization : NodePattern {
  MakeNormalization(MLIRContext *context, StringRef op, int64_t opset)
      : NodePattern(context, op), opset(opset) {}

  LogicalResult rewrite(onnx::NodeOp node,
                        PatternRewriter &rewriter) const override {
    std::optional<Normalized> found = readNormalized(node);
    RankedTensorType type = tensorOf(node.getResult(0));
    if (!found || !type || !isFloat(found->x) || found->x.getType() != type)
      return failure();
    Type element = type.getElementType();
    // Centred around the mean?
    Value centred = found->x, x = centred;
    if (onnx::NodeOp sub = producerOf(centred, "Sub"))
      if (onnx::NodeOp mean = producerOf(sub.getOperand(1), "ReduceMean");
          mean && mean.getOperand(0) == sub.getOperand(0) &&
          readTrailingAxis(mean) == found->axis)
        x = sub.getOperand(0);
    bool isCentred = x != centred;
    auto sizes = type.getShape().drop_front(found->axis);
    bool isStatic = llvm::none_of(sizes, ShapedType::isDynamic);

    auto [scaled, scale] = findConstantUser(node, "Mul");
    onnx::NodeOp root = scaled ? scaled : node;
    auto [shifted, shift] = findConstantUser(root, "Add");
    bool isInstance = isCentred && found->axis == 2 && type.getRank() > 2 &&
                      scaled && isOverChannels(scale, type) && shifted &&
                      isOverChannels(shift, type);
    // ONNX Runtime has none of float64.
    if (isInstance && !element.isF64()) {
      NodeBuilder make(rewriter, shifted);
      remarkDone(shifted.getLoc(), kPass) << "is InstanceNormalization";
      make.replace("InstanceNormalization",
                   {x, flatten(make, scale), flatten(make, shift)},
                   make.attr("epsilon", found->epsilon));
      return success();
    }
    if (!isStatic || opset < (isCentred ? 17 : 23))
      return failure();
    if (scaled && !isOverTrailing(scale, type, found->axis)) {
      scaled = {};
      root = node;
      shifted = {};
    }
    if (shifted && (!isCentred || !isOverTrailing(shift, type, found->axis)))
      shifted = {};
    if (shifted)
      root = shifted;
    NodeBuilder make(rewriter, root);
    if (!scaled)
      scale = make.number(1, element, "scale", sizes);
    SmallVector<Value> operands = {x, scale};
    if (shifted)
      operands.push_back(shift);
    StringRef op = isCentred ? "LayerNormalization" : "RMSNormalization";
    remarkDone(root.getLoc(), kPass) << "is " << op;
    make.replace(op, operands,
                 {make.attr("axis", found->axis - type.getRank()),
                  make.attr("epsilon", found->epsilon)});
    return success();
  }

  int64_t opset;
};

} // namespace

/// x * g + (bias - mean * g) with g = scale / deviation, as TensorFlow writes a
/// LayerNorm.
static LogicalResult makeOfMoments(onnx::NodeOp add,
                                   PatternRewriter &rewriter) {
  RankedTensorType type = tensorOf(add.getResult(0));
  if (!type || !isFloat(add.getResult(0)))
    return failure();
  for (unsigned i : {0, 1}) {
    onnx::NodeOp scaled = soleProducerOf(add.getOperand(i), "Mul");
    onnx::NodeOp rest = soleProducerOf(add.getOperand(1 - i), "Sub");
    onnx::NodeOp moved =
        rest ? soleProducerOf(rest.getOperand(1), "Mul") : rest;
    if (!scaled || !moved || !constantOf(rest.getOperand(0)))
      continue;
    for (unsigned side : {0, 1}) {
      Value x = scaled.getOperand(side), gain = scaled.getOperand(1 - side);
      if (!llvm::is_contained(moved.getOperands(), gain) || x.getType() != type)
        continue;
      onnx::NodeOp mean = producerOf(otherOperand(moved, gain), "ReduceMean");
      if (!mean || mean.getOperand(0) != x)
        continue;
      Value scale, inverse = gain;
      if (onnx::NodeOp product = producerOf(gain, "Mul"))
        std::tie(scale, inverse) = splitConstant(product);
      onnx::NodeOp one = inverse ? producerOf(inverse, "Reciprocal") : nullptr;
      if (!one && inverse)
        if (one = producerOf(inverse, "Div"); one)
          one = isNumber(one.getOperand(0), 1) ? one : onnx::NodeOp();
      if (!one)
        continue;
      Value deviation = one.getOperand(one.isOp("Div") ? 1 : 0);
      onnx::NodeOp variance = producerOf(deviation, "Sqrt");
      // The square under the root is that of the centred x.
      for (Operation *user : x.getUsers()) {
        auto centred = dyn_cast<onnx::NodeOp>(user);
        if (!variance || !centred || !centred.isOp("Sub") ||
            centred.getOperand(0) != x ||
            centred.getOperand(1) != mean.getResult(0))
          continue;
        auto found = readDeviation(deviation, centred.getResult(0));
        if (!found || readTrailingAxis(mean) != found->axis)
          continue;
        auto sizes = type.getShape().drop_front(found->axis);
        Value bias = rest.getOperand(0);
        if (llvm::any_of(sizes, ShapedType::isDynamic) ||
            !isOverTrailing(bias, type, found->axis) ||
            (scale && !isOverTrailing(scale, type, found->axis)))
          return rewriter.notifyMatchFailure(add, "scale of other axes");
        NodeBuilder make(rewriter, add);
        if (!scale)
          scale = make.number(1, type.getElementType(), "scale", sizes);
        remarkDone(add.getLoc(), kPass) << "is LayerNormalization";
        make.replace("LayerNormalization", {x, scale, bias},
                     {make.attr("axis", found->axis - type.getRank()),
                      make.attr("epsilon", found->epsilon)});
        return success();
      }
    }
  }
  return failure();
}

/// Reshape(InstanceNormalization(Reshape(x, [N, groups, -1]), 1, 0)) * scale +
/// shift, as torch writes a GroupNorm.
static LogicalResult makeGroupNorm(onnx::NodeOp add,
                                   PatternRewriter &rewriter) {
  auto [shift, scaled] = splitConstant(add);
  onnx::NodeOp mul = shift ? soleProducerOf(scaled, "Mul") : onnx::NodeOp();
  if (!mul)
    return failure();
  auto [scale, reshaped] = splitConstant(mul);
  onnx::NodeOp back =
      scale ? soleProducerOf(reshaped, "Reshape") : onnx::NodeOp();
  onnx::NodeOp norm =
      back ? soleProducerOf(back.getOperand(0), "InstanceNormalization") : back;
  onnx::NodeOp split =
      norm ? soleProducerOf(norm.getOperand(0), "Reshape") : norm;
  RankedTensorType type = tensorOf(add.getResult(0));
  if (!split || !type || split.getOperand(0).getType() != type ||
      rankOf(norm.getOperand(0)) != 3 || !isOverChannels(scale, type) ||
      !isOverChannels(shift, type) || !isNumber(norm.getOperand(1), 1) ||
      !isNumber(norm.getOperand(2), 0))
    return failure();
  int64_t groups = tensorOf(norm.getOperand(0)).getDimSize(1);
  if (ShapedType::isDynamic(groups) || type.getDimSize(1) % groups)
    return failure();
  auto sameBatch = [&] {
    auto sizes = intsOf(split.getOperand(1));
    int64_t batch = tensorOf(norm.getOperand(0)).getDimSize(0);
    return (sizes && !sizes->empty() && sizes->front() == 0) ||
           (!ShapedType::isDynamic(batch) && batch == type.getDimSize(0));
  };
  if (!sameBatch())
    return failure();
  NodeBuilder make(rewriter, add);
  remarkDone(add.getLoc(), kPass) << "is GroupNormalization";
  make.replace(
      "GroupNormalization",
      {split.getOperand(0), flatten(make, scale), flatten(make, shift)},
      {make.attr("num_groups", groups),
       make.attr("epsilon", norm.getFloat("epsilon", 1e-5))});
  return success();
}

namespace {

struct RecognizeNormalizationsPass
    : dlc::impl::RecognizeNormalizationsBase<RecognizeNormalizationsPass> {
  using RecognizeNormalizationsBase::RecognizeNormalizationsBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<MakeNormalization>(context, "Div", opset);
    patterns.add<MakeNormalization>(context, "Mul", opset);
    patterns.add<FunctionPattern<scaleLast>>(context, "Mul");
    if (opset >= 17)
      patterns.add<FunctionPattern<makeOfMoments>>(context, "Add");
    if (opset >= 21)
      patterns.add<FunctionPattern<makeGroupNorm>>(context, "Add");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
