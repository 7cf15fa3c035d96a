// Computes what nodes make of sizes, where these are known or are those of
// other tensors.

#include "dlc/Api.h"
#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDSHAPES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

/// Larger integer tensors are no shapes.
static constexpr int64_t kMostElements = 64;

namespace {

/// An element of an integer tensor: a number, a size of a tensor, or unknown.
struct Element {
  enum Kind { Unknown, Number, Size } kind = Unknown;
  int64_t number = 0;
  Value tensor; ///< of a size
  int64_t axis = 0;
  StringRef name; ///< of a size; equal names are equal sizes

  static Element of(int64_t number) { return {Number, number, {}, 0, ""}; }
  bool isNumber() const { return kind == Number; }
  bool operator==(const Element &other) const {
    if (kind != other.kind || kind == Unknown)
      return false;
    if (kind == Number)
      return number == other.number;
    return (!name.empty() && name == other.name) ||
           (tensor == other.tensor && axis == other.axis);
  }
};

using Elements = SmallVector<Element, 4>;

class ShapeFolder {
public:
  explicit ShapeFolder(onnx::GraphOp graph) : graph(graph) {}

  void run() { visit(*graph.getBodyBlock()); }

private:
  void visit(Block &block);
  std::optional<Elements> evaluate(onnx::NodeOp node);
  const Elements *find(Value value);
  Element sizeOf(Value value, int64_t axis);
  Element trace(Value value, int64_t axis);
  ArrayAttr dimNames(Value value);
  bool rewrite(onnx::NodeOp node, const Elements &elements);
  void rewriteReshape(onnx::NodeOp node);
  bool rewriteExpand(onnx::NodeOp node);

  onnx::GraphOp graph;
  DenseMap<Value, Elements> known;
  DenseMap<std::pair<Value, int64_t>, Element> sizes;
  /// The size of an input that stands for all of that name.
  llvm::StringMap<std::pair<Value, int64_t>> inputSizes;
};

} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

ArrayAttr ShapeFolder::dimNames(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == graph.getBodyBlock()
               ? graph.getInputDimNames(argument.getArgNumber())
               : ArrayAttr();
  Operation *op = value.getDefiningOp();
  auto infos = op->getAttrOfType<ArrayAttr>("output_infos");
  if (!infos)
    return {};
  return cast<DictionaryAttr>(infos[cast<OpResult>(value).getResultNumber()])
      .getAs<ArrayAttr>("dim_names");
}

/// Looks through nodes that keep a size, as far as that goes.
Element ShapeFolder::trace(Value value, int64_t axis) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() == 0 ||
      node.getResult(0) != value)
    return {};
  Value x = node.getInput(0);
  int64_t rank = rankOf(value);
  auto isOneOf = [&](std::initializer_list<StringLiteral> ops) {
    return llvm::is_contained(ops, node.getOpType());
  };
  if (x && rankOf(x) == rank &&
      isOneOf({"Relu",
               "Sigmoid",
               "Tanh",
               "Erf",
               "Sqrt",
               "Cast",
               "Softmax",
               "LayerNormalization",
               "BatchNormalization",
               "Gelu",
               "Clip",
               "Identity",
               "Exp",
               "Neg",
               "Abs",
               "LeakyRelu",
               "HardSwish",
               "HardSigmoid",
               "RMSNormalization",
               "Not",
               "Dropout"}))
    return sizeOf(x, axis);
  if (node.isOp("Transpose") && x && rankOf(x) == rank) {
    auto permutation = node.getInts("perm");
    return sizeOf(x, permutation ? (*permutation)[axis] : rank - 1 - axis);
  }
  if (node.isOp("MatMul") && rankOf(node.getOperand(1)) == 2 &&
      rankOf(x) == rank && axis < rank - 1)
    return sizeOf(x, axis);
  if (node.getNumOperands() == 2 && isOneOf({"Add", "Mul", "Sub", "Div"})) {
    // Where the other one is 1, or is not there.
    for (unsigned i : {0, 1}) {
      RankedTensorType type = tensorOf(node.getOperand(i)),
                       other = tensorOf(node.getOperand(1 - i));
      if (!type || !other || type.getRank() != rank)
        continue;
      int64_t at = axis - (rank - other.getRank());
      if (at < 0 || other.getDimSize(at) == 1)
        return sizeOf(node.getOperand(i), axis);
    }
  }
  return {};
}

Element ShapeFolder::sizeOf(Value value, int64_t axis) {
  RankedTensorType type = tensorOf(value);
  if (!type || axis < 0 || axis >= type.getRank())
    return {};
  if (!type.isDynamicDim(axis))
    return Element::of(type.getDimSize(axis));
  if (auto it = sizes.find({value, axis}); it != sizes.end())
    return it->second;
  Element size{Element::Size, 0, value, axis, ""};
  if (ArrayAttr names = dimNames(value))
    size.name = cast<StringAttr>(names[axis]).getValue();
  if (size.name.empty()) {
    if (Element traced = trace(value, axis); traced.kind != Element::Unknown)
      size = traced;
  } else if (auto it = inputSizes.find(size.name); it != inputSizes.end()) {
    std::tie(size.tensor, size.axis) = it->second;
  } else if (isa<BlockArgument>(value)) {
    inputSizes[size.name] = {value, axis};
  }
  sizes[{value, axis}] = size;
  return size;
}

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
  if (op == "Cast")
    return type.getElementTypeBitWidth() >= 32 &&
                   getElementTypeOrSelf(x.getType()).getIntOrFloatBitWidth() <=
                       type.getElementTypeBitWidth()
               ? std::optional(first)
               : std::nullopt;
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

void ShapeFolder::visit(Block &block) {
  for (BlockArgument argument : block.getArguments())
    if (block.getParentOp() == graph)
      for (int64_t axis = 0; axis < rankOf(argument); ++axis)
        (void)sizeOf(argument, axis);
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto node = dyn_cast<onnx::NodeOp>(op);
    if (!node)
      continue;
    for (Region &region : node.getBodies())
      visit(region.front());
    if (node.isOp("Reshape") && node.getNumOperands() == 2)
      rewriteReshape(node);
    if (node.isOp("Expand") && rewriteExpand(node)) {
      node.erase();
      continue;
    }
    std::optional<Elements> elements = evaluate(node);
    if (!elements)
      continue;
    Type type = getElementTypeOrSelf(node.getResult(0).getType());
    for (Element &element : *elements)
      if (element.isNumber() && !holds(type, element.number))
        element = Element();
    known[node.getResult(0)] = *elements;
    if (rewrite(node, *elements)) {
      known.erase(node.getResult(0));
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
