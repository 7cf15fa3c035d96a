// --remarks: MLIR's remarks as diagnostics at the nodes.

#include "mlir/IR/Remarks.h"
#include "dlc/Compiler.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace dlc;

namespace {

/// Emits `fused into the convolution before it [dlc-fuse-epilogue]`. A
/// remark's category is the name of the pass.
struct DiagnosticStreamer : remark::detail::MLIRRemarkStreamerBase {
  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string text;
    for (const remark::detail::Remark::Arg &arg : remark.getArgs()) {
      bool isText = arg.key == "Remark" || arg.key == "Reason";
      // What stands in quotes has no space before it or behind it.
      bool isQuoted = isText && (StringRef(text).ends_with("'") ||
                                 StringRef(arg.val).starts_with("'"));
      text += (text.empty() || isQuoted ? "" : isText ? " " : ", ");
      text += isText ? arg.val : arg.key + " " + arg.val;
    }
    emitRemark(remark.getLocation())
        << text << " [" << remark.getCategoryName() << "]";
  }
};

/// Patterns are tried again and again: the same is said once.
struct OncePolicy : remark::detail::RemarkEmittingPolicyBase {
  void reportRemark(const remark::detail::Remark &remark) override {
    std::string key;
    llvm::raw_string_ostream os(key);
    os << remark.getLocation() << '\0';
    remark.print(os);
    if (seen.insert(key).second)
      reportImpl(remark);
  }
  void finalize() override {}

  llvm::StringSet<> seen;
};

} // namespace

llvm::Error dlc::enableRemarks(MLIRContext &context, StringRef regex) {
  if (regex.empty())
    regex = ".*";
  std::string message;
  if (!llvm::Regex(regex).isValid(message))
    return llvm::createStringError("'" + regex +
                                   "' is no regular expression: " + message);
  remark::RemarkCategories categories;
  // MLIR wants the whole name to match, and looks at `all` only beside the
  // filter of a kind.
  categories.passed = categories.missed = categories.analysis =
      categories.failed = (".*(" + regex + ").*").str();
  if (failed(remark::enableOptimizationRemarks(
          context, std::make_unique<DiagnosticStreamer>(),
          std::make_unique<OncePolicy>(), categories)))
    return llvm::createStringError("cannot enable remarks");
  return llvm::Error::success();
}
