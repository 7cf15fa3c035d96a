// What is to be seen of a model.

#include "dialects/Dlc/Dlc.h"
#include "dialects/Onnx/Onnx.h"
#include "lib/Draw/Draw.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Remarks.h"
#include "llvm/ADT/StringSwitch.h"
#include <map>
#include <set>

using namespace mlir;
using namespace dlc;
using namespace dlc::draw;

/// By the name of an operator, without case and underscores, in either dialect.
static Kind findKind(StringRef label) {
  std::string name = label.lower();
  llvm::erase(name, '_');
  return llvm::StringSwitch<Kind>(name)
      .Cases({"conv",
              "convtranspose",
              "matmul",
              "gemm",
              "contract",
              "einsum",
              "convinteger",
              "matmulinteger",
              "qlinearconv",
              "qlinearmatmul",
              "deformconv",
              "fusedconv",
              "fusedmatmul",
              "fusedgemm",
              "matmulnbits",
              "attention",
              "multiheadattention",
              "lstm",
              "gru",
              "rnn"},
             Kind::Contraction)
      .Cases({"reduce",
              "softmax",
              "logsoftmax",
              "pool",
              "maxpool",
              "averagepool",
              "lppool",
              "globalaveragepool",
              "globalmaxpool",
              "batchnormalization",
              "layernormalization",
              "instancenormalization",
              "groupnormalization",
              "simplifiedlayernormalization",
              "rmsnormalization",
              "lrn",
              "reducemean",
              "reducesum",
              "reducemax",
              "reducemin",
              "reduceprod",
              "reducel1",
              "reducel2",
              "reducesumsquare",
              "reducelogsum",
              "reducelogsumexp",
              "argmax",
              "argmin",
              "topk",
              "cumsum",
              "hardmax"},
             Kind::Reduction)
      .Cases({"reshape",       "transpose",    "slice",        "concat",
              "split",         "pad",          "flatten",      "squeeze",
              "unsqueeze",     "expand",       "broadcast",    "tile",
              "depthtospace",  "spacetodepth", "resize",       "upsample",
              "insert",        "insertslice",  "extractslice", "expandshape",
              "collapseshape", "identity",     "reverse",      "shape",
              "pack",          "unpack"},
             Kind::Layout)
      .Cases({"gather", "gatherelements", "gathernd", "scatter",
              "scatterelements", "scatternd", "nonzero", "onehot", "unique",
              "compress", "generate", "nonmaxsuppression", "gridsample",
              "roialign"},
             Kind::Indexing)
      .Cases({"if", "loop", "scan", "for", "while", "sequencemap"},
             Kind::ControlFlow)
      .Default(Kind::Other);
}

/// Elementwise operators are too many for a list.
static Kind findKind(Operation *op, StringRef label) {
  if (Kind kind = findKind(label); kind != Kind::Other)
    return kind;
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return node.getDomain().empty() && !node.getBodies().empty()
               ? Kind::ControlFlow
               : Kind::Elementwise;
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return linalgOp.getNumReductionLoops() ? Kind::Reduction
                                           : Kind::Elementwise;
  if (isa<DlcDialect>(op->getDialect()))
    return Kind::Elementwise;
  return Kind::Other;
}

/// What a linalg op does: the ops of its body, as far as they are of interest.
static std::string labelOf(Operation *op) {
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return node.getOpType().str();
  StringRef name = op->getName().stripDialect();
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic)
    return name.str();
  std::vector<std::string> inside;
  for (Operation &inner : generic.getBody()->without_terminator()) {
    StringRef part = inner.getName().stripDialect();
    if (!part.starts_with("constant") && !part.starts_with("index") &&
        !llvm::is_contained(inside, part))
      inside.push_back(part.str());
  }
  if (inside.size() > 4) {
    inside.resize(3);
    inside.push_back("...");
  }
  return inside.empty() ? "copy" : llvm::join(inside, " ");
}

static std::string describe(Type type) {
  auto tensor = dyn_cast<ShapedType>(type);
  std::string text;
  llvm::raw_string_ostream os(text);
  if (!tensor) {
    os << type;
    return text;
  }
  if (!tensor.hasRank())
    os << "*";
  else
    llvm::interleave(
        tensor.getShape(), os,
        [&](int64_t size) {
          if (ShapedType::isDynamic(size))
            os << "?";
          else
            os << size;
        },
        "x");
  if (!tensor.getElementType().isF32())
    os << (text.empty() ? "" : " ") << tensor.getElementType();
  return text;
}

