// Takes what splits heads into Attention, whatever reshapes, transposes and
// choices of a part it is made of.

#include "passes/Simplify/Attention.h"
#include "passes/Simplify/Nodes.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

namespace {

/// So many elements, so far apart.
struct Run {
  int64_t size, stride;
};

/// A tensor as a part of another one in memory. An axis is one run, or several
/// that it counts through, the last one fastest; none where its size is 1.
struct View {
  Value root;
  SmallVector<SmallVector<Run, 2>> axes;
  int64_t offset = 0;

  int64_t sizeOf(int64_t axis) const {
    int64_t size = 1;
    for (const Run &run : axes[axis])
      size *= run.size;
    return size;
  }
};

} // namespace

static View viewOf(Value root, ArrayRef<int64_t> shape) {
  View view{root, SmallVector<SmallVector<Run, 2>>(shape.size())};
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i])
    if (shape[i] != 1)
      view.axes[i] = {{shape[i], stride}};
  return view;
}

/// The view with other sizes; nothing where they cut runs elsewhere.
static std::optional<View> reshape(const View &view, ArrayRef<int64_t> shape) {
  SmallVector<Run> runs;
  for (const auto &axis : view.axes)
    for (const Run &run : axis)
      // What lies behind each other is one.
      if (!runs.empty() && runs.back().stride == run.size * run.stride)
        runs.back() = {runs.back().size * run.size, run.stride};
      else
        runs.push_back(run);
  View result{view.root, SmallVector<SmallVector<Run, 2>>(shape.size()),
              view.offset};
  for (size_t i = shape.size(); i-- > 0;) {
    for (int64_t wanted = shape[i]; wanted > 1;) {
      if (runs.empty())
        return std::nullopt;
      Run &last = runs.back();
      int64_t size = std::min(wanted, last.size);
      if (wanted % size || last.size % size)
        return std::nullopt;
      result.axes[i].insert(result.axes[i].begin(), {size, last.stride});
      wanted /= size;
      last = {last.size / size, last.stride * size};
      if (last.size == 1)
        runs.pop_back();
    }
  }
  return runs.empty() ? std::optional(result) : std::nullopt;
}

/// Takes [begin, end) of an axis; fails where it is several runs.
static bool cut(View &view, int64_t axis, int64_t begin, int64_t end) {
  SmallVector<Run, 2> &runs = view.axes[axis];
  if (runs.size() > 1)
    return false;
  if (runs.empty())
    return begin == 0 && end == 1;
  view.offset += begin * runs[0].stride;
  if (end - begin == 1)
    runs.clear();
  else
    runs[0].size = end - begin;
  return true;
}

/// Reads a value through nodes that only move elements, as far as that goes.
static std::optional<View> readView(Value value) {
  auto shape = sizesOf(value);
  if (!shape || llvm::is_contained(*shape, 0))
    return std::nullopt;
  View whole = viewOf(value, *shape);
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0)
    return whole;
  bool isReshape = llvm::is_contained(
      {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}, node.getOpType());
  if (!isReshape && !node.isOp("Transpose") && !node.isOp("Gather") &&
      !node.isOp("Split"))
    return whole;
  std::optional<View> view = readView(node.getOperand(0));
  if (!view)
    return whole;
  int64_t rank = view->axes.size();
  if (isReshape) {
    std::optional<View> reshaped = reshape(*view, *shape);
    return reshaped ? reshaped : whole;
  }
  if (node.isOp("Transpose")) {
    auto permutation = node.getInts("perm");
    if (!permutation)
      return whole;
    View turned = *view;
    for (auto [i, axis] : llvm::enumerate(*permutation))
      turned.axes[i] = view->axes[axis];
    return turned;
  }
  if (node.isOp("Gather")) {
    // One element of an axis, which goes away.
    auto indices = intsOf(node.getOperand(1));
    int64_t axis = toAxis(node.getInt("axis", 0), rank);
    if (!indices || rankOf(node.getOperand(1)) != 0 || axis < 0)
      return whole;
    int64_t index = toAxis(indices->front(), view->sizeOf(axis));
    if (index < 0 || !cut(*view, axis, index, index + 1))
      return whole;
    view->axes.erase(view->axes.begin() + axis);
    return view;
  }
  int64_t axis = toAxis(node.getInt("axis", 0), rank), at = 0;
  if (axis < 0)
    return whole;
  for (Value result : node.getResults()) {
    auto sizes = sizesOf(result);
    if (!sizes)
      return whole;
    if (result == value)
      break;
    at += (*sizes)[axis];
  }
  return cut(*view, axis, at, at + (*shape)[axis]) ? view : whole;
}

