// Makes one convolution of a sum of branches: what is trained apart and need
// not run apart.

#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MERGESUMS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-merge-sums";

namespace {

/// The window of a convolution, with everything spelled out.
struct Window {
  SmallVector<int64_t> kernel, strides, dilations, pads;
  int64_t group = 1;
};

} // namespace

static std::optional<Window> readWindow(onnx::NodeOp conv) {
  auto shape = sizesOf(conv.getOperand(1));
  if (!shape || shape->size() < 3 ||
      conv.getString("auto_pad", "NOTSET") != "NOTSET" ||
      !isConstantTree(conv.getOperand(1)) ||
      (conv.getInput(2) && !isConstantTree(conv.getInput(2))))
    return std::nullopt;
  size_t n = shape->size() - 2;
  Window window;
  window.kernel.assign(shape->begin() + 2, shape->end());
  window.strides = conv.getInts("strides").value_or(SmallVector<int64_t>(n, 1));
  window.dilations =
      conv.getInts("dilations").value_or(SmallVector<int64_t>(n, 1));
  window.pads = conv.getInts("pads").value_or(SmallVector<int64_t>(2 * n, 0));
  window.group = conv.getInt("group", 1);
  return window;
}

/// How much the kernel of `small` is padded to be that of `large`, begins and
/// then ends; nothing when it cannot be.
static std::optional<SmallVector<int64_t>> fit(const Window &small,
                                               const Window &large) {
  if (small.strides != large.strides || small.group != large.group)
    return std::nullopt;
  size_t n = small.kernel.size();
  SmallVector<int64_t> grown(2 * n);
  for (size_t i = 0; i < n; ++i) {
    int64_t begin = large.pads[i] - small.pads[i];
    int64_t end = large.pads[n + i] - small.pads[n + i];
    int64_t dilation = large.dilations[i];
    if (small.kernel[i] > 1 && small.dilations[i] != dilation)
      return std::nullopt;
    if (begin < 0 || end < 0 || begin % dilation || end % dilation)
      return std::nullopt;
    grown[i] = begin / dilation;
    grown[n + i] = end / dilation;
    if (small.kernel[i] + grown[i] + grown[n + i] != large.kernel[i])
      return std::nullopt;
  }
  return grown;
}

static Value fold(NodeBuilder &make, StringRef op, ValueRange operands,
                  Type type) {
  Value value = make.make(op, operands, type, "folded");
  value.getDefiningOp()->setAttr(kConstantAttr, make.b.getUnitAttr());
  return value;
}

/// Conv(x, w) + Conv(x, v) as Conv(x, w + v), the smaller kernel padded.
static LogicalResult mergeConvs(onnx::NodeOp add, PatternRewriter &rewriter) {
  if (add.getOperand(0) == add.getOperand(1))
    return failure();
  onnx::NodeOp convs[] = {soleProducerOf(add.getOperand(0), "Conv"),
                          soleProducerOf(add.getOperand(1), "Conv")};
  if (!convs[0] || !convs[1] ||
      convs[0].getOperand(0) != convs[1].getOperand(0) ||
      convs[0].getResult(0).getType() != convs[1].getResult(0).getType())
    return failure();
  std::optional<Window> windows[] = {readWindow(convs[0]),
                                     readWindow(convs[1])};
  if (!windows[0] || !windows[1])
    return failure();
  for (unsigned large : {0, 1}) {
    onnx::NodeOp conv = convs[large], other = convs[1 - large];
    auto grown = fit(*windows[1 - large], *windows[large]);
    if (!grown)
      continue;
    NodeBuilder make(rewriter, add);
    Value weights = other.getOperand(1);
    Type type = conv.getOperand(1).getType();
    if (llvm::any_of(*grown, [](int64_t g) { return g != 0; })) {
      size_t n = grown->size() / 2;
      SmallVector<int64_t> pads = {0, 0};
      pads.append(grown->begin(), grown->begin() + n);
      pads.append({0, 0});
      pads.append(grown->begin() + n, grown->end());
      weights = fold(make, "Pad", {weights, make.ints(pads, "pads")}, type);
    }
    weights = fold(make, "Add", {conv.getOperand(1), weights}, type);
    SmallVector<Value> operands = {conv.getOperand(0), weights};
    Value a = conv.getInput(2), b = other.getInput(2);
    if (a && b)
      operands.push_back(fold(make, "Add", {a, b}, a.getType()));
    else if (a || b)
      operands.push_back(a ? a : b);
    remarkDone(other.getLoc(), kPass)
        << "is a part of '" << getNodeName(conv.getLoc()) << "' now";
    Location loc = conv.getLoc();
    make.replace("Conv", operands, withAttributes(conv, {}))->setLoc(loc);
    return success();
  }
  return rewriter.notifyMatchFailure(add, "windows do not fit");
}

