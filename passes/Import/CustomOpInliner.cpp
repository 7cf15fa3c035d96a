// Inlines functions of --custom-ops. A copy of the function is first made for
// the very sizes and attributes of the node, so that what is known of the
// shapes before it is known behind it:
//
//     func.func @"com.acme::Twice"(%x: tensor<?xf32>) -> tensor<?xf32>
//
// on a tensor<4xf32> becomes ops on tensor<4xf32>.

#include "passes/Import/CustomOpInliner.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace dlc;

CustomOpInliner::CustomOpInliner(MLIRContext &context, StringRef path)
    : path(path) {
  RewritePatternSet set(&context);
  static constexpr StringLiteral dialects[] = {
      "affine", "arith", "dlc", "linalg", "math", "scf", "tensor"};
  for (StringRef name : dialects)
    if (Dialect *dialect = context.getOrLoadDialect(name))
      dialect->getCanonicalizationPatterns(set);
  for (RegisteredOperationName op : context.getRegisteredOperations())
    if (llvm::is_contained(dialects, op.getDialectNamespace()))
      op.getCanonicalizationPatterns(set, &context);
  patterns = FrozenRewritePatternSet(std::move(set));
}

//===----------------------------------------------------------------------===//
// Whether a function fits a node
//===----------------------------------------------------------------------===//

template <typename T> static std::string toText(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

/// The attribute of a node as a constant of `type`; null where it has another
/// form.
static TypedAttr convertAttribute(Attribute value, Type type) {
  Builder b(type.getContext());
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    auto fits = [&](ShapedType found) {
      return found.getElementType() == tensor.getElementType() &&
             succeeded(verifyCompatibleShape(found, tensor));
    };
    DenseElementsAttr list;
    if (auto ints = dyn_cast<DenseI64ArrayAttr>(value))
      list = b.getI64TensorAttr(ints.asArrayRef());
    else if (auto floats = dyn_cast<DenseF32ArrayAttr>(value))
      list = DenseElementsAttr::get(
          RankedTensorType::get(floats.size(), b.getF32Type()),
          floats.asArrayRef());
    else
      list = dyn_cast<DenseElementsAttr>(value);
    return list && fits(list.getType()) ? TypedAttr(list) : TypedAttr();
  }
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    if (isa<FloatType>(type))
      return {};
    unsigned bits = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
    // A flag may be of type i1.
    if (bits < 64 && !integer.getValue().isSignedIntN(bits) &&
        !(bits == 1 && integer.getValue().isOne()))
      return {};
    return b.getIntegerAttr(type, integer.getInt());
  }
  if (auto number = dyn_cast<FloatAttr>(value))
    if (isa<FloatType>(type))
      return b.getFloatAttr(type, number.getValueAsDouble());
  return {};
}

/// The value of an argument that is an attribute; null where the node has
/// none, or one of another form.
static TypedAttr findAttribute(NodeImport &node, func::FuncOp function,
                               unsigned i) {
  auto name = function.getArgAttrOfType<StringAttr>(i, kAttributeName);
  if (Attribute value = node.node.getOnnxAttribute(name.getValue()))
    return convertAttribute(value, function.getArgumentTypes()[i]);
  return dyn_cast_if_present<TypedAttr>(function.getArgAttr(i, kDefaultName));
}

/// Why a value cannot be an argument of `type`; "" when it can.
static std::string explainInput(unsigned i, Value value, Type type) {
  std::string expected = "expects " + toText(type) + " for input " +
                         std::to_string(i) + ", found ";
  if (!value)
    return expected + "none";
  auto wanted = cast<RankedTensorType>(type);
  auto found = dyn_cast<RankedTensorType>(value.getType());
  bool fits = found && found.getElementType() == wanted.getElementType() &&
              succeeded(verifyCompatibleShape(found, wanted));
  return fits ? "" : expected + toText(value.getType());
}

/// Why a function does not fit the node; "" when it does.
static std::string explainMismatch(NodeImport &node, func::FuncOp function) {
  unsigned next = 0;
  std::string wrong;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto name = function.getArgAttrOfType<StringAttr>(i, kAttributeName);
    if (!name) {
      if (next < node.numInputs())
        wrong = explainInput(next, node.input(next), type);
      ++next;
    } else if (!findAttribute(node, function, i)) {
      Attribute found = node.node.getOnnxAttribute(name.getValue());
      wrong = "expects the attribute '" + name.str() + "' as " + toText(type) +
              ", found " + (found ? toText(found) : "none");
    }
    if (!wrong.empty())
      return wrong;
  }
  if (next != node.numInputs())
    return "takes " + std::to_string(next) + " inputs, found " +
           std::to_string(node.numInputs());
  if (function.getNumResults() < node.numOutputs())
    return "has " + std::to_string(function.getNumResults()) +
           " results, found " + std::to_string(node.numOutputs());
  if (auto when = function->getAttrOfType<DictionaryAttr>(kWhenName))
    for (NamedAttribute entry : when) {
      Attribute found = node.node.getOnnxAttribute(entry.getName());
      if (found != entry.getValue())
        return "expects the attribute '" + entry.getName().str() + "' to be " +
               toText(entry.getValue()) + ", found " +
               (found ? toText(found) : "none");
    }
  return "";
}

//===----------------------------------------------------------------------===//
// The copy for a node
//===----------------------------------------------------------------------===//

