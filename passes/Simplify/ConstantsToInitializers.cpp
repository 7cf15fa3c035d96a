// Makes initializers of Constant nodes, so that passes see one kind of
// constant.

#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_CONSTANTSTOINITIALIZERS
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

/// The tensor that a Constant holds in whichever attribute; null for a sparse
/// one, and for a reference to a function's parameter.
static ElementsAttr readConstant(onnx::NodeOp node) {
  Builder b(node.getContext());
  for (NamedAttribute attribute : node.getOnnxAttributes()) {
    StringRef name = attribute.getName();
    Attribute value = attribute.getValue();
    auto scalar = [&](Type element) {
      return RankedTensorType::get({}, element);
    };
    auto vector = [&](size_t size, Type element) {
      return RankedTensorType::get({int64_t(size)}, element);
    };
    if (name == "value")
      return node.getTensor(name);
    if (auto number = dyn_cast<FloatAttr>(value))
      return DenseElementsAttr::get(scalar(b.getF32Type()), Attribute(number));
    if (auto number = dyn_cast<IntegerAttr>(value))
      return DenseElementsAttr::get(scalar(b.getI64Type()), number.getValue());
    if (auto list = dyn_cast<DenseF32ArrayAttr>(value))
      return DenseElementsAttr::get(vector(list.size(), b.getF32Type()),
                                    list.asArrayRef());
    if (auto list = dyn_cast<DenseI64ArrayAttr>(value))
      return DenseElementsAttr::get(vector(list.size(), b.getI64Type()),
                                    list.asArrayRef());
    Type string = onnx::StringType::get(node.getContext());
    if (auto text = dyn_cast<StringAttr>(value))
      return DenseStringElementsAttr::get(scalar(string), {text.getValue()});
    if (std::optional<SmallVector<StringRef>> texts = node.getStrings(name))
      return DenseStringElementsAttr::get(vector(texts->size(), string),
                                          *texts);
  }
  return {};
}

/// Whether the model is of an IR version in which every initializer had to be
/// an input, so that this does not tell a default from a weight.
static bool isOfOldIr(ModuleOp module) {
  for (StringRef name : {"onnx.original_ir_version", "onnx.ir_version"})
    if (auto version = module->getAttrOfType<IntegerAttr>(name))
      return version.getInt() < 4;
  return false;
}

namespace {

struct ConstantsToInitializersPass
    : dlc::impl::ConstantsToInitializersBase<ConstantsToInitializersPass> {
  using ConstantsToInitializersBase::ConstantsToInitializersBase;

  void runOnOperation() override {
    SmallVector<onnx::NodeOp> nodes;
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      if (!keepInputs || isOfOldIr(getOperation()))
        for (auto initializer : graph.getOps<onnx::InitializerOp>())
          initializer.removeInputAttr();
      graph.walk([&](onnx::NodeOp node) {
        if (node.isOp("Constant") && node.getNumResults() == 1)
          nodes.push_back(node);
      });
    }
    for (onnx::NodeOp node : nodes) {
      ElementsAttr value = readConstant(node);
      if (!value)
        continue;
      OpBuilder b(node);
      auto initializer = onnx::InitializerOp::create(
          b, node.getLoc(), value.getType(), node.getOutputName(0), value,
          IntegerAttr());
      node.getResult(0).replaceAllUsesWith(initializer);
      node.erase();
    }
  }
};

} // namespace
