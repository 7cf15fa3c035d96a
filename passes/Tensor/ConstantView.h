/// \file
/// Elements of a constant in another order.
#ifndef DLC_PASSES_TENSOR_CONSTANTVIEW_H
#define DLC_PASSES_TENSOR_CONSTANTVIEW_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"
#include <optional>

namespace dlc {

/// What transposes, reshapes and slices make of a constant: element [i, j, ...]
/// is the one at offset + i strides[0] + j strides[1] + ... of `source`.
struct ConstantView {
  mlir::ElementsAttr source;
  int64_t offset = 0;
  llvm::SmallVector<int64_t> sizes, strides; ///< in elements

  /// Nothing if other ops are between `value` and a constant, or a reshape of
  /// elements that do not lie as it needs them.
  static std::optional<ConstantView> find(mlir::Value value);

  /// The bytes of its elements, one after the other, from those of the source.
  /// Elements have `elementBytes` of these.
  void copy(const char *from, char *to, int64_t elementBytes) const;
};

} // namespace dlc

#endif