/// Gives the arguments of `function` the types of the node's inputs, and turns
/// those that are attributes into constants.
static void setArguments(NodeImport &node, func::FuncOp function) {
  Block &entry = function.front();
  OpBuilder b = OpBuilder::atBlockBegin(&entry);
  llvm::BitVector attributes(entry.getNumArguments());
  unsigned next = 0;
  SmallVector<Type> types;
  for (BlockArgument argument : entry.getArguments()) {
    unsigned i = argument.getArgNumber();
    if (function.getArgAttr(i, kAttributeName)) {
      TypedAttr value = findAttribute(node, function, i);
      Value constant = arith::ConstantOp::create(b, node.loc, value);
      if (constant.getType() != argument.getType())
        constant =
            tensor::CastOp::create(b, node.loc, argument.getType(), constant);
      argument.replaceAllUsesWith(constant);
      attributes.set(i);
      continue;
    }
    Type declared = argument.getType();
    types.push_back(node.input(next++).getType());
    if (types.back() == declared)
      continue;
    argument.setType(types.back());
    auto cast = tensor::CastOp::create(b, node.loc, declared, argument);
    argument.replaceAllUsesExcept(cast, cast);
  }
  // The function's own type last: its attributes of arguments go with it.
  SmallVector<Type> results(function.getResultTypes());
  entry.eraseArguments(attributes);
  function.setAllArgAttrs(ArrayRef<DictionaryAttr>());
  function.setFunctionType(b.getFunctionType(types, results));
}

/// Returns what casts to the declared types of results hide.
static void dropResultCasts(func::FuncOp function) {
  Operation *terminator = function.front().getTerminator();
  for (OpOperand &operand : terminator->getOpOperands())
    while (auto cast = operand.get().getDefiningOp<tensor::CastOp>()) {
      if (!isa<RankedTensorType>(cast.getSource().getType()) ||
          !tensor::canFoldIntoConsumerOp(cast))
        break;
      operand.set(cast.getSource());
    }
  function.setFunctionType(FunctionType::get(function.getContext(),
                                             function.getArgumentTypes(),
                                             terminator->getOperandTypes()));
}

/// The first error of the verifier; "" when there is none.
static std::string explainInvalid(func::FuncOp function) {
  std::string text;
  ScopedDiagnosticHandler handler(function.getContext(), [&](Diagnostic &said) {
    if (text.empty() && said.getSeverity() == DiagnosticSeverity::Error)
      text = said.str();
    return success();
  });
  return succeeded(verify(function)) ? "" : text;
}

/// Checks the sizes that a linalg op takes for equal: where two tensors have a
/// dimension for one loop.
static LogicalResult checkLoops(NodeImport &node, linalg::LinalgOp op,
                                const IRMapping &values) {
  SmallVector<OpFoldResult> sizes(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [i, expr] : llvm::enumerate(map.getResults())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop)
        continue;
      OpFoldResult size = node.dim(values.lookupOrDefault(operand.get()), i);
      OpFoldResult &known = sizes[loop.getPosition()];
      if (!known)
        known = size;
      else if (failed(node.expectEqual(
                   known, size,
                   "equal sizes in the function of operator " +
                       node.node.getDomain() + "." + node.node.getOpType())))
        return failure();
    }
  }
  return success();
}

ImportResult CustomOpInliner::inlineFunction(NodeImport &node,
                                             func::FuncOp function) const {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(node.loc);
  func::FuncOp copy = function.clone();
  scratch->push_back(copy);
  IRMapping values;
  SmallVector<Value> inputs;
  unsigned next = 0;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    if (function.getArgAttr(i, kAttributeName))
      continue;
    Value input = node.input(next);
    for (auto [d, size] :
         llvm::enumerate(cast<RankedTensorType>(type).getShape()))
      if (ShapedType::isStatic(size) &&
          failed(node.expectEqual(node.dim(input, d), node.index(size),
                                  Twine(size) + " in dimension " + Twine(d) +
                                      " of input " + Twine(next))))
        return failure();
    inputs.push_back(input);
    ++next;
  }
  setArguments(node, copy);
  // Where it does not converge, the function is as good as before.
  (void)applyPatternsGreedily(copy.getBody(), patterns);
  dropResultCasts(copy);
  if (std::string wrong = explainInvalid(copy); !wrong.empty()) {
    node.error() << "the function @" << function.getName() << " of '" << path
                 << "' does not fit these inputs: " << wrong;
    return failure();
  }
  Block &body = copy.front();
  values.map(body.getArguments(), inputs);
  for (Operation &op : body.without_terminator()) {
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
      if (failed(checkLoops(node, linalgOp, values)))
        return failure();
    Operation *made = node.b.clone(op, values);
    made->walk([&](Operation *inner) { inner->setLoc(node.loc); });
  }
  SmallVector<Value> results;
  for (Value value :
       body.getTerminator()->getOperands().take_front(node.numOutputs()))
    results.push_back(values.lookupOrDefault(value));
  return node.results(results);
}

ImportResult CustomOpInliner::import(NodeImport &node,
                                     ArrayRef<func::FuncOp> functions) const {
  std::string reasons;
  for (func::FuncOp function : functions) {
    std::string wrong = explainMismatch(node, function);
    if (wrong.empty())
      return inlineFunction(node, function);
    reasons += (reasons.empty() ? "" : "; ") +
               ("@" + function.getName().str()) + " " + wrong;
  }
  node.error() << "operator " << node.node.getDomain() << "."
               << node.node.getOpType() << ": no function of '" << path
               << "' fits: " << reasons;
  return failure();
}
