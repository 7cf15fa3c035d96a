// The pass that imports a model's graph.

#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "passes/Import/GraphImporter.h"
#include "passes/Import/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_IMPORTONNX
#include "passes/Import/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// One entry of `dlc.inputs` or `dlc.outputs`. `declared` is the
/// type in ONNX, which says what a sequence is: see SequenceType; `bounds` are
/// those of named dimensions.
static Attribute describe(Builder &b, StringRef name, Type type, Type declared,
                          ArrayAttr dimNames, DictionaryAttr bounds = {}) {
  StringRef kind;
  Type keys;
  if (auto map = dyn_cast<MapType>(type)) {
    type = RankedTensorType::get({}, map.getValueType());
    keys = map.getKeyType();
    kind = isa<onnx::MapType>(declared) ? "map" : "sequence of maps";
    dimNames = {};
  } else if (auto sequence = dyn_cast<SequenceType>(type)) {
    type = RankedTensorType::get({}, sequence.getElementType());
    auto optional = dyn_cast_if_present<onnx::OptionalType>(declared);
    kind = !optional                                       ? "sequence"
           : isa<onnx::SeqType>(optional.getElementType()) ? "optional sequence"
                                                           : "optional";
    dimNames = {};
  }
  SmallVector<NamedAttribute> entries{
      b.getNamedAttr("name", b.getStringAttr(name)),
      b.getNamedAttr("type", TypeAttr::get(type))};
  if (!kind.empty())
    entries.push_back(b.getNamedAttr("kind", b.getStringAttr(kind)));
  if (keys)
    entries.push_back(b.getNamedAttr("keys", TypeAttr::get(keys)));
  if (dimNames) {
    entries.push_back(b.getNamedAttr("dims", dimNames));
    // -1: none.
    SmallVector<int64_t> least, largest;
    for (Attribute dim : dimNames) {
      auto name = dyn_cast<StringAttr>(dim);
      auto range = bounds && name && !name.getValue().empty()
                       ? bounds.getAs<DenseI64ArrayAttr>(name.getValue())
                       : DenseI64ArrayAttr();
      least.push_back(range ? range[0] : -1);
      largest.push_back(range ? range[1] : -1);
    }
    if (llvm::any_of(largest, [](int64_t size) { return size >= 0; })) {
      entries.push_back(
          b.getNamedAttr("min_dims", b.getDenseI64ArrayAttr(least)));
      entries.push_back(
          b.getNamedAttr("max_dims", b.getDenseI64ArrayAttr(largest)));
    }
  }
  return b.getDictionaryAttr(entries);
}