/// Whether an op is a node of the drawing.
static bool isDrawn(Operation *op) {
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return !node.isOp("Constant");
  if (op->hasTrait<OpTrait::ConstantLike>() ||
      isa<ExpandedOp, tensor::EmptyOp, tensor::CastOp, tensor::FromElementsOp,
          linalg::FillOp>(op))
    return false;
  return llvm::any_of(op->getResultTypes(), llvm::IsaPred<ShapedType>) &&
         !op->hasTrait<OpTrait::IsTerminator>() &&
         !isa<onnx::InitializerOp>(op);
}

/// The places of a name: "/layer1/conv1/Conv" is Conv in conv1 in layer1.
static SmallVector<StringRef> splitName(StringRef name) {
  SmallVector<StringRef> parts;
  name.split(parts, name.contains('/') ? '/' : '.', /*MaxSplit=*/-1,
             /*KeepEmpty=*/false);
  return parts;
}

namespace {
class Extractor {
public:
  explicit Extractor(Graph &graph) : graph(graph) {}

  void addValue(Value value, StringRef name) {
    sources[value] =
        add({Kind::Interface, "input", name.str(), name.str(), {}, {}});
  }

  /// Notes what is computed from constants only, which is one itself.
  bool isConstant(Operation *op) {
    bool isConstant =
        op->getNumRegions() == 0 && op->getNumOperands() &&
        llvm::all_of(op->getOperands(),
                     [&](Value value) {
                       return findConstant(value) || value.getType().isIndex();
                     }) &&
        llvm::any_of(op->getOperands(),
                     [&](Value value) { return bool(findConstant(value)); });
    if (!isConstant)
      return false;
    // The largest constant in it stands for it.
    Value largest;
    for (Value operand : op->getOperands())
      if (Value value = findConstant(operand))
        if (!largest || sizeOf(value) > sizeOf(largest))
          largest = value;
    for (Value result : op->getResults())
      constants[result] = largest;
    return true;
  }

  void addOp(Operation *op) {
    StringRef name = isa<onnx::NodeOp>(op)
                         ? cast<onnx::NodeOp>(op).getNodeName()
                         : getNodeName(op->getLoc());
    SmallVector<StringRef> parts = splitName(name);
    std::string label = labelOf(op);
    Node node{
        findKind(op, label), label, parts.empty() ? "" : parts.back().str(),
        name.str(),          {},    {}};
    for (StringRef part : ArrayRef(parts).drop_back(parts.empty() ? 0 : 1))
      node.groups.push_back(part.str());
    llvm::SetVector<Value> operands = operandsOf(op);
    for (Value operand : operands)
      if (std::string text = describeConstant(operand); !text.empty())
        node.details.push_back(text);
    unsigned index = add(std::move(node));
    for (Value operand : operands)
      connect(operand, index);
    for (Value result : op->getResults())
      sources[result] = index;
  }

  void addOutput(Value value, StringRef name) {
    connect(value,
            add({Kind::Interface, "output", name.str(), name.str(), {}, {}}));
  }

private:
  unsigned add(Node node) {
    graph.nodes.push_back(std::move(node));
    return graph.nodes.size() - 1;
  }

  static Value trace(Value value) {
    while (auto cast = value.getDefiningOp<tensor::CastOp>())
      value = cast.getSource();
    return value;
  }

  void connect(Value value, unsigned to) {
    value = trace(value);
    auto it = sources.find(value);
    if (it != sources.end() && seen.insert({value, to}).second)
      graph.edges.push_back({it->second, to, describe(value.getType())});
  }

  /// What an op uses, in its regions from outside of it, too.
  static llvm::SetVector<Value> operandsOf(Operation *op) {
    llvm::SetVector<Value> operands(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), operands);
    return operands;
  }

  static int64_t sizeOf(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.hasStaticShape() ? type.getNumElements() : 0;
  }

