// Which phases a run of dlc goes through, and which files it writes.

#include "lib/Codegen/OutputFiles.h"
#include "lib/Draw/Draw.h"
#include "tools/dlc/Options.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;
namespace cl = llvm::cl;

std::optional<Phase> tool::getPhase(StringRef name) {
  std::optional<Phase> phase = parsePhase(name);
  if (!phase)
    fail("expected one of the phases onnx, simplify, import, graph, tensor, "
         "buffer, llvm, obj, found '" +
         name + "'");
  return phase;
}

/// The phases from one to another one, for a message.
static std::string listPhases(Phase from, Phase to) {
  std::string known;
  for (int i = int(from); i <= int(to); ++i)
    known +=
        ((known.empty() ? "'" : ", '") + getPhaseName(Phase(i)) + "'").str();
  return known;
}

bool tool::applyPassPipeline(CompileOptions &options, Phase from, Phase to) {
  for (StringRef text : passPipelines) {
    auto [name, pipeline] = text.split(':');
    std::optional<Phase> phase = parsePhase(name);
    bool isOne = phase && text.contains(':');
    if (!phase && text.contains(':') &&
        name.find_first_of("({,= ") == StringRef::npos) {
      fail("expected one of the phases " +
           listPhases(Phase(int(from) + 1), std::min(to, Phase::Llvm)) +
           " for --pass-pipeline, found '" + name + "'");
      return false;
    }
    if (isOne && (*phase <= from || *phase > std::min(to, Phase::Llvm))) {
      fail("expected a phase behind '" + getPhaseName(from) + "', up to '" +
           getPhaseName(std::min(to, Phase::Llvm)) +
           "', for --pass-pipeline, found '" + name + "'");
      return false;
    }
    // The first phase has all of it, and the others have nothing.
    Phase first = isOne ? *phase : Phase(int(from) + 1);
    Phase last = isOne ? *phase : std::min(to, Phase::Llvm);
    if (!isOne)
      pipeline = text;
    for (int i = int(first); i <= int(last); ++i) {
      for (const auto &known : options.replacedPasses)
        if (known.first == Phase(i)) {
          fail("expected one --pass-pipeline for the phase '" +
               getPhaseName(Phase(i)) + "', found two");
          return false;
        }
      options.replacedPasses.emplace_back(
          Phase(i), Phase(i) == first ? pipeline.str() : "");
    }
  }
  return true;
}

bool tool::getGraphDump(std::optional<GraphDump> &dump, Phase from, Phase to) {
  if (!dumpGraph.getNumOccurrences())
    return true;
  dump.emplace();
  StringRef path = dumpGraph;
  auto [name, rest] = path.split(':');
  if (std::optional<Phase> phase = parsePhase(name); phase && !rest.empty()) {
    dump->phase = *phase;
    path = rest;
  } else if (!rest.empty() && name.find_first_of("./") == StringRef::npos) {
    fail("expected one of the phases " +
         listPhases(from, std::min(to, Phase::Tensor)) +
         " for --dump-graph, found '" + name + "'; a file of that name is './" +
         path + "'");
    return false;
  } else {
    // What --to leaves of it.
    dump->phase = std::max(from, std::min(to, Phase::Graph));
  }
  dump->path = path.str();
  if (dump->phase > Phase::Tensor || dump->phase < from || dump->phase > to) {
    fail("expected a phase from '" + getPhaseName(from) + "' to '" +
         getPhaseName(std::min(to, Phase::Tensor)) +
         "' for --dump-graph, found '" + getPhaseName(dump->phase) + "'");
    return false;
  }
  if (!draw::isKnownFile(path)) {
    fail("expected a file .svg or .dot for --dump-graph, found '" + path + "'");
    return false;
  }
  if (llvm::Error error = OutputFiles::check(path)) {
    fail(llvm::toString(std::move(error)));
    return false;
  }
  return true;
}

bool tool::isTextInput() {
  return StringRef(inputPath).ends_with(".mlir") || !fromPhase.empty();
}

bool tool::isOnnxOutput() { return llvm::is_contained(emitted, "onnx"); }

bool tool::hasExternalData() { return externalDataFlag; }

std::optional<std::pair<Phase, Phase>> tool::getPhases() {
  // A module as text is in the phase llvm unless --from says otherwise.
  Phase from = isTextInput() ? Phase::Llvm : Phase::Onnx, to = Phase::Obj;
  if (isOnnxOutput())
    to = Phase::Simplify;
  for (auto [flag, phase] : {std::pair(&fromPhase, &from), {&toPhase, &to}}) {
    if (flag->empty())
      continue;
    std::optional<Phase> parsed = getPhase(*flag);
    if (!parsed)
      return std::nullopt;
    *phase = *parsed;
  }
  if (isTextInput())
    for (const cl::Option *given : std::initializer_list<const cl::Option *>{
             std::addressof(shapes), std::addressof(dims),
             std::addressof(modelName)})
      if (given->getNumOccurrences()) {
        fail("expected an ONNX model for --" + given->ArgStr +
             ", found IR as text");
        return std::nullopt;
      }
  if (from > to) {
    fail("expected a phase of --to behind '" + getPhaseName(from) +
         "', found '" + getPhaseName(to) + "'");
    return std::nullopt;
  }
  return std::pair(from, to);
}

