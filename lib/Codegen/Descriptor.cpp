// Emits a model's tables (struct dlc_rt_desc and dlc_model) as LLVM globals,
// and the functions that hand them to the runtime.
#include "lib/Codegen/Descriptor.h"
#include "dlc/Model.h"
#include "lib/Codegen/Tables.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/StructuralHash.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"

using namespace llvm;
using namespace dlc;

static constexpr int32_t noField = -1;

/// Where the members of a generated struct are: for each tensor, by kind.
static void fieldOffsets(Tables &tables, const ModelInterface &model,
                         SmallVectorImpl<int32_t> &inputFields,
                         SmallVectorImpl<int32_t> &dimFields,
                         SmallVectorImpl<int32_t> &dimSame,
                         SmallVectorImpl<int32_t> &outputFields) {
  const DataLayout &layout = tables.module.getDataLayout();
  SmallVector<unsigned> firstDim;
  unsigned flat = 0;
  for (const TensorInterface &tensor : model.inputs) {
    firstDim.push_back(flat);
    flat += tensor.dims.size();
  }
  inputFields.resize(model.inputs.size());
  dimFields.resize(flat, noField);
  dimSame.resize(flat, -1);
  outputFields.resize(3 * model.outputs.size(), noField);

  const StructLayout *in =
      layout.getStructLayout(tables.layout(model.inputFields, model.inputs));
  for (auto [i, field] : enumerate(model.inputFields)) {
    int32_t offset = in->getElementOffset(i).getFixedValue();
    if (field.kind == StructField::Pointer)
      inputFields[field.tensor] = offset;
    else
      dimFields[firstDim[field.tensor] + field.dim] = offset;
  }
  // Later dimensions of a name take the field of the first one.
  StringMap<unsigned> first;
  for (auto [i, tensor] : enumerate(model.inputs)) {
    for (auto [d, name] : enumerate(tensor.dimNames)) {
      if (name.empty())
        continue;
      unsigned here = firstDim[i] + d;
      auto [it, isNew] = first.try_emplace(name, here);
      if (isNew)
        continue;
      dimSame[here] = it->second;
      dimFields[here] = dimFields[it->second];
    }
  }
  const StructLayout *out =
      layout.getStructLayout(tables.layout(model.outputFields, model.outputs));
  for (auto [i, field] : enumerate(model.outputFields)) {
    unsigned kind = field.kind == StructField::Pointer    ? 0
                    : field.kind == StructField::Capacity ? 1
                                                          : 2;
    outputFields[3 * field.tensor + kind] =
        out->getElementOffset(i).getFixedValue();
  }
}

namespace {
/// The dlc_rt_desc that a function hands to the runtime.
struct ChosenDesc {
  Constant *only;     ///< where there is one
  Constant *variants; ///< else a struct dlc_rt_variants

  /// Has `function` return an error where DLC_CPU names none; its last argument
  /// are the options.
  Value *emit(IRBuilder<> &builder, Function *function) const {
    if (only)
      return only;
    Module &module = *function->getParent();
    Value *desc =
        builder.CreateCall(module.getFunction("dlc_rt_choose"), {variants});
    LLVMContext &context = module.getContext();
    auto *none = BasicBlock::Create(context, "", function);
    auto *found = BasicBlock::Create(context, "", function);
    builder.CreateCondBr(builder.CreateIsNull(desc), none, found);
    builder.SetInsertPoint(none);
    Value *options = function->getArg(function->arg_size() - 1);
    builder.CreateRet(builder.CreateCall(module.getFunction("dlc_rt_refuse"),
                                         {variants, options}));
    builder.SetInsertPoint(found);
    return desc;
  }
};
} // namespace

/// Adds an exported or internal function that ends in a call of a runtime
/// function with `desc` (when given) and its own arguments.
static Function *forward(Tables &tables, const Twine &name, Type *result,
                         ArrayRef<Type *> parameters, StringRef callee,
                         const ChosenDesc *desc,
                         GlobalValue::LinkageTypes linkage) {
  Module &module = tables.module;
  // The name is the model's: whatever internal thing has it gives way.
  if (GlobalValue *other = module.getNamedValue(name.str()))
    other->setName(name + ".internal");
  Function *target = module.getFunction(callee);
  Function *function = Function::Create(
      FunctionType::get(result, parameters, false), linkage, name, module);
  function->setDSOLocal(true);
  function->copyAttributesFrom(target);
  function->setLinkage(linkage);
  function->setVisibility(GlobalValue::DefaultVisibility);
  function->setAttributes(AttributeList::get(
      tables.context, target->getAttributes().getFnAttrs(), {}, {}));
  IRBuilder<> builder(BasicBlock::Create(tables.context, "", function));
  SmallVector<Value *> arguments;
  if (desc)
    arguments.push_back(desc->emit(builder, function));
  for (Argument &argument : function->args())
    arguments.push_back(&argument);
  CallInst *call = builder.CreateCall(target, arguments);
  call->setTailCall();
  builder.CreateRet(call);
  return function;
}

