// Evaluates nodes on constants: the compiler compiles and runs them.

#include "dialects/Dlc/Dlc.h"
#include "dlc/Compiler.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Import/OpTable.h"
#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_FOLDCONSTANTS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

static constexpr StringLiteral kPass = "dlc-fold-constants";

/// Results beyond this many bytes must not be larger than their operands.
static constexpr int64_t kFreeBytes = 1 << 16;
/// What small values are stored as themselves; see dialects/Onnx.
static constexpr size_t kInlineBytes = 64;

/// The bytes of a tensor of known size whose elements take whole bytes; -1
/// for all others.
static int64_t bytesOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() ||
      !tensor.getElementType().isIntOrFloat())
    return -1;
  unsigned bits = tensor.getElementTypeBitWidth();
  if (bits < 8 && bits != 1)
    return -1;
  return tensor.getNumElements() * std::max(bits / 8, 1u);
}

namespace {

struct FoldConstantsPass : dlc::impl::FoldConstantsBase<FoldConstantsPass> {
  void runOnOperation() override {
    if (!isKnownOpset(getOperation()))
      return;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      fold(*graph.getBodyBlock());
      eraseDeadNodes(*graph.getBodyBlock());
    }
  }

private:
  void fold(Block &block);
  bool isConstant(onnx::NodeOp node,
                  const llvm::SetVector<Operation *> &constants);
  std::optional<SmallVector<TypedAttr>> evaluate(ArrayRef<Value> roots);
};

} // namespace

bool FoldConstantsPass::isConstant(
    onnx::NodeOp node, const llvm::SetVector<Operation *> &constants) {
  if (node.getNumRegions() || node.getNumOperands() == 0)
    return false;
  int64_t inputs = 0, results = 0;
  for (Value operand : node.getOperands()) {
    Operation *producer = operand.getDefiningOp();
    if (!producer || !constants.contains(producer))
      return false;
    if (!isa<NoneType>(operand.getType()))
      inputs += std::max<int64_t>(bytesOf(operand.getType()), 0);
  }
  auto leave = [&](StringRef reason) {
    remarkLeft(node, kPass, reason);
    return false;
  };
  if (node.isOp("DequantizeLinear"))
    return leave("quantized weights stay what they are");
  if (isRandom(node))
    return leave("each run gives other numbers");
  if (!findOpRow(getContext(), node.getDomain(), node.getOpType()))
    return leave("dlc has no such operator");
  for (Type type : node->getResultTypes()) {
    int64_t bytes = bytesOf(type);
    if (bytes < 0)
      return leave("its size, or its type, is not known");
    results += bytes;
  }
  if (results > kFreeBytes && results > 2 * inputs)
    return leave("its result is more than twice as large as its operands");
  return true;
}

/// A constant as the file has it.
static ElementsAttr toElements(RankedTensorType type, TypedAttr value,
                               StringRef name) {
  std::vector<char> storage;
  ArrayRef<char> bytes = getElementData(cast<ElementsAttr>(value), storage);
  if (bytes.size() > kInlineBytes)
    return DenseResourceElementsAttr::get(
        type, name,
        HeapAsmResourceBlob::allocateAndCopyWithAlign(bytes, 64, false));
  if (!type.getElementType().isInteger(1))
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  SmallVector<bool> bits;
  for (char byte : bytes)
    bits.push_back(byte != 0);
  return DenseElementsAttr::get(type, bits);
}

