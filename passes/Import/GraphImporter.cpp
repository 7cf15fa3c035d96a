// Imports graphs node by node.

#include "passes/Import/GraphImporter.h"
#include "dlc/Plugin.h"
#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace dlc;

/// The type of the elements of a value's tensors: of a tensor, a sequence, or
/// an optional one of both. Null for any other.
static Type getTensorElement(Type type) {
  if (auto optional = dyn_cast<onnx::OptionalType>(type))
    type = optional.getElementType();
  if (auto sequence = dyn_cast<onnx::SeqType>(type))
    type = sequence.getElementType();
  auto tensor = dyn_cast<TensorType>(type);
  return tensor ? dlc::convertOnnxType(tensor.getElementType()) : Type();
}

/// The type of a map, or of those of a sequence; null for any other.
static onnx::MapType getMap(Type type) {
  if (auto sequence = dyn_cast<onnx::SeqType>(type))
    type = sequence.getElementType();
  return dyn_cast<onnx::MapType>(type);
}

Type dlc::convertOnnxType(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    Type element = convertOnnxType(tensor.getElementType());
    return element ? tensor.clone(element) : Type();
  }
  if (isa<onnx::StringType>(type))
    return StringType::get(type.getContext());
  if (auto map = getMap(type)) {
    Type key = convertOnnxType(map.getKeyType());
    Type value = getTensorElement(map.getValueType());
    return key && value ? MapType::get(type.getContext(), key, value) : Type();
  }
  if (isa<onnx::SeqType, onnx::OptionalType>(type)) {
    Type element = getTensorElement(type);
    return element ? SequenceType::get(type.getContext(), element) : Type();
  }
  if (isa<IntegerType, FloatType, ComplexType>(type))
    return type;
  return {};
}

/// A table of a value's type for messages: `tensor<1x3xf32>`.
static void describeOperands(InFlightDiagnostic &diag, onnx::NodeOp node) {
  diag << " on (";
  llvm::interleaveComma(node.getOperandTypes(), diag,
                        [&](Type type) { diag << type; });
  diag << ")";
}

GraphImporter::~GraphImporter() {
  for (Operation *op : llvm::reverse(discarded)) {
    op->dropAllReferences();
    op->dropAllDefinedValueUses();
    op->destroy();
  }
}

void GraphImporter::discard(Operation *op) {
  op->remove();
  discarded.push_back(op);
}

LogicalResult GraphImporter::importInitializer(onnx::InitializerOp op) {
  ElementsAttr value = op.getElements();
  if (!value)
    return op.emitError("expected a dense initializer, found a sparse one");
  if (Value strings = createStrings(b, op.getLoc(), value)) {
    values[op.getResult()] = strings;
    return success();
  }
  if (!isa<IntegerType, FloatType, ComplexType>(value.getElementType()))
    return op.emitError("expected an initializer of numbers, found ")
           << op.getType();
  values[op.getResult()] = ConstantOp::create(b, op.getLoc(), value);
  return success();
}

Value dlc::createStrings(OpBuilder &b, Location loc, ElementsAttr value) {
  auto strings = dyn_cast<DenseStringElementsAttr>(value);
  if (!strings)
    return {};
  SmallVector<StringRef> texts(strings.getRawStringData());
  int64_t count = strings.getNumElements();
  if (count && int64_t(texts.size()) == 1)
    texts.resize(count, texts.front());
  auto type = RankedTensorType::get(strings.getType().getShape(),
                                    StringType::get(b.getContext()));
  return StringsOp::create(b, loc, type, b.getStrArrayAttr(texts));
}