/// The CPU features of the model's code that its baseline does not have.
static Constant *emitNeeds(Tables &tables, const TargetSpec &spec,
                           unsigned &count) {
  SmallVector<Constant *> needs;
  if (!spec.arch->needsLinux || Triple(spec.triple).isOSLinux()) {
    for (const CpuNeed &need : spec.arch->needs) {
      if (!spec.hasFeature(need.feature))
        continue;
      SmallVector<Constant *> where;
      for (int32_t number : need.where)
        where.push_back(tables.int32(number));
      needs.push_back(tables.record(
          {tables.string(need.feature),
           ConstantArray::get(ArrayType::get(tables.i32, 4), where)}));
    }
  }
  count = needs.size();
  return needs.empty() ? tables.null
                       : tables.array("needs", needs.front()->getType(), needs);
}

/// The bytes of struct dlc_rt_cuda_state, and more to be safe.
static constexpr unsigned cudaStateBytes = 128;

/// A struct dlc_rt_cuda_desc.
static Constant *emitCuda(Tables &tables, const DeviceCode &device) {
  Module &module = tables.module;
  const ModelInterface &model = tables.model;
  SmallVector<Constant *> images, kernels;
  // The last that a GPU can run is taken: machine code comes behind PTX, of
  // which that of the lowest architecture is enough for all others then.
  enum Fits { laterOnes, thisOne, itsGeneration };
  auto addImage = [&](const DeviceCode::Image &image, StringRef kind,
                      Fits fits) {
    GlobalVariable *code =
        tables.global((kind + "_" + image.arch.name).str(),
                      ConstantDataArray::getString(tables.context, image.code));
    code->setAlignment(Align(16));
    images.push_back(
        tables.record({code, tables.int32(image.arch.capability),
                       tables.int32(image.arch.isSpecific ? thisOne : fits)}));
  };
  for (const DeviceCode::Image &image : device.images)
    if (device.cubins.empty() || &image == &device.images.front())
      addImage(image, "ptx", laterOnes);
  for (const DeviceCode::Image &image : device.cubins)
    addImage(image, "cubin", itsGeneration);
  for (const DeviceCode::Kernel &kernel : device.kernels)
    kernels.push_back(tables.record(
        {tables.string(kernel.name), tables.int32(kernel.shared)}));
  auto *type = ArrayType::get(Type::getInt64Ty(tables.context),
                              cudaStateBytes / sizeof(int64_t));
  GlobalVariable *state =
      tables.global("cuda_state", ConstantAggregateZero::get(type),
                    /*constant=*/false);
  state->setAlignment(Align(16));
  Constant *fallback = tables.null, *weights = tables.null;
  if (Function *function = module.getFunction(model.symbol("fallback")))
    fallback = function;
  if (GlobalVariable *global = module.getNamedGlobal(model.symbol("weights")))
    weights = global;
  Constant *hostInputs = tables.null;
  if (is_contained(model.hostInputs, true)) {
    SmallVector<uint8_t> flags(model.hostInputs.begin(),
                               model.hostInputs.end());
    hostInputs = tables.global("host_inputs",
                               ConstantDataArray::get(tables.context, flags));
  }
  return tables.global(
      "cuda",
      tables.record(
          {fallback, tables.array("images", images.front()->getType(), images),
           tables.array("kernels", StructType::get(tables.pointer, tables.i32),
                        kernels),
           weights, state, hostInputs,
           ConstantInt::get(tables.i64, model.weightsSize),
           ConstantInt::get(tables.i64, model.deviceArena),
           tables.int32(images.size()), tables.int32(kernels.size()),
           tables.int32(model.hasGraphs), tables.int32(model.hasHostWork)}));
}

