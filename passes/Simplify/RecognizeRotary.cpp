// Finds rotary position embedding as exporters write it.

#include "passes/Simplify/Affine.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_RECOGNIZEROTARY
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-recognize-rotary";

/// x where `value` is its elements [begin, end) of the last axis; null
/// otherwise.
static Value readPart(Value value, int64_t begin, int64_t end) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0)
    return {};
  Value x = node.getOperand(0);
  RankedTensorType type = tensorOf(x);
  if (!type || type.getRank() < 1)
    return {};
  int64_t last = type.getRank() - 1;
  if (node.isOp("Split")) {
    if (toAxis(node.getInt("axis", 0), last + 1) != last)
      return {};
    int64_t at = 0;
    for (Value result : node.getResults()) {
      RankedTensorType part = tensorOf(result);
      if (!part || part.isDynamicDim(last))
        return {};
      if (result == value)
        return at == begin && at + part.getDimSize(last) == end ? x : Value();
      at += part.getDimSize(last);
    }
    return {};
  }
  if (!node.isOp("Slice") || type.isDynamicDim(last))
    return {};
  auto begins = intsOf(node.getInput(1)), ends = intsOf(node.getInput(2)),
       axes = intsOf(node.getInput(3)), steps = intsOf(node.getInput(4));
  int64_t size = type.getDimSize(last);
  if (!begins || !ends || !axes || axes->size() != 1 ||
      toAxis(axes->front(), last + 1) != last ||
      (node.getInput(4) && (!steps || steps->front() != 1)))
    return {};
  auto clamp = [&](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
  };
  return clamp(begins->front()) == begin && clamp(ends->front()) == end
             ? x
             : Value();
}

/// x of Concat(-x[half:], x[:half]); null otherwise.
static Value readRotated(Value value, int64_t half) {
  onnx::NodeOp concat = producerOf(value, "Concat");
  int64_t rank = rankOf(value);
  if (!concat || concat.getNumOperands() != 2 ||
      toAxis(concat.getInt("axis", 0), rank) != rank - 1)
    return {};
  onnx::NodeOp neg = producerOf(concat.getOperand(0), "Neg");
  Value x = neg ? readPart(neg.getOperand(0), half, 2 * half) : Value();
  return x && readPart(concat.getOperand(1), 0, half) == x ? x : Value();
}

/// Whether both halves of the last axis of a constant are the same.
static bool hasEqualHalves(Value value) {
  ElementsAttr constant = constantOf(value);
  RankedTensorType type = tensorOf(value);
  if (!constant || !type || !isFloat(value))
    return false;
  SmallVector<char> storage;
  ArrayRef<char> bytes = onnx::getRawBytes(constant, storage);
  size_t half =
      type.getShape().back() / 2 * (type.getElementTypeBitWidth() / 8);
  for (size_t at = 0; at + 2 * half <= bytes.size() && half; at += 2 * half)
    if (memcmp(bytes.data() + at, bytes.data() + at + half, half) != 0)
      return false;
  return true;
}

namespace {

/// A table of sines or cosines, of [batch, length, half].
class Table {
public:
  /// Whether the table that `value` reads has equal halves and fits to `type`,
  /// [batch, heads, length, depth].
  bool read(Value value, RankedTensorType type);
  Value build(Weights &make, RankedTensorType type);
  bool isConstant() const { return !angles; }

private:
  Value constant;
  /// f of Unsqueeze(Cos(Concat(f, f)) * scale, 1).
  Value angles;
  SmallVector<onnx::NodeOp> chain; ///< from the last to the first
};

} // namespace

