// What passes on nodes of an ONNX graph have in common.

#include "passes/Simplify/Nodes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

/// More elements than shapes, axes and scalars have.
static constexpr int64_t kFewElements = 1024;

/// The oldest operator set in which patterns read nodes right: from 18 on axes
/// of reductions are inputs.
static constexpr int64_t kOldestOpset = 18;

//===----------------------------------------------------------------------===//
// What is known of values
//===----------------------------------------------------------------------===//

onnx::NodeOp simplify::producerOf(Value value, StringRef op) {
  if (!value)
    return {};
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.isOp(op) || node.getResult(0) != value)
    return {};
  return node;
}

onnx::NodeOp simplify::soleProducerOf(Value value, StringRef op) {
  onnx::NodeOp node = producerOf(value, op);
  // What a loop uses of the graph around it is not to be done in the loop.
  return node && value.hasOneUse() &&
                 (*value.user_begin())->getBlock() == node->getBlock()
             ? node
             : onnx::NodeOp();
}

RankedTensorType simplify::tensorOf(Value value) {
  return value ? dyn_cast<RankedTensorType>(value.getType())
               : RankedTensorType();
}

int64_t simplify::rankOf(Value value) {
  RankedTensorType type = tensorOf(value);
  return type ? type.getRank() : -1;
}

std::optional<ArrayRef<int64_t>> simplify::sizesOf(Value value) {
  RankedTensorType type = tensorOf(value);
  if (!type || !type.hasStaticShape())
    return std::nullopt;
  return type.getShape();
}

bool simplify::isFloat(Value value) {
  auto type = dyn_cast<ShapedType>(value.getType());
  return type && isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(
                     type.getElementType());
}

ElementsAttr simplify::constantOf(Value value) {
  if (!value)
    return {};
  auto initializer = value.getDefiningOp<onnx::InitializerOp>();
  // A caller may give something else than the default value of an input.
  return initializer && !initializer.getInput() ? initializer.getElements()
                                                : ElementsAttr();
}

bool simplify::isConstantTree(Value value) {
  if (constantOf(value))
    return true;
  Operation *op = value ? value.getDefiningOp() : nullptr;
  return op && op->hasAttr(kConstantAttr);
}

std::optional<SmallVector<double>> simplify::numbersOf(Value value) {
  ElementsAttr constant = constantOf(value);
  if (!constant || constant.getNumElements() > kFewElements)
    return std::nullopt;
  Type element = constant.getElementType();
  unsigned bits = element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 0;
  SmallVector<double> numbers;
  if (bits < 8 && !element.isInteger(1))
    return std::nullopt;
  SmallVector<char> storage;
  ArrayRef<char> bytes = onnx::getRawBytes(constant, storage);
  unsigned size = std::max(bits / 8, 1u);
  for (int64_t i = 0, n = constant.getNumElements(); i < n; ++i) {
    uint64_t word = 0;
    memcpy(&word, bytes.data() + i * size, size);
    if (auto type = dyn_cast<FloatType>(element)) {
      APFloat number(type.getFloatSemantics(), APInt(bits, word));
      bool lost;
      number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                     &lost);
      numbers.push_back(number.convertToDouble());
    } else if (element.isUnsignedInteger() || bits == 1) {
      numbers.push_back(double(word));
    } else {
      numbers.push_back(double(llvm::SignExtend64(word, bits)));
    }
  }
  return numbers;
}

std::optional<SmallVector<int64_t>> simplify::intsOf(Value value) {
  ElementsAttr constant = constantOf(value);
  if (!constant || !isa<IntegerType>(constant.getElementType()) ||
      constant.getElementType().getIntOrFloatBitWidth() < 32)
    return std::nullopt;
  SmallVector<char> storage;
  unsigned size = constant.getElementType().getIntOrFloatBitWidth() / 8;
  if (constant.getNumElements() > kFewElements)
    return std::nullopt;
  ArrayRef<char> bytes = onnx::getRawBytes(constant, storage);
  SmallVector<int64_t> ints;
  for (int64_t i = 0, n = constant.getNumElements(); i < n; ++i) {
    uint64_t word = 0;
    memcpy(&word, bytes.data() + i * size, size);
    ints.push_back(llvm::SignExtend64(word, size * 8));
  }
  return ints;
}

std::optional<double> simplify::numberOf(Value value) {
  std::optional<SmallVector<double>> numbers = numbersOf(value);
  if (!numbers || numbers->empty() || !llvm::all_equal(*numbers))
    return std::nullopt;
  return numbers->front();
}