/// The size of dlc_options of dlc/Model.h on the target.
static uint64_t getOptionsSize(const Tables &tables, const DataLayout &layout) {
  Type *ptr = tables.pointer, *size = tables.size, *i32 = tables.i32;
  auto *type = StructType::get(ptr->getContext(),
                               {size, ptr, size, ptr, size, i32, ptr, ptr, ptr,
                                size, i32, i32, ptr, ptr, ptr});
  return layout.getTypeAllocSize(type);
}

std::string dlc::describeTarget(ArrayRef<CpuCode> codes,
                                const DeviceCode &device) {
  std::string text = codes.front().spec->triple;
  for (const CpuCode &code : codes)
    text += (&code == codes.begin() ? " " : ",") + code.spec->label;
  for (const DeviceCode::Image &image : device.images)
    text += " " + image.arch.name;
  return text;
}

/// Tells the code of a function from others, with all of the model's that it
/// reaches: kernels, and the parts of them that threads are given.
static uint64_t hashCode(Function *function) {
  SetVector<Function *> reached;
  reached.insert(function);
  uint64_t hash = 0;
  for (size_t i = 0; i < reached.size(); ++i) {
    hash = stable_hash_combine(
        hash, StructuralHash(*reached[i], /*DetailedHash=*/true));
    for (Instruction &instruction : instructions(*reached[i]))
      for (Value *operand : instruction.operands())
        if (auto *used = dyn_cast<Function>(operand))
          if (!used->isDeclaration() && !used->getName().starts_with("dlc_rt"))
            reached.insert(used);
  }
  return hash;
}

/// The fields of dlc_rt_desc about the state: dlc_rt_state, the model's
/// function that fills one, the process's own, and the mark of a filled one.
/// All are NULL without a state, so that nothing refers to the code for it.
static SmallVector<Constant *> emitState(Tables &tables, const CpuCode &code,
                                         uint64_t weightsHash) {
  const ModelInterface &model = code.model;
  const TargetSpec &spec = *code.spec;
  if (!model.stateSize)
    return SmallVector<Constant *>(4, tables.null);
  // struct dlc_rt_shared
  StructType *shared =
      StructType::get(tables.context, {tables.pointer, tables.pointer,
                                       ArrayType::get(tables.i64, 16)});
  Function *expand = tables.module.getFunction(code.symbol("expand"));
  // What a state depends on: the constants and the code that expands them, in
  // forms and to places that another compilation may choose otherwise.
  std::string text =
      (Twine(model.name) + "\n" + spec.triple + "\n" + spec.cpu + "\n" +
       spec.features + "\n" + Twine(model.stateSize) + "\n" +
       Twine(weightsHash) + "\n" + Twine(hashCode(expand)))
          .str();
  bool isLinux = Triple(spec.triple).isOSLinux();
  return {tables.module.getFunction(isLinux ? "dlc_rt_state"
                                            : "dlc_rt_state_alone"),
          expand,
          tables.global("shared", ConstantAggregateZero::get(shared),
                        /*constant=*/false),
          tables.global("state_mark",
                        ConstantInt::get(tables.i64, xxh3_64bits(text) | 1))};
}

/// A text as it stands between the quotes of JSON.
static std::string toJson(StringRef text) {
  std::string quoted;
  raw_string_ostream os(quoted);
  json::OStream(os).value(json::isUTF8(text) ? text.str()
                                             : json::fixUTF8(text));
  return quoted.substr(1, quoted.size() - 2);
}

/// A struct dlc_rt_profile_desc; NULL without --profile.
static Constant *emitProfile(Tables &tables, const CpuCode &code) {
  const std::vector<std::string> &nodes = code.model.profileNodes;
  if (nodes.empty())
    return tables.null;
  SmallVector<Constant *> names, jsonNames;
  for (const std::string &name : nodes) {
    names.push_back(tables.string(name));
    jsonNames.push_back(tables.string(toJson(name)));
  }
  auto zeros = [&](StringRef suffix, size_t words) {
    return tables.global(
        suffix, ConstantAggregateZero::get(ArrayType::get(tables.i64, words)),
        /*constant=*/false);
  };
  // Arrays of struct dlc_rt_node_time, and a struct dlc_rt_profile_state.
  return tables.global(
      "profile",
      tables.record({tables.array("node_names", tables.pointer, names),
                     tables.array("json_names", tables.pointer, jsonNames),
                     zeros("node_times", 3 * nodes.size()),
                     zeros("profile_state", 3 + 16),
                     tables.int32(nodes.size())}));
}

