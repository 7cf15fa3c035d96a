// Writes the outputs that a compile asked for.
#include "lib/Codegen/Codegen.h"
#include "lib/Codegen/Header.h"
#include "lib/Codegen/LinkShared.h"
#include "lib/Codegen/Lower.h"
#include "lib/Codegen/Optimise.h"
#include "lib/Codegen/OutputFiles.h"
#include "lib/Codegen/WeightSection.h"

#include "llvm/Object/ELFObjectFile.h"

using namespace mlir;
using namespace dlc;
using llvm::APInt;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

namespace {
/// One call of emitOutputs().
class Emitter {
public:
  Emitter(ModuleOp module, const LoweredModule &lowered, const TargetSpec &spec,
          const CodegenOptions &options, const WeightTable &weights)
      : module(module), lowered(lowered), spec(spec), options(options),
        weights(weights) {}

  Error emit(const Output &output);
  /// How large the code in the object is, and for whom.
  Error describe(ObjectReport &report);

  OutputFiles files;

private:
  Error writeText(StringRef path, StringRef text);
  Error makeObject();
  Error writeObjectTo(StringRef path, OutputFiles &to);
  Error writeShared(StringRef path);
  Error writePtx(StringRef path);
  Error writeEmulation(StringRef path);

  ModuleOp module;
  const LoweredModule &lowered;
  const TargetSpec &spec;
  const CodegenOptions &options;
  const WeightTable &weights;
  llvm::SmallVector<char, 0> object; // made once
};
} // namespace

Error Emitter::writeText(StringRef path, StringRef text) {
  return files.write(path, [&](llvm::raw_fd_ostream &os) {
    os << text;
    return Error::success();
  });
}

/// Where the weights end up in a program. Read-only data stands between the
/// code and what must be near it (.eh_frame), so large weights go elsewhere: on
/// x86-64 to .lrodata, on others, which have no such section, behind .data.
static WeightSection weightsSection(const TargetSpec &spec, int64_t size) {
  if (size < largeWeights)
    return {".rodata.dlc", /*writable=*/false};
  if (spec.arch->hasLargeSections)
    return {".lrodata.wt", /*writable=*/false};
  return {".data.dlcwt", /*writable=*/true};
}

Error Emitter::makeObject() {
  if (!object.empty())
    return Error::success();
  Expected<llvm::SmallVector<char, 0>> bytes = emitCode(
      lowered, WeightsPlace::Section, llvm::CodeGenFileType::ObjectFile);
  if (!bytes)
    return bytes.takeError();
  object = std::move(*bytes);
  return Error::success();
}

Error Emitter::describe(ObjectReport &report) {
  if (Error error = makeObject())
    return error;
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(StringRef(object.data(), object.size()), ""));
  if (!file)
    return file.takeError();
  llvm::StringMap<int64_t> sizes;
  for (const llvm::object::ELFSymbolRef symbol :
       cast<llvm::object::ELFObjectFileBase>(**file).symbols()) {
    Expected<StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    if (symbol.getELFType() != llvm::ELF::STT_FUNC)
      continue;
    // A symbol may be longer than that of the IR: function.label.cold.
    StringRef owner = "runtime";
    for (const LoweredModule::Part &part : lowered.parts)
      if (part.functions.contains(*name))
        owner = part.label;
    sizes[owner] += symbol.getSize();
  }
  int64_t before = 0;
  for (const LoweredModule::Part &part : lowered.parts) {
    report.parts.push_back(
        {part.label, sizes[part.label], part.weightsSize - before});
    before = part.weightsSize;
  }
  report.parts.push_back({"runtime", sizes["runtime"], 0});
  return Error::success();
}

Error Emitter::writeObjectTo(StringRef path, OutputFiles &to) {
  if (Error error = makeObject())
    return error;
  llvm::SmallVector<char, 0> copy(object);
  return to.write(path, [&](llvm::raw_fd_ostream &os) {
    return writeObject(copy, emptySection, weightsSection(spec, weights.size()),
                       weights, os);
  });
}

Error Emitter::writeShared(StringRef path) {
  OutputFiles parts;
  std::string part = (path + ".o").str();
  Expected<std::string> name = parts.reserve(part);
  if (!name)
    return name.takeError();
  OutputFiles inPlace;
  if (Error error = writeObjectTo(*name, inPlace))
    return error;
  if (Error error = inPlace.commit())
    return error;
  Expected<std::string> result = files.reserve(path);
  if (!result)
    return result.takeError();
  return linkShared(spec, *name, *result);
}

Error Emitter::writePtx(StringRef path) {
  if (lowered.device.images.size() != 1)
    return llvm::createStringError(
        "expected one architecture of --gpu for PTX, found " +
        llvm::Twine(lowered.device.images.size()));
  return writeText(path, lowered.device.images.front().code);
}

