// Reads the interface of a model from the attributes of its module.
#include "lib/Codegen/Interface.h"
#include "dlc/Model.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace dlc;

bool TensorInterface::isDynamic() const { return llvm::is_contained(dims, -1); }

bool TensorInterface::isTensor() const {
  return !(dtype & (DLC_SEQUENCE | DLC_OPTIONAL | DLC_MAP));
}

bool ModelInterface::hasDynamicOutput() const {
  return llvm::any_of(outputs, [](const auto &t) { return t.isDynamic(); });
}

/// Returns the code of an element type, or 0 if C has no way to pass it.
static int32_t dtypeOf(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return DLC_BOOL;
    case 2:
      return isUnsigned ? DLC_UINT2 : DLC_INT2;
    case 4:
      return isUnsigned ? DLC_UINT4 : DLC_INT4;
    case 8:
      return isUnsigned ? DLC_UINT8 : DLC_INT8;
    case 16:
      return isUnsigned ? DLC_UINT16 : DLC_INT16;
    case 32:
      return isUnsigned ? DLC_UINT32 : DLC_INT32;
    case 64:
      return isUnsigned ? DLC_UINT64 : DLC_INT64;
    }
    return 0;
  }
  if (isa<Float16Type>(type))
    return DLC_FLOAT16;
  if (isa<BFloat16Type>(type))
    return DLC_BFLOAT16;
  if (isa<Float32Type>(type))
    return DLC_FLOAT32;
  if (isa<Float64Type>(type))
    return DLC_FLOAT64;
  if (isa<Float8E4M3FNType>(type))
    return DLC_FLOAT8E4M3FN;
  if (isa<Float8E4M3FNUZType>(type))
    return DLC_FLOAT8E4M3FNUZ;
  if (isa<Float8E5M2Type>(type))
    return DLC_FLOAT8E5M2;
  if (isa<Float8E5M2FNUZType>(type))
    return DLC_FLOAT8E5M2FNUZ;
  if (isa<Float8E8M0FNUType>(type))
    return DLC_FLOAT8E8M0;
  if (isa<Float4E2M1FNType>(type))
    return DLC_FLOAT4E2M1;
  if (isa<Float6E2M3FNType>(type))
    return DLC_FLOAT6E2M3;
  if (isa<Float6E3M2FNType>(type))
    return DLC_FLOAT6E3M2;
  if (auto pair = dyn_cast<ComplexType>(type)) {
    if (pair.getElementType().isF32())
      return DLC_COMPLEX64;
    if (pair.getElementType().isF64())
      return DLC_COMPLEX128;
    return 0;
  }
  // By its text: this library does without the dlc dialect.
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text == "!dlc.string" ? DLC_STRING : 0;
}

static FailureOr<TensorInterface> readTensor(ModuleOp module, StringRef list,
                                             unsigned index, Attribute attr) {
  auto fail = [&]() {
    return module.emitError() << "'" << list << "' entry " << index << ": ";
  };
  auto dict = dyn_cast<DictionaryAttr>(attr);
  auto name = dict ? dict.getAs<StringAttr>("name") : StringAttr();
  auto type = dict ? dict.getAs<TypeAttr>("type") : TypeAttr();
  if (!name || !type)
    return fail() << "expected {name = \"...\", type = tensor<...>}, found "
                  << attr;
  auto tensor = dyn_cast<RankedTensorType>(type.getValue());
  if (!tensor)
    return fail() << "expected a ranked tensor, found " << type;

  TensorInterface result;
  result.name = name.str();
  result.dtype = dtypeOf(tensor.getElementType());
  int32_t kind = 0;
  if (auto words = dict.getAs<StringAttr>("kind")) {
    kind = llvm::StringSwitch<int32_t>(words.getValue())
               .Case("sequence", DLC_SEQUENCE)
               .Case("optional", DLC_OPTIONAL)
               .Case("optional sequence", DLC_SEQUENCE | DLC_OPTIONAL)
               .Case("map", DLC_MAP)
               .Case("sequence of maps", DLC_MAP | DLC_SEQUENCE)
               .Default(0);
    if (!kind)
      return fail() << "expected the kind sequence, optional, optional "
                       "sequence, map or sequence of maps, found "
                    << words;
  }
  if (kind & DLC_MAP) {
    auto keys = dict.getAs<TypeAttr>("keys");
    int32_t key = keys ? dtypeOf(keys.getValue()) : 0;
    if (key != DLC_INT64 && key != DLC_STRING)
      return fail() << "expected keys of i64 or strings for '"
                    << name.getValue() << "'";
    if (key == DLC_STRING)
      kind |= DLC_STRING_KEYS;
  }
  if (!result.dtype)
    return fail() << "the C interface has no element type for '"
                  << name.getValue() << "' of " << type;
  // The tensors of a sequence have no shape in common, maps have none.
  result.dtype |= kind;
  if (kind)
    return result;
  auto names = dict.getAs<ArrayAttr>("dims");
  auto least = dict.getAs<DenseI64ArrayAttr>("min_dims");
  auto bounds = dict.getAs<DenseI64ArrayAttr>("max_dims");
  unsigned rank = tensor.getRank();
  if ((names && names.size() != rank) ||
      (least && least.size() != int64_t(rank)) ||
      (bounds && bounds.size() != int64_t(rank)))
    return fail() << "expected one name and one bound for each of " << rank
                  << " dimensions";
  for (unsigned d = 0; d < rank; ++d) {
    bool dynamic = tensor.isDynamicDim(d);
    auto dimName = names ? dyn_cast<StringAttr>(names[d]) : StringAttr();
    result.dims.push_back(dynamic ? -1 : tensor.getDimSize(d));
    result.dimNames.push_back(dynamic && dimName ? dimName.str() : "");
    result.dimMin.push_back(dynamic && least ? least[d] : -1);
    result.dimMax.push_back(dynamic && bounds ? bounds[d] : -1);
  }
  return result;
}