bool Table::read(Value value, RankedTensorType type) {
  int64_t length = type.getDimSize(2), depth = type.getDimSize(3);
  RankedTensorType found = tensorOf(value);
  if (!found || found.getRank() < 2 || found.getRank() > 4 ||
      ShapedType::isDynamic(type.getDimSize(0)))
    return false;
  if (constantOf(value)) {
    constant = value;
    auto shape = found.getShape();
    return !ShapedType::isDynamic(length) && shape.back() == depth &&
           shape[shape.size() - 2] == length &&
           llvm::all_of(shape.drop_back(2), [](auto s) { return s == 1; }) &&
           hasEqualHalves(value);
  }
  // One table for all heads, and one for each of the batch.
  if (found.getRank() != 4 || found.getDimSize(1) != 1 ||
      found.getDimSize(0) != type.getDimSize(0) || found.getDimSize(3) != depth)
    return false;
  for (;;) {
    auto node = value.getDefiningOp<onnx::NodeOp>();
    if (!node || !node.getDomain().empty())
      return false;
    if (node.isOp("Concat")) {
      angles = node.getOperand(0);
      return node.getNumOperands() == 2 && !chain.empty() &&
             node.getOperand(1) == angles && rankOf(angles) == 3 &&
             toAxis(node.getInt("axis", 0), 3) == 2 &&
             chain.front().isOp("Unsqueeze");
    }
    bool isScale = node.isOp("Mul") && numberOf(node.getOperand(1)) &&
                   tensorOf(node.getOperand(1)).getNumElements() == 1;
    bool isFirst = chain.empty();
    if (isFirst ? !(node.isOp("Unsqueeze") &&
                    intsOf(node.getOperand(1)) == SmallVector<int64_t>{1})
                : !(node.isOp("Cos") || node.isOp("Sin") || isScale ||
                    node.isOp("Cast")))
      return false;
    chain.push_back(node);
    value = node.getOperand(0);
  }
}

Value Table::build(Weights &make, RankedTensorType type) {
  int64_t half = type.getDimSize(3) / 2;
  if (constant) {
    auto found = tensorOf(constant);
    int64_t length = type.getDimSize(2);
    Value flat = make.reshape(constant, {length, 2 * half});
    return make.fold("Slice",
                     {flat, make.ints({0}, "begin"), make.ints({half}, "end"),
                      make.ints({1}, "axis")},
                     found.clone({length, half}));
  }
  Value value = angles;
  for (onnx::NodeOp node : llvm::reverse(ArrayRef(chain).drop_front())) {
    SmallVector<Value> operands(node.getOperands());
    operands[0] = value;
    auto like = tensorOf(angles).clone(
        getElementTypeOrSelf(node.getResult(0).getType()));
    value = make.make(node.getOpType(), operands, like, "half",
                      withAttributes(node, {}));
  }
  return value;
}

/// Before:
///   y = x * cos + Concat(-x[half:], x[:half]) * sin
/// for x of [batch, heads, length, depth] and tables whose halves are equal;
/// after:
///   y = RotaryEmbedding(x, cos[:half], sin[:half])
static LogicalResult makeRotary(onnx::NodeOp add, PatternRewriter &rewriter) {
  RankedTensorType type = tensorOf(add.getResult(0));
  if (!type || type.getRank() != 4 || type.isDynamicDim(3) ||
      type.getDimSize(3) % 2 || !isFloat(add.getResult(0)))
    return failure();
  onnx::NodeOp products[] = {soleProducerOf(add.getOperand(0), "Mul"),
                             soleProducerOf(add.getOperand(1), "Mul")};
  if (!products[0] || !products[1])
    return failure();
  for (unsigned turned : {0, 1})
    for (unsigned side : {0, 1}) {
      onnx::NodeOp product = products[turned], other = products[1 - turned];
      Value x = readRotated(product.getOperand(side), type.getDimSize(3) / 2);
      Value sin = product.getOperand(1 - side);
      if (!x || x.getType() != type ||
          !llvm::is_contained(other.getOperands(), x))
        continue;
      Value cos = otherOperand(other, x);
      Table sines, cosines;
      if (!sines.read(sin, type) || !cosines.read(cos, type) ||
          sines.isConstant() != cosines.isConstant())
        return rewriter.notifyMatchFailure(add, "tables of other halves");
      Weights make(rewriter, add);
      SmallVector<Value> operands = {x, cosines.build(make, type),
                                     sines.build(make, type)};
      if (sines.isConstant()) {
        // The tables are of all positions, in order.
        int64_t batch = type.getDimSize(0), length = type.getDimSize(2);
        SmallVector<int64_t> positions;
        for (int64_t i = 0; i < batch * length; ++i)
          positions.push_back(i % length);
        operands.push_back(
            make.reshape(make.ints(positions, "positions"), {batch, length}));
      }
      remarkDone(add.getLoc(), kPass) << "is RotaryEmbedding";
      make.replace("RotaryEmbedding", operands);
      return success();
    }
  return failure();
}

namespace {

struct RecognizeRotaryPass
    : dlc::impl::RecognizeRotaryBase<RecognizeRotaryPass> {
  using RecognizeRotaryBase::RecognizeRotaryBase;

  void runOnOperation() override {
    if (opset < 23)
      return;
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<makeRotary>>(&getContext(), "Add");
    if (failed(applyNodePatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