namespace {

struct ImportOnnxPass : dlc::impl::ImportOnnxBase<ImportOnnxPass> {
  void getDependentDialects(DialectRegistry &registry) const override {
    ImportOnnxBase::getDependentDialects(registry);
    registry.insert<ub::UBDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto graph = module.lookupSymbol<onnx::GraphOp>("main");
    if (!graph) {
      module.emitError("expected a graph @main");
      return signalPassFailure();
    }
    OpBuilder b(module.getBodyRegion());
    Block &body = *graph.getBodyBlock();

    SmallVector<Type> inputTypes;
    SmallVector<Attribute> inputs;
    SmallVector<BlockArgument> arguments;
    bool isGood = true;
    for (BlockArgument argument : body.getArguments()) {
      unsigned i = argument.getArgNumber();
      Type type = convertOnnxType(argument.getType());
      // No operator takes a sequence of maps.
      if (!isa_and_nonnull<RankedTensorType, SequenceType, MapType>(type) ||
          (isa<MapType>(type) && !isa<onnx::MapType>(argument.getType()))) {
        bool isTensor =
            isa<RankedTensorType, UnrankedTensorType>(argument.getType());
        emitError(module.getLoc())
            << "input '" << graph.getInputName(i) << "' of type "
            << argument.getType() << kNotSupported
            << (isTensor
                    ? "expected a known rank; give a shape with --shape"
                    : "expected a tensor, a sequence of tensors, or a map");
        isGood = false;
        continue;
      }
      inputTypes.push_back(type);
      arguments.push_back(argument);
      inputs.push_back(
          describe(b, graph.getInputName(i), type, argument.getType(),
                   graph.getInputDimNames(i),
                   module->getAttrOfType<DictionaryAttr>(kDimBoundsAttr)));
    }
    if (!isGood)
      return signalPassFailure();

    auto function = func::FuncOp::create(b, graph.getLoc(), "main_imported",
                                         b.getFunctionType(inputTypes, {}));
    Block *entry = function.addEntryBlock();
    b.setInsertionPointToStart(entry);
    GraphImporter importer(b);
    for (auto [argument, value] : llvm::zip(arguments, entry->getArguments())) {
      unsigned i = argument.getArgNumber();
      importer.map(argument, value);
      function.setArgAttr(value.getArgNumber(), "dlc.name",
                          b.getStringAttr(graph.getInputName(i)));
      ArrayAttr names = graph.getInputDimNames(i);
      if (names && isa<RankedTensorType>(value.getType()))
        function.setArgAttr(value.getArgNumber(), "dlc.dim_names", names);
    }
    SmallVector<Value> results;
    if (failed(importer.importBlock(body, results)))
      return signalPassFailure();

    if (failed(checkElements(function)))
      return signalPassFailure();
    SmallVector<Attribute> outputs;
    SmallVector<Type> resultTypes;
    for (auto [i, value] : llvm::enumerate(results)) {
      Type declared = body.getTerminator()->getOperand(i).getType();
      if (!isa<onnx::OptionalType>(declared))
        if (auto given = cast<DictionaryAttr>(graph.getOutputs()[i])
                             .getAs<TypeAttr>("type"))
          declared = given.getValue();
      // A value that is there serves as an optional one.
      if (isa<onnx::OptionalType>(declared) &&
          isa<RankedTensorType>(value.getType()))
        value = SequenceOp::create(
            b, graph.getLoc(),
            SequenceType::get(b.getContext(), getElementTypeOrSelf(value)),
            value, /*absent=*/false);
      if (isa<MapType>(value.getType()) && !value.getDefiningOp()) {
        emitError(module.getLoc())
            << "output '" << graph.getOutputName(i) << "' of type " << declared
            << kNotSupported << "expected no map that is an input as it is";
        return signalPassFailure();
      }
      resultTypes.push_back(value.getType());
      outputs.push_back(describe(b, graph.getOutputName(i), value.getType(),
                                 declared, graph.getOutputDimNames(i)));
    }
    func::ReturnOp::create(b, graph.getLoc(), results);
    function.setFunctionType(b.getFunctionType(inputTypes, resultTypes));
    for (unsigned i = 0; i < results.size(); ++i)
      function.setResultAttr(i, "dlc.name",
                             b.getStringAttr(graph.getOutputName(i)));
    graph.erase();
    function.setName("main");
    module->setAttr("dlc.inputs", b.getArrayAttr(inputs));
    module->setAttr("dlc.outputs", b.getArrayAttr(outputs));
  }

  /// Whether a static shape has more elements than any memory.
  static bool isTooLarge(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.hasStaticShape() ||
        llvm::is_contained(tensor.getShape(), 0))
      return false;
    int64_t left = int64_t(1) << 46;
    for (int64_t size : tensor.getShape())
      left /= size;
    return left == 0;
  }

  /// No value is larger than any memory.
  static LogicalResult checkElements(func::FuncOp function) {
    bool isGood = true;
    for (BlockArgument argument : function.getArguments())
      if (isTooLarge(argument.getType())) {
        emitError(function->getParentOp()->getLoc())
            << "input '"
            << function
                   .getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                 "dlc.name")
                   .getValue()
            << "' of type " << argument.getType() << kNotSupported
            << "expected fewer than 2^46 elements";
        isGood = false;
      }
    function.walk([&](Operation *op) {
      for (Type type : op->getResultTypes()) {
        if (isTooLarge(type)) {
          op->emitError("value of type ")
              << type << kNotSupported << "expected fewer than 2^46 elements";
          isGood = false;
          break;
        }
      }
    });
    return success(isGood);
  }
};

} // namespace