Error Emitter::writeEmulation(StringRef path) {
  FailureOr<llvm::SmallVector<char, 0>> bytes =
      emulateDevice(module, spec, options.optLevel);
  if (failed(bytes))
    return llvm::createStringError("the kernels cannot be emulated");
  return writeText(path, StringRef(bytes->data(), bytes->size()));
}

Error Emitter::emit(const Output &output) {
  switch (output.kind) {
  case OutputKind::Object:
    return writeObjectTo(output.path, files);
  case OutputKind::Header:
    return writeText(output.path,
                     generateHeader(lowered.model, lowered.target));
  case OutputKind::LLVMIR: {
    std::string text;
    llvm::raw_string_ostream os(text);
    lowered.module->print(os, nullptr);
    return writeText(output.path, text);
  }
  case OutputKind::Assembly: {
    Expected<llvm::SmallVector<char, 0>> text = emitCode(
        lowered, WeightsPlace::Declared, llvm::CodeGenFileType::AssemblyFile);
    if (!text)
      return text.takeError();
    return writeText(output.path, StringRef(text->data(), text->size()));
  }
  case OutputKind::Shared:
    return writeShared(output.path);
  case OutputKind::Ptx:
    return writePtx(output.path);
  case OutputKind::Emulation:
    return writeEmulation(output.path);
  case OutputKind::Listing:
    return writeText(output.path, options.listing);
  }
  return Error::success();
}

LogicalResult dlc::readWeightsAttribute(ModuleOp module, WeightTable &weights) {
  Attribute attr = module->getAttr("dlc.weights");
  if (!attr)
    return success();
  auto dense = dyn_cast<DenseElementsAttr>(attr);
  if (!dense || !dense.getElementType().isInteger(8))
    return module.emitError("'dlc.weights' expected dense<...> : tensor<Nxi8>");
  if (dense.isSplat() && dense.getSplatValue<APInt>().isZero())
    weights.addZeros(dense.getNumElements());
  else if (dense.isSplat())
    weights.add(std::vector<char>(dense.getNumElements(),
                                  dense.getSplatValue<APInt>().getZExtValue()));
  else
    weights.add(dense.getRawData());
  return success();
}

static StringRef describe(OutputKind kind) {
  switch (kind) {
  case OutputKind::Object:
    return "the object";
  case OutputKind::Header:
    return "the header";
  case OutputKind::Assembly:
    return "the assembly";
  case OutputKind::LLVMIR:
    return "the LLVM IR";
  case OutputKind::Shared:
    return "the shared library";
  case OutputKind::Ptx:
    return "the PTX";
  case OutputKind::Emulation:
    return "the emulated kernels";
  case OutputKind::Listing:
    return "the list of nodes";
  }
  llvm_unreachable("unknown kind of output");
}

Error dlc::checkOutputs(llvm::ArrayRef<Output> outputs, StringRef input) {
  for (auto [i, output] : llvm::enumerate(outputs)) {
    for (const Output &other : outputs.take_front(i)) {
      if (output.kind == other.kind)
        return llvm::createStringError("expected " + describe(output.kind) +
                                       " once, found it twice");
      if (output.path == other.path)
        return llvm::createStringError(describe(other.kind) + " and " +
                                       describe(output.kind) +
                                       " would both be '" + output.path + "'");
    }
    if (!input.empty() && llvm::sys::fs::equivalent(input, output.path))
      return llvm::createStringError("the output '" + output.path +
                                     "' is the input");
    if (output.kind == OutputKind::Shared && OutputFiles::isStream(output.path))
      return llvm::createStringError(
          "expected a regular file for the shared library, found '" +
          output.path + "'");
    if (Error error = OutputFiles::check(output.path))
      return error;
  }
  return Error::success();
}

LogicalResult dlc::emitOutputs(ModuleOp module, const TargetSpec &spec,
                               const CodegenOptions &options,
                               const WeightTable &weights,
                               llvm::ArrayRef<Output> outputs,
                               llvm::ArrayRef<CodeVariant> others,
                               ObjectReport *report) {
  FailureOr<LoweredModule> lowered =
      lowerModule(module, spec, options, weights, others);
  if (failed(lowered))
    return failure();
  optimise(*lowered->module, *lowered->machine, options.optLevel);
  Emitter emitter(module, *lowered, spec, options, weights);
  for (const Output &output : outputs)
    if (Error error = emitter.emit(output))
      return module.emitError() << llvm::toString(std::move(error));
  if (report)
    if (Error error = emitter.describe(*report))
      return module.emitError() << llvm::toString(std::move(error));
  if (Error error = emitter.files.commit())
    return module.emitError() << llvm::toString(std::move(error));
  return success();
}