/// The model's function for a run; with --profile what measures it.
static Function *makeMain(Tables &tables, const CpuCode &code) {
  Module &module = tables.module;
  Function *main = module.getFunction(code.symbol("main"));
  if (code.model.profileNodes.empty())
    return main;
  Function *timed =
      Function::Create(main->getFunctionType(), GlobalValue::InternalLinkage,
                       tables.model.symbol("timed_main"), module);
  timed->setDSOLocal(true);
  timed->setDoesNotThrow();
  IRBuilder<> builder(BasicBlock::Create(tables.context, "", timed));
  builder.CreateRet(builder.CreateCall(
      module.getFunction("dlc_rt_profile_main"), {timed->getArg(0), main}));
  return timed;
}

/// A struct dlc_rt_variants.
static Constant *emitVariants(Tables &tables, ArrayRef<Constant *> descs,
                              ArrayRef<CpuCode> codes, Constant *info) {
  SmallVector<Constant *> labels;
  std::string known;
  for (const CpuCode &code : codes) {
    labels.push_back(tables.string(code.spec->label));
    known += (known.empty() ? "" : ", ") + code.spec->label;
  }
  return tables.global(
      "variants", tables.record({tables.array("descs", tables.pointer, descs),
                                 tables.array("labels", tables.pointer, labels),
                                 tables.string(known), info,
                                 tables.global("choice", tables.int32(0),
                                               /*constant=*/false),
                                 tables.int32(descs.size())}));
}