std::optional<std::vector<Output>> tool::getOutputs(Phase to) {
  std::vector<std::string> kinds(emitted.begin(), emitted.end());
  std::string base = outputPath;
  if (base.empty() && outputPath.getNumOccurrences()) {
    fail("expected a file for -o, found ''");
    return std::nullopt;
  }
  auto checked =
      [](std::vector<Output> outputs) -> std::optional<std::vector<Output>> {
    if (llvm::Error error = checkOutputs(outputs, inputPath)) {
      fail(llvm::toString(std::move(error)));
      return std::nullopt;
    }
    return outputs;
  };
  if (isOnnxOutput()) {
    if (kinds.size() > 1 || toPhase.getNumOccurrences()) {
      fail(kinds.size() > 1
               ? "expected --emit=onnx alone, found " + llvm::join(kinds, ",")
               : "expected --emit=onnx or --to=" + toPhase + ", found both");
      return std::nullopt;
    }
    if (base.empty()) {
      fail("expected an output file, -o, for --emit=onnx");
      return std::nullopt;
    }
    return checked({{OutputKind::LLVMIR, base}});
  }
  if (to != Phase::Obj) {
    if (emitted.getNumOccurrences()) {
      fail("expected --emit or --to=" + getPhaseName(to) + ", found both");
      return std::nullopt;
    }
    return checked({{OutputKind::LLVMIR, base.empty() ? "-" : base}});
  }
  bool isStream = OutputFiles::isStream(base);
  // As of dlc quantize, the end of -o asks for a library.
  bool isLibrary = kinds.empty() && StringRef(base).ends_with(".so");
  if (kinds.empty())
    kinds = {isLibrary ? "shared" : "obj", "header"};
  if (isStream && !emitted.getNumOccurrences())
    kinds = {"obj"};
  if (isStream && kinds.size() > 1) {
    fail("expected one kind of output for -o " + base + ", found " +
         Twine(kinds.size()));
    return std::nullopt;
  }
  if (base.empty() && inputPath == "-") {
    fail("expected an output file, -o, for a model from standard input");
    return std::nullopt;
  }
  if (base.empty())
    base = (llvm::sys::path::stem(inputPath) + ".o").str();
  std::vector<Output> outputs;
  for (StringRef kind : kinds) {
    struct Known {
      StringRef name;
      OutputKind kind;
      StringRef extension;
    };
    static constexpr Known known[] = {
        {"obj", OutputKind::Object, "o"},
        {"header", OutputKind::Header, "h"},
        {"asm", OutputKind::Assembly, "s"},
        {"llvm-ir", OutputKind::LLVMIR, "ll"},
        {"shared", OutputKind::Shared, "so"},
        {"ptx", OutputKind::Ptx, "ptx"},
        {"emulation", OutputKind::Emulation, "emulation.o"}};
    const Known *found =
        llvm::find_if(known, [&](const Known &k) { return k.name == kind; });
    if (found == std::end(known)) {
      fail("expected --emit=obj, header, shared, asm, llvm-ir, ptx, "
           "emulation or onnx, found '" +
           kind + "'");
      return std::nullopt;
    }
    SmallString<128> path(base);
    // -o names the object, or the only output; the others stand beside it.
    bool isNamed = !outputPath.empty() &&
                   (kinds.size() == 1 || found->kind == OutputKind::Object ||
                    (isLibrary && found->kind == OutputKind::Shared));
    if (!isNamed)
      llvm::sys::path::replace_extension(path, found->extension);
    outputs.push_back({found->kind, path.str().str()});
  }
  bool hasCode = llvm::any_of(outputs, [](const Output &output) {
    return llvm::is_contained({OutputKind::Object, OutputKind::Shared,
                               OutputKind::Assembly, OutputKind::LLVMIR},
                              output.kind);
  });
  if (debugInfo && hasCode && !isTextInput()) {
    SmallString<128> path(base);
    llvm::sys::path::replace_extension(path, "nodes");
    if (isStream)
      warn("-g: the list of nodes, whose lines debuggers show, is not written "
           "where the code goes to '" +
           base + "'");
    else
      outputs.push_back({OutputKind::Listing, path.str().str()});
  }
  return checked(std::move(outputs));
}