  /// The constant that a value is or is made of; null for others.
  Value findConstant(Value value) {
    value = trace(value);
    if (Value known = constants.lookup(value))
      return known;
    Operation *op = value.getDefiningOp();
    if (!op)
      return {};
    bool isConstant =
        isa<onnx::InitializerOp, ExpandedOp>(op) ||
        op->hasTrait<OpTrait::ConstantLike>() ||
        (isa<onnx::NodeOp>(op) && cast<onnx::NodeOp>(op).isOp("Constant"));
    return isConstant && isa<ShapedType>(value.getType()) ? value : Value();
  }

  /// "const 64x3x7x7"; "" for what is no constant of several elements.
  std::string describeConstant(Value value) {
    Value constant = findConstant(value);
    if (!constant || sizeOf(constant) < 2)
      return "";
    return "const " + describe(constant.getType());
  }

  Graph &graph;
  DenseMap<Value, Value> constants;
  DenseMap<Value, unsigned> sources;
  DenseSet<std::pair<Value, unsigned>> seen;
};
} // namespace

/// Groups with only one node of the model become part of its name: what the
/// import made of that node is told apart by the operations.
static void dropSmallGroups(Graph &graph) {
  std::map<std::vector<std::string>, std::set<std::string>> names;
  auto forEachGroup = [](const Node &node, auto visit) {
    std::vector<std::string> path;
    for (const std::string &group : node.groups) {
      path.push_back(group);
      visit(path);
    }
  };
  for (const Node &node : graph.nodes)
    forEachGroup(node,
                 [&](const auto &path) { names[path].insert(node.fullName); });
  for (Node &node : graph.nodes) {
    std::vector<std::string> kept;
    std::string prefix;
    forEachGroup(node, [&](const auto &path) {
      if (names[path].size() > 1)
        kept.push_back(path.back());
      else
        prefix += path.back() + "/";
    });
    node.groups = kept;
    node.name = prefix + node.name;
  }
}

Graph draw::extractGraph(ModuleOp module) {
  Graph graph;
  if (auto name = module->getAttrOfType<StringAttr>("dlc.name"))
    graph.title = name.str();
  Extractor extractor(graph);
  auto walk = [&](Block &block, auto inputName, auto outputName) {
    for (BlockArgument argument : block.getArguments())
      extractor.addValue(argument, inputName(argument.getArgNumber()));
    for (Operation &op : block.without_terminator())
      if (isDrawn(&op) && !extractor.isConstant(&op))
        extractor.addOp(&op);
    for (OpOperand &operand : block.getTerminator()->getOpOperands())
      extractor.addOutput(operand.get(),
                          outputName(operand.getOperandNumber()));
  };
  if (auto main = module.lookupSymbol<onnx::GraphOp>("main")) {
    walk(
        *main.getBodyBlock(), [&](unsigned i) { return main.getInputName(i); },
        [&](unsigned i) { return main.getOutputName(i); });
  } else if (auto main = module.lookupSymbol<func::FuncOp>("main");
             main && !main.isDeclaration()) {
    auto nameOf = [](Attribute name) {
      return name ? cast<StringAttr>(name).getValue() : StringRef();
    };
    walk(
        main.front(),
        [&](unsigned i) { return nameOf(main.getArgAttr(i, "dlc.name")); },
        [&](unsigned i) { return nameOf(main.getResultAttr(i, "dlc.name")); });
  }
  dropSmallGroups(graph);
  return graph;
}

StringRef draw::getKindName(Kind kind) {
  static constexpr StringLiteral names[] = {
      "input, output", "convolution, product",
      "elementwise",   "reduction, normalisation",
      "layout",        "indexing",
      "loop, branch",  "other"};
  return names[size_t(kind)];
}

StringRef draw::getKindColour(Kind kind) {
  static constexpr StringLiteral colours[] = {"#d9d9d9", "#9ecae1", "#c7e9c0",
                                              "#fdd0a2", "#fff3b0", "#dadaeb",
                                              "#fcbba1", "#f0f0f0"};
  return colours[size_t(kind)];
}

bool draw::isKnownFile(StringRef path) {
  return path.ends_with(".svg") || path.ends_with(".dot");
}

void draw::drawModule(raw_ostream &os, StringRef path, ModuleOp module) {
  Graph graph = extractGraph(module);
  path.ends_with(".dot") ? writeDot(os, graph) : writeSvg(os, graph);
}
