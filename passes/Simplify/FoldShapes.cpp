// Computes what nodes make of sizes, where these are known or are those of
// other tensors.

#include "passes/Simplify/FoldShapes.h"
#include "dlc/Api.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDSHAPES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

/// True if `type` holds `number`: what wraps around is left to the run.
static bool holds(Type type, int64_t number) {
  unsigned width = type.getIntOrFloatBitWidth();
  if (type.isUnsignedInteger() || width == 1)
    return number >= 0 && llvm::isUIntN(width, number);
  return llvm::isIntN(width, number);
}

const Elements *ShapeFolder::find(Value value) {
  if (auto it = known.find(value); it != known.end())
    return &it->second;
  auto ints = intsOf(value);
  if (auto bits = numbersOf(value);
      bits && getElementTypeOrSelf(value.getType()).isInteger(1))
    ints.emplace(bits->begin(), bits->end());
  if (!ints || ints->size() > kMostElements || rankOf(value) > 1)
    return nullptr;
  Elements elements;
  for (int64_t number : *ints)
    elements.push_back(holds(getElementTypeOrSelf(value.getType()), number)
                           ? Element::of(number)
                           : Element());
  return &(known[value] = elements);
}

/// One element of two; sizes are at least 0.
static Element combine(StringRef op, Element a, Element b) {
  if (a.isNumber() && b.isNumber()) {
    int64_t x = a.number, y = b.number, result = 0;
    bool overflows = false;
    if (op == "Add")
      overflows = llvm::AddOverflow(x, y, result);
    else if (op == "Sub")
      overflows = llvm::SubOverflow(x, y, result);
    else if (op == "Mul")
      overflows = llvm::MulOverflow(x, y, result);
    else if ((op == "Div" || op == "Mod") && (y == 0 || y == -1))
      overflows = true;
    else if (op == "Div")
      result = x / y;
    else if (op == "Mod")
      result = ((x % y) + y) % y;
    else if (op == "Min" || op == "Max")
      result = op == "Min" ? std::min(x, y) : std::max(x, y);
    else if (op == "Equal")
      result = x == y;
    else if (op == "Less" || op == "Greater")
      result = op == "Less" ? x < y : x > y;
    else
      overflows = true;
    return overflows ? Element() : Element::of(result);
  }
  if (op == "Equal") {
    bool isNever = (a.isNumber() && a.number < 0 && b.kind == Element::Size) ||
                   (b.isNumber() && b.number < 0 && a.kind == Element::Size);
    return isNever ? Element::of(0) : a == b ? Element::of(1) : Element();
  }
  if ((op == "Mul" || op == "Div") && b == Element::of(1))
    return a;
  if (op == "Mul" && a == Element::of(1))
    return b;
  if ((op == "Add" || op == "Sub") && b == Element::of(0))
    return a;
  if (op == "Add" && a == Element::of(0))
    return b;
  if (op == "Sub" && a == b)
    return Element::of(0);
  if ((op == "Min" || op == "Max") && a == b)
    return a;
  if (op == "Min" && a.isNumber() && a.number >= 0 && b.kind == Element::Size)
    return Element::least(a.number, b);
  if (op == "Min" && b.isNumber() && b.number >= 0 && a.kind == Element::Size)
    return Element::least(b.number, a);
  return {};
}

