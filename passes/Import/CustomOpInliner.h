/// \file
/// Puts a function of --custom-ops in the place of a node.
#ifndef DLC_PASSES_IMPORT_CUSTOMOPINLINER_H
#define DLC_PASSES_IMPORT_CUSTOMOPINLINER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Rewrite/FrozenRewritePatternSet.h"
#include "passes/Import/OpTable.h"

namespace dlc {

/// On a function: the operator, where that is not the function's name.
inline constexpr llvm::StringLiteral kOperatorName = "dlc.op";
/// On a function: values that attributes of the node must have.
inline constexpr llvm::StringLiteral kWhenName = "dlc.when";
/// On an argument: the attribute of the node that it is.
inline constexpr llvm::StringLiteral kAttributeName = "dlc.attribute";
/// On an argument: its value where the node lacks the attribute.
inline constexpr llvm::StringLiteral kDefaultName = "dlc.default";

/// Imports the nodes of the operators of one file.
class CustomOpInliner {
public:
  CustomOpInliner(mlir::MLIRContext &context, llvm::StringRef path);

  /// Inlines the first of `functions` that takes what the node has.
  ImportResult import(NodeImport &node,
                      llvm::ArrayRef<mlir::func::FuncOp> functions) const;

private:
  ImportResult inlineFunction(NodeImport &node,
                              mlir::func::FuncOp function) const;

  std::string path;
  /// What carries known sizes through a function.
  mlir::FrozenRewritePatternSet patterns;
};

} // namespace dlc

#endif