/// The kernel that gives back its input: 1 in the centre, where input and
/// output channels are the same.
static Value makeIdentity(NodeBuilder &make, RankedTensorType type) {
  SmallVector<float> values(type.getNumElements(), 0);
  int64_t channels = type.getDimSize(0), inputs = type.getDimSize(1);
  int64_t window = type.getNumElements() / (channels * inputs);
  for (int64_t m = 0; m < channels; ++m)
    values[(m * inputs + m % inputs) * window + window / 2] = 1;
  auto attribute = DenseElementsAttr::get(type, ArrayRef(values));
  return onnx::InitializerOp::create(make.b, make.root.getLoc(), type,
                                     make.b.getStringAttr("identity"),
                                     attribute, IntegerAttr());
}

/// The normalisation of x that `value` is.
static onnx::NodeOp readNorm(Value value, Value x) {
  onnx::NodeOp norm = soleProducerOf(value, "BatchNormalization");
  return norm && norm.getOperand(0) == x &&
                 llvm::all_of(norm.getOperands().drop_front(), isConstantTree)
             ? norm
             : onnx::NodeOp();
}

/// Whether `other` is what a convolution is of, or its normalisation, and its
/// window can hold the identity.
static bool takesIdentity(onnx::NodeOp conv, Value other) {
  Value x = conv.getOperand(0);
  if (other != x && !readNorm(other, x))
    return false;
  auto window = readWindow(conv);
  RankedTensorType weights = tensorOf(conv.getOperand(1));
  if (!window || !weights.getElementType().isF32() ||
      conv.getResult(0).getType() != x.getType() ||
      weights.getDimSize(0) != weights.getDimSize(1) * window->group)
    return false;
  size_t n = window->kernel.size();
  for (size_t k = 0; k < n; ++k)
    if (window->kernel[k] % 2 != 1 || window->strides[k] != 1 ||
        window->pads[k] != window->kernel[k] / 2 * window->dilations[k] ||
        window->pads[n + k] != window->pads[k])
      return false;
  return true;
}

/// Conv(x) + BatchNormalization(x), or + x, with a convolution of the same
/// window in front of the other one, so that the two above become one.
static LogicalResult convolveIdentity(onnx::NodeOp add,
                                      PatternRewriter &rewriter) {
  for (unsigned i : {0, 1}) {
    onnx::NodeOp conv = soleProducerOf(add.getOperand(i), "Conv");
    if (!conv || !takesIdentity(conv, add.getOperand(1 - i)))
      continue;
    Value x = conv.getOperand(0);
    onnx::NodeOp norm = readNorm(add.getOperand(1 - i), x);
    NodeBuilder make(rewriter, norm ? norm : add);
    Value same =
        make.make("Conv", {x, makeIdentity(make, tensorOf(conv.getOperand(1)))},
                  x.getType(), "identity", withAttributes(conv, {}));
    if (norm)
      rewriter.modifyOpInPlace(norm, [&] { norm.setOperand(0, same); });
    else
      rewriter.modifyOpInPlace(add, [&] { add.setOperand(1 - i, same); });
    return success();
  }
  return failure();
}