bool simplify::isNumber(Value value, double number) {
  std::optional<double> found = numberOf(value);
  if (!found)
    return false;
  // As near as the element type can have it.
  auto type = dyn_cast<FloatType>(getElementTypeOrSelf(value.getType()));
  double precision =
      type ? std::ldexp(1.0, 2 - int(type.getFPMantissaWidth())) : 0;
  return std::abs(*found - number) <= std::abs(number) * precision;
}

int64_t simplify::toAxis(int64_t axis, int64_t rank) {
  if (axis < 0)
    axis += rank;
  return axis >= 0 && axis < rank ? axis : -1;
}

Value simplify::otherOperand(onnx::NodeOp node, Value value) {
  if (node.getNumOperands() != 2)
    return {};
  return node.getOperand(node.getOperand(0) == value ? 1 : 0);
}

std::pair<Value, Value> simplify::splitConstant(onnx::NodeOp node) {
  if (node.getNumOperands() != 2)
    return {};
  Value a = node.getOperand(0), b = node.getOperand(1);
  if (bool(constantOf(a)) == bool(constantOf(b)))
    return {};
  return constantOf(a) ? std::pair(a, b) : std::pair(b, a);
}

bool simplify::broadcastsTo(Value value, RankedTensorType type) {
  RankedTensorType from = tensorOf(value);
  if (!from || !type || from.getRank() > type.getRank())
    return false;
  for (auto [a, b] : llvm::zip(llvm::reverse(from.getShape()),
                               llvm::reverse(type.getShape())))
    if (a != 1 && (a != b || ShapedType::isDynamic(a)))
      return false;
  return true;
}

bool simplify::isRandom(onnx::NodeOp node) {
  return llvm::StringSwitch<bool>(node.getOpType())
      .Cases({"RandomNormal", "RandomNormalLike", "RandomUniform",
              "RandomUniformLike", "Multinomial", "Bernoulli"},
             true)
      .Case("Dropout", node.getInput(2) != nullptr)
      .Default(!node.getDomain().empty());
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

NamedAttribute NodeBuilder::attr(StringRef name, int64_t value) {
  return b.getNamedAttr(name, b.getI64IntegerAttr(value));
}
NamedAttribute NodeBuilder::attr(StringRef name, double value) {
  return b.getNamedAttr(name, b.getF32FloatAttr(float(value)));
}
NamedAttribute NodeBuilder::attr(StringRef name, StringRef value) {
  return b.getNamedAttr(name, b.getStringAttr(value));
}
NamedAttribute NodeBuilder::attr(StringRef name, ArrayRef<int64_t> values) {
  return b.getNamedAttr(name, b.getDenseI64ArrayAttr(values));
}

static std::string nameFor(onnx::NodeOp root, StringRef word) {
  return (root.getNumResults() ? root.getOutputName(0) : StringRef("value"))
             .str() +
         "/" + word.str();
}

onnx::NodeOp NodeBuilder::create(StringRef op, ValueRange operands,
                                 TypeRange types, ArrayAttr names,
                                 ArrayRef<NamedAttribute> attributes) {
  OperationState state(root.getLoc(), onnx::NodeOp::getOperationName());
  state.addOperands(operands);
  state.addTypes(types);
  state.addAttribute("op_type", b.getStringAttr(op));
  state.addAttribute("domain", b.getStringAttr(""));
  state.addAttribute("overload", b.getStringAttr(""));
  state.addAttribute("onnx_attributes", b.getDictionaryAttr(attributes));
  state.addAttribute("output_names", names);
  state.addAttribute("graphs", b.getArrayAttr({}));
  return cast<onnx::NodeOp>(b.create(state));
}

onnx::NodeOp NodeBuilder::makeMany(StringRef op, ValueRange operands,
                                   TypeRange types, StringRef word,
                                   ArrayRef<NamedAttribute> attributes) {
  SmallVector<Attribute> names;
  for (size_t i = 0; i < types.size(); ++i)
    names.push_back(b.getStringAttr(
        nameFor(root, word) + (types.size() > 1 ? std::to_string(i) : "")));
  onnx::NodeOp node =
      create(op, operands, types, b.getArrayAttr(names), attributes);
  // Nodes have names of their own.
  node->setLoc(
      NameLoc::get(b.getStringAttr(nameFor(root, word)), root.getLoc()));
  return node;
}

Value NodeBuilder::make(StringRef op, ValueRange operands, Type type,
                        StringRef word, ArrayRef<NamedAttribute> attributes) {
  return makeMany(op, operands, type, word, attributes).getResult(0);
}

Value NodeBuilder::ints(ArrayRef<int64_t> values, StringRef word) {
  auto type = RankedTensorType::get({int64_t(values.size())}, b.getI64Type());
  return onnx::InitializerOp::create(
      b, root.getLoc(), type, b.getStringAttr(nameFor(root, word)),
      DenseElementsAttr::get(type, values), IntegerAttr());
}

Value NodeBuilder::number(double value, Type element, StringRef word,
                          ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, element);
  Attribute splat = b.getFloatAttr(element, value);
  return onnx::InitializerOp::create(
      b, root.getLoc(), type, b.getStringAttr(nameFor(root, word)),
      DenseElementsAttr::get(type, splat), IntegerAttr());
}

