/// \file
/// Products as exporters write them: any order of Mul and Div, with constants
/// among the factors.
#ifndef DLC_PASSES_SIMPLIFY_PRODUCTS_H
#define DLC_PASSES_SIMPLIFY_PRODUCTS_H

#include "passes/Simplify/Nodes.h"

namespace dlc::simplify {

/// number * factors[0] * factors[1] ...
struct Product {
  double number = 1;
  llvm::SmallVector<mlir::Value, 4> factors;

  /// Whether the factors are `values`, in any order.
  bool isOf(std::initializer_list<mlir::Value> values) const;
  /// The factor beside `value`, when there are these two; null otherwise.
  mlir::Value beside(mlir::Value value) const;
};

/// Takes `value` apart: what only it uses among its factors, and powers of
/// small whole numbers, too. Without `isRoot`, a value with several uses is one
/// factor.
Product readProduct(mlir::Value value, bool isRoot = false);

/// Whether `number` is `wanted` as far as the element type of `like` can tell.
bool isNear(double number, double wanted, mlir::Value like);

/// x of `x + number`; null otherwise.
mlir::Value readSum(mlir::Value value, double number);

} // namespace dlc::simplify

#endif