/// Whether the sum of two values becomes one convolution above.
static bool areMergeable(Value a, Value b) {
  onnx::NodeOp convs[] = {soleProducerOf(a, "Conv"), soleProducerOf(b, "Conv")};
  if (convs[0] && convs[1]) {
    if (a == b || convs[0].getOperand(0) != convs[1].getOperand(0) ||
        a.getType() != b.getType())
      return false;
    auto x = readWindow(convs[0]), y = readWindow(convs[1]);
    return x && y && (fit(*x, *y) || fit(*y, *x));
  }
  return convs[0]   ? takesIdentity(convs[0], b)
         : convs[1] ? takesIdentity(convs[1], a)
                    : false;
}

static bool isSum(Operation *op) {
  auto node = dyn_cast_if_present<onnx::NodeOp>(op);
  return node && node.getDomain().empty() &&
         (node.isOp("Add") || node.isOp("Sum"));
}

/// What a tree of sums adds up; nothing beyond a number that no network has.
static bool collectTerms(onnx::NodeOp sum, SmallVectorImpl<Value> &terms) {
  constexpr size_t kMostTerms = 16;
  for (Value operand : sum.getOperands()) {
    if (operand.hasOneUse() && isSum(operand.getDefiningOp()) &&
        operand.getType() == sum.getResult(0).getType()) {
      if (!collectTerms(operand.getDefiningOp<onnx::NodeOp>(), terms))
        return false;
    } else {
      terms.push_back(operand);
    }
    if (terms.size() > kMostTerms)
      return false;
  }
  return true;
}

/// Has two branches that become one stand beside each other, whatever the order
/// in which all of them are added up.
static LogicalResult regroup(onnx::NodeOp root, PatternRewriter &rewriter) {
  Value result = root.getResult(0);
  if (!tensorOf(result))
    return failure();
  if (result.hasOneUse() && isSum(*result.user_begin()) &&
      (*result.user_begin())->getResult(0).getType() == result.getType())
    return rewriter.notifyMatchFailure(root, "a part of a larger sum");
  SmallVector<Value> terms;
  if (!collectTerms(root, terms))
    return rewriter.notifyMatchFailure(root, "too many branches");
  for (size_t i = 0; i < terms.size(); ++i)
    for (size_t j = i + 1; j < terms.size(); ++j) {
      // Parts of a sum that only others enlarge have other types than it.
      if (terms[i].getType() != result.getType() ||
          terms[j].getType() != result.getType() ||
          !areMergeable(terms[i], terms[j]))
        continue;
      auto user = [](Value value) {
        return value.hasOneUse() ? *value.user_begin() : nullptr;
      };
      Operation *both =
          soleProducerOf(terms[i], "Conv") ? user(terms[i]) : user(terms[j]);
      if (both && cast<onnx::NodeOp>(both).isOp("Add") &&
          llvm::is_contained(both->getOperands(), terms[i]) &&
          llvm::is_contained(both->getOperands(), terms[j]))
        continue;
      NodeBuilder make(rewriter, root);
      SmallVector<Value> rest;
      for (size_t k = 0; k < terms.size(); ++k)
        if (k != i && k != j)
          rest.push_back(terms[k]);
      if (rest.empty()) {
        make.replace("Add", {terms[i], terms[j]});
        return success();
      }
      Value sum =
          make.make("Add", {terms[i], terms[j]}, result.getType(), "sum");
      if (root.isOp("Sum") && root.getNumOperands() == terms.size() &&
          rest.size() > 1) {
        rest.insert(rest.begin(), sum);
        make.replace("Sum", rest);
        return success();
      }
      for (Value term : ArrayRef(rest).drop_back())
        sum = make.make("Add", {sum, term}, result.getType(), "sum");
      make.replace("Add", {sum, rest.back()});
      return success();
    }
  return failure();
}

namespace {

struct MergeSumsPass : dlc::impl::MergeSumsBase<MergeSumsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FunctionPattern<mergeConvs>>(&getContext(), "Add", 2);
    patterns.add<FunctionPattern<convolveIdentity>>(&getContext(), "Add", 1);
    for (StringRef op : {"Add", "Sum"})
      patterns.add<FunctionPattern<regroup>>(&getContext(), op, 1);
    if (failed(applyNodePatterns(getOperation(), std::move(patterns),
                                 getArgument())))
      signalPassFailure();
  }
};

} // namespace