/// Whether a view [batch, heads, length, depth] is the part `part` of the last
/// axis of a tensor [batch, length, parts * heads * depth], or, where
/// `isTurned`, of one with the length first.
static bool isPart(const View &view, int64_t part, int64_t last,
                   bool isTurned) {
  int64_t batch = view.sizeOf(0), length = view.sizeOf(2),
          depth = view.sizeOf(3);
  int64_t strides[] = {isTurned ? last : length * last, depth,
                       isTurned ? batch * last : last, 1};
  if (view.offset != part * view.sizeOf(1) * depth)
    return false;
  for (int i = 0; i < 4; ++i)
    if (view.axes[i].size() > 1 ||
        (view.axes[i].size() == 1 && view.axes[i][0].stride != strides[i]))
      return false;
  return true;
}

/// Before:
///   q, k, v = what reshapes, transposes and takes apart x, [b, s, 3 * h * d]
///   y = Transpose(Attention(q, k, v), [0, 2, 1, 3])
/// after:
///   q, k, v = Split(x)
///   y = Reshape(Attention(q, k, v) {q_num_heads, kv_num_heads})
/// A tensor with the length first is transposed as a whole.
static LogicalResult packHeads(onnx::NodeOp node, PatternRewriter &rewriter) {
  Value x;
  SmallVector<View> views;
  if (node.getNumResults() != 1 || !node.getResult(0).hasOneUse() ||
      node.getNumOperands() < 3 || node.getNumOperands() > 4)
    return failure();
  for (Value operand : node.getOperands().take_front(3)) {
    auto view = rankOf(operand) == 4 ? readView(operand) : std::nullopt;
    if (!view || (x && view->root != x) || view->root == operand)
      return failure();
    x = view->root;
    views.push_back(*view);
  }
  auto sizes = *sizesOf(x);
  int64_t batch = views[0].sizeOf(0), heads = views[0].sizeOf(1),
          length = views[0].sizeOf(2), depth = views[0].sizeOf(3);
  int64_t width = heads * depth;
  if (sizes.size() != 3 || sizes[2] != 3 * width)
    return rewriter.notifyMatchFailure(node, "not three equal parts");
  bool isTurned = sizes[0] != batch || sizes[1] != length;
  if (isTurned && (sizes[0] != length || sizes[1] != batch))
    return failure();
  for (int64_t i : {0, 1, 2})
    if (node.getOperand(i).getType() != node.getOperand(0).getType() ||
        !isPart(views[i], i, sizes[2], isTurned))
      return rewriter.notifyMatchFailure(node, "parts of another order");
  auto back = dyn_cast<onnx::NodeOp>(*node->user_begin());
  auto permutation =
      back && back.isOp("Transpose") ? back.getInts("perm") : std::nullopt;
  bool isBackTurned = permutation == SmallVector<int64_t>{2, 0, 1, 3};
  if (!isBackTurned && permutation != SmallVector<int64_t>{0, 2, 1, 3})
    return rewriter.notifyMatchFailure(node, "heads stay apart");

  NodeBuilder make(rewriter, back);
  auto type = cast<RankedTensorType>(x.getType());
  if (isTurned)
    x = make.make("Transpose", x, type.clone({batch, length, 3 * width}),
                  "batches", make.attr("perm", ArrayRef<int64_t>({1, 0, 2})));
  auto packed = type.clone({batch, length, width});
  onnx::NodeOp split = make.makeMany(
      "Split", {x, make.ints({width, width, width}, "sizes")},
      {packed, packed, packed}, "heads", make.attr("axis", int64_t(2)));
  SmallVector<Value> operands(split.getResults());
  llvm::append_range(operands, node.getOperands().drop_front(3));
  Value attention =
      make.make("Attention", operands, packed, "attention",
                withAttributes(node, {make.attr("q_num_heads", heads),
                                      make.attr("kv_num_heads", heads)}));
  attention.getDefiningOp()->setLoc(node.getLoc());
  if (isBackTurned)
    attention =
        make.make("Transpose", attention, type.clone({length, batch, width}),
                  "lengths", make.attr("perm", ArrayRef<int64_t>({1, 0, 2})));
  auto shape = tensorOf(back.getResult(0)).getShape();
  remarkDone(node.getLoc(), "dlc-recognize-attention") << "splits its heads";
  make.replace("Reshape", {attention, make.ints(shape, "shape")});
  return success();
}

void simplify::populatePackHeads(RewritePatternSet &patterns) {
  patterns.add<FunctionPattern<packHeads>>(patterns.getContext(), "Attention");
}