LogicalResult GraphImporter::importNode(onnx::NodeOp node) {
  auto fail = [&](const Twine &reason) {
    InFlightDiagnostic diag = emitError(node.getLoc());
    diag << "operator ";
    if (!node.getDomain().empty())
      diag << node.getDomain() << ".";
    diag << node.getOpType() << " of opset " << node.getOpset();
    describeOperands(diag, node);
    diag << kNotSupported << reason;
    return diag;
  };
  const OpRow *row =
      findOpRow(*node.getContext(), node.getDomain(), node.getOpType());
  int version =
      getSinceVersion(node.getDomain(), node.getOpType(), node.getOpset());
  if (!row)
    return fail(getNewestOpset(node.getDomain()) && !version
                    ? "ONNX has no such operator"
                    : "dlc has no lowering for it (--extern-op can name a C "
                      "function that computes it)");
  if (version && version < row->sinceVersion)
    return fail("expected version " + Twine(row->sinceVersion) +
                " or newer, and ONNX cannot convert version " + Twine(version));
  NodeImport import(*this, b, node, row->options);
  std::optional<ScopedDiagnosticHandler> nameOwner;
  if (row->options)
    nameOwner.emplace(node.getContext(), [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
        diagnostic << " [plugin '" << row->options->getPlugin() << "']";
      return failure();
    });
  for (unsigned i = 0; i < import.numInputs(); ++i)
    if (node.getInput(i) && !import.input(i)) {
      // Of unknown type since its node could not be imported: said already.
      if (notImported.contains(node.getInput(i)))
        return failure();
      return fail("the type of input " + Twine(i) + " is not known");
    }
  ImportResult results = failure();
  if (std::optional<Value> value = importShapeArithmetic(import)) {
    results = import.result(*value);
  } else {
    if (row->kind == RowKind::Composition)
      import.widenInputs();
    results = import.roundResults(row->import(import));
  }
  if (failed(results)) {
    if (!import.hasFailed)
      return fail("this form is not implemented");
    return failure();
  }
  if (finished)
    return success();
  for (auto [i, value] : llvm::enumerate(*results)) {
    if (i >= node.getNumResults() || !node.getOutput(i))
      continue;
    if (!value)
      return fail("output " + Twine(i) + " is not implemented");
    values[node.getOutput(i)] = value;
  }
  for (unsigned i = results->size(); i < node.getNumResults(); ++i)
    if (node.getOutput(i))
      return fail("output " + Twine(i) + " is not implemented");
  return success();
}

/// Whether a node reads an earlier one's result and shares another operand with
/// it: then one text about both, as of a pair of quantizers with their scales,
/// has one cause.
static bool areLinked(Operation *node, Operation *earlier) {
  auto isOperand = [&](Value x) {
    return x && llvm::is_contained(earlier->getOperands(), x);
  };
  auto isResult = [&](Value x) { return x && x.getDefiningOp() == earlier; };
  return llvm::any_of(node->getOperands(), isOperand) &&
         llvm::any_of(node->getOperands(), isResult);
}

/// Imports a node; says nothing that was said already of a node that it is
/// linked with.
LogicalResult GraphImporter::importOnce(onnx::NodeOp node) {
  ScopedDiagnosticHandler handler(
      node.getContext(), [&](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return failure();
        SmallVector<Operation *> &nodes = said[diagnostic.str()];
        bool isSaid = llvm::any_of(nodes, [&](Operation *earlier) {
          return areLinked(node, earlier);
        });
        nodes.push_back(node);
        return success(isSaid);
      });
  return importNode(node);
}

LogicalResult GraphImporter::importBlock(Block &block,
                                         SmallVectorImpl<Value> &results) {
  SmallVector<onnx::NodeOp> outside;
  std::swap(outside, outerNodes);
  LogicalResult imported = importFrom(&block.front(), results);
  std::swap(outside, outerNodes);
  return imported;
}

LogicalResult GraphImporter::importInPlace(Block &block, onnx::NodeOp node,
                                           SmallVectorImpl<Value> &results) {
  outerNodes.push_back(node);
  LogicalResult imported = importFrom(&block.front(), results);
  outerNodes.pop_back();
  return imported;
}

LogicalResult GraphImporter::importBehind(unsigned i,
                                          SmallVectorImpl<Value> &results) {
  SmallVector<onnx::NodeOp> all = outerNodes;
  outerNodes.truncate(i);
  LogicalResult imported = importFrom(all[i]->getNextNode(), results);
  outerNodes = std::move(all);
  return imported;
}

LogicalResult GraphImporter::importFrom(Operation *first,
                                        SmallVectorImpl<Value> &results) {
  bool allImported = true;
  Block &block = *first->getBlock();
  for (Operation &op : llvm::make_range(first->getIterator(),
                                        block.without_terminator().end())) {
    LogicalResult imported = success();
    if (auto node = dyn_cast<onnx::NodeOp>(op))
      imported = importOnce(node);
    else if (auto initializer = dyn_cast<onnx::InitializerOp>(op))
      imported = importInitializer(initializer);
    if (succeeded(imported)) {
      if (!finished)
        continue;
      results.assign(*finished);
      finished.reset();
      return success(allImported);
    }
    // Go on with values of the inferred types, to find all problems at once.
    allImported = false;
    for (Value result : op.getResults())
      if (Type type = convertOnnxType(result.getType()))
        values[result] = ub::PoisonOp::create(b, op.getLoc(), type);
      else
        notImported.insert(result);
  }
  if (!allImported)
    return failure();
  for (Value value : block.getTerminator()->getOperands()) {
    Value result = values.lookup(value);
    if (!result)
      return block.getTerminator()->emitError(
          "expected a value for every output");
    results.push_back(result);
  }
  return success();
}
