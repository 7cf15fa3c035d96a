// Compile-time evaluation: the compiler compiles for itself.

#include "lib/Compiler/Evaluate.h"
#include "dlc/Compiler.h"
#include "dlc/Model.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Codegen/Jit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace dlc;

/// Constants of up to this size are attributes of their own, which equal
/// values share.
static constexpr int64_t kInlineBytes = 64;

/// Constants beyond this many bytes are arguments of the evaluation, which
/// reads them where they are.
static constexpr int64_t kArgumentBytes = 1 << 16;

/// Makes arguments of the large constants of `main`, and returns their values,
/// one an argument:
///
///     %0 = arith.constant dense_resource<w> : tensor<4096x4096xf32>
///
/// The code's own weights would be a copy, as large as the model. Elements of
/// less than a byte stay, which are packed in a resource and not in a tensor.
static SmallVector<DenseResourceElementsAttr> takeArguments(func::FuncOp main) {
  SmallVector<DenseResourceElementsAttr> values;
  DenseMap<Attribute, BlockArgument> made;
  main.walk([&](arith::ConstantOp op) {
    auto value = dyn_cast<DenseResourceElementsAttr>(op.getValue());
    auto type = dyn_cast<RankedTensorType>(op.getType());
    if (!value || !type || !type.getElementType().isIntOrFloat() ||
        type.getElementTypeBitWidth() < 8 || !value.getRawHandle().getBlob() ||
        int64_t(value.getRawHandle().getBlob()->getData().size()) <=
            kArgumentBytes)
      return;
    auto [it, isNew] = made.try_emplace(value);
    if (isNew) {
      it->second = main.front().addArgument(type, op.getLoc());
      values.push_back(value);
    }
    op.replaceAllUsesWith(it->second);
    op.erase();
  });
  main.setFunctionType(FunctionType::get(main.getContext(),
                                         main.front().getArgumentTypes(),
                                         main.getResultTypes()));
  return values;
}

/// The interface of a tensor, as `dlc.inputs` and `dlc.outputs` have it.
static Attribute describe(Type type, StringRef kind, size_t number) {
  Builder b(type.getContext());
  std::string name = (kind + Twine(number)).str();
  return b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(name)),
                              b.getNamedAttr("type", TypeAttr::get(type))});
}

/// A tensor of static shape for a run, in `data`.
static dlc_tensor toTensor(ArrayRef<char> data) {
  return {const_cast<char *>(data.data()), data.size(), /*shape=*/nullptr};
}

TypedAttr dlc::makeConstant(RankedTensorType type, AsmResourceBlob blob) {
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
  SmallVector<DenseResourceElementsAttr> arguments = takeArguments(main);
  SmallVector<Attribute> inputs, outputs;
  for (auto [i, value] : llvm::enumerate(arguments))
    inputs.push_back(describe(value.getType(), "a", i));
  for (auto [i, type] : llvm::enumerate(types))
    outputs.push_back(describe(type, "c", i));
  model->setAttr("dlc.name", b.getStringAttr("constants"));
  model->setAttr("dlc.inputs", b.getArrayAttr(inputs));
  model->setAttr("dlc.outputs", b.getArrayAttr(outputs));
  CompileOptions options;
  options.threads = 1;
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
  SmallVector<dlc_tensor> given, made;
  for (DenseResourceElementsAttr value : arguments)
    given.push_back(toTensor(value.getRawHandle().getBlob()->getData()));
  for (Type type : types) {
    auto tensor = cast<RankedTensorType>(type);
    size_t size =
        tensor.getNumElements() * getElementBytes(tensor.getElementType());
    blobs.push_back(HeapAsmResourceBlob::allocate(size, 64));
    made.push_back(toTensor(blobs.back().getData()));
  }
  const dlc_model *descriptor = (*jit)->descriptor();
  if (int status = descriptor->run(given.data(), made.data(), nullptr))
    return model.emitError("cannot evaluate constants: status ") << status;
  SmallVector<TypedAttr> results;
  for (auto [type, blob] : llvm::zip(types, blobs))
    results.push_back(
        makeConstant(cast<RankedTensorType>(type), std::move(blob)));
  return results;
}
