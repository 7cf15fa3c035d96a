/// \file
/// What ONNX knows of its operators.
#include "lib/OnnxReader/OnnxReader.h"

#include "onnx/defs/schema.h"

#include <map>

using namespace dlc;

std::vector<OpSchemaInfo> dlc::listOpSchemas() {
  std::map<std::pair<std::string, std::string>, OpSchemaInfo> all;
  for (const ::onnx::OpSchema &schema :
       ::onnx::OpSchemaRegistry::get_all_schemas_with_history()) {
    OpSchemaInfo &info = all[{schema.domain(), schema.Name()}];
    info.domain = schema.domain();
    info.name = schema.Name();
    info.sinceVersions.push_back(schema.SinceVersion());
    if (schema.SinceVersion() == *std::max_element(info.sinceVersions.begin(),
                                                   info.sinceVersions.end())) {
      info.deprecated = schema.Deprecated();
      info.hasFunction =
          schema.HasFunction() || schema.HasContextDependentFunction();
    }
  }
  std::vector<OpSchemaInfo> result;
  for (auto &[key, info] : all) {
    std::sort(info.sinceVersions.begin(), info.sinceVersions.end());
    result.push_back(std::move(info));
  }
  return result;
}

int dlc::getSinceVersion(llvm::StringRef domain, llvm::StringRef op,
                         int opset) {
  const ::onnx::OpSchema *schema =
      ::onnx::OpSchemaRegistry::Schema(op.str(), opset, domain.str());
  return schema ? schema->SinceVersion() : 0;
}

std::string dlc::getFormalInput(llvm::StringRef domain, llvm::StringRef op,
                                int opset, unsigned i) {
  const ::onnx::OpSchema *schema =
      ::onnx::OpSchemaRegistry::Schema(op.str(), opset, domain.str());
  return schema && i < schema->inputs().size() ? schema->inputs()[i].GetName()
                                               : std::string();
}

int dlc::getNewestOpset(llvm::StringRef domain) {
  const auto &ranges =
      ::onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  auto it = ranges.find(domain.str());
  return it == ranges.end() ? 0 : it->second.second;
}