/// Compiles and runs what makes `roots`. Nothing, when a node cannot be
/// compiled; a null attribute for a value that is none at compile time.
std::optional<SmallVector<TypedAttr>>
FoldConstantsPass::evaluate(ArrayRef<Value> roots) {
  llvm::SetVector<Operation *> needed;
  SmallVector<Value> pending(roots);
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (needed.insert(op))
      llvm::append_range(pending, op->getOperands());
  }
  ModuleOp module = getOperation();
  OwningOpRef<ModuleOp> model = ModuleOp::create(module.getLoc());
  (*model)->setAttr("onnx.opset_imports",
                    module->getAttr("onnx.opset_imports"));
  (*model)->setAttr("dlc.name", StringAttr::get(&getContext(), "constants"));
  OpBuilder b(model->getBodyRegion());
  SmallVector<Attribute> outputs;
  for (size_t i = 0; i < roots.size(); ++i)
    outputs.push_back(b.getDictionaryAttr(b.getNamedAttr(
        "name", b.getStringAttr("constant" + std::to_string(i)))));
  auto graph = onnx::GraphOp::create(
      b, module.getLoc(), "main", b.getArrayAttr({}), b.getArrayAttr(outputs));
  b.setInsertionPointToStart(&graph.getBody().emplaceBlock());
  IRMapping mapping;
  for (Operation &op : *Value(roots.front()).getParentBlock())
    if (needed.contains(&op))
      b.clone(op, mapping);
  SmallVector<Value> results;
  for (Value root : roots)
    results.push_back(mapping.lookup(root));
  onnx::ReturnOp::create(b, module.getLoc(), results);

  llvm::Expected<TargetSpec> host = resolveTarget("");
  if (!host) {
    llvm::consumeError(host.takeError());
    return std::nullopt;
  }
  CompileOptions options;
  options.threads = 1;
  options.expandWeights = "object";
  // What cannot be compiled here is told where it is compiled in earnest.
  ScopedDiagnosticHandler quiet(&getContext(),
                                [](Diagnostic &) { return success(); });
  if (failed(runPhases(*model, Phase::Simplify, Phase::Tensor, options, *host)))
    return std::nullopt;
  auto main = model->lookupSymbol<func::FuncOp>("main");
  if (!main || !main.getBody().hasOneBlock())
    return std::nullopt;
  SmallVector<TypedAttr> values;
  for (auto [root, value] :
       llvm::zip(roots, main.front().getTerminator()->getOperands())) {
    auto constant = value.getDefiningOp<arith::ConstantOp>();
    auto type = cast<RankedTensorType>(root.getType());
    auto found = dyn_cast<RankedTensorType>(value.getType());
    bool fits = constant && found && found.getShape() == type.getShape();
    values.push_back(
        fits ? TypedAttr(toElements(type, constant.getValue(), "folded"))
             : TypedAttr());
  }
  return values;
}

void FoldConstantsPass::fold(Block &block) {
  llvm::SetVector<Operation *> constants;
  SmallVector<Value> roots;
  for (Operation &op : block) {
    auto initializer = dyn_cast<onnx::InitializerOp>(op);
    auto node = dyn_cast<onnx::NodeOp>(op);
    if (isa<onnx::NoneOp>(op) ||
        (initializer && constantOf(initializer) &&
         bytesOf(initializer.getType()) >= 0) ||
        (node && isConstant(node, constants)))
      constants.insert(&op);
  }
  for (Operation *op : constants)
    if (isa<onnx::NodeOp>(op))
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) {
              return !constants.contains(user);
            }))
          roots.push_back(result);
  if (roots.empty())
    return;
  auto values = evaluate(roots);
  if (!values) {
    // One node that cannot be compiled need not keep the others.
    for (Value root : roots)
      if (auto single = evaluate(root); single && single->front()) {
        OpBuilder b(root.getDefiningOp());
        root.replaceAllUsesWith(onnx::InitializerOp::create(
            b, root.getLoc(), root.getType(),
            cast<onnx::NodeOp>(root.getDefiningOp())
                .getOutputName(cast<OpResult>(root).getResultNumber()),
            single->front(), IntegerAttr()));
        remarkDone(root.getLoc(), kPass) << "evaluated";
      } else {
        remarkLeft(cast<onnx::NodeOp>(root.getDefiningOp()), kPass,
                   "it cannot be compiled, or has no value at compile time");
      }
    return;
  }
  for (auto [root, value] : llvm::zip(roots, *values)) {
    if (!value)
      continue;
    OpBuilder b(root.getDefiningOp());
    StringRef name = cast<onnx::NodeOp>(root.getDefiningOp())
                         .getOutputName(cast<OpResult>(root).getResultNumber());
    root.replaceAllUsesWith(onnx::InitializerOp::create(
        b, root.getLoc(), root.getType(), name, value, IntegerAttr()));
    remarkDone(root.getLoc(), kPass) << "evaluated";
  }
}
