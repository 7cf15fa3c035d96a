// Compile-time evaluation: the compiler compiles for itself.

#include "lib/Compiler/Evaluate.h"
#include "dlc/Compiler.h"
#include "dlc/Model.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Codegen/Jit.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace dlc;

/// Constants of up to this size are attributes of their own, which equal
/// values share.
static constexpr int64_t kInlineBytes = 64;

/// The contents of `blob`, whose elements take whole bytes, as a constant.
static TypedAttr toConstant(RankedTensorType type, AsmResourceBlob blob) {
  ArrayRef<char> data = blob.getData();
  Type element = type.getElementType();
  unsigned bits = element.getIntOrFloatBitWidth();
  bool isSmall = int64_t(data.size()) <= kInlineBytes;
  if (bits < 8 || isSmall) {
    if (bits == 1) {
      SmallVector<bool> values;
      for (char byte : data)
        values.push_back(byte);
      return DenseElementsAttr::get(type, values);
    }
    if (bits < 8) {
      SmallVector<llvm::APInt> values;
      for (char byte : data)
        values.push_back(llvm::APInt(8, uint8_t(byte)).trunc(bits));
      return DenseElementsAttr::get(type, values);
    }
    return DenseElementsAttr::getFromRawBuffer(type, data);
  }
  return DenseResourceElementsAttr::get(type, "folded", std::move(blob));
}

FailureOr<SmallVector<TypedAttr>> dlc::evaluateOnHost(ModuleOp model) {
  MLIRContext *context = model.getContext();
  llvm::Expected<TargetSpec> host = resolveTarget("");
  if (!host)
    return model.emitError("cannot evaluate constants: ")
           << llvm::toString(host.takeError());
  Builder b(context);
  auto main = model.lookupSymbol<func::FuncOp>("main");
  SmallVector<Type> types(main.getResultTypes());
  SmallVector<Attribute> outputs;
  for (auto [i, type] : llvm::enumerate(types))
    outputs.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(llvm::formatv("c{0}", i))),
         b.getNamedAttr("type", TypeAttr::get(type))}));
  model->setAttr("dlc.name", b.getStringAttr("constants"));
  model->setAttr("dlc.inputs", b.getArrayAttr({}));
  model->setAttr("dlc.outputs", b.getArrayAttr(outputs));
  CompileOptions options;
  if (failed(runPhases(model, Phase::Tensor, Phase::Llvm, options, *host)))
    return failure();
  WeightTable weights;
  if (failed(collectWeights(model, weights)))
    return failure();
  // Run once: code that is made quickly beats code that runs quickly.
  CodegenOptions codegen;
  codegen.optLevel = 1;
  FailureOr<std::unique_ptr<JitModel>> jit =
      jitCompile(model, *host, codegen, weights);
  if (failed(jit))
    return failure();

  SmallVector<AsmResourceBlob> blobs;
  SmallVector<dlc_tensor> tensors;
  SmallVector<SmallVector<int64_t>> shapes;
  for (Type type : types) {
    auto tensor = cast<RankedTensorType>(type);
    size_t size =
        tensor.getNumElements() * getElementBytes(tensor.getElementType());
    blobs.push_back(HeapAsmResourceBlob::allocate(size, 64));
    shapes.push_back(llvm::to_vector(tensor.getShape()));
  }
  for (auto [blob, shape] : llvm::zip(blobs, shapes)) {
    dlc_tensor tensor = {};
    tensor.data = blob.getMutableData().data();
    tensor.capacity = blob.getData().size();
    tensor.shape = shape.data();
    tensors.push_back(tensor);
  }
  const dlc_model *descriptor = (*jit)->descriptor();
  if (int status = descriptor->run(nullptr, tensors.data(), nullptr))
    return model.emitError("cannot evaluate constants: status ") << status;
  SmallVector<TypedAttr> results;
  for (auto [type, blob] : llvm::zip(types, blobs))
    results.push_back(toConstant(cast<RankedTensorType>(type), std::move(blob)));
  return results;
}