Value NodeBuilder::none() {
  return onnx::NoneOp::create(b, root.getLoc(), b.getNoneType());
}

onnx::NodeOp NodeBuilder::replace(StringRef op, ValueRange operands,
                                  ArrayRef<NamedAttribute> attributes) {
  onnx::NodeOp node = create(op, operands, root->getResultTypes(),
                             root.getOutputNames(), attributes);
  if (Attribute infos = root->getAttr("output_infos"))
    node->setAttr("output_infos", infos);
  b.replaceOp(root, node);
  return node;
}

SmallVector<NamedAttribute>
simplify::withAttributes(onnx::NodeOp node, ArrayRef<NamedAttribute> changed,
                         ArrayRef<StringRef> dropped) {
  NamedAttrList list(node.getOnnxAttributes());
  for (StringRef name : dropped)
    list.erase(name);
  for (NamedAttribute attribute : changed)
    list.set(attribute.getName(), attribute.getValue());
  return llvm::to_vector(list.getAttrs());
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

bool simplify::isKnownOpset(ModuleOp module) {
  auto imports = module->getAttrOfType<DictionaryAttr>("onnx.opset_imports");
  auto version = imports ? imports.getAs<IntegerAttr>("ai.onnx") : nullptr;
  return version && version.getInt() >= kOldestOpset;
}

void simplify::eraseDeadNodes(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        eraseDeadNodes(inner);
    auto initializer = dyn_cast<onnx::InitializerOp>(op);
    bool isInput = initializer && initializer.getInput();
    if (op.getNumResults() && op.use_empty() && !isInput &&
        !op.hasTrait<OpTrait::IsTerminator>())
      op.erase();
  }
}

static constexpr char kLeft[] = "left as it is: {0}";

void simplify::remarkLeft(onnx::NodeOp node, StringRef pass,
                          const Twine &reason) {
  if (wantsRemarks(node.getContext()))
    remarkMissed(node.getLoc(), pass) << remark::add(kLeft, reason.str());
}

namespace {

/// Why patterns left nodes alone. What one of them rewrites later was not left.
struct Reasons : RewriterBase::Listener {
  void
  notifyMatchFailure(Location loc,
                     function_ref<void(Diagnostic &)> reasonCallback) override {
    Diagnostic reason(loc, DiagnosticSeverity::Remark);
    reasonCallback(reason);
    found.insert({loc, StringAttr::get(loc.getContext(), reason.str())});
  }

  void tell(ModuleOp module, StringRef pass) {
    DenseSet<Location> alive;
    module.walk([&](onnx::NodeOp node) { alive.insert(node.getLoc()); });
    for (const auto &[loc, reason] : found)
      if (alive.contains(loc))
        remarkMissed(loc, pass) << remark::add(kLeft, reason.getValue());
  }

  llvm::SetVector<std::pair<Location, StringAttr>> found;
};

} // namespace

LogicalResult simplify::applyNodePatterns(ModuleOp module,
                                          RewritePatternSet patterns,
                                          StringRef pass) {
  if (!isKnownOpset(module))
    return success();
  FrozenRewritePatternSet frozen(std::move(patterns));
  GreedyRewriteConfig config;
  config.enableFolding(false);
  config.enableConstantCSE(false);
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  config.setUseTopDownTraversal(true);
  Reasons reasons;
  if (wantsRemarks(module.getContext()))
    config.setListener(&reasons);
  for (auto graph : module.getOps<onnx::GraphOp>()) {
    eraseDeadNodes(*graph.getBodyBlock());
    if (failed(applyPatternsGreedily(graph, frozen, config)))
      return module.emitError("simplification finds no end");
    eraseDeadNodes(*graph.getBodyBlock());
  }
  reasons.tell(module, pass);
  return success();
}