static LogicalResult readTensors(ModuleOp module, StringRef list,
                                 std::vector<TensorInterface> &tensors) {
  auto entries = module->getAttrOfType<ArrayAttr>(list);
  if (!entries)
    return module.emitError() << "expected the attribute '" << list << "'";
  LogicalResult result = success();
  for (auto [i, attr] : llvm::enumerate(entries)) {
    FailureOr<TensorInterface> tensor = readTensor(module, list, i, attr);
    if (failed(tensor))
      result = failure();
    else
      tensors.push_back(*tensor);
  }
  return result;
}

/// Makes `name` different from all of `taken` by appending _2, _3, ...
static std::string makeUnique(std::string name, llvm::StringSet<> &taken) {
  std::string result = name;
  StringRef separator = StringRef(name).ends_with("_") ? "" : "_";
  for (unsigned i = 2; !taken.insert(result).second; ++i)
    result = (name + separator + Twine(i)).str();
  return result;
}

/// Inputs: pointers get their names first, then each new dynamic dimension
/// gets a field right after the pointer whose shape mentions it.
static void nameInputs(ModelInterface &model) {
  llvm::StringSet<> taken, dims;
  for (TensorInterface &tensor : model.inputs)
    tensor.cName = makeUnique(toCIdentifier(tensor.name), taken);
  for (auto [i, tensor] : llvm::enumerate(model.inputs)) {
    unsigned index = i;
    model.inputFields.push_back({StructField::Pointer, index, 0, tensor.cName});
    for (unsigned d = 0; d < tensor.dims.size(); ++d) {
      const std::string &name = tensor.dimNames[d];
      if (tensor.dims[d] >= 0 || (!name.empty() && !dims.insert(name).second))
        continue;
      std::string field = name.empty()
                              ? tensor.cName + "_dim" + std::to_string(d)
                              : toCIdentifier(name);
      model.inputFields.push_back(
          {StructField::Dim, index, d, makeUnique(field, taken)});
    }
  }
}

static void nameOutputs(ModelInterface &model) {
  llvm::StringSet<> taken;
  for (TensorInterface &tensor : model.outputs)
    tensor.cName = makeUnique(toCIdentifier(tensor.name), taken);
  for (auto [i, tensor] : llvm::enumerate(model.outputs)) {
    unsigned index = i;
    model.outputFields.push_back(
        {StructField::Pointer, index, 0, tensor.cName});
    if (!tensor.isDynamic())
      continue;
    for (auto [kind, suffix] : {std::pair(StructField::Capacity, "capacity"),
                                std::pair(StructField::Shape, "shape")}) {
      std::string field = toCIdentifier(tensor.cName + "_" + suffix);
      model.outputFields.push_back({kind, index, 0, makeUnique(field, taken)});
    }
  }
}

FailureOr<ModelInterface> dlc::readInterface(ModuleOp module) {
  ModelInterface model;
  auto name = module->getAttrOfType<StringAttr>("dlc.name");
  if (!name)
    return module.emitError("expected the attribute 'dlc.name'");
  if (toModelName(name.getValue()) != name.getValue())
    return module.emitError() << "'dlc.name' expected a C identifier like '"
                              << toModelName(name.getValue()) << "', found '"
                              << name.getValue() << "'";
  model.name = name.str();
  LogicalResult inputs = readTensors(module, "dlc.inputs", model.inputs);
  LogicalResult outputs = readTensors(module, "dlc.outputs", model.outputs);
  if (failed(inputs) || failed(outputs))
    return failure();
  if (auto bytes = module->getAttrOfType<IntegerAttr>("dlc.workspace"))
    model.workspace = bytes.getInt();
  if (auto bytes = module->getAttrOfType<IntegerAttr>("dlc.thread_workspace"))
    model.threadWorkspace = bytes.getInt();
  if (auto threads = module->getAttrOfType<IntegerAttr>("dlc.threads"))
    model.threads = threads.getInt();
  // A GPU's model has its arena there; one for the CPU may be beside it.
  if (module->hasAttr("dlc.kernels")) {
    model.hasDevice = true;
    model.deviceArena = model.workspace;
    model.hasGraphs = module->hasAttr("dlc.graphs");
    model.hasHostWork = module->hasAttr("dlc.host_work");
    model.hostInputs.resize(model.inputs.size());
    if (auto list = module->getAttrOfType<DenseI64ArrayAttr>("dlc.host_inputs"))
      for (int64_t index : list.asArrayRef())
        if (index >= 0 && index < int64_t(model.inputs.size()))
          model.hostInputs[index] = true;
    if (!module.lookupSymbol(model.symbol("fallback")))
      model.workspace = 0;
  }
  if (auto bytes = module->getAttrOfType<IntegerAttr>("dlc.weights_size"))
    model.weightsSize = bytes.getInt();
  if (auto bytes = module->getAttrOfType<IntegerAttr>("dlc.state_size"))
    model.stateSize = bytes.getInt();
  if (Attribute nodes = module->getAttr("dlc.profile")) {
    auto names = dyn_cast<ArrayAttr>(nodes);
    if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>))
      return module.emitError("'dlc.profile' expected a list of names");
    for (auto name : names.getAsRange<StringAttr>())
      model.profileNodes.push_back(name.str());
  }
  nameInputs(model);
  nameOutputs(model);
  return model;
}