std::optional<Elements> ShapeFolder::evaluate(onnx::NodeOp node) {
  if (!node.getDomain().empty() || node.getNumResults() != 1 ||
      node.getNumRegions())
    return std::nullopt;
  RankedTensorType type = tensorOf(node.getResult(0));
  if (!type || type.getRank() > 1 || !isa<IntegerType>(type.getElementType()) ||
      (type.hasStaticShape() && type.getNumElements() > kMostElements))
    return std::nullopt;
  StringRef op = node.getOpType();
  Value x = node.getInput(0);
  if (op == "Shape" || op == "Size") {
    int64_t rank = rankOf(x);
    if (rank < 0 || rank > kMostElements)
      return std::nullopt;
    if (op == "Size") {
      auto shape = sizesOf(x);
      return shape ? std::optional(Elements{
                         Element::of(ShapedType::getNumElements(*shape))})
                   : std::nullopt;
    }
    auto clamp = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank);
    };
    Elements result;
    for (int64_t i = clamp(node.getInt("start", 0)),
                 end = clamp(node.getInt("end", rank));
         i < end; ++i)
      result.push_back(sizeOf(x, i));
    return result;
  }
  // From here on, what other elements are made of.
  SmallVector<const Elements *> inputs;
  for (Value operand : node.getOperands()) {
    const Elements *elements =
        isa<NoneType>(operand.getType()) ? nullptr : find(operand);
    inputs.push_back(elements);
  }
  // A map may grow while it is filled.
  SmallVector<Elements> copies;
  for (const Elements *input : inputs)
    copies.push_back(input ? *input : Elements());
  for (auto [i, operand] : llvm::enumerate(node.getOperands()))
    if (auto it = known.find(operand); it != known.end())
      copies[i] = it->second;
  auto has = [&](unsigned i) { return i < inputs.size() && inputs[i]; };
  auto numberAt = [&](unsigned i, int64_t otherwise) -> std::optional<int64_t> {
    if (i >= inputs.size() || isa<NoneType>(node.getOperand(i).getType()))
      return otherwise;
    if (!has(i) || copies[i].size() != 1 || !copies[i][0].isNumber())
      return std::nullopt;
    return copies[i][0].number;
  };
  if (op == "Concat") {
    Elements result;
    for (unsigned i = 0; i < inputs.size(); ++i) {
      if (!has(i) || rankOf(node.getOperand(i)) != 1)
        return std::nullopt;
      result.append(copies[i]);
    }
    return result;
  }
  if (op == "ConstantOfShape") {
    auto count = numberAt(0, 0);
    ElementsAttr value = node.getTensor("value");
    if (!count || *count < 0 || *count > kMostElements || type.getRank() != 1 ||
        (value && !isa<DenseElementsAttr>(value)))
      return std::nullopt;
    int64_t number = value ? cast<DenseElementsAttr>(value)
                                 .getValues<APInt>()[0]
                                 .getSExtValue()
                           : 0;
    return Elements(*count, Element::of(number));
  }
  if (!has(0))
    return std::nullopt;
  const Elements &first = copies[0];
  if (op == "Gather") {
    if (!has(1) || rankOf(x) != 1)
      return std::nullopt;
    Elements result;
    for (Element index : copies[1]) {
      int64_t i = index.isNumber() ? toAxis(index.number, first.size()) : -1;
      if (i < 0)
        return std::nullopt;
      result.push_back(first[i]);
    }
    return result;
  }
  if (op == "Slice") {
    auto begin = numberAt(1, 0), end = numberAt(2, 0), step = numberAt(4, 1);
    if (!begin || !end || !step || *step != 1 || rankOf(x) != 1)
      return std::nullopt;
    int64_t n = first.size();
    auto clamp = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n);
    };
    Elements result;
    for (int64_t i = clamp(*begin); i < clamp(*end); ++i)
      result.push_back(first[i]);
    return result;
  }
  if (op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" ||
      op == "Identity")
    return first;
  if (op == "Not" || (op == "Cast" && type.getElementType().isInteger(1) &&
                      isa<IntegerType>(getElementTypeOrSelf(x.getType())))) {
    // What a branch is chosen by.
    Elements result;
    for (Element element : first)
      result.push_back(element.isNumber() ? Element::of((element.number != 0) ==
                                                        (op == "Cast"))
                                          : Element());
    return result;
  }
  if (op == "Cast") {
    Type from = getElementTypeOrSelf(x.getType());
    if (type.getElementTypeBitWidth() < 32 || !isa<IntegerType>(from) ||
        from.getIntOrFloatBitWidth() < 32)
      return std::nullopt;
    // No tensor has a size that 32 bits do not hold; a number is looked at.
    return first;
  }
  if (op == "Expand") {
    if (!type.hasStaticShape() || first.size() != 1)
      return std::nullopt;
    return Elements(type.getNumElements(), first[0]);
  }
  if (op == "Where" && has(1) && has(2) && type.hasStaticShape()) {
    Elements result;
    for (int64_t i = 0, n = type.getNumElements(); i < n; ++i) {
      auto at = [&](unsigned k) {
        return copies[k].size() == 1 ? copies[k][0] : copies[k][i];
      };
      Element condition = at(0);
      result.push_back(!condition.isNumber() ? Element()
                                             : at(condition.number ? 1 : 2));
    }
    return result;
  }
  bool isBinary = llvm::is_contained({"Add", "Sub", "Mul", "Div", "Mod", "Min",
                                      "Max", "Equal", "Less", "Greater"},
                                     op);
  if (isBinary && has(1) && inputs.size() == 2 && !node.getInt("fmod", 0)) {
    Elements result;
    size_t n = std::max(first.size(), copies[1].size());
    if (first.empty() || copies[1].empty())
      return std::nullopt;
    for (size_t i = 0; i < n; ++i)
      result.push_back(combine(op, first[first.size() == 1 ? 0 : i],
                               copies[1][copies[1].size() == 1 ? 0 : i]));
    return result;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// Replaces a node whose elements are all numbers, or one size of a tensor.
bool ShapeFolder::rewrite(onnx::NodeOp node, const Elements &elements) {
  Value result = node.getResult(0);
  RankedTensorType type = tensorOf(result);
  OpBuilder b(node);
  if (llvm::all_of(elements, [](Element e) { return e.isNumber(); })) {
    auto shape = type.getRank() == 0
                     ? SmallVector<int64_t>()
                     : SmallVector<int64_t>{int64_t(elements.size())};
    unsigned width = type.getElementTypeBitWidth();
    SmallVector<APInt> numbers;
    for (Element element : elements)
      numbers.push_back(APInt(width, element.number, /*isSigned=*/true,
                              /*implicitTrunc=*/true));
    auto constant = RankedTensorType::get(shape, type.getElementType());
    auto initializer = onnx::InitializerOp::create(
        b, node.getLoc(), constant, node.getOutputName(0),
        DenseElementsAttr::get(constant, numbers), IntegerAttr());
    known[initializer] = elements;
    result.replaceAllUsesWith(initializer);
    remarkDone(node.getLoc(), "dlc-fold-shapes") << "computed";
    return true;
  }
  // One size needs one node, whatever it came through.
  if (type.getRank() != 1 || elements.size() != 1 ||
      elements[0].kind != Element::Size ||
      (node.isOp("Shape") && node.getOperand(0) == elements[0].tensor))
    return false;
  if (!type.getElementType().isInteger(64))
    return false;
  Value tensor = elements[0].tensor;
  // It is there before: an input, or an operand some way up.
  OperationState state(node.getLoc(), onnx::NodeOp::getOperationName());
  state.addOperands(tensor);
  state.addTypes(RankedTensorType::get({1}, b.getI64Type()));
  state.addAttribute("op_type", b.getStringAttr("Shape"));
  state.addAttribute("domain", b.getStringAttr(""));
  state.addAttribute("overload", b.getStringAttr(""));
  state.addAttribute(
      "onnx_attributes",
      b.getDictionaryAttr(
          {b.getNamedAttr("start", b.getI64IntegerAttr(elements[0].axis)),
           b.getNamedAttr("end", b.getI64IntegerAttr(elements[0].axis + 1))}));
  state.addAttribute("output_names", node.getOutputNames());
  state.addAttribute("graphs", b.getArrayAttr({}));
  auto shape = cast<onnx::NodeOp>(b.create(state));
  known[shape.getResult(0)] = elements;
  result.replaceAllUsesWith(shape.getResult(0));
  return true;
}

/// Reshape(x, [size of x, 12, 64]) as Reshape(x, [0, 12, 64]).
void ShapeFolder::rewriteReshape(onnx::NodeOp node) {
  const Elements *found = find(node.getOperand(1));
  Value x = node.getOperand(0);
  if (!found || constantOf(node.getOperand(1)) || rankOf(x) < 0 ||
      node.getInt("allowzero", 0))
    return;
  Elements wanted = *found;
  SmallVector<int64_t> sizes;
  unsigned unknown = 0;
  for (auto [i, element] : llvm::enumerate(wanted)) {
    if (element.isNumber()) {
      sizes.push_back(element.number);
      unknown += element.number == -1;
    } else if (element == sizeOf(x, int64_t(i))) {
      sizes.push_back(0);
    } else {
      sizes.push_back(-1);
      ++unknown;
    }
  }
  // A size of 0 beside the one that is found would leave it open.
  if (unknown > 1)
    return;
  OpBuilder b(node);
  auto type = RankedTensorType::get({int64_t(sizes.size())}, b.getI64Type());
  auto shape = onnx::InitializerOp::create(
      b, node.getLoc(), type, b.getStringAttr(node.getOutputName(0) + "/shape"),
      DenseElementsAttr::get(type, ArrayRef(sizes)), IntegerAttr());
  node.setOperand(1, shape);
  remarkDone(node.getLoc(), "dlc-fold-shapes") << "knows its shape";
}

/// Reshape(Gemm(Reshape(x, [-1, K]), w, b), [sizes of x, N]) as MatMul(x, w) +
/// b, which takes tensors of any rank.
bool ShapeFolder::rewriteGemm(onnx::NodeOp node) {
  onnx::NodeOp gemm = soleProducerOf(node.getOperand(0), "Gemm");
  onnx::NodeOp flat =
      gemm ? soleProducerOf(gemm.getOperand(0), "Reshape") : onnx::NodeOp();
  const Elements *found = find(node.getOperand(1));
  if (!flat || !found || gemm.getInt("transA", 0) || gemm.getInt("transB", 0) ||
      gemm.getFloat("alpha", 1) != 1 || gemm.getFloat("beta", 1) != 1)
    return false;
  Elements wanted = *found;
  Value x = flat.getOperand(0), weights = gemm.getOperand(1),
        bias = gemm.getInput(2);
  auto shape = sizesOf(weights);
  int64_t rank = rankOf(x);
  RankedTensorType type = tensorOf(node.getResult(0));
  if (!shape || !type || rank < 3 || int64_t(wanted.size()) != rank ||
      type.getRank() != rank || tensorOf(x).getShape().back() != (*shape)[0] ||
      !(wanted.back() == Element::of((*shape)[1])) ||
      (bias && rankOf(bias) > 1))
    return false;
  for (int64_t i = 0; i + 1 < rank; ++i)
    if (!(wanted[i] == sizeOf(x, i)))
      return false;
  SmallVector<int64_t> sizes(tensorOf(x).getShape());
  sizes.back() = (*shape)[1];
  PatternRewriter rewriter(node.getContext());
  NodeBuilder make(rewriter, node);
  remarkDone(gemm.getLoc(), "dlc-fold-shapes") << "needs no reshapes";
  Value product =
      make.make("MatMul", {x, weights}, type.clone(sizes), "product");
  product.getDefiningOp()->setLoc(gemm.getLoc());
  if (bias)
    product = make.make("Add", {product, bias}, type.clone(sizes), "sum");
  // What stands behind keeps its name.
  product.getDefiningOp<onnx::NodeOp>().setOutputNamesAttr(
      node.getOutputNames());
  node.getResult(0).replaceAllUsesWith(product);
  return true;
}

/// Reshape(Softmax(Flatten(x)), sizes of x) as Softmax(x), for the last axis:
/// how sets up to 12 are raised.
bool ShapeFolder::rewriteSoftmax(onnx::NodeOp node) {
  auto softmax = node.getOperand(0).getDefiningOp<onnx::NodeOp>();
  if (!softmax || !softmax.getDomain().empty() ||
      !softmax.getResult(0).hasOneUse() ||
      !llvm::is_contained({"Softmax", "LogSoftmax", "Hardmax"},
                          softmax.getOpType()) ||
      toAxis(softmax.getInt("axis", -1), 2) != 1)
    return false;
  onnx::NodeOp flat = producerOf(softmax.getOperand(0), "Flatten");
  const Elements *found = find(node.getOperand(1));
  if (!flat || !found || node.getInt("allowzero", 0))
    return false;
  Value x = flat.getOperand(0);
  int64_t rank = rankOf(x), axis = flat.getInt("axis", 1);
  Elements wanted = *found;
  if (rank < 1 || (axis < 0 ? axis + rank : axis) != rank - 1 ||
      int64_t(wanted.size()) != rank)
    return false;
  for (int64_t i = 0; i < rank; ++i)
    if (!(wanted[i] == sizeOf(x, i)))
      return false;
  PatternRewriter rewriter(node.getContext());
  NodeBuilder make(rewriter, node);
  remarkDone(softmax.getLoc(), "dlc-fold-shapes") << "needs no reshapes";
  onnx::NodeOp whole =
      make.makeMany(softmax.getOpType(), x, node.getResult(0).getType(),
                    "whole", make.attr("axis", int64_t(-1)));
  whole->setLoc(softmax.getLoc());
  whole.setOutputNamesAttr(node.getOutputNames());
  node.getResult(0).replaceAllUsesWith(whole.getResult(0));
  return true;
}

/// Expand to the sizes that the tensor has.
bool ShapeFolder::rewriteExpand(onnx::NodeOp node) {
  const Elements *wanted = find(node.getOperand(1));
  Value x = node.getOperand(0);
  if (!wanted || rankOf(x) < int64_t(wanted->size()))
    return false;
  Elements sizes = *wanted;
  int64_t offset = rankOf(x) - sizes.size();
  for (auto [i, element] : llvm::enumerate(sizes))
    if (!(element == Element::of(1) || element == sizeOf(x, offset + i)))
      return false;
  node.getResult(0).replaceAllUsesWith(x);
  return true;
}

/// Puts the sizes that are numbers into the type. What a graph ends with keeps
/// the type that was declared.
void ShapeFolder::refineType(Value value) {
  RankedTensorType type = tensorOf(value);
  if (!type)
    return;
  SmallVector<int64_t> shape(type.getShape());
  for (auto [axis, size] : llvm::enumerate(shape))
    if (Element element = sizeOf(value, axis);
        element.isNumber() && element.number >= 0)
      size = element.number;
  auto isEnd = [](Operation *user) {
    return user->hasTrait<OpTrait::IsTerminator>();
  };
  if (shape != type.getShape() && llvm::none_of(value.getUsers(), isEnd))
    value.setType(type.clone(shape));
}

const Elements *ShapeFolder::learn(onnx::NodeOp node) {
  for (Value result : node.getResults())
    for (int64_t axis = 0; axis < rankOf(result); ++axis)
      (void)sizeOf(result, axis);
  if (node.getDomain() == "dlc" && node.getOpType() == "ExpectShapes")
    learnEqualSizes(node);
  std::optional<Elements> elements = evaluate(node);
  if (!elements)
    return nullptr;
  Type type = getElementTypeOrSelf(node.getResult(0).getType());
  for (Element &element : *elements)
    if (element.isNumber() && !holds(type, element.number))
      element = Element();
  return &(known[node.getResult(0)] = *elements);
}

void ShapeFolder::learnArguments(Block &block) {
  for (BlockArgument argument : block.getArguments())
    for (int64_t axis = 0; axis < rankOf(argument); ++axis)
      (void)sizeOf(argument, axis);
}

void ShapeFolder::visit(Block &block) {
  if (block.getParentOp() == graph)
    learnArguments(block);
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto node = dyn_cast<onnx::NodeOp>(op);
    if (!node)
      continue;
    for (Region &region : node.getBodies())
      visit(region.front());
    bool isGone = false;
    if (node.isOp("Reshape") && node.getNumOperands() == 2) {
      isGone = rewriteGemm(node) || rewriteSoftmax(node);
      if (!isGone)
        rewriteReshape(node);
    }
    if (isGone || (node.isOp("Expand") && rewriteExpand(node))) {
      node.erase();
      continue;
    }
    for (Value result : node.getResults())
      refineType(result);
    const Elements *elements = learn(node);
    if (elements && rewrite(node, Elements(*elements))) {
      // Another value may come to lie where this one did.
      known.erase(node.getResult(0));
      for (int64_t axis = 0; axis < rankOf(node.getResult(0)); ++axis)
        sizes.erase({node.getResult(0), axis});
      node.erase();
    }
  }
}

namespace {

struct FoldShapesPass : dlc::impl::FoldShapesBase<FoldShapesPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      ShapeFolder(graph).run();
      eraseDeadNodes(*graph.getBodyBlock());
    }
  }
};

} // namespace