void dlc::emitDescriptor(Module &module, const ModelInterface &model,
                         ArrayRef<CpuCode> codes, StringRef targetName,
                         bool hasThreads, uint64_t weightsHash,
                         const DeviceCode &device) {
  Tables tables(module, model);
  SmallVector<int32_t> inputFields, dimFields, dimSame, outputFields;
  fieldOffsets(tables, model, inputFields, dimFields, dimSame, outputFields);
  SmallVector<int64_t> dimMin, dimMax;
  unsigned outputDims = 0;
  for (const TensorInterface &tensor : model.inputs) {
    append_range(dimMin, tensor.dimMin);
    append_range(dimMax, tensor.dimMax);
  }
  for (const TensorInterface &tensor : model.outputs)
    outputDims += tensor.dims.size();
  auto isBound = [](int64_t bound) { return bound >= 0; };

  // The tables point to each other: declare both, then fill them.
  PointerType *ptr = tables.pointer;
  SmallVector<Type *> members(19, ptr);
  members.append(4, tables.i32);
  members.append(3, ptr);
  StructType *descType = StructType::get(tables.context, members);
  SmallVector<Constant *> descs;
  for (size_t i = 0; i < codes.size(); ++i)
    descs.push_back(new GlobalVariable(module, descType, /*isConstant=*/true,
                                       GlobalValue::InternalLinkage, nullptr,
                                       model.symbol("desc")));
  // Both need the other: a placeholder until the tensors are known.
  auto *info = new GlobalVariable(module, tables.i32, /*isConstant=*/true,
                                  GlobalValue::ExternalLinkage, nullptr,
                                  model.symbol("later"));
  ChosenDesc chosen = {codes.size() == 1 ? descs.front() : nullptr, nullptr};
  if (codes.size() > 1)
    chosen.variants = emitVariants(tables, descs, codes, info);
  const ChosenDesc *desc = &chosen;
  Function *statusString =
      forward(tables, model.symbol("status_string"), ptr, {tables.i32},
              "dlc_rt_status_string", nullptr, GlobalValue::ExternalLinkage);
  Function *run =
      forward(tables, model.symbol("run_tensors"), tables.i32, {ptr, ptr, ptr},
              "dlc_rt_run", desc, GlobalValue::InternalLinkage);
  forward(tables, model.symbol("run"), tables.i32, {ptr, ptr, ptr},
          "dlc_rt_run_typed", desc, GlobalValue::ExternalLinkage);

  Function *shapes = forward(tables, model.symbol("shapes_tensors"), tables.i32,
                             {ptr, ptr, ptr}, "dlc_rt_shapes", desc,
                             GlobalValue::InternalLinkage);
  if (model.hasDynamicOutput())
    forward(tables, model.symbol("shapes"), tables.i32, {ptr, ptr, ptr},
            "dlc_rt_shapes_typed", desc, GlobalValue::ExternalLinkage);
  Function *init = forward(tables, model.symbol("init"), tables.i32, {ptr},
                           "dlc_rt_init", desc, GlobalValue::ExternalLinkage);
  Constant *synchronize = tables.null, *release = tables.null;
  if (model.hasDevice) {
    synchronize =
        forward(tables, model.symbol("synchronize"), tables.i32, {ptr},
                "dlc_rt_synchronize", desc, GlobalValue::ExternalLinkage);
    release = forward(tables, model.symbol("release"), tables.i32, {ptr},
                      "dlc_rt_release", desc, GlobalValue::ExternalLinkage);
  }
  Constant *target = tables.string(targetName);
  SmallVector<Constant *> fields = {
      tables.int32(DLC_ABI_VERSION),
      nullptr,
      tables.string(model.name),
      target,
      ConstantInt::get(tables.size, model.workspace),
      tables.int32(model.inputs.size()),
      tables.int32(model.outputs.size()),
      tables.tensors("inputs", model.inputs),
      tables.tensors("outputs", model.outputs),
      run,
      statusString,
      shapes,
      ConstantInt::get(tables.size, model.threadWorkspace),
      ConstantInt::get(tables.size, model.stateSize),
      init,
      synchronize,
      release,
      ConstantInt::get(tables.size,
                       getOptionsSize(tables, module.getDataLayout()))};
  fields[1] = tables.int32(0);
  uint64_t bytes =
      module.getDataLayout().getTypeAllocSize(tables.record(fields)->getType());
  fields[1] = tables.int32(bytes);
  GlobalVariable *made = tables.global("info", tables.record(fields));
  info->replaceAllUsesWith(made);
  info->eraseFromParent();
  info = made;

  auto threadFunction = [&](StringRef function) -> Constant * {
    return hasThreads ? module.getFunction(function) : tables.null;
  };
  Constant *enter = tables.null, *cuda = tables.null;
  Constant *wait = tables.null, *close = tables.null;
  if (!device.empty()) {
    enter = module.getFunction("dlc_rt_cuda_run");
    wait = module.getFunction("dlc_rt_cuda_synchronize");
    close = module.getFunction("dlc_rt_cuda_release");
    cuda = emitCuda(tables, device);
  }
  Constant *inputTable = tables.ints<int32_t>("input_fields", inputFields);
  Constant *dimTable = tables.ints<int32_t>("dim_fields", dimFields);
  Constant *sameTable = tables.ints<int32_t>("dim_same", dimSame);
  auto bounds = [&](StringRef name, ArrayRef<int64_t> values) {
    return any_of(values, isBound) ? tables.ints<int64_t>(name, values)
                                   : tables.null;
  };
  Constant *minTable = bounds("dim_min", dimMin);
  Constant *maxTable = bounds("dim_max", dimMax);
  Constant *outputTable = tables.ints<int32_t>("output_fields", outputFields);
  for (auto [desc, code] : zip(descs, codes)) {
    unsigned numNeeds = 0;
    Constant *needs = emitNeeds(tables, *code.spec, numNeeds);
    Constant *cpuState = tables.global("cpu_state", tables.int32(0),
                                       /*constant=*/false);
    SmallVector<Constant *> state = emitState(tables, code, weightsHash);
    Constant *sizes = tables.null;
    if (Function *function = module.getFunction(code.symbol("sizes")))
      sizes = function;
    cast<GlobalVariable>(desc)->setInitializer(
        ConstantStruct::get(descType, {info,
                                       makeMain(tables, code),
                                       enter,
                                       cuda,
                                       wait,
                                       close,
                                       sizes,
                                       inputTable,
                                       dimTable,
                                       sameTable,
                                       minTable,
                                       maxTable,
                                       outputTable,
                                       state[0],
                                       state[1],
                                       state[2],
                                       state[3],
                                       needs,
                                       cpuState,
                                       tables.int32(numNeeds),
                                       tables.int32(dimMax.size()),
                                       tables.int32(outputDims),
                                       tables.int32(model.threads),
                                       threadFunction("dlc_rt_begin_threads"),
                                       threadFunction("dlc_rt_end_threads"),
                                       emitProfile(tables, code)}));
  }

  // NAME_model() returns the address of the table.
  std::string name = model.symbol("model");
  if (GlobalValue *other = module.getNamedValue(name))
    other->setName(name + ".internal");
  Function *getter =
      Function::Create(FunctionType::get(ptr, false),
                       GlobalValue::ExternalLinkage, name, module);
  getter->setDSOLocal(true);
  getter->setAttributes(statusString->getAttributes());
  IRBuilder<> builder(BasicBlock::Create(tables.context, "", getter));
  builder.CreateRet(info);
}
