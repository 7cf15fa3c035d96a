// dlc info: lists what is in a model, as a table or as JSON.

#include "lib/Compiler/ModelInfo.h"
#include "tools/dlc/Options.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::tool;
using llvm::formatv;

static std::string qualify(StringRef domain, StringRef name) {
  bool isOnnx = domain.empty() || domain == "ai.onnx";
  return isOnnx ? name.str() : (domain + "::" + name).str();
}

/// "1,234,567"
static std::string group(int64_t number) { return formatv("{0:N0}", number); }

static std::string describeMacs(int64_t macs, int64_t dynamic) {
  if (!dynamic)
    return group(macs);
  if (!macs)
    return "dynamic";
  return group(macs) + " + dynamic";
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

static void printValues(llvm::raw_ostream &os, StringRef title,
                        ArrayRef<ValueInfo> values) {
  size_t width = 0;
  for (const ValueInfo &value : values)
    width = std::max(width, value.name.size());
  os << "\n" << title << (values.empty() ? ": none\n" : "\n");
  for (const ValueInfo &value : values)
    os << "  " << llvm::left_justify(value.name, width) << "  " << value.type
       << "\n";
}

static void printOperators(llvm::raw_ostream &os, const ModelInfo &info) {
  OperatorInfo total;
  std::vector<std::array<std::string, 4>> rows{
      {"operator", "nodes", "multiply-adds", ""}};
  for (const OperatorInfo &op : info.operators) {
    total.count += op.count;
    total.macs += op.macs;
    total.dynamic += op.dynamic;
    rows.push_back({qualify(op.domain, op.name), group(op.count),
                    op.isContraction ? describeMacs(op.macs, op.dynamic) : "",
                    op.isSupported ? "" : "not supported"});
  }
  rows.push_back({"total", group(total.count),
                  describeMacs(total.macs, total.dynamic), ""});
  size_t widths[3] = {};
  for (const auto &row : rows)
    for (unsigned i = 0; i < 3; ++i)
      widths[i] = std::max(widths[i], row[i].size());
  os << "\n";
  for (const auto &row : rows) {
    std::string line;
    llvm::raw_string_ostream(line)
        << "  " << llvm::left_justify(row[0], widths[0]) << "  "
        << llvm::right_justify(row[1], widths[1]) << "  "
        << llvm::right_justify(row[2], widths[2]) << "  " << row[3];
    os << StringRef(line).rtrim() << "\n";
  }
}

static void printParameters(llvm::raw_ostream &os, const ModelInfo &info) {
  os << "\nparameters" << (info.parameters.empty() ? ": none\n" : "\n");
  for (const auto &[type, entry] : info.parameters)
    os << formatv("  {0}: {1} in {2} tensor{3}, {4} bytes\n", type,
                  group(entry.elements), group(entry.tensors),
                  entry.tensors == 1 ? "" : "s", group(entry.bytes));
}

static void printTable(llvm::raw_ostream &os, const ModelInfo &info) {
  os << inputPath << ": IR version " << info.irVersion;
  for (const auto &[domain, version] : info.opsets)
    os << ", " << domain << " " << version;
  os << "\n";
  for (auto [label, text] :
       {std::pair("graph", info.graph),
        {"made by",
         StringRef(info.producer + " " + info.producerVersion).trim().str()},
        {"domain", info.domain},
        {"description", info.doc}})
    if (!text.empty())
      os << label << ": " << text << "\n";
  if (info.modelVersion)
    os << "model version: " << info.modelVersion << "\n";
  printValues(os, "inputs", info.inputs);
  printValues(os, "outputs", info.outputs);
  printOperators(os, info);
  printParameters(os, info);
  if (!info.functions.empty())
    os << "\nfunctions\n";
  for (const FunctionInfo &function : info.functions)
    os << formatv("  {0}: {1} node{2}\n",
                  qualify(function.domain, function.name), function.nodes,
                  function.nodes == 1 ? "" : "s");
  if (!info.metadata.empty())
    os << "\nmetadata\n";
  for (const auto &[key, value] : info.metadata)
    os << "  " << key << ": " << value << "\n";
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

static std::string toUtf8(StringRef text) {
  return llvm::json::isUTF8(text) ? text.str() : llvm::json::fixUTF8(text);
}

static void printJson(llvm::raw_ostream &os, const ModelInfo &info) {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  auto text = [&](StringRef key, StringRef value) {
    json.attribute(key, toUtf8(value));
  };
  auto values = [&](StringRef key, ArrayRef<ValueInfo> list) {
    json.attributeArray(key, [&] {
      for (const ValueInfo &value : list)
        json.object([&] {
          text("name", value.name);
          text("type", value.type);
        });
    });
  };
  json.object([&] {
    text("file", inputPath);
    json.attribute("ir_version", info.irVersion);
    json.attributeObject("opsets", [&] {
      for (const auto &[domain, version] : info.opsets)
        json.attribute(toUtf8(domain), version);
    });
    text("graph", info.graph);
    text("producer", info.producer);
    text("producer_version", info.producerVersion);
    text("domain", info.domain);
    json.attribute("model_version", info.modelVersion);
    text("description", info.doc);
    values("inputs", info.inputs);
    values("outputs", info.outputs);
    json.attributeArray("operators", [&] {
      for (const OperatorInfo &op : info.operators)
        json.object([&] {
          text("domain", op.domain.empty() ? "ai.onnx" : op.domain);
          text("name", op.name);
          json.attribute("nodes", op.count);
          json.attribute("supported", op.isSupported);
          if (!op.isContraction)
            return;
          json.attribute("macs", op.macs);
          json.attribute("nodes_of_dynamic_macs", op.dynamic);
        });
    });
    json.attributeArray("parameters", [&] {
      for (const auto &entry : info.parameters)
        json.object([&] {
          text("type", entry.first);
          json.attribute("tensors", entry.second.tensors);
          json.attribute("elements", entry.second.elements);
          json.attribute("bytes", entry.second.bytes);
        });
    });
    json.attributeArray("functions", [&] {
      for (const FunctionInfo &function : info.functions)
        json.object([&] {
          text("domain", function.domain);
          text("name", function.name);
          json.attribute("nodes", function.nodes);
        });
    });
    json.attributeObject("metadata", [&] {
      for (const auto &[key, value] : info.metadata)
        json.attribute(toUtf8(key), toUtf8(value));
    });
  });
  os << "\n";
}

int tool::runInfo() {
  if (inputPath.empty())
    return fail("no input file; try 'dlc info --help'");
  std::optional<CompileOptions> options = getCompileOptions();
  if (!options)
    return 1;
  std::unique_ptr<MLIRContext> context = createContext(*options);
  DiagnosticPrinter diagnostics(*context, llvm::errs());
  if (failed(readCustomOps(*context, *options)))
    return 1;
  OwningOpRef<ModuleOp> module =
      readModel(inputPath, *context, *options, ReadMode::Typed);
  if (!module)
    return 1;
  ModelInfo info = getModelInfo(*module);
  (asJson ? printJson : printTable)(llvm::outs(), info);
  return finishOutput();
}
